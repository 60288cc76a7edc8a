//! `beadle show ID`: the whole story of an incident, with its kill certificates.

use super::reach::astray;
use super::recall::Recall;
use super::render::story;
use super::{Failure, Surroundings, json, say};
use crate::control::protocol::Answer;
use crate::daemon::Inquiry;

/// Tell the whole story of an incident: figures, nudges, signals, and for each who got it, why, and what came of it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle show 3
  beadle show 3 --json | jq '.certificates[].targets[] | {pid, program, tie}'

The numbers are in the log, in every nudge and in `beadle history`. Exits 1 when the incident is not kept, is not yours,
or no history can be read.")]
pub(super) struct Args {
    /// The incident's number
    #[arg(value_name = "ID")]
    incident: u64,

    #[command(flatten)]
    recall: Recall,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let incident = args.incident;
    let inquiry = Inquiry::Show { incident };
    let Answer::Show(found) = args.recall.ask(&inquiry, around)? else {
        return Err(astray());
    };
    if args.recall.reach.json {
        say(&json(&found));
    } else {
        say(&story(&found, around.out));
    }
    Ok(())
}
