//! The pidfds we keep, and taking hold again of whom we cannot keep one for.
//!
//! **Invariant.** What is held under a key is the process of that key: its inode, or where the kernel has none its
//! start, was compared after the pidfd was opened.
//!
//! # Why holds can be shed
//! A tree may have more members than we may have open files. A key with an inode finds its process again by number and
//! comparison, at any time, so a hold is a convenience and never the identity.

use std::collections::BTreeMap;

use rustix::process::{Resource, getrlimit};

use super::glimpse::{Nature, Unread, bearer};
use super::pidfd::{Life, NoHold, PidFd};
use crate::engine::process::{Mark, Pid, ProcKey, StartTicks};
use crate::engine::pursuit::Glimpse;

/// Descriptors left to the rest of the program.
const RESERVE: u64 = 64;

/// Kept pidfds.
#[derive(Debug)]
pub struct Holds {
    kept: BTreeMap<ProcKey, Hold>,
    room: usize,
}

/// One process, held.
#[derive(Debug)]
struct Hold {
    fd: PidFd,
    nature: Nature,
}

impl Default for Holds {
    fn default() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let room = limit.saturating_sub(RESERVE).max(limit / 2);
        Self::with_room(usize::try_from(room).unwrap_or(usize::MAX))
    }
}

impl Holds {
    /// Keeps at most `room` pidfds.
    pub fn with_room(room: usize) -> Self {
        Self {
            kept: BTreeMap::new(),
            room: room.max(1),
        }
    }

    /// Takes hold of whoever bears this number now. All that is said of it was read while it was held and alive.
    pub fn take(&mut self, pid: Pid) -> Result<(ProcKey, Glimpse), NoHold> {
        let (key, glimpse, hold) = self.sparingly(|| open(pid))?;
        self.keep(key, hold);
        Ok((key, glimpse))
    }

    /// What `act` says of the pidfd of this very process; [`NoHold::Gone`] when it is dead or its number is another's.
    pub fn with<T>(
        &mut self,
        key: ProcKey,
        act: impl FnOnce(&PidFd, Nature) -> T,
    ) -> Result<T, NoHold> {
        if let Some(hold) = self.kept.get(&key) {
            return match hold.fd.life() {
                Life::Alive => Ok(act(&hold.fd, hold.nature)),
                Life::Dead => Err(NoHold::Gone),
            };
        }
        let (found, _, hold) = self.sparingly(|| open(key.pid()))?;
        match (found == key, key.mark(), found.mark()) {
            (true, _, _) => {}
            // A key with an inode where the kernel tells none: nobody can be sure.
            (false, Mark::Inode(_), Mark::Ticks(_)) => return Err(NoHold::Refused),
            // A soft key can be compared by its ticks all the same.
            (false, Mark::Ticks(_), Mark::Inode(_)) => {
                let start = bearer(key.pid()).map_err(why)?.0.start;
                if key.mark() != Mark::Ticks(start.0) || hold.fd.life() == Life::Dead {
                    return Err(NoHold::Gone);
                }
            }
            (false, Mark::Inode(_), Mark::Inode(_)) | (false, Mark::Ticks(_), Mark::Ticks(_)) => {
                return Err(NoHold::Gone);
            }
        }
        let result = act(&hold.fd, hold.nature);
        self.keep(key, hold);
        Ok(result)
    }

    /// Whether it lives; `None` when that could not be seen.
    pub fn life(&mut self, key: ProcKey) -> Option<Life> {
        match self.with(key, |_, _| ()) {
            Ok(()) => Some(Life::Alive),
            Err(NoHold::Gone) => Some(Life::Dead),
            Err(NoHold::Short | NoHold::Refused) => None,
        }
    }

    /// Lets one go.
    pub fn forget(&mut self, key: ProcKey) {
        self.kept.remove(&key);
    }

    /// Lets all go.
    pub fn clear(&mut self) {
        self.kept.clear();
    }

    fn keep(&mut self, key: ProcKey, hold: Hold) {
        if self.kept.len() < self.room {
            self.kept.insert(key, hold);
        }
    }

    /// Tries; if that finds us short of descriptors, sheds half of the holds and tries once more.
    fn sparingly<T>(&mut self, attempt: impl Fn() -> Result<T, NoHold>) -> Result<T, NoHold> {
        let first = attempt();
        if !matches!(first, Err(NoHold::Short)) || self.kept.is_empty() {
            return first;
        }
        let keep = self.kept.len() / 2;
        while self.kept.len() > keep {
            self.kept.pop_first();
        }
        // What was too many now will be too many again.
        self.room = keep.max(1);
        attempt()
    }
}

/// Opens a pidfd and reads who that is: its stat counts, because it was still alive afterwards.
fn open(pid: Pid) -> Result<(ProcKey, Glimpse, Hold), NoHold> {
    let fd = PidFd::open(pid)?;
    let read = bearer(pid);
    if fd.life() == Life::Dead {
        return Err(NoHold::Gone);
    }
    // Alive and not to be read: hidden from us, so nobody can be sure.
    let (glimpse, nature) = read.map_err(|unread| match unread {
        Unread::Gone => NoHold::Refused,
        Unread::Short => NoHold::Short,
    })?;
    let key = fd.key(pid, StartTicks(glimpse.start.0));
    Ok((key, glimpse, Hold { fd, nature }))
}

const fn why(unread: Unread) -> NoHold {
    match unread {
        Unread::Gone => NoHold::Gone,
        Unread::Short => NoHold::Short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> std::process::Child {
        std::process::Command::new("sleep")
            .arg("20")
            .spawn()
            .unwrap()
    }

    #[test]
    fn a_key_of_another_bearer_is_gone() {
        let mut child = sleeper();
        let pid = Pid::new(child.id()).unwrap();
        let mut holds = Holds::with_room(1);
        let (key, glimpse) = holds.take(pid).unwrap();
        assert_eq!(glimpse.ppid, Pid::new(std::process::id()));
        assert_eq!(holds.life(key), Some(Life::Alive));
        let soft = ProcKey::new(pid, Mark::Ticks(glimpse.start.0));
        assert_eq!(holds.life(soft), Some(Life::Alive));
        let others = [Mark::Inode(1), Mark::Ticks(glimpse.start.0 - 1)];
        for mark in others {
            assert_eq!(holds.life(ProcKey::new(pid, mark)), Some(Life::Dead));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holds.life(key), Some(Life::Dead));
    }

    #[test]
    fn more_processes_than_room_are_found_again() {
        let mut children: Vec<_> = (0..4).map(|_| sleeper()).collect();
        let mut holds = Holds::with_room(2);
        let keys: Vec<_> = children
            .iter()
            .map(|child| holds.take(Pid::new(child.id()).unwrap()).unwrap().0)
            .collect();
        assert_eq!(holds.kept.len(), 2);
        for key in keys {
            assert_eq!(holds.life(key), Some(Life::Alive));
        }
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
