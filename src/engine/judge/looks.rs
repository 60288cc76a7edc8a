//! When to list, to learn and to look: pay only for what is judged.
//!
//! With events and nothing judged, nothing is read but one directory listing a minute. A unit is looked at when a
//! limit of it could first be over: every `interval` for levels, later for what grows no faster than time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Judge;
use super::dossier::{Dossier, Learning, Papers};
use super::shelf::loose;
use super::unit::{SEEN_BEFORE, Unit, UnitId};
use crate::engine::account::Accounting;
use crate::engine::decision::{Decision, Hearing};
use crate::engine::evidence::{Exemption, Verdict};
use crate::engine::facts::Question;
use crate::engine::forest::{Life, Node, Serial};
use crate::engine::gate::{Gate, vitals};
use crate::engine::matcher::{Answer, Volatility};
use crate::engine::process::{Pid, Text};
use crate::engine::snapshot::{Ask, Want};
use crate::engine::units::Mono;

/// How often all numbers are listed while events are heard.
const LIST_WITH_EVENTS: Duration = Duration::from_secs(60);
/// Records of the dead are kept for so long after nobody needs them.
const RECORDS_LAST: Duration = Duration::from_secs(60);
/// A unit is looked at this often at the latest, and the scan tier re-checks every process within it.
const AT_THE_LATEST: Duration = Duration::from_secs(10);
/// Figures of a process that has not run are held for so long at least,
const HELD_AT_LEAST: Duration = Duration::from_secs(20);
/// and some for so many seconds more, lest all of them be read in one look.
const SPREAD: u64 = 10;

/// Of those who are looked at because something was missed, so many at once.
const AT_ONCE: usize = 512;

impl Judge {
    /// Asks for everything whose time has come.
    pub(super) fn ask_what_is_due(&mut self, out: &mut Vec<Decision>) {
        let listing = self.next_list <= self.now;
        if listing {
            let pace = match self.hearing {
                Hearing::Events => LIST_WITH_EVENTS,
                Hearing::Nothing => self.rules.interval,
            };
            self.next_list = self.now.after(pace);
            out.push(Decision::List);
        }
        self.ask_for_records(out);
        self.ask_facts(out);
        if listing && self.hearing == Hearing::Nothing {
            self.recheck();
        }
        self.ask_figures(out);
    }

    /// Has records of the dead kept while something is judged by its CPU time, and a while longer.
    fn ask_for_records(&mut self, out: &mut Vec<Decision>) {
        if self.units.values().any(Unit::counts_cpu) {
            self.accounting_until = self.now.after(RECORDS_LAST);
        }
        let wanted = match self.hearing {
            // Without events nobody would know whose they are.
            Hearing::Events if self.now < self.accounting_until => Accounting::Wanted,
            Hearing::Events | Hearing::Nothing => Accounting::Unwanted,
        };
        if self.accounting != wanted {
            self.accounting = wanted;
            out.push(Decision::Account(wanted));
        }
    }

