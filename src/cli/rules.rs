//! `beadle rules`: which rules are in force, and what is built in.

use serde::Serialize;

use super::reach::{Reach, astray};
use super::render::{exceptions, rule_list, words};
use super::{Failure, Surroundings, json, say};
use crate::config::builtin::packs;
use crate::control::protocol::{Answer, Question};
use crate::control::wire::Safe;
use crate::daemon::Rules;
use crate::engine::rule::{Origin, Rule};
use crate::sys::users::Users;

/// List the rules that `beadle watch` would run, or print a built-in pack
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle rules
  beadle rules test-runners      a built-in pack as it is written: a start for rules of your own
  beadle rules --exceptions      what the running daemon never minds; `beadle forget` takes it back

To change a built-in rule, write a rule of its name: it takes its place. `builtin: none` switches all of them off.")]
pub(super) struct Args {
    /// A built-in pack, to be printed
    pack: Option<String>,

    /// What rules never mind, because a person said `beadle allow`
    #[arg(long, conflicts_with = "pack")]
    exceptions: bool,

    #[command(flatten)]
    reach: Reach,
}

/// A rule in the list.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    /// Its name.
    pub(super) name: Safe,
    /// Its mode.
    pub(super) mode: Safe,
    /// `FILE:LINE`, or `built-in PACK`.
    pub(super) origin: Safe,
    /// What happens, in words.
    pub(super) ladder: String,
    /// Which answers people may give.
    pub(super) answers: Vec<&'static str>,
    /// When it is judged, in words; absent is always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) when: Option<String>,
    /// What it is for.
    pub(super) about: Option<Safe>,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    if let Some(name) = &args.pack {
        return print(name);
    }
    if args.exceptions {
        return list_exceptions(args, around);
    }
    let home = around.config_home.clone();
    let loaded = Rules::new(None, home, around.uid, None)
        .load(&Users::default())
        .map_err(|refusal| Failure::rules(&refusal, around))?;
    let rules: Vec<Listed> = loaded
        .rules
        .rules
        .iter()
        .map(|rule| Listed::of(rule))
        .collect();
    if args.reach.json {
        say(&json(&rules));
        return Ok(());
    }
    say(&rule_list(
        rules.iter().map(|rule| {
            [
                rule.name.to_string(),
                rule.mode.to_string(),
                rule.origin.to_string(),
                match &rule.when {
                    Some(when) => format!("{}; only while {when}", rule.ladder),
                    None => rule.ladder.clone(),
                },
                rule.about
                    .as_ref()
                    .map_or_else(String::new, Safe::to_string),
            ]
        }),
        around.out,
    ));
    say("\nBuilt-in packs (`beadle rules NAME` prints one):\n");
    for pack in packs() {
        say(&format!("  {:<20}{}\n", pack.name, pack.about));
    }
    Ok(())
}

/// Asks the daemon: it alone knows what is in force.
fn list_exceptions(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let Answer::Exceptions { exceptions: found } = args.reach.ask(&Question::Exceptions, around)?
    else {
        return Err(astray());
    };
    if args.reach.json {
        say(&json(&found));
    } else {
        say(&exceptions(&found, around.out));
    }
    Ok(())
}

fn print(name: &str) -> Result<(), Failure> {
    let Some(pack) = packs().iter().find(|pack| pack.name == name) else {
        let known: Vec<&str> = packs().iter().map(|pack| pack.name).collect();
        return Err(Failure::new(format!(
            "no built-in pack is called `{}`: there are {}",
            Safe::word(name),
            known.join(", ")
        )));
    };
    say(pack.yaml);
    Ok(())
}

impl Listed {
    fn of(rule: &Rule) -> Self {
        Self {
            name: Safe::word(&rule.name),
            mode: Safe::word(rule.mode.word()),
            origin: origin(&rule.origin),
            ladder: words::course(rule),
            answers: rule.replies.may.iter().map(|it| it.word()).collect(),
            when: words::condition(&rule.gates),
            about: rule.about.as_deref().map(Safe::word),
        }
    }
}

/// Where a rule was written.
fn origin(origin: &Origin) -> Safe {
    Safe::from(match origin {
        Origin::Builtin { pack } => format!("built-in {pack}"),
        Origin::File { path, line } => format!("{path}:{line}"),
    })
}
