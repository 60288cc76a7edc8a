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
use super::unit::UnitId;
use crate::engine::decision::Decision;
use crate::engine::facts::{Facts, Read};
use crate::engine::forest::{Life, Serial};
use crate::engine::label::{Badge, may_be_one};
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
        if let Read::Known(id) = facts.cgroup_id
            && dossier.filed.is_none_or(|(_, at)| at <= facts.at)
        {
            dossier.filed = Some((id, facts.at));
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
        let mut scopes = self.rules.rules.iter().map(|rule| &rule.scope);
        let filed = self.dossiers.get(&serial).and_then(|it| it.filed);
        !scopes.any(|scope| *scope == Scope::Cgroup)
            || filed.is_some_and(|(_, at)| self.now.since(at) < AGES)
    }

    /// The group that a process would be judged with; else why there is none, for people.
    pub(super) fn group_of(&self, serial: Serial) -> Result<Badge, String> {
        let unknown = || "which control group it is in is not known".to_owned();
        let dossier = self.dossiers.get(&serial).ok_or_else(unknown)?;
        let (id, _) = dossier.filed.ok_or_else(unknown)?;
        let facts = dossier.facts().ok_or_else(unknown)?;
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
            for serial in self.missing(*id, &listed, group.listed) {
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
    fn missing(&self, id: UnitId, listed: &BTreeSet<Pid>, at: Mono) -> Vec<Serial> {
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
