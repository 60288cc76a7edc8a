//! Instances: of their number alone comes nothing but a nudge, one for all of a kind; no signal comes that was not
//! announced; and no more of them are claimed than there may be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Notice, Rest, What};
use beadle::engine::evidence::{Evidence, Finding, Quantity, UnitKey};
use beadle::engine::rule::{Bound, Metric, Per, Rule, StageAct};
use beadle::engine::units::Mono;
use beadle::engine::warrant::Warrant;

use super::evidence::leads;
use super::{Scene, Verdict, ensure, find};
use crate::world::body::Id;
use crate::world::machine::Machine;

/// What is dead for so long is known to be, however much was missed.
const KNOWN_DEAD: Duration = Duration::from_secs(80);
/// Figures are so much behind, at most.
const SLACK: Duration = Duration::from_secs(2);

/// What is known of all.
#[derive(Debug, Default)]
pub(super) struct Instances {
    /// Incidents whose last nudge was of instances alone.
    unannounced: BTreeSet<u64>,
    /// When people were last told of instances alone: of which rule and whose.
    told: BTreeMap<(Arc<str>, u32), Mono>,
}

impl Instances {
    /// Something is told.
    pub(super) fn told(&mut self, scene: &Scene<'_>, notice: &Notice) -> Verdict {
        let evidence = &notice.evidence;
        let What::Nudge {
            again, ref rests, ..
        } = notice.what
        else {
            return Ok(());
        };
        let Some(rule) = find(scene.rules, &evidence.rule) else {
            return Ok(());
        };
        claims(scene, evidence)?;
        let over = [Finding::Sustained, Finding::Breaching];
        let light = *rests == Some(Rest::Instances) || !leads(rule, evidence, &over);
        if per(rule).is_none() || !light {
            self.unannounced.remove(&notice.incident.0);
            return Ok(());
        }
        self.unannounced.insert(notice.incident.0);
        let owner = born_and_bred(scene.machine, evidence.unit);
        let (Some(owner), false, Some(Per::Owner | Per::Cwd)) = (owner, again, per(rule)) else {
            return Ok(());
        };
        let now = scene.machine.now;
        let last = self.told.insert((evidence.rule.clone(), owner), now);
        ensure!(
            last.is_none_or(|last| now.since(last) >= apart(rule)),
            "two messages about one kind: {}",
            evidence.rule
        );
        Ok(())
    }

    /// A signal is about to be sent.
    pub(super) fn signalled(&self, scene: &Scene<'_>, warrant: &Warrant) -> Verdict {
        let name = &warrant.evidence.rule;
        let rule = find(scene.rules, name).ok_or("a warrant for a rule that is gone")?;
        claims(scene, &warrant.evidence)?;
        let over = [Finding::Sustained, Finding::Breaching];
        ensure!(
            per(rule).is_none() || leads(rule, &warrant.evidence, &over),
            "a signal for a number of instances: {name}"
        );
        ensure!(
            !self.unannounced.contains(&warrant.incident.0),
            "a signal that no nudge announced: {name}"
        );
        Ok(())
    }

    /// There are other rules, or there is another beadle.
    pub(super) fn anew(&mut self) {
        self.told.clear();
    }
}

/// By what a rule counts instances, where they alone are over.
fn per(rule: &Rule) -> Option<Per> {
    let alone = rule.clauses.iter().filter(|clause| {
        let idle = |limit: &beadle::engine::rule::Limit| {
            matches!(
                limit.bound,
                Bound::Orphaned { .. } | Bound::Leftover(_) | Bound::Silent(_)
            )
        };
        !clause.limits.iter().any(idle)
    });
    alone
        .flat_map(|clause| &clause.limits)
        .find_map(|limit| match limit.bound {
            Bound::Instances { per, .. } => Some(per),
            _ => None,
        })
}

/// How far apart two messages about one kind are.
fn apart(rule: &Rule) -> Duration {
    let again = rule
        .ladder
        .iter()
        .filter(|stage| stage.act == StageAct::Nudge && !stage.after.is_zero());
    let again = again.map(|stage| stage.after);
    again.chain([rule.cooldown]).min().unwrap()
}

/// Whose a root is that never was another's.
fn born_and_bred(machine: &Machine, unit: UnitKey) -> Option<u32> {
    let body = machine.find(unit.root())?;
    let kin = &machine.kin[body.id.0];
    (body.owned <= kin.born).then_some(body.owner)
}

/// No more newer ones are claimed than there may be.
fn claims(scene: &Scene<'_>, evidence: &Evidence) -> Verdict {
    let machine = scene.machine;
    let claimed = evidence.readings.iter().filter_map(|reading| {
        let now = reading
            .now
            .filter(|_| reading.metric == Metric::Instances)?;
        match now.at_least {
            Quantity::Count(count) => Some(count),
            _ => None,
        }
    });
    let Some(most) = claimed.max() else {
        return Ok(());
    };
    let Some(own) = machine.ever(evidence.unit.root()) else {
        return Ok(());
    };
    let view = scene.judge.view();
    let others = view
        .units
        .iter()
        .filter(|unit| unit.evidence.rule == evidence.rule && unit.evidence.unit != evidence.unit);
    let newer = others.filter(|unit| {
        let root = machine.ever(unit.evidence.unit.root());
        root.is_none_or(|root| {
            may_live(machine, root, evidence.sampled)
                && may_be_newer(machine, root, own)
                && may_be_theirs(machine, unit.evidence.unit, evidence.unit)
        })
    });
    let there = 1 + newer.count() as u64;
    ensure!(
        most <= there,
        "{most} instances claimed of {there}: {}",
        evidence.rule
    );
    Ok(())
}

fn may_live(machine: &Machine, root: Id, at: Mono) -> bool {
    let lately = at.before(KNOWN_DEAD);
    let lived = |id: &Id| machine.kin[id.0].died.is_none_or(|died| died >= lately);
    machine.tree(root).iter().any(lived)
}

/// By its last image and the other's birth.
fn may_be_newer(machine: &Machine, one: Id, other: Id) -> bool {
    let kin = &machine.kin[one.0];
    let last = kin.ran.last().map_or(kin.born, |(at, _)| *at);
    last.max(kin.born).after(SLACK) >= machine.kin[other.0].born
}

fn may_be_theirs(machine: &Machine, one: UnitKey, other: UnitKey) -> bool {
    let both = born_and_bred(machine, one).zip(born_and_bred(machine, other));
    both.is_none_or(|(one, other)| one == other)
}
