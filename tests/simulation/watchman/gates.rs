//! Gates: nothing comes of a rule while a gate of its is closed, the time is not served, and it is judged again soon
//! after it opens. How gates stand is asked of the world at every moment, never of the judge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::evidence::{Evidence, Exemption, UnitKey, Verdict as Judged};
use beadle::engine::rule::Rule;
use beadle::engine::snapshot::Machine as Told;
use beadle::engine::units::Mono;

use super::{Scene, Verdict, ensure};

/// Figures of the machine may be older than the evidence by so much: looks come back out of turn.
const OUT_OF_TURN: Duration = Duration::from_secs(2);
/// A rule is judged again so soon after its gate opened: looked at every ten seconds at the latest.
const SOON: Duration = Duration::from_secs(16);
/// How late it may be noticed that a gate closed: an interval, besides all that is slow in this world.
const LATE: Duration = Duration::from_secs(2);

/// How the gates of one rule stood.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// When they were last open.
    last_open: Option<Mono>,
    /// Since when they are, in time of work.
    open_since: Option<Duration>,
    /// For how long they were not, in all, and how often they closed.
    closed: Duration,
    closings: u32,
}

/// How the gates of all rules stood.
#[derive(Debug, Default)]
pub(super) struct Gates {
    records: BTreeMap<Arc<str>, Record>,
    /// When that was last looked at.
    looked: Option<Mono>,
    /// Since when each unit waits, in time of work.
    waiting: BTreeMap<(Arc<str>, UnitKey), Duration>,
}

/// A moment by all clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: Mono,
    pub(super) worked: Duration,
    pub(super) overslept: Duration,
}

/// A moment from which time is served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    moment: Moment,
    closed: Duration,
    closings: u32,
}

fn is_open(scene: &Scene<'_>, rule: &Rule) -> bool {
    let machine = Told {
        local_minute: scene.machine.local_minute(),
        vitals: scene.machine.vitals,
        cores: scene.machine.cores,
        ..Told::default()
    };
    rule.gates.iter().all(|gate| gate.is_open(&machine))
}

impl Gates {
    /// Looks at how they stand now.
    pub(super) fn look(&mut self, scene: &Scene<'_>, worked: Duration) {
        let now = scene.machine.now;
        let passed = self
            .looked
            .replace(now)
            .map_or(Duration::ZERO, |at| now.since(at));
        for rule in &scene.rules.rules {
            let record = self.records.entry(rule.name.clone()).or_default();
            let was_open = record.open_since.is_some();
            if !was_open {
                record.closed += passed;
            }
            if is_open(scene, rule) {
                record.last_open = Some(now);
                record.open_since.get_or_insert(worked);
            } else {
                record.closings += u32::from(was_open);
                record.open_since = None;
            }
        }
    }

    /// The rules are others now.
    pub(super) fn reloaded(&mut self) {
        self.records.clear();
    }

    /// Something is said or done: the rule's gates were open when the figures were taken, or since.
    pub(super) fn was_open(&self, evidence: &Evidence) -> Verdict {
        let record = self.records.get(&evidence.rule);
        let open = record.and_then(|record| record.last_open);
        ensure!(
            open.is_some_and(|open| open >= evidence.sampled.before(OUT_OF_TURN)),
            "something through a closed gate: {}, open at {open:?}, sampled {:?}",
            evidence.rule,
            evidence.sampled
        );
        Ok(())
    }

    /// From now on time is served.
    pub(super) fn mark(&self, name: &str, moment: Moment) -> Mark {
        let record = self.records.get(name).copied().unwrap_or_default();
        Mark {
            moment,
            closed: record.closed,
            closings: record.closings,
        }
    }

    /// So much was served between the two, while a gate was open.
    pub(super) fn served(
        &self,
        scene: &Scene<'_>,
        name: &str,
        (mark, now): (Mark, Moment),
        asked: Duration,
    ) -> Verdict {
        let record = self.records.get(name).copied().unwrap_or_default();
        let then = mark.moment;
        let gone_by = now.at.since(then.at);
        let worked = now.worked.saturating_sub(then.worked);
        if is_dim(scene) || gone_by.saturating_sub(worked) > Duration::from_secs(1) {
            // Nobody could see that a gate closed.
            return Ok(());
        }
        let closed = record.closed.saturating_sub(mark.closed);
        let late = LATE + Duration::from_millis(2 * scene.shells.ways.slowest);
        // It may have closed just before, too.
        let closings = record.closings.saturating_sub(mark.closings) + 1;
        let slack = late * closings + now.overslept.saturating_sub(then.overslept);
        ensure!(
            gone_by.saturating_sub(closed) + slack >= asked,
            "time was served behind a closed gate: {name}, {gone_by:?} of {asked:?}, {closed:?} of it closed"
        );
        Ok(())
    }

    /// Nobody waits for a gate that is open.
    pub(super) fn nobody_waits(&mut self, scene: &Scene<'_>, worked: Duration) -> Verdict {
        let mut waiting = BTreeMap::new();
        for case in scene.judge.cases() {
            if *case.verdict != Judged::Exempt(Exemption::Closed) {
                continue;
            }
            let whom = (case.rule.name.clone(), case.unit);
            let began = self.waiting.get(&whom).copied().unwrap_or(worked);
            let record = self.records.get(&case.rule.name);
            let open = record.and_then(|record| record.open_since);
            ensure!(
                is_dim(scene)
                    || open.is_none_or(|open| worked.saturating_sub(open.max(began)) < SOON),
                "{} waits for an open gate",
                case.rule.name
            );
            waiting.insert(whom, began);
        }
        self.waiting = waiting;
        Ok(())
    }
}

/// Whether looks fail in this world, or come late.
fn is_dim(scene: &Scene<'_>) -> bool {
    let ways = scene.shells.ways;
    ways.unread > 0 || ways.lost_looks > 0 || ways.slowest > 400
}
