//! The loop: while the command runs the judge is asked; when it has ended, what it left behind is swept up.
//!
//! **Invariants.** All that may fail is done before the command is started; from then on it is followed to its end. Once it
//! has ended the judge decides nothing more.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::keeping::{Keeping, Left};
use super::start::{hangs_from_nobody_else, hear_first, judge, lineage, mark, start_shells};
use super::sweep::{Stage, Sweep, named};
use super::tally::{Looked, Tally};
use super::{
    Account, CpuSource, Ended, Leftovers, Oom, Order, Output, Proof, RunError, Sentence, Word,
};
use crate::control::wire;
use crate::daemon::inbox::{Inbox, Mail};
use crate::daemon::options::StartError;
use crate::daemon::pursue::Heard;
use crate::daemon::shells::{Aftermath, Shells};
use crate::engine::decision::{Closing, Decision, Hearing, Input, Notice, What};
use crate::engine::evidence::Evidence;
use crate::engine::facts::Facts;
use crate::engine::forest::Serial;
use crate::engine::judge::Judge;
use crate::engine::process::ProcKey;
use crate::engine::rule::Signal;
use crate::engine::units::{Mono, Tier};
use crate::engine::warrant::{EventCount, Order as Act, Outcome, Report, WarrantId};
use crate::sys::command::children::{self, Reaper, Turn};
use crate::sys::command::ear::{self, Caught, Ear};
use crate::sys::command::enclosure::{Enclosure, Frozen};
use crate::sys::command::inherited::Inherited;
use crate::sys::command::launch::{self, Launch, Launched, Streams};
use crate::sys::command::oom;
use crate::sys::glimpse::bearer;
use crate::sys::heap;
use crate::sys::ourselves;
use crate::sys::pidfd::Life;
use crate::sys::signaller;

/// How long it may take until nobody in the command's group moves.
const STANDSTILL: Duration = Duration::from_millis(250);
/// So many of those who are asked or ended are told by name.
const NAMED: usize = 4;
/// How much more CPU time than its group counts speaks for some of it having been used elsewhere: the command was a process
/// before it was in its group.
const BEFORE: Duration = Duration::from_millis(20);
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
        let early = hear_first(&mut inbox, &shells).await?;
        let (mut patrol, output) = Patrol::begin(order, inherited, shells)?;
        let nothing_yet = Mail::Input(Input::Hearing(Hearing::Nothing));
        for mail in std::iter::once(nothing_yet).chain(early) {
            patrol.take(mail, &mut inbox, tell);
        }
        Ok((patrol.walk(inbox, tell).await, output))
    })
}

struct Patrol<'a> {
    order: &'a Order,
    command: Launched,
    /// While what is left of it is being ended. Before the group: whoever is in it goes on before it is left.
    frozen: Option<Frozen>,
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
    /// Who may stay.
    keeping: Keeping,
    reaper: Reaper,
    /// A signal that wanted an end, and found no command.
    parting: Option<i32>,
    /// Signals that were passed on before they were heard: once is enough.
    given: Vec<i32>,
    oom_before: Option<u64>,
}

impl<'a> Patrol<'a> {
    fn begin(
        order: &'a Order,
        inherited: Inherited,
        shells: Shells,
    ) -> Result<(Self, Option<OwnedFd>), RunError> {
        let mark = mark().map_err(RunError::Ours)?;
        let lineage = lineage()?;
        let streams = Streams::prepare().map_err(RunError::Ours)?;
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
        // What came while it was being started may have come before it was there.
        let given = ear::pressing();
        for signal in &given {
            signaller::pass_on(&command.hold, *signal);
        }
        let output = Some(streams.let_go()).filter(|_| order.output == Output::Kept);
        enclosure.take_if(|group| !group.holds(command.key.pid()));
        // What we hold of a large tree takes a file for each; what the command may open was settled before.
        let _limit = ourselves::raise_file_limit();
        let judge = judge(order, &command, lineage);
        Ok((
            Self {
                order,
                frozen: None,
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
                keeping: Keeping::new(&order.budget.keep, command.key.pid()),
                reaper: Reaper::start(command.key.pid()),
                parting: None,
                given,
                oom_before,
                command,
            },
            output,
        ))
    }

