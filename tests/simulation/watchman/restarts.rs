//! Restarts: what one beadle has begun the next one goes on with, and neither says nor does it twice or sooner.
//!
//! # What is another's life, and what is not
//! Cooldowns, refusals, pauses, endings and incidents outlive a beadle, and so does what the watchman remembers of them.
//! Three looks are waited for again. That the machine woke, or stood still, a moment ago is not left: every clock of the
//! next one begins at zero anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle::engine::decision::{Notice, UnitView, What};
use beadle::engine::evidence::UnitKey;
use beadle::engine::rule::RuleName;
use beadle::engine::units::Mono;

use super::super::restart::Known;
use super::care::Care;
use super::progress::Progress;
use super::{Scene, Verdict, Watchman, ensure};
use crate::world::body::Id;

/// By then an incident that was left is taken up, or told as closed: a minute, and looks that do not come back.
const HEIRLESS: Duration = Duration::from_secs(80);
/// By then everyone was looked at.
const MET: Duration = Duration::from_secs(20);

type Whom = (RuleName, UnitKey);

/// What is known of incidents across restarts.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// When the present beadle began, if it is not the first.
    began: Option<Mono>,
    /// Who was a member of what when word was left to it.
    known: Known,
    /// Incidents that are open, with the nudges each has had.
    open: BTreeMap<u64, (Whom, usize)>,
    /// Those of an earlier beadle, and when each must have an heir or an end, by hours of work.
    orphans: BTreeMap<u64, Duration>,
}

impl Restarts {
    /// When the present beadle began; if it is the first, long ago.
    pub(super) fn began(&self) -> Mono {
        self.began.unwrap_or_default()
    }

    /// Something is told of an incident, whose ladder has so many nudges.
    pub(super) fn told(&mut self, notice: &Notice, whom: &Whom, most: usize) -> Verdict {
        let (id, name) = (notice.incident.0, &whom.0);
        let other = self
            .open
            .iter()
            .find(|(other, (theirs, _))| **other != id && theirs == whom);
        ensure!(
            other.is_none(),
            "another incident of a unit that has one: {name} {id} {other:?}"
        );
        if let What::Closed { .. } = notice.what {
            self.open.remove(&id);
            self.orphans.remove(&id);
            return Ok(());
        }
        let (unit, nudges) = self.open.entry(id).or_insert_with(|| (whom.clone(), 0));
        unit.clone_from(whom);
        if let What::Nudge { again: false, .. } = notice.what {
            *nudges += 1;
        }
        ensure!(*nudges <= most, "told once more: {name} {id}");
        Ok(())
    }

    /// Looks whether somebody takes care of every incident of an earlier beadle.
    pub(super) fn look(&mut self, scene: &Scene<'_>, worked: Duration) -> Verdict {
        let (judge, ways) = (scene.judge, scene.shells.ways);
        // Whoever cannot be read may be there.
        let lossy = ways.unread > 0 || ways.lost_looks > 0 || ways.lost_facts > 0;
        if lossy || self.orphans.is_empty() {
            return Ok(());
        }
        for case in judge.cases() {
            if let Some(incident) = case.incident {
                self.orphans.remove(&incident.id.0);
            }
        }
        let late = self.orphans.iter().find(|(_, until)| **until < worked);
        ensure!(
            late.is_none(),
            "an incident that nobody takes up and nobody closes: {late:?}"
        );
        Ok(())
    }

    /// Whether the present beadle can know that somebody is a member: it heard of the birth of each in the chain when
    /// it had met everybody, or was left it. Where looks fail, whoever was left may have died before one came back; who lives is met with the next
    /// listing, and begins anew if its root is gone.
    pub(super) fn can_know(&self, scene: &Scene<'_>, unit: &UnitView, chain: &[Id]) -> bool {
        let Some(began) = self.began else { return true };
        let machine = scene.machine;
        let whom = (unit.evidence.rule.clone(), unit.evidence.unit);
        let left = self.known.get(&whom);
        let is_left = |id: &Id| left.is_some_and(|left| left.contains(id));
        let below = chain.split_last().map_or(chain, |(_, below)| below);
        // From the first who was left to it, it does not matter who was above.
        let mut met = below.iter().take_while(|id| !is_left(id));
        if scene.shells.ways.unread > 0 || scene.shells.ways.lost_looks > 0 {
            let root = chain.last().is_some_and(|root| machine.alive(*root));
            return root && machine.now > began.after(HEIRLESS) && met.next().is_none();
        }
        let met_by = began.after(MET);
        machine.now > met_by && met.all(|id| machine.kin[id.0].born > met_by)
    }
}

impl Watchman {
    /// Another beadle begins; when word was left to it, this was known.
    pub fn restarted(&mut self, now: Mono, known: &Known, open: &BTreeSet<u64>) {
        self.snapshots = 0;
        self.slept = None;
        self.last_step = None;
        self.quiet_until = Mono::BOOT;
        self.acting.clear();
        self.errands.restarted();
        self.care = Care::default();
        self.progress = Progress::default();
        self.instances.anew();
        for case in self.cases.values_mut() {
            // Of a KILL that nobody heard the end of the next one knows nothing.
            if let Some((_, termed)) = case.ending.take() {
                case.termed.get_or_insert(termed);
            }
        }
        let restarts = &mut self.restarts;
        restarts.began = Some(now);
        restarts.known.clone_from(known);
        let until = self.worked + HEIRLESS;
        // One that came back amid its cooldown and acted at once, no word was left of: it is as closed as it was told to be.
        restarts.open.retain(|id, _| open.contains(id));
        let open = restarts.open.keys();
        restarts.orphans = open.map(|id| (*id, until)).collect();
    }
}
