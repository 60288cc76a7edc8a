//! Jobs: units that are told by a label. Who carries what, whether that is known *now*, and who comes and goes.
//!
//! **Invariants.**
//! - There is one unit for each rule and label: who matches and carries the label of one that is there joins it.
//! - What a process carries is inherited at its fork and read again after each exec. Between an exec and the reading it is a
//!   member still, for what it may use at most; it counts for nothing else, and is no target. So is whoever could not be read:
//!   it is asked again, ever more rarely, and is given up to neither side.
//! - Where execs are not heard, what was read holds for [`PROOF_LASTS`] only. It is read anew before that.
//! - Somebody who belongs to a job by its environment alone, and was not born to one who descends from the root, is a *stray*:
//!   it is protected as anybody is. A job cannot leave by starting a shell; a shell that a person has opened is none of it.
//!
//! # Why children do not follow their parents
//! A tree is joined and left with all below. Each process has an environment of its own: whoever joins or leaves a job does
//! so by itself.

use std::sync::Arc;
use std::time::Duration;

use super::Judge;
use super::census::YOUTH;
use super::unit::{Arrival, Unit, UnitId};
use crate::engine::decision::{Closing, Decision, Hearing};
use crate::engine::evidence::UnitKey;
use crate::engine::facts::{Facts, Read};
use crate::engine::forest::{FirstSign, Life, Node, Serial};
use crate::engine::guard::Standing;
use crate::engine::incident::Phase;
use crate::engine::label::{Badge, Label};
use crate::engine::process::Text;
use crate::engine::rule::{RuleName, Scope};
use crate::engine::units::Mono;
use crate::engine::warrant::{Outcome, Report, Shelter, Withheld};

/// Where execs are not heard, what was read of an environment is relied on for so long.
const PROOF_LASTS: Duration = Duration::from_secs(10);

/// What a process carries, by the judge's list of labels.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    /// The values; where none is set, or it is empty, `None`. Shorter where nothing is known.
    values: Arc<[Option<Text>]>,
    pub(super) proof: Proof,
    /// How often in a row it could not be read.
    pub(super) slow: u8,
    /// When it was last asked for by itself.
    pub(super) asked: Mono,
    /// When it will be; [`Mono::NEVER`] when nobody needs to.
    pub(super) due: Mono,
}

/// How well that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Not at all, or only of an image before, or of a parent.
    Before,
    /// Of the image it runs: read then, or inherited from one of whom it was.
    Since(Mono),
}

impl Default for Carried {
    fn default() -> Self {
        Self {
            values: Arc::default(),
            proof: Proof::Before,
            slow: 0,
            asked: Mono::BOOT,
            due: Mono::NEVER,
        }
    }
}

impl Carried {
    /// What a child carries. Of one that was found, nobody knows whether it has run another image since its birth.
    pub(super) fn of_child(&self, seen: FirstSign) -> Self {
        Self {
            values: self.values.clone(),
            proof: match seen {
                FirstSign::Heard => self.proof,
                FirstSign::Found => Proof::Before,
            },
            ..Self::default()
        }
    }

    /// It may run another image.
    pub(super) const fn doubt(&mut self) {
        self.proof = Proof::Before;
    }

    pub(super) fn has_any(&self) -> bool {
        self.values.iter().any(Option::is_some)
    }
}

/// What a cooldown, or an earlier beadle's unit, belongs to: a job outlives its roots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// One process's, or its tree's.
    Unit(UnitKey),
    /// A job's.
    Job(Label),
}

impl Whose {
    pub(super) fn of(unit: UnitKey, label: Option<&Label>) -> Self {
        label.map_or(Self::Unit(unit), |label| Self::Job(label.clone()))
    }
}

impl Judge {
    /// Takes in what the environment says.
    pub(super) fn note_environment(&mut self, serial: Serial, facts: &Facts) {
        // It may have been asked for before these labels were.
        let early = facts.at < self.labels_since.after(YOUTH);
        let labels = self.labels.clone();
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        if labels.is_empty() {
            dossier.carried.slow = 0;
            return;
        }
        let carried = &mut dossier.carried;
        let values: Arc<[Option<Text>]> = match &facts.env {
            Read::Known(set) if !early => {
                let value = |name: &Arc<str>| {
                    let (_, value) = set.iter().find(|(set, _)| **set == **name)?;
                    (!value.bytes().is_empty()).then(|| value.clone())
                };
                let values: Vec<Option<Text>> = labels.iter().map(value).collect();
                values.into()
            }
            Read::NotAsked if facts.kernel_thread => Arc::default(),
            Read::Known(_) | Read::NotAsked | Read::Denied | Read::Gone | Read::Late => {
                return self.ask_later(serial);
            }
        };
        carried.slow = 0;
        carried.proof = Proof::Since(facts.at);
        if carried.values != values {
            carried.values = values;
        }
    }

