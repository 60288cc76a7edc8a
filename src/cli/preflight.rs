//! `beadle preflight MATCHER`: does anything like this run already? What a script asks before it starts a second one.
//!
//! # Exit codes
//! 0 nothing runs, 1 something does, 2 bad use, 3 it cannot be told: processes are hidden from us, or could not be read, or
//! beadle itself could not look. A script that goes on only after 0 is never told that nobody runs where that is not known.

use std::sync::mpsc::channel;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::render::{stamp, words};
use super::run::matcher;
use super::{Failure, Surroundings, complain, json, say};
use crate::config;
use crate::control::wire::{Safe, seconds};
use crate::daemon::{Present, Sight, present};
use crate::engine::matcher::Matcher;
use crate::engine::units::Span;
use crate::sys::clock::Clock;
use crate::sys::users::Users;

/// So many are told by name.
const TOLD: usize = 8;
/// It cannot be told.
const UNKNOWN: u8 = 3;
/// So often it is looked again before that is said: whoever is just being started cannot be read for a moment.
const LOOKS: u32 = 3;
/// How often it is looked again while it waits.
const AGAIN: Duration = Duration::from_millis(250);

/// Say who runs that a matcher means: before a script starts a second one of it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle preflight pytest && pytest              not while another one runs
  beadle preflight --wait 60s 'program: pytest, cwd: /srv/store'
  beadle preflight --json '{ program: [node, deno], user: ci }'

MATCHER is what a rule's `match` says, on one line; a single word means `program`. Who asks never counts, nor what it hangs
from. Exits 0 when nothing runs, 1 when something does: who, since when, and in which folder; 3 when
it cannot be told: processes of others are hidden, or closed to this user.")]
pub(super) struct Args {
    /// Which processes are meant
    matcher: String,

    /// How long to wait until nothing runs
    #[arg(long, value_name = "SPAN", value_parser = config::duration)]
    wait: Option<Duration>,

    /// Print what runs as one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Found {
    running: Vec<One>,
    /// So many may match and could not be read.
    #[serde(skip_serializing_if = "is_zero")]
    unknown: usize,
    /// Other users' processes are hidden from us.
    #[serde(skip_serializing_if = "is_false")]
    hidden: bool,
}

/// A process that runs.
#[derive(Clone, Serialize)]
struct One {
    pid: u32,
    program: Safe,
    command: Safe,
    /// When it started.
    since: Safe,
    /// How long ago, in seconds.
    age: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<Safe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Safe>,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let users = Users::default();
    let meant = matcher(&spelt_out(&args.matcher), "MATCHER", around, &users)?;
    let end = args.wait.map(|wait| Clock.now().after(wait));
    let mut sight = look(&meant)?;
    let mut told = Vec::new();
    while !sight.found.is_empty() && end.is_some_and(|end| Clock.now() < end) {
        tell_of_waiting(&sight, &mut told, args);
        rest();
        sight = look(&meant)?;
    }
    let running: Vec<One> = sight.found.iter().map(|one| One::of(one, &users)).collect();
    if args.json {
        let running = running.clone();
        say(&json(&Found {
            running,
            unknown: sight.unknown,
            hidden: sight.hidden,
        }));
    } else {
        for one in &running {
            say(&one.line());
        }
    }
    match (running.is_empty(), sight.is_unsure()) {
        (true, false) => Ok(()),
        (true, true) => Err(untold(&why(&sight))),
        (false, _) => Err(Failure::silent()),
    }
}

/// Looks, and again where somebody could not be read.
fn look(meant: &Matcher) -> Result<Sight, Failure> {
    let mut sight = Sight::default();
    for round in 0..LOOKS {
        if round > 0 {
            rest();
        }
        sight = present(meant).map_err(|error| untold(&error.to_string()))?;
        if sight.unknown == 0 || !sight.found.is_empty() {
            break;
        }
    }
    Ok(sight)
}

fn untold(why: &str) -> Failure {
    Failure {
        code: UNKNOWN,
        ..Failure::new(format!("cannot tell whether it runs: {why}"))
    }
}

fn why(sight: &Sight) -> String {
    match (sight.hidden, sight.unknown) {
        (true, _) => {
            "the processes of other users are hidden from this one (`hidepid`); ask as root"
                .to_owned()
        }
        (false, unknown) => format!(
            "{} could not be read by this user, and may match; ask as root, or about one's own alone (`user: NAME`)",
            words::processes(unknown as u64)
        ),
    }
}

/// Says who is waited for, when that is not who it was before.
fn tell_of_waiting(sight: &Sight, told: &mut Vec<u32>, args: &Args) {
    let now: Vec<u32> = sight.found.iter().map(|one| one.pid.number()).collect();
    if now == *told {
        return;
    }
    *told = now;
    let who: Vec<String> = sight
        .found
        .iter()
        .take(TOLD)
        .map(|one| format!("{} ({})", one.pid, Safe::from(&one.program)))
        .collect();
    let more = match sight.found.len() > who.len() {
        true => ", …",
        false => "",
    };
    let most = args.wait.unwrap_or_default();
    complain(&format!(
        "beadle: waiting, {} at most, for {}{more}\n",
        Span(most),
        who.join(", ")
    ));
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(yes: &bool) -> bool {
    !yes
}

/// A single word is the name of a program.
fn spelt_out(text: &str) -> String {
    let word = !text.trim().is_empty() && !text.contains([':', '{', ' ', '\n']);
    if word {
        format!("program: '{}'", text.replace('\'', "''"))
    } else {
        text.to_owned()
    }
}

fn rest() {
    let (_nobody, never) = channel::<()>();
    let _ = never.recv_timeout(AGAIN);
}

impl One {
    fn of(one: &Present, users: &Users) -> Self {
        let started = Clock.wall().checked_sub(one.age).unwrap_or(Clock.wall());
        let name = |uid: u32| users.name_of(uid).unwrap_or_else(|| uid.to_string());
        Self {
            pid: one.pid.number(),
            program: Safe::from(&one.program),
            command: Safe::from(&one.command),
            since: stamp(&started.to_zoned(TimeZone::system())),
            age: seconds(one.age),
            cwd: one.cwd.as_ref().map(Safe::from),
            user: one.owner.map(|uid| Safe::from(name(uid.0))),
        }
    }

    fn line(&self) -> String {
        let place = self
            .cwd
            .as_ref()
            .map_or(String::new(), |cwd| format!(", in {cwd}"));
        let user = self
            .user
            .as_ref()
            .map_or(String::new(), |user| format!(", by {user}"));
        format!(
            "{} runs as {} since {} ({}){place}{user}: {}\n",
            self.program,
            self.pid,
            words::date(&self.since),
            Span(Duration::from_secs_f64(self.age.max(0.0).round())),
            self.command
        )
    }
}
