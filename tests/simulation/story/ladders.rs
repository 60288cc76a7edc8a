//! The rules of a seed: what is judged, what is done about it, and how the programs behave that are run for it.

use std::sync::Arc;
use std::time::Duration;

use beadle::engine::rule::{
    Bound, Clause, Command, Mode, Per, Rule, RuleSet, Scope, Signal, Stage, StageAct, To,
};

use crate::simulation::weather;
use crate::world::chance::Chance;
use crate::world::rules::{self, cpu, limit, orphaned, private, rss, secs};
use crate::world::shells::errands::Conduct;

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
pub(super) fn conduct(seed: u64) -> Conduct {
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
        match (chance.within(0, 5), &rule.scope) {
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