    /// The value of a variable, as recorded.
    fn value(&self, serial: Serial, name: &str) -> Option<&Text> {
        let place = self.labels.iter().position(|label| **label == *name)?;
        let carried = &self.dossiers.get(&serial)?.carried;
        carried.values.get(place)?.as_ref()
    }

    /// Whether what is recorded of a process is of now: of the image it runs, or where it was found a moment ago.
    fn is_current(&self, serial: Serial, badge: &Badge) -> bool {
        match badge {
            Badge::Variable { .. } => self.is_environment_current(serial),
            Badge::Cgroup { .. } => self.is_place_current(serial),
        }
    }

    fn is_environment_current(&self, serial: Serial) -> bool {
        let Some(dossier) = self.dossiers.get(&serial) else {
            return false;
        };
        match (dossier.carried.proof, self.hearing) {
            (Proof::Before, _) => false,
            (Proof::Since(_), Hearing::Events) => true,
            (Proof::Since(at), Hearing::Nothing) => self.now.since(at) <= PROOF_LASTS,
        }
    }

    /// Whether a process carries a label, as far as is recorded. Its owner must be the job's.
    fn carries(&self, serial: Serial, label: &Label) -> bool {
        let node = self.forest.node(serial);
        let owner = node.and_then(|node| node.owner);
        owner == Some(label.owner)
            && match &label.badge {
                Badge::Variable { name, value } => self.value(serial, name) == Some(value),
                Badge::Cgroup { id, .. } => self.place_of(serial) == Some(*id),
            }
    }

    /// Whether a process is known to carry a label now.
    pub(super) fn is_proven(&self, serial: Serial, label: &Label) -> bool {
        self.is_current(serial, &label.badge) && self.carries(serial, label)
    }

    /// The label under which a process would be judged, once that is certain.
    pub(super) fn label_of(&self, serial: Serial, scope: &Scope) -> Option<Label> {
        let owner = self.forest.node(serial)?.owner?;
        let badge = match scope {
            Scope::Env(name) => Badge::Variable {
                name: name.clone(),
                value: self.value(serial, name).cloned()?,
            },
            Scope::Cgroup => self.group_of(serial).ok()?,
            Scope::Tree | Scope::Process => return None,
        };
        let current = self.is_current(serial, &badge);
        current.then_some(Label { badge, owner })
    }

    /// Whether a process may carry a label that this scope tells by: it did when it was last read, and that is not certain now.
    pub(super) fn may_carry(&self, serial: Serial, scope: &Scope) -> bool {
        match scope {
            Scope::Env(name) => {
                !self.is_environment_current(serial) && self.value(serial, name).is_some()
            }
            Scope::Cgroup => self.place_of(serial).is_some() && !self.is_place_current(serial),
            Scope::Tree | Scope::Process => false,
        }
    }

    /// The unit of a rule and label.
    pub(super) fn job(&self, index: usize, label: &Label) -> Option<UnitId> {
        let its = |unit: &Unit| unit.index == index && unit.label.as_ref() == Some(label);
        let (id, _) = self.units.iter().find(|(_, unit)| its(unit))?;
        Some(*id)
    }

    /// Whether a process matches, and is above the root of the job that it belongs to.
    pub(super) fn is_above_root(&self, serial: Serial, job: UnitId) -> bool {
        let root = self.units.get(&job).map(|unit| unit.root);
        root.is_some_and(|root| self.forest.above(root).any(|(above, _)| above == serial))
    }

