//! Care: whoever is judged is looked at, and whoever is over is looked at often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::View;
use beadle::engine::evidence::UnitKey;
use beadle::engine::process::{Pid, ProcKey};
use beadle::engine::snapshot::Ask;

use super::{Scene, Verdict, ensure};

/// How long a member of a unit with an open incident may go without a look being asked for: an interval, a look that
/// does not come back, a step that comes late.
const IN_TROUBLE: Duration = Duration::from_secs(8);
/// The same for any member: looked at every ten seconds at the latest.
const IN_PEACE: Duration = Duration::from_secs(18);

type Place = (Arc<str>, UnitKey, ProcKey);

/// What is known of looks. Times are of work: while everything stands still nobody can look.
#[derive(Debug, Default)]
pub(super) struct Care {
    /// When each number was last asked about.
    asked: BTreeMap<Pid, Duration>,
    /// Since when each is a member, and since when in trouble.
    members: BTreeMap<Place, (Duration, Option<Duration>)>,
}

impl Care {
    /// The judge asks for figures.
    pub(super) fn asked(&mut self, now: Duration, asks: &[Ask]) {
        self.asked.extend(asks.iter().map(|ask| (ask.pid, now)));
    }

    /// Looks at who was not looked at.
    pub(super) fn look(&mut self, scene: &Scene<'_>, now: Duration, view: &View) -> Verdict {
        let mut members = BTreeMap::new();
        for unit in &view.units {
            for member in &unit.members {
                let place = (unit.evidence.rule.clone(), unit.evidence.unit, *member);
                let (since, trouble) = self.members.remove(&place).unwrap_or((now, None));
                let trouble = unit.incident.as_ref().map(|_| trouble.unwrap_or(now));
                members.insert(place, (since, trouble));
                if scene.machine.find(*member).is_none() {
                    continue;
                }
                let asked = self.asked.get(&member.pid()).copied().unwrap_or_default();
                let name = &unit.evidence.rule;
                ensure!(
                    now.saturating_sub(asked.max(since)) < IN_PEACE,
                    "nobody looks at a member of {name}: {member}"
                );
                ensure!(
                    trouble.is_none_or(|since| now.saturating_sub(asked.max(since)) < IN_TROUBLE),
                    "nobody looks at a member of {name}, which is in trouble: {member}"
                );
            }
        }
        self.members = members;
        Ok(())
    }
}
