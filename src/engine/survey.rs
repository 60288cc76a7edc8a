//! A survey: the memory of a unit with every shared page counted once.
//!
//! The cheap figures of `status` bound a unit's memory: not less than its largest member's, not more than the sum. Ten
//! workers that share a gigabyte and ten that have one each look the same. Only when a limit lies between the two is
//! it worth the price to ask for *proportional* sizes (12 ms a GiB): each page divided by the number of processes that
//! map it.
//!
//! # In which direction each figure errs
//! - **The sum of shares is a lower bound.** A page that only members map is counted once. One that outsiders map too is
//!   counted in part, and one of a member that could not be asked, or was born since, not at all. Shared huge pages,
//!   of which the kernel does not say how many share them, count as those of the one member with most.
//! - **Nothing of a survey outlives what it was measured on.** What a member has given back since (by the cheap figures
//!   of each look) is taken off its share; a member that died takes its share along. What is left is a lower bound of
//!   what the rest holds, for a page is never divided among fewer than map it. So `at_least` ages well.
//! - **The upper bound does not**: memory that members unshare by writing to it grows without any cheap figure showing
//!   it. It is used for [`STANDS`] only, and only if the root runs an image of its own: then none of its anonymous
//!   pages can be a stranger's. Shared memory, which anybody may map, counts in full there. It errs by pages shared with
//!   what has left the tree by `keep`, and downwards: towards leaving alone.
//! - A page that moves from one member to another *while* the survey runs may count twice. The next one corrects it.

use std::time::Duration;

use super::process::{ProcKey, StartTicks};
use super::units::{Bytes, Mono, Range, Tier};

/// A unit is surveyed at most so often.
pub const PACE: Duration = Duration::from_secs(5);

/// For how long the upper bound of a survey is believed: less than the time after which a breach counts as recovered.
pub const STANDS: Duration = Duration::from_secs(8);

/// The number of a survey: counts from 1 within one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SurveyId(pub u64);

/// What is to be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Its number.
    pub id: SurveyId,
    /// Whom to ask, those who hold most first.
    pub whom: Vec<Holder>,
    /// More than this need not be found: the limit.
    pub enough: Bytes,
}

/// One who holds memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub key: ProcKey,
    /// When it started.
    pub start: StartTicks,
}

/// What a survey found. Who is missing was not asked, or could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Which survey.
    pub id: SurveyId,
    /// When it began.
    pub at: Mono,
    /// Whoever answered.
    pub shares: Vec<(ProcKey, Share)>,
}

/// What one process holds, shared pages divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Anonymous pages and swap, divided by the number of processes that map each.
    pub anonymous: Bytes,
    /// Shared memory, divided likewise.
    pub shared: Bytes,
    /// Shared memory, undivided.
    pub shared_whole: Bytes,
    /// Huge pages of its own.
    pub huge: Bytes,
    /// Huge pages that others map too, undivided.
    pub huge_shared: Bytes,
    /// Its private memory by the cheap count, before and after: the lower of the two.
    pub low: Bytes,
    /// The higher of the two.
    pub high: Bytes,
    /// Whose image it runs.
    pub image: Image,
}

/// Whether a process has made a memory of its own since it was forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// By exec: its anonymous pages are its own, or its descendants'.
    Own,
    /// It has not: it may share anonymous pages with whoever forked it.
    Copied,
}

impl Share {
    /// What it adds to a unit's memory for certain.
    pub const fn certain(&self) -> Bytes {
        self.anonymous.plus(self.shared).plus(self.huge)
    }

    /// What it adds at most, as far as strangers share no anonymous page with it.
    pub const fn most(&self) -> Bytes {
        let undivided = self.shared_whole.plus(self.huge_shared);
        self.anonymous.plus(undivided).plus(self.huge)
    }
}

/// The sum of shares over a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    certain: Bytes,
    huge_shared: Bytes,
    most: Bytes,
}

impl Sum {
    /// Adds one living member: what the survey found of it, and what it holds now by the cheap count.
    pub fn add(&mut self, share: Option<&Share>, now: Bytes) {
        let Some(share) = share else {
            self.most = self.most.plus(now);
            return;
        };
        let (given_back, grown) = (less(share.high, now), less(now, share.low));
        let certain = less(share.certain(), given_back).min(now);
        self.certain = self.certain.plus(certain);
        self.huge_shared = self.huge_shared.max(less(share.huge_shared, given_back));
        self.most = self.most.plus(share.most().plus(grown).min(now));
    }

