//! Entries of the log, and the pages of an incident's story: what happened, when, to whom and why.
//!
//! **Invariants.** Entries of every version ever written must be read for ever: fields are added with a default, never
//! renamed.

use serde::{Deserialize, Serialize};

use super::{Act, Bidden, Evidence, Exception, Next, Person, Rest, Safe, Subject};

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
    Incident {
        /// The incident of a smaller tree that it takes over: what was said and done there counts here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
    },
    /// People are told.
    Nudge {
        /// What comes next of its own accord.
        next: Option<Next>,
        /// Why nothing does, where the ladder goes on but we do not.
        rests: Option<Rest>,
        /// Whether they were told before.
        again: bool,
        /// By which channels; none where nobody is told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by: Vec<Safe>,
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
        /// Whose bidding it is; absent where it is the ladder's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bidden: Option<Bidden>,
    },
    /// A person has answered.
    Answer {
        /// `stop`, `extend`, `allow` or `freeze`.
        reply: Safe,
        /// Who.
        #[serde(flatten)]
        by: Person,
        /// Of `extend`, until when it is left alone: wall time, RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Safe>,
        /// Of `extend`, for how many seconds that is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<f64>,
        /// Of `extend`, how often people may still do so; absent is as often as they like.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        extensions: Option<u32>,
        /// Of `allow`, the exception.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exception: Option<Exception>,
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
        /// How sure it is that these are all: `heard` or `looked`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certainty: Option<Safe>,
        /// When the first signal was sent: seconds of awake time since boot; absent when none was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<f64>,
        /// Seconds from start to settled.
        took: f64,
    },
    /// Others are set to work: a program is started, or a manager is asked.
    Run {
        /// The errand.
        errand: u64,
        /// What.
        #[serde(flatten)]
        act: Act,
        /// The program with its arguments, cut short, secrets removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Safe>,
        /// Whom it asks for what.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asks: Option<Safe>,
        /// The stage, counted from 1; absent where the incident is closed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage: Option<usize>,
        /// Seconds that the stage before gave.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        served: Option<f64>,
        /// How the incident was closed, in a word.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closing: Option<Safe>,
    },
    /// What came of that.
    Ran {
        /// The errand.
        errand: u64,
        /// What it was.
        #[serde(flatten)]
        act: Act,
        /// Whom it asked for what.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asks: Option<Safe>,
        /// `exited`, `signalled`, `timed_out`, `not_started` or `lost`.
        came: Safe,
        /// The same in words.
        text: Safe,
        /// The status of a program that ended by itself: 0 is well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<i32>,
        /// The last line it wrote, cut short, secrets removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<Safe>,
        /// Seconds from start to end.
        took: f64,
    },
    /// A stage was due and was not carried out.
    Withheld {
        /// What would have been done.
        #[serde(flatten)]
        act: Act,
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
        /// Of a tree that was ended, how sure that is: `heard` or `looked`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certainty: Option<Safe>,
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
