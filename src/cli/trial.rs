//! `beadle try FILE`: what these rules would do, without doing any of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::render::{Trial, TrialRule, trial};
use super::{Failure, Surroundings, complain, in_config, json, say};
use crate::config;
use crate::control::wire::Ps;
use crate::daemon::{Rules, glance};
use crate::engine::rule::{Mode, Origin, Rule};
use crate::sys::users::Users;

/// Try rules on what runs now: what matches, how near it is to each limit, and what would happen
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle try rules.yaml
  beadle try rules.yaml --for 20s     look longer: rates and `for:` need time

Nothing is signalled, and nobody is nudged. Needs no daemon. Exits 78 when the rules are wrong.")]
pub(super) struct Args {
    /// The rules
    file: PathBuf,

    /// How long to look
    #[arg(long = "for", value_name = "SPAN", default_value = "4s", value_parser = config::duration)]
    span: Duration,

    /// Print what was found as one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Found<'a> {
    rules: &'a [TrialRule],
    units: &'a Ps,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let users = Users::default();
    let load = |mode| {
        let file = Some(args.file.clone());
        Rules::new(file, None, around.uid, mode)
            .load(&users)
            .map_err(|refusal| Failure::rules(&refusal, around))
    };
    let told = load(None)?;
    if !told.warnings.is_empty() {
        complain(&config::render(&told.warnings, in_config(around.err)));
    }
    let view = glance(load(Some(Mode::Observe))?.rules, args.span)?;
    // What is built in runs besides, for a rule may shadow or be shadowed; it is not what was asked about.
    let written: Vec<&Arc<Rule>> = told
        .rules
        .rules
        .iter()
        .filter(|rule| matches!(rule.origin, Origin::File { .. }))
        .collect();
    let rules: Vec<TrialRule> = written.iter().map(|rule| TrialRule::of(rule)).collect();
    let mut units = Ps::from(&view);
    units.units.retain(|unit| {
        let rule = unit.subject.rule.as_str();
        written.iter().any(|it| &*it.name == rule)
    });
    if args.json {
        say(&json(&Found {
            rules: &rules,
            units: &units,
        }));
    } else {
        let found = Trial {
            rules: &rules,
            units: &units.units,
            processes: view.processes,
            pending: view.pending,
            span: args.span,
        };
        say(&trial(&found, around.out));
    }
    Ok(())
}
