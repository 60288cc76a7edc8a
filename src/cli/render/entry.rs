//! Entries of the log: what happened, when, to whom and why. In JSON, one object a line; in text, one line.

use jiff::Zoned;
use serde::{Deserialize, Serialize};

use super::words;
use crate::control::wire::{self, Evidence, Next, Rest, Safe, Subject, moment, seconds};
use crate::engine::decision::{Notice, What};
use crate::engine::evidence;
use crate::engine::process::{Pid, ProcKey};
use crate::engine::rule::Mode;
use crate::engine::units::Mono;
use crate::engine::warrant::{Outcome, Report, Warrant, Withheld};

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Wall time, RFC 3339.
    pub t: Safe,
    /// Seconds of awake time since boot.
    pub mono: f64,
    /// What happened; its name is in `event`.
    #[serde(flatten)]
    pub event: Event,
    /// Whose case it is; absent where it is nobody's.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub case: Option<Case>,
}

/// The case an entry belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The incident.
    pub incident: u64,
    /// The rule's mode.
    pub mode: Safe,
    /// The process to look at: the root, or the first of those signalled when the root is not among them.
    pub pid: u32,
    /// One rule, one unit.
    #[serde(flatten)]
    pub subject: Subject,
    /// Why.
    pub evidence: Evidence,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An incident opened.
    Incident,
    /// People are told.
    Nudge {
        /// What comes next of its own accord.
        next: Option<Next>,
        /// Why nothing does, where the ladder goes on but we do not.
        rests: Option<Rest>,
        /// Whether they were told before.
        again: bool,
    },
    /// A signal is sent.
    Signal {
        /// The warrant.
        warrant: u64,
        /// Which, without `SIG`.
        signal: Safe,
        /// To whom.
        pids: Vec<u32>,
        /// Seconds that the stage before gave.
        served: f64,
    },
    /// What came of it.
    Outcome {
        /// The warrant.
        warrant: u64,
        /// Which signal, without `SIG`.
        signal: Safe,
        /// Whom it was for.
        pids: Vec<u32>,
        /// What came of each.
        each: Vec<Fate>,
        /// Who was found stopped and continued.
        continued: Vec<u32>,
        /// Who outlived a KILL.
        left: Vec<Left>,
        /// Seconds from start to settled.
        took: f64,
    },
    /// A stage was due and was not carried out.
    Withheld {
        /// The signal that would have been sent.
        signal: Safe,
        /// To how many processes.
        targets: u32,
        /// Why not.
        rests: Rest,
    },
    /// An incident is over.
    Close {
        /// How, in a word.
        how: Safe,
        /// Seconds that it was open.
        lasted: f64,
    },
    /// Something does not work, or works again.
    Fault {
        /// Which part.
        part: Safe,
        /// Which edge.
        state: Edge,
        /// What is wrong.
        text: Safe,
        /// How often it was seen by now.
        count: u64,
    },
    /// The rules were read again.
    Reload {
        /// How that went.
        outcome: Reloaded,
        /// Rules in force now.
        rules: usize,
        /// What was wrong with the new ones.
        problems: Vec<Safe>,
    },
    /// The watch begins.
    Start(Start),
    /// The watch ends.
    Stop {
        /// Why.
        because: Safe,
    },
}

/// What came of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fate {
    /// Its number.
    pub pid: u32,
    /// Its identity.
    pub key: Safe,
    /// `sent`, `gone`, `denied`, `withheld` or `survived`.
    pub outcome: Safe,
    /// Why it was withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<Safe>,
}

/// A process that outlived a KILL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// Its number.
    pub pid: u32,
    /// Its identity.
    pub key: Safe,
    /// The kernel's letter for its state.
    pub state: char,
}

/// The edges of a fault. Between them it is only counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// It began.
    Began,
    /// It is over.
    Over,
}

/// How a reload went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reloaded {
    /// The new rules are in force.
    Taken,
    /// The old ones stay.
    Refused,
}

/// How the watch begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Our version.
    pub version: Safe,
    /// The daemon's own number. (`pid` is a judged process, everywhere.)
    pub daemon: u32,
    /// How far we go.
    pub mode: Safe,
    /// Where births and deaths come from: `events` or `scan`.
    pub tier: Safe,
    /// Why they are not heard, where that is how things are here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaf: Option<Safe>,
    /// Where the rules come from; empty when only the built-in ones run.
    pub config: Vec<Safe>,
    /// The rules in force.
    pub rules: Vec<StartRule>,
    /// Nothing but descendants of this process is signalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leash: Option<u32>,
    /// Where we listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<Safe>,
}

/// A rule in force when the watch begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartRule {
    /// Its name.
    pub name: Safe,
    /// Its mode.
    pub mode: Safe,
}

impl Entry {
    /// What the judge wants told.
    pub fn notice(notice: &Notice, wall: &Zoned) -> Self {
        let targets: &[Pid] = match &notice.what {
            What::Signal { targets, .. } => targets,
            What::Opened | What::Nudge { .. } | What::Withheld { .. } | What::Closed { .. } => &[],
        };
        let case = Case::of(notice.incident, notice.mode, &notice.evidence, targets);
        Self::stamped(Event::from(&notice.what), notice.at, wall, Some(case))
    }

