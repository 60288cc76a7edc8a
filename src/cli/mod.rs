//! The command line: one file per subcommand, one renderer for all.
//!
//! **Invariants.** The environment is read once, here ([`Surroundings`]). Standard output is written through `say`,
//! which takes a closed pipe for what it is: somebody who has read enough. Exit codes: 0 · 1 not found, no daemon, no
//! watch, or warnings under `--strict` · 2 bad use · 78 bad rules.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{self, Refusal};
use crate::engine::process::Uid;
use crate::sys::service::notify::Given;

#[cfg(target_os = "linux")]
mod beat;
mod check;
mod completions;
#[cfg_attr(not(target_os = "linux"), path = "demo/elsewhere.rs")]
mod demo;
mod doctor;
mod forget;
#[cfg(target_os = "linux")]
mod guardian;
mod history;
mod man;
#[cfg(target_os = "linux")]
mod notify;
mod pause;
#[cfg(target_os = "linux")]
mod preflight;
mod ps;
mod reach;
mod recall;
pub mod render;
mod reply;
mod resume;
mod rules;
#[cfg(target_os = "linux")]
mod run;
mod schema;
mod service;
mod show;
mod status;
mod trial;
mod watch;
mod why;

use self::render::Paint;

/// Bad rules: `EX_CONFIG` of sysexits.h.
const BAD_RULES: u8 = 78;

const EXAMPLES: &str = "\
Examples:
  beadle demo               see it at work on a harmless runaway of its own
  beadle watch              guard this machine with the built-in rules: they only nudge
  beadle status             how the watch goes
  beadle why 4711           why process 4711 is judged, or why not
  beadle history --pid 4711 who killed my process?
  beadle show 3             the whole story of incident 3, with its kill certificates
  beadle stop 3             end what incident 3 is about, now
  beadle extend 3           leave it alone for half an hour; `allow` is for good
  beadle pause 30m          leave my processes alone for half an hour
  beadle check              what is wrong with my rules, with line and column
  beadle service install    keep the watch going, as a service of systemd or launchd
  beadle try rules.yaml     what these rules would match now, and how near to its limits it is
  beadle run -- make test   run it, and leave nothing behind; with a budget such as --age 2h
  beadle preflight pytest   does a pytest run already? Who, since when, in which folder
  beadle doctor             what works on this machine, what does not, and what to do

Rules live in /etc/beadle/beadle.yaml, or for one user in ~/.config/beadle/beadle.yaml.
Without any file the built-in rules run, and never signal anything.";

/// Watches the process table. When a process tree runs away, beadle first taps people on the shoulder, then asks the
/// tree to leave (SIGTERM), then puts it out (SIGKILL), and always says why.
#[derive(Debug, Parser)]
#[command(name = "beadle", version, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Watch(watch::Args),
    Status(status::Args),
    Ps(ps::Args),
    Why(why::Args),
    History(history::Args),
    Show(show::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Stop(reply::Stop),
    Extend(reply::Extend),
    Allow(reply::Allow),
    Freeze(reply::Freeze),
    Forget(forget::Args),
    #[cfg(target_os = "linux")]
    Beat(beat::Args),
    Check(check::Args),
    Try(trial::Args),
    #[cfg(target_os = "linux")]
    Run(run::Args),
    #[cfg(target_os = "linux")]
    Preflight(preflight::Args),
    Rules(rules::Args),
    Schema(schema::Args),
    Doctor(doctor::Args),
    Demo(demo::Args),
    Service(service::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Guardian(guardian::Args),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Notify(notify::Args),
}

/// What the command line knows of where it was started.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Effective user.
    pub uid: Uid,
    /// `$XDG_RUNTIME_DIR`, where it is a full path.
    pub runtime: Option<PathBuf>,
    /// `$DBUS_SESSION_BUS_ADDRESS`.
    pub bus: Option<String>,
    /// `$XDG_CONFIG_HOME`, or `~/.config`.
    pub config_home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`, or `~/.local/state`.
    pub state_home: Option<PathBuf>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_DATA_HOME`, or `~/.local/share`.
    pub data_home: Option<PathBuf>,
    /// What the service manager gave us, if one started us.
    pub service: Given,
    /// Whether standard output is colored.
    pub out: Paint,
    /// Whether standard error is colored.
    pub err: Paint,
}

/// Why a command ends without what was asked for.
#[derive(Debug)]
struct Failure {
    /// For people, on standard error.
    text: String,
    code: u8,
}

