//! The loop: while the command runs the judge is asked; when it has ended, what it left behind is swept up.
//!
//! **Invariants.** The command is started before anything here may wait, and followed to its end whatever else fails. Once it
//! has ended the judge decides nothing more.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::sweep::{Stage, Sweep, named};
use super::tally::{Looked, Tally};
use super::{
    Account, CpuSource, Ended, Leftovers, Oom, Order, Output, Proof, RunError, Sentence, Word,
};
use crate::control::wire;
use crate::daemon::errands::Errands;
use crate::daemon::inbox::{Inbox, Mail, Post};
use crate::daemon::keeper::{Keeper, Opened, Places};
use crate::daemon::options::{StartError, TierChoice};
use crate::daemon::pursue::{Heard, Pursuer};
use crate::daemon::shells::{Aftermath, Shells};
use crate::engine::account::Accounting;
use crate::engine::decision::{Decision, Hearing, Input, Notice, What};
use crate::engine::elder::Rank;
use crate::engine::evidence::Evidence;
use crate::engine::judge::{Judge, Settings};
use crate::engine::process::{Pid, ProcKey, Uid};
use crate::engine::rule::Signal;
use crate::engine::steward::Managers;
use crate::engine::units::{Mono, Tier};
use crate::engine::warrant::{EventCount, Order as Act, Outcome, Report, Spare, WarrantId};
use crate::sys::accounting::cgroup::Groups;
use crate::sys::clients::Clients;
use crate::sys::command::children::{self, Turn};
use crate::sys::command::ear::{self, Caught, Ear};
use crate::sys::command::enclosure::Enclosure;
use crate::sys::command::inherited::Inherited;
use crate::sys::command::launch::{self, Launch, Launched};
use crate::sys::command::oom;
use crate::sys::glimpse::bearer;
use crate::sys::heap;
use crate::sys::ourselves;
use crate::sys::procfs::Procfs;
use crate::sys::signaller::{self, Signaller};

/// How long it may take until it is known whether births are heard.
const FIRST_WORD: Duration = Duration::from_millis(500);
/// How long the report of the last act is waited for.
const LAST_REPORT: Duration = Duration::from_secs(3);

pub(super) fn run(
    order: &Order,
    tell: &mut dyn FnMut(Word),
) -> Result<(Account, Option<OwnedFd>), RunError> {
    let inherited = Inherited::look();
    heap::set_up();
    hangs_from_nobody_else()?;
    let ear = Ear::open().map_err(RunError::Ours)?;
    launch::adopt_orphans().map_err(RunError::Ours)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::Loop { source })?;
    runtime.block_on(async {
        let (post, mut inbox) = Inbox::new();
        let signals = post.clone();
        let deliver = move |caught| signals.send(Mail::Caught(caught)).is_ok();
        ear.listen(deliver).map_err(RunError::Ours)?;
        let shells = start_shells(order, &post)?;
        let early = hear_first(&mut inbox, &shells).await;
        let (mut patrol, output) = Patrol::begin(order, inherited, shells)?;
        let nothing_yet = Mail::Input(Input::Hearing(Hearing::Nothing));
        for mail in std::iter::once(nothing_yet).chain(early) {
            patrol.take(mail, &mut inbox, tell);
        }
        Ok((patrol.walk(inbox, tell).await, output))
    })
}

/// Whoever hangs from us later is the command's, or is taken for it: so nobody must now, and no stranger's orphans may.
///
/// # Why it matters
/// `Xvfb & exec beadle run -- tests` makes us the parent of Xvfb. It would be ended as what the tests left behind.
fn hangs_from_nobody_else() -> Result<(), RunError> {
    if std::process::id() == Pid::INIT.number() {
        return Err(RunError::First);
    }
    match children::descendants().1.first() {
        Some(one) => Err(RunError::Parent { pid: one.pid }),
        None => Ok(()),
    }
}

/// Waits a moment until births are heard, or it is known that they are not: whoever is born before is never known for a child of
/// one who is dead by the time of the first look. What came meanwhile is taken in later.
async fn hear_first(inbox: &mut Inbox, shells: &Shells) -> Vec<Mail> {
    let until = shells.now().after(FIRST_WORD);
    let mut early = Vec::new();
    loop {
        let mail = inbox.wait(shells.clock, Some(until)).await;
        let last = matches!(
            mail,
            Mail::Heard(Heard::Listening | Heard::Deaf(_)) | Mail::Input(Input::Deadline)
        );
        early.push(mail);
        if last {
            return early;
        }
    }
}

