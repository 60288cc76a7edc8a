//! A root with ten workers of 1 GiB each under a limit of 8 GiB: the cheap figures say 1 to 11 GiB.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::super::fixtures::rule_set;
use super::super::{Judge, Settings};
use crate::engine::answer::Replies;
use crate::engine::decision::{Closing, Decision, Hearing, Input, What};
use crate::engine::evidence::{Quantity, Verdict};
use crate::engine::facts::{Facts, Question};
use crate::engine::matcher::tests::facts;
use crate::engine::matcher::{Field, Matcher};
use crate::engine::pattern::Glob;
use crate::engine::process::{Mark, Pid, ProcKey, ShortName, StartTicks, Uid};
use crate::engine::rule::{
    Amount, Bound, Breaker, Clause, Limit, Measure, Mode, Origin, Rule, Scope, Stage, StageAct,
};
use crate::engine::snapshot::{Ask, Figures, Machine, Memory, RunState, Sample, Seen, Snapshot};
use crate::engine::steward::Managers;
use crate::engine::survey::{Findings, Image, Share, Survey};
use crate::engine::units::{Bytes, Mono, Tier};
use crate::engine::warrant::Spare;

const ROOT: u32 = 100;

/// What one process holds, in MiB: all in all, and with shared pages divided.
#[derive(Clone, Copy)]
struct Held {
    whole: u64,
    divided: u64,
}

/// Whether surveys are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Surveyor {
    Answers,
    Refused,
    Silent,
}

struct World {
    judge: Judge,
    now: Mono,
    held: BTreeMap<u32, Held>,
    image: Image,
    surveyor: Surveyor,
    surveys: Vec<(Mono, Survey)>,
    told: Vec<What>,
}

fn pid(number: u32) -> Pid {
    Pid::new(number).unwrap()
}

fn key(number: u32) -> ProcKey {
    ProcKey::new(pid(number), Mark::Inode(u64::from(number) * 7))
}

fn rule(limits: &[u64]) -> Rule {
    let clause = |gib: &u64| Clause {
        limits: vec![Limit {
            bound: Bound::Memory {
                measure: Measure::Private,
                above: Amount::Bytes(Bytes::gib(*gib)),
            },
            lasting: None,
        }],
    };
    Rule {
        name: "pytest".into(),
        about: None,
        origin: Origin::Builtin { pack: "test" },
        mode: Mode::Nudge,
        matcher: Matcher {
            fields: vec![Field::Program(vec![Glob::new("pytest").unwrap()])],
        },
        scope: Scope::Tree,
        clauses: limits.iter().map(clause).collect(),
        gates: Vec::new(),
        warmup: None,
        keep: Vec::new(),
        ladder: vec![Stage {
            after: Duration::ZERO,
            act: StageAct::Nudge,
        }],
        cooldown: Duration::from_secs(60),
        breaker: Breaker::default(),
        on_close: None,
        replies: Replies::usual(),
    }
}

impl World {
    /// A root without much of its own, and ten workers.
    fn new(limits: &[u64], worker: Held) -> Self {
        let rules = rule_set(vec![Arc::new(rule(limits))]);
        let settings = Settings {
            only_user: None,
            rank: crate::engine::elder::Rank::First,
            spare: Arc::new(Spare::default()),
            leash: None,
            itself: None,
            reaper: None,
            managers: Managers::default(),
            first_incident: 1,
        };
        let root = Held {
            whole: 10,
            divided: 10,
        };
        let mut held = BTreeMap::from([(ROOT, root)]);
        held.extend((ROOT + 1..=ROOT + 10).map(|number| (number, worker)));
        Self {
            judge: Judge::new(settings, Arc::new(rules)),
            now: Mono::from_secs(1000),
            held,
            image: Image::Own,
            surveyor: Surveyor::Answers,
            surveys: Vec::new(),
            told: Vec::new(),
        }
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        let mut steps = 0;
        while let Some(input) = inputs.pop_front() {
            for decision in self.judge.step(self.now, input) {
                inputs.extend(self.answer(decision));
            }
            // No two steps of a real clock are at one moment, and the judge may tell them apart by that.
            self.now = self.now.after(Duration::from_nanos(1));
            steps += 1;
            assert!(steps < 1000, "the judge asks for ever");
        }
    }

