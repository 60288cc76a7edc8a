//! What happens in one seed: the machine, its processes, the rules, and what goes wrong besides.

use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::Hearing;
use beadle::engine::gate::Vitals;
use beadle::engine::rule::{
    Bound, Clause, Command, Mode, Per, Rule, RuleSet, Scope, Signal, Stage, StageAct, To,
};
use beadle::engine::units::{Bytes, Mono};

use super::weather;
use crate::world::body::{Consent, Deed, Id, OnKill, OnTerm, Plan, Waits};
use crate::world::chance::Chance;
use crate::world::machine::{Machine, Make, Marks};
use crate::world::rules::{self, cpu, limit, orphaned, private, rss, secs};
use crate::world::senses::{Parts, Units};
use crate::world::shells::errands::Conduct;
use crate::world::shells::{Records, Ways};

/// Gates come of a chance of their own, so that the stories without them stay what they were.
pub const GATES: u64 = 0x9a7e;

/// Something that befalls the whole machine, or us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The machine sleeps.
    Sleep(Duration),
    /// Nothing runs, us included; awake time goes on.
    Stall(Duration),
    /// A person pauses everything, or one rule by index.
    Pause {
        by: u32,
        span: Option<Duration>,
        rule: Option<usize>,
    },
    Resume {
        by: u32,
    },
    /// The rules are read again, changed by this seed.
    Reload(u64),
    /// What gates ask for changes.
    Weather(Vitals),
}

/// The next of what befalls a world, if its time has come.
pub fn due<T>(plan: &mut Vec<(Mono, T)>, now: Mono) -> Option<T> {
    plan.first().filter(|(at, _)| *at <= now)?;
    Some(plan.remove(0).1)
}

/// The end of a beadle, and another one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// In the midst of what it is killed.
    pub amid: Amid,
    /// For how long there is none.
    pub down: Duration,
    /// The next one begins with other rules, of this seed.
    pub rules: Option<u64>,
}

/// In the midst of what a beadle is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amid {
    /// Of anything.
    Anything,
    /// Of its next act, of which it has not left word yet.
    Beginning,
    /// Of its next act, of which it has.
    Acting,
}

/// A whole seed.
#[derive(Clone, Debug)]
pub struct Story {
    pub machine: Machine,
    pub ways: Ways,
    pub rules: RuleSet,
    pub only_user: Option<u32>,
    pub leash: Option<Id>,
    pub troubles: Vec<(Mono, Trouble)>,
    pub restarts: Vec<(Mono, Restart)>,
    /// Moments in a thousand at which records are read by themselves, ahead of the events.
    pub early_records: u64,
    /// How late events are heard, at most, in milliseconds.
    pub lag: u64,
    /// Steps in a thousand that come late.
    pub oversleeps: u64,
    pub end: Mono,
    /// Whether every process was there before the judge, with all above it, or began to live beside it.
    pub calm_start: bool,
}

impl Story {
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let events = chance.permille(650);
        let hearing = if events {
            Hearing::Events
        } else {
            Hearing::Nothing
        };
        let mut ways = Ways::smooth(hearing);
        if chance.permille(700) {
            ways.slowest = chance.one_of(&[5, 50, 400, 1500]);
            ways.unread = chance.one_of(&[0, 0, 20, 100]);
            ways.lost_looks = chance.one_of(&[0, 0, 30]);
            ways.lost_facts = chance.one_of(&[0, 0, 50]);
            ways.late_facts = chance.one_of(&[0, 50]);
            ways.lost_reports = chance.one_of(&[0, 0, 100]);
            ways.gaps = chance.one_of(&[0, 0, 30]);
            ways.parts = chance.one_of(&[Parts::Readable, Parts::Readable, Parts::Hidden]);
        }
        // Chance of their own, so that the stories stay what they were.
        let mut records = Chance::new(seed ^ 0x7a5c);
        account(&mut ways, &mut records);
        let marks = if chance.permille(800) {
            Marks::Inodes
        } else {
            Marks::Ticks
        };
        let pids = u32::try_from(chance.within(20, 40)).unwrap();
        let mut machine = Machine::new(Make { pids, marks });
        let only_user = chance.permille(150).then_some(1000);
        // In half of these worlds the kernel would let it signal everybody all the same.
        ways.user = only_user.filter(|_| seed.is_multiple_of(2)).unwrap_or(0);
        let calm_start = chance.permille(600);
        // As many as there may be spinners.
        machine.cores = 80;
        machine.tick = Duration::from_millis(records.one_of(&[0, 4, 10]));
        populate(&mut machine, &mut chance, calm_start);
        if ways.flush.is_some() {
            settle_in_groups(&mut machine, &mut records);
        }
        let leash = chance.permille(100).then(|| {
            let shells: Vec<Id> = machine
                .living()
                .filter(|body| body.program == "bash")
                .map(|body| body.id)
                .collect();
            chance.one_of(&shells)
        });
        let length = 130;
        let end = machine.now.after(secs(length));
        let mut troubles = troubles(&mut chance, machine.now, length);
        let mut gates = Chance::new(seed ^ GATES);
        let (rules, gated) = make_rules(&mut chance, &mut gates);
        machine.wall = weather::WALL;
        if gated {
            troubles.extend(weather::weather(&mut gates, machine.now, length));
            troubles.sort_by_key(|(at, _)| *at);
        }
        let restarts = restarts(&mut Chance::new(seed ^ 0xdead), machine.now);
        Self {
            rules: count_some(freeze_some(rules, seed), seed),
            machine,
            ways: Ways {
                conduct: conduct(seed),
                ..ways
            },
            only_user,
            leash,
            troubles,
            restarts,
            early_records: records.one_of(&[0, 0, 200]),
            lag: chance.one_of(&[0, 0, 50, 700]),
            oversleeps: chance.one_of(&[0, 20, 100]),
            end,
            calm_start,
        }
    }
}

