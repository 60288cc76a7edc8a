//! Short looks at `/proc` that a pursuit needs in the middle of its work: who bears a number, who moves, who is there.
//!
//! What is read by number is true of a process only if that process was held before and still lived afterwards; that
//! is the caller's to see to.

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::clock::Clock;
use super::stat::{Stat, start_ticks};
use crate::engine::process::{Pid, StartTicks};
use crate::engine::pursuit::{Glimpse, Motion};

/// The longest stat line takes less.
const LONGEST: usize = 2048;

/// Why nothing could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There is no such process (any more), or it is hidden from us.
    Gone,
    /// We ran out of something.
    Short,
}

/// Reads one stat file and gives what `pick` makes of it.
pub fn stat<T>(path: &str, pick: impl FnOnce(&Stat<'_>) -> T) -> Result<T, Unread> {
    let mut buffer = [0_u8; LONGEST];
    let read = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| rustix::io::read(&file, &mut buffer[..]));
    let bytes = match read {
        Ok(bytes) => buffer.get(..bytes).unwrap_or_default(),
        Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => return Err(Unread::Short),
        Err(_) => return Err(Unread::Gone),
    };
    Stat::parse(bytes).as_ref().map(pick).ok_or(Unread::Gone)
}

/// Who bears this number now, and whether that is a thread of the kernel.
pub fn bearer(pid: Pid) -> Result<(Glimpse, Nature), Unread> {
    stat(&format!("/proc/{pid}/stat"), |stat| {
        let nature = if stat.kernel_thread {
            Nature::KernelThread
        } else {
            Nature::Process
        };
        (glimpse(pid, stat), nature)
    })
}

/// What kind of thing bears a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// A process.
    Process,
    /// A thread of the kernel's own, which no signal is for.
    KernelThread,
}

fn glimpse(pid: Pid, stat: &Stat<'_>) -> Glimpse {
    Glimpse {
        pid,
        ppid: stat.parent(),
        session: Pid::new(stat.session),
        start: stat.start,
        state: char::from(stat.state),
    }
}

/// Everyone there is but zombies and threads of the kernel, and when the reading began.
pub fn everyone() -> (StartTicks, Vec<Glimpse>) {
    let at = boot_ticks();
    let mut all = Vec::new();
    for pid in numbers("/proc") {
        let seen = stat(&format!("/proc/{pid}/stat"), |stat| {
            (!stat.dead() && !stat.kernel_thread).then(|| glimpse(pid, stat))
        });
        all.extend(seen.ok().flatten());
    }
    (at, all)
}

/// Which of its threads may still do something; `None` when none could be seen.
pub fn motion(pid: Pid) -> Option<Motion> {
    let threads = numbers(&format!("/proc/{pid}/task"));
    let states = threads.filter_map(|thread| {
        let path = format!("/proc/{pid}/task/{thread}/stat");
        stat(&path, |stat| stat.state).ok()
    });
    states.filter_map(motion_of).max()
}

/// `None` for a thread that has ended.
fn motion_of(state: u8) -> Option<Motion> {
    match state {
        b'Z' | b'X' | b'x' => None,
        b'T' => Some(Motion::Still),
        b't' | b'D' => Some(Motion::Bound),
        b'R' => Some(Motion::Running),
        _ => Some(Motion::Asleep),
    }
}

/// The numbers that a folder of `/proc` lists.
fn numbers(folder: &str) -> impl Iterator<Item = Pid> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::new(entry.file_name().to_str()?.parse().ok()?))
}

/// Now, in the unit of start ticks.
fn boot_ticks() -> StartTicks {
    start_ticks(Clock.now(), Clock.slept())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_among_everyone_and_we_run() {
        let own = Pid::new(std::process::id()).unwrap();
        let (at, all) = everyone();
        let seen = all.iter().find(|one| one.pid == own).unwrap();
        assert!(seen.start <= at);
        assert_eq!(motion(own), Some(Motion::Running));
        assert_eq!(bearer(own).unwrap().1, Nature::Process);
    }

    #[test]
    fn a_process_is_still_only_when_every_thread_is() {
        let states = |letters: &[u8]| letters.iter().copied().filter_map(motion_of).max();
        assert_eq!(states(b"TTT"), Some(Motion::Still));
        assert_eq!(states(b"ZTT"), Some(Motion::Still));
        assert_eq!(states(b"TRT"), Some(Motion::Running));
        assert_eq!(states(b"TDT"), Some(Motion::Bound));
        assert_eq!(states(b"TSD"), Some(Motion::Asleep));
        assert_eq!(states(b"ZX"), None);
    }
}
