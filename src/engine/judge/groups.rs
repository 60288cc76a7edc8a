//! Units that are told by a control group: who is in it.
//!
//! **Invariants.** Where a process is, it was seen no longer than [`LASTS`] ago, or it is not known. A process that was not
//! seen there for sure counts for nothing but the upper bounds, and is no target.
//!
//! # Why at every look
//! Whoever may write to a group's file moves anybody anywhere, and no event tells of it. But the kernel lists who is in a
//! group, for the price of reading a file: each look at such a unit brings that list, and says who came and who went. The
//! signaller asks once more, for each process, just before its signal.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Judge;
use super::dossier::Dossier;
use super::unit::{Unit, UnitId};
use crate::engine::decision::Decision;
use crate::engine::facts::{Facts, Read};
use crate::engine::forest::{Life, Serial};
use crate::engine::guard::Standing;
use crate::engine::label::{Badge, Label, may_be_one};
use crate::engine::matcher::Answer;
use crate::engine::process::{CgroupId, Pid, Text};
use crate::engine::rule::Scope;
use crate::engine::snapshot::Group;
use crate::engine::units::Mono;

/// For so long it is relied on where a process was seen,
const LASTS: Duration = Duration::from_secs(10);
/// and after this it is asked by itself, where no list came.
const AGES: Duration = Duration::from_secs(3);

impl Judge {
    /// Takes in what the facts say.
    pub(super) fn note_place(&mut self, serial: Serial, facts: &Facts) {
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        let id = match (&facts.cgroup_id, &facts.cgroup) {
            (Read::Known(id), _) => *id,
            // It is somewhere, and that is none of the groups that can be told.
            (Read::Denied, Read::Known(_)) => CgroupId::NONE,
            (_, _) => return,
        };
        if dossier.filed.is_none_or(|(_, at)| at <= facts.at) {
            dossier.filed = Some((id, facts.at));
        }
    }

    /// Whether it is known in which group beadle itself is: it is not to be taken for a part of what it judges.
    pub(super) fn knows_own_group(&self) -> bool {
        let Some(itself) = self.settings.itself else {
            return true;
        };
        let place = self.forest.find(itself).and_then(|it| self.place_of(it));
        place.is_some()
    }

    /// Whether somebody was started, at whatever remove, by a boundary that is in the same group: what a boundary starts is
    /// judged by itself, and a group with one in it holds more than one unit.
    pub(super) fn stands_apart(&self, serial: Serial, group: CgroupId) -> bool {
        let mut above = self.forest.above(serial);
        above.any(|(above, _)| {
            let dossier = self.dossiers.get(&above);
            let bounds = |dossier: &Dossier| matches!(dossier.standing, Standing::Boundary(_));
            dossier.is_some_and(|dossier| bounds(dossier)) && self.place_of(above) == Some(group)
        })
    }

    /// Whether a unit whose root is gone has only such members left as were there before it: it is over.
    pub(super) fn is_deserted(&self, unit: &Unit) -> bool {
        let before = |serial: &Serial| {
            let node = self.forest.node(*serial);
            unit.arrived.contains_key(serial) && node.is_some_and(|it| it.born < unit.since)
        };
        let told = unit.label.as_ref().and_then(Label::group).is_some();
        told && unit.root_gone.is_some()
            && unit.incident.is_none()
            && unit.members.iter().all(before)
    }

