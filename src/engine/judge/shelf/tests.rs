//! A shell that starts sleepers, and what is kept of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::fixtures::rule_set;
use super::super::{Judge, Settings};
use crate::engine::answer::Replies;
use crate::engine::decision::{Decision, Hearing, Input, Relation};
use crate::engine::event::{Event, Happening};
use crate::engine::facts::{Facts, Place, Question, Read};
use crate::engine::guard::Standing;
use crate::engine::matcher::tests::facts;
use crate::engine::matcher::{Field, Matcher, PlaceGlob};
use crate::engine::pattern::Glob;
use crate::engine::process::{Mark, Pid, ProcKey, StartTicks, Text};
use crate::engine::rule::{
    Bound, Breaker, Clause, Limit, Mode, Origin, Rule, RuleSet, Scope, Stage, StageAct,
};
use crate::engine::steward::Managers;
use crate::engine::units::Mono;
use crate::engine::warrant::{EventCount, Spare};

const SHELL: u32 = 10;
const SLEEPER: u32 = 11;
const OTHER: u32 = 12;

fn pid(number: u32) -> Pid {
    Pid::new(number).unwrap()
}

fn globs(text: &str) -> Vec<Glob> {
    vec![Glob::new(text).unwrap()]
}

fn of(field: Field) -> Matcher {
    Matcher {
        fields: vec![field],
    }
}

fn program(name: &str) -> Matcher {
    of(Field::Program(globs(name)))
}

fn exe(name: &str) -> Matcher {
    of(Field::Exe(globs(name)))
}

fn within(folder: &str) -> Field {
    Field::Cwd(vec![PlaceGlob::Path(Glob::new(folder).unwrap())])
}

fn rule(name: &str, matcher: Matcher, keep: Vec<Matcher>) -> Arc<Rule> {
    Arc::new(Rule {
        name: name.into(),
        about: None,
        origin: Origin::Builtin { pack: "test" },
        mode: Mode::Nudge,
        matcher,
        scope: Scope::Tree,
        clauses: vec![Clause {
            limits: vec![Limit {
                bound: Bound::Processes(100),
                lasting: None,
            }],
        }],
        gates: Vec::new(),
        warmup: None,
        keep,
        ladder: vec![Stage {
            after: Duration::ZERO,
            act: StageAct::Nudge,
        }],
        cooldown: Duration::from_secs(60),
        breaker: Breaker::default(),
        on_close: None,
        replies: Replies::usual(),
    })
}

fn rules(rules: Vec<Arc<Rule>>, protect: Vec<Matcher>) -> Arc<RuleSet> {
    Arc::new(RuleSet {
        protect,
        ..rule_set(rules)
    })
}

/// The judge, and what runs under which number.
struct World {
    judge: Judge,
    now: Mono,
    runs: BTreeMap<u32, &'static str>,
    asked: Vec<Question>,
}

impl World {
    /// A shell with a sleeper and another below it, all of them learnt.
    fn new(set: &Arc<RuleSet>) -> Self {
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
        let mut world = Self {
            judge: Judge::new(settings, set.clone()),
            now: Mono::from_secs(1000),
            runs: BTreeMap::from([(SHELL, "make"), (SLEEPER, "sleeper"), (OTHER, "other")]),
            asked: Vec::new(),
        };
        world.step(Input::Hearing(Hearing::Events));
        world.hear(fork(9, SHELL));
        world.hear(fork(SHELL, SLEEPER));
        world.hear(fork(SHELL, OTHER));
        world.pass(2);
        world.learn();
        world
    }

    fn hear(&mut self, what: Happening) {
        let event = Event { at: self.now, what };
        self.step(Input::Events {
            events: vec![event],
            upto: EventCount(0),
        });
    }

    fn step(&mut self, input: Input) {
        for decision in self.judge.step(self.now, input) {
            if let Decision::Learn(questions) = decision {
                self.asked.extend(questions);
            }
        }
        self.now = self.now.after(Duration::from_nanos(1));
    }

    fn pass(&mut self, secs: u64) {
        self.now = self.now.after(Duration::from_secs(secs));
        self.step(Input::Deadline);
    }

