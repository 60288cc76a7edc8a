//! Watches every step for what must never happen.

mod authority;
mod beliefs;
mod care;
mod evidence;
mod progress;
mod signals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Closing, Decision, Notice, What};
use beadle::engine::evidence::UnitKey;
use beadle::engine::judge::Judge;
use beadle::engine::process::{ProcKey, Uid};
use beadle::engine::rule::{Rule, RuleSet, StageAct};
use beadle::engine::units::Mono;
use beadle::engine::warrant::{Outcome, Report, WarrantId};

use crate::world::body::Id;
use crate::world::machine::Machine;
use crate::world::shells::Shells;
use evidence::{evidence_holds, truth};
use care::Care;
use progress::Progress;

/// After waking, or having stood still, nothing fires for so long.
const AFTER_WAKING: Duration = Duration::from_secs(60);
/// What passes between two steps beyond this is the world's standing still, not the judge's.
const STRIDE: Duration = Duration::from_secs(4);
/// A step that comes so much later than it was due means that everything stood still.
const STOOD_STILL: Duration = Duration::from_secs(30);

/// What is known of one incident.
#[derive(Clone, Debug, Default)]
struct Case {
    nudged: Option<Mono>,
    /// When TERM was first sent since the last nudge or re-opening; from the machine, not from the judge.
    termed: Option<Mono>,
    /// The last warrant to ask with TERM, and when it was given.
    asked: Option<(WarrantId, Mono)>,
    /// The last warrant to KILL, and the TERM it rested on.
    ending: Option<(WarrantId, Mono)>,
}

/// A pause as it was accepted.
#[derive(Clone, Debug)]
pub struct Pause {
    pub by: u32,
    pub rule: Option<Arc<str>>,
    pub until: Mono,
}

/// What the watchman remembers.
#[derive(Debug, Default)]
pub struct Watchman {
    cases: BTreeMap<u64, Case>,
    /// Until when a unit must be left in peace, because we were refused.
    refused: BTreeMap<(Arc<str>, UnitKey), Mono>,
    /// Until when nobody may be told again.
    told: BTreeMap<(Arc<str>, UnitKey), Mono>,
    /// Who is whom, as far as warrants and evidence named them.
    roots: BTreeMap<UnitKey, Id>,
    pub pauses: Vec<Pause>,
    pub snapshots: u64,
    pub quiet_until: Mono,
    slept: Option<Duration>,
    last_step: Option<Mono>,
    /// Everything stood still just before this step.
    stood_still: bool,
    /// What passed since the last step, and in all, but for the spans in which everything stood still.
    passed: Duration,
    worked: Duration,
    pub gaps: u64,
    pub reloads: u64,
    /// Signals looked at already.
    seen: usize,
    pub signals: u64,
    pub kills: u64,
    pub nudges: u64,
    pub closings: BTreeMap<&'static str, u64>,
    /// Trees that were ended.
    endings: Vec<Ending>,
    /// Acts under way: until when at the latest, and on whom.
    acting: BTreeMap<WarrantId, (Mono, Vec<ProcKey>)>,
    /// When people were last told of a root, and under which rule.
    spoken: BTreeMap<ProcKey, (Mono, Arc<str>)>,
    progress: Progress,
    care: Care,
}

/// A tree that was ended.
#[derive(Clone, Debug)]
struct Ending {
    at: Mono,
    rule: Arc<str>,
    owner: Option<Uid>,
}

/// What the watchman looks at.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub machine: &'a Machine,
    pub shells: &'a Shells,
    pub rules: &'a RuleSet,
    pub only_user: Option<u32>,
    pub leash: Option<Id>,
    pub judge: &'a Judge,
    pub calm_start: bool,
}

macro_rules! ensure {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err(format!($($words)+));
        }
    };
}

use ensure;

type Verdict = Result<(), String>;

impl Watchman {
    /// A report comes. Where everyone was gone nobody could be asked: a comet is always one hop ahead.
    pub fn report(&mut self, report: &Report) {
        let all_gone = report
            .each
            .iter()
            .all(|(_, outcome)| *outcome == Outcome::Gone);
        let sent = |outcome: &Outcome| matches!(outcome, Outcome::Sent | Outcome::Survived);
        let none = !report.each.iter().any(|(_, outcome)| sent(outcome));
        self.acting.remove(&report.warrant);
        for case in self.cases.values_mut() {
            if case.asked.is_some_and(|(asked, _)| asked == report.warrant) && all_gone {
                case.termed.get_or_insert(report.at);
            }
            // A KILL that was withheld from everybody was none.
            if let Some((_, termed)) = case.ending.filter(|(id, _)| *id == report.warrant && none) {
                case.termed = Some(termed);
            }
        }
    }

    /// A step is about to be taken.
    pub fn clock(&mut self, scene: &Scene<'_>) {
        let now = scene.machine.now;
        let last = self.last_step.replace(now);
        let due = scene.judge.next_deadline().unwrap_or(Mono::NEVER);
        self.stood_still = last.is_some_and(|last| now.since(last.max(due)) > STOOD_STILL);
        if self.stood_still {
            self.quiet_until = now.after(AFTER_WAKING);
        }
        self.passed = last.map_or(Duration::ZERO, |last| now.since(last).min(STRIDE));
        self.worked += self.passed;
    }

