//! Villains that hold memory, in places where it is not looked for.

use std::env;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use super::bounds::{Forked, exit, fork, linger, nap, number, over};
use super::{FILE, NUMBER};

/// Lives in one of these manners, if it is one.
pub(super) fn live(manner: &str) {
    match manner {
        "hold_once" => hold_once(),
        "hold_each" => hold_each(),
        "share" => share(),
        "shmem" => held(libc::MAP_SHARED),
        "hugetlb" => held(libc::MAP_PRIVATE | libc::MAP_HUGETLB),
        "swell" => swell(),
        _ => {}
    }
}

const PAGE: usize = 4096;

fn size() -> usize {
    usize::try_from(number(NUMBER).unwrap_or(0)).unwrap_or(0) << 20
}

/// Anonymous memory of `NUMBER` MiB, every page of it touched.
fn map(flags: i32) -> *mut u8 {
    // SAFETY: fresh memory is asked for, and never given back.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_ANONYMOUS | flags,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        exit(3)
    }
    // Pages of 4 KiB: the fewer there are, the quicker is a fork.
    // SAFETY: what was mapped above.
    unsafe { libc::madvise(at, size(), libc::MADV_NOHUGEPAGE) };
    touch(at.cast(), size());
    at.cast()
}

fn touch(at: *mut u8, span: usize) {
    for offset in (0..span).step_by(PAGE) {
        // SAFETY: within what `map` mapped.
        unsafe { ptr::write_volatile(at.add(offset), 7) };
    }
}

/// Has five children who share what it holds.
fn hold_once() -> ! {
    map(libc::MAP_PRIVATE);
    for _ in 0..5 {
        if fork() == Forked::Child {
            break;
        }
    }
    linger()
}

/// Has five children; each holds its own.
fn hold_each() -> ! {
    for _ in 0..5 {
        if fork() == Forked::Child {
            break;
        }
    }
    map(libc::MAP_PRIVATE);
    linger()
}

/// Has eight children who share what it holds, until `FILE` appears: then each makes half of it its own.
fn share() -> ! {
    let held = map(libc::MAP_PRIVATE);
    for _ in 0..8 {
        if fork() == Forked::Child {
            break;
        }
    }
    let sign = env::var_os(FILE).unwrap_or_default();
    while !Path::new(&sign).exists() && !over() {
        nap(Duration::from_millis(5));
    }
    touch(held, size() / 2);
    linger()
}

/// Holds memory of this kind.
fn held(flags: i32) -> ! {
    map(flags);
    linger()
}

/// Holds much and forks without a pause: at each fork its memory is locked for as long as that takes.
fn swell() -> ! {
    // SAFETY: changes a disposition, touches no memory.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    map(libc::MAP_PRIVATE);
    while !over() {
        match fork() {
            Forked::Child => exit(0),
            Forked::Parent(_) => {}
            Forked::Refused => linger(),
        }
    }
    exit(0)
}