    async fn walk(mut self, mut inbox: Inbox, tell: &mut dyn FnMut(Word)) -> Account {
        self.look_who_stays();
        // It may have ended before anybody listened.
        self.reap();
        while !self.is_over() {
            let due = self.due();
            let mail = inbox.wait(self.shells.clock, due).await;
            self.take(mail, &mut inbox, tell);
            // Mail may come without end, of those who are to be swept up: it is no reason to wait.
            self.sweep(tell);
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
            Mail::Input(Input::Facts(facts)) => self.learn(facts, inbox, tell),
            // Nobody is judged any more.
            Mail::Input(_) if self.ended.is_some() => {}
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

    /// Answers: ours are about nobody whom the judge knows.
    fn learn(&mut self, facts: Vec<Facts>, inbox: &mut Inbox, tell: &mut dyn FnMut(Word)) {
        let ours = |one: &Facts| one.about == Serial::NOBODY;
        let (ours, theirs): (Vec<Facts>, Vec<Facts>) = facts.into_iter().partition(ours);
        if !ours.is_empty() {
            self.keeping.learn(ours);
            if let Some(sweep) = &mut self.sweep {
                sweep.learnt(self.shells.now());
            }
            self.look_who_is_left();
        }
        if !theirs.is_empty() && self.ended.is_none() {
            self.step(Input::Facts(theirs), inbox, tell);
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
            self.look_who_stays();
        }
    }

    /// Who is below one that is kept is known best while all in between live.
    fn look_who_stays(&mut self) {
        if !self.keeping.is_nobody() {
            let left = self.keeping.look();
            self.shells.learn(self.keeping.questions(&left));
        }
    }

    fn told(&mut self, notice: &Notice, tell: &mut dyn FnMut(Word)) {
        if let What::Closed {
            how: Closing::Recovered,
            ..
        } = &notice.what
        {
            // It heeded what it was asked for, and goes on: how it ends is its own again.
            self.sentence = None;
            self.charge = None;
        }
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
                self.keeping.hear(&events);
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
        }
        self.shells.pursuer.applied(upto);
    }

    /// What we did is what was sent.
    fn reported(&mut self, report: &Report) {
        let _warrant = self.shells.settled(report.warrant);
        if let Some(sweep) = &mut self.sweep {
            sweep.settled(report.warrant, self.shells.now());
            self.frozen.take_if(|_| !sweep.is_ending());
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
            return self.reap();
        }
        // Who is below the command reaches it without us.
        if caught.sender().is_some_and(children::hangs_from_us) {
            return;
        }
        if caught.presses() && self.comes_too_late(caught) {
            self.parting.get_or_insert(caught.signal);
        }
        if let Some(sweep) = &mut self.sweep {
            // The command is gone; whoever still wants us gone does not want to wait.
            if caught.presses() {
                sweep.hurry(self.shells.now());
            }
        } else if caught.continues() {
            if self.stands() {
                signaller::pass_on(&self.command.hold, caught.signal);
            }
        } else if let Some(at) = self.given.iter().position(|one| *one == caught.signal) {
            self.given.swap_remove(at);
        } else if caught.passes_on() && !(caught.stops() && self.stands()) {
            signaller::pass_on(&self.command.hold, caught.signal);
        }
    }

    /// Whether a signal that wants an end found the command gone. One of the terminal's, which it got too, may just have ended
    /// it in a way of its own: then it had a handler for it.
    fn comes_too_late(&self, caught: Caught) -> bool {
        let gone = self.command.hold.life() == Life::Dead;
        let heeded = || self.reaper.heeds(caught.signal);
        self.ended.is_some() || (gone && (caught.passes_on() || !heeded()))
    }

    /// Whether the command is stopped.
    fn stands(&self) -> bool {
        bearer(self.command.key.pid()).is_ok_and(|(seen, _)| seen.state == 'T')
    }

    /// Waits for all that can be waited for, and looks at what became of the command.
    fn reap(&mut self) {
        let (mut ended, mut stopped) = (None, false);
        self.reaper.reap();
        for turn in self.reaper.turns() {
            match turn {
                Turn::Exited(status) => ended = Some(Ended::Exited(status)),
                Turn::Killed(signal) => ended = Some(Ended::Killed(signal)),
                Turn::Stopped(signal) => {
                    stopped = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal);
                }
                Turn::Continued => stopped = false,
            }
        }
        if let Some(ended) = ended
            && self.ended.is_none()
        {
            let now = self.shells.now();
            self.ended = Some((ended, now));
            // All that hang from us, those who may stay too.
            let (_, living) = children::descendants();
            self.sweep = Some(Sweep::begin(self.order, self.command.key, &living, now));
        }
        if self.ended.is_some() {
            self.look_who_is_left();
        } else if stopped {
            ear::stop_along(|| self.stands());
        }
    }