    /// Notes what those had used who came in.
    pub(super) fn note_arrivals(&mut self, id: UnitId) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        for (serial, arrival) in &mut unit.arrived {
            let latest = self.dossiers.get(serial).map(|it| it.latest());
            let read = latest.filter(|latest| latest.at.is_some_and(|at| at >= arrival.at));
            arrival.used = arrival.used.or(read.map(|latest| latest.cpu));
        }
    }

    /// In which group a process was last seen.
    pub(super) fn place_of(&self, serial: Serial) -> Option<CgroupId> {
        let (id, _) = self.dossiers.get(&serial)?.filed?;
        Some(id)
    }

    /// Whether that was a moment ago.
    pub(super) fn is_place_current(&self, serial: Serial) -> bool {
        let filed = self.dossiers.get(&serial).and_then(|it| it.filed);
        filed.is_some_and(|(_, at)| self.now.since(at) <= LASTS)
    }

    /// Whether nobody needs to ask where it is.
    pub(super) fn is_place_fresh(&self, serial: Serial) -> bool {
        let Some(dossier) = self.dossiers.get(&serial) else {
            return true;
        };
        let member = |id: &UnitId| {
            let label = self.units.get(id).and_then(|unit| unit.label.as_ref());
            label.and_then(Label::group).is_some()
        };
        let mut rules = (0..).zip(&self.rules.rules);
        let matches = rules.any(|(index, rule)| {
            rule.scope == Scope::Cgroup && dossier.answer(index) == Answer::Yes
        });
        let asks = matches || dossier.units.iter().any(member);
        !asks
            || dossier
                .filed
                .is_some_and(|(_, at)| self.now.since(at) < AGES)
    }

    /// The group that a process would be judged with; else why there is none, for people.
    pub(super) fn group_of(&self, serial: Serial) -> Result<Badge, String> {
        let unknown = || "which control group it is in is not known".to_owned();
        let dossier = self.dossiers.get(&serial).ok_or_else(unknown)?;
        let (id, _) = dossier.filed.ok_or_else(unknown)?;
        let facts = dossier.facts().ok_or_else(unknown)?;
        if id == CgroupId::NONE {
            return Err(
                "it is in no control group of version 2 that can be told from here".to_owned(),
            );
        }
        // The path is as old as the facts: of another group it says nothing.
        let path = match (&facts.cgroup, &facts.cgroup_id) {
            (Read::Known(path), Read::Known(then)) if *then == id => path,
            (_, _) => return Err(unknown()),
        };
        if !may_be_one(path.bytes()) {
            return Err(format!(
                "its control group, {path}, is a slice's, a login's or the root of all: it holds more than one unit"
            ));
        }
        if self.stands_apart(serial, id) {
            return Err(format!(
                "what started it is in its control group, {path}, too, and starts others: it holds more than one unit"
            ));
        }
        let itself = self.settings.itself.and_then(|key| self.forest.find(key));
        if itself.and_then(|itself| self.place_of(itself)) == Some(id) {
            return Err(format!("its control group, {path}, is beadle's own"));
        }
        let path: Text = path.clone();
        Ok(Badge::Cgroup { id, path })
    }

    /// Takes in who is listed in the groups of a look: whoever is a member comes and goes by that.
    pub(super) fn note_lists(&mut self, groups: &[Group], out: &mut Vec<Decision>) {
        for group in groups {
            let told_by = |id: &UnitId| {
                let label = self.units.get(id).and_then(|unit| unit.label.as_ref());
                let badge = label.map(|label| &label.badge);
                matches!(badge, Some(Badge::Cgroup { id, .. }) if *id == group.id)
            };
            let units: Vec<UnitId> = self
                .units
                .keys()
                .filter(|id| told_by(id))
                .copied()
                .collect();
            if !units.is_empty() {
                self.note_list(group, &units, out);
            }
        }
    }

    fn note_list(&mut self, group: &Group, units: &[UnitId], out: &mut Vec<Decision>) {
        let listed: BTreeSet<Pid> = group.members.iter().copied().collect();
        for pid in &listed {
            // Another may have had the number when the list was made.
            let there = |serial: &Serial| {
                let node = self.forest.node(*serial);
                node.is_some_and(|node| {
                    node.born <= group.listed && !matches!(node.life, Life::Dead(_))
                })
            };
            let Some(serial) = self.forest.holder(*pid).filter(there) else {
                continue;
            };
            self.file(serial, Some(group.id), group.listed);
            for id in units {
                let label = self.units.get(id).and_then(|unit| unit.label.as_ref());
                if label.is_some_and(|label| self.is_proven(serial, label)) {
                    self.admit(*id, serial);
                }
            }
        }
        for id in units {
            let missing = self.missing(*id, &listed, group.listed);
            let Some(unit) = self.units.get_mut(id) else {
                continue;
            };
            // A death begins with leaving the list: whoever is alive and missing twice has gone elsewhere.
            let before = std::mem::replace(&mut unit.unlisted, missing.clone());
            for serial in missing.intersection(&before).copied() {
                self.file(serial, None, group.listed);
                // Where it is now, it may begin a unit.
                self.schedule_proof(serial, self.now);
                if self.units.get(id).is_some_and(|unit| unit.root == serial) {
                    self.abandon(*id, out);
                } else {
                    self.leave_alone(*id, serial, out);
                }
            }
        }
    }

    /// Members that were seen alive after the list was made, and are not on it.
    fn missing(&self, id: UnitId, listed: &BTreeSet<Pid>, at: Mono) -> BTreeSet<Serial> {
        let members = self.units.get(&id).map(|unit| &unit.members);
        let gone = |serial: &&Serial| {
            let both = self.forest.node(**serial).zip(self.dossiers.get(*serial));
            both.is_some_and(|(node, dossier)| {
                let latest = dossier.latest();
                let seen = latest.at.is_some_and(|seen| seen >= at);
                node.born <= at && seen && latest.zombie().is_none() && !listed.contains(&node.pid)
            })
        };
        members
            .into_iter()
            .flatten()
            .filter(gone)
            .copied()
            .collect()
    }

    fn file(&mut self, serial: Serial, id: Option<CgroupId>, at: Mono) {
        if let Some(dossier) = self.dossiers.get_mut(&serial)
            && dossier.filed.is_none_or(|(_, before)| before <= at)
        {
            dossier.filed = id.map(|id| (id, at));
        }
    }
}
