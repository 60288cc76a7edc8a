//! The heap, kept small. Only glibc's needs it; elsewhere these do nothing.
//!
//! # Why one arena
//! glibc gives threads arenas of their own. Ours pass what they make on to the loop: facts, samples, events. What the loop
//! frees would stay with an arena that nobody fills again.

/// All threads share one arena. To be called before there are others.
pub fn share() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a number; what it refuses leaves all as it was.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back to the machine what is free, also below what is in use. It takes a fraction of a millisecond for each few
/// MiB: to be called after much was freed, not often.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: touches free memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}
