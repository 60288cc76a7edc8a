//! `/proc/PID/stat`, as bytes.
//!
//! The second field is the short name in parentheses, chosen by the process itself: it may hold spaces, parentheses
//! and newlines. So the line is split at its *last* `)`; no reader of lines or of words ever sees it.

use std::time::Duration;

use crate::engine::process::{Pid, StartTicks, Text};
use crate::engine::units::Mono;

/// Clock ticks a second in `/proc`. The kernel fixes `USER_HZ` at 100 on every architecture we build for.
pub const TICKS_A_SECOND: u64 = 100;

/// Nanoseconds in one clock tick.
const NANOS_A_TICK: u64 = 1_000_000_000 / TICKS_A_SECOND;

/// Bit of the flags field: a thread of the kernel itself.
const PF_KTHREAD: u64 = 0x0020_0000;

/// Bit of the flags field: no exec since the fork.
const PF_FORKNOEXEC: u64 = 0x40;

/// The fields that anything here needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Short name, as it came.
    pub comm: &'a [u8],
    /// The state letter.
    pub state: u8,
    /// Parent; 0 outside this namespace.
    pub ppid: u32,
    /// Process group.
    pub group: u32,
    /// Session.
    pub session: u32,
    /// Device number of the controlling terminal; 0 is none.
    pub tty: u32,
    /// Its group is the one in the foreground of its terminal.
    pub foreground: bool,
    /// A thread of the kernel itself.
    pub kernel_thread: bool,
    /// It has not run exec since it was forked: it may share anonymous pages with whoever forked it.
    pub forked: bool,
    /// User and system time. Their sum is exact, the split is not.
    pub cpu: Duration,
    /// The same of children waited for.
    pub reaped: Duration,
    /// Threads.
    pub threads: u32,
    /// Start.
    pub start: StartTicks,
    /// Resident pages.
    pub rss_pages: u64,
}

impl<'a> Stat<'a> {
    /// `None` when this is no stat line.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let open = line.iter().position(|&byte| byte == b'(')?;
        let close = line.iter().rposition(|&byte| byte == b')')?;
        let comm = line.get(open + 1..close)?;
        // Numbers from here are those of proc(5), where the state is field 3.
        let mut fields = line
            .get(close + 2..)?
            .split(|&byte| byte == b' ' || byte == b'\n');
        let state = *fields.next()?.first()?;
        let mut number = || fields.next().and_then(decimal);
        let ppid = number()?; // 4
        let group = number()?; // 5
        let session = number()?; // 6
        let tty = number()?; // 7
        let foreground = number()?; // 8, may be -1
        let flags = number()?; // 9
        for _ in 10..=13 {
            number()?;
        }
        let cpu = number()?.checked_add(number()?)?; // 14, 15
        let reaped = number()?.checked_add(number()?)?; // 16, 17
        let _priority = number()?; // 18
        let _nice = number()?; // 19
        let threads = number()?; // 20
        let _itrealvalue = number()?; // 21
        let start = number()?; // 22
        let _vsize = number()?; // 23
        let rss_pages = number()?; // 24
        Some(Self {
            comm,
            state,
            ppid: u32::try_from(ppid).ok()?,
            group: u32::try_from(group).ok()?,
            session: u32::try_from(session).ok()?,
            // The device number is an int that may print as negative: its low half is what counts.
            tty: u32::try_from(tty & 0xffff_ffff).ok()?,
            foreground: tty != 0 && foreground == group,
            kernel_thread: flags & PF_KTHREAD != 0,
            forked: flags & PF_FORKNOEXEC != 0,
            cpu: ticks(cpu),
            reaped: ticks(reaped),
            threads: u32::try_from(threads).ok()?,
            start: StartTicks(start),
            rss_pages,
        })
    }

    /// The parent's number, where there is one.
    pub fn parent(&self) -> Option<Pid> {
        Pid::new(self.ppid)
    }

    /// The short name.
    pub fn name(&self) -> Text {
        Text::new(self.comm)
    }

    /// Dead for every signal: a zombie with no thread left (`X` is on its way out).
    pub fn dead(&self) -> bool {
        match self.state {
            b'Z' => self.threads <= 1,
            b'X' | b'x' => true,
            _ => false,
        }
    }
}

/// A time counted in clock ticks.
pub fn ticks(count: u64) -> Duration {
    Duration::from_nanos(count.saturating_mul(NANOS_A_TICK))
}

/// Start ticks of a process born at `at`, on a machine that has slept for so long and not since: events are stamped
/// with awake time, start ticks count boot time.
pub fn start_ticks(at: Mono, slept: Duration) -> StartTicks {
    StartTicks(at.after(slept).nanos() / NANOS_A_TICK)
}

/// A decimal number; a negative one (`tty`, `nice`, foreground group) wraps, as nobody here uses its value.
fn decimal(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::Clock;

    const REST: &str = "S 41 4591 4590 34817 -1 4194304 1 0 0 0 7 5 3 1 20 0 2 0 257223 10000 350 1844674407370955 1 1";

    #[test]
    fn the_fields_are_where_the_manual_says() {
        let line = format!("4594 (cat) {REST}\n");
        let stat = Stat::parse(line.as_bytes()).unwrap();
        assert_eq!(
            (stat.ppid, stat.group, stat.session, stat.tty),
            (41, 4591, 4590, 34817)
        );
        assert_eq!(
            (stat.cpu, stat.reaped),
            (Duration::from_millis(120), Duration::from_millis(40))
        );
        assert_eq!(
            (stat.threads, stat.start, stat.rss_pages),
            (2, StartTicks(257_223), 350)
        );
        assert!(!stat.kernel_thread);
    }

    #[test]
    fn a_hostile_name_moves_no_field() {
        for name in [") R 1 (\n", ")))", "a b) Z 1 1 1", "", "\u{ff}\n\n"] {
            let line = format!("4594 ({name}) {REST}\n");
            let stat = Stat::parse(line.as_bytes()).unwrap();
            assert_eq!(
                (stat.comm, stat.ppid, stat.state),
                (name.as_bytes(), 41, b'S')
            );
        }
    }

    #[test]
    fn what_is_no_stat_line_is_nothing() {
        for line in ["", "1", "1 (a", "1 (a)", "1 (a) S", "1 (a) S x y z", "\0\0"] {
            assert_eq!(Stat::parse(line.as_bytes()), None);
        }
    }

    #[test]
    fn a_moment_in_start_ticks_is_what_the_kernel_writes() {
        let before = start_ticks(Clock.now(), Clock.slept());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let after = start_ticks(Clock.now(), Clock.slept());
        let pid = Pid::new(child.id()).unwrap();
        let line = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
        child.wait().unwrap();
        let start = Stat::parse(&line).unwrap().start;
        assert!(
            before.0 <= start.0 + 2 && start.0 <= after.0 + 2,
            "{before:?} {start:?} {after:?}"
        );
    }
}
