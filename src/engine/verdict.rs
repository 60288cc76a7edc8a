//! From figures to a verdict: each limit's reading, then the clauses.
//!
//! **Invariants.** What is unknown never fires. A limit is *sustained* only after it was over, without a clear
//! sample, for as long as asked; unknown neither breaks nor lengthens that, and lapses it after three intervals.

use std::time::Duration;

use super::activity::{Interval, Run, Sure};
use super::evidence::{Finding, Quantity, Reading, Verdict};
use super::heartbeat::Silence;
use super::measures::{Measures, Stands, Watched};
use super::pace::{Growth, Tally, Window};
use super::rule::{Amount, Bound, Clause, Limit, Measure, Metric, Servers};
use super::units::{Bytes, Millicores, Mono, PerSecond, Range, Side, Tier};
use super::usage::Spent;

/// What a limit without `for:` takes as the window of a rate.
pub const RATE_WINDOW: Duration = Duration::from_secs(5);

/// How long a limit has been over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak {
    held: Duration,
    last: Option<Mono>,
    before: Option<Side>,
}

impl Streak {
    /// Takes in one sample.
    fn push(&mut self, at: Mono, side: Side, lapse: Duration) {
        match side {
            Side::Under => self.held = Duration::ZERO,
            Side::Between => {}
            Side::Over => {
                let gap = self.last.map(|last| at.since(last));
                match (self.before, gap) {
                    // Samples that did not come are unknown too.
                    (Some(Side::Over | Side::Between), Some(gap)) if gap > lapse => {
                        self.held = Duration::ZERO;
                    }
                    (Some(Side::Over), Some(gap)) => self.held = self.held.saturating_add(gap),
                    (Some(Side::Over | Side::Under | Side::Between) | None, Some(_) | None) => {}
                }
            }
        }
        self.before = Some(side);
        // Only a known sample moves the mark from which a lapse is counted.
        if side != Side::Between {
            self.last = Some(at);
        }
    }

    /// For how long it has been over.
    pub const fn held(&self) -> Duration {
        self.held
    }
}

/// One limit's memory between looks.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// The limit.
    pub limit: Limit,
    streak: Streak,
    window: Option<Window>,
    /// For how long nothing has happened.
    run: Run,
    /// When it was last read.
    read_at: Option<Mono>,
}

impl Gauge {
    /// A gauge that has seen nothing.
    pub fn new(limit: Limit) -> Self {
        let window = match limit.bound {
            Bound::Cpu(_) | Bound::Spawns(_) => {
                Some(Window::new(limit.lasting.unwrap_or(RATE_WINDOW)))
            }
            Bound::CpuTime(_)
            | Bound::Memory { .. }
            | Bound::Age(_)
            | Bound::Processes(_)
            | Bound::Threads(_)
            | Bound::OpenFiles(_)
            | Bound::Zombies(_)
            | Bound::Orphaned { .. }
            | Bound::Leftover(_)
            | Bound::Stalled { .. }
            | Bound::Spinning { .. }
            | Bound::Silent(_)
            | Bound::Instances { .. } => None,
        };
        Self {
            limit,
            streak: Streak::default(),
            window,
            run: Run::default(),
            read_at: None,
        }
    }

