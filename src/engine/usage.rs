//! What a unit uses: the sum over its members, the dead included, as ranges.
//!
//! **Facts this rests on** (measured on Linux 6.18): what a thread uses is counted at every tick and when it leaves its
//! processor, so a figure is behind by a tick at most; a thread that ends is counted as of its last tick, for good; a
//! process with one thread cannot use more CPU time than passes; a process's waited-for children show in its own figures
//! and nowhere else; resident memory counts shared pages once per process.
//!
//! # When a range holds
//! A lower bound is what was used by now. An upper bound is what was used by the oldest figure behind it, less a tick:
//! that is how far behind a figure is, and all who were born by then are known.

use std::collections::VecDeque;
use std::time::Duration;

use super::snapshot::{Figures, Memory, RunState};
use super::units::{Bytes, Millicores, Mono, Range, Tier};

/// A tick, where its length is not known: the longest that kernels are built with.
pub const LONGEST_TICK: Duration = Duration::from_millis(10);
/// What a thread runs between its last sign (a record, an exit event) and its end: 8 µs were measured.
pub const LAST_STEPS: Duration = Duration::from_micros(100);

/// The last known figures of one process.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    /// When they were read; `None` before the first look.
    pub at: Option<Mono>,
    /// CPU time.
    pub cpu: Duration,
    /// By how much that may fall short, for want of finer units.
    pub grain: Duration,
    /// It did not run when it was last read.
    pub at_rest: bool,
    /// CPU time of children it has waited for.
    pub reaped: Duration,
    /// Threads.
    pub threads: u32,
    /// Resident memory.
    pub rss: Bytes,
    /// Memory by part, when it was asked for, and when it was read.
    pub memory: Option<(Mono, Memory)>,
    /// Open files, when asked for and permitted, and when they were counted.
    pub open_files: Option<(Mono, u64)>,
    /// Run state.
    pub state: Option<RunState>,
}

impl Latest {
    /// Takes in newer figures. Counters never run backwards within one identity; if one does, it is kept.
    pub fn update(&mut self, at: Mono, figures: &Figures) {
        self.at = Some(at);
        self.spend(figures.cpu, figures.grain);
        self.at_rest = figures.at_rest;
        self.reaped = self.reaped.max(figures.reaped);
        self.threads = figures.threads;
        self.rss = figures.rss;
        // A look that did not ask for the dear figures does not take them away.
        self.memory = figures.memory.map(|memory| (at, memory)).or(self.memory);
        self.open_files = figures
            .open_files
            .map(|files| (at, files))
            .or(self.open_files);
        self.state = Some(figures.state);
    }

    /// Takes in a newer figure of CPU time, perhaps in other units.
    pub fn spend(&mut self, cpu: Duration, grain: Duration) {
        let most = cpu.saturating_add(grain);
        self.cpu = self.cpu.max(cpu);
        self.grain = most.saturating_sub(self.cpu);
    }
}

/// CPU time of processes that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buried {
    /// What they used at least.
    pub at_least: Duration,
    /// What they may have used beyond that.
    pub beyond: Duration,
    /// How many.
    pub count: u64,
    /// Those of them that left no record.
    pub unrecorded: u64,
    /// Those of them whose death was found and not heard.
    pub unheard: u64,
}

impl Buried {
    /// Takes over others.
    pub fn absorb(&mut self, other: Self) {
        self.at_least = self.at_least.saturating_add(other.at_least);
        self.beyond = self.beyond.saturating_add(other.beyond);
        self.count = self.count.saturating_add(other.count);
        self.unrecorded = self.unrecorded.saturating_add(other.unrecorded);
        self.unheard = self.unheard.saturating_add(other.unheard);
    }

    /// What they used at most.
    pub const fn at_most(self) -> Duration {
        self.at_least.saturating_add(self.beyond)
    }

    /// The same, where it may have been counted elsewhere already.
    #[must_use]
    pub const fn in_doubt(self) -> Self {
        Self {
            at_least: Duration::ZERO,
            beyond: self.beyond.saturating_add(self.at_least),
            ..self
        }
    }

    /// How far the sum can be trusted, where the living are known by `tier`.
    pub fn tier(self, tier: Tier) -> Tier {
        match (self.unheard, self.unrecorded) {
            (0, 0) => tier,
            (0, _) => tier.worse(Tier::Events),
            (_, _) => tier.worse(Tier::Scan),
        }
    }
}

