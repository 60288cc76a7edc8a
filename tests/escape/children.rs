//! Children of the test's own, made by hand: with numbers of its choice, and at its word.
//!
//! **Invariants.** After the fork they do nothing but call the kernel: the test has other threads. Each ends by its own
//! alarm, and with its handle.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use beadle::engine::process::Pid;
use rustix::process::{
    PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use crate::fork::fork;

/// How long a child lives at most, in seconds.
const LIFE: u32 = 60;

/// Why no number can be chosen, if none can.
pub(super) fn cannot_choose_numbers() -> Option<&'static str> {
    let child = Child::idle();
    let number = child.pid();
    child.end();
    Child::numbered(number)
        .is_none()
        .then_some("only root can choose numbers")
}

/// A child that nobody has waited for: its number is its own.
pub(super) struct Child {
    pid: Pid,
    hold: OwnedFd,
}

impl Child {
    /// One that does nothing.
    pub(super) fn idle() -> Self {
        Self::made(None, idle).unwrap()
    }

    /// One that does nothing, and bears this number: `None` where the number is taken, and stays so for a moment.
    pub(super) fn numbered(number: Pid) -> Option<Self> {
        let end = std::time::Instant::now() + std::time::Duration::from_millis(100);
        loop {
            match Self::made(Some(number), idle) {
                Ok(child) => return Some(child),
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
                Err(_) => return None,
            }
            if std::time::Instant::now() > end {
                return None;
            }
        }
    }

    /// One that does this. It may do nothing but call the kernel.
    pub(super) fn doing(live: impl FnOnce()) -> Self {
        Self::made(None, live).unwrap()
    }

    fn made(number: Option<Pid>, live: impl FnOnce()) -> io::Result<Self> {
        let pid = fork(number.map(|number| number.number().cast_signed()))?;
        if pid == 0 {
            live();
            // SAFETY: does not return.
            unsafe { libc::_exit(0) }
        }
        let raw = rustix::process::Pid::from_raw(pid).unwrap();
        Ok(Self {
            pid: Pid::new(pid.cast_unsigned()).unwrap(),
            hold: pidfd_open(raw, PidfdFlags::empty())?,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it has not ended.
    pub(super) fn lives(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::PidFd(self.hold.as_fd()), options), Ok(None))
    }

    /// Ends it and waits for it: its number is free.
    pub(super) fn end(self) {}
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.hold, Signal::KILL);
        let _ = waitid(WaitId::PidFd(self.hold.as_fd()), WaitIdOptions::EXITED);
    }
}

fn idle() {
    // SAFETY: neither touches memory.
    unsafe {
        libc::alarm(LIFE);
        loop {
            libc::pause();
        }
    }
}

/// A child that has children when it is told to.
pub(super) struct Parent {
    child: Child,
    orders: OwnedFd,
    answers: OwnedFd,
}

const HAVE: u8 = 1;
const LOSE: u8 = 2;
const AGAIN: u8 = 3;

impl Parent {
    pub(super) fn start() -> Self {
        let (theirs, orders) = pipe();
        let (answers, says) = pipe();
        let child = Child::made(None, || obey(theirs.as_raw_fd(), says.as_raw_fd())).unwrap();
        Self {
            child,
            orders,
            answers,
        }
    }

    pub(super) fn pid(&self) -> Pid {
        self.child.pid()
    }

    pub(super) fn lives(&self) -> bool {
        self.child.lives()
    }

    fn tell(&mut self, order: u8) {
        rustix::io::write(&self.orders, &[order]).unwrap();
    }

    fn answer(&mut self) -> Pid {
        let mut number = [0; 4];
        assert_eq!(rustix::io::read(&self.answers, &mut number), Ok(4));
        Pid::new(u32::from_ne_bytes(number)).unwrap()
    }

    /// It has a child of this number.
    pub(super) fn have_child(&mut self) -> Pid {
        self.tell(HAVE);
        self.answer()
    }

    /// Its child is dead, and waited for.
    pub(super) fn lose_child(&mut self) {
        self.tell(LOSE);
        self.answer();
    }

    /// From now on it has its child again and again, with the same number, and loses it at once.
    pub(super) fn have_it_again_and_again(&mut self) {
        self.tell(AGAIN);
        self.answer();
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: two numbers are written, which are ours then.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// What a parent does.
fn obey(orders: i32, answers: i32) {
    // SAFETY: calls of the kernel on values of our own.
    unsafe { libc::alarm(LIFE) };
    let mut child = 0;
    let mut order = 0_u8;
    // SAFETY: as above.
    while unsafe { libc::read(orders, ptr::from_mut(&mut order).cast(), 1) } == 1 {
        match order {
            HAVE => {
                child = fork(None).unwrap_or(0);
                if child == 0 {
                    idle();
                }
            }
            LOSE => lose(child),
            _ => {}
        }
        // SAFETY: as above.
        unsafe { libc::write(answers, ptr::from_ref(&child).cast(), 4) };
        if order == AGAIN {
            lose(child);
            again_and_again(child);
        }
    }
}

fn lose(child: i32) {
    let Some(pid) = rustix::process::Pid::from_raw(child) else {
        return;
    };
    if let Ok(hold) = pidfd_open(pid, PidfdFlags::empty()) {
        let _ = pidfd_send_signal(&hold, Signal::KILL);
    }
    // SAFETY: waits for our own child.
    unsafe { libc::waitpid(child, ptr::null_mut(), 0) };
}

fn again_and_again(number: i32) {
    loop {
        match fork(Some(number)) {
            // SAFETY: does not return.
            Ok(0) => unsafe { libc::_exit(0) },
            // SAFETY: waits for our own child.
            Ok(child) => unsafe {
                libc::waitpid(child, ptr::null_mut(), 0);
            },
            // The test has it now.
            Err(_) => idle(),
        }
    }
}
