//! Jobs on machines where everything goes wrong: strays that leave by exec, daemons that get away, values that cannot be read.
//! A third of the worlds tells jobs by their control group, which people leave and enter at any time, without a sign.
//!
//! What holds in every world:
//! 1. no signal reaches anybody who does not carry the job's value and is its owner's at that very moment;
//! 2. where the judge hears all and everybody has settled, it names nobody who does not, whatever the door would find;
//! 3. whoever carries it, and was ever told to the judge, is gone when its case is closed as ended, and at the end of the world;
//! 4. there is one unit for each value and owner, and no figure counts whoever is none of it;
//! 5. nobody is signalled who is protected or a boundary inside a job too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Closing, Decision, Hearing, Input, What};
use beadle::engine::evidence::{Quantity, Subject, UnitKey};
use beadle::engine::judge::{Judge, Settings};
use beadle::engine::label::{Badge, Label};
use beadle::engine::process::{Text, Uid};
use beadle::engine::rule::{Bound, Metric, RuleSet, Scope};
use beadle::engine::steward::Managers;
use beadle::engine::units::Mono;
use beadle::engine::warrant::{Certainty, Spare, Warrant};

use crate::world::body::{Body, Consent, Deed, OnKill, OnTerm, Plan};
use crate::world::chance::Chance;
use crate::world::machine::{Machine, Make, Marks};
use crate::world::rules;
use crate::world::senses::group_id;
use crate::world::shells::{Door, Shells, Ways};

const SEEDS: u64 = 1500;
const NAME: &str = "BUILD_TAG";
const OWNER: u32 = 1000;
const START: Mono = Mono::from_secs(1000);
/// So long things happen; after that it is calm, and every case comes to its end.
const STIR: u64 = 60;
const END: u64 = 240;
/// By then it is known what somebody runs.
const LEARNT: Duration = Duration::from_secs(5);
const MOST_STEPS: u32 = 40_000;

/// By what jobs are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Variable,
    Group,
}

impl By {
    /// Somebody is of the job from the beginning.
    fn mark(self, plan: &mut Plan, value: &str) {
        match self {
            Self::Variable => plan.env = vec![(NAME.to_owned(), value.to_owned())],
            Self::Group => plan.group = format!("/{value}"),
        }
    }

    /// Somebody leaves, or goes over to another job.
    fn leave(self, program: &str, value: &str) -> Deed {
        match self {
            Self::Variable => Deed::ExecWith(program.to_owned(), NAME.to_owned(), value.to_owned()),
            Self::Group => Deed::Enter(format!("/{value}")),
        }
    }

    /// What is shown of a job's label, but for the value.
    fn before(self) -> &'static str {
        match self {
            Self::Variable => "BUILD_TAG=",
            Self::Group => "/",
        }
    }

    fn label(self, value: &str, owner: u32) -> Label {
        Label {
            badge: match self {
                Self::Variable => Badge::Variable {
                    name: NAME.into(),
                    value: Text::from(value),
                },
                Self::Group => Badge::Cgroup {
                    id: group_id(&format!("/{value}")),
                    path: Text::from(format!("/{value}").as_str()),
                },
            },
            owner: Uid(owner),
        }
    }
}

struct World {
    by: By,
    machine: Machine,
    shells: Shells,
    judge: Judge,
    settings: Settings,
    rules: Arc<RuleSet>,
    ways: Ways,
    restart: Option<Mono>,
    checked: usize,
    steps: u32,
    gaps: u64,
    /// What was seen of this world, for the sum.
    ended: u32,
    left_by_exec: u32,
}

fn rule_set(chance: &mut Chance, by: By) -> RuleSet {
    let limit = match chance.within(0, 2) {
        0 => Bound::Processes(3),
        1 => Bound::CpuTime(Duration::from_secs(6)),
        _ => Bound::Age(Duration::from_secs(chance.within(4, 20))),
    };
    let ladder = rules::ladder(chance.within(2, 6), chance.within(2, 6));
    let mut rule = rules::rule("job", "step", vec![rules::limit(limit, None)], ladder);
    rule.scope = match by {
        By::Variable => Scope::Env(NAME.into()),
        By::Group => Scope::Cgroup,
    };
    rule.breaker.trees = 100;
    if chance.permille(700) {
        rule.keep.clear();
    }
    let mut set = rules::rule_set(vec![rule]);
    set.variables = Arc::from([NAME.to_owned()]);
    set.protect.clear();
    set
}

