//! Figures of processes, and how completely they were taken. Absence means nothing.

use std::num::NonZeroU64;
use std::time::Duration;

use super::gate::Vitals;
use super::process::{CgroupId, Pid, ProcKey, ShortName, StartTicks, Text, Uid};
use super::units::{Bytes, Mono};

/// What was asked about one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its number.
    pub pid: Pid,
    /// Its identity, when known. `None` asks for it: whoever holds the number now.
    pub key: Option<ProcKey>,
    /// Its start, when known: a reading with another start is of another process.
    pub start: Option<StartTicks>,
    /// Which of the dearer figures are needed.
    pub want: Want,
    /// What the process had run when the figures were read that the asker has. Where it has not run since, and nothing
    /// is wanted anew, [`Seen::Still`] is the answer.
    pub ran: Option<Ran>,
}

/// What a process has run: the CPU time of all its threads, those that ended included, in nanoseconds.
///
/// # Who has not run has not changed
/// While this stands, no thread of the process has run: it used no CPU time, started no thread, opened no file, touched no
/// memory, stopped at no signal, did not exec and did not die. (Of a thread that runs right now the kernel counts what it
/// had run at the last tick; so a process that was found running is read again, whatever this says.) One such question
/// costs a sixth of reading the shortest file.
///
/// What others can do to a process that rests: the kernel takes resident pages back, and its memory is less than was
/// read, or makes huge pages of small ones, and it is more. So figures that are held are good to find that nothing is
/// over, are read again within half a minute, and never decide anything: the judge has everybody read anew before it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran(pub NonZeroU64);

impl Ran {
    /// The same as a span.
    pub const fn time(self) -> Duration {
        Duration::from_nanos(self.0.get())
    }
}

/// Which figures beyond `/proc/PID/stat` a look must bring; each costs a read per process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is wanted or not, whatever the others are"
)]
pub struct Want {
    /// Whether all of the CPU time is counted, or only that as of the last tick (0.7 µs).
    pub cpu: bool,
    /// The parts of memory (15 µs).
    pub memory: bool,
    /// The number of open files.
    pub open_files: bool,
    /// Figures of this moment, also of a process that has not run.
    pub anew: bool,
}

impl Want {
    /// What either asks for.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            cpu: self.cpu || other.cpu,
            memory: self.memory || other.memory,
            open_files: self.open_files || other.open_files,
            anew: self.anew || other.anew,
        }
    }
}

/// The answers to one look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// One per process asked about, in the order asked.
    pub samples: Vec<Sample>,
    /// One per control group asked about that could be read.
    pub groups: Vec<Group>,
    /// The machine at that moment.
    pub machine: Machine,
}

/// The machine, as far as decisions need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// All the time since boot that the machine slept.
    pub slept: Duration,
    /// Minute of the local day, 0 ..= 1439.
    pub local_minute: u16,
    /// Memory of the machine, or our own limit where that is smaller.
    pub memory: Bytes,
    /// Processors online; 0 when unknown.
    pub cores: u32,
    /// The pace at which the kernel counts what a running thread uses: what it used since is in no figure yet.
    pub tick: Duration,
    /// What gates ask for.
    pub vitals: Vitals,
}

/// One control group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its path, as asked.
    pub path: Text,
    /// Which group that is.
    pub id: CgroupId,
    /// When its processes were listed: before any sample of the look.
    pub listed: Mono,
    /// Its processes then, the dead left out.
    pub members: Vec<Pid>,
    /// Whether all that it counts was used by processes in it, and none in a group below it.
    pub depth: Depth,
    /// Whether anybody came in from elsewhere since it was last looked at.
    pub entered: Entered,
    /// The kernel has frozen all that is in it (`cgroup.events`).
    pub frozen: bool,
    /// When its CPU time was read: after every sample of the look.
    pub at: Mono,
    /// All the CPU time that was ever used in it, to the microsecond; what runs just then, as of the last tick.
    pub used: Duration,
}

