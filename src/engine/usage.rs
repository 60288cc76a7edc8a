//! What a unit uses: the sum over its members, the dead included, as ranges.
//!
//! **Facts this rests on** (measured on Linux 6.18): the sum of user and system time in `stat` is exact; a process
//! with one thread cannot use more CPU time than passes; a process's waited-for children show in its own figures and
//! nowhere else; resident memory counts shared pages once per process.

use std::collections::VecDeque;
use std::time::Duration;

use super::snapshot::{Figures, Memory, Ran, RunState, Want};
use super::units::{Bytes, Mono, Range, Tier};

/// The last known figures of one process.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The last moment that they are known to be of; `None` before the first look.
    pub at: Option<Mono>,
    /// When they were read. Since then it has not run.
    pub read: Mono,
    /// What it had run by then, where that could be told.
    pub ran: Option<Ran>,
    /// CPU time.
    pub cpu: Duration,
    /// Threads.
    pub threads: u32,
    /// Resident memory.
    pub rss: Bytes,
    /// Run state.
    pub state: Option<RunState>,
    /// What few processes have figures of.
    rare: Option<Box<Rare>>,
}

/// Figures that not every rule asks for, or that few processes have.
#[derive(Clone, Debug, Default)]
struct Rare {
    /// Memory by part, and when it was read.
    memory: Option<(Mono, Memory)>,
    /// Open files, and when they were counted.
    open_files: Option<(Mono, u64)>,
    /// It was last seen dead and not waited for.
    zombie: Option<Mono>,
    /// CPU time of children it had waited for when it was first seen.
    reaped: Duration,
}

impl Default for Latest {
    fn default() -> Self {
        Self::NONE
    }
}

impl Latest {
    /// Those of a process that was never looked at.
    pub const NONE: Self = Self {
        at: None,
        read: Mono::BOOT,
        ran: None,
        cpu: Duration::ZERO,
        threads: 0,
        rss: Bytes(0),
        state: None,
        rare: None,
    };

    /// Takes in newer figures. Counters never run backwards within one identity; if one does, it is kept.
    pub fn update(&mut self, at: Mono, figures: &Figures) {
        self.at = Some(at);
        self.read = at;
        self.ran = figures.ran;
        self.cpu = self.cpu.max(figures.cpu);
        self.threads = figures.threads;
        self.rss = figures.rss;
        // A look that did not ask for the dear figures does not take them away.
        if let Some(memory) = figures.memory {
            self.rare().memory = Some((at, memory));
        }
        if let Some(files) = figures.open_files {
            self.rare().open_files = Some((at, files));
        }
        self.state = Some(figures.state);
    }

    /// Memory by part, when it was asked for, and when it was read.
    pub fn memory(&self) -> Option<(Mono, Memory)> {
        self.rare.as_ref()?.memory
    }

    /// Open files, when asked for and permitted, and when they were counted.
    pub fn open_files(&self) -> Option<(Mono, u64)> {
        self.rare.as_ref()?.open_files
    }

    /// When it was last seen dead and not waited for.
    pub fn zombie(&self) -> Option<Mono> {
        self.rare.as_ref()?.zombie
    }

    /// CPU time of children it had waited for when it was first seen.
    pub fn reaped(&self) -> Duration {
        self.rare
            .as_ref()
            .map_or(Duration::ZERO, |rare| rare.reaped)
    }

    /// Notes the CPU time of children it had waited for when it was first seen.
    pub fn note_reaped(&mut self, reaped: Duration) {
        self.rare().reaped = reaped;
    }

    /// Notes that it is dead and not waited for.
    pub fn note_zombie(&mut self, at: Mono) {
        self.rare().zombie = Some(at);
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The process has not run since the figures were read: they are of this moment too.
    pub fn hold(&mut self, at: Mono) {
        let before = self.at.replace(at);
        let Some(rare) = &mut self.rare else { return };
        // What an earlier look brought and the last one did not may be older than the last run.
        if let Some((stamp, _)) = &mut rare.memory
            && Some(*stamp) == before
        {
            *stamp = at;
        }
        if let Some((stamp, _)) = &mut rare.open_files
            && Some(*stamp) == before
        {
            *stamp = at;
        }
    }

    /// The last it will ever have: a zombie's CPU time.
    pub fn end(&mut self, at: Mono, cpu: Duration) {
        self.at = Some(at);
        self.read = at;
        self.ran = None;
        self.cpu = self.cpu.max(cpu);
        self.note_zombie(at);
    }

    /// Whether they are older than the moment they are taken to be of.
    pub fn held(&self) -> bool {
        self.at.is_some_and(|at| at > self.read)
    }

    /// Whether they will do once more for what is wanted, if the process has not run: it was at rest, all that is wanted
    /// is there, and none of it was read before `edge`.
    pub fn may_stand(&self, want: Want, edge: Mono) -> bool {
        let current = |stamp: Option<Mono>| stamp.is_some() && stamp == self.at;
        self.ran.is_some()
            && self.state != Some(RunState::Running)
            && self.read >= edge
            && (!want.memory || current(self.memory().map(|(stamp, _)| stamp)))
            && (!want.open_files || current(self.open_files().map(|(stamp, _)| stamp)))
    }
}

/// CPU time of members that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buried {
    /// What was read of them.
    pub at_least: Duration,
    /// What they may have used after they were last read; `None` once nothing bounds it.
    pub beyond: Bound,
    /// How many.
    pub count: u64,
}