    /// The judge is told how long the machine slept.
    pub fn machine_told(&mut self, now: Mono, slept: Duration) {
        let before = self.slept.replace(slept);
        if before.is_some_and(|before| slept.saturating_sub(before) > Duration::from_secs(1)) {
            self.quiet_until = now.after(AFTER_WAKING);
        }
    }

    /// Looks at what was decided in one step.
    pub fn decisions(&mut self, scene: &Scene<'_>, decisions: &[Decision]) -> Verdict {
        for decision in decisions {
            match decision {
                Decision::Tell(notice) => self.notice(scene, notice)?,
                Decision::Carry(warrant) => self.warrant(scene, warrant)?,
                Decision::Sample { asks, .. } => self.care.asked(self.worked, asks),
                Decision::Recall(id) => {
                    self.acting.remove(id);
                }
                Decision::List
                | Decision::Learn(_)
                | Decision::Measure(_)
                | Decision::Prepare(_) => {}
            }
        }
        let mut progress = std::mem::take(&mut self.progress);
        let verdict = progress.look(scene, self, decisions);
        self.progress = progress;
        verdict
    }

    fn notice(&mut self, scene: &Scene<'_>, notice: &Notice) -> Verdict {
        let evidence = &notice.evidence;
        let whom = (evidence.rule.clone(), evidence.unit);
        self.remember(scene.machine, evidence.unit);
        let now = scene.machine.now;
        if let What::Nudge { .. } | What::Opened | What::Withheld { .. } = notice.what {
            self.not_too_soon(now, &evidence.rule)?;
        }
        let root = evidence.unit.root();
        let case = self.cases.entry(notice.incident.0).or_default();
        match &notice.what {
            What::Nudge { again, .. } => {
                self.nudges += 1;
                let spoken = self.spoken.insert(root, (now, evidence.rule.clone()));
                let other = spoken.filter(|(_, rule)| *rule != evidence.rule && !again);
                ensure!(
                    other.is_none_or(|(at, _)| now.since(at) >= scene.rules.interval),
                    "two messages about one tree at once: {}",
                    evidence.rule
                );
                if !again {
                    case.nudged = Some(now);
                    case.termed = None;
                    let quiet = self.told.get(&whom).copied().unwrap_or_default();
                    ensure!(
                        now >= quiet,
                        "told again within a cooldown: {}",
                        evidence.rule
                    );
                }
                evidence_holds(scene, evidence)?;
                truth(scene, &self.roots, evidence)?;
            }
            What::Closed { how, .. } => {
                *self.closings.entry(how.word()).or_default() += 1;
                self.spoken.remove(&root);
                if *how == Closing::Ended {
                    self.endings.push(Ending {
                        at: now,
                        rule: evidence.rule.clone(),
                        owner: evidence.subject.owner,
                    });
                }
                let rule = find(scene.rules, &evidence.rule);
                let cooldown = rule.map_or(Duration::ZERO, |rule| rule.cooldown);
                let told = case.nudged.is_some();
                case.termed = None;
                if *how == Closing::Denied {
                    self.refused.insert(whom.clone(), now.after(cooldown));
                }
                // A second nudge of the same ladder is not told again; only ladders with one are looked at.
                let nudges = rule.map_or(0, |rule| {
                    let nudge = |stage: &&beadle::engine::rule::Stage| stage.act == StageAct::Nudge;
                    rule.ladder.iter().filter(nudge).count()
                });
                if told && nudges == 1 && !matches!(how, Closing::Merged | Closing::RuleRemoved) {
                    self.told.insert(whom, now.after(cooldown));
                }
            }
            What::Opened | What::Signal { .. } | What::Withheld { .. } => {
                evidence_holds(scene, evidence)?;
            }
        }
        Ok(())
    }

    /// Nothing is said or done before three snapshots, nor within a minute of waking.
    fn not_too_soon(&self, now: Mono, name: &str) -> Verdict {
        ensure!(
            self.snapshots >= 3,
            "something after {} snapshots: {name}",
            self.snapshots
        );
        ensure!(
            now >= self.quiet_until,
            "something within a minute of waking: {name}"
        );
        Ok(())
    }

    /// How many trees of a rule and owner were ended of late, beyond what its breaker lets through.
    fn is_broken(&self, now: Mono, rule: &Rule, owner: Option<Uid>) -> bool {
        let late = self.endings.iter().filter(|ending| {
            ending.rule == rule.name
                && ending.owner == owner
                && now.since(ending.at) <= rule.breaker.within
        });
        late.count() >= usize::try_from(rule.breaker.trees).unwrap()
    }

    /// The rules are read again: what a changed ladder tells anew is told.
    pub fn reloaded(&mut self) {
        self.reloads += 1;
        self.progress.reloaded();
        self.told.clear();
        self.refused.clear();
    }

    fn remember(&mut self, machine: &Machine, unit: UnitKey) {
        if let Some(id) = machine.ever(unit.root()) {
            self.roots.entry(unit).or_insert(id);
        }
    }
}

fn find<'r>(rules: &'r RuleSet, name: &str) -> Option<&'r Rule> {
    rules
        .rules
        .iter()
        .find(|rule| &*rule.name == name)
        .map(|rule| &**rule)
}
