//! What beadle itself was started with: its signal mask, what was ignored, how many files it might have open.
//!
//! **Invariants.** Taken before anything of it is changed, and given to the command unchanged.
//!
//! # Why before `main`
//! The standard library ignores SIGPIPE before `main` begins, and nothing tells afterwards what it was before. So one
//! disposition is looked at in a constructor, which the loader runs first.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit};

/// SIGPIPE was ignored when the program was started.
static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = note_pipe;

extern "C" fn note_pipe() {
    PIPE_IGNORED.store(ignores(libc::SIGPIPE), Ordering::Relaxed);
}

/// What a command begins with.
#[derive(Clone, Copy)]
pub struct Inherited {
    mask: libc::sigset_t,
    pipe_ignored: bool,
    child_ignored: bool,
    files: Rlimit,
}

impl std::fmt::Debug for Inherited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inherited")
            .field("pipe_ignored", &self.pipe_ignored)
            .field("child_ignored", &self.child_ignored)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Inherited {
    /// Takes note of it. Before signals are held back, the limit of files is raised or a thread is started.
    pub fn look() -> Self {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the set is emptied, and then written by the call that asks for the mask and changes none.
        let mask = unsafe {
            libc::sigemptyset(mask.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), mask.as_mut_ptr());
            mask.assume_init()
        };
        Self {
            mask,
            pipe_ignored: PIPE_IGNORED.load(Ordering::Relaxed),
            child_ignored: ignores(libc::SIGCHLD),
            files: getrlimit(Resource::Nofile),
        }
    }

    /// Puts all of it back. Between fork and exec: takes no memory and no lock.
    pub(super) fn restore(&self) -> io::Result<()> {
        let kept = |ignored| match ignored {
            true => libc::SIG_IGN,
            false => libc::SIG_DFL,
        };
        rustix::process::setrlimit(Resource::Nofile, self.files)?;
        // SAFETY: both may be called between fork and exec; the mask is one that we were given.
        unsafe {
            libc::signal(libc::SIGPIPE, kept(self.pipe_ignored));
            libc::signal(libc::SIGCHLD, kept(self.child_ignored));
            libc::pthread_sigmask(
                libc::SIG_SETMASK,
                &raw const self.mask,
                std::ptr::null_mut(),
            );
        }
        Ok(())
    }
}

/// Whether a signal is ignored now.
pub(super) fn ignores(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the call that changes nothing writes the present action; all zeros is one too, where it fails.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
