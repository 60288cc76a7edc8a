//! One procfs: the machine's own, or a folder that looks like one.
//!
//! Everything here works below an open folder, by paths written on the stack. Which processes its numbers mean
//! decides how identity is found: a pidfd is only opened for a number that means the same to the kernel as it does
//! in this procfs. In a folder made by a test, or in another namespace's `/proc`, start ticks must do.
//!
//! An open file of `/proc/PID` belongs to that process for ever: when the number has passed on, reads of it fail with
//! `ESRCH`. So a successful read proves that the number still meant that process, and everything looked up by number
//! between the opening and the read was its own.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC, RawDir, SeekFrom};
use rustix::fs::{fstatfs, open, openat, readlinkat, seek};
use rustix::io::{Errno, pread, retry_on_intr};

use super::pidfd::{NoHold, PidFd};
use crate::engine::process::{Mark, Pid, ProcKey, StartTicks};
use crate::engine::snapshot::{Seen, Why};

/// Longer than any line of `/proc/PID/stat`: 50 numbers of 20 digits and a name of 64 bytes.
pub const STAT_LINE: usize = 2048;

/// No file of `/proc` that we read needs more; a hostile one gets no more.
const MOST: usize = 1 << 20;

/// A procfs and what its numbers mean.
#[derive(Debug)]
pub struct Procfs {
    root: OwnedFd,
    numbers: Numbers,
}

/// What the numbers in a procfs mean to a kernel call of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// The same processes: pidfds can be opened for them.
    Ours,
    /// Others, or none.
    Foreign,
}

/// Why a read brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The process vanished: ordinary, never logged.
    Gone,
    /// It may be there, but it could not be read.
    Unread(Why),
}

impl From<Errno> for Missing {
    fn from(errno: Errno) -> Self {
        match errno {
            errno if is_gone(errno) => Self::Gone,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => Self::Unread(Why::Short),
            // EACCES and EPERM; what else a file refuses with comes to the same: we are not told.
            _ => Self::Unread(Why::Denied),
        }
    }
}

impl From<NoHold> for Missing {
    fn from(none: NoHold) -> Self {
        match none {
            NoHold::Gone => Self::Gone,
            NoHold::Short => Self::Unread(Why::Short),
            NoHold::Refused => Self::Unread(Why::Denied),
        }
    }
}

impl From<Missing> for Seen {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Gone => Self::Gone,
            Missing::Unread(why) => Self::Unread(why),
        }
    }
}

/// Whether an error of a file in `/proc/PID` means that the process is gone: the one place that forgives.
pub fn is_gone(errno: Errno) -> bool {
    // ENOENT when the folder is looked up, ESRCH when an open file is read.
    matches!(errno, Errno::NOENT | Errno::SRCH)
}

impl Procfs {
    /// Opens the procfs at `root`.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(root, flags, Mode::empty())?;
        let real = fstatfs(&root)?.f_type == PROC_SUPER_MAGIC;
        let me = readlinkat(&root, "self", Vec::new()).unwrap_or_default();
        let numbers = if real && me.as_bytes() == std::process::id().to_string().as_bytes() {
            Numbers::Ours
        } else {
            Numbers::Foreign
        };
        Ok(Self { root, numbers })
    }

    /// What its numbers mean.
    pub fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// All processes listed. Exclusive, because a folder's place is kept in its descriptor.
    pub fn list(&mut self, names: &mut [MaybeUninit<u8>]) -> io::Result<Vec<Pid>> {
        seek(&self.root, SeekFrom::Start(0))?;
        let mut folder = RawDir::new(&self.root, names);
        let mut pids = Vec::new();
        while let Some(entry) = folder.next() {
            pids.extend(pid_of(entry?.file_name().to_bytes()));
        }
        Ok(pids)
    }

    /// Takes hold of whoever bears this number; `None` where no pidfd can be had for it.
    pub fn hold(&self, pid: Pid) -> Result<Option<PidFd>, Missing> {
        match self.numbers {
            Numbers::Foreign => Ok(None),
            Numbers::Ours => match PidFd::open(pid) {
                Ok(hold) => Ok(Some(hold)),
                // A kernel without pidfds, or a filter in front of it.
                Err(NoHold::Refused) => Ok(None),
                Err(none @ (NoHold::Gone | NoHold::Short)) => Err(none.into()),
            },
        }
    }

    /// Opens a file for reading.
    pub fn file(&self, entry: &Entry) -> Result<OwnedFd, Missing> {
        file_in(&self.root, entry.bytes())
    }

    /// Opens a folder only to look things up in it.
    pub fn folder(&self, entry: &Entry) -> Result<OwnedFd, Missing> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.root, entry.bytes(), flags, Mode::empty())?)
    }

    /// The numbers listed in a folder: threads in `task`, descriptors in `fd`.
    pub fn numbers_in(&self, entry: &Entry) -> Result<Vec<u32>, Missing> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(&self.root, entry.bytes(), flags, Mode::empty())?;
        let mut names = [MaybeUninit::uninit(); 4096];
        let mut folder = RawDir::new(&folder, &mut names);
        let mut numbers = Vec::new();
        while let Some(entry) = folder.next() {
            numbers.extend(number_of(entry?.file_name().to_bytes()));
        }
        Ok(numbers)
    }
}