    /// Answers whatever was asked; those it was asked about.
    fn learn(&mut self) -> Vec<u32> {
        let asked = std::mem::take(&mut self.asked);
        let learnt = asked.iter().map(|question| self.facts(question)).collect();
        self.step(Input::Facts(learnt));
        asked.iter().map(|question| question.pid.number()).collect()
    }

    fn facts(&self, question: &Question) -> Facts {
        let number = question.pid.number();
        let name = self.runs[&number];
        Facts {
            about: question.about,
            pid: question.pid,
            key: Some(ProcKey::new(question.pid, Mark::Inode(u64::from(number)))),
            start: question.start.unwrap(),
            exec: question.exec,
            at: self.now,
            comm: Text::from(name),
            exe: Read::Known(Place::existing(&format!("/usr/bin/{name}"))),
            args: Read::Known(vec![Text::from(name), Text::from("--fast")]),
            ..facts()
        }
    }

    fn shelved(&self, number: u32) -> bool {
        let serial = self.judge.forest.holder(pid(number)).unwrap();
        self.judge.is_shelved(serial)
    }

    fn relation(&self, number: u32, learnt: Option<&Facts>) -> Relation {
        let explained = self.judge.explain(pid(number), learnt).unwrap();
        explained.rules.into_iter().next().unwrap().relation
    }

    fn standing(&self, number: u32) -> Standing {
        let serial = self.judge.forest.holder(pid(number)).unwrap();
        self.judge.dossiers[&serial].standing.clone()
    }
}

fn fork(parent: u32, child: u32) -> Happening {
    Happening::Fork {
        parent: pid(parent),
        child: pid(child),
        ticks: StartTicks(100_000),
    }
}

#[test]
fn who_matches_nothing_is_shelved_and_explained_when_asked() {
    let world = World::new(&rules(vec![rule("any", program("pytest"), vec![])], vec![]));
    assert!(world.shelved(SLEEPER));
    assert!(matches!(
        world.relation(SLEEPER, None),
        Relation::Pending(_)
    ));
    let question = world.judge.recall(pid(SLEEPER)).unwrap();
    let learnt = world.facts(&question);
    let explained = world.judge.explain(pid(SLEEPER), Some(&learnt)).unwrap();
    assert_eq!(explained.command.unwrap().to_string(), "sleeper --fast");
    assert_eq!(explained.program.unwrap().to_string(), "sleeper");
    let Relation::Unmatched(text) = world.relation(SLEEPER, Some(&learnt)) else {
        panic!("it is learnt");
    };
    assert!(text.contains("sleeper"), "{text}");
    // Facts of another image, or that came too late to tell anything, explain nothing.
    let of_another = Facts {
        exec: learnt.exec.next(),
        ..learnt.clone()
    };
    let late = Facts {
        args: Read::Late,
        ..learnt
    };
    for useless in [of_another, late] {
        let explained = world.judge.explain(pid(SLEEPER), Some(&useless)).unwrap();
        assert_eq!(explained.command, None);
    }
}

#[test]
fn what_was_only_asked_for_again_changes_nothing() {
    let mut world = World::new(&rules(vec![rule("any", program("pytest"), vec![])], vec![]));
    let question = world.judge.recall(pid(SLEEPER)).unwrap();
    let learnt = world.facts(&question);
    let late = Facts {
        args: Read::Late,
        exe: Read::Late,
        ..learnt.clone()
    };
    for answer in [learnt, late] {
        world.step(Input::Facts(vec![answer]));
        assert!(world.shelved(SLEEPER));
        world.pass(20);
        assert!(world.learn().is_empty());
    }
}

