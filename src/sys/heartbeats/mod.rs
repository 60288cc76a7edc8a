//! The socket that heartbeats come in by, and how one is sent.
//!
//! **Invariants.** Who sent what is the kernel's word: its pidfd (Linux 6.5), else its number, and then only of somebody who
//! lives when it is read. No read waits. Descriptors that come along are closed by others ([`closing`]), for a close may wait for as
//! long as a stranger likes; the one of a barrier when everything before it has been taken in.
//!
//! # Why not a stream
//! Programs that notify systemd speak in datagrams, and so do these: they work unchanged.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::pidfd::Life;
use super::procfs::{Entry, Procfs, STAT_LINE, key_of, read_short};
use super::stat::Stat;
use crate::engine::heartbeat::{Beat, Proof, Receipt, Words};
use crate::engine::process::{Pid, ProcKey, StartTicks, Uid};

mod closing;
mod letter;
pub mod listener;
pub mod post;

use closing::{Closers, Parting};
use letter::{Hold, Letter, Raw, receive};

/// So many barriers of one user wait at a time,
const BARRIERS_EACH: usize = 256;
/// and so many in all. One more is refused, and its sender told.
const BARRIERS: usize = 4096;
/// Where so many descriptors wait to be closed, no more are let in, as far as the kernel can refuse them,
const CLOGGED: usize = 64;
/// and where there are so many all the same, nothing more is read.
const CHOKED: usize = 4096;

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
    /// The file that is ours there: device and inode.
    ours: (u64, u64),
    proc: Procfs,
    receipts: BTreeMap<Receipt, (Option<Uid>, OwnedFd)>,
    last: u64,
    closers: Closers,
    /// Descriptors are refused for now.
    refuses: bool,
}

/// One datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// What somebody said.
    Beat(Beat),
    /// Nothing that can be read, or nobody's in particular.
    Unreadable,
    /// It was there, and could not be taken: of this user, where that is known.
    Lost(Option<Uid>),
}

