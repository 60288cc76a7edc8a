//! One act to its end: from a [`Warrant`] to its [`Report`].
//!
//! A pursuit is told what was sighted and says what to do next; it never looks or sends by itself. [`Act`]s go to the
//! one door for signals and to the eyes; what comes of them is told with the next [`Turn`].
//!
//! **Invariants.**
//! - KILL is ordered at most once for each process, and for none that is not a target or proven to be a member's child.
//! - A newborn is struck only after the events were drained to empty *after* it was taken hold of, and none of them
//!   gave its number to another.
//! - Whoever was stopped by us is continued or killed on every way out, but that of a hold that was carried through.
//! - It ends: a course that gets nowhere has a deadline, the warrant expires, and what outlives it is named.
//!
//! # Why so many courses
//! Asking (`ask`) stops nobody: a foreground job that is stopped, asked and continued loses its terminal. With events,
//! killing needs no stopping either (`chase`): a process that was sent KILL cannot fork any more, and each child that
//! was born before is told of by its fork event. Only where nothing tells of births, or not of all, must everyone be
//! stopped first (`walk`), so that looking can keep up with them. A hold goes the same way, and ends where nobody moves;
//! `release` undoes it.

mod ask;
mod case;
mod chase;
mod release;
mod roll;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

use super::decision::Hearing;
use super::event::Event;
use super::process::{Pid, ProcKey, StartTicks};
use super::units::Mono;
use super::warrant::{Order, Outcome, Report, Warrant};

use ask::Ask;
use case::Case;
use chase::Chase;
use release::Release;
use walk::Walk;

/// One member of a pursuit, as acts and sightings name it. Valid within that pursuit only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub(in crate::engine) usize);

/// A signal, as the one door knows it. Which signal [`Wire::Ask`] stands for is the warrant's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// The signal that the warrant's order asks with.
    Ask,
    /// KILL.
    Kill,
    /// STOP.
    Stop,
    /// CONT.
    Cont,
}

/// Something a pursuit wants done; in order, and all of it before its next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Send a signal. After a KILL that was sent, [`Sighting::Dead`] comes by itself.
    Send {
        /// For whom.
        slot: Slot,
        /// To whom.
        key: ProcKey,
        /// What.
        wire: Wire,
    },
    /// Take hold of whoever bears this number, read who it is, and then see whether `anchor` still lives.
    Take {
        /// For whom.
        slot: Slot,
        /// The number.
        pid: Pid,
        /// The parent, or another of the same session.
        anchor: Option<ProcKey>,
    },
    /// See how it is.
    Look {
        /// For whom.
        slot: Slot,
        /// Who.
        key: ProcKey,
    },
    /// Read the whole process table.
    Scan,
}

/// What came of an act, or came by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// What the door said.
    Sent {
        /// For whom.
        slot: Slot,
        /// What.
        wire: Wire,
        /// What came of it.
        outcome: Outcome,
    },
    /// Who was taken hold of.
    Taken {
        /// For whom.
        slot: Slot,
        /// Who.
        found: Found,
    },
    /// How it is.
    Looked {
        /// For whom.
        slot: Slot,
        /// What was seen.
        look: Look,
    },
    /// It is dead: its pidfd is readable.
    Dead {
        /// Who.
        slot: Slot,
    },
    /// Everyone there is. `at` is when the reading began, in the unit of start ticks.
    Scanned {
        /// When.
        at: StartTicks,
        /// All processes.
        seen: Vec<Glimpse>,
    },
    /// Authority was withdrawn.
    Recalled,
}

/// Who bears a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This process; what is said of it was read while it was held and alive.
    Held {
        /// Who.
        key: ProcKey,
        /// The rest.
        glimpse: Glimpse,
        /// How it was with the anchor *afterwards*.
        anchor: Anchor,
    },
    /// Nobody, or the dead.
    Gone,
    /// It could not be told: out of file descriptors.
    Unsure,
}

/// How it was with an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It lived: what was read before is true of it and no other.
    Alive,
    /// It is dead, nobody was asked about, or it could not be told.
    Lost,
}

