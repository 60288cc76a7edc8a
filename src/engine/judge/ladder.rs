//! The stages: openings, nudges, closings.
//!
//! **Invariants.** Nothing fires before three snapshots, nor within a minute of waking.

use std::sync::Arc;

use super::Judge;
use super::dossier::{Dossier, Learning};
use super::instances::Turn;
use super::unit::{Unit, UnitId};
use crate::engine::decision::{Closing, Decision, Notice, Rest, What};
use crate::engine::evidence::{Evidence, Exemption, Verdict};
use crate::engine::forest::Serial;
use crate::engine::incident::{Incident, Phase, Step};
use crate::engine::rule::{Mode, StageAct};
use crate::engine::verdict::Lead;

/// Snapshots before anything fires.
const BEFORE_ANYTHING: u64 = 3;
/// So many trees of one rule, owner, program and starter ended within a cooldown: somebody restarts them.
const RESPAWNS: usize = 3;

impl Judge {
    /// Moves a unit's incident, if there is cause.
    pub(super) fn escalate(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let bidden = unit.incident.as_ref().and_then(Incident::bidding);
        let waking = self.now < self.quiet_until && bidden.is_none();
        let quiet = self.snapshots < BEFORE_ANYTHING || waking;
        let let_be = match unit.verdict {
            Verdict::Exempt(
                Exemption::Paused { .. }
                | Exemption::Snoozed { .. }
                | Exemption::Allowed { .. }
                | Exemption::Minded { .. },
            ) => true,
            Verdict::Exempt(Exemption::Closed)
            | Verdict::Clear
            | Verdict::Breaching
            | Verdict::Sustained
            | Verdict::Unknown => false,
        };
        if quiet || let_be {
            let clear = unit.verdict == Verdict::Clear;
            if let Some(incident) = unit.incident.as_mut().filter(|_| !clear) {
                incident.lose_sight();
            }
            return;
        }
        if unit.verdict == Verdict::Exempt(Exemption::Closed) {
            self.wait(id, out);
            return;
        }
        if unit.incident.is_none() && unit.verdict != Verdict::Sustained {
            unit.counsel = None;
            return;
        }
        if self.asks_first(id, out) {
            return;
        }
        if self.units.get(&id).is_some_and(|it| it.incident.is_none()) {
            if self.waits_for_inner(id) {
                return;
            }
            self.open(id, out);
        }
        self.weigh(id);
        self.call_again(id);
        let bar = self.bar(id);
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let Some(incident) = &mut unit.incident else {
            return;
        };
        let step = incident.judge(now, unit.sampled, &unit.verdict, &unit.rule, bar);
        let rests = matches!(incident.phase, Phase::Resting(_));
        match step {
            Step::Wait => self.remind(id, out),
            Step::Nudge => self.nudge(id, out),
            Step::Act => self.prepare(id, out),
            Step::Withhold { act, why } => self.say_withheld(id, act, why, out),
            Step::Close(how) => self.close(id, how, out),
        }
        if rests {
            self.thaw(id, out);
        }
    }