    /// Takes in the measures of a moment and says what they mean. `lapse` is how long unknown may last.
    pub fn read(
        &mut self,
        at: Mono,
        measures: &Measures,
        warmup: Option<Duration>,
        lapse: Duration,
    ) -> Reading {
        let metric = self.limit.bound.metric();
        let counter = self.limit.bound.counter(measures);
        match measures.stands {
            Stands::Moving => {}
            Stands::Still | Stands::Frozen => {
                let before = self.read_at.unwrap_or(measures.now);
                self.run.skip(measures.now.since(before));
            }
        }
        self.read_at = Some(measures.now);
        if let Some(interval) = &measures.activity {
            self.follow(interval, measures.watched);
        }
        if let (Some(window), Some(counter)) = (&mut self.window, counter) {
            match measures.stands {
                Stands::Moving => window.push(at, counter),
                Stands::Still | Stands::Frozen => window.skip(at, counter),
            }
        }
        let (mut now, threshold) = self.measure(measures);
        if self.window.is_some() && (measures.stands == Stands::Still || counter.is_none()) {
            now = None;
        }
        let mut reading = Reading {
            metric,
            now,
            limit: threshold,
            lasting: self.limit.lasting,
            held: Duration::ZERO,
            finding: Finding::Waiting,
        };
        let unheard = metric == Metric::Silent && measures.silent == Silence::Unheard;
        if unheard || measures.since_root < warming(metric, warmup) {
            return reading;
        }
        let side = now.map_or(Side::Between, |range| range.against(threshold));
        self.streak.push(at, side, lapse);
        reading.held = self.streak.held();
        reading.finding = match (&self.window, self.limit.lasting) {
            (Some(window), _) if side == Side::Over && !window.full() => Finding::Breaching,
            (Some(_), _) | (None, None) => Finding::of(side),
            (None, Some(lasting)) => match side {
                Side::Over if self.streak.held() >= lasting => Finding::Sustained,
                Side::Over => Finding::Breaching,
                Side::Under => Finding::Clear,
                Side::Between => Finding::Unknown,
            },
        };
        reading
    }

    /// The sum is of others now: a pace must be measured from here on.
    pub fn forget_pace(&mut self) {
        if let Some(window) = &mut self.window {
            window.clear();
        }
    }

    /// The reading that other measures would give at this moment: what is over now counts as sustained, and a rate,
    /// which has no history of those measures, as clear when there is none to tell.
    pub fn read_without_history(
        &mut self,
        at: Mono,
        measures: &Measures,
        warmup: Option<Duration>,
        lapse: Duration,
    ) -> Reading {
        let mut reading = self.read(at, measures, warmup, lapse);
        if reading.finding == Finding::Breaching {
            reading.finding = Finding::Sustained;
        }
        reading
    }

    fn measure(&self, measures: &Measures) -> (Option<Range<Quantity>>, Quantity) {
        let time = |range: Option<Range<Duration>>| range.map(|range| range.map(Quantity::Time));
        let count = |range: Option<Range<u64>>| range.map(|range| range.map(Quantity::Count));
        let size = |range: Option<Range<Bytes>>| range.map(|range| range.map(Quantity::Size));
        match self.limit.bound {
            Bound::CpuTime(limit) => (time(measures.cpu_time), Quantity::Time(limit)),
            Bound::Cpu(limit) => {
                let least = |used, within| Millicores::over(Duration::from_nanos(used), within);
                let most =
                    |used, within| Millicores::over_at_most(Duration::from_nanos(used), within);
                let pace = self.pace(least, most);
                (
                    pace.map(|pace| pace.map(Quantity::Cores)),
                    Quantity::Cores(limit),
                )
            }
            Bound::Spawns(limit) => {
                let pace = self.pace(PerSecond::over, PerSecond::over);
                (
                    pace.map(|pace| pace.map(Quantity::Pace)),
                    Quantity::Pace(limit),
                )
            }
            Bound::Memory { measure, above } => {
                let now = match measure {
                    Measure::Private => measures.private,
                    Measure::Rss => measures.rss,
                    Measure::Swap => measures.swap,
                };
                match above.bytes(measures.machine) {
                    Some(limit) => (size(now), Quantity::Size(limit)),
                    // A share of an unknown whole: nothing can be said.
                    None => (None, Quantity::Size(Bytes(u64::MAX))),
                }
            }
            Bound::Age(limit) => (time(measures.age), Quantity::Time(limit)),
            Bound::Processes(limit) => (count(measures.processes), Quantity::Count(limit)),
            Bound::Threads(limit) => (count(measures.threads), Quantity::Count(limit)),
            Bound::OpenFiles(limit) => (count(measures.open_files), Quantity::Count(limit)),
            Bound::Zombies(limit) => (count(measures.zombies), Quantity::Count(limit)),
            Bound::Orphaned { above, detached } => {
                let now = match detached {
                    super::rule::Detached::Spared => measures.orphaned,
                    super::rule::Detached::Counted => measures.detached,
                };
                (time(now), Quantity::Time(above))
            }
            Bound::Leftover(limit) => (time(measures.leftover), Quantity::Time(limit)),
            Bound::Stalled { above, .. } | Bound::Spinning { above, .. } => {
                (time(self.lasts(measures, above)), Quantity::Time(above))
            }
            Bound::Silent(limit) => {
                let now = match measures.silent {
                    Silence::Unheard | Silence::Unknown => None,
                    Silence::AtMost(span) => Some(Range {
                        at_least: Duration::ZERO,
                        at_most: Some(span),
                        tier: Tier::Exact,
                    }),
                    Silence::For(span) => Some(Range::exactly(span, Tier::Exact)),
                };
                (time(now), Quantity::Time(limit))
            }
            Bound::Instances { above, per } => {
                (count(measures.instances.per(per)), Quantity::Count(above))
            }
        }
    }

