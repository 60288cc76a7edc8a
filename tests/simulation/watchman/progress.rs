//! Progress: whoever is over is told, asked and ended, at the latest so long after it is due.
//!
//! A unit whose case is ripe (a stage due on a fresh breach, or a breach without an incident) must move on. Time counts
//! against it only while nothing lawful holds it up, and each of those is bounded by itself:
//!
//! | it may wait for | until |
//! |---|---|
//! | waking, or having stood still | a minute after the last time |
//! | a pause | it ends |
//! | figures that a lossy world withholds | they come |
//! | an act that sent nothing | 10 s |
//! | its own act, or one on a process of its own | [`ACT`] |
//! | an inner culprit without which it would be clear | that one's own clock runs meanwhile |
//! | the mode, a refusal, a breaker, a restarter, protection | for ever: it rests |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Decision, UnitView, View};
use beadle::engine::evidence::{Quantity, Reading, UnitKey, Verdict as Judged};
use beadle::engine::incident::Phase;
use beadle::engine::judge::Case;
use beadle::engine::process::ProcKey;
use beadle::engine::rule::Metric;
use beadle::engine::units::Mono;

use super::{Scene, Verdict, ensure};

/// How long a ripe case may wait for nothing: three looks at a root that runs something else, messages of other rules
/// about the same tree, a last call.
const STUCK: Duration = Duration::from_secs(20);
/// How long an act may take, its lost report given up in the end.
const ACT: Duration = Duration::from_secs(48);
/// How many acts one stage may take that send nothing.
const TRIES: u32 = 4;
/// What passes between two steps beyond this is the world's standing still, not the judge's.
const STRIDE: Duration = Duration::from_secs(4);

/// How one unit's case gets on.
#[derive(Clone, Debug, Default)]
struct Ledger {
    /// The incident and its next stage.
    at: Option<(u64, usize)>,
    /// Whether nothing held it up since the last step.
    free: bool,
    /// For how long it was ripe and nothing held it up.
    waited: Duration,
    /// For how long its act is under way.
    acted: Duration,
    /// Acts of this stage.
    tries: u32,
}

/// What is known of all.
#[derive(Debug, Default)]
pub(super) struct Progress {
    ledgers: BTreeMap<(Arc<str>, UnitKey), Ledger>,
    last: Mono,
    /// The longest that any case waited.
    pub(super) longest: Duration,
    pub(super) most_tries: u32,
}

impl Progress {
    /// Looks at how every case stands after a step.
    pub(super) fn look(
        &mut self,
        scene: &Scene<'_>,
        quiet_until: Mono,
        decisions: &[Decision],
    ) -> Verdict {
        let now = scene.machine.now;
        let passed = now.since(self.last).min(STRIDE);
        self.last = now;
        let mut kept = BTreeMap::new();
        let mut view = None;
        for case in scene.judge.cases() {
            let whom = (case.rule.name.clone(), case.unit);
            let mut ledger = self.ledgers.remove(&whom).unwrap_or_default();
            let at = case.incident.map(|incident| (incident.id.0, incident.next));
            if at != ledger.at || *case.verdict == Judged::Clear {
                ledger = Ledger {
                    at,
                    ..Ledger::default()
                };
            }
            if ledger.free {
                ledger.waited += passed;
                self.longest = self.longest.max(ledger.waited);
            }
            ensure!(
                ledger.waited < STUCK,
                "stuck for {:?}: {} {:?}, {:?}, sampled {:?}, {:?}",
                ledger.waited,
                whom.0,
                whom.1,
                case.verdict,
                case.sampled,
                case.incident
            );
            ledger.act(&case, passed, decisions)?;
            self.most_tries = self.most_tries.max(ledger.tries);
            ledger.free = now >= quiet_until
                && is_ripe(scene, &case)
                && !is_held_up(scene, &case, view.get_or_insert_with(|| scene.judge.view()));
            kept.insert(whom, ledger);
        }
        self.ledgers = kept;
        Ok(())
    }

    /// The rules are others now.
    pub(super) fn reloaded(&mut self) {
        self.ledgers.clear();
    }
}

impl Ledger {
    fn act(&mut self, case: &Case<'_>, passed: Duration, decisions: &[Decision]) -> Verdict {
        let name = &case.rule.name;
        let incident = case.incident.map(|incident| incident.id);
        let carried = decisions.iter().any(|decision| {
            matches!(decision, Decision::Carry(warrant) if Some(warrant.incident) == incident)
        });
        if carried {
            self.tries += 1;
            self.acted = Duration::ZERO;
        } else if let Some(Phase::Acting(_)) = case.incident.map(|incident| &incident.phase) {
            self.acted += passed;
        }
        ensure!(self.acted < ACT, "an act without end: {name}");
        ensure!(
            self.tries <= TRIES,
            "{} acts of one stage: {name}",
            self.tries
        );
        Ok(())
    }
}

