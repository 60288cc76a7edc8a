//! `beadle forget`: take an exception back.

use super::reach::{Reach, astray};
use super::render::forgotten;
use super::{Failure, Surroundings, json, say};
use crate::control::protocol::{Answer, Question};

/// Take back what `beadle allow` allowed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle rules --exceptions        lists exceptions with their numbers
  beadle forget 2                  exception 2
  beadle forget 2 5 pytest         exceptions 2 and 5, and all of rule pytest

Your own; root's daemon lets root forget everybody's. All that are named are forgotten, or,
where one of them is not there, none. Exits 1 then.")]
pub(super) struct Args {
    /// Numbers of exceptions, or names of rules
    #[arg(value_name = "N|RULE", required = true)]
    which: Vec<String>,

    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let question = Question::Forget {
        which: args.which.clone(),
    };
    let answer = args.reach.ask(&question, around)?;
    let Answer::Forgotten { exceptions, unkept } = &answer else {
        return Err(astray());
    };
    if args.reach.json {
        say(&json(exceptions));
    } else {
        say(&forgotten(exceptions, unkept.as_ref(), around.out));
    }
    Ok(())
}