/// Why no more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choked {
    /// Whose descriptors most of those are that cannot be closed.
    by: Option<Uid>,
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
        let made = place.symlink_metadata()?;
        let ear = Self {
            socket,
            place: place.to_owned(),
            ours: (made.dev(), made.ino()),
            proc: Procfs::open(proc)?,
            receipts: BTreeMap::new(),
            last: 0,
            closers: Closers::default(),
            refuses: false,
        };
        std::fs::set_permissions(place, Permissions::from_mode(access.mode()))?;
        Ok(ear)
    }

    /// Whether who sends to this place still reaches us.
    pub fn is_there(&self) -> bool {
        is_ours(&self.place, self.ours)
    }

    /// The barriers that wait, and who closes what, move on to the next of us.
    fn take_over(&mut self, before: &mut Self) {
        self.receipts = std::mem::take(&mut before.receipts);
        self.last = before.last;
        self.closers = std::mem::take(&mut before.closers);
    }

    /// Where.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The next datagram; `None` when none is there.
    pub fn hear(&mut self) -> Option<Heard> {
        let mut text = [0; crate::engine::heartbeat::LONGEST];
        match receive(&self.socket, &mut text) {
            Ok(raw) => Some(self.read(raw)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // One datagram that cannot be had is no reason to hear no more.
            Err(_) => Some(Heard::Unreadable),
        }
    }

    fn read(&mut self, raw: Raw<'_>) -> Heard {
        let user = raw.sender.map(|(_, user)| Uid(user));
        let mut fds = raw.fds;
        let words = match raw.letter {
            Letter::Whole(text) => Words::read(text).ok(),
            Letter::Cut => None,
        };
        let asks = words.as_ref().is_some_and(|words| words.barrier);
        let barrier = if asks && fds.len() == 1 {
            fds.pop()
        } else {
            None
        };
        for fd in fds {
            let parting = if asks {
                Parting::Refused
            } else {
                Parting::Silent
            };
            self.part_with(user, fd, parting);
        }
        let who = raw.sender.and_then(|(pid, _)| Pid::new(pid));
        let sender = who.and_then(|pid| self.identity(pid, raw.hold));
        let (Some(words), Some(user), Some((sender, proof))) = (words, user, sender) else {
            // Nobody waits for it in vain.
            if let Some(barrier) = barrier {
                self.part_with(user, barrier, Parting::Refused);
            }
            return match raw.starved {
                true => Heard::Lost(user),
                false => Heard::Unreadable,
            };
        };
        let receipt = match barrier {
            None if asks && raw.starved => return Heard::Lost(Some(user)),
            None if asks => return Heard::Unreadable,
            None => None,
            Some(fd) => match self.keep(user, fd) {
                Some(receipt) => Some(receipt),
                None => return Heard::Lost(Some(user)),
            },
        };
        Heard::Beat(Beat {
            sender,
            proof,
            user,
            words,
            receipt,
        })
    }

    /// Who it is. With a hold of the kernel's making this is certain; else the number counts only while its holder lives. Where the
    /// kernel tried to hold the sender and could not, its number may be anybody's by now.
    fn identity(&self, pid: Pid, hold: Hold) -> Option<(ProcKey, Proof)> {
        let (hold, proof) = match hold {
            Hold::Of(hold) if hold.inode().is_some() => {
                return Some((hold.key(pid, StartTicks(0)), Proof::Held));
            }
            Hold::Of(hold) => (Some(hold), Proof::Held),
            Hold::Failed => return None,
            Hold::Unknown => (self.proc.hold(pid).ok()?, Proof::Number),
        };
        let file = self.proc.file(&Entry::of(pid).at("stat")).ok()?;
        let mut line = [0; STAT_LINE];
        let stat = Stat::parse(read_short(&file, &mut line).ok()?)?;
        let lives = match &hold {
            Some(hold) => hold.life() == Life::Alive,
            None => !stat.dead(),
        };
        lives.then(|| (key_of(pid, hold.as_ref(), stat.start), proof))
    }

    /// Keeps a barrier; `None` where there are too many: it is refused then.
    fn keep(&mut self, user: Uid, fd: OwnedFd) -> Option<Receipt> {
        let own = self.receipts.values().filter(|(of, _)| *of == Some(user));
        if own.count() >= BARRIERS_EACH || self.receipts.len() >= BARRIERS {
            self.part_with(Some(user), fd, Parting::Refused);
            return None;
        }
        self.last = self.last.saturating_add(1);
        let receipt = Receipt(self.last);
        self.receipts.insert(receipt, (Some(user), fd));
        Some(receipt)
    }

    fn part_with(&mut self, user: Option<Uid>, fd: OwnedFd, parting: Parting) {
        self.closers.close(user, fd, parting);
    }

    /// Tells whoever waits for it that everything before its barrier was taken in.
    pub fn accept(&mut self, receipt: Receipt) {
        if let Some((user, fd)) = self.receipts.remove(&receipt) {
            self.part_with(user, fd, Parting::Silent);
        }
    }

    /// Tells whoever waits for it that something before its barrier was not.
    pub fn refuse(&mut self, receipt: Receipt) {
        if let Some((user, fd)) = self.receipts.remove(&receipt) {
            self.part_with(user, fd, Parting::Refused);
        }
    }

    /// Whether it can be read on. Where what was passed along cannot be closed, no more of it is let in.
    fn breathe(&mut self) -> Result<(), Choked> {
        let (waiting, by) = self.closers.waiting();
        let refuses = waiting >= CLOGGED || (self.refuses && waiting > 0);
        // Older kernels cannot refuse them.
        if refuses != self.refuses && letter::let_descriptors_in(&self.socket, !refuses).is_ok() {
            self.refuses = refuses;
        }
        if waiting >= CHOKED {
            return Err(Choked { by });
        }
        Ok(())
    }
}

impl std::fmt::Display for Choked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{CHOKED} descriptors that were sent along")?;
        if let Some(Uid(user)) = self.by {
            write!(f, ", most of them by user {user},")?;
        }
        f.write_str(" cannot be closed")
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        remove(&self.place, self.ours);
    }
}

/// Refuses descriptors on a socket, and on those that connect to it from now on. An error where the kernel (before Linux 6.16)
/// cannot.
pub fn refuse_descriptors(socket: &impl AsRawFd) -> io::Result<()> {
    letter::let_descriptors_in(socket, false)
}

fn is_ours(place: &Path, ours: (u64, u64)) -> bool {
    let found = place.symlink_metadata();
    found.is_ok_and(|found| (found.dev(), found.ino()) == ours)
}

/// Removes a socket that is still ours. One that stays is stale, and removed by the next daemon.
fn remove(place: &Path, ours: (u64, u64)) {
    if is_ours(place, ours) {
        let _ = std::fs::remove_file(place);
    }
}

#[cfg(test)]
mod tests;
