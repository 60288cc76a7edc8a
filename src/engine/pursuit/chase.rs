//! Killing with events: KILL every member, and every newborn as soon as it is sure who that is, until all are dead and
//! nothing more is told.
//!
//! # Why a newborn is not struck at once
//! Between a fork and the moment its event is read the child may have died and its number gone to a stranger: under
//! forced reuse 20 of 20 strangers were let in. So whoever is held is struck only when the events, drained to empty
//! after the hold, still give the number to that newborn; when it started no later than the event; and when it does not
//! turn out to be another's child while its parent lives.
//!
//! # Why "no later" and not "near"
//! The kernel stamps the event after the start, and on a full machine the parent may be put aside in between: 3 of 20
//! bombs had survivors while 20 ms were taken for too far apart. A stranger with the same number can only have started
//! after the newborn's death, and so after its event.

use std::time::Duration;

use super::case::Case;
use super::roll::{Member, Origin, Standing};
use super::{Act, Anchor, Found, Glimpse, Queue, Sighting, Slot, Step, Turn, Wire};
use crate::engine::event::{Event, Happening};
use crate::engine::process::{Pid, StartTicks};
use crate::engine::units::Mono;

/// How long to wait before another attempt to make sure who it is.
const RETRY: Duration = Duration::from_millis(5);
/// How long an exit that was heard of a number keeps the living bearer in doubt: an exit is queued after the number is
/// free, so its event and the fork of the next bearer may change places.
const DOUBT: Duration = Duration::from_millis(5);
/// How many ticks after the start of a process its own birth may be told. A number does not come round in that time.
const SOON: u64 = 100;
/// A process that exits gives its children away before it counts as dead: 3 of 100 bombs had survivors while that was
/// taken for another's child. So it must be seen once more than this, each time after [`RETRY`].
const ELSEWHERE: u32 = 3;
/// How often to look whether the dead are dead, when nothing is heard.
const WATCH: Duration = Duration::from_millis(20);

/// Where the course stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Chase {
    /// After them.
    #[default]
    Chasing,
    /// The time is over; a last look says in which state the survivors are.
    Closing,
}

impl Chase {
    pub(super) fn step(&mut self, case: &mut Case, turn: &Turn<'_>, acts: &mut Vec<Act>) -> Step {
        for event in turn.events {
            hear(case, event, turn.now);
        }
        for sighting in turn.sightings {
            if let Sighting::Taken { slot, found } = sighting {
                take(case, *slot, *found, turn.now);
            }
        }
        if turn.queue == Queue::Empty {
            confirm(case, turn.now);
        }
        if let Some(why) = case.void {
            case.let_go(why, turn.now);
        }
        if turn.now >= case.deadline() {
            return self.close(case, turn.now, acts);
        }
        // The stream was drained to its end after the last death was seen: nothing more can come.
        if case.roll.is_settled() && turn.queue == Queue::Empty {
            return Step::Over;
        }
        Step::Until(order(case, turn.now, acts))
    }

    /// The time is over.
    fn close(&mut self, case: &mut Case, now: Mono, acts: &mut Vec<Act>) -> Step {
        match self {
            Self::Chasing => {
                *self = Self::Closing;
                acts.extend(case.looks());
                Step::Until(now)
            }
            Self::Closing => {
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

/// The target whose own birth this is.
fn own_birth(case: &Case, child: Pid, ticks: StartTicks) -> Option<Slot> {
    let slot = case.roll.bearer(child)?;
    let member = case.roll.member(slot)?;
    let soon = member.start.0.saturating_add(SOON);
    let own = (member.start.0..=soon).contains(&ticks.0.saturating_add(1));
    (member.origin == Origin::Target && own).then_some(slot)
}

/// Takes in who bears the number of a newborn.
fn take(case: &mut Case, slot: Slot, found: Found, now: Mono) {
    let Some(member) = case.roll.member(slot) else {
        return;
    };
    match found {
        Found::Held {
            key,
            glimpse,
            anchor,
        } => match likeness(case, member, &glimpse, anchor) {
            Likeness::Fits => {
                case.hold(slot, key, &glimpse);
                case.roll.stand(slot, Standing::Held, now);
            }
            Likeness::Elsewhere if member.elsewhere < ELSEWHERE => {
                if let Some(member) = case.roll.member_mut(slot) {
                    member.elsewhere = member.elsewhere.saturating_add(1);
                }
            }
            Likeness::Elsewhere | Likeness::TooLate => {
                case.roll.stand(slot, Standing::Dropped, now);
            }
        },
        Found::Gone => case.roll.stand(slot, Standing::Dropped, now),
        Found::Unsure => {}
    }
}

/// Whether who was taken hold of can be the one that was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    /// It can.
    Fits,
    /// It is another's child, while the parent seems to live.
    Elsewhere,
    /// It started after the event.
    TooLate,
}

fn likeness(case: &Case, member: &Member, glimpse: &Glimpse, anchor: Anchor) -> Likeness {
    // Of a newborn, `start` is the time of its event; the two clocks are read apart, which may cost a tick.
    if glimpse.start.0 > member.start.0.saturating_add(1) {
        return Likeness::TooLate;
    }
    match anchor {
        Anchor::Alive if !case.is_child(member, glimpse) => Likeness::Elsewhere,
        Anchor::Alive | Anchor::Lost => Likeness::Fits,
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
            Some((slot, Standing::Due))
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
                anchor: case.anchor_of(member),
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