struct Patrol<'a> {
    order: &'a Order,
    command: Launched,
    enclosure: Option<Enclosure>,
    shells: Shells,
    judge: Judge,
    tally: Tally,
    began: Mono,
    tier: Tier,
    upto: EventCount,
    /// Acts of the judge whose report is still to come.
    flights: Vec<(WarrantId, Signal)>,
    sentence: Option<Sentence>,
    /// What was decided, until something of it was sent.
    charge: Option<wire::Evidence>,
    ended: Option<(Ended, Mono)>,
    sweep: Option<Sweep>,
    oom_before: Option<u64>,
}

impl<'a> Patrol<'a> {
    fn begin(
        order: &'a Order,
        inherited: Inherited,
        shells: Shells,
    ) -> Result<(Self, Option<OwnedFd>), RunError> {
        let mark = mark().map_err(RunError::Ours)?;
        let oom_before = oom::kills();
        let mut enclosure = order.enclosed.then(|| Enclosure::make(&mark)).flatten();
        let mut environment = order.environment.clone();
        environment.push((launch::MARK.to_owned(), mark));
        let launch = Launch {
            program: &order.program,
            args: &order.args,
            environment: &environment,
            inherited,
        };
        let command = launch
            .start(enclosure.as_ref())
            .map_err(|failed| RunError::of(failed, order))?;
        let output = launch::let_go_of_streams().map_err(RunError::Ours)?;
        let output = match order.output {
            Output::Kept => Some(output),
            Output::LetGo => None,
        };
        enclosure.take_if(|group| !group.holds(command.key.pid()));
        // What we hold of a large tree takes a file for each; what the command may open was settled before.
        let _limit = ourselves::raise_file_limit();
        let judge = judge(order, &command)?;
        Ok((
            Self {
                order,
                enclosure,
                judge,
                tally: Tally::default(),
                began: shells.now(),
                shells,
                tier: Tier::Scan,
                upto: EventCount::default(),
                flights: Vec::new(),
                sentence: None,
                charge: None,
                ended: None,
                sweep: None,
                oom_before,
                command,
            },
            output,
        ))
    }

    async fn walk(mut self, mut inbox: Inbox, tell: &mut dyn FnMut(Word)) -> Account {
        // It may have ended before anybody listened.
        self.reap();
        while !self.is_over() {
            let due = self.due();
            let mail = inbox.wait(self.shells.clock, due).await;
            self.take(mail, &mut inbox, tell);
        }
        self.account()
    }

    fn due(&self) -> Option<Mono> {
        match (&self.sweep, &self.ended) {
            (Some(sweep), _) if sweep.stage != Stage::Over => Some(sweep.due),
            (_, Some((_, at))) => Some(at.after(LAST_REPORT)),
            (_, None) => self.judge.next_deadline(),
        }
    }

    /// Whether the command and all it left behind are gone, and it is known what we had to do with it.
    fn is_over(&self) -> bool {
        let Some((_, at)) = self.ended else {
            return false;
        };
        let waits = !self.flights.is_empty() && self.shells.now() < at.after(LAST_REPORT);
        let swept = |sweep: &Sweep| sweep.stage == Stage::Over;
        !waits && self.sweep.as_ref().is_none_or(swept)
    }

    fn take(&mut self, mail: Mail, inbox: &mut Inbox, tell: &mut dyn FnMut(Word)) {
        match mail {
            Mail::Caught(caught) => self.caught(caught),
            Mail::Heard(heard) => self.hear(heard, inbox, tell),
            Mail::Input(Input::Facts(facts)) if self.sweep.is_some() => {
                if let Some(sweep) = &mut self.sweep {
                    sweep.learn(facts);
                }
                self.look_who_is_left();
            }
            Mail::Input(_) if self.ended.is_some() => self.sweep(tell),
            Mail::Input(input) => self.step(input, inbox, tell),
            // Nobody sends these: there is neither socket nor store.
            Mail::Ask(_)
            | Mail::Beats
            | Mail::Hears(_)
            | Mail::Elder(_)
            | Mail::Reserved(_)
            | Mail::Desktop(_)
            | Mail::Excepted(_)
            | Mail::Person(..)
            | Mail::History(_)
            | Mail::Reload
            | Mail::Stop(_) => {}
        }
    }

