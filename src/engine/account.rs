//! What the kernel writes of a process when it ends: how much CPU time it had used.
//!
//! **Facts this rests on** (measured on Linux 6.18, 250 ticks a second). A record is written *before* the process takes
//! its memory down, and what it used since the last tick is not in it: of children that burn half a millisecond it
//! shows 3 %, of one that frees 200 MiB 25 ms are missing. So a record is a lower bound; with a tick for each thread
//! and the time that passed from the record to the exit it is an upper bound too. It is queued before the event that
//! tells of the exit.

use std::time::Duration;

use super::process::Pid;
use super::units::Mono;

/// Whether records are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounting {
    /// They are: something is judged by its CPU time.
    Wanted,
    /// They are not, and cost nothing.
    Unwanted,
}

/// One process that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number, valid only in the order of the stream.
    pub pid: Pid,
    /// CPU time of all its threads, as far as it was counted when the last of them ended.
    pub cpu: Duration,
    /// Awake time from its start until the record was written.
    pub lived: Duration,
    /// Whether it ever had more threads than one.
    pub threads: Threads,
}

/// How many threads a process had in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One.
    One,
    /// More, and the record is of all of them.
    Many,
}

/// Records, and how completely they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Whoever dies after this moment leaves a record.
    Open(Mono),
    /// Those that were written within a span, in order.
    Batch {
        /// They were written after this,
        since: Mono,
        /// and no later than this.
        upto: Mono,
        /// The records.
        records: Vec<Account>,
    },
    /// Records were lost, some of those up to this moment.
    Lost(Mono),
    /// None are to be had, or no more.
    Closed,
}
