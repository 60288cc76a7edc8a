//! What was kept of incidents that are over, and of those that are not: lists, stories, certificates.
//!
//! **Invariants.** A [`Certificate`] of any version ever written must be read for ever: fields are added with a default,
//! never renamed.

use serde::{Deserialize, Serialize};

use super::{Bidden, Entry, Evidence, Safe};

/// The kill certificate: what one act rested on, written before its first signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Wall time, RFC 3339.
    pub t: Safe,
    /// Seconds of awake time since boot.
    pub mono: f64,
    /// The warrant's number in its run.
    pub warrant: u64,
    /// Which signal, without `SIG`.
    pub signal: Safe,
    /// Why.
    pub evidence: Evidence,
    /// Whose bidding it was; absent where it was the ladder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bidden: Option<Bidden>,
    /// Seconds of awake time since boot after which nothing was to be sent.
    pub expires: f64,
    /// How often authority over the unit had been withdrawn before.
    pub epoch: u64,
    /// `admitted` or `refused`: what was to become of processes that members start meanwhile.
    pub newborn: Safe,
    /// To whom it was to go.
    pub targets: Vec<Doomed>,
    /// Targets beyond those.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub more: u32,
    /// How many of all targets are shells.
    #[serde(default)]
    pub shells: u32,
    /// Who of the tree was spared, and why.
    #[serde(default)]
    pub spared: Vec<Spared>,
    /// Spared ones beyond those.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub more_spared: u32,
    /// Beadle itself and what it hangs from: never signalled, whatever else says so.
    #[serde(default)]
    pub ours: Vec<Safe>,
    /// Nothing but descendants of this process was signalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leash: Option<u32>,
}

/// One target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Doomed {
    /// Its number.
    pub pid: u32,
    /// Its identity; absent where it was known by the event of its birth alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Safe>,
    /// When it started: clock ticks of boot time.
    pub start: u64,
    /// What really ran.
    pub program: Safe,
    /// Why it is a member.
    pub tie: Safe,
    /// Which image it ran: counts its execs as far as they were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<u32>,
    /// Whether it was a shell.
    #[serde(default, skip_serializing_if = "is_no")]
    pub shell: bool,
    /// Whether it had been found stopped.
    #[serde(default, skip_serializing_if = "is_no")]
    pub stopped: bool,
}

/// One who was spared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spared {
    /// Its number.
    pub pid: u32,
    /// Its identity, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Safe>,
    /// What really ran.
    pub program: Safe,
    /// Why.
    pub because: Safe,
}

/// What is known of an incident at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Its number.
    pub id: u64,
    /// When it began, RFC 3339.
    pub began: Safe,
    /// The last that was kept of it, RFC 3339.
    pub last: Safe,
    /// The boot it is of: numbers of processes of another boot mean nothing now.
    pub boot: Safe,
    /// Whether that is the present boot.
    pub this_boot: bool,
    /// How it stands.
    pub state: State,
    /// How it was closed, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<Safe>,
    /// The rule.
    pub rule: Safe,
    /// The root's number.
    pub root: u32,
    /// The root's identity.
    pub key: Safe,
    /// What the root ran.
    pub program: Safe,
    /// Its command line, cut short, secrets removed.
    pub command: Safe,
    /// Effective user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// The gravest signal that was sent, without `SIG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Safe>,
    /// To how many processes any signal was sent.
    pub signalled: u32,
    /// To how many of them SIGKILL.
    pub killed: u32,
    /// The part in it of the process that was asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// How an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A beadle has it in hand.
    Open,
    /// Its beadle ended before it was over.
    Left,
    /// It is over.
    Closed,
}

/// The part of one process in an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its number.
    pub pid: u32,
    /// Its identity, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Safe>,
    /// What it ran, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Safe>,
    /// `member`, `target`, `born` or `spared`.
    pub part: Safe,
    /// The last signal that was ordered for it, without `SIG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Safe>,
    /// What came of that: `sent`, `gone`, `denied`, `withheld`, `survived`; absent while not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Safe>,
    /// Why it was spared, or the signal held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Safe>,
    /// When that was, RFC 3339.
    pub t: Safe,
}

/// How far history reaches, and what is missing of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    /// The oldest that is kept, RFC 3339; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Safe>,
    /// What could not be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// Something that could not be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// When that was noticed, RFC 3339.
    pub t: Safe,
    /// How many records; 0 where nobody can tell.
    pub records: u64,
    /// Why.
    pub because: Safe,
}

/// The answer to `history`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The process that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The incidents, newest first.
    pub incidents: Vec<Kept>,
    /// Whether there are older ones that fit.
    pub more: bool,
    /// How far it reaches.
    pub reach: Reach,
}

/// The answer to `show`: all that was kept of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// At a glance.
    #[serde(flatten)]
    pub kept: Kept,
    /// What happened, as the JSON log has it.
    pub entries: Vec<Entry>,
    /// What each act rested on.
    pub certificates: Vec<Certificate>,
    /// Pages that are not shown: too many, or of a later version.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub left_out: u32,
}

impl Story {
    /// The users who were told.
    pub fn audiences(&self) -> impl Iterator<Item = u32> {
        let cases = self.entries.iter().filter_map(|entry| entry.case.as_ref());
        cases.filter_map(|case| case.subject.audience)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "what serde calls takes a reference"
)]
const fn is_nothing(count: &u32) -> bool {
    *count == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "what serde calls takes a reference"
)]
const fn is_no(is: &bool) -> bool {
    !*is
}
