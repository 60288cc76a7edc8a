//! Instances: how many roots of one kind there are, which of them are over, and who speaks for all of them.
//!
//! **Invariants.** The newest so many stay clear. Whoever may not be of the kind counts at most, and only who is for sure at
//! least: a root of which something is not known is never over because of others like it, nor makes others so.
//!
//! # How it is judged
//! Each root is a unit, and each unit is judged by its rank: the newest of its kind is 1, and above `instances: 3` whoever is
//! the fourth newest or older is over. So that an instance stays one while anything of it lives, a tree whose root is gone
//! counts too: a server that was left behind is the one that somebody forgot.
//!
//! # Why it only tells
//! That there are more than somebody thought of says nothing about any one of them: the oldest may be the one that is worked
//! with. Alone it leads to a nudge; together with a limit that says that nobody has use for the unit
//! ([`tells_idleness`](crate::engine::rule::Metric::tells_idleness)) it leads on, and each is told of by itself.
//!
//! # Why one speaks for all
//! Seven servers above `instances: 3` are four incidents, and one thing to know. Whoever is to be told of first tells of all
//! of its kind, the oldest named; the others count as told. Further ones are told of when the rule's cooldown is over since,
//! all together again: somebody who starts a hundred is not told a hundred times.

use std::time::Duration;

use super::Judge;
use super::dossier::Learning;
use super::unit::{Unit, UnitId};
use crate::engine::evidence::{Finding, Peers};
use crate::engine::facts::{Namespace, Place};
use crate::engine::forest::{FirstSign, Serial};
use crate::engine::guard::Standing;
use crate::engine::incident::Weight;
use crate::engine::instances::{Alike, Circle, Kind, Realm, Seniority};
use crate::engine::measures::Ranks;
use crate::engine::process::{ProcKey, Uid};
use crate::engine::rule::{Metric, Per, RuleName};
use crate::engine::units::{Mono, Range};

/// How many of those over are named.
const NAMED: usize = 8;

/// What was last said of a kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoken {
    /// When.
    at: Mono,
    /// The youngest that was over then: it and all older ones were spoken of.
    youngest: Seniority,
}

/// Of which kinds something was said of late.
pub(super) type SpokenOf = std::collections::BTreeMap<(RuleName, Kind), Spoken>;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// This one, for all of its kind.
    Speaks,
    /// It was spoken of just now.
    SpokenOf,
    /// Others were, and it was not among them: later.
    Waits,
}

impl Judge {
    /// What other instances must have in common with a process that becomes a root.
    pub(super) fn circle(&self, serial: Serial) -> Circle {
        let dossier = self.dossiers.get(&serial);
        let Some(facts) = dossier.and_then(|dossier| dossier.facts()) else {
            return Circle::default();
        };
        let container = || facts.container.known().cloned().flatten();
        let realm = match facts.namespace.known() {
            Some(Namespace::Ours) => Some(Realm::Ours),
            Some(Namespace::Other) => container().map(Realm::Container),
            None => None,
        };
        let there = |place: &&Place| !place.deleted;
        let cwd = facts.cwd.known().filter(there);
        Circle {
            realm,
            starter: self.starter_of(serial),
            cwd: cwd.map(|place| place.path.clone()),
        }
    }

    fn starter_of(&self, serial: Serial) -> Option<ProcKey> {
        let node = self.forest.node(serial)?;
        if let Some(starter) = &node.starter {
            return starter.key;
        }
        let parent = node.parent?;
        let above = self.dossiers.get(&parent)?;
        // Who was there before may have been taken over by whoever is above it now.
        let took_over = match above.standing {
            Standing::Boundary(_) => true,
            Standing::Plain | Standing::Protected(_) => above.learning != Learning::Settled,
        };
        if node.seen == FirstSign::Found && (took_over || self.starter_unseen(serial)) {
            return None;
        }
        self.forest.node(parent)?.key
    }

