//! A control group that a unit has to itself: there the kernel counts what the unit used, the dead included, exactly.
//!
//! **Invariants.** What is used of the group is only how much it *grew* since it was first seen to be the unit's alone;
//! what the unit had used by then is known from elsewhere. The result is never outside the bounds that are known from
//! elsewhere.
//!
//! # When it is the unit's alone
//! Every process listed is a member, every member that was read after the list is in it, no group lies below it, and
//! nobody was moved in since the last look. Whoever is listed and not known was most likely born a moment ago; one that
//! stays unknown is a stranger. Whoever lives and is not listed is most likely about to die, which begins with leaving
//! the list; one that lives on is elsewhere. Where births are not heard, it begins with a look that finds nobody unknown:
//! who comes later and was not moved in descends from those. What cannot be seen is a stranger that a parent outside
//! starts within the group, and that dies between two looks.
//!
//! # Why a difference of two moments
//! Between what a unit used and what its group shows lies something that stays the same while the group is the unit's
//! alone: what members used before they came in, what others used who left. Each look bounds it; the narrowest bounds
//! of all looks hold for all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Judge;
use super::unit::{Unit, UnitId};
use crate::engine::decision::Hearing;
use crate::engine::facts::Read;
use crate::engine::forest::{Life, Serial};
use crate::engine::label::{Badge, Label, may_be_one};
use crate::engine::process::{Pid, Text};
use crate::engine::snapshot::{Depth, Entered, Group};
use crate::engine::units::{Mono, Range, Tier, nanos};

/// A range no wider than this is as good as exact: what `/proc` shows of a single process is no finer.
const AS_GOOD_AS_EXACT: Duration = Duration::from_millis(20);
/// After strangers were found in it, a group is not asked about for so long.
const AVOID: Duration = Duration::from_secs(60);

/// What a unit knows of its group.
#[derive(Clone, Debug, Default)]
pub(super) struct Exclusive {
    /// When to ask again.
    retry: Mono,
    /// Listed last time, and known to nobody.
    unknown: BTreeSet<Pid>,
    /// Members that lived last time and were not listed.
    absent: BTreeSet<Serial>,
    /// The last look, while the group is the unit's alone.
    last: Option<(Mono, Duration)>,
    /// What the unit used less what the group shows: no less and no more than so many nanoseconds.
    apart: Option<(i64, i64)>,
}

/// Whose a group is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// The unit's, as far as these are members too, and those were about to die.
    Own {
        unknown: BTreeSet<Pid>,
        absent: BTreeSet<Serial>,
    },
    /// Not the unit's alone, or not all of it.
    Shared,
}

impl Judge {
    /// The group that a look at this unit should bring: the one that it is told by, or may have to itself.
    pub(super) fn group(&self, unit: &Unit) -> Option<Text> {
        match unit.label.as_ref().map(|label| &label.badge) {
            Some(Badge::Cgroup { path, .. }) => Some(path.clone()),
            Some(Badge::Variable { .. }) | None => self.own_group(unit),
        }
    }

    /// The group that a unit may have to itself.
    fn own_group(&self, unit: &Unit) -> Option<Text> {
        // Whoever is kept out of the tree is counted in the group, and so is whoever may turn out to be.
        if !unit.counts_cpu() || !unit.rule.keep.is_empty() || unit.exclusive.retry > self.now {
            return None;
        }
        match unit.label.as_ref().map(|label| &label.badge) {
            Some(Badge::Cgroup { path, .. }) => Some(path.clone()),
            // Whoever has left a job by another image may be in its group still, and gone before anybody looks.
            Some(Badge::Variable { .. }) => None,
            None => match &self.dossiers.get(&unit.root)?.facts()?.cgroup {
                Read::Known(path) if may_be_one(path.bytes()) => Some(path.clone()),
                Read::Known(_) | Read::Denied | Read::Gone | Read::Late | Read::NotAsked => None,
            },
        }
    }

