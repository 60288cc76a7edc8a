//! What has to be there before the command is: after its start nothing may fail any more that would leave it alone.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Order, RunError};
use crate::daemon::errands::Errands;
use crate::daemon::inbox::{Inbox, Mail, Post};
use crate::daemon::keeper::{Keeper, Opened, Places};
use crate::daemon::options::{StartError, TierChoice};
use crate::daemon::pursue::{Heard, Pursuer};
use crate::daemon::shells::Shells;
use crate::engine::account::Accounting;
use crate::engine::decision::{Hearing, Input};
use crate::engine::elder::Rank;
use crate::engine::judge::{Judge, Settings};
use crate::engine::process::{Pid, ProcKey, Uid};
use crate::engine::steward::Managers;
use crate::engine::warrant::Spare;
use crate::sys::accounting::cgroup::Groups;
use crate::sys::clients::Clients;
use crate::sys::command::children;
use crate::sys::command::ear;
use crate::sys::command::launch::Launched;
use crate::sys::ourselves;
use crate::sys::procfs::Procfs;
use crate::sys::signaller::Signaller;

/// How long it may take until it is known whether births are heard.
const FIRST_WORD: Duration = Duration::from_millis(500);

/// Whoever hangs from us later is the command's, or is taken for it: so nobody must now, and no stranger's orphans may.
///
/// # Why it matters
/// `Xvfb & exec beadle run -- tests` makes us the parent of Xvfb. It would be ended as what the tests left behind.
pub(super) fn hangs_from_nobody_else() -> Result<(), RunError> {
    if std::process::id() == Pid::INIT.number() {
        return Err(RunError::First);
    }
    match children::descendants().1.first() {
        Some(one) => Err(RunError::Parent { pid: one.pid }),
        None => Ok(()),
    }
}

/// Waits a moment until births are heard, or it is known that they are not: whoever is born before is never known for a child of
/// one who is dead by the time of the first look. What came meanwhile is taken in later; but a signal that wants an end finds no
/// command, and there shall be none.
pub(super) async fn hear_first(inbox: &mut Inbox, shells: &Shells) -> Result<Vec<Mail>, RunError> {
    let mut until = shells.now().after(FIRST_WORD);
    let mut early = Vec::new();
    loop {
        let mail = inbox.wait(shells.clock, Some(until)).await;
        match &mail {
            Mail::Caught(caught) if caught.presses() => {
                return Err(RunError::Interrupted(caught.signal));
            }
            // It is known; what else is there is taken along.
            Mail::Heard(Heard::Listening | Heard::Deaf(_)) => until = shells.now(),
            Mail::Input(Input::Deadline) => {
                return match ear::pressing().first() {
                    Some(signal) => Err(RunError::Interrupted(*signal)),
                    None => Ok(early),
                };
            }
            _ => {}
        }
        early.push(mail);
    }
}

pub(super) fn start_shells(order: &Order, post: &Post) -> Result<Shells, RunError> {
    let want = match order.tier {
        TierChoice::Best => Hearing::Events,
        TierChoice::Scan => Hearing::Nothing,
    };
    let deliver = post.clone();
    let sink = move |heard| {
        // The loop is gone: nobody listens any more.
        let _ = deliver.send(Mail::Heard(heard));
    };
    // Without a guardian: it would be a child of ours, and nobody is frozen here.
    let pursuer = Pursuer::start_with(Signaller::default(), want, Accounting::Wanted, sink)
        .map_err(|source| StartError::Thread {
            what: "the event reader",
            source,
        })?;
    let user = ourselves::owner();
    let Opened { keeper, .. } = Keeper::open(&Places::nowhere(), "", post);
    let errands = Errands::new(Clients::default(), user, post);
    let proc = Path::new("/proc");
    Ok(Shells::start(
        proc,
        Groups::open(),
        errands,
        pursuer,
        keeper,
        post,
    )?)
}

/// Who we are and what we hang from, for the judge to spare. Before there is a command: it may fail.
pub(super) fn lineage() -> Result<Vec<ProcKey>, RunError> {
    let procfs = Procfs::open(Path::new("/proc")).map_err(RunError::Ours)?;
    Ok(ourselves::lineage(&procfs))
}

pub(super) fn judge(order: &Order, command: &Launched, lineage: Vec<ProcKey>) -> Judge {
    let ours = lineage.first().copied();
    let user = ourselves::owner();
    let settings = Settings {
        only_user: (user != Uid::ROOT).then_some(user),
        // Whoever gives a budget means it, whatever a daemon's rules mind.
        rank: Rank::First,
        // Whom we start is the command's.
        itself: None,
        leash: ours,
        reaper: ours,
        spare: Arc::new(Spare {
            keys: lineage,
            bystanders: Vec::new(),
        }),
        managers: Managers::default(),
        first_incident: 1,
    };
    Judge::new(settings, Arc::new(order.budget.rules(command.key)))
}

/// A value of our own for the variable that all of a run carry.
pub(super) fn mark() -> std::io::Result<String> {
    let mut bytes = [0_u8; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
