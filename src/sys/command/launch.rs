//! The start of a command.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use super::enclosure::Enclosure;
use super::inherited::Inherited;
use crate::engine::process::{Pid, ProcKey, StartTicks};
use crate::sys::glimpse::bearer;
use crate::sys::ourselves;
use crate::sys::pidfd::PidFd;
use crate::sys::signaller;

/// The variable that all of a run carry, each run with a value of its own.
pub const MARK: &str = "BEADLE_RUN";

/// A command to be run.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The program, found along `PATH` where it has no slash.
    pub program: &'a OsStr,
    /// Its arguments.
    pub args: &'a [OsString],
    /// What is added to the environment.
    pub environment: &'a [(String, String)],
    /// What it begins with.
    pub inherited: Inherited,
}

/// A command that runs, or did. Its number stays its own until it is waited for, which only [`super::children`] does.
#[derive(Debug)]
pub struct Launched {
    /// Who it is.
    pub key: ProcKey,
    /// When it started.
    pub start: StartTicks,
    /// A hold on it.
    pub hold: PidFd,
}

/// Why a command did not start.
#[derive(Debug)]
pub enum Failed {
    /// There is no such program.
    NotFound,
    /// There is one, and it cannot be run.
    NotRunnable(io::Error),
    /// We could not.
    Ours(io::Error),
}

impl Failed {
    fn of(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOENT) => Self::NotFound,
            Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Self::Ours(error),
            _ => Self::NotRunnable(error),
        }
    }
}

/// Whoever loses all above it, below us, becomes our child.
///
/// # Errors
/// Where the kernel refuses.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

impl Launch<'_> {
    /// Starts it, in this group where that can be. On the thread that lives as long as we do.
    ///
    /// # Errors
    /// Where the program is not there or not to be run, or there is no process to be had.
    pub fn start(&self, enclosure: Option<&Enclosure>) -> Result<Launched, Failed> {
        let mut command = Command::new(self.program);
        command.args(self.args);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let inherited = self.inherited;
        let door: RawFd = enclosure.map_or(-1, |group| group.door().as_raw_fd());
        let ours = std::process::id();
        // SAFETY: all of these may be called between fork and exec; they take no memory and no lock.
        unsafe {
            command.pre_exec(move || {
                die_with(ours)?;
                // Without it nothing is lost but figures.
                let _ = libc::write(door, c"0".as_ptr().cast(), 1);
                inherited.restore()
            });
        }
        let no_hold = || Failed::Ours(io::Error::other("no hold on it can be had (pidfd_open)"));
        // What cannot be had of ourselves cannot be had of it: it is not started then.
        PidFd::open(ourselves::pid()).map_err(|_| no_hold())?;
        let mut child: Child = command.spawn().map_err(Failed::of)?;
        let held = Pid::new(child.id()).and_then(|pid| Some((pid, PidFd::open(pid).ok()?)));
        let Some((pid, hold)) = held else {
            // Nobody would watch it. It has only just begun, and is not waited for: the number is its own.
            signaller::end_unheld(&mut child);
            return Err(no_hold());
        };
        // It is not waited for yet, so somebody bears the number.
        let start = bearer(pid).map_or(StartTicks(0), |(seen, _)| seen.start);
        Ok(Launched {
            key: hold.key(pid, start),
            start,
            hold,
        })
    }
}

/// The command is asked to go when we die without a word.
fn die_with(parent: u32) -> io::Result<()> {
    let signal = Some(rustix::process::Signal::TERM);
    rustix::process::set_parent_process_death_signal(signal)?;
    if std::os::unix::process::parent_id() != parent {
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(())
}

/// Standard input and output, as they are to be once they are the command's alone.
#[derive(Debug)]
pub struct Streams {
    null: OwnedFd,
    output: OwnedFd,
}

impl Streams {
    /// All that may fail of it, before there is a command.
    ///
    /// # Errors
    /// Where there is no `/dev/null`, or no descriptor left.
    pub fn prepare() -> io::Result<Self> {
        let null = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        Ok(Self {
            null: null.into(),
            output: rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3)?,
        })
    }

    /// Lets go of both: whoever reads or writes at the other end is to see when *the command* lets go. A copy of the output is
    /// given back for a report.
    pub fn let_go(self) -> OwnedFd {
        for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
            // SAFETY: both are open; what the number meant before is closed. Onto an open number it does not fail.
            unsafe { libc::dup2(self.null.as_raw_fd(), stream) };
        }
        self.output
    }
}
