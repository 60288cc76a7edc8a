//! The socket that heartbeats come in by, and how one is sent.
//!
//! **Invariants.** Who sent what is the kernel's word: its pidfd (Linux 6.5), else its number, and then only of somebody who
//! lives when it is read. No read waits. Every descriptor that comes along is closed at once, but the one of a barrier, which
//! is closed when everything before it has been taken in.
//!
//! # Why not a stream
//! Programs that notify systemd speak in datagrams, and so do these: they work unchanged.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::pidfd::{Life, PidFd};
use super::procfs::{Entry, Procfs, STAT_LINE, key_of, read_short};
use super::stat::Stat;
use crate::engine::heartbeat::{Beat, Receipt, Words};
use crate::engine::process::{Pid, ProcKey, StartTicks, Uid};

mod letter;
pub mod post;

use letter::{Letter, Raw, receive};

/// So many barriers wait at a time; of more the descriptor is closed at once.
const BARRIERS: usize = 256;

/// Who may send. Whom it counts for is decided by who they are, not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: the machine's daemon.
    Everyone,
    /// One user: that user's daemon.
    Owner,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Everyone => 0o666,
            Self::Owner => 0o600,
        }
    }
}

/// The place beside a daemon's socket where it hears heartbeats: `/run/beadle/socket` has `/run/beadle/beat.sock`.
pub fn beside(socket: &Path) -> PathBuf {
    match socket.file_name() {
        Some(name) if name != "socket" => {
            let mut name = name.to_owned();
            name.push(".beat");
            socket.with_file_name(name)
        }
        Some(_) | None => socket.with_file_name("beat.sock"),
    }
}

/// The socket, and the barriers that wait.
#[derive(Debug)]
pub struct Ear {
    socket: UnixDatagram,
    place: PathBuf,
    proc: Procfs,
    receipts: BTreeMap<Receipt, OwnedFd>,
    last: u64,
}

/// One datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// What somebody said.
    Beat(Beat),
    /// Nothing that can be read, or nobody's in particular.
    Unreadable,
}

impl Ear {
    /// Listens at this place, which is ours alone: whoever calls holds the lock of the daemon's own socket beside it.
    pub fn open(place: &Path, access: Access, proc: &Path) -> io::Result<Self> {
        match place.symlink_metadata() {
            // Of a daemon that is no more.
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(place)?,
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = UnixDatagram::bind(place)?;
        socket.set_nonblocking(true)?;
        letter::ask_for_senders(&socket)?;
        let ear = Self {
            socket,
            place: place.to_owned(),
            proc: Procfs::open(proc)?,
            receipts: BTreeMap::new(),
            last: 0,
        };
        std::fs::set_permissions(place, Permissions::from_mode(access.mode()))?;
        Ok(ear)
    }

    /// The same socket, to wait on.
    pub fn to_wait_on(&self) -> io::Result<UnixDatagram> {
        self.socket.try_clone()
    }

    /// Where.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The next datagram; `None` when none is there.
    pub fn hear(&mut self) -> Option<Heard> {
        let mut text = [0; crate::engine::heartbeat::LONGEST];
        match receive(&self.socket, &mut text) {
            Ok(raw) => Some(match self.read(raw) {
                Some(beat) => Heard::Beat(beat),
                None => Heard::Unreadable,
            }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // One datagram that cannot be had is no reason to hear no more.
            Err(_) => Some(Heard::Unreadable),
        }
    }

    fn read(&mut self, raw: Raw<'_>) -> Option<Beat> {
        let Letter::Whole(text) = raw.letter else {
            return None;
        };
        let words = Words::read(text).ok()?;
        let (pid, user) = raw.sender?;
        let sender = self.identity(Pid::new(pid)?, raw.hold)?;
        let mut fds = raw.fds.into_iter();
        let barrier = fds.next().filter(|_| words.barrier && fds.len() == 0);
        if words.barrier && barrier.is_none() {
            return None;
        }
        let receipt = barrier.and_then(|fd| self.keep(fd));
        Some(Beat {
            sender,
            user: Uid(user),
            words,
            receipt,
        })
    }

    /// Who it is. With a hold of the kernel's making this is certain; else the number counts only while its holder lives.
    fn identity(&self, pid: Pid, hold: Option<PidFd>) -> Option<ProcKey> {
        if let Some(hold) = hold.filter(|hold| hold.inode().is_some()) {
            return Some(hold.key(pid, StartTicks(0)));
        }
        let hold = self.proc.hold(pid).ok()?;
        let file = self.proc.file(&Entry::of(pid).at("stat")).ok()?;
        let mut line = [0; STAT_LINE];
        let stat = Stat::parse(read_short(&file, &mut line).ok()?)?;
        let lives = match &hold {
            Some(hold) => hold.life() == Life::Alive,
            None => !stat.dead(),
        };
        lives.then(|| key_of(pid, hold.as_ref(), stat.start))
    }

    fn keep(&mut self, fd: OwnedFd) -> Option<Receipt> {
        if self.receipts.len() >= BARRIERS {
            return None;
        }
        self.last = self.last.saturating_add(1);
        let receipt = Receipt(self.last);
        self.receipts.insert(receipt, fd);
        Some(receipt)
    }

    /// Tells whoever waits for it that everything before its barrier was taken in.
    pub fn accept(&mut self, receipt: Receipt) {
        self.receipts.remove(&receipt);
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        // A socket that stays is stale, and removed by the next daemon.
        let _ = std::fs::remove_file(&self.place);
    }
}

#[cfg(test)]
mod tests;
