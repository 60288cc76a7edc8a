//! Standing still: nobody does because of us but members of a unit whose case goes on from there.

use std::collections::BTreeMap;
use std::time::Duration;

use beadle::engine::decision::{UnitView, View};
use beadle::engine::evidence::Verdict as Judged;
use beadle::engine::incident::Phase;
use beadle::engine::process::ProcKey;
use beadle::engine::rule::StageAct;

use super::{Scene, Verdict, ensure};

/// How long it may take to let somebody go on: a look, an act.
const PROMPT: Duration = Duration::from_secs(8);
/// The same where reports are lost: what came of an act is waited for.
const LOST: Duration = Duration::from_secs(50);

/// Since when whom nobody wants to stand still, in time that was worked.
#[derive(Debug, Default)]
pub(super) struct Standing(BTreeMap<ProcKey, Duration>);

impl Standing {
    pub(super) fn look(&mut self, scene: &Scene<'_>, now: Duration, view: &View) -> Verdict {
        let patience = if scene.shells.ways.lost_reports > 0 {
            LOST
        } else {
            PROMPT
        };
        let mut left = BTreeMap::new();
        for body in scene.shells.frozen(scene.machine) {
            let key = scene.machine.key(body);
            if view.units.iter().any(|unit| freezes(scene, unit, key)) {
                continue;
            }
            let since = self.0.get(&key).copied().unwrap_or(now);
            ensure!(
                now.saturating_sub(since) < patience,
                "left standing: {key} {}",
                body.program
            );
            left.insert(key, since);
        }
        self.0 = left;
        Ok(())
    }
}

/// Whether a unit has this member frozen by right: its case stands between a freeze and the next signal, or is at one.
fn freezes(scene: &Scene<'_>, unit: &UnitView, key: ProcKey) -> bool {
    let mut cases = scene.judge.cases();
    let case =
        cases.find(|case| case.unit == unit.evidence.unit && case.rule.name == unit.evidence.rule);
    let Some((case, incident)) = case.and_then(|case| Some((case, case.incident?))) else {
        return false;
    };
    let acts = matches!(incident.phase, Phase::Acting(_));
    let reached = incident.next + usize::from(acts);
    let mut before = incident.stages(case.rule).iter().take(reached);
    let last = before.rfind(|stage| stage.act.signal().is_some());
    let freezes = last.is_some_and(|stage| stage.act == StageAct::Freeze);
    (freezes || acts)
        && !matches!(incident.phase, Phase::Resting(_))
        && !matches!(unit.verdict, Judged::Exempt(_))
        && unit.members.contains(&key)
}
