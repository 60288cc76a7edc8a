//! The shelf: facts that nobody needs for now are not kept.
//!
//! Facts are most of what there is to know of a process, up to 64 KiB of arguments alone, and of nearly all processes they
//! are looked at once: no rule matches, and none will until the next exec. Only what follows from them is kept then. They
//! are learnt again, off the loop, when somebody asks `why`, when there are new rules, and when the process turns out to be
//! the topmost match after all.
//!
//! **Invariants.** Facts are shelved only where every answer stands until the next exec, and nobody reads them: not of
//! roots, not of who waits to be one, and of nobody while some rule looks at the processes above. Between new rules and
//! the facts they are held against, a process whose protection may have changed is spared.

use super::dossier::{Learning, Papers};
use super::{Judge, looks};
use crate::engine::facts::{Facts, Question, Read};
use crate::engine::forest::Serial;
use crate::engine::guard::{self, Standing};
use crate::engine::matcher::{self, Answer, Matcher, Volatility};
use crate::engine::process::Pid;
use crate::engine::rule::{Rule, RuleSet};

/// What becomes of facts that nobody needs for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filing {
    /// They are shelved.
    Shelf,
    /// They are kept: some rule looks at the processes above, and anybody may become one.
    Desk,
}

impl Filing {
    /// What these rules allow.
    pub(super) fn under(rules: &RuleSet) -> Self {
        let up = |matchers: &[Matcher]| matchers.iter().any(Matcher::looks_up);
        let looks_up = |rule: &Rule| rule.matcher.looks_up() || up(&rule.keep);
        let any = up(&rules.protect)
            || up(&rules.boundaries)
            || rules.rules.iter().any(|rule| looks_up(rule));
        if any { Self::Desk } else { Self::Shelf }
    }
}

impl Judge {
    /// Shelves the facts of a process, if that may be done.
    pub(super) fn shelve(&mut self, serial: Serial) {
        if self.may_be_shelved(serial)
            && let Some(dossier) = self.dossiers.get_mut(&serial)
        {
            dossier.papers = Papers::Shelved;
        }
    }

    pub(super) fn is_shelved(&self, serial: Serial) -> bool {
        let dossier = self.dossiers.get(&serial);
        dossier.is_some_and(|dossier| matches!(dossier.papers, Papers::Shelved))
    }

    fn may_be_shelved(&self, serial: Serial) -> bool {
        let Some(dossier) = self.dossiers.get(&serial) else {
            return false;
        };
        let root = |id| self.units.get(id).is_some_and(|unit| unit.root == serial);
        self.filing == Filing::Shelf
            && dossier.learning == Learning::Settled
            && matches!(dossier.papers, Papers::Here(_))
            && !self.hopeful.contains(&serial)
            && !dossier.units.iter().any(root)
            && self
                .with_subject(serial, |subject| self.is_answered_for_good(subject))
                .unwrap_or(false)
    }

    /// Whether nothing can become of a process until its next exec but what has become of it.
    fn is_answered_for_good(&self, subject: &matcher::Subject<'_>) -> bool {
        self.rules.rules.iter().all(|rule| {
            let decided =
                !loose(&rule.matcher) || rule.matcher.test_for_good(subject) != Answer::Unknown;
            // Whom `keep` takes out of a tree is asked whenever a tree is found above it.
            let stays = |keep: &Matcher| match keep.holds_for_good(subject) {
                Answer::Yes => false,
                Answer::No => true,
                Answer::Unknown => !loose(keep),
            };
            decided && rule.keep.iter().all(stays)
        })
    }

    /// Has shelved facts learnt again now.
    pub(super) fn fetch(&mut self, serial: Serial) {
        let now = self.now;
        if let Some(dossier) = self.dossiers.get_mut(&serial) {
            dossier.learning = Learning::Young;
            self.schedule(serial, now);
        }
    }

    /// Has shelved facts learnt again for new rules. Until then no rule has an answer, and where protection may be another
    /// now, the process is spared.
    pub(super) fn fetch_for_rules(&mut self, serial: Serial, undecided: bool) {
        self.fetch(serial);
        if let Some(dossier) = self.dossiers.get_mut(&serial) {
            dossier.answers = None;
            if undecided && dossier.standing == Standing::Plain {
                dossier.standing = Standing::Protected(guard::Reason::Unread);
            }
        }
    }

    /// Whether these rules protect anybody, beyond the built-in list.
    pub(super) fn spares_anybody(rules: &RuleSet) -> bool {
        !rules.protect.is_empty() || !rules.boundaries.is_empty()
    }

    /// Whether the facts of some member are being fetched: whether it may be signalled is not known.
    pub(super) fn awaits_facts(&self, members: impl IntoIterator<Item = Serial>) -> bool {
        members.into_iter().any(|serial| {
            self.dossiers.get(&serial).is_some_and(|dossier| {
                matches!(dossier.papers, Papers::Shelved) && dossier.learning != Learning::Settled
            })
        })
    }

    /// The question that brings back the shelved facts of whoever bears this number, for [`Judge::explain`].
    pub fn recall(&self, pid: Pid) -> Option<Question> {
        let serial = self
            .forest
            .holder(pid)
            .filter(|serial| self.is_shelved(*serial))?;
        let node = self.forest.node(serial)?;
        Some(looks::question(serial, node, &self.rules.variables))
    }

    /// The facts to explain a process by: those at hand, else those just learnt, if they are of this image of it.
    pub(super) fn at_hand<'a>(
        &'a self,
        serial: Serial,
        learnt: Option<&'a Facts>,
    ) -> Option<&'a Facts> {
        let node = self.forest.node(serial)?;
        let own = |facts: &&Facts| {
            let its = facts.exec == node.exec && facts.key.is_some() && facts.key == node.key;
            its && !matches!(facts.args, Read::Late)
        };
        let dossier = self.dossiers.get(&serial)?;
        dossier.facts().or_else(|| learnt.filter(own))
    }
}

/// Whether an answer can change without an exec and without an event.
pub(super) fn loose(matcher: &Matcher) -> bool {
    matcher.changes(Volatility::Drifts) || matcher.changes(Volatility::Ripens)
}

#[cfg(test)]
mod tests;
