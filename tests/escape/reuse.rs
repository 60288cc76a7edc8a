//! A thousand rounds of forced reuse: a number passes to a canary between a decision and its signal, and between a fork
//! and the hold on the newborn.
//!
//! Here the product's thread that hears events and carries out warrants is driven by the test itself: a daemon would need
//! seconds for each round. The canary is always an own child that nobody has waited for, so that it cannot be mistaken.

use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::Hearing;
use beadle::engine::event::Happening;
use beadle::engine::process::{Pid, StartTicks};
use beadle::engine::warrant::{HardTie, Order, Outcome, Unbound, Warrant};

use super::children::{Child, Parent, cannot_choose_numbers};
use crate::desk::{Desk, Forest, warrant};
use crate::e2e::report::{Number, Promise, Row, Tier, cannot_show};

const ROUNDS: u32 = 1000;

/// What the rounds came to.
#[derive(Debug, Default)]
struct Tally {
    played: u32,
    lost: usize,
    survivors: usize,
}

impl Tally {
    fn tell(&self, number: &str, story: &'static str, tier: Tier) {
        let row = Row {
            number: Number::from(number),
            story,
            tier,
            survivors: self.survivors,
            lost: self.lost,
            empty: None,
            promise: Promise::Nobody,
        };
        row.tell();
        row.holds("");
        assert_eq!(self.played, ROUNDS, "{self:?}");
    }

    /// Rounds until enough were played: a number may be somebody else's by chance, now and then.
    fn play(&mut self, mut round: impl FnMut(&mut Self, u32)) {
        for count in 0..2 * ROUNDS {
            if self.played < ROUNDS {
                round(self, count);
            }
        }
    }
}

#[test]
fn between_a_decision_and_its_signal_with_events() {
    before_the_signal(Tier::Events);
}

#[test]
fn between_a_decision_and_its_signal_by_scan() {
    before_the_signal(Tier::Scan);
}

/// In every other round the number passes on before the act begins, in the others while it is under way.
fn before_the_signal(tier: Tier) {
    if let Some(why) = cannot_choose_numbers() {
        return cannot_show("reuse between decision and signal", why);
    }
    let want = match tier {
        Tier::Events => Hearing::Events,
        Tier::Scan => Hearing::Nothing,
    };
    let mut desk = Desk::open(want);
    if desk.tier != want {
        return cannot_show(
            "reuse between decision and signal",
            "no events are told here",
        );
    }
    let mut tally = Tally::default();
    tally.play(|tally, round| {
        let target = Child::idle();
        let end = warrant(
            Order::End,
            Forest::rooted(target.pid()).targets(),
            desk.upto,
        );
        let key = end.targets[0].key;
        let under_way = round % 2 == 1;
        if under_way {
            desk.pursuer.carry(Arc::new(end.clone()));
            pass(Duration::from_micros(u64::from(round % 50) * 10));
        }
        let number = target.pid();
        target.end();
        let heir = Child::numbered(number);
        let report = if under_way {
            desk.report()
        } else {
            desk.carry(end)
        };
        desk.events.clear();
        let (_, outcome) = report.each[0];
        assert_eq!(report.each.len(), 1, "{report:?}");
        match outcome {
            Outcome::Gone => {}
            Outcome::Sent if under_way => {}
            other => panic!("{key}: {other:?}"),
        }
        let Some(heir) = heir else { return };
        tally.played += 1;
        tally.lost += usize::from(!heir.lives());
    });
    let story = "1,000 rounds of reuse before the signal";
    tally.tell("reuse", story, tier);
}

