//! What a process of the fake machine truly is, and how it behaves.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use beadle::engine::process::Pid;
use beadle::engine::snapshot::Ran;
use beadle::engine::units::{Bytes, Mono};

/// True identity: the machine's own, never told to the judge. A fault in `ProcKey` cannot hide behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub usize);

/// How a process that is yet to be started will behave.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it runs; `None` is what its parent runs (a fork without exec).
    pub program: Option<String>,
    /// Arguments after the program's own name.
    pub args: Vec<String>,
    /// Effective user; `None` is its parent's.
    pub owner: Option<u32>,
    /// CPU use in thousandths of a core.
    pub cpu: u64,
    /// It writes a byte as often as this; never where it is zero.
    pub writes: Duration,
    /// What it reads in a second, of what it has read already.
    pub rereads: u64,
    /// It has a socket that others can call at, and waits there.
    pub serves: bool,
    /// What it does cannot be read.
    pub hides: bool,
    /// Resident memory at the start.
    pub memory: Bytes,
    /// How much of it comes with each second.
    pub growth: Bytes,
    /// Threads.
    pub threads: u32,
    /// What it does on TERM (and the like).
    pub on_term: OnTerm,
    /// Whether KILL ends it.
    pub on_kill: OnKill,
    /// Whether the kernel lets us signal it at all.
    pub consent: Consent,
    /// Whether it waits for its children.
    pub waits: Waits,
    /// What it does by itself, and how long after its start.
    pub deeds: Vec<(Duration, Deed)>,
    /// Whether it ignores SIGHUP.
    pub nohup: bool,
    /// Where it works, where that matters.
    pub cwd: Option<String>,
    /// Who logged in to start it, where the machine keeps that.
    pub login: Option<u32>,
    /// The container it lives in.
    pub container: Option<String>,
    /// Variables it is started with besides its parent's: where it runs another image.
    pub env: Vec<(String, String)>,
    /// A control group that it is started in; its parent's when empty.
    pub group: String,
    /// How long it takes it to give back its memory when it exits, on a processor and after its record was written.
    pub teardown: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            program: None,
            args: Vec::new(),
            owner: None,
            cpu: 0,
            writes: Duration::ZERO,
            rereads: 0,
            serves: false,
            hides: false,
            memory: Bytes::mib(1),
            growth: Bytes(0),
            threads: 1,
            on_term: OnTerm::Dies(Duration::ZERO),
            on_kill: OnKill::Dies,
            consent: Consent::Takes,
            waits: Waits::AtOnce,
            deeds: Vec::new(),
            nohup: false,
            cwd: None,
            login: None,
            container: None,
            env: Vec::new(),
            group: String::new(),
            teardown: Duration::ZERO,
        }
    }
}

impl Plan {
    /// A process that runs this and does nothing.
    pub fn of(program: &str) -> Self {
        Self {
            program: Some(program.to_owned()),
            ..Self::default()
        }
    }

    /// The same, which also does this so long after its start.
    #[must_use]
    pub fn then(mut self, after: Duration, deed: Deed) -> Self {
        self.deeds.push((after, deed));
        self
    }
}

/// What a process does on a signal that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTerm {
    /// It dies so long afterwards.
    Dies(Duration),
    /// Nothing.
    Ignores,
    /// It starts so many children that ignore TERM, and dies.
    Forks(u32),
}

/// What KILL does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnKill {
    /// It dies.
    Dies,
    /// Nothing: it hangs in the kernel.
    Stuck,
}

/// Whether the kernel lets us signal a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    Takes,
    /// It refuses, for reasons of its own.
    Refuses,
}

/// When a parent waits for its dead children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// At once.
    AtOnce,
    /// Never: they stay zombies until it dies itself.
    Never,
}

