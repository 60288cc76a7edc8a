//! Who is never signalled, and where lineage ends.
//!
//! **Protected** processes are never signalled. **Boundaries** are protected and more: never a root, never a member, and
//! lineage does not pass through them; what a boundary starts begins trees of its own.
//!
//! # The policy, which the caller applies
//! - [`standing`] is asked once per exec, when the facts are there. Until then a newborn has its parent's standing.
//! - A member of a judged tree cannot become protected by exec: a runaway would only have to run `bash`. It stays plain;
//!   [`Standing::for_member`] says so. A boundary started inside a tree (a tmux server) does leave it, with all that it
//!   starts from then on: shells that people open in it later are no part of a test run.
//! - Terminals and interactive shells are protected, no boundaries: what runs in them belongs to their tree's lineage.
//!
//! # What can be claimed falsely
//! A name in the built-in lists counts only as the file name of the *executable*, which the kernel vouches for. comm and
//! arguments, which a process writes itself, spare nobody: neither `systemd` nor `kworker/0:9` as comm. A thread of the
//! kernel is told by the kernel's own flag, beadle and its ancestors by identity. Arguments count where the executable is
//! an interpreter, where one mode of a program matters (`emacs --daemon`), and for the applets of busybox. Where the
//! kernel does not show the executable (`ssh-agent` hides its own even from its user) the process's word is taken, if
//! comm and arguments agree.
//!
//! So a program that *wants* out has a way: a copy of itself called `tmux` is a boundary. That costs a survivor, and is
//! accepted: beadle is made for runaways, not for attackers, and to signal the wrong process is worse than to leave one.
//! Nobody can win protection for *another* process, nor make an innocent one look like a member: names only ever spare
//! their own bearer and what it starts from then on. What a tree leaves behind in this way shows in `why`, by the entry
//! that spared it.
//!
//! What is not known is left alone: a `protect` entry that cannot be decided protects.

mod builtin;
#[cfg(test)]
mod tests;

use std::fmt;

use super::facts::{Facts, Read};
use super::matcher::{Answer, Matcher, Subject};
use super::process::{Pid, ProcKey, Text};
use super::program::{self, Running};
use super::rule::RuleSet;

use builtin::Entry;
pub use builtin::Kind;

/// How a process stands to signals and lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may be judged.
    Plain,
    /// It is never signalled.
    Protected(Reason),
    /// It is never signalled, never a root nor a member, and lineage ends at it.
    Boundary(Reason),
}

/// By what a process is spared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The first process.
    Init,
    /// A thread of the kernel itself.
    KernelThread,
    /// Beadle, or a process above it.
    Ours,
    /// Beadle started it, or something that beadle started did.
    Started,
    /// The built-in list.
    Builtin {
        /// Under which heading.
        kind: Kind,
        /// What it is called.
        name: Text,
    },
    /// An entry of the configuration.
    Configured {
        /// Which list.
        list: List,
        /// Which entry, from 1.
        entry: usize,
    },
    /// An entry of the configuration that could not be decided.
    Undecided {
        /// Which list.
        list: List,
        /// Which entry, from 1.
        entry: usize,
    },
    /// Its executable is not known yet.
    Unread,
}

/// A configured list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `protect`
    Protect,
    /// `boundaries`
    Boundaries,
}

/// What the caller adds to the built-in lists.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lists<'a> {
    /// Beadle and its ancestors.
    pub ours: &'a [ProcKey],
    /// Never signalled.
    pub protect: &'a [Matcher],
    /// Where lineage ends.
    pub boundaries: &'a [Matcher],
}

impl<'a> Lists<'a> {
    /// Those of a rule set.
    pub fn of(rules: &'a RuleSet, ours: &'a [ProcKey]) -> Self {
        Self {
            ours,
            protect: &rules.protect,
            boundaries: &rules.boundaries,
        }
    }
}

/// How a process stands by its own facts.
pub fn standing(subject: &Subject<'_>, lists: &Lists<'_>) -> Standing {
    let Some(facts) = subject.facts else {
        return Standing::Protected(Reason::Unread);
    };
    if let Some(reason) = by_identity(facts, lists.ours) {
        return Standing::Boundary(reason);
    }
    let entry = match told(facts) {
        Told::Running(running) => builtin::entry(&running, facts),
        Told::Nothing => None,
        Told::NotYet => return Standing::Protected(Reason::Unread),
    };
    let boundaries = configured(List::Boundaries, lists.boundaries, subject);
    let protect = configured(List::Protect, lists.protect, subject);
    match (entry, boundaries, protect) {
        // What a job could not leave by is none of it where a person said so.
        (Some(Entry::Boundary(Kind::Multiplexer | Kind::BuildDaemon)), Some(reason), _)
        | (Some(Entry::Boundary(Kind::Multiplexer | Kind::BuildDaemon)), None, Some(reason)) => {
            Standing::Boundary(reason)
        }
        (Some(Entry::Boundary(kind)), _, _) => Standing::Boundary(by_name(kind, facts)),
        (_, Some(reason @ Reason::Configured { .. }), _) => Standing::Boundary(reason),
        (Some(Entry::Protected(kind)), _, _) => Standing::Protected(by_name(kind, facts)),
        (None, Some(reason), _) | (None, None, Some(reason)) => Standing::Protected(reason),
        (None, None, None) => Standing::Plain,
    }
}