    /// For how long nothing has happened, or nothing has come of it; `None` where that cannot be told.
    fn lasts(&self, measures: &Measures, limit: Duration) -> Option<Range<Duration>> {
        if measures.stands == Stands::Still {
            return None;
        }
        let (range, _) = self.run.length(measures.now, measures.since_root);
        Some(match measures.watched {
            Watched::Now | Watched::Signalled => range,
            // It was so for long enough, and may not be any more.
            Watched::Once => Range {
                at_least: range.at_least.min(limit),
                ..range
            },
        })
    }

    /// Takes in what the unit did between two inspections.
    fn follow(&mut self, interval: &Interval, watched: Watched) {
        let so = match self.limit.bound {
            Bound::Stalled {
                servers: Servers::Spared,
                ..
            } if interval.rests => Sure::No,
            Bound::Stalled { .. } => interval.still,
            Bound::Spinning { cpu, .. } if interval.cores < cpu => Sure::No,
            Bound::Spinning { .. } => interval.barren,
            Bound::CpuTime(_)
            | Bound::Cpu(_)
            | Bound::Memory { .. }
            | Bound::Age(_)
            | Bound::Processes(_)
            | Bound::Threads(_)
            | Bound::OpenFiles(_)
            | Bound::Zombies(_)
            | Bound::Spawns(_)
            | Bound::Orphaned { .. }
            | Bound::Leftover(_)
            | Bound::Silent(_)
            | Bound::Instances { .. } => return,
        };
        match watched {
            Watched::Signalled => self.run.hold(interval),
            Watched::Once | Watched::Now => self.run.take(interval, so),
        }
    }

    /// Whether an interval is of an unbroken row of those in which nothing happened.
    pub const fn has_begun(&self, interval: &Interval) -> bool {
        self.run.goes_on(interval)
    }

    /// Whether it comes to a decision soon: nothing has happened for four fifths of the time.
    pub fn is_near(&self, measures: &Measures) -> bool {
        let (Bound::Stalled { above, .. } | Bound::Spinning { above, .. }) = self.limit.bound
        else {
            return false;
        };
        let (range, _) = self.run.length(measures.now, measures.since_root);
        range.at_least.saturating_mul(5) >= above.saturating_mul(4)
    }

    /// Everything stood still for so long, us included.
    pub fn skip(&mut self, span: Duration) {
        self.run.skip(span);
    }

    /// The mean over the window.
    fn pace<T>(
        &self,
        least: impl Fn(u64, Duration) -> Option<T>,
        most: impl Fn(u64, Duration) -> Option<T>,
    ) -> Option<Range<T>> {
        let growth = self.window.as_ref()?.growth()?;
        let Growth { by, .. } = growth;
        Some(Range {
            at_least: least(by.at_least, growth.longest)?,
            at_most: by.at_most.and_then(|by| most(by, growth.shortest)),
            tier: by.tier,
        })
    }