/// How CPU time is accounted.
fn account(ways: &mut Ways, chance: &mut Chance) {
    ways.units = chance.one_of(&[Units::Nanos, Units::Ticks, Units::Ticks, Units::TicksOnly]);
    // Whatever happens at the moment of a look is over a moment later.
    ways.flush = chance.permille(600).then_some(Duration::from_micros(1));
    if chance.permille(700) {
        ways.records = Records::Kept;
        ways.lost_records = chance.one_of(&[0, 0, 50]);
        ways.late_records = chance.one_of(&[0, 0, 200]);
    }
}

/// Some jobs have a control group to themselves, and some of these have intruders for a while.
fn settle_in_groups(machine: &mut Machine, chance: &mut Chance) {
    let deeds = std::mem::take(&mut machine.agenda);
    let mut jobs = Vec::new();
    for ((at, place), (id, deed)) in deeds {
        let deed = match deed {
            Deed::Start(mut plan) if chance.permille(400) => {
                plan.group = format!("/job-{place}");
                jobs.push((at, plan.group.clone()));
                Deed::Start(plan)
            }
            other => other,
        };
        machine.agenda.insert((at, place), (id, deed));
    }
    for (at, job) in jobs {
        if !chance.permille(400) {
            continue;
        }
        let mut intruder = Plan::of("steady");
        intruder.cpu = chance.one_of(&[0, 300, 1000]);
        let stay = millis(chance, 0, 3000);
        let come = millis(chance, 0, 20_000);
        intruder = intruder
            .then(come, Deed::Enter(job))
            .then(come + stay, Deed::Enter("/user.slice".to_owned()));
        machine.enter(at, Machine::INIT, Deed::Start(Box::new(intruder)));
    }
}

fn troubles(chance: &mut Chance, start: Mono, length: u64) -> Vec<(Mono, Trouble)> {
    let mut troubles = Vec::new();
    for _ in 0..chance.one_of(&[0, 0, 1, 2, 4]) {
        let at = start.after(secs(chance.within(1, length)));
        let by = chance.one_of(&[0, 1000, 1001]);
        troubles.push((
            at,
            match chance.within(0, 5) {
                0 => Trouble::Sleep(secs(chance.within(2, 7200))),
                1 => Trouble::Stall(secs(chance.within(1, 50))),
                2 | 3 => Trouble::Pause {
                    by,
                    span: chance.permille(600).then(|| secs(chance.within(1, 40))),
                    rule: chance
                        .permille(500)
                        .then(|| usize::try_from(chance.within(0, 10)).unwrap()),
                },
                4 => Trouble::Resume { by },
                _ => Trouble::Reload(chance.bits()),
            },
        ));
    }
    troubles.sort_by_key(|(at, _)| *at);
    troubles
}

/// In a part of the worlds beadle is killed: early enough to see what comes of it.
fn restarts(chance: &mut Chance, start: Mono) -> Vec<(Mono, Restart)> {
    let mut restarts = Vec::new();
    if chance.permille(650) {
        return restarts;
    }
    for _ in 0..chance.one_of(&[1, 1, 1, 2, 3]) {
        let at = start.after(millis(chance, 1000, 70_000));
        let longest = chance.one_of(&[0, 300, 3000, 20_000, 45_000]);
        restarts.push((
            at,
            Restart {
                amid: chance.one_of(&[
                    Amid::Anything,
                    Amid::Anything,
                    Amid::Beginning,
                    Amid::Acting,
                ]),
                down: millis(chance, 0, longest),
                rules: chance.permille(250).then(|| chance.bits()),
            },
        ));
    }
    restarts.sort_by_key(|(at, _)| *at);
    restarts
}

