//! What people answer on their desktops, and how these are doing.

use crate::control::protocol::Refusal;
use crate::control::wire::{self, Safe};
use crate::engine::answer::{Answer, Whom, Wish};
use crate::engine::decision::Input;
use crate::sys::nudger::desktop::{Heard, Standing, Upshot};

use super::super::faults::Part;
use super::super::inbox::Inbox;
use super::Watch;

impl Watch {
    /// Takes in what was heard of somebody's desktop.
    pub(super) fn desktop(&mut self, heard: Heard, inbox: &mut Inbox) {
        match self.voice.hear(heard) {
            Upshot::Nothing | Upshot::Elsewhere(_) => {}
            Upshot::Answer {
                by,
                incidents,
                reply,
                name,
            } => {
                self.voice.meet(by, name);
                for incident in incidents {
                    let whom = Whom::Incident(incident);
                    let what = Wish::Reply { whom, reply };
                    let answer = Input::Answer(Answer { by, what });
                    if let Some(Err(declined)) = self.take_in(answer, inbox) {
                        let why = Refusal::from(&declined).text;
                        self.voice.declined(by, incident, &why);
                    }
                }
            }
        }
        self.check_desktops();
    }

    /// Whether all is well with desktops, now that some may be gone.
    pub(super) fn check_desktops(&mut self) {
        self.voice.tidy();
        let standings = self.voice.desktops();
        let troubles: Vec<String> = standings.iter().filter_map(complaint).collect();
        if troubles.is_empty() {
            self.works(Part::Desktop);
        } else {
            self.fault(Part::Desktop, &troubles.join("; "));
        }
    }

    /// All desktops that something was shown on, as `status` tells of them.
    pub(super) fn desktops(&self) -> Vec<wire::Desktop> {
        let standing = |it: Standing| wire::Desktop {
            user: it.whose.0,
            shown: it.shown,
            buttons: it.server.as_ref().map(|server| server.buttons),
            server: it.server.map(|server| Safe::word(&server.to_string())),
            trouble: it.trouble.map(|text| Safe::word(&text)),
        };
        self.voice.desktops().into_iter().map(standing).collect()
    }
}

fn complaint(standing: &Standing) -> Option<String> {
    let text = standing.trouble.as_ref()?;
    Some(format!(
        "user {}: {text}; terminals are written to instead",
        standing.whose.0
    ))
}
