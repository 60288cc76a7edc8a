//! How the shells behave: what comes late, what is lost, and what the machine lets them see.

use std::time::Duration;

use beadle::engine::decision::Hearing;

use super::errands::Conduct;
use crate::world::senses::{Parts, Units};

/// How the shells behave. Shares are per thousand; spans in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    pub hearing: Hearing,
    /// The longest a look, a question, a listing takes.
    pub slowest: u64,
    /// Looks at single processes that fail.
    pub unread: u64,
    /// Whole looks that never come back.
    pub lost_looks: u64,
    /// Answers that never come back.
    pub lost_facts: u64,
    /// Answers that say "late".
    pub late_facts: u64,
    /// Reports that never come back.
    pub lost_reports: u64,
    /// Batches of events that are lost, with word of it.
    pub gaps: u64,
    /// Whether memory by part can be read.
    pub parts: Parts,
    /// In which units CPU time can be read.
    pub units: Units,
    /// Whether the kernel writes records of the dead.
    pub records: Records,
    /// Batches of records that are lost, with word of it.
    pub lost_records: u64,
    /// Batches of records that are read only with the next.
    pub late_records: u64,
    /// How long it takes at least until all that happened is told; `None` where word of that never comes.
    pub flush: Option<Duration>,
    /// Whom we may signal; root may everyone.
    pub user: u32,
    /// How programs that are run behave.
    pub conduct: Conduct,
    /// Whether what a process carries is read before it is signalled as one of a job.
    pub door: Door,
    /// Environments that cannot be read in time while the rest can.
    pub late_env: u64,
}

/// Whether the door for signals reads labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Reads,
    /// It relies on what the judge knew.
    Trusts,
}

impl Ways {
    /// Everything works, at once.
    pub const fn smooth(hearing: Hearing) -> Self {
        Self {
            hearing,
            slowest: 0,
            unread: 0,
            lost_looks: 0,
            lost_facts: 0,
            late_facts: 0,
            lost_reports: 0,
            gaps: 0,
            parts: Parts::Readable,
            units: Units::Nanos,
            records: Records::None,
            lost_records: 0,
            late_records: 0,
            flush: Some(Duration::ZERO),
            user: 0,
            conduct: Conduct::Works(Duration::from_millis(200)),
            door: Door::Reads,
            late_env: 0,
        }
    }
}

/// Whether the kernel writes records of the dead for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    None,
    Kept,
}
