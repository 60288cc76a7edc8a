//! Authority: what a warrant needs before it is signed.

use std::time::Duration;

use beadle::engine::evidence::Evidence;
use beadle::engine::process::ProcKey;
use beadle::engine::rule::{Mode, Signal, Stage, StageAct};
use beadle::engine::units::Mono;
use beadle::engine::warrant::{Order, Warrant};

use super::evidence::{evidence_holds, truth};
use super::{Scene, Verdict, Watchman, ensure, find};

/// How long after a warrant's end its report may still come.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);

impl Watchman {
    pub(super) fn warrant(&mut self, scene: &Scene<'_>, warrant: &Warrant) -> Verdict {
        let now = scene.machine.now;
        // What takes back needs nothing but that it was us; the shells see to that.
        if warrant.order == Order::Release {
            return Ok(());
        }
        self.let_be(scene, warrant)?;
        if let Some(bidding) = warrant.bidden {
            return self.by_bidding(scene, warrant, bidding);
        }
        let name = &warrant.evidence.rule;
        let rule = find(scene.rules, name).ok_or("a warrant for a rule that is gone")?;
        ensure!(
            rule.mode == Mode::Enforce,
            "signal in mode {}: {name}",
            rule.mode
        );
        self.not_too_soon(now, name)?;
        ensure!(
            !self.is_broken(now, rule, warrant.evidence.subject.owner),
            "signal against the breaker: {name}"
        );
        self.not_paused(scene, &warrant.evidence)?;
        self.gates.was_open(&warrant.evidence)?;
        self.instances.signalled(scene, warrant)?;
        let refused = self.refused.get(&(name.clone(), warrant.unit));
        ensure!(
            refused.is_none_or(|until| now >= *until),
            "signal in the cooldown of a refusal: {name}"
        );
        let signal = warrant.order.signal();
        let place = rule
            .ladder
            .iter()
            .position(|stage| stage.act.signal() == Some(signal))
            .ok_or("a signal that the ladder does not have")?;
        let nudge = |stage: &Stage| stage.act == StageAct::Nudge;
        let told = rule.ladder[..place].iter().rposition(nudge).unwrap_or(0);
        let notice = rule.ladder[told + 1..=place].iter();
        let grace = rule.ladder[place].after;
        // On other rules than those it was told by, only the last stage's clock is sure to have run.
        let notice = match self.reloads {
            0 => notice.map(|stage| stage.after).sum(),
            _ => grace,
        };
        ensure!(
            now >= self.restarts.began().after(grace),
            "signal sooner after a restart than its stage waits: {name}"
        );
        let moment = self.moment(now);
        let case = self.cases.entry(warrant.incident.0).or_default();
        let nudged = case
            .nudged
            .ok_or(format!("signal without a nudge: {name}"))?;
        ensure!(
            now >= nudged.after(notice),
            "signal within the notice: {name}"
        );
        if let Some(mark) = case.notice {
            self.gates.served(scene, name, (mark, moment), notice)?;
        }
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
            ensure!(now >= termed.after(grace), "KILL within the grace: {name}");
            if let Some(mark) = case.grace {
                self.gates.served(scene, name, (mark, moment), grace)?;
            }
            // Another TERM must come before another KILL.
            case.ending = Some((warrant.id, termed));
            case.termed = None;
        }
        ensure!(
            !warrant.targets.is_empty() || !warrant.unbound.is_empty(),
            "an empty warrant"
        );
        self.alone(now, warrant)?;
        let old = now.since(warrant.sampled);
        ensure!(
            old <= scene.rules.interval * 2,
            "stale evidence, {old:?} old: {name}"
        );
        evidence_holds(scene, &warrant.evidence)?;
        self.remember(scene.machine, warrant.unit);
        truth(scene, &self.roots, &warrant.evidence)
    }

    /// One act is under way per process.
    pub(super) fn alone(&mut self, now: Mono, warrant: &Warrant) -> Verdict {
        self.acting.retain(|_, (until, _)| *until > now);
        let whom: Vec<ProcKey> = warrant.targets.iter().map(|target| target.key).collect();
        let other = self
            .acting
            .values()
            .find(|(_, others)| others.iter().any(|other| whom.contains(other)));
        ensure!(
            other.is_none(),
            "two acts on one process at once: {}",
            warrant.evidence.rule
        );
        let until = warrant.expires.after(REPORT_PATIENCE);
        self.acting.insert(warrant.id, (until, whom));
        Ok(())
    }

    pub(super) fn not_paused(&self, scene: &Scene<'_>, evidence: &Evidence) -> Verdict {
        let now = scene.machine.now;
        let owner = evidence.subject.owner.map(|owner| owner.0);
        let pause = self.pauses.iter().find(|pause| {
            (pause.by == 0 || Some(pause.by) == owner)
                && pause
                    .rule
                    .as_ref()
                    .is_none_or(|rule| *rule == evidence.rule)
                && pause.until > now
        });
        ensure!(
            pause.is_none(),
            "signal after a pause was accepted: {pause:?}"
        );
        Ok(())
    }
}