impl AsFd for Procfs {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// The identity of a process that started at `start`, by its hold where there is one.
pub fn key_of(pid: Pid, hold: Option<&PidFd>, start: StartTicks) -> ProcKey {
    match hold {
        Some(hold) => hold.key(pid, start),
        None => ProcKey::new(pid, Mark::Ticks(start.0)),
    }
}

/// Opens a file of a folder for reading.
pub fn file_in(folder: impl AsFd, name: &[u8]) -> Result<OwnedFd, Missing> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

/// Reads a short file from its start; the part of `buffer` that was filled. One read: the kernel makes these files
/// in one piece.
pub fn read_short(file: impl AsFd, buffer: &mut [u8]) -> Result<&[u8], Missing> {
    let count = retry_on_intr(|| pread(file.as_fd(), &mut *buffer, 0))?;
    Ok(buffer.get(..count).unwrap_or_default())
}

/// Reads a whole file into `buffer`, at most `most` bytes of it.
pub fn read_long(file: impl AsFd, buffer: &mut Vec<u8>, most: usize) -> Result<(), Missing> {
    let most = most.min(MOST);
    buffer.clear();
    while buffer.len() < most {
        // Room is made before it is needed, so that one read brings all of a usual file and shows its end.
        buffer.reserve(4096);
        let have = buffer.len();
        let offset = u64::try_from(have).unwrap_or(u64::MAX);
        let room = buffer.capacity() - have;
        let count = retry_on_intr(|| {
            let spare = rustix::buffer::spare_capacity(buffer);
            pread(file.as_fd(), spare, offset)
        })?;
        // These files fill what they are given: a read that leaves room was the last.
        if count < room {
            break;
        }
    }
    buffer.truncate(most);
    Ok(())
}

/// A path below the root of a procfs, kept on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    bytes: [u8; 64],
    len: usize,
}

impl Entry {
    /// The folder of a process.
    pub fn of(pid: Pid) -> Self {
        let empty = Self {
            bytes: [0; 64],
            len: 0,
        };
        empty.number(pid.number())
    }

    /// A file of this folder.
    #[must_use]
    pub fn at(self, name: &str) -> Self {
        self.push(b"/").push(name.as_bytes())
    }

    /// The folder of one of its threads.
    #[must_use]
    pub fn thread(self, tid: u32) -> Self {
        self.push(b"/task/").number(tid)
    }

    /// The path.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn number(self, number: u32) -> Self {
        self.push(rustix::path::DecInt::new(number).as_bytes())
    }

    /// The longest path in use takes 41 bytes; one that does not fit would be cut, and name nothing.
    fn push(mut self, part: &[u8]) -> Self {
        for (slot, byte) in self.bytes.iter_mut().skip(self.len).zip(part) {
            *slot = *byte;
            self.len += 1;
        }
        self
    }
}

/// The number a name stands for, when it is one as the kernel writes it.
fn number_of(name: &[u8]) -> Option<u32> {
    let first = *name.first()?;
    let plain = first != b'0' || name.len() == 1;
    let digits = name.iter().all(u8::is_ascii_digit);
    (plain && digits).then(|| str::from_utf8(name).ok()?.parse().ok())?
}

/// The process a name in `/proc` stands for.
fn pid_of(name: &[u8]) -> Option<Pid> {
    number_of(name).and_then(Pid::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(number: u32) -> Pid {
        Pid::new(number).unwrap()
    }

    #[test]
    fn paths_are_written_as_the_kernel_names_them() {
        let longest = Entry::of(pid(0x7fff_ffff))
            .thread(u32::MAX)
            .at("environ_etc");
        assert_eq!(longest.bytes(), b"2147483647/task/4294967295/environ_etc");
        assert_eq!(Entry::of(pid(7)).at("stat").bytes(), b"7/stat");
    }

    #[test]
    fn only_numbers_are_processes() {
        let named = |name: &str| pid_of(name.as_bytes()).map(Pid::number);
        assert_eq!(named("17"), Some(17));
        for other in [
            "",
            "0",
            "017",
            "+1",
            "1x",
            "self",
            "4294967296",
            "2147483648",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn the_machines_own_procfs_is_told_from_a_folder() {
        let real = Procfs::open(Path::new("/proc")).unwrap();
        assert_eq!(real.numbers(), Numbers::Ours);
        let folder = tempfile::tempdir().unwrap();
        let own = std::process::id().to_string();
        std::os::unix::fs::symlink(own, folder.path().join("self")).unwrap();
        let fake = Procfs::open(folder.path()).unwrap();
        assert_eq!(fake.numbers(), Numbers::Foreign);
        assert!(fake.hold(pid(1)).unwrap().is_none());
    }

    #[test]
    fn we_are_in_the_list() {
        let mut real = Procfs::open(Path::new("/proc")).unwrap();
        let mut names = vec![MaybeUninit::uninit(); 4096];
        for _ in 0..2 {
            let pids = real.list(&mut names).unwrap();
            assert!(pids.contains(&pid(std::process::id())));
            assert!(pids.iter().all(|pid| pid.number() > 0));
        }
    }

    #[test]
    fn a_long_file_is_read_whole_or_cut_where_asked() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, 1, 4095, 4096, 4097, 8192, 100_000] {
            std::fs::write(folder.path().join("x"), vec![b'x'; size]).unwrap();
            let root = Procfs::open(folder.path()).unwrap();
            let mut buffer = Vec::new();
            read_long(file_in(&root, b"x").unwrap(), &mut buffer, MOST).unwrap();
            assert_eq!(buffer.len(), size);
            read_long(file_in(&root, b"x").unwrap(), &mut buffer, 5000).unwrap();
            assert_eq!(buffer.len(), size.min(5000));
        }
    }
}