/// Something that a process does by itself.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Starts a child.
    Start(Box<Plan>),
    /// Forks a copy of itself that goes on, and exits: a comet.
    Hop,
    /// Runs another image.
    Exec(String),
    /// Runs another image with this variable set to that, or to nothing.
    ExecWith(String, String, String),
    /// Makes a session of its own.
    Session,
    /// Exits.
    Exit,
    /// Its leader thread exits; the others live on.
    LeaderExit,
    /// A thread that is not the leader execs: the kernel tells of an exit first.
    ThreadExec(String),
    /// Holds so much memory from now on.
    Hold(Bytes),
    /// So much of its memory is taken back by the kernel; nothing of the process runs.
    Reclaim(Bytes),
    /// Is stopped.
    Stop,
    /// Is continued.
    Continue,
    /// Becomes another user's.
    Own(u32),
    /// Says something of itself.
    Say(String),
    /// Goes to another control group.
    Enter(String),
    /// Has given back its memory, and is dead.
    Vanish,
}

/// A process that exists: alive, or dead and not waited for.
#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each can be so or not, whatever the others are"
)]
pub struct Body {
    pub id: Id,
    pub pid: Pid,
    pub inode: u64,
    pub born: Mono,
    pub ticks: u64,
    /// Its parent now, as the kernel has it.
    pub parent: Option<Id>,
    pub session: Pid,
    pub program: String,
    /// Counts images.
    pub image: u32,
    pub owner: u32,
    /// Since when it is that user's.
    pub owned: Mono,
    pub plan: Plan,
    pub state: State,
    /// How many events had happened when it was born.
    pub birth_event: u64,
    pub leader_gone: bool,
    /// CPU used until `since`.
    pub used: Duration,
    pub since: Mono,
    /// CPU of children it has waited for.
    pub reaped: Duration,
    pub held: Bytes,
    pub held_since: Mono,
    /// What the kernel took back of it.
    pub reclaimed: Bytes,
    /// TERM came while it was stopped.
    pub term_pending: bool,
    /// Its control group.
    pub group: String,
    /// What its environment says: its parent's at its birth, or what an exec gave it.
    pub env: BTreeMap<String, String>,
    /// It ever had more threads than one.
    pub many: bool,
    /// It exits: its record is written.
    pub leaving: bool,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Stopped,
    Zombie,
}

impl Body {
    pub fn alive(&self) -> bool {
        self.state != State::Zombie
    }

    /// CPU time used by `now`.
    pub fn cpu(&self, now: Mono) -> Duration {
        match self.state {
            State::Running => {
                let span = now.since(self.since).as_nanos() * u128::from(self.plan.cpu) / 1000;
                self.used + Duration::from_nanos(u64::try_from(span).unwrap())
            }
            State::Stopped | State::Zombie => self.used,
        }
    }

    /// CPU time as the kernel has counted it by `now`, at so many ticks.
    pub fn counted(&self, now: Mono, tick: Duration) -> Duration {
        let late = now
            .nanos()
            .checked_rem(u64::try_from(tick.as_nanos()).unwrap());
        self.cpu(now.before(Duration::from_nanos(late.unwrap_or(0))))
    }

    /// Bytes written by `now`.
    pub fn written(&self, now: Mono) -> u64 {
        let (life, pace) = (now.since(self.born).as_nanos(), self.plan.writes.as_nanos());
        u64::try_from(life.checked_div(pace).unwrap_or(0)).unwrap()
    }

    /// Memory held at `now`.
    pub fn memory(&self, now: Mono) -> Bytes {
        Bytes(self.touched(now).saturating_sub(self.reclaimed.0))
    }

    /// Memory that it touched itself.
    fn touched(&self, now: Mono) -> u64 {
        let seconds = now.since(self.held_since).as_secs();
        self.held.0 + self.plan.growth.0 * seconds
    }

    /// A number that is another whenever the process has run: whatever it does itself goes into it.
    pub fn ran(&self, now: Mono) -> Ran {
        let parts = [
            u64::try_from(self.cpu(now).as_nanos()).unwrap(),
            self.touched(now),
            self.held_since.nanos(),
            u64::from(self.image),
            u64::from(self.plan.threads),
            u64::from(self.leader_gone),
            u64::from(self.state == State::Stopped),
        ];
        let mixed = parts.into_iter().fold(self.inode, |mixed, part| {
            (mixed.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        Ran(NonZeroU64::new(mixed | 1).unwrap())
    }

    /// Settles what was used so far, before the pace changes.
    pub fn settle(&mut self, now: Mono) {
        self.used = self.cpu(now);
        self.since = now;
    }
}
