//! A thread that does what may wait, behind a queue that never does.
//!
//! **Invariants.** [`Worker::give`] returns at once, whatever the thread is stuck in. The queue is bounded; what does
//! not fit is counted as lost. No clock is read: whoever asks for the health says what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use crate::engine::units::Mono;

/// Messages that may wait.
const QUEUE: usize = 256;

/// Bytes of the thread's stack: it formats one line and makes a system call.
const STACK: usize = 128 << 10;

/// Without progress for so long, the thread is stuck.
const STUCK: Duration = Duration::from_secs(3);

/// How a sink is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Messages that did not fit, or that the other end refused.
    pub dropped: u64,
    /// For how long the sink has taken nothing, once that is too long.
    pub stuck: Option<Duration>,
}

impl Health {
    /// Nothing is wrong.
    pub fn is_well(self) -> bool {
        self.dropped == 0 && self.stuck.is_none()
    }
}

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It arrived.
    Taken,
    /// It did not.
    Lost,
}

/// Counted by the thread, read by the loop.
#[derive(Debug, Default)]
struct Tally {
    done: AtomicU64,
    lost: AtomicU64,
}

/// The loop's end.
#[derive(Debug)]
pub(super) struct Worker<T> {
    queue: Option<SyncSender<T>>,
    finished: Receiver<()>,
    tally: Arc<Tally>,
    given: u64,
    overflowed: u64,
    /// How much was done when progress was last seen, and when that was.
    seen: (u64, Mono),
}

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread. It ends when the worker is dropped and the queue is empty.
    pub(super) fn start(
        name: &str,
        mut deliver: impl FnMut(T) -> Delivery + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, messages) = sync_channel::<T>(QUEUE);
        let (done, finished) = sync_channel::<()>(1);
        let tally = Arc::new(Tally::default());
        let counts = Arc::clone(&tally);
        Builder::new()
            .name(name.to_owned())
            .stack_size(STACK)
            .spawn(move || {
                // Dropped with the thread, however it ends: that is the sign of the end.
                let _done = done;
                for message in messages {
                    if deliver(message) == Delivery::Lost {
                        counts.lost.fetch_add(1, Ordering::Relaxed);
                    }
                    counts.done.fetch_add(1, Ordering::Relaxed);
                }
            })?;
        Ok(Self {
            queue: Some(queue),
            finished,
            tally,
            given: 0,
            overflowed: 0,
            seen: (0, Mono::BOOT),
        })
    }

    /// Hands a message over, or counts it as lost. Never waits.
    pub(super) fn give(&mut self, message: T, now: Mono) {
        if self.pending() == 0 {
            // Time without work is no time without progress.
            self.seen = (self.done(), now);
        }
        match self.queue.as_ref().map(|queue| queue.try_send(message)) {
            Some(Ok(())) => self.given = self.given.saturating_add(1),
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
                self.overflowed = self.overflowed.saturating_add(1);
            }
        }
    }

    /// How it is doing at `now`.
    pub(super) fn health(&mut self, now: Mono) -> Health {
        let done = self.done();
        if done != self.seen.0 || self.pending() == 0 {
            self.seen = (done, now);
        }
        let idle = now.since(self.seen.1);
        let lost = self.tally.lost.load(Ordering::Relaxed);
        Health {
            dropped: self.overflowed.saturating_add(lost),
            stuck: (idle >= STUCK).then_some(idle),
        }
    }

    /// Lets the thread finish what is queued, for at most `patience`; then leaves it to the end of the process.
    pub(super) fn finish(mut self, patience: Duration) {
        self.queue = None;
        // Nothing is ever sent: the wait ends when the thread drops its end, or in time.
        let _ = self.finished.recv_timeout(patience);
    }

    fn done(&self) -> u64 {
        self.tally.done.load(Ordering::Relaxed)
    }

    fn pending(&self) -> u64 {
        self.given.saturating_sub(self.done())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_stuck_thread_is_noticed_without_waiting_for_it() {
        let (release, held) = channel::<()>();
        let mut worker = Worker::start("stuck", move |_: u32| {
            let _ = held.recv();
            Delivery::Taken
        })
        .unwrap();
        let at = Mono::from_secs;
        assert!(worker.health(at(50)).is_well());
        for n in 0..1000 {
            worker.give(n, at(100));
        }
        assert_eq!(worker.health(at(102)).stuck, None);
        let health = worker.health(at(104));
        assert_eq!(health.stuck, Some(Duration::from_secs(4)));
        // One may be in the thread's hands already.
        let queued = QUEUE as u64;
        assert!((1000 - queued - 1..=1000 - queued).contains(&health.dropped));
        drop(release);
        worker.finish(Duration::from_secs(10));
    }

    #[test]
    fn finishing_delivers_what_is_queued() {
        let (out, arrived) = channel();
        let mut worker = Worker::start("swift", move |n: u32| {
            let _ = out.send(n);
            match n {
                3 => Delivery::Lost,
                _ => Delivery::Taken,
            }
        })
        .unwrap();
        for n in 0..10 {
            worker.give(n, Mono::BOOT);
        }
        worker.finish(Duration::from_secs(10));
        assert_eq!(
            arrived.iter().collect::<Vec<_>>(),
            (0..10).collect::<Vec<_>>()
        );
    }
}
