//! Authority: what a warrant needs before it is signed.

use beadle::engine::rule::{Mode, Signal, StageAct};
use beadle::engine::warrant::Warrant;

use super::evidence::{evidence_holds, truth};
use super::{Scene, Verdict, Watchman, ensure, find};

impl Watchman {
    pub(super) fn warrant(&mut self, scene: &Scene<'_>, warrant: &Warrant) -> Verdict {
        let now = scene.machine.now;
        let name = &warrant.evidence.rule;
        let rule = find(scene.rules, name).ok_or("a warrant for a rule that is gone")?;
        ensure!(
            rule.mode == Mode::Enforce,
            "signal in mode {}: {name}",
            rule.mode
        );
        ensure!(
            self.snapshots >= 3,
            "signal after {} snapshots",
            self.snapshots
        );
        ensure!(
            now >= self.quiet_until,
            "signal within a minute of waking: {name}"
        );
        self.not_paused(scene, warrant)?;
        let refused = self.refused.get(&(name.clone(), warrant.unit));
        ensure!(
            refused.is_none_or(|until| now >= *until),
            "signal in the cooldown of a refusal: {name}"
        );
        let signal = warrant.order.signal();
        let stage = rule
            .ladder
            .iter()
            .find(|stage| stage.act == StageAct::Signal(signal))
            .ok_or("a signal that the ladder does not have")?;
        let case = self.cases.entry(warrant.incident.0).or_default();
        let nudged = case
            .nudged
            .ok_or(format!("signal without a nudge: {name}"))?;
        ensure!(
            now >= nudged.after(stage.after),
            "signal within the notice: {name}"
        );
        if signal == Signal::Term {
            case.asked = Some((warrant.id, now));
        }
        if signal == Signal::Kill {
            // Of an act whose report is lost the judge takes the worst.
            let lost = case
                .asked
                .filter(|(asked, _)| scene.shells.lost.contains(asked));
            case.termed = case.termed.or(lost.map(|(_, at)| at));
            let termed = case.termed.ok_or(format!("KILL without TERM: {name}"))?;
            ensure!(
                now >= termed.after(stage.after),
                "KILL within the grace: {name}"
            );
            ensure!(
                case.killed == 0 || case.termed.is_some(),
                "KILL twice: {name}"
            );
            case.killed += 1;
            case.ending = Some((warrant.id, termed));
            case.termed = None;
        }
        ensure!(
            !warrant.targets.is_empty() || !warrant.unbound.is_empty(),
            "an empty warrant"
        );
        let old = now.since(warrant.sampled);
        ensure!(
            old <= scene.rules.interval * 2,
            "stale evidence, {old:?} old: {name}"
        );
        evidence_holds(scene, &warrant.evidence)?;
        self.remember(scene.machine, warrant.unit);
        truth(scene, &self.roots, &warrant.evidence)
    }

    fn not_paused(&self, scene: &Scene<'_>, warrant: &Warrant) -> Verdict {
        let now = scene.machine.now;
        let owner = warrant.evidence.subject.owner.map(|owner| owner.0);
        let pause = self.pauses.iter().find(|pause| {
            (pause.by == 0 || Some(pause.by) == owner)
                && pause
                    .rule
                    .as_ref()
                    .is_none_or(|rule| *rule == warrant.evidence.rule)
                && pause.until > now
        });
        ensure!(
            pause.is_none(),
            "signal after a pause was accepted: {pause:?}"
        );
        Ok(())
    }
}