/// The sum over the living members of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Living {
    /// Members that were never looked at.
    pub unread: u64,
    /// Members.
    pub processes: u64,
    /// Threads.
    pub threads: u64,
    /// Open files of the members that could be read.
    pub open_files: u64,
    /// Members whose open files could not be read.
    pub open_unread: u64,
    /// Resident memory, shared pages once per member.
    pub rss: Bytes,
    /// Resident memory of the largest member.
    pub rss_largest: Bytes,
    /// Private memory, shared pages once per member.
    pub private: Bytes,
    /// Private memory that no other member can share: swap, huge pages and anonymous pages of a lone member.
    pub private_largest: Bytes,
    /// Swapped out.
    pub swap: Bytes,
    /// Members whose memory was not read by part.
    pub memory_unread: u64,
}

impl Living {
    /// Adds one member. Whatever can shrink counts only when it was read since `edge`. Of a `newborn` nothing was to be
    /// read yet, and nothing is missing.
    pub fn add(&mut self, latest: &Latest, edge: Mono, newborn: bool) {
        self.processes = self.processes.saturating_add(1);
        if newborn {
            self.threads = self.threads.saturating_add(1);
            return;
        }
        if latest.at.is_none_or(|at| at < edge) {
            self.unread = self.unread.saturating_add(1);
            self.threads = self.threads.saturating_add(1);
            self.open_unread = self.open_unread.saturating_add(1);
            self.memory_unread = self.memory_unread.saturating_add(1);
            return;
        }
        self.threads = self
            .threads
            .saturating_add(u64::from(latest.threads.max(1)));
        match latest.open_files.filter(|(at, _)| *at >= edge) {
            Some((_, files)) => self.open_files = self.open_files.saturating_add(files),
            None => self.open_unread = self.open_unread.saturating_add(1),
        }
        self.rss = self.rss.plus(latest.rss);
        self.rss_largest = self.rss_largest.max(latest.rss);
        match latest.memory.filter(|(at, _)| *at >= edge) {
            Some((_, memory)) => {
                self.private = self.private.plus(memory.private());
                self.private_largest = self.private_largest.max(memory.private());
                self.swap = self.swap.plus(memory.swap);
            }
            None => self.memory_unread = self.memory_unread.saturating_add(1),
        }
    }

    /// A count that is a lower bound while some members were not read.
    pub fn bounded<T: Copy + Ord>(value: T, unread: u64, tier: Tier) -> Range<T> {
        match unread {
            0 => Range::exactly(value, tier),
            _ => Range::at_least(value, tier),
        }
    }

    /// Memory with shared pages once: at least the largest member's, at most the sum.
    pub fn shared_once(&self, largest: Bytes, sum: Bytes, tier: Tier) -> Range<Bytes> {
        Range {
            at_least: largest,
            at_most: (self.memory_unread == 0).then_some(sum),
            tier,
        }
    }
}

/// How many moments of CPU time are kept per rate: the window is as long as asked within one part in so many.
const MOMENTS: u32 = 60;

/// CPU time at one moment, in a form whose differences tell a pace.
///
/// Not the best lower bound there is: one that grows only by what was used meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// What was used at least.
    pub at_least: Duration,
    /// What may have been used besides, by those whose figures will not change any more: the same uncertainty at every
    /// later moment.
    pub settled: Duration,
    /// What may have been used besides by the living: another uncertainty at every moment.
    pub open: Duration,
    /// Where the figures come from.
    pub tier: Tier,
}

/// A rate over a window: the mean over the last so long, from a few kept moments.
#[derive(Clone, Debug)]
pub struct Window {
    length: Duration,
    tick: Duration,
    moments: VecDeque<(Mono, Spent)>,
}

impl Window {
    /// A window of this length. Windows under 500 ms read a spinner as 99 to 149 % and are not made.
    pub fn new(length: Duration) -> Self {
        Self {
            length: length.max(Duration::from_millis(500)),
            tick: Duration::ZERO,
            moments: VecDeque::new(),
        }
    }

