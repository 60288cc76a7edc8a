//! What the kernel tells as it happens: forks, execs, exits. Plain data, in the kernel's order.

use super::process::{Pid, StartTicks, Uid};
use super::units::Mono;

/// One thing that happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, by the kernel's own stamp.
    pub at: Mono,
    /// What.
    pub what: Happening,
}

/// What can happen to a process. Numbers here are valid only in the order of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// `parent` started `child`; the child has not run yet when this is queued.
    Fork {
        /// The process that the kernel names as parent.
        parent: Pid,
        /// The newborn.
        child: Pid,
        /// The event's time in the unit of start ticks: equal to the kernel's own within two.
        ticks: StartTicks,
    },
    /// `pid` started threads: from now on the exit of its leader is not its death.
    Thread {
        /// The process.
        pid: Pid,
        /// How many, where several starts are told as one.
        count: u32,
    },
    /// `pid` runs another image.
    Exec {
        /// The process.
        pid: Pid,
    },
    /// The leader thread of `pid` ended. The process is dead unless other threads live on, or one of them execs.
    Exit {
        /// The process.
        pid: Pid,
    },
    /// `pid` has another effective user.
    Owner {
        /// The process.
        pid: Pid,
        /// Its effective user from now on.
        owner: Uid,
    },
    /// `pid` made a session of its own.
    Session {
        /// The process.
        pid: Pid,
    },
    /// `pid` changed its short name.
    Name {
        /// The process.
        pid: Pid,
    },
}
