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
//! | figures of members that are gone before their birth is heard | one stays long enough to be looked at |
//! | an act that sent nothing | 10 s |
//! | its own act, or one on a process of its own | [`ACT`] |
//! | an inner culprit without which it would be clear | that one's own clock runs meanwhile; [`LATE`] |
//! | a message about others of its kind | the cooldown since is over |
//! | the mode, a refusal, a breaker, a restarter, protection | as long as that is so: it rests |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Decision, Rest, UnitView, View};
use beadle::engine::evidence::{Quantity, Reading, UnitKey, Verdict as Judged};
use beadle::engine::incident::{Incident, Phase};
use beadle::engine::judge::Case;
use beadle::engine::process::{ProcKey, Uid};
use beadle::engine::rule::{Metric, Mode, StageAct};
use beadle::engine::units::Mono;

use super::evidence::leads_on;
use super::{Scene, Verdict, Watchman, counts_instances, ensure};
use crate::world::body::Body;

/// How long a ripe case may wait for nothing: three looks at a root that runs something else, messages of other rules
/// about the same tree, a last call.
const STUCK: Duration = Duration::from_secs(20);
/// How long an act may take, its lost report given up in the end.
const ACT: Duration = Duration::from_secs(48);
/// A culprit whose stage is so long overdue is not waited for any more.
const LATE: Duration = Duration::from_secs(30);
/// How many acts one stage may take that send nothing.
const TRIES: u32 = 4;

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
}

impl Progress {
    /// Looks at how every case stands after a step.
    pub(super) fn look(
        &mut self,
        scene: &Scene<'_>,
        watchman: &Watchman,
        decisions: &[Decision],
    ) -> Verdict {
        let (now, passed) = (scene.machine.now, watchman.passed);
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
            }
            // People were told of others of its kind.
            let patience = if only_tells(scene, &case) {
                STUCK + case.rule.cooldown
            } else {
                STUCK
            };
            ensure!(
                ledger.waited < patience,
                "stuck for {:?}: {} {:?}, {:?}, sampled {:?}, {:?}",
                ledger.waited,
                whom.0,
                whom.1,
                case.verdict,
                case.sampled,
                case.incident
            );
            if watchman.stood_still {
                // What came of an act may wait to be read.
                ledger.acted = Duration::ZERO;
            }
            ledger.act(&case, passed, decisions)?;
            let quiet = watchman.quiet_until;
            ledger.free = now >= quiet
                && is_ripe(scene, &case, watchman)
                && !waits_for_errand(&case, now, watchman)
                && !is_held_up(
                    scene,
                    &case,
                    quiet,
                    view.get_or_insert_with(|| scene.judge.view()),
                );
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
fn is_ripe(scene: &Scene<'_>, case: &Case<'_>, watchman: &Watchman) -> bool {
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
    let due = incident.due(case.rule).map(|(_, due)| due);
    let due = match &incident.phase {
        Phase::Climbing => incident.deadline(case.rule),
        Phase::Preparing(_) => due,
        Phase::Acting(_) => None,
        Phase::Resting(why) => due.filter(|_| !rests_rightly(scene, case, watchman, why)),
    };
    matches!(case.verdict, Judged::Sustained | Judged::Breaching)
        && due.is_some_and(|due| due <= now)
}

/// Whether the stage at hand is an errand whose turn has not come.
fn waits_for_errand(case: &Case<'_>, now: Mono, watchman: &Watchman) -> bool {
    case.incident.is_some_and(|incident| {
        let stage = incident.stages(case.rule).get(incident.next);
        let errand =
            stage.is_some_and(|stage| matches!(stage.act, StageAct::Exec(_) | StageAct::Stop));
        errand && watchman.errands.busy(now, incident.id.0)
    })
}

/// Whether what an incident is said to rest on is so. Who is protected, and who restarts whom, is not looked at.
fn rests_rightly(scene: &Scene<'_>, case: &Case<'_>, watchman: &Watchman, why: &Rest) -> bool {
    match why {
        Rest::Mode(_) => match case.incident.and_then(Incident::bidding) {
            None => case.rule.mode != Mode::Enforce,
            Some(_) => case.rule.mode == Mode::Observe,
        },
        Rest::Denied => case.incident.is_some_and(|incident| incident.denied),
        Rest::Breaker => {
            let machine = scene.machine;
            let owners = machine.bodies.values().map(|body| Some(Uid(body.owner)));
            let mut owners = owners.chain([None]);
            owners.any(|owner| watchman.is_broken(machine.now, case.rule, owner))
        }
        Rest::Instances => only_tells(scene, case),
        Rest::Protected | Rest::Respawn { .. } => true,
        // With these a ladder does not rest.
        // Nobody goes first here.
        Rest::Busy | Rest::Unstoppable(_) | Rest::Minded { .. } => false,
    }
}

/// Whether nothing is over for as long as asked that more than a nudge may come of.
fn only_tells(scene: &Scene<'_>, case: &Case<'_>) -> bool {
    let view = scene.judge.view();
    let unit = view
        .units
        .iter()
        .find(|unit| unit.evidence.unit == case.unit && unit.evidence.rule == case.rule.name);
    counts_instances(case.rule) && unit.is_some_and(|unit| !leads_on(case.rule, &unit.evidence))
}

/// Whether another's act, or a smaller culprit, holds up a unit.
fn is_held_up(scene: &Scene<'_>, case: &Case<'_>, quiet: Mono, view: &View) -> bool {
    let now = scene.machine.now;
    let find = |case: &Case<'_>| {
        view.units
            .iter()
            .find(|unit| unit.evidence.unit == case.unit && unit.evidence.rule == case.rule.name)
    };
    let Some(unit) = find(case) else { return false };
    let stale = now.since(case.sampled) > scene.rules.interval * 2;
    let lives = |member: &ProcKey| scene.machine.find(*member).is_some_and(Body::alive);
    if stale && !unit.members.iter().any(lives) {
        return true;
    }
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
        acts && overlap(scene, theirs, unit)
    });
    let culprits: Vec<&UnitView> = others()
        .filter(|(other, theirs)| lies_within(scene, theirs, unit) && gets_on(now, quiet, other))
        .map(|(_, theirs)| theirs)
        .collect();
    acts || (!culprits.is_empty() && may_be_clear_without(scene, case, unit, &culprits))
}

