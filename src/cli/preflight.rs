//! `beadle preflight MATCHER`: does anything like this run already? What a script asks before it starts a second one.

use std::sync::mpsc::channel;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::render::{stamp, words};
use super::run::matcher;
use super::{Failure, Surroundings, json, say};
use crate::config;
use crate::control::wire::{Safe, seconds};
use crate::daemon::{Present, present};
use crate::engine::units::Span;
use crate::sys::clock::Clock;
use crate::sys::users::Users;

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
from. Exits 0 when nothing runs, 1 when something does: who, since when, and in which folder.")]
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
    let mut running = present(&meant)?;
    while !running.is_empty() && end.is_some_and(|end| Clock.now() < end) {
        rest();
        running = present(&meant)?;
    }
    let running: Vec<One> = running.iter().map(|one| One::of(one, &users)).collect();
    if args.json {
        let running = running.clone();
        say(&json(&Found { running }));
    } else {
        for one in &running {
            say(&one.line());
        }
    }
    match running.is_empty() {
        true => Ok(()),
        false => Err(Failure::silent()),
    }
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
