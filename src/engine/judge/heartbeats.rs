//! Heartbeats: whose they are, and what follows from them.
//!
//! **Invariants.** A beat counts for the units that its sender is a member of, and for no other. It counts at once: whatever is
//! decided afterwards is decided with it. What a sender said earlier is taken in before what it said later, and a receipt is
//! given when all of it is, and no act against the sender's units is under way: whoever holds one was not signalled since it
//! spoke by a decision made without it. Where something may have been said that was not heard, silence is not known.
//!
//! # Why some wait
//! A program that lives for a moment speaks before its birth is heard of, and a root before it is known for one. They wait
//! for that, for [`PATIENCE`] at most. An act that may be theirs to avert waits with them, a few times. Few of one user wait, so that
//! no user crowds out another; what finds no room is dropped, its receipt refused, and for a while nobody's silence is known whose
//! word it may have been. Who is known waits for nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Judge;
use super::dossier::Learning;
use super::looks::ask;
use super::unit::{Unit, UnitId};
use crate::engine::decision::{Decision, Hearing};
use crate::engine::evidence::{Finding, Quantity, Verdict};
use crate::engine::facts::Read;
use crate::engine::forest::Serial;
use crate::engine::heartbeat::{
    Beat, Effect, Heard, Hears, Loss, Proof, Silence, Standing, Voice, Work,
};
use crate::engine::incident::{Incident, Phase};
use crate::engine::process::{Pid, ProcKey, Text, Uid};
use crate::engine::rule::Metric;
use crate::engine::snapshot::{Group, RunState, Want};
use crate::engine::units::{Mono, Range};
use crate::engine::verdict::verdict;
use crate::engine::warrant::WarrantId;

/// So long a beat waits for its sender to become known.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where nothing is heard, all are listed so soon for the sake of a sender.
const LISTED: Duration = Duration::from_millis(250);
/// So many beats of one user wait at most,
const WAITING_EACH: usize = 256;
/// and so many in all.
const WAITING: usize = 4096;
/// So many above a sender are remembered for the counters below them.
const ABOVE: usize = 16;
/// So long it is remembered whose beats were dropped: what they send next may be a barrier.
const DROPPED: Duration = Duration::from_secs(10);

/// Beats that wait, and what became of the others.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    waiting: VecDeque<(Beat, Mono)>,
    /// Whose beats were dropped, until when that is remembered.
    dropped: BTreeMap<ProcKey, Mono>,
    heard: Heard,
    hears: Hears,
    /// Since it was last heard well, something may have been lost.
    missed: bool,
}

/// Whose a beat is.
enum Whose {
    /// A member of these units, perhaps of none.
    Of(Vec<UnitId>),
    /// Not known yet.
    Unmet,
}

impl Judge {
    /// Takes in what processes said, in its order. Who is known waits for nobody.
    pub(super) fn take_beats(&mut self, beats: Vec<Beat>, out: &mut Vec<Decision>) {
        let until = self.now.after(PATIENCE);
        let mut strange = false;
        let waiting = self.heartbeats.waiting.iter();
        let mut behind: BTreeSet<ProcKey> = waiting.map(|(beat, _)| beat.sender).collect();
        for beat in beats {
            if !behind.contains(&beat.sender) {
                match self.speaks_for(beat.sender) {
                    Whose::Of(ids) if !self.awaits_act(&ids, &beat) => {
                        self.take_one(&ids, &beat, out);
                        continue;
                    }
                    Whose::Of(_) | Whose::Unmet => {}
                }
            }
            let own = |(other, _): &&(Beat, Mono)| other.user == beat.user;
            if self.heartbeats.waiting.len() >= WAITING
                || self.heartbeats.waiting.iter().filter(own).count() >= WAITING_EACH
            {
                self.drop_beat(&beat, out);
                continue;
            }
            strange |= self.meet(beat.sender);
            behind.insert(beat.sender);
            self.heartbeats.waiting.push_back((beat, until));
        }
        if strange && self.hearing == Hearing::Events {
            out.push(Decision::Flush);
        }
    }

    /// There is no room for it: whose word it may have been is not known to be silent.
    fn drop_beat(&mut self, beat: &Beat, out: &mut Vec<Decision>) {
        let heard = &mut self.heartbeats.heard;
        heard.dropped = heard.dropped.saturating_add(1);
        let dropped = &mut self.heartbeats.dropped;
        dropped.retain(|_, until| self.now < *until);
        if dropped.len() < WAITING {
            dropped.insert(beat.sender, self.now.after(DROPPED));
        }
        out.extend(beat.receipt.map(Decision::Refuse));
        self.lose(Loss::Of(beat.user));
    }

