//! Who holds a lock that others wait for.

use std::env;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::FILE;
use super::bounds::{Forked, exit, fork, linger, nap, over};
use super::manners::{ignore, start};

/// Lives in one of these manners, if it is one.
pub(super) fn live(manner: &str) {
    if manner == "convoy" {
        convoy();
    }
}

/// One takes the lock on `FILE.lock` and gives it to a child of its own, which holds it from then on; two wait for it. Whoever
/// took it tells its number in `FILE.pid` and goes when there is a `FILE`: the kernel goes on naming it.
fn convoy() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    let sign = PathBuf::from(env::var_os(FILE).unwrap_or_default());
    let told = sign.with_extension("pid");
    if fork() == Forked::Child {
        take(&sign, &told);
    }
    while !told.exists() && !over() {
        nap(Duration::from_millis(2));
    }
    for _ in 0..2 {
        if fork() == Forked::Child {
            let file = open(&sign);
            // SAFETY: the file is open; it may take until the end.
            unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) };
            linger()
        }
    }
    start()
}

fn take(sign: &Path, told: &Path) -> ! {
    let file = open(sign);
    // SAFETY: the file is open, and nobody has the lock.
    let taken = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) };
    assert_eq!(taken, 0, "the lock is another's");
    if fork() == Forked::Child {
        linger()
    }
    let half = told.with_extension("half");
    fs::write(&half, std::process::id().to_string()).unwrap();
    fs::rename(half, told).unwrap();
    while !sign.exists() && !over() {
        nap(Duration::from_millis(2));
    }
    exit(0)
}

fn open(sign: &Path) -> File {
    let path = sign.with_extension("lock");
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}
