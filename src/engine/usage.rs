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

use std::time::Duration;

use super::pace::Tally;
use super::snapshot::{Figures, Memory, Ran, RunState, Want};
use super::units::{Bytes, Mono, Range, Tier, nanos};

/// A tick, where its length is not known: the longest that kernels are built with.
pub const LONGEST_TICK: Duration = Duration::from_millis(10);
/// What a thread runs between its last sign (a record, an exit event) and its end: 8 µs were measured.
pub const LAST_STEPS: Duration = Duration::from_micros(100);

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
    /// By how much that may fall short, in microseconds: never so much as a tick of `/proc` twice.
    grain: u16,
    /// It did not run when it was last read.
    pub at_rest: bool,
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
    /// CPU time of children it has waited for.
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
        grain: 0,
        at_rest: false,
        threads: 0,
        rss: Bytes(0),
        state: None,
        rare: None,
    };

    /// Takes in figures. Counters never run backwards within one identity; if one does, it is kept.
    pub fn update(&mut self, at: Mono, figures: &Figures) {
        // A look that did not ask for the dear figures does not take them away.
        if let Some(memory) = figures.memory
            && self.memory().is_none_or(|(stamp, _)| stamp <= at)
        {
            self.rare().memory = Some((at, memory));
        }
        if let Some(files) = figures.open_files
            && self.open_files().is_none_or(|(stamp, _)| stamp <= at)
        {
            self.rare().open_files = Some((at, files));
        }
        // Two looks may be under way at once, and the older come last: it has nothing to say of what is newer.
        if self.at.is_some_and(|newer| newer > at) {
            return;
        }
        self.at = Some(at);
        self.read = at;
        self.ran = figures.ran;
        self.spend(figures.cpu, figures.grain);
        self.at_rest = figures.at_rest;
        if figures.reaped > self.reaped() {
            self.rare().reaped = figures.reaped;
        }
        self.threads = figures.threads;
        self.rss = figures.rss;
        self.state = Some(figures.state);
    }

    /// Takes in a newer figure of CPU time, perhaps in other units.
    pub fn spend(&mut self, cpu: Duration, grain: Duration) {
        let most = cpu.saturating_add(grain);
        self.cpu = self.cpu.max(cpu);
        let micros = nanos(most.saturating_sub(self.cpu)).div_ceil(1000);
        self.grain = u16::try_from(micros).unwrap_or(u16::MAX);
    }

    /// By how much the CPU time may fall short, for want of finer units.
    pub fn grain(&self) -> Duration {
        Duration::from_micros(u64::from(self.grain))
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

    /// CPU time of children it has waited for.
    pub fn reaped(&self) -> Duration {
        self.rare
            .as_ref()
            .map_or(Duration::ZERO, |rare| rare.reaped)
    }

    /// Notes that it is dead and not waited for.
    pub fn note_zombie(&mut self, at: Mono) {
        self.rare().zombie = Some(at);
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The process had not run when it was asked about, since the figures were read: they are of this moment too. It may
    /// have begun to run just then.
    pub fn hold(&mut self, at: Mono) {
        if self.at.is_some_and(|newer| newer > at) {
            return;
        }
        self.at_rest = false;
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

    /// The last it will ever have: a zombie's CPU time. It may still be about its last steps.
    pub fn end(&mut self, at: Mono, cpu: Duration, grain: Duration) {
        self.at = Some(at);
        self.read = at;
        self.ran = None;
        self.at_rest = false;
        self.spend(cpu, grain);
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
    /// How far behind a figure may be.
    pub behind: Duration,
    /// Where the figures come from.
    pub tier: Tier,
}

impl Spent {
    /// The same in nanoseconds.
    pub fn tally(self) -> Tally {
        Tally {
            at_least: nanos(self.at_least),
            settled: Some(nanos(self.settled)),
            open: nanos(self.open),
            behind: self.behind,
            tier: self.tier,
        }
    }

    /// Some of the living may turn out not to count: what was used without them was used at least.
    #[must_use]
    pub fn with_sure(self, sure: Self) -> Self {
        let unsure = self.at_least.saturating_sub(sure.at_least);
        Self {
            at_least: sure.at_least,
            open: self.open.saturating_add(unsure),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::process::{ShortName, StartTicks};

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
        assert_eq!((latest.cpu, latest.grain()), (millis(20), millis(20)));
        latest.spend(millis(33), Duration::ZERO);
        latest.spend(millis(30), millis(20));
        assert_eq!((latest.cpu, latest.grain()), (millis(33), millis(17)));
    }
    #[test]
    fn an_older_look_that_comes_last_takes_nothing_back() {
        let (soon, late) = (Mono::from_secs(7), Mono::from_secs(9));
        let memory = |bytes| Memory {
            anonymous: Bytes(bytes),
            ..Memory::default()
        };
        let look = |secs, threads, memory| Figures {
            start: StartTicks(1),
            ran: None,
            ppid: None,
            parent: None,
            session: None,
            tty: 0,
            comm: ShortName::of(b"make"),
            owner: None,
            kernel_thread: false,
            state: RunState::Running,
            cpu: Duration::from_secs(secs),
            grain: Duration::ZERO,
            at_rest: false,
            reaped: Duration::ZERO,
            threads,
            rss: Bytes(0),
            memory,
            open_files: None,
        };
        let mut latest = Latest::default();
        latest.update(late, &look(5, 3, None));
        latest.update(soon, &look(4, 8, Some(memory(100))));
        latest.hold(soon);
        assert_eq!((latest.at, latest.read), (Some(late), late));
        assert_eq!((latest.cpu, latest.threads), (Duration::from_secs(5), 3));
        // What only the older one asked for is welcome, and is of its own moment.
        assert_eq!(latest.memory(), Some((soon, memory(100))));
    }
}