    /// Something may have been said that was not heard.
    pub(super) fn lose(&mut self, loss: Loss) {
        let units = self.units.iter();
        let concerned = units.filter(|(_, unit)| match loss {
            Loss::Anybodys => true,
            Loss::Of(user) => self.may_speak(unit, user),
            // Its own members' beats are those that filled the queue.
            Loss::OfOthersThan(user) => unit.subject.owner != Some(user),
        });
        let concerned: Vec<UnitId> = concerned.map(|(id, _)| *id).collect();
        let now = self.now;
        for id in concerned {
            if let Some(unit) = self.units.get_mut(&id) {
                unit.pulse.lose(now);
                hold(unit);
            }
        }
    }

    /// Whether somebody of this user may speak for a unit: root may for any, else who is in it.
    fn may_speak(&self, unit: &Unit, user: Uid) -> bool {
        let owns = |serial: &Serial| {
            let node = self.forest.node(*serial);
            node.is_some_and(|node| node.owner == Some(user))
        };
        user == Uid::ROOT || unit.subject.owner == Some(user) || unit.members.iter().any(owns)
    }

    /// Whether heartbeats are heard from now on.
    pub(super) fn take_hearing(&mut self, hears: Hears) {
        let now = self.now;
        let heard = &mut self.heartbeats;
        let well = hears == Hears::Well;
        heard.missed = match hears {
            Hears::Well => heard.missed,
            Hears::Late => heard.missed && heard.hears != Hears::Well,
            Hears::Deaf(_) => true,
        };
        let (was, lost) = (std::mem::replace(&mut heard.hears, hears), heard.missed);
        for unit in self.units.values_mut() {
            match (&was, well) {
                (Hears::Well, true) => {}
                (Hears::Late | Hears::Deaf(_), true) => unit.pulse.hear_again(now, lost),
                (_, false) => {
                    unit.pulse.deafen(now);
                    hold(unit);
                }
            }
        }
        if well {
            self.heartbeats.missed = false;
        }
    }

    /// Whether what is asked of an act hangs on how silent its unit is.
    pub fn hangs_on_silence(&self, id: WarrantId) -> bool {
        let flight = self.flights.get(&id);
        let unit = flight.and_then(|flight| self.units.get(&flight.unit));
        unit.is_some_and(|unit| unit.readings.iter().any(|it| it.metric == Metric::Silent))
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
            let waits = match &whose {
                _ if behind.contains(&beat.sender) => true,
                Whose::Of(ids) => self.awaits_act(ids, &beat),
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
            self.take_one(&ids, &beat, out);
        }
    }

    /// Whether it is a barrier that waits for what becomes of an act.
    fn awaits_act(&self, ids: &[UnitId], beat: &Beat) -> bool {
        beat.words.barrier && ids.iter().any(|id| self.is_acting(*id))
    }

    /// Takes in one beat, and gives its receipt unless something before it was dropped.
    fn take_one(&mut self, ids: &[UnitId], beat: &Beat, out: &mut Vec<Decision>) {
        self.take_beat(ids, beat);
        let Some(receipt) = beat.receipt else {
            return;
        };
        let dropped = self.heartbeats.dropped.remove(&beat.sender);
        out.push(match dropped.filter(|until| self.now < *until) {
            Some(_) => Decision::Refuse(receipt),
            None => Decision::Accept(receipt),
        });
    }

