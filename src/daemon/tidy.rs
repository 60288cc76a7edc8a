//! When free memory is given back to the machine: once everybody has been met, and once in a while.

use std::time::Duration;

use crate::engine::units::Mono;
use crate::sys::heap;

/// After so long everybody there was at the start is known, and what was read of them is freed.
const SETTLED: Duration = Duration::from_secs(5);

/// And from then on so often, when we wake anyhow.
const PACE: Duration = Duration::from_secs(60);

/// When that was done last.
#[derive(Debug)]
pub(super) enum Tidy {
    /// Not yet; it is to be done then.
    Never { due: Mono },
    /// Then.
    Last(Mono),
}

impl Tidy {
    /// Of a watch that began then.
    pub(super) fn from(began: Mono) -> Self {
        Self::Never {
            due: began.after(SETTLED),
        }
    }

    /// When we must wake for it: for the first time alone.
    pub(super) const fn due(&self) -> Option<Mono> {
        match self {
            Self::Never { due } => Some(*due),
            Self::Last(_) => None,
        }
    }

    /// Does it, if it is time.
    pub(super) fn up(&mut self, now: Mono) {
        let due = match self {
            Self::Never { due } => *due,
            Self::Last(last) => last.after(PACE),
        };
        if now >= due {
            heap::give_back();
            *self = Self::Last(now);
        }
    }
}
