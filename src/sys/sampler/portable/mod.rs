//! The portable sampler: figures of processes on systems without `/proc`.
//!
//! Which processes there are, [sysinfo](census) says. Who one is and what it uses, a [`Witness`] says: on macOS the
//! kernel itself (`darwin`), in the tests sysinfo once more. Everything else is here, and the same over both: what an
//! identity is, when a parent is proven, what becomes of a number that has passed on.
//!
//! **Invariants.** Figures carry a key only when everything in them was read from the process with that key: it is taken
//! before and after. What a system does not tell us is unknown ([`Seen::Unread`], `None`, [`Read::Denied`]), never zero.
//!
//! # Why sysinfo only discovers
//! It tells starts in whole seconds, which is no identity. Of another user's process it says that it used no CPU time and
//! no memory, where it was not permitted to ask. It loses empty arguments, and on macOS variables of the environment take
//! their places: secrets would stand in the records of incidents.
//!
//! # What the identity is
//! The start to the microsecond, as the wall clock showed it when the process was born: it is kept as it was, whatever
//! happens to the clock later. It is *soft*: numbers go round in seconds at the soonest, but a clock that is put back
//! could show the same microsecond again.
//!
//! # What is missing until macOS can watch
//! This sampler has no user there yet. `beadle watch` also needs: a learner over [`Portable::facts`] and a measurer
//! (`sys::{learner, measurer}` read `/proc`), a signaller that compares the identity and then calls `kill` (`sys::{signaller,
//! executor, holds, prover, stillness}` stand on pidfds), our own place in the tree (`sys::{ourselves, rivals, guardian}`),
//! and a `daemon` that takes each of them by one name. [`Mark::Ticks`] holds microseconds here and [`StartTicks`] hundredths
//! of a second; where the two are taken for one (`store::intent::record`), the mark has to be kept as well.

mod arguments;
mod census;
#[cfg(target_os = "macos")]
mod darwin;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use self::census::Census;
use crate::engine::facts::{Facts, Namespace, Place, Question, Read};
use crate::engine::gate::Vital;
use crate::engine::process::{Gid, Mark, Pid, ProcKey, StartTicks, Text};
use crate::engine::snapshot::{Ask, Machine, Sample, Seen, Snapshot, Want, Why};
use crate::engine::units::Mono;
use crate::sys::clock::Clock;
use crate::sys::vitals::Senses;

/// What macOS runs.
#[cfg(target_os = "macos")]
pub type Sampler = Portable<darwin::Kernel>;

/// The pace at which kernels count what a running thread uses, where it is not known: the slowest in use.
const TICK: Duration = Duration::from_millis(10);

/// Who tells what one process is and uses.
pub trait Witness {
    /// Who bears this number now.
    fn identity(&mut self, pid: Pid) -> Result<Identity, Missing>;

    /// What it does and uses; all of it is of one process.
    fn look(&mut self, pid: Pid, want: Want, clock: Clock) -> Result<Found, Missing>;

    /// What it runs, with those of the variables that are set.
    fn image(&mut self, pid: Pid, variables: &[String]) -> Image;
}

/// Who bears a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What tells it from others that bore or will bear its number.
    pub mark: Mark,
    /// Its parent's number now.
    pub ppid: Option<Pid>,
    /// Whether it lives.
    pub life: Life,
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It does.
    Alive,
    /// It is dead, and was not yet waited for.
    Zombie,
}

/// What a look at one process found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Whose it is.
    pub mark: Mark,
    /// When that one started.
    pub start: StartTicks,
    /// When its figures were read.
    pub at: Mono,
    /// What was seen.
    pub seen: Seen,
}

/// What a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The executable.
    pub exe: Read<Place>,
    /// The arguments, each as given.
    pub args: Read<Vec<Text>>,
    /// The variables asked for that are set.
    pub env: Read<Vec<(String, Text)>>,
    /// Working directory.
    pub cwd: Read<Place>,
    /// Effective group.
    pub group: Read<Gid>,
}