    fn take_beat(&mut self, ids: &[UnitId], beat: &Beat) {
        if beat.words.barrier {
            return;
        }
        let mut taken = false;
        for id in ids {
            let owner = self.units.get(id).and_then(|unit| unit.subject.owner);
            // Whoever is held by the kernel is the member, whatever user it has become since. Of who only bore its number when it
            // was read the user must fit, too.
            let fits = beat.user == Uid::ROOT || owner == Some(beat.user);
            if !fits && beat.proof == Proof::Number {
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
        let above = self.above_in(id, beat.sender);
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let first = unit.pulse.since.is_none();
        let standing = standing(unit.incident.as_ref());
        let voice = Voice {
            from: beat.sender,
            above: &above,
        };
        let effect = unit.pulse.take(now, voice, &beat.words, standing);
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

    /// Who of a unit is above a sender, nearest first.
    fn above_in(&self, id: UnitId, sender: ProcKey) -> Vec<ProcKey> {
        let found = self.units.get(&id).zip(self.forest.find(sender));
        let Some((unit, serial)) = found.filter(|(unit, serial)| unit.root != *serial) else {
            return Vec::new();
        };
        let mut above = Vec::new();
        for (serial, node) in self.forest.above(serial) {
            if unit.members.contains(&serial) {
                above.extend(node.key);
            }
            if serial == unit.root || above.len() >= ABOVE {
                break;
            }
        }
        above
    }

    /// Whether beats wait that may avert what is about to be done to a unit.
    pub(super) fn awaits_beats(&self, unit: &Unit) -> bool {
        let silent = unit.readings.iter().any(|it| it.metric == Metric::Silent);
        let concerns = |(beat, _): &(Beat, Mono)| {
            self.may_speak(unit, beat.user)
                && !beat.words.barrier
                && matches!(self.speaks_for(beat.sender), Whose::Unmet)
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
        match unit.pulse.silence(self.now) {
            // Also of a unit that was taken up since.
            Silence::AtMost(_) | Silence::For(_) if self.heartbeats.hears != Hears::Well => {
                Silence::Unknown
            }
            known
            @ (Silence::Unheard | Silence::Unknown | Silence::AtMost(_) | Silence::For(_)) => known,
        }
    }

    /// Time went by for the pulse of a unit. It stands while everybody does, or all of those who speak.
    pub(super) fn pass_time(&mut self, id: UnitId, groups: &[Group]) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let frozen = groups.iter().filter(|group| group.frozen);
        let frozen: BTreeSet<Pid> = frozen.flat_map(|group| &group.members).copied().collect();
        let stopped = |serial: &Serial| {
            let node = self.forest.node(*serial);
            let state = self.dossiers.get(serial).and_then(|it| it.latest().state);
            matches!(state, Some(RunState::Stopped | RunState::Traced))
                || node.is_some_and(|node| frozen.contains(&node.pid))
        };
        // Whoever has not run since it was read may have been stopped since.
        let read = |serial: &Serial| Some(self.dossiers.get(serial)?.latest().read);
        let pulse = &unit.pulse;
        let known = pulse.senders.keys().chain(pulse.lines.keys());
        let known = known.filter_map(|key| self.forest.find(*key));
        let lives: BTreeSet<ProcKey> = known
            .filter(|serial| unit.members.contains(serial))
            .filter_map(|serial| self.forest.node(serial)?.key)
            .collect();
        let senders = pulse.senders.keys();
        let speak: Vec<Serial> = senders.filter_map(|key| self.forest.find(*key)).collect();
        let all = |these: &[Serial]| !these.is_empty() && these.iter().all(stopped);
        let members: Vec<Serial> = unit.members.iter().copied().collect();
        let work = if self.stands_frozen(unit) || all(&speak) || all(&members) {
            Work::Stands
        } else {
            let last = |these: &[Serial]| these.iter().filter_map(read).max();
            Work::Rests(last(&speak).or_else(|| last(&members)).unwrap_or(self.now))
        };
        let (now, deaf) = (self.now, self.heartbeats.hears != Hears::Well);
        if let Some(unit) = self.units.get_mut(&id) {
            unit.pulse.keep(|key| lives.contains(&key));
            if deaf {
                unit.pulse.deafen(now);
            }
            unit.pulse.pass(now, work);
        }
    }

    /// The group that a look at this unit should bring, because its kernel may have frozen it: nothing else tells that from sleep.
    pub(super) fn freezer(&self, unit: &Unit) -> Option<Text> {
        let limit = unit
            .readings
            .iter()
            .find(|it| it.metric == Metric::Silent)?;
        let silence = match unit.pulse.silence(self.now) {
            Silence::For(span) => Some(Quantity::Time(span)),
            // It may be thawed by now.
            Silence::Unknown => None,
            Silence::Unheard | Silence::AtMost(_) => return None,
        };
        let near =
            |silence: Quantity| silence.magnitude().saturating_mul(2) >= limit.limit.magnitude();
        if !silence.is_none_or(near) {
            return None;
        }
        match &self.dossiers.get(&unit.root)?.facts()?.cgroup {
            // The root of all is never frozen.
            Read::Known(path) => Some(path.clone()).filter(|path| path.bytes() != b"/"),
            Read::Denied | Read::Gone | Read::Late | Read::NotAsked => None,
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
        let over = matches!(reading.finding, Finding::Sustained | Finding::Breaching);
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