    /// Narrows what a unit used by what its group shows.
    pub(super) fn refine(
        &mut self,
        id: UnitId,
        range: Range<Duration>,
        groups: &[Group],
    ) -> Range<Duration> {
        let Some(group) = self.units.get(&id).and_then(|unit| {
            let path = self.own_group(unit)?;
            let told = unit.label.as_ref().and_then(Label::group);
            let its =
                |group: &&Group| group.path == path && told.is_none_or(|told| told == group.id);
            groups.iter().find(its)
        }) else {
            return range;
        };
        let Some(unit) = self.units.get(&id) else {
            return range;
        };
        let finding = self.whose(unit, group);
        let bounds = self.bounds(unit, group, range);
        let (now, hearing) = (self.now, self.hearing);
        let Some(unit) = self.units.get_mut(&id) else {
            return range;
        };
        let exclusive = &mut unit.exclusive;
        if group.entered == Entered::Somebody {
            *exclusive = Exclusive::default();
        }
        if !finding.may_begin(hearing) && exclusive.apart.is_none() {
            return range;
        }
        let narrowed = match (finding, bounds) {
            (Finding::Own { unknown, absent }, Some(bounds)) => {
                (exclusive.unknown, exclusive.absent) = (unknown, absent);
                exclusive.take(group, bounds)
            }
            (Finding::Own { .. }, None) | (Finding::Shared, _) => None,
        };
        if let Some(narrowed) = narrowed.and_then(|narrowed| within(range, narrowed)) {
            return narrowed;
        }
        *exclusive = Exclusive {
            retry: now.after(AVOID),
            ..Exclusive::default()
        };
        range
    }

    fn whose(&self, unit: &Unit, group: &Group) -> Finding {
        let listed: BTreeSet<Pid> = group.members.iter().copied().collect();
        let outside = |serial: &&Serial| {
            let both = self.forest.node(**serial).zip(self.dossiers.get(*serial));
            both.is_some_and(|(node, dossier)| {
                let latest = dossier.latest();
                let read = latest.at.is_some_and(|at| at >= group.listed);
                read && latest.zombie().is_none() && !listed.contains(&node.pid)
            })
        };
        let absent: BTreeSet<Serial> = unit.members.iter().filter(outside).copied().collect();
        let away = !absent.is_disjoint(&unit.exclusive.absent);
        if group.depth == Depth::Deep || away || listed.is_empty() {
            return Finding::Shared;
        }
        let mut unknown = BTreeSet::new();
        for pid in listed {
            let holder = self.forest.holder(pid);
            match holder.and_then(|serial| Some((serial, self.forest.node(serial)?))) {
                Some((serial, _)) if unit.members.contains(&serial) => {}
                // It was another who held the number when the list was made, or one who has died since.
                Some((_, node)) if node.born > group.listed => {}
                Some((_, node)) if matches!(node.life, Life::Dead(_)) => {}
                Some(_) => return Finding::Shared,
                None if unit.exclusive.unknown.contains(&pid) => return Finding::Shared,
                None => {
                    unknown.insert(pid);
                }
            }
        }
        Finding::Own { unknown, absent }
    }

    /// What this look says of the difference between the unit's time and the group's.
    fn bounds(&self, unit: &Unit, group: &Group, range: Range<Duration>) -> Option<(i64, i64)> {
        let cores = self.machine.cores.max(1);
        let (uncounted, behind) = self.uncounted(unit, group);
        // What was used by those whose death was heard later shows in the group a little later, and so does what members
        // had used at a look of before that has newer figures than this one.
        let upto = self.forest.heard().max(unit.newest);
        let late = upto.since(group.at).saturating_mul(cores);
        let soon = group.used.saturating_add(uncounted).saturating_add(late);
        // An upper bound is of the oldest figure, and a figure may be behind. What was used in the group by then is no
        // less than what it showed before, and no less than what can have been used since.
        let edge = unit.sampled.before(behind);
        let most = group.at.since(edge).saturating_mul(cores);
        let before = unit.exclusive.last.filter(|(at, _)| *at <= edge);
        let then = before
            .map_or(Duration::ZERO, |(_, used)| used)
            .max(group.used.saturating_sub(most));
        Some((
            signed(range.at_least)?.checked_sub(signed(soon)?)?,
            signed(range.at_most?)?.checked_sub(signed(then)?)?,
        ))
    }

    /// What members had used that the group did not show yet, at most, and how far their figures may be behind.
    fn uncounted(&self, unit: &Unit, group: &Group) -> (Duration, Duration) {
        let tick = self.tick();
        let (mut sum, mut behind) = (Duration::ZERO, Duration::ZERO);
        for serial in &unit.members {
            let Some(latest) = self.dossiers.get(serial).map(|dossier| dossier.latest()) else {
                continue;
            };
            let fresh = latest.at.filter(|at| *at >= group.listed);
            sum = sum.saturating_add(match fresh {
                // It can have run since, and no longer.
                Some(at) if latest.at_rest => group.at.since(at).min(tick),
                Some(_) | None => {
                    behind = tick;
                    tick.saturating_mul(latest.threads.max(1))
                }
            });
        }
        // Whoever is listed and not known may run too.
        let unknown = u32::try_from(group.members.len().saturating_sub(unit.members.len()));
        sum = sum.saturating_add(tick.saturating_mul(unknown.unwrap_or(u32::MAX)));
        let all = tick.saturating_mul(self.machine.cores.max(1));
        (sum.min(all), behind)
    }
}

