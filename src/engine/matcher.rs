//! Which processes a rule means. Three answers: yes, no, and *unknown*, which never matches.

use std::time::Duration;

use super::facts::Facts;
use super::pattern::{Glob, Pattern};
use super::process::{Gid, Uid};

/// A matcher: all its fields must hold; within a field any of its values will do. Never empty.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The fields given.
    pub fields: Vec<Field>,
}

/// One field of a matcher, with its alternatives.
#[derive(Clone, Debug)]
pub enum Field {
    /// What really runs.
    Program(Vec<Glob>),
    /// The executable: file name, or whole path when the glob has a `/`.
    Exe(Vec<Glob>),
    /// The short name.
    Name(Vec<Glob>),
    /// Some argument matches, whole.
    Arg(Vec<Pattern>),
    /// Each pattern matches some argument, whole.
    Args(Vec<Pattern>),
    /// The arguments joined by one space, anywhere.
    Cmdline(Vec<Pattern>),
    /// Effective user.
    User(Vec<Uid>),
    /// Effective group.
    Group(Vec<Gid>),
    /// Variables at exec: every name given must be set to a value that matches.
    Env(Vec<(String, Vec<Glob>)>),
    /// Working directory.
    Cwd(Vec<PlaceGlob>),
    /// Controlling terminal.
    Tty(Vec<PlaceGlob>),
    /// Control group path.
    Cgroup(Vec<Glob>),
    /// systemd unit: the last component of the control group path that names one.
    Unit(Vec<Glob>),
    /// Container id or name.
    Container(Vec<Glob>),
    /// The parent matches any of these.
    Parent(Vec<Matcher>),
    /// Some process above matches any of these.
    Ancestor(Vec<Matcher>),
    /// None of these matches.
    Not(Vec<Matcher>),
    /// Awake time since its exec.
    Age {
        /// More than this.
        above: Duration,
    },
}

/// A pattern for a path that may also be absent or deleted.
#[derive(Clone, Debug)]
pub enum PlaceGlob {
    /// There is none.
    None,
    /// What it named is deleted.
    Deleted,
    /// Its path matches.
    Path(Glob),
}

/// How an answer can change while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Only by exec.
    AtExec,
    /// By something the kernel tells us.
    ByEvent,
    /// At any time: looked at again every 10 s, for processes that pass the rest.
    Drifts,
    /// By time passing.
    Ripens,
}

/// Whether a matcher holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Something it needs could not be read, or not yet.
    Unknown,
}

/// What a matcher is held against.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Facts of the process; `None` while they are pending.
    pub facts: Option<&'a Facts>,
    /// Awake time since its exec (since its start, when no exec was seen).
    pub age: Duration,
    /// The processes above it, nearest first; a `None` inside is one that is not known.
    pub above: &'a [Option<&'a Facts>],
}
/// x
pub struct Reason {
    /// x
    pub answer: Answer,
    /// x
    pub text: String,
}
impl Matcher {
    /// x
    pub fn test(&self, _s: &Subject) -> Answer {
        Answer::No
    }
    /// x
    pub fn fixed(&self) -> bool {
        true
    }
    /// x
    pub fn drifts(&self) -> bool {
        true
    }
    /// x
    pub fn first_failing(&self, _s: &Subject) -> Option<Reason> {
        None
    }
}
