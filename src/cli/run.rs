//! `beadle run`: a command under a budget that is given here.
//!
//! # Exit codes
//! The command's own; where a signal ended it, the same signal ends us ([`crate::sys::command::ending`]). 124 when beadle ended
//! it, whatever it took and whatever status it left with; 125, 126 and 127 as of `timeout`: we could not, it cannot be
//! run, it is not there. 122 when it succeeded and somebody is left who could not be ended, or told from those who may stay;
//! 123 when it succeeded and was over an `--assert-…`. Bad use is 2, as everywhere.
//!
//! A signal that wants an end (INT, QUIT, TERM, HUP) and finds the command gone, or not started yet, is died of when all else is
//! done: a shell's loop ends on Ctrl-C also between two short commands.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, Surroundings, in_config};
use crate::config::budget::{self, Budget};
use crate::config::{self, Names};
use crate::control::wire::Safe;
use crate::daemon::TierChoice;
use crate::daemon::run::{self, Account, Ended, Order, Output, RunError};
use crate::engine::matcher::Matcher;
use crate::engine::rule::{Amount, Signal};
use crate::engine::units::{Bytes, Millicores};
use crate::sys::command::{ear, ending};
use crate::sys::users::Users;

mod asserts;
mod report;
mod teller;
mod voice;

use asserts::Over;
use teller::Teller;

/// It succeeded, and somebody of it is left.
const LEFT: u8 = 122;
/// It succeeded, and was heavier than it may be.
const TOO_HEAVY: u8 = 123;
/// Beadle ended it.
const ENDED: u8 = 124;
/// Beadle could not.
const OURS: u8 = 125;
/// It is there and cannot be run.
const NOT_RUNNABLE: u8 = 126;
/// It is not there.
const NOT_FOUND: u8 = 127;

/// Run a command under a budget; end it when it goes over, and whatever it leaves behind
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle run -- make test                       nothing is left behind
  beadle run --age 2h --memory 4GiB -- pytest   ended when it takes longer, or more
  beadle run --cpu-time 30m --ask INT,TERM --grace 20s -- pytest
                                                asked with SIGINT first: pytest prints its summary
  beadle run --assert-processes 13 --report run.json -- pytest
                                                not ended; the exit code tells of a run that got heavier
  beadle run --stalled 10m -- pytest            ended when it hangs, and not when it is slow
  beadle run --keep 'program: bazel' -- ./build.sh

Needs no daemon and no rights. Exits with the command's own status, or dies of its signal; else
122 somebody is left who could not be ended, 123 over an --assert, 124 ended by beadle,
125 beadle could not, 126 cannot be run, 127 not found.")]
pub(super) struct Args {
    /// CPU time of all that it starts, the dead included
    #[arg(long, value_name = "SPAN", value_parser = config::duration)]
    cpu_time: Option<Duration>,

    /// Processor use over 5 s: `90%` of a core, `4 cores`
    #[arg(long, value_name = "CPU", value_parser = budget::cpu)]
    cpu: Option<Millicores>,

    /// Memory of all that it starts, shared pages once: `4GiB`, `50%`
    #[arg(long, value_name = "SIZE", value_parser = budget::memory)]
    memory: Option<Amount>,

    /// How long it may take
    #[arg(long, value_name = "SPAN", value_parser = config::duration)]
    age: Option<Duration>,

    /// For how long nothing may move in all that it starts: no CPU, not a byte read or written
    #[arg(long, value_name = "SPAN", value_parser = config::duration)]
    stalled: Option<Duration>,

    /// For how long it may use half a processor, and nothing comes of it
    #[arg(long, value_name = "SPAN", value_parser = config::duration)]
    spinning: Option<Duration>,

    /// How many processes it may have
    #[arg(long, value_name = "N", value_parser = budget::count)]
    processes: Option<u64>,

