//! `beadle watch`: the daemon, in the foreground. What the services start.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{BAD_RULES, Failure, Surroundings};
use crate::daemon::{self, AccountingChoice, LogForm, Options, StartError, TierChoice};
use crate::engine::process::Pid;
use crate::engine::rule::Mode;

/// Watch the process table until told to stop (Ctrl-C, SIGTERM); SIGHUP reads the rules again
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle watch                          with your rules, or the built-in ones: these only nudge
  beadle watch --mode observe           record only: what would have happened?
  beadle watch --mode enforce --only-under $$
                                        the whole ladder, for what this shell starts and nothing else
  beadle watch --config rules.yaml --log json 2> beadle.jsonl

As root it guards the machine; as anybody else, that user's processes.
Exits 1 when it cannot start, 78 when the rules are wrong.")]
pub(super) struct Args {
    /// Rules: a file or a folder, in place of the usual ones
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,

    /// How far to go: no rule goes further, whatever it says
    #[arg(long, value_name = "MODE", value_parser = mode())]
    mode: Option<Mode>,

    /// The leash: signal nothing but descendants of this process
    #[arg(long, value_name = "PID", value_parser = pid)]
    only_under: Option<Pid>,

    /// Where history, incident numbers and acts under way are kept over a restart
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Where to listen for `beadle status` and the others
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// How to tell what happens
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    log: Log,

    /// Where births and deaths come from, for tests and comparisons
    #[arg(long, value_name = "TIER", value_parser = tier(), hide = true)]
    tier: Option<TierChoice>,

    /// Which sources of CPU time are used, for tests and comparisons
    #[arg(long, value_name = "SOURCE", value_parser = accounting(), hide = true)]
    accounting: Option<AccountingChoice>,

    /// Where the machine's beadle listens, for tests
    #[arg(long, value_name = "PATH", hide = true)]
    elder: Option<PathBuf>,

    /// Where the clients of service and container managers are (systemctl, docker, podman), for tests
    #[arg(long, value_name = "DIR", hide = true)]
    clients: Option<PathBuf>,
}

/// How the daemon tells what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Log {
    /// A line of text on standard error
    #[default]
    Text,
    /// A JSON object a line on standard error
    Json,
    /// The system journal, with fields to select by
    Journald,
}

/// Runs the daemon.
pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let options = Options {
        config: args.config.clone(),
        mode: args.mode,
        only_under: args.only_under,
        state: args.state.clone(),
        socket: args.socket.clone(),
        elder: args.elder.clone(),
        log: match args.log {
            Log::Text => LogForm::Text,
            Log::Json => LogForm::Json,
            Log::Journald => LogForm::Journald,
        },
        tier: args.tier.unwrap_or(TierChoice::Best),
        accounting: args.accounting.unwrap_or(AccountingChoice::Best),
        clients: args.clients.clone(),
        config_home: around.config_home.clone(),
        state_home: around.state_home.clone(),
        runtime: around.runtime.clone(),
        bus: around.bus.clone(),
        service: around.service.clone(),
        paint: around.err,
    };
    daemon::watch(&options).map_err(|error| match error {
        StartError::Rules(refusal) => Failure::rules(&refusal, around),
        // It says what is to be left alone, as rules do.
        error @ StartError::Exceptions(_) => Failure {
            code: BAD_RULES,
            ..Failure::from(error)
        },
        error => Failure::from(error),
    })
}

fn mode() -> impl TypedValueParser<Value = Mode> {
    let words = [Mode::Observe, Mode::Nudge, Mode::Enforce].map(Mode::word);
    PossibleValuesParser::new(words).map(|word| match word.as_str() {
        "observe" => Mode::Observe,
        "enforce" => Mode::Enforce,
        // No other word comes through; and this one signals nothing.
        _ => Mode::Nudge,
    })
}

pub(super) fn tier() -> impl TypedValueParser<Value = TierChoice> {
    PossibleValuesParser::new(["events", "scan"]).map(|word| match word.as_str() {
        "scan" => TierChoice::Scan,
        _ => TierChoice::Best,
    })
}

fn accounting() -> impl TypedValueParser<Value = AccountingChoice> {
    PossibleValuesParser::new(["best", "taskstats", "proc"]).map(|word| match word.as_str() {
        "taskstats" => AccountingChoice::Taskstats,
        "proc" => AccountingChoice::Proc,
        _ => AccountingChoice::Best,
    })
}

fn pid(text: &str) -> Result<Pid, String> {
    text.parse()
        .ok()
        .and_then(Pid::new)
        .ok_or_else(|| "a process number is 1 or more".to_owned())
}
