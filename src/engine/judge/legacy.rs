//! Taking up what an earlier beadle left, and leaving it to the next.
//!
//! **Invariants.** A unit is taken up when its root is found to match again; one whose root is gone, when members are found
//! who bear their identities still. What is not taken up in [`PATIENCE`] is let go,
//! unless its root may still turn out to match. No message is sent twice, and no grace
//! is shorter for it: every clock starts at zero.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Judge;
use super::dossier::Learning;
use super::jobs::Whose;
use super::silence::Share;
use super::unit::{Births, Unit, UnitId};
use crate::engine::decision::{Closing, Decision, Notice, What};
use crate::engine::evidence::{Evidence, IncidentId, UnitKey};
use crate::engine::forest::{FirstSign, Serial};
use crate::engine::incident::{Incident, Past};
use crate::engine::label::Label;
use crate::engine::legacy::{Bequest, Ending, Kin, Legacy, Remainder};
use crate::engine::process::{Pid, ProcKey};
use crate::engine::rule::{Rule, RuleName, Scope};
use crate::engine::units::Mono;
use crate::engine::usage::Buried;
use crate::engine::warrant::Certainty;

/// By then everyone has been looked at, and the facts of roots have come.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a person has bidden is not carried out after so long without a beadle.
const STALE: Duration = Duration::from_secs(300);
/// So many relations are left at most: one takes about a hundred bytes.
const KIN: usize = 16_384;

