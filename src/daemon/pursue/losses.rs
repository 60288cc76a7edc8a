//! When listening is no use: events that are lost again and again cost a listing each, and tell little.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::units::Mono;

/// So many losses in so long, and we stop listening for a while.
const MOST: usize = 3;
const WITHIN: Duration = Duration::from_secs(10);

/// The losses of late.
#[derive(Debug, Default)]
pub(super) struct Losses {
    late: VecDeque<Mono>,
}

/// Whether to go on listening after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearing {
    /// Go on.
    Bearable,
    /// Stop for a while. What was counted until now is forgotten.
    TooMany,
}

impl Losses {
    /// Notes a loss.
    pub(super) fn note(&mut self, now: Mono) -> Bearing {
        self.late.retain(|at| now.since(*at) < WITHIN);
        self.late.push_back(now);
        if self.late.len() < MOST {
            return Bearing::Bearable;
        }
        self.late.clear();
        Bearing::TooMany
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::BOOT.after(Duration::from_secs(seconds))
    }

    #[test]
    fn three_losses_in_ten_seconds_are_too_many_and_begin_anew() {
        let mut losses = Losses::default();
        let bearings = [1, 11, 20, 22, 23, 24, 25].map(|second| losses.note(at(second)));
        let (fine, many) = (Bearing::Bearable, Bearing::TooMany);
        assert_eq!(bearings, [fine, fine, fine, fine, many, fine, fine]);
    }
}
