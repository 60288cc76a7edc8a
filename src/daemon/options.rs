//! How the watch is to run, and why it may not begin.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::render::Paint;
use crate::config::{self, Refusal};
use crate::control::socket::ClaimError;
use crate::engine::process::Pid;
use crate::engine::rule::Mode;
use crate::store::StoreError;
use crate::sys::service::notify::Given;

/// How the watch is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rules from here instead of the usual places.
    pub config: Option<PathBuf>,
    /// Replaces the mode of the rule files and caps every rule's own.
    pub mode: Option<Mode>,
    /// Signal nothing but descendants of this process.
    pub only_under: Option<Pid>,
    /// Where state is kept.
    pub state: Option<PathBuf>,
    /// Where to listen.
    pub socket: Option<PathBuf>,
    /// Where the machine's beadle listens, instead of its usual place.
    pub elder: Option<PathBuf>,
    /// How the log is written.
    pub log: LogForm,
    /// Whether the kernel's events may be used.
    pub tier: TierChoice,
    /// Which sources of CPU time may be used.
    pub accounting: AccountingChoice,
    /// Where the clients of service and container managers are, instead of their usual places.
    pub clients: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, or `~/.config`.
    pub config_home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`, or `~/.local/state`.
    pub state_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
    /// `$DBUS_SESSION_BUS_ADDRESS`.
    pub bus: Option<String>,
    /// What the service manager gave us.
    pub service: Given,
    /// Whether the log may be colored.
    pub paint: Paint,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// Lines for people, on standard error.
    Text,
    /// One JSON object a line, on standard error.
    Json,
    /// The system journal, with native fields.
    Journald,
}

/// Whether the kernel's events may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierChoice {
    /// Where they can be had.
    Best,
    /// Not at all: scan.
    Scan,
}

/// Which sources of CPU time may be used besides `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountingChoice {
    /// All that can be had.
    Best,
    /// Records of the dead, and no control group.
    Taskstats,
    /// Neither.
    Proc,
}

/// Why the watch cannot begin. Every text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The rules are refused.
    #[error("{}", .0.render(config::Paint::Plain))]
    Rules(Refusal),
    /// What people have allowed cannot be read.
    #[error(
        "{0}; it says what is to be left alone, so nothing begins without it: mend the file, or move it away"
    )]
    Exceptions(StoreError),
    /// The socket cannot be had.
    #[error(transparent)]
    Socket(#[from] ClaimError),
    /// Processes cannot be read.
    #[error("cannot read processes in {}: {source}; is it mounted?", path.display())]
    Proc {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start {what}: {source}; is there a limit on threads (ulimit -u)?")]
    Thread {
        /// Which.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is no journal.
    #[error("cannot reach the journal: {source}; use --log text or --log json where there is none")]
    Journal {
        /// What the system said.
        source: io::Error,
    },
    /// The process that `--only-under` names is not there.
    #[error("--only-under {pid}: there is no such process, so nothing could ever be signalled")]
    Leash {
        /// The number given.
        pid: Pid,
    },
    /// There is no watch on this system yet.
    #[error(
        "cannot watch processes on {} yet, only on Linux; \
         `beadle check`, `beadle rules` and `beadle schema` work here",
        std::env::consts::OS
    )]
    Elsewhere,
    /// The loop cannot run.
    #[error("cannot start the loop: {source}")]
    Loop {
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// The exit code that says which kind it is: 78 for bad rules (as in sysexits), 1 for the rest.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Rules(_) | Self::Exceptions(_) => ExitCode::from(78),
            Self::Socket(_)
            | Self::Proc { .. }
            | Self::Thread { .. }
            | Self::Journal { .. }
            | Self::Leash { .. }
            | Self::Elsewhere
            | Self::Loop { .. } => ExitCode::FAILURE,
        }
    }
}
