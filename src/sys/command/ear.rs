//! Signals that beadle gets while a command runs. None of them ends or stops beadle; what the command has not got already is
//! passed on to it.
//!
//! **Invariants.** What was ignored when beadle was started stays so, here and in the command. The signals are held back on
//! the first thread before there is another, so on all.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use tokio::io::unix::AsyncFd;

use super::inherited::ignores;
use crate::engine::process::Pid;

/// What is held back. SIGCHLD tells of the command itself; all else is for it.
const HELD: [i32; 11] = [
    libc::SIGCHLD,
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// One more, which cannot be held back but can be heard.
const CONTINUE: i32 = libc::SIGCONT;

/// The ear.
#[derive(Debug)]
pub struct Ear(OwnedFd);

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Its number.
    pub signal: i32,
    from_kernel: bool,
    sender: Option<Pid>,
}

impl Caught {
    /// Something became of a child.
    pub const fn is_of_child(self) -> bool {
        self.signal == libc::SIGCHLD
    }

    /// Whoever stopped goes on.
    pub const fn continues(self) -> bool {
        self.signal == CONTINUE
    }

    /// Whether whoever sent it wants an end.
    pub const fn presses(self) -> bool {
        matches!(
            self.signal,
            libc::SIGINT | libc::SIGTERM | libc::SIGQUIT | libc::SIGHUP
        )
    }

    /// Whether it stops whoever does not mind.
    pub const fn stops(self) -> bool {
        matches!(self.signal, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
    }

    /// Who sent it, where that was a process that can be seen from here. It may be gone.
    pub const fn sender(self) -> Option<Pid> {
        self.sender
    }

    /// Whether the command is to get it from us. What the terminal sends it sends to both, and a stop is the command's to
    /// heed first.
    pub const fn passes_on(self) -> bool {
        !self.from_kernel && !self.is_of_child() && !self.continues()
    }
}

impl Ear {
    /// Holds the signals back and listens.
    ///
    /// # Errors
    /// Where there is no descriptor left.
    pub fn open() -> io::Result<Self> {
        // SAFETY: a default for a signal; children that are not waited for would be none to be waited for.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        let heard = HELD.iter().chain([&CONTINUE]);
        let set = set_of(heard.copied().filter(|signal| !ignores(*signal)));
        // SAFETY: the set is a whole one; the flags are the call's own.
        let fd = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was made just now, and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Hands on what comes, on the runtime that this is called on, until `deliver` says that nobody listens.
    ///
    /// # Errors
    /// Where the runtime cannot wait for it.
    pub fn listen(self, deliver: impl Fn(Caught) -> bool + Send + 'static) -> io::Result<()> {
        // SAFETY: the descriptor is open for as long as the ear is, which is never exchanged for another.
        let ear = unsafe { AsyncFd::register(self) }?;
        tokio::spawn(async move {
            while let Ok(mut ready) = ear.readable().await {
                while let Some(caught) = ear.get_ref().next() {
                    if !deliver(caught) {
                        return;
                    }
                }
                ready.clear_ready();
            }
        });
        Ok(())
    }

    /// What came, as far as there is any.
    fn next(&self) -> Option<Caught> {
        let mut told = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: room for one; every pattern of bits is one.
        let told = unsafe {
            let read = libc::read(self.0.as_raw_fd(), told.as_mut_ptr().cast(), size);
            if usize::try_from(read) != Ok(size) {
                return None;
            }
            told.assume_init()
        };
        let from_kernel = told.ssi_code == libc::SI_KERNEL;
        Some(Caught {
            signal: i32::try_from(told.ssi_signo).ok()?,
            from_kernel,
            sender: Pid::new(told.ssi_pid).filter(|_| !from_kernel),
        })
    }
}

impl AsRawFd for Ear {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Which signals that want an end have come, and were not told yet.
pub fn pressing() -> Vec<i32> {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is written by the call; all zeros is one, where it fails.
    let waits = |set: &libc::sigset_t, signal| unsafe { libc::sigismember(set, signal) == 1 };
    // SAFETY: as above.
    let set = unsafe {
        libc::sigpending(set.as_mut_ptr());
        set.assume_init()
    };
    let all = [libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGHUP];
    all.into_iter().filter(|one| waits(&set, *one)).collect()
}

/// Stops, as the command did, until we are continued. Where no shell would notice the kernel does not stop us either: then
/// this returns at once. Not if the command does not stand any more: whoever continued it meant us too, and what was for us may
/// have come before we had stopped.
pub fn stop_along(stands: impl Fn() -> bool) {
    let stop = set_of(std::iter::once(libc::SIGTSTP));
    // SAFETY: whole sets; the signals go to this thread. From here on whoever continues us takes the stop back, which waits.
    unsafe { libc::raise(libc::SIGTSTP) };
    if !stands() {
        // SAFETY: as above. What continues takes back a stop that waits.
        unsafe { libc::raise(libc::SIGCONT) };
        return;
    }
    // SAFETY: as above; it stops all threads.
    unsafe {
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const stop, std::ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const stop, std::ptr::null_mut());
    }
}

fn set_of(signals: impl Iterator<Item = i32>) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: emptied first; numbers that are none are refused.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}
