//! Heartbeats: what is heard of them, and whether anything is.
//!
//! **Invariants.** The loop reads nothing itself and closes nothing that a stranger gave us: a thread does
//! ([`listener`](crate::sys::heartbeats::listener)). Before a last call that hangs on silence, the thread has read everything that
//! was sent by then, or is late, and then no silence is known.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::engine::decision::Input;
use crate::engine::heartbeat::{Hears, Receipt};
use crate::sys::heartbeats::listener::{Listener, Ring};
use crate::sys::heartbeats::{self, Access};

use super::inbox::{Mail, Post};

/// So long a last call waits for what was sent before it. The thread needs microseconds; a machine that is out of breath gives
/// it a turn by then.
const PATIENCE: Duration = Duration::from_millis(100);

/// The thread, and what it said last.
#[derive(Debug)]
pub(super) struct Ear {
    listener: Listener,
    /// Datagrams, or lines of them, that nothing could be made of.
    pub(super) unreadable: u64,
}

impl Ear {
    /// Listens beside the daemon's own socket. Whether that works comes as mail.
    pub(super) fn open(socket: &Path, access: Access, post: &Post) -> io::Result<Self> {
        let place = heartbeats::beside(socket);
        let post = post.clone();
        let ring = move |ring| {
            let mail = match ring {
                Ring::Basket => Mail::Beats,
                Ring::Hears(hears) => Mail::Hears(hears),
            };
            // The loop is gone: nobody hears any more.
            let _ = post.send(mail);
        };
        Ok(Self {
            listener: Listener::start(&place, access, Path::new("/proc"), ring)?,
            unreadable: 0,
        })
    }

    /// Where.
    pub(super) fn place(&self) -> &Path {
        self.listener.place()
    }

    /// What was heard since this was last asked, for the judge.
    pub(super) fn take(&mut self) -> Vec<Input> {
        let basket = self.listener.take();
        self.unreadable = basket.unreadable;
        let mut inputs = Vec::new();
        if !basket.beats.is_empty() {
            inputs.push(Input::Beats(basket.beats));
        }
        // Afterwards: what was said is known, what was not stays in doubt.
        inputs.extend(basket.lost.into_iter().map(Input::Lost));
        inputs
    }

    /// Has everything read that was sent by now.
    pub(super) fn drain(&self) -> Hears {
        self.listener.drain(PATIENCE)
    }

    /// Tells whoever waits for it that it was taken in.
    pub(super) fn accept(&self, receipt: Receipt) {
        self.listener.accept(receipt);
    }

    /// Tells whoever waits for it that it was dropped.
    pub(super) fn refuse(&self, receipt: Receipt) {
        self.listener.refuse(receipt);
    }
}