/// Whether two units share somebody, as far as can be seen: a member whose identity is not bound yet is not shown.
fn overlap(scene: &Scene<'_>, one: &UnitView, other: &UnitView) -> bool {
    let shared = one
        .members
        .iter()
        .any(|member| other.members.contains(member));
    shared || (is_blurred(one) && is_blurred(other) && are_kin(scene, one, other))
}

fn lies_within(scene: &Scene<'_>, inner: &UnitView, outer: &UnitView) -> bool {
    let (root, top) = (inner.evidence.unit.root(), outer.evidence.unit.root());
    let within = |member| outer.members.contains(member);
    let fewer = inner.evidence.members < outer.evidence.members;
    let all = fewer && inner.members.iter().all(within);
    let perhaps = is_blurred(inner) && is_blurred(outer) && are_kin(scene, inner, outer);
    matches!(outer.evidence.unit, UnitKey::Tree(_))
        && root != top
        && (within(&root) || all || perhaps)
}

fn is_blurred(unit: &UnitView) -> bool {
    unit.members.len() < unit.evidence.members as usize
}

/// Whether the root of one descends from the other's.
fn are_kin(scene: &Scene<'_>, one: &UnitView, other: &UnitView) -> bool {
    let machine = scene.machine;
    let roots = [one, other].map(|unit| machine.ever(unit.evidence.unit.root()));
    let [Some(one), Some(other)] = roots else {
        return false;
    };
    machine.descends(one, other) || machine.descends(other, one)
}

/// Whether a case is on its way to a stage.
fn gets_on(now: Mono, quiet: Mono, case: &Case<'_>) -> bool {
    let Some(incident) = case.incident else {
        return false;
    };
    match incident.phase {
        Phase::Resting(_) => false,
        Phase::Preparing(_) | Phase::Acting(_) => true,
        Phase::Climbing => {
            let due = incident.deadline(case.rule);
            !matches!(case.verdict, Judged::Exempt(_))
                && due.is_some_and(|due| now < due.max(quiet).after(LATE))
        }
    }
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
