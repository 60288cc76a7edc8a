//! What people answer: pauses, and the answers to one incident (stop, extend, allow, freeze), with who may give them and
//! what they come to.
//!
//! **Invariants.** Who answers is what the kernel vouches for. An answer to an incident is refused as a whole or carried out as
//! a whole; a refusal moves nothing. [`Replies`] binds people, never root.
//!
//! # Why an answer needs an incident
//! Beadle asks, people answer. Of a process that nothing is said about there is nothing to answer: whoever wants to end it has
//! `kill`, and whoever wants it left alone has `keep` and `protect`.

use std::fmt;
use std::time::Duration;

use super::evidence::IncidentId;
use super::process::{Pid, Text, Uid};
use super::rule::{Mode, RuleName, Signal, Stage, StageAct, To};
use super::units::Mono;

/// How long one *extend* lasts.
pub const EXTENSION: Duration = Duration::from_secs(30 * 60);
/// How often people may extend under the rules of an administrator.
pub const EXTENSIONS: u32 = 2;
/// How long a tree that was asked to stop by a person has before it is ended.
pub const GRACE: Duration = Duration::from_secs(10);

/// So many exceptions are kept at most.
pub const EXCEPTIONS: usize = 1000;

/// What a person said, and who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who, as the kernel vouches for it.
    pub by: Uid,
    /// What.
    pub what: Wish,
}

/// What a person can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Leave my processes alone (root: everyone's), under this rule or all.
    Pause {
        /// For how long; `None` until resumed.
        span: Option<Duration>,
        /// Under which rule; `None` is all.
        rule: Option<RuleName>,
    },
    /// Take back every pause of mine (root: all) for this rule, or all.
    Resume {
        /// Which rule; `None` is all.
        rule: Option<RuleName>,
    },
    /// An answer to one incident.
    Reply {
        /// Which incident.
        whom: Whom,
        /// What.
        reply: Reply,
    },
    /// Take exceptions back: all of these, or none.
    Forget {
        /// Which.
        which: Vec<Which>,
    },
}

/// Which incident is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The one of this number.
    Incident(IncidentId),
    /// The one whose tree this process belongs to.
    Process(Pid),
    /// Whichever of the two this number means. Where it may mean both, neither.
    Number(u64),
}

/// An answer to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// Stop it now: TERM, and KILL after [`GRACE`].
    Stop,
    /// Leave it alone for [`EXTENSION`].
    Extend,
    /// Never mind it again: an exception.
    Allow,
    /// Have it stand still until somebody says more.
    Freeze,
}

impl Reply {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stop, Self::Extend, Self::Allow, Self::Freeze];

    /// The word in rules, on the command line and in output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Extend => "extend",
            Self::Allow => "allow",
            Self::Freeze => "freeze",
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What people may answer under a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replies {
    /// Which answers, each once.
    pub may: Vec<Reply>,
    /// How often one incident may be extended; `None` is as often as they like.
    pub extensions: Option<u32>,
}

impl Replies {
    /// Those under one's own rules: all.
    pub fn all() -> Self {
        Self {
            may: Reply::ALL.to_vec(),
            extensions: None,
        }
    }

    /// Those under the rules of an administrator, where these say nothing else.
    pub fn usual() -> Self {
        Self {
            may: vec![Reply::Stop, Reply::Extend],
            extensions: Some(EXTENSIONS),
        }
    }
}

/// What a person has bidden to be done to a tree. Until it is done, or taken back, the ladder of the rule waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bidding {
    /// Who.
    pub by: Uid,
    /// What.
    pub deed: Deed,
}

/// What can be bidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Stop it.
    Stop,
    /// Have it stand still.
    Freeze,
}

/// What *Stop now* goes through.
static STOP: [Stage; 2] = [
    Stage {
        after: Duration::ZERO,
        act: StageAct::Signal(Signal::Term, To::Tree),
    },
    Stage {
        after: GRACE,
        act: StageAct::Signal(Signal::Kill, To::Tree),
    },
];