/// Every kind of limit, each with programs of its own; some hold an outer one. Whether any may have gates.
pub fn make_rules(chance: &mut Chance, gates: &mut Chance) -> (RuleSet, bool) {
    let kinds: [(&str, &str, Vec<Clause>); 11] = [
        (
            "spin",
            "spinner",
            vec![limit(cpu(90), chance.one_of(&[None, Some(3), Some(10)]))],
        ),
        (
            "time",
            "{worker,hopper}",
            vec![limit(Bound::CpuTime(secs(8)), None)],
        ),
        (
            "leak",
            "leaker",
            vec![limit(private(300), chance.one_of(&[None, Some(4)]))],
        ),
        (
            "fat",
            "flapper",
            vec![limit(rss(300), chance.one_of(&[None, Some(2)]))],
        ),
        ("old", "{old,shy}", vec![limit(Bound::Age(secs(15)), None)]),
        ("crowd", "forker", vec![limit(Bound::Processes(4), None)]),
        (
            "lazy",
            "lazy",
            vec![
                limit(Bound::Zombies(2), None),
                limit(Bound::Threads(40), None),
            ],
        ),
        (
            "left",
            "parent",
            vec![limit(Bound::Leftover(secs(3)), None)],
        ),
        ("orphan", "waif", vec![limit(orphaned(4), None)]),
        (
            "both",
            "slow",
            vec![Clause {
                limits: [
                    limit(cpu(50), None).limits,
                    limit(Bound::Age(secs(10)), Some(2)).limits,
                ]
                .concat(),
            }],
        ),
        (
            "outer",
            "make",
            vec![
                limit(Bound::CpuTime(secs(12)), None),
                limit(rss(500), Some(2)),
            ],
        ),
    ];
    let mut made: Vec<Rule> = Vec::new();
    for (name, program, clauses) in kinds {
        if chance.permille(150) {
            continue;
        }
        let mut rule = rules::rule(name, program, clauses, make_ladder(chance));
        rule.mode = chance.one_of(&[
            Mode::Enforce,
            Mode::Enforce,
            Mode::Enforce,
            Mode::Enforce,
            Mode::Nudge,
            Mode::Observe,
        ]);
        rule.warmup = chance.one_of(&[None, Some(secs(0)), Some(secs(0)), Some(secs(5))]);
        rule.cooldown = secs(chance.one_of(&[10, 40, 90]));
        rule.breaker.trees = chance.one_of(&[2, 10, 10]);
        rule.breaker.within = secs(chance.one_of(&[20, 600]));
        if chance.permille(250) {
            rule.keep.clear();
        }
        if chance.permille(80) {
            rule.scope = beadle::engine::rule::Scope::Process;
            // Counts are not for single processes; zombies, leftover and processes have no meaning there.
            if matches!(name, "crowd" | "lazy" | "left") {
                rule.scope = beadle::engine::rule::Scope::Tree;
            }
        }
        made.push(rule);
    }
    let gated = weather::gate(&mut made, gates);
    (rules::rule_set(made), gated)
}

/// Gives some rules a stage that freezes, before they ask or after. By chance of its own, so that the stories stay what
/// they were.
pub fn freeze_some(mut rules: RuleSet, seed: u64) -> RuleSet {
    let mut chance = Chance::new(seed ^ 0xf4ee_2e00);
    for rule in &mut rules.rules {
        let asks = rule.ladder.iter();
        let asks = asks.filter(|stage| stage.act == StageAct::Signal(Signal::Term, To::Tree));
        if asks.count() == 0 || !chance.permille(120) {
            continue;
        }
        let stage = Stage {
            after: secs(chance.within(1, 6)),
            act: StageAct::Freeze,
        };
        let place = chance.one_of(&[1, 1, rule.ladder.len() - 1]);
        Arc::make_mut(rule).ladder.insert(place, stage);
    }
    run_some(&mut rules, seed);
    rules
}