    /// Whether what was measured before counts when it is next read.
    pub const fn remembers(&self) -> bool {
        self.window.is_some() || self.limit.lasting.is_some()
    }

    /// When this limit would be over if the unit went on as it has since its root became one; `None` when that cannot
    /// be told, or it is over already.
    pub fn forecast(&self, at: Mono, measures: &Measures, since: Mono) -> Option<Mono> {
        let (now, limit) = self.measure(measures);
        let (Quantity::Time(limit), Quantity::Time(now)) = (limit, now?.at_least) else {
            return None;
        };
        let left = limit.checked_sub(now)?;
        match self.limit.bound.metric() {
            Metric::CpuTime => {
                let pace = Millicores::over(now, at.since(since)).filter(|pace| pace.0 > 0)?;
                let wait = left
                    .as_nanos()
                    .saturating_mul(1000)
                    .checked_div(u128::from(pace.0))?;
                Some(at.after(Duration::from_nanos(
                    u64::try_from(wait).unwrap_or(u64::MAX),
                )))
            }
            Metric::Age => Some(at.after(left)),
            Metric::Orphaned | Metric::Leftover | Metric::Stalled | Metric::Spinning => (!now.is_zero()).then(|| at.after(left)),
            Metric::Cpu
            | Metric::Memory
            | Metric::Processes
            | Metric::Threads
            | Metric::OpenFiles
            | Metric::Zombies
            | Metric::Spawns
            // At the pace of before it would not be over at all.
            | Metric::Silent
            | Metric::Instances => None,
        }
    }

    /// When this limit could first be over, judging by the last measures; `None` when only a look can tell.
    ///
    /// CPU time grows no faster than cores × time; age, orphaned, leftover and silence grow with time.
    pub fn earliest(&self, at: Mono, measures: &Measures, cores: u32) -> Option<Mono> {
        if self.limit.bound.metric() == Metric::Instances {
            // Only another root can change it: whoever becomes one has the others looked at.
            return Some(Mono::NEVER);
        }
        if self.limit.bound.metric() == Metric::Silent && measures.silent == Silence::Unheard {
            // The first beat has it looked at.
            return Some(Mono::NEVER);
        }
        let (now, limit) = self.measure(measures);
        let Quantity::Time(limit) = limit else {
            return None;
        };
        let (Some(range), metric) = (now, self.limit.bound.metric()) else {
            return None;
        };
        let Quantity::Time(now) = range.at_least else {
            return None;
        };
        let left = limit.saturating_sub(now);
        let tenth = limit.checked_div(10).unwrap_or_default();
        Some(match metric {
            Metric::CpuTime => at.after(left.checked_div(cores.max(1)).unwrap_or(left)),
            // Zero stands for "has not gone away": the change will be heard or found, and is looked at then.
            Metric::Orphaned | Metric::Leftover if now.is_zero() => Mono::NEVER,
            Metric::Age | Metric::Orphaned | Metric::Leftover | Metric::Silent => at.after(left),
            // Each look has it inspected, where it is time.
            Metric::Stalled | Metric::Spinning if self.is_near(measures) => return None,
            Metric::Stalled | Metric::Spinning => at.after(left.min(tenth)),
            Metric::Cpu
            | Metric::Memory
            | Metric::Processes
            | Metric::Threads
            | Metric::OpenFiles
            | Metric::Zombies
            | Metric::Spawns
            | Metric::Instances => return None,
        })
    }
}