    /// Narrows the cheap bounds.
    pub fn narrow(&self, cheap: Range<Bytes>, ceiling: Ceiling) -> Range<Bytes> {
        let at_most = match ceiling {
            Ceiling::Stands => cheap.at_most.map(|most| most.min(self.most)),
            Ceiling::Unsure => cheap.at_most,
        };
        let found = self.certain.plus(self.huge_shared);
        // What is measured at several moments may cross by a little: the upper bound was always certain.
        let found = cheap.at_most.map_or(found, |most| found.min(most));
        let at_least = cheap.at_least.max(found);
        let at_most = at_most.map(|most| most.max(at_least));
        let same = at_least == cheap.at_least && at_most == cheap.at_most;
        Range {
            at_least,
            at_most,
            tier: if same { cheap.tier } else { Tier::Shares },
        }
    }
}

/// Whether the upper bound of a survey may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// The root runs an image of its own, and the survey is fresh.
    Stands,
    /// One of the two is not so.
    Unsure,
}

/// What `a` is above `b`.
const fn less(a: Bytes, b: Bytes) -> Bytes {
    Bytes(a.0.saturating_sub(b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A share of anonymous memory: of `whole` MiB, `divided` fall to it.
    fn share(whole: u64, divided: u64) -> Share {
        Share {
            anonymous: Bytes::mib(divided),
            shared: Bytes(0),
            shared_whole: Bytes(0),
            huge: Bytes(0),
            huge_shared: Bytes(0),
            low: Bytes::mib(whole),
            high: Bytes::mib(whole),
            image: Image::Own,
        }
    }

    fn cheap(least: u64, most: u64) -> Range<Bytes> {
        Range {
            at_least: Bytes::mib(least),
            at_most: Some(Bytes::mib(most)),
            tier: Tier::Events,
        }
    }

    fn narrowed(sum: &Sum, cheap: Range<Bytes>, ceiling: Ceiling) -> (u64, Option<u64>) {
        let range = sum.narrow(cheap, ceiling);
        let mib = |bytes: Bytes| bytes.0 >> 20;
        (mib(range.at_least), range.at_most.map(mib))
    }

    #[test]
    fn ten_that_share_and_ten_that_do_not_are_told_apart() {
        let (mut sharing, mut own) = (Sum::default(), Sum::default());
        for _ in 0..10 {
            sharing.add(Some(&share(1024, 103)), Bytes::mib(1024));
            own.add(Some(&share(1024, 1024)), Bytes::mib(1024));
        }
        let cheap = cheap(1024, 10_240);
        assert_eq!(
            narrowed(&sharing, cheap, Ceiling::Stands),
            (1030, Some(1030))
        );
        assert_eq!(
            narrowed(&sharing, cheap, Ceiling::Unsure),
            (1030, Some(10_240))
        );
        assert_eq!(
            narrowed(&own, cheap, Ceiling::Stands),
            (10_240, Some(10_240))
        );
        assert_eq!(own.narrow(cheap, Ceiling::Stands).tier, Tier::Shares);
    }

    #[test]
    fn what_was_given_back_is_no_longer_counted() {
        let mut sum = Sum::default();
        sum.add(Some(&share(1000, 400)), Bytes::mib(700));
        sum.add(Some(&share(1000, 400)), Bytes::mib(10));
        // 400 less 300, and nothing of the second: it gave back more than its share.
        assert_eq!(
            narrowed(&sum, cheap(100, 710), Ceiling::Stands),
            (100, Some(410))
        );
    }

    #[test]
    fn who_was_not_asked_counts_for_the_upper_bound_alone() {
        let mut sum = Sum::default();
        sum.add(Some(&share(1000, 500)), Bytes::mib(1000));
        sum.add(None, Bytes::mib(300));
        assert_eq!(
            narrowed(&sum, cheap(10, 1300), Ceiling::Stands),
            (500, Some(800))
        );
    }

    #[test]
    fn growth_is_added_to_the_upper_bound() {
        let mut sum = Sum::default();
        sum.add(Some(&share(1000, 500)), Bytes::mib(1200));
        sum.add(Some(&share(1000, 500)), Bytes::mib(1000));
        assert_eq!(
            narrowed(&sum, cheap(1200, 2200), Ceiling::Stands),
            (1200, Some(1200))
        );
    }

    #[test]
    fn huge_pages_that_are_shared_count_once() {
        let mut sum = Sum::default();
        for _ in 0..4 {
            let huge = Share {
                huge_shared: Bytes::mib(512),
                shared: Bytes::mib(25),
                shared_whole: Bytes::mib(100),
                ..share(632, 20)
            };
            sum.add(Some(&huge), Bytes::mib(632));
        }
        assert_eq!(
            narrowed(&sum, cheap(632, 2528), Ceiling::Stands),
            (4 * 45 + 512, Some(4 * 632))
        );
    }

    #[test]
    fn a_survey_that_finds_nothing_new_changes_nothing() {
        let cheap = cheap(5, 5);
        assert_eq!(Sum::default().narrow(cheap, Ceiling::Unsure), cheap);
        let unread = Range::at_least(Bytes::mib(3), Tier::Scan);
        assert_eq!(Sum::default().narrow(unread, Ceiling::Stands), unread);
    }
}
