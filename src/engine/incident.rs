//! One rule's case against one unit, from sustained to closing: a ladder, climbed stage by stage.
//!
//! **Invariants.**
//! - A stage fires only on a fresh snapshot that still shows the breach, never before its time.
//! - While an act is under way no second decision is made.
//! - KILL comes at most once, and TERM always before it within one life of the incident.
//! - No signal comes of what people are only told of, nor without a nudge since that announced it ([`Weight`]).
//! - A stage that the kernel refused is not tried again.
//! - What a person bids is climbed like a ladder, by the same table; the ladder of the rule waits meanwhile.
//! - A program is run once for each stage, also where the same stages are gone through again for a root found above.

use std::time::Duration;

use super::answer::Snooze;
use super::decision::{Closing, Rest};
use super::evidence::{IncidentId, Verdict};
use super::legacy::Stand;
use super::rule::{Rule, Signal, Stage, StageAct, To};
use super::units::Mono;
use super::verdict::Lead;
use super::warrant::{Certainty, WarrantId};

mod bidding;
mod past;
mod place;

use bidding::Bidden;
pub use past::Past;
use place::{after_last_nudge, alike, same_stage};

/// How long every limit must be clear.
pub const RECOVERY: Duration = Duration::from_secs(10);

/// How long a stage waits whose act sent nothing.
const RETRY: Duration = Duration::from_secs(10);
/// How often a stage waits for the root's new image to be known.
const HOLDS: u32 = 3;
/// How long a stage waits for its turn among those of others.
const TURN: Duration = Duration::from_secs(30);

/// An open incident.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// Since when.
    pub opened: Mono,
    /// The stage that comes next: an index into the ladder, past its end when all are done.
    pub next: usize,
    /// When the stage before was carried out; when it opened, for the first.
    pub clock: Mono,
    /// What it is doing.
    pub phase: Phase,
    /// Since when every limit is clear.
    clear: Option<Mono>,
    /// The last time people were told.
    pub told: Option<Mono>,
    /// Whether any signal of ours was sent.
    pub signalled: bool,
    /// How often a manager was asked to stop what it lives in.
    pub asked: u32,
    /// How surely each of them was known of that signals were for.
    pub certainty: Certainty,
    /// Whether a stage was refused by the kernel.
    pub denied: bool,
    /// What was said to be withheld already.
    said: bool,
    /// The stage at hand is not tried again before.
    retry: Mono,
    /// How often the stage at hand waited for what is not known yet.
    held: u32,
    /// Since when the stage at hand waits for its turn among those of others.
    waits: Option<Mono>,
    /// Stages before this one have had their programs run.
    ran: usize,
    /// What it rests on.
    pub weight: Weight,
    /// What a person has bidden.
    bidden: Option<Bidden>,
    /// Until when it is left alone, because a person said so.
    pub snoozed: Option<Snooze>,
    /// How often people have extended it.
    pub extended: u32,
    /// When progress was shown, since the stage before.
    progressed: Option<Mono>,
}

/// What an incident rests on. What people are only told of announces no signal: should more come of it, they are told anew,
/// and the whole notice is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// On what people are only told of, and never on anything else.
    Light,
    /// On what leads on.
    #[default]
    Grave,
    /// Since then on what people are only told of; before, on more.
    Lightened(Mono),
}

/// What an incident is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the next stage's time.
    Climbing,
    /// The last call for this act was asked for.
    Preparing(WarrantId),
    /// This warrant is being carried out.
    Acting(WarrantId),
    /// It goes no further, and why.
    Resting(Rest),
}

/// What the ladder wants now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Tell people.
    Nudge,
    /// Prepare to do it.
    Act,
    /// A stage is due and is not carried out; say so once, where it was not said yet.
    Withhold {
        /// What would have been done.
        act: StageAct,
        /// Why it is not.
        why: Rest,
    },
    /// It is over.
    Close(Closing),
}

