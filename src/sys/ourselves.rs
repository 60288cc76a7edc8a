//! What we are on this machine, and what it lets us do.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use super::procfs::{Entry, Missing, Procfs, STAT_LINE, key_of, read_short};
use super::stat::Stat;
use crate::engine::process::{Pid, ProcKey, Uid};
use crate::engine::snapshot::Why;

/// How many files we may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// As many as we were started with.
    pub before: u64,
    /// As many as there are now.
    pub now: u64,
}

/// Raises the limit on open files as far as we may: a hold on each process of a large tree takes one. What we start
/// ourselves inherits it.
pub fn raise_file_limit() -> io::Result<FileLimit> {
    // None means that there is no limit.
    let count = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if count(current) < count(maximum) {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(FileLimit {
        before: count(current),
        now: count(getrlimit(Resource::Nofile).current),
    })
}

/// Our effective user.
pub fn owner() -> Uid {
    Uid(rustix::process::geteuid().as_raw())
}

/// Our own number.
pub fn pid() -> Pid {
    Pid::new(std::process::id()).unwrap_or(Pid::INIT)
}

/// We and all above us, nearest first, as far up as this procfs shows: whoever is in it is never signalled.
///
/// An ancestor that dies while we look hands us to another; so this is worth asking again later.
pub fn lineage(proc: &Procfs) -> Vec<ProcKey> {
    let mut lineage: Vec<ProcKey> = Vec::new();
    let mut next = Some(pid());
    while let Some(pid) = next {
        // No honest table has a circle.
        if lineage.iter().any(|key| key.pid() == pid) {
            break;
        }
        let Ok((key, parent)) = meet(proc, pid) else {
            break;
        };
        lineage.push(key);
        next = parent;
    }
    lineage
}

/// Who bears a number now, and the parent's number.
fn meet(proc: &Procfs, pid: Pid) -> Result<(ProcKey, Option<Pid>), Missing> {
    let file = proc.file(&Entry::of(pid).at("stat"))?;
    let hold = proc.hold(pid)?;
    let mut line = [0; STAT_LINE];
    let stat = Stat::parse(read_short(&file, &mut line)?).ok_or(Missing::Unread(Why::Short))?;
    Ok((key_of(pid, hold.as_ref(), stat.start), stat.parent()))
}

/// What we are permitted beyond an ordinary user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Powers(CapabilitySet);

/// A permission that makes a difference to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// To signal other users' processes (`CAP_KILL`).
    Kill,
    /// To have a large event buffer, and taskstats (`CAP_NET_ADMIN`).
    NetAdmin,
    /// To read environment, files and executables of other users' processes (`CAP_SYS_PTRACE`).
    Ptrace,
    /// To read other users' files (`CAP_DAC_READ_SEARCH`).
    ReadFiles,
}

impl Power {
    /// All of them, in the order they are told.
    pub const ALL: [Self; 4] = [Self::Kill, Self::NetAdmin, Self::Ptrace, Self::ReadFiles];

    /// The name in capabilities(7).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "CAP_KILL",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Ptrace => "CAP_SYS_PTRACE",
            Self::ReadFiles => "CAP_DAC_READ_SEARCH",
        }
    }

    const fn capability(self) -> CapabilitySet {
        match self {
            Self::Kill => CapabilitySet::KILL,
            Self::NetAdmin => CapabilitySet::NET_ADMIN,
            Self::Ptrace => CapabilitySet::SYS_PTRACE,
            Self::ReadFiles => CapabilitySet::DAC_READ_SEARCH,
        }
    }
}

impl Powers {
    /// Those we have now.
    pub fn ours() -> io::Result<Self> {
        Ok(Self(capabilities(None)?.effective))
    }

    /// Whether we have this one.
    pub const fn has(self, power: Power) -> bool {
        self.0.contains(power.capability())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::process::Mark;
    use crate::sys::fake_proc::{FakeProc, Line};
    use crate::sys::pidfd::PidFd;

    #[test]
    fn the_limit_is_as_high_as_it_may_be() {
        let limit = raise_file_limit().unwrap();
        assert!(limit.before <= limit.now);
        let again = raise_file_limit().unwrap();
        assert_eq!((again.before, again.now), (limit.now, limit.now));
    }

    #[test]
    fn we_come_first_and_our_starter_next() {
        let lineage = lineage(&Procfs::open(Path::new("/proc")).unwrap());
        // The first process of a pid namespace has nobody above it.
        let parent = Pid::new(std::os::unix::process::parent_id());
        let pids = lineage.iter().map(|key| key.pid());
        assert!(pids.take(2).eq([Some(pid()), parent].into_iter().flatten()));
        let start = crate::engine::process::StartTicks(0);
        let own = PidFd::open(pid()).unwrap().key(pid(), start);
        assert_eq!(lineage.first(), Some(&own));
    }

    #[test]
    fn a_circle_has_an_end() {
        let proc = FakeProc::new();
        let child_of = |ppid| Line {
            ppid,
            ..Line::default()
        };
        let own = std::process::id();
        proc.process(own, child_of(4_000_000));
        proc.process(4_000_000, child_of(own));
        let lineage = lineage(&Procfs::open(proc.path()).unwrap());
        assert_eq!(lineage.len(), 2);
        assert_eq!(
            lineage.first(),
            Some(&ProcKey::new(pid(), Mark::Ticks(1000)))
        );
    }

    #[test]
    fn powers_are_those_the_kernel_tells() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
        let powers = Powers::ours().unwrap();
        for (power, bit) in Power::ALL.into_iter().zip([5, 12, 19, 2]) {
            assert_eq!(
                powers.has(power),
                mask & (1 << bit) != 0,
                "{}",
                power.name()
            );
        }
    }
}
