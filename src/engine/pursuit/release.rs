//! Releasing: CONT to those whom a hold stopped, children first, so that no shell sees its job stopped once more.
//!
//! The door lets it through for those whom it stopped itself and for nobody else, warrant or not. Whoever was continued by
//! somebody else meanwhile loses nothing.

use std::time::Duration;

use super::case::Case;
use super::{Act, Step, Wire};
use crate::engine::units::Mono;

/// How long to wait before another attempt to make sure who it is,
const RETRY: Duration = Duration::from_millis(20);
/// and at most: it is tried until it is done, for nobody else will.
const SELDOM: Duration = Duration::from_secs(1);

/// Where the course stands.
#[derive(Debug, Default)]
pub(super) struct Release {
    /// How long was waited last.
    wait: Duration,
    /// No further attempt before this.
    next: Mono,
}

impl Release {
    pub(super) fn step(&mut self, case: &Case, now: Mono, acts: &mut Vec<Act>) -> Step {
        if case.roll.is_settled() {
            return Step::Over;
        }
        if now < self.next {
            return Step::Until(self.next);
        }
        self.wait = self.wait.saturating_mul(2).clamp(RETRY, SELDOM);
        self.next = now.after(self.wait);
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
