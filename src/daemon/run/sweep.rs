//! What the command left behind.
//!
//! **Invariants.** It is about descendants of ours alone, by the kernel's own word: none of them can hang from anybody else.
//! First they may go by themselves; then they are asked; then they are ended, and again until nobody is left or it is
//! time to give up. Whom `--keep` names is left alone with all below it; who that is, is known before anybody is asked.
//!
//! # Why not at once
//! `cmd > >(tee log)` leaves `tee` behind with the last lines still to be written; it goes by itself when it has. So a fifth
//! of the time goes by first, most of it is for those who were asked, and the last fifth is for the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Leftover, Order};
use crate::config::budget::RULE;
use crate::control::wire::Safe;
use crate::engine::evidence::{Evidence, Finding, IncidentId, Quantity, Reading, Subject, UnitKey};
use crate::engine::facts::{Facts, Question};
use crate::engine::forest::Serial;
use crate::engine::matcher::{Answer, Matcher, Subject as Process};
use crate::engine::process::{ExecGen, Pid, ProcKey, Text};
use crate::engine::pursuit::Glimpse;
use crate::engine::rule::{Metric, Signal};
use crate::engine::units::{Mono, Range, Tier};
use crate::engine::warrant::{
    Epoch, EventCount, HardTie, Newborn, Order as Act, Spare, Target, Warrant, WarrantId,
};
use crate::sys::command::children::descendants;
use crate::sys::glimpse::bearer;
use crate::sys::ourselves;
use crate::sys::pidfd::PidFd;

/// Numbers of warrants that no judge comes to.
const FIRST: u64 = 1 << 62;
/// How long a warrant may wait for its turn, and take.
const EXPIRES: Duration = Duration::from_secs(15);
/// How often the end is tried again.
const AGAIN: Duration = Duration::from_millis(300);
/// So long after its time it is given up: whoever is left then cannot be ended by anybody.
const GIVE_UP: Duration = Duration::from_secs(10);

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// They may go by themselves.
    Waits,
    /// They were asked.
    Asked,
    /// They are being ended.
    Ends,
    /// Nobody is left that is to go, or there is nothing more to be done.
    Over,
}

/// The sweep.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) stage: Stage,
    pub(super) due: Mono,
    pub(super) found: Vec<Leftover>,
    pub(super) asked: BTreeSet<ProcKey>,
    pub(super) ended: BTreeSet<ProcKey>,
    began: Mono,
    leftover: Duration,
    command: ProcKey,
    keep: Vec<Matcher>,
    variables: Arc<[String]>,
    facts: BTreeMap<Pid, Facts>,
    warrants: u64,
    /// The act whose report is still to come.
    flying: Option<WarrantId>,
    subject: Subject,
}

/// Who is left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// To go.
    pub(super) going: Vec<Glimpse>,
    /// To stay.
    pub(super) kept: Vec<Glimpse>,
    /// Nobody knows yet.
    pub(super) unknown: Vec<Glimpse>,
}

impl Sweep {
    /// The command ended just now.
    pub(super) fn begin(order: &Order, command: ProcKey, now: Mono) -> Self {
        let (_, living) = descendants();
        let fifth = order.leftover.checked_div(5).unwrap_or_default();
        let variables = order.budget.keep.iter().flat_map(Matcher::variables);
        let program = Text::from(order.program.to_string_lossy().as_ref());
        Self {
            stage: Stage::Waits,
            due: now.after(fifth),
            found: living.iter().map(named).collect(),
            asked: BTreeSet::new(),
            ended: BTreeSet::new(),
            began: now,
            leftover: order.leftover,
            command,
            keep: order.budget.keep.clone(),
            variables: variables.map(str::to_owned).collect(),
            facts: BTreeMap::new(),
            warrants: FIRST,
            flying: None,
            subject: Subject {
                key: command,
                command: program.clone(),
                program,
                cwd: None,
                owner: Some(ourselves::owner()),
                audience: None,
                tty: None,
                label: None,
            },
        }
    }

    /// What is to be asked about those of whom nothing is known, where anybody is kept.
    pub(super) fn questions(&self) -> Vec<Question> {
        if self.keep.is_empty() {
            return Vec::new();
        }
        let (_, living) = descendants();
        let unknown = living
            .iter()
            .filter(|one| !self.facts.contains_key(&one.pid));
        let question = |one: &Glimpse| Question {
            about: Serial::NOBODY,
            pid: one.pid,
            key: None,
            start: Some(one.start),
            exec: ExecGen::default(),
            variables: self.variables.clone(),
        };
        unknown.map(question).collect()
    }

    /// Takes in answers.
    pub(super) fn learn(&mut self, facts: Vec<Facts>) {
        for one in facts {
            self.facts.insert(one.pid, one);
        }
    }

    /// Who is left now.
    pub(super) fn left(&self) -> Left {
        let (_, living) = descendants();
        let mut left = Left::default();
        let mut aside: BTreeSet<Pid> = BTreeSet::new();
        for one in living {
            let below_kept = one.ppid.is_some_and(|ppid| aside.contains(&ppid));
            match self.answer(&one) {
                _ if below_kept => {
                    aside.insert(one.pid);
                    left.kept.push(one);
                }
                Answer::Yes => {
                    aside.insert(one.pid);
                    left.kept.push(one);
                }
                Answer::No => left.going.push(one),
                Answer::Unknown => left.unknown.push(one),
            }
        }
        left
    }