    fn step(&mut self, input: Input, inbox: &mut Inbox, tell: &mut dyn FnMut(Word)) {
        let looked = match &input {
            Input::Snapshot(snapshot) => Some(Looked::all(snapshot)),
            _ => None,
        };
        let now = self.shells.now();
        for decision in self.judge.step(now, input) {
            if let Decision::Carry(warrant) = &decision
                && let Act::Ask(_) | Act::End = warrant.order
            {
                self.flights.push((warrant.id, warrant.order.signal()));
            }
            match self.shells.carry_out(decision, inbox) {
                Aftermath::Tell(notice) => self.told(&notice, tell),
                // Of what does not work here nothing is lost but a record that nobody would read.
                Aftermath::Done
                | Aftermath::Fault(..)
                | Aftermath::Reply(_)
                | Aftermath::Keep(_) => {}
            }
        }
        if let Some(looked) = looked {
            let view = self.judge.view();
            self.tier = view.tier;
            self.tally.look(&view, &looked, self.began);
            if self.tally.looks > 0 {
                tell(Word::Progress(self.tally.now));
            }
        }
    }

    fn told(&mut self, notice: &Notice, tell: &mut dyn FnMut(Word)) {
        let What::Signal {
            signal, targets, ..
        } = &notice.what
        else {
            return;
        };
        let mut evidence = Evidence::clone(&notice.evidence);
        let budget = &self.order.budget;
        evidence
            .readings
            .retain(|reading| budget.limits(reading.metric));
        let evidence = wire::Evidence::from(&evidence);
        self.charge.get_or_insert_with(|| evidence.clone());
        tell(Word::Signal {
            signal: *signal,
            targets: targets.len(),
            evidence: Box::new(evidence),
        });
    }

    fn hear(&mut self, heard: Heard, inbox: &mut Inbox, tell: &mut dyn FnMut(Word)) {
        let input = match heard {
            Heard::Listening => Input::Hearing(Hearing::Events),
            Heard::Deaf(_) => Input::Hearing(Hearing::Nothing),
            Heard::Events { events, upto } => {
                self.upto = upto;
                Input::Events { events, upto }
            }
            Heard::Accounts(accounts) => Input::Accounts(accounts),
            Heard::Gap => Input::Gap,
            Heard::Flushed(at) => Input::Flushed(at),
            Heard::Report(report) => {
                self.reported(&report);
                Input::Report(report)
            }
        };
        let upto = self.upto;
        if self.ended.is_none() {
            self.step(input, inbox, tell);
        } else {
            self.look_who_is_left();
        }
        self.shells.pursuer.applied(upto);
    }

    /// What we did is what was sent.
    fn reported(&mut self, report: &Report) {
        let _warrant = self.shells.settled(report.warrant);
        if let Some(sweep) = &mut self.sweep {
            sweep.settled(report.warrant);
        }
        let flights = &mut self.flights;
        let Some(at) = flights.iter().position(|(id, _)| *id == report.warrant) else {
            return;
        };
        let (_, signal) = flights.swap_remove(at);
        let sent = |(_, outcome): &(ProcKey, Outcome)| {
            matches!(outcome, Outcome::Sent | Outcome::Survived)
        };
        if let Some(evidence) = self.charge.clone().filter(|_| report.each.iter().any(sent)) {
            let sentence = self.sentence.get_or_insert_with(|| Sentence {
                signals: Vec::new(),
                evidence,
            });
            sentence.signals.push(signal);
        }
    }

    fn caught(&mut self, caught: Caught) {
        if caught.is_of_child() {
            self.reap();
        } else if let Some(sweep) = &mut self.sweep {
            // The command is gone; whoever still wants us gone does not want to wait.
            if caught.presses() {
                sweep.hurry(self.shells.now());
            }
        } else if caught.continues() {
            let stands = bearer(self.command.key.pid()).is_ok_and(|(seen, _)| seen.state == 'T');
            if stands {
                signaller::pass_on(&self.command.hold, caught.signal);
            }
        } else if caught.passes_on() {
            signaller::pass_on(&self.command.hold, caught.signal);
        }
    }