fn ways(chance: &mut Chance, by: By) -> Ways {
    let hearing = chance.one_of(&[Hearing::Events, Hearing::Events, Hearing::Nothing]);
    let mut ways = Ways::smooth(hearing);
    if chance.permille(400) {
        // Everything is heard and nothing is late: the judge has to be right by itself.
        ways.door = if hearing == Hearing::Events && by == By::Variable {
            Door::Trusts
        } else {
            Door::Reads
        };
        return ways;
    }
    ways.slowest = chance.one_of(&[0, 20, 300]);
    ways.unread = chance.one_of(&[0, 30]);
    ways.lost_facts = chance.one_of(&[0, 50]);
    ways.late_facts = chance.one_of(&[0, 100]);
    ways.late_env = chance.one_of(&[0, 200, 600]);
    ways.gaps = chance.one_of(&[0, 0, 30]);
    ways
}

/// What a job starts, or somebody else.
fn villain(chance: &mut Chance, depth: u32, by: By) -> Plan {
    let program = chance.one_of(&[
        "make", "cc", "java", "tmux", "bash", "bazel", "kept", "sshd", "make", "step",
    ]);
    let mut plan = Plan::of(program);
    if chance.permille(250) {
        plan.program = None;
    }
    plan.cpu = chance.one_of(&[0, 300, 1000]);
    plan.on_term = match chance.within(0, 3) {
        0 => OnTerm::Ignores,
        1 => OnTerm::Forks(2),
        _ => OnTerm::Dies(Duration::ZERO),
    };
    let moment = |chance: &mut Chance| Duration::from_millis(chance.within(5, STIR * 800));
    for _ in 0..chance.within(0, 3) {
        let at = moment(chance);
        let deed = match chance.within(0, 9) {
            0..=2 if depth < 3 => Deed::Start(Box::new(villain(chance, depth + 1, by))),
            3 => Deed::Session,
            4 => Deed::Exec(chance.one_of(&["make", "cc", "bash", "tmux"]).to_owned()),
            5 | 6 => {
                let value = chance.one_of(&["dontKillMe", "", "b"]);
                let program = chance.one_of(&["java", "make"]);
                by.leave(program, value)
            }
            7 => Deed::Own(1001),
            8 if plan.deeds.is_empty() => {
                plan = plan.then(Duration::from_millis(chance.within(400, 2000)), Deed::Hop);
                continue;
            }
            _ => Deed::Exit,
        };
        plan = plan.then(at, deed);
    }
    plan
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let by = if seed % 3 == 2 {
            By::Group
        } else {
            By::Variable
        };
        let ways = ways(&mut chance, by);
        let rules = Arc::new(rule_set(&mut chance, by));
        let mut machine = Machine::new(Make {
            pids: chance.one_of(&[60, 400]),
            marks: Marks::Inodes,
        });
        let mut runner = Plan::of("gitlab-runner");
        runner.owner = Some(OWNER);
        let runner = machine.start(Machine::INIT, &runner).unwrap();
        for value in ["a", "b"] {
            for _ in 0..chance.within(0, 2) {
                let mut root = villain(&mut chance, 0, by);
                root.program = Some("step".to_owned());
                by.mark(&mut root, value);
                for _ in 0..chance.within(1, 4) {
                    let at = Duration::from_millis(chance.within(5, STIR * 500));
                    root = root.then(at, Deed::Start(Box::new(villain(&mut chance, 1, by))));
                }
                let at = START.after(Duration::from_millis(chance.within(0, 20_000)));
                machine.enter(at, runner, Deed::Start(Box::new(root)));
            }
        }
        // Strays of the same job that hang from nobody in it, and people who carry its value or none.
        for _ in 0..chance.within(0, 5) {
            let mut other = villain(&mut chance, 2, by);
            other.owner = Some(chance.one_of(&[OWNER, OWNER, OWNER, 1001]));
            let value = chance.one_of(&["a", "b", "", "c"]);
            by.mark(&mut other, value);
            other.program.get_or_insert_with(|| "make".to_owned());
            let at = START.after(Duration::from_millis(chance.within(0, 40_000)));
            machine.enter(at, Machine::INIT, Deed::Start(Box::new(other)));
        }
        machine.events.clear();
        let init = machine.body(Machine::INIT).map(|body| machine.key(body));
        let settings = Settings {
            rank: beadle::engine::elder::Rank::First,
            only_user: chance.permille(200).then_some(Uid(OWNER)),
            spare: Arc::new(Spare {
                keys: init.into_iter().collect(),
                bystanders: Vec::new(),
            }),
            leash: None,
            itself: None,
            reaper: None,
            managers: Managers::default(),
            first_incident: 1,
        };
        let restart = chance.permille(300).then(|| chance.within(5, 80));
        Self {
            by,
            judge: Judge::new(settings.clone(), rules.clone()),
            shells: Shells::new(ways, seed ^ 0x5eed),
            machine,
            settings,
            rules,
            ways,
            restart: restart.map(|at| START.after(Duration::from_secs(at))),
            checked: 0,
            steps: 0,
            gaps: 0,
            ended: 0,
            left_by_exec: 0,
        }
    }

    fn go(&mut self) -> Result<(), String> {
        self.step(Input::Hearing(self.ways.hearing))?;
        let end = START.after(Duration::from_secs(END));
        let calm = START.after(Duration::from_secs(STIR));
        while self.machine.now < end {
            let next = [
                self.machine.next(),
                self.shells.next(),
                self.judge.next_deadline(),
                self.restart,
            ];
            let next = next.into_iter().flatten().min().unwrap_or(end);
            self.machine.advance(next.max(self.machine.now).min(end));
            if self.machine.now >= calm {
                let smooth = Ways::smooth(self.ways.hearing);
                self.shells.ways = Ways {
                    door: self.ways.door,
                    ..smooth
                };
            }
            if self.restart.is_some_and(|at| at <= self.machine.now) {
                self.restart = None;
                self.begin_anew()?;
            }
            self.turn()?;
        }
        self.nobody_is_left()
    }

    fn begin_anew(&mut self) -> Result<(), String> {
        let legacy = self.judge.bequeath();
        self.shells.let_all_go_on(&mut self.machine);
        let to = self.machine.now.after(Duration::from_millis(700));
        self.machine.advance(to);
        self.machine.events.clear();
        self.settings.first_incident += 64;
        self.judge = Judge::new(self.settings.clone(), self.rules.clone());
        let mut shells = Shells::new(self.shells.ways, 7);
        std::mem::swap(&mut shells.sent, &mut self.shells.sent);
        self.shells = shells;
        self.step(Input::Inherit(Box::new(legacy)))?;
        self.step(Input::Hearing(self.ways.hearing))
    }

    fn turn(&mut self) -> Result<(), String> {
        self.hear()?;
        while self.shells.next().is_some_and(|at| at <= self.machine.now) {
            if let Some(input) = self.shells.turn(&mut self.machine) {
                self.hear()?;
                self.step(input)?;
            }
            self.reached()?;
        }
        self.hear()?;
        if self
            .judge
            .next_deadline()
            .is_some_and(|at| at <= self.machine.now)
        {
            self.step(Input::Deadline)?;
        }
        Ok(())
    }

    fn hear(&mut self) -> Result<(), String> {
        if let Some(input) = self.shells.hear(&mut self.machine) {
            self.gaps += u64::from(matches!(input, Input::Gap));
            self.step(input)?;
        }
        Ok(())
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err("a busy loop".to_owned());
        }
        self.shells.told(self.judge.forest(), &input);
        let now = self.machine.now;
        let looked = matches!(input, Input::Snapshot(_));
        let traced = env("JOB_SEED").is_some();
        if traced {
            println!("{:9.3} < {input:?}", now.since(START).as_secs_f64());
        }
        let decisions = self.judge.step(now, input);
        for decision in &decisions {
            if traced {
                println!("    > {decision:?}");
            }
            match decision {
                Decision::Carry(warrant) => self.names_only_members(warrant)?,
                Decision::Tell(notice) => {
                    if let What::Closed {
                        how: Closing::Ended(certainty),
                        ..
                    } = notice.what
                    {
                        self.ended += 1;
                        self.all_are_gone(certainty, &notice.evidence.subject)?;
                    }
                }
                _ => {}
            }
        }
        if looked {
            self.one_unit_each()?;
        }
        self.shells.carry_out(&decisions, now);
        Ok(())
    }

    /// 1 and 5.
    fn reached(&mut self) -> Result<(), String> {
        let new = self.shells.sent.get(self.checked..).unwrap_or_default();
        for sent in new {
            let label = sent.warrant.label.as_ref().ok_or("no label")?;
            if sent.carried != Some(true) {
                return Err(format!(
                    "{:?} reached who does not carry {}",
                    sent.signal,
                    label.shown()
                ));
            }
            let (since, ran) = self.machine.kin[sent.to.0].ran.last().unwrap();
            // Whoever was born in the midst of the act nobody has looked at yet, in a tree neither.
            let named = sent.warrant.targets.iter();
            let named = named.filter_map(|target| self.machine.ever(target.key));
            let boundary = ["systemd", "sshd", "gitlab-runner"].contains(&ran.as_str());
            // Kin of the root are members of a group as of a tree: until it is known what they run now.
            let late = self.ways.lost_facts > 0 || self.ways.late_facts > 0;
            let known = self.by == By::Variable || (!late && sent.at.since(*since) > LEARNT);
            if boundary && known && named.into_iter().any(|id| id == sent.to) {
                return Err(format!("{:?} reached {ran}", sent.signal));
            }
        }
        self.checked = self.shells.sent.len();
        Ok(())
    }

    /// 2.
    fn names_only_members(&self, warrant: &Warrant) -> Result<(), String> {
        let label = warrant.label.as_ref().ok_or("a warrant without a label")?;
        // Where somebody is, was read at the last look; only the door knows it now.
        let unheard = self.ways.hearing == Hearing::Nothing || self.by == By::Group;
        if unheard || self.gaps > 0 || !self.machine.events.is_empty() {
            return Ok(());
        }
        for target in &warrant.targets {
            let Some(id) = self.machine.find(target.key).map(|body| body.id) else {
                continue;
            };
            if !self.machine.carries(id, label) {
                return Err(format!("names {} who does not carry it", target.key));
            }
        }
        Ok(())
    }

    fn carriers(&self, value: &str, owner: u32) -> impl Iterator<Item = &Body> {
        let label = self.by.label(value, owner);
        let carries = move |body: &&Body| self.machine.carries(body.id, &label);
        self.machine.living().filter(carries)
    }

    /// Whom nobody may end, or can.
    fn is_excused(&self, body: &Body) -> bool {
        let kin = &self.machine.kin[body.id.0];
        // A multiplexer may be a person's; that a job's own is ended, scenarios show (`label_tmux_of_a_person`).
        let spared = ["bash", "sshd", "systemd", "kept", "gitlab-runner", "tmux"];
        let mut chain = vec![body.id];
        let mut next = kin.parent;
        while let Some(above) = next {
            chain.push(above);
            next = self.machine.kin[above.0].parent;
        }
        let mut ran = chain
            .iter()
            .take(chain.len().saturating_sub(1))
            .flat_map(|id| {
                self.machine.kin[id.0]
                    .ran
                    .iter()
                    .map(|(_, program)| program)
            });
        // What it carries must be read again once it is another user's.
        let moved = body.owned != body.born;
        // Where somebody is who went elsewhere, the next look tells; and a boundary is one in a group.
        let stretches = &self.machine.kin[body.id.0].stretches;
        let away = self.by == By::Group && stretches.iter().any(|it| it.group != body.group);
        let bounded = self.by == By::Group
            && ran
                .clone()
                .any(|it| ["tmux", "bazel"].contains(&it.as_str()));
        let moved = moved || away || bounded;
        let apart =
            moved || ran.any(|program| ["kept", "sshd", "bash"].contains(&program.as_str()));
        let stuck = body.plan.on_kill == OnKill::Stuck || body.plan.consent == Consent::Refuses;
        apart || stuck || spared.contains(&body.program.as_str())
    }

    /// 3: of those whom the judge was told of in this image.
    fn all_are_gone(&self, certainty: Certainty, subject: &Subject) -> Result<(), String> {
        if certainty == Certainty::Looked || self.gaps > 0 {
            return Ok(());
        }
        let label = subject.label.as_ref();
        let shown = label.ok_or("closed without a label")?.to_string();
        let owner = subject.owner.map_or(0, |owner| owner.0);
        let value = shown
            .strip_prefix(self.by.before())
            .ok_or("another label")?;
        let told = |body: &&Body| self.shells.heard.contains(&(body.id, body.image));
        let mut left = self.carriers(value, owner).filter(told);
        match left.find(|body| !self.is_excused(body)) {
            Some(body) => Err(format!("{} {} is left of {shown}", body.program, body.pid)),
            None => Ok(()),
        }
    }

    /// 4.
    fn one_unit_each(&self) -> Result<(), String> {
        let view = self.judge.view();
        let mut seen = BTreeSet::new();
        for unit in &view.units {
            let subject = &unit.evidence.subject;
            let label = subject.label.clone().ok_or("a unit without a label")?;
            if !matches!(unit.evidence.unit, UnitKey::Label(_)) {
                return Err("a unit of another kind".to_owned());
            }
            if !seen.insert((label.clone(), subject.owner)) {
                return Err(format!("two units for {label}"));
            }
            let sure = self.ways.hearing == Hearing::Events && self.gaps == 0;
            if !sure || self.ways.slowest > 0 {
                continue;
            }
            let shown = label.to_string();
            let value = shown
                .strip_prefix(self.by.before())
                .ok_or("another label")?;
            let owner = subject.owner.map_or(0, |owner| owner.0);
            let truth = u64::try_from(self.carriers(value, owner).count()).unwrap();
            for reading in &unit.evidence.readings {
                let fresh = unit.evidence.sampled == self.machine.now;
                if let (Metric::Processes, Some(range), true) = (reading.metric, reading.now, fresh)
                    && let Quantity::Count(least) = range.at_least
                    && least > truth
                {
                    return Err(format!("counts {least} of {truth} for {shown}"));
                }
            }
        }
        Ok(())
    }

    /// 3, at the end: who is a member then was there for every stage, and has been told of for long.
    fn nobody_is_left(&mut self) -> Result<(), String> {
        let age = |limit: &Bound| matches!(limit, Bound::Age(_));
        let limits = self.rules.rules.iter().flat_map(|rule| &rule.clauses);
        let lasts = limits
            .flat_map(|clause| &clause.limits)
            .all(|limit| age(&limit.bound));
        let left = self.machine.living().filter(|body| {
            let execs = self.machine.kin[body.id.0].ran.len() > 1;
            execs
                && body
                    .env
                    .get(NAME)
                    .is_some_and(|value| value == "dontKillMe")
        });
        self.left_by_exec = u32::try_from(left.count()).unwrap();
        if !lasts {
            return Ok(());
        }
        let view = self.judge.view();
        let units = view.units.iter();
        let members: BTreeSet<_> = units.flat_map(|unit| unit.members.clone()).collect();
        for value in ["a", "b"] {
            for body in self.carriers(value, OWNER) {
                let old = self.machine.now.since(body.born) > Duration::from_secs(120);
                if members.contains(&self.machine.key(body)) && old && !self.is_excused(body) {
                    return Err(format!("{} {} is left of {value}", body.program, body.pid));
                }
            }
        }
        Ok(())
    }
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_job_is_ended_whole_and_nobody_else() {
    let first = env("JOB_SEED").unwrap_or(0);
    let count = env("JOB_SEED").map_or_else(|| env("JOB_SEEDS").unwrap_or(SEEDS), |_| 1);
    let mut failures: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let (mut ended, mut sent, mut alive) = (0, 0, 0);
    for seed in first..first + count {
        let mut world = World::new(seed);
        if let Err(what) = world.go() {
            let kind: String = what.chars().filter(|c| !c.is_ascii_digit()).collect();
            failures.entry(kind).or_default().push(seed);
        }
        ended += world.ended;
        sent += world.shells.sent.len();
        alive += world.left_by_exec;
    }
    let words = format!("{count} worlds, {ended} jobs ended, {sent} signals, {alive} left by exec");
    assert!(failures.is_empty(), "{words}: {failures:?}");
    // A simulation in which nothing happens proves nothing.
    let many = count < 100 || (ended > 300 && sent > 2000 && alive > 100);
    assert!(many, "{words}");
    println!("{words}");
}
