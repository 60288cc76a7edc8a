//! What must be there before the watch begins, and the errors of that.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::render::Paint;
use crate::config::{self, Refusal};
use crate::control::server;
use crate::control::socket::{self, Access, Claim, ClaimError};
use crate::engine::account::Accounting;
use crate::engine::decision::{Hearing, Input};
use crate::engine::judge::{Judge, Settings};
use crate::engine::process::{Pid, ProcKey, StartTicks, Uid};
use crate::engine::rule::Mode;
use crate::engine::warrant::Spare;
use crate::sys::accounting::cgroup::Groups;
use crate::sys::clock::Clock;
use crate::sys::ourselves;
use crate::sys::pidfd::PidFd;
use crate::sys::procfs::Procfs;
use crate::sys::users::Users;

use super::inbox::{Inbox, Mail, Post};
use super::keeper::{Keeper, Opened, Places};
use super::pursue::Pursuer;
use super::rules::Rules;
use super::shells::Shells;
use super::unfinished::Unfinished;
use super::voice::Voice;
use super::watch::{Standing, Watch};

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
    /// How the log is written.
    pub log: LogForm,
    /// Whether the kernel's events may be used.
    pub tier: TierChoice,
    /// Which sources of CPU time may be used.
    pub accounting: AccountingChoice,
    /// `$XDG_CONFIG_HOME`, or `~/.config`.
    pub config_home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`, or `~/.local/state`.
    pub state_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
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

impl AccountingChoice {
    fn groups(self) -> Groups {
        match self {
            Self::Best => Groups::open(),
            Self::Taskstats | Self::Proc => Groups::none(),
        }
    }

    const fn records(self) -> Accounting {
        match self {
            Self::Best | Self::Taskstats => Accounting::Wanted,
            Self::Proc => Accounting::Unwanted,
        }
    }
}

/// Why the watch cannot begin. Every text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The rules are refused.
    #[error("{}", .0.render(config::Paint::Plain))]
    Rules(Refusal),
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
            Self::Rules(_) => ExitCode::from(78),
            Self::Socket(_)
            | Self::Proc { .. }
            | Self::Thread { .. }
            | Self::Journal { .. }
            | Self::Leash { .. }
            | Self::Loop { .. } => ExitCode::FAILURE,
        }
    }
}

/// Watches until told to stop.
pub fn watch(options: &Options) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::Loop { source })?;
    runtime.block_on(async {
        let (watch, inbox) = prepare(options)?;
        watch.run(inbox).await;
        Ok(())
    })
}

fn prepare(options: &Options) -> Result<(Watch, Inbox), StartError> {
    let procfs = Procfs::open(Path::new("/proc")).map_err(|source| StartError::Proc {
        path: PathBuf::from("/proc"),
        source,
    })?;
    let user = ourselves::owner();
    let users = Users::default();
    let rules = Rules::new(
        options.config.clone(),
        options.config_home.clone(),
        user,
        options.mode,
    );
    let loaded = rules.load(&users).map_err(StartError::Rules)?;
    let leash = options.only_under.map(leash_of).transpose()?;
    let place = options
        .socket
        .clone()
        .unwrap_or_else(|| socket::path(user, options.runtime.as_deref()));
    let (claim, listener) = Claim::take(&place, user, Access::of(user))?;
    // With fewer files we hold fewer processes at a time: slower, never wrong.
    let _limit = ourselves::raise_file_limit();
    let voice = Voice::open(options.log, loaded.rules.channels, options.paint)?;
    let (post, mut inbox) = Inbox::new();
    let spare = Arc::new(Spare {
        keys: ourselves::lineage(&procfs),
    });
    let pursuer = start_pursuer(options.tier, options.accounting.records(), &post)?;
    let places = Places::of(
        user,
        options.state.as_deref(),
        options.state_home.as_deref(),
        options.runtime.as_deref(),
    );
    let Opened {
        keeper,
        first,
        faults,
        unfinished,
    } = Keeper::open(&places, &post);
    let groups = options.accounting.groups();
    let shells = Shells::start(Path::new("/proc"), groups, pursuer, keeper, &post)?;
    // Until the ear says otherwise nothing is heard; it says so at once or within a moment.
    inbox.defer(Input::Hearing(Hearing::Nothing));
    let settings = Settings {
        only_user: (user != Uid::ROOT).then_some(user),
        spare,
        leash,
        first_incident: first,
    };
    let judge = Judge::new(settings, loaded.rules.clone());
    serve(listener, user, &post)?;
    hear_signals(&post)?;
    let standing = Standing {
        user,
        users,
        rules,
        files: loaded.files.clone(),
        leash: options.only_under,
        claim,
        began: Clock.now(),
    };
    let mut watch = Watch::new(judge, shells, voice, standing, post);
    watch.remember(faults, Unfinished::look(&unfinished));
    watch.hear_changes(&loaded.watch);
    Ok((watch, inbox))
}

fn leash_of(pid: Pid) -> Result<ProcKey, StartError> {
    let hold = PidFd::open(pid).map_err(|_| StartError::Leash { pid })?;
    Ok(hold.key(pid, StartTicks(0)))
}

fn start_pursuer(
    tier: TierChoice,
    records: Accounting,
    post: &Post,
) -> Result<Pursuer, StartError> {
    let want = match tier {
        TierChoice::Best => Hearing::Events,
        TierChoice::Scan => Hearing::Nothing,
    };
    let deliver = post.clone();
    let sink = move |heard| {
        // The loop is gone: nobody listens any more.
        let _ = deliver.send(Mail::Heard(heard));
    };
    Pursuer::start(want, records, sink).map_err(|source| StartError::Thread {
        what: "the event reader",
        source,
    })
}

fn serve(
    listener: std::os::unix::net::UnixListener,
    user: Uid,
    post: &Post,
) -> Result<(), StartError> {
    let listener = tokio::net::UnixListener::from_std(listener)
        .map_err(|source| StartError::Loop { source })?;
    let (asks, mut asked) = tokio::sync::mpsc::channel(64);
    tokio::spawn(server::serve(listener, user, asks));
    let post = post.clone();
    tokio::spawn(async move {
        while let Some(ask) = asked.recv().await {
            if post.send(Mail::Ask(ask)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn hear_signals(post: &Post) -> Result<(), StartError> {
    let listen = |kind: SignalKind| signal(kind).map_err(|source| StartError::Loop { source });
    let heard = [
        (listen(SignalKind::terminate())?, "SIGTERM"),
        (listen(SignalKind::interrupt())?, "SIGINT"),
        (listen(SignalKind::hangup())?, "SIGHUP"),
    ];
    for (mut stream, name) in heard {
        let post = post.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                let mail = if name == "SIGHUP" {
                    Mail::Reload
                } else {
                    Mail::Stop(name)
                };
                if post.send(mail).is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
