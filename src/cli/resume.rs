//! `beadle resume`: take a pause back.

use super::pause::tell;
use super::reach::Reach;
use super::{Failure, Surroundings};
use crate::control::protocol::Question;

/// Take back your pauses (root: everyone's)
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle resume                    all pauses
  beadle resume --rule pytest      those of one rule")]
pub(super) struct Args {
    /// Only of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,

    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let question = Question::Resume {
        rule: args.rule.clone(),
    };
    tell(args.reach.ask_all(&question, around)?, &args.reach, around)
}