impl Incident {
    /// A new case, opened on figures of this moment: what follows at once needs no newer ones.
    pub const fn open(id: IncidentId, sampled: Mono) -> Self {
        Self {
            id,
            opened: sampled,
            next: 0,
            clock: sampled,
            phase: Phase::Climbing,
            clear: None,
            told: None,
            signalled: false,
            asked: 0,
            certainty: Certainty::Heard,
            denied: false,
            said: false,
            retry: Mono::BOOT,
            held: 0,
            waits: None,
            ran: 0,
            weight: Weight::Grave,
            bidden: None,
            snoozed: None,
            extended: 0,
            progressed: None,
        }
    }

    /// The same, of what people are only told of.
    #[must_use]
    pub fn light(self) -> Self {
        Self {
            weight: Weight::Light,
            ..self
        }
    }

    /// Takes in what leads on, on figures of this moment. Where nobody was told of it, or so long ago that it would be a new
    /// case, the climb begins anew.
    pub fn weigh(&mut self, now: Mono, sampled: Mono, rule: &Rule, lead: Lead) {
        match (lead, self.weight) {
            (Lead::On, Weight::Light | Weight::Lightened(_)) => self.gain_weight(sampled, rule),
            (Lead::Nowhere, Weight::Grave) => self.weight = Weight::Lightened(now),
            (Lead::On | Lead::Lingers, Weight::Grave)
            | (Lead::Lingers | Lead::Nowhere, Weight::Light | Weight::Lightened(_)) => {}
        }
    }

    fn gain_weight(&mut self, sampled: Mono, rule: &Rule) {
        if matches!(self.phase, Phase::Preparing(_) | Phase::Acting(_)) || self.bidden.is_some() {
            return;
        }
        let anew = self.lapsed(sampled, rule) == Weight::Light;
        self.weight = Weight::Grave;
        if anew {
            *self = Self {
                told: self.told,
                signalled: self.signalled,
                asked: self.asked,
                certainty: self.certainty,
                denied: self.denied,
                ran: self.ran,
                opened: self.opened,
                snoozed: self.snoozed,
                extended: self.extended,
                ..Self::open(self.id, sampled)
            };
        }
    }

    /// People are told now. Of what they are only told of no signal is announced, whatever was before.
    pub fn tells(&mut self, now: Mono) {
        self.told = Some(now);
        self.weight = match self.weight {
            Weight::Grave => Weight::Grave,
            Weight::Light | Weight::Lightened(_) => Weight::Light,
        };
    }

    /// What was announced so long ago that it would be a new case by now is as good as never announced.
    fn lapsed(&self, now: Mono, rule: &Rule) -> Weight {
        match self.weight {
            Weight::Lightened(since) if now.since(since) >= rule.cooldown => Weight::Light,
            Weight::Lightened(_) | Weight::Grave => Weight::Grave,
            Weight::Light => Weight::Light,
        }
    }

    /// The same case again, within its cooldown: without a message, the notice already served counting.
    pub fn reopen(past: &Past, now: Mono) -> Self {
        Self {
            next: past.next,
            clock: now.before(past.served),
            denied: past.denied,
            told: past.told,
            // What it rests on was said before the cooldown.
            said: true,
            weight: past.weight,
            snoozed: past.snoozed,
            extended: past.extended,
            ..Self::open(past.id, past.opened)
        }
    }

    /// Where it stands, for the next beadle.
    pub fn stand_on(&self, rule: &Rule) -> Stand {
        Stand {
            id: self.id,
            opened: self.opened,
            next: self.reached(),
            mode: rule.mode,
            ladder: rule.ladder.iter().map(|stage| stage.act.clone()).collect(),
            told: self.told,
            // What became of an act under way, nobody will know: the tree is taken to have been signalled.
            signalled: self.has_acted() || self.is_signalling(rule),
            denied: self.denied,
            said: self.said,
            ran: self.ran,
            weight: self.weight,
            bidden: self.bidden.map(|bidden| (bidden.bidding, self.next)),
            snoozed: self.snoozed,
            extended: self.extended,
        }
    }

