//! Units of measure. Pages and clock ticks never leave `sys`; a bare number never leaves here.

use std::fmt;
use std::time::Duration;

/// A moment of *awake* time: nanoseconds of `CLOCK_MONOTONIC`, which stands still while the machine sleeps.
///
/// Limits, ladders and ages are measured in it. It is told to the engine, never asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(u64);

impl Mono {
    /// The moment the machine was booted.
    pub const BOOT: Self = Self(0);
    /// Later than any moment that will come.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds of awake time after boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment `secs` seconds of awake time after boot.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds of awake time since boot.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// This moment plus `span`; stays at [`Mono::NEVER`] rather than wrap.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// This moment minus `span`; stops at boot.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// Awake time since `earlier`; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Nanoseconds of a span, saturating after 584 years.
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// An amount of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `n` kibibytes.
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 10))
    }

    /// `n` mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// `n` gibibytes.
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 30))
    }

    /// The sum; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut tenths = u128::from(self.0).saturating_mul(10);
        let mut name = "B";
        for unit in units {
            // 1023.95 KiB would print as "1024.0 KiB": move on a little before.
            if tenths < 10_235 {
                break;
            }
            tenths = tenths.saturating_add(512) >> 10;
            name = unit;
        }
        let (whole, tenth) = (tenths.wrapping_div(10), tenths.wrapping_rem(10));
        match name {
            "B" => write!(f, "{whole} B"),
            name => write!(f, "{whole}.{tenth} {name}"),
        }
    }
}

/// Processor use, in thousandths of one core: 2500 is two and a half cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millicores(pub u64);

impl Millicores {
    /// Mean use: CPU time `used` within `elapsed`. `None` when no time passed.
    pub fn over(used: Duration, elapsed: Duration) -> Option<Self> {
        let used = used.as_nanos().saturating_mul(1000);
        let mean = used.checked_div(elapsed.as_nanos())?;
        Some(Self(u64::try_from(mean).unwrap_or(u64::MAX)))
    }
}

impl Millicores {
    /// Mean use, rounded up: for an upper bound.
    pub fn over_at_most(used: Duration, elapsed: Duration) -> Option<Self> {
        let down = Self::over(used, elapsed)?;
        let exact = used.as_nanos().saturating_mul(1000);
        let shown = u128::from(down.0).saturating_mul(elapsed.as_nanos());
        Some(if shown < exact {
            Self(down.0.saturating_add(1))
        } else {
            down
        })
    }
}

impl fmt::Display for Millicores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0.wrapping_add(5).wrapping_div(10))
    }
}

/// How often something happens, in thousandths of once a second: 1500 is three times in two seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PerSecond(pub u64);

impl PerSecond {
    /// Mean pace: so many times within `elapsed`. `None` when no time passed.
    pub fn over(times: u64, elapsed: Duration) -> Option<Self> {
        let thousandths = u128::from(times).saturating_mul(1_000_000_000_000);
        let mean = thousandths.checked_div(elapsed.as_nanos())?;
        Some(Self(u64::try_from(mean).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for PerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.wrapping_div(1000), self.0.wrapping_rem(1000));
        match (whole, part.wrapping_div(100)) {
            (0..=9, tenths @ 1..) => write!(f, "{whole}.{tenths}/s"),
            (0, 0) if part > 0 => f.write_str("under 0.1/s"),
            _ => write!(f, "{whole}/s"),
        }
    }
}

/// A number to two places: 850 is eight and a half. Loads and percentages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hundredths(pub u64);

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.wrapping_div(100), self.0.wrapping_rem(100));
        match (part.wrapping_div(10), part.wrapping_rem(10)) {
            (0, 0) => write!(f, "{whole}"),
            (tenths, 0) => write!(f, "{whole}.{tenths}"),
            (_, _) => write!(f, "{whole}.{part:02}"),
        }
    }
}

/// A span of time as people read it: `45 s`, `1 min 30 s`, `2 h`, `350 ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let millis = self.0.subsec_millis();
        let parts = match secs {
            0 if millis == 0 => return f.write_str("0 s"),
            0 => return write!(f, "{millis} ms"),
            1..=9 if millis >= 100 => {
                return write!(f, "{secs}.{} s", millis.wrapping_div(100));
            }
            1..=59 => return write!(f, "{secs} s"),
            60..=3599 => [(secs.wrapping_div(60), "min"), (secs.wrapping_rem(60), "s")],
            3600..=86_399 => [
                (secs.wrapping_div(3600), "h"),
                (secs.wrapping_rem(3600).wrapping_div(60), "min"),
            ],
            86_400.. => [
                (secs.wrapping_div(86_400), "d"),
                (secs.wrapping_rem(86_400).wrapping_div(3600), "h"),
            ],
        };
        let [(big, big_unit), (small, small_unit)] = parts;
        write!(f, "{big} {big_unit}")?;
        match small {
            0 => Ok(()),
            small => write!(f, " {small} {small_unit}"),
        }
    }
}

