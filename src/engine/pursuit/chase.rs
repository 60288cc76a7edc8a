//! Killing with events: KILL every member, and every newborn as soon as it is sure who that is, until all are dead and
//! nothing more is told.
//!
//! # Why a newborn is not struck at once
//! Between a fork and the moment its event is read the child may have died and its number gone to a stranger: under
//! forced reuse 20 of 20 strangers were let in. So whoever is held is struck only when the events, drained to empty
//! after the hold, still give the number to that newborn; when it started near the event's time; and when it does not
//! turn out to be another's child while its parent lives.

use std::time::Duration;

use super::case::Case;
use super::roll::{Claim, Member, Origin, Standing};
use super::{Act, Anchor, Found, Glimpse, Queue, Sighting, Slot, Step, Turn, Wire};
use crate::engine::event::{Event, Happening};
use crate::engine::process::{Pid, ProcKey, StartTicks};
use crate::engine::units::Mono;

/// How long to wait before another attempt to make sure who it is.
const RETRY: Duration = Duration::from_millis(5);
/// How long an exit that was heard of a number keeps the living bearer in doubt: an exit is queued after the number is
/// free, so its event and the fork of the next bearer may change places.
const DOUBT: Duration = Duration::from_millis(5);
/// How often to look whether the dead are dead, when nothing is heard.
const WATCH: Duration = Duration::from_millis(20);

/// Where the course stands.
#[derive(Debug, Default)]
pub(super) struct Chase {
    rescan: Rescan,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Chasing,
    /// The time is over; a last look says in which state the survivors are.
    Closing,
}

/// Whether the table must be read because events were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rescan {
    #[default]
    NotNeeded,
    Needed,
    Asked,
}

impl Chase {
    pub(super) fn step(&mut self, case: &mut Case, turn: &Turn<'_>, acts: &mut Vec<Act>) -> Step {
        for event in turn.events {
            hear(case, event, turn.now);
        }
        // What was lost came after what was heard.
        if turn.queue == Queue::Lost {
            self.recover(case, turn.now);
        }
        for sighting in turn.sightings {
            self.take_in(case, sighting, turn.now);
        }
        if turn.queue == Queue::Empty {
            confirm(case, turn.now);
        }
        if let Some(why) = case.void {
            case.let_go(why, turn.now);
        }
        if turn.now >= case.deadline {
            return self.close(case, turn.now, acts);
        }
        if case.roll.is_settled() && self.is_quiet(case, turn.queue) {
            return Step::Over;
        }
        let due = order(case, turn.now, acts);
        if self.rescan == Rescan::Needed {
            self.rescan = Rescan::Asked;
            acts.push(Act::Scan);
        }
        Step::Until(due)
    }

    /// Events were lost. A number stands for a member only if that lives; who was heard of and is not sure yet can
    /// only be found again in the table.
    fn recover(&mut self, case: &mut Case, now: Mono) {
        let unsure: Vec<Slot> = case
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
            case.roll.stand(slot, Standing::Dropped, now);
        }
        case.roll.keep_bearers(Member::is_alive);
        self.rescan = Rescan::Needed;
    }

    /// Whether nothing more can come: the stream was drained to its end after the last death was seen.
    fn is_quiet(&self, case: &Case, queue: Queue) -> bool {
        match queue {
            Queue::Empty => case.void.is_some() || self.rescan == Rescan::NotNeeded,
            Queue::Deaf => true,
            Queue::More | Queue::Lost => false,
        }
    }

    fn take_in(&mut self, case: &mut Case, sighting: &Sighting, now: Mono) {
        match sighting {
            Sighting::Taken { slot, found } => {
                // What a proven one started before it was proven may have been missed.
                if take(case, *slot, *found, now) == Taking::Proven {
                    self.rescan = Rescan::Needed;
                }
            }
            Sighting::Scanned { seen, .. } => {
                // Lost again meanwhile: then this reading is too old.
                if self.rescan == Rescan::Asked {
                    self.rescan = Rescan::NotNeeded;
                }
                for (glimpse, tie) in case.roll.unknown_of(seen) {
                    case.roll.seen(&glimpse, tie, now);
                }
            }
            Sighting::Sent { .. }
            | Sighting::Looked { .. }
            | Sighting::Dead { .. }
            | Sighting::Recalled => {}
        }
    }

    /// The time is over.
    fn close(&mut self, case: &mut Case, now: Mono, acts: &mut Vec<Act>) -> Step {
        match self.stage {
            Stage::Chasing => {
                self.stage = Stage::Closing;
                acts.extend(case.roll.open().filter_map(|(slot, member)| {
                    let key = member.key?;
                    Some(Act::Look { slot, key })
                }));
                Step::Until(now)
            }
            Stage::Closing => {
                case.give_up(now);
                Step::Over
            }
        }
    }
}

/// Follows one event: who is born to a member becomes one, and a number that is given to another is its no more.
fn hear(case: &mut Case, event: &Event, now: Mono) {
    match event.what {
        Happening::Fork {
            parent,
            child,
            ticks,
        } => {
            if let Some(slot) = own_birth(case, child, ticks) {
                // The decision knew it before its birth was told: what was told of the number until now was of
                // another.
                case.roll.disown(slot, now);
                return;
            }
            match case.roll.bearer(parent) {
                Some(slot) if case.void.is_none() => case.roll.told(child, ticks, slot, now),
                Some(_) | None => case.roll.unbear(child),
            }
        }
        Happening::Exit { pid } => {
            if let Some(member) = case
                .roll
                .bearer(pid)
                .and_then(|slot| case.roll.member_mut(slot))
            {
                member.exit_heard = true;
            }
        }
        Happening::Thread { .. }
        | Happening::Exec { .. }
        | Happening::Owner { .. }
        | Happening::Session { .. }
        | Happening::Name { .. } => {}
    }
}

