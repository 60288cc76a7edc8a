//! Storms: work that is done by many who do not live long, as builds and test runners do it. None of them ever asks for
//! its own CPU time, because asking makes the kernel count.

use std::env;
use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::bounds::{Forked, exit, fork, linger, nap, number, over};
use super::{FILE, MANNER, NUMBER};

/// How many turns of a loop take a millisecond here.
static PACE: AtomicU64 = AtomicU64::new(0);

/// Runs a storm of this name when `FILE` appears, writes `FILE.done` and stays; returns where it knows none.
pub(super) fn live(manner: &str) {
    let storm: fn() = match manner {
        "storm_mixed" => mixed,
        "storm_ignored" => ignored,
        "storm_orphaned" => orphaned,
        "storm_waited" => waited,
        "storm_threads" => threads,
        "storm_subreaper" => subreaper,
        "storm_execs" => execs,
        "link" => link(),
        _ => return,
    };
    calibrate();
    let sign = env::var_os(FILE).unwrap_or_default();
    while !Path::new(&sign).exists() && !over() {
        nap(Duration::from_millis(5));
    }
    storm();
    let mut done = sign;
    done.push(".done");
    fs::write(done, "").unwrap();
    linger()
}

/// Children of half a millisecond to twenty, all of them zombies until the end.
fn mixed() {
    for micros in [500, 1000, 2000, 5000, 10_000, 20_000].repeat(30) {
        child(|| spin(micros));
    }
    while wait() {}
}

/// Children that nobody waits for: their time goes into nobody's figure.
fn ignored() {
    disown();
    for _ in 0..300 {
        child(|| spin(4000));
        while wait() {}
    }
}

/// The same, and every other one is given away by its parent before it begins.
fn orphaned() {
    disown();
    for turn in 0..300 {
        child(|| {
            if turn % 2 == 1 && fork() != Forked::Child {
                exit(0)
            }
            spin(4000);
        });
        while wait() {}
    }
}

/// Children that are waited for one by one.
fn waited() {
    for _ in 0..250 {
        child(|| spin(5000));
        while wait() {}
    }
}

/// Short threads of a process that lives on.
fn threads() {
    for _ in 0..30 {
        let three = [(); 3].map(|()| std::thread::spawn(|| spin(12_000)));
        for thread in three {
            thread.join().unwrap();
        }
    }
}

/// Grandchildren whose parents die at once and who come to be waited for by the root.
fn subreaper() {
    // SAFETY: touches no memory.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    for _ in 0..120 {
        child(|| {
            if fork() == Forked::Child {
                spin(8000);
            }
        });
        while wait() {}
    }
}

/// Children that become another program again and again.
fn execs() {
    for _ in 0..15 {
        child(|| become_link(5));
        while wait() {}
    }
}

fn become_link(more: u64) {
    let Ok(program) = env::current_exe() else {
        exit(127)
    };
    let error = Command::new(program)
        .args(env::args_os().skip(1))
        .env(MANNER, "link")
        .env(NUMBER, more.to_string())
        .exec();
    let _ = writeln!(std::io::stderr(), "cannot go on: {error}");
    exit(127)
}

fn link() -> ! {
    calibrate();
    spin(6000);
    match number(NUMBER) {
        Some(more) if more > 0 => become_link(more - 1),
        Some(_) | None => {}
    }
    exit(0)
}

fn child(work: impl FnOnce()) {
    if fork() == Forked::Child {
        work();
        exit(0)
    }
}

/// Waits for some child; whether there was one.
fn wait() -> bool {
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(-1, ptr::null_mut(), 0) > 0 }
}

fn disown() {
    // SAFETY: changes a disposition, touches no memory.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Finds out how fast we are, by the clock on the wall: the quickest of a few tries was the least disturbed.
fn calibrate() {
    const TURNS: u64 = 400_000;
    let quickest = (0..5).map(|_| {
        let start = nanos();
        turn(TURNS);
        nanos() - start
    });
    let quickest = quickest.min().unwrap_or(1).max(1);
    PACE.store(TURNS * 1_000_000 / quickest, Ordering::SeqCst);
}

fn spin(micros: u64) {
    turn(PACE.load(Ordering::SeqCst) * micros / 1000);
}

fn turn(turns: u64) {
    for turn in 0..turns {
        black_box(turn);
    }
}

fn nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}
