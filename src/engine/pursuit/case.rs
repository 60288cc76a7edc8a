//! What all courses share: the warrant, the clock, who is pursued, and what came of each.

use std::sync::Arc;
use std::time::Duration;

use super::roll::{Member, Roll, Standing};
use super::{Act, Glimpse, Look, Queue, Sighting, Slot, Turn, Wire};
use crate::engine::decision::Hearing;
use crate::engine::evidence::{Evidence, Quantity};
use crate::engine::process::ProcKey;
use crate::engine::rule::Metric;
use crate::engine::units::{Bytes, Mono};
use crate::engine::warrant::{Certainty, Order, Outcome, Report, Survivor, Warrant, Withheld};

/// How long an end may go on without getting anywhere. A process of 3 GiB needs a quarter of a second to be taken down.
///
/// It is no limit on the whole: where thousands compete for the processors one round may take seconds, and giving up in
/// the midst of them let 2,795 live that were held already. The whole is limited by the expiry of the warrant, after
/// which only those die that were struck.
const END: Duration = Duration::from_secs(5);
/// The same where there is much memory to give back.
const LARGE_END: Duration = Duration::from_secs(10);
/// What is much memory.
const LARGE: Bytes = Bytes::gib(8);
/// How long a request may be retried for want of file descriptors.
const ASK: Duration = Duration::from_secs(1);

/// One warrant being carried out.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) warrant: Arc<Warrant>,
    pub(super) roll: Roll,
    pub(super) started: Mono,
    /// How long it may go on without getting anywhere.
    span: Duration,
    /// Why nothing more may be sent.
    pub(super) void: Option<Withheld>,
    /// Whether all that happened was told so far.
    pub(super) certainty: Certainty,
    first: Option<Mono>,
    continued: Vec<ProcKey>,
}

impl Case {
    pub(super) fn new(warrant: Arc<Warrant>, hearing: Hearing, now: Mono) -> Self {
        let span = match warrant.order {
            Order::Ask(_) | Order::Release => ASK,
            Order::End if is_large(&warrant.evidence) => LARGE_END,
            Order::End | Order::Hold => END,
        };
        Self {
            roll: Roll::named_by(&warrant, now),
            started: now,
            span,
            void: None,
            certainty: Certainty::from(hearing),
            first: None,
            continued: Vec::new(),
            warrant,
        }
    }

    /// When it is given up unless it gets on.
    pub(super) fn deadline(&self) -> Mono {
        self.started.max(self.roll.moved()).after(self.span)
    }

    /// Takes in what is the same in every course.
    pub(super) fn take_in(&mut self, turn: &Turn<'_>) {
        if turn.now > self.warrant.expires {
            self.void.get_or_insert(Withheld::Expired);
        }
        if let Queue::Lost | Queue::Deaf = turn.queue {
            self.certainty = Certainty::Looked;
        }
        for sighting in turn.sightings {
            match sighting {
                Sighting::Sent {
                    slot,
                    wire,
                    outcome,
                } => self.sent(*slot, *wire, *outcome, turn.now),
                Sighting::Dead { slot }
                | Sighting::Looked {
                    slot,
                    look: Look::Dead,
                } => self.dead(*slot, turn.now),
                Sighting::Looked {
                    slot,
                    look: Look::Alive { state, motion },
                } => {
                    if let Some(member) = self.roll.member_mut(*slot) {
                        member.state = *state;
                        member.motion = Some(*motion);
                    }
                }
                Sighting::Looked {
                    slot,
                    look: Look::Unseen,
                } => {
                    if let Some(member) = self.roll.member_mut(*slot) {
                        member.motion = None;
                    }
                }
                Sighting::Recalled => {
                    self.void.get_or_insert(Withheld::Recalled);
                }
                Sighting::Taken { .. } | Sighting::Scanned { .. } => {}
            }
        }
        if let Some(why) = self.void {
            self.let_go(why, turn.now);
        }
    }