/// Whether a process was moved into a control group, or a group made below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// Not as far as can be seen: whoever is in it was born in it.
    Nobody,
    /// Yes; it may have left again.
    Somebody,
}

/// Whether a control group has others below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// It has none.
    Flat,
    /// It has.
    Deep,
}

/// What one look at one process found.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The number that was looked at.
    pub pid: Pid,
    /// The identity, as asked or as found; `None` when the process was gone before it could be taken.
    pub key: Option<ProcKey>,
    /// When the figures were read.
    pub at: Mono,
    /// What was seen.
    pub seen: Seen,
}

/// What a look can find.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It lives; also a process whose leader thread has ended while others run.
    Alive(Figures),
    /// It lives, and has not run since the figures were read that the asker has ([`Ask::ran`]).
    Still,
    /// Dead for every signal, not yet waited for. Its last CPU figure can still be read.
    Zombie {
        /// When it started.
        start: StartTicks,
        /// CPU time it used in all.
        cpu: Duration,
        /// By how much that may fall short, for want of finer units.
        grain: Duration,
        /// Its parent's number, who ought to wait for it.
        ppid: Option<Pid>,
    },
    /// It is not there (any more).
    Gone,
    /// It may be there, but could not be read.
    Unread(Why),
}

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The kernel refused: another user's process, or hidden.
    Denied,
    /// We ran out of something: files, memory, time.
    Short,
}

/// Run state, as far as decisions need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// On a processor or waiting for one.
    Running,
    /// Waiting for something, interruptibly.
    Sleeping,
    /// Waiting in the kernel, not interruptibly (`D`). Not the same as unkillable.
    Waiting,
    /// Stopped by a signal (`T`): it acts on nothing but KILL until it is continued.
    Stopped,
    /// Stopped by a tracer (`t`).
    Traced,
}

/// Figures of one living process at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// When it started.
    pub start: StartTicks,
    /// What it had run just before these figures were read, where that can be told.
    pub ran: Option<Ran>,
    /// The number of its present parent; `None` for init, kernel threads and across namespaces.
    pub ppid: Option<Pid>,
    /// The parent, when proven: its identity was taken before and it was still alive after the child was read.
    /// Taken at first sight only (`Ask::key` was `None`).
    pub parent: Option<ProcKey>,
    /// Session.
    pub session: Option<Pid>,
    /// Device number of the controlling terminal; 0 is none.
    pub tty: u32,
    /// Short name.
    pub comm: ShortName,
    /// Effective user, when it could be read.
    pub owner: Option<Uid>,
    /// A thread of the kernel itself.
    pub kernel_thread: bool,
    /// Run state.
    pub state: RunState,
    /// CPU time used, its ended threads included; what runs just then, as of the last tick.
    pub cpu: Duration,
    /// By how much that may fall short, for want of finer units.
    pub grain: Duration,
    /// It was seen not to run when that was read: it is all it had used, and not only as of the last tick.
    pub at_rest: bool,
    /// CPU time of children it has waited for.
    pub reaped: Duration,
    /// Threads.
    pub threads: u32,
    /// Resident memory, shared pages included.
    pub rss: Bytes,
    /// Memory by part, when wanted.
    pub memory: Option<Memory>,
    /// Open files, when wanted and permitted.
    pub open_files: Option<u64>,
}

/// Memory of one process by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Anonymous pages.
    pub anonymous: Bytes,
    /// Shared memory and tmpfs pages.
    pub shared: Bytes,
    /// Swapped out.
    pub swap: Bytes,
    /// Huge pages of hugetlbfs.
    pub huge: Bytes,
    /// File pages: shared with the page cache, given back under pressure, so no one's own.
    pub file: Bytes,
}

impl Memory {
    /// What this process keeps from others: anonymous, shared memory, swap and huge pages.
    pub const fn private(&self) -> Bytes {
        self.anonymous
            .plus(self.shared)
            .plus(self.swap)
            .plus(self.huge)
    }

    /// What is resident.
    pub const fn resident(&self) -> Bytes {
        self.anonymous.plus(self.shared).plus(self.file)
    }
}
