//! The way from the loop to the thread: a list of commands, and a bell.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::engine::account::Accounting;
use crate::engine::warrant::EventCount;
use crate::sys::signaller::Authority;

/// What the loop asks of the thread.
#[derive(Debug)]
pub(super) enum Command {
    /// Carry out a warrant.
    Carry(Authority),
    /// Have records of the dead kept, or no more.
    Account(Accounting),
    /// Deliver all that is queued.
    Flush,
    /// Something changed: look.
    Wake,
    /// End.
    Stop,
}

/// Commands on their way.
#[derive(Debug)]
pub(super) struct Post {
    commands: Mutex<Vec<Command>>,
    applied: AtomicU64,
    bell: OwnedFd,
}

impl Post {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            commands: Mutex::default(),
            applied: AtomicU64::new(0),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Leaves a command, and rings.
    pub(super) fn send(&self, command: Command) {
        self.commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(command);
        // It fails only when it rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// All commands left, in order. The bell is silent afterwards.
    pub(super) fn take(&self) -> Vec<Command> {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
        std::mem::take(&mut self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes how far the loop is; nobody is woken for it.
    pub(super) fn applied(&self, upto: EventCount) {
        self.applied.fetch_max(upto.0, Ordering::Relaxed);
    }

    /// How far the loop is.
    pub(super) fn is_applied(&self) -> EventCount {
        EventCount(self.applied.load(Ordering::Relaxed))
    }
}

impl AsFd for Post {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
