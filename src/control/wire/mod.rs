//! The engine's values in the form in which they leave the process: on the socket and in the JSON log.
//!
//! **Invariants.** These types are the promise to whoever reads our JSON: fields are added, never renamed. Every
//! string that a process may have chosen is a [`Safe`]. Moments are told relative to now (`left`, `for`), because
//! the reader does not share our clock. Figures are in base units: seconds, cores, bytes, or a plain count.
//!
//! # Why not `Serialize` on the engine's types
//! The engine may rename and regroup as it learns; what others parse may not.

use serde::{Deserialize, Serialize};

mod elder;
mod entry;
mod history;
mod manner;
mod progress;
mod safe;
mod seen;
mod why;

pub use elder::{Elder, Elsewhere, Minded};
pub use entry::{Case, Edge, Entry, Event, Fate, Left, Reloaded, Start, StartRule};
pub use history::{Certificate, Doomed, History, Kept, Lost, Part, Reach, Spared, State, Story};
pub use manner::{Manner, Waits};
pub use progress::{Doubt, Heartbeats, Progress, Spoken};
pub use safe::Safe;
pub use seen::{moment, pauses, seconds};
pub use why::{Above, Relation, RuleWhy, Why};

/// A figure in base units: whole where the metric counts, else a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    /// Bytes, or a count.
    Whole(u64),
    /// Seconds, or cores.
    Part(f64),
}

impl Figure {
    /// The bare number, for shares; exact up to 2⁵³.
    #[expect(
        clippy::cast_precision_loss,
        reason = "shares are shown in whole percents"
    )]
    pub const fn number(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Part(part) => part,
        }
    }
}

/// The base unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Processor cores: 0.97 is 97 % of one.
    Cores,
    /// Times a second.
    PerSecond,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
}

/// One limit held against one unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The metric's word in rules.
    pub metric: Safe,
    /// What the figures are in.
    pub unit: Unit,
    /// The truth is at least this; absent when nothing could be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Figure>,
    /// And at most this, where a bound is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Figure>,
    /// The threshold: over means above it.
    pub limit: Figure,
    /// For how long it must be over, in seconds.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<f64>,
    /// For how long it has been over, in seconds.
    pub held: f64,
    /// Where the figure comes from: `exact`, `events` or `scan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Safe>,
    /// `clear`, `breaching`, `sustained`, `unknown` or `warming up`.
    pub finding: Safe,
}

/// The figures behind a verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The same in words; empty where the reader has none made.
    #[serde(default, skip_serializing_if = "Safe::is_empty")]
    pub text: Safe,
    /// When the oldest of the figures was read: seconds of awake time since boot.
    pub sampled: f64,
    /// Living members.
    pub members: u32,
    /// The numbers of the first of them.
    pub pids: Vec<u32>,
    /// Every limit of the rule.
    pub readings: Vec<Reading>,
    /// The other instances, where the rule counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Peers>,
    /// How far it is, by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// In which manner nothing happens in it, or nothing comes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manner: Option<Box<Manner>>,
}

/// All roots of a rule that are instances of one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// How many there are for sure.
    pub count: u64,
    /// How many of them are over: the oldest.
    pub over: u64,
    /// The numbers of the oldest of those.
    pub oldest: Vec<u32>,
}

/// Whose case it is: one rule against one unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The rule.
    pub rule: Safe,
    /// What the rule is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Safe>,
    /// `tree`, `process` or `env:NAME`.
    pub scope: Safe,
    /// With `env:NAME`, whose job it is: `NAME=value`, secrets removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Safe>,
    /// The root's number.
    pub root: u32,
    /// The root's identity: `PID:INODE`.
    pub key: Safe,
    /// What really runs.
    pub program: Safe,
    /// Its command line, cut short, secrets removed.
    pub command: Safe,
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Safe>,
    /// Effective user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Whom we tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<u32>,
    /// Its terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<Safe>,
}

/// What a stage does, under the key that it has in rules: one of these is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// A signal, without `SIG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Safe>,
    /// The program that is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Safe>,
    /// What a manager is asked to stop: a service, a scope, a container; `unit` where that is not settled yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Safe>,
}

/// What is to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Next {
    /// What.
    #[serde(flatten)]
    pub act: Act,
    /// In how many seconds.
    pub left: f64,
}

/// Why a ladder rests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Rest {
    /// The mode ends here.
    Mode {
        /// The mode.
        mode: Safe,
    },
    /// Too many trees were ended of late.
    Breaker,
    /// Somebody restarts them.
    Respawn {
        /// Who.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<Safe>,
    },
    /// The kernel refused before.
    Denied,
    /// All are protected, or outside the leash.
    Protected,
    /// Too much is being run, or waits to be.
    Busy,
    /// What it lives in is not to be stopped; the ladder goes on.
    Unstoppable {
        /// Why.
        because: Safe,
    },
    /// Nothing is over but the number of instances.
    Instances,
    /// The machine's beadle minds it.
    Minded(Elsewhere),
}

/// An open incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number.
    pub id: u64,
    /// Open for so many seconds.
    #[serde(rename = "for")]
    pub lasted: f64,
    /// The last stage that was carried out.
    pub stage: Safe,
    /// What comes next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// Why nothing comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rests: Option<Rest>,
    /// What a person has bidden, where it goes by that and not by the ladder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bidden: Option<Bidden>,
}

