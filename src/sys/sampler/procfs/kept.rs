//! Stat files that stay open between looks.
//!
//! A read of an open stat file costs half of opening it anew (5 µs against 10), and it is the safer read: it
//! can only ever be of the process that it was opened for.
//!
//! **Invariants.** At most `room` files are open. A file is kept under a key only after that key was proven for it.
//!
//! # Why not simply the newest
//! Each open file costs a descriptor and a little over 4 KiB of kernel memory. It pays where looks are frequent: a process
//! asked about twice within [`OFTEN`] earns one, and loses it when [`IDLE`] passes without a question. Nothing is
//! closed to make room for another: with more processes than room, that would reopen every file at every look.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::engine::process::{Pid, ProcKey};
use crate::engine::units::Mono;

/// Two questions within this time make a process one that is often asked about.
const OFTEN: Duration = Duration::from_secs(5);

/// A file that nobody asked for during this time is closed.
const IDLE: Duration = Duration::from_secs(30);

/// The files that stay open.
#[derive(Debug)]
pub(super) struct Kept {
    entries: BTreeMap<Pid, Entry>,
    open: usize,
    room: usize,
    swept: Mono,
}

#[derive(Debug)]
struct Entry {
    key: ProcKey,
    asked: Mono,
    stat: Option<OwnedFd>,
}

/// What there is for a process.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// Its stat file.
    Open(&'a OwnedFd),
    /// No file; one opened now may be kept.
    Welcome,
    /// No file, and none wanted.
    Pass,
}

impl Kept {
    /// Keeps at most `room` files.
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            open: 0,
            room,
            swept: Mono::BOOT,
        }
    }

    /// Looks for a process, and remembers that it was asked for.
    pub(super) fn find(&mut self, key: ProcKey, now: Mono) -> Found<'_> {
        if self
            .entries
            .get(&key.pid())
            .is_some_and(|entry| entry.key != key)
        {
            self.forget(key.pid());
        }
        let mut often = false;
        let entry = self
            .entries
            .entry(key.pid())
            .and_modify(|entry| {
                often = now.since(entry.asked) <= OFTEN;
                entry.asked = now;
            })
            .or_insert(Entry {
                key,
                asked: now,
                stat: None,
            });
        match &entry.stat {
            Some(stat) => Found::Open(stat),
            None if often && self.open < self.room => Found::Welcome,
            None => Found::Pass,
        }
    }

    /// Looks for the file of a process that is seldom read: nothing is remembered of the question.
    pub(super) fn peek(&self, key: ProcKey) -> Found<'_> {
        let entry = self.entries.get(&key.pid());
        let stat = entry
            .filter(|entry| entry.key == key)
            .and_then(|entry| entry.stat.as_ref());
        stat.map_or(Found::Pass, Found::Open)
    }

    /// Keeps a file that [`Found::Welcome`] invited and that was proven to be of this process.
    pub(super) fn keep(&mut self, key: ProcKey, stat: OwnedFd) {
        if let Some(entry) = self.entries.get_mut(&key.pid()) {
            entry.stat = Some(stat);
            self.open += 1;
        }
    }

    /// Forgets a process that is gone.
    pub(super) fn forget(&mut self, pid: Pid) {
        if let Some(Entry { stat: Some(_), .. }) = self.entries.remove(&pid) {
            self.open -= 1;
        }
    }

    /// Closes what nobody asks for any more. Cheap to call often.
    pub(super) fn sweep(&mut self, now: Mono) {
        if now.since(self.swept) < IDLE {
            return;
        }
        self.swept = now;
        self.entries
            .retain(|_, entry| now.since(entry.asked) < IDLE);
        self.count();
    }

    /// Gives up half of the room, because descriptors have run out.
    pub(super) fn halve(&mut self) {
        self.room = self.open.min(self.room) / 2;
        let room = self.room;
        let open = self
            .entries
            .values_mut()
            .filter(|entry| entry.stat.is_some());
        for entry in open.skip(room) {
            entry.stat = None;
        }
        self.count();
    }

    fn count(&mut self) {
        let open = self.entries.values().filter(|entry| entry.stat.is_some());
        self.open = open.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::process::Mark;

    fn key(pid: u32, mark: u64) -> ProcKey {
        ProcKey::new(Pid::new(pid).unwrap(), Mark::Inode(mark))
    }

    fn file() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    fn at(secs: u64) -> Mono {
        Mono::from_secs(secs)
    }

    #[test]
    fn a_file_is_earned_by_two_questions_and_lost_by_none() {
        let mut kept = Kept::with_room(9);
        assert!(matches!(kept.find(key(1, 1), at(100)), Found::Pass));
        assert!(matches!(kept.find(key(1, 1), at(110)), Found::Pass));
        assert!(matches!(kept.find(key(1, 1), at(111)), Found::Welcome));
        kept.keep(key(1, 1), file());
        assert!(matches!(kept.find(key(1, 1), at(140)), Found::Open(_)));
        kept.sweep(at(141));
        assert_eq!(kept.open, 1);
        kept.sweep(at(171));
        assert_eq!((kept.open, kept.entries.len()), (0, 0));
    }

    #[test]
    fn another_process_with_the_number_gets_no_file_of_the_first() {
        let mut kept = Kept::with_room(9);
        kept.find(key(1, 1), at(1));
        kept.keep(key(1, 1), file());
        assert!(matches!(kept.find(key(1, 2), at(2)), Found::Pass));
        assert_eq!(kept.open, 0);
    }

    #[test]
    fn the_room_is_a_bound() {
        let mut kept = Kept::with_room(2);
        for pid in 1..=3 {
            kept.find(key(pid, 1), at(1));
        }
        for pid in 1..=3 {
            if let Found::Welcome = kept.find(key(pid, 1), at(2)) {
                kept.keep(key(pid, 1), file());
            }
        }
        assert_eq!(kept.open, 2);
        kept.halve();
        assert_eq!((kept.open, kept.room), (1, 1));
        kept.forget(key(1, 1).pid());
        kept.forget(key(2, 1).pid());
        kept.forget(key(2, 1).pid());
        assert_eq!(kept.open, 0);
    }
}
