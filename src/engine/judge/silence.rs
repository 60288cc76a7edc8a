//! How long nothing was heard: who lived and died in that time is in no sum.
//!
//! **Invariants.** It is silent until events are heard *and* everyone that a listing showed afterwards was looked at:
//! until then a death may be of somebody nobody knew. Before the judge began all was silence.
//!
//! # What it is for
//! Nobody uses more than all processors for as long as nobody listened. So even where nothing is heard CPU time has an
//! upper bound.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::process::Pid;
use crate::engine::units::Mono;

/// All the silence there was.
#[derive(Debug)]
pub(super) struct Silence {
    /// Since when nothing is heard, or not yet surely everything.
    since: Option<Mono>,
    /// When the last silence ended.
    ended: Mono,
    /// How long it was silent in all, without the silence that lasts.
    total: Duration,
    /// Whoever the listing showed and no look has answered for.
    unseen: Option<BTreeSet<Pid>>,
}

/// How much of it there was in the life of a unit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    /// In the time before the unit was known.
    before: Duration,
    /// What the total was then.
    total: Duration,
}

impl Default for Silence {
    fn default() -> Self {
        Self {
            since: Some(Mono::BOOT),
            ended: Mono::BOOT,
            total: Duration::ZERO,
            unseen: None,
        }
    }
}

impl Silence {
    /// From this moment on something may have been missed.
    pub(super) fn begin(&mut self, at: Mono) {
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
        self.unseen = None;
    }

    /// These are all there are, and all of them are being asked about.
    pub(super) fn count(&mut self, everyone: impl Iterator<Item = Pid>) {
        if self.since.is_some() {
            self.unseen = Some(everyone.collect());
        }
    }

    /// Somebody was looked at, or died.
    pub(super) fn saw(&mut self, pid: Pid) {
        if let Some(unseen) = &mut self.unseen {
            unseen.remove(&pid);
        }
    }

    /// Ends it when everyone was seen.
    pub(super) fn end(&mut self, now: Mono) {
        if self.unseen.as_ref().is_none_or(|unseen| !unseen.is_empty()) {
            return;
        }
        self.unseen = None;
        if let Some(since) = self.since.take() {
            self.total = self.total.saturating_add(now.since(since));
            self.ended = now;
        }
    }

    /// Whether it lasts.
    pub(super) const fn lasts(&self) -> bool {
        self.since.is_some()
    }

    /// Whether everything that happened since that moment was heard.
    pub(super) fn heard_since(&self, moment: Mono) -> bool {
        self.since.is_none() && moment >= self.ended
    }

    /// The share of a unit that began at some moment and is known from now on.
    pub(super) fn share(&self, began: Mono, now: Mono) -> Share {
        // Silences of before, with what was heard between them, count as one.
        let over = self.ended.since(began);
        let lasting = self.since.map(|since| now.since(since.max(began)));
        Share {
            before: over.saturating_add(lasting.unwrap_or_default()),
            total: self.total_at(now),
        }
    }

    /// How long it was silent in the life of a unit with this share.
    pub(super) fn of(&self, share: Share, now: Mono) -> Duration {
        let since = self.total_at(now).saturating_sub(share.total);
        share.before.saturating_add(since)
    }

    fn total_at(&self, now: Mono) -> Duration {
        let lasting = self.since.map(|since| now.since(since));
        self.total.saturating_add(lasting.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Mono {
        Mono::from_secs(secs)
    }

    fn pids(numbers: &[u32]) -> impl Iterator<Item = Pid> {
        numbers.iter().filter_map(|number| Pid::new(*number))
    }

    #[test]
    fn silence_ends_when_everyone_was_seen() {
        let mut silence = Silence::default();
        assert!(!silence.heard_since(at(5)));
        silence.end(at(6));
        silence.count(pids(&[1, 2]));
        silence.saw(Pid::INIT);
        silence.end(at(7));
        assert!(!silence.heard_since(at(7)));
        silence.saw(Pid::new(2).unwrap());
        silence.end(at(8));
        assert!(silence.heard_since(at(8)) && !silence.heard_since(at(7)));
        // A unit from before, one from within and one from after.
        let share = |began| silence.of(silence.share(at(began), at(9)), at(9)).as_secs();
        assert_eq!([share(2), share(7), share(8)], [6, 1, 0]);
    }

    #[test]
    fn each_unit_has_its_share() {
        let mut silence = Silence::default();
        silence.count(pids(&[]));
        silence.end(at(10));
        let unit = silence.share(at(15), at(16));
        silence.begin(at(20));
        assert_eq!(silence.of(unit, at(23)).as_secs(), 3);
        let late = silence.share(at(21), at(23));
        silence.begin(at(24));
        silence.count(pids(&[3]));
        silence.saw(Pid::new(3).unwrap());
        silence.end(at(25));
        assert_eq!(silence.of(unit, at(99)).as_secs(), 5);
        assert_eq!(silence.of(late, at(99)).as_secs(), 4);
    }
}
