//! Why: the figures behind a verdict, as data. One renderer prints it everywhere.

use std::fmt;
use std::time::Duration;

use super::activity::Manner;
use super::heartbeat::Progress;
use super::process::{Pid, ProcKey, Text, Uid};
use super::rule::{Metric, RuleName};
use super::units::{Bytes, Millicores, Mono, PerSecond, Range, Side, Span};

/// The identity of what a rule judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitKey {
    /// One process.
    Process(ProcKey),
    /// A root and its descendants.
    Tree(ProcKey),
    /// All who carry the label of this root ([`label`](super::label) says why the label itself is not here).
    Label(ProcKey),
}

impl UnitKey {
    /// The root, or the process itself.
    pub const fn root(self) -> ProcKey {
        match self {
            Self::Process(key) | Self::Tree(key) | Self::Label(key) => key,
        }
    }
}

/// The number of an incident: counts from 1, never used twice by one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncidentId(pub u64);

/// A value in the unit of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// A span of time.
    Time(Duration),
    /// Processor use.
    Cores(Millicores),
    /// How often.
    Pace(PerSecond),
    /// Memory.
    Size(Bytes),
    /// A count.
    Count(u64),
}

/// One limit held against one unit at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The metric.
    pub metric: Metric,
    /// What was measured; `None` when nothing could be.
    pub now: Option<Range<Quantity>>,
    /// The threshold.
    pub limit: Quantity,
    /// For how long it must be over.
    pub lasting: Option<Duration>,
    /// For how long it has been over, as far as known.
    pub held: Duration,
    /// The finding.
    pub finding: Finding,
}

impl Reading {
    /// The lower bound in thousandths of the threshold; `None` when nothing was measured.
    pub fn permille(&self) -> Option<u64> {
        let now = self.now?.at_least.magnitude();
        let share = now
            .saturating_mul(1000)
            .checked_div(self.limit.magnitude().max(1))?;
        u64::try_from(share).ok()
    }
}

impl Quantity {
    /// The bare number, to compare two quantities of one metric.
    pub const fn magnitude(self) -> u128 {
        match self {
            Self::Time(span) => span.as_nanos(),
            Self::Cores(Millicores(n))
            | Self::Pace(PerSecond(n))
            | Self::Size(Bytes(n))
            | Self::Count(n) => n as u128,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(span) => Span(*span).fmt(f),
            Self::Cores(cores) => cores.fmt(f),
            Self::Pace(pace) => pace.fmt(f),
            Self::Size(bytes) => bytes.fmt(f),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// What a limit finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Certainly not over.
    Clear,
    /// Over, but not for long enough yet.
    Breaching,
    /// Over for as long as asked.
    Sustained,
    /// Not known: the limit lies within the range, or nothing was measured. Never fires.
    Unknown,
    /// Not looked at now: warming up.
    Waiting,
}

impl Finding {
    /// The finding of a level without `for:`.
    pub const fn of(side: Side) -> Self {
        match side {
            Side::Over => Self::Sustained,
            Side::Under => Self::Clear,
            Side::Between => Self::Unknown,
        }
    }

    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Breaching => "breaching",
            Self::Sustained => "sustained",
            Self::Unknown => "unknown",
            Self::Waiting => "warming up",
        }
    }
}

/// One rule held against one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every limit is clear.
    Clear,
    /// Some limit is over, none for long enough.
    Breaching,
    /// Some clause holds.
    Sustained,
    /// Not judged now, and by what.
    Exempt(Exemption),
    /// Nothing is over, something is unknown.
    Unknown,
}

impl Verdict {
    /// The word people read.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Breaching => "breaching",
            Self::Sustained => "sustained",
            Self::Exempt(_) => "exempt",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a unit is not judged now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exemption {
    /// A person paused the rule, or everything, until then; [`Mono::NEVER`] is until they resume.
    Paused {
        /// Until when.
        until: Mono,
        /// Who.
        by: Uid,
    },
    /// A person extended: it is left alone until then.
    Snoozed {
        /// Until when.
        until: Mono,
        /// Who.
        by: Uid,
    },
    /// A person made it an exception.
    Allowed {
        /// Its number.
        number: u64,
        /// Who.
        by: Uid,
    },
    /// A gate of the rule's `when` is closed, or nobody knows whether it is open.
    Closed,
    /// The machine's beadle minds it.
    Minded {
        /// The number of its incident there.
        incident: IncidentId,
        /// Its rule there.
        rule: RuleName,
    },
}

/// Whose process it is, in words people know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The root.
    pub key: ProcKey,
    /// What really runs.
    pub program: Text,
    /// Its arguments joined by a space, cut short, secrets removed.
    pub command: Text,
    /// Working directory, when known.
    pub cwd: Option<Text>,
    /// Whom we may signal for.
    pub owner: Option<Uid>,
    /// Whom we tell.
    pub audience: Option<Uid>,
    /// Its terminal, when it has one.
    pub tty: Option<Text>,
    /// Of a unit that is told by a label, that label as it may be shown: `NAME=value`.
    pub label: Option<Text>,
}

/// The figures behind a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The rule.
    pub rule: RuleName,
    /// What the rule is for.
    pub about: Option<String>,
    /// The unit.
    pub unit: UnitKey,
    /// Its root, in words.
    pub subject: Subject,
    /// When the figures were read: the oldest of them.
    pub sampled: Mono,
    /// Every limit of the rule.
    pub readings: Vec<Reading>,
    /// Living members.
    pub members: u32,
    /// The numbers of the first of them, for people.
    pub pids: Vec<Pid>,
    /// The other instances, where the rule counts them.
    pub peers: Option<Peers>,
    /// How far it is, by its own word.
    pub progress: Option<Progress>,
    /// In which manner nothing happens in it, or nothing comes of it.
    pub manner: Option<Manner>,
}

/// All roots of a rule that are instances of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    /// How many there are for sure.
    pub count: u64,
    /// How many of them are over: the oldest.
    pub over: u64,
    /// The numbers of the oldest of those.
    pub oldest: Vec<Pid>,
}

impl Evidence {
    /// What is known of a unit that was never judged: no figures.
    pub fn bare(rule: &super::rule::Rule, unit: UnitKey, subject: &Subject) -> Self {
        Self {
            rule: rule.name.clone(),
            about: rule.about.clone(),
            unit,
            subject: subject.clone(),
            sampled: Mono::BOOT,
            readings: Vec::new(),
            members: 0,
            pids: Vec::new(),
            peers: None,
            progress: None,
            manner: None,
        }
    }
}
