//! The stages: nudges, last calls, warrants, reports, closings.
//!
//! **Invariants.** Nothing fires before three snapshots, nor within a minute of waking. One act is under way per
//! process. Between the last call and the warrant nothing is waited for.

use std::sync::Arc;
use std::time::Duration;

use super::dossier::{Dossier, Learning, Leashed};
use super::unit::{Unit, UnitId};
use super::{Flight, Judge};
use crate::engine::decision::{Closing, Decision, Notice, Rest, What};
use crate::engine::evidence::{Evidence, Verdict};
use crate::engine::forest::Serial;
use crate::engine::guard::Standing;
use crate::engine::incident::{Incident, Phase, Step};
use crate::engine::rule::{Mode, Signal, StageAct};
use crate::engine::snapshot::RunState;
use crate::engine::warrant::{
    Epoch, HardTie, Newborn, Order, Outcome, Report, Target, Unbound, Warrant, WarrantId, Withheld,
};

/// Snapshots before anything fires.
const BEFORE_ANYTHING: u64 = 3;
/// So many trees of one rule, owner, program and starter ended within a cooldown: somebody restarts them.
const RESPAWNS: usize = 3;
/// How long a warrant that asks may wait for its turn.
const ASK_EXPIRES: Duration = Duration::from_secs(2);
/// How long a warrant that ends may take.
const END_EXPIRES: Duration = Duration::from_secs(15);

impl Judge {
    /// Moves a unit's incident, if there is cause.
    pub(super) fn escalate(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        if self.snapshots < BEFORE_ANYTHING || self.now < self.quiet_until {
            return;
        }
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        if let Verdict::Exempt(_) = unit.verdict {
            return;
        }
        if unit.incident.is_none() {
            if unit.verdict != Verdict::Sustained || self.waits_for_inner(id) {
                return;
            }
            self.open(id, out);
        }
        let bar = self.bar(id);
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let Some(incident) = &mut unit.incident else {
            return;
        };
        match incident.judge(now, unit.sampled, &unit.verdict, &unit.rule, bar) {
            Step::Wait => self.remind(id, out),
            Step::Nudge => self.nudge(id, out),
            Step::Signal(_) => self.prepare(id, out),
            Step::Withhold { signal, why } => self.say_withheld(id, signal, why, out),
            Step::Close(how) => self.close(id, how, out),
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
            unit.incident = Some(Incident::open(fresh, unit.sampled));
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
            if self.dossiers.get(&serial).is_some_and(young) {
                self.expect(serial);
            }
        }
    }

    /// Why nothing but nudges may come of this unit now.
    fn bar(&self, id: UnitId) -> Option<Rest> {
        let unit = self.units.get(&id)?;
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
        let (targets, unbound) = self.targets(unit);
        (targets.is_empty() && unbound.is_empty()).then_some(Rest::Protected)
    }

    /// The living members that may be signalled, parents first.
    fn targets(&self, unit: &Unit) -> (Vec<Target>, Vec<Unbound>) {
        let (mut targets, mut unbound) = (Vec::new(), Vec::new());
        for serial in &unit.members {
            let Some((node, dossier)) = self.forest.node(*serial).zip(self.dossiers.get(serial))
            else {
                continue;
            };
            let outside = self.settings.leash.is_some() && dossier.leashed == Leashed::Outside;
            if dossier.standing != Standing::Plain || outside {
                continue;
            }
            let tie = if *serial == unit.root {
                Some(HardTie::Root)
            } else {
                node.tie
            };
            let Some(tie) = tie else { continue };
            match node.key {
                Some(key) => targets.push(Target {
                    key,
                    start: node.start,
                    tie,
                    exec: node.exec,
                    stopped: dossier.latest.state == Some(RunState::Stopped),
                }),
                None => unbound.push(Unbound {
                    pid: node.pid,
                    start: node.start,
                    tie,
                }),
            }
        }
        (targets, unbound)
    }

    fn nudge(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        if self.waits_for_inner(id) || self.told_just_now(id) {
            return;
        }
        self.send_nudge(id, Told::First, out);
        let now = self.now;
        if let Some(incident) = self
            .units
            .get_mut(&id)
            .and_then(|unit| unit.incident.as_mut())
        {
            incident.done(now);
        }
    }

