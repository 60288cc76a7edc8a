//! Where messages to people go: the journal, the terminal of the tree, and next the desktop.
//!
//! **Invariants.** Nothing here can block the loop that calls it: each sink that may wait has a thread of its own
//! behind a bounded queue, and what does not fit is dropped and counted. A sink never decides who is told or
//! what: it gets a [`Message`], which is plain data.

pub mod desktop;
pub mod journal;
pub mod stream;
pub mod tty;
mod worker;

use std::io;
use std::time::Duration;

pub use worker::Health;

use self::journal::Journal;
use self::tty::{Line, Terminals};
use super::message::Message;
use crate::engine::rule::Channels;
use crate::engine::units::Mono;

/// All sinks. The desktop joins them here.
#[derive(Debug, Default)]
pub struct Nudger {
    journal: Option<Journal>,
    terminals: Option<Terminals>,
}

/// A sink that is wanted and cannot be had.
#[derive(Debug)]
pub struct Missing {
    /// Which: a word for `status`.
    pub sink: &'static str,
    /// Why.
    pub source: io::Error,
}

impl Nudger {
    /// Opens the sinks wanted. Those that cannot be had are told of and done without.
    pub fn open(wanted: Channels) -> (Self, Vec<Missing>) {
        let mut nudger = Self::default();
        let missing = nudger.switch(wanted);
        (nudger, missing)
    }

    /// Opens and closes sinks until there are those wanted: after a reload.
    pub fn switch(&mut self, wanted: Channels) -> Vec<Missing> {
        let mut missing = Vec::new();
        let note = |sink| move |source| Missing { sink, source };
        if !wanted.journal {
            self.journal = None;
        } else if self.journal.is_none() {
            match Journal::open().map_err(note("journal")) {
                Ok(journal) => self.journal = Some(journal),
                Err(why) => missing.push(why),
            }
        }
        if !wanted.tty {
            self.terminals = None;
        } else if self.terminals.is_none() {
            match Terminals::start().map_err(note("tty")) {
                Ok(terminals) => self.terminals = Some(terminals),
                Err(why) => missing.push(why),
            }
        }
        missing
    }

    /// For the record: to the journal. Never waits.
    pub fn record(&mut self, message: &Message, now: Mono) {
        if let Some(journal) = &mut self.journal {
            journal.write(message, now);
        }
    }

    /// The sink that [`Nudger::record`] writes to, if there is one.
    pub fn recorder(&self) -> Option<&'static str> {
        self.journal.as_ref().map(|_| "journal")
    }

    /// To the person at this terminal; whether anybody writes to terminals. Never waits.
    pub fn tap(&mut self, line: Line, now: Mono) -> bool {
        match &mut self.terminals {
            Some(terminals) => {
                terminals.write(line, now);
                true
            }
            None => false,
        }
    }

    /// How each open sink is doing at `now`.
    pub fn health(&mut self, now: Mono) -> Vec<(&'static str, Health)> {
        let journal = self.journal.as_mut();
        let terminals = self.terminals.as_mut();
        [
            journal.map(|it| ("journal", it.health(now))),
            terminals.map(|it| ("tty", it.health(now))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Gives what is queued at most `patience` each to arrive.
    pub fn finish(self, patience: Duration) {
        if let Some(journal) = self.journal {
            journal.finish(patience);
        }
        if let Some(terminals) = self.terminals {
            terminals.finish(patience);
        }
    }
}