/// Why there is nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The process vanished: ordinary, never logged.
    Gone,
    /// It may be there, but could not be read.
    Unread(Why),
}

impl From<Missing> for Seen {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Gone => Self::Gone,
            Missing::Unread(why) => Self::Unread(why),
        }
    }
}

/// Reads figures through a witness.
#[derive(Debug)]
pub struct Portable<W> {
    census: Census,
    witness: W,
    senses: Senses,
}

#[cfg(target_os = "macos")]
impl Portable<darwin::Kernel> {
    /// A sampler of this machine.
    pub fn new(clock: Clock) -> io::Result<Self> {
        Self::over(darwin::Kernel::new(clock)?)
    }
}

impl<W: Witness> Portable<W> {
    /// A sampler that asks this witness.
    pub fn over(witness: W) -> io::Result<Self> {
        Ok(Self {
            census: Census::new()?,
            witness,
            // Only Linux has figures there; elsewhere they are unknown.
            senses: Senses::new(Path::new("/proc")),
        })
    }

    /// All processes there are now, by number.
    pub fn list(&mut self) -> io::Result<Vec<Pid>> {
        self.census.list()
    }

    /// Looks at everybody who is asked about: one sample each, in the order asked.
    /// Takes the figures of the machine that are wanted along.
    pub fn look(&mut self, asks: &[Ask], vitals: &BTreeSet<Vital>, clock: &Clock) -> Snapshot {
        let mut parents = Parents::default();
        let samples = asks
            .iter()
            .map(|ask| self.sample(ask, &mut parents, *clock))
            .collect();
        Snapshot {
            samples,
            // Control groups are Linux's.
            groups: Vec::new(),
            machine: Machine {
                slept: clock.slept(),
                local_minute: clock.local_minute(),
                memory: self.census.memory(clock.now()),
                cores: cores(),
                tick: TICK,
                vitals: self.senses.read(vitals, clock.now()),
            },
        }
    }

    fn sample(&mut self, ask: &Ask, parents: &mut Parents, clock: Clock) -> Sample {
        match self.found(ask, parents, clock) {
            Ok(found) => Sample {
                pid: ask.pid,
                key: Some(ProcKey::new(ask.pid, found.mark)),
                at: found.at,
                seen: found.seen,
            },
            Err(missing) => Sample {
                pid: ask.pid,
                key: ask.key,
                at: clock.now(),
                seen: missing.into(),
            },
        }
    }

    fn found(&mut self, ask: &Ask, parents: &mut Parents, clock: Clock) -> Result<Found, Missing> {
        let mut found = self.witness.look(ask.pid, ask.want, clock)?;
        let key = ProcKey::new(ask.pid, found.mark);
        let same = match ask.key {
            Some(known) => known == key && ask.start.is_none_or(|start| start == found.start),
            None => ask.start.is_none_or(|start| found.start.can_be(start)),
        };
        if !same {
            return Err(Missing::Gone);
        }
        if let (None, Seen::Alive(figures)) = (ask.key, &mut found.seen) {
            figures.parent = figures
                .ppid
                .and_then(|ppid| parents.prove(&mut self.witness, key, ppid));
        }
        Ok(found)
    }

    /// What a process runs, for whom, where. What no witness can tell is unknown.
    pub fn facts(&mut self, question: &Question, clock: Clock) -> Facts {
        self.facts_of(question, clock)
            .unwrap_or_else(|missing| nothing(question, clock.now(), missing))
    }

