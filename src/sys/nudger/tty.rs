//! A line to the terminal of the tree itself: the person may be sitting right there.
//!
//! **Invariants.** We write only where that person lets messages in (`mesg y`: the terminal is writable for its
//! group, the rule of `write(1)` and `wall(1)`), and only when the terminal is theirs. The device is checked by
//! descriptor, before it is opened for writing: opening one that is no terminal can have effects of its own. Nothing
//! waits: the terminal is opened and written without blocking, on a thread of its own. What is written is one line
//! and holds nothing that steers a terminal.
//!
//! Serial lines are left alone: closing one may wait for its output for 30 s.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, major, minor, open, openat};
use rustix::io::Errno;
use rustix::termios::isatty;

use super::worker::{Delivery, Health, Worker};
use crate::engine::process::Uid;
use crate::engine::units::Mono;

/// Bytes of the longest line: what a terminal takes at once, and a person reads.
const LONGEST: usize = 1024;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is on the screen.
    Written,
    /// Its user wants no messages (`mesg n`).
    Unwelcome,
    /// It belongs to somebody else than we mean to tell.
    Foreign,
    /// There is no such terminal (any more), or it is none that we write to.
    NoTerminal,
    /// Its output is stopped (Ctrl-S) or full.
    Full,
    /// The kernel refused.
    Refused,
}

/// A line for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The terminal's device, as the tree has it.
    pub device: PathBuf,
    /// Whom we mean to tell: the terminal must be theirs.
    pub audience: Uid,
    /// What.
    pub text: String,
}

/// The thread that tells terminals. Opening one takes locks in the kernel that a hung driver may hold.
#[derive(Debug)]
pub struct Terminals(Worker<Line>);

impl Terminals {
    /// Starts it.
    pub fn start() -> io::Result<Self> {
        let deliver = |line: Line| match tell(&line) {
            // That somebody is not to be told is no fault.
            Told::Written | Told::Unwelcome | Told::Foreign | Told::NoTerminal => Delivery::Taken,
            Told::Full | Told::Refused => Delivery::Lost,
        };
        Worker::start("terminals", deliver).map(Self)
    }

    /// Writes a line. Never waits.
    pub fn write(&mut self, line: Line, now: Mono) {
        self.0.give(line, now);
    }

    /// How it is doing at `now`.
    pub fn health(&mut self, now: Mono) -> Health {
        self.0.health(now)
    }

    /// Gives what is queued at most `patience` to arrive.
    pub fn finish(self, patience: Duration) {
        self.0.finish(patience);
    }
}

/// Writes one line, now, on this thread.
pub fn tell(line: &Line) -> Told {
    let terminal = match welcome(&line.device, line.audience) {
        Ok(terminal) => terminal,
        Err(told) => return told,
    };
    // A fresh line before, for the cursor is wherever the program left it; CR because it may have switched off the
    // terminal's own.
    let mut text = String::from("\r\n");
    text.push_str(&printable(&line.text));
    text.push_str("\r\n");
    match rustix::io::write(&terminal, text.as_bytes()) {
        Ok(written) if written == text.len() => Told::Written,
        Ok(_) | Err(Errno::AGAIN) => Told::Full,
        Err(Errno::IO | Errno::NXIO) => Told::NoTerminal,
        Err(_) => Told::Refused,
    }
}

/// The terminal, open for writing, if it is one, theirs, and lets messages in.
fn welcome(device: &Path, audience: Uid) -> Result<OwnedFd, Told> {
    if !device.starts_with("/dev") {
        return Err(Told::NoTerminal);
    }
    let found = open(
        device,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|_| Told::NoTerminal)?;
    let stat = fstat(&found).map_err(|_| Told::NoTerminal)?;
    if !is_screen(&stat) {
        return Err(Told::NoTerminal);
    }
    if stat.st_uid != audience.0 {
        return Err(Told::Foreign);
    }
    if !Mode::from_raw_mode(stat.st_mode).contains(Mode::WGRP) {
        return Err(Told::Unwelcome);
    }
    // Through the descriptor, so that what was checked is what is opened.
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let terminal = openat(CWD, &again, flags, Mode::empty()).map_err(|error| match error {
        // mesg y lets in the group `tty`, which we need not be in.
        Errno::ACCESS | Errno::PERM => Told::Unwelcome,
        Errno::IO | Errno::NXIO | Errno::NOENT => Told::NoTerminal,
        _ => Told::Refused,
    })?;
    if isatty(&terminal) {
        Ok(terminal)
    } else {
        Err(Told::NoTerminal)
    }
}

/// A pseudo-terminal or a virtual console, by its numbers (the kernel's `devices.txt`).
fn is_screen(stat: &Stat) -> bool {
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && matches!(device, (136..=143, _) | (4, 1..=63))
}

