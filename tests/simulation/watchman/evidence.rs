//! Evidence: the figures given say what is claimed, and are not more than the truth.

use std::collections::BTreeMap;
use std::time::Duration;

use beadle::engine::evidence::{Evidence, Finding, Reading, UnitKey};
use beadle::engine::rule::{Metric, Rule};
use beadle::engine::units::Side;

use super::{Scene, Verdict, ensure, find};
use crate::world::body::Id;

/// The figures given really say what is claimed: some clause has every limit over.
pub(super) fn evidence_holds(scene: &Scene<'_>, evidence: &Evidence) -> Verdict {
    let Some(rule) = find(scene.rules, &evidence.rule) else {
        return Err("evidence for a rule that is gone".to_owned());
    };
    let over = |reading: &Reading| {
        let now = reading.now.map(|now| now.against(reading.limit));
        now == Some(Side::Over)
            && matches!(reading.finding, Finding::Sustained | Finding::Breaching)
    };
    let mut rest = evidence.readings.as_slice();
    let mut holds = false;
    for clause in &rule.clauses {
        let count = clause.limits.len();
        ensure!(
            rest.len() >= count,
            "evidence without a reading: {}",
            evidence.rule
        );
        let (these, others) = rest.split_at(count);
        rest = others;
        holds |= these.iter().all(over);
    }
    ensure!(
        holds,
        "the evidence does not hold: {} {:?}",
        evidence.rule,
        evidence.readings
    );
    Ok(())
}

/// Whether some clause holds for as long as asked that is more than a number of instances: by the rule's words, not by
/// what the product makes of them.
pub(super) fn leads_on(rule: &Rule, evidence: &Evidence) -> bool {
    leads(rule, evidence, &[Finding::Sustained])
}

/// The same, of whatever is found to be one of these.
pub(super) fn leads(rule: &Rule, evidence: &Evidence, wanted: &[Finding]) -> bool {
    let mut rest = evidence.readings.as_slice();
    rule.clauses.iter().any(|clause| {
        let (these, others) = rest.split_at(clause.limits.len().min(rest.len()));
        rest = others;
        let held = these
            .iter()
            .all(|reading| wanted.contains(&reading.finding));
        let has = |metric| these.iter().any(|reading| reading.metric == metric);
        let idle = has(Metric::Orphaned) || has(Metric::Leftover) || has(Metric::Silent);
        held && !these.is_empty() && (!has(Metric::Instances) || idle)
    })
}

/// What is claimed at least is not more than the truth.
pub(super) fn truth(
    scene: &Scene<'_>,
    roots: &BTreeMap<UnitKey, Id>,
    evidence: &Evidence,
) -> Verdict {
    use beadle::engine::evidence::Quantity;
    let machine = scene.machine;
    let Some(root) = roots.get(&evidence.unit).copied() else {
        return Ok(());
    };
    let tree = machine.tree(root);
    let slack = Duration::from_millis(20);
    for reading in &evidence.readings {
        let Some(now) = reading.now else { continue };
        match (reading.metric, now.at_least) {
            (beadle::engine::rule::Metric::CpuTime, Quantity::Time(claimed)) => {
                let used: Duration = tree.iter().map(|id| machine.cpu_of(*id)).sum();
                ensure!(
                    claimed <= used + slack,
                    "CPU time {claimed:?} of {used:?}: {}",
                    evidence.rule
                );
            }
            (beadle::engine::rule::Metric::Age, Quantity::Time(claimed)) => {
                let lived = machine.now.since(machine.kin[root.0].born);
                ensure!(
                    claimed <= lived + slack,
                    "age {claimed:?} of {lived:?}: {}",
                    evidence.rule
                );
            }
            (beadle::engine::rule::Metric::Memory, Quantity::Size(claimed)) => {
                let most = |id: &Id| machine.most_memory(*id, evidence.sampled);
                let held: u64 = tree.iter().map(most).sum();
                ensure!(
                    claimed.0 <= held,
                    "memory {} of {held}: {}",
                    claimed.0,
                    evidence.rule
                );
            }
            (beadle::engine::rule::Metric::Zombies, Quantity::Count(claimed)) => {
                let ever = tree
                    .iter()
                    .filter(|id| machine.kin[id.0].died.is_some())
                    .count();
                ensure!(
                    claimed <= ever as u64,
                    "{claimed} zombies: {}",
                    evidence.rule
                );
            }
            _ => {}
        }
    }
    Ok(())
}