    fn answer(&mut self, decision: Decision) -> Option<Input> {
        match decision {
            Decision::List => {
                let listed = self.held.keys().map(|number| pid(*number));
                Some(Input::Listing(listed.collect()))
            }
            Decision::Sample { asks, .. } => {
                let samples = asks.iter().map(|ask| self.sample(ask)).collect();
                let machine = Machine {
                    cores: 2,
                    memory: Bytes::gib(64),
                    ..Machine::default()
                };
                Some(Input::Snapshot(Snapshot {
                    samples,
                    machine,
                    ..Snapshot::default()
                }))
            }
            Decision::Learn(questions) => {
                let known = questions.iter().map(|question| self.facts(question));
                Some(Input::Facts(known.collect()))
            }
            Decision::Measure(survey) => {
                let findings = self.find(&survey);
                self.surveys.push((self.now, survey));
                findings.map(Input::Measured)
            }
            Decision::Tell(notice) => {
                self.told.push(notice.what);
                None
            }
            _ => None,
        }
    }

    fn sample(&self, ask: &Ask) -> Sample {
        let number = ask.pid.number();
        let seen = self.held.get(&number).map_or(Seen::Gone, |held| {
            Seen::Alive(Figures {
                ran: None,
                start: StartTicks(u64::from(number)),
                ppid: Some(if number == ROOT { Pid::INIT } else { pid(ROOT) }),
                parent: (number != ROOT).then(|| key(ROOT)),
                session: None,
                tty: 0,
                comm: ShortName::of(b"python3"),
                owner: Some(Uid(1000)),
                kernel_thread: false,
                grain: Duration::ZERO,
                at_rest: true,
                state: RunState::Running,
                cpu: Duration::ZERO,
                reaped: Duration::ZERO,
                threads: 1,
                rss: Bytes::mib(held.whole),
                memory: ask.want.memory.then(|| Memory {
                    anonymous: Bytes::mib(held.whole),
                    ..Memory::default()
                }),
                open_files: None,
            })
        });
        Sample {
            pid: ask.pid,
            key: Some(key(number)),
            at: self.now,
            seen,
        }
    }

    fn facts(&self, question: &Question) -> Facts {
        let mut facts = facts();
        facts.about = question.about;
        facts.pid = question.pid;
        facts.key = question.key;
        facts.start = question.start.unwrap();
        facts.exec = question.exec;
        facts.at = self.now;
        facts
    }

    fn find(&self, survey: &Survey) -> Option<Findings> {
        let share = |number: u32| {
            let held = self.held.get(&number)?;
            let share = Share {
                anonymous: Bytes::mib(held.divided),
                shared: Bytes(0),
                shared_whole: Bytes(0),
                huge: Bytes(0),
                huge_shared: Bytes(0),
                low: Bytes::mib(held.whole),
                high: Bytes::mib(held.whole),
                image: self.image,
            };
            Some((key(number), share))
        };
        let whom = survey.whom.iter().map(|holder| holder.key.pid().number());
        let shares = match self.surveyor {
            Surveyor::Answers => whom.filter_map(share).collect(),
            Surveyor::Refused => Vec::new(),
            Surveyor::Silent => return None,
        };
        Some(Findings {
            id: survey.id,
            at: self.now,
            shares,
        })
    }

    fn run(&mut self, secs: u64) {
        let end = self.now.after(Duration::from_secs(secs));
        // A step that leaves its own deadline standing is taken again within a millisecond, as by the clock.
        let mut steps = 0;
        self.step(Input::Hearing(Hearing::Nothing));
        while let Some(due) = self.judge.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.after(Duration::from_millis(1)).max(due);
            self.step(Input::Deadline);
            steps += 1;
            assert!(steps < 100 * secs, "the judge is never at rest");
        }
        self.now = end;
    }

    fn workers(&mut self, held: Held) {
        for (_, worker) in self.held.range_mut(ROOT + 1..) {
            *worker = held;
        }
    }

    fn verdict(&self) -> &'static str {
        let view = self.judge.view();
        assert_eq!(view.units.len(), 1);
        view.units[0].verdict.word()
    }

    /// What the first limit reads: MiB at least, MiB at most, and where from.
    fn reading(&self) -> (u64, u64, Tier) {
        let now = self.judge.view().units[0].evidence.readings[0].now.unwrap();
        let mib = |quantity| match quantity {
            Quantity::Size(bytes) => bytes.0 >> 20,
            _ => panic!("no size: {quantity:?}"),
        };
        (mib(now.at_least), mib(now.at_most.unwrap()), now.tier)
    }
}

const OWN: Held = Held {
    whole: 1024,
    divided: 1024,
};
const SHARED: Held = Held {
    whole: 1024,
    divided: 103,
};

#[test]
fn ten_workers_with_memory_of_their_own_are_over_for_certain() {
    let mut world = World::new(&[8], OWN);
    world.run(10);
    assert_eq!(world.verdict(), "sustained");
    assert_eq!(world.reading(), (10_250, 10_250, Tier::Shares));
    assert!(matches!(world.told[..], [What::Opened, What::Nudge { .. }]));
    // What is certainly over is not asked again.
    assert_eq!(world.surveys.len(), 1);
    let survey = &world.surveys[0].1;
    assert_eq!((survey.enough, survey.whom.len()), (Bytes::gib(8), 11));
    assert_eq!(survey.whom[10].key, key(ROOT), "biggest first");
}

