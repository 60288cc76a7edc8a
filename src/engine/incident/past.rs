//! What a closed incident leaves behind.

use std::time::Duration;

use super::Weight;
use super::place::same_stage;
use crate::engine::answer::Snooze;
use crate::engine::evidence::IncidentId;
use crate::engine::rule::{Stage, StageAct};
use crate::engine::units::Mono;

/// What an incident leaves behind for its unit's cooldown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Its number: a breach within the cooldown re-opens the same incident.
    pub id: IncidentId,
    /// When it opened first.
    pub opened: Mono,
    /// No message before this.
    pub until: Mono,
    /// The stage after the last nudge that was reached.
    pub next: usize,
    /// How much of that stage's notice was served.
    pub served: Duration,
    /// Whether a stage was refused.
    pub denied: bool,
    /// The last time people were told.
    pub told: Option<Mono>,
    /// What it rested on.
    pub weight: Weight,
    /// Until when it is left alone, because a person said so.
    pub snoozed: Option<Snooze>,
    /// How often people have extended it.
    pub extended: u32,
}

impl Past {
    /// Another beadle left it, and its stages are those of that one's ladder. What was served then does not count.
    pub fn resume(&mut self, old: &[StageAct], new: &[Stage]) {
        if !new.iter().map(|stage| &stage.act).eq(old) {
            self.next = same_stage(self.next, old.iter(), new);
        }
        self.served = Duration::ZERO;
    }

    /// The ladder is another one now: what [`Incident::restart`](super::Incident::restart) does to an open incident.
    pub fn restart(&mut self, old: &[Stage], new: &[Stage]) {
        self.next = same_stage(self.next, old.iter().map(|stage| &stage.act), new);
        self.served = Duration::ZERO;
    }
}