impl Finding {
    /// Whether the unit can be taken to be alone in the group from now on. Where births are not heard, whoever is not
    /// known may be a stranger, and be gone before the next look while a child of his is there.
    fn may_begin(&self, hearing: Hearing) -> bool {
        match (self, hearing) {
            (Self::Own { unknown, .. }, Hearing::Nothing) => unknown.is_empty(),
            (Self::Own { .. }, Hearing::Events) | (Self::Shared, _) => true,
        }
    }
}

impl Exclusive {
    /// Takes in one look, and says what the unit used by it; `None` when it contradicts those before.
    fn take(&mut self, group: &Group, (least, most): (i64, i64)) -> Option<(Duration, Duration)> {
        let (least, most) = match self.apart {
            Some((low, high)) => (least.max(low), most.min(high)),
            None => (least, most),
        };
        if least > most {
            return None;
        }
        self.apart = Some((least, most));
        self.last = Some((group.at, group.used));
        let used = signed(group.used)?;
        let span = |apart| {
            Some(Duration::from_nanos(
                u64::try_from(used.checked_add(apart)?).unwrap_or(0),
            ))
        };
        Some((span(least)?, span(most)?))
    }
}

/// What both ranges allow; `None` when nothing is.
fn within(range: Range<Duration>, (least, most): (Duration, Duration)) -> Option<Range<Duration>> {
    let at_least = range.at_least.max(least);
    let at_most = range.at_most.map_or(most, |other| other.min(most));
    let width = at_most.checked_sub(at_least)?;
    let tier = if width <= AS_GOOD_AS_EXACT {
        Tier::Exact
    } else {
        range.tier
    };
    Some(Range {
        at_least,
        at_most: Some(at_most),
        tier,
    })
}

fn signed(span: Duration) -> Option<i64> {
    i64::try_from(nanos(span)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::process::CgroupId;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn group(used: u64) -> Group {
        Group {
            path: Text::from("/job"),
            id: CgroupId(7),
            listed: Mono::BOOT,
            members: Vec::new(),
            depth: Depth::Flat,
            entered: Entered::Nobody,
            frozen: false,
            at: Mono::BOOT,
            used: ms(used),
        }
    }

    fn nanos_of(millis: i64) -> i64 {
        millis * 1_000_000
    }

    #[test]
    fn each_look_narrows_what_lies_between() {
        let mut own = Exclusive::default();
        let mut take = |used, low, high| own.take(&group(used), (nanos_of(low), nanos_of(high)));
        assert_eq!(take(100, -10, 40), Some((ms(90), ms(140))));
        assert_eq!(take(200, -50, 5), Some((ms(190), ms(205))));
        assert_eq!(take(900, -2, 500), Some((ms(898), ms(905))));
        // Somebody else uses the group.
        assert_eq!(take(5000, -4000, -3000), None);
    }

    #[test]
    fn nothing_begins_among_strangers() {
        let own = |pids: &[u32]| Finding::Own {
            unknown: pids.iter().filter_map(|pid| Pid::new(*pid)).collect(),
            absent: BTreeSet::new(),
        };
        assert!(own(&[]).may_begin(Hearing::Nothing));
        assert!(!own(&[7]).may_begin(Hearing::Nothing));
        // Their births would have been heard, and whose they are is known at the next look.
        assert!(own(&[7]).may_begin(Hearing::Events));
    }

    #[test]
    fn what_is_known_from_elsewhere_is_never_left() {
        let range = |least, most| Range {
            at_least: ms(least),
            at_most: Some(ms(most)),
            tier: Tier::Events,
        };
        let exact = within(range(10, 900), (ms(100), ms(104))).unwrap();
        assert_eq!((exact.at_least, exact.tier), (ms(100), Tier::Exact));
        let wide = within(range(10, 900), (ms(100), ms(300))).unwrap();
        assert_eq!((wide.at_most, wide.tier), (Some(ms(300)), Tier::Events));
        assert_eq!(within(range(10, 90), (ms(100), ms(104))), None);
    }

    #[test]
    fn a_login_is_nobodys_own_group() {
        for many in [
            "/",
            "",
            "/user.slice",
            "/user.slice/session-3.scope",
            "/init.scope",
            "/a/../b",
        ] {
            assert!(!may_be_one(many.as_bytes()), "{many}");
        }
        for own in [
            "/system.slice/nightly.service",
            "/user.slice/run-r1.scope",
            "/job",
        ] {
            assert!(may_be_one(own.as_bytes()), "{own}");
        }
    }
}
