//! What the command left behind.
//!
//! **Invariants.** It is about descendants of ours alone, by the kernel's own word: none of them can hang from anybody else.
//! First they may go by themselves; then they are asked; then they are ended, and again until nobody is left or it is
//! time to give up. Whom `--keep` names is left alone with all below it; who that is, is known before anybody is asked.
//!
//! # Why not at once
//! `cmd > >(tee log)` leaves `tee` behind with the last lines still to be written; it goes by itself when it has. So a fifth
//! of the time goes by first, most of it is for those who were asked, and the last fifth is for the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::keeping::{Keeping, Left};
use super::{Leftover, Order};
use crate::config::budget::RULE;
use crate::control::wire::Safe;
use crate::engine::evidence::{Evidence, Finding, IncidentId, Quantity, Reading, Subject, UnitKey};
use crate::engine::process::{ExecGen, Pid, ProcKey, Text};
use crate::engine::pursuit::Glimpse;
use crate::engine::rule::{Metric, Signal};
use crate::engine::units::{Mono, Range, Tier};
use crate::engine::warrant::{
    Epoch, EventCount, HardTie, Newborn, Order as Act, Spare, Target, Warrant, WarrantId,
};
use crate::sys::command::children::own;
use crate::sys::glimpse::bearer;
use crate::sys::ourselves;
use crate::sys::pidfd::PidFd;

/// Numbers of warrants that no judge comes to.
const FIRST: u64 = 1 << 62;
/// How long a warrant may wait for its turn, and take.
const EXPIRES: Duration = Duration::from_secs(15);
/// How often the end is tried again on those who were there before.
const AGAIN: Duration = Duration::from_millis(300);
/// The same where somebody new was found, or nobody could be caught: they may be comets, which live for two milliseconds.
const AT_ONCE: Duration = Duration::from_millis(3);
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
    warrants: u64,
    /// The end whose report is still to come.
    flying: Option<WarrantId>,
    /// How long after it the next one comes.
    pause: Duration,
    subject: Subject,
}

impl Sweep {
    /// The command ended just now.
    pub(super) fn begin(order: &Order, command: ProcKey, living: &[Glimpse], now: Mono) -> Self {
        let fifth = order.leftover.checked_div(5).unwrap_or_default();
        let program = Text::from(order.program.to_string_lossy().as_ref());
        Self {
            stage: Stage::Waits,
            due: now.after(fifth),
            found: living.iter().map(|one| named(one.pid)).collect(),
            asked: BTreeSet::new(),
            ended: BTreeSet::new(),
            began: now,
            leftover: order.leftover,
            command,
            warrants: FIRST,
            flying: None,
            pause: AGAIN,
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

    /// Goes on by one stage, at its time or before; what is to be sent.
    pub(super) fn turn(
        &mut self,
        (now, seen): (Mono, EventCount),
        ask: Signal,
        left: &Left,
        keeping: &Keeping,
    ) -> Option<Warrant> {
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
                self.warrant(Act::Ask(ask), left, keeping, (now, seen))
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
                if left.going.is_empty() && now >= end && keeping.is_all_said(left) {
                    self.stage = Stage::Over;
                    return None;
                }
                let warrant = self.warrant(Act::End, left, keeping, (now, seen));
                if warrant.is_none() && left.unknown.is_empty() {
                    self.due = now.after(AT_ONCE);
                }
                warrant
            }
            Stage::Over => None,
        }
    }

    /// Whether the next turn ends those who are left.
    pub(super) const fn is_to_end(&self) -> bool {
        matches!(self.stage, Stage::Asked | Stage::Ends) && self.flying.is_none()
    }

    /// Somebody is known now who was not: whoever of them is to go does not have to wait.
    pub(super) fn learnt(&mut self, now: Mono) {
        if self.stage == Stage::Ends && self.flying.is_none() {
            self.due = now;
        }
    }

    /// Whether an end is under way.
    pub(super) const fn is_ending(&self) -> bool {
        self.flying.is_some()
    }

    /// An act is done, as far as it could be.
    pub(super) fn settled(&mut self, warrant: WarrantId, now: Mono) {
        if self.flying.take_if(|flying| *flying == warrant).is_some() {
            self.due = now.after(self.pause);
        }
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
        order: Act,
        left: &Left,
        keeping: &Keeping,
        (now, seen): (Mono, EventCount),
    ) -> Option<Warrant> {
        let ours = ourselves::pid();
        let reaper = PidFd::open(ours).ok()?;
        let start = bearer(ours).ok()?.0.start;
        let reaper = reaper.key(ours, start);
        let spare = spare(left, reaper);
        let sure = |one: &Glimpse| target(one, reaper).filter(|_| keeping.is_as_judged(one));
        let mut targets: Vec<Target> = left.going.iter().filter_map(sure).collect();
        // While the table was read a comet has gone, and left another: who is ours now comes last, so that it lives still.
        if order == Act::End && keeping.is_nobody() {
            let known: BTreeSet<Pid> = targets.iter().map(|target| target.key.pid()).collect();
            let newest = own().into_iter().filter(|one| !known.contains(&one.pid));
            let newest: Vec<Target> = newest.filter_map(|one| target(&one, reaper)).collect();
            targets.splice(0..0, newest);
        }
        if targets.is_empty() {
            return None;
        }
        let keys = targets.iter().map(|target| target.key);
        match order {
            Act::End => {
                let before = self.ended.len();
                self.ended.extend(keys);
                self.pause = match self.ended.len() == before {
                    true => AGAIN,
                    false => AT_ONCE,
                };
            }
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
            spare: Arc::new(spare),
            evidence: Arc::new(self.evidence(&targets, now)),
            bidden: None,
            sampled: now,
            expires: now.after(EXPIRES),
            epoch: Epoch::default(),
            seen,
            targets,
        })
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

/// We, and whoever is kept or may be.
fn spare(left: &Left, reaper: ProcKey) -> Spare {
    let key = |one: &Glimpse| target(one, reaper).map(|target| target.key);
    let stay = left.kept.iter().chain(&left.unknown);
    Spare {
        keys: vec![reaper],
        bystanders: stay.filter_map(key).collect(),
    }
}

/// A process by number and short name.
pub(super) fn named(pid: Pid) -> Leftover {
    let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = name.strip_suffix(b"\n").unwrap_or(&name);
    Leftover {
        pid,
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