/// One process of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// Its number.
    pub pid: Pid,
    /// Its parent's number.
    pub ppid: Option<Pid>,
    /// Its session.
    pub session: Option<Pid>,
    /// When it started.
    pub start: StartTicks,
    /// The kernel's letter for the state of its leader.
    pub state: char,
}

/// What a look at one process shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Dead, or gone.
    Dead,
    /// Alive.
    Alive {
        /// The kernel's letter for the state of its leader.
        state: char,
        /// All its threads.
        motion: Motion,
    },
    /// It could not be seen.
    Unseen,
}

/// Whether any thread of a process may still do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Motion {
    /// Every thread is stopped (`T`).
    Still,
    /// Those that are not stopped wait in the kernel or for a tracer (`D`, `t`): a queued STOP is all one can do.
    Bound,
    /// Some thread sleeps: it is about to stop, or frozen.
    Asleep,
    /// Some thread runs.
    Running,
}

/// How far the stream of events was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// To its end: there was nothing more after the sightings of this turn were made.
    Empty,
    /// There is more.
    More,
    /// To its end, but something was lost on the way.
    Lost,
    /// There is no stream.
    Deaf,
}

/// All that is told at once.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Now.
    pub now: Mono,
    /// What was sighted, in order, *before* `events` were drained.
    pub sightings: &'a [Sighting],
    /// What happened since the last turn; on the first one, since the decision.
    pub events: &'a [Event],
    /// How far that goes.
    pub queue: Queue,
}

/// One act on its way.
#[derive(Debug)]
pub struct Pursuit {
    case: Case,
    course: Course,
    report: Option<Report>,
}

#[derive(Debug)]
enum Course {
    Ask(Ask),
    Chase(Chase),
    Walk(Walk),
    Release(Release),
}

/// Whether a course goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It wants another turn when something is sighted or heard, and at this moment at the latest.
    Until(Mono),
    /// Every outcome is known.
    Over,
}

impl Pursuit {
    /// Takes up a warrant. `hearing` says whether births will be told.
    pub fn new(warrant: Arc<Warrant>, hearing: Hearing, now: Mono) -> Self {
        let course = match (warrant.order, hearing) {
            (Order::Ask(_), Hearing::Events | Hearing::Nothing) => Course::Ask(Ask::default()),
            (Order::End, Hearing::Events) => Course::Chase(Chase::default()),
            (Order::End, Hearing::Nothing) | (Order::Hold, Hearing::Events | Hearing::Nothing) => {
                Course::Walk(Walk::new(now))
            }
            (Order::Release, Hearing::Events | Hearing::Nothing) => {
                Course::Release(Release::default())
            }
        };
        Self {
            case: Case::new(warrant, hearing, now),
            course,
            report: None,
        }
    }

    /// The warrant that is carried out.
    pub fn warrant(&self) -> &Arc<Warrant> {
        &self.case.warrant
    }

    /// Takes in what came, and says what to do. Returns when the next turn is due at the latest; with acts to
    /// perform, it is due as soon as they are.
    pub fn turn(&mut self, turn: &Turn<'_>, acts: &mut Vec<Act>) -> Mono {
        if self.report.is_some() {
            return Mono::NEVER;
        }
        self.case.take_in(turn);
        // What is not told in full cannot be followed: then everyone has to stand still to be found.
        if let (Course::Chase(_), Queue::Lost | Queue::Deaf) = (&self.course, turn.queue) {
            self.case.drop_told(turn.now);
            self.course = Course::Walk(Walk::new(turn.now));
        }
        let step = match &mut self.course {
            Course::Ask(course) => course.step(&mut self.case, turn, acts),
            Course::Chase(course) => course.step(&mut self.case, turn, acts),
            Course::Walk(course) => course.step(&mut self.case, turn, acts),
            Course::Release(course) => course.step(&self.case, turn.now, acts),
        };
        match step {
            Step::Until(due) => due,
            Step::Over => {
                self.report = Some(self.case.report(turn.now));
                Mono::NEVER
            }
        }
    }

    /// What came of it, once every outcome is known.
    pub fn settled(&self) -> Option<&Report> {
        self.report.as_ref()
    }
}
