//! Asks the machine's beadle what it minds, for a user's that goes after it.
//!
//! **Invariants.** Each question is answered, also where nobody listens or nothing is understood; nobody waits for it. Who is believed
//! is root, or ourselves. Why, [`elder`](crate::engine::elder) says.

use std::path::PathBuf;

use crate::control::client::{self, AskError};
use crate::control::protocol::{Answer, Question, RefusalKind};
use crate::control::wire::Minded;
use crate::engine::decision::Input;
use crate::engine::elder::Word;
use crate::engine::process::Uid;
use crate::sys::clock::Clock;

use super::inbox::{Mail, Post};

/// Where the machine's beadle is, for a user's.
#[derive(Clone, Debug)]
pub(super) struct Elder {
    /// Us.
    pub(super) user: Uid,
    /// Where it listens.
    pub(super) place: PathBuf,
}

impl Elder {
    /// Asks, on a thread of its own; what comes of it is mail.
    pub(super) fn ask(&self, post: &Post) {
        let (elder, post) = (self.clone(), post);
        let asked = Clock.now();
        let answers = post.clone();
        // Not one of the runtime's threads: those are waited for when we stop, and whoever is asked may hang.
        let begun = std::thread::Builder::new()
            .name("consult".to_owned())
            .spawn(move || {
                let (minds, trouble) = elder.minds();
                // The loop is gone: nobody needs it any more.
                let _ = answers.send(Mail::Elder(trouble));
                let _ = answers.send(Mail::Input(Input::Elder(Word { asked, minds })));
            });
        if let Err(error) = begun {
            let trouble = unheard(&format!("no thread can be had to ask it: {error}"));
            let _ = post.send(Mail::Elder(Err(trouble)));
            let minds = None;
            let _ = post.send(Mail::Input(Input::Elder(Word { asked, minds })));
        }
    }

    /// What it minds, and what is wrong with it.
    fn minds(
        &self,
    ) -> (
        Option<Vec<crate::engine::elder::Minded>>,
        Result<(), String>,
    ) {
        let places = std::slice::from_ref(&self.place);
        match client::ask(places, self.user, &Question::Minds) {
            Ok(Answer::Minds { minds }) => (Some(minds.iter().map(Minded::read).collect()), Ok(())),
            Err(AskError::NoDaemon { .. }) => (None, Ok(())),
            // It goes: whoever comes next is asked next.
            Err(AskError::Refused(refusal)) if refusal.kind == RefusalKind::Stopping => {
                (None, Ok(()))
            }
            Err(error) => (None, Err(unheard(&error.to_string()))),
            Ok(_) => (None, Err(unheard("it answers another question"))),
        }
    }
}

fn unheard(why: &str) -> String {
    format!("what the machine's beadle minds is not known, so both may tell of one tree: {why}")
}
