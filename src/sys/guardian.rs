//! The guardian: who continues those that beadle stopped, should beadle die before it does so itself.
//!
//! Whoever is frozen stands still for as long as a rule says, and where births are not heard, everyone is stopped before anyone is
//! ended. For as long as that takes, a second process reads from a pipe who was stopped and who is not any more. When the pipe ends, however it comes to that, it continues whoever is
//! left, and goes. It is posted with the first STOP and dismissed when nobody stands any more.
//!
//! **Invariants.** It sends nothing but CONT, only by identity, only to whom it was told of, and only when its beadle is
//! gone. It lives no longer than its beadle, and does not listen to what a terminal or a service manager sends to both.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::fcntl_setpipe_size;

use super::signaller::release;
use crate::engine::process::{Mark, Pid, ProcKey};

/// The command that is a guardian.
pub const COMMAND: &str = "guardian";

/// Bytes that may wait to be read, some forty thousand words: what anybody may have by default (`fs.pipe-max-size`).
const ROOM: usize = 1 << 20;

/// A guardian at its post.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    /// Never waited for: word that does not go in is lost, and the act goes on.
    words: ChildStdin,
}

/// A word to the guardian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It is stopped in a moment.
    Stops(ProcKey),
    /// It is not any more, or is dead.
    Free(ProcKey),
}

impl Guardian {
    /// Posts one: our own program, started again.
    ///
    /// # Errors
    /// When no process or descriptor is to be had.
    pub fn post(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg0("beadle")
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn()?;
        let words = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        open_wide(&words)?;
        Ok(Self { child, words })
    }

    /// This one will be stopped.
    pub fn stops(&mut self, key: ProcKey) {
        self.say(Word::Stops(key));
    }

    /// This one is not stopped by us any more.
    pub fn frees(&mut self, key: ProcKey) {
        self.say(Word::Free(key));
    }

    fn say(&mut self, word: Word) {
        // A guardian that is gone, or does not read, is none; the record of intent is the second net.
        let _ = self.words.write_all(format!("{word}\n").as_bytes());
    }

    /// Its number, while it is not waited for.
    pub fn pid(&self) -> Option<Pid> {
        Pid::new(self.child.id())
    }

    /// Sends it home. It goes by itself; whoever sends it waits for it later, if at all: it may be stopped itself.
    pub fn dismiss(self) -> Child {
        self.child
    }
}

/// Makes a pipe one that nobody waits for and that holds [`ROOM`], as far as it may: in the midst of a storm the guardian gets
/// to read late, and whoever is frozen in thousands must be known to it all the same.
fn open_wide(words: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&words)?;
    fcntl_setfl(&words, flags | OFlags::NONBLOCK)?;
    // With less than that it has what pipes have: three thousand words.
    let _ = fcntl_setpipe_size(&words, ROOM);
    Ok(())
}

/// What a guardian does: reads who is stopped until nobody writes any more, and continues who is left.
pub fn keep(words: impl BufRead) {
    let mut stopped = BTreeSet::new();
    for line in words.lines().map_while(Result::ok) {
        match Word::from_str(&line).ok() {
            Some(Word::Stops(key)) => {
                stopped.insert(key);
            }
            Some(Word::Free(key)) => {
                stopped.remove(&key);
            }
            None => {}
        }
    }
    for key in stopped {
        release(key);
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, key) = match self {
            Self::Stops(key) => ('+', key),
            Self::Free(key) => ('-', key),
        };
        let (kind, number) = match key.mark() {
            Mark::Inode(inode) => ('i', inode),
            Mark::Ticks(ticks) => ('t', ticks),
        };
        write!(f, "{sign} {} {kind} {number}", key.pid())
    }
}

impl FromStr for Word {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<&str> = line.split(' ').collect();
        let &[sign, pid, kind, number] = words.as_slice() else {
            return Err(());
        };
        let pid = pid.parse().ok().and_then(Pid::new).ok_or(())?;
        let number = number.parse().map_err(|_| ())?;
        let mark = match kind {
            "i" => Mark::Inode(number),
            "t" => Mark::Ticks(number),
            _ => return Err(()),
        };
        let key = ProcKey::new(pid, mark);
        match sign {
            "+" => Ok(Self::Stops(key)),
            "-" => Ok(Self::Free(key)),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::*;
    use crate::engine::process::StartTicks;
    use crate::sys::glimpse::bearer;
    use crate::sys::pidfd::PidFd;
    use crate::sys::villain::{Sleeper, wait_until};

    fn state(sleeper: &Sleeper) -> char {
        bearer(sleeper.pid()).unwrap().0.state
    }

    fn key(sleeper: &Sleeper) -> ProcKey {
        let start = bearer(sleeper.pid()).unwrap().0.start;
        let hold = PidFd::open(sleeper.pid()).unwrap();
        hold.key(sleeper.pid(), StartTicks(start.0))
    }

    #[test]
    fn words_for_thousands_go_in_before_any_is_read() {
        let (read, mut write) = std::io::pipe().unwrap();
        open_wide(&write).unwrap();
        let word = Word::Stops(ProcKey::new(
            Pid::new(4_194_304).unwrap(),
            Mark::Inode(9_999_999_999),
        ));
        let line = format!("{word}\n");
        for count in 0..30_000 {
            assert!(write.write_all(line.as_bytes()).is_ok(), "{count} went in");
        }
        drop(write);
        assert_eq!(std::io::BufReader::new(read).lines().count(), 30_000);
    }

    #[test]
    fn whoever_is_left_is_continued_and_nobody_else() {
        let sleepers = [Sleeper::start(), Sleeper::start(), Sleeper::start()];
        for sleeper in &sleepers {
            sleeper.signal(Signal::STOP);
        }
        for sleeper in &sleepers {
            wait_until("it stands", || state(sleeper) == 'T');
        }
        let [left, free, other] = sleepers.each_ref().map(key);
        let stranger = ProcKey::new(other.pid(), Mark::Inode(1));
        let words = [
            Word::Stops(left),
            Word::Stops(free),
            Word::Free(free),
            Word::Stops(stranger),
        ];
        let said = words.map(|word| word.to_string()).join("\n");
        keep(format!("{said}\nnonsense\n").as_bytes());
        wait_until("it goes on", || state(&sleepers[0]) != 'T');
        assert_eq!([&sleepers[1], &sleepers[2]].map(state), ['T', 'T']);
    }
}
