//! The heap, kept small. Only glibc's needs it; elsewhere these do nothing.
//!
//! # Why one arena
//! glibc gives threads arenas of their own. Ours pass what they make on to the loop: facts, samples, events. What the loop
//! frees would stay with an arena that nobody fills again.
//!
//! # Why a threshold
//! A look at thousands makes one large list of questions and one of answers. Left alone, glibc learns from the first that
//! was freed to take such lists from the heap, and they leave holes there for good; from [`LARGE`] on they are the
//! machine's again as soon as they are dropped.

/// What is at least so large is mapped by itself.
const LARGE: i32 = 128 << 10;

/// Sets the heap up. To be called before there are other threads.
pub fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets numbers; what it refuses leaves all as it was.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
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
