//! The thread that hears the kernel's events and carries out warrants.
//!
//! Everything else in beadle runs on one loop and may take its time. This may not: a newborn must be struck before it
//! has children of its own. So one thread owns the events, the door for signals and all pursuits, and hands the loop
//! what it hears.
//!
//! **Invariants.** The loop is told every event once, in the kernel's order, and before the report of any pursuit that
//! saw it; and of a record before the event of its exit, unless a pursuit left no time for records. A recall takes effect
//! at the next send, not at the next turn. When the thread ends, nobody stands still because of us.
//!
//! # Why batches
//! Waking for every event costs 5 µs each, read in batches 2 µs; a build forks thousands a second. Outside a pursuit
//! nobody needs to know within a tenth of a second, and on an idle machine nothing wakes at all.

mod births;
mod deaths;
mod losses;
mod post;
mod runner;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::engine::account::{Accounting, Accounts};
use crate::engine::decision::Hearing;
use crate::engine::event::Event;
use crate::engine::units::Mono;
use crate::engine::warrant::{EventCount, Report, Warrant, WarrantId};
use crate::sys::events::Deafness;
use crate::sys::signaller::{Authority, Signaller};

use post::{Command, Post};
use runner::Runner;

/// Something the loop is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From now on births and deaths are heard.
    Listening,
    /// They are not, or no longer, and why.
    Deaf(Deafness),
    /// What happened, in the kernel's order.
    Events {
        /// What.
        events: Vec<Event>,
        /// How many were delivered by now, these included.
        upto: EventCount,
    },
    /// What was written of the dead: before the events of their exits.
    Accounts(Accounts),
    /// Events were lost.
    Gap,
    /// A flush was asked for: what was queued has been told, and with it all that happened before this moment. It lies
    /// in the past where more came than could be read, or nothing is heard.
    Flushed(Mono),
    /// What came of a warrant.
    Report(Report),
}

/// The thread, as the loop holds it. Dropping it ends the thread: what is under way is let go as if recalled.
#[derive(Debug)]
pub struct Pursuer {
    post: Arc<Post>,
    thread: Option<JoinHandle<()>>,
    carried: Vec<Authority>,
}

impl Pursuer {
    /// Starts the thread. `sink` is called on it and must not block. [`Hearing::Nothing`] asks for the scan tier;
    /// [`Hearing::Events`] for the event tier where the kernel allows it; without [`Accounting::Wanted`] no records of the
    /// dead are ever kept. Which of them it is, is the first thing told.
    ///
    /// # Errors
    /// When the machine has no thread or descriptor left.
    pub fn start(
        want: Hearing,
        records: Accounting,
        sink: impl Fn(Heard) + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_with(Signaller::default(), want, records, sink)
    }

    /// The same with a given door.
    ///
    /// # Errors
    /// When the machine has no thread or descriptor left.
    pub fn start_with(
        signaller: Signaller,
        want: Hearing,
        records: Accounting,
        sink: impl Fn(Heard) + Send + 'static,
    ) -> io::Result<Self> {
        let post = Arc::new(Post::new()?);
        let theirs = Arc::clone(&post);
        let thread = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || Runner::new(theirs, signaller, (want, records), sink).run())?;
        Ok(Self {
            post,
            thread: Some(thread),
            carried: Vec::new(),
        })
    }

    /// Carries out a warrant. Its report comes within its deadline, unless the thread is ended first.
    pub fn carry(&mut self, warrant: Arc<Warrant>) {
        // The thread lets go of its share when it reports.
        self.carried.retain(Authority::is_shared);
        let authority = Authority::new(warrant);
        self.carried.push(authority.clone());
        self.post.send(Command::Carry(authority));
    }

    /// Withdraws a warrant: from now on nothing is sent by it. Its report still comes.
    pub fn recall(&self, id: WarrantId) {
        for authority in self.carried.iter().filter(|one| one.id() == id) {
            authority.recall();
        }
        self.post.send(Command::Wake);
    }

    /// Says that the loop has applied the events up to here: those before need not be kept for a later warrant.
    pub fn applied(&self, upto: EventCount) {
        self.post.applied(upto);
    }

    /// Has records of the dead kept, or no more; [`Heard::Accounts`] tells whether they are to be had.
    pub fn account(&self, accounting: Accounting) {
        self.post.send(Command::Account(accounting));
    }

    /// Asks for everything that is queued now; [`Heard::Flushed`] follows it.
    pub fn flush(&self) {
        self.post.send(Command::Flush);
    }
}

impl Drop for Pursuer {
    fn drop(&mut self) {
        for authority in &self.carried {
            authority.recall();
        }
        self.post.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the runtime.
            let _ = thread.join();
        }
    }
}
