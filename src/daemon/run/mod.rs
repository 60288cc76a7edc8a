//! A command under guard: `beadle run`.
//!
//! | file | holds |
//! |---|---|
//! | `start` | what has to be there before the command is |
//! | `patrol` | the loop, while the command runs and until all it left behind is gone |
//! | `keeping` | whom `--keep` means |
//! | `sweep` | what the command left behind: who it is, asking it to go, ending it |
//! | `tally` | figures for the report |
//!
//! # Why in the same process
//! `beadle run` holds the judge, the sampler, the event reader and the signaller of the service in its own process, with one
//! rule whose root is the command. So what is over, who is signalled and why is decided by the code that decides it in
//! the service, and nothing has to run beforehand. There is no socket and no store: what came of it is told to whoever started
//! it, and nobody else waits for it. A daemon that runs besides judges the same processes by its own rules, as ever.
//!
//! # Who belongs to the command
//! Beadle is the *reaper* of everything below it (`PR_SET_CHILD_SUBREAPER`): whoever loses all above it becomes beadle's child.
//! Nobody below can leave, by no double fork and no `setsid`; so a tree is exact even where births are not heard. And when
//! beadle has no child left, nobody is left: that is a fact of the kernel's, not a look that found nobody.
//!
//! # Why what is left behind is no incident
//! It is ended by beadle's own warrants, not by a ladder: the command may be gone before a judge has looked at it once, and
//! nothing is to be measured. All signals go through the same door, with evidence, by identity.

mod keeping;
mod patrol;
mod start;
mod sweep;
mod tally;

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use crate::config::budget::Budget;
use crate::control::wire::{Evidence, Safe};
use crate::engine::process::Pid;
use crate::engine::rule::Signal;
use crate::engine::units::{Bytes, Tier};
use crate::sys::command::launch::Failed;

use super::options::{StartError, TierChoice};

/// What is to be run, and under which budget.
#[derive(Clone, Debug)]
pub struct Order {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What is added to its environment.
    pub environment: Vec<(String, String)>,
    /// How far it may go.
    pub budget: Budget,
    /// By when what it left behind is gone.
    pub leftover: Duration,
    /// What becomes of our own standard output.
    pub output: Output,
    /// Whether the kernel's events may be used.
    pub tier: TierChoice,
    /// Whether it gets a control group of its own, where one is to be had.
    pub enclosed: bool,
}

/// What becomes of beadle's own standard output once the command has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// It is closed: whoever reads sees its end when the command lets go.
    LetGo,
    /// There is a report to be written there, so its end is the report's.
    Kept,
}

/// Something that is told while the command runs.
#[derive(Clone, Debug)]
pub enum Word {
    /// The command is over its budget, and a signal goes to so many of its processes.
    Signal {
        /// Which.
        signal: Signal,
        /// To how many.
        targets: usize,
        /// The figures.
        evidence: Box<Evidence>,
    },
    /// What it left behind is asked to go, or ended.
    Leftover {
        /// What is sent.
        signal: Signal,
        /// To how many.
        targets: usize,
        /// The first few of them.
        first: Vec<Leftover>,
    },
    /// How it goes, at each look.
    Progress(Figures),
}

/// Figures of everything that the command started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Since it started.
    pub wall: Duration,
    /// CPU time, the dead included; at least.
    pub cpu: Duration,
    /// Memory, shared pages once; at least.
    pub memory: Bytes,
    /// Processes.
    pub processes: u64,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// What the kernel did for want of memory while the command ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oom {
    /// It ended none of this machine's processes, as far as it counts them.
    Nobody,
    /// It ended some process of this machine; whether that was one of the command's is not known.
    Somewhere,
    /// It ended so many of the command's.
    Here(u64),
}

/// Why beadle ended it.
#[derive(Clone, Debug)]
pub struct Sentence {
    /// The signals that were sent, in order.
    pub signals: Vec<Signal>,
    /// The figures, when the first was sent.
    pub evidence: Evidence,
}

/// Where the CPU time of a report comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuSource {
    /// Counted by the kernel for the command's own control group, which nobody was seen to leave: exact.
    Cgroup,
    /// Of those who were waited for, and the last look at the rest: not less.
    AtLeast,
}

