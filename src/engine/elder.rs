//! Two beadles on one tree: the machine's goes first.
//!
//! A user's beadle and the machine's may judge the same processes. The machine's knows nothing of the user's and never waits for
//! it: else a user could hold root's rules off. So it is the user's that gives way, **incident by incident**:
//!
//! 1. Before it opens an incident, and again once a stage is due, it asks the machine's beadle what that one minds: which
//!    incidents are open, and whose processes they are about, by identity ([`ProcKey`]).
//! 2. While the machine's has an incident open on any process of the tree that goes on, the user's leaves the tree alone: no
//!    nudge, no stage, and time that it waits is not served. The same while a person asked the machine's to leave it alone.
//! 3. An incident of the machine's that only tells holds up what only tells. A rule of the user's that may act goes on: nobody
//!    else is going to.
//! 4. Both see a tree cross the same limit in the same second. So that the machine's is the one to speak, the user's waits for
//!    [`SETTLES`] before it opens, where there is a machine's beadle at all.
//! 5. Where nobody answers, nobody is waited for: a tree is never left to a beadle that is dead, or hangs. What is answered is good for
//!    [`GOOD_FOR`] after it was asked, that nobody answers for as long after it was found out, and never for a stage that came due after it was asked.
//!
//! What a person bids of the user's beadle is done whatever the machine's minds.
//!
//! # What is left
//! Between an answer and the act that rests on it lie milliseconds, in which the machine's may open an incident. Its first stage is a
//! nudge, and a nudge and a stage of two beadles can cross once; a second stage cannot, for it asks anew.

use std::time::Duration;

use super::evidence::IncidentId;
use super::process::ProcKey;
use super::rule::RuleName;
use super::units::Mono;

/// How long after it could open an incident a user's beadle waits for the machine's to do so.
pub const SETTLES: Duration = Duration::from_secs(3);
/// How long an answer is good for.
pub const GOOD_FOR: Duration = Duration::from_secs(5);
/// A question that was not answered for so long is put again.
pub const LOST: Duration = Duration::from_secs(30);

/// Whether there may be a beadle that goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rank {
    /// Nobody goes before us: we are the machine's.
    #[default]
    First,
    /// The machine's does, where it watches.
    Second,
}

/// What the machine's beadle answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// When it was asked, on our own clock.
    pub asked: Mono,
    /// What it minds; `None` where there is nobody to answer.
    pub minds: Option<Vec<Minded>>,
}

/// An incident of the machine's beadle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minded {
    /// Its number there.
    pub incident: IncidentId,
    /// Its rule there.
    pub rule: RuleName,
    /// Whether more is to come of it.
    pub course: Course,
    /// Whom it is about.
    pub members: Vec<ProcKey>,
}

/// Whether more is to come of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// A stage is ahead or under way, or a person said to leave it alone.
    GoesOn,
    /// People were told, and that is all.
    Tells,
}
