//! `--assert-…`: what a run may cost before a build fails. Nothing is signalled for it.

use std::fmt;
use std::time::Duration;

use super::shown;
use crate::config;
use crate::config::budget;
use crate::daemon::run::Account;
use crate::engine::units::{Bytes, Span};

/// What is asserted.
#[derive(Debug, clap::Args)]
pub(super) struct Asserts {
    /// Exit 123 when it used more CPU time; it is not ended for it
    #[arg(id = "assert-cpu_time", long = "assert-cpu-time", value_name = "SPAN", value_parser = config::duration)]
    cpu_time: Option<Duration>,

    /// Exit 123 when it was seen to hold more memory
    #[arg(id = "assert-memory", long = "assert-memory", value_name = "SIZE", value_parser = budget::size)]
    memory: Option<Bytes>,

    /// Exit 123 when it was seen with more processes
    #[arg(id = "assert-processes", long = "assert-processes", value_name = "N", value_parser = budget::count)]
    processes: Option<u64>,

    /// Exit 123 when it took longer
    #[arg(id = "assert-age", long = "assert-age", value_name = "SPAN", value_parser = config::duration)]
    age: Option<Duration>,
}

/// An assertion that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    CpuTime { was: Duration, limit: Duration },
    Memory { was: Bytes, limit: Bytes },
    Processes { was: u64, limit: u64 },
    Age { was: Duration, limit: Duration },
}

impl Asserts {
    /// Those that did not hold. What was measured is at least that, so none is said to be over that was not.
    pub(super) fn held_against(&self, account: &Account) -> Vec<Over> {
        fn over<T: PartialOrd + Copy>(was: T, limit: Option<T>) -> Option<(T, T)> {
            limit.filter(|limit| was > *limit).map(|limit| (was, limit))
        }
        let found = [
            over(account.cpu, self.cpu_time).map(|(was, limit)| Over::CpuTime { was, limit }),
            // Where nobody looked nothing is known.
            over(account.peak_memory.unwrap_or_default(), self.memory)
                .map(|(was, limit)| Over::Memory { was, limit }),
            over(account.peak_processes, self.processes)
                .map(|(was, limit)| Over::Processes { was, limit }),
            over(account.wall, self.age).map(|(was, limit)| Over::Age { was, limit }),
        ];
        found.into_iter().flatten().collect()
    }
}

impl Over {
    /// The option, the limit and the figure, in whole milliseconds, bytes, or a count.
    pub(super) fn parts(self) -> (&'static str, u64, u64) {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::CpuTime { was, limit } => ("cpu-time", millis(limit), millis(was)),
            Self::Memory { was, limit } => ("memory", limit.0, was.0),
            Self::Processes { was, limit } => ("processes", limit, was),
            Self::Age { was, limit } => ("age", millis(limit), millis(was)),
        }
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CpuTime { was, limit } => write!(
                f,
                "over --assert-cpu-time: it used {}, {} allowed",
                Span(*was),
                Span(*limit)
            ),
            Self::Memory { was, limit } => write!(
                f,
                "over --assert-memory: it held {}, {} allowed",
                shown(*was),
                shown(*limit)
            ),
            Self::Processes { was, limit } => write!(
                f,
                "over --assert-processes: there were {was}, {limit} allowed"
            ),
            Self::Age { was, limit } => write!(
                f,
                "over --assert-age: it took {}, {} allowed",
                Span(*was),
                Span(*limit)
            ),
        }
    }
}
