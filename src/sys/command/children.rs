//! What the kernel tells of our children: the command, and whoever of it lost all above.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

use crate::engine::process::{Pid, StartTicks};
use crate::engine::pursuit::Glimpse;
use crate::sys::glimpse::{bearer, everyone};
use crate::sys::ourselves;

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It ended by itself, with this status.
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// A signal stopped it.
    Stopped(i32),
    /// It goes on.
    Continued,
}

/// Who is left to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nobody at all: no child, so no descendant.
    Nobody,
    /// Somebody, dead or alive.
    Somebody,
}

/// Waits for all children that have died, also while the loop has no time for it.
///
/// # Why a thread
/// One look at the process table takes a while, and the longer the more there are of the dead that nobody has waited for. A command
/// that forks without rest leaves us thousands a second; when only the loop waited for them, its look never came to the end of
/// the table. The thread sleeps until somebody is dead, and ends when there is no child any more.
#[derive(Clone, Debug)]
pub struct Reaper(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    command: Pid,
    seen: Mutex<Seen>,
}

/// What was seen of the command.
#[derive(Debug, Default)]
struct Seen {
    /// What became of it, in order.
    turns: Vec<Turn>,
    /// Signals that it had a handler for, or ignored, when last looked at: of the dead this can be asked no more.
    heeds: u64,
}

impl Reaper {
    /// From when the command has been started. Where no thread is to be had, the loop does it alone.
    pub fn start(command: Pid) -> Self {
        let reaper = Self(Arc::new(Shared {
            command,
            seen: Mutex::default(),
        }));
        let theirs = reaper.clone();
        let waits = move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            loop {
                match waitid(WaitId::All, options) {
                    Ok(_) => {
                        theirs.reap();
                    }
                    Err(Errno::INTR) => {}
                    Err(_) => return,
                }
            }
        };
        // It ends by itself when nobody is left, and with us else.
        let _ = std::thread::Builder::new()
            .name("reaper".to_owned())
            .spawn(waits);
        reaper
    }

    /// Waits for all that can be waited for now. The dead are gone afterwards.
    pub fn reap(&self) -> Left {
        let mut seen = self.seen();
        // Before: there is nothing to be read of one who was waited for.
        if let Some(heeds) = heeds(self.0.command) {
            seen.heeds = heeds;
        }
        reap(|pid, turn| {
            if pid == self.0.command {
                seen.turns.push(turn);
            }
        })
    }

    /// What became of the command since this was asked last.
    pub fn turns(&self) -> Vec<Turn> {
        std::mem::take(&mut self.seen().turns)
    }

    /// Whether the command has a handler for a signal, or ignores it; of a dead one, whether it had.
    pub fn heeds(&self, signal: i32) -> bool {
        let mut seen = self.seen();
        if let Some(heeds) = heeds(self.0.command) {
            seen.heeds = heeds;
        }
        let bit = u32::try_from(signal)
            .ok()
            .and_then(|one| one.checked_sub(1));
        bit.and_then(|bit| seen.heeds.checked_shr(bit))
            .is_some_and(|rest| rest & 1 == 1)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for all that can be waited for now; `tell` hears of each.
fn reap(mut tell: impl FnMut(Pid, Turn)) -> Left {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    loop {
        match wait(options) {
            Ok(Some((pid, status))) => {
                let pid = u32::try_from(pid.as_raw_nonzero().get()).ok();
                if let Some((pid, turn)) = pid.and_then(Pid::new).zip(turn(status)) {
                    tell(pid, turn);
                }
            }
            Err(Errno::CHILD) => return Left::Nobody,
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return Left::Somebody,
        }
    }
}

fn turn(status: WaitStatus) -> Option<Turn> {
    status
        .exit_status()
        .map(Turn::Exited)
        .or_else(|| status.terminating_signal().map(Turn::Killed))
        .or_else(|| status.stopping_signal().map(Turn::Stopped))
        .or_else(|| status.continued().then_some(Turn::Continued))
}

/// CPU time of all children that were waited for, and of those whom they waited for. Whoever was waited for by nobody is not in it.
pub fn spent() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: room for one; all zeros is one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let span = |time: libc::timeval| {
        let whole = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        whole.saturating_add(Duration::from_micros(
            u64::try_from(time.tv_usec).unwrap_or(0),
        ))
    };
    span(usage.ru_utime).saturating_add(span(usage.ru_stime))
}

/// All living processes below us, parents before children, and when the reading began.
pub fn descendants() -> (StartTicks, Vec<Glimpse>) {
    let (at, mut all) = everyone();
    let mut found: Vec<Glimpse> = Vec::new();
    let mut above: Vec<Pid> = Pid::new(std::process::id()).into_iter().collect();
    while !above.is_empty() {
        let (below, rest) = all
            .into_iter()
            .partition::<Vec<Glimpse>, _>(|one| one.ppid.is_some_and(|ppid| above.contains(&ppid)));
        above = below.iter().map(|one| one.pid).collect();
        found.extend(below);
        all = rest;
    }
    (at, found)
}

/// Our living children by the kernel's own list of them, the newest first; nobody where it keeps none to be read
/// (`CONFIG_PROC_CHILDREN`). It is read in microseconds, where the table takes milliseconds. One who comes or goes meanwhile
/// may be missing, so it is never a proof that nobody is left.
///
/// # Why of the first thread alone
/// Orphans are given to the first thread that lives, and only that one starts anybody.
pub fn own() -> Vec<Glimpse> {
    let ours = std::process::id();
    let list = std::fs::read_to_string(format!("/proc/{ours}/task/{ours}/children"));
    let list = list.unwrap_or_default();
    let pids = list.split_ascii_whitespace().rev();
    let pids = pids.filter_map(|pid| Pid::new(pid.parse().ok()?));
    pids.filter_map(|pid| bearer(pid).ok())
        .map(|(seen, _)| seen)
        .filter(|seen| !matches!(seen.state, 'Z' | 'X' | 'x'))
        .collect()
}

/// Whether one hangs from us, however far below. Of the dead that are not waited for this is still known.
pub fn hangs_from_us(pid: Pid) -> bool {
    let ours = ourselves::pid();
    let mut next = Some(pid);
    // No honest chain is longer.
    for _ in 0..64 {
        match next {
            Some(pid) if pid == ours => return true,
            Some(pid) => next = bearer(pid).ok().and_then(|(seen, _)| seen.ppid),
            None => return false,
        }
    }
    false
}

/// Signals that a process has a handler for, or ignores, the first in the lowest bit. A child that is dead and not waited for still
/// tells; `None` of who is gone. While the command is our child, or has just been, nobody else has its number for long: what is
/// read of another by then is of no signal that matters any more.
fn heeds(pid: Pid) -> Option<u64> {
    let parent = bearer(pid).ok()?.0.ppid;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mask = |word: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(word))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    (parent == Some(ourselves::pid())).then_some(())?;
    Some(mask("SigCgt:")? | mask("SigIgn:")?)
}
