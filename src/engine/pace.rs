//! Paces: how much a counter grew over a window, from a few kept moments.
//!
//! **Invariants.** A pace is a range, and what was uncertain at either end is in it once: what will not change any more
//! cancels out.

use std::collections::VecDeque;
use std::time::Duration;

use super::units::{Mono, Range, Tier};

/// How many moments are kept per rate: the window is as long as asked within one part in so many.
const MOMENTS: u32 = 60;

/// What a counter stands at, in a form whose differences tell a pace.
///
/// Not the best lower bound there is: one that grows only by what was counted meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// At least this.
    pub at_least: u64,
    /// What may come to it and will not change any more, the same uncertainty at every later moment; `None` where nothing
    /// bounds it.
    pub settled: Option<u64>,
    /// What may come to it just now: another uncertainty at every moment.
    pub open: u64,
    /// It may stand at what it was so long before.
    pub behind: Duration,
    /// Where the count comes from.
    pub tier: Tier,
}

impl Tally {
    /// A count whose uncertainty is about what is past.
    pub fn settled(count: Range<u64>) -> Self {
        Self {
            at_least: count.at_least,
            settled: count
                .at_most
                .map(|most| most.saturating_sub(count.at_least)),
            open: 0,
            behind: Duration::ZERO,
            tier: count.tier,
        }
    }
}

/// A counter over a window: how much it grew in the last so long, from a few kept moments.
#[derive(Clone, Debug)]
pub struct Window {
    length: Duration,
    moments: VecDeque<(Mono, Tally)>,
}

/// How much a counter grew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// By so much,
    pub by: Range<u64>,
    /// in no less
    pub shortest: Duration,
    /// and no more than this.
    pub longest: Duration,
}

impl Window {
    /// A window of this length. Windows under 500 ms read a spinner as 99 to 149 % and are not made.
    pub fn new(length: Duration) -> Self {
        Self {
            length: length.max(Duration::from_millis(500)),
            moments: VecDeque::new(),
        }
    }

    /// Takes in what the counter stands at.
    pub fn push(&mut self, at: Mono, tally: Tally) {
        let spacing = self.length.checked_div(MOMENTS).unwrap_or_default();
        let edge = at.before(self.length);
        // The oldest moment kept is the youngest one that is as old as the window, or older.
        while self
            .moments
            .get(1)
            .is_some_and(|(second, _)| *second <= edge)
        {
            self.moments.pop_front();
        }
        let last_but_one = self
            .moments
            .len()
            .checked_sub(2)
            .and_then(|index| self.moments.get(index));
        if last_but_one.is_some_and(|(before, _)| at.since(*before) < spacing) {
            self.moments.pop_back();
        }
        self.moments.push_back((at, tally));
    }

    /// Takes in what the counter stands at, as if neither time nor count had gone on since the last moment.
    pub fn skip(&mut self, at: Mono, tally: Tally) {
        let Some((last, before)) = self.moments.back().copied() else {
            return self.push(at, tally);
        };
        let (span, grown) = (
            at.since(last),
            tally.at_least.saturating_sub(before.at_least),
        );
        for (moment, earlier) in &mut self.moments {
            *moment = moment.after(span);
            earlier.at_least = earlier.at_least.saturating_add(grown);
            earlier.settled = match (earlier.settled, before.settled, tally.settled) {
                (Some(then), Some(before), Some(now)) => {
                    Some(then.saturating_add(now.saturating_sub(before)))
                }
                (Some(_) | None, Some(_) | None, Some(_) | None) => None,
            };
        }
        self.moments.pop_back();
        self.moments.push_back((at, tally));
    }

    /// How much of the window is covered.
    pub fn covered(&self) -> Duration {
        match (self.moments.front(), self.moments.back()) {
            (Some((first, _)), Some((last, _))) => last.since(*first),
            (Some(_) | None, Some(_) | None) => Duration::ZERO,
        }
    }

    /// Whether the whole window is covered.
    pub fn full(&self) -> bool {
        self.covered() >= self.length
    }

