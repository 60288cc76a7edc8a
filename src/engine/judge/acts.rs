//! Authority: who may be signalled, the last call, the warrant, and what came of it.
//!
//! **Invariants.** One act is under way per process. Between the last call and the warrant nothing is waited for.

use std::sync::Arc;
use std::time::Duration;

use super::dossier::Learning;
use super::freeze::Frozen;
use super::unit::{Unit, UnitId};
use super::{Flight, Judge};
use crate::engine::decision::{Closing, Decision, Rest, What};
use crate::engine::evidence::{Evidence, UnitKey, Verdict};
use crate::engine::incident::{Incident, Phase, Step};
use crate::engine::rule::{Rule, Signal, StageAct, To};
use crate::engine::snapshot::RunState;
use crate::engine::units::Mono;
use crate::engine::warrant::{
    Certainty, Epoch, HardTie, Newborn, Order, Outcome, Report, Target, Unbound, Warrant,
    WarrantId, Withheld,
};

/// How long after a warrant's end its report is waited for.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);
/// How long a warrant that asks may wait for its turn.
const ASK_EXPIRES: Duration = Duration::from_secs(2);
/// How long a warrant that ends may take.
const END_EXPIRES: Duration = Duration::from_secs(15);

impl Judge {
    /// The living members that may be signalled, parents first.
    pub(super) fn targets(&self, unit: &Unit) -> (Vec<Target>, Vec<Unbound>) {
        let (mut targets, mut unbound) = (Vec::new(), Vec::new());
        for serial in &unit.members {
            let Some((node, dossier)) = self.forest.node(*serial).zip(self.dossiers.get(serial))
            else {
                continue;
            };
            let Ok(tie) = self.answerable(unit, *serial, node, dossier) else {
                continue;
            };
            match node.key {
                Some(key) => targets.push(Target {
                    key,
                    start: node.start,
                    tie,
                    exec: node.exec,
                    stopped: dossier.latest().state == Some(RunState::Stopped),
                }),
                None => unbound.push(Unbound {
                    pid: node.pid,
                    start: node.start,
                    tie,
                }),
            }
        }
        // Parents first, also where a parent was found after its child.
        targets.sort_by_key(|target| target.start);
        (targets, unbound)
    }

