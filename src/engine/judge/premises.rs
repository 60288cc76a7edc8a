//! Premises: the service, scope or container that a tree lives in, and who else does.
//!
//! **Invariants.** A manager stops all that is in what it manages. It is asked only where a look of this moment found nobody in
//! there but members that might be signalled themselves: whoever is kept, protected, another's or not known would go with them.
//! That look found the root itself in there, and it is what was looked at that is stopped: neither is taken from before.

use super::Judge;
use super::unit::{Unit, UnitId};
use crate::engine::facts::Read;
use crate::engine::forest::Life;
use crate::engine::process::{Pid, Text};
use crate::engine::rule::StageAct;
use crate::engine::snapshot::{Depth, Group};
use crate::engine::steward::{Steward, Unstoppable};

/// Who lives in what a manager would stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody looked, or it could not be told.
    Unknown,
    /// Members alone, the root among them, in the group of this path.
    Own(Text),
    /// Somebody else: one of them, and how many.
    Others((Pid, Text), usize),
    /// There is more below it.
    Deep,
}

impl Judge {
    /// The group that a look at this unit should bring, because a manager may be asked to stop it next.
    pub(super) fn premises(&self, unit: &Unit) -> Option<Text> {
        let incident = unit.incident.as_ref()?;
        let stage = incident.stages(&unit.rule).get(incident.next)?;
        if stage.act != StageAct::Stop {
            return None;
        }
        let (_, group) = self.lodging(unit).ok()?;
        Some(group)
    }

    /// Who manages what the root lives in, and its group.
    fn lodging(&self, unit: &Unit) -> Result<(Steward, Text), Unstoppable> {
        let dossier = self.dossiers.get(&unit.root);
        let facts = dossier
            .and_then(|dossier| dossier.facts())
            .ok_or(Unstoppable::Unknown)?;
        let container = match &facts.container {
            Read::Known(container) => container.as_ref(),
            Read::Denied | Read::Gone | Read::Late | Read::NotAsked => {
                return Err(Unstoppable::Unknown);
            }
        };
        match &facts.cgroup {
            Read::Known(path) => Steward::of(path, container),
            Read::Denied | Read::Gone | Read::Late | Read::NotAsked => Err(Unstoppable::Unknown),
        }
    }

    /// Takes note of who lives with the unit, where that matters next.
    pub(super) fn meet_company(&mut self, id: UnitId, groups: &[Group]) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let company = match self.premises(unit) {
            None => Company::Unknown,
            Some(path) => {
                let group = groups.iter().find(|group| group.path == path);
                group.map_or(Company::Unknown, |group| self.company(unit, group))
            }
        };
        if let Some(unit) = self.units.get_mut(&id) {
            unit.company = company;
        }
    }

    fn company(&self, unit: &Unit, group: &Group) -> Company {
        if group.depth == Depth::Deep {
            return Company::Deep;
        }
        let (mut unknown, mut root) = (false, false);
        let mut others: Vec<(Pid, Text)> = Vec::new();
        for pid in &group.members {
            let holder = self.forest.holder(*pid);
            let found = holder.and_then(|serial| {
                let node = self.forest.node(serial)?;
                Some((serial, node, self.dossiers.get(&serial)?))
            });
            let Some((serial, node, dossier)) = found else {
                unknown = true;
                continue;
            };
            // It was another who held the number when the list was made, or one who has died since.
            if node.born > group.listed || matches!(node.life, Life::Dead(_)) {
                continue;
            }
            let member = unit.members.contains(&serial)
                && self.answerable(unit, serial, node, dossier).is_ok();
            root |= member && serial == unit.root;
            if !member {
                others.push((*pid, dossier.program.clone()));
            }
        }
        match others.first() {
            Some(first) => Company::Others(first.clone(), others.len()),
            // Where the root is not, it has gone elsewhere since that was learnt.
            None if unknown || !root => Company::Unknown,
            None => Company::Own(group.path.clone()),
        }
    }

    /// Who is asked to stop the unit, or why nobody is; `None` where another look may tell.
    pub(super) fn steward(&mut self, id: UnitId) -> Option<Result<Steward, Unstoppable>> {
        let unit = self.units.get(&id)?;
        let (steward, lodging) = match self.lodging(unit) {
            Ok(found) => found,
            Err(why) => return Some(Err(why)),
        };
        let (only, here) = (self.settings.only_user, self.settings.managers);
        if let Err(why) = steward.may_be_asked(only, here) {
            return Some(Err(why));
        }
        // Another user's manager is asked as that user: it is asked for that user's processes only.
        let owner = unit.subject.owner;
        if steward.user().is_some() && steward.user() != owner {
            let name = steward.name().into();
            return Some(Err(Unstoppable::Foreign { name }));
        }
        let name = || Text::from(steward.name());
        let found = match unit.company.clone() {
            Company::Own(path) if path == lodging => Ok(steward),
            Company::Others(who, others) => Err(Unstoppable::Inhabited {
                name: name(),
                who,
                others,
            }),
            Company::Deep => Err(Unstoppable::Shared { name: name() }),
            // Somewhere else was looked at than it lives by now.
            Company::Own(_) | Company::Unknown => {
                let incident = self.units.get_mut(&id)?.incident.as_mut()?;
                if incident.hold() {
                    return None;
                }
                Err(Unstoppable::Unknown)
            }
        };
        Some(found)
    }
}
