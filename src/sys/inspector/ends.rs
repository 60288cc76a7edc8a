//! What a process has open: what it can be called at, what bytes may come from, how far it read which file.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, OFlags, StatxFlags, readlinkat, statx};

use super::doing::has_read;
use crate::engine::activity::{Close, Ends, Place};
use crate::engine::process::Pid;
use crate::engine::snapshot::Why;
use crate::sys::procfs::{Entry, Missing, Procfs, read_long};

/// Of who has more open nothing is known.
const MOST_OPEN: usize = 16_384;
/// A table of sockets is not read further.
const LONGEST: usize = 16 << 20;
/// So often a process is looked at within a close look,
const ROUNDS: u32 = 6;
/// and so far apart.
const PAUSE: Duration = Duration::from_millis(15);
/// A socket takes connections, in the tables of the kernel: state `TCP_LISTEN`.
const LISTENS: &str = "0A";
/// A datagram socket that is bound to nobody at the other end.
const UNCONNECTED: &str = "07";
/// A local socket takes connections: `__SO_ACCEPTCON`.
const ACCEPTS: u64 = 0x10000;
/// A local socket for datagrams.
const DATAGRAM: u64 = 2;

/// What a descriptor is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// A pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A terminal.
    Terminal,
    /// Anything else.
    Other,
}

/// What was found of all descriptors.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) ends: Ends,
    pub(super) files: BTreeMap<u32, Open>,
}

/// The sockets that take calls, for each network namespace.
#[derive(Debug, Default)]
pub(super) struct Networks(BTreeMap<Vec<u8>, BTreeSet<u64>>);

/// Looks at all of them.
pub(super) fn ends(proc: &Procfs, pid: Pid, networks: &mut Networks) -> Result<Found, Missing> {
    let folder = Entry::of(pid).at("fd");
    let numbers = proc.numbers_in(&folder)?;
    if numbers.len() > MOST_OPEN {
        return Err(Missing::Unread(Why::Short));
    }
    let (mut ends, mut files) = (Ends::default(), BTreeMap::new());
    for number in numbers {
        let Ok(target) = readlinkat(proc, in_folder(&folder, number).bytes(), Vec::new()) else {
            // Closed just now.
            continue;
        };
        let target = target.as_bytes();
        let open = match target {
            _ if target.starts_with(b"socket:") => {
                match inode(target).is_some_and(|inode| networks.listens(proc, pid, inode)) {
                    true => ends.listens = true,
                    false => ends.talks = true,
                }
                Open::Socket
            }
            _ if target.starts_with(b"pipe:") => {
                ends.hears |= readable(proc, pid, number);
                Open::Pipe
            }
            // What goes through it is in no counter.
            b"anon_inode:[io_uring]" => {
                ends.talks = true;
                Open::Other
            }
            b"anon_inode:[eventpoll]" | b"anon_inode:[pidfd]" => Open::Other,
            _ if target.starts_with(b"anon_inode:") => {
                ends.hears = true;
                Open::Other
            }
            // Nothing new ever comes from these.
            b"/dev/null" | b"/dev/zero" | b"/dev/full" | b"/dev/random" | b"/dev/urandom" => {
                Open::Other
            }
            _ if target.starts_with(b"/dev/pts/") || target.starts_with(b"/dev/tty") => {
                ends.hears |= readable(proc, pid, number);
                Open::Terminal
            }
            _ => {
                ends.hears |= is_no_file(proc, &folder, number) && readable(proc, pid, number);
                Open::Other
            }
        };
        files.insert(number, open);
    }
    Ok(Found { ends, files })
}

/// Which files are open within a moment, and whether any byte is read in it.
pub(super) fn closely(proc: &Procfs, pid: Pid) -> Result<Close, Missing> {
    let before = has_read(proc, pid)?;
    let mut places: BTreeMap<(u64, u64), Place> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for place in open_files(proc, pid)? {
            let known = places.entry(place.file).or_insert(place);
            known.length = known.length.max(place.length);
            known.at = known.at.max(place.at);
        }
        thread::park_timeout(PAUSE);
    }
    Ok(Close {
        reads: has_read(proc, pid)? > before,
        places: places.into_values().collect(),
    })
}

