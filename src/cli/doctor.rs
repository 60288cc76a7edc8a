//! `beadle doctor`: what works on this machine, what does not, what is lost by it, and what to do.
//!
//! It looks by itself and needs no daemon; where one listens, what that one found wanting is told too. It changes
//! nothing, signals nobody and opens only what it closes again.
//!
//! A *less* is how things are here: beadle works, and says so wherever it matters. A *bad* is for somebody to mend.

#[cfg_attr(not(target_os = "linux"), path = "doctor/deskless.rs")]
mod desktop;
mod home;
#[cfg_attr(not(target_os = "linux"), path = "doctor/elsewhere.rs")]
mod machine;

use std::path::PathBuf;

use serde::Serialize;

use super::reach::Reach;
use super::render::doctor;
use super::{Failure, Surroundings, json, say};
use crate::control::wire::Safe;

/// Say what works on this machine, what does not, what is lost by it, and what to do
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle doctor                 as you: what a beadle of yours could do
  sudo beadle doctor            as root: what the machine's could
  beadle doctor --json | jq '.findings[] | select(.state != \"well\")'
  beadle doctor --notify        show me a notification, and say what came of it
  sudo beadle doctor --notify   the same for everybody who is logged in

It looks, and changes nothing. Exits 1 when something is bad: what is less is how things are here.")]
pub(super) struct Args {
    /// The rules to look at: a file or a folder, in place of the usual ones
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,

    /// Show a notification, to a user or to everybody we may show one to, and nothing else
    #[arg(long, value_name = "USER", num_args = 0..=1, default_missing_value = "", conflicts_with = "config")]
    notify: Option<String>,

    #[command(flatten)]
    reach: Reach,
}

/// How one part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As well as it can be.
    Well,
    /// It works with less: something is lost.
    Less,
    /// It does not work.
    Bad,
}

/// What was found of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which part, in a word.
    pub(super) part: &'static str,
    /// How it is.
    pub(super) state: State,
    /// What was found.
    pub(super) found: Safe,
    /// What is lost by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lost: Option<Safe>,
    /// What to do.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<Safe>,
    /// Of a notification that was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notified: Option<Notified>,
}

/// What came of a notification that was shown for a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Notified {
    /// To whom.
    pub(super) user: u32,
    /// The server's number of it.
    pub(super) id: u32,
    /// What shows it.
    pub(super) server: Safe,
    /// Its version.
    pub(super) version: Safe,
    /// What it says it can do.
    pub(super) abilities: Vec<Safe>,
    /// Whether its button was pressed.
    pub(super) answered: bool,
}

/// What was found of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Findings {
    /// Our version.
    pub(super) version: &'static str,
    /// Whose beadle it would be.
    pub(super) user: u32,
    /// Each part, in the order that they are told.
    #[serde(rename = "findings")]
    pub(super) parts: Vec<Finding>,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let findings = if let Some(user) = &args.notify {
        desktop::findings(user, around)?
    } else {
        let mut findings = machine::findings(around.uid);
        findings.extend(home::findings(args, around));
        findings
    };
    let found = Findings {
        version: env!("CARGO_PKG_VERSION"),
        user: around.uid.0,
        parts: findings,
    };
    if args.reach.json {
        say(&json(&found));
    } else {
        say(&doctor(&found, around.out));
    }
    let bad = |finding: &Finding| finding.state == State::Bad;
    if found.parts.iter().any(bad) {
        return Err(Failure::silent());
    }
    Ok(())
}

impl Finding {
    fn new(part: &'static str, state: State, found: impl AsRef<str>) -> Self {
        Self {
            part,
            state,
            found: Safe::word(found.as_ref()),
            lost: None,
            remedy: None,
            notified: None,
        }
    }

    fn well(part: &'static str, found: impl AsRef<str>) -> Self {
        Self::new(part, State::Well, found)
    }

    fn less(part: &'static str, found: impl AsRef<str>, lost: &str) -> Self {
        let less = Self::new(part, State::Less, found);
        Self {
            lost: Some(Safe::word(lost)),
            ..less
        }
    }

    fn bad(part: &'static str, found: impl AsRef<str>) -> Self {
        Self::new(part, State::Bad, found)
    }

    fn remedy(self, what: impl AsRef<str>) -> Self {
        Self {
            remedy: Some(Safe::word(what.as_ref())),
            ..self
        }
    }
}
