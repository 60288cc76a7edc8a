//! The learner: reads facts, off the loop.
//!
//! A reader of arguments or environment waits while the process holds its memory map locked: 40 ms while it forks with
//! 2 GiB, for ever if it means to. A thread that waits so cannot be called back. So a few threads read, and another
//! watches them: what is not there after [`DEADLINE`] is answered as `Late`, and what comes after that is dropped.
//!
//! **Invariants.** Every question has exactly one answer. One process keeps at most one thread waiting. `ask` never
//! blocks.
//!
//! # Why a stuck thread is replaced
//! Two processes that lock their memory for ever would otherwise hold up both threads, and nobody's facts would be
//! learnt any more. A few replacements later we give in: then everything is late.

pub(super) mod cgroup;
mod dispatcher;
mod folder;
mod reading;
mod terminal;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

pub use self::reading::{MOST_ARGS, read_facts};

use self::dispatcher::{Dispatcher, Message};
use super::procfs::Procfs;
use crate::engine::facts::{Facts, Question};

/// What takes longer is late.
pub const DEADLINE: Duration = Duration::from_millis(500);

/// Answers questions about processes, in batches, on a thread of its own.
#[derive(Debug)]
pub struct Learner {
    inbox: Sender<Message>,
}

impl Learner {
    /// Starts reading the procfs at `root`; `answers` is called from the learner's own thread and ought to return soon.
    pub fn start(root: &Path, answers: impl Fn(Vec<Facts>) + Send + 'static) -> io::Result<Self> {
        let proc = Arc::new(Procfs::open(root)?);
        let (inbox, messages) = channel();
        let mut dispatcher = Dispatcher::new(proc, inbox.clone(), answers);
        dispatcher.hire()?;
        thread::Builder::new()
            .name("learner".to_owned())
            .stack_size(dispatcher::STACK)
            .spawn(move || dispatcher.run(&messages))?;
        Ok(Self { inbox })
    }

    /// Asks. The answers come through the callback, in any order.
    pub fn ask(&self, questions: Vec<Question>) {
        // The other end lives as long as we do.
        let _ = self.inbox.send(Message::Ask(questions));
    }
}

impl Drop for Learner {
    fn drop(&mut self) {
        // Threads that wait for a process end when it lets them go; there is nothing to wait for here.
        let _ = self.inbox.send(Message::Stop);
    }
}

#[cfg(test)]
mod tests;