    /// Another root of a rule is there: the others may be over now.
    pub(super) fn note_instance(&mut self, id: UnitId) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        if unit.counts_instances().next().is_none() {
            return;
        }
        let (index, soon) = (unit.index, self.now.after(self.rules.interval));
        for other in self.units.values_mut().filter(|other| other.index == index) {
            other.next_look = other.next_look.min(soon);
        }
    }

    /// Which instance a unit is, for each `per` that its rule names.
    pub(super) fn ranks(&self, unit: &Unit) -> Ranks {
        let mut ranks = Ranks::default();
        for (per, _) in unit.counts_instances() {
            *ranks.per_mut(per) = Some(self.rank(unit, per));
        }
        ranks
    }

    fn rank(&self, unit: &Unit, per: Per) -> Range<u64> {
        let (mut sure, mut perhaps) = (1_u64, 1_u64);
        let own = seniority(unit);
        for (other, alike) in self.others(unit, per) {
            match alike {
                _ if seniority(other) < own => {}
                Alike::Yes => {
                    sure = sure.saturating_add(1);
                    perhaps = perhaps.saturating_add(1);
                }
                Alike::Perhaps => perhaps = perhaps.saturating_add(1),
                Alike::No => {}
            }
        }
        Range {
            at_least: sure,
            at_most: Some(perhaps),
            tier: self.tier(),
        }
    }

    /// The other instances of a rule that live, and whether they are of a unit's kind.
    fn others(&self, unit: &Unit, per: Per) -> impl Iterator<Item = (&Unit, Alike)> {
        let owner = self.owner_of(unit);
        let (circle, key, index) = (unit.circle.clone(), unit.key, unit.index);
        let others = self.units.values().filter(move |other| {
            other.index == index && other.key != key && !other.members.is_empty()
        });
        others.map(move |other| {
            let theirs = self.owner_of(other);
            (other, circle.compare(owner, &other.circle, theirs, per))
        })
    }

    /// Whose it is now; of a tree whose root is gone, whose that was.
    fn owner_of(&self, unit: &Unit) -> Option<Uid> {
        let node = self.forest.node(unit.root);
        node.and_then(|node| node.owner).or(unit.subject.owner)
    }

    /// All of a unit's kind, where its rule counts them.
    pub(super) fn peers(&self, unit: &Unit) -> Option<Peers> {
        let (per, above) = counted(unit)?;
        let all = self.of_kind(unit, per);
        let over = over(&all, above);
        Some(Peers {
            count: u64::try_from(all.len()).unwrap_or(u64::MAX),
            over: u64::try_from(over.len()).unwrap_or(u64::MAX),
            oldest: over
                .iter()
                .take(NAMED)
                .map(|(_, key)| key.root().pid())
                .collect(),
        })
    }

    /// All that are of a unit's kind for sure, itself among them, the oldest first.
    fn of_kind(&self, unit: &Unit, per: Per) -> Vec<Seniority> {
        let alike = self.others(unit, per);
        let alike = alike.filter(|(_, alike)| *alike == Alike::Yes);
        let mut all: Vec<Seniority> = alike.map(|(other, _)| seniority(other)).collect();
        all.push(seniority(unit));
        all.sort_unstable();
        all
    }

    /// Whether a unit of which people are only told speaks for its kind now, when its kind was last spoken of no later than
    /// `quiet` ago.
    pub(super) fn turn(&mut self, id: UnitId, quiet: Duration) -> Turn {
        let Some(unit) = self.units.get(&id) else {
            return Turn::Waits;
        };
        let Some((per, above)) = counted(unit) else {
            return Turn::Speaks;
        };
        let Some(kind) = unit.circle.kind(self.owner_of(unit), per) else {
            return Turn::Speaks;
        };
        let (own, about) = (seniority(unit), (unit.rule.name.clone(), kind));
        let spoken = self.spoken_of.get(&about).copied();
        if let Some(spoken) = spoken.or_else(|| self.spoken_before(unit, per))
            && self.now.since(spoken.at) < quiet
        {
            return if own <= spoken.youngest {
                Turn::SpokenOf
            } else {
                Turn::Waits
            };
        }
        let all = self.of_kind(unit, per);
        let youngest = over(&all, above).last().copied().unwrap_or(own);
        let longest = self.longest_quiet();
        let now = self.now;
        self.spoken_of
            .retain(|_, spoken| now.since(spoken.at) < longest);
        self.spoken_of.insert(about, Spoken { at: now, youngest });
        Turn::Speaks
    }

    /// What an earlier beadle said of a unit's kind, as far as its incidents tell.
    fn spoken_before(&self, unit: &Unit, per: Per) -> Option<Spoken> {
        let told = |other: &Unit| {
            let incident = other.incident.as_ref()?;
            incident.told.filter(|_| incident.weight == Weight::Light)
        };
        let alike = self.others(unit, per);
        let alike = alike.filter(|(_, alike)| *alike == Alike::Yes);
        let of = alike.filter_map(|(other, _)| Some((told(other)?, seniority(other))));
        of.reduce(|(at, youngest), (told, other)| (at.max(told), youngest.max(other)))
            .map(|(at, youngest)| Spoken { at, youngest })
    }

    /// For how long it may matter what was said.
    fn longest_quiet(&self) -> Duration {
        let cooldowns = self.rules.rules.iter().map(|rule| rule.cooldown);
        cooldowns.chain(self.rules.remind).max().unwrap_or_default()
    }
}

fn seniority(unit: &Unit) -> Seniority {
    (unit.since, unit.key)
}

/// Those that do not stay, of all of one kind, the oldest first.
fn over(all: &[Seniority], above: u64) -> &[Seniority] {
    let stay = usize::try_from(above).unwrap_or(usize::MAX);
    let over = all.len().saturating_sub(stay);
    all.get(..over).unwrap_or_default()
}

/// By which limit instances are counted: the first that is over, else the first there is.
fn counted(unit: &Unit) -> Option<(Per, u64)> {
    let readings = unit.readings.iter();
    let mut readings = readings.filter(|reading| reading.metric == Metric::Instances);
    let over = readings
        .position(|reading| matches!(reading.finding, Finding::Sustained | Finding::Breaching));
    unit.counts_instances().nth(over.unwrap_or(0))
}
