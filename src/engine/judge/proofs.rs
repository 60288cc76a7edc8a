//! When it is asked again what a process carries, or where it is: what was known of it is too old, or was about another image.
//!
//! **Invariants.** Every question that matters is put again until it is answered, ever more rarely, and none more often than
//! every [`ASKED_AT_MOST`]. Whoever is dead is not asked.

use std::time::Duration;

use super::census::YOUTH;
use super::dossier::Learning;
use super::jobs::Proof;
use super::unit::UnitId;
use super::{Judge, looks};
use crate::engine::decision::Hearing;
use crate::engine::facts::Question;
use crate::engine::forest::{Life, Serial};
use crate::engine::label::Badge;
use crate::engine::process::ProcKey;
use crate::engine::units::Mono;
use crate::engine::warrant::{Outcome, Report, Withheld};

/// Where execs are not heard, an environment is read again after this, at the next look.
const PROOF_AGES: Duration = Duration::from_secs(3);
/// Nobody is asked more often than this by itself.
const ASKED_AT_MOST: Duration = Duration::from_secs(2);
/// What could not be read is asked for again after a second, then two, four, up to this many doublings.
const MOST_DOUBLINGS: u8 = 6;

impl Judge {
    /// Its environment could not be read: it is asked for again, ever more rarely.
    pub(super) fn ask_later(&mut self, serial: Serial) {
        if !self.rules.tells_by_labels() {
            return;
        }
        let wait = self.patience_with(serial);
        self.schedule_proof(serial, self.now.after(wait));
    }

    /// Has an environment read again at that moment, or sooner where that was due already.
    pub(super) fn schedule_proof(&mut self, serial: Serial, at: Mono) {
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        let due = dossier.carried.due.min(at);
        let old = std::mem::replace(&mut dossier.carried.due, due);
        self.proofs.remove(&(old, serial));
        self.proofs.insert((due, serial));
    }

    /// How long after an answer that did not come the question is put again.
    pub(super) fn patience_with(&mut self, serial: Serial) -> Duration {
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return YOUTH;
        };
        let slow = &mut dossier.carried.slow;
        let wait = YOUTH.saturating_mul(1_u32 << (*slow).min(MOST_DOUBLINGS));
        *slow = slow.saturating_add(1);
        wait
    }

    /// Whoever the door found to carry something else is asked again: what was recorded of it is not so.
    pub(super) fn doubt_those_who_left(&mut self, report: &Report) {
        let left =
            |(_, outcome): &&(ProcKey, Outcome)| *outcome == Outcome::Withheld(Withheld::Left);
        for (key, _) in report.each.iter().filter(left) {
            let Some(serial) = self.forest.find(*key) else {
                continue;
            };
            if let Some(dossier) = self.dossiers.get_mut(&serial) {
                dossier.carried.doubt();
                dossier.filed = None;
            }
            self.schedule_proof(serial, self.now);
        }
    }

    /// Events were lost: anybody may run another image.
    pub(super) fn doubt_labels(&mut self) {
        if self.labels.is_empty() {
            return;
        }
        let mut whom = Vec::new();
        for (serial, dossier) in &mut self.dossiers {
            dossier.carried.doubt();
            if dossier.carried.has_any() || !dossier.units.is_empty() {
                whom.push(*serial);
            }
        }
        for serial in whom {
            self.schedule_proof(serial, self.now);
        }
    }

    /// When somebody's environment is to be read again.
    pub(super) fn next_proof(&self) -> Option<Mono> {
        self.proofs.first().map(|(at, _)| *at)
    }

    /// Where execs are not heard, the members of a job are asked again before what is known of them is too old. Elsewhere
    /// those of whom nothing is known are asked all the same: an answer may have been lost. So are those who are told by a
    /// control group that shows no list: it may be gone.
    pub(super) fn age_proofs(&mut self, looked: &[UnitId]) {
        let mut whom: Vec<Serial> = Vec::new();
        for unit in looked.iter().filter_map(|id| self.units.get(id)) {
            let Some(label) = &unit.label else { continue };
            let idle = |serial: &&Serial| {
                let dossier = self.dossiers.get(*serial);
                let fresh = match label.badge {
                    Badge::Variable { .. } => self.is_fresh(**serial),
                    Badge::Cgroup { .. } => self.is_place_fresh(**serial),
                };
                dossier.is_some_and(|it| it.carried.due == Mono::NEVER && !fresh)
            };
            whom.extend(unit.members.iter().filter(idle));
        }
        for serial in whom {
            self.schedule_proof(serial, self.now);
        }
    }

    /// Whether nobody needs to ask what a process carries.
    fn is_fresh(&self, serial: Serial) -> bool {
        if self.labels.is_empty() {
            return true;
        }
        let proof = self.dossiers.get(&serial).map(|it| it.carried.proof);
        match (proof, self.hearing) {
            (None, _) | (Some(Proof::Since(_)), Hearing::Events) => true,
            (Some(Proof::Since(at)), Hearing::Nothing) => self.now.since(at) < PROOF_AGES,
            (Some(Proof::Before), _) => false,
        }
    }

    /// The questions about environments that are due. Each is put again until it is answered, ever more rarely.
    pub(super) fn ask_proofs(&mut self, questions: &mut Vec<Question>) {
        while let Some((at, serial)) = self.proofs.first().copied() {
            if at > self.now {
                return;
            }
            self.proofs.pop_first();
            let now = self.now;
            let fresh = self.is_fresh(serial) && self.is_place_fresh(serial);
            let both = self.forest.node(serial).zip(self.dossiers.get_mut(&serial));
            let Some((node, dossier)) = both else {
                continue;
            };
            let carried = &mut dossier.carried;
            carried.due = Mono::NEVER;
            if fresh || matches!(node.life, Life::Dead(_)) {
                continue;
            }
            // Whoever is being learnt is asked already.
            let settled = dossier.learning == Learning::Settled;
            let soonest = carried.asked.after(ASKED_AT_MOST);
            if !settled || soonest > now {
                self.schedule_proof(serial, soonest.max(now.after(YOUTH)));
                continue;
            }
            carried.asked = now;
            questions.push(looks::question(serial, node, &self.rules.variables));
            self.ask_later(serial);
        }
    }
}
