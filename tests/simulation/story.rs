//! What happens in one seed: the machine, its processes, the rules, and what goes wrong besides.

mod ladders;
mod replies;

use std::time::Duration;

use beadle::engine::answer::Reply;
use beadle::engine::decision::Hearing;
use beadle::engine::gate::Vitals;
use beadle::engine::rule::RuleSet;
use beadle::engine::units::{Bytes, Mono};

use super::weather;
use crate::world::body::{Consent, Deed, Id, OnKill, OnTerm, Plan, Waits};
use crate::world::chance::Chance;
use crate::world::machine::{Machine, Make, Marks};
use crate::world::rules::secs;
use crate::world::senses::{Parts, Units};
use crate::world::shells::{Records, Ways};
use ladders::conduct;
pub use ladders::{count_some, freeze_some, make_rules};
pub use replies::Asker;
use replies::{ANSWERS, answer_some, replies};

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
    /// Somebody answers an open incident, chosen by this number.
    Reply {
        by: Asker,
        reply: Reply,
        choice: u64,
    },
    /// Somebody forgets what was allowed.
    Forget {
        by: Asker,
    },
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
        let mut rules = rules;
        // In a third of the worlds people answer.
        if seed % 3 == 2 {
            let mut answers = Chance::new(seed ^ ANSWERS);
            troubles.extend(replies(&mut answers, machine.now, length));
            troubles.sort_by_key(|(at, _)| *at);
            rules = answer_some(rules, &mut answers);
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