/// What an earlier beadle left and nobody has taken up yet.
#[derive(Debug)]
pub(super) struct Unclaimed {
    units: Vec<Bequest>,
    /// Who has left the trees of which rules, until found.
    kept: BTreeMap<ProcKey, Vec<RuleName>>,
    /// When it was left.
    at: Mono,
    /// Who was listed last: once everyone of them was looked at, who is not among them is gone.
    listed: Option<BTreeSet<Pid>>,
    /// Roots that turned out to run something that no rule means: what they leave behind is no tree of ours.
    unmatched: BTreeSet<ProcKey>,
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
        // Whatever has become of the numbers that were kept: none is given twice.
        let open = legacy
            .units
            .iter()
            .filter_map(|left| left.incident.as_ref());
        let open = open.map(|stand| stand.id);
        let closed = legacy.pasts.iter().map(|left| left.past.id);
        let highest = open.chain(closed).map(|IncidentId(id)| id).max();
        self.last_incident = self.last_incident.max(highest.unwrap_or(0));
        self.forest.inherit(legacy.kin);
        self.pauses.extend(legacy.pauses);
        self.endings.extend(legacy.endings);
        for left in legacy.pasts {
            let mut past = left.past;
            let mut rules = self.rules.rules.iter();
            if let Some(rule) = rules.find(|rule| rule.name == left.rule) {
                past.resume(&left.ladder, &rule.ladder);
                let whose = Whose::of(left.unit, left.label.as_ref());
                self.pasts.insert((left.rule, whose), (left.unit, past));
            }
        }
        self.unclaimed = Some(Unclaimed {
            units: legacy.units,
            kept: legacy.kept.into_iter().collect(),
            at: legacy.at,
            listed: None,
            unmatched: BTreeSet::new(),
            until: now.after(PATIENCE),
        });
    }

    /// What is left to the next beadle.
    pub fn bequeath(&self) -> Legacy {
        let mut kin = Vec::new();
        for unit in self.units.values() {
            let room = KIN.saturating_sub(kin.len());
            let members = unit.members.iter().take(room);
            kin.extend(members.filter_map(|member| self.kin(*member)));
        }
        // Whom nobody has found yet, the next one may.
        kin.extend(self.forest.left().cloned());
        kin.sort_by_key(|kin| kin.key);
        kin.dedup_by_key(|kin| kin.key);
        let waiting = self.unclaimed.iter().flat_map(|unclaimed| &unclaimed.units);
        Legacy {
            at: self.now,
            kin,
            kept: self.kept_apart(),
            units: self
                .units
                .values()
                .map(|unit| self.bequest(unit))
                .chain(waiting.cloned())
                .collect(),
            pasts: self.remainders(),
            endings: self.endings.iter().cloned().collect(),
            pauses: self.pauses.clone(),
            frozen: self.frozen(),
        }
    }

    /// What is left of a member: its lineage, and what it may have used until now.
    fn kin(&self, member: Serial) -> Option<Kin> {
        let (node, dossier) = (self.forest.node(member)?, self.dossiers.get(&member)?);
        let until_now = self.dying(node, dossier, self.now).reckon(None);
        Some(Kin {
            used: until_now.at_most(),
            ..self.forest.kin(member)?
        })
    }

    /// CPU time at most of those who were left with a unit and that nobody has found since: they are gone, and leave no record.
    ///
    /// # Why it matters
    /// SIGTERM was on its way when beadle was ended. The root went, and with it the hour that it had worked: what was left of
    /// its tree seemed to have used a few seconds.
    fn unfound(&self, left: &Bequest) -> Duration {
        let members: BTreeSet<ProcKey> = left.members.iter().copied().collect();
        let root = Some(left.unit.root()).filter(|root| !members.contains(root));
        members
            .into_iter()
            .chain(root)
            .filter_map(|key| self.forest.left_used(key))
            .fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Who has left the trees of which rules for good.
    fn kept_apart(&self) -> Vec<(ProcKey, Vec<RuleName>)> {
        let name = |index: &usize| Some(self.rules.rules.get(*index)?.name.clone());
        let found = self.dossiers.iter().filter_map(|(serial, dossier)| {
            let kept = dossier.kept.as_ref()?;
            let key = self.forest.node(*serial)?.key?;
            Some((key, kept.iter().filter_map(name).collect()))
        });
        let waiting = self
            .unclaimed
            .iter()
            .flat_map(|unclaimed| unclaimed.kept.clone());
        found.chain(waiting).collect()
    }

    /// What closed incidents left behind, of units that are and of those that are no more.
    fn remainders(&self) -> Vec<Remainder> {
        let left = |rule: &Rule, unit: UnitKey, label: Option<&Label>, past: &Past| Remainder {
            rule: rule.name.clone(),
            unit,
            label: label.cloned(),
            ladder: rule.ladder.iter().map(|stage| stage.act.clone()).collect(),
            past: past.clone(),
        };
        let units = self.units.values();
        let present = units.filter_map(|unit| {
            let label = unit.label.as_ref();
            Some(left(&unit.rule, unit.key, label, unit.past.as_ref()?))
        });
        let gone = self
            .pasts
            .iter()
            .filter_map(|((name, whose), (unit, past))| {
                let mut rules = self.rules.rules.iter();
                let rule = rules.find(|rule| rule.name == *name)?;
                let label = match whose {
                    Whose::Unit(_) => None,
                    Whose::Job(label) => Some(label),
                };
                Some(left(rule, *unit, label, past))
            });
        present.chain(gone).collect()
    }

    /// The rules, by index, whose trees a process had left for good when it was known last.
    pub(super) fn kept_before(&mut self, key: Option<ProcKey>) -> Vec<usize> {
        let names = key
            .zip(self.unclaimed.as_mut())
            .and_then(|(key, unclaimed)| unclaimed.kept.remove(&key));
        let rules = &self.rules.rules;
        let index = |name: &RuleName| rules.iter().position(|rule| rule.name == *name);
        names.iter().flatten().filter_map(index).collect()
    }

    fn bequest(&self, unit: &Unit) -> Bequest {
        let key = |serial: &Serial| self.forest.node(*serial).and_then(|node| node.key);
        let apart = unit.root_gone.is_some() || unit.label.is_some();
        let apart = apart.then(|| unit.members.iter());
        Bequest {
            rule: unit.rule.name.clone(),
            unit: unit.key,
            subject: unit.subject.clone(),
            starter: unit.starter.clone(),
            circle: unit.circle.clone(),
            since: unit.since,
            before: unit.before,
            buried: self.gone(unit),
            spawned: (unit.spawned.sure, unit.spawned.perhaps),
            root_gone: unit.root_gone,
            pulse: unit.pulse.clone(),
            label: unit.label.clone(),
            members: apart.into_iter().flatten().filter_map(key).collect(),
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
    pub(super) fn note_listing(&mut self, listed: &[Pid]) {
        if let Some(unclaimed) = &mut self.unclaimed {
            unclaimed.listed = Some(listed.iter().copied().collect());
        }
    }

    /// Nobody alive has a number that was listed.
    pub(super) fn note_nobody(&mut self, pid: Pid) {
        let unclaimed = self.unclaimed.as_mut();
        if let Some(listed) = unclaimed.and_then(|unclaimed| unclaimed.listed.as_mut()) {
            listed.remove(&pid);
        }
    }

    /// Whether members of a tree that was left to us are not known yet: each may be a boundary, or one to be kept.
    pub(super) fn is_meeting(&self, unit: &Unit) -> bool {
        let unknown = |serial: &Serial| {
            let found = self.forest.node(*serial);
            let found = found.is_some_and(|node| node.seen == FirstSign::Found);
            let dossier = self.dossiers.get(serial);
            found && dossier.is_some_and(|dossier| dossier.learning != Learning::Settled)
        };
        unit.inherited && unit.members.iter().any(unknown)
    }

    /// A process was found to be a root: the unit goes on where an earlier beadle left it.
    pub(super) fn take_up(&mut self, unit: &mut Unit) {
        let Some(unclaimed) = &mut self.unclaimed else {
            return;
        };
        let whose = Whose::of(unit.key, unit.label.as_ref());
        let same = |left: &Bequest| {
            left.rule == unit.rule.name && Whose::of(left.unit, left.label.as_ref()) == whose
        };
        let Some(index) = unclaimed.units.iter().position(same) else {
            return;
        };
        let mut left = unclaimed.units.swap_remove(index);
        let unclaimed_at = unclaimed.at;
        let silence = self.silence.share(unclaimed_at, self.now);
        left.buried.beyond = left.buried.beyond.saturating_add(self.unfound(&left));
        take_over(unit, left, silence, (unclaimed_at, self.now));
    }

    /// After a look: units whose root is gone are made again from their members, and what stays without heirs is let go.
    pub(super) fn settle_unclaimed(&mut self, out: &mut Vec<Decision>) {
        let met = self.strangers.is_empty();
        let Some(unclaimed) = self.unclaimed.as_mut().filter(|_| met) else {
            return;
        };
        let Some(listed) = &unclaimed.listed else {
            return;
        };
        let (at, until) = (unclaimed.at, unclaimed.until);
        // Who is listed and could not be read may be there all the same.
        let gone = |left: &mut Bequest| {
            // Whose job it is nobody knows before everyone was asked what he carries.
            if left.label.is_some() {
                return false;
            }
            let root = left.unit.root();
            let another = || self.forest.holder(root.pid()).is_some();
            self.forest.find(root).is_none() && (!listed.contains(&root.pid()) || another())
        };
        let rootless = unclaimed.units.extract_if(.., gone);
        let (mut lost, rootless): (Vec<_>, Vec<_>) =
            rootless.partition(|left| unclaimed.unmatched.contains(&left.unit.root()));
        let learnt = |root: &ProcKey| {
            let found = self.forest.find(*root);
            let dossier = found.and_then(|found| self.dossiers.get(&found));
            dossier.is_some_and(|dossier| dossier.learning == Learning::Settled)
        };
        let trees = unclaimed.units.iter().filter(|left| left.label.is_none());
        let roots = trees.map(|left| left.unit.root());
        unclaimed.unmatched.extend(roots.filter(learnt));
        if until <= self.now
            && let Some(mut rest) = self.unclaimed.take()
        {
            let listed = rest.listed.take().unwrap_or_default();
            let over = |left: &mut Bequest| {
                left.label.is_none() && !self.may_match(left.unit.root(), &listed)
            };
            lost.extend(rest.units.extract_if(.., over));
            if rest.units.is_empty() {
                self.forest.forget_inheritance();
            } else {
                rest.kept.clear();
                rest.listed = Some(listed);
                self.unclaimed = Some(rest);
            }
        }
        for left in rootless {
            lost.extend(self.raise(left, at, out));
        }
        for left in lost {
            self.let_go(left, out);
        }
    }

    /// After everyone was asked what he carries, and whoever may be a root was considered: jobs whose root is gone are made
    /// again from those who carry their label. One whose root lives and is none any more is let go, as is one that nobody
    /// carries.
    pub(super) fn settle_jobs(&mut self, out: &mut Vec<Decision>) {
        let Some(unclaimed) = &self.unclaimed else {
            return;
        };
        let (at, until) = (unclaimed.at, unclaimed.until);
        let jobs = unclaimed.units.iter().any(|left| left.label.is_some());
        let met = unclaimed.listed.is_some() && self.strangers.is_empty();
        let known = || {
            let mut all = self.dossiers.values();
            all.all(|dossier| dossier.learning == Learning::Settled) && self.hopeful.is_empty()
        };
        if !jobs || !met || !(until <= self.now || known()) {
            return;
        }
        let Some(unclaimed) = &mut self.unclaimed else {
            return;
        };
        let jobs = unclaimed.units.extract_if(.., |left| left.label.is_some());
        for left in jobs.collect::<Vec<_>>() {
            let lives = self.forest.find(left.unit.root()).is_some();
            let lost = if lives {
                Some(left)
            } else {
                self.raise(left, at, out)
            };
            if let Some(lost) = lost {
                self.let_go(lost, out);
            }
        }
    }

    /// Whether a process may still turn out to be what a rule means: it could not be read yet, or what it runs could not.
    fn may_match(&self, key: ProcKey, listed: &BTreeSet<Pid>) -> bool {
        let unsettled = |found: &Serial| {
            let dossier = self.dossiers.get(found);
            dossier.is_some_and(|dossier| dossier.learning != Learning::Settled)
        };
        match self.forest.find(key) {
            Some(found) => unsettled(&found),
            None => listed.contains(&key.pid()) && self.forest.holder(key.pid()).is_none(),
        }
    }

    /// Tells how an incident ended that nobody takes up.
    fn let_go(&mut self, left: Bequest, out: &mut Vec<Decision>) {
        let Some(stand) = left.incident else { return };
        let mut rules = self.rules.rules.iter();
        let rule = rules.find(|rule| rule.name == left.rule).cloned();
        let there = self.forest.find(left.unit.root()).is_some();
        let how = match (rule.is_some(), there, stand.signalled) {
            (false, _, _) => Closing::RuleRemoved,
            (true, true, _) => Closing::Unmatched,
            (true, false, true) => Closing::Ended(Certainty::Looked),
            (true, false, false) => Closing::Exited,
        };
        if let Some(rule) = rule.filter(|_| there) {
            // It may run something else again: the cooldown holds.
            let past = Incident::resume(&stand, self.now, &rule).past(self.now, &rule);
            let whose = Whose::of(left.unit, left.label.as_ref());
            self.pasts
                .insert((rule.name.clone(), whose), (left.unit, past));
        }
        let subject = left.subject;
        if how.certainty().is_some() {
            self.endings.push_back(Ending {
                at: self.now,
                rule: left.rule.clone(),
                owner: subject.owner,
                program: subject.program.clone(),
                starter: left.starter.and_then(|(key, _)| key),
            });
        }
        out.push(Decision::Tell(Notice {
            at: self.now,
            incident: stand.id,
            mode: stand.mode,
            evidence: Arc::new(Evidence {
                rule: left.rule,
                about: None,
                unit: left.unit,
                subject,
                sampled: self.now,
                readings: Vec::new(),
                members: 0,
                pids: Vec::new(),
                peers: None,
                progress: None,
                manner: None,
            }),
            what: What::Closed {
                how,
                lasted: self.now.since(stand.opened),
            },
        }));
    }

    /// Makes a unit again whose root is gone, if anybody is left of it.
    fn raise(&mut self, mut left: Bequest, at: Mono, out: &mut Vec<Decision>) -> Option<Bequest> {
        let found = (0..)
            .zip(&self.rules.rules)
            .find(|(_, rule)| rule.name == left.rule);
        let Some((index, rule)) = found else {
            return Some(left);
        };
        let alike = match (left.unit, &left.label, &rule.scope) {
            (UnitKey::Tree(_), None, Scope::Tree) => true,
            (UnitKey::Label(_), Some(label), scope) => label.is_of(scope),
            (UnitKey::Process(_) | UnitKey::Tree(_) | UnitKey::Label(_), _, _) => false,
        };
        if !alike {
            return Some(left);
        }
        let rule = rule.clone();
        let kin: Vec<Serial> = match &left.label {
            None => {
                let members = left.members.iter();
                members.filter_map(|key| self.forest.find(*key)).collect()
            }
            Some(label) => {
                let known = self.dossiers.keys().copied();
                known
                    .filter(|serial| self.is_proven(*serial, label))
                    .collect()
            }
        };
        if kin.is_empty() {
            return Some(left);
        }
        left.buried.beyond = left.buried.beyond.saturating_add(self.unfound(&left));
        let root = self.forest.nobody();
        let subject = left.subject.clone();
        let mut unit = Unit::new(left.unit, rule, index, root, subject, left.since);
        unit.next_look = self.now;
        let whose = Whose::of(left.unit, left.label.as_ref());
        unit.past = self.take_past(&left.rule, whose);
        unit.label.clone_from(&left.label);
        // It died while nobody looked, at the latest now.
        unit.root_gone = Some(left.root_gone.unwrap_or(self.now));
        let silence = self.silence.share(at, self.now);
        take_over(&mut unit, left, silence, (at, self.now));
        let id: UnitId = self.new_unit();
        let root = unit.key.root();
        let job = unit.label.is_some();
        self.units.insert(id, unit);
        for member in kin {
            if job {
                self.admit(id, member);
            } else {
                self.forest.mourn(member, root, self.now);
                self.join(id, member);
            }
        }
        // Each of them may have turned out to be none of it.
        self.close_if_empty(id, out);
        None
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

/// The unit goes on as it was left at a moment.
fn take_over(unit: &mut Unit, left: Bequest, silence: Share, (at, now): (Mono, Mono)) {
    unit.since = left.since;
    unit.before = left.before;
    unit.starter = left.starter.or(unit.starter.take());
    unit.circle = left.circle.or(std::mem::take(&mut unit.circle));
    unit.buried.absorb(left.buried);
    // Who died while nobody looked used no more than there was. Those whom members have waited for are among the dead that
    // were left.
    unit.silence = silence;
    unit.pulse = left.pulse;
    unit.pulse.take_up(at, now);
    unit.departed = true;
    unit.inherited = true;
    unit.spawned = Births {
        sure: left.spawned.0,
        perhaps: left.spawned.1,
    };
    unit.incident = left
        .incident
        .map(|stand| Incident::resume(&stand, now, &unit.rule));
    if let Some(incident) = unit.incident.as_mut().filter(|_| now.since(at) > STALE) {
        // Whoever has bidden it may long have forgotten, and limits are not asked about what is bidden.
        incident.relent(now);
    }
    // Where it worked when it was met, people have allowed it.
    unit.subject.cwd = left.subject.cwd.or(unit.subject.cwd.take());
}