    /// Draws the consequences of what a process carries, now that it is known.
    pub(super) fn relabel(&mut self, serial: Serial, out: &mut Vec<Decision>) {
        if !self.rules.tells_by_labels() {
            return;
        }
        let Some(dossier) = self.dossiers.get(&serial) else {
            return;
        };
        for id in dossier.units.clone() {
            let labeled = self.labeled(id);
            let Some((unit, label)) =
                labeled.filter(|(_, label)| self.is_current(serial, &label.badge))
            else {
                continue;
            };
            // A stray that turns out to be what people live in is none of it either.
            let stray = self
                .units
                .get(&id)
                .is_some_and(|unit| unit.strays.contains(&serial));
            let dossier = self.dossiers.get(&serial);
            let stays = !stray || dossier.is_some_and(|dossier| dossier.may_join(&label, false));
            if self.carries(serial, &label) && stays {
                continue;
            }
            if self.units.get(&id).is_some_and(|unit| unit.root == serial) {
                self.abandon(id, out);
            } else {
                self.leave_alone(unit, serial, out);
            }
        }
        let jobs: Vec<UnitId> = self.units.keys().copied().collect();
        for id in jobs {
            if let Some((id, label)) = self.labeled(id)
                && self.is_proven(serial, &label)
            {
                self.admit(id, serial);
            }
        }
    }

    fn labeled(&self, id: UnitId) -> Option<(UnitId, Label)> {
        Some((id, self.units.get(&id)?.label.clone()?))
    }

    /// The root runs what no rule means, or belongs to another job: the unit is over, and its members may begin another.
    pub(super) fn abandon(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        self.close(id, Closing::Unmatched, out);
        let unit = self.units.get(&id);
        let others = unit.map(|unit| unit.members.clone()).unwrap_or_default();
        self.dissolve(id);
        self.hopeful.extend(others);
        self.stirred = true;
    }

    /// Everyone who carries the label of a new unit joins it.
    pub(super) fn gather(&mut self, id: UnitId) {
        let Some((id, label)) = self.labeled(id) else {
            return;
        };
        let whom: Vec<Serial> = self.dossiers.keys().copied().collect();
        for serial in whom {
            if self.carries(serial, &label) {
                self.admit(id, serial);
            }
        }
    }

    /// A process joins a job, by itself.
    pub(super) fn admit(&mut self, id: UnitId, serial: Serial) {
        let Some((unit, label)) = self
            .units
            .get(&id)
            .and_then(|unit| Some((unit, unit.label.as_ref()?)))
        else {
            return;
        };
        let living = |node: &Node| !matches!(node.life, Life::Dead(_));
        let index = unit.index;
        let kin = serial == unit.root || self.is_kin(unit, serial);
        let Some((node, dossier)) = self
            .forest
            .node(serial)
            .filter(|node| living(node))
            .zip(self.dossiers.get(&serial))
        else {
            return;
        };
        let outside = !dossier.may_join(label, kin);
        if dossier.units.contains(&id) || outside || dossier.is_kept_from(index) {
            return;
        }
        let group = label.group();
        if group.is_some_and(|group| self.stands_apart(serial, group)) {
            return;
        }
        let native = kin && node.born >= unit.since;
        if serial != unit.root && self.is_kept(serial, index) {
            return self.keep_out(serial, index);
        }
        let Some((unit, dossier)) = self.units.get_mut(&id).zip(self.dossiers.get_mut(&serial))
        else {
            return;
        };
        // What the newcomer used before is no pace of the job's, and who waits for whom tells nothing.
        unit.forget_paces();
        unit.departed = true;
        dossier.units.push(id);
        unit.members.insert(serial);
        if group.is_some() && serial != unit.root && !native {
            let (at, used) = (self.now, None);
            unit.arrived.insert(serial, Arrival { at, used });
        }
        if !kin {
            unit.strays.insert(serial);
        } else if serial != unit.root {
            dossier.standing =
                std::mem::replace(&mut dossier.standing, Standing::Plain).for_member();
        }
    }

    /// Whether a process descends from the root, or from one who did.
    fn is_kin(&self, unit: &Unit, serial: Serial) -> bool {
        let member = |above: &Serial| unit.members.contains(above) && !unit.strays.contains(above);
        let ends = |above: &Serial| {
            let both = self.dossiers.get(above).zip(unit.label.as_ref());
            both.is_some_and(|(dossier, label)| {
                matches!(label.standing(&dossier.standing), Standing::Boundary(_))
            })
        };
        let above = self.forest.above(serial).map(|(above, _)| above);
        above
            .take_while(|above| !ends(above))
            .any(|above| member(&above))
    }

