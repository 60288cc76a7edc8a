//! Whose turn it is: storms that fill the machine run alone, all others side by side.
//!
//! # Why not a lock of the library
//! There a storm that waits keeps everybody else waiting with it, and the longest test takes over a minute. Here whoever
//! shares goes ahead; storms wait until nobody is left, which comes because each of them keeps a thread of the harness.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

static STAGE: Mutex<Players> = Mutex::new(Players::Shared(0));
static LEFT: Condvar = Condvar::new();

/// Who plays.
enum Players {
    /// So many, side by side.
    Shared(usize),
    /// A storm.
    Alone,
}

/// A turn. It ends when it is dropped.
pub(crate) struct Turn;

impl Turn {
    /// Beside others.
    pub(crate) fn shared() -> Self {
        take(|players| match players {
            Players::Shared(count) => Some(Players::Shared(count + 1)),
            Players::Alone => None,
        })
    }

    /// With the machine to itself.
    pub(crate) fn alone() -> Self {
        take(|players| match players {
            Players::Shared(0) => Some(Players::Alone),
            Players::Shared(_) | Players::Alone => None,
        })
    }
}

fn take(enter: impl Fn(&Players) -> Option<Players>) -> Turn {
    let mut players = lock();
    loop {
        if let Some(entered) = enter(&players) {
            *players = entered;
            return Turn;
        }
        players = LEFT.wait(players).unwrap_or_else(PoisonError::into_inner);
    }
}

fn lock() -> MutexGuard<'static, Players> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut players = lock();
        *players = match *players {
            Players::Shared(count) => Players::Shared(count.saturating_sub(1)),
            Players::Alone => Players::Shared(0),
        };
        LEFT.notify_all();
    }
}
