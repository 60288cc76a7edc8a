//! `beadle run`: a command under a budget that is given here.
//!
//! # Exit codes
//! The command's own; where a signal ended it, the same signal ends us ([`crate::sys::command::ending`]). 124 when beadle ended
//! it, whatever it took and whatever status it left with; 125, 126 and 127 as of `timeout`: we could not, it cannot be
//! run, it is not there. 123 when it succeeded and was over an `--assert-…`. Bad use is 2, as everywhere.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::render::words;
use super::{Failure, Surroundings, complain, in_config};
use crate::config::budget::{self, Budget};
use crate::config::{self, Names};
use crate::control::wire::Safe;
use crate::daemon::TierChoice;
use crate::daemon::run::{
    self, Account, Ended, Figures, Oom, Order, Output, Proof, RunError, Word,
};
use crate::engine::matcher::Matcher;
use crate::engine::rule::{Amount, Signal};
use crate::engine::units::{Bytes, Millicores, Span};
use crate::sys::command::ending;
use crate::sys::users::Users;

mod asserts;
mod report;

use asserts::Over;

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
  beadle run --keep 'program: bazel' -- ./build.sh

Needs no daemon and no rights. Exits with the command's own status, or dies of its signal; else
123 over an --assert, 124 ended by beadle, 125 beadle could not, 126 cannot be run, 127 not found.")]
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

    /// Say nothing but errors of beadle's own
    #[arg(long, short)]
    quiet: bool,

    /// Where births and deaths come from, for tests and comparisons
    #[arg(long, value_name = "TIER", value_parser = super::watch::tier(), hide = true)]
    tier: Option<TierChoice>,

    /// No control group of its own, for tests and comparisons
    #[arg(long, hide = true)]
    no_cgroup: bool,

    /// The command, and its arguments
    #[arg(
        value_name = "CMD",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let order = args.order(around)?;
    let mut file = args.open_report()?;
    let mut teller = Teller::new(args, around);
    let ran = run::run(&order, &mut |word| teller.tell(&word));
    teller.clear();
    let (account, output) = ran.map_err(Failure::from_run)?;
    let over = args.asserts.held_against(&account);
    let code = code(&account, &over);
    if let Some(sink) = &mut file {
        let text = report::json(&order, &account, &over, code);
        sink.write(&text, output)?;
    }
    teller.close(&account, &over);
    match (account.sentence.is_some(), account.ended) {
        (false, Ended::Killed(signal)) => {
            ending::die_of(signal);
            Err(Failure::quietly(code))
        }
        _ if code == 0 => Ok(()),
        _ => Err(Failure::quietly(code)),
    }
}

/// The status that we end with, where no signal ends us.
fn code(account: &Account, over: &[Over]) -> u8 {
    match (&account.sentence, account.ended) {
        (Some(_), _) => ENDED,
        (None, Ended::Exited(0)) if !over.is_empty() => TOO_HEAVY,
        (None, Ended::Exited(status)) => u8::try_from(status & 0xff).unwrap_or(OURS),
        (None, Ended::Killed(signal)) => u8::try_from(signal.saturating_add(128)).unwrap_or(OURS),
    }
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
    fn write(&mut self, text: &str, output: Option<OwnedFd>) -> Result<(), Failure> {
        let written = match (self, output) {
            (Self::File(file), _) => file.write_all(text.as_bytes()),
            (Self::Output, Some(output)) => std::fs::File::from(output).write_all(text.as_bytes()),
            // It was asked for with the order.
            (Self::Output, None) => Ok(()),
        };
        written.map_err(|error| Failure::ours(&format!("cannot write the report: {error}")))
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
            RunError::Ours(_) | RunError::Start(_) | RunError::Parent { .. } | RunError::First => {
                OURS
            }
        };
        Self {
            code,
            ..Self::from(error)
        }
    }
}

/// What is said on standard error while the command runs, and after.
struct Teller {
    program: Safe,
    quiet: bool,
    /// A line of figures that is drawn over: only where nothing else is on the screen.
    draws: bool,
    drawn: bool,
}

