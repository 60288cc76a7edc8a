//! `beadle history`: what became of incidents; and "who killed my process?".

use std::time::Duration;

use super::reach::astray;
use super::recall::Recall;
use super::render::{Eyes, history};
use super::{Failure, Surroundings, json, say};
use crate::config;
use crate::control::protocol::{Answer, Search};
use crate::daemon::Inquiry;
use crate::engine::process::Uid;

/// List incidents, open ones and those that are over, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle history                        the last incidents
  beadle history --pid 4711             who killed my process? Or: what did beadle not do to it?
  beadle history --rule pytest --since 2h
  beadle history --json | jq -r '.incidents[] | [.began, .id, .rule, .how] | @tsv'

You see your own; root sees all. Where no daemon is listening the file is read as it was left: yours, then the
machine's, if you may. Exits 1 when nothing is known of the process, or no history can be read.")]
pub(super) struct Args {
    /// Only incidents in which a process of this number had a part
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..=0x7fff_ffff))]
    pid: Option<u32>,

    /// Only incidents of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,

    /// Only incidents in which something happened within so long: 30m, 2h, 7d
    #[arg(long, value_name = "SPAN", value_parser = config::duration)]
    since: Option<Duration>,

    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    most: u32,

    #[command(flatten)]
    recall: Recall,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let inquiry = Inquiry::List(Search {
        pid: args.pid,
        rule: args.rule.clone(),
        within: args.since.map(|since| since.as_secs().max(1)),
        most: Some(args.most),
    });
    let Answer::History(found) = args.recall.ask(&inquiry, around)? else {
        return Err(astray());
    };
    let eyes = match around.uid {
        Uid::ROOT => Eyes::Root,
        Uid(_) => Eyes::Own,
    };
    if args.recall.reach.json {
        say(&json(&found));
    } else {
        say(&history(&found, eyes, around.out));
    }
    match (args.pid, found.incidents.is_empty()) {
        // It was said above.
        (Some(_), true) => Err(Failure::silent()),
        (Some(_), false) | (None, _) => Ok(()),
    }
}