fn by_identity(facts: &Facts, ours: &[ProcKey]) -> Option<Reason> {
    // Without an identity its number must do: at worst one process more is spared.
    let is_ours = |own: &ProcKey| facts.key.map_or(own.pid() == facts.pid, |key| key == *own);
    if facts.pid == Pid::INIT {
        Some(Reason::Init)
    } else if facts.kernel_thread {
        Some(Reason::KernelThread)
    } else if ours.iter().any(is_ours) {
        Some(Reason::Ours)
    } else {
        None
    }
}

fn by_name(kind: Kind, facts: &Facts) -> Reason {
    Reason::Builtin {
        kind,
        name: program::of(facts).unwrap_or_default(),
    }
}

/// What is told of the executable.
enum Told<'a> {
    /// Its name, by the kernel or by the process's own consistent word.
    Running(Running<'a>),
    /// Nothing, and nothing will be.
    Nothing,
    /// Nothing so far.
    NotYet,
}

fn told(facts: &Facts) -> Told<'_> {
    let args = facts.args.known().map_or(&[][..], Vec::as_slice);
    match &facts.exe {
        Read::Known(exe) => Told::Running(program::running(Some(exe), args, &facts.comm)),
        Read::Denied => {
            let running = program::running(None, args, &facts.comm);
            if !args.is_empty() && program::is_cut_to(running.image, facts.comm.bytes()) {
                Told::Running(running)
            } else {
                Told::Nothing
            }
        }
        Read::Gone => Told::Nothing,
        Read::Late | Read::NotAsked => Told::NotYet,
    }
}

/// The first entry that holds, else the first that could not be decided.
///
/// Entries hold wherever a process lives: whoever protects `postgres` means it in containers too.
fn configured(list: List, matchers: &[Matcher], subject: &Subject<'_>) -> Option<Reason> {
    let find = |wanted| {
        let at = matchers
            .iter()
            .position(|matcher| matcher.holds(subject) == wanted)?;
        Some(at.saturating_add(1))
    };
    let holds = find(Answer::Yes).map(|entry| Reason::Configured { list, entry });
    holds.or_else(|| find(Answer::Unknown).map(|entry| Reason::Undecided { list, entry }))
}

impl Standing {
    /// The standing of a process that is already a member of a judged tree: it may leave the tree as a boundary, it
    /// cannot become protected in it by running a program of the built-in list. What a person asked to protect stays so.
    #[must_use]
    pub fn for_member(self) -> Self {
        match self {
            Self::Plain
            | Self::Protected(
                Reason::Init
                | Reason::KernelThread
                | Reason::Ours
                | Reason::Started
                | Reason::Builtin { .. }
                | Reason::Unread,
            ) => Self::Plain,
            Self::Protected(reason @ (Reason::Configured { .. } | Reason::Undecided { .. })) => {
                Self::Protected(reason)
            }
            Self::Boundary(reason) => Self::Boundary(reason),
        }
    }

    /// How it stands below the command that a person had run under guard: nothing there protects itself by what it runs, and
    /// all that was started is part of it.
    #[must_use]
    pub fn commanded(self) -> Self {
        match self {
            Self::Protected(Reason::Builtin { .. }) | Self::Boundary(Reason::Builtin { .. }) => {
                Self::Plain
            }
            Self::Plain | Self::Protected(_) | Self::Boundary(_) => self,
        }
    }

    /// How it stands to a job that it belongs to by what it carries. A job cannot leave by starting a multiplexer or a build
    /// daemon; whoever lets people in, keeps their session or runs the job itself is none of it, whatever it carries.
    #[must_use]
    pub fn in_a_job(&self) -> Self {
        match self {
            Self::Boundary(Reason::Builtin {
                kind: Kind::Multiplexer | Kind::BuildDaemon,
                ..
            }) => Self::Plain,
            Self::Plain | Self::Protected(_) | Self::Boundary(_) => self.clone(),
        }
    }

    /// By what it is spared; `None` when it is not.
    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Plain => None,
            Self::Protected(reason) | Self::Boundary(reason) => Some(reason),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Protected(reason) => write!(f, "protected: {reason}"),
            Self::Boundary(reason) => write!(f, "boundary: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init => f.write_str("the first process"),
            Self::KernelThread => f.write_str("a thread of the kernel"),
            Self::Ours => f.write_str("beadle itself, or above it"),
            Self::Started => f.write_str("started by beadle, for an incident"),
            Self::Builtin { kind, name } => write!(f, "`{name}`, {} (built in)", kind.words()),
            Self::Configured { list, entry } => write!(f, "entry {entry} of `{}`", list.word()),
            Self::Undecided { list, entry } => {
                write!(
                    f,
                    "perhaps entry {entry} of `{}`, which could not be decided",
                    list.word()
                )
            }
            Self::Unread => f.write_str("its executable is not known yet"),
        }
    }
}

impl List {
    /// The word in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Protect => "protect",
            Self::Boundaries => "boundaries",
        }
    }
}
