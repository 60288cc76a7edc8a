//! Freezing: whom a `freeze` stage stopped, and letting them go on.
//!
//! **Invariants.**
//! - Whoever stands still because of us is a living member of a unit whose incident climbs on. On every way out (closing, a
//!   pause, another ladder, a ladder that rests, leaving the unit) they are let go on.
//! - Only those are let go on whom we stopped and who were not seen moving since: who was stopped before, or again by a
//!   person, stays so. The door sees to the first part too.
//!
//! # What a frozen unit is judged by
//! Who stands still uses nothing, so most limits are unknown from then on and would hold the incident for ever. The next
//! stage rests on what was known before: an unknown verdict of a frozen unit counts as the breach that it was frozen for. A
//! clear one is clear: it recovers and goes on.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Judge;
use super::unit::UnitId;
use crate::engine::decision::{Decision, Notice, What};
use crate::engine::evidence::{Evidence, Verdict};
use crate::engine::process::ProcKey;
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

    /// What they were frozen for.
    pub(super) fn evidence(&self) -> Arc<Evidence> {
        self.hold.evidence.clone()
    }
}

/// What the incident of a unit is judged by, some of which may be frozen.
pub(super) const fn judged_by<'v>(verdict: &'v Verdict, frozen: Option<&Frozen>) -> &'v Verdict {
    match (verdict, frozen) {
        (Verdict::Unknown, Some(_)) => &Verdict::Breaching,
        (verdict, _) => verdict,
    }
}

impl Judge {
    /// Everyone who stands still because of us.
    pub(super) fn frozen(&self) -> Vec<ProcKey> {
        let frozen = self.units.values().filter_map(|unit| unit.frozen.as_ref());
        let keys: BTreeSet<ProcKey> = frozen.flat_map(|frozen| &frozen.keys).copied().collect();
        keys.into_iter().collect()
    }

    /// Notes who of a unit's frozen moves again, is dead or is no member any more: the last are let go on.
    pub(super) fn review_frozen(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(mut frozen) = self.units.get_mut(&id).and_then(|unit| unit.frozen.take()) else {
            return;
        };
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let mut left = BTreeSet::new();
        frozen.keys.retain(|key| {
            let Some(serial) = self.forest.find(*key) else {
                return false;
            };
            if !unit.members.contains(&serial) {
                left.insert(*key);
                return false;
            }
            let latest = self.dossiers.get(&serial).map(|dossier| dossier.latest());
            let seen = latest.filter(|latest| latest.at.is_some_and(|at| at > frozen.since));
            seen.and_then(|latest| latest.state)
                .is_none_or(|state| matches!(state, RunState::Stopped | RunState::Traced))
        });
        let hold = frozen.hold.clone();
        if let Some(unit) = self.units.get_mut(&id) {
            unit.frozen = Some(frozen).filter(|frozen| !frozen.keys.is_empty());
        }
        self.let_go_on(&hold, &left, out);
    }

    /// Whoever was asked goes on: it is no more frozen, and figures of it are to come.
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
        if let Some(frozen) = frozen {
            self.let_go_on(&frozen.hold, &frozen.keys, out);
        }
    }

    /// Whom a hold may have stopped of which nothing was heard: those that it was for, and who is a member by now. The door
    /// knows who it really was.
    pub(super) fn perhaps_stopped(&self, id: UnitId, hold: &Warrant) -> BTreeSet<ProcKey> {
        let members = self
            .units
            .get(&id)
            .into_iter()
            .flat_map(|unit| &unit.members);
        let members = members.filter_map(|serial| self.forest.node(*serial)?.key);
        members
            .chain(hold.targets.iter().map(|target| target.key))
            .collect()
    }

    /// What a hold came to that nobody waits for.
    pub(super) fn let_all_go_on(&mut self, frozen: Option<Frozen>, out: &mut Vec<Decision>) {
        if let Some(frozen) = frozen {
            self.let_go_on(&frozen.hold, &frozen.keys, out);
        }
    }

    /// Undoes a hold, for those of them that live.
    pub(super) fn let_go_on(
        &mut self,
        hold: &Warrant,
        keys: &BTreeSet<ProcKey>,
        out: &mut Vec<Decision>,
    ) {
        let targets: Vec<Target> = keys
            .iter()
            .filter_map(|key| {
                let node = self.forest.node(self.forest.find(*key)?)?;
                let known = hold.targets.iter().find(|target| target.key == *key);
                Some(Target {
                    key: *key,
                    start: node.start,
                    tie: known.map_or(HardTie::Frozen, |target| target.tie),
                    exec: node.exec,
                    stopped: true,
                })
            })
            .collect();
        if targets.is_empty() {
            return;
        }
        let id = self.new_warrant();
        let release = Warrant {
            id,
            order: Order::Release,
            unbound: Vec::new(),
            newborn: Newborn::Admit,
            expires: Mono::NEVER,
            seen: self.seen,
            targets,
            ..hold.clone()
        };
        out.push(Decision::Tell(Notice {
            at: self.now,
            incident: release.incident,
            mode: Mode::Enforce,
            evidence: release.evidence.clone(),
            what: What::Signal {
                warrant: id,
                signal: release.order.signal(),
                targets: release.pids(),
                served: self.now.since(hold.sampled),
            },
        }));
        out.push(Decision::Carry(Arc::new(release)));
    }
}
