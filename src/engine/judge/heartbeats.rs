//! Heartbeats: whose they are, and what follows from them.
//!
//! **Invariants.** A beat counts for the units that its sender is a member of, and for no other. It counts at once: whatever is
//! decided afterwards is decided with it. What a sender said earlier is taken in before what it said later, and a receipt is
//! given when all of it is, and no act against the sender's units is under way: whoever holds one was not signalled since it
//! spoke by a decision made without it.
//!
//! # Why some wait
//! A program that lives for a moment speaks before its birth is heard of, and a root before it is known for one. They wait
//! for that, for [`PATIENCE`] at most. An act that may be theirs to avert waits with them, a few times.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::Judge;
use super::dossier::Learning;
use super::looks::ask;
use super::unit::{Unit, UnitId};
use crate::engine::decision::{Decision, Hearing};
use crate::engine::evidence::{Finding, Quantity, Verdict};
use crate::engine::forest::Serial;
use crate::engine::heartbeat::{Beat, Effect, Heard, Silence, Standing};
use crate::engine::incident::{Incident, Phase};
use crate::engine::process::{ProcKey, Uid};
use crate::engine::rule::Metric;
use crate::engine::snapshot::{RunState, Want};
use crate::engine::units::{Mono, Range};
use crate::engine::verdict::verdict;

/// So long a beat waits for its sender to become known.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where nothing is heard, all are listed so soon for the sake of a sender.
const LISTED: Duration = Duration::from_millis(250);
/// So many beats wait at most.
const WAITING: usize = 1024;

/// Beats that wait, and what became of the others.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    waiting: VecDeque<(Beat, Mono)>,
    heard: Heard,
}

/// Whose a beat is.
enum Whose {
    /// A member of these units, perhaps of none.
    Of(Vec<UnitId>),
    /// Not known yet.
    Unmet,
}

impl Judge {
    /// Takes in what processes said, in its order.
    pub(super) fn take_beats(&mut self, beats: Vec<Beat>, out: &mut Vec<Decision>) {
        let until = self.now.after(PATIENCE);
        let mut strange = false;
        for beat in beats {
            if self.heartbeats.waiting.len() >= WAITING {
                self.heartbeats.heard.strangers = self.heartbeats.heard.strangers.saturating_add(1);
                out.extend(beat.receipt.map(Decision::Accept));
                continue;
            }
            strange |= self.meet(beat.sender);
            self.heartbeats.waiting.push_back((beat, until));
        }
        if strange && self.hearing == Hearing::Events {
            out.push(Decision::Flush);
        }
    }

    /// Sees to it that a sender becomes known. It is never looked at by itself before its parent is known: whoever is found
    /// without one stays without.
    fn meet(&mut self, sender: ProcKey) -> bool {
        if self.forest.find(sender).is_some() {
            return false;
        }
        match self.hearing {
            Hearing::Nothing => self.next_list = self.next_list.min(self.now.after(LISTED)),
            Hearing::Events => {
                let heard = self.forest.holder(sender.pid());
                let node = heard.and_then(|serial| self.forest.node(serial));
                // Its birth was heard of, and its identity is not known.
                if let Some(node) = node.filter(|node| node.key.is_none()) {
                    self.asks.push(ask(node, Want::default()));
                }
            }
        }
        true
    }

    /// Takes in the beats whose senders are known by now.
    pub(super) fn hear_beats(&mut self, out: &mut Vec<Decision>) {
        let mut behind: BTreeSet<ProcKey> = BTreeSet::new();
        for (beat, until) in std::mem::take(&mut self.heartbeats.waiting) {
            let whose = self.speaks_for(beat.sender);
            let acting = |ids: &[UnitId]| ids.iter().any(|id| self.is_acting(*id));
            let waits = match &whose {
                _ if behind.contains(&beat.sender) => true,
                Whose::Of(ids) => beat.words.barrier && acting(ids),
                Whose::Unmet => self.now < until,
            };
            if waits {
                behind.insert(beat.sender);
                self.heartbeats.waiting.push_back((beat, until));
                continue;
            }
            let ids = match whose {
                Whose::Of(ids) => ids,
                Whose::Unmet => Vec::new(),
            };
            self.take_beat(&ids, &beat);
            out.extend(beat.receipt.map(Decision::Accept));
        }
    }

    fn take_beat(&mut self, ids: &[UnitId], beat: &Beat) {
        if beat.words.barrier {
            return;
        }
        let mut taken = false;
        for id in ids {
            let owner = self.units.get(id).and_then(|unit| unit.subject.owner);
            if beat.user != Uid::ROOT && owner != Some(beat.user) {
                continue;
            }
            taken = true;
            self.beat(*id, beat);
        }
        let heard = &mut self.heartbeats.heard;
        let counter = match (ids.is_empty(), taken) {
            (true, _) => &mut heard.strangers,
            (false, true) => &mut heard.taken,
            (false, false) => &mut heard.others,
        };
        *counter = counter.saturating_add(1);
    }

    /// The units of a sender. Who may yet turn out to belong to one is waited for.
    fn speaks_for(&self, sender: ProcKey) -> Whose {
        let known = self.forest.find(sender);
        let Some((serial, dossier)) =
            known.and_then(|serial| Some((serial, self.dossiers.get(&serial)?)))
        else {
            return Whose::Unmet;
        };
        let mut above = self.forest.above(serial).map(|(serial, _)| serial);
        let open = |serial: Serial| {
            let dossier = self.dossiers.get(&serial);
            self.hopeful.contains(&serial)
                || dossier.is_some_and(|dossier| dossier.learning != Learning::Settled)
        };
        if dossier.units.is_empty() && (open(serial) || above.any(open)) {
            return Whose::Unmet;
        }
        Whose::Of(dossier.units.clone())
    }

