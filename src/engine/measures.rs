//! What a unit measures at one moment, and how sure that is.

use std::time::Duration;

use super::activity::Interval;
use super::heartbeat::Silence;
use super::rule::Per;
use super::units::{Bytes, Mono, Range};
use super::usage::Spent;

/// The measures of one unit at one moment; `None` is not known.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    /// CPU time, the dead included.
    pub cpu_time: Option<Range<Duration>>,
    /// The same, in a form whose differences tell a pace.
    pub spent: Option<Spent>,
    /// Whether members stand still.
    pub stands: Stands,
    /// Every member was read in this look: only then does the sum of their CPU time tell a pace.
    pub whole: bool,
    /// Memory, private.
    pub private: Option<Range<Bytes>>,
    /// Private memory of the largest member.
    pub private_largest: Bytes,
    /// The sum over all members that were read, shared pages once per member.
    pub private_sum: Bytes,
    /// Memory, resident.
    pub rss: Option<Range<Bytes>>,
    /// Memory, swapped out.
    pub swap: Option<Range<Bytes>>,
    /// What 100 % of memory is; zero when unknown.
    pub machine: Bytes,
    /// Age.
    pub age: Option<Range<Duration>>,
    /// Members.
    pub processes: Option<Range<u64>>,
    /// Their threads.
    pub threads: Option<Range<u64>>,
    /// Their open files.
    pub open_files: Option<Range<u64>>,
    /// The dead not waited for.
    pub zombies: Option<Range<u64>>,
    /// Processes started since the root became one.
    pub spawned: Option<Range<u64>>,
    /// Time since the starter went away; zero while it has not.
    pub orphaned: Option<Range<Duration>>,
    /// The same, where the root was started to outlive its starter.
    pub detached: Option<Range<Duration>>,
    /// Time since the root went away; zero while it has not.
    pub leftover: Option<Range<Duration>>,
    /// How long its heartbeats have shown no progress.
    pub silent: Silence,
    /// What it did between the last two inspections, where a limit asks for any.
    pub activity: Option<Interval>,
    /// Whether that is of just now.
    pub watched: Watched,
    /// When all of this was put together.
    pub now: Mono,
    /// Which instance it is for each `per`, counted from the newest, which is 1.
    pub instances: Ranks,
    /// Time since the root became one, for warm-up.
    pub since_root: Duration,
}

/// Which of the instances a unit is, counted from the newest; only where a limit asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ranks {
    /// Among those of its owner.
    pub owner: Option<Range<u64>>,
    /// Among those that its starter started.
    pub parent: Option<Range<u64>>,
    /// Among those in its working directory.
    pub cwd: Option<Range<u64>>,
}

impl Ranks {
    /// Among those that have this in common.
    pub const fn per(&self, per: Per) -> Option<Range<u64>> {
        match per {
            Per::Owner => self.owner,
            Per::Parent => self.parent,
            Per::Cwd => self.cwd,
        }
    }

    /// The place for that rank.
    pub const fn per_mut(&mut self, per: Per) -> &mut Option<Range<u64>> {
        match per {
            Per::Owner => &mut self.owner,
            Per::Parent => &mut self.parent,
            Per::Cwd => &mut self.cwd,
        }
    }
}

/// Whether members stand still. For a pace the time does not count in which they do: a tree that was frozen for a minute has
/// not become slower by that, and has not recovered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stands {
    /// They may work.
    #[default]
    Moving,
    /// All of them were stopped by somebody: how fast they work cannot be told.
    Still,
    /// We stopped some: how fast they work is what it was before.
    Frozen,
}

/// What the last inspection is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watched {
    /// It was a while ago: it shows nothing of what is.
    #[default]
    Once,
    /// It was just now.
    Now,
    /// It was just now, and we have signalled: what moves since is no progress.
    Signalled,
}

/// So much CPU time in doubt, at most, tells a pace all the same.
const DOUBT: Duration = Duration::from_secs(1);

impl Measures {
    /// Some members may turn out not to count: all of this is at most, and what is measured without them at least.
    pub fn is_at_least(&mut self, sure: &Self) {
        fn lower<T>(range: &mut Option<Range<T>>, sure: Option<Range<T>>) {
            match (range.as_mut(), sure) {
                (Some(range), Some(sure)) => range.at_least = sure.at_least,
                (Some(_), None) => *range = None,
                (None, _) => {}
            }
        }
        // What is in doubt now may all be certain at the next look, and was not used in between.
        let doubt = self.cpu_time.zip(sure.cpu_time);
        let doubt = doubt.map(|(all, sure)| all.at_least.saturating_sub(sure.at_least));
        self.whole &= doubt.is_none_or(|doubt| doubt <= DOUBT);
        lower(&mut self.cpu_time, sure.cpu_time);
        let both = self.spent.zip(sure.spent);
        self.spent = both.map(|(spent, sure)| spent.with_sure(sure));
        lower(&mut self.private, sure.private);
        lower(&mut self.rss, sure.rss);
        lower(&mut self.swap, sure.swap);
        lower(&mut self.processes, sure.processes);
        lower(&mut self.threads, sure.threads);
        lower(&mut self.open_files, sure.open_files);
        lower(&mut self.zombies, sure.zombies);
        self.private_largest = sure.private_largest;
        self.private_sum = sure.private_sum;
        let nobody = sure.processes.is_some_and(|sure| sure.at_least == 0);
        if let Some(leftover) = self.leftover.as_mut().filter(|_| nobody) {
            leftover.at_least = Duration::ZERO;
        }
    }
}
