//! Going the way that the command went.
//!
//! # Why not a status of 128 + S
//! A shell that runs a loop stops it on Ctrl-C only when what it ran *died* of SIGINT. So we die of the same signal, and whoever
//! asks the shell for `$?` reads 128 + S all the same.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Dies of this signal, without a core of our own: there is one of the command's already. Returns where it cannot be died of.
pub fn die_of(signal: i32) {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    // SAFETY: a set is emptied and given one number; the signal goes to this thread, and nothing is left to be done here.
    unsafe {
        // A pattern for cores that is a pipe does not ask for the limit.
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        let mut set = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}
