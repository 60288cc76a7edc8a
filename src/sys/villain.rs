//! Children for tests: real processes in states that are hard to come by. Each ends by itself within half a minute,
//! and when it is dropped.

use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitOptions, pidfd_send_signal, waitpid};

use super::pidfd::PidFd;
use crate::engine::process::Pid;

/// A child that sleeps.
pub(crate) struct Sleeper(Child);

impl Sleeper {
    pub(crate) fn start() -> Self {
        Self::run(Command::new("sleep").arg("30"))
    }

    /// Whatever the tests were started by (`nohup` ignores HUP), it heeds what programs heed.
    pub(crate) fn run(command: &mut Command) -> Self {
        // SAFETY: `signal` is one that may be called after a fork.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                Ok(())
            });
        }
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::new(self.0.id()).unwrap()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "our own child, by its pidfd: a test's only"
    )]
    pub(crate) fn signal(&self, signal: Signal) {
        pidfd_send_signal(PidFd::open(self.pid()).unwrap(), signal).unwrap();
    }

    /// Ends it and leaves it unreaped.
    pub(crate) fn kill(&mut self) {
        let hold = PidFd::open(self.pid()).unwrap();
        self.0.kill().unwrap();
        wait_for_death(&hold);
    }

    pub(crate) fn reap(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.reap();
    }
}

/// A process whose leader thread has ended while another sleeps.
pub(crate) struct Leaderless(PidFd, Pid);

impl Leaderless {
    pub(crate) fn start() -> Self {
        extern "C" fn linger(_: *mut libc::c_void) -> *mut libc::c_void {
            // SAFETY: neither call touches memory.
            unsafe {
                libc::sleep(30);
                libc::_exit(0)
            }
        }
        // SAFETY: the child of a program with threads may call the C library's own functions that need no lock held
        // by another thread; it makes one thread there and ends, or ends at once.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            // SAFETY: as above. The id is written before anybody reads it.
            unsafe {
                let mut id = std::mem::zeroed();
                let made = libc::pthread_create(
                    &raw mut id,
                    std::ptr::null(),
                    linger,
                    std::ptr::null_mut(),
                );
                if made != 0 {
                    libc::_exit(1);
                }
                libc::syscall(libc::SYS_exit, 0);
                libc::_exit(2)
            }
        }
        let pid = Pid::new(u32::try_from(forked).unwrap()).unwrap();
        Self(PidFd::open(pid).unwrap(), pid)
    }

    pub(crate) fn pid(&self) -> Pid {
        self.1
    }
}

impl Drop for Leaderless {
    #[expect(
        clippy::disallowed_methods,
        reason = "our own child, by its pidfd: a test's only"
    )]
    fn drop(&mut self) {
        pidfd_send_signal(self.0.as_fd(), Signal::KILL).unwrap();
        let pid = rustix::process::Pid::from_raw(self.1.number().cast_signed());
        waitpid(pid, WaitOptions::empty()).unwrap();
    }
}

/// A process that fills some memory and then forks children who share it.
pub(crate) struct Sharers(Vec<(PidFd, Pid)>);

impl Sharers {
    pub(crate) fn start(bytes: usize, children: usize) -> Self {
        // SAFETY: the child of a program with threads calls nothing that needs a lock held by another thread: it maps
        // memory of its own, writes to it, forks likewise and sleeps. None of its own memory is touched by others.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            // SAFETY: as above.
            unsafe {
                let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let access = libc::PROT_READ | libc::PROT_WRITE;
                let memory = libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0);
                if memory == libc::MAP_FAILED {
                    libc::_exit(1);
                }
                memory.write_bytes(1, bytes);
                for _ in 0..children {
                    if libc::fork() == 0 {
                        break;
                    }
                }
                libc::sleep(30);
                libc::_exit(0)
            }
        }
        let root = Pid::new(u32::try_from(forked).unwrap()).unwrap();
        let mut pids = Vec::new();
        wait_until("the children of the sharer", || {
            let path = format!("/proc/{root}/task/{root}/children");
            let text = std::fs::read_to_string(path).unwrap();
            let numbers = text.split_whitespace().map(str::parse::<u32>);
            pids = numbers
                .filter_map(|number| Pid::new(number.unwrap()))
                .collect();
            pids.len() == children
        });
        pids.push(root);
        let held = pids.into_iter().map(|pid| (PidFd::open(pid).unwrap(), pid));
        Self(held.collect())
    }

    /// The children, and the root last.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        self.0.iter().map(|(_, pid)| *pid).collect()
    }
}

impl Drop for Sharers {
    #[expect(
        clippy::disallowed_methods,
        reason = "our own child and its children, by pidfd: a test's only"
    )]
    fn drop(&mut self) {
        for (held, _) in &self.0 {
            // Whoever has ended by itself needs none.
            let _ = pidfd_send_signal(held.as_fd(), Signal::KILL);
        }
        if let Some((_, root)) = self.0.last() {
            let root = rustix::process::Pid::from_raw(root.number().cast_signed());
            waitpid(root, WaitOptions::empty()).unwrap();
        }
    }
}

/// Waits, ten seconds at most, until a process is dead.
pub(crate) fn wait_for_death(hold: &PidFd) {
    let mut fds = [PollFd::new(hold, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    assert_eq!(poll(&mut fds, Some(&limit)), Ok(1), "still alive");
}

/// Asks again and again, ten seconds at most, until the answer is yes.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        let nap = Timespec {
            tv_sec: 0,
            tv_nsec: 5_000_000,
        };
        poll(&mut [], Some(&nap)).unwrap();
    }
    panic!("in vain: {what}");
}