    /// Whether an act against a unit is under way.
    fn is_acting(&self, id: UnitId) -> bool {
        let incident = self.units.get(&id).and_then(|unit| unit.incident.as_ref());
        incident.is_some_and(|incident| matches!(incident.phase, Phase::Acting(_)))
    }

    /// A unit has spoken.
    fn beat(&mut self, id: UnitId, beat: &Beat) {
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let first = unit.pulse.since.is_none();
        let standing = standing(unit.incident.as_ref());
        let effect = unit.pulse.take(now, beat.sender, &beat.words, standing);
        if first && unit.pulse.since.is_some() {
            unit.next_look = unit.next_look.min(now);
        }
        match effect {
            Effect::Life => {}
            Effect::Progress => progress(unit, now),
        }
        if !matches!(unit.pulse.silence(now), Silence::For(_)) {
            // Given time, or winding up: what was found before does not hold.
            hold(unit);
        }
    }

    /// Whether beats wait that may avert what is about to be done to a unit.
    pub(super) fn awaits_beats(&self, unit: &Unit) -> bool {
        let silent = unit.readings.iter().any(|it| it.metric == Metric::Silent);
        let owner = unit.subject.owner;
        let concerns = |(beat, _): &(Beat, Mono)| {
            let may = beat.user == Uid::ROOT || owner == Some(beat.user);
            may && !beat.words.barrier && matches!(self.speaks_for(beat.sender), Whose::Unmet)
        };
        silent && self.heartbeats.waiting.iter().any(concerns)
    }

    /// For how long a unit is silent, counting only senders that `counts` lets through.
    pub(super) fn silence_of(&self, unit: &Unit, counts: &dyn Fn(Serial) -> bool) -> Silence {
        let senders = unit.pulse.senders.keys();
        let known = senders.filter_map(|key| self.forest.find(*key));
        let known: Vec<Serial> = known.collect();
        if !known.is_empty() && !known.iter().any(|serial| counts(*serial)) {
            // Whoever spoke is none of these.
            return Silence::Unheard;
        }
        unit.pulse.silence(self.now)
    }

    /// Time went by for the pulse of a unit. It stands while everybody does, or all of those who speak.
    pub(super) fn pass_time(&mut self, id: UnitId) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let stopped = |serial: &Serial| {
            let state = self.dossiers.get(serial).and_then(|it| it.latest().state);
            matches!(state, Some(RunState::Stopped | RunState::Traced))
        };
        let senders = unit.pulse.senders.keys();
        let speak: Vec<Serial> = senders.filter_map(|key| self.forest.find(*key)).collect();
        let all = |these: &[Serial]| !these.is_empty() && these.iter().all(stopped);
        let members: Vec<Serial> = unit.members.iter().copied().collect();
        let still = self.stands_frozen(unit) || all(&speak) || all(&members);
        let lives: BTreeSet<ProcKey> = speak
            .iter()
            .filter(|serial| unit.members.contains(*serial))
            .filter_map(|serial| self.forest.node(*serial)?.key)
            .collect();
        let now = self.now;
        if let Some(unit) = self.units.get_mut(&id) {
            unit.pulse.keep(|key| lives.contains(&key));
            unit.pulse.pass(now, still);
        }
    }

    /// Everything stood still for so long, us included.
    pub(super) fn skip_time(&mut self, span: Duration) {
        for unit in self.units.values_mut() {
            unit.pulse.skip(span);
            for gauge in &mut unit.gauges {
                gauge.skip(span);
            }
        }
    }

    /// When the first beat has waited for long enough.
    pub(super) fn beats_wait(&self) -> Option<Mono> {
        let waiting = self.heartbeats.waiting.iter();
        waiting
            .filter(|(beat, _)| matches!(self.speaks_for(beat.sender), Whose::Unmet))
            .map(|(_, until)| *until)
            .min()
    }

    /// What became of the beats that were read.
    pub(super) const fn heard_beats(&self) -> Heard {
        self.heartbeats.heard
    }
}

/// What is shown once we have signalled is none of its own doing.
pub(super) fn standing(incident: Option<&Incident>) -> Standing {
    let ours =
        |incident: &Incident| incident.has_acted() || matches!(incident.phase, Phase::Acting(_));
    if incident.is_some_and(ours) {
        Standing::Signalled
    } else {
        Standing::Free
    }
}

/// Silence is over: what rests on it does not hold from here on, and its notice begins anew should it come again.
fn progress(unit: &mut Unit, now: Mono) {
    for reading in &mut unit.readings {
        if reading.metric == Metric::Silent {
            reading.finding = Finding::Clear;
            reading.now = reading.now.map(|now| Range {
                at_least: Quantity::Time(Duration::ZERO),
                at_most: Some(Quantity::Time(Duration::ZERO)),
                ..now
            });
        }
    }
    restate(unit);
    let over = matches!(unit.limits(), Verdict::Sustained | Verdict::Breaching);
    if let Some(incident) = unit.incident.as_mut().filter(|_| !over) {
        incident.progressed(now);
    }
}

/// Nothing is known of its silence from here on.
fn hold(unit: &mut Unit) {
    for reading in &mut unit.readings {
        let over = reading.finding == Finding::Sustained;
        if reading.metric == Metric::Silent && over {
            reading.finding = Finding::Unknown;
            reading.now = None;
        }
    }
    restate(unit);
}

/// The verdict by the readings as they are now.
fn restate(unit: &mut Unit) {
    match unit.verdict {
        Verdict::Exempt(_) => {}
        Verdict::Clear | Verdict::Breaching | Verdict::Sustained | Verdict::Unknown => {
            unit.verdict = verdict(&unit.rule.clauses, &unit.readings);
        }
    }
}