    /// Tells a unit's incident whether what is over leads on.
    fn weigh(&mut self, id: UnitId) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let lead = unit.lead();
        let over = matches!(unit.verdict, Verdict::Sustained | Verdict::Breaching);
        if let Some(incident) = unit.incident.as_mut().filter(|_| over) {
            incident.weigh(self.now, unit.sampled, &unit.rule, lead);
        }
    }

    /// A gate is closed: nothing opens and nothing is climbed. What has recovered is closed all the same, or its stage
    /// would be taken up, hours later, by a breach that has nothing to do with it.
    fn wait(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let limits = unit.limits();
        let Some(incident) = &mut unit.incident else {
            return;
        };
        if let Step::Close(how) = incident.wait(unit.sampled, &limits) {
            self.close(id, how, out);
        }
    }

    fn open(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let fresh = self.new_incident();
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        if let Some(past) = unit.past.take().filter(|past| past.until > now) {
            unit.incident = Some(Incident::reopen(&past, now));
        } else {
            let incident = Incident::open(fresh, unit.sampled);
            unit.incident = Some(match unit.lead() {
                Lead::On => incident,
                Lead::Lingers | Lead::Nowhere => incident.light(),
            });
            self.tell(id, What::Opened, out);
        }
        // Whoever was born into it of late may be a boundary: known sooner from now on.
        let members: Vec<Serial> = self
            .units
            .get(&id)
            .iter()
            .flat_map(|unit| &unit.members)
            .copied()
            .collect();
        for serial in members {
            let young = |dossier: &Dossier| dossier.learning == Learning::Young;
            if self.dossiers.get(&serial).is_some_and(|it| young(it)) {
                self.expect(serial);
            }
        }
    }

    /// Why nothing but nudges may come of this unit now.
    pub(super) fn bar(&self, id: UnitId) -> Option<Rest> {
        let unit = self.units.get(&id)?;
        if unit.incident.as_ref().and_then(Incident::bidding).is_some() {
            // The rest is about what is done of our own accord.
            return self.nobody_to_signal(unit).then_some(Rest::Protected);
        }
        if unit.only_tells() {
            return Some(Rest::Instances);
        }
        let (rule, subject) = (&unit.rule, &unit.subject);
        let of_rule = || {
            self.endings
                .iter()
                .filter(|ending| ending.rule == rule.name && ending.owner == subject.owner)
        };
        let recent = of_rule()
            .filter(|ending| self.now.since(ending.at) <= rule.breaker.within)
            .count();
        if recent >= usize::try_from(rule.breaker.trees).unwrap_or(usize::MAX) {
            return Some(Rest::Breaker);
        }
        let starter = unit.starter.as_ref().and_then(|(key, _)| *key);
        let alike = of_rule()
            .filter(|ending| ending.program == subject.program && ending.starter == starter)
            .filter(|ending| self.now.since(ending.at) <= rule.cooldown)
            .count();
        if alike >= RESPAWNS && starter.is_some() {
            return Some(Rest::Respawn {
                by: unit.starter.as_ref().map(|(_, program)| program.clone()),
            });
        }
        self.nobody_to_signal(unit).then_some(Rest::Protected)
    }

    /// Whether every member is protected, or outside the leash.
    pub(super) fn nobody_to_signal(&self, unit: &Unit) -> bool {
        let (targets, unbound) = self.targets(unit);
        targets.is_empty() && unbound.is_empty() && !self.may_be_proven(unit)
    }

    fn nudge(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        if self.waits_for_inner(id) || self.told_just_now(id) {
            return;
        }
        match self.speaks(id) {
            Turn::Speaks => self.send_nudge(id, Told::First, out),
            Turn::SpokenOf => {}
            Turn::Waits => return,
        }
        let now = self.now;
        if let Some(incident) = self
            .units
            .get_mut(&id)
            .and_then(|unit| unit.incident.as_mut())
        {
            incident.told = Some(now);
            incident.done(now);
        }
    }

    /// Whether people are told of a unit by itself. Of one instance too many they are told along with the others.
    fn speaks(&mut self, id: UnitId) -> Turn {
        let Some(unit) = self.units.get(&id).filter(|unit| unit.only_tells()) else {
            return Turn::Speaks;
        };
        let due = unit
            .incident
            .as_ref()
            .and_then(|incident| incident.due(&unit.rule));
        // A later stage that tells again tells again.
        let apart = due.map(|(stage, _)| stage.after);
        let apart = apart.filter(|apart| !apart.is_zero());
        let quiet = apart.map_or(unit.rule.cooldown, |apart| apart.min(unit.rule.cooldown));
        self.turn(id, quiet)
    }

    fn send_nudge(&mut self, id: UnitId, told: Told, out: &mut Vec<Decision>) {
        let now = self.now;
        let bar = self.bar(id);
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let Some(incident) = &mut unit.incident else {
            return;
        };
        incident.tells(now);
        let next = incident.ahead(&unit.rule, incident.next.saturating_add(1));
        let rests = match (unit.rule.mode, &next, &incident.phase) {
            (Mode::Observe | Mode::Nudge, Some(_), _) => Some(Rest::Mode(unit.rule.mode)),
            (_, _, Phase::Resting(why)) => Some(why.clone()),
            // What already bars the way is told with the nudge, and by whose doing.
            (Mode::Enforce, Some(_), _) => bar,
            (Mode::Observe | Mode::Nudge | Mode::Enforce, None, _) => None,
        };
        let next = next.filter(|_| rests.is_none());
        let again = told == Told::Again;
        self.tell(id, What::Nudge { next, rests, again }, out);
    }

    /// One message per audience and tree per interval.
    fn told_just_now(&self, id: UnitId) -> bool {
        let Some(unit) = self.units.get(&id) else {
            return false;
        };
        self.units.iter().any(|(other, another)| {
            let told = another.incident.as_ref().and_then(|incident| incident.told);
            *other != id
                && another.root == unit.root
                && told.is_some_and(|told| self.now.since(told) < self.rules.interval)
        })
    }

    fn remind(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(pace) = self.rules.remind else {
            return;
        };
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let Some(incident) = &unit.incident else {
            return;
        };
        let over = matches!(unit.verdict, Verdict::Sustained | Verdict::Breaching);
        let rests =
            matches!(incident.phase, Phase::Resting(_)) || incident.due(&unit.rule).is_none();
        // What is bidden goes on behind a closed gate and right after waking; nobody is reminded of it then.
        if over
            && rests
            && !self.is_closed(&unit.rule)
            && self.now >= self.quiet_until
            && incident
                .told
                .is_some_and(|told| self.now.since(told) >= pace)
            && (!unit.only_tells() || self.turn(id, pace) == Turn::Speaks)
        {
            self.send_nudge(id, Told::Again, out);
        }
    }

    pub(super) fn say_withheld(
        &mut self,
        id: UnitId,
        act: StageAct,
        why: Rest,
        out: &mut Vec<Decision>,
    ) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let (targets, unbound) = self.targets(unit);
        let targets =
            u32::try_from(targets.len().saturating_add(unbound.len())).unwrap_or(u32::MAX);
        self.tell(id, What::Withheld { act, targets, why }, out);
    }

    /// Closes a unit's incident, if one is open.
    pub(super) fn close(&mut self, id: UnitId, how: Closing, out: &mut Vec<Decision>) {
        match how {
            // Nobody is left to spare, and the act still has to make sure of that.
            Closing::Ended(_) | Closing::Exited | Closing::Recovered | Closing::Denied => {}
            Closing::Answered | Closing::Merged | Closing::Unmatched | Closing::RuleRemoved => {
                self.withdraw(id, out);
            }
        }
        self.thaw(id, out);
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let Some(mut incident) = unit.incident.take() else {
            return;
        };
        if let Some(since) = unit.exempt {
            // What it waited since then was not served.
            incident.stand(since, now);
        }
        unit.past = Some(incident.past(now, &unit.rule));
        let lasted = now.since(incident.opened);
        let notice = Notice {
            at: now,
            incident: incident.id,
            mode: unit.rule.mode,
            evidence: unit
                .evidence
                .clone()
                .unwrap_or_else(|| Arc::new(Evidence::bare(&unit.rule, unit.key, &unit.subject))),
            what: What::Closed { how, lasted },
        };
        self.send_last(id, incident.id, how, &notice.evidence, out);
        out.push(Decision::Tell(notice));
        // Of trees that people have stopped, none counts as ended of our own accord.
        if how.certainty().is_some() && incident.bidding().is_none() {
            self.note_ending(id);
        }
    }

    pub(super) fn tell(&mut self, id: UnitId, what: What, out: &mut Vec<Decision>) {
        let Some(evidence) = self.testify(id) else {
            return;
        };
        self.tell_with(id, what, &evidence, out);
    }

    pub(super) fn tell_with(
        &self,
        id: UnitId,
        what: What,
        evidence: &Arc<Evidence>,
        out: &mut Vec<Decision>,
    ) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let Some(incident) = &unit.incident else {
            return;
        };
        out.push(Decision::Tell(Notice {
            at: self.now,
            incident: incident.id,
            mode: unit.rule.mode,
            evidence: evidence.clone(),
            what,
        }));
    }
}

/// Whether people hear of an incident for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    First,
    Again,
}
