//! Standard error, written by a thread of its own: whoever reads it may be slow, or stopped.

use std::io::{self, Write};
use std::time::Duration;

use super::worker::{Delivery, Health, Worker};
use crate::engine::units::Mono;

/// The thread that writes standard error.
#[derive(Debug)]
pub struct Stream(Worker<String>);

impl Stream {
    /// Starts it.
    pub fn start() -> io::Result<Self> {
        let deliver = |line: String| match io::stderr().lock().write_all(line.as_bytes()) {
            Ok(()) => Delivery::Taken,
            // Nobody reads it any more: there is nothing left to tell it to.
            Err(_) => Delivery::Lost,
        };
        Worker::start("log", deliver).map(Self)
    }

    /// Writes a line, which brings its newline. Never waits.
    pub fn write(&mut self, line: String, now: Mono) {
        self.0.give(line, now);
    }

    /// How it is doing at `now`.
    pub fn health(&mut self, now: Mono) -> Health {
        self.0.health(now)
    }

    /// Gives what is queued at most `patience` to arrive.
    pub fn finish(self, patience: Duration) {
        self.0.finish(patience);
    }
}