    /// Whether whoever goes away goes because of us.
    pub const fn has_acted(&self) -> bool {
        self.signalled || self.asked > 0
    }

    /// Whether an act is under way that may end it. Whoever is only frozen goes away by itself, if it does.
    fn is_signalling(&self, rule: &Rule) -> bool {
        let stage = self.stages(rule).get(self.next).map(|stage| &stage.act);
        matches!(self.phase, Phase::Acting(_)) && stage != Some(&StageAct::Freeze)
    }

    /// The same case, after a restart: at its stage, its clock at zero, and nothing is said again. An act that was under
    /// way then is a stage that was not carried out. In another mode it begins at the foot of the ladder.
    pub fn resume(stand: &Stand, now: Mono, rule: &Rule) -> Self {
        let fresh = Self {
            clock: now,
            signalled: stand.signalled,
            // Who was ended while nobody looked, nobody heard of.
            certainty: Certainty::Looked,
            denied: stand.denied,
            weight: stand.weight,
            snoozed: stand.snoozed,
            extended: stand.extended,
            ..Self::open(stand.id, stand.opened)
        };
        let mut resumed = if stand.mode == rule.mode {
            Self {
                next: same_stage(stand.next, stand.ladder.iter(), &rule.ladder),
                told: stand.told,
                said: stand.said,
                ran: stand.ran.min(alike(stand.ladder.iter(), &rule.ladder)),
                ..fresh
            }
        } else {
            fresh
        };
        if let Some((bidding, done)) = stand.bidden {
            let back = resumed.next;
            resumed.bidden = Some(Bidden { bidding, back });
            resumed.next = done;
            resumed.bid_again(now, rule.mode);
        }
        resumed
    }

    /// The same case for the unit of a root found above, under a number of its own: people were told of a smaller tree under the
    /// old one, and what they say of that is not meant for this. Its nudge counts; what was sent did not reach those who are
    /// members only now, so that TERM comes again before KILL. What a person has bidden was bidden of a smaller tree.
    #[must_use]
    pub fn taken_over(self, id: IncidentId, rule: &Rule) -> Self {
        let place = self.reached();
        let mut reached = rule.ladder.iter().take(place);
        let next = if reached.any(|stage| stage.act.is_felt()) {
            after_last_nudge(&rule.ladder, place)
        } else {
            place
        };
        let phase = match self.phase {
            Phase::Acting(warrant) => Phase::Acting(warrant),
            Phase::Climbing | Phase::Preparing(_) | Phase::Resting(_) => Phase::Climbing,
        };
        Self {
            id,
            next,
            phase,
            clear: None,
            bidden: None,
            ..self
        }
    }

