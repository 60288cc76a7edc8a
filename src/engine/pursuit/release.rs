//! Releasing: CONT to those whom a hold stopped, children first, so that no shell sees its job stopped once more.
//!
//! The door lets it through for those whom it stopped itself and for nobody else, warrant or not. Whoever was continued by
//! somebody else meanwhile loses nothing.

use std::time::Duration;

use super::case::Case;
use super::{Act, Step, Turn, Wire};
use crate::engine::units::Mono;
use crate::engine::warrant::Withheld;

/// How long to wait before another attempt to make sure who it is.
const RETRY: Duration = Duration::from_millis(20);

/// Where the course stands.
#[derive(Debug, Default)]
pub(super) struct Release {
    /// No further attempt before this.
    next: Mono,
}

impl Release {
    pub(super) fn step(&mut self, case: &mut Case, turn: &Turn<'_>, acts: &mut Vec<Act>) -> Step {
        let now = turn.now;
        if now >= case.deadline() {
            case.let_go(Withheld::Unsure, now);
        }
        if case.roll.is_settled() {
            return Step::Over;
        }
        if now < self.next {
            return Step::Until(self.next);
        }
        self.next = now.after(RETRY);
        acts.extend(case.roll.open().filter_map(|(slot, member)| {
            Some(Act::Send {
                slot,
                key: member.key?,
                wire: Wire::Cont,
            })
        }));
        acts.reverse();
        Step::Until(self.next)
    }
}
