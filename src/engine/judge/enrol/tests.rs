//! Answers that come when the number is somebody else's.

use std::sync::Arc;
use std::time::Duration;

use super::super::fixtures::rule_set;
use super::super::{Judge, Settings};
use crate::engine::decision::{Decision, Hearing, Input};
use crate::engine::event::{Event, Happening};
use crate::engine::facts::{Facts, Question, Read};
use crate::engine::matcher::tests::facts;
use crate::engine::process::{Mark, Pid, ProcKey, StartTicks};
use crate::engine::steward::Managers;
use crate::engine::units::Mono;
use crate::engine::warrant::{EventCount, Spare};

/// The number of both.
const NUMBER: u32 = 500;

struct World {
    judge: Judge,
    now: Mono,
    heard: u64,
}

impl World {
    fn new() -> Self {
        let settings = Settings {
            rank: crate::engine::elder::Rank::First,
            only_user: None,
            spare: Arc::new(Spare::default()),
            leash: None,
            itself: None,
            reaper: None,
            managers: Managers::default(),
            first_incident: 1,
        };
        let mut world = Self {
            judge: Judge::new(settings, Arc::new(rule_set(Vec::new()))),
            now: Mono::from_secs(1000),
            heard: 0,
        };
        world.step(Input::Hearing(Hearing::Events));
        world.step(Input::Listing(Vec::new()));
        world
    }

    /// One input; what is asked about the number.
    fn step(&mut self, input: Input) -> Option<Question> {
        self.now = self.now.after(Duration::from_nanos(1));
        let decisions = self.judge.step(self.now, input);
        let asked = decisions.into_iter().filter_map(|decision| match decision {
            Decision::Learn(questions) => Some(questions),
            _ => None,
        });
        asked
            .flatten()
            .find(|question| question.pid.number() == NUMBER)
    }

    /// Somebody begins under the number, and runs a program of his own.
    fn begins(&mut self) {
        let pid = Pid::new(NUMBER).unwrap();
        let fork = Happening::Fork {
            parent: Pid::INIT,
            child: pid,
            ticks: ticks(self.now),
        };
        self.hear(fork);
        self.hear(Happening::Exec { pid });
    }

    fn hear(&mut self, what: Happening) {
        self.now = self.now.after(Duration::from_millis(1));
        self.heard += 1;
        let events = vec![Event { at: self.now, what }];
        let upto = EventCount(self.heard);
        self.step(Input::Events { events, upto });
    }

    /// Waits until something is asked about the number.
    fn is_asked_within(&mut self, time: Duration) -> Option<Question> {
        let end = self.now.after(time);
        while self.now < end {
            self.now = self.now.after(Duration::from_millis(100));
            if let Some(question) = self.step(Input::Deadline) {
                return Some(question);
            }
        }
        None
    }
}

fn ticks(at: Mono) -> StartTicks {
    StartTicks(u64::try_from(at.since(Mono::BOOT).as_millis() / 10).unwrap())
}

/// The answer where nobody is found any more.
fn gone(question: &Question, at: Mono) -> Facts {
    Facts {
        about: question.about,
        pid: question.pid,
        key: None,
        start: question.start.unwrap(),
        exec: question.exec,
        at,
        exe: Read::Gone,
        args: Read::Gone,
        ..facts()
    }
}

#[test]
fn that_one_is_gone_says_nothing_about_the_next_of_its_number() {
    let mut world = World::new();
    world.begins();
    let first = world.is_asked_within(Duration::from_secs(2)).unwrap();
    // The question waits with others; by the time it is looked into, another has the number, and runs his second image too.
    world.hear(Happening::Exit { pid: first.pid });
    world.begins();
    let at = world.now.after(Duration::from_millis(1));
    world.now = at.after(Duration::from_millis(1));
    world.step(Input::Facts(vec![gone(&first, at)]));
    let second = world.is_asked_within(Duration::from_secs(2)).unwrap();
    assert_ne!(first, second);
    let key = ProcKey::new(second.pid, Mark::Inode(9));
    let facts = Facts {
        key: Some(key),
        ..gone(&second, world.now)
    };
    world.step(Input::Facts(vec![facts]));
    assert_eq!(
        world.judge.forest.holder(second.pid),
        world.judge.forest.find(key)
    );
}