/// Whether something is due for a unit that is over, on fresh figures.
fn is_ripe(scene: &Scene<'_>, case: &Case<'_>) -> bool {
    let now = scene.machine.now;
    let ways = scene.shells.ways;
    let lossy = ways.unread > 0 || ways.lost_looks > 0 || ways.slowest > 400;
    let fresh = now.since(case.sampled) <= scene.rules.interval * 2;
    if lossy && !fresh {
        return false;
    }
    let Some(incident) = case.incident else {
        return *case.verdict == Judged::Sustained;
    };
    let due = match incident.phase {
        Phase::Climbing => incident.deadline(case.rule),
        Phase::Preparing(_) => incident.due(case.rule).map(|(_, due)| due),
        Phase::Acting(_) | Phase::Resting(_) => None,
    };
    matches!(case.verdict, Judged::Sustained | Judged::Breaching)
        && due.is_some_and(|due| due <= now)
}

/// Whether another's act, or a smaller culprit, holds up a unit.
fn is_held_up(scene: &Scene<'_>, case: &Case<'_>, view: &View) -> bool {
    let find = |case: &Case<'_>| {
        view.units
            .iter()
            .find(|unit| unit.evidence.unit == case.unit && unit.evidence.rule == case.rule.name)
    };
    let Some(unit) = find(case) else { return false };
    let others = || {
        scene.judge.cases().filter_map(|other| {
            let another = other.unit != case.unit || other.rule.name != case.rule.name;
            another.then_some(())?;
            Some((other, find(&other)?))
        })
    };
    let acts = others().any(|(other, theirs)| {
        let phase = other.incident.map(|incident| &incident.phase);
        let acts = matches!(phase, Some(Phase::Acting(_) | Phase::Preparing(_)));
        acts && theirs
            .members
            .iter()
            .any(|member| unit.members.contains(member))
    });
    let culprits: Vec<&UnitView> = others()
        .filter(|(other, theirs)| lies_within(theirs, unit) && gets_on(other))
        .map(|(_, theirs)| theirs)
        .collect();
    acts || (!culprits.is_empty() && may_be_clear_without(scene, case, unit, &culprits))
}

fn lies_within(inner: &UnitView, outer: &UnitView) -> bool {
    let (root, top) = (inner.evidence.unit.root(), outer.evidence.unit.root());
    let within = |member| outer.members.contains(member);
    let all = inner.members.len() < outer.members.len() && inner.members.iter().all(within);
    matches!(outer.evidence.unit, UnitKey::Tree(_)) && root != top && (within(&root) || all)
}

/// Whether a case is on its way to a stage.
fn gets_on(case: &Case<'_>) -> bool {
    let exempt = matches!(case.verdict, Judged::Exempt(_));
    !exempt
        && case.incident.is_some_and(|incident| {
            !matches!(incident.phase, Phase::Resting(_)) && incident.due(case.rule).is_some()
        })
}

/// Whether a unit could be clear without those inner ones. Some figures do not depend on them, and of CPU time no more
/// is theirs than they truly used.
fn may_be_clear_without(
    scene: &Scene<'_>,
    case: &Case<'_>,
    unit: &UnitView,
    inner: &[&UnitView],
) -> bool {
    let machine = scene.machine;
    let theirs: Duration = inner
        .iter()
        .filter_map(|inner| machine.ever(inner.evidence.unit.root()))
        .flat_map(|root| machine.tree(root))
        .map(|id| machine.cpu_of(id))
        .sum();
    let others = |member: &&ProcKey| !inner.iter().any(|inner| inner.members.contains(member));
    let rest = unit.members.iter().filter(others).count() as u64;
    let over_anyway = |reading: &Reading| {
        let now = reading.now.map(|now| now.at_least);
        match (reading.metric, now, reading.limit) {
            (Metric::Age | Metric::Leftover | Metric::Orphaned, Some(now), limit) => now > limit,
            (Metric::CpuTime, Some(Quantity::Time(now)), Quantity::Time(limit)) => {
                now.saturating_sub(theirs) > limit
            }
            (Metric::Processes, Some(_), Quantity::Count(limit)) => rest > limit,
            _ => false,
        }
    };
    let mut readings = unit.evidence.readings.iter();
    let mut clauses = case.rule.clauses.iter();
    !clauses.any(|clause| {
        let these = readings.by_ref().take(clause.limits.len());
        // All of them are taken, whatever the first says.
        these.map(over_anyway).fold(true, |all, over| all & over)
    })
}