    /// When `step` must be called again if nothing else happens.
    pub fn next_deadline(&self) -> Option<Mono> {
        let learn = self.ripe.first().map(|(at, _)| *at);
        let look = self
            .units
            .values()
            .filter(|unit| unit.asked.is_none())
            .map(|unit| unit.next_look)
            .min();
        let late = self
            .units
            .values()
            .filter_map(|unit| unit.asked)
            .min()
            .map(|asked| asked.after(self.patience()));
        let lost = self.flights.values().map(|flight| flight.until).min();
        let resume = self
            .pauses
            .iter()
            .map(|pause| pause.until)
            .filter(|until| *until < Mono::NEVER)
            .min();
        let review = self.reviews().then_some(self.next_review);
        let doubtful = (!self.doubtful.is_empty()).then_some(self.now);
        [
            doubtful,
            self.errands.deadline(),
            self.patience_ends(),
            self.next_proof(),
            self.beats_wait(),
            Some(self.next_list),
            learn,
            look,
            late,
            lost,
            resume,
            review,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// How long a sample may take before it counts as not known.
    pub(super) fn patience(&self) -> Duration {
        self.rules.interval.saturating_mul(2)
    }

    fn ask_facts(&mut self, out: &mut Vec<Decision>) {
        let mut questions = Vec::new();
        while let Some((at, serial)) = self.ripe.first().copied() {
            if at > self.now {
                break;
            }
            self.ripe.pop_first();
            let Some((node, dossier)) =
                self.forest.node(serial).zip(self.dossiers.get_mut(&serial))
            else {
                continue;
            };
            dossier.due = Mono::NEVER;
            if node.life == Life::Leaving {
                // Nothing more may be heard of it: it is looked at from time to time.
                self.asks.push(ask(node, Want::default()));
            }
            let settled = dossier.learning == Learning::Settled;
            if settled && node.life == Life::Alive {
                continue;
            }
            if !settled {
                questions.push(question(serial, node, &self.rules.variables));
            }
            // What does not come is asked for again.
            dossier.learning = if settled {
                Learning::Settled
            } else {
                Learning::Asked
            };
            self.schedule(serial, self.now.after(AT_THE_LATEST));
        }
        self.ask_proofs(&mut questions);
        if !questions.is_empty() {
            out.push(Decision::Learn(questions));
        }
    }

    fn ask_figures(&mut self, out: &mut Vec<Decision>) {
        let mut asks = std::mem::take(&mut self.asks);
        let rest = self.doubtful.len().saturating_sub(AT_ONCE);
        for serial in self.doubtful.split_off(rest) {
            asks.extend(
                self.forest
                    .node(serial)
                    .map(|node| ask(node, Want::default())),
            );
        }
        let mut whom: Vec<(Serial, Want)> = Vec::new();
        let (now, patience) = (self.now, self.patience());
        let mut looked = Vec::new();
        for (id, unit) in &mut self.units {
            if unit.asked.is_some_and(|asked| now.since(asked) >= patience) {
                // The sample did not come: what was is not known to be so still.
                unit.asked = None;
                unit.verdict = Verdict::Unknown;
                if let Some(incident) = &mut unit.incident {
                    incident.lose_sight();
                }
            }
            if unit.asked.is_some() || unit.next_look > now {
                continue;
            }
            unit.asked = Some(now);
            looked.push(*id);
            let want = Want {
                anew: !unit.glances(),
                ..unit.want
            };
            whom.extend(unit.members.iter().map(|serial| (*serial, want)));
            whom.extend(unit.zombies.iter().map(|serial| (*serial, want)));
        }
        self.age_proofs(&looked);
        whom.sort_by_key(|(serial, _)| *serial);
        // Who belongs to several units is asked once, for all of them.
        whom.dedup_by(|(next, also), (serial, want)| {
            let same = next == serial;
            if same {
                *want = want.or(*also);
            }
            same
        });
        asks.reserve(whom.len());
        asks.extend(
            whom.into_iter()
                .filter_map(|(serial, want)| self.ask_again(serial, want)),
        );
        if !asks.is_empty() {
            let by = now.after(patience);
            let looked = looked.iter().filter_map(|id| self.units.get(id));
            let groups: BTreeSet<Text> = looked
                .flat_map(|unit| [self.group(unit), self.premises(unit), self.freezer(unit)])
                .flatten()
                .collect();
            out.push(Decision::Sample {
                asks,
                groups: groups.into_iter().collect(),
                // Every look brings what any gate asks for: a unit may be judged on a look for somebody else, and
                // what was read for another look is of another moment.
                vitals: vitals(self.units.values().flat_map(|unit| &unit.rule.gates)),
                by,
            });
        }
    }

    /// The question about a member: whether it has run, where that is enough.
    fn ask_again(&self, serial: Serial, want: Want) -> Option<Ask> {
        let node = self.forest.node(serial)?;
        let latest = self.dossiers.get(&serial)?.latest();
        if !self.forest.is_settled(serial) {
            return Some(ask(node, want));
        }
        let more = u64::from(node.pid.number()).wrapping_rem(SPREAD);
        let patience = HELD_AT_LEAST.saturating_add(Duration::from_secs(more));
        let anew = want.anew || !latest.may_stand(want, self.now.before(patience));
        Some(Ask {
            ran: latest.ran,
            want: Want { anew, ..want },
            ..ask(node, want)
        })
    }

    /// In the scan tier, looks at a tenth of all processes each interval: a number may have a new holder, an image
    /// may be another.
    fn recheck(&mut self) {
        let rounds = AT_THE_LATEST
            .as_millis()
            .checked_div(self.rules.interval.as_millis())
            .unwrap_or(1)
            .max(1);
        let share = self
            .forest
            .len()
            .checked_div(usize::try_from(rounds).unwrap_or(usize::MAX))
            .unwrap_or(0);
        let after = self.cursor.take();
        let mut taken: usize = 0;
        for (serial, node) in self
            .forest
            .iter()
            .filter(|(serial, _)| after.is_none_or(|after| *serial > after))
        {
            if taken > share {
                return;
            }
            taken = taken.saturating_add(1);
            self.cursor = Some(serial);
            if !matches!(node.life, Life::Dead(_)) {
                self.asks.push(ask(node, Want::default()));
            }
        }
        // The end was reached: the next round starts over.
        self.cursor = None;
    }

    /// Compares a listing with what is known; whoever differs is looked at.
    pub(super) fn compare(&mut self, listed: &[Pid]) {
        // A look that did not come back is taken again.
        let again = self.hearing == Hearing::Events && self.silence.lasts();
        let missed = std::mem::take(&mut self.missed) || again;
        if missed {
            let living = |(_, node): &(Serial, &Node)| !matches!(node.life, Life::Dead(_));
            let everyone = self.forest.iter().filter(living);
            self.doubtful = everyone.map(|(serial, _)| serial).collect();
        }
        self.note_listing(listed);
        let (strangers, missing) = self.forest.differs(listed);
        if missed {
            let known = self.doubtful.iter();
            let known = known.filter_map(|serial| Some(self.forest.node(*serial)?.pid));
            self.silence.count(known.chain(strangers.iter().copied()));
        }
        self.strangers = strangers.iter().map(|pid| (*pid, self.now)).collect();
        if !strangers.is_empty() {
            self.ask_session_makers();
        }
        for pid in strangers {
            self.asks.push(Ask {
                pid,
                key: None,
                start: None,
                want: Want::default(),
                ran: None,
            });
        }
        for serial in missing {
            let Some(node) = self.forest.node(serial) else {
                continue;
            };
            match node.life {
                Life::Dead(_) => self.reap(serial),
                // A listing is no proof of death: the number may have moved while it was taken.
                Life::Alive | Life::Leaving => self.asks.push(ask(node, Want::default())),
            }
        }
    }

    /// Looks at those who made a session and are judged, or may be soon: whoever is found in it is theirs only if they
    /// are seen alive in the same look.
    fn ask_session_makers(&mut self) {
        let concerned = |serial: &Serial| {
            self.dossiers.get(serial).is_some_and(|dossier| {
                !dossier.units.is_empty() || dossier.learning != Learning::Settled
            })
        };
        let makers = self
            .forest
            .iter()
            .filter(|(serial, node)| node.session && node.life == Life::Alive && concerned(serial));
        self.asks
            .extend(makers.map(|(_, node)| ask(node, Want::default())));
    }

    /// When a unit is looked at next, by its last measures.
    pub(super) fn plan(&mut self, id: UnitId) {
        let (now, interval, cores) = (self.now, self.rules.interval, self.machine.cores);
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let soonest = now.after(interval);
        let mut next = now.after(AT_THE_LATEST);
        let waits = unit.verdict == Verdict::Exempt(Exemption::Closed);
        for gauge in &unit.gauges {
            if waits && !gauge.remembers() {
                // It is needed when the gate opens, and as it is then.
                continue;
            }
            next = next.min(
                gauge
                    .earliest(now, &unit.measures, cores)
                    .unwrap_or(soonest),
            );
        }
        // A unit is seen three times before anything fires, and often while something may.
        if unit.judged < SEEN_BEFORE
            || unit.incident.is_some()
            || matches!(
                unit.verdict,
                Verdict::Breaching | Verdict::Sustained | Verdict::Exempt(Exemption::Minded { .. })
            )
        {
            next = soonest;
        }
        let opening = |gate: &Gate| gate.opens_next_minute(&self.machine);
        if unit.rule.gates.iter().any(opening) {
            next = soonest;
        }
        next = next.max(soonest);
        let due = unit
            .incident
            .as_ref()
            .and_then(|incident| incident.deadline(&unit.rule));
        if let Some(due) = due.filter(|due| *due > now) {
            next = next.min(due);
        }
        unit.next_look = next;
    }

    /// Whether any matcher's answer can change without an event.
    fn reviews(&self) -> bool {
        self.rules.rules.iter().any(|rule| loose(&rule.matcher))
    }

    /// Holds matchers that ripen or drift against their candidates again.
    pub(super) fn review(&mut self) {
        if self.next_review > self.now {
            return;
        }
        self.next_review = self.now.after(AT_THE_LATEST);
        let candidates: Vec<usize> = (0..)
            .zip(&self.rules.rules)
            .filter(|(_, rule)| loose(&rule.matcher))
            .map(|(index, _)| index)
            .collect();
        if candidates.is_empty() {
            return;
        }
        let open = |dossier: &Dossier| {
            dossier.learning == Learning::Settled
                && !matches!(dossier.papers, Papers::Shelved)
                && candidates
                    .iter()
                    .any(|rule| dossier.answer(*rule) != Answer::Yes)
        };
        let whom: BTreeSet<Serial> = self
            .dossiers
            .iter()
            .filter(|(_, dossier)| open(dossier))
            .map(|(serial, _)| *serial)
            .collect();
        for serial in whom {
            self.answer(serial);
            let drifting = |rule: &usize| {
                let drifts = self
                    .rules
                    .rules
                    .get(*rule)
                    .is_some_and(|rule| rule.matcher.changes(Volatility::Drifts));
                let answer = self
                    .dossiers
                    .get(&serial)
                    .map(|dossier| dossier.answer(*rule));
                drifts && answer == Some(Answer::Unknown)
            };
            if candidates.iter().any(drifting) {
                self.expect(serial);
            }
            self.hopeful.insert(serial);
            self.stirred = true;
        }
    }
}

/// The question about a process that is known.
pub(super) fn ask(node: &Node, want: Want) -> Ask {
    Ask {
        pid: node.pid,
        key: node.key,
        start: Some(node.start),
        want,
        ran: None,
    }
}

/// What to ask of what a process runs, these variables included.
pub(super) fn question(serial: Serial, node: &Node, variables: &Arc<[String]>) -> Question {
    Question {
        about: serial,
        pid: node.pid,
        key: node.key,
        start: Some(node.start),
        exec: node.exec,
        variables: variables.clone(),
    }
}