#[test]
fn ten_workers_that_share_are_clear() {
    let mut world = World::new(&[8], SHARED);
    world.run(60);
    assert_eq!(world.verdict(), "clear");
    assert_eq!(world.reading(), (1040, 1040, Tier::Shares));
    assert!(world.told.is_empty());
    // Every 5 s: they may stop sharing at any moment.
    let gaps = world.surveys.windows(2);
    assert!(world.surveys.len() >= 10, "{}", world.surveys.len());
    for gap in gaps {
        assert!(gap[1].0.since(gap[0].0) >= Duration::from_secs(5));
    }
    world.workers(OWN);
    world.run(7);
    assert_eq!(world.verdict(), "sustained");
}

#[test]
fn without_an_image_of_its_own_nothing_bounds_a_root_from_above() {
    let mut world = World::new(&[8], SHARED);
    world.image = Image::Copied;
    world.run(20);
    assert_eq!(world.verdict(), "unknown");
    assert_eq!(world.reading(), (1040, 10_250, Tier::Shares));
}

#[test]
fn nobody_is_asked_while_the_cheap_figures_decide() {
    for (limit, verdict) in [(11, "clear"), (1, "clear")] {
        let mut world = World::new(&[limit], OWN);
        if limit == 1 {
            world.workers(Held {
                whole: 100,
                divided: 100,
            });
        }
        world.run(30);
        assert_eq!((world.verdict(), world.surveys.len()), (verdict, 0));
    }
    let mut large = World::new(&[1], OWN);
    large.held.get_mut(&(ROOT + 3)).unwrap().whole = 1025;
    large.run(30);
    assert_eq!((large.verdict(), large.surveys.len()), ("sustained", 0));
}

#[test]
fn the_dead_and_what_was_given_back_no_longer_count() {
    let mut world = World::new(&[8], OWN);
    world.run(10);
    assert_eq!(world.verdict(), "sustained");
    world.surveyor = Surveyor::Silent;
    // 8.5 GiB in all, of which three workers' share dies with them.
    for number in [ROOT + 1, ROOT + 2, ROOT + 3] {
        world.held.remove(&number);
    }
    world.run(3);
    assert_eq!(world.verdict(), "clear");
    // The cheap figures decide again: what was found before is forgotten.
    assert_eq!(world.reading(), (1024, 7178, Tier::Scan));

    let mut world = World::new(&[8], OWN);
    world.run(10);
    world.surveyor = Surveyor::Silent;
    world.workers(Held {
        whole: 825,
        divided: 825,
    });
    world.run(2);
    // 8260 MiB, measured 10250 a while ago: still over, and no more than that.
    assert_eq!(world.reading(), (8260, 8260, Tier::Shares));
    world.run(30);
    world.workers(Held {
        whole: 400,
        divided: 400,
    });
    world.run(20);
    let closed = |what: &What| {
        matches!(
            what,
            What::Closed {
                how: Closing::Recovered,
                ..
            }
        )
    };
    assert!(world.told.iter().any(closed), "{:?}", world.told);
}

#[test]
fn a_survey_that_is_refused_or_never_comes_leaves_it_unknown() {
    for surveyor in [Surveyor::Refused, Surveyor::Silent] {
        let mut world = World::new(&[8], OWN);
        world.surveyor = surveyor;
        world.run(60);
        assert_eq!(world.verdict(), Verdict::Unknown.word());
        assert!(world.told.is_empty());
        let asked = world.surveys.len();
        match surveyor {
            Surveyor::Refused => assert!((10..=13).contains(&asked), "{asked}"),
            Surveyor::Silent => assert_eq!(asked, 1, "one is under way"),
            Surveyor::Answers => {}
        }
    }
}

#[test]
fn the_upper_bound_is_not_believed_for_long() {
    let mut world = World::new(&[8], SHARED);
    world.run(8);
    assert_eq!(world.verdict(), "clear");
    world.surveyor = Surveyor::Silent;
    world.run(15);
    assert_eq!(world.verdict(), "unknown");
    assert_eq!(world.reading().1, 10_250);
}

#[test]
fn with_two_limits_the_larger_open_one_is_looked_for() {
    let mut world = World::new(&[2, 8], OWN);
    world.run(10);
    assert_eq!(world.surveys[0].1.enough, Bytes::gib(8));
    assert_eq!(world.verdict(), "sustained");
}
