//! Time: the one place where it enters.
//!
//! Three clocks, each for one thing. *Awake* time ([`Mono`], `CLOCK_MONOTONIC`) measures; it stands still while the
//! machine sleeps. *Boot* time counts sleep too; the kernel writes start ticks in it, so it appears inside identity
//! only. *Wall* time is for people: text, and the minute of the local day.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

use super::stat::TICKS_A_SECOND;
use crate::engine::process::{Pid, StartTicks};
use crate::engine::units::{Mono, nanos};

/// Nanoseconds in one clock tick of `/proc`.
const NANOS_A_TICK: u64 = 1_000_000_000 / TICKS_A_SECOND;

/// Two readings further apart than this were not taken together: something ran in between.
const TOGETHER: Duration = Duration::from_micros(50);

/// The kernel's look at processors without ticks comes once a second; this leaves it another.
const TICKLESS: Duration = Duration::from_secs(2);

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Now, in awake time.
    pub fn now(self) -> Mono {
        Mono::from_nanos(read(ClockId::Monotonic))
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
            let boot = Mono::from_nanos(read(ClockId::Boottime));
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
        Duration::from_nanos(read(ClockId::ThreadCPUTime))
    }

    /// CPU time that a process has used, its ended threads included; to the nanosecond, and what runs just then as of
    /// the last tick. Anybody may ask for anybody's. `None` where the number is nobody's.
    pub fn spent_by(self, pid: Pid) -> Option<Duration> {
        // `CPUCLOCK_SCHED` of a process, as `clock_getcpuclockid` makes it. Three bits are not the number's.
        if pid.number() >> 28 != 0 {
            return None;
        }
        let clock = (!pid.number().cast_signed() << 3) | 2;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a place for the answer.
        let outcome = unsafe { libc::clock_gettime(clock, &raw mut time) };
        let secs = u64::try_from(time.tv_sec).ok()?;
        let part = u32::try_from(time.tv_nsec).ok()?;
        (outcome == 0).then(|| Duration::new(secs, part))
    }

    /// The pace at which the kernel counts what a running thread uses.
    pub fn tick(self) -> Duration {
        let coarse = clock_getres(ClockId::MonotonicCoarse);
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

    /// Minute of the local day, 0 ..= 1439; in UTC where the machine has no time zone.
    pub fn local_minute(self) -> u16 {
        let local = self.wall().to_zoned(TimeZone::system());
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        u16::try_from(minute).unwrap_or(0)
    }

    /// Start ticks of a process born at `at`, if the machine has not slept since: events are stamped with awake
    /// time, start ticks count boot time.
    pub fn start_ticks_of(self, at: Mono) -> StartTicks {
        StartTicks(at.after(self.slept()).nanos() / NANOS_A_TICK)
    }
}

/// Nanoseconds of one clock. Neither of the two asked for starts below zero or reaches the year 2554.
fn read(clock: ClockId) -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock is the one reader of time"
    )]
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    let secs = u64::try_from(tv_sec).unwrap_or(0);
    let part = u64::try_from(tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::stat::Stat;

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
    fn a_moment_in_start_ticks_is_what_the_kernel_writes() {
        let before = Clock.start_ticks_of(Clock.now());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let after = Clock.start_ticks_of(Clock.now());
        let pid = Pid::new(child.id()).unwrap();
        let line = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
        child.wait().unwrap();
        let start = Stat::parse(&line).unwrap().start;
        assert!(
            before.0 <= start.0 + 2 && start.0 <= after.0 + 2,
            "{before:?} {start:?} {after:?}"
        );
    }

    #[test]
    fn the_time_of_a_process_is_its_own() {
        let own = Pid::new(std::process::id()).unwrap();
        let before = Clock.spent_by(own).unwrap();
        let end = Clock.spent().saturating_add(Duration::from_millis(20));
        while Clock.spent() < end {}
        let after = Clock.spent_by(own).unwrap();
        assert!(after.saturating_sub(before) >= Duration::from_millis(20));
        assert_eq!(Clock.spent_by(Pid::new(0x7fff_ffff).unwrap()), None);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::new(child.id()).unwrap();
        // As a zombie it still has it.
        assert!(Clock.spent_by(pid).is_some());
        child.wait().unwrap();
        assert_eq!(Clock.spent_by(pid), None);
    }

    #[test]
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
