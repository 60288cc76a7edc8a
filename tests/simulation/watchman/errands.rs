//! Errands: what is run comes of a last call or of a closing, once for each stage, one at a time for each incident.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle::engine::decision::{Closing, Notice, What};
use beadle::engine::errand::{Errand, ErrandId, Occasion, Task};
use beadle::engine::rule::{Mode, Stage, StageAct};
use beadle::engine::units::Mono;

use super::evidence::{evidence_holds, truth};
use super::{Scene, Verdict, Watchman, ensure, find};

/// So many may be under way at a time.
const AT_ONCE: usize = 4;
/// How long after its end an errand may still be heard of.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of errands.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Under way: of which incident, and until when at the latest.
    begun: BTreeMap<ErrandId, (u64, Mono)>,
    /// Stages of open incidents whose programs were run.
    ran: BTreeSet<(u64, usize)>,
    /// Closings that nothing was run for yet.
    closings: BTreeMap<u64, usize>,
    /// How many there were.
    pub(super) count: u64,
}

impl Errands {
    /// Something is told.
    pub(super) fn told(&mut self, notice: &Notice) {
        match &notice.what {
            What::Ran { errand, .. } => {
                self.begun.remove(errand);
            }
            // It goes on under a root above.
            What::Closed {
                how: Closing::Merged,
                ..
            } => {}
            What::Closed { .. } => {
                // It may be opened again, and begins anew then.
                let id = notice.incident.0;
                self.ran.retain(|(incident, _)| *incident != id);
                *self.closings.entry(id).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Other rules, other stages.
    pub(super) fn reloaded(&mut self) {
        self.ran.clear();
    }

    /// Another beadle begins: what the one before had begun is nobody's any more.
    pub(super) fn restarted(&mut self) {
        self.begun.clear();
    }

    /// Whether an incident has to wait for its turn.
    pub(super) fn busy(&self, now: Mono, incident: u64) -> bool {
        let begun = self.begun.values().filter(|(_, until)| *until > now);
        let mine = begun.clone().any(|(other, _)| *other == incident);
        mine || begun.count() >= AT_ONCE
    }
}

impl Watchman {
    pub(super) fn errand(&mut self, scene: &Scene<'_>, errand: &Errand) -> Verdict {
        let now = scene.machine.now;
        let (name, incident) = (&errand.evidence.rule, errand.incident.0);
        let errands = &mut self.errands;
        errands.count += 1;
        errands.begun.retain(|_, (_, until)| *until > now);
        ensure!(
            !errands.busy(now, incident),
            "two errands at a time for one incident, or too many: {name}"
        );
        let until = now.after(errand.task.timeout()).after(PATIENCE);
        let before = errands.begun.insert(errand.id, (incident, until));
        ensure!(before.is_none(), "an errand begun twice: {name}");
        match errand.occasion {
            Occasion::Closed(_) => {
                let left = errands.closings.entry(incident).or_default();
                ensure!(
                    *left > 0,
                    "a program run for a closing that was not: {name}"
                );
                *left -= 1;
                Ok(())
            }
            Occasion::Stage { place, .. } => {
                let runs = matches!(errand.task, Task::Exec(_));
                let first = errands.ran.insert((incident, place)) || !runs;
                ensure!(first, "a program run twice for stage {place}: {name}");
                self.last_called(scene, errand, place)
            }
        }
    }

    /// All that a signal needs, a program does too.
    fn last_called(&mut self, scene: &Scene<'_>, errand: &Errand, place: usize) -> Verdict {
        let now = scene.machine.now;
        let name = &errand.evidence.rule;
        let rule = find(scene.rules, name).ok_or("an errand for a rule that is gone")?;
        ensure!(
            rule.mode == Mode::Enforce,
            "a program run in mode {}: {name}",
            rule.mode
        );
        self.not_too_soon(now, name)?;
        self.not_paused(scene, &errand.evidence)?;
        self.gates.was_open(&errand.evidence)?;
        ensure!(
            !self.is_broken(now, rule, errand.evidence.subject.owner),
            "a program run against the breaker: {name}"
        );
        let stages = rule
            .ladder
            .get(..place)
            .ok_or("a stage that is not there")?;
        let fits = match (stages.last().map(|stage| &stage.act), &errand.task) {
            (Some(StageAct::Exec(command)), Task::Exec(run)) => command == run,
            (Some(StageAct::Stop), Task::Stop(_)) => true,
            _ => false,
        };
        ensure!(fits, "an errand that its stage does not have: {name}");
        let old = now.since(errand.evidence.sampled);
        ensure!(
            old <= scene.rules.interval * 2,
            "a program run on stale evidence, {old:?} old: {name}"
        );
        let nudge = |stage: &Stage| stage.act == StageAct::Nudge;
        let told = stages.iter().rposition(nudge);
        let nudged = self.cases.entry(errand.incident.0).or_default().nudged;
        if let (Some(told), Some(nudged), 0) = (told, nudged, self.reloads) {
            let notice = stages[told + 1..].iter().map(|stage| stage.after).sum();
            ensure!(
                now >= nudged.after(notice),
                "a program run within the notice: {name}"
            );
        }
        evidence_holds(scene, &errand.evidence)?;
        self.remember(scene.machine, errand.evidence.unit);
        truth(scene, &self.roots, &errand.evidence)
    }
}
