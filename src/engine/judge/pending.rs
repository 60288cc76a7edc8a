//! Looks that wait until all that happened before them is told.
//!
//! **Invariants.** Where events are heard, a look is taken in after everything that happened before it, or [`PATIENCE`]
//! later. Looks are taken in one after the other, as they came.
//!
//! # Why they wait
//! A look is ahead of the events. It finds somebody dead whose last fork is still in the queue: buried before that is
//! read, he would leave a child that nobody knows the parent of. And of whoever is born and dies between two looks only
//! the events tell: they are to be counted when what their unit used is.

use std::time::Duration;

use super::Judge;
use crate::engine::decision::{Decision, Hearing};
use crate::engine::snapshot::Snapshot;
use crate::engine::units::Mono;

/// A look waits no longer: the watch goes on, whatever became of the events.
const PATIENCE: Duration = Duration::from_millis(200);

/// A look that waits.
#[derive(Debug)]
pub(super) struct Pending {
    look: Snapshot,
    /// When the last of it was read.
    taken: Mono,
    /// When it is taken in at the latest.
    until: Mono,
}

impl Judge {
    /// Has a look wait for the events of before it, where they are heard.
    pub(super) fn await_events(&mut self, look: Snapshot, out: &mut Vec<Decision>) {
        self.note_machine(look.machine);
        self.snapshots = self.snapshots.saturating_add(1);
        let read = look.samples.iter().map(|sample| sample.at);
        let taken = read.max().unwrap_or_default();
        if self.hearing == Hearing::Events && !self.forest.is_told(taken) {
            out.push(Decision::Flush);
        }
        self.pending.push_back(Pending {
            look,
            taken,
            until: self.now.after(PATIENCE),
        });
    }

    /// Takes in the looks that need not wait any longer.
    pub(super) fn take_looks(&mut self, out: &mut Vec<Decision>) {
        while let Some(first) = self.pending.front() {
            let told = match self.hearing {
                Hearing::Events => self.forest.is_told(first.taken),
                Hearing::Nothing => true,
            };
            if !told && self.now < first.until {
                return;
            }
            if let Some(first) = self.pending.pop_front() {
                self.look_at(&first.look, out);
            }
        }
    }

    /// When the first of them has waited for long enough.
    pub(super) fn patience_ends(&self) -> Option<Mono> {
        self.pending.front().map(|first| first.until)
    }
}
