//! What the kernel tells of our children: the command, and whoever of it lost all above.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, wait};

use crate::engine::process::{Pid, StartTicks};
use crate::engine::pursuit::Glimpse;
use crate::sys::glimpse::{bearer, everyone};
use crate::sys::ourselves;

/// How long the undertaker leaves the loop to wait for the command.
const LITTLE: Duration = Duration::from_millis(10);
/// Stack of its thread.
const STACK: usize = 64 << 10;

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It ended by itself, with this status.
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// A signal stopped it.
    Stopped(i32),
    /// It goes on.
    Continued,
}

/// Who is left to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nobody at all: no child, so no descendant.
    Nobody,
    /// Somebody, dead or alive.
    Somebody,
}

/// Waits for all that can be waited for now; `tell` hears of each. The dead are gone afterwards.
pub fn reap(mut tell: impl FnMut(Pid, Turn)) -> Left {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    loop {
        match wait(options) {
            Ok(Some((pid, status))) => {
                let pid = u32::try_from(pid.as_raw_nonzero().get()).ok();
                if let Some((pid, turn)) = pid.and_then(Pid::new).zip(turn(status)) {
                    tell(pid, turn);
                }
            }
            Err(Errno::CHILD) => return Left::Nobody,
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return Left::Somebody,
        }
    }
}

/// Has the dead waited for at once, on a thread of its own that ends with the last of them; all but this one.
///
/// # Why a thread of its own
/// Whoever forks and exits without rest leaves a thousand dead in a second. The more of them there are, the longer it takes to
/// read the table of processes, and the more there are by the end of that: soon there is no number left for anybody.
pub fn undertake(but: Pid) -> io::Result<()> {
    let work = move || {
        while let Some(dead) = next_dead() {
            if dead == but {
                // The loop waits for that one.
                std::thread::park_timeout(LITTLE);
            } else {
                bury(dead);
            }
        }
    };
    std::thread::Builder::new()
        .name("undertaker".to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map(drop)
}

/// The next child that is dead, which stays so; `None` when there is no child any more.
fn next_dead() -> Option<Pid> {
    loop {
        let mut told = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: room for one; all zeros is one.
        let pid = unsafe {
            let options = libc::WEXITED | libc::WNOWAIT;
            if libc::waitid(libc::P_ALL, 0, told.as_mut_ptr(), options) == 0 {
                Some(told.assume_init().si_pid())
            } else if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                None
            } else {
                return None;
            }
        };
        if let Some(pid) = pid.and_then(|pid| Pid::new(u32::try_from(pid).ok()?)) {
            return Some(pid);
        }
    }
}

fn bury(dead: Pid) {
    // SAFETY: nothing is told; where the loop was faster nobody is there.
    unsafe {
        let options = libc::WEXITED | libc::WNOHANG;
        libc::waitid(libc::P_PID, dead.number(), std::ptr::null_mut(), options);
    }
}

fn turn(status: WaitStatus) -> Option<Turn> {
    status
        .exit_status()
        .map(Turn::Exited)
        .or_else(|| status.terminating_signal().map(Turn::Killed))
        .or_else(|| status.stopping_signal().map(Turn::Stopped))
        .or_else(|| status.continued().then_some(Turn::Continued))
}

/// CPU time of all children that were waited for, and of those whom they waited for. Whoever was waited for by nobody is not in it.
pub fn spent() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: room for one; all zeros is one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let span = |time: libc::timeval| {
        let whole = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        whole.saturating_add(Duration::from_micros(
            u64::try_from(time.tv_usec).unwrap_or(0),
        ))
    };
    span(usage.ru_utime).saturating_add(span(usage.ru_stime))
}

/// All living processes below us, parents before children, and when the reading began.
pub fn descendants() -> (StartTicks, Vec<Glimpse>) {
    let (at, mut all) = everyone();
    let mut found: Vec<Glimpse> = Vec::new();
    let mut above: Vec<Pid> = Pid::new(std::process::id()).into_iter().collect();
    while !above.is_empty() {
        let (below, rest) = all
            .into_iter()
            .partition::<Vec<Glimpse>, _>(|one| one.ppid.is_some_and(|ppid| above.contains(&ppid)));
        above = below.iter().map(|one| one.pid).collect();
        found.extend(below);
        all = rest;
    }
    (at, found)
}

/// Our living children by the kernel's own list of them, the newest first; nobody where it keeps none to be read
/// (`CONFIG_PROC_CHILDREN`). It is read in microseconds, where the table takes milliseconds. One who comes or goes meanwhile
/// may be missing, so it is never a proof that nobody is left.
///
/// # Why of the first thread alone
/// Orphans are given to the first thread that lives, and only that one starts anybody.
pub fn own() -> Vec<Glimpse> {
    let ours = std::process::id();
    let list = std::fs::read_to_string(format!("/proc/{ours}/task/{ours}/children"));
    let list = list.unwrap_or_default();
    let pids = list.split_ascii_whitespace().rev();
    let pids = pids.filter_map(|pid| Pid::new(pid.parse().ok()?));
    pids.filter_map(|pid| bearer(pid).ok())
        .map(|(seen, _)| seen)
        .filter(|seen| !matches!(seen.state, 'Z' | 'X' | 'x'))
        .collect()
}

/// Whether one hangs from us, however far below. Of the dead that are not waited for this is still known.
pub fn hangs_from_us(pid: Pid) -> bool {
    let ours = ourselves::pid();
    let mut next = Some(pid);
    // No honest chain is longer.
    for _ in 0..64 {
        match next {
            Some(pid) if pid == ours => return true,
            Some(pid) => next = bearer(pid).ok().and_then(|(seen, _)| seen.ppid),
            None => return false,
        }
    }
    false
}

/// Whether a process has a handler for a signal, or ignores it. A child that is dead and not waited for still tells.
pub fn heeds(pid: Pid, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let bit = u32::try_from(signal)
        .ok()
        .and_then(|signal| signal.checked_sub(1));
    ["SigCgt:", "SigIgn:"].iter().any(|word| {
        let line = status.lines().find_map(|line| line.strip_prefix(word));
        let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.zip(bit)
            .is_some_and(|(mask, bit)| mask.checked_shr(bit).is_some_and(|rest| rest & 1 == 1))
    })
}
