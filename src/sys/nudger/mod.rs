//! Where messages to people go: the journal, the desktop of whoever is meant, the terminal of the tree.
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

use self::desktop::{Bill, Desktop, Heard, Own, Standing, Upshot};
use self::journal::Journal;
use self::tty::{Line, Terminals};
use super::message::Message;
use crate::engine::evidence::IncidentId;
use crate::engine::process::Uid;
use crate::engine::rule::Channels;
use crate::engine::units::Mono;

/// All sinks.
#[derive(Debug)]
pub struct Nudger {
    journal: Option<Journal>,
    terminals: Option<Terminals>,
    desktop: Desktop,
    wanted: Channels,
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
    ///
    /// What is heard of desktops goes through `deliver`, and comes back by [`Nudger::hear`].
    pub fn open(
        wanted: Channels,
        own: Own,
        deliver: impl Fn(Heard) + Send + Sync + 'static,
    ) -> (Self, Vec<Missing>) {
        let mut nudger = Self {
            journal: None,
            terminals: None,
            desktop: Desktop::new(own, deliver),
            wanted,
        };
        let missing = nudger.switch(wanted);
        (nudger, missing)
    }

    /// Opens and closes sinks until there are those wanted: after a reload.
    pub fn switch(&mut self, wanted: Channels) -> Vec<Missing> {
        self.wanted = wanted;
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
            // In place of a desktop they are found when they are needed.
            self.terminals = None;
        } else if self.terminals.is_none() {
            match Terminals::start().map_err(note("tty")) {
                Ok(terminals) => self.terminals = Some(terminals),
                Err(why) => missing.push(why),
            }
        }
        missing
    }

    /// Shows a nudge on the desktop of whoever is meant, if there is a chance that they see it; whether there is. `line` is for the
    /// terminal, should nothing come of it. Never waits.
    pub fn show(&mut self, whose: Uid, mut bill: Bill, line: Option<&Line>, now: Mono) -> bool {
        let Some(settings) = self.wanted.desktop else {
            return false;
        };
        if !settings.buttons {
            bill.card.buttons.clear();
        }
        // Where it is written to the terminal anyway, it is not written there again.
        let line = line.filter(|_| settings.terminal && !self.wanted.tty);
        self.desktop.nudge(whose, bill, line.cloned(), now)
    }

    /// Shows what became of an incident that was shown, and what presses.
    pub fn moves(&mut self, whose: Uid, mut bill: Bill, now: Mono) {
        let Some(desktop) = self.wanted.desktop else {
            return;
        };
        if !desktop.buttons {
            bill.card.buttons.clear();
        }
        self.desktop.moves(whose, bill, now);
    }

    /// An incident is over.
    pub fn over(&mut self, whose: Uid, bill: &Bill) {
        self.desktop.over(whose, bill);
    }

    /// What was answered cannot be: says why, where it was answered.
    pub fn declined(&mut self, whose: Uid, incident: IncidentId, why: &str) {
        self.desktop.declined(whose, incident, why);
    }

    /// Takes in what was heard of a desktop; what to do about it, the terminals done.
    pub fn hear(&mut self, heard: Heard, now: Mono) -> Upshot {
        match self.desktop.hear(heard, now) {
            Upshot::Elsewhere(lines) => {
                for line in lines {
                    self.write(line, now);
                }
                Upshot::Nothing
            }
            upshot @ (Upshot::Nothing | Upshot::Answer { .. }) => upshot,
        }
    }

    /// How each desktop is doing that something was shown on.
    pub fn desktops(&self) -> Vec<Standing> {
        self.desktop.standings()
    }

    /// Forgets the desktops of who has logged out since.
    pub fn tidy(&mut self) {
        self.desktop.tidy();
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

    /// To the person at this terminal, if terminals are written to; whether they are. `shown` says that there is hope for the
    /// desktop. Never waits.
    pub fn tap(&mut self, line: Line, shown: bool, now: Mono) -> bool {
        let instead = self.wanted.desktop.is_some_and(|it| it.terminal) && !shown;
        (self.wanted.tty || instead) && self.write(line, now)
    }

    fn write(&mut self, line: Line, now: Mono) -> bool {
        if self.terminals.is_none() {
            self.terminals = Terminals::start().ok();
        }
        let terminals = self.terminals.as_mut();
        terminals.map(|it| it.write(line, now)).is_some()
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
        self.desktop.finish(patience);
    }
}