    fn facts_of(&mut self, question: &Question, clock: Clock) -> Result<Facts, Missing> {
        let found = self.witness.look(question.pid, Want::default(), clock)?;
        let key = ProcKey::new(question.pid, found.mark);
        let same = match question.key {
            Some(known) => known == key,
            None => question.start.is_none_or(|start| found.start.can_be(start)),
        };
        let (true, Seen::Alive(figures)) = (same, found.seen) else {
            return Err(Missing::Gone);
        };
        let image = self.witness.image(question.pid, &question.variables);
        // What was read by number is this process's only if it still has the number.
        let after = self.witness.identity(question.pid)?;
        if after.mark != found.mark || after.life != Life::Alive {
            return Err(Missing::Gone);
        }
        Ok(Facts {
            about: question.about,
            pid: question.pid,
            key: Some(key),
            start: found.start,
            exec: question.exec,
            at: found.at,
            cpu: figures.cpu.saturating_add(figures.grain),
            kernel_thread: figures.kernel_thread,
            comm: Text::new(figures.comm.bytes()),
            exe: image.exe,
            args: image.args,
            env: image.env,
            owner: figures.owner.map_or(Read::Denied, Read::Known),
            group: image.group,
            cwd: image.cwd,
            // Which terminal it has, and whether it has one at all, is not told by name.
            tty: Read::Denied,
            // No other system has what Linux calls by these names.
            login: Read::Denied,
            cgroup: Read::Denied,
            cgroup_id: Read::Denied,
            container: Read::Denied,
            namespace: match cfg!(target_os = "linux") {
                true => Read::Denied,
                false => Read::Known(Namespace::Ours),
            },
            hangup: Read::Denied,
        })
    }
}

/// The answer where nothing could be read. One that is only late or refused is still about the process asked for.
fn nothing(question: &Question, at: Mono, missing: Missing) -> Facts {
    fn none<T>(missing: Missing) -> Read<T> {
        match missing {
            Missing::Gone => Read::Gone,
            Missing::Unread(Why::Denied) => Read::Denied,
            Missing::Unread(Why::Short) => Read::Late,
        }
    }
    Facts {
        about: question.about,
        pid: question.pid,
        key: match missing {
            Missing::Gone => None,
            Missing::Unread(_) => question.key,
        },
        start: question.start.unwrap_or(StartTicks(0)),
        exec: question.exec,
        at,
        cpu: Duration::MAX,
        kernel_thread: false,
        comm: Text::default(),
        exe: none(missing),
        args: none(missing),
        env: none(missing),
        owner: none(missing),
        group: none(missing),
        login: none(missing),
        cwd: none(missing),
        tty: none(missing),
        cgroup: none(missing),
        cgroup_id: none(missing),
        container: none(missing),
        namespace: none(missing),
        hangup: none(missing),
    }
}

/// Parents that were met while one look lasts.
///
/// # When a parent is proven
/// As on Linux: a child is given away only when its parent dies. So the parent's identity is taken, *then* the child says
/// whose it is, then the parent is found alive and still the same.
#[derive(Debug, Default)]
struct Parents(BTreeMap<Pid, ProcKey>);

impl Parents {
    /// The parent of a process that was just read to have parent `ppid`.
    fn prove(&mut self, witness: &mut impl Witness, child: ProcKey, ppid: Pid) -> Option<ProcKey> {
        let key = if let Some(met) = self.0.get(&ppid) {
            // Before the child was read.
            *met
        } else {
            let key = living(witness, ppid)?;
            // The child again, now that its parent is known.
            let again = witness.identity(child.pid()).ok()?;
            if again.mark != child.mark() || again.ppid != Some(ppid) {
                return None;
            }
            self.0.insert(ppid, key);
            key
        };
        if living(witness, ppid) == Some(key) {
            Some(key)
        } else {
            self.0.remove(&ppid);
            None
        }
    }
}

/// Who bears the number and lives.
fn living(witness: &mut impl Witness, pid: Pid) -> Option<ProcKey> {
    let identity = witness.identity(pid).ok()?;
    match identity.life {
        Life::Alive => Some(ProcKey::new(pid, identity.mark)),
        Life::Zombie => None,
    }
}

/// Processors online; 0 when unknown.
fn cores() -> u32 {
    // SAFETY: sysconf takes no pointers.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(online).unwrap_or(0)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod plain;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