/// What *Freeze* goes through.
static FREEZE: [Stage; 1] = [Stage {
    after: Duration::ZERO,
    act: StageAct::Freeze,
}];

impl Deed {
    /// The stages that it goes through, as those of a rule's ladder.
    pub const fn ladder(self) -> &'static [Stage] {
        match self {
            Self::Stop => &STOP,
            Self::Freeze => &FREEZE,
        }
    }

    /// The answer that bids it.
    pub const fn reply(self) -> Reply {
        match self {
            Self::Stop => Reply::Stop,
            Self::Freeze => Reply::Freeze,
        }
    }
}

/// Until when a unit is left alone under its rule, and who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snooze {
    /// Until when.
    pub until: Mono,
    /// Who.
    pub by: Uid,
}

/// What a rule never minds, because a person said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its number, by which it is forgotten.
    pub number: u64,
    /// Under which rule.
    pub rule: RuleName,
    /// Whose.
    pub owner: Uid,
    /// What really runs.
    pub program: Text,
    /// Where.
    pub cwd: Text,
    /// Who said so.
    pub by: Uid,
}

/// Which exceptions are to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one of this number.
    Number(u64),
    /// All those of this rule that are the answerer's to forget.
    Rule(RuleName),
}

impl Which {
    /// Whether it names this exception.
    pub fn names(&self, exception: &Exception) -> bool {
        match self {
            Self::Number(number) => exception.number == *number,
            Self::Rule(rule) => exception.rule == *rule,
        }
    }
}

/// What an answer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// A pause was taken in, or taken back.
    Paused,
    /// An incident was answered.
    Replied {
        /// Which.
        incident: IncidentId,
        /// Under which rule.
        rule: RuleName,
        /// The root's number.
        root: Pid,
        /// What the root runs.
        program: Text,
        /// What comes of it.
        effect: Effect,
    },
    /// These exceptions are gone.
    Forgotten(Vec<Exception>),
}

/// What comes of an answer to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is asked to stop now, and ended after [`GRACE`].
    Stops,
    /// It is left alone.
    Extended {
        /// Until when.
        until: Mono,
        /// How often people may still extend it; `None` is as often as they like.
        left: Option<u32>,
    },
    /// It is an exception from now on.
    Allowed(Exception),
    /// It is stopped where it stands.
    Freezes,
}

impl Effect {
    /// The answer that it comes of.
    pub const fn reply(&self) -> Reply {
        match self {
            Self::Stops => Reply::Stop,
            Self::Extended { .. } => Reply::Extend,
            Self::Allowed(_) => Reply::Allow,
            Self::Freezes => Reply::Freeze,
        }
    }
}

