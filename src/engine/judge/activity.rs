//! When a unit is inspected for whether anything happens in it.
//!
//! **Invariants.** Nobody is inspected but for a limit that asks, and no unit more often than it is looked at. Who of it cannot be asked
//! leaves the interval unknown. A stage rests on an inspection of just now.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Judge;
use super::heartbeats::standing;
use super::unit::{Unit, UnitId};
use crate::engine::activity::{Activity, Inspected, Inspection, InspectionId, Interval, Manner};
use crate::engine::decision::Decision;
use crate::engine::heartbeat::Standing;
use crate::engine::measures::{Stands, Watched};
use crate::engine::process::ProcKey;
use crate::engine::rule::Bound;
use crate::engine::survey::Holder;
use crate::engine::units::Mono;

/// An inspection that was not answered for so long is given up.
const GIVEN_UP: Duration = Duration::from_secs(30);
/// A unit is inspected so often at least.
const AT_LEAST: Duration = Duration::from_secs(60);
/// So many looks an inspection counts as one of just now.
const FRESH: u32 = 3;
/// But that long at least.
const JUST_NOW: Duration = Duration::from_secs(3);

/// What a unit knows by inspections.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    asked: Option<(InspectionId, Mono)>,
    /// When the last was asked for.
    last: Option<Mono>,
    activity: Activity,
}

impl Watch {
    /// What it did between the last two.
    pub(super) const fn interval(&self) -> Option<&Interval> {
        self.activity.interval()
    }
}

impl Judge {
    /// What the last inspection of a unit is worth.
    pub(super) fn watched(&self, unit: &Unit) -> Watched {
        let Some(interval) = unit.watch.interval() else {
            return Watched::Once;
        };
        let fresh = self.rules.interval.saturating_mul(FRESH).max(JUST_NOW);
        if self.now.since(interval.until) > fresh {
            return Watched::Once;
        }
        match standing(unit.incident.as_ref()) {
            Standing::Free => Watched::Now,
            Standing::Signalled => Watched::Signalled,
        }
    }

    /// Has a unit inspected, where a limit asks and it is time.
    pub(super) fn inspect(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let Some(pace) = self.pace_of_inspections(unit) else {
            return;
        };
        let pending = unit
            .watch
            .asked
            .is_some_and(|(_, at)| self.now.since(at) < GIVEN_UP);
        let rested = unit
            .watch
            .last
            .is_none_or(|last| self.now.since(last) >= pace);
        if pending || !rested || unit.measures.stands != Stands::Moving {
            return;
        }
        let whom = unit.members.iter().filter_map(|serial| {
            let node = self.forest.node(*serial)?;
            Some(Holder {
                key: node.key?,
                start: node.start,
            })
        });
        let whom: Vec<Holder> = whom.collect();
        self.last_inspection = self.last_inspection.saturating_add(1);
        let number = InspectionId(self.last_inspection);
        let scrutiny = unit.watch.activity.scrutiny();
        let now = self.now;
        if let Some(unit) = self.units.get_mut(&id) {
            unit.watch.asked = Some((number, now));
            unit.watch.last = Some(now);
        }
        out.push(Decision::Inspect(Inspection {
            id: number,
            whom,
            scrutiny,
        }));
    }

    /// How long to wait from one inspection to the next: a tenth of the shortest limit, and no longer than a look where it
    /// comes to a decision. `None` where no limit asks.
    fn pace_of_inspections(&self, unit: &Unit) -> Option<Duration> {
        let limits = unit
            .gauges
            .iter()
            .filter_map(|gauge| above(&gauge.limit.bound));
        let tenth = limits.min()?.checked_div(10).unwrap_or_default();
        let near = unit
            .gauges
            .iter()
            .any(|gauge| gauge.is_near(&unit.measures));
        let shortest = self.rules.interval;
        Some(match near || unit.incident.is_some() {
            true => shortest,
            false => tenth.min(AT_LEAST).max(shortest),
        })
    }

    /// Takes in what an inspection found. It is judged at the unit's next look.
    pub(super) fn take_inspection(&mut self, found: Inspected) {
        let asked = |unit: &&mut Unit| unit.watch.asked.is_some_and(|(id, _)| id == found.id);
        let Some(unit) = self.units.values_mut().find(asked) else {
            return;
        };
        unit.watch.asked = None;
        let forest = &self.forest;
        let key = |serial| forest.node(serial).and_then(|node| node.key);
        let keys: Option<BTreeSet<ProcKey>> =
            unit.members.iter().map(|serial| key(*serial)).collect();
        let born = unit.spawned.sure.saturating_add(unit.spawned.perhaps);
        unit.watch.activity.take(found, keys.as_ref(), born);
    }

    /// In which manner nothing happens in a unit, or nothing comes of it; `None` where something does.
    pub(super) fn manner(unit: &Unit) -> Option<Manner> {
        // That which was judged: the next may have been found meanwhile.
        let interval = unit.measures.activity.as_ref()?;
        let lasts = unit.gauges.iter().any(|gauge| gauge.has_begun(interval));
        lasts.then_some(interval.manner)
    }
}

/// The threshold of a limit that asks for inspections.
const fn above(bound: &Bound) -> Option<Duration> {
    match bound {
        Bound::Stalled { above, .. } | Bound::Spinning { above, .. } => Some(*above),
        Bound::CpuTime(_)
        | Bound::Cpu(_)
        | Bound::Memory { .. }
        | Bound::Age(_)
        | Bound::Processes(_)
        | Bound::Threads(_)
        | Bound::OpenFiles(_)
        | Bound::Zombies(_)
        | Bound::Spawns(_)
        | Bound::Orphaned { .. }
        | Bound::Leftover(_)
        | Bound::Silent(_)
        | Bound::Instances { .. } => None,
    }
}
