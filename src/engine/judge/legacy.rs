//! Taking up what an earlier beadle left, and leaving it to the next.
//!
//! **Invariants.** A unit is taken up when its root is found to match again; one whose root is gone, when members are found
//! who bear their identities still. What is not taken up in [`PATIENCE`] is let go. No message is sent twice, and no grace
//! is shorter for it: every clock starts at zero.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Judge;
use super::silence::Share;
use super::unit::{Births, Unit, UnitId};
use crate::engine::evidence::UnitKey;
use crate::engine::forest::Serial;
use crate::engine::incident::Incident;
use crate::engine::legacy::{Bequest, Legacy};
use crate::engine::process::ProcKey;
use crate::engine::units::Mono;
use crate::engine::usage::Buried;

/// By then everyone has been looked at, and the facts of roots have come.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many relations are left at most: one takes about a hundred bytes.
const KIN: usize = 16_384;

/// What an earlier beadle left and nobody has taken up yet.
#[derive(Debug)]
pub(super) struct Estate {
    units: Vec<Bequest>,
    /// When it was left.
    at: Mono,
    /// Whether there was a listing since: once everyone on it was looked at, who was not found is gone.
    listed: bool,
    /// When the rest is let go.
    until: Mono,
}

impl Judge {
    /// Takes over what an earlier beadle left.
    pub(super) fn inherit(&mut self, mut legacy: Legacy) {
        let now = self.now;
        let mut children: BTreeMap<ProcKey, Vec<ProcKey>> = BTreeMap::new();
        for kin in &legacy.kin {
            if let Some(parent) = kin.parent {
                children.entry(parent).or_default().push(kin.key);
            }
        }
        for left in &mut legacy.units {
            // Its root may have gone since.
            left.members.extend(below(left.unit.root(), &children));
        }
        self.forest.inherit(legacy.kin);
        self.pauses.extend(legacy.pauses);
        self.endings.extend(legacy.endings);
        for (rule, unit, past) in legacy.pasts {
            self.pasts.insert((rule, unit), past);
        }
        self.estate = Some(Estate {
            units: legacy.units,
            at: legacy.at,
            listed: false,
            until: now.after(PATIENCE),
        });
    }

    /// What is left to the next beadle.
    pub fn bequeath(&self) -> Legacy {
        let mut kin = Vec::new();
        for unit in self.units.values() {
            let room = KIN.saturating_sub(kin.len());
            let members = unit.members.iter().take(room);
            kin.extend(members.filter_map(|member| self.forest.kin(*member)));
        }
        kin.sort_by_key(|kin| kin.key);
        kin.dedup_by_key(|kin| kin.key);
        let waiting = self.estate.iter().flat_map(|estate| &estate.units);
        let pasts = self.pasts.iter();
        Legacy {
            at: self.now,
            kin,
            units: self
                .units
                .values()
                .map(|unit| self.bequest(unit))
                .chain(waiting.cloned())
                .collect(),
            pasts: pasts
                .map(|((rule, unit), past)| (rule.clone(), *unit, past.clone()))
                .collect(),
            endings: self.endings.iter().cloned().collect(),
            pauses: self.pauses.clone(),
        }
    }

    fn bequest(&self, unit: &Unit) -> Bequest {
        let key = |serial: &Serial| self.forest.node(*serial).and_then(|node| node.key);
        let orphans = unit.root_gone.map(|_| unit.members.iter());
        Bequest {
            rule: unit.rule.name.clone(),
            unit: unit.key,
            subject: unit.subject.clone(),
            starter: unit.starter.clone(),
            since: unit.since,
            before: unit.before,
            buried: self.gone(unit),
            spawned: (unit.spawned.sure, unit.spawned.perhaps),
            root_gone: unit.root_gone,
            members: orphans.into_iter().flatten().filter_map(key).collect(),
            incident: unit
                .incident
                .as_ref()
                .map(|incident| incident.stand_on(&unit.rule)),
        }
    }