impl Failure {
    /// Not found, no daemon: the ordinary failure.
    fn new(text: impl Into<String>) -> Self {
        let text = format!("beadle: {}\n", text.into());
        Self { text, code: 1 }
    }

    /// Not found, and what there is to say was said as an answer.
    const fn silent() -> Self {
        Self {
            text: String::new(),
            code: 1,
        }
    }

    /// The rules are refused: every problem, with its place.
    fn rules(refusal: &Refusal, around: &Surroundings) -> Self {
        Self {
            text: refusal.render(in_config(around.err)),
            code: BAD_RULES,
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// Runs one command.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; a closed pipe is no reason to complain.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let around = Surroundings::look();
    let done = match &cli.command {
        Some(Command::Watch(args)) => watch::run(args, &around),
        Some(Command::Status(args)) => status::run(args, &around),
        Some(Command::Ps(args)) => ps::run(args, &around),
        Some(Command::Why(args)) => why::run(args, &around),
        Some(Command::History(args)) => history::run(args, &around),
        Some(Command::Show(args)) => show::run(args, &around),
        Some(Command::Pause(args)) => pause::run(args, &around),
        Some(Command::Resume(args)) => resume::run(args, &around),
        Some(Command::Stop(args)) => args.run(&around),
        Some(Command::Extend(args)) => args.run(&around),
        Some(Command::Allow(args)) => args.run(&around),
        Some(Command::Freeze(args)) => args.run(&around),
        Some(Command::Forget(args)) => forget::run(args, &around),
        #[cfg(target_os = "linux")]
        Some(Command::Beat(args)) => beat::run(args, &around),
        Some(Command::Check(args)) => check::run(args, &around),
        Some(Command::Try(args)) => trial::run(args, &around),
        #[cfg(target_os = "linux")]
        Some(Command::Run(args)) => run::run(args, &around),
        #[cfg(target_os = "linux")]
        Some(Command::Preflight(args)) => preflight::run(args, &around),
        Some(Command::Rules(args)) => rules::run(args, &around),
        Some(Command::Schema(args)) => {
            schema::run(args);
            Ok(())
        }
        Some(Command::Completions(args)) => {
            completions::run(args);
            Ok(())
        }
        Some(Command::Man(args)) => man::run(args),
        Some(Command::Doctor(args)) => doctor::run(args, &around),
        Some(Command::Demo(args)) => demo::run(args, &around),
        Some(Command::Service(args)) => service::run(args, &around),
        #[cfg(target_os = "linux")]
        Some(Command::Guardian(args)) => guardian::run(args),
        #[cfg(target_os = "linux")]
        Some(Command::Notify(args)) => notify::run(args),
        None => {
            say(&Cli::command().render_help().to_string());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where there is nothing to say nobody waits for whoever reads it.
            if !failure.text.is_empty() {
                complain(&failure.text);
            }
            ExitCode::from(failure.code)
        }
    }
}

impl Surroundings {
    /// Looks around.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the environment is read"
    )]
    fn look() -> Self {
        let folder = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paint = |terminal: bool| {
            if terminal && !plain {
                Paint::Color
            } else {
                Paint::Plain
            }
        };
        Self {
            uid: Uid(rustix::process::geteuid().as_raw()),
            runtime: folder("XDG_RUNTIME_DIR"),
            bus: std::env::var("DBUS_SESSION_BUS_ADDRESS")
                .ok()
                .filter(|address| !address.is_empty()),
            config_home: folder("XDG_CONFIG_HOME")
                .or_else(|| Some(folder("HOME")?.join(".config"))),
            state_home: folder("XDG_STATE_HOME")
                .or_else(|| Some(folder("HOME")?.join(".local/state"))),
            home: folder("HOME"),
            data_home: folder("XDG_DATA_HOME")
                .or_else(|| Some(folder("HOME")?.join(".local/share"))),
            service: Given::read(|name| std::env::var_os(name)),
            out: paint(std::io::stdout().is_terminal()),
            err: paint(std::io::stderr().is_terminal()),
        }
    }
}

/// Writes to standard output. Somebody who closed the pipe has read enough.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The same choice, for the rule files' own diagnostics.
const fn in_config(paint: Paint) -> config::Paint {
    match paint {
        Paint::Plain => config::Paint::Plain,
        Paint::Color => config::Paint::Color,
    }
}

/// A value as one line of JSON.
fn json(value: &impl serde::Serialize) -> String {
    // Our own types: maps with string keys, nothing that can fail.
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}
