//! Watches every step for what must never happen.
//!
//! # What each invariant was seen to catch
//! Every fault was planted in the product, run over 1,000 to 1,500 seeds, seen, and taken out again. The seed is the
//! first that failed; it moves when the stories change.
//!
//! | invariant | planted fault | seed |
//! |---|---|---|
//! | told again within a cooldown | `ladder`: a unit's past is forgotten when its incident opens | 17 |
//! | two messages about one tree at once | `ladder`: `told_just_now` is not asked; not seen in 6,000 seeds; the scenario `two_rules_one_tree` catches it | |
//! | something within a minute of waking | `judge`: sleep goes unnoticed; a standstill goes unnoticed | 1; 4 |
//! | something after N snapshots | `ladder`: the first three are not waited for | 126 |
//! | evidence for a rule that is gone | `answers`: a unit outlives its rule | 17 |
//! | evidence without a reading | `bench`: clear readings are left out | 4 |
//! | the evidence does not hold | `incident`: clear counts as over | 45 |
//! | CPU time, age, zombies beyond the truth | the dead buried twice; sleep counted as age; those not seen counted | 5; 10; 1 |
//! | signal in mode | `incident` and `acts`: the mode asked for by neither | 1 |
//! | signal after a pause was accepted | `answers`: no pause applies | 26 |
//! | something through a closed gate | `bench` and `acts`: no gate is closed | 2 |
//! | time was served behind a closed gate | `incident`: no clock stands | 79 |
//! | N waits for an open gate | `looks`: what a gate asks for is not read for a unit that waits | 7 |
//! | signal against the breaker | `ladder`: the endings are not counted | 33 |
//! | signal in the cooldown of a refusal | `acts`: a refusal is not remembered | 17 |
//! | a signal that the ladder does not have | `acts`: KILL is sent where TERM is due | 0 |
//! | signal within the notice | `incident`: a stage does not wait for its time | 0 |
//! | KILL without TERM | `incident`: a stage is repeated; a cooldown ends where it began, TERM passed over | 39; 227 |
//! | KILL within the grace | `incident`: the clock is not set when a stage is done | 10 |
//! | an empty warrant | `acts` and `ladder`: nobody to signal is no reason | 11 |
//! | stale evidence | `acts`: the last call takes figures of any age | 4 |
//! | two acts on one process at once | `acts`: others that act are not asked | 90 |
//! | a child signalled in scope process | `census`: children are born into their parent's process | 56 |
//! | signal to or below a boundary | `enrol`: whoever turns out to be a boundary stays a member | 558 |
//! | signal to or below a kept process | `enrol`: whoever turns out to be kept stays a member | 81 |
//! | signal outside the leash | `acts`: the leash is not asked | 11 |
//! | signal to another user's process | `acts`: an unprivileged beadle signals whom the kernel lets it | 275 |
//! | signal to a stranger; a stranger in the unit | `acts`: the root's parent is a target; `census`: it joins | 0; 0 |
//! | the deadline is past | `looks`: that figures were asked for is forgotten | 0 |
//! | N known of M | `forest`: nobody is forgotten | 2 |
//! | a child that is forgotten, of another parent | `forest`: the dead stay among their parent's children | 0; 5 |
//! | a child unknown to its parent | `forest`: the adopted are not listed | 4 |
//! | a parent that is forgotten | `forest`: the dead keep their children | 18 |
//! | false lineage | `sight`: what was read before a birth counts as word of the born | 27 |
//! | two living holders | `forest`: a number handed out again leaves its old holder alive | 18 |
//! | a unit without a member | `census`: nobody looks whether the dead was the last | 0 |
//! | a member is missing | `census`: nothing is inherited from whom we know nothing of yet | 379 |
//! | dossiers, appointments of N processes | `census`: the dead keep their dossier; their appointment | 0; 18 |
//! | flights for N units | `acts`: whoever reported stays under way | 16 |
//! | hopes of N processes | `enrol`: who hopes is reviewed and goes on hoping, and `census`: the dead do too | 0 |
//! | units of N processes | `enrol`: a root is crowned again at each review | 12 |
//! | questions that nobody asks | `looks`: what was asked is kept | 0 |
//! | nobody looks at a member | `looks`: a minute instead of ten seconds | 1 |
//! | nobody looks at a member in trouble | `looks`: trouble makes no haste | 294 |
//! | left standing | `ladder`: who closes thaws nobody; `bench`: a pause does not either | 500; 688 |
//! | stuck | `bench`: every inner incident is waited for; `acts`: a last call called off leaves the incident preparing; `incident`: whoever rests never climbs again; `ladder`: opens late | 72; 14; 52; 0 |
//! | an act without end | `acts`: a lost report is waited for a minute longer | 14 |
//! | N acts of one stage | `acts`: a stage that was carried out is not done | 0 |
//! | the judge and its shells keep each other busy | `looks`: the next look is due at once | 0 |
//! | a seed does not come back | `census`: the dead keep their appointment, and `looks`: it is kept for ever | 1 |
//! | a signal for a number of instances | `ladder`: that they alone are over bars nothing | 5 |
//! | a signal that no nudge announced | `ladder`: that more is over now changes nothing | 8 |
//! | two messages about one kind | `instances`: everyone speaks | 5 |
//! | N instances claimed of M | `instances`: those of other owners are alike; older ones count as newer | 0; 5 |
//! | told once more | `incident`: what was left goes on at the foot of the ladder | 9 |
//! | signal sooner after a restart than its stage waits | `incident`: its clock goes on from its opening | 9 |
//! | KILL without TERM, over a restart | `incident`: what was left goes on at its last stage | 9 |
//! | another incident of a unit that has one | `legacy`: what was left is not taken up | 9 |
//! | an incident that nobody takes up and nobody closes | `legacy`: it is let go without a word; nobody is ever let go | 48; 9 |
//! | signal after a pause was accepted, by an earlier beadle | `legacy`: pauses are not left | 97 |
//! | signal against the breaker, over a restart | `legacy`: endings are not left | 14 |
//! | at least, CPU time beyond the truth, over a restart | `legacy`: the dead that were left are buried twice | 25; 48 |
//! | at most less than the truth, over a restart | `legacy`: the dead are not left; what the unfound had used is not | 94; 1857 |
//! | a member is missing, over a restart | `legacy`: lineage is not left | 1 in 700 |
//! | told again within a cooldown, over a restart | `legacy`: what cannot be read for a minute is let go; a tree whose root is gone loses its cooldown | 690; 2818 |
//! | signal sooner after a restart than its stage waits | `incident`: what a closed incident had served counts for the next beadle | 6429 |
//! | a member is missing, over a restart | `forest`: who is found before its parent stays with whoever is further up | 286 |
//! | nobody takes up and nobody closes | `judge`: only looks settle what was left, and nobody is judged | 2187 |
//! | signal to or below a boundary, over a restart | `legacy`: a root that runs something else leaves a tree when it dies | 7508 |
//! | two errands at a time for one incident, or too many | `errands`: nobody waits for a turn | 90 |
//! | a program run in mode | `incident` and `acts`: programs are run in every mode | 1 |
//! | a program run on stale evidence | `acts`: the last call takes figures of any age | 60 |
//! | a program run for a closing that was not | `errands`: a closing runs its program twice | 7 |
//! | signal while snoozed | `answers`: no snooze lasts | 8 |
//! | signal to what is an exception | `replies`: another folder is the same | 5 |
//! | KILL by bidding within the grace | `answer`: four seconds instead of ten | 53 |
//! | a stranger's answer is taken | `replies`: whoever has an owner is everybody's | 7 of the first 60 |
//! | a unit without a member, once it is allowed | `replies`: what is allowed in the midst of an act is closed and not looked at again | 236 |
//! | a program run twice for a stage | `incident`: that it was run is forgotten; not seen in 700 seeds; the unit tests of `incident` catch it | |
//!
//! Waiting for a paused inner rule, for one that cannot be read, and of two trees for each other is told by scenarios
//! (`inner_paused`, `inner_stands_still`, `one_within_the_other`): chance makes them too rarely. A root whose image is
//! another every moment, and TERM after a merging, are not made often enough either. That cooldowns, and who was
//! kept, are left to the next beadle, is told by scenarios too (`restart_in_the_cooldown`, `restart_keeps_the_kept`). Who is
//! stopped in an act and continued after it is played by the shells as `sys` and `daemon` do it, and shown with real
//! processes (`tests/escape/restart.rs`).