    /// Which signals ask it to end, in order
    #[arg(long, value_name = "SIGNALS", value_delimiter = ',', default_value = "TERM", value_parser = budget::asks)]
    ask: Vec<Signal>,

    /// How long after each signal the next one comes, and at last SIGKILL
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = config::duration)]
    grace: Duration,

    /// By when all that it left behind is gone
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = config::duration)]
    leftover: Duration,

    /// What may stay, with all that it starts: a matcher as in rules, `program: bazel`
    #[arg(long, value_name = "MATCHER")]
    keep: Vec<String>,

    /// How many threads numeric libraries start: sets `OMP_NUM_THREADS` and its like
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    thread_limits: Option<u32>,

    /// Where to write what came of it, as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    #[command(flatten)]
    asserts: asserts::Asserts,

    /// Say nothing but errors of beadle's own, and who could not be ended
    #[arg(long, short)]
    quiet: bool,

    /// Where births and deaths come from, for tests and comparisons
    #[arg(long, value_name = "TIER", value_parser = super::watch::tier(), hide = true)]
    tier: Option<TierChoice>,

    /// No control group of its own, for tests and comparisons
    #[arg(long, hide = true)]
    no_cgroup: bool,

    /// The command, and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let order = args.order(around)?;
    let mut file = args.open_report()?;
    let mut teller = Teller::new(args);
    let ran = run::run(&order, &mut |word| teller.tell(&word));
    teller.clear();
    let (account, output) = match ran {
        Ok(ran) => ran,
        Err(RunError::Interrupted(signal)) => return die(signal),
        Err(error) => return Err(Failure::from_run(error)),
    };
    let over = args.asserts.held_against(&account);
    let end = End::of(&account, &over).or_of_what_came();
    if let Some(sink) = &mut file {
        let text = report::json(&order, &account, &over, end.code());
        // What the command came to is worth more than our trouble with telling of it.
        if let Err(error) = sink.write(&text, output) {
            teller.insist(&format!("cannot write the report: {error}"));
        }
    }
    teller.close(&account, &over);
    match end.or_of_what_came() {
        End::Signal(signal) => die(signal),
        End::Status(0) => Ok(()),
        End::Status(status) => Err(Failure::quietly(status)),
    }
}

/// How we end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With this status.
    Status(u8),
    /// Of this signal.
    Signal(i32),
}

impl End {
    fn of(account: &Account, over: &[Over]) -> Self {
        if let Some(signal) = account.parting {
            return Self::Signal(signal);
        }
        let somebody = !account.leftovers.left.is_empty();
        match (&account.sentence, account.ended) {
            (Some(_), _) => Self::Status(ENDED),
            (None, Ended::Exited(0)) if somebody => Self::Status(LEFT),
            (None, Ended::Exited(0)) if !over.is_empty() => Self::Status(TOO_HEAVY),
            (None, Ended::Exited(status)) => {
                Self::Status(u8::try_from(status & 0xff).unwrap_or(OURS))
            }
            (None, Ended::Killed(signal)) => Self::Signal(signal),
        }
    }

    /// The same, unless a signal that wants an end has come since: it is held back still, and nobody is left to hear it.
    fn or_of_what_came(self) -> Self {
        ear::pressing()
            .first()
            .map_or(self, |signal| Self::Signal(*signal))
    }

    /// The status that a shell shows for it.
    fn code(self) -> u8 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => u8::try_from(signal.saturating_add(128)).unwrap_or(OURS),
        }
    }
}

/// Dies of a signal; where that cannot be died of, with the status that a shell would show.
fn die(signal: i32) -> Result<(), Failure> {
    ending::die_of(signal);
    Err(Failure::quietly(End::Signal(signal).code()))
}