    /// How much it grew over what is covered; `None` before two moments 500 ms apart.
    pub fn growth(&self) -> Option<Growth> {
        let ((first, then), (last, now)) = (self.moments.front()?, self.moments.back()?);
        let within = last.since(*first);
        if within < Duration::from_millis(500) {
            return None;
        }
        let grown = now.at_least.saturating_sub(then.at_least);
        // What is settled at both ends is the same uncertainty, about the same dead, and cancels out.
        let at_most = now.settled.zip(then.settled).map(|(settled, before)| {
            grown
                .saturating_add(settled.saturating_sub(before))
                .saturating_add(now.open)
        });
        let by = Range {
            at_least: grown.saturating_sub(then.open),
            at_most,
            tier: now.tier.worse(then.tier),
        };
        // Either end may show what was so a while before.
        Some(Growth {
            by,
            shortest: within.saturating_sub(now.behind),
            longest: within.saturating_add(now.behind),
        })
    }

    /// Forgets all moments: what is measured changed.
    pub fn clear(&mut self) {
        self.moments.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(count: u64) -> Tally {
        Tally {
            at_least: count,
            settled: Some(0),
            open: 0,
            behind: Duration::ZERO,
            tier: Tier::Events,
        }
    }

    fn grown(window: &Window) -> Option<(u64, u64)> {
        let growth = window.growth()?;
        Some((growth.by.at_least, growth.longest.as_secs()))
    }

    #[test]
    fn what_is_skipped_counts_neither_as_time_nor_as_growth() {
        let mut window = Window::new(Duration::from_secs(10));
        for second in 0..20 {
            window.push(Mono::from_secs(second), exact(second * 1000));
        }
        let before = grown(&window);
        for second in 20..80 {
            // Somebody of them works on, slowly.
            window.skip(Mono::from_secs(second), exact(19_000 + (second - 19)));
            assert_eq!(grown(&window), before, "{second}");
        }
        for second in 80..85 {
            window.push(
                Mono::from_secs(second),
                exact(19_060 + (second - 79) * 1000),
            );
        }
        assert_eq!(grown(&window), Some((10_000, 10)));
    }

    #[test]
    fn a_mean_is_taken_over_the_window_and_not_the_life() {
        let mut window = Window::new(Duration::from_secs(10));
        for second in 0..100 {
            // Idle for a minute, then one core.
            window.push(
                Mono::from_secs(second),
                exact(second.saturating_sub(60) * 1000),
            );
        }
        assert!(window.full());
        assert_eq!(grown(&window), Some((10_000, 10)));
    }

    #[test]
    fn a_long_window_keeps_few_moments_and_stays_honest() {
        let mut window = Window::new(Duration::from_secs(600));
        for second in 0..2000 {
            window.push(Mono::from_secs(second), exact(second * 500));
        }
        assert!(window.moments.len() < 130, "{}", window.moments.len());
        assert!(window.full());
        let (by, within) = grown(&window).unwrap();
        assert_eq!(by, within * 500);
        assert!(window.covered() < Duration::from_secs(625));
    }

    #[test]
    fn no_rate_before_half_a_second() {
        let mut window = Window::new(Duration::from_secs(5));
        window.push(Mono::from_nanos(0), exact(0));
        window.push(Mono::from_nanos(20_000_000), exact(30));
        assert_eq!(grown(&window), None);
    }

    #[test]
    fn growth_is_as_sure_as_both_its_ends() {
        let end = |at_least, settled, open| Tally {
            settled: Some(settled),
            open,
            ..exact(at_least)
        };
        let growth = |then, now| {
            let mut window = Window::new(Duration::from_secs(1));
            window.push(Mono::from_secs(1), then);
            window.push(Mono::from_secs(2), now);
            window.growth().unwrap()
        };
        let by = |then, now| {
            let Range {
                at_least, at_most, ..
            } = growth(then, now).by;
            (at_least, at_most)
        };
        // A large uncertainty about the dead of long ago makes no difference.
        let old = 1_000_000;
        assert_eq!(by(end(0, old, 0), end(500, old, 0)), (500, Some(500)));
        // What died meanwhile may have used more; who lived then, before.
        assert_eq!(by(end(0, 0, 0), end(500, 70, 30)), (500, Some(600)));
        assert_eq!(by(end(0, 0, 200), end(500, 0, 0)), (300, Some(500)));
        let unbounded = Tally {
            settled: None,
            ..exact(500)
        };
        assert_eq!(by(exact(0), unbounded), (500, None));
        // The tick before either end may have been counted within it.
        let late = Tally {
            behind: Duration::from_millis(4),
            ..exact(500)
        };
        let Growth {
            shortest, longest, ..
        } = growth(late, late);
        assert_eq!((shortest.as_millis(), longest.as_millis()), (996, 1004));
    }
}
