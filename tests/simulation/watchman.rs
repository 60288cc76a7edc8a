//! Watches every step for what must never happen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Closing, Decision, Hearing, Notice, View, What};
use beadle::engine::evidence::{Evidence, Finding, Reading, UnitKey, Verdict as Judged};
use beadle::engine::judge::Judge;
use beadle::engine::rule::{Mode, Rule, RuleSet, Scope, Signal, StageAct};
use beadle::engine::units::{Mono, Side};
use beadle::engine::warrant::{Outcome, Report, Warrant, WarrantId};

use crate::world::body::{Id, State};
use crate::world::machine::Machine;
use crate::world::shells::Shells;

/// How long a stage may be overdue: the whole ladders of inner units one after the other, a minute after waking, and then some.
const STUCK: Duration = Duration::from_secs(240);

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
    pub gaps: u64,
    pub reloads: u64,
    /// Signals looked at already.
    seen: usize,
    pub signals: u64,
    pub kills: u64,
    pub nudges: u64,
    pub closings: BTreeMap<&'static str, u64>,
    /// Since when an incident's next stage is overdue.
    overdue: BTreeMap<u64, Mono>,
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

    /// The judge is told how long the machine slept.
    pub fn machine_told(&mut self, now: Mono, slept: Duration) {
        let before = self.slept.replace(slept);
        if before.is_some_and(|before| slept.saturating_sub(before) > Duration::from_secs(1)) {
            self.quiet_until = now.after(Duration::from_secs(60));
        }
    }

    /// Looks at what was decided in one step.
    pub fn decisions(&mut self, scene: &Scene<'_>, decisions: &[Decision]) -> Verdict {
        for decision in decisions {
            match decision {
                Decision::Tell(notice) => self.notice(scene, notice)?,
                Decision::Carry(warrant) => self.warrant(scene, warrant)?,
                Decision::Account(_)
                | Decision::List
                | Decision::Sample { .. }
                | Decision::Learn(_)
                | Decision::Measure(_)
                | Decision::Prepare(_)
                | Decision::Recall(_) => {}
            }
        }
        Ok(())
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
        self.told.clear();
        self.refused.clear();
    }

    fn remember(&mut self, machine: &Machine, unit: UnitKey) {
        if let Some(id) = machine.ever(unit.root()) {
            self.roots.entry(unit).or_insert(id);
        }
    }

    fn warrant(&mut self, scene: &Scene<'_>, warrant: &Warrant) -> Verdict {
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

    /// Looks at every signal that was truly sent since the last time.
    pub fn signals(&mut self, scene: &Scene<'_>) -> Verdict {
        let machine = scene.machine;
        for sent in &scene.shells.sent[self.seen..] {
            self.signals += 1;
            let warrant = &sent.warrant;
            let name = &warrant.evidence.rule;
            if sent.signal == Signal::Term {
                let case = self.cases.entry(warrant.incident.0).or_default();
                case.termed.get_or_insert(sent.at);
            }
            if sent.signal == Signal::Kill {
                self.kills += 1;
            }
            let Some(root) = machine.ever(warrant.unit.root()) else {
                return Err(format!("a signal for a root that never was: {name}"));
            };
            let chain = machine.chain(sent.to, root);
            ensure!(
                !chain.is_empty(),
                "signal to a stranger, {:?} is not below {root:?}: {name}",
                sent.to
            );
            let rule = find(scene.rules, name);
            if rule.is_some_and(|rule| rule.scope == Scope::Process) {
                ensure!(
                    chain.len() == 1 || sent.newborn,
                    "a child signalled in scope process: {name}"
                );
            }
            for id in &chain {
                let spared = runs_known(scene, *id, &["tmux", "systemd"]);
                ensure!(
                    spared.is_none(),
                    "signal to or below a boundary {id:?}: {name} {chain:?} {:?}",
                    machine.kin[id.0].ran
                );
                // What was kept died before the rule was there: nobody can know any more.
                if *id != root && machine.alive(*id) {
                    let kept = runs_known(scene, *id, &["kept"]);
                    ensure!(
                        kept.is_none(),
                        "signal to or below a kept process {id:?}: {name} {chain:?} {:?}",
                        machine.kin[id.0].ran
                    );
                }
            }
            if let Some(leash) = scene.leash {
                ensure!(
                    machine.descends(sent.to, leash),
                    "signal outside the leash: {name}"
                );
            }
            if let (Some(user), Some(body)) = (scene.only_user, machine.body(sent.to)) {
                ensure!(
                    body.owner == user,
                    "signal to another user's process: {name}"
                );
            }
        }
        self.seen = scene.shells.sent.len();
        Ok(())
    }

    /// Looks at what the judge believes.
    pub fn beliefs(&mut self, scene: &Scene<'_>, deep: bool) -> Verdict {
        let (judge, machine) = (scene.judge, scene.machine);
        if let Some(next) = judge.next_deadline() {
            ensure!(
                next > machine.now,
                "the deadline {next:?} is past at {:?}",
                machine.now
            );
        }
        if deep {
            holdings(scene)?;
            self.forest(scene)?;
            self.units(scene)?;
        }
        Ok(())
    }

    fn forest(&self, scene: &Scene<'_>) -> Verdict {
        let (forest, machine) = (scene.judge.forest(), scene.machine);
        // What died and is not told yet, and zombies that a limit counts, may still be known.
        let slack = machine.bodies.len() + machine.events.len() + 40;
        ensure!(
            forest.len() <= machine.bodies.len() + slack,
            "{} known of {}",
            forest.len(),
            machine.bodies.len()
        );
        for (serial, node) in forest.iter() {
            if let Some(parent) = node.parent {
                let above = forest.node(parent).ok_or("a parent that is forgotten")?;
                ensure!(
                    above.children.contains(&serial),
                    "a child unknown to its parent"
                );
                if let Some((child, parent)) = node
                    .key
                    .and_then(|key| machine.ever(key))
                    .zip(above.key.and_then(|key| machine.ever(key)))
                {
                    ensure!(
                        machine.descends(child, parent),
                        "false lineage: {child:?} {} is not below {parent:?} {}",
                        node.pid,
                        above.pid
                    );
                }
            }
            for child in &node.children {
                let below = forest.node(*child).ok_or("a child that is forgotten")?;
                ensure!(below.parent == Some(serial), "a child of another parent");
            }
            let dead = matches!(node.life, beadle::engine::forest::Life::Dead(_));
            ensure!(
                dead || forest.holder(node.pid) == Some(serial),
                "two living holders of {}",
                node.pid
            );
        }
        Ok(())
    }

    /// A stage that is due, on a breach that goes on, is carried out or said to be withheld.
    fn moves_on(&mut self, scene: &Scene<'_>, view: &View) -> Verdict {
        let now = scene.machine.now;
        let mut overdue = BTreeMap::new();
        for unit in &view.units {
            let Some(incident) = &unit.incident else {
                continue;
            };
            let over = matches!(unit.verdict, Judged::Sustained | Judged::Breaching);
            let fresh = now.since(unit.evidence.sampled) < Duration::from_secs(4);
            let due = match (&incident.next, &incident.rests) {
                (Some((_, due)), None) => Some(*due),
                (Some(_) | None, _) => None,
            };
            if over && fresh && due.is_some_and(|due| due <= now) {
                let since = self.overdue.get(&incident.id.0).copied().unwrap_or(now);
                overdue.insert(incident.id.0, since);
                let name = &unit.evidence.rule;
                ensure!(
                    now.since(since) < STUCK,
                    "stuck for {:?}: {name}",
                    now.since(since)
                );
            }
        }
        self.overdue = overdue;
        Ok(())
    }

    fn units(&mut self, scene: &Scene<'_>) -> Verdict {
        let machine = scene.machine;
        let view = scene.judge.view();
        self.moves_on(scene, &view)?;
        let sure = scene.shells.ways.hearing == Hearing::Events
            && self.gaps == 0
            && machine.events.is_empty();
        for unit in &view.units {
            let key = unit.evidence.unit;
            let name = &unit.evidence.rule;
            let acting = unit.incident.is_some();
            ensure!(
                unit.evidence.members > 0 || acting,
                "a unit without a member: {name}"
            );
            let root = machine.ever(key.root());
            let Some(root) = root else { continue };
            for member in &unit.members {
                let Some(body) = machine.find(*member) else {
                    continue;
                };
                ensure!(
                    !machine.chain(body.id, root).is_empty(),
                    "a stranger in the unit: {name} {member}"
                );
            }
            if !sure || self.reloads > 0 || !matches!(key, UnitKey::Tree(_)) || !scene.calm_start {
                continue;
            }
            for body in machine.living().filter(|body| body.state != State::Zombie) {
                if body.id == root || unit.members.contains(&machine.key(body)) {
                    continue;
                }
                let chain = machine.chain(body.id, root);
                let cut = chain.iter().any(|id| {
                    let ran = |name: &[&str]| {
                        machine.kin[id.0]
                            .ran
                            .iter()
                            .any(|(_, ran)| name.contains(&ran.as_str()))
                    };
                    ran(&["tmux", "systemd"]) || (*id != root && ran(&["kept"]))
                });
                if chain.is_empty() || cut {
                    continue;
                }
                // A member whose identity is not bound yet has no key to show.
                let holder = scene
                    .judge
                    .forest()
                    .holder(body.pid)
                    .and_then(|serial| scene.judge.forest().node(serial));
                if holder.is_some_and(|node| node.key.is_none()) {
                    continue;
                }
                let before = machine.kin[body.id.0]
                    .ran
                    .first()
                    .is_some_and(|(at, _)| *at < Mono::from_secs(1002));
                ensure!(
                    before,
                    "a member is missing from {name}: {} {chain:?} {:?}",
                    body.pid,
                    scene.judge.explain(body.pid).map(|it| (
                        it.standing,
                        it.above,
                        it.rules
                            .into_iter()
                            .find(|rule| rule.rule == *name)
                            .map(|rule| format!("{:?}", rule.relation)
                                .chars()
                                .take(90)
                                .collect::<String>())
                    ))
                );
            }
        }
        Ok(())
    }
}

