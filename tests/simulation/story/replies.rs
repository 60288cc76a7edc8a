//! What people answer in one seed.

use std::sync::Arc;
use std::time::Duration;

use beadle::engine::answer::Reply;
use beadle::engine::rule::RuleSet;
use beadle::engine::units::Mono;

use super::Trouble;
use crate::world::chance::Chance;

/// Answers come of a chance of their own, as gates do.
pub(super) const ANSWERS: u64 = 0xa25e_e000;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    Root,
    /// Whoever owns what the incident is about.
    Owner,
    /// Nobody who has anything to do with it.
    Stranger,
}

/// People answer, again and again.
pub(super) fn replies(chance: &mut Chance, start: Mono, length: u64) -> Vec<(Mono, Trouble)> {
    let mut replies = Vec::new();
    for _ in 0..chance.within(2, 10) {
        let at = start.after(Duration::from_millis(chance.within(5_000, length * 1_000)));
        let by = chance.one_of(&[Asker::Root, Asker::Owner, Asker::Owner, Asker::Stranger]);
        let reply = chance.one_of(&[
            Reply::Stop,
            Reply::Stop,
            Reply::Stop,
            Reply::Extend,
            Reply::Freeze,
            Reply::Allow,
        ]);
        let trouble = if chance.permille(80) {
            Trouble::Forget { by }
        } else {
            let choice = chance.bits();
            Trouble::Reply { by, reply, choice }
        };
        replies.push((at, trouble));
    }
    replies
}

/// Some rules take every answer, some none.
pub(super) fn answer_some(mut rules: RuleSet, chance: &mut Chance) -> RuleSet {
    for rule in &mut rules.rules {
        let may = match chance.within(0, 4) {
            0 => Vec::new(),
            1 | 2 => Reply::ALL.to_vec(),
            _ => continue,
        };
        Arc::make_mut(rule).replies.may = may;
    }
    rules
}
