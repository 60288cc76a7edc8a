//! What the service manager is told: when we watch, how things stand, and that the loop turns.
//!
//! **Invariants.** A sign of life is given by the loop alone, after a turn, so that a loop that hangs gives none. We are ready
//! when processes were listed and met, with the rules in force, the socket open, and births heard or known not to be. The first look
//! at those who are judged comes at once after that, and is not waited for: its facts come when they come, and where nobody is
//! judged there is none.

use std::time::Duration;

use crate::engine::units::Mono;
use crate::sys::service::notify::{Given, Manager, Word};

/// Changes closer together than this are told in one line.
const PACE: Duration = Duration::from_secs(1);

/// The service manager, and what it knows of us.
#[derive(Debug)]
pub(super) struct Service {
    manager: Manager,
    state: State,
    /// The line it has.
    said: String,
    /// When it got it.
    at: Mono,
    /// Whether it may not be true any more.
    stale: bool,
    /// When the figures in it are looked at anew, where we wake anyhow.
    review: Option<Duration>,
}

/// What it takes us for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Watching,
    Reloading,
}

impl Service {
    /// Nothing is said yet.
    pub(super) fn new(given: &Given, now: Mono) -> Self {
        Self {
            manager: Manager::meet(given, now),
            state: State::Starting,
            said: String::new(),
            at: now,
            stale: false,
            review: given.patience.map(|patience| patience / 2),
        }
    }

    /// When we must wake for it.
    pub(super) fn due(&self) -> Option<Mono> {
        let line = (self.stale && self.state == State::Watching && self.manager.is_there())
            .then(|| self.at.after(PACE));
        self.manager.due().into_iter().chain(line).min()
    }

    /// Something has changed that the line tells of.
    pub(super) fn changed(&mut self) {
        self.stale = true;
    }

    /// Whether the manager waits for us to watch.
    pub(super) fn is_awaited(&self) -> bool {
        self.state == State::Starting && self.manager.is_there()
    }

    /// Whether the manager waits for us to have read the rules again.
    pub(super) fn is_reloading(&self) -> bool {
        self.state == State::Reloading
    }

    /// We watch, and this is how things stand.
    pub(super) fn watching(&mut self, line: String, now: Mono) {
        self.state = State::Watching;
        self.manager.tell(Word::Ready, &line, now);
        self.hold(line, now);
    }

    /// The rules are being read again.
    pub(super) fn reloading(&mut self, now: Mono) {
        // Whoever is not watching yet has nothing to come back to.
        if self.state == State::Watching && self.manager.is_there() {
            self.state = State::Reloading;
            self.manager
                .tell(Word::Reloading(now), "reading the rules again", now);
        }
    }

    /// Whether a line of how things stand is wanted now.
    pub(super) fn wants_line(&self, now: Mono) -> bool {
        let pace = if self.stale { Some(PACE) } else { self.review };
        self.state == State::Watching
            && self.manager.is_there()
            && pace.is_some_and(|pace| now >= self.at.after(pace))
    }

    /// This is how things stand.
    pub(super) fn line(&mut self, line: String, now: Mono) {
        if line != self.said {
            self.manager.status(&line, now);
        }
        self.hold(line, now);
    }

    fn hold(&mut self, line: String, now: Mono) {
        self.said = line;
        self.at = now;
        self.stale = false;
    }

    /// The loop has turned.
    pub(super) fn alive(&mut self, now: Mono) {
        self.manager.alive(now);
    }

    /// The watch ends, and why.
    pub(super) fn stopping(&mut self, because: &str, now: Mono) {
        self.manager.tell(Word::Stopping, because, now);
    }
}