/// Why an answer is refused. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    /// No incident of this number is open.
    NoIncident(IncidentId),
    /// No process of this number belongs to an open incident.
    NoCase(Pid),
    /// This number means neither an open incident nor a process of one.
    Nothing(u64),
    /// This number means an incident and a process that has no part in it.
    Either(u64),
    /// This number means a process of an open incident, and meant an incident that is over.
    WasOne(u64),
    /// The process belongs to several.
    Several {
        /// The process.
        pid: Pid,
        /// To which, and under which rule.
        incidents: Vec<(IncidentId, RuleName)>,
    },
    /// It is neither theirs nor do they hear of it.
    NotYours(IncidentId),
    /// The rule does not take this answer from people.
    NotAllowed {
        /// Which answer.
        reply: Reply,
        /// The rule.
        rule: RuleName,
        /// What it takes.
        may: Vec<Reply>,
    },
    /// It was extended as often as people may.
    Enough {
        /// Which incident.
        incident: IncidentId,
        /// How often that is.
        most: u32,
    },
    /// The rule's mode lets nothing be done.
    Observes {
        /// The rule.
        rule: RuleName,
        /// Which answer.
        reply: Reply,
    },
    /// Nothing is signalled while this lasts.
    Paused {
        /// Who paused.
        by: Uid,
    },
    /// Whoever it would be for is protected, or outside the leash.
    Protected(IncidentId),
    /// Whose it is, or where it runs, is not known: an exception would be for nobody.
    Unplaced(IncidentId),
    /// There are so many exceptions that no more are taken.
    TooMany,
    /// No exception of this number is theirs to forget.
    NoException(u64),
    /// No exception of this rule is.
    NoneOf(RuleName),
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIncident(IncidentId(id)) => write!(
                f,
                "incident {id} is not open: `beadle status` lists those that are"
            ),
            Self::NoCase(pid) => write!(
                f,
                "no open incident is about process {pid}: `beadle ps` lists what is judged, `beadle why {pid}` says how it stands"
            ),
            Self::Several { pid, incidents } => {
                write!(f, "process {pid} has a part in several incidents:")?;
                for (place, (IncidentId(id), rule)) in incidents.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma} {id} (rule {rule})")?;
                }
                f.write_str("; name one of these")
            }
            Self::NotYours(IncidentId(id)) => write!(
                f,
                "incident {id} is not yours to answer: ask its owner, or root"
            ),
            Self::NotAllowed { reply, rule, may } => {
                write!(f, "rule {rule} does not let people answer `{reply}`")?;
                match may.as_slice() {
                    [] => f.write_str(", nor anything else")?,
                    may => {
                        let may: Vec<String> = may.iter().map(|it| format!("`{it}`")).collect();
                        write!(f, "; it takes {}", may.join(" and "))?;
                    }
                }
                f.write_str(": ask root, or whoever writes its `answers`")
            }
            Self::Enough {
                incident: IncidentId(id),
                most,
            } => write!(
                f,
                "incident {id} was extended {} already, which is as often as its rule lets people: ask root",
                times(*most)
            ),
            Self::Observes { rule, reply } => write!(
                f,
                "rule {rule} only observes (mode {}), so `{reply}` is not carried out: it is in modes `nudge` and `enforce`",
                Mode::Observe
            ),
            Self::Paused { by } => write!(
                f,
                "user {by} has paused this, and nothing is signalled while that lasts: `beadle resume` takes a pause back"
            ),
            Self::Protected(IncidentId(id)) => write!(
                f,
                "all of incident {id} is protected, or outside the leash: nothing is signalled; `beadle why` says by what"
            ),
            Self::Unplaced(IncidentId(id)) => write!(
                f,
                "whose incident {id} is, or in which folder it runs, is not known, so an exception would be for nobody: write `keep` or `protect` into the rules"
            ),
            Self::Nothing(_)
            | Self::Either(_)
            | Self::WasOne(_)
            | Self::TooMany
            | Self::NoException(_)
            | Self::NoneOf(_) => self.about_names(f),
        }
    }
}

impl Declined {
    /// Where what was named is not what it was meant for.
    fn about_names(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(number) => write!(
                f,
                "{number} is neither an open incident nor a process of one: `beadle status` lists incidents, `beadle ps` what is judged"
            ),
            Self::Either(number) => write!(
                f,
                "{number} is an open incident, and also a process that has no part in it: say `--incident` or `--pid`"
            ),
            Self::WasOne(number) => write!(
                f,
                "incident {number} is over, and {number} is also a process of an open one: say `--pid {number}` if that is meant"
            ),
            Self::TooMany => write!(
                f,
                "there are {EXCEPTIONS} exceptions already: `beadle rules --exceptions` lists them, `beadle forget` makes room"
            ),
            Self::NoException(number) => write!(
                f,
                "no exception {number} is yours to forget: `beadle rules --exceptions` lists them"
            ),
            Self::NoneOf(rule) => write!(
                f,
                "no exception of a rule `{rule}` is yours to forget: `beadle rules --exceptions` lists them"
            ),
            Self::NoIncident(_)
            | Self::NoCase(_)
            | Self::Several { .. }
            | Self::NotYours(_)
            | Self::NotAllowed { .. }
            | Self::Enough { .. }
            | Self::Observes { .. }
            | Self::Paused { .. }
            | Self::Protected(_)
            | Self::Unplaced(_) => Ok(()),
        }
    }
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}