    /// Whether `--keep` names it.
    fn answer(&self, one: &Glimpse) -> Answer {
        if self.keep.is_empty() {
            return Answer::No;
        }
        let facts = self.facts.get(&one.pid);
        let facts = facts.filter(|facts| facts.start.near(one.start));
        let subject = Process {
            facts,
            age: Duration::ZERO,
            above: &[],
        };
        let mut all = Answer::No;
        for matcher in &self.keep {
            all = all.or(matcher.holds(&subject));
        }
        all
    }

    /// Goes on by one stage, at its time or before; what is to be sent.
    pub(super) fn turn(&mut self, now: Mono, ask: Signal, seen: EventCount) -> Option<Warrant> {
        let left = self.left();
        let end = self.began.after(self.leftover);
        let fifth = self.leftover.checked_div(5).unwrap_or_default();
        match self.stage {
            Stage::Waits => {
                self.stage = Stage::Asked;
                self.due = self
                    .began
                    .after(self.leftover.saturating_sub(fifth))
                    .max(now);
                // Whoever may be one to be kept is not asked.
                self.warrant(&left.going, Act::Ask(ask), now, seen)
            }
            Stage::Asked | Stage::Ends if now >= end.after(GIVE_UP) => {
                self.stage = Stage::Over;
                None
            }
            Stage::Asked | Stage::Ends => {
                self.stage = Stage::Ends;
                self.due = now.after(AGAIN);
                if self.flying.is_some() {
                    return None;
                }
                // Of whom nobody knows whether it is to be kept is left alone.
                self.warrant(&left.going, Act::End, now, seen)
            }
            Stage::Over => None,
        }
    }

    /// An act is done, as far as it could be.
    pub(super) fn settled(&mut self, warrant: WarrantId) {
        self.flying.take_if(|flying| *flying == warrant);
    }

    /// Somebody is in a hurry: the end comes now.
    pub(super) fn hurry(&mut self, now: Mono) {
        if let Stage::Waits | Stage::Asked = self.stage {
            self.stage = Stage::Asked;
            self.due = now;
        }
    }

    fn warrant(
        &mut self,
        whom: &[Glimpse],
        order: Act,
        now: Mono,
        seen: EventCount,
    ) -> Option<Warrant> {
        let ours = ourselves::pid();
        let reaper = PidFd::open(ours).ok()?;
        let start = bearer(ours).ok()?.0.start;
        let reaper = reaper.key(ours, start);
        let targets: Vec<Target> = whom.iter().filter_map(|one| target(one, reaper)).collect();
        if targets.is_empty() {
            return None;
        }
        let keys = targets.iter().map(|target| target.key);
        match order {
            Act::End => self.ended.extend(keys),
            Act::Ask(_) | Act::Hold | Act::Release => self.asked.extend(keys),
        }
        self.warrants = self.warrants.saturating_add(1);
        self.flying = (order == Act::End).then_some(WarrantId(self.warrants));
        Some(Warrant {
            id: WarrantId(self.warrants),
            incident: IncidentId(0),
            unit: UnitKey::Tree(self.command),
            order,
            unbound: Vec::new(),
            roster: Vec::new(),
            newborn: match order {
                Act::End => Newborn::Refuse,
                Act::Ask(_) | Act::Hold | Act::Release => Newborn::Admit,
            },
            label: None,
            spare: Arc::new(self.spare(reaper)),
            evidence: Arc::new(self.evidence(&targets, now)),
            bidden: None,
            sampled: now,
            expires: now.after(EXPIRES),
            epoch: Epoch::default(),
            seen,
            targets,
        })
    }

    /// We, and whoever is kept.
    fn spare(&self, reaper: ProcKey) -> Spare {
        let kept = self.left().kept;
        let key = |one: &Glimpse| target(one, reaper).map(|target| target.key);
        Spare {
            keys: vec![reaper],
            bystanders: kept.iter().filter_map(key).collect(),
        }
    }

    fn evidence(&self, targets: &[Target], now: Mono) -> Evidence {
        let since = now.since(self.began);
        Evidence {
            rule: RULE.into(),
            about: None,
            unit: UnitKey::Tree(self.command),
            subject: self.subject.clone(),
            sampled: now,
            readings: vec![Reading {
                metric: Metric::Leftover,
                now: Some(Range::exactly(Quantity::Time(since), Tier::Exact)),
                limit: Quantity::Time(self.leftover),
                lasting: None,
                held: since,
                finding: Finding::Sustained,
            }],
            members: u32::try_from(targets.len()).unwrap_or(u32::MAX),
            pids: targets.iter().map(|target| target.key.pid()).collect(),
            peers: None,
            progress: None,
            manner: None,
        }
    }
}

/// A process by number and short name.
pub(super) fn named(one: &Glimpse) -> Leftover {
    let name = std::fs::read(format!("/proc/{}/comm", one.pid)).unwrap_or_default();
    let name = name.strip_suffix(b"\n").unwrap_or(&name);
    Leftover {
        pid: one.pid,
        name: Safe::from(&Text::new(name)),
    }
}

/// The process that was seen, held; `None` where it is gone. It hangs from whom it hung from, or from us by now.
fn target(one: &Glimpse, reaper: ProcKey) -> Option<Target> {
    let hold = PidFd::open(one.pid).ok()?;
    let (now, _) = bearer(one.pid).ok()?;
    let ours = now.ppid == one.ppid || now.ppid == Some(reaper.pid());
    if now.start != one.start || !ours {
        return None;
    }
    Some(Target {
        key: hold.key(one.pid, one.start),
        start: one.start,
        tie: HardTie::Child { parent: reaper },
        exec: ExecGen::default(),
        stopped: now.state == 'T',
    })
}