#[test]
fn a_root_and_whoever_may_be_decided_otherwise_are_not_shelved() {
    let cwd = || within("/srv/**");
    for (matcher, keep, kept) in [
        // The root itself, and of its members those that nobody asks about again.
        (program("make"), vec![], vec![SHELL]),
        (program("*"), vec![], vec![SHELL]),
        // The folder may be another in ten seconds; but only a sleeper's folder counts.
        (of(cwd()), vec![], vec![SHELL, SLEEPER, OTHER]),
        (
            Matcher {
                fields: vec![Field::Program(globs("sleeper")), cwd()],
            },
            vec![],
            vec![SLEEPER],
        ),
        // A rule that looks up: anybody may be looked at.
        (
            of(Field::Parent(vec![program("make")])),
            vec![],
            vec![SHELL, SLEEPER, OTHER],
        ),
        (
            program("pytest"),
            vec![of(Field::Not(vec![of(Field::Ancestor(vec![program(
                "x",
            )]))]))],
            vec![SHELL, SLEEPER, OTHER],
        ),
        // Whom `keep` takes out is asked again when a root is found above.
        (program("pytest"), vec![program("sleeper")], vec![SLEEPER]),
        (
            program("pytest"),
            vec![of(cwd())],
            vec![SHELL, SLEEPER, OTHER],
        ),
    ] {
        let text = format!("{matcher:?} {keep:?}");
        let world = World::new(&rules(vec![rule("any", matcher, keep)], vec![]));
        let here = [SHELL, SLEEPER, OTHER].into_iter();
        let here: Vec<u32> = here.filter(|number| !world.shelved(*number)).collect();
        assert_eq!(here, kept, "{text}");
    }
}

#[test]
fn an_exec_is_learnt_as_ever() {
    let mut world = World::new(&rules(vec![rule("any", program("pytest"), vec![])], vec![]));
    world.runs.insert(SLEEPER, "pytest");
    world.hear(Happening::Exec { pid: pid(SLEEPER) });
    assert!(!world.shelved(SLEEPER) && world.judge.recall(pid(SLEEPER)).is_none());
    world.pass(2);
    assert_eq!(world.learn(), [SLEEPER]);
    assert!(matches!(
        world.relation(SLEEPER, None),
        Relation::Member { .. }
    ));
}

#[test]
fn new_rules_are_held_against_everybody() {
    let mut world = World::new(&rules(vec![rule("any", program("pytest"), vec![])], vec![]));
    world.step(Input::Rules(rules(
        vec![rule("new", program("sleeper"), vec![])],
        vec![],
    )));
    assert!(matches!(
        world.relation(SLEEPER, None),
        Relation::Pending(_)
    ));
    assert_eq!(world.learn(), [SHELL, SLEEPER, OTHER]);
    assert!(matches!(
        world.relation(SLEEPER, None),
        Relation::Member { .. }
    ));
    assert!(world.shelved(OTHER) && !world.shelved(SLEEPER));
}

#[test]
fn a_member_that_becomes_the_topmost_match_is_learnt_again_first() {
    let mut world = World::new(&rules(vec![rule("any", program("*e*"), vec![])], vec![]));
    assert!(world.shelved(SLEEPER), "a member of the shell's tree");
    world.runs.insert(SHELL, "x");
    world.hear(Happening::Exec { pid: pid(SHELL) });
    world.pass(2);
    assert_eq!(world.learn(), [SHELL]);
    assert_eq!(world.learn(), [SLEEPER, OTHER]);
    assert!(matches!(
        world.relation(SLEEPER, None),
        Relation::Member { .. }
    ));
    assert!(!world.shelved(SLEEPER));
}

#[test]
fn until_new_protection_is_known_everybody_is_spared() {
    let tree = || vec![rule("any", program("make"), vec![])];
    let mut world = World::new(&rules(tree(), vec![]));
    assert_eq!(world.standing(SLEEPER), Standing::Plain);
    let serial = world.judge.forest.holder(pid(SLEEPER)).unwrap();
    // Nobody was or is protected: there is nothing to wait for.
    world.step(Input::Rules(rules(tree(), vec![])));
    assert_eq!(world.standing(SLEEPER), Standing::Plain);
    world.learn();
    world.step(Input::Rules(rules(tree(), vec![exe("sleeper")])));
    for number in [SLEEPER, OTHER] {
        assert!(matches!(world.standing(number), Standing::Protected(_)));
    }
    assert!(world.judge.awaits_facts([serial]));
    world.learn();
    assert!(!world.judge.awaits_facts([serial]));
    assert!(matches!(world.standing(SLEEPER), Standing::Protected(_)));
    assert_eq!(world.standing(OTHER), Standing::Plain);
}
