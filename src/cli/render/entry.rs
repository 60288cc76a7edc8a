//! Entries of the log: what happened, when, to whom and why. In JSON, one object a line; in text, one line.

use jiff::Zoned;

use super::words;
use crate::control::wire::{
    self, Act, Bidden, Evidence, Exception, Next, Person, Rest, Safe, Subject, moment, seconds,
};
use crate::engine::answer::Effect;
use crate::engine::decision::{Notice, What};
use crate::engine::errand::{Came, Occasion, Task};
use crate::engine::evidence;
use crate::engine::process::{Pid, ProcKey, Text, Uid};
use crate::engine::redact;
use crate::engine::rule::{Command, Mode};
use crate::engine::units::Mono;
use crate::engine::warrant::{Outcome, Report, Warrant};

pub use crate::control::wire::{Case, Edge, Entry, Event, Fate, Left, Reloaded, Start, StartRule};

impl Entry {
    /// What the judge wants told.
    pub fn notice(notice: &Notice, wall: &Zoned) -> Self {
        let targets: &[Pid] = match &notice.what {
            What::Signal { targets, .. } => targets,
            What::Opened
            | What::TakenOver { .. }
            | What::Nudge { .. }
            | What::Answered { .. }
            | What::Run { .. }
            | What::Ran { .. }
            | What::Withheld { .. }
            | What::Closed { .. } => &[],
        };
        let case = Case::of(notice.incident, notice.mode, &notice.evidence, targets);
        let event = Event::of(&notice.what, notice.at, wall);
        Self::stamped(event, notice.at, wall, Some(case))
    }

    /// The same, with the names of people as far as they are known.
    #[must_use]
    pub fn named(mut self, name: impl Fn(u32) -> Option<Safe>) -> Self {
        match &mut self.event {
            Event::Answer { by, .. } => by.name = name(by.user),
            Event::Signal {
                bidden: Some(bidden),
                ..
            } => bidden.by.name = name(bidden.by.user),
            _ => {}
        }
        self
    }

    /// The same nudge, with the channels by which people are told.
    #[must_use]
    pub fn told(mut self, channels: Vec<Safe>) -> Self {
        if let Event::Nudge { by, .. } = &mut self.event {
            *by = channels;
        }
        self
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
            certainty: Some(Safe::word(report.certainty.word())),
            first: report.first.map(moment),
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
        Self {
            t: stamp(wall),
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

impl Event {
    /// What happened, at this moment.
    fn of(what: &What, at: Mono, wall: &Zoned) -> Self {
        match what {
            What::Answered { by, effect } => Self::answer(*by, effect, at, wall),
            What::Opened => Self::Incident { from: None },
            What::TakenOver { from } => Self::Incident { from: Some(from.0) },
            What::Nudge { next, rests, again } => Self::Nudge {
                next: next.as_ref().map(|(act, left)| Next::after(act, *left)),
                rests: rests.as_ref().map(Rest::from),
                again: *again,
                by: Vec::new(),
            },
            What::Signal {
                warrant,
                signal,
                targets,
                served,
                bidden,
            } => Self::Signal {
                warrant: warrant.0,
                signal: Safe::word(signal.word()),
                pids: numbers(targets),
                served: seconds(*served),
                bidden: bidden.map(Bidden::from),
            },
            What::Run {
                errand,
                task,
                occasion,
            } => Self::run(errand.0, task, *occasion),
            What::Ran {
                errand,
                task,
                came,
                took,
            } => Self::Ran {
                errand: errand.0,
                act: Act::from(task),
                asks: asks(task),
                came: Safe::word(came.word()),
                text: Safe::word(&came.to_string()),
                status: match came {
                    Came::Exited { status, .. } => Some(*status),
                    Came::Signalled { .. }
                    | Came::TimedOut { .. }
                    | Came::Unstarted(_)
                    | Came::Lost => None,
                },
                said: came.said().map(Safe::from),
                took: seconds(*took),
            },
            What::Withheld { act, targets, why } => Self::Withheld {
                act: Act::from(act),
                targets: *targets,
                rests: wire::Rest::from(why),
            },
            What::Closed { how, lasted } => Self::Close {
                how: Safe::word(how.word()),
                lasted: seconds(*lasted),
                certainty: how.certainty().map(|it| Safe::word(it.word())),
            },
        }
    }
}

impl Event {
    fn answer(by: Uid, effect: &Effect, at: Mono, wall: &Zoned) -> Self {
        let left = match effect {
            Effect::Extended { until, .. } => Some(until.since(at)),
            Effect::Stops | Effect::Allowed(_) | Effect::Freezes => None,
        };
        let until = left.and_then(|left| wall.checked_add(left).ok());
        Self::Answer {
            reply: Safe::word(effect.reply().word()),
            by: Person::from(by),
            until: until.as_ref().map(stamp),
            left: left.map(seconds),
            extensions: match effect {
                Effect::Extended { left, .. } => *left,
                Effect::Stops | Effect::Allowed(_) | Effect::Freezes => None,
            },
            exception: match effect {
                Effect::Allowed(exception) => Some(Exception::from(exception)),
                Effect::Stops | Effect::Extended { .. } | Effect::Freezes => None,
            },
        }
    }

    fn run(errand: u64, task: &Task, occasion: Occasion) -> Self {
        let (stage, served, closing) = match occasion {
            Occasion::Stage { place, served } => (Some(place), Some(seconds(served)), None),
            Occasion::Closed(how) => (None, None, Some(Safe::word(how.word()))),
        };
        Self::Run {
            errand,
            act: Act::from(task),
            run: match task {
                Task::Exec(command) => Some(Safe::from(&shown(command))),
                Task::Stop(_) => None,
            },
            asks: asks(task),
            stage,
            served,
            closing,
        }
    }

    /// The word in `event`, and in the second column of the text.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Incident { .. } => "incident",
            Self::Nudge { .. } => "nudge",
            Self::Signal { .. } => "signal",
            Self::Answer { .. } => "answer",
            Self::Outcome { .. } => "outcome",
            Self::Run { .. } => "run",
            Self::Ran { .. } => "ran",
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
            Self::Signal { signal, .. } | Self::Outcome { signal, .. } => Some(signal),
            Self::Withheld { act, .. } => act.signal.as_ref(),
            Self::Nudge { next, .. } => next.as_ref().and_then(|next| next.act.signal.as_ref()),
            Self::Incident { .. }
            | Self::Answer { .. }
            | Self::Run { .. }
            | Self::Ran { .. }
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
            Outcome::Withheld(why) => Some(Safe::word(why.word())),
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

/// The longest command line of ours that is shown.
const SHOWN: usize = 200;

/// A program with its arguments, as far as they are fit to be shown.
fn shown(command: &Command) -> Text {
    let words = std::iter::once(&*command.program).chain(command.args.iter().map(String::as_str));
    let words: Vec<Text> = words.map(Text::from).collect();
    redact::command_line(&words, SHOWN)
}

/// Whom a task asks for what; nobody, where it runs a program.
fn asks(task: &Task) -> Option<Safe> {
    match task {
        Task::Exec(_) => None,
        Task::Stop(steward) => Some(Safe::word(&steward.to_string())),
    }
}

/// Wall time as JSON has it: RFC 3339, to the millisecond.
pub fn stamp(wall: &Zoned) -> Safe {
    Safe::from(wall.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string())
}

fn numbers(pids: &[Pid]) -> Vec<u32> {
    pids.iter().map(|pid| pid.number()).collect()
}

/// An identity in words.
pub(super) fn identity(key: ProcKey) -> Safe {
    Safe::word(&key.to_string())
}