    fn send_nudge(&mut self, id: UnitId, told: Told, out: &mut Vec<Decision>) {
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let Some(incident) = &mut unit.incident else {
            return;
        };
        incident.told = Some(now);
        let next = incident.ahead(&unit.rule, incident.next.saturating_add(1));
        let rests = match (unit.rule.mode, next, &incident.phase) {
            (Mode::Observe | Mode::Nudge, Some(_), _) => Some(Rest::Mode(unit.rule.mode)),
            (_, _, Phase::Resting(why)) => Some(why.clone()),
            (Mode::Observe | Mode::Nudge | Mode::Enforce, Some(_) | None, _) => None,
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
        if over
            && rests
            && incident
                .told
                .is_some_and(|told| self.now.since(told) >= pace)
        {
            self.send_nudge(id, Told::Again, out);
        }
    }

    fn say_withheld(&mut self, id: UnitId, signal: Signal, why: Rest, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let (targets, unbound) = self.targets(unit);
        let targets =
            u32::try_from(targets.len().saturating_add(unbound.len())).unwrap_or(u32::MAX);
        self.tell(
            id,
            What::Withheld {
                signal,
                targets,
                why,
            },
            out,
        );
    }

    fn prepare(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        if self.waits_for_inner(id) || self.another_acts(id) {
            return;
        }
        let warrant = self.new_warrant();
        let Some(incident) = self
            .units
            .get_mut(&id)
            .and_then(|unit| unit.incident.as_mut())
        else {
            return;
        };
        incident.phase = Phase::Preparing(warrant);
        self.flights.insert(
            warrant,
            Flight {
                unit: id,
                warrant: None,
            },
        );
        out.push(Decision::Prepare(warrant));
    }

    /// Whether some member is part of another act already.
    fn another_acts(&self, id: UnitId) -> bool {
        let Some(unit) = self.units.get(&id) else {
            return true;
        };
        self.flights
            .values()
            .filter(|flight| flight.unit != id)
            .any(|flight| {
                let other = self.units.get(&flight.unit);
                other.is_some_and(|other| !other.members.is_disjoint(&unit.members))
            })
    }

    /// Everything accepted before this moment has been taken in: sign, or let go.
    pub(super) fn last_call(&mut self, id: WarrantId, out: &mut Vec<Decision>) {
        let Some(unit_id) = self.flights.get(&id).map(|flight| flight.unit) else {
            return;
        };
        let signed = self.sign(id, unit_id);
        let Some(incident) = self
            .units
            .get_mut(&unit_id)
            .and_then(|unit| unit.incident.as_mut())
        else {
            self.flights.remove(&id);
            return;
        };
        let Some(warrant) = signed else {
            incident.called_off();
            self.flights.remove(&id);
            return;
        };
        let what = What::Signal {
            warrant: id,
            signal: warrant.order.signal(),
            targets: warrant.pids(),
            served: self.now.since(incident.clock),
        };
        incident.phase = Phase::Acting(id);
        incident.signalled = true;
        self.tell_with(unit_id, what, &warrant.evidence, out);
        self.flights.insert(
            id,
            Flight {
                unit: unit_id,
                warrant: Some(warrant.clone()),
            },
        );
        out.push(Decision::Carry(warrant));
    }

    /// The warrant, if everything still holds.
    fn sign(&mut self, id: WarrantId, unit_id: UnitId) -> Option<Arc<Warrant>> {
        let evidence = self.testify(unit_id)?;
        let unit = self.units.get_mut(&unit_id)?;
        let incident = unit.incident.as_mut()?;
        let root = self.dossiers.get(&unit.root);
        if root.is_some_and(|root| root.learning != Learning::Settled) && incident.hold() {
            // It runs another image: whether that matches is not known yet.
            return None;
        }
        let unit = self.units.get(&unit_id)?;
        let incident = unit.incident.as_ref()?;
        let still = matches!(unit.verdict, Verdict::Sustained | Verdict::Breaching);
        let fresh = self.now.since(unit.sampled) <= self.rules.interval.saturating_mul(2);
        let exempt = self
            .pauses
            .iter()
            .any(|pause| self.pause_applies(pause, unit));
        if incident.phase != Phase::Preparing(id)
            || !still
            || !fresh
            || exempt
            || unit.rule.mode != Mode::Enforce
        {
            return None;
        }
        let StageAct::Signal(signal) = unit.rule.ladder.get(incident.next)?.act else {
            return None;
        };
        let (targets, unbound) = self.targets(unit);
        if targets.is_empty() && unbound.is_empty() {
            return None;
        }
        let (order, newborn, expires) = match signal {
            Signal::Kill => (Order::End, Newborn::Refuse, END_EXPIRES),
            Signal::Hup
            | Signal::Int
            | Signal::Quit
            | Signal::Usr1
            | Signal::Usr2
            | Signal::Term => (Order::Ask(signal), Newborn::Admit, ASK_EXPIRES),
        };
        Some(Arc::new(Warrant {
            id,
            incident: incident.id,
            unit: unit.key,
            order,
            targets,
            unbound,
            newborn,
            spare: self.settings.spare.clone(),
            sampled: evidence.sampled,
            evidence,
            expires: self.now.after(expires),
            epoch: Epoch(unit.epoch),
            seen: self.seen,
        }))
    }

    /// Takes in what came of a warrant.
    pub(super) fn take_report(&mut self, report: &Report, out: &mut Vec<Decision>) {
        let Some(flight) = self.flights.remove(&report.warrant) else {
            return;
        };
        let now = self.now;
        let Some(unit) = self.units.get_mut(&flight.unit) else {
            return;
        };
        // Who died of it is seen at once, not at the next interval.
        unit.next_look = now;
        let Some(incident) = &mut unit.incident else {
            return;
        };
        if incident.phase != Phase::Acting(report.warrant) {
            return;
        }
        let tally = Tally::of(report);
        if tally.sent > 0 || (tally.denied == 0 && tally.withheld == 0) {
            incident.done(report.first.unwrap_or(report.at));
        } else if tally.denied > 0 {
            incident.denied = true;
            incident.signalled = incident.next > 0 && incident.signalled;
            incident.called_off();
            self.close(flight.unit, Closing::Denied, out);
        } else if tally.protected == tally.withheld {
            let signal = flight
                .warrant
                .as_ref()
                .map_or(Signal::Term, |warrant| warrant.order.signal());
            incident.called_off();
            if let Step::Withhold { signal, why } = incident.rest(signal, Rest::Protected) {
                self.say_withheld(flight.unit, signal, why, out);
            }
        } else {
            // Recalled or too old: nothing was sent, the stage is due again on the next snapshot.
            incident.called_off();
        }
        self.close_if_empty(flight.unit, out);
    }

    /// Withdraws authority over a unit: whatever is under way sends nothing more.
    pub(super) fn withdraw(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        unit.epoch = unit.epoch.saturating_add(1);
        let Some(incident) = &mut unit.incident else {
            return;
        };
        match incident.phase {
            Phase::Acting(warrant) => {
                out.push(Decision::Recall(warrant));
                incident.called_off();
            }
            Phase::Preparing(warrant) => {
                self.flights.remove(&warrant);
                incident.called_off();
            }
            Phase::Climbing | Phase::Resting(_) => {}
        }
    }

    /// Closes a unit's incident, if one is open.
    pub(super) fn close(&mut self, id: UnitId, how: Closing, out: &mut Vec<Decision>) {
        match how {
            // Nobody is left to spare, and the act still has to make sure of that.
            Closing::Ended | Closing::Exited | Closing::Recovered | Closing::Denied => {}
            Closing::Answered | Closing::Merged | Closing::Unmatched | Closing::RuleRemoved => {
                self.withdraw(id, out);
            }
        }
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let Some(incident) = unit.incident.take() else {
            return;
        };
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
        out.push(Decision::Tell(notice));
        if how == Closing::Ended {
            self.note_ending(id);
        }
    }

    fn tell(&mut self, id: UnitId, what: What, out: &mut Vec<Decision>) {
        let Some(evidence) = self.testify(id) else {
            return;
        };
        self.tell_with(id, what, &evidence, out);
    }

    fn tell_with(&self, id: UnitId, what: What, evidence: &Arc<Evidence>, out: &mut Vec<Decision>) {
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

/// A report, counted.
#[derive(Debug, Default)]
struct Tally {
    sent: usize,
    denied: usize,
    withheld: usize,
    protected: usize,
}

impl Tally {
    fn of(report: &Report) -> Self {
        let mut tally = Self::default();
        for (_, outcome) in &report.each {
            match outcome {
                // KILL was sent to a survivor too.
                Outcome::Sent | Outcome::Survived => tally.sent = tally.sent.saturating_add(1),
                Outcome::Gone => {}
                Outcome::Denied => tally.denied = tally.denied.saturating_add(1),
                Outcome::Withheld(why) => {
                    tally.withheld = tally.withheld.saturating_add(1);
                    if *why == Withheld::Protected {
                        tally.protected = tally.protected.saturating_add(1);
                    }
                }
            }
        }
        tally
    }
}
