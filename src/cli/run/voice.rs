//! Standard error, which may be a pipe that nobody reads.
//!
//! **Invariants.** Whoever says something never waits for whoever reads it, but at the end, and there for a moment only. What is
//! lost is counted, and told when there is room again.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::Duration;

use crate::cli::complain;
use crate::cli::render::words;

/// So many lines wait to be read.
const ROOM: usize = 64;
/// So long is waited at the end for somebody to read them.
const LAST: Duration = Duration::from_secs(2);

/// The way to standard error: a thread that may have to wait. It is started with the first word: by then signals are held
/// back, here and on all that are started later.
#[derive(Debug, Default)]
pub(super) struct Voice {
    thread: Option<Thread>,
    lost: u64,
}

#[derive(Debug)]
struct Thread {
    lines: SyncSender<String>,
    /// It is closed when all is said.
    over: Receiver<()>,
}

impl Voice {
    /// Says it, or counts it as lost.
    pub(super) fn say(&mut self, text: String) {
        if !self.offer(text) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Shows what the next one draws over: it is no loss.
    pub(super) fn draw(&mut self, text: String) {
        self.offer(text);
    }

    fn offer(&mut self, text: String) -> bool {
        if self.thread.is_none() {
            self.thread = Thread::start();
        }
        if let Some(thread) = &self.thread {
            return thread.lines.try_send(text).is_ok();
        }
        // There is no thread to be had: then it is said here.
        complain(&text);
        true
    }

    /// No more is said. Whoever does not read now does not hold us up.
    pub(super) fn finish(self) {
        let Some(Thread { lines, over }) = self.thread else {
            return;
        };
        drop(lines);
        let waits = over.recv_timeout(LAST) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if self.lost > 0 && !waits {
            complain(&format!(
                "beadle: lost {} of what it had to say before: nobody read it in time\n",
                words::count(self.lost, "line", "lines")
            ));
        }
    }
}

impl Thread {
    fn start() -> Option<Self> {
        let (lines, waiting) = sync_channel::<String>(ROOM);
        let (done, over) = channel();
        let writes = move || {
            for line in waiting {
                complain(&line);
            }
            drop(done);
        };
        let thread = std::thread::Builder::new().name("voice".to_owned());
        thread.spawn(writes).ok()?;
        Some(Self { lines, over })
    }
}