impl Args {
    fn order(&self, around: &Surroundings) -> Result<Order, Failure> {
        let (program, args) = self.command.split_first().ok_or_else(Failure::silent)?;
        let users = Users::default();
        let matchers: Result<Vec<Matcher>, Failure> = self
            .keep
            .iter()
            .map(|text| matcher(text, "--keep", around, &users))
            .collect();
        Ok(Order {
            program: program.clone(),
            args: args.to_vec(),
            environment: self.thread_limits.map(threads).unwrap_or_default(),
            budget: Budget {
                cpu_time: self.cpu_time,
                cpu: self.cpu,
                memory: self.memory,
                age: self.age,
                stalled: self.stalled,
                spinning: self.spinning,
                processes: self.processes,
                ask: self.ask.clone(),
                grace: self.grace,
                keep: matchers?,
            },
            leftover: self.leftover,
            output: match &self.report {
                Some(path) if path.as_os_str() == "-" => Output::Kept,
                Some(_) | None => Output::LetGo,
            },
            tier: self.tier.unwrap_or(TierChoice::Best),
            enclosed: !self.no_cgroup,
        })
    }

    /// Before the command starts: a report that cannot be written is told at once.
    fn open_report(&self) -> Result<Option<Sink>, Failure> {
        let Some(path) = &self.report else {
            return Ok(None);
        };
        if path.as_os_str() == "-" {
            return Ok(Some(Sink::Output));
        }
        let file = std::fs::File::create(path).map_err(|error| {
            let path = Safe::word(&path.to_string_lossy());
            Failure::ours(&format!("cannot write the report to {path}: {error}"))
        })?;
        Ok(Some(Sink::File(file)))
    }
}

/// A matcher given on the command line.
pub(super) fn matcher(
    text: &str,
    of: &str,
    around: &Surroundings,
    users: &Users,
) -> Result<Matcher, Failure> {
    budget::matcher(text, of, around.uid.0, &Known(users)).map_err(|refusal| Failure {
        text: refusal.render(in_config(around.err)),
        code: 2,
    })
}

/// User names as this machine knows them.
struct Known<'a>(&'a Users);

impl Names for Known<'_> {
    fn user(&self, name: &str) -> Option<u32> {
        self.0.user(name)
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.0.group(name)
    }
}

/// What numeric libraries read of how many threads to start.
fn threads(count: u32) -> Vec<(String, String)> {
    let names = [
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ];
    let counts = names.map(|name| (name.to_owned(), count.to_string()));
    // Its threads are of a pool of their own, which a fork leaves in disorder.
    let tokenizers = ("TOKENIZERS_PARALLELISM".to_owned(), "false".to_owned());
    counts.into_iter().chain([tokenizers]).collect()
}

/// Where a report goes.
enum Sink {
    Output,
    File(std::fs::File),
}

impl Sink {
    fn write(&mut self, text: &str, output: Option<OwnedFd>) -> std::io::Result<()> {
        match (self, output) {
            (Self::File(file), _) => file.write_all(text.as_bytes()),
            // The last line of the command may not have ended; an empty line more does no harm.
            (Self::Output, Some(output)) => {
                std::fs::File::from(output).write_all(format!("\n{text}").as_bytes())
            }
            // It was asked for with the order.
            (Self::Output, None) => Ok(()),
        }
    }
}

impl Failure {
    fn ours(text: &str) -> Self {
        Self {
            code: OURS,
            ..Self::new(text)
        }
    }

    const fn quietly(code: u8) -> Self {
        Self {
            text: String::new(),
            code,
        }
    }

    fn from_run(error: RunError) -> Self {
        let code = match &error {
            RunError::NotFound(_) => NOT_FOUND,
            RunError::NotRunnable { .. } => NOT_RUNNABLE,
            RunError::Ours(_)
            | RunError::Start(_)
            | RunError::Parent { .. }
            | RunError::First
            | RunError::Interrupted(_) => OURS,
        };
        Self {
            code,
            ..Self::from(error)
        }
    }
}

/// Bytes as people read them.
fn shown(bytes: Bytes) -> String {
    bytes.to_string()
}