/// An upper bound that can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Not more than this.
    Known(Duration),
    /// Nothing bounds it.
    Lost,
}

impl Default for Bound {
    fn default() -> Self {
        Self::Known(Duration::ZERO)
    }
}

impl Bound {
    /// The bound of a sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => Self::Known(a.saturating_add(b)),
            (Self::Lost, Self::Known(_) | Self::Lost) | (Self::Known(_), Self::Lost) => Self::Lost,
        }
    }
}

impl Buried {
    /// Buries one member: its last figures, and what it may have used from then until it died.
    pub fn bury(&mut self, latest: Duration, beyond: Bound) {
        self.at_least = self.at_least.saturating_add(latest);
        self.beyond = self.beyond.plus(beyond);
        self.count = self.count.saturating_add(1);
    }

    /// Takes in the dead that a member had waited for before it was first seen; `perhaps` they do not count.
    pub fn note_reaped(&mut self, reaped: Duration, perhaps: bool) {
        if perhaps {
            self.beyond = self.beyond.plus(Bound::Known(reaped));
        } else {
            self.at_least = self.at_least.saturating_add(reaped);
        }
    }

    /// Takes over another unit's dead.
    pub fn absorb(&mut self, other: Self) {
        self.at_least = self.at_least.saturating_add(other.at_least);
        self.beyond = self.beyond.plus(other.beyond);
        self.count = self.count.saturating_add(other.count);
    }
}

/// The sum over the living members of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Living {
    /// CPU time read.
    pub cpu: Duration,
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
    /// Adds one member. CPU time only grows, so an old figure is a lower bound; whatever can shrink counts only when it
    /// was read since `edge`. Of a `newborn` nothing was to be read yet, and nothing is missing.
    pub fn add(&mut self, latest: &Latest, edge: Mono, newborn: bool) {
        self.processes = self.processes.saturating_add(1);
        self.cpu = self.cpu.saturating_add(latest.cpu);
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
        match latest.open_files().filter(|(at, _)| *at >= edge) {
            Some((_, files)) => self.open_files = self.open_files.saturating_add(files),
            None => self.open_unread = self.open_unread.saturating_add(1),
        }
        self.rss = self.rss.plus(latest.rss);
        self.rss_largest = self.rss_largest.max(latest.rss);
        match latest.memory().filter(|(at, _)| *at >= edge) {
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

/// A counter over a window: how much it grew in the last so long, from a few kept moments.
#[derive(Clone, Debug)]
pub struct Window {
    length: Duration,
    moments: VecDeque<(Mono, Range<u64>)>,
}

/// How much a counter grew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// By so much.
    pub by: Range<u64>,
    /// In so long.
    pub within: Duration,
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
    pub fn push(&mut self, at: Mono, count: Range<u64>) {
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
        self.moments.push_back((at, count));
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
        // What was uncertain at both ends is the same uncertainty, about the same dead, and cancels out.
        let at_least = now.at_least.saturating_sub(then.at_least);
        let at_most = now.at_most.zip(then.at_most).map(|(most, before)| {
            let doubt = most.saturating_sub(now.at_least);
            let doubt_before = before.saturating_sub(then.at_least);
            at_least.saturating_add(doubt.saturating_sub(doubt_before))
        });
        let by = Range {
            at_least,
            at_most,
            tier: now.tier.worse(then.tier),
        };
        Some(Growth { by, within })
    }

    /// Forgets all moments: what is measured changed.
    pub fn clear(&mut self) {
        self.moments.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(count: u64) -> Range<u64> {
        Range::exactly(count, Tier::Events)
    }

    fn grown(window: &Window) -> Option<(u64, u64)> {
        let growth = window.growth()?;
        Some((growth.by.at_least, growth.within.as_secs()))
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
    fn the_dead_count_and_their_last_moments_widen_the_range() {
        let mut buried = Buried::default();
        buried.bury(
            Duration::from_secs(3),
            Bound::Known(Duration::from_millis(400)),
        );
        buried.bury(Duration::ZERO, Bound::Known(Duration::from_millis(20)));
        assert_eq!(buried.at_least, Duration::from_secs(3));
        assert_eq!(buried.beyond, Bound::Known(Duration::from_millis(420)));
        buried.bury(Duration::ZERO, Bound::Lost);
        assert_eq!((buried.beyond, buried.count), (Bound::Lost, 3));
    }
}
