//! Closing descriptors that strangers gave us.
//!
//! The last close of a descriptor may wait for as long as who made it likes: of a stream that lingers, of a file whose system is a
//! program of the user's. So nobody closes one who has anything else to do.
//!
//! **Invariants.** One user's are closed one after the other, on a thread of their own, so that whoever makes us wait makes no other
//! user wait. Threads are few: the users beyond share one.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::fs::{FileType, fstat};

use crate::engine::process::Uid;

/// So many users have a thread of their own.
const LANES: usize = 16;
/// A thread with nothing to close ends after so long.
const IDLE: Duration = Duration::from_secs(10);

/// What is done before a descriptor is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// Nothing.
    Silent,
    /// A byte is written: what its barrier stood for was not taken in.
    Refused,
}

/// Those who close.
#[derive(Debug, Default)]
pub(super) struct Closers {
    /// By user; `None` is shared.
    lanes: BTreeMap<Option<Uid>, Lane>,
    /// What no thread could be had for.
    stranded: Vec<(Option<Uid>, Last)>,
}

type Last = (OwnedFd, Parting);

#[derive(Debug)]
struct Lane {
    way: Sender<Last>,
    waiting: Arc<AtomicUsize>,
}

impl Closers {
    /// Has it closed, soon.
    pub(super) fn close(&mut self, user: Option<Uid>, fd: OwnedFd, parting: Parting) {
        for (user, last) in std::mem::take(&mut self.stranded) {
            self.pass(user, last);
        }
        self.pass(user, (fd, parting));
    }

    fn pass(&mut self, user: Option<Uid>, last: Last) {
        let lane = user.filter(|_| self.lanes.contains_key(&user) || self.room());
        let last = match self.lanes.get(&lane) {
            None => last,
            Some(found) => match found.send(last) {
                Ok(()) => return,
                // Its thread has ended for want of work.
                Err(last) => last,
            },
        };
        match Lane::open() {
            Some(fresh) => {
                let _ = fresh.send(last);
                self.lanes.insert(lane, fresh);
            }
            None => self.stranded.push((user, last)),
        }
    }

    fn room(&mut self) -> bool {
        if self.lanes.len() >= LANES {
            self.lanes.retain(|_, lane| lane.waiting() > 0);
        }
        self.lanes.len() < LANES
    }

    /// How many wait to be closed, and whose most of them are.
    pub(super) fn waiting(&self) -> (usize, Option<Uid>) {
        let lanes = self.lanes.iter();
        let lanes = lanes.map(|(user, lane)| (lane.waiting(), *user));
        let all: usize = lanes.clone().map(|(waiting, _)| waiting).sum();
        let most = lanes.max().and_then(|(_, user)| user);
        (all + self.stranded.len(), most)
    }
}

impl Lane {
    fn open() -> Option<Self> {
        let (way, coming) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        std::thread::Builder::new()
            .name("closer".to_owned())
            .stack_size(64 << 10)
            .spawn(move || close_all(&coming, &left))
            .ok()?;
        Some(Self { way, waiting })
    }

    fn send(&self, last: Last) -> Result<(), Last> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.way.send(last).map_err(|unsent| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            unsent.0
        })
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

fn close_all(coming: &Receiver<Last>, left: &AtomicUsize) {
    while let Ok((fd, parting)) = coming.recv_timeout(IDLE) {
        if parting == Parting::Refused && is_pipe(&fd) {
            // Whoever reads it knows; where that cannot be told, it is closed all the same.
            let _ = rustix::io::write(&fd, b"!");
        }
        drop(fd);
        left.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Into nothing else is written: what a write does may hang on who writes.
fn is_pipe(fd: &OwnedFd) -> bool {
    fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}