    /// Takes in the CPU time at a moment, counted at this pace.
    pub fn push(&mut self, at: Mono, spent: Spent, tick: Duration) {
        self.tick = tick;
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
        self.moments.push_back((at, spent));
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

    /// The mean over what is covered; `None` before two moments 500 ms apart.
    pub fn mean(&self) -> Option<Range<Millicores>> {
        let ((first, then), (last, now)) = (self.moments.front()?, self.moments.back()?);
        let elapsed = last.since(*first);
        if elapsed < Duration::from_millis(500) {
            return None;
        }
        let grown = now.at_least.saturating_sub(then.at_least);
        // What is settled at both ends is the same uncertainty, about the same dead, and cancels out.
        let unsettled = now.settled.saturating_sub(then.settled);
        let most = grown.saturating_add(unsettled).saturating_add(now.open);
        // Either end may show what was so a tick before.
        let (shortest, longest) = (
            elapsed.saturating_sub(self.tick),
            elapsed.saturating_add(self.tick),
        );
        Some(Range {
            at_least: Millicores::over(grown.saturating_sub(then.open), longest)?,
            at_most: Millicores::over_at_most(most, shortest),
            tier: now.tier.worse(then.tier),
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

    fn spent(millis: u64) -> Spent {
        Spent {
            at_least: Duration::from_millis(millis),
            settled: Duration::ZERO,
            open: Duration::ZERO,
            tier: Tier::Events,
        }
    }

    fn push(window: &mut Window, at: Mono, spent: Spent) {
        window.push(at, spent, Duration::ZERO);
    }

    #[test]
    fn a_mean_is_taken_over_the_window_and_not_the_life() {
        let mut window = Window::new(Duration::from_secs(10));
        for second in 0..100_u64 {
            // Idle for a minute, then one core.
            let used = spent(second.saturating_sub(60) * 1000);
            push(&mut window, Mono::from_secs(second), used);
        }
        assert!(window.full());
        assert_eq!(window.mean().unwrap().at_least, Millicores(1000));
    }

    #[test]
    fn a_long_window_keeps_few_moments_and_stays_honest() {
        let mut window = Window::new(Duration::from_secs(600));
        for second in 0..2000 {
            push(&mut window, Mono::from_secs(second), spent(second * 500));
        }
        assert!(window.moments.len() < 130, "{}", window.moments.len());
        assert!(window.full());
        assert_eq!(window.mean().unwrap().at_least, Millicores(500));
        assert!(window.covered() < Duration::from_secs(625));
    }

    #[test]
    fn no_rate_before_half_a_second() {
        let mut window = Window::new(Duration::from_secs(5));
        push(&mut window, Mono::from_nanos(0), spent(0));
        push(&mut window, Mono::from_nanos(20_000_000), spent(30));
        assert_eq!(window.mean(), None);
    }

    #[test]
    fn a_rate_is_as_sure_as_both_its_ends() {
        let millis = Duration::from_millis;
        let end = |least, settled, open| Spent {
            settled: millis(settled),
            open: millis(open),
            ..spent(least)
        };
        let mean = |then, now, tick| {
            let mut window = Window::new(Duration::from_secs(1));
            window.push(Mono::from_secs(1), then, millis(tick));
            window.push(Mono::from_secs(2), now, millis(tick));
            let mean = window.mean().unwrap();
            (mean.at_least.0, mean.at_most.unwrap().0)
        };
        // A thousand seconds of uncertainty about the dead of long ago make no difference.
        let old = 1_000_000;
        assert_eq!(mean(end(0, old, 0), end(500, old, 0), 0), (500, 500));
        // What died meanwhile may have used more; who lived then, before.
        assert_eq!(mean(end(0, 0, 0), end(500, 70, 30), 0), (500, 600));
        assert_eq!(mean(end(0, 0, 200), end(500, 0, 0), 0), (300, 500));
        // The tick before either end may have been counted within it.
        assert_eq!(mean(end(0, 0, 0), end(500, 0, 0), 4), (498, 503));
    }

    #[test]
    fn the_dead_are_as_well_known_as_the_least_known_of_them() {
        let dead = |unrecorded, unheard| Buried {
            at_least: Duration::from_secs(3),
            beyond: Duration::from_millis(20),
            count: 1,
            unrecorded,
            unheard,
        };
        let mut buried = dead(0, 0);
        assert_eq!(buried.tier(Tier::Taskstats), Tier::Taskstats);
        assert_eq!(buried.tier(Tier::Scan), Tier::Scan);
        buried.absorb(dead(1, 0));
        assert_eq!(buried.tier(Tier::Taskstats), Tier::Events);
        buried.absorb(dead(1, 1).in_doubt());
        assert_eq!(buried.tier(Tier::Taskstats), Tier::Scan);
        assert_eq!(buried.at_least, Duration::from_secs(6));
        assert_eq!(buried.beyond, Duration::from_millis(3060));
    }

    #[test]
    fn finer_figures_make_coarse_ones_narrow() {
        let millis = Duration::from_millis;
        let mut latest = Latest::default();
        latest.spend(millis(20), millis(20));
        assert_eq!((latest.cpu, latest.grain), (millis(20), millis(20)));
        latest.spend(millis(33), Duration::ZERO);
        latest.spend(millis(30), millis(20));
        assert_eq!((latest.cpu, latest.grain), (millis(33), millis(17)));
    }
}
