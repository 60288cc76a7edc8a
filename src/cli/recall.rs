//! How the commands that ask for the past reach it: through the daemon, or in the file that one left.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::reach::Reach;
use super::{Failure, Surroundings, complain};
use crate::control::client::AskError;
use crate::control::protocol::{Answer, Question};
use crate::daemon::{self, Inquiry, Standpoint};
use crate::engine::process::Uid;
use crate::store::StoreError;
use crate::sys::clock::Clock;
use crate::sys::ourselves;

/// Options of the commands that ask for the past.
#[derive(Debug, clap::Args)]
pub(super) struct Recall {
    #[command(flatten)]
    pub(super) reach: Reach,

    /// Read what a beadle has kept in this folder, and ask none
    #[arg(long, value_name = "DIR", conflicts_with = "socket")]
    state: Option<PathBuf>,
}

impl Recall {
    /// Asks the daemon; where there is none, reads what one has left.
    pub(super) fn ask(&self, inquiry: &Inquiry, around: &Surroundings) -> Result<Answer, Failure> {
        if let Some(folder) = &self.state {
            return read(std::slice::from_ref(folder), inquiry);
        }
        let question = match inquiry {
            Inquiry::List(search) => Question::History(search.clone()),
            Inquiry::Show { incident } => Question::Show {
                incident: *incident,
            },
        };
        let absent = match self.reach.try_to_ask(&question, around) {
            Ok(answer) => return Ok(answer),
            Err(absent @ AskError::NoDaemon { .. }) if !self.reach.is_named() => absent,
            Err(error) => return Err(error.into()),
        };
        let folders: Vec<PathBuf> = [around.uid, Uid::ROOT]
            .into_iter()
            .filter_map(|user| daemon::state_folder(user, around.state_home.as_deref()))
            .collect();
        let answer = read(&folders, inquiry)?;
        complain(&format!("beadle: {absent}; this is what one has left\n"));
        Ok(answer)
    }
}

/// Reads the first history there is.
fn read(folders: &[PathBuf], inquiry: &Inquiry) -> Result<Answer, Failure> {
    let from = Standpoint {
        // Whoever may read the file may read all of it.
        whose: None,
        boot: ourselves::boot().unwrap_or_default().trim().to_owned(),
        now: Clock.wall(),
        zone: TimeZone::system(),
        open: BTreeSet::new(),
    };
    let mut missing = Failure::new("no history is kept anywhere");
    for (place, folder) in folders.iter().enumerate() {
        match daemon::recall(folder, inquiry, &from) {
            Ok(Answer::Refused(refusal)) => return Err(Failure::new(refusal.to_string())),
            Ok(answer) => return Ok(answer),
            Err(error @ StoreError::NoHistory { .. }) if place == 0 => missing = error.into(),
            Err(StoreError::NoHistory { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(missing)
}