    /// What is known of the dead of a unit, by records that came late too, and who may have died unheard.
    fn gone(&self, unit: &Unit) -> Buried {
        let at_least = unit.buried.at_least.saturating_add(unit.late.gained);
        let most = unit.buried.at_most().saturating_sub(unit.late.narrowed);
        let beyond = most.saturating_sub(at_least);
        Buried {
            at_least,
            beyond: beyond.saturating_add(self.unheard(unit)),
            ..unit.buried
        }
    }

    /// Everyone there is was listed.
    pub(super) const fn note_listing(&mut self) {
        if let Some(estate) = &mut self.estate {
            estate.listed = true;
        }
    }

    /// A process was found to be a root: the unit goes on where an earlier beadle left it.
    pub(super) fn take_up(&mut self, unit: &mut Unit) {
        let Some(estate) = &mut self.estate else {
            return;
        };
        let same = |left: &Bequest| left.rule == unit.rule.name && left.unit == unit.key;
        let Some(index) = estate.units.iter().position(same) else {
            return;
        };
        let left = estate.units.swap_remove(index);
        let silence = self.silence.share(estate.at, self.now);
        take_over(unit, left, silence, self.now);
    }

    /// After a look: units whose root is gone are made again from their members, and what stays without heirs is let go.
    pub(super) fn settle_estate(&mut self) {
        let met = self.strangers.is_empty();
        let Some(estate) = self.estate.as_mut().filter(|estate| estate.listed && met) else {
            return;
        };
        let (at, until) = (estate.at, estate.until);
        let gone = |left: &mut Bequest| self.forest.find(left.unit.root()).is_none();
        let rootless: Vec<Bequest> = estate.units.extract_if(.., gone).collect();
        if until <= self.now {
            self.estate = None;
            self.forest.forget_inheritance();
        }
        for left in rootless {
            self.raise(left, at);
        }
    }

    /// Makes a unit again whose root is gone.
    fn raise(&mut self, left: Bequest, at: Mono) {
        let found = (0..)
            .zip(&self.rules.rules)
            .find(|(_, rule)| rule.name == left.rule);
        let (Some((index, rule)), UnitKey::Tree(_)) = (found, left.unit) else {
            return;
        };
        let rule = rule.clone();
        let kin: Vec<Serial> = left
            .members
            .iter()
            .filter_map(|key| self.forest.find(*key))
            .collect();
        if kin.is_empty() {
            return;
        }
        let root = self.forest.nobody();
        let subject = left.subject.clone();
        let mut unit = Unit::new(left.unit, rule, index, root, subject, left.since);
        unit.next_look = self.now;
        // It died while nobody looked, at the latest now.
        unit.root_gone = Some(left.root_gone.unwrap_or(self.now));
        let silence = self.silence.share(at, self.now);
        take_over(&mut unit, left, silence, self.now);
        let id: UnitId = self.new_unit();
        self.units.insert(id, unit);
        for member in kin {
            self.join(id, member);
        }
    }
}

/// Everyone below a process.
fn below(root: ProcKey, children: &BTreeMap<ProcKey, Vec<ProcKey>>) -> BTreeSet<ProcKey> {
    let mut family = BTreeSet::new();
    let mut open = vec![root];
    while let Some(next) = open.pop() {
        for child in children.get(&next).into_iter().flatten() {
            if family.insert(*child) {
                open.push(*child);
            }
        }
    }
    family
}

/// The unit goes on as it was left.
fn take_over(unit: &mut Unit, left: Bequest, silence: Share, now: Mono) {
    unit.since = left.since;
    unit.before = left.before;
    unit.starter = left.starter.or(unit.starter.take());
    unit.buried.absorb(left.buried);
    // Who died while nobody looked used no more than there was. Those whom members have waited for are among the dead that
    // were left.
    unit.silence = silence;
    unit.departed = true;
    unit.spawned = Births {
        sure: left.spawned.0,
        perhaps: left.spawned.1,
    };
    unit.incident = left
        .incident
        .map(|stand| Incident::resume(&stand, now, &unit.rule));
}