impl Bound {
    /// What a rate is the growth of, while that can be told; `None` for what is no rate.
    fn counter(&self, measures: &Measures) -> Option<Tally> {
        match self {
            // The sum of figures from different looks tells no pace.
            Self::Cpu(_) => measures.spent.filter(|_| measures.whole).map(Spent::tally),
            Self::Spawns(_) => measures.spawned.map(Tally::settled),
            Self::CpuTime(_)
            | Self::Memory { .. }
            | Self::Age(_)
            | Self::Processes(_)
            | Self::Threads(_)
            | Self::OpenFiles(_)
            | Self::Zombies(_)
            | Self::Orphaned { .. }
            | Self::Leftover(_)
            | Self::Stalled { .. }
            | Self::Spinning { .. }
            | Self::Silent(_)
            | Self::Instances { .. } => None,
        }
    }
}

impl Amount {
    /// In bytes; `None` for a share of an unknown whole.
    pub fn bytes(self, whole: Bytes) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Percent(_) if whole == Bytes(0) => None,
            Self::Percent(share) => {
                let hundredth = u128::from(whole.0)
                    .saturating_mul(u128::from(share))
                    .wrapping_div(100);
                Some(Bytes(u64::try_from(hundredth).unwrap_or(u64::MAX)))
            }
        }
    }
}

/// How long after the start a metric is not looked at.
fn warming(metric: Metric, warmup: Option<Duration>) -> Duration {
    match metric {
        Metric::CpuTime | Metric::Age | Metric::Processes | Metric::Spawns => Duration::ZERO,
        Metric::Leftover | Metric::Orphaned => warmup.unwrap_or(Duration::from_secs(30)),
        Metric::Cpu
        | Metric::Memory
        | Metric::Threads
        | Metric::OpenFiles
        | Metric::Zombies
        | Metric::Stalled
        | Metric::Spinning
        | Metric::Silent
        | Metric::Instances => warmup.unwrap_or_default(),
    }
}

/// Each clause with the readings of its limits.
fn each<'a>(
    clauses: &'a [Clause],
    readings: &'a [Reading],
) -> impl Iterator<Item = (&'a Clause, &'a [Reading])> {
    let mut rest = readings;
    clauses.iter().map(move |clause| {
        let count = clause.limits.len().min(rest.len());
        let (these, others) = rest.split_at(count);
        rest = others;
        (clause, these)
    })
}

/// What of a rule's clauses holds that may lead to more than a nudge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// Some clause, for as long as asked; or the rule has none of which people are only told.
    On,
    /// Some clause, not for as long as asked.
    Lingers,
    /// None.
    Nowhere,
}

/// What leads on.
pub fn lead(clauses: &[Clause], readings: &[Reading]) -> Lead {
    let any = |wanted: &[Finding]| {
        let mut others = each(clauses, readings).filter(|(clause, _)| !clause.only_tells());
        others.any(|(_, these)| {
            let mut these = these.iter().peekable();
            these.peek().is_some() && these.all(|reading| wanted.contains(&reading.finding))
        })
    };
    if !clauses.iter().any(Clause::only_tells) || any(&[Finding::Sustained]) {
        Lead::On
    } else if any(&[Finding::Sustained, Finding::Breaching]) {
        Lead::Lingers
    } else {
        Lead::Nowhere
    }
}

/// The verdict of clauses, given their limits' findings in order.
pub fn verdict(clauses: &[Clause], readings: &[Reading]) -> Verdict {
    let (mut over, mut unknown) = (false, false);
    for (_, these) in each(clauses, readings) {
        let all = |wanted: &[Finding]| {
            these
                .iter()
                .all(|reading| wanted.contains(&reading.finding))
        };
        let any = |wanted: Finding| these.iter().any(|reading| reading.finding == wanted);
        if all(&[Finding::Sustained]) {
            return Verdict::Sustained;
        }
        over |= all(&[Finding::Sustained, Finding::Breaching]);
        // One limit of a clause that is clear makes the clause clear, whatever the others are.
        unknown |= any(Finding::Unknown) && !any(Finding::Clear) && !any(Finding::Waiting);
    }
    match (over, unknown) {
        (true, _) => Verdict::Breaching,
        (false, true) => Verdict::Unknown,
        (false, false) => Verdict::Clear,
    }
}

#[cfg(test)]
mod tests;
