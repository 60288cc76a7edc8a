//! Villains of other users and in other namespaces.

use std::env;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::births::write_number;
use super::bounds::{Forked, exit, fork, fork_as, linger, nap, number};
use super::manners::{become_other, ignore, start};
use super::{FILE, MANNER, NUMBER, OTHER};

/// Lives in one of these manners, if it is one.
pub(super) fn live(manner: &str) {
    match manner {
        "inn" => inn(),
        "guest" => guest(),
        "turncoat" => turncoat(),
        "climber" => climber(),
        "climbed" => climbed(),
        _ => {}
    }
}

/// A pid namespace with an init and a daemon in it. The number of that init goes to `FILE`.
fn inn() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    match fork_as(libc::CLONE_NEWPID) {
        Forked::Child => {
            if fork() == Forked::Child {
                // SAFETY: touches no memory.
                unsafe { libc::setsid() };
                match fork() {
                    Forked::Child => become_other("ignore"),
                    Forked::Parent(_) => nap(Duration::from_millis(1500)),
                    Forked::Refused => {}
                }
                exit(0)
            }
            linger()
        }
        Forked::Parent(init) => write_number(init),
        Forked::Refused => exit(1),
    }
    start()
}

/// Leaves a grandchild in the pid namespace of the process `NUMBER`; everybody between is gone, so that namespace's init
/// is its parent. It writes its own number, as seen from outside, into `FILE`.
fn guest() -> ! {
    let init = number(NUMBER).and_then(|pid| i32::try_from(pid).ok());
    let Some(init) = init.and_then(Pid::from_raw) else {
        exit(2)
    };
    let Ok(hold) = pidfd_open(init, PidfdFlags::empty()) else {
        exit(2)
    };
    // SAFETY: changes where children are born, touches no memory.
    if unsafe { libc::setns(hold.as_raw_fd(), libc::CLONE_NEWPID) } != 0 {
        exit(2)
    }
    if fork() == Forked::Child && fork() == Forked::Child {
        let own = fs::read_link("/proc/self").unwrap_or_default();
        fs::write(
            env::var_os(FILE).unwrap_or_default(),
            own.as_os_str().as_encoded_bytes(),
        )
        .unwrap();
        linger()
    }
    exit(0)
}

/// Has a child that becomes somebody else: user `NUMBER`.
fn turncoat() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    let uid = number(NUMBER).and_then(|uid| libc::uid_t::try_from(uid).ok());
    if fork() == Forked::Child {
        let uid = uid.unwrap_or(libc::uid_t::MAX);
        // SAFETY: touches no memory.
        if unsafe { libc::setresuid(uid, uid, uid) } != 0 {
            exit(2)
        }
        linger()
    }
    start()
}

/// Has a child of its own kind, and one that runs `OTHER`, which belongs to root and runs as root.
fn climber() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        linger()
    }
    if fork() == Forked::Child {
        let error = Command::new(env::var_os(OTHER).unwrap_or_default())
            .args(env::args_os().skip(1))
            .env(MANNER, "climbed")
            .exec();
        panic!("cannot climb: {error}")
    }
    start()
}

/// Is root's in the eyes of the kernel; effectively it is whom `NUMBER` says.
fn climbed() -> ! {
    ignore(libc::SIGTERM);
    let uid = number(NUMBER).and_then(|uid| libc::uid_t::try_from(uid).ok());
    // SAFETY: touches no memory.
    if unsafe { libc::setresuid(0, uid.unwrap_or(0), 0) } != 0 {
        exit(2)
    }
    linger()
}
