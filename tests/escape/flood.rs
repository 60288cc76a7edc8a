//! A flood of short lives in a small pid namespace: whatever is done by number hits somebody else there.
//!
//! Numbers are rewound all the time, so that whoever is born gets one that was just given back. The flood itself counts
//! who of it did not end by itself. Events are not to be had in a pid namespace; with them, [`super::reuse`] does as much.

use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use beadle::engine::decision::Hearing;
use beadle::engine::process::Pid;
use beadle::engine::warrant::Order;
use beadle::sys::glimpse::everyone;

use super::children::Child;
use crate::desk::{Desk, Forest, wait_until, warrant};
use crate::e2e::report::{Number, Promise, Row, Tier, cannot_show};
use crate::e2e::stage::root;

const INNER: &str = "escape::flood::inside_a_small_namespace";
const ROUNDS: u32 = 1000;
/// The lowest number that is given again.
const LOWEST: &str = "300";
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
/// Everything in the namespace ends with its first process, and that one with the test: or after so many seconds.
const LIFE: u32 = 170;

/// Scenario 42.
#[test]
fn a_flood_of_numbers_that_are_given_again_and_again() {
    if !root() {
        return cannot_show("a flood in a pid namespace", "only root can make one");
    }
    let own = std::env::current_exe().unwrap();
    // The shell is the namespace's init: it waits for orphans.
    let output = Command::new("unshare")
        .args(["-pf", "--mount-proc", "--kill-child", "sh", "-c"])
        .args([r#""$0" "$@"; exit $?"#, own.to_str().unwrap()])
        .args(["--exact", INNER, "--ignored", "--nocapture"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = |name: &str| -> Option<u32> {
        let line = said.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let (Some(lost), Some(survivors), Some(lives)) =
        (count("lost "), count("survivors "), count("lives "))
    else {
        panic!("it did not come to an end:\n{said}\n{complaint}");
    };
    println!("{lives} short lives around {ROUNDS} ends");
    let row = Row {
        number: Number::from(42),
        story: "1,000 ends amid a flood of reused numbers",
        tier: Tier::Scan,
        survivors: usize::try_from(survivors).unwrap(),
        lost: usize::try_from(lost).unwrap(),
        empty: None,
        promise: Promise::Nobody,
    };
    row.tell();
    row.holds(&said);
    assert!(lives > ROUNDS * 10, "that was no flood");
}

#[test]
#[ignore = "runs in the pid namespace that its other half makes"]
fn inside_a_small_namespace() {
    if std::fs::write(LAST_PID, LOWEST).is_err() || std::process::id() > 20 {
        return;
    }
    // SAFETY: touches no memory.
    unsafe { libc::alarm(LIFE) };
    assert!(Path::new("/proc/self/stat").exists());
    let counts = Counts::share();
    let flood = Child::doing(|| flow(counts));
    let mut desk = Desk::open(Hearing::Nothing);
    let mut survivors = 0;
    for _ in 0..ROUNDS {
        let tree = Child::doing(grow);
        let mut forest = Forest::rooted(tree.pid());
        wait_until("the tree", || {
            forest.look();
            forest.members.len() >= 4
        });
        let end = warrant(Order::End, forest.targets(), desk.upto);
        desk.carry(end);
        survivors += left_of(tree.pid());
    }
    assert!(flood.lives());
    drop(flood);
    println!("lost {}", counts.lost.load(Ordering::SeqCst));
    println!("survivors {survivors}");
    println!("lives {}", counts.lives.load(Ordering::SeqCst));
}

/// What the flood tells.
#[derive(Debug, Default)]
struct Counts {
    lives: AtomicU32,
    lost: AtomicU32,
}

impl Counts {
    /// On a page that children share.
    fn share() -> &'static Self {
        // SAFETY: a fresh page is asked for and never given back; zeros are counts.
        unsafe {
            let at = libc::mmap(
                ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(at, libc::MAP_FAILED);
            &*at.cast::<Self>()
        }
    }
}

fn doze(span: Duration) {
    let micros = libc::useconds_t::try_from(span.as_micros()).unwrap_or(0);
    // SAFETY: touches no memory.
    unsafe { libc::usleep(micros) };
}

/// Children that live for a moment, with numbers that were just given back, and are left lying for another.
fn flow(counts: &Counts) {
    // SAFETY: calls of the kernel on values of our own.
    unsafe {
        libc::alarm(LIFE);
        let last = libc::open(c"/proc/sys/kernel/ns_last_pid".as_ptr(), libc::O_WRONLY);
        loop {
            for _ in 0..20 {
                libc::pwrite(last, c"300".as_ptr().cast(), 3, 0);
                if libc::fork() == 0 {
                    doze(Duration::from_millis(1));
                    libc::_exit(0);
                }
                doze(Duration::from_micros(200));
            }
            let mut status = 0;
            while libc::waitpid(-1, &raw mut status, 0) > 0 {
                counts.lives.fetch_add(1, Ordering::SeqCst);
                if libc::WIFSIGNALED(status) {
                    counts.lost.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

/// A tree in a session of its own: two who do nothing, and one who has short-lived children all the time.
fn grow() {
    // SAFETY: calls of the kernel on values of our own.
    unsafe {
        libc::alarm(20);
        libc::setsid();
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        for restless in [false, false, true] {
            if libc::fork() == 0 {
                libc::alarm(20);
                if !restless {
                    break;
                }
                loop {
                    if libc::fork() == 0 {
                        libc::_exit(0);
                    }
                    doze(Duration::from_millis(2));
                }
            }
        }
        loop {
            libc::pause();
        }
    }
}

/// Who lives on in the session that a tree made.
fn left_of(root: Pid) -> usize {
    let (_, all) = everyone();
    all.iter().filter(|one| one.session == Some(root)).count()
}