    fn sent(&mut self, slot: Slot, wire: Wire, outcome: Outcome, now: Mono) {
        match outcome {
            Outcome::Sent => {
                self.first.get_or_insert(now);
            }
            // Each further signal would be refused for the same reason.
            Outcome::Withheld(why @ (Withheld::Recalled | Withheld::Expired)) => {
                self.void.get_or_insert(why);
            }
            // Its children are protected as it is; those of whoever left a job are none of that job's either.
            Outcome::Withheld(Withheld::Protected | Withheld::Left) => {
                if let Some(pid) = self.roll.member(slot).map(|member| member.pid) {
                    self.roll.unbear(pid);
                    self.roll.disown(slot, now);
                }
            }
            Outcome::Withheld(Withheld::Unsure)
            | Outcome::Gone
            | Outcome::Denied
            | Outcome::Survived => {}
        }
        match (wire, outcome) {
            (Wire::Kill, Outcome::Sent) => self.roll.stand(slot, Standing::Struck, now),
            (Wire::Stop, Outcome::Sent) => self.set_halted(slot, true),
            // Once more while time remains, here too.
            (Wire::Cont, Outcome::Withheld(Withheld::Unsure)) if self.releases() => {}
            (Wire::Cont, _) if self.releases() => {
                self.roll.stand(slot, Standing::Settled(outcome), now);
            }
            (Wire::Cont, _) => self.cont(slot, outcome),
            // Tried again while time remains.
            (Wire::Ask | Wire::Kill | Wire::Stop, Outcome::Withheld(Withheld::Unsure)) => {}
            // What may not be stopped may not be killed either, and says so then.
            (Wire::Stop, Outcome::Denied) if self.warrant.order == Order::End => {}
            (Wire::Ask, Outcome::Sent)
            | (
                Wire::Ask | Wire::Kill | Wire::Stop,
                Outcome::Gone | Outcome::Denied | Outcome::Survived | Outcome::Withheld(_),
            ) => self.roll.stand(slot, Standing::Settled(outcome), now),
        }
    }

    fn releases(&self) -> bool {
        self.warrant.order == Order::Release
    }

    /// Nobody moves any more, or it took too long: who was stopped by us stays so. Whoever stood still before is left
    /// as it was found, and not spoken of.
    pub(super) fn leave_standing(&mut self, now: Mono) {
        let open: Vec<(Slot, Standing)> = self
            .roll
            .open()
            .map(|(slot, member)| match (member.standing, member.halted) {
                (Standing::Due, true) => (slot, Standing::Settled(Outcome::Sent)),
                (
                    Standing::Heard
                    | Standing::Held
                    | Standing::Due
                    | Standing::Struck
                    | Standing::Settled(_)
                    | Standing::Dropped,
                    _,
                ) => (slot, Standing::Dropped),
            })
            .collect();
        for (slot, standing) in open {
            self.roll.stand(slot, standing, now);
        }
    }

    /// What we stopped ourselves is not told of as continued.
    fn cont(&mut self, slot: Slot, outcome: Outcome) {
        let Some(member) = self.roll.member_mut(slot) else {
            return;
        };
        let unsure = outcome == Outcome::Withheld(Withheld::Unsure);
        let found = !member.halted;
        member.halted &= unsure;
        if found && outcome == Outcome::Sent {
            self.continued.extend(member.key);
        }
    }

    fn set_halted(&mut self, slot: Slot, halted: bool) {
        if let Some(member) = self.roll.member_mut(slot) {
            member.halted = halted;
        }
    }

    /// A death settles its process: as ours if KILL was sent, else as none of our doing.
    fn dead(&mut self, slot: Slot, now: Mono) {
        let Some(member) = self.roll.member_mut(slot) else {
            return;
        };
        member.halted = false;
        let outcome = match member.standing {
            Standing::Struck => Outcome::Sent,
            Standing::Heard
            | Standing::Held
            | Standing::Due
            | Standing::Settled(_)
            | Standing::Dropped => Outcome::Gone,
        };
        self.roll.stand(slot, Standing::Settled(outcome), now);
    }

    /// Nothing more goes to those who were sent nothing final.
    pub(super) fn let_go(&mut self, why: Withheld, now: Mono) {
        let waiting: Vec<(Slot, Standing)> = self
            .roll
            .open()
            .filter_map(|(slot, member)| match member.standing {
                Standing::Heard => Some((slot, Standing::Dropped)),
                Standing::Held | Standing::Due => {
                    Some((slot, Standing::Settled(Outcome::Withheld(why))))
                }
                Standing::Struck | Standing::Settled(_) | Standing::Dropped => None,
            })
            .collect();
        for (slot, standing) in waiting {
            self.roll.stand(slot, standing, now);
        }
    }

