//! Questions and answers on the control socket: one JSON object a line, each way.
//!
//! **Invariants.** A line says which version it speaks. A question is at most [`LONGEST_QUESTION`] bytes. What an
//! answer holds about other people's processes is pruned by [`Answer::for_peer`], in one place, before it is sent.
//!
//! ```text
//! → {"v":1,"ask":"why","pid":4711}
//! ← {"v":1,"answer":"why","pid":4711,"program":"pytest","rules":[…]}
//! ```

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::wire::{
    Exception, History, Judged, Minded, Pause, Ps, Replied, Safe, Status, Story, Why,
};
use crate::engine::answer::{Declined, Reply};
use crate::engine::process::Uid;

/// The version spoken here.
pub const VERSION: u32 = 1;

/// Bytes of the longest question, its newline included.
pub const LONGEST_QUESTION: usize = 64 << 10;

/// Bytes of the longest answer a client takes.
pub const LONGEST_ANSWER: usize = 16 << 20;

/// Units in one answer: the nearest to their limits.
const MOST_UNITS: usize = 500;
/// Of so many units it is told how far they are.
const MOST_SPOKEN: usize = 20;

/// Incidents in one answer.
pub const MOST_INCIDENTS: u32 = 1000;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// How is it going?
    Status,
    /// What is judged, nearest to a limit first?
    Ps,
    /// Why is this process judged, or why not?
    Why {
        /// Its number.
        pid: u32,
    },
    /// Leave my processes alone (root: everyone's).
    Pause {
        /// For so many seconds; absent is until resumed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        span: Option<u64>,
        /// Under this rule; absent is all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// Take a pause back.
    Resume {
        /// Of this rule; absent is all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// An answer to an incident.
    Reply {
        /// What.
        reply: ReplyWord,
        /// To which.
        #[serde(flatten)]
        whom: Whom,
    },
    /// Take exceptions back: all of these, or none.
    Forget {
        /// Numbers of exceptions, or names of rules.
        which: Vec<String>,
    },
    /// What do rules never mind, because a person said so?
    Exceptions,
    /// Which incidents are open, and about whom? A user's beadle asks the machine's.
    Minds,
    /// What became of incidents?
    History(Search),
    /// What is the whole story of one?
    Show {
        /// Its number.
        incident: u64,
    },
}

/// The answers to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyWord {
    /// Stop it now: TERM, and KILL after 10 s.
    Stop,
    /// Leave it alone for 30 minutes.
    Extend,
    /// Never mind it again.
    Allow,
    /// Have it stand still until somebody says more.
    Freeze,
}

impl From<ReplyWord> for Reply {
    fn from(word: ReplyWord) -> Self {
        match word {
            ReplyWord::Stop => Self::Stop,
            ReplyWord::Extend => Self::Extend,
            ReplyWord::Allow => Self::Allow,
            ReplyWord::Freeze => Self::Freeze,
        }
    }
}

/// Which incident is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// The one of this number.
    Incident(u64),
    /// The one whose tree this process belongs to.
    Pid(u32),
    /// Whichever of the two this number means; where it may mean both, neither.
    Number(u64),
}

/// Which incidents are asked for. What is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Those in which a process of this number had a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Those of this rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Those in which something happened within the last so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<u64>,
    /// At most so many; absent is [`MOST_INCIDENTS`], which is also the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To `status`.
    Status(Status),
    /// To `ps`.
    Ps(Ps),
    /// To `why`.
    Why(Why),
    /// To `pause` and `resume`: the pauses now in force.
    Pauses {
        /// Those.
        pauses: Vec<Pause>,
    },
    /// To `reply`.
    Replied(Replied),
    /// To `forget`: those that are gone.
    Forgotten {
        /// Those.
        exceptions: Vec<Exception>,
        /// Why they are back once beadle ends; absent where that is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unkept: Option<Safe>,
    },
    /// To `exceptions`.
    Exceptions {
        /// All there are.
        exceptions: Vec<Exception>,
    },
    /// To `minds`.
    Minds {
        /// What is minded.
        minds: Vec<Minded>,
    },
    /// To `history`.
    History(History),
    /// To `show`.
    Show(Box<Story>),
    /// It cannot be answered.
    Refused(Refusal),
}

/// Why there is no answer, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub kind: RefusalKind,
    /// For people: what, and what to do.
    pub text: Safe,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The question makes no sense.
    BadQuestion,
    /// The other side speaks another version.
    Version,
    /// No such process, or no such rule.
    NotFound,
    /// It is somebody else's.
    NotYours,
    /// Too many are asking.
    Busy,
    /// The daemon did not answer in time.
    Late,
    /// The daemon is going away.
    Stopping,
    /// History cannot be kept, or read.
    NoHistory,
    /// The answer is not taken, and why.
    Declined,
}

impl Refusal {
    /// A refusal in words.
    pub fn new(kind: RefusalKind, text: impl AsRef<str>) -> Self {
        Self {
            kind,
            text: Safe::word(text.as_ref()),
        }
    }

    /// No process of this number is known.
    pub fn no_process(pid: u32) -> Self {
        Self::new(
            RefusalKind::NotFound,
            format!("no process {pid} is known here"),
        )
    }

    /// No incident of this number is kept.
    pub fn no_incident(incident: u64) -> Self {
        Self::new(
            RefusalKind::NotFound,
            format!("no incident {incident} is kept: `beadle history` lists those that are"),
        )
    }

    /// No rule of this name is in force.
    pub fn no_rule(rule: &str) -> Self {
        Self::new(
            RefusalKind::NotFound,
            format!("no rule is called `{rule}`: `beadle status` lists them"),
        )
    }
}

