//! Errands: what a ladder has others do. A program of the administrator's that is run, or a manager that is asked to stop what
//! it manages.
//!
//! **Invariants.** An errand comes of a last call, as a warrant does, or of a closing; never of anything else. It counts as done
//! when it begins: whatever it comes to, it is not begun again, also not by the next beadle. At most one is under way for each
//! incident.
//!
//! # Why it is no warrant
//! A warrant is authority over processes: it names each, and is held against each signal. An errand names none; whom the
//! program ends, if anybody, is its own doing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::decision::{Closing, Notice, What};
use super::evidence::{Evidence, IncidentId, UnitKey};
use super::process::Text;
use super::rule::{Command, Mode};
use super::steward::Steward;
use super::units::Mono;

/// The number of an errand: counts from 1 within one run, together with the numbers of warrants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrandId(pub u64);

/// Something that others are to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Its number.
    pub id: ErrandId,
    /// The incident it belongs to.
    pub incident: IncidentId,
    /// The rule's mode.
    pub mode: Mode,
    /// Why: the figures.
    pub evidence: Arc<Evidence>,
    /// What.
    pub task: Task,
    /// At which point of the incident.
    pub occasion: Occasion,
}

impl Errand {
    /// The unit it is about.
    pub fn unit(&self) -> UnitKey {
        self.evidence.unit
    }

    /// That it is begun.
    pub fn begun(&self, at: Mono) -> Notice {
        let what = What::Run {
            errand: self.id,
            task: self.task.clone(),
            occasion: self.occasion,
        };
        self.notice(at, what)
    }

    /// What it came to.
    pub fn over(&self, at: Mono, came: Came, took: Duration) -> Notice {
        let what = What::Ran {
            errand: self.id,
            task: self.task.clone(),
            came,
            took,
        };
        self.notice(at, what)
    }

    fn notice(&self, at: Mono, what: What) -> Notice {
        Notice {
            at,
            incident: self.incident,
            mode: self.mode,
            evidence: self.evidence.clone(),
            what,
        }
    }
}

/// What others are to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Run this program.
    Exec(Arc<Command>),
    /// Ask this manager to stop what holds the tree.
    Stop(Steward),
}

/// How long a manager may take to answer.
const ANSWERS: Duration = Duration::from_secs(30);

impl Task {
    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        match self {
            Self::Exec(command) => command.timeout,
            Self::Stop(_) => ANSWERS,
        }
    }
}

/// At which point of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Its ladder reached this stage, counted from 1; the stage before gave so long.
    Stage {
        /// Which.
        place: usize,
        /// How long the stage before gave.
        served: Duration,
    },
    /// It was closed.
    Closed(Closing),
}

/// What an errand came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Which.
    pub errand: ErrandId,
    /// What it came to.
    pub came: Came,
    /// When it was over.
    pub at: Mono,
    /// From start to end.
    pub took: Duration,
}

/// What a program came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// It ended by itself.
    Exited {
        /// Its status; 0 is well.
        status: i32,
        /// The last line it wrote, cut short.
        said: Option<Text>,
    },
    /// A signal ended it that was not ours.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// The last line it wrote, cut short.
        said: Option<Text>,
    },
    /// It took too long, and was ended.
    TimedOut {
        /// The last line it wrote, cut short.
        said: Option<Text>,
    },
    /// It could not be started, and why.
    Unstarted(Text),
    /// Nothing more was heard of it.
    Lost,
}

impl Came {
    /// Whether it came to what was wanted.
    pub const fn is_well(&self) -> bool {
        matches!(self, Self::Exited { status: 0, .. })
    }

    /// The word in JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Exited { .. } => "exited",
            Self::Signalled { .. } => "signalled",
            Self::TimedOut { .. } => "timed_out",
            Self::Unstarted(_) => "not_started",
            Self::Lost => "lost",
        }
    }

    /// The last line it wrote.
    pub const fn said(&self) -> Option<&Text> {
        match self {
            Self::Exited { said, .. } | Self::Signalled { said, .. } | Self::TimedOut { said } => {
                said.as_ref()
            }
            Self::Unstarted(_) | Self::Lost => None,
        }
    }
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { status: 0, .. } => f.write_str("ended well"),
            Self::Exited { status, .. } => write!(f, "ended with status {status}"),
            Self::Signalled { signal, .. } => write!(f, "was ended by signal {signal}"),
            Self::TimedOut { .. } => f.write_str("took too long and was ended"),
            Self::Unstarted(why) => write!(f, "could not be started: {why}"),
            Self::Lost => f.write_str("was not heard of again"),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exec(command) => f.write_str(&command.program),
            Self::Stop(steward) => write!(f, "{steward}"),
        }
    }
}
