//! What a thread waits for, by the call it is in (`/proc/PID/task/TID/syscall`): the number of the call and its arguments.
//!
//! Numbers are those of this machine's own programs. A program for another machine (32 bits on one of 64) has others; what it waits for is
//! then told wrongly, and what moves in it is told by its counters as ever.

use std::collections::BTreeMap;

use super::ends::Open;
use crate::engine::activity::Waits;

/// What must be known of a process to tell what its threads wait for.
#[derive(Debug)]
pub(super) struct Around<'a> {
    /// What each of its descriptors is.
    pub(super) files: &'a BTreeMap<u32, Open>,
    /// It is in the foreground of its terminal.
    pub(super) attended: bool,
}

/// Reads the line.
pub(super) fn wait(line: &[u8], around: &Around<'_>) -> Waits {
    let none = Waits::default();
    let Ok(line) = std::str::from_utf8(line.trim_ascii_end()) else {
        return Waits { unknown: 1, ..none };
    };
    if line == "running" {
        return Waits { run: 1, ..none };
    }
    let mut words = line.split(' ');
    let Some(call) = words
        .next()
        .and_then(|word| word.parse::<libc::c_long>().ok())
    else {
        return Waits { unknown: 1, ..none };
    };
    let mut argument = || {
        let word = words.next()?.strip_prefix("0x")?;
        u64::from_str_radix(word, 16).ok()
    };
    let first = argument();
    let second = argument();
    of_call(call, first, second, around)
}

fn of_call(
    call: libc::c_long,
    first: Option<u64>,
    second: Option<u64>,
    around: &Around<'_>,
) -> Waits {
    let none = Waits::default();
    let is = |known: libc::c_long| known == call;
    let open = first.and_then(|fd| around.files.get(&u32::try_from(fd).ok()?));
    if is(libc::SYS_futex) {
        return Waits { thread: 1, ..none };
    }
    if is(libc::SYS_flock) {
        return Waits { lock: 1, ..none };
    }
    if is(libc::SYS_fcntl) {
        let locks = [libc::F_SETLKW, libc::F_OFD_SETLKW];
        let waits = second.and_then(|command| i32::try_from(command).ok());
        return match waits.is_some_and(|command| locks.contains(&command)) {
            true => Waits { lock: 1, ..none },
            false => Waits { other: 1, ..none },
        };
    }
    if is(libc::SYS_wait4) || is(libc::SYS_waitid) {
        return Waits { child: 1, ..none };
    }
    if is(libc::SYS_nanosleep) || is(libc::SYS_clock_nanosleep) {
        return Waits { time: 1, ..none };
    }
    let moves = [
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_write,
        libc::SYS_writev,
    ];
    if moves.into_iter().any(is) {
        return match open {
            Some(Open::Pipe) => Waits { pipe: 1, ..none },
            Some(Open::Socket) => Waits { socket: 1, ..none },
            Some(Open::Terminal) if around.attended => Waits { person: 1, ..none },
            Some(Open::Terminal | Open::Other) | None => Waits { other: 1, ..none },
        };
    }
    let talks = [
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_recvmmsg,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_sendmmsg,
        libc::SYS_connect,
    ];
    if talks.into_iter().any(is) {
        return Waits { socket: 1, ..none };
    }
    if for_any(call) {
        let terminal = around.files.get(&0) == Some(&Open::Terminal);
        return match around.attended && terminal {
            true => Waits { person: 1, ..none },
            false => Waits { call: 1, ..none },
        };
    }
    Waits { other: 1, ..none }
}

/// Calls that wait for any of several things.
fn for_any(call: libc::c_long) -> bool {
    let calls = [
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
    ];
    // These have been replaced on younger machines, and are not there.
    #[cfg(target_arch = "x86_64")]
    let older = [libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait];
    #[cfg(not(target_arch = "x86_64"))]
    let older = [];
    let mut all = calls.into_iter().chain(older);
    all.any(|known| known == call)
}