/// Has some rules run programs, or ask managers, by chance of its own too.
fn run_some(rules: &mut RuleSet, seed: u64) {
    let mut chance = Chance::new(seed ^ 0xe8ec_0000);
    let command = |rule: &Rule, chance: &mut Chance| {
        Arc::new(Command {
            program: format!("/bin/{}", rule.name).into(),
            args: vec![],
            timeout: secs(chance.one_of(&[1, 5, 30])),
        })
    };
    for rule in &mut rules.rules {
        if !chance.permille(200) {
            continue;
        }
        let made = Arc::make_mut(rule);
        if chance.permille(400) {
            made.on_close = Some(command(made, &mut chance));
        }
        for _ in 0..chance.within(0, 2) {
            let act = match chance.permille(150) {
                true => StageAct::Stop,
                false => StageAct::Exec(command(made, &mut chance)),
            };
            let after = secs(chance.within(1, 6));
            let place = chance.within(1, made.ladder.len() as u64);
            let place = usize::try_from(place).unwrap();
            made.ladder.insert(place, Stage { after, act });
        }
    }
}

/// How the programs of a story behave.
fn conduct(seed: u64) -> Conduct {
    let mut chance = Chance::new(seed ^ 0xe8ec_1111);
    let took = Duration::from_millis(chance.within(0, 8_000));
    chance.one_of(&[
        Conduct::Works(took),
        Conduct::Works(took),
        Conduct::Fails(took),
        Conduct::Hangs,
        Conduct::Vanishes,
    ])
}

/// Has some rules count instances too, alone or with what says idleness. By chance of its own as well.
pub fn count_some(mut rules: RuleSet, seed: u64) -> RuleSet {
    let mut chance = Chance::new(seed ^ 0x1057_a9ce);
    for rule in &mut rules.rules {
        if !chance.permille(150) {
            continue;
        }
        let instances = Bound::Instances {
            above: chance.one_of(&[1, 1, 2]),
            per: chance.one_of(&[Per::Owner, Per::Owner, Per::Cwd, Per::Parent]),
        };
        let mut clause = limit(instances, chance.one_of(&[None, None, Some(3)]));
        match (chance.within(0, 5), rule.scope) {
            (0, _) => clause.limits.extend(limit(orphaned(4), None).limits),
            (1, Scope::Tree) => {
                let leftover = limit(Bound::Leftover(secs(3)), None);
                clause.limits.extend(leftover.limits);
            }
            (2, _) => clause.limits.extend(limit(rss(200), None).limits),
            _ => {}
        }
        Arc::make_mut(rule).clauses.push(clause);
    }
    rules
}

fn make_ladder(chance: &mut Chance) -> Vec<Stage> {
    let mut ladder = rules::ladder(chance.within(2, 12), chance.within(2, 8));
    match chance.within(0, 9) {
        0 => ladder.truncate(1),
        1 => ladder.truncate(2),
        2 => ladder.insert(
            1,
            Stage {
                after: secs(3),
                act: StageAct::Signal(Signal::Hup, To::Tree),
            },
        ),
        3 => ladder.insert(
            1,
            Stage {
                after: secs(3),
                act: StageAct::Nudge,
            },
        ),
        _ => {}
    }
    ladder
}

fn populate(machine: &mut Machine, chance: &mut Chance, calm: bool) {
    for owner in [1000, 1000, 1001] {
        let mut shell = Plan::of("bash");
        shell.owner = Some(owner);
        shell.on_term = OnTerm::Ignores;
        let Some(shell) = machine.start(Machine::INIT, &shell) else {
            continue;
        };
        for _ in 0..chance.within(1, 4) {
            let at = machine
                .now
                .after(Duration::from_millis(chance.within(0, 30_000)));
            let plan = villain(chance, 0);
            if calm {
                let quiet = Plan {
                    deeds: Vec::new(),
                    ..plan
                };
                if chance.permille(500) {
                    machine.start(shell, &quiet);
                    continue;
                }
                let plan = villain(chance, 0);
                machine.enter(at.after(secs(4)), shell, Deed::Start(Box::new(plan)));
            } else {
                machine.enter(at, shell, Deed::Start(Box::new(plan)));
            }
        }
        if chance.permille(300) {
            machine.enter(
                machine.now.after(secs(chance.within(5, 60))),
                shell,
                Deed::Exit,
            );
        }
    }
    machine.advance(machine.now.after(secs(1)));
    machine.events.clear();
}

fn millis(chance: &mut Chance, low: u64, high: u64) -> Duration {
    Duration::from_millis(chance.within(low, high))
}

/// A process with manners.
fn villain(chance: &mut Chance, depth: u32) -> Plan {
    let program = chance.one_of(&[
        "spinner", "worker", "leaker", "flapper", "old", "forker", "lazy", "parent", "waif",
        "slow", "make", "shy", "hopper", "almost", "steady", "tmux", "bash", "kept", "sh",
    ]);
    manners(chance, depth, program)
}

