//! Killing where nothing tells of births: STOP everyone, look for more until nobody new turns up and nobody moves, then
//! KILL all, and look once more. A hold ends where KILL would come.
//!
//! # Why every thread must be stopped
//! With only the leader stopped, a child was born afterwards in 7 of 20 runs, up to 13.9 ms later: another thread was
//! still in `fork`. And why KILL does not wait for ever: somebody outside may continue members as fast as we stop them.

use std::time::Duration;

use super::case::Case;
use super::roll::{Member, Standing};
use super::{Act, Anchor, Found, Glimpse, Motion, Sighting, Slot, Step, Turn, Wire};
use crate::engine::units::Mono;
use crate::engine::warrant::{Order, Outcome};

/// So many rounds in a row must show nobody new and nobody moving.
const QUIET: u32 = 3;
/// The time between rounds.
const ROUND: Duration = Duration::from_millis(8);
/// No more than so many rounds, and no longer than so, before KILL.
const ROUNDS: u32 = 200;
const STOPPING: Duration = Duration::from_secs(1);
/// A process that is not running and has not stopped so many rounds after its STOP is frozen: it cannot move either.
const FROZEN: u32 = 3;
/// How often to look whether the dead are dead.
const WATCH: Duration = Duration::from_millis(10);

/// Where the course stands.
#[derive(Debug)]
pub(super) struct Walk {
    stage: Stage,
    /// When the stage began.
    since: Mono,
    rounds: u32,
    quiet: u32,
    /// Whether the round under way found anyone new.
    fresh: Fresh,
    /// When the next round begins.
    next: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    Nobody,
    Somebody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// STOP to those who move, then a look at each and at the table.
    Stopping,
    /// KILL to all, and waiting until they are dead.
    Killing,
    /// One more look at the table.
    Sweeping,
    /// The time is over: in which state are the survivors?
    Closing,
    /// CONT to those who were stopped and will not be killed.
    Releasing,
}

impl Walk {
    pub(super) const fn new(now: Mono) -> Self {
        Self {
            stage: Stage::Stopping,
            since: now,
            rounds: 0,
            quiet: 0,
            fresh: Fresh::Nobody,
            next: now,
        }
    }

    pub(super) fn step(&mut self, case: &mut Case, turn: &Turn<'_>, acts: &mut Vec<Act>) -> Step {
        let now = turn.now;
        for sighting in turn.sightings {
            self.take_in(case, sighting, now);
        }
        match self.stage {
            Stage::Closing => case.give_up(now),
            // Once more while it cannot be made sure who it is.
            Stage::Releasing if now < self.since.after(STOPPING) && case.release(acts) => {
                return Step::Until(now.after(ROUND));
            }
            Stage::Releasing => return Step::Over,
            Stage::Stopping | Stage::Killing | Stage::Sweeping if now >= case.deadline() => {
                self.enter(Stage::Closing, now);
                acts.extend(case.looks());
                return Step::Until(now);
            }
            Stage::Stopping | Stage::Killing | Stage::Sweeping => {}
        }
        if let Some(why) = case.void {
            case.let_go(why, now);
        }
        let swept = self.stage == Stage::Sweeping && self.fresh == Fresh::Nobody;
        let over = swept || case.void.is_some() || self.stage == Stage::Closing;
        if over && case.roll.is_settled() {
            self.enter(Stage::Releasing, now);
            return if case.release(acts) {
                Step::Until(now)
            } else {
                Step::Over
            };
        }
        self.order(case, now, acts)
    }

    fn enter(&mut self, stage: Stage, now: Mono) {
        self.stage = stage;
        self.since = now;
        self.rounds = 0;
        self.quiet = 0;
        self.fresh = Fresh::Nobody;
        self.next = now;
    }

    fn take_in(&mut self, case: &mut Case, sighting: &Sighting, now: Mono) {
        match sighting {
            Sighting::Taken { slot, found } => {
                if take(case, *slot, *found, now) == Fresh::Somebody {
                    self.fresh = Fresh::Somebody;
                }
            }
            Sighting::Scanned { seen, .. } => {
                for (glimpse, tie) in case.roll.unknown_of(seen) {
                    case.roll.seen(&glimpse, tie, now);
                }
            }
            Sighting::Looked { .. }
            | Sighting::Sent { .. }
            | Sighting::Dead { .. }
            | Sighting::Recalled => {}
        }
    }

    fn order(&mut self, case: &mut Case, now: Mono, acts: &mut Vec<Act>) -> Step {
        // Who was seen is taken hold of before anything else, in every stage.
        take_hold(case, now, acts);
        if !acts.is_empty() {
            return Step::Until(now);
        }
        match self.stage {
            Stage::Stopping => self.stop(case, now, acts),
            Stage::Killing => self.kill(case, now, acts),
            // Somebody was found: from the beginning, for that one.
            Stage::Sweeping => {
                self.enter(Stage::Stopping, now);
                self.stop(case, now, acts)
            }
            Stage::Closing | Stage::Releasing => Step::Until(now),
        }
    }

