//! Villains that do not stand still, or do not move; and those who see to it.

use std::env;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::bounds::{Forked, burn, doze, exit, fork, fork_as, linger, number, over};
use super::manners::{handle_term, ignore, note_and_exit, note_in, start};
use super::{BURN, FILE, NUMBER};

/// Lives in one of these manners, if it is one.
pub(super) fn live(manner: &str) {
    match manner {
        "partners" => partners(),
        "meddler" => meddler(),
        "vfork" => waits_for_its_child(),
        "tracer" => tracer(),
        "trio" => trio(),
        "stopped_pair" => stopped_pair(),
        "group" => group(),
        "neighbor" => neighbor(),
        _ => {}
    }
}

/// A hold on a process, by its number.
fn hold(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// Sends a signal to a parent, a child, or whom the test names. May be called in a handler.
pub(super) fn send(pid: i32, signal: i32) {
    if let (Some(hold), Some(signal)) = (hold(pid), Signal::from_named_raw(signal)) {
        let _gone = pidfd_send_signal(&hold, signal);
    }
}

/// Whom the test names.
fn named() -> i32 {
    number(NUMBER)
        .and_then(|pid| i32::try_from(pid).ok())
        .unwrap_or(0)
}

/// Wakes another again and again, at this pace, for as long as it lives.
fn keep_awake(pid: i32, pace: Duration) {
    let Some(hold) = hold(pid) else { return };
    while !over() && pidfd_send_signal(&hold, Signal::CONT).is_ok() {
        doze(pace);
    }
}

/// Two that continue each other every half millisecond.
fn partners() -> ! {
    ignore(libc::SIGTERM);
    burn(Duration::from_millis(number(BURN).unwrap_or(0)));
    // SAFETY: touches no memory.
    let other = match fork() {
        Forked::Child => unsafe { libc::getppid() },
        Forked::Parent(child) => child,
        Forked::Refused => exit(1),
    };
    keep_awake(other, Duration::from_micros(500));
    linger()
}

/// Continues somebody else's process every millisecond.
fn meddler() -> ! {
    keep_awake(named(), Duration::from_millis(1));
    linger()
}

/// Cannot be stopped or asked while its child lives: it waits in the kernel.
fn waits_for_its_child() -> ! {
    ignore(libc::SIGTERM);
    burn(Duration::from_millis(number(BURN).unwrap_or(0)));
    let _child_or_after = fork_as(libc::CLONE_VFORK);
    linger()
}

/// Stops somebody else's process as debuggers do, and does not look at it again.
fn tracer() -> ! {
    let pid = named();
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the kernel is asked to stop another process; nothing is read of it.
    unsafe {
        libc::ptrace(libc::PTRACE_SEIZE, pid, none, none);
        libc::ptrace(libc::PTRACE_INTERRUPT, pid, none, none);
        libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
    }
    linger()
}

/// One who is deaf, with a child who leaves at once when asked, and one who has something to write first.
fn trio() -> ! {
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        linger()
    }
    if fork() == Forked::Child {
        note_in(env::var_os(FILE).unwrap_or_default());
        handle_term(note_and_exit);
        linger()
    }
    ignore(libc::SIGTERM);
    start()
}

/// Stopped, with a stopped child in a group of its own; both have something to write when asked.
fn stopped_pair() -> ! {
    let path = env::var_os(FILE).unwrap_or_default();
    let child = fork() == Forked::Child;
    let mut own = path;
    own.push(if child { ".child" } else { ".root" });
    note_in(own);
    handle_term(note_and_exit);
    if child {
        // SAFETY: touches no memory.
        unsafe { libc::setpgid(0, 0) };
    } else {
        burn(Duration::from_millis(number(BURN).unwrap_or(0)));
    }
    // SAFETY: touches no memory.
    unsafe { libc::raise(libc::SIGSTOP) };
    linger()
}

/// Leads a process group that others may join.
fn group() -> ! {
    // SAFETY: touches no memory.
    unsafe { libc::setpgid(0, 0) };
    ignore(libc::SIGTERM);
    start()
}

/// Joins somebody's process group, as the other end of a pipe does.
fn neighbor() -> ! {
    // SAFETY: touches no memory.
    unsafe { libc::setpgid(0, named()) };
    linger()
}
