//! Holds every figure of CPU time against what was truly used: never too high at least, never too low at most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle::engine::decision::{Hearing, UnitView};
use beadle::engine::evidence::{Quantity, UnitKey};
use beadle::engine::rule::{Metric, RuleName};
use beadle::engine::units::{Mono, Range, Tier};

use super::restart::Known;
use super::watchman::Scene;
use crate::world::body::Id;

/// What the auditor remembers.
#[derive(Debug, Default)]
pub struct Auditor {
    /// When the figures were read that were held against the truth last.
    seen: BTreeMap<(std::sync::Arc<str>, UnitKey), Mono>,
    /// Everything that happened by then was heard.
    pub heard: Mono,
    pub gaps: u64,
    pub reloads: u64,
    /// When the present beadle began, if it is not the first.
    began: Mono,
    /// The units that were left to it.
    left: BTreeSet<(RuleName, UnitKey)>,
    /// How many ranges were held against the truth, by tier, and how wide they were in all.
    pub audits: BTreeMap<&'static str, (u64, Duration)>,
}

impl Auditor {
    /// Another beadle begins with this.
    pub fn restarted(&mut self, now: Mono, known: &Known) {
        self.began = now;
        self.heard = now;
        self.seen.clear();
        self.left = known.keys().cloned().collect();
    }

    /// Looks at all figures that are new.
    pub fn audit(&mut self, scene: &Scene<'_>) -> Result<(), String> {
        let view = scene.judge.view();
        for unit in &view.units {
            let key = (unit.evidence.rule.clone(), unit.evidence.unit);
            let sampled = unit.evidence.sampled;
            if self.seen.insert(key, sampled) == Some(sampled) {
                continue;
            }
            let readings = unit.evidence.readings.iter();
            let times = readings.filter(|reading| reading.metric == Metric::CpuTime);
            for range in times.filter_map(|reading| reading.now) {
                self.hold(scene, unit, range.map(span))?;
            }
        }
        Ok(())
    }

    fn hold(
        &mut self,
        scene: &Scene<'_>,
        unit: &UnitView,
        range: Range<Duration>,
    ) -> Result<(), String> {
        let machine = scene.machine;
        let name = &unit.evidence.rule;
        let Some(root) = machine.ever(unit.evidence.unit.root()) else {
            return Ok(());
        };
        let whole = match unit.evidence.unit {
            UnitKey::Tree(_) => machine.tree(root),
            UnitKey::Process(_) => std::iter::once(root).collect(),
            // Jobs have a simulation of their own.
            UnitKey::Label(_) => return Ok(()),
        };
        let used = |id: &Id, at| machine.kin[id.0].cpu_at(at);
        let truth: Duration = whole.iter().map(|id| used(id, machine.now)).sum();
        if range.at_least > truth {
            return Err(format!("at least {range:?} of {truth:?}: {name}"));
        }
        let Some(at_most) = range.at_most else {
            return Ok(());
        };
        // What was used by the oldest figure, as far as it had been heard of, less a tick: a figure is that far behind.
        let edge = unit.evidence.sampled.min(self.heard).before(machine.tick);
        let counted = whole
            .iter()
            .filter(|id| self.counts(scene, unit, root, **id));
        let least: Duration = counted.map(|id| used(id, edge)).sum();
        let least = least.saturating_sub(machine.kin[root.0].cpu_at_exec);
        if at_most < least {
            return Err(format!("at most {range:?} of {least:?}: {name}"));
        }
        let wide = at_most.saturating_sub(range.at_least);
        let (count, width) = self.audits.entry(range.tier.word()).or_default();
        *count += 1;
        *width += wide;
        if range.tier == Tier::Exact && wide > Duration::from_millis(20) {
            return Err(format!("exactly {range:?}: {name}"));
        }
        Ok(())
    }

    /// Whether a descendant is a member beyond doubt, so that what it used belongs in the range.
    fn counts(&self, scene: &Scene<'_>, unit: &UnitView, root: Id, id: Id) -> bool {
        let machine = scene.machine;
        if id == root {
            return true;
        }
        let since = machine.kin[root.0]
            .ran
            .last()
            .map_or(Mono::BOOT, |ran| ran.0);
        let kin = &machine.kin[id.0];
        if kin.died.is_some_and(|died| died <= since) {
            return false;
        }
        // Who is, or was, or may have been left out of the tree; and who came to it by a way that nobody saw.
        let chain = machine.chain(id, root);
        let apart = |above: &Id| {
            let ran = machine.kin[above.0].ran.iter();
            *above != root
                && ran
                    .clone()
                    .any(|(_, ran)| ["tmux", "systemd", "kept"].contains(&ran.as_str()))
        };
        if chain.iter().any(apart) {
            return false;
        }
        let sure = scene.shells.ways.hearing == Hearing::Events
            && self.gaps == 0
            && self.reloads == 0
            && scene.calm_start;
        let member = machine
            .body(id)
            .is_some_and(|body| unit.members.contains(&machine.key(body)));
        // Of those of before anybody listened, only the living can be known. Where nobody did for a while, a tree that was
        // left to us may have used all that there was.
        let whom = (unit.evidence.rule.clone(), unit.evidence.unit);
        let listened = if self.left.contains(&whom) {
            Mono::BOOT
        } else {
            self.began
        };
        let listened = listened.max(Mono::from_secs(1001));
        let known = chain
            .iter()
            .all(|above| machine.kin[above.0].born > listened);
        member || (sure && known)
    }
}

fn span(quantity: Quantity) -> Duration {
    match quantity {
        Quantity::Time(span) => span,
        other => panic!("{other:?} is no span"),
    }
}