mod authority;
mod beliefs;
mod care;
mod errands;
mod evidence;
mod gates;
mod instances;
mod progress;
mod replies;
mod restarts;
mod signals;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Closing, Decision, Notice, What};
use beadle::engine::errand::Occasion;
use beadle::engine::evidence::UnitKey;
use beadle::engine::judge::Judge;
use beadle::engine::process::{ProcKey, Uid};
use beadle::engine::rule::{Metric, Mode, Rule, RuleSet, Signal, StageAct};
use beadle::engine::units::Mono;
use beadle::engine::warrant::{Outcome, Report, WarrantId};

use crate::world::body::Id;
use crate::world::machine::Machine;
use crate::world::shells::Shells;
use care::Care;
use errands::Errands;
use evidence::{evidence_holds, truth};
use gates::{Gates, Mark, Moment};
use instances::Instances;
use progress::Progress;
pub use replies::{Replies, STRANGER};
use restarts::Restarts;
use standing::Standing;

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
    /// From where notice and grace are served.
    notice: Option<Mark>,
    grace: Option<Mark>,
    /// In which mode.
    mode: Option<Mode>,
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
    /// By how much the loop came late, in all.
    pub overslept: Duration,
    pub gaps: u64,
    pub reloads: u64,
    /// Signals looked at already.
    seen: usize,
    pub signals: u64,
    pub kills: u64,
    pub freezes: u64,
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
    standing: Standing,
    gates: Gates,
    instances: Instances,
    restarts: Restarts,
    errands: Errands,
    pub replies: Replies,
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
    /// How many programs were run, and managers asked.
    pub fn errands(&self) -> u64 {
        self.errands.count
    }

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
            if let Some((_, termed)) = case.ending.take_if(|(id, _)| *id == report.warrant)
                && none
            {
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
        self.look_at_gates(scene);
    }

    /// Now, by all clocks.
    fn moment(&self, now: Mono) -> Moment {
        Moment {
            at: now,
            worked: self.worked,
            overslept: self.overslept,
        }
    }

    /// Looks at how gates truly stand.
    pub fn look_at_gates(&mut self, scene: &Scene<'_>) {
        self.gates.look(scene, self.worked);
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
                Decision::Run(errand) => self.errand(scene, errand)?,
                Decision::Sample { asks, .. } => self.care.asked(self.worked, asks),
                Decision::Recall(id) => {
                    self.acting.remove(id);
                }
                Decision::List
                | Decision::Flush
                | Decision::Account(_)
                | Decision::Learn(_)
                | Decision::Measure(_)
                | Decision::Inspect(_)
                | Decision::Prepare(_)
                | Decision::Accept(_)
                | Decision::Refuse(_)
                | Decision::Consult
                | Decision::Reply(_)
                | Decision::Keep(_) => {}
            }
        }
        self.answered(scene, decisions)?;
        self.gates.nobody_waits(scene, self.worked)?;
        self.restarts.look(scene, self.worked)?;
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
        self.errands.told(notice);
        // What an incident's closing runs, and what came of anything, comes after its end and rests on no figures of now.
        if let What::Ran { .. }
        | What::Run {
            occasion: Occasion::Closed(_),
            ..
        }
        | What::Withheld { targets: 0, .. } = notice.what
        {
            return Ok(());
        }
        // What a person bids needs no figures of ours, and waits for nothing.
        if let What::Signal {
            bidden: Some(_), ..
        } = notice.what
        {
            return Ok(());
        }
        let bidden = self.replies.has_bidden(notice.incident.0);
        if let (What::Withheld { .. }, true) = (&notice.what, bidden) {
            return Ok(());
        }
        if let What::Nudge { .. } | What::Opened | What::Withheld { .. } = notice.what {
            self.not_too_soon(now, &evidence.rule)?;
            self.gates.was_open(evidence)?;
        }
        self.instances.told(scene, notice)?;
        let root = evidence.unit.root();
        let moment = self.moment(now);
        let nudges = match (find(scene.rules, &evidence.rule), self.reloads) {
            // Should more come of what people were only told of, they are told anew.
            (Some(rule), 0) if !counts_instances(rule) => nudges_of(rule),
            // What another ladder tells anew is told.
            (Some(_) | None, _) => usize::MAX,
        };
        self.restarts.told(notice, &whom, nudges)?;
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
                    case.notice = Some(self.gates.mark(&evidence.rule, moment));
                    case.mode = Some(notice.mode);
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
                // What people have stopped was not ended of our own accord.
                if how.certainty().is_some() && !self.replies.has_bidden(notice.incident.0) {
                    self.endings.push(Ending {
                        at: now,
                        rule: evidence.rule.clone(),
                        owner: evidence.subject.owner,
                    });
                }
                let rule = find(scene.rules, &evidence.rule);
                let cooldown = rule.map_or(Duration::ZERO, |rule| rule.cooldown);
                // In another mode it was not said to the same people.
                let told = case.mode == Some(notice.mode);
                case.termed = None;
                if *how == Closing::Denied {
                    self.refused.insert(whom.clone(), now.after(cooldown));
                }
                // A second nudge of the same ladder is not told again; only ladders with one are looked at.
                let rule = rule.filter(|rule| !counts_instances(rule));
                let nudges = rule.map_or(0, nudges_of);
                if told && nudges == 1 && !matches!(how, Closing::Merged | Closing::RuleRemoved) {
                    self.told.insert(whom, now.after(cooldown));
                }
            }
            // What is taken back was right when it was done.
            What::Signal { signal, .. } if *signal == Signal::Cont => {}
            // What a person says needs no figures.
            What::Answered { .. } => {}
            // What was told and served below a root counts for the tree of the root above it.
            What::TakenOver { from } => {
                let earlier = self.cases.get(&from.0).cloned().unwrap_or_default();
                self.cases.insert(notice.incident.0, earlier);
            }
            What::Opened
            | What::Signal { .. }
            | What::Run { .. }
            | What::Ran { .. }
            | What::Withheld { .. } => {
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
        self.instances.anew();
        self.gates.reloaded();
        self.errands.reloaded();
        for case in self.cases.values_mut() {
            (case.notice, case.grace) = (None, None);
        }
        self.told.clear();
        self.refused.clear();
    }

    fn remember(&mut self, machine: &Machine, unit: UnitKey) {
        if let Some(id) = machine.ever(unit.root()) {
            self.roots.entry(unit).or_insert(id);
        }
    }
}

/// Whether a rule counts instances.
fn counts_instances(rule: &Rule) -> bool {
    let mut limits = rule.clauses.iter().flat_map(|clause| &clause.limits);
    limits.any(|limit| limit.bound.metric() == Metric::Instances)
}

/// How many of its stages tell people.
fn nudges_of(rule: &Rule) -> usize {
    let acts = rule.ladder.iter().map(|stage| &stage.act);
    acts.filter(|act| **act == StageAct::Nudge).count()
}

fn find<'r>(rules: &'r RuleSet, name: &str) -> Option<&'r Rule> {
    rules
        .rules
        .iter()
        .find(|rule| &*rule.name == name)
        .map(|rule| &**rule)
}