/// A user who answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user id, as the kernel vouched for it.
    pub user: u32,
    /// The name, as far as it was known then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Safe>,
}

/// What a person has bidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bidden {
    /// `stop` or `freeze`.
    pub reply: Safe,
    /// Who.
    #[serde(flatten)]
    pub by: Person,
}

/// How long something is left alone, because a person extended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snooze {
    /// Who: a user id.
    pub by: u32,
    /// For so many seconds yet.
    pub left: f64,
}

/// What a rule never minds, because a person said so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exception {
    /// Its number, by which it is forgotten.
    pub number: u64,
    /// The rule.
    pub rule: Safe,
    /// Whose: a user id.
    pub owner: u32,
    /// What really runs.
    pub program: Safe,
    /// In which working directory.
    pub cwd: Safe,
    /// Who said so: a user id.
    pub by: u32,
    /// When, RFC 3339; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Safe>,
}

/// What came of an answer to an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replied {
    /// The incident.
    pub incident: u64,
    /// The rule.
    pub rule: Safe,
    /// The root's number.
    pub root: u32,
    /// What the root runs.
    pub program: Safe,
    /// `stop`, `extend`, `allow` or `freeze`.
    pub reply: Safe,
    /// Of `extend`, for how many seconds it is left alone now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<f64>,
    /// Of `extend`, how often people may still do so; absent is as often as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<u32>,
    /// Of `allow`, the exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    /// Why the exception holds only until beadle ends; absent where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<Safe>,
}

/// A pause in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// Who: a user id.
    pub by: u32,
    /// Which rule; absent is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Safe>,
    /// For so many seconds yet; absent is until resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<f64>,
}

/// What a rule finds of a unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// `clear`, `breaching`, `sustained`, `exempt` or `unknown`.
    pub verdict: Safe,
    /// The pause that exempts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The extension that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed: Option<Snooze>,
    /// The number of the exception that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<u64>,
    /// The incident of the machine's beadle that it is left to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minded: Option<Elsewhere>,
    /// The rule's gates, as they stood then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Gate>,
}

/// One gate of a rule's `when`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The key in rules: `between`, `on_battery`, `load` or `memory_pressure`.
    pub gate: Safe,
    /// What opens it, as rules write it: `above 8`, `22:00-06:00`, `true`.
    pub opens: Safe,
    /// What was found: `3.1`, `14:05`, `on mains`; absent when it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Safe>,
    /// `open`, `closed` or `unknown`, which is as good as closed.
    pub stands: Safe,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Safe>,
}

/// A unit, for `ps` and `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Whose case.
    #[serde(flatten)]
    pub subject: Subject,
    /// The verdict.
    #[serde(flatten)]
    pub finding: Finding,
    /// How near the nearest limit is: 1 is at it.
    pub nearness: f64,
    /// The open incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
    /// The figures.
    pub evidence: Evidence,
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub name: Safe,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Safe>,
    /// `FILE:LINE`, or `built-in PACK`.
    pub origin: Safe,
    /// Its mode.
    pub mode: Safe,
    /// `tree`, `process` or `env:NAME`.
    pub scope: Safe,
    /// How many units it judges now.
    pub units: usize,
    /// Its gates, and how they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Gate>,
}

/// Something that does not work, while the watch goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Which part: `journal`, `store`, `events`, …
    pub part: Safe,
    /// What is wrong.
    pub text: Safe,
    /// How often it was seen.
    pub count: u64,
    /// For so many seconds.
    #[serde(rename = "for")]
    pub lasted: f64,
}

/// The daemon itself, as it knows better than the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Daemon {
    /// Its version.
    pub version: Safe,
    /// Its number.
    pub pid: u32,
    /// Its user.
    pub owner: u32,
    /// Up for so many seconds of awake time.
    pub up: f64,
    /// The files its rules come from; empty when only built-in rules run.
    pub config: Vec<Safe>,
    /// Nothing but descendants of this process is signalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leash: Option<u32>,
    /// Why births and deaths are not heard, where that is how things are here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaf: Option<Safe>,
    /// The desktops that something was shown on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub desktops: Vec<Desktop>,
    /// The machine's beadle, where this is a user's and that one watches too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elder: Option<Elder>,
    /// What does not work.
    pub faults: Vec<Fault>,
}

/// The desktop of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desktop {
    /// Whose.
    pub user: u32,
    /// How many notifications are on the screen.
    pub shown: usize,
    /// What shows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Safe>,
    /// Whether it shows buttons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buttons: Option<bool>,
    /// What is wrong; terminals are written to then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Safe>,
}

/// The answer to `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon.
    pub daemon: Daemon,
    /// The mode asked for.
    pub mode: Safe,
    /// Where births and deaths come from: `events` or `scan`.
    pub tier: Safe,
    /// How many times events were lost.
    pub gaps: u64,
    /// Living processes known.
    pub processes: usize,
    /// Processes whose facts are not learnt yet.
    pub pending: usize,
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// Units judged.
    pub units: usize,
    /// Units with an open incident.
    pub incidents: Vec<Judged>,
    /// Pauses in force.
    pub pauses: Vec<Pause>,
    /// What became of heartbeats.
    #[serde(default)]
    pub heartbeats: Heartbeats,
}

/// The answer to `ps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ps {
    /// The units, nearest to a limit first.
    pub units: Vec<Judged>,
    /// How many further ones are left out.
    pub more: usize,
}