/// Whether a process runs one of these, or died of it, and the judge had been told so.
fn runs_known(scene: &Scene<'_>, id: Id, programs: &[&str]) -> Option<usize> {
    let ran = &scene.machine.kin[id.0].ran;
    let image = ran.len().checked_sub(1)?;
    let known = scene
        .shells
        .heard
        .contains(&(id, u32::try_from(image).unwrap()));
    (known && programs.contains(&ran[image].1.as_str())).then_some(image)
}

fn find<'r>(rules: &'r RuleSet, name: &str) -> Option<&'r Rule> {
    rules
        .rules
        .iter()
        .find(|rule| &*rule.name == name)
        .map(|rule| &**rule)
}

/// Nothing is remembered that nobody needs.
fn holdings(scene: &Scene<'_>) -> Verdict {
    let [
        (_, processes),
        (_, dossiers),
        (_, scheduled),
        (_, hopeful),
        (_, units),
        (_, flights),
        (_, questions),
    ] = scene.judge.holdings();
    ensure!(
        dossiers <= processes,
        "{dossiers} dossiers of {processes} processes"
    );
    ensure!(
        scheduled <= dossiers,
        "{scheduled} appointments of {dossiers} processes"
    );
    ensure!(
        hopeful <= dossiers,
        "{hopeful} hopes of {dossiers} processes"
    );
    let most = processes * scene.rules.rules.len() + flights;
    ensure!(units <= most, "{units} units of {processes} processes");
    ensure!(
        flights <= units * 2 + 4,
        "{flights} flights for {units} units"
    );
    ensure!(questions == 0, "questions that nobody asks");
    Ok(())
}

/// The figures given really say what is claimed: some clause has every limit over.
fn evidence_holds(scene: &Scene<'_>, evidence: &Evidence) -> Verdict {
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

/// What is claimed at least is not more than the truth.
fn truth(scene: &Scene<'_>, roots: &BTreeMap<UnitKey, Id>, evidence: &Evidence) -> Verdict {
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
