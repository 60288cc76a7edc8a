//! Fork, with a number of one's choice for the child.

use std::io;

/// Forks; the child bears this number, if one is given, and gets zero. The number must be free, and only root may choose.
///
/// The child may do nothing but call the kernel where the caller has other threads.
pub(crate) fn fork(number: Option<i32>) -> io::Result<i32> {
    let numbers = [number.unwrap_or(0)];
    // SAFETY: all-zero is a valid value of this plain struct.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.exit_signal = libc::SIGCHLD as u64;
    if number.is_some() {
        arguments.set_tid = numbers.as_ptr() as u64;
        arguments.set_tid_size = 1;
    }
    // SAFETY: without flags this is fork; `numbers` outlives the call.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match i32::try_from(pid) {
        Ok(pid) if pid >= 0 => Ok(pid),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}