impl From<&Declined> for Refusal {
    fn from(declined: &Declined) -> Self {
        let kind = match declined {
            Declined::NoIncident(_)
            | Declined::NoCase(_)
            | Declined::Nothing(_)
            | Declined::NoException(_)
            | Declined::NoneOf(_) => RefusalKind::NotFound,
            Declined::NotYours(_) => RefusalKind::NotYours,
            Declined::Either(_)
            | Declined::WasOne(_)
            | Declined::Several { .. }
            | Declined::NotAllowed { .. }
            | Declined::Enough { .. }
            | Declined::Observes { .. }
            | Declined::Paused { .. }
            | Declined::Protected(_)
            | Declined::Unplaced(_)
            | Declined::TooMany => RefusalKind::Declined,
        };
        Self::new(kind, declined.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// Whether an incident is any of a peer's business, for the tree is, or somebody in it: whoever has a process in a tree must know who
/// goes first there. Of others who have, it is not told.
fn is_part(minded: &mut Minded, peer: Uid, sees_all: bool) -> bool {
    if !sees_all {
        minded.others.retain(|other| *other == peer.0);
    }
    sees_all || minded.owner == Some(peer.0) || !minded.others.is_empty()
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Who asks: what the kernel vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user when it connected.
    pub uid: Uid,
    /// Its number when it connected, where the system tells; for messages only.
    pub pid: Option<u32>,
}

impl Answer {
    /// Leaves out what is not this peer's business: root and the daemon's own user see all, others their own and what they
    /// hear of.
    ///
    /// What everybody can read in `/proc` and `/etc` anyway stays: how many processes there are, the rules, and
    /// the names of a process's ancestors.
    #[must_use]
    pub fn for_peer(self, peer: Uid, daemon: Uid) -> Self {
        let sees_all = peer == Uid::ROOT || peer == daemon;
        let yours = |owner: Option<u32>| sees_all || owner == Some(peer.0);
        // Whoever hears of it, and may answer, may see it.
        let your_unit = |unit: &Judged| yours(unit.subject.owner) || yours(unit.subject.audience);
        let your_story =
            |story: &Story| yours(story.kept.owner) || story.audiences().any(|it| yours(Some(it)));
        let your_pause = |pause: &Pause| yours(Some(pause.by));
        match self {
            Self::Status(mut status) => {
                status.incidents.retain(your_unit);
                status.incidents.truncate(MOST_UNITS);
                status.pauses.retain(your_pause);
                let spoken = &mut status.heartbeats.units;
                spoken.retain(|unit| yours(unit.owner));
                spoken.truncate(MOST_SPOKEN);
                let desktops = &mut status.daemon.desktops;
                desktops.retain(|desktop| yours(Some(desktop.user)));
                Self::Status(status)
            }
            Self::Ps(mut ps) => {
                ps.units.retain(your_unit);
                let all = ps.units.len();
                ps.units.truncate(MOST_UNITS);
                ps.more = ps.more.saturating_add(all.saturating_sub(MOST_UNITS));
                Self::Ps(ps)
            }
            Self::Why(why) if !yours(why.owner) && !yours(why.audience) => Refusal::new(
                RefusalKind::NotYours,
                format!(
                    "process {} is not yours: ask as its owner, or as root",
                    why.pid
                ),
            )
            .into(),
            Self::Why(mut why) => {
                if !sees_all {
                    why.notes.clear();
                }
                Self::Why(why)
            }
            Self::Pauses { mut pauses } => {
                pauses.retain(your_pause);
                Self::Pauses { pauses }
            }
            // Who may answer and forget, the judge has seen to.
            Self::Replied(replied) => Self::Replied(replied),
            Self::Forgotten { exceptions, unkept } => Self::Forgotten { exceptions, unkept },
            Self::Exceptions { mut exceptions } => {
                exceptions.retain(|it| yours(Some(it.owner)) || yours(Some(it.by)));
                Self::Exceptions { exceptions }
            }
            Self::Minds { mut minds } => {
                minds.retain_mut(|minded| is_part(minded, peer, sees_all));
                Self::Minds { minds }
            }
            Self::History(mut history) => {
                history.incidents.retain(|kept| yours(kept.owner));
                Self::History(history)
            }
            Self::Show(story) if !your_story(&story) => Refusal::new(
                RefusalKind::NotYours,
                format!(
                    "incident {} is not yours: ask as its owner, or as root",
                    story.kept.id
                ),
            )
            .into(),
            Self::Show(story) => Self::Show(story),
            Self::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// A line: the version, then the rest.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u32,
    #[serde(flatten)]
    body: T,
}

/// Just the version: readable whatever the rest is.
#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// One line, newline included.
pub fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    let envelope = Envelope { v: VERSION, body };
    // Maps with string keys and no foreign `Serialize`: this cannot fail; an empty line would be refused, not obeyed.
    let mut line = serde_json::to_vec(&envelope).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads one line.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, Refusal> {
    let bad = |error: serde_json::Error| {
        Refusal::new(
            RefusalKind::BadQuestion,
            format!("this is no line of the protocol: {error}"),
        )
    };
    let Version { v } = serde_json::from_slice(line).map_err(bad)?;
    if v != VERSION {
        return Err(Refusal::new(
            RefusalKind::Version,
            format!(
                "the two ends are of different versions ({v} and {VERSION}): restart the daemon with the new `beadle`"
            ),
        ));
    }
    let envelope: Envelope<T> = serde_json::from_slice(line).map_err(bad)?;
    Ok(envelope.body)
}

#[cfg(test)]
mod tests;