fn manners(chance: &mut Chance, depth: u32, program: &str) -> Plan {
    let mut plan = Plan::of(program);
    plan.on_term = match chance.within(0, 5) {
        0 => OnTerm::Ignores,
        1 => OnTerm::Dies(millis(chance, 10, 4000)),
        2 => OnTerm::Forks(2),
        _ => OnTerm::Dies(Duration::ZERO),
    };
    if chance.permille(60) {
        plan.on_kill = OnKill::Stuck;
    }
    if chance.permille(40) {
        plan.consent = Consent::Refuses;
    }
    if chance.permille(80) {
        plan.threads = 4;
        if chance.permille(500) {
            plan = plan.then(millis(chance, 500, 20_000), Deed::LeaderExit);
        }
    }
    plan.nohup = chance.permille(150);
    let child = |chance: &mut Chance| {
        if program == "make" && chance.permille(600) {
            // A culprit within a tree that is judged itself.
            let culprit = chance.one_of(&["worker", "worker", "leaker", "forker"]);
            manners(chance, depth + 1, culprit)
        } else if depth < 2 {
            villain(chance, depth + 1)
        } else {
            Plan::default()
        }
    };
    match program {
        "spinner" => {
            plan.cpu = chance.one_of(&[1000, 1000, 2000]);
            // One thread has one processor.
            plan.threads = plan.threads.max(u32::try_from(plan.cpu / 1000).unwrap());
        }
        "almost" => plan.cpu = 850,
        "worker" | "slow" => plan.cpu = chance.one_of(&[600, 1000]),
        "leaker" => plan.growth = Bytes::mib(chance.within(10, 80)),
        "flapper" => {
            for n in 0..12 {
                let size = chance.one_of(&[100, 250, 350, 500]);
                let at = millis(chance, n * 8000, n * 8000 + 9000);
                plan = plan.then(at, Deed::Hold(Bytes::mib(size)));
            }
        }
        "forker" => {
            for _ in 0..5 {
                let at = millis(chance, 100, 20_000);
                plan = plan.then(at, Deed::Start(Box::default()));
            }
        }
        "lazy" => {
            plan.waits = Waits::Never;
            for _ in 0..5 {
                let at = millis(chance, 100, 20_000);
                let short = Plan::default().then(millis(chance, 10, 3000), Deed::Exit);
                plan = plan.then(at, Deed::Start(Box::new(short)));
            }
        }
        "parent" | "sh" | "make" | "tmux" | "kept" | "bash" => {
            for _ in 0..chance.within(1, 3) {
                let at = millis(chance, 10, 9000);
                let inner = child(chance);
                plan = plan.then(at, Deed::Start(Box::new(inner)));
            }
            if chance.permille(500) {
                plan = plan.then(millis(chance, 5000, 50_000), Deed::Exit);
            }
        }
        "hopper" => {
            plan.cpu = 1000;
            let pace = millis(chance, 20, 3000);
            plan = plan.then(pace, Deed::Hop);
        }
        _ => {}
    }
    if chance.permille(120) {
        let to = chance.one_of(&["steady", "spinner", "old", "bash", "tmux", "worker"]);
        plan = plan.then(millis(chance, 10, 30_000), Deed::Exec(to.to_owned()));
    }
    if chance.permille(60) {
        let to = chance.one_of(&["steady", "spinner"]);
        plan = plan.then(millis(chance, 10, 30_000), Deed::ThreadExec(to.to_owned()));
    }
    if chance.permille(150) {
        plan = plan.then(millis(chance, 10, 3000), Deed::Session);
    }
    if chance.permille(100) {
        let at = millis(chance, 1000, 30_000);
        plan = plan.then(at, Deed::Stop).then(at + secs(8), Deed::Continue);
    }
    if chance.permille(60) {
        plan = plan.then(millis(chance, 1000, 30_000), Deed::Own(1001));
    }
    if chance.permille(200) {
        plan = plan.then(millis(chance, 10, 60_000), Deed::Exit);
    }
    if chance.permille(300) {
        let size = Bytes::mib(chance.within(1, 400));
        plan = plan.then(millis(chance, 1000, 60_000), Deed::Reclaim(size));
    }
    if chance.permille(150) {
        // A double fork: the child is left to whoever is above.
        let inner = child(chance);
        plan = plan
            .then(millis(chance, 10, 5000), Deed::Start(Box::new(inner)))
            .then(millis(chance, 5001, 6000), Deed::Exit);
    }
    plan
}
