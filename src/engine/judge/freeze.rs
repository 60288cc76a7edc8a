//! Freezing: whom a `freeze` stage stopped, and letting them go on.
//!
//! **Invariants.**
//! - Whoever stands still because of us belongs to a unit whose incident climbs on. On every way out (closing, a pause, new
//!   rules, a ladder that rests, leaving the unit, a stage that asks) they are let go on.
//! - They are known by their identity alone. The hold may have found whom the forest does not know yet, and of whom nothing is
//!   known is not known to be dead.
//! - Only those are let go on whom we stopped: who was stopped before stays so. Whoever is seen moving is let go on at once, so
//!   that nobody keeps account of it any more when a person stops it again.
//!
//! # What a frozen unit is judged by
//! By what it does, as far as it can: what it holds, how many it is, how old. How fast it works cannot be told of who may not
//! work, so its paces stay what they were when it was frozen, as if no time had passed ([`crate::engine::measures::Stands`]).
//! New rules are judged by what is seen from then on, and for that it must be let go on.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Judge;
use super::unit::{Unit, UnitId};
use crate::engine::decision::{Decision, Notice, What};
use crate::engine::process::{ExecGen, Pid, ProcKey, StartTicks};
use crate::engine::rule::Mode;
use crate::engine::snapshot::RunState;
use crate::engine::units::Mono;
use crate::engine::warrant::{HardTie, Newborn, Order, Outcome, Report, Target, Warrant};

/// Who stands still because of us.
#[derive(Clone, Debug)]
pub(super) struct Frozen {
    /// The warrant that they were stopped by.
    hold: Arc<Warrant>,
    /// Who.
    keys: BTreeSet<ProcKey>,
    /// Since when all of them do.
    since: Mono,
}

impl Frozen {
    /// Those whom a hold has stopped; `None` where it is no hold, or stopped nobody.
    pub(super) fn by(warrant: Option<&Arc<Warrant>>, report: &Report) -> Option<Self> {
        let hold = warrant.filter(|warrant| warrant.order == Order::Hold)?;
        let sent =
            |(key, outcome): &(ProcKey, Outcome)| (*outcome == Outcome::Sent).then_some(*key);
        let keys: BTreeSet<ProcKey> = report.each.iter().filter_map(sent).collect();
        (!keys.is_empty()).then(|| Self {
            hold: hold.clone(),
            keys,
            since: report.at,
        })
    }

    /// These and those that were frozen before.
    pub(super) fn with(mut self, before: Option<Self>) -> Self {
        self.keys.extend(before.into_iter().flat_map(|it| it.keys));
        self
    }
}

impl Judge {
    /// Everyone who stands still because of us.
    pub(super) fn frozen(&self) -> Vec<ProcKey> {
        let frozen = self.units.values().filter_map(|unit| unit.frozen.as_ref());
        let keys: BTreeSet<ProcKey> = frozen.flat_map(|frozen| &frozen.keys).copied().collect();
        keys.into_iter().collect()
    }

    /// Whether somebody known of a unit stands still because of us.
    pub(super) fn stands_frozen(&self, unit: &Unit) -> bool {
        let mut keys = unit.frozen.iter().flat_map(|frozen| &frozen.keys);
        keys.any(|key| self.forest.find(*key).is_some())
    }

    /// Lets those of a unit's frozen go on who move again or are no members any more.
    pub(super) fn review_frozen(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let Some(frozen) = &unit.frozen else { return };
        let (mut left, mut moving) = (BTreeSet::new(), BTreeSet::new());
        for key in &frozen.keys {
            let Some(serial) = self.forest.find(*key) else {
                continue;
            };
            let dossier = self.dossiers.get(&serial);
            let latest = dossier.map(|dossier| dossier.latest());
            let seen = latest.filter(|latest| latest.at.is_some_and(|at| at > frozen.since));
            if !unit.members.contains(&serial) {
                left.insert(*key);
            } else if seen.is_some_and(|latest| moves(latest.state)) {
                moving.insert(*key);
            }
        }
        let hold = frozen.hold.clone();
        if let Some(unit) = self.units.get_mut(&id) {
            if let Some(frozen) = &mut unit.frozen {
                frozen
                    .keys
                    .retain(|key| !left.contains(key) && !moving.contains(key));
            }
            unit.frozen.take_if(|frozen| frozen.keys.is_empty());
        }
        self.let_go_on(&hold, &left, Say::Told, out);
        self.let_go_on(&hold, &moving, Say::Nothing, out);
    }