    /// The next stage and when it is due.
    pub fn due<'r>(&self, rule: &'r Rule) -> Option<(&'r Stage, Mono)> {
        let stage = self.stages(rule).get(self.next)?;
        Some((stage, self.clock.after(stage.after)))
    }

    /// When something may have to be done, while the breach lasts.
    pub fn deadline(&self, rule: &Rule) -> Option<Mono> {
        match self.phase {
            Phase::Climbing => self.due(rule).map(|(_, due)| due.max(self.retry)),
            Phase::Preparing(_) | Phase::Acting(_) | Phase::Resting(_) => None,
        }
    }

    /// Takes in a verdict, and says what the ladder wants. `sampled` is the oldest sample behind it.
    pub fn judge(
        &mut self,
        now: Mono,
        sampled: Mono,
        verdict: &Verdict,
        rule: &Rule,
        bar: Option<Rest>,
    ) -> Step {
        if self.bidden.is_some() {
            // A person asks for it, whatever the limits say by now.
            self.clear = None;
            return match &self.phase {
                Phase::Preparing(_) | Phase::Acting(_) => Step::Wait,
                Phase::Climbing | Phase::Resting(_) => self.climb(now, sampled, rule, bar),
            };
        }
        let over = match verdict {
            Verdict::Sustained | Verdict::Breaching => true,
            Verdict::Clear => false,
            Verdict::Unknown => {
                self.clear = None;
                return Step::Wait;
            }
            Verdict::Exempt(_) => return Step::Wait,
        };
        if !over {
            return self.recover(sampled);
        }
        self.clear = None;
        match &self.phase {
            Phase::Preparing(_) | Phase::Acting(_) => Step::Wait,
            Phase::Climbing | Phase::Resting(_) => self.climb(now, sampled, rule, bar),
        }
    }

    /// Takes in what the limits say while a gate is closed. Nothing is climbed; what is over for good is closed.
    pub fn wait(&mut self, sampled: Mono, limits: &Verdict) -> Step {
        match limits {
            Verdict::Clear => self.recover(sampled),
            Verdict::Sustained | Verdict::Breaching | Verdict::Unknown | Verdict::Exempt(_) => {
                self.clear = None;
                Step::Wait
            }
        }
    }

    fn recover(&mut self, sampled: Mono) -> Step {
        let since = *self.clear.get_or_insert(sampled);
        let busy = matches!(self.phase, Phase::Acting(_) | Phase::Preparing(_));
        if sampled.since(since) >= RECOVERY && !busy {
            return Step::Close(Closing::Recovered);
        }
        Step::Wait
    }

    fn climb(&mut self, now: Mono, sampled: Mono, rule: &Rule, bar: Option<Rest>) -> Step {
        let Some((stage, due)) = self.due(rule) else {
            return Step::Wait;
        };
        // A snapshot from before the stage was due proves nothing about now.
        if now < due.max(self.retry) || sampled < due {
            return Step::Wait;
        }
        let act = &stage.act;
        match act {
            StageAct::Nudge => return Step::Nudge,
            // It was run before a root was found above.
            StageAct::Exec(_) if self.next < self.ran => {
                self.done(due);
                return self.climb(now, sampled, rule, bar);
            }
            StageAct::Exec(_) | StageAct::Freeze | StageAct::Stop | StageAct::Signal(..) => {}
        }
        let why = match (self.may_act(rule.mode), self.denied, bar) {
            (false, _, _) => Rest::Mode(rule.mode),
            (true, true, _) => Rest::Denied,
            (true, false, Some(bar)) => bar,
            (true, false, None) => {
                self.phase = Phase::Climbing;
                return Step::Act;
            }
        };
        self.rest(act, why)
    }

    /// Rests, and says so once.
    pub fn rest(&mut self, act: &StageAct, why: Rest) -> Step {
        let known = self.said || self.phase == Phase::Resting(why.clone());
        self.said = true;
        self.phase = Phase::Resting(why.clone());
        if known {
            return Step::Wait;
        }
        Step::Withhold {
            act: act.clone(),
            why,
        }
    }

    /// The next stage was carried out at this moment.
    pub fn done(&mut self, at: Mono) {
        self.next = self.next.saturating_add(1);
        self.clock = at;
        self.progressed = None;
        self.held = 0;
        self.waits = None;
        self.phase = Phase::Climbing;
    }

    /// The program of the next stage was started at this moment.
    pub fn ran(&mut self, at: Mono) {
        self.done(at);
        self.ran = self.ran.max(self.next);
    }

    /// After the last stage, where that was KILL: it is due once more, in a while.
    pub fn end_again(&mut self, rule: &Rule) {
        let stages = self.stages(rule);
        let last = stages.last().map(|stage| &stage.act);
        let over = self.phase == Phase::Climbing && self.next == stages.len();
        if over && last == Some(&StageAct::Signal(Signal::Kill, To::Tree)) {
            self.next = self.next.saturating_sub(1);
            self.retry = self.clock.after(RETRY);
        }
    }

    /// Whether the stage at hand may wait once more for what is not known yet. Not for ever: a process that runs another
    /// image every moment would never be asked to stop.
    pub fn hold(&mut self) -> bool {
        self.held = self.held.saturating_add(1);
        self.held <= HOLDS
    }

    /// Whether the stage at hand may go on waiting for its turn. Not for ever: what comes behind it may be what ends the tree.
    pub fn waits(&mut self, now: Mono) -> bool {
        let since = *self.waits.get_or_insert(now);
        now.since(since) < TURN
    }

    /// An act was called off before anything was sent; the stage stays due.
    pub fn called_off(&mut self) {
        self.phase = Phase::Climbing;
    }

    /// An act sent nothing; the stage stays due, and is tried again in a while.
    pub fn retry(&mut self, now: Mono) {
        self.phase = Phase::Climbing;
        self.retry = now.after(RETRY);
    }

    /// Nothing is over any more, by progress: should it come to that again, the stage at hand is so far away as at first.
    pub fn progressed(&mut self, now: Mono) {
        if !self.has_acted() {
            self.clock = self.clock.max(now);
            self.progressed = Some(now);
        }
    }

    /// What went before is no sign of recovery any more.
    pub const fn lose_sight(&mut self) {
        self.clear = None;
    }

    /// The clock stood still since that moment: nothing was served from then on, also of a stage that began since.
    pub fn stand(&mut self, since: Mono, now: Mono) {
        self.clock = now.before(since.since(self.clock));
        self.waits = None;
    }

    /// The ladder is another one now: the stage stays where all before it is as it was, else the climb goes on after
    /// the last nudge that both ladders have. Its clock starts again.
    pub fn restart(&mut self, now: Mono, old: &[Stage], new: &[Stage]) {
        let acts = || old.iter().map(|stage| &stage.act);
        let place = match &mut self.bidden {
            Some(bidden) => &mut bidden.back,
            None => &mut self.next,
        };
        *place = same_stage(*place, acts(), new);
        self.ran = self.ran.min(alike(acts(), new));
        self.clock = now;
        self.waits = None;
        self.said = false;
        if let Phase::Resting(_) = self.phase {
            self.phase = Phase::Climbing;
        }
    }

    /// What comes next of its own accord that is more than telling, and in how long after the stage at hand.
    pub fn ahead(&self, rule: &Rule, from: usize) -> Option<(StageAct, Duration)> {
        let mut wait = Duration::ZERO;
        for stage in self.stages(rule).iter().skip(from) {
            wait = wait.saturating_add(stage.after);
            if stage.act != StageAct::Nudge {
                return Some((stage.act.clone(), wait));
            }
        }
        None
    }

    /// What is kept for the cooldown.
    pub fn past(&self, now: Mono, rule: &Rule) -> Past {
        // The last nudge before the stage reached: from there on everything is done again, TERM before KILL.
        let reached = self.reached();
        let next = after_last_nudge(&rule.ladder, reached);
        let served = match (reached == next, &self.bidden) {
            // What was served before it advanced was served for another silence.
            (true, None) if self.progressed.is_some() => Duration::ZERO,
            (true, None) => now.since(self.clock),
            // What the ladder had served before a person spoke is not known any more.
            (true, Some(_)) => Duration::ZERO,
            // The stage after the nudge was carried out, so its notice was served in full.
            (false, _) => rule
                .ladder
                .get(next)
                .map_or(Duration::ZERO, |stage| stage.after),
        };
        Past {
            id: self.id,
            opened: self.opened,
            until: now.after(rule.cooldown),
            next,
            served,
            denied: self.denied,
            told: self.told,
            weight: self.lapsed(now, rule),
            snoozed: self.snoozed,
            extended: self.extended,
        }
    }
}

#[cfg(test)]
mod tests;
