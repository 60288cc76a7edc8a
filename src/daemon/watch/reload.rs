//! Rule files, read again while the watch goes on.

use std::path::PathBuf;

use crate::cli::render::Entry;
use crate::config::{Loaded, Refusal};
use crate::control::wire::Safe;
use crate::engine::decision::Input;

use super::super::changes::Changes;
use super::super::exceptions::Reread;
use super::super::faults::Part;
use super::super::inbox::Inbox;
use super::Watch;

impl Watch {
    /// Reads the rule files again; with a mistake in them, the old rules stay.
    pub(super) fn reload(&mut self, inbox: &mut Inbox) {
        self.service.reloading(self.shells.now());
        match self.standing.rules.load(&self.standing.users) {
            Ok(loaded) => self.take_rules(loaded, inbox),
            Err(refusal) => self.keep_rules(&refusal),
        }
        match self.exceptions.reread() {
            Ok(Reread::Mended(mended)) => {
                self.works(Part::Exceptions);
                self.step(Input::Exceptions(mended), inbox);
            }
            Ok(Reread::Mending(mended)) => self.step(Input::Exceptions(mended), inbox),
            Ok(Reread::Same) => self.works(Part::Exceptions),
            Ok(Reread::Later) => {}
            Err(text) => self.fault(Part::Exceptions, &text),
        }
        if self.service.is_reloading() {
            let now = self.shells.now();
            self.service.watching(self.line(), now);
        }
    }

    fn take_rules(&mut self, loaded: Loaded, inbox: &mut Inbox) {
        self.works(Part::Rules);
        self.voice.take_channels(loaded.rules.channels);
        self.historian.settle(loaded.rules.keeping);
        let rules = loaded.rules.rules.len();
        self.hear_changes(&loaded.watch);
        self.standing.files.clone_from(&loaded.files);
        self.step(Input::Rules(loaded.rules), inbox);
        {
            let entry = Entry::reloaded(rules, self.shells.now(), &self.voice.wall());
            self.voice.say(&entry);
        }
    }

    fn keep_rules(&mut self, refusal: &Refusal) {
        let rules = self.judge.view().rules.len();
        let problems: Vec<Safe> = refusal
            .problems
            .iter()
            .map(|problem| Safe::word(&problem.to_string()))
            .collect();
        self.fault(
            Part::Rules,
            "the rule files are refused, the old rules stay in force; `beadle check` says why",
        );
        let wall = self.voice.wall();
        self.voice.say(&Entry::not_reloaded(
            rules,
            problems,
            self.shells.now(),
            &wall,
        ));
    }

    /// Hears changes of these rule files from now on.
    pub(in super::super) fn hear_changes(&mut self, paths: &[PathBuf]) {
        let heard = match &self.changes {
            Some(changes) => changes.watch(paths),
            None => Changes::hear(self.post.clone())
                .and_then(|changes| self.changes.insert(changes).watch(paths)),
        };
        match heard {
            Ok(()) => self.works(Part::RuleWatch),
            Err(error) => {
                let text =
                    format!("cannot watch the rule files for changes: {error}; reload with SIGHUP");
                self.fault(Part::RuleWatch, &text);
            }
        }
    }
}