    /// A process leaves a job, by itself.
    pub(super) fn leave_alone(&mut self, id: UnitId, serial: Serial, out: &mut Vec<Decision>) {
        self.let_out(id, serial);
        let phase = self.units.get(&id).and_then(|unit| unit.incident.as_ref());
        let acting = phase.is_some_and(|incident| matches!(incident.phase, Phase::Acting(_)));
        // An act under way goes on: the door asks each one what it carries.
        if !acting {
            self.withdraw(id, out);
        }
        self.review_frozen(id, out);
        self.close_if_empty(id, out);
    }

    /// New rules may name other labels: then nothing is known of anybody's. Whether everyone is to be asked again.
    pub(super) fn take_labels(&mut self) -> bool {
        let labels: Arc<[Arc<str>]> = self.rules.labels().into();
        if labels == self.labels {
            return false;
        }
        self.labels = labels;
        self.labels_since = self.now;
        for dossier in self.dossiers.values_mut() {
            dossier.carried = Carried::default();
        }
        true
    }

    /// Whether a process is a member of whom it is not known now whether it is one.
    pub(super) fn is_unproven(&self, unit: &Unit, serial: Serial) -> bool {
        let both = self.forest.node(serial).zip(self.dossiers.get(&serial));
        both.filter(|_| unit.members.contains(&serial))
            .is_some_and(|(node, dossier)| {
                self.answerable(unit, serial, node, dossier) == Err(Shelter::Unproven)
            })
    }

    /// Whether a member may yet turn out to be one that a signal is for.
    pub(super) fn may_be_proven(&self, unit: &Unit) -> bool {
        let unproven = |serial: &Serial| self.is_unproven(unit, *serial);
        unit.label.is_some() && unit.members.iter().any(unproven)
    }

    /// Notes whom an end has reached, or cannot reach: it does not come for them again.
    pub(super) fn note_struck(&mut self, id: UnitId, report: &Report) {
        let forest = &self.forest;
        let Some(unit) = self.units.get_mut(&id).filter(|it| it.label.is_some()) else {
            return;
        };
        let reached = |outcome: Outcome| match outcome {
            Outcome::Withheld(why) => why == Withheld::Protected,
            Outcome::Sent | Outcome::Gone | Outcome::Denied | Outcome::Survived => true,
        };
        let each = report.each.iter().filter(|(_, outcome)| reached(*outcome));
        unit.struck.extend(each.map(|(key, _)| *key));
        unit.struck.retain(|key| forest.find(*key).is_some());
    }

    /// After the ladder's last KILL, members of a job may turn up of whom nobody knew, or could make sure, that they are: then
    /// KILL comes again, for them.
    ///
    /// # Why that matters
    /// Whoever runs another image is no target until it is known what that carries, and a stray is found when it is read.
    pub(super) fn call_again(&mut self, id: UnitId) {
        let Some(unit) = self.units.get(&id).filter(|it| it.label.is_some()) else {
            return;
        };
        let fresh = |serial: &Serial| {
            let both = self.forest.node(*serial).zip(self.dossiers.get(serial));
            both.is_some_and(|(node, dossier)| {
                let struck = node.key.is_some_and(|key| unit.struck.contains(&key));
                !struck && self.answerable(unit, *serial, node, dossier).is_ok()
            })
        };
        if !unit.members.iter().any(fresh) {
            return;
        }
        if let Some(unit) = self.units.get_mut(&id)
            && let Some(incident) = &mut unit.incident
        {
            incident.end_again(&unit.rule);
        }
    }

    /// Why a process that matches begins no job.
    pub(super) fn no_job(&self, serial: Serial, scope: &Scope) -> Option<String> {
        if self.label_of(serial, scope).is_some() {
            return None;
        }
        match scope {
            Scope::Env(name) if self.is_environment_current(serial) => Some(format!(
                "its environment has no {name}: it belongs to no job"
            )),
            Scope::Env(name) => Some(format!("whether its environment has {name} is not known")),
            Scope::Cgroup => self.group_of(serial).err(),
            Scope::Tree | Scope::Process => None,
        }
    }

    /// Takes the past of a unit out, where its cooldown lasts.
    pub(super) fn take_past(&mut self, rule: &RuleName, whose: Whose) -> Option<super::Past> {
        let (_, past) = self.pasts.remove(&(rule.clone(), whose))?;
        (past.until > self.now).then_some(past)
    }
}
