//! A control group of version 2 that a command has to itself, below the one that beadle is in. There the kernel counts, exactly,
//! what was used and who is left. It is a help and no need: where none may be made, all goes on without.
//!
//! **Invariants.** It is made for one run and goes with it. Nobody is put into it but the command, and nobody is signalled
//! because of it. Nobody in it stands still for longer than somebody has a [`Frozen`].
//!
//! # Why it is frozen for the end
//! Whoever forks and exits every two milliseconds is gone before a look at the table is over, and has left another. While a
//! group is frozen nobody in it forks, so one look finds them all. SIGKILL ends the frozen too (in version 2 it does).
//!
//! # When beadle is killed while it is frozen
//! Nobody thaws it then: who is left in it stays frozen, uses no processor and starts nobody, but holds its memory. SIGKILL
//! ends it; `echo 0 > …/beadle-run-…/cgroup.freeze` lets it go on. The act takes a few tens of milliseconds. Whoever was to go
//! had been asked before, so what is left like that is what did not heed it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, mkdirat, openat, unlinkat};

use crate::engine::process::{Pid, Text};
use crate::engine::units::Bytes;
use crate::sys::accounting::cgroup::mount;
use crate::sys::clock::Clock;
use crate::sys::procfs::{file_in, read_long};

/// No file of it is longer than that, unless it holds a hundred thousand processes.
const MOST: usize = 1 << 20;

/// Groups below it are taken down no deeper than that.
const DEEP: u32 = 8;

/// The group.
#[derive(Debug)]
pub struct Enclosure {
    above: OwnedFd,
    name: String,
    folder: OwnedFd,
    door: OwnedFd,
}

impl Enclosure {
    /// Makes one; `None` where we may not, or there is no such hierarchy.
    pub fn make(mark: &str) -> Option<Self> {
        let root = mount()?;
        let ours = path_of(&std::fs::read("/proc/self/cgroup").ok()?)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let above = match below(&ours)? {
            b"" => root,
            below => openat(&root, below, flags, Mode::empty()).ok()?,
        };
        let name = format!("beadle-run-{mark}");
        mkdirat(&above, name.as_str(), Mode::from_raw_mode(0o755)).ok()?;
        let folder = openat(&above, name.as_str(), flags, Mode::empty()).ok();
        let door = folder.as_ref().and_then(|folder| {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            openat(folder, "cgroup.procs", flags, Mode::empty()).ok()
        });
        let Some((folder, door)) = folder.zip(door) else {
            let _ = unlinkat(&above, name.as_str(), AtFlags::REMOVEDIR);
            return None;
        };
        Some(Self {
            above,
            name,
            folder,
            door,
        })
    }

    /// Whoever writes `0` here goes in.
    pub(super) fn door(&self) -> std::os::fd::BorrowedFd<'_> {
        self.door.as_fd()
    }

    /// Whether the command is in it. It is not waited for yet.
    pub fn holds(&self, pid: Pid) -> bool {
        let path = std::fs::read(format!("/proc/{pid}/cgroup")).ok();
        let path = path.and_then(|file| path_of(&file));
        path.is_some_and(|path| path.bytes().ends_with(self.name.as_bytes()))
    }

    /// How many live in it, and in what was made below it; `None` where it cannot be read.
    pub fn living(&self) -> Option<usize> {
        let populated = self.figure("cgroup.events", "populated")?;
        if populated == 0 {
            return Some(0);
        }
        let text = self.read("cgroup.procs")?;
        // Whoever is below it is counted as one.
        Some(text.lines().count().max(1))
    }

    /// CPU time used in it, to the microsecond.
    pub fn used(&self) -> Option<Duration> {
        self.figure("cpu.stat", "usage_usec")
            .map(Duration::from_micros)
    }

    /// How many of it the kernel ended for want of memory; needs the controller.
    pub fn oom_kills(&self) -> Option<u64> {
        self.figure("memory.events", "oom_kill")
    }

    /// The most memory it held, page cache included; needs the controller.
    pub fn memory_peak(&self) -> Option<Bytes> {
        self.read("memory.peak")?.trim().parse().ok().map(Bytes)
    }

    /// Everybody in it, and in what was made below it, stands still until what is given back is dropped. Returns when they
    /// do, or after `patience`: whoever waits in the kernel for a disk comes to a stand only later. `None` where the kernel
    /// cannot (before 5.2) or we may not; then nobody stands still.
    pub fn freeze(&self, patience: Duration) -> Option<Frozen> {
        let events = file_in(&self.folder, b"cgroup.events").ok()?;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let switch = openat(&self.folder, "cgroup.freeze", flags, Mode::empty()).ok()?;
        // From here on every way out thaws it, also where the write failed half way.
        let frozen = Frozen(switch);
        rustix::io::pwrite(&frozen.0, b"1", 0).ok()?;
        let until = Clock.now().after(patience);
        loop {
            let stands = content(&events).and_then(|text| figure(&text, "frozen"));
            let rest = until.since(Clock.now());
            if stands == Some(1) || rest.is_zero() {
                return Some(frozen);
            }
            // It wakes when the file says something else than at the last reading.
            let mut fds = [PollFd::new(&events, PollFlags::PRI)];
            let _ = poll(&mut fds, Timespec::try_from(rest).ok().as_ref());
        }
    }

    fn figure(&self, file: &str, word: &str) -> Option<u64> {
        figure(&self.read(file)?, word)
    }

    fn read(&self, file: &str) -> Option<String> {
        content(&file_in(&self.folder, file.as_bytes()).ok()?)
    }

    /// Lets whoever is still in it go back to where we are; for those who are kept.
    pub fn dissolve(&self) {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let up = openat(&self.above, "cgroup.procs", flags, Mode::empty());
        if let (Ok(up), Some(text)) = (up, self.read("cgroup.procs")) {
            for line in text.lines() {
                // Whoever died meanwhile needs it no more.
                let _ = rustix::io::write(&up, line.as_bytes());
            }
        }
    }
}