    /// The time is over: what was struck and is not dead survived, and of the rest we could not be sure.
    pub(super) fn give_up(&mut self, now: Mono) {
        self.let_go(Withheld::Unsure, now);
        let struck: Vec<Slot> = self.roll.open().map(|(slot, _)| slot).collect();
        for slot in struck {
            self.roll
                .stand(slot, Standing::Settled(Outcome::Survived), now);
        }
    }

    /// From now on nothing is told: who was told of and is not sure yet can only be found in the table.
    pub(super) fn drop_told(&mut self, now: Mono) {
        let unsure: Vec<Slot> = self
            .roll
            .open()
            .filter(|(_, member)| match member.standing {
                Standing::Heard | Standing::Held => true,
                Standing::Due | Standing::Struck | Standing::Settled(_) | Standing::Dropped => {
                    false
                }
            })
            .map(|(slot, _)| slot)
            .collect();
        for slot in unsure {
            self.roll.stand(slot, Standing::Dropped, now);
        }
    }

    /// Notes who was taken hold of.
    pub(super) fn hold(&mut self, slot: Slot, key: ProcKey, glimpse: &Glimpse) {
        if let Some(member) = self.roll.member_mut(slot) {
            member.key = Some(key);
            member.start = glimpse.start;
            member.state = glimpse.state;
            member.sampled_stopped = glimpse.state == 'T';
        }
    }

    /// The identity of who speaks for one, where that is certain: who is merely held may be a later bearer of the
    /// number.
    pub(super) fn anchor_of(&self, member: &Member) -> Option<ProcKey> {
        let parent = self.roll.member(member.parent?)?;
        match parent.standing {
            Standing::Due | Standing::Struck | Standing::Settled(_) => parent.key,
            Standing::Heard | Standing::Held | Standing::Dropped => None,
        }
    }

    /// Whether the table shows it as the child of who speaks for it.
    pub(super) fn is_child(&self, member: &Member, glimpse: &Glimpse) -> bool {
        let parent = member.parent.and_then(|slot| self.roll.member(slot));
        parent.is_some_and(|parent| glimpse.ppid == Some(parent.pid))
    }

    /// A look at each whose outcome is open.
    pub(super) fn looks(&self) -> impl Iterator<Item = Act> {
        self.roll.open().filter_map(|(slot, member)| {
            let key = member.key?;
            Some(Act::Look { slot, key })
        })
    }

    /// Orders CONT for everyone who was stopped by us and not killed; whether there was anyone.
    pub(super) fn release(&self, acts: &mut Vec<Act>) -> bool {
        let before = acts.len();
        for (index, member) in self.roll.all().enumerate() {
            if let (true, Some(key)) = (member.halted, member.key) {
                match member.standing {
                    // KILL needs no CONT.
                    Standing::Struck | Standing::Settled(Outcome::Survived) => {}
                    Standing::Heard
                    | Standing::Held
                    | Standing::Due
                    | Standing::Settled(_)
                    | Standing::Dropped => acts.push(Act::Send {
                        slot: Slot(index),
                        key,
                        wire: Wire::Cont,
                    }),
                }
            }
        }
        acts.len() > before
    }

    /// What came of it.
    pub(super) fn report(&self, now: Mono) -> Report {
        let mut each = Vec::new();
        let mut left = Vec::new();
        for member in self.roll.all() {
            let (Some(key), Standing::Settled(outcome)) = (member.key, member.standing) else {
                continue;
            };
            each.push((key, outcome));
            if outcome == Outcome::Survived {
                left.push(Survivor {
                    key,
                    state: member.state,
                });
            }
        }
        Report {
            warrant: self.warrant.id,
            each,
            continued: self.continued.clone(),
            heard: Vec::new(),
            left,
            certainty: self.certainty,
            first: self.first,
            at: now,
            took: now.since(self.started),
        }
    }
}

/// Whether the unit holds so much memory that giving it back takes longer.
fn is_large(evidence: &Evidence) -> bool {
    evidence.readings.iter().any(|reading| {
        reading.metric == Metric::Memory
            && reading
                .now
                .is_some_and(|now| now.at_least.magnitude() > Quantity::Size(LARGE).magnitude())
    })
}
