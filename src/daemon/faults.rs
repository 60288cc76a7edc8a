//! What does not work, while the watch goes on: logged when it begins and when it is over, counted in between.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::units::Mono;

/// The part of us that a fault is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The kernel's events.
    Events,
    /// Listing processes.
    Listing,
    /// The journal.
    Journal,
    /// Showing nudges on desktops.
    Desktop,
    /// Asking the machine's beadle.
    Elder,
    /// Rule files.
    Rules,
    /// Watching rule files for changes.
    RuleWatch,
    /// Keeping the numbers of incidents.
    Store,
    /// Keeping what became of incidents.
    History,
    /// Keeping a record of what is about to be done.
    Intent,
    /// Keeping what people have allowed.
    Exceptions,
    /// Leaving word to the next beadle.
    Legacy,
    /// Hearing heartbeats.
    Heartbeats,
    /// A program that was run, or a manager that was asked.
    Errand,
    /// An act that an earlier beadle left open.
    Unfinished,
}

impl Part {
    /// The word in logs and `status`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Listing => "listing",
            Self::Journal => "journal",
            Self::Desktop => "desktop",
            Self::Elder => "machine's beadle",
            Self::Rules => "rules",
            Self::RuleWatch => "rule watch",
            Self::Store => "store",
            Self::History => "history",
            Self::Intent => "record of intent",
            Self::Exceptions => "exceptions",
            Self::Legacy => "legacy",
            Self::Heartbeats => "heartbeats",
            Self::Errand => "errand",
            Self::Unfinished => "unfinished act",
        }
    }
}

/// One fault that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What is wrong, and what to do.
    pub(super) text: String,
    /// How often it was seen.
    pub(super) count: u64,
    /// Since when.
    pub(super) since: Mono,
}

/// What a sighting of a fault, or of its absence, changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// It began.
    Began,
    /// It goes on, or was not there: nothing to say.
    None,
    /// It is over; this is what it was.
    Over(Fault),
}

/// The faults that last.
#[derive(Debug, Default)]
pub(super) struct Faults {
    lasting: BTreeMap<Part, Fault>,
}

impl Faults {
    /// A fault was seen.
    pub(super) fn seen(&mut self, part: Part, text: &str, now: Mono) -> Edge {
        if let Some(fault) = self.lasting.get_mut(&part) {
            fault.count = fault.count.saturating_add(1);
            text.clone_into(&mut fault.text);
            return Edge::None;
        }
        let fault = Fault {
            text: text.to_owned(),
            count: 1,
            since: now,
        };
        self.lasting.insert(part, fault);
        Edge::Began
    }

    /// The part works.
    pub(super) fn works(&mut self, part: Part) -> Edge {
        self.lasting.remove(&part).map_or(Edge::None, Edge::Over)
    }

    /// All that last, with for how long.
    pub(super) fn lasting(&self, now: Mono) -> impl Iterator<Item = (Part, &Fault, Duration)> {
        self.lasting
            .iter()
            .map(move |(part, fault)| (*part, fault, now.since(fault.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_two_edges_however_often_it_is_seen() {
        let mut faults = Faults::default();
        let now = Mono::from_secs(1);
        assert_eq!(faults.seen(Part::Journal, "stalled", now), Edge::Began);
        assert_eq!(faults.seen(Part::Journal, "stalled", now), Edge::None);
        let Edge::Over(fault) = faults.works(Part::Journal) else {
            panic!("it was lasting")
        };
        assert_eq!((fault.count, fault.since), (2, now));
        assert_eq!(faults.works(Part::Journal), Edge::None);
    }
}
