//! What people and rule files say: pauses, new rules.

use std::sync::Arc;
use std::time::Duration;

use super::shelf::Filing;
use super::unit::{Unit, UnitId};
use super::{Judge, replies};
use crate::engine::answer::{Answer, Granted, Wish};
use crate::engine::decision::{Closing, Decision, PauseView};
use crate::engine::evidence::Exemption;
use crate::engine::forest::{Life, Serial};
use crate::engine::process::Uid;
use crate::engine::rule::{RuleName, RuleSet};
use crate::engine::units::Mono;

impl Judge {
    /// Takes in what a person said, and tells what came of it. What was accepted before the last call cancels the signal.
    pub(super) fn take_answer(&mut self, answer: Answer, out: &mut Vec<Decision>) {
        let by = answer.by;
        let came = match answer.what {
            Wish::Pause { span, rule } => {
                self.pause(by, span, rule);
                Ok(Granted::Paused)
            }
            Wish::Resume { rule } => {
                let theirs = |pause: &PauseView| by == Uid::ROOT || pause.by == by;
                let this = |pause: &PauseView| rule.is_none() || pause.rule == rule;
                self.pauses.retain(|pause| !(theirs(pause) && this(pause)));
                Ok(Granted::Paused)
            }
            Wish::Reply { whom, reply } => self.reply(by, whom, reply, out),
            Wish::Forget { which } => self.forget(by, &which, out),
        };
        if came.is_ok() {
            self.look_now(|unit| replies::is_theirs(by, unit));
        }
        out.push(Decision::Reply(came));
    }

    fn pause(&mut self, by: Uid, span: Option<Duration>, rule: Option<RuleName>) {
        let until = span.map_or(Mono::NEVER, |span| self.now.after(span));
        self.pauses
            .retain(|pause| pause.by != by || pause.rule != rule);
        let pause = PauseView { by, rule, until };
        let covers = |unit: &Unit| self.pause_applies(&pause, unit);
        let covered = self.units.iter().filter(|(_, unit)| covers(unit));
        let covered: Vec<UnitId> = covered.map(|(id, _)| *id).collect();
        self.pauses.push(pause);
        for id in covered {
            // Who is to be left alone is not to be stopped any more.
            let unit = self.units.get_mut(&id);
            if let Some(incident) = unit.and_then(|unit| unit.incident.as_mut()) {
                incident.relent(self.now);
            }
        }
    }

    /// Whether a pause covers a unit now. Root's covers everyone's, anybody else's what is theirs and what they are told of.
    pub(super) fn pause_applies(&self, pause: &PauseView, unit: &Unit) -> bool {
        let theirs = replies::is_theirs(pause.by, unit);
        let this = pause
            .rule
            .as_ref()
            .is_none_or(|rule| *rule == unit.rule.name);
        theirs && this && pause.until > self.now
    }

    /// What a person said by which a unit is left alone now.
    pub(super) fn let_be(&self, unit: &Unit) -> Option<Exemption> {
        let allowed = self.exception_of(unit).map(|found| Exemption::Allowed {
            number: found.number,
            by: found.by,
        });
        let snoozed = || {
            let snooze = unit.incident.as_ref()?.snoozing(self.now)?;
            Some(Exemption::Snoozed {
                until: snooze.until,
                by: snooze.by,
            })
        };
        allowed.or_else(snoozed).or_else(|| self.paused(unit))
    }

    fn paused(&self, unit: &Unit) -> Option<Exemption> {
        let pause = self
            .pauses
            .iter()
            .filter(|pause| self.pause_applies(pause, unit))
            .max_by_key(|pause| pause.until)?;
        Some(Exemption::Paused {
            until: pause.until,
            by: pause.by,
        })
    }

    pub(super) fn look_now(&mut self, which: impl Fn(&Unit) -> bool) {
        for unit in self.units.values_mut().filter(|unit| which(unit)) {
            unit.next_look = unit.next_look.min(self.now);
        }
    }

    /// Takes new rules. Incidents live on by rule name; everything is answered afresh.
    pub(super) fn take_rules(&mut self, rules: Arc<RuleSet>, out: &mut Vec<Decision>) {
        let new_variables = rules
            .variables
            .iter()
            .any(|name| !self.rules.variables.contains(name));
        let undecided = Self::spares_anybody(&self.rules) || Self::spares_anybody(&rules);
        self.filing = Filing::under(&rules);
        let old = std::mem::replace(&mut self.rules, rules);
        let new_variables = self.take_labels() || new_variables;
        let ids: Vec<UnitId> = self.units.keys().copied().collect();
        for id in ids {
            self.carry_over(id, out);
        }
        // A rule of the same name may have another ladder now: what was reached on the old one says nothing.
        self.pasts.clear();
        // Of the dead that are still counted nothing more is to be learnt.
        let living = |serial: &Serial| {
            let node = self.forest.node(*serial);
            node.is_some_and(|node| !matches!(node.life, Life::Dead(_)))
        };
        let everyone: Vec<Serial> = self.dossiers.keys().copied().filter(living).collect();
        for serial in &everyone {
            self.renumber_kept(*serial, &old);
            if self.is_shelved(*serial) {
                self.fetch_for_rules(*serial, undecided);
                continue;
            }
            self.answer(*serial);
            if new_variables {
                self.expect(*serial);
            }
        }
        // Protection and boundaries may have changed too; facts are learnt again only where they must be.
        self.restand(&everyone, out);
        self.hopeful.extend(everyone);
        self.stirred = true;
        self.next_review = self.now;
    }

    fn carry_over(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let found = (0..)
            .zip(&self.rules.rules)
            .find(|(_, rule)| rule.name == unit.rule.name && rule.scope == unit.rule.scope);
        let Some((index, rule)) = found.map(|(index, rule)| (index, rule.clone())) else {
            self.close(id, Closing::RuleRemoved, out);
            self.dissolve(id);
            return;
        };
        let now = self.now;
        self.withdraw(id, out);
        // Limits are judged afresh, and the ladder may have no stage that goes on from there.
        self.thaw(id, out);
        if let Some(unit) = self.units.get_mut(&id) {
            unit.take_rule(rule, index, now);
        }
    }

    fn renumber_kept(&mut self, serial: Serial, old: &RuleSet) {
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        let renumber = |index: &usize| {
            let name = &old.rules.get(*index)?.name;
            self.rules.rules.iter().position(|rule| rule.name == *name)
        };
        if let Some(kept) = dossier.kept.take() {
            let kept: Vec<usize> = kept.iter().filter_map(renumber).collect();
            dossier.keep_from(&kept);
        }
    }
}
