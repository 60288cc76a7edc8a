//! What keeps a villain in bounds, whatever its manner.

use std::env;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::{FORKS, UNTIL};

/// What all processes of a villain count on together.
static COUNTS: AtomicPtr<Counts> = AtomicPtr::new(ptr::null_mut());

/// The page that they share.
struct Counts {
    forks: AtomicU32,
    admitted: AtomicU32,
}

/// The deadline and the most forks, kept here: some villains overwrite their environment.
static END: AtomicU64 = AtomicU64::new(0);
static MOST: AtomicU64 = AtomicU64::new(0);

/// Longest life of a villain that was told no deadline.
const DEFAULT_LIFE: Duration = Duration::from_secs(30);

/// Private memory of one process. Address space is no measure: a browser reserves a terabyte of it and uses nothing by that.
const MEMORY: u64 = 4 << 30;

/// CPU seconds of one process.
const CPU: u64 = 60;

/// What came of a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forked {
    Parent(i32),
    Child,
    /// Time or number is up, or the kernel refused.
    Refused,
}

/// Takes the bounds on: to be called first in every image.
pub(super) fn take() {
    // SAFETY: a fresh anonymous page is asked for; it is never unmapped.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert!(page != libc::MAP_FAILED, "no page to count forks on");
    COUNTS.store(page.cast(), Ordering::SeqCst);
    let end = number(UNTIL).unwrap_or_else(|| now() + millis(DEFAULT_LIFE));
    END.store(end, Ordering::SeqCst);
    MOST.store(number(FORKS).unwrap_or(64), Ordering::SeqCst);
    for (resource, most) in [
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_CPU, CPU),
        (libc::RLIMIT_DATA, MEMORY),
    ] {
        let limit = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        // SAFETY: a limit of our own is lowered; a refusal leaves the one there was.
        unsafe { libc::setrlimit(resource, &raw const limit) };
    }
    set_alarm();
}

/// Milliseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let millis = time.tv_sec * 1000 + time.tv_nsec / 1_000_000;
    u64::try_from(millis).unwrap_or(0)
}

fn deadline() -> u64 {
    END.load(Ordering::SeqCst)
}

pub(super) fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Whether this life is over.
pub(super) fn over() -> bool {
    now() >= deadline()
}

/// An alarm survives exec and not fork: each process sets its own. Its default action ends the process.
fn set_alarm() {
    let left = deadline().saturating_sub(now()).div_ceil(1000).max(1);
    // SAFETY: touches no memory.
    unsafe { libc::alarm(u32::try_from(left).unwrap_or(30)) };
}

/// Forks, within bounds.
pub(super) fn fork() -> Forked {
    if !may_fork() {
        return Forked::Refused;
    }
    // SAFETY: whoever forks with other threads about does nothing in the child but call the kernel.
    forked(i64::from(unsafe { libc::fork() }))
}

/// Forks in another way, as the flags of clone say.
pub(super) fn fork_as(flags: i32) -> Forked {
    if !may_fork() {
        return Forked::Refused;
    }
    // SAFETY: all-zero is a valid value of this plain struct.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(flags.cast_unsigned());
    // A sibling has its signal from who has us.
    if flags & libc::CLONE_PARENT == 0 {
        arguments.exit_signal = libc::SIGCHLD as u64;
    }
    // SAFETY: memory is not shared, so this is fork with another family.
    forked(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<libc::clone_args>(),
        )
    })
}

fn forked(pid: i64) -> Forked {
    match i32::try_from(pid) {
        Ok(0) => {
            set_alarm();
            Forked::Child
        }
        Ok(pid) if pid > 0 => Forked::Parent(pid),
        Ok(_) | Err(_) => Forked::Refused,
    }
}

fn may_fork() -> bool {
    let most = MOST.load(Ordering::SeqCst);
    !over() && u64::from(counts().forks.fetch_add(1, Ordering::SeqCst)) < most
}

/// Whether one more may join those who stay, where so many may at most.
pub(super) fn admit(most: u64) -> bool {
    u64::from(counts().admitted.fetch_add(1, Ordering::SeqCst)) < most
}

fn counts() -> &'static Counts {
    // SAFETY: the page was mapped by `take` and stays; it began as zeros.
    unsafe { &*COUNTS.load(Ordering::SeqCst) }
}

/// Ends this process at once: none of the library's last acts, which a fork would do twice.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: does not return and runs no handlers.
    unsafe { libc::_exit(code) }
}

/// Burns CPU time, not wall time.
pub(super) fn burn(span: Duration) {
    let used = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    };
    let end = used() + span;
    while used() < end && !over() {
        std::hint::black_box((0..2000_u64).sum::<u64>());
    }
}

/// Sleeps, whatever signals come, for so long or until life is over.
pub(super) fn nap(span: Duration) {
    let end = (now() + millis(span)).min(deadline());
    while now() < end {
        let left = (end - now()).min(1000);
        let wait = rustix::event::Timespec {
            tv_sec: (left / 1000).cast_signed(),
            tv_nsec: (left % 1000 * 1_000_000).cast_signed(),
        };
        let _interrupted = rustix::event::poll(&mut [], Some(&wait));
    }
}

/// Sleeps for a moment, or until a signal comes.
pub(super) fn doze(span: Duration) {
    let wait = rustix::event::Timespec::try_from(span).unwrap_or_default();
    let _interrupted = rustix::event::poll(&mut [], Some(&wait));
}

/// Sleeps until life is over, then ends.
pub(super) fn linger() -> ! {
    nap(Duration::from_secs(3600));
    exit(0)
}
