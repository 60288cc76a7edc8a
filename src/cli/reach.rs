//! How the commands that ask the daemon reach it.

use std::path::PathBuf;

use super::{Failure, Surroundings};
use crate::control::client::{self, AskError};
use crate::control::protocol::{Answer, Question};
use crate::control::socket;

/// Options of every command that asks the daemon.
#[derive(Debug, clap::Args)]
pub(super) struct Reach {
    /// Print the answer as one JSON object
    #[arg(long)]
    pub(super) json: bool,

    /// Ask the daemon that listens here [default: yours, then the machine's]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Reach {
    /// Asks one question.
    pub(super) fn ask(
        &self,
        question: &Question,
        around: &Surroundings,
    ) -> Result<Answer, Failure> {
        Ok(self.try_to_ask(question, around)?)
    }

    /// Asks about what may be an incident of this number, and whose: yours or the machine's.
    pub(super) fn ask_whose(
        &self,
        incident: Option<u64>,
        question: &Question,
        around: &Surroundings,
    ) -> Result<Answer, Failure> {
        let open = |answer: &Answer| match answer {
            Answer::Status(status) => {
                let ids = status
                    .incidents
                    .iter()
                    .filter_map(|it| it.incident.as_ref());
                ids.map(|it| it.id).any(|id| Some(id) == incident)
            }
            _ => false,
        };
        let probe = (&Question::Status, open);
        Ok(client::ask_whose(
            &self.places(around),
            around.uid,
            probe,
            question,
        )?)
    }

    /// Asks every daemon that there is.
    pub(super) fn ask_all(
        &self,
        question: &Question,
        around: &Surroundings,
    ) -> Result<Vec<Answer>, Failure> {
        Ok(client::ask_all(&self.places(around), around.uid, question)?)
    }

    /// The same as [`Reach::ask`], for whoever has another way where there is no daemon.
    pub(super) fn try_to_ask(
        &self,
        question: &Question,
        around: &Surroundings,
    ) -> Result<Answer, AskError> {
        client::ask(&self.places(around), around.uid, question)
    }

    fn places(&self, around: &Surroundings) -> Vec<PathBuf> {
        match &self.socket {
            Some(place) => vec![place.clone()],
            None => socket::candidates(around.uid, around.runtime.as_deref()),
        }
    }

    /// Whether a place was named.
    pub(super) const fn is_named(&self) -> bool {
        self.socket.is_some()
    }
}

/// The daemon answered something else than was asked: it is not of our making.
pub(super) fn astray() -> Failure {
    Failure::new("the daemon answered another question: is it of the same version?")
}
