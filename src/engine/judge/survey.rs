//! When a unit's memory is surveyed, and what the survey is worth afterwards.
//!
//! **Invariants.** Nobody is asked while the cheap figures decide. A unit is surveyed at most every
//! [`PACE`](survey::PACE), and its shares are of one survey only: those of two moments may overlap.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::Judge;
use super::unit::{Unit, UnitId};
use crate::engine::decision::Decision;
use crate::engine::forest::Serial;
use crate::engine::process::ProcKey;
use crate::engine::rule::{Amount, Bound, Measure};
use crate::engine::survey::{self, Ceiling, Findings, Holder, Image, Share, Sum, Survey, SurveyId};
use crate::engine::units::{Bytes, Mono, Range, Side};

/// A survey that was not answered for so long is given up.
const GIVEN_UP: Duration = Duration::from_secs(120);

/// What a unit knows by surveys.
#[derive(Clone, Debug, Default)]
pub(super) struct Surveyed {
    asked: Option<(SurveyId, Mono)>,
    /// When the last was asked for.
    last: Option<Mono>,
    /// When the shares were found.
    at: Mono,
    shares: BTreeMap<ProcKey, Share>,
}

impl Judge {
    /// Narrows the cheap bounds of a unit's private memory by what its last survey found.
    pub(super) fn narrow(
        &self,
        unit: &Unit,
        cheap: Range<Bytes>,
        counts: &dyn Fn(Serial) -> bool,
    ) -> Range<Bytes> {
        let surveyed = &unit.surveyed;
        if surveyed.shares.is_empty() {
            return cheap;
        }
        let mut sum = Sum::default();
        for serial in unit.members.iter().filter(|serial| counts(**serial)) {
            let Some((node, dossier)) = self.forest.node(*serial).zip(self.dossiers.get(serial))
            else {
                continue;
            };
            // Who has no cheap figure has no upper bound either, and cheap says so.
            let Some((_, memory)) = dossier.latest().memory() else {
                continue;
            };
            let share = node.key.and_then(|key| surveyed.shares.get(&key));
            sum.add(share, memory.private());
        }
        let root = self.forest.node(unit.root).and_then(|root| root.key);
        let root = root.and_then(|root| surveyed.shares.get(&root));
        let own = root.is_some_and(|root| root.image == Image::Own);
        let fresh = self.now.since(surveyed.at) <= survey::STANDS;
        let ceiling = if own && fresh {
            Ceiling::Stands
        } else {
            Ceiling::Unsure
        };
        sum.narrow(cheap, ceiling)
    }

    /// Asks for a survey where a limit lies between the cheap bounds, and the last one has not shown that it is over.
    pub(super) fn survey(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let Some(enough) = straddled(unit) else {
            if let Some(unit) = self.units.get_mut(&id) {
                unit.surveyed.shares.clear();
            }
            return;
        };
        let over = |range: Range<Bytes>| range.against(enough) == Side::Over;
        let pending = unit
            .surveyed
            .asked
            .is_some_and(|(_, at)| self.now.since(at) < GIVEN_UP);
        let rested = unit
            .surveyed
            .last
            .is_none_or(|last| self.now.since(last) >= survey::PACE);
        if unit.measures.private.is_some_and(over) || pending || !rested {
            return;
        }
        let whom = self.holders(unit);
        self.last_survey = self.last_survey.saturating_add(1);
        let number = SurveyId(self.last_survey);
        let now = self.now;
        if let Some(unit) = self.units.get_mut(&id) {
            unit.surveyed.asked = Some((number, now));
            unit.surveyed.last = Some(now);
        }
        out.push(Decision::Measure(Survey {
            id: number,
            whom,
            enough,
        }));
    }

    /// The living members, those who hold most first.
    fn holders(&self, unit: &Unit) -> Vec<Holder> {
        let mut holders: Vec<(Reverse<Bytes>, Holder)> = unit
            .members
            .iter()
            .filter_map(|serial| {
                let node = self.forest.node(*serial)?;
                let (_, memory) = self.dossiers.get(serial)?.latest().memory()?;
                let (key, start) = (node.key?, node.start);
                Some((Reverse(memory.private()), Holder { key, start }))
            })
            .collect();
        holders.sort_by_key(|(held, _)| *held);
        holders.into_iter().map(|(_, holder)| holder).collect()
    }

    /// Takes in what a survey found. It is judged at the unit's next look, with figures of that moment.
    pub(super) fn take_survey(&mut self, findings: Findings) {
        let asked = |unit: &&mut Unit| {
            unit.surveyed
                .asked
                .is_some_and(|(number, _)| number == findings.id)
        };
        // Whoever asked may be gone, or may have given up.
        if let Some(unit) = self.units.values_mut().find(asked) {
            unit.surveyed.asked = None;
            // Nobody could be asked this time: what was found before holds as far as it held.
            if !findings.shares.is_empty() {
                unit.surveyed.at = findings.at;
                unit.surveyed.shares = findings.shares.into_iter().collect();
            }
        }
    }
}

/// The largest limit on private memory that the cheap figures leave open and shares can decide.
fn straddled(unit: &Unit) -> Option<Bytes> {
    let measures = &unit.measures;
    let limits = unit.gauges.iter().filter_map(|gauge| {
        let above = private_limit(gauge.limit.bound)?;
        above.bytes(measures.machine)
    });
    limits
        .filter(|limit| measures.private_largest <= *limit && measures.private_sum > *limit)
        .max()
}

const fn private_limit(bound: Bound) -> Option<Amount> {
    match bound {
        Bound::Memory {
            measure: Measure::Private,
            above,
        } => Some(above),
        Bound::Memory {
            measure: Measure::Rss | Measure::Swap,
            ..
        }
        | Bound::CpuTime(_)
        | Bound::Cpu(_)
        | Bound::Age(_)
        | Bound::Processes(_)
        | Bound::Threads(_)
        | Bound::OpenFiles(_)
        | Bound::Zombies(_)
        | Bound::Spawns(_)
        | Bound::Orphaned { .. }
        | Bound::Leftover(_)
        | Bound::Stalled { .. }
        | Bound::Spinning { .. }
        | Bound::Silent(_)
        | Bound::Instances { .. } => None,
    }
}

#[cfg(test)]
mod tests;