impl Drop for Enclosure {
    fn drop(&mut self) {
        // Groups that were made in it are nobody's any more: a run within this one may have been killed. Where somebody is left
        // in one, it stays.
        take_down(&self.folder, DEEP);
        let _ = unlinkat(&self.above, self.name.as_str(), AtFlags::REMOVEDIR);
    }
}

/// Removes the empty groups below one, the deepest first.
fn take_down(folder: &OwnedFd, deep: u32) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(listed) = openat(folder, ".", flags, Mode::empty()) else {
        return;
    };
    for entry in Dir::new(listed).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let dots = matches!(name.to_bytes(), b"." | b"..");
        if dots || entry.file_type() != FileType::Directory {
            continue;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let (Ok(below), Some(deep)) = (
            openat(folder, name, flags, Mode::empty()),
            deep.checked_sub(1),
        ) {
            take_down(&below, deep);
        }
        let _ = unlinkat(folder, name, AtFlags::REMOVEDIR);
    }
}

/// A group in which nobody moves; when it is dropped they do again.
#[derive(Debug)]
pub struct Frozen(OwnedFd);

impl Drop for Frozen {
    fn drop(&mut self) {
        // It fails only where the group is gone, with all that were in it.
        let _ = rustix::io::pwrite(&self.0, b"0", 0);
    }
}

fn content(file: &OwnedFd) -> Option<String> {
    let mut text = Vec::new();
    read_long(file, &mut text, MOST).ok()?;
    String::from_utf8(text).ok()
}

/// The number after a word that begins a line.
fn figure(text: &str, word: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == word).then_some(value)
    });
    value?.trim().parse().ok()
}

fn path_of(file: &[u8]) -> Option<Text> {
    let line = file
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))?;
    Some(Text::new(line))
}

/// The path below the mount.
fn below(path: &Text) -> Option<&[u8]> {
    let below = path.bytes().strip_prefix(b"/")?;
    let out = below.split(|byte| *byte == b'/').any(|part| part == b"..");
    (!out).then_some(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::Command;

    #[test]
    #[expect(clippy::print_stderr, reason = "what cannot be shown here is said")]
    fn who_is_in_a_frozen_group_stands_still_until_that_is_dropped() {
        let mark = format!("test-{}", std::process::id());
        let Some(group) = Enclosure::make(&mark) else {
            return eprintln!("NOT SHOWN HERE: a frozen group: none may be made");
        };
        let mut child = Command::new("sleep").arg("20").spawn().unwrap();
        let mut door = std::fs::File::from(group.door().try_clone_to_owned().unwrap());
        write!(door, "{}", child.id()).unwrap();
        let frozen = group.freeze(Duration::from_secs(5)).unwrap();
        assert_eq!(group.figure("cgroup.events", "frozen"), Some(1));
        drop(frozen);
        assert_eq!(group.read("cgroup.freeze").as_deref(), Some("0\n"));
        // SIGKILL ends the frozen.
        let frozen = group.freeze(Duration::from_secs(5)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        drop(frozen);
    }
}
