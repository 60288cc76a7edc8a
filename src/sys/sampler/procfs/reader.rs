//! Reading one process, through its open stat file.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{AtFlags, statat};

use crate::engine::process::{Pid, ShortName, StartTicks};
use crate::engine::snapshot::{Figures, Memory, Ran, RunState, Seen, Want, Why};
use crate::engine::units::{Bytes, Mono};
use crate::sys::clock::Clock;
use crate::sys::procfs::{Entry, Missing, Numbers, Procfs, STAT_LINE, read_long, read_short};
use crate::sys::stat::Stat;
use crate::sys::status::Status;
use crate::sys::stillness::Stillness;

/// A stat file tells CPU time in ticks of 10 ms; user and system time are each cut down to whole ones.
const GRAIN: Duration = Duration::from_millis(20);

/// A status file is 1.5 KiB; a process with very many groups has a longer one.
const MOST_STATUS: usize = 1 << 20;

/// Reads processes of one procfs.
#[derive(Debug)]
pub(super) struct Reader {
    /// Where.
    pub(super) proc: Procfs,
    status: Vec<u8>,
    open_files: OpenFiles,
    stillness: Stillness,
    page: u64,
}

/// What was found, before it is known whose it is.
#[derive(Debug)]
pub(super) struct Looked {
    /// When.
    pub(super) at: Mono,
    /// Start of the process that was read.
    pub(super) start: StartTicks,
    /// Its parent then.
    pub(super) ppid: Option<Pid>,
    /// What was seen.
    pub(super) seen: Seen,
}

/// How open files are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenFiles {
    /// `/proc/PID/fd` has their number as its size (Linux 6.2); anybody may read that.
    Size,
    /// By listing the folder.
    List,
}

impl Reader {
    /// Reads from this procfs.
    pub(super) fn new(proc: Procfs) -> Self {
        // We have files open ourselves, so only a kernel that does not tell says zero.
        let own = statat(&proc, "self/fd", AtFlags::empty());
        let open_files = match (proc.numbers(), own) {
            (Numbers::Ours, Ok(own)) if own.st_size > 0 => OpenFiles::Size,
            (Numbers::Ours | Numbers::Foreign, _) => OpenFiles::List,
        };
        Self {
            stillness: Stillness::of(&proc),
            proc,
            status: Vec::new(),
            open_files,
            page: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
        }
    }

    /// What the holder of the number has run; to be asked before anything of it is read.
    pub(super) fn ran(&self, pid: Pid) -> Option<Ran> {
        self.stillness.ran(pid)
    }

    /// Looks at a process whose stat file is open and that had run so much before. On success all that was found is of
    /// the process the file is of.
    pub(super) fn look(
        &mut self,
        pid: Pid,
        stat: &OwnedFd,
        ran: Option<Ran>,
        want: Want,
        clock: Clock,
    ) -> Result<Looked, Missing> {
        let memory = if want.memory {
            self.memory(&Entry::of(pid).at("status"))?
        } else {
            None
        };
        let open_files = if want.open_files {
            self.open_files(&Entry::of(pid).at("fd"))?
        } else {
            None
        };
        let at = clock.now();
        let mut line = [0; STAT_LINE];
        let found = parse(read_short(stat, &mut line)?)?;
        let (cpu, grain) = spent(&found, ran);
        let seen = if found.dead() {
            dead(&found, cpu, grain)
        } else {
            let mut figures = self.figures(&found);
            (figures.ran, figures.cpu, figures.grain) = (ran, cpu, grain);
            figures.at_rest = want.cpu && rests(&found) && ran.is_some() && ran == self.ran(pid);
            figures.memory = memory;
            figures.open_files = open_files;
            if found.state == b'Z' {
                self.leaderless(pid, stat, want, figures)?
            } else {
                Seen::Alive(figures)
            }
        };
        Ok(Looked {
            at,
            start: found.start,
            ppid: found.parent(),
            seen,
        })
    }

    /// The parent's number, as it stands now.
    pub(super) fn ppid(stat: &OwnedFd) -> Result<Option<Pid>, Missing> {
        let mut line = [0; STAT_LINE];
        Ok(parse(read_short(stat, &mut line)?)?.parent())
    }

    fn figures(&self, stat: &Stat<'_>) -> Figures {
        Figures {
            start: stat.start,
            ran: None,
            ppid: stat.parent(),
            parent: None,
            session: Pid::new(stat.session),
            tty: stat.tty,
            comm: ShortName::of(stat.comm),
            owner: None,
            kernel_thread: stat.kernel_thread,
            state: run_state(stat.state),
            cpu: stat.cpu,
            grain: GRAIN,
            at_rest: false,
            reaped: stat.reaped,
            threads: stat.threads,
            rss: Bytes(stat.rss_pages.saturating_mul(self.page)),
            memory: None,
            open_files: None,
        }
    }