    pub(super) fn prepare(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        // Who is bidden to stop does not wait for what is within it.
        if (!self.is_bidden(id) && self.waits_for_inner(id)) || self.another_acts(id) {
            return;
        }
        if self.waits_for_errand(id) {
            return self.wait_or_go_on(id, out);
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
                until: self.now.after(self.patience()),
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
        let cleared = self.clear(id, unit_id);
        let Some((act, evidence)) = cleared else {
            return self.call_off(id, unit_id);
        };
        let ordered = match act {
            StageAct::Nudge => None,
            StageAct::Exec(_) | StageAct::Stop => {
                self.flights.remove(&id);
                return self.send_out(id, unit_id, &act, &evidence, out);
            }
            StageAct::Freeze => Some((Order::Hold, To::Tree)),
            StageAct::Signal(Signal::Kill, to) => Some((Order::End, to)),
            StageAct::Signal(signal, to) => Some((Order::Ask(signal), to)),
        };
        let signed = ordered.and_then(|ordered| self.sign(id, unit_id, ordered, evidence));
        let unit = self.units.get_mut(&unit_id);
        let Some((warrant, incident)) = signed.zip(unit.and_then(|unit| unit.incident.as_mut()))
        else {
            return self.call_off(id, unit_id);
        };
        let what = What::Signal {
            warrant: id,
            signal: warrant.order.signal(),
            targets: warrant.pids(),
            served: self.now.since(incident.clock),
            bidden: warrant.bidden,
        };
        incident.phase = Phase::Acting(id);
        self.tell_with(unit_id, what, &warrant.evidence, out);
        self.flights.insert(
            id,
            Flight {
                unit: unit_id,
                until: warrant.expires.after(REPORT_PATIENCE),
                warrant: Some(warrant.clone()),
            },
        );
        out.push(Decision::Carry(warrant));
    }

    fn call_off(&mut self, id: WarrantId, unit_id: UnitId) {
        self.flights.remove(&id);
        let unit = self.units.get_mut(&unit_id);
        if let Some(incident) = unit.and_then(|unit| unit.incident.as_mut()) {
            incident.called_off();
        }
    }

    /// What the stage at hand does, and why, if everything still holds.
    fn clear(&mut self, id: WarrantId, unit_id: UnitId) -> Option<(StageAct, Arc<Evidence>)> {
        let evidence = self.testify(unit_id)?;
        let unit = self.units.get(&unit_id)?;
        let fetching = self.awaits_facts(unit.members.iter().copied());
        let meeting = self.is_meeting(unit) || self.awaits_beats(unit);
        let unit = self.units.get_mut(&unit_id)?;
        let incident = unit.incident.as_mut()?;
        let root = self.dossiers.get(&unit.root);
        let unsettled = root.is_some_and(|root| root.learning != Learning::Settled);
        if (unsettled || fetching || meeting) && incident.hold() {
            // It runs another image: whether that matches is not known yet. Or there are new rules, and whether they spare
            // some member is not. Or somebody spoke who may be one of it.
            return None;
        }
        let unit = self.units.get(&unit_id)?;
        let incident = unit.incident.as_ref()?;
        let bidden = incident.bidding().is_some();
        let still = matches!(unit.verdict, Verdict::Sustained | Verdict::Breaching);
        let fresh = self.now.since(unit.sampled) <= self.rules.interval.saturating_mul(2);
        // What a person bids needs no reason of ours, and waits for none; who is to be left alone is.
        let of_itself = still && self.now >= self.quiet_until && !self.is_closed(&unit.rule);
        if incident.phase != Phase::Preparing(id)
            || !(bidden || of_itself)
            || !fresh
            || self.let_be(unit).is_some()
            || (!bidden && self.minded(unit).is_some())
            || !incident.may_act(unit.rule.mode)
        {
            return None;
        }
        let stages = incident.stages(&unit.rule);
        let act = stages.get(incident.next)?.act.clone();
        // A tree that was ended since, by an act prepared along with this one, counts too.
        if self.bar(unit_id).is_some() {
            return None;
        }
        Some((act, evidence))
    }

    /// The warrant for what was cleared.
    fn sign(
        &self,
        id: WarrantId,
        unit_id: UnitId,
        (order, to): (Order, To),
        evidence: Arc<Evidence>,
    ) -> Option<Arc<Warrant>> {
        let unit = self.units.get(&unit_id)?;
        let incident = unit.incident.as_ref()?;
        let (mut targets, mut unbound) = self.targets(unit);
        if to == To::Root && targets.iter().any(is_root) {
            targets.retain(is_root);
            unbound.clear();
        } else if to == To::Root && self.is_unproven(unit, unit.root) {
            // It lives, and may be the one that is meant.
            return None;
        }
        if unit.label.is_some() && targets.is_empty() && unbound.is_empty() {
            // Whom it is for is being asked.
            return None;
        }
        let (newborn, expires, spare) = match order {
            Order::End | Order::Hold => {
                (newborns(unit.key), END_EXPIRES, self.spare(unit, &targets))
            }
            Order::Ask(_) | Order::Release => {
                (Newborn::Admit, ASK_EXPIRES, self.settings.spare.clone())
            }
        };
        Some(Arc::new(Warrant {
            id,
            incident: incident.id,
            unit: unit.key,
            order,
            targets,
            unbound,
            roster: self.roster(unit),
            newborn,
            label: unit.label.clone(),
            spare,
            sampled: evidence.sampled,
            evidence,
            bidden: incident.bidding(),
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
        self.hear(&report.heard, out);
        let now = self.now;
        let frozen = Frozen::by(flight.warrant.as_ref(), report);
        let order = flight.warrant.as_ref().map(|warrant| warrant.order);
        if order == Some(Order::End) {
            self.note_struck(flight.unit, report);
        }
        self.doubt_those_who_left(report);
        self.note_continued(flight.unit, &report.continued);
        let Some(unit) = self.units.get_mut(&flight.unit) else {
            return self.undo(frozen, out);
        };
        // Who died of it is seen at once, not at the next interval.
        unit.next_look = now;
        let Some(incident) = &mut unit.incident else {
            return self.undo(frozen, out);
        };
        if incident.phase != Phase::Acting(report.warrant) {
            return self.undo(frozen, out);
        }
        let tally = Tally::of(report);
        let holds = frozen.is_some();
        // Who only stands still is not ended by us, should it be gone next.
        incident.signalled |= tally.sent > 0 && !holds;
        incident.certainty = incident.certainty.min(report.certainty);
        if !flight.is_of(unit.key, incident, &unit.rule) {
            // The ladder, or the tree, is another one since: what was sent is no stage of it.
            incident.called_off();
            self.undo(frozen, out);
        } else if tally.sent > 0 || (tally.denied == 0 && tally.withheld == 0) {
            incident.done(report.first.unwrap_or(report.at));
            let before = unit.frozen.take();
            match (frozen, flight.asks()) {
                (Some(frozen), _) => unit.frozen = Some(frozen.with(before)),
                // Whoever was not asked itself goes on with those who were.
                (None, true) => self.undo(before, out),
                (None, false) => unit.frozen = before,
            }
        } else if tally.denied > 0 {
            incident.denied = true;
            incident.called_off();
            self.close(flight.unit, Closing::Denied, out);
        } else if tally.protected == tally.withheld {
            incident.called_off();
            let stage = incident.stages(&unit.rule).get(incident.next);
            let act = stage.map_or(StageAct::Nudge, |stage| stage.act.clone());
            if let Step::Withhold { act, why } = incident.rest(&act, Rest::Protected) {
                self.say_withheld(flight.unit, act, why, out);
            }
        } else {
            // Recalled, too old, or out of something: nothing was sent, the stage is due again in a while.
            incident.retry(now);
        }
        self.close_if_empty(flight.unit, out);
    }

    /// Everything stood still: what came of the acts under way may wait to be read. Taken as sent, a TERM that came too
    /// late to be sent would be followed by KILL.
    pub(super) fn wait_for_reports(&mut self, now: Mono) {
        for flight in self.flights.values_mut() {
            flight.until = flight.until.max(now.after(REPORT_PATIENCE));
        }
    }

    /// Gives up what does not come back: a last call is asked for again; of an act without a report the worst is
    /// taken, that its signal was sent just now.
    pub(super) fn give_up_flights(&mut self, out: &mut Vec<Decision>) {
        let now = self.now;
        let late: Vec<WarrantId> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.until <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            let Some(flight) = self.flights.remove(&id) else {
                continue;
            };
            if flight.warrant.is_some() {
                out.push(Decision::Recall(id));
            }
            let hold = flight.warrant.as_ref();
            let hold = hold.filter(|warrant| warrant.order == Order::Hold);
            if let Some(hold) = hold {
                self.undo_unheard(flight.unit, hold, out);
            }
            let Some(unit) = self.units.get_mut(&flight.unit) else {
                continue;
            };
            let Some(incident) = &mut unit.incident else {
                continue;
            };
            if incident.phase == Phase::Acting(id) && flight.is_of(unit.key, incident, &unit.rule) {
                incident.signalled |= hold.is_none();
                incident.certainty = Certainty::Looked;
                incident.done(now);
            } else if [Phase::Acting(id), Phase::Preparing(id)].contains(&incident.phase) {
                incident.called_off();
            }
            self.close_if_empty(flight.unit, out);
        }
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
            // It stays under way until its report says how far it came.
            Phase::Acting(warrant) => out.push(Decision::Recall(warrant)),
            Phase::Preparing(warrant) => {
                self.flights.remove(&warrant);
                incident.called_off();
            }
            Phase::Climbing | Phase::Resting(_) => {}
        }
    }
}

impl Flight {
    /// Whether it asks.
    fn asks(&self) -> bool {
        let order = self.warrant.as_ref().map(|warrant| warrant.order);
        matches!(order, Some(Order::Ask(_)))
    }

    /// Whether what is carried out is the stage that the incident stands at.
    fn is_of(&self, unit: UnitKey, incident: &Incident, rule: &Rule) -> bool {
        let Some(warrant) = &self.warrant else {
            return false;
        };
        let stage = incident.stages(rule).get(incident.next);
        let ordered = stage.and_then(|stage| stage.act.signal());
        warrant.unit == unit
            && warrant.bidden == incident.bidding()
            && ordered == Some(warrant.order.signal())
    }
}

/// What becomes of those whom members start while they are ended: what is judged by itself is ended by itself.
const fn newborns(unit: UnitKey) -> Newborn {
    match unit {
        UnitKey::Process(_) => Newborn::Admit,
        UnitKey::Tree(_) | UnitKey::Label(_) => Newborn::Refuse,
    }
}

fn is_root(target: &Target) -> bool {
    target.tie == HardTie::Root
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
