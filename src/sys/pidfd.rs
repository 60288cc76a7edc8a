//! pidfds: the only hold on a process that its number's next holder cannot steal.
//!
//! **Invariants.** A [`ProcKey`] is read from a pidfd, never from a number alone. A process is dead when its pidfd is
//! readable; a zombie is dead, a zombie leader with living threads is not.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};

use crate::engine::process::{Mark, Pid, ProcKey, StartTicks};

/// `statfs` type of pidfs: only there is the inode of a pidfd its own (Linux 6.9).
const PIDFS_MAGIC: i64 = 0x5049_4446;

/// A hold on one process, dead or alive.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

/// Why there is no hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHold {
    /// No such process.
    Gone,
    /// We are out of file descriptors or memory.
    Short,
    /// This kernel has no pidfds, or refuses them.
    Refused,
}

/// Whether a process still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It does, or some thread of it does.
    Alive,
    /// It does not: gone, or waiting to be reaped.
    Dead,
}

impl PidFd {
    /// Takes hold of whoever bears this number now.
    pub fn open(pid: Pid) -> Result<Self, NoHold> {
        let raw = i32::try_from(pid.number())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        match pidfd_open(raw.ok_or(NoHold::Gone)?, PidfdFlags::empty()) {
            Ok(fd) => Ok(Self(fd)),
            // ENOENT: the number is a thread's, not a process's. EINVAL: the same on older kernels.
            Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) => Err(NoHold::Gone),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Err(NoHold::Short),
            Err(_) => Err(NoHold::Refused),
        }
    }

    /// The hold that the kernel has given us.
    pub const fn held(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The inode in pidfs; `None` on kernels where all pidfds share one.
    pub fn inode(&self) -> Option<u64> {
        let magic = fstatfs(&self.0).ok()?.f_type;
        if magic != PIDFS_MAGIC {
            return None;
        }
        fstat(&self.0).ok().map(|stat| stat.st_ino)
    }

    /// The identity of the process held; `start` makes a soft one where the kernel has no pidfs.
    pub fn key(&self, pid: Pid, start: StartTicks) -> ProcKey {
        let mark = self.inode().map_or(Mark::Ticks(start.0), Mark::Inode);
        ProcKey::new(pid, mark)
    }

    /// Whether the process still runs, now.
    pub fn life(&self) -> Life {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        ) {
            Ok(1..) => Life::Dead,
            // A poll that fails tells nothing; taking it for alive means another look, never a signal.
            Ok(0) | Err(_) => Life::Alive,
        }
    }

    /// The descriptor's number, for messages.
    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_hold_is_alive_and_has_one_identity() {
        let pid = Pid::new(std::process::id()).unwrap();
        let (one, two) = (PidFd::open(pid).unwrap(), PidFd::open(pid).unwrap());
        assert_eq!(one.life(), Life::Alive);
        assert_eq!(one.key(pid, StartTicks(1)), two.key(pid, StartTicks(1)));
    }

    #[test]
    fn a_zombie_is_dead_and_a_reaped_child_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::new(child.id()).unwrap();
        let hold = PidFd::open(pid).unwrap();
        let mut fds = [PollFd::new(&hold, PollFlags::IN)];
        poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 10,
                tv_nsec: 0,
            }),
        )
        .unwrap();
        assert_eq!(hold.life(), Life::Dead);
        child.wait().unwrap();
        assert_eq!(PidFd::open(pid).unwrap_err(), NoHold::Gone);
        assert_eq!(hold.life(), Life::Dead);
    }
}
