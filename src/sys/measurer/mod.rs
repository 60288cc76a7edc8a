//! The measurer: surveys memory, off the loop.
//!
//! **Invariants.** Every survey has exactly one answer: with whom could be asked within [`DEADLINE`], nobody at worst.
//! Asking never blocks. Of a processor no more than about a hundredth is spent: after a survey that took so long, it
//! rests a hundred times as long.
//!
//! # Why a thread that asks and another that watches it
//! A process can keep whoever asks waiting for as long as it likes, and a thread that waits so cannot be called back.
//! It is given up, its process not asked again while it waits, and another takes its place, a few times.

mod dispatcher;
mod reading;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use self::dispatcher::{Dispatcher, Message, STACK};
use super::procfs::Procfs;
use crate::engine::survey::{Findings, Survey};

/// How long a survey may take: 150 GiB of small pages.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// Surveys, one after the other, on a thread of its own.
#[derive(Debug)]
pub struct Measurer {
    inbox: Sender<Message>,
}

impl Measurer {
    /// Starts reading the procfs at `root`; `answers` is called from the measurer's own thread and ought to return soon.
    pub fn start(root: &Path, answers: impl Fn(Findings) + Send + 'static) -> io::Result<Self> {
        let proc = Arc::new(Procfs::open(root)?);
        let (inbox, messages) = channel();
        let dispatcher = Dispatcher::new(proc, inbox.clone(), answers);
        thread::Builder::new()
            .name("measurer".to_owned())
            .stack_size(STACK)
            .spawn(move || dispatcher.run(&messages))?;
        Ok(Self { inbox })
    }

    /// Asks for a survey.
    pub fn ask(&self, survey: Survey) {
        // The other end lives as long as we do.
        let _ = self.inbox.send(Message::Ask(survey));
    }
}

impl Drop for Measurer {
    fn drop(&mut self) {
        // A thread that waits for a process ends when it is let go; there is nothing to wait for here.
        let _ = self.inbox.send(Message::Stop);
    }
}

#[cfg(test)]
mod tests;
