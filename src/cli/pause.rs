//! `beadle pause`: leave my processes alone for a while.

use std::time::Duration;

use super::reach::{Reach, astray};
use super::render::pauses;
use super::{Failure, Surroundings, json, say};
use crate::config;
use crate::control::protocol::{Answer, Question};

/// Leave your processes alone for a while (root: everyone's)
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle pause 30m                 every rule, for half an hour
  beadle pause 2h --rule pytest    one rule
  beadle pause                     until `beadle resume`

What was about to be signalled is not, from the moment this returns. Your own beadle and
the machine's are both told, where both watch.")]
pub(super) struct Args {
    /// For how long: 90s, 30m, 1h30m [default: until resumed]
    #[arg(value_name = "SPAN", value_parser = config::duration)]
    span: Option<Duration>,

    /// Only under this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,

    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let question = Question::Pause {
        // Rounded up: a pause may be longer than asked for, never shorter.
        span: args.span.map(|span| {
            span.as_secs()
                .saturating_add(u64::from(span.subsec_nanos() > 0))
        }),
        rule: args.rule.clone(),
    };
    tell(args.reach.ask_all(&question, around)?, &args.reach, around)
}

/// Says which pauses are in force now.
pub(super) fn tell(
    answers: Vec<Answer>,
    reach: &Reach,
    around: &Surroundings,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    for answer in answers {
        let Answer::Pauses { pauses } = answer else {
            return Err(astray());
        };
        found.extend(pauses);
    }
    if reach.json {
        say(&json(&found));
    } else {
        say(&pauses(&found, around.out));
    }
    Ok(())
}
