//! `beadle check`: what is wrong with the rules.

use std::path::PathBuf;

use super::render::words;
use super::{Failure, Surroundings, complain, in_config, say};
use crate::config;
use crate::daemon::Rules;
use crate::sys::users::Users;

/// Check the rules: every problem of every file, with line, column and what was expected
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle check                    the rules that `beadle watch` would load
  beadle check rules.yaml         one file, or all of a folder
  beadle check --strict rules.d   in CI: warnings count

Exits 0 when all is well, 1 on warnings with --strict, 78 on errors.")]
pub(super) struct Args {
    /// Exit 1 when anything is doubtful
    #[arg(long)]
    strict: bool,

    /// A file or a folder, in place of the usual ones
    path: Option<PathBuf>,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let home = around.config_home.clone();
    let loaded = Rules::new(args.path.clone(), home, around.uid, None)
        .load(&Users::default())
        .map_err(|refusal| Failure::rules(&refusal, around))?;
    if !loaded.warnings.is_empty() {
        complain(&config::render(&loaded.warnings, in_config(around.err)));
    }
    let rules = words::count(loaded.rules.rules.len() as u64, "rule", "rules");
    let from = match loaded.files.len() {
        0 => "built in; no rule file is there".to_owned(),
        n => format!(
            "from {} and what is built in",
            words::count(n as u64, "file", "files")
        ),
    };
    match loaded.warnings.len() as u64 {
        0 => say(&format!("{rules}, {from}: all is well.\n")),
        n => {
            let doubts = words::count(n, "warning", "warnings");
            say(&format!("{rules}, {from}: {doubts}.\n"));
            if args.strict {
                return Err(Failure::new(format!(
                    "{doubts}, and --strict was asked for"
                )));
            }
        }
    }
    Ok(())
}
