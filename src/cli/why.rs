//! `beadle why PID`: why a process is judged, or why not.

use super::reach::{Reach, astray};
use super::render::why;
use super::{Failure, Surroundings, json, say};
use crate::control::protocol::{Answer, Question};

/// Explain a process: each rule, each limit now, what comes next, or which clause does not match
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle why 4711           of any member of a tree, not only of its root
  beadle why $$             why your shell is safe
  beadle why 4711 --json

Exits 1 when the process is not known, is not yours, or no daemon is listening.")]
pub(super) struct Args {
    /// The process
    #[arg(value_parser = clap::value_parser!(u32).range(1..=0x7fff_ffff))]
    pid: u32,

    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let question = Question::Why { pid: args.pid };
    let Answer::Why(found) = args.reach.ask(&question, around)? else {
        return Err(astray());
    };
    if args.reach.json {
        say(&json(&found));
    } else {
        say(&why(&found, around.out));
    }
    Ok(())
}
