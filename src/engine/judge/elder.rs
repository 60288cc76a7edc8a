//! The machine's beadle goes first: asking it, and leaving alone what it minds. Why and when, [`elder`](crate::engine::elder) says.
//!
//! **Invariants.** Nothing opens and no stage is carried out on an answer that was asked for before it was due, or is older than
//! [`GOOD_FOR`]. At most one question is under way.

use std::collections::BTreeSet;

use super::Judge;
use super::unit::{Unit, UnitId};
use crate::engine::decision::{Decision, Rest};
use crate::engine::elder::{Course, GOOD_FOR, LOST, Minded, Rank, SETTLES, Word};
use crate::engine::evidence::{Exemption, Verdict};
use crate::engine::incident::{Incident, Phase};
use crate::engine::process::{ProcKey, Uid};
use crate::engine::rule::Mode;
use crate::engine::units::Mono;

/// What is known of the machine's beadle.
#[derive(Debug, Default)]
pub(super) struct Counsel {
    word: Option<Word>,
    /// When that came.
    heard: Mono,
    /// Since when a question is under way.
    asked: Option<Mono>,
}

impl Judge {
    /// Takes in an answer.
    pub(super) fn take_word(&mut self, word: Word) {
        self.counsel.asked = None;
        self.counsel.heard = self.now;
        let before = self.counsel.word.replace(word);
        let same = before.map(|word| word.minds)
            == self.counsel.word.as_ref().map(|word| word.minds.clone());
        let now = self.now;
        for unit in self.units.values_mut() {
            let left = matches!(unit.verdict, Verdict::Exempt(Exemption::Minded { .. }));
            if unit.counsel.is_some() && !(left && same) {
                unit.next_look = unit.next_look.min(now);
            }
        }
    }

    /// How many units are left to the machine's beadle; `None` where there is none.
    pub fn left_to_elder(&self) -> Option<usize> {
        self.counsel.word.as_ref()?.minds.as_ref()?;
        let left = |unit: &&Unit| matches!(unit.verdict, Verdict::Exempt(Exemption::Minded { .. }));
        Some(self.units.values().filter(left).count())
    }

    /// What we mind ourselves, for those who go after us.
    /// With whose tree it is, and who else has members in it.
    pub fn minds(&self) -> Vec<(Option<Uid>, BTreeSet<Uid>, Minded)> {
        let minded = |unit: &Unit| {
            let incident = unit.incident.as_ref()?;
            // What is only recorded is told to nobody: whoever has something to tell may.
            if unit.rule.mode == Mode::Observe {
                return None;
            }
            let course = match (&unit.verdict, &incident.phase) {
                (Verdict::Exempt(Exemption::Closed | Exemption::Minded { .. }), _)
                | (_, Phase::Resting(_)) => Course::Tells,
                (Verdict::Exempt(_), _) | (_, Phase::Preparing(_) | Phase::Acting(_)) => {
                    Course::GoesOn
                }
                (_, Phase::Climbing)
                    if incident.may_act(unit.rule.mode) && incident.due(&unit.rule).is_some() =>
                {
                    Course::GoesOn
                }
                (_, Phase::Climbing) => Course::Tells,
            };
            let minded = Minded {
                incident: incident.id,
                rule: unit.rule.name.clone(),
                course,
                members: self.keys_of(unit).collect(),
            };
            let members = unit.members.iter();
            let owners = members.filter_map(|serial| self.forest.node(*serial)?.owner);
            Some((unit.subject.owner, owners.collect(), minded))
        };
        self.units.values().filter_map(minded).collect()
    }

    fn keys_of<'a>(&'a self, unit: &'a Unit) -> impl Iterator<Item = ProcKey> + 'a {
        let members = unit.members.iter();
        members.filter_map(|serial| self.forest.node(*serial)?.key)
    }

    /// Whether the machine's beadle minds a unit, by the last answer.
    pub(super) fn minded(&self, unit: &Unit) -> Option<Exemption> {
        if self.settings.rank == Rank::First {
            return None;
        }
        let minds = self.counsel.word.as_ref()?.minds.as_ref()?;
        let holds = |minded: &&Minded| {
            let ours = minded.course == Course::GoesOn || unit.rule.mode != Mode::Enforce;
            ours && self.keys_of(unit).any(|key| minded.members.contains(&key))
        };
        let found = minds.iter().find(holds)?;
        Some(Exemption::Minded {
            incident: found.incident,
            rule: found.rule.clone(),
        })
    }

    /// A unit is left to the machine's beadle: it is asked again, and where our own incident stands still for that, it is said.
    pub(super) fn give_way(&mut self, id: UnitId, first: bool, out: &mut Vec<Decision>) {
        self.consult(self.now, out);
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        unit.counsel = Some(self.now);
        let Verdict::Exempt(Exemption::Minded { incident, rule }) = unit.verdict.clone() else {
            return;
        };
        let next = unit.incident.as_ref().and_then(|it| it.due(&unit.rule));
        if let Some(act) = next.map(|(stage, _)| stage.act.clone()).filter(|_| first) {
            let why = Rest::Minded { incident, rule };
            self.say_withheld(id, act, why, out);
        }
    }

    /// Whether the machine's beadle must be asked before anything comes of a unit now; it is being asked then.
    pub(super) fn asks_first(&mut self, id: UnitId, out: &mut Vec<Decision>) -> bool {
        if self.settings.rank == Rank::First {
            return false;
        }
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return false;
        };
        let since = match &unit.incident {
            Some(incident) => due(incident, unit, now),
            None => (unit.verdict == Verdict::Sustained)
                .then(|| unit.counsel.filter(|since| *since <= now).unwrap_or(now)),
        };
        unit.counsel = since;
        let Some(since) = since else {
            return false;
        };
        let opens = unit.incident.is_none();
        let word = self.counsel.word.as_ref();
        let good = word.is_some_and(|word| {
            let settled = match &word.minds {
                Some(_) if opens => since.after(SETTLES),
                Some(_) | None => since,
            };
            // That nobody answers takes its time to find out, and is news for as long.
            let known = match &word.minds {
                Some(_) => word.asked,
                None => self.counsel.heard,
            };
            word.asked >= settled && now.since(known) <= GOOD_FOR
        });
        if !good {
            self.consult(since, out);
        }
        !good
    }

    /// Asks, unless that was asked already.
    fn consult(&mut self, since: Mono, out: &mut Vec<Decision>) {
        let now = self.now;
        let counsel = &mut self.counsel;
        if counsel.asked.is_some_and(|asked| now.since(asked) < LOST) {
            return;
        }
        // Not again for each of many units, and each of their looks.
        let new = |word: &Word| word.asked >= since && now.since(word.asked) < self.rules.interval;
        if counsel.word.as_ref().is_some_and(new) {
            return;
        }
        counsel.asked = Some(now);
        out.push(Decision::Consult);
    }
}

/// Since when a stage of this incident is due that may be carried out.
fn due(incident: &Incident, unit: &Unit, now: Mono) -> Option<Mono> {
    if incident.bidding().is_some() {
        return None;
    }
    let tries = match incident.phase {
        Phase::Climbing => true,
        // It is tried again at each look.
        Phase::Resting(_) => unit.rule.mode == Mode::Enforce,
        Phase::Preparing(_) | Phase::Acting(_) => false,
    };
    let due = incident.due(&unit.rule).map(|(_, due)| due);
    due.filter(|due| tries && *due <= now)
}