/// Where a figure comes from: how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Known exactly: counted by the engine itself, or by the kernel for just this unit.
    Exact,
    /// The records that the kernel leaves of the dead, with births and deaths known from its events.
    Taskstats,
    /// `/proc`, with births and deaths known from the kernel's own events.
    Events,
    /// `/proc`, shared pages divided among those who map them: some seconds old, corrected by newer figures.
    Shares,
    /// `/proc` alone: what lived and died between two looks was not seen.
    Scan,
}

impl Tier {
    /// The less trustworthy of the two: what a sum of both is worth.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        self.max(other)
    }

    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Taskstats => "taskstats",
            Self::Events => "events",
            Self::Shares => "shares",
            Self::Scan => "scan",
        }
    }
}

/// A measure with its bounds: the truth is at least this, and at most that where a bound is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<T> {
    /// The truth is not below this.
    pub at_least: T,
    /// The truth is not above this; `None` where nothing bounds it.
    pub at_most: Option<T>,
    /// Where the figure comes from.
    pub tier: Tier,
}

/// Where a measure stands against a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Certainly above the limit.
    Over,
    /// Certainly not above it.
    Under,
    /// The limit lies between the bounds: not acted on.
    Between,
}

impl<T: Copy + Ord> Range<T> {
    /// A figure known exactly.
    pub const fn exactly(value: T, tier: Tier) -> Self {
        Self {
            at_least: value,
            at_most: Some(value),
            tier,
        }
    }

    /// A lower bound, with nothing known above it.
    pub const fn at_least(value: T, tier: Tier) -> Self {
        Self {
            at_least: value,
            at_most: None,
            tier,
        }
    }

    /// Which side of `limit` the truth is on.
    pub fn against(&self, limit: T) -> Side {
        match self.at_most {
            _ if self.at_least > limit => Side::Over,
            Some(most) if most <= limit => Side::Under,
            Some(_) | None => Side::Between,
        }
    }

    /// The same bounds in another unit; `f` must keep order.
    pub fn map<U>(self, f: impl Fn(T) -> U) -> Range<U> {
        Range {
            at_least: f(self.at_least),
            at_most: self.at_most.map(f),
            tier: self.tier,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        let shown = [
            0,
            1023,
            1024,
            1536,
            1 << 20,
            (1 << 30) - 1,
            8 << 30,
            u64::MAX,
        ]
        .map(|n| Bytes(n).to_string());
        assert_eq!(
            shown,
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "1.5 KiB",
                "1.0 MiB",
                "1.0 GiB",
                "8.0 GiB",
                "16384.0 PiB"
            ]
        );
    }

    #[test]
    fn spans_read_as_people_say_them() {
        let shown = [0, 350, 1500, 8000, 45_000, 90_000, 7_200_000, 90_061_000]
            .map(|ms| Span(Duration::from_millis(ms)).to_string());
        assert_eq!(
            shown,
            [
                "0 s",
                "350 ms",
                "1.5 s",
                "8 s",
                "45 s",
                "1 min 30 s",
                "2 h",
                "1 d 1 h"
            ]
        );
    }

    #[test]
    fn a_range_that_straddles_the_limit_is_on_neither_side() {
        let range = Range {
            at_least: 5,
            at_most: Some(9),
            tier: Tier::Events,
        };
        assert_eq!(range.against(4), Side::Over);
        assert_eq!(range.against(5), Side::Between);
        assert_eq!(range.against(8), Side::Between);
        assert_eq!(range.against(9), Side::Under);
        assert_eq!(Range::at_least(5, Tier::Scan).against(100), Side::Between);
    }

    #[test]
    fn a_rate_needs_time() {
        let second = Duration::from_secs(1);
        assert_eq!(Millicores::over(second, Duration::ZERO), None);
        assert_eq!(
            Millicores::over(second * 5, second * 2),
            Some(Millicores(2500))
        );
    }
}
