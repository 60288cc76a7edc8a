//! `beadle ps`: what is judged.

use super::reach::{Reach, astray};
use super::render::ps;
use super::{Failure, Surroundings, json, say};
use crate::control::protocol::{Answer, Question};

/// List what is judged, nearest to a limit first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle ps
  beadle ps --json | jq -r '.units[] | [.nearness, .root, .program] | @tsv'

You see your own processes; root sees all. Exits 1 when no daemon is listening.")]
pub(super) struct Args {
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let Answer::Ps(found) = args.reach.ask(&Question::Ps, around)? else {
        return Err(astray());
    };
    if args.reach.json {
        say(&json(&found));
    } else {
        say(&ps(&found, around.out));
    }
    Ok(())
}