    /// Waits for all that can be waited for, and looks at what became of the command.
    fn reap(&mut self) {
        let command = self.command.key.pid();
        let (mut ended, mut stopped) = (None, false);
        let tell = |pid: Pid, turn: Turn| match turn {
            _ if pid != command => {}
            Turn::Exited(status) => ended = Some(Ended::Exited(status)),
            Turn::Killed(signal) => ended = Some(Ended::Killed(signal)),
            Turn::Stopped(signal) => {
                stopped = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal);
            }
            Turn::Continued => stopped = false,
        };
        children::reap(tell);
        if let Some(ended) = ended
            && self.ended.is_none()
        {
            let now = self.shells.now();
            self.ended = Some((ended, now));
            let sweep = Sweep::begin(self.order, self.command.key, now);
            self.shells.learn(sweep.questions());
            self.sweep = Some(sweep);
        }
        if self.ended.is_some() {
            self.look_who_is_left();
        } else if stopped {
            ear::stop_along();
        }
    }

    /// The sweep is over when nobody is left but those who are kept.
    fn look_who_is_left(&mut self) {
        let Some(sweep) = &mut self.sweep else { return };
        let nobody = children::reap(|_, _| {}) == children::Left::Nobody;
        let left = sweep.left();
        let only_kept = left.going.is_empty() && left.unknown.is_empty() && !left.kept.is_empty();
        if nobody || only_kept {
            sweep.stage = Stage::Over;
        }
    }

    fn sweep(&mut self, tell: &mut dyn FnMut(Word)) {
        self.look_who_is_left();
        let (now, upto) = (self.shells.now(), self.upto);
        let Some(sweep) = &mut self.sweep else { return };
        if now < sweep.due || sweep.stage == Stage::Over {
            return;
        }
        let ask = self
            .order
            .budget
            .ask
            .last()
            .copied()
            .unwrap_or(Signal::Term);
        let warrant = sweep.turn(now, ask, upto);
        let questions = sweep.questions();
        self.shells.learn(questions);
        if let Some(warrant) = warrant {
            tell(Word::Leftover {
                signal: warrant.order.signal(),
                targets: warrant.targets.len(),
            });
            self.shells.pursuer.carry(Arc::new(warrant));
        }
    }

    fn account(mut self) -> Account {
        let (ended, at) = self.ended.unwrap_or((Ended::Exited(0), self.shells.now()));
        let nobody = children::reap(|_, _| {}) == children::Left::Nobody;
        let leftovers = self.leftovers(nobody);
        let group = self.enclosure.as_ref();
        let exact = group.and_then(Enclosure::used);
        let waited = children::spent();
        if !leftovers.kept.is_empty()
            && let Some(group) = group
        {
            group.dissolve();
        }
        Account {
            pid: self.command.key.pid(),
            ended,
            oom: self.oom(),
            wall: at.since(self.began),
            cpu: exact.unwrap_or_else(|| waited.max(self.tally.cpu)),
            cpu_source: match exact {
                Some(_) => CpuSource::Cgroup,
                None => CpuSource::AtLeast,
            },
            peak_memory: self.tally.peak_memory,
            peak_group_memory: group.and_then(Enclosure::memory_peak),
            // It was one process itself.
            peak_processes: self.tally.peak_processes.max(1),
            looks: self.tally.looks,
            tier: self.tier,
            biggest: self.tally.biggest(),
            leftovers,
            sentence: self.sentence.take(),
        }
    }

    fn leftovers(&self, nobody: bool) -> Leftovers {
        let Some(sweep) = &self.sweep else {
            return Leftovers::none();
        };
        let left = sweep.left();
        let living = self.enclosure.as_ref().and_then(Enclosure::living);
        let kept: Vec<_> = left.kept.iter().map(named).collect();
        let rest: Vec<_> = left.going.iter().chain(&left.unknown).map(named).collect();
        let proof = match (nobody, living) {
            (true, Some(0)) => Proof::EmptyGroup,
            // Who is in the group without being ours was put there by somebody else.
            (true, None | Some(_)) => Proof::NoChild,
            (false, _) if rest.is_empty() && !kept.is_empty() => Proof::OnlyKept,
            (false, _) => Proof::None,
        };
        Leftovers {
            found: sweep.found.clone(),
            asked: sweep.asked.len(),
            ended: sweep.ended.len(),
            left: rest,
            kept,
            proof,
        }
    }

    fn oom(&self) -> Oom {
        let here = self.enclosure.as_ref().and_then(Enclosure::oom_kills);
        match (here, self.oom_before, oom::kills()) {
            (Some(count), _, _) if count > 0 => Oom::Here(count),
            (None, Some(before), Some(now)) if now > before => Oom::Somewhere,
            _ => Oom::Nobody,
        }
    }
}

impl Leftovers {
    const fn none() -> Self {
        Self {
            found: Vec::new(),
            asked: 0,
            ended: 0,
            left: Vec::new(),
            kept: Vec::new(),
            proof: Proof::None,
        }
    }
}

fn start_shells(order: &Order, post: &Post) -> Result<Shells, RunError> {
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

fn judge(order: &Order, command: &Launched) -> Result<Judge, RunError> {
    let procfs = Procfs::open(Path::new("/proc")).map_err(RunError::Ours)?;
    let lineage = ourselves::lineage(&procfs);
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
    Ok(Judge::new(
        settings,
        Arc::new(order.budget.rules(command.key)),
    ))
}

/// A value of our own for the variable that all of a run carry.
fn mark() -> std::io::Result<String> {
    let mut bytes = [0_u8; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