    /// A process whose leader thread has ended while others run: the leader shows `Z` and no memory, and what the
    /// process does and holds is seen at any living thread.
    fn leaderless(
        &mut self,
        pid: Pid,
        stat: &OwnedFd,
        want: Want,
        mut figures: Figures,
    ) -> Result<Seen, Missing> {
        let mut line = [0; STAT_LINE];
        for tid in self.proc.numbers_in(&Entry::of(pid).at("task"))? {
            let thread = Entry::of(pid).thread(tid);
            let Ok(file) = self.proc.file(&thread.at("stat")) else {
                continue;
            };
            let Ok(found) = read_short(&file, &mut line).and_then(parse) else {
                continue;
            };
            if tid == pid.number() || matches!(found.state, b'Z' | b'X' | b'x') {
                continue;
            }
            figures.state = run_state(found.state);
            figures.rss = Bytes(found.rss_pages.saturating_mul(self.page));
            if want.memory {
                figures.memory = self.memory(&thread.at("status"))?;
            }
            if want.open_files {
                figures.open_files = self.open_files(&thread.at("fd"))?;
            }
            break;
        }
        // Read once more, to prove that the threads were this process's own.
        let found = parse(read_short(stat, &mut line)?)?;
        Ok(if found.dead() {
            dead(&found, figures.cpu.max(found.cpu), figures.grain)
        } else {
            Seen::Alive(figures)
        })
    }

    /// Memory by part; `None` where it is not ours to know.
    fn memory(&mut self, status: &Entry) -> Result<Option<Memory>, Missing> {
        let read = self
            .proc
            .file(status)
            .and_then(|file| read_long(&file, &mut self.status, MOST_STATUS));
        Ok(known(read)?.and_then(|()| Status::new(&self.status)?.memory()))
    }

    /// The number of open files; `None` where it is not ours to know.
    fn open_files(&self, folder: &Entry) -> Result<Option<u64>, Missing> {
        let count = match self.open_files {
            OpenFiles::Size => statat(&self.proc, folder.bytes(), AtFlags::empty())
                .map(|stat| u64::try_from(stat.st_size).unwrap_or(0))
                .map_err(Missing::from),
            OpenFiles::List => self
                .proc
                .numbers_in(folder)
                .map(|files| u64::try_from(files.len()).unwrap_or(u64::MAX)),
        };
        known(count)
    }
}

/// A figure that cannot be read is not known. Whether the process is gone is for its stat file to say, which is read
/// afterwards; that we ran out of something is told, so that we can make do with less.
fn known<T>(read: Result<T, Missing>) -> Result<Option<T>, Missing> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Missing::Gone | Missing::Unread(Why::Denied)) => Ok(None),
        Err(short @ Missing::Unread(Why::Short)) => Err(short),
    }
}

/// A stat line; what is none was cut short.
pub(super) fn parse(line: &[u8]) -> Result<Stat<'_>, Missing> {
    Stat::parse(line).ok_or(Missing::Unread(Why::Short))
}

/// CPU time used, and by how much it may fall short: by nothing, where the clock of the process was read.
fn spent(stat: &Stat<'_>, ran: Option<Ran>) -> (Duration, Duration) {
    match ran {
        Some(ran) => (stat.cpu.max(ran.time()), Duration::ZERO),
        None => (stat.cpu, GRAIN),
    }
}

/// Whether it had one thread, which did not run. It may have run a moment before: only the same time on both sides of
/// this tells that all of it is counted.
fn rests(stat: &Stat<'_>) -> bool {
    stat.threads == 1 && matches!(stat.state, b'S' | b'D' | b'T' | b't')
}

fn dead(stat: &Stat<'_>, cpu: Duration, grain: Duration) -> Seen {
    match stat.state {
        b'Z' => Seen::Zombie {
            start: stat.start,
            cpu,
            grain,
            ppid: stat.parent(),
        },
        // Being released at this moment: nobody has to wait for it.
        _ => Seen::Gone,
    }
}

/// The letters of proc(5).
fn run_state(letter: u8) -> RunState {
    match letter {
        b'R' => RunState::Running,
        b'T' => RunState::Stopped,
        b't' => RunState::Traced,
        b'D' | b'W' => RunState::Waiting,
        // S; I and P are kernel threads with nothing to do. A letter of some later kernel is no alarm either.
        _ => RunState::Sleeping,
    }
}