/// The text, cut to a line, with nothing in it that a terminal would obey.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for letter in text.chars() {
        if out.len() + letter.len_utf8() > LONGEST {
            out.push('…');
            break;
        }
        out.push(if letter.is_control() { '?' } else { letter });
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::FromRawFd;

    use rustix::fs::fchmod;

    use super::*;

    /// Both ends of a pseudo-terminal of ours.
    struct Pty {
        screen: std::fs::File,
        device: PathBuf,
        slave: OwnedFd,
    }

    impl Pty {
        fn open(mode: u32) -> Self {
            let (mut master, mut slave, mut name) = (-1, -1, [0; 64]);
            let nothing = std::ptr::null_mut();
            // SAFETY: both descriptors and the name are ours to be written; 64 bytes hold `/dev/pts/` and a number.
            let made = unsafe {
                libc::openpty(
                    &raw mut master,
                    &raw mut slave,
                    name.as_mut_ptr(),
                    nothing,
                    nothing.cast(),
                )
            };
            assert_eq!(made, 0);
            // SAFETY: openpty has just made them, and nobody else has them.
            let (master, slave) =
                unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
            // SAFETY: openpty ends the name with a zero byte.
            let device = unsafe { std::ffi::CStr::from_ptr(name.as_ptr()) };
            let device = PathBuf::from(device.to_str().unwrap());
            fchmod(&slave, Mode::from_raw_mode(mode)).unwrap();
            Self {
                screen: master.into(),
                device,
                slave,
            }
        }

        fn line(&self, text: &str) -> Line {
            Line {
                device: self.device.clone(),
                audience: me(),
                text: text.to_owned(),
            }
        }

        /// What the person sees, after something was written.
        fn seen(&mut self) -> String {
            let mut seen = [0; 4096];
            let length = self.screen.read(&mut seen).unwrap();
            String::from_utf8(seen[..length].to_vec()).unwrap()
        }
    }

    fn me() -> Uid {
        Uid(rustix::process::geteuid().as_raw())
    }

    #[test]
    fn a_welcome_line_is_on_the_screen_and_steers_nothing() {
        let mut pty = Pty::open(0o620);
        let line = pty.line("beadle: \x1b[2Jpytest\r\n[4711] ünï \u{9b}x");
        assert_eq!(tell(&line), Told::Written);
        let seen = pty.seen();
        // The terminal itself makes CR LF of the LF, so the CR may come twice.
        let seen = seen.replace("\r\r\n", "\r\n");
        assert_eq!(seen, "\r\nbeadle: ?[2Jpytest??[4711] ünï ?x\r\n");
        drop(pty.slave);
    }

    #[test]
    fn nobody_is_told_who_does_not_want_to_be_or_is_not_meant() {
        let closed = Pty::open(0o600);
        assert_eq!(tell(&closed.line("x")), Told::Unwelcome);
        let open = Pty::open(0o620);
        let foreign = Line {
            audience: Uid(me().0 + 1),
            ..open.line("x")
        };
        assert_eq!(tell(&foreign), Told::Foreign);
    }

    #[test]
    fn only_screens_are_opened() {
        let line = |device: &str| Line {
            device: PathBuf::from(device),
            audience: Uid::ROOT,
            text: "x".to_owned(),
        };
        for device in [
            "/dev/null",
            "/dev/zero",
            "/dev/pts/999999",
            "/dev/ptmx",
            "/dev",
            "/etc/passwd",
            "",
        ] {
            assert_eq!(tell(&line(device)), Told::NoTerminal, "{device}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tty");
        std::fs::write(&file, "").unwrap();
        assert_eq!(tell(&line(file.to_str().unwrap())), Told::NoTerminal);
    }

    #[test]
    fn a_full_terminal_is_left_and_the_thread_stays_free() {
        let pty = Pty::open(0o620);
        // Nobody reads: after some kilobytes the kernel takes no more.
        let text = "x".repeat(2 * LONGEST);
        let full = (0..1000).any(|_| tell(&pty.line(&text)) == Told::Full);
        assert!(full);
        let mut terminals = Terminals::start().unwrap();
        terminals.write(pty.line("y"), Mono::BOOT);
        terminals.finish(Duration::from_secs(10));
    }

    #[test]
    fn a_hung_up_terminal_is_no_terminal() {
        let pty = Pty::open(0o620);
        let line = pty.line("x");
        drop(pty.screen);
        assert_eq!(tell(&line), Told::NoTerminal);
    }

    #[test]
    fn long_lines_are_cut_between_letters() {
        let cut = printable(&"ü".repeat(LONGEST));
        assert!(cut.len() <= LONGEST + '…'.len_utf8());
        assert!(cut.ends_with("ü…"));
    }
}
