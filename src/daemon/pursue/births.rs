//! The births that a decision may not have seen yet.

use std::collections::VecDeque;

use crate::engine::event::{Event, Happening};
use crate::engine::warrant::EventCount;

/// More than this are not kept; a warrant that needs older ones is told of a loss.
const MOST: usize = 32_768;

/// Forks and exits since what the loop has applied, and whether any are missing.
#[derive(Debug, Default)]
pub(super) struct Births {
    kept: VecDeque<(EventCount, Event)>,
    /// The count at which something was lost last.
    lost: Option<EventCount>,
}

/// What a decision has not seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    /// This, completely.
    All(Vec<Event>),
    /// This and more.
    Some(Vec<Event>),
}

/// Whether a pursuit can do anything with it.
pub(super) const fn matters(event: &Event) -> bool {
    matches!(event.what, Happening::Fork { .. } | Happening::Exit { .. })
}

impl Births {
    /// Keeps an event that is the `count`th of all.
    pub(super) fn keep(&mut self, count: EventCount, event: Event) {
        if !matters(&event) {
            return;
        }
        if self.kept.len() >= MOST
            && let Some((oldest, _)) = self.kept.pop_front()
        {
            self.lose(oldest);
        }
        self.kept.push_back((count, event));
    }

    /// Notes that something was lost when so many had been heard.
    pub(super) fn lose(&mut self, count: EventCount) {
        self.lost = self.lost.max(Some(count));
    }

    /// Those up to here are not needed any more.
    pub(super) fn forget(&mut self, upto: EventCount) {
        while self.kept.front().is_some_and(|(count, _)| *count <= upto) {
            self.kept.pop_front();
        }
    }

    /// What happened since a decision that has seen so many.
    pub(super) fn since(&self, seen: EventCount) -> Unseen {
        let later = self.kept.iter().filter(|(count, _)| *count > seen);
        let events = later.map(|(_, event)| *event).collect();
        // A loss is told after the events before it: who has seen as many may not have seen it.
        if self.lost.is_some_and(|lost| lost >= seen) {
            Unseen::Some(events)
        } else {
            Unseen::All(events)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::process::Pid;
    use crate::engine::units::Mono;

    fn exit(number: u32) -> Event {
        let pid = Pid::new(number).unwrap();
        Event {
            at: Mono::BOOT,
            what: Happening::Exit { pid },
        }
    }

    #[test]
    fn a_decision_catches_up_with_what_it_has_not_seen() {
        let mut births = Births::default();
        for count in 1..=5 {
            births.keep(EventCount(u64::from(count)), exit(count));
        }
        births.forget(EventCount(2));
        assert_eq!(
            births.since(EventCount(3)),
            Unseen::All(vec![exit(4), exit(5)])
        );
        births.lose(EventCount(4));
        assert_eq!(births.since(EventCount(4)), Unseen::Some(vec![exit(5)]));
        assert_eq!(births.since(EventCount(5)), Unseen::All(vec![]));
    }

    #[test]
    fn too_many_to_keep_is_a_loss_that_is_told() {
        let mut births = Births::default();
        for count in 1..=u64::try_from(MOST).unwrap() + 1 {
            births.keep(EventCount(count), exit(7));
        }
        assert!(matches!(births.since(EventCount(0)), Unseen::Some(_)));
        assert!(matches!(births.since(EventCount(1)), Unseen::Some(_)));
        assert!(matches!(births.since(EventCount(2)), Unseen::All(_)));
    }
}
