//! What people answer to an incident: biddings, which are climbed like a ladder, and being left alone for a while.
//!
//! **Invariants.** While a bidding is under way the ladder of the rule waits; taken back, that goes on with its clock at zero.
//! Whatever leaves the tree alone takes a bidding back, and a bidding ends an *extend*: the last word holds.

use super::{Incident, Phase};
use crate::engine::answer::{Bidding, Deed, EXTENSION, Snooze};
use crate::engine::process::Uid;
use crate::engine::rule::{Mode, Rule, Stage};
use crate::engine::units::Mono;

/// What a person has bidden, while it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bidden {
    pub(super) bidding: Bidding,
    /// Where the ladder of the rule stands meanwhile.
    pub(super) back: usize,
}

impl Incident {
    /// What a person has bidden, where it goes by that.
    pub fn bidding(&self) -> Option<Bidding> {
        self.bidden.map(|bidden| bidden.bidding)
    }

    /// The stages that it goes through: a person's bidding, or else the ladder of its rule.
    pub fn stages<'r>(&self, rule: &'r Rule) -> &'r [Stage] {
        match &self.bidden {
            Some(bidden) => bidden.bidding.deed.ladder(),
            None => &rule.ladder,
        }
    }

    /// Whether more than telling may come of it in this mode: of its own accord, or because a person bids it.
    pub const fn may_act(&self, mode: Mode) -> bool {
        match (mode, &self.bidden) {
            (Mode::Observe, _) | (Mode::Nudge, None) => false,
            (Mode::Nudge, Some(_)) | (Mode::Enforce, _) => true,
        }
    }

    /// Where the ladder of its rule stands.
    pub(super) fn reached(&self) -> usize {
        self.bidden.map_or(self.next, |bidden| bidden.back)
    }

    /// A person bids this. What is under way of it goes on; whatever else was begun is none of it, and an *extend* from before
    /// is over.
    pub fn bid(&mut self, now: Mono, bidding: Bidding) {
        let same = self.bidden.is_some_and(|bidden| {
            bidden.bidding.deed == bidding.deed && self.next < bidding.deed.ladder().len()
        });
        if same {
            return;
        }
        let back = self.reached();
        self.bidden = Some(Bidden { bidding, back });
        self.snoozed = None;
        self.denied = false;
        self.said = false;
        self.begin_at(0, now);
    }

    /// What a person has bidden is taken back: the ladder of the rule goes on where it stood, its clock at zero.
    pub fn relent(&mut self, now: Mono) {
        if let Some(bidden) = self.bidden.take() {
            self.begin_at(bidden.back, now);
        }
    }

    /// It is left alone for [`EXTENSION`] longer than it was to be.
    pub fn snooze(&mut self, now: Mono, by: Uid) -> Snooze {
        let from = self.snoozed.map_or(now, |snooze| snooze.until.max(now));
        let snooze = Snooze {
            until: from.after(EXTENSION),
            by,
        };
        self.relent(now);
        self.snoozed = Some(snooze);
        // Root is bound by nothing, and uses up nobody's.
        let counts = by != Uid::ROOT;
        self.extended = self.extended.saturating_add(u32::from(counts));
        snooze
    }

    /// Until when it is left alone, while that lasts.
    pub fn snoozing(&self, now: Mono) -> Option<Snooze> {
        self.snoozed.filter(|snooze| now < snooze.until)
    }

    /// There are new rules, or a new beadle: whoever stood still was let go on, so a bidding to freeze begins anew. In a mode
    /// that only observes there is none.
    pub fn bid_again(&mut self, now: Mono, mode: Mode) {
        let Some(bidden) = self.bidden else { return };
        match (mode, bidden.bidding.deed) {
            (Mode::Observe, _) => self.relent(now),
            (Mode::Nudge | Mode::Enforce, Deed::Freeze) => self.begin_at(0, now),
            (Mode::Nudge | Mode::Enforce, Deed::Stop) => {}
        }
    }

    fn begin_at(&mut self, next: usize, now: Mono) {
        self.next = next;
        self.clock = now;
        self.retry = Mono::BOOT;
        self.held = 0;
        self.waits = None;
        if let Phase::Resting(_) = self.phase {
            self.phase = Phase::Climbing;
        }
    }
}