    /// One round. What the round before showed is in the members' motions.
    fn stop(&mut self, case: &mut Case, now: Mono, acts: &mut Vec<Act>) -> Step {
        if now < self.next && self.fresh == Fresh::Nobody {
            return Step::Until(self.next);
        }
        let waiting: Vec<Slot> = case.roll.open().map(|(slot, _)| slot).collect();
        if self.rounds > 0 {
            let still = case.roll.open().all(|(_, member)| is_quiet(member));
            self.quiet = match self.fresh {
                Fresh::Nobody if still => self.quiet.saturating_add(1),
                Fresh::Nobody | Fresh::Somebody => 0,
            };
        }
        let late = self.rounds >= ROUNDS || now >= self.since.after(STOPPING);
        if self.quiet >= QUIET || late {
            if case.warrant.order == Order::Hold {
                case.leave_standing(now);
                return Step::Over;
            }
            self.enter(Stage::Killing, now);
            return self.kill(case, now, acts);
        }
        let holds = case.warrant.order == Order::Hold;
        self.fresh = Fresh::Nobody;
        self.rounds = self.rounds.saturating_add(1);
        self.next = now.after(ROUND);
        for slot in waiting {
            let Some(member) = case.roll.member_mut(slot) else {
                continue;
            };
            let Some(key) = member.key else { continue };
            let act = |wire| Act::Send { slot, key, wire };
            match (member.standing, member.motion, member.halted) {
                // Who was found stopped is looked at first, and everyone who is to stay so: what we did not stop, we
                // shall not continue.
                (Standing::Due, None, _) if member.sampled_stopped || holds => {}
                (Standing::Due, None | Some(Motion::Running), _)
                | (Standing::Due, Some(Motion::Asleep | Motion::Bound), false) => {
                    member.frozen = 0;
                    acts.push(act(Wire::Stop));
                }
                // STOP is queued; whoever sleeps on either was continued or is frozen: ask again, and count.
                (Standing::Due, Some(Motion::Asleep), true) => {
                    member.frozen = member.frozen.saturating_add(1);
                    acts.push(act(Wire::Stop));
                }
                (Standing::Due, Some(Motion::Still | Motion::Bound), _)
                | (
                    Standing::Heard
                    | Standing::Held
                    | Standing::Struck
                    | Standing::Settled(_)
                    | Standing::Dropped,
                    _,
                    _,
                ) => {}
            }
        }
        acts.extend(case.looks());
        acts.push(Act::Scan);
        Step::Until(self.next)
    }

    /// KILL to all that are due, parents first, then waiting for their deaths, then the last look.
    fn kill(&mut self, case: &mut Case, now: Mono, acts: &mut Vec<Act>) -> Step {
        if case.roll.is_settled() {
            self.enter(Stage::Sweeping, now);
            acts.push(Act::Scan);
            return Step::Until(now);
        }
        let mut due = now.after(WATCH);
        let mut ordered = Vec::new();
        for (slot, member) in case.roll.open() {
            let (Standing::Due, Some(key)) = (member.standing, member.key) else {
                continue;
            };
            due = due.min(member.next);
            if member.next <= now {
                ordered.push(slot);
                acts.push(Act::Send {
                    slot,
                    key,
                    wire: Wire::Kill,
                });
            }
        }
        for slot in ordered {
            if let Some(member) = case.roll.member_mut(slot) {
                member.next = now.after(WATCH);
            }
        }
        Step::Until(due)
    }
}

/// Takes in who bears the number of one that was seen: a member only if it is still what it was taken for, and whoever
/// speaks for it lived even then.
fn take(case: &mut Case, slot: Slot, found: Found, now: Mono) -> Fresh {
    let Some(member) = case.roll.member(slot) else {
        return Fresh::Nobody;
    };
    match found {
        Found::Held {
            key,
            glimpse,
            anchor: Anchor::Alive,
        } if is_tied(case, member, &glimpse) => {
            case.hold(slot, key, &glimpse);
            case.roll.stand(slot, Standing::Due, now);
            Fresh::Somebody
        }
        Found::Held { .. } | Found::Gone => {
            case.roll.stand(slot, Standing::Dropped, now);
            Fresh::Nobody
        }
        Found::Unsure => Fresh::Nobody,
    }
}

/// Whether it is the one that was seen, tied as it was seen to be.
fn is_tied(case: &Case, member: &Member, glimpse: &Glimpse) -> bool {
    let tied = match member.session {
        Some(session) => glimpse.session == Some(session),
        None => case.is_child(member, glimpse),
    };
    tied && member.start == glimpse.start
}

/// Orders to take hold of each who was seen; not again at once where that found us short of something.
fn take_hold(case: &mut Case, now: Mono, acts: &mut Vec<Act>) {
    let seen: Vec<Slot> = case
        .roll
        .open()
        .filter(|(_, member)| member.standing == Standing::Heard && member.next <= now)
        .map(|(slot, _)| slot)
        .collect();
    for slot in seen {
        let Some(member) = case.roll.member(slot) else {
            continue;
        };
        acts.push(Act::Take {
            slot,
            pid: member.pid,
            anchor: case.anchor_of(member),
        });
        if let Some(member) = case.roll.member_mut(slot) {
            member.next = now.after(WATCH);
        }
    }
}

/// Whether it cannot start anything: stopped, waiting with its STOP queued, frozen, or not ours to stop.
fn is_quiet(member: &Member) -> bool {
    match member.standing {
        Standing::Due => match member.motion {
            Some(Motion::Still) => true,
            Some(Motion::Bound) => member.halted,
            Some(Motion::Asleep) => member.frozen >= FROZEN,
            Some(Motion::Running) | None => false,
        },
        Standing::Settled(
            Outcome::Sent
            | Outcome::Gone
            | Outcome::Denied
            | Outcome::Survived
            | Outcome::Withheld(_),
        )
        | Standing::Struck
        | Standing::Dropped => true,
        Standing::Heard | Standing::Held => false,
    }
}
