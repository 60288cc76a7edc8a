//! Watches every step for what must never happen.

mod authority;
mod beliefs;
mod evidence;
mod progress;
mod signals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Closing, Decision, Notice, What};
use beadle::engine::evidence::UnitKey;
use beadle::engine::judge::Judge;
use beadle::engine::rule::{Rule, RuleSet, StageAct};
use beadle::engine::units::Mono;
use beadle::engine::warrant::{Outcome, Report, WarrantId};

use crate::world::body::Id;
use crate::world::machine::Machine;
use crate::world::shells::Shells;
use evidence::{evidence_holds, truth};
use progress::Progress;

/// After waking, or having stood still, nothing fires for so long.
const AFTER_WAKING: Duration = Duration::from_secs(60);
/// A step that comes so much later than it was due means that everything stood still.
const STOOD_STILL: Duration = Duration::from_secs(30);

/// What is known of one incident.
#[derive(Clone, Debug, Default)]
struct Case {
    nudged: Option<Mono>,
    /// When TERM was first sent since the last nudge or re-opening; from the machine, not from the judge.
    termed: Option<Mono>,
    killed: u32,
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
    pub gaps: u64,
    pub reloads: u64,
    /// Signals looked at already.
    seen: usize,
    pub signals: u64,
    pub kills: u64,
    pub nudges: u64,
    pub closings: BTreeMap<&'static str, u64>,
    progress: Progress,
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
        for case in self.cases.values_mut() {
            if case.asked.is_some_and(|(asked, _)| asked == report.warrant) && all_gone {
                case.termed.get_or_insert(report.at);
            }
            // A KILL that was withheld from everybody was none.
            if let Some((_, termed)) = case.ending.filter(|(id, _)| *id == report.warrant && none) {
                case.termed = Some(termed);
                case.killed -= 1;
            }
        }
    }

    /// A step is about to be taken.
    pub fn clock(&mut self, scene: &Scene<'_>) {
        let now = scene.machine.now;
        let last = self.last_step.replace(now);
        let due = scene.judge.next_deadline().unwrap_or(Mono::NEVER);
        if last.is_some_and(|last| now.since(last.max(due)) > STOOD_STILL) {
            self.quiet_until = now.after(AFTER_WAKING);
        }
    }

    pub fn longest(&self) -> Duration {
        self.progress.longest
    }
    pub fn most_tries(&self) -> u32 {
        self.progress.most_tries
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
                Decision::List
                | Decision::Sample { .. }
                | Decision::Learn(_)
                | Decision::Measure(_)
                | Decision::Prepare(_)
                | Decision::Recall(_) => {}
            }
        }
        self.progress.look(scene, self.quiet_until, decisions)
    }

    fn notice(&mut self, scene: &Scene<'_>, notice: &Notice) -> Verdict {
        let evidence = &notice.evidence;
        let whom = (evidence.rule.clone(), evidence.unit);
        self.remember(scene.machine, evidence.unit);
        let now = scene.machine.now;
        let case = self.cases.entry(notice.incident.0).or_default();
        match &notice.what {
            What::Nudge { again, .. } => {
                self.nudges += 1;
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