impl Teller {
    fn new(args: &Args, _around: &Surroundings) -> Self {
        let program = args.command.first();
        let program = program.map(|program| program.to_string_lossy().into_owned());
        // What has the terminal for its output may draw on it itself, and so may the reader of a pipe.
        let alone = std::io::stderr().is_terminal() && goes_to_a_file();
        Self {
            program: Safe::word(&program.unwrap_or_default()),
            quiet: args.quiet,
            draws: alone && !args.quiet,
            drawn: false,
        }
    }

    fn tell(&mut self, word: &Word) {
        match word {
            Word::Signal {
                signal,
                targets,
                evidence,
            } => self.say(&format!(
                "{}: SIG{} to {}",
                words::evidence(evidence),
                signal.word(),
                words::processes(*targets as u64)
            )),
            Word::Leftover { signal, targets } => self.say(&format!(
                "left behind by {}: SIG{} to {}",
                self.program,
                signal.word(),
                words::processes(*targets as u64)
            )),
            Word::Progress(figures) => self.draw(figures),
        }
    }

    fn say(&mut self, text: &str) {
        if !self.quiet {
            self.clear();
            complain(&format!("beadle: {text}\n"));
        }
    }

    fn draw(&mut self, figures: &Figures) {
        if self.draws && in_foreground() {
            self.drawn = true;
            complain(&format!(
                "\r\x1b[Kbeadle: {} · CPU {} · {} · {}\r",
                Span(figures.wall),
                Span(figures.cpu),
                figures.memory,
                words::processes(figures.processes)
            ));
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            complain("\r\x1b[K");
        }
    }

    /// Says what came of it, where that is not what was wanted.
    fn close(&mut self, account: &Account, over: &[Over]) {
        for line in closing(&self.program, account) {
            self.say(&line);
        }
        for one in over {
            self.say(&one.to_string());
        }
    }
}

/// The last words: why beadle ended it, whose signal it was, and what it left behind.
fn closing(program: &Safe, account: &Account) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(sentence) = &account.sentence {
        let signals: Vec<String> = sentence
            .signals
            .iter()
            .map(|signal| format!("SIG{}", signal.word()))
            .collect();
        lines.push(format!(
            "ended {program} after {}: {} ({}); {}",
            Span(account.wall),
            words::evidence(&sentence.evidence),
            signals.join(", "),
            rest(account)
        ));
    } else if account.ended == Ended::Killed(libc::SIGKILL) {
        let by = match account.oom {
            Oom::Here(_) => "by the kernel, for want of memory".to_owned(),
            Oom::Somewhere => {
                "not by beadle; the kernel ended a process for want of memory meanwhile".to_owned()
            }
            Oom::Nobody => "not by beadle, and not for want of memory".to_owned(),
        };
        lines.push(format!("{program} was killed {by}"));
    }
    let left = &account.leftovers;
    if account.sentence.is_none() && (left.asked > 0 || left.ended > 0) {
        let some = words::processes(left.asked.max(left.ended) as u64);
        lines.push(format!("{program} left {some} behind; {}", rest(account)));
    }
    lines
}

/// Who is left, and how that is known.
fn rest(account: &Account) -> String {
    let left = &account.leftovers;
    match left.proof {
        Proof::NoChild => "nobody is left".to_owned(),
        Proof::EmptyGroup => "nobody is left, and its control group is empty".to_owned(),
        Proof::OnlyKept => format!(
            "{} kept, nobody else is left",
            words::processes(left.kept.len() as u64)
        ),
        Proof::None => {
            let who: Vec<String> = left
                .left
                .iter()
                .take(8)
                .map(|one| format!("{} ({})", one.pid, one.name))
                .collect();
            format!("STILL THERE: {}", who.join(", "))
        }
    }
}

/// Whether standard output is a file.
fn goes_to_a_file() -> bool {
    let kind = rustix::fs::fstat(std::io::stdout()).map(|stat| stat.st_mode);
    kind.is_ok_and(|mode| rustix::fs::FileType::from_raw_mode(mode).is_file())
}

/// Whether our group has the terminal of standard error.
fn in_foreground() -> bool {
    rustix::termios::tcgetpgrp(std::io::stderr())
        .is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Bytes as people read them.
fn shown(bytes: Bytes) -> String {
    bytes.to_string()
}
