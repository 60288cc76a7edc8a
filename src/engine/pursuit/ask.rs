//! Asking: the signal to everyone, parents first; then CONT to those found stopped, children first.
//!
//! # Why nobody is stopped for it
//! The kernel hangs up an orphaned process group that is stopped before its handler gets to run, and a terminal is
//! taken from a foreground job that is stopped under its shell. So only who was stopped already is continued, and
//! children before their parents, whose shell would otherwise see them stopped.

use std::time::Duration;

use super::case::Case;
use super::roll::Standing;
use super::{Act, Motion, Slot, Step, Turn, Wire};
use crate::engine::process::ProcKey;
use crate::engine::units::Mono;
use crate::engine::warrant::{Outcome, Withheld};

/// How long to wait before another attempt to make sure who it is.
const RETRY: Duration = Duration::from_millis(20);

/// Where the course stands.
#[derive(Debug, Default)]
pub(super) struct Ask {
    stage: Stage,
    /// No further attempt before this.
    next: Mono,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// The signal goes out.
    #[default]
    Asking,
    /// Who of those asked is stopped?
    Looking,
    /// Those go on.
    Continuing,
}

impl Ask {
    pub(super) fn step(&mut self, case: &mut Case, turn: &Turn<'_>, acts: &mut Vec<Act>) -> Step {
        match self.stage {
            Stage::Asking => self.ask(case, turn.now, acts),
            Stage::Looking => self.proceed(case, turn.now, acts),
            Stage::Continuing => Step::Over,
        }
    }

    fn ask(&mut self, case: &mut Case, now: Mono, acts: &mut Vec<Act>) -> Step {
        if now >= case.deadline() {
            case.let_go(Withheld::Unsure, now);
        }
        if !case.roll.is_settled() {
            if now < self.next {
                return Step::Until(self.next);
            }
            self.next = now.after(RETRY);
            acts.extend(case.roll.open().filter_map(|(slot, member)| {
                Some(Act::Send {
                    slot,
                    key: member.key?,
                    wire: Wire::Ask,
                })
            }));
            return Step::Until(self.next);
        }
        self.stage = Stage::Looking;
        acts.extend(asked(case).map(|(slot, key, _)| Act::Look { slot, key }));
        if acts.is_empty() {
            return Step::Over;
        }
        Step::Until(now)
    }

    /// Continues those who were asked and cannot act on it. A look that failed leaves what the sample said.
    fn proceed(&mut self, case: &Case, now: Mono, acts: &mut Vec<Act>) -> Step {
        // Whom we froze the judge lets go on.
        if case.void.is_some() {
            return Step::Over;
        }
        let mut stopped: Vec<Act> = asked(case)
            .filter(|(_, _, stopped)| *stopped)
            .map(|(slot, key, _)| Act::Send {
                slot,
                key,
                wire: Wire::Cont,
            })
            .collect();
        if stopped.is_empty() {
            return Step::Over;
        }
        stopped.reverse();
        acts.append(&mut stopped);
        self.stage = Stage::Continuing;
        Step::Until(now)
    }
}

/// Those who got the signal, in the warrant's order, and whether they are stopped.
fn asked(case: &Case) -> impl Iterator<Item = (Slot, ProcKey, bool)> {
    case.roll.all().enumerate().filter_map(|(index, member)| {
        let stopped = match member.motion {
            Some(Motion::Still) => true,
            Some(Motion::Bound | Motion::Asleep | Motion::Running) => member.state == 'T',
            None => member.sampled_stopped,
        };
        match member.standing {
            Standing::Settled(Outcome::Sent) => Some((Slot(index), member.key?, stopped)),
            Standing::Settled(_)
            | Standing::Heard
            | Standing::Held
            | Standing::Due
            | Standing::Struck
            | Standing::Dropped => None,
        }
    })
}