    /// What came of a warrant.
    pub fn outcome(warrant: &Warrant, mode: Mode, report: &Report, wall: &Zoned) -> Self {
        let pids: Vec<Pid> = report.each.iter().map(|(key, _)| key.pid()).collect();
        let case = Case::of(warrant.incident, mode, &warrant.evidence, &pids);
        let event = Event::Outcome {
            warrant: report.warrant.0,
            signal: Safe::word(warrant.order.signal().word()),
            pids: numbers(&pids),
            each: report.each.iter().map(Fate::of).collect(),
            continued: report
                .continued
                .iter()
                .map(|key| key.pid().number())
                .collect(),
            left: report
                .left
                .iter()
                .map(|survivor| Left {
                    pid: survivor.key.pid().number(),
                    key: identity(survivor.key),
                    state: survivor.state,
                })
                .collect(),
            took: seconds(report.took),
        };
        Self::stamped(event, report.at, wall, Some(case))
    }

    /// An edge of a fault.
    pub fn fault(part: &str, state: Edge, text: &str, count: u64, at: Mono, wall: &Zoned) -> Self {
        let event = Event::Fault {
            part: Safe::word(part),
            state,
            text: Safe::word(text),
            count,
        };
        Self::stamped(event, at, wall, None)
    }

    /// The new rules are in force.
    pub fn reloaded(rules: usize, at: Mono, wall: &Zoned) -> Self {
        let event = Event::Reload {
            outcome: Reloaded::Taken,
            rules,
            problems: Vec::new(),
        };
        Self::stamped(event, at, wall, None)
    }

    /// The new rules are refused; `rules` old ones stay in force.
    pub fn not_reloaded(rules: usize, problems: Vec<Safe>, at: Mono, wall: &Zoned) -> Self {
        let event = Event::Reload {
            outcome: Reloaded::Refused,
            rules,
            problems,
        };
        Self::stamped(event, at, wall, None)
    }

    /// The watch begins.
    pub fn start(start: Start, at: Mono, wall: &Zoned) -> Self {
        Self::stamped(Event::Start(start), at, wall, None)
    }

    /// The watch ends.
    pub fn stop(because: &str, at: Mono, wall: &Zoned) -> Self {
        let because = Safe::word(because);
        Self::stamped(Event::Stop { because }, at, wall, None)
    }

    /// As one line of JSON, without its newline.
    pub fn json(&self) -> String {
        // Maps with string keys and no foreign `Serialize`: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn stamped(event: Event, at: Mono, wall: &Zoned, case: Option<Case>) -> Self {
        let t = wall.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
        Self {
            t: Safe::from(t),
            mono: moment(at),
            event,
            case,
        }
    }
}

impl Case {
    fn of(
        incident: evidence::IncidentId,
        mode: Mode,
        evidence: &evidence::Evidence,
        targets: &[Pid],
    ) -> Self {
        let root = evidence.subject.key.pid();
        let pid = match targets.first() {
            Some(first) if !targets.contains(&root) => *first,
            Some(_) | None => root,
        };
        let mut figures = Evidence::from(evidence);
        figures.text = Safe::from(words::evidence(&figures));
        Self {
            incident: incident.0,
            mode: Safe::word(mode.word()),
            pid: pid.number(),
            subject: Subject::from(evidence),
            evidence: figures,
        }
    }
}

impl From<&What> for Event {
    fn from(what: &What) -> Self {
        match what {
            What::Opened => Self::Incident,
            What::Nudge { next, rests, again } => Self::Nudge {
                next: next.map(|(signal, left)| Next::after(signal, left)),
                rests: rests.as_ref().map(Rest::from),
                again: *again,
            },
            What::Signal {
                warrant,
                signal,
                targets,
                served,
            } => Self::Signal {
                warrant: warrant.0,
                signal: Safe::word(signal.word()),
                pids: numbers(targets),
                served: seconds(*served),
            },
            What::Withheld {
                signal,
                targets,
                why,
            } => Self::Withheld {
                signal: Safe::word(signal.word()),
                targets: *targets,
                rests: wire::Rest::from(why),
            },
            What::Closed { how, lasted } => Self::Close {
                how: Safe::word(how.word()),
                lasted: seconds(*lasted),
            },
        }
    }
}

impl Event {
    /// The word in `event`, and in the second column of the text.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Nudge { .. } => "nudge",
            Self::Signal { .. } => "signal",
            Self::Outcome { .. } => "outcome",
            Self::Withheld { .. } => "withheld",
            Self::Close { .. } => "close",
            Self::Fault { .. } => "fault",
            Self::Reload { .. } => "reload",
            Self::Start(_) => "start",
            Self::Stop { .. } => "stop",
        }
    }

    /// The signal it is about, without `SIG`: sent, to come, or withheld.
    pub fn signal(&self) -> Option<&Safe> {
        match self {
            Self::Signal { signal, .. }
            | Self::Outcome { signal, .. }
            | Self::Withheld { signal, .. } => Some(signal),
            Self::Nudge { next, .. } => next.as_ref().map(|next| &next.signal),
            Self::Incident
            | Self::Close { .. }
            | Self::Fault { .. }
            | Self::Reload { .. }
            | Self::Start(_)
            | Self::Stop { .. } => None,
        }
    }
}

impl Fate {
    fn of((key, outcome): &(ProcKey, Outcome)) -> Self {
        let because = match outcome {
            Outcome::Withheld(why) => Some(Safe::word(match why {
                Withheld::Protected => "protected",
                Withheld::Recalled => "recalled",
                Withheld::Expired => "expired",
                Withheld::Unsure => "unsure",
            })),
            Outcome::Sent | Outcome::Gone | Outcome::Denied | Outcome::Survived => None,
        };
        Self {
            pid: key.pid().number(),
            key: identity(*key),
            outcome: Safe::word(outcome.word()),
            because,
        }
    }
}

fn numbers(pids: &[Pid]) -> Vec<u32> {
    pids.iter().map(|pid| pid.number()).collect()
}

fn identity(key: ProcKey) -> Safe {
    Safe::word(&key.to_string())
}