fn open_files(proc: &Procfs, pid: Pid) -> Result<Vec<Place>, Missing> {
    let folder = Entry::of(pid).at("fd");
    let numbers = proc.numbers_in(&folder)?;
    if numbers.len() > MOST_OPEN {
        return Err(Missing::Unread(Why::Short));
    }
    let place = |number: u32| {
        if !readable(proc, pid, number) {
            return None;
        }
        let stat = status(proc, &folder, number)?;
        let kind = FileType::from_raw_mode(stat.stx_mode.into());
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return None;
        }
        let device = (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor);
        Some(Place {
            file: (device, stat.stx_ino),
            length: stat.stx_size,
            at: info(proc, pid, number, b"pos:", 10)?,
        })
    };
    Ok(numbers.into_iter().filter_map(place).collect())
}

/// What a descriptor leads to, as the kernel knows it without asking anybody.
fn status(proc: &Procfs, folder: &Entry, number: u32) -> Option<rustix::fs::Statx> {
    let flags = AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::SIZE;
    statx(proc, in_folder(folder, number).bytes(), flags, wanted).ok()
}

/// Neither a file nor a folder.
fn is_no_file(proc: &Procfs, folder: &Entry, number: u32) -> bool {
    let kind =
        status(proc, folder, number).map(|stat| FileType::from_raw_mode(stat.stx_mode.into()));
    !matches!(kind, Some(FileType::RegularFile | FileType::Directory))
}

/// Whether it may be read from; where that is not known, it may.
fn readable(proc: &Procfs, pid: Pid, number: u32) -> bool {
    let flags = info(proc, pid, number, b"flags:", 8);
    flags.is_none_or(|flags| {
        let writes = u64::from(OFlags::WRONLY.bits());
        flags & u64::from(OFlags::ACCMODE.bits()) != writes
    })
}

/// A number of `/proc/PID/fdinfo/FD`.
fn info(proc: &Procfs, pid: Pid, number: u32, name: &[u8], radix: u32) -> Option<u64> {
    let mut text = Vec::new();
    let file = proc
        .file(&in_folder(&Entry::of(pid).at("fdinfo"), number))
        .ok()?;
    read_long(file, &mut text, 4096).ok()?;
    let mut lines = text.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(std::str::from_utf8(value.trim_ascii()).ok()?, radix).ok()
}

fn in_folder(folder: &Entry, number: u32) -> Entry {
    folder.at(&number.to_string())
}

/// The number in `socket:[123]`.
fn inode(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Networks {
    /// Whether others can call at this socket of this process.
    pub(super) fn listens(&mut self, proc: &Procfs, pid: Pid, inode: u64) -> bool {
        let namespace = readlinkat(proc, Entry::of(pid).at("ns/net").bytes(), Vec::new());
        let Ok(namespace) = namespace else {
            return false;
        };
        let tables = || listening(proc, pid);
        let known = self.0.entry(namespace.into_bytes()).or_insert_with(tables);
        known.contains(&inode)
    }
}

/// All sockets of its network that others can call at.
fn listening(proc: &Procfs, pid: Pid) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let tables = [
        ("tcp", LISTENS),
        ("tcp6", LISTENS),
        ("udp", UNCONNECTED),
        ("udp6", UNCONNECTED),
    ];
    for (table, state) in tables {
        let lines = table_of(proc, pid, table);
        // Number, local address, remote address, state; the inode is the tenth.
        found.extend(lines.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            if words.nth(3) != Some(state) {
                return None;
            }
            words.nth(5)?.parse::<u64>().ok()
        }));
    }
    let lines = table_of(proc, pid, "unix");
    // Address, references, protocol, flags, type, state, inode, and a path where there is one.
    found.extend(lines.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let flags = u64::from_str_radix(words.nth(3)?, 16).ok()?;
        let kind = u64::from_str_radix(words.next()?, 16).ok()?;
        let inode = words.nth(1)?.parse::<u64>().ok()?;
        let named = words.next().is_some();
        (flags & ACCEPTS != 0 || (kind == DATAGRAM && named)).then_some(inode)
    }));
    found
}

fn table_of(proc: &Procfs, pid: Pid, name: &str) -> String {
    let mut text = Vec::new();
    let file = proc.file(&Entry::of(pid).at("net").at(name));
    let read = file.and_then(|file| read_long(file, &mut text, LONGEST));
    match read {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}