/// What came of taking hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taking {
    /// One that was only seen is a member for certain.
    Proven,
    /// Anything else.
    Other,
}

/// The target whose own birth this is.
fn own_birth(case: &Case, child: Pid, ticks: StartTicks) -> Option<Slot> {
    let slot = case.roll.bearer(child)?;
    let member = case.roll.member(slot)?;
    (member.origin == Origin::Target && member.start.near(ticks)).then_some(slot)
}

/// Takes in who bears the number of one that was told of or seen.
pub(super) fn take(case: &mut Case, slot: Slot, found: Found, now: Mono) -> Taking {
    let (key, glimpse, anchor) = match found {
        Found::Held {
            key,
            glimpse,
            anchor,
        } => (key, glimpse, anchor),
        Found::Unsure => return Taking::Other,
        Found::Gone => {
            case.roll.decide(slot, Claim::Refuted);
            case.roll.stand(slot, Standing::Dropped, now);
            return Taking::Other;
        }
    };
    let Some(member) = case.roll.member(slot) else {
        return Taking::Other;
    };
    let fits = fits(case, member, &glimpse, anchor);
    let seen = member.origin == Origin::Seen;
    if seen {
        case.roll
            .decide(slot, if fits { Claim::Proven } else { Claim::Refuted });
    }
    if !fits {
        case.roll.stand(slot, Standing::Dropped, now);
        return Taking::Other;
    }
    if let Some(member) = case.roll.member_mut(slot) {
        member.key = Some(key);
        member.start = glimpse.start;
        member.state = glimpse.state;
        member.sampled_stopped = glimpse.state == 'T';
    }
    // Being told is confirmed by what is told next; being proven needs no more.
    let standing = if seen { Standing::Due } else { Standing::Held };
    case.roll.stand(slot, standing, now);
    if seen { Taking::Proven } else { Taking::Other }
}

/// Whether who was taken hold of can be the one that was told of, or is the one that was seen and what it was taken for.
fn fits(case: &Case, member: &Member, glimpse: &Glimpse, anchor: Anchor) -> bool {
    let parent = member.parent.and_then(|slot| case.roll.member(slot));
    let of_parent = parent.is_some_and(|parent| glimpse.ppid == Some(parent.pid));
    match (member.origin, anchor) {
        (Origin::Target, _) => true,
        // Another's child while the parent lives: a stranger with the same number.
        (Origin::Told, Anchor::Alive) => of_parent && member.start.near(glimpse.start),
        (Origin::Told, Anchor::Lost) => member.start.near(glimpse.start),
        (Origin::Seen, Anchor::Lost) => false,
        (Origin::Seen, Anchor::Alive) => {
            let tied = match member.session {
                Some(session) => glimpse.session == Some(session),
                None => of_parent,
            };
            tied && member.start == glimpse.start
        }
    }
}

/// Makes members of those who are held and whose number was given to nobody else: everything told until after they
/// were held has been heard.
fn confirm(case: &mut Case, now: Mono) {
    let held: Vec<(Slot, Standing)> = case
        .roll
        .open()
        .filter_map(|(slot, member)| {
            if member.standing != Standing::Held {
                return None;
            }
            if case.roll.bearer(member.pid) != Some(slot) {
                return Some((slot, Standing::Dropped));
            }
            if member.exit_heard && now < member.since.after(DOUBT) {
                return None;
            }
            match case.roll.claim(slot) {
                Claim::Proven => Some((slot, Standing::Due)),
                Claim::Refuted => Some((slot, Standing::Dropped)),
                Claim::Open => None,
            }
        })
        .collect();
    for (slot, standing) in held {
        case.roll.stand(slot, standing, now);
    }
}

/// Orders what is due; returns when the next turn is.
fn order(case: &mut Case, now: Mono, acts: &mut Vec<Act>) -> Mono {
    let mut ordered = Vec::new();
    let mut due = now.after(WATCH);
    for (slot, member) in case.roll.open() {
        let act = match (member.standing, member.key) {
            (Standing::Due, Some(key)) => Act::Send {
                slot,
                key,
                wire: Wire::Kill,
            },
            (Standing::Heard, _) => Act::Take {
                slot,
                pid: member.pid,
                anchor: anchor_of(case, member),
            },
            (Standing::Held, _) => {
                due = due.min(now.after(DOUBT));
                continue;
            }
            (Standing::Due, None)
            | (Standing::Struck | Standing::Settled(_) | Standing::Dropped, _) => continue,
        };
        due = due.min(member.next);
        if member.next <= now {
            acts.push(act);
            ordered.push(slot);
        }
    }
    for slot in ordered {
        if let Some(member) = case.roll.member_mut(slot) {
            member.next = now.after(RETRY);
        }
    }
    due
}

/// The identity of who speaks for one, where that is certain: who is merely held may be a later bearer of the number.
pub(super) fn anchor_of(case: &Case, member: &Member) -> Option<ProcKey> {
    let parent = case.roll.member(member.parent?)?;
    match parent.standing {
        Standing::Due | Standing::Struck | Standing::Settled(_) => parent.key,
        Standing::Heard | Standing::Held | Standing::Dropped => None,
    }
}
