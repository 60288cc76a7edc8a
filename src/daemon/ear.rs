//! Heartbeats: when they are read, and how many at a time.
//!
//! **Invariants.** Before a last call everything is read that was sent by then. Else so much is read in a turn, and a while
//! passes before the next: a flood costs those who send it, for their queue is full, and us little.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::Notify;

use crate::engine::heartbeat::{Beat, Receipt};
use crate::sys::heartbeats::{self, Access, Heard};

use super::inbox::{Mail, Post};

/// So much is read in a turn,
const TURN: usize = 64;
/// and the next comes no sooner than after so long.
const PAUSE: Duration = Duration::from_millis(50);
/// Before a last call as much is read as a queue holds: the kernel's own length is 10, and few give it more than 512.
const QUEUE: usize = 2048;

/// The socket, and the bell that rings when something is there.
#[derive(Debug)]
pub(super) struct Ear {
    socket: heartbeats::Ear,
    /// The last ring was answered.
    answered: Arc<Notify>,
    /// Datagrams that nothing could be made of.
    pub(super) unreadable: u64,
}

impl Ear {
    /// Listens beside the daemon's own socket.
    pub(super) fn open(socket: &Path, access: Access, post: &Post) -> io::Result<Self> {
        let place = heartbeats::beside(socket);
        let socket = heartbeats::Ear::open(&place, access, Path::new("/proc"))?;
        let answered = Arc::new(Notify::new());
        let watched = UnixDatagram::from_std(socket.to_wait_on()?)?;
        tokio::spawn(ring(watched, answered.clone(), post.clone()));
        Ok(Self {
            socket,
            answered,
            unreadable: 0,
        })
    }

    /// Where.
    pub(super) fn place(&self) -> &Path {
        self.socket.place()
    }

    /// What is there, a turn of it; the bell may ring again.
    pub(super) fn turn(&mut self) -> Vec<Beat> {
        let beats = self.read(TURN);
        self.answered.notify_one();
        beats
    }

    /// All that was sent by now.
    pub(super) fn drain(&mut self) -> Vec<Beat> {
        self.read(QUEUE)
    }

    fn read(&mut self, most: usize) -> Vec<Beat> {
        let mut beats = Vec::new();
        for _ in 0..most {
            match self.socket.hear() {
                Some(Heard::Beat(beat)) => beats.push(beat),
                Some(Heard::Unreadable) => self.unreadable = self.unreadable.saturating_add(1),
                None => break,
            }
        }
        beats
    }

    /// Tells whoever waits for it that it was taken in.
    pub(super) fn accept(&mut self, receipt: Receipt) {
        self.socket.accept(receipt);
    }
}

/// Rings when something is there, and again when that was answered and a while has passed.
async fn ring(watched: UnixDatagram, answered: Arc<Notify>, post: Post) {
    while watched.readable().await.is_ok() {
        if post.send(Mail::Beats).is_err() {
            return;
        }
        answered.notified().await;
        // Where nothing is left, the next that comes rings; what is left of a full turn rings at once.
        let _ = watched.try_io(Interest::READABLE, || match is_empty(&watched) {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(()),
        });
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_empty(watched: &UnixDatagram) -> bool {
    let mut fds = [PollFd::new(watched, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0))
}