    /// The sweep is over when nobody is left but those who are kept.
    fn look_who_is_left(&mut self) {
        let Some(sweep) = &mut self.sweep else { return };
        let nobody = self.reaper.reap() == children::Left::Nobody;
        // That is the kernel's word; a reading of the table is only needed to tell apart who may stay.
        if nobody {
            sweep.stage = Stage::Over;
        } else if !self.keeping.is_nobody() {
            let left = self.keeping.look();
            self.shells.learn(self.keeping.questions(&left));
            if left.is_only_kept() {
                sweep.stage = Stage::Over;
            }
        }
    }

    /// The next stage of the sweep, if it is time.
    fn sweep(&mut self, tell: &mut dyn FnMut(Word)) {
        let (now, upto) = (self.shells.now(), self.upto);
        if self.sweep.as_ref().is_none_or(|sweep| now < sweep.due) {
            return;
        }
        self.look_who_is_left();
        let Some(sweep) = &mut self.sweep else { return };
        if sweep.stage == Stage::Over {
            self.frozen = None;
            return;
        }
        // Whoever is to be found must not move on meanwhile.
        if sweep.is_to_end() && self.keeping.is_nobody() && self.frozen.is_none() {
            let group = self.enclosure.as_ref();
            self.frozen = group.and_then(|group| group.freeze(STANDSTILL));
        }
        let ask = self.order.budget.ask.first();
        let ask = ask.copied().unwrap_or(Signal::Term);
        let left = match sweep.is_in_haste() && self.keeping.is_nobody() {
            true => Left::all(children::own()),
            false => Left::default(),
        };
        let left = match left.going.is_empty() {
            true => self.keeping.look(),
            false => left,
        };
        let warrant = sweep.turn((now, upto), ask, &left, &self.keeping);
        self.frozen.take_if(|_| !sweep.is_ending());
        self.shells.learn(self.keeping.questions(&left));
        if let Some(warrant) = warrant {
            let few = warrant.targets.iter().take(NAMED);
            tell(Word::Leftover {
                signal: warrant.order.signal(),
                targets: warrant.targets.len(),
                first: few.map(|target| named(target.key.pid())).collect(),
            });
            self.shells.pursuer.carry(Arc::new(warrant));
        }
    }

    fn account(mut self) -> Account {
        self.frozen = None;
        let (ended, at) = self.ended.unwrap_or((Ended::Exited(0), self.shells.now()));
        let nobody = self.reaper.reap() == children::Left::Nobody;
        let leftovers = self.leftovers(nobody);
        let group = self.enclosure.as_ref();
        let (cpu, cpu_source) = self.spent(group);
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
            cpu,
            cpu_source,
            peak_memory: (self.tally.looks > 0).then_some(self.tally.peak_memory),
            peak_group_memory: group.and_then(Enclosure::memory_peak),
            // It was one process itself.
            peak_processes: self.tally.peak_processes.max(1),
            looks: self.tally.looks,
            tier: self.tier,
            biggest: self.tally.biggest(),
            leftovers,
            sentence: self.sentence.take(),
            parting: self.parting,
        }
    }

    /// CPU time, and how well that is known: whoever has left the group is not in its count.
    fn spent(&self, group: Option<&Enclosure>) -> (Duration, CpuSource) {
        let seen = children::spent().max(self.tally.cpu);
        match group.and_then(Enclosure::used) {
            Some(counted) if seen <= counted.saturating_add(BEFORE) => (counted, CpuSource::Cgroup),
            Some(_) | None => (seen, CpuSource::AtLeast),
        }
    }

    fn leftovers(&mut self, nobody: bool) -> Leftovers {
        let Some(sweep) = &self.sweep else {
            return Leftovers::none();
        };
        let left = self.keeping.look();
        let living = self.enclosure.as_ref().and_then(Enclosure::living);
        let kept: Vec<_> = left.kept.iter().map(|one| named(one.pid)).collect();
        let rest = left.going.iter().chain(&left.unknown);
        let rest: Vec<_> = rest.map(|one| named(one.pid)).collect();
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