    /// Whoever was asked goes on: it is no more frozen.
    pub(super) fn note_continued(&mut self, id: UnitId, continued: &[ProcKey]) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        if let Some(frozen) = &mut unit.frozen {
            frozen.keys.retain(|key| !continued.contains(key));
        }
        unit.frozen.take_if(|frozen| frozen.keys.is_empty());
    }

    /// Lets everyone of a unit go on whom we stopped.
    pub(super) fn thaw(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let frozen = self.units.get_mut(&id).and_then(|unit| unit.frozen.take());
        self.undo(frozen, out);
    }

    /// Undoes what a hold came to.
    pub(super) fn undo(&mut self, frozen: Option<Frozen>, out: &mut Vec<Decision>) {
        if let Some(frozen) = frozen {
            self.let_go_on(&frozen.hold, &frozen.keys, Say::Told, out);
        }
    }

    /// Undoes a hold of which nothing was heard, for those that it was for and whoever is a member by now. The door knows who
    /// it really was, so nobody is told before.
    pub(super) fn undo_unheard(&mut self, id: UnitId, hold: &Warrant, out: &mut Vec<Decision>) {
        let unit = self.units.get(&id);
        let members = unit.into_iter().flat_map(|unit| &unit.members);
        let members = members.filter_map(|serial| self.forest.node(*serial)?.key);
        let targets = hold.targets.iter().map(|target| target.key);
        let keys = members.chain(targets).collect();
        self.let_go_on(hold, &keys, Say::Nothing, out);
    }

    fn let_go_on(
        &mut self,
        hold: &Warrant,
        keys: &BTreeSet<ProcKey>,
        say: Say,
        out: &mut Vec<Decision>,
    ) {
        if keys.is_empty() {
            return;
        }
        let id = self.new_warrant();
        let target = |key: &ProcKey| {
            let serial = self.forest.find(*key);
            let node = serial.and_then(|serial| self.forest.node(serial));
            let known = hold.targets.iter().find(|target| target.key == *key);
            Target {
                key: *key,
                start: node.map_or(StartTicks(0), |node| node.start),
                tie: known.map_or(HardTie::Frozen, |target| target.tie),
                exec: node.map_or(ExecGen(0), |node| node.exec),
                stopped: false,
            }
        };
        let release = Warrant {
            id,
            order: Order::Release,
            targets: keys.iter().map(target).collect(),
            unbound: Vec::new(),
            newborn: Newborn::Admit,
            bidden: None,
            expires: Mono::NEVER,
            seen: self.seen,
            ..hold.clone()
        };
        let lives = |key: &&ProcKey| self.forest.find(**key).is_some();
        let living: Vec<Pid> = keys.iter().filter(lives).map(|key| key.pid()).collect();
        if say == Say::Told && !living.is_empty() {
            out.push(Decision::Tell(Notice {
                at: self.now,
                incident: release.incident,
                mode: Mode::Enforce,
                evidence: release.evidence.clone(),
                what: What::Signal {
                    warrant: id,
                    signal: release.order.signal(),
                    targets: living,
                    served: self.now.since(hold.sampled),
                    bidden: None,
                },
            }));
        }
        out.push(Decision::Carry(Arc::new(release)));
    }
}

/// Whether it is told before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    Told,
    /// Whoever it is for moves already, or may never have been stopped: what came of it says enough.
    Nothing,
}

/// Whether it goes on, for sure: who waits in the kernel may stop when it comes back.
fn moves(state: Option<RunState>) -> bool {
    match state {
        Some(RunState::Stopped | RunState::Traced | RunState::Waiting) | None => false,
        Some(_) => true,
    }
}