/// Lets so much time pass: too little to sleep for.
fn pass(span: Duration) {
    let end = std::time::Instant::now() + span;
    while std::time::Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// Correction 3: FORK, hold, member admitted 20 strangers of 20 once. Without events nothing is ever told of a birth.
#[test]
fn between_a_fork_and_the_hold() {
    if let Some(why) = cannot_choose_numbers() {
        return cannot_show("reuse between fork and hold", why);
    }
    let mut desk = Desk::open(Hearing::Events);
    if desk.tier != Hearing::Events {
        return cannot_show("reuse between fork and hold", "no events are told here");
    }
    let mut tally = Tally::default();
    tally.play(|tally, round| {
        match round % 4 {
            0 => known_by_its_birth(&mut desk, tally),
            1 => known_by_its_birth_while_under_way(&mut desk, tally),
            2 => born_since_the_decision(&mut desk, tally),
            _ => born_and_gone_all_the_time(&mut desk, tally, round),
        }
        desk.events.clear();
    });
    let story = "1,000 rounds of reuse between fork and hold";
    tally.tell("C3", story, Tier::Events);
}

/// A child of the parent's whose fork was heard and who was never looked at.
fn heard(desk: &mut Desk, parent: &mut Parent) -> (Pid, StartTicks) {
    let number = parent.have_child();
    desk.flush();
    let births = desk.events.iter().rev().find_map(|event| match event.what {
        Happening::Fork { child, ticks, .. } if child == number => Some(ticks),
        _ => None,
    });
    (number, births.expect("its fork is heard"))
}

/// To end this process, and one that is known by its birth alone.
fn end_with(desk: &Desk, target: Pid, parent: Pid, (pid, start): (Pid, StartTicks)) -> Warrant {
    let mut end = warrant(Order::End, Forest::rooted(target).targets(), desk.upto);
    let tie = HardTie::Forked { parent };
    end.unbound = vec![Unbound { pid, start, tie }];
    end
}

fn judge(tally: &mut Tally, heir: Option<Child>, ended: impl FnOnce() -> bool) {
    let Some(heir) = heir else { return };
    tally.played += 1;
    tally.lost += usize::from(!heir.lives());
    tally.survivors += usize::from(!ended());
}

/// The judge knows it by its birth; it is another's before the act begins.
fn known_by_its_birth(desk: &mut Desk, tally: &mut Tally) {
    let mut parent = Parent::start();
    let born = heard(desk, &mut parent);
    let end = end_with(desk, parent.pid(), parent.pid(), born);
    parent.lose_child();
    let heir = Child::numbered(born.0);
    desk.carry(end);
    judge(tally, heir, || !parent.lives());
}

/// The same, while the act is under way. Nobody who lives can tell whose child it is.
fn known_by_its_birth_while_under_way(desk: &mut Desk, tally: &mut Tally) {
    let mut parent = Parent::start();
    let born = heard(desk, &mut parent);
    let target = Child::idle();
    let end = end_with(desk, target.pid(), parent.pid(), born);
    desk.pursuer.carry(Arc::new(end));
    parent.lose_child();
    let heir = Child::numbered(born.0);
    desk.report();
    judge(tally, heir, || !target.lives());
}

/// A parent that is to be ended, and the child that it had since that was decided.
fn decided_before_the_birth(desk: &mut Desk) -> (Parent, Warrant, Pid) {
    let mut parent = Parent::start();
    desk.flush();
    let targets = Forest::rooted(parent.pid()).targets();
    let end = warrant(Order::End, targets, desk.upto);
    let number = parent.have_child();
    (parent, end, number)
}

/// The decision has not seen its birth; by the time it is read all is over.
fn born_since_the_decision(desk: &mut Desk, tally: &mut Tally) {
    let (mut parent, end, number) = decided_before_the_birth(desk);
    parent.lose_child();
    let heir = Child::numbered(number);
    desk.carry(end);
    judge(tally, heir, || !parent.lives());
}

/// The member has a child of the same number again and again, and so has the test, until it gets it to keep.
fn born_and_gone_all_the_time(desk: &mut Desk, tally: &mut Tally, round: u32) {
    let (mut parent, end, number) = decided_before_the_birth(desk);
    parent.have_it_again_and_again();
    pass(Duration::from_micros(u64::from(round % 40) * 25));
    desk.pursuer.carry(Arc::new(end));
    let heir = Child::numbered(number);
    desk.report();
    judge(tally, heir, || !parent.lives());
}