/// By what it is known that nobody is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Beadle has no child left, so no descendant.
    NoChild,
    /// The command's own control group is empty too.
    EmptyGroup,
    /// Whom `--keep` names is left, and no other descendant.
    OnlyKept,
    /// Somebody is left.
    None,
}

/// What the command left behind.
#[derive(Clone, Debug)]
pub struct Leftovers {
    /// Who lived when it ended.
    pub found: Vec<Leftover>,
    /// How many were asked to go.
    pub asked: usize,
    /// How many were ended.
    pub ended: usize,
    /// Who lives still, and is not kept.
    pub left: Vec<Leftover>,
    /// Who is kept.
    pub kept: Vec<Leftover>,
    /// By what it is known.
    pub proof: Proof,
}

/// A process that was left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its number.
    pub pid: Pid,
    /// Its short name.
    pub name: Safe,
}

/// One of the biggest processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Big {
    /// Its number.
    pub pid: Pid,
    /// Its short name.
    pub name: Safe,
    /// The most memory of its own that it was seen to hold.
    pub memory: Bytes,
    /// CPU time that it was seen to have used.
    pub cpu: Duration,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Account {
    /// The number of the command.
    pub pid: Pid,
    /// How it ended.
    pub ended: Ended,
    /// Why beadle ended it, where it did.
    pub sentence: Option<Sentence>,
    /// What the kernel did for want of memory.
    pub oom: Oom,
    /// From its start to its end.
    pub wall: Duration,
    /// CPU time of all its processes.
    pub cpu: Duration,
    /// Where that comes from.
    pub cpu_source: CpuSource,
    /// The most memory at one look, shared pages once; `None` where it was gone before the first.
    pub peak_memory: Option<Bytes>,
    /// The most memory that the kernel counted for its control group, page cache included.
    pub peak_group_memory: Option<Bytes>,
    /// The most processes at one look.
    pub peak_processes: u64,
    /// How many looks there were.
    pub looks: u64,
    /// Where births and deaths came from.
    pub tier: Tier,
    /// The biggest processes, most memory first.
    pub biggest: Vec<Big>,
    /// What it left behind.
    pub leftovers: Leftovers,
    /// A signal that wanted an end and came when the command was gone.
    pub parting: Option<i32>,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no such program.
    #[error("there is no program {0}: is it in PATH?")]
    NotFound(Safe),
    /// It cannot be run.
    #[error("cannot run {program}: {source}")]
    NotRunnable {
        /// Which.
        program: Safe,
        /// What the system said.
        source: io::Error,
    },
    /// There are processes below us that are none of the command's.
    #[error(
        "beadle has taken the place of a program that had started others already, process {pid} among them, and could not tell them from the command's: start it without `exec`, or start them after `--`"
    )]
    Parent {
        /// One of them.
        pid: Pid,
    },
    /// All orphans would be ours.
    #[error(
        "beadle is the first process here, as the entry point of a container is, and gets the orphans of everybody who comes in: put an init above it (`docker run --init`, tini)"
    )]
    First,
    /// A signal came that wants an end, before there was anything to be ended.
    #[error("ended by signal {0} before the command was started")]
    Interrupted(i32),
    /// Beadle cannot.
    #[error("cannot guard a command: {0}")]
    Ours(io::Error),
    /// Some part of beadle does not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl RunError {
    fn of(failed: Failed, order: &Order) -> Self {
        let program = Safe::word(&order.program.to_string_lossy());
        match failed {
            Failed::NotFound => Self::NotFound(program),
            Failed::NotRunnable(source) => Self::NotRunnable { program, source },
            Failed::Ours(source) => Self::Ours(source),
        }
    }
}

/// Runs a command to its end, and ends what it leaves behind. `tell` is called on the loop and ought to return soon.
///
/// Standard input and output are the command's from then on: what is written to ours goes nowhere. The copy of the output is
/// for whoever has a report to write there ([`Output::Kept`]).
///
/// # Errors
/// Where the command did not start.
pub fn run(
    order: &Order,
    tell: &mut dyn FnMut(Word),
) -> Result<(Account, Option<std::os::fd::OwnedFd>), RunError> {
    patrol::run(order, tell)
}
