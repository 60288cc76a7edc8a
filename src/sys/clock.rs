//! Time: the one place where it enters.
//!
//! Three clocks, each for one thing. *Awake* time ([`Mono`]) measures; it stands still while the machine sleeps.
//! *Boot* time counts sleep too; the kernel writes start ticks in it, so it appears inside identity only. *Wall* time
//! is for people: text, and the minute of the local day.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
#[cfg(target_os = "linux")]
use libc::{CLOCK_BOOTTIME as BOOT, CLOCK_MONOTONIC as AWAKE};
// What is called monotonic here counts sleep.
#[cfg(target_os = "macos")]
use libc::{CLOCK_MONOTONIC_RAW as BOOT, CLOCK_UPTIME_RAW as AWAKE};
use libc::{CLOCK_THREAD_CPUTIME_ID, clock_gettime, clockid_t, timespec};

use crate::engine::units::{Mono, nanos};

/// Two readings further apart than this were not taken together: something ran in between.
const TOGETHER: Duration = Duration::from_micros(50);

/// The kernel's look at processors without ticks comes once a second; this leaves it another.
#[cfg(target_os = "linux")]
const TICKLESS: Duration = Duration::from_secs(2);

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Now, in awake time.
    pub fn now(self) -> Mono {
        Mono::from_nanos(read(AWAKE))
    }

    /// All the time since boot that the machine slept, in whole milliseconds.
    ///
    /// Two clocks cannot be read at once: of a few attempts the closest pair counts. Milliseconds keep what is left
    /// of the error (some ten nanoseconds) out of a figure that ought to stand still.
    pub fn slept(self) -> Duration {
        let mut slept = Duration::ZERO;
        let mut closest = Duration::MAX;
        for _ in 0..3 {
            let before = self.now();
            let boot = Mono::from_nanos(read(BOOT));
            let apart = self.now().since(before);
            if apart < closest {
                (closest, slept) = (apart, boot.since(before));
            }
            if apart <= TOGETHER {
                break;
            }
        }
        Duration::from_millis(nanos(slept) / 1_000_000)
    }

    /// CPU time that the calling thread has used.
    pub fn spent(self) -> Duration {
        Duration::from_nanos(read(CLOCK_THREAD_CPUTIME_ID))
    }

    /// The pace at which the kernel counts what a running thread uses.
    #[cfg(target_os = "linux")]
    pub fn tick(self) -> Duration {
        let coarse = rustix::time::clock_getres(rustix::time::ClockId::MonotonicCoarse);
        let tick = Duration::try_from(coarse).unwrap_or_default();
        // Processors that are kept free of ticks are looked at once a second.
        let tickless = std::fs::read_to_string("/sys/devices/system/cpu/nohz_full");
        let none = |list: String| ["", "(null)"].contains(&list.trim());
        if tickless.is_ok_and(|list| !none(list)) {
            TICKLESS
        } else {
            tick
        }
    }

    /// Wall time, for text alone.
    pub fn wall(self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "the clock is the one reader of time"
        )]
        Timestamp::now()
    }

    /// Minute of the local day, 0 ..= 1439; in UTC where the machine has no time zone. Another time zone is noticed within
    /// five minutes.
    pub fn local_minute(self) -> u16 {
        let local = self.wall().to_zoned(TimeZone::system());
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        u16::try_from(minute).unwrap_or(0)
    }
}

/// Nanoseconds of one clock. None of those asked for starts below zero or reaches the year 2554.
fn read(clock: clockid_t) -> u64 {
    let mut now = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes to the place it is given, and that is ours. It fails only for a clock that is not there.
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock is the one reader of time"
    )]
    unsafe {
        clock_gettime(clock, &raw mut now)
    };
    let timespec { tv_sec, tv_nsec } = now;
    let secs = u64::try_from(tv_sec).unwrap_or(0);
    let part = u64::try_from(tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awake_time_only_grows() {
        let (one, two) = (Clock.now(), Clock.now());
        assert!(one <= two && one > Mono::BOOT);
    }

    #[test]
    fn sleep_is_a_figure_that_stands_still() {
        let first = Clock.slept();
        let same = (0..1000).filter(|_| Clock.slept() == first).count();
        assert!(same >= 990, "{same} of 1000 agreed");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn ticks_are_as_long_as_kernels_make_them() {
        let tick = Clock.tick();
        assert!(
            tick >= Duration::from_millis(1) && tick <= Duration::from_secs(2),
            "{tick:?}"
        );
    }

    #[test]
    fn the_minute_is_one_of_the_day() {
        assert!(Clock.local_minute() < 1440);
    }
}
