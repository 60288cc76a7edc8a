//! Villains with a terminal.

use std::env;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use super::bounds::{exit, nap, over};
use super::manners::{note, on_term, start};
use super::{FILE, MANNER, OTHER};

/// The terminal as it was, for the handler.
static BEFORE: AtomicPtr<libc::termios> = AtomicPtr::new(std::ptr::null_mut());

/// A terminal emulator with an interactive shell in it, in which `OTHER` is typed as a foreground job. It goes when
/// the job has written `FILE`, or at the end of its life.
pub(super) fn emulate() -> ! {
    let mut master = 0;
    // SAFETY: one thread; the pointers that are null ask for defaults.
    let pid = unsafe {
        libc::forkpty(
            &raw mut master,
            std::ptr::null_mut(),
            std::ptr::null(),
            std::ptr::null(),
        )
    };
    let Some(job) = env::var_os(OTHER) else {
        exit(2)
    };
    if pid == 0 {
        let error = Command::new("bash")
            .args(["--norc", "--noprofile", "-i"])
            .env(MANNER, "foreground")
            .exec();
        let _ = writeln!(std::io::stderr(), "no bash: {error}");
        exit(127)
    }
    welcome_messages(master);
    let mut typed = job.into_encoded_bytes();
    typed.push(b'\n');
    let write = |bytes: &[u8]| {
        // SAFETY: the bytes are ours.
        unsafe { libc::write(master, bytes.as_ptr().cast(), bytes.len()) };
    };
    write(&typed);
    let done = env::var_os(FILE).unwrap_or_default();
    // SAFETY: a flag of our own descriptor.
    unsafe { libc::fcntl(master, libc::F_SETFL, libc::O_NONBLOCK) };
    while !over() && !Path::new(&done).exists() {
        let mut screen = [0_u8; 4096];
        // SAFETY: reads into a buffer of that length.
        let read = unsafe { libc::read(master, screen.as_mut_ptr().cast(), screen.len()) };
        if let Ok(read @ 1..) = usize::try_from(read) {
            let _ = std::io::stderr().write_all(&screen[..read]);
        }
        nap(Duration::from_millis(10));
    }
    write(b"exit\n");
    nap(Duration::from_millis(300));
    exit(0)
}

/// What `mesg y` does, and most systems do for terminals that people sit at.
fn welcome_messages(master: i32) {
    let mut name = [0; 64];
    // SAFETY: the name is ours to be written, and ends in NUL where that succeeds.
    unsafe {
        if libc::ptsname_r(master, name.as_mut_ptr(), name.len()) == 0 {
            libc::chmod(name.as_ptr(), 0o620);
        }
    }
}

/// A full-screen program: it changes its terminal, and puts it right before it goes.
pub(super) fn foreground() -> ! {
    let mut before = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: filled by the first call where that succeeds; `raw` is a copy.
    unsafe {
        if libc::tcgetattr(0, before.as_mut_ptr()) != 0 {
            exit(3);
        }
        let before = before.assume_init();
        let mut raw = before;
        BEFORE.store(Box::into_raw(Box::new(before)), Ordering::SeqCst);
        libc::cfmakeraw(&raw mut raw);
        libc::tcsetattr(0, libc::TCSANOW, &raw const raw);
    }
    on_term(put_right);
    start()
}

extern "C" fn put_right(_: i32) {
    // SAFETY: may be called in a handler; the settings are never freed.
    let put = unsafe { libc::tcsetattr(0, libc::TCSADRAIN, BEFORE.load(Ordering::SeqCst)) };
    if put == 0 {
        note();
    }
    exit(0)
}

/// Does first what a script of the shell's says (`OTHER`), which may leave servers behind.
pub(super) fn script() -> ! {
    let script = env::var(OTHER).unwrap_or_default();
    let done = Command::new("sh")
        .args(["-c", &script])
        .env_remove(MANNER)
        .status();
    if !done.as_ref().is_ok_and(std::process::ExitStatus::success) {
        let _ = writeln!(std::io::stderr(), "the script failed: {done:?}");
    }
    start()
}
