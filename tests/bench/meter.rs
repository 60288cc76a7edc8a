//! Meters.

use std::fs;
use std::time::Duration;

/// CPU time that a process has used, all its threads of now and before. `None` when it is gone.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    let mut clock = 0;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both are given places of ours to write to, of the right types.
    let read = unsafe {
        libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
    read.then_some(seconds + Duration::from_nanos(time.tv_nsec.unsigned_abs()))
}

/// How many processes and threads the machine ever made.
pub(crate) fn forks() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let forks = stat
        .lines()
        .find_map(|line| line.strip_prefix("processes "));
    forks.unwrap().parse().unwrap()
}

/// The one in the middle; there must be one.
pub(crate) fn middle(figures: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = figures.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
