//! Births, execs and exits as the kernel tells of them.
//!
//! One source for now: the process [`connector`]. What it tells is plain data in the kernel's order; nothing here
//! knows who is judged.

pub mod connector;

use std::fmt;

use rustix::io::Errno;

/// How far a drain got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// To the end of the queue.
    Empty,
    /// As far as one drain goes; there is more.
    Partly,
    /// To the end, but the kernel had dropped events before.
    Lossy,
}

/// Why nothing is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deafness {
    /// It was asked for.
    Chosen,
    /// There is no such socket here, or it is not for us.
    Refused(Errno),
    /// The kernel did not confirm that it will tell: we live in a pid namespace of our own, where what would arrive
    /// are the numbers of another one.
    Unconfirmed,
    /// The kernel's clock is not ours: we live in a time namespace of our own, where no event can be told from
    /// another by its time.
    OtherClock,
    /// It worked, and broke.
    Broken(Errno),
    /// It worked, and more came than we could read, again and again.
    Overrun,
}

impl Deafness {
    /// Whether it is how things are here, and no trouble that will pass or must be mended.
    pub const fn is_lasting(self) -> bool {
        match self {
            Self::Chosen | Self::Refused(_) | Self::Unconfirmed | Self::OtherClock => true,
            Self::Broken(_) | Self::Overrun => false,
        }
    }
}

impl fmt::Display for Deafness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen => f.write_str("the scan tier was asked for"),
            Self::Refused(errno) => write!(f, "the kernel refuses process events: {errno}"),
            Self::Unconfirmed => f.write_str(
                "the kernel did not confirm process events (it tells them in the first pid namespace only)",
            ),
            Self::OtherClock => f.write_str(
                "process events bear the times of another clock (they need the first time namespace)",
            ),
            Self::Broken(errno) => write!(f, "process events broke off: {errno}; another try in a minute"),
            Self::Overrun => f.write_str(
                "process events came faster than they could be read, three times in 10 s; listening again in a minute",
            ),
        }
    }
}
