//! The thread's end: writes, tries again, answers, rests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::answers::answer;
use super::{Job, Load, Place};
use crate::engine::rule::Keeping;
use crate::store::StoreError;
use crate::store::history::{History, Page, Trust};
use crate::sys::clock::Clock;

/// What could not be written is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// Without anything to do for so long, the file is closed.
const IDLE: Duration = Duration::from_secs(60);

/// Pages that may wait for a disk that takes nothing now.
const BACKLOG: usize = 256;

/// Bytes of them.
const BACKLOG_WEIGHT: usize = 4 << 20;

/// Where the thread sits.
pub(super) struct Desk<S> {
    place: Place,
    keeping: Keeping,
    load: Arc<Load>,
    /// Says whether history can be kept.
    say: S,
    open: Option<History>,
    trust: Trust,
    /// Pages that are not written yet, and their weight.
    backlog: Vec<Page>,
    weight: usize,
    health: Health,
}

/// How keeping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// It was said that it does not.
    Failing,
}

impl<S: Fn(Result<(), String>)> Desk<S> {
    pub(super) fn new(place: Place, keeping: Keeping, load: Arc<Load>, say: S) -> Self {
        Self {
            place,
            keeping,
            load,
            say,
            open: None,
            trust: Trust::Usual,
            backlog: Vec::new(),
            weight: 0,
            health: Health::Well,
        }
    }

    /// Works until nobody gives it work any more; how many pages are not written then.
    pub(super) fn work(mut self, jobs: &Receiver<Job>) -> usize {
        loop {
            let next = match (&self.open, self.owes()) {
                (_, true) => jobs.recv_timeout(AGAIN),
                (Some(_), false) => jobs.recv_timeout(IDLE),
                (None, false) => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(job) => {
                    // All that waits is written at once: one flush of the disk for all.
                    let mut more = Some(job);
                    while let Some(job) = more {
                        self.take(job);
                        more = jobs.try_recv().ok();
                    }
                    self.write();
                }
                Err(RecvTimeoutError::Timeout) if self.owes() => self.write(),
                Err(RecvTimeoutError::Timeout) => self.open = None,
                Err(RecvTimeoutError::Disconnected) => {
                    self.write();
                    return self.backlog.len();
                }
            }
        }
    }

    /// Whether something is not written yet.
    fn owes(&self) -> bool {
        !self.backlog.is_empty() || self.load.missed.load(Ordering::Relaxed) > 0
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Keep(page) => self.put(*page),
            Job::Settle(keeping) => {
                self.keeping = keeping;
                if let Some(history) = &mut self.open {
                    history.settle(keeping);
                }
            }
            Job::Answer(asked) => {
                // What was told before the question belongs to the answer.
                self.write();
                let found = self
                    .history()
                    .and_then(|history| answer(history, &asked.inquiry, &asked.from));
                match found {
                    Ok(found) => asked.answer(found),
                    Err(error) => {
                        self.doubt(&error);
                        asked.refuse(&error.to_string());
                    }
                }
            }
        }
    }

    fn put(&mut self, page: Page) {
        let weight = page.weight();
        self.load.waiting.fetch_sub(weight, Ordering::Relaxed);
        let full =
            self.backlog.len() >= BACKLOG || self.weight.saturating_add(weight) > BACKLOG_WEIGHT;
        if full {
            self.write();
        }
        if full && !self.backlog.is_empty() {
            self.load.missed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.weight = self.weight.saturating_add(weight);
        self.backlog.push(page);
    }

    /// Writes what waits, and says how that went where it is news.
    fn write(&mut self) {
        if !self.owes() {
            return;
        }
        let missed = self.load.missed.load(Ordering::Relaxed);
        // A file that shows itself damaged is set aside, and what was to be written goes into the new one.
        let written = self.try_to_write(missed).or_else(|error| {
            if error.is_damage() {
                self.try_to_write(missed)
            } else {
                Err(error)
            }
        });
        match (written, self.health) {
            (Ok(()), Health::Well) => {}
            (Ok(()), Health::Failing) => {
                self.health = Health::Well;
                (self.say)(Ok(()));
            }
            (Err(error), _) => {
                self.health = Health::Failing;
                (self.say)(Err(self.complaint(&error)));
            }
        }
    }

    fn try_to_write(&mut self, missed: u64) -> Result<(), StoreError> {
        let backlog = std::mem::take(&mut self.backlog);
        let pages: Vec<&Page> = backlog.iter().collect();
        let now = Clock.wall().as_millisecond();
        let written = self.history().and_then(|history| history.keep(&pages, now));
        if let Err(error) = written {
            self.backlog = backlog;
            self.doubt(&error);
            return Err(error);
        }
        self.weight = 0;
        if missed > 0 {
            let because = "more happened than could be written";
            self.history()?.note_lost(now, missed, because)?;
            self.load.missed.fetch_sub(missed, Ordering::Relaxed);
        }
        self.history()?.make_room()
    }

    /// Begins afresh after an error: another try may find a disk with room, or another file.
    fn doubt(&mut self, error: &StoreError) {
        if error.is_damage() {
            self.trust = Trust::Lost;
        }
        self.open = None;
    }

    /// The history, opened where it is not.
    fn history(&mut self) -> Result<&mut History, StoreError> {
        if self
            .open
            .as_ref()
            .is_some_and(|history| !history.is_there())
        {
            self.open = None;
        }
        let history = match self.open.take() {
            Some(history) => history,
            None => self.reopen()?,
        };
        Ok(self.open.insert(history))
    }

    fn reopen(&mut self) -> Result<History, StoreError> {
        let Place { folder, mode } = &self.place;
        let now = Clock.wall().as_millisecond();
        let mut history = History::open(folder, *mode, self.keeping, now, self.trust)?;
        self.trust = Trust::Usual;
        if let Some(damage) = history.take_damage() {
            self.health = Health::Failing;
            (self.say)(Err(damage));
        }
        Ok(history)
    }

    fn complaint(&self, error: &StoreError) -> String {
        let missed = self.load.missed.load(Ordering::Relaxed);
        let waits = self.backlog.len();
        format!("{error}; records that wait: {waits}, not kept so far: {missed}")
    }
}
