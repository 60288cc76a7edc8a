//! `beadle status`: how the watch goes.

use super::reach::{Reach, astray};
use super::render::status;
use super::{Failure, Surroundings, json, say};
use crate::control::protocol::{Answer, Question};

/// Show how the watch goes: open incidents, faults, pauses, and the rules in force
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle status
  beadle status --json | jq '.incidents[].pid'

Exits 1 when no daemon is listening.")]
pub(super) struct Args {
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let Answer::Status(found) = args.reach.ask(&Question::Status, around)? else {
        return Err(astray());
    };
    if args.reach.json {
        say(&json(&found));
    } else {
        say(&status(&found, around.out));
    }
    Ok(())
}
