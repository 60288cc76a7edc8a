//! One story a test.

use std::sync::Arc;

use super::super::{Act, Sighting, Wire};
use super::world::{UNSURE, World, millis, pid, scan_tier};
use crate::engine::event::Happening;
use crate::engine::evidence::{Finding, Quantity, Reading};
use crate::engine::process::StartTicks;
use crate::engine::rule::{Metric, Signal};
use crate::engine::units::{Bytes, Range, Tier};
use crate::engine::warrant::{Certainty, Order, Outcome, Survivor, Withheld};

const TERM: Order = Order::Ask(Signal::Term);

#[test]
fn asking_goes_from_parents_to_children_and_continues_the_stopped_the_other_way() {
    for mut world in [World::default(), scan_tier()] {
        let root = world.place(10, true);
        let child = world.fork(root, 11);
        let grandchild = world.fork(child, 12);
        let running = world.fork(root, 13);
        for stopped in [root, child, grandchild] {
            world.souls[stopped].state = 'T';
        }
        let members = [root, child, grandchild, running];
        let warrant = world.warrant(TERM, &members);
        let mut pursuit = world.pursue(warrant);
        let report = world.run(&mut pursuit);
        assert_eq!(world.got(Wire::Ask), members);
        assert_eq!(world.got(Wire::Cont), [grandchild, child, root]);
        assert!(world.got(Wire::Stop).is_empty());
        let continued = [grandchild, child, root].map(|soul| world.key(soul));
        assert_eq!(report.continued, continued);
        let certainty = match world.scan_tier {
            true => Certainty::Looked,
            false => Certainty::Heard,
        };
        assert_eq!(report.certainty, certainty);
        assert!(
            report
                .each
                .iter()
                .all(|(_, outcome)| *outcome == Outcome::Sent)
        );
        assert_eq!(report.left, []);
    }
}

#[test]
fn asking_leaves_newborns_alone() {
    let mut world = World::default();
    let root = world.place(10, true);
    let warrant = world.warrant(TERM, &[root]);
    let mut pursuit = world.pursue(warrant);
    let child = world.fork(root, 11);
    let report = world.run(&mut pursuit);
    assert_eq!(world.outcome(&report, root), Some(Outcome::Sent));
    assert_eq!(world.outcome(&report, child), None);
    assert_eq!(world.got(Wire::Ask), [root]);
}

#[test]
fn a_sample_that_found_it_stopped_does_not_outweigh_a_look_that_finds_it_running() {
    let mut world = World::default();
    let root = world.place(10, true);
    world.souls[root].state = 'T';
    let warrant = world.warrant(TERM, &[root]);
    let mut pursuit = world.pursue(warrant);
    world.souls[root].state = 'S';
    world.run(&mut pursuit);
    assert!(world.got(Wire::Cont).is_empty());
}

#[test]
fn every_newborn_is_ended_also_those_of_newborns_that_are_dead() {
    let mut world = World::default();
    let root = world.place(10, true);
    let mut pursuit = world.end(&[root]);
    // A comet: each hop is dead before anybody can hold it.
    let mut hop = world.fork(root, 11);
    for number in 12..40 {
        let next = world.fork(hop, number);
        world.die(hop);
        hop = next;
    }
    let report = world.run(&mut pursuit);
    assert_eq!(world.got(Wire::Kill), [root, hop]);
    assert_eq!(world.outcome(&report, hop), Some(Outcome::Sent));
    assert_eq!(report.each.len(), 2);
    assert_eq!(report.certainty, Certainty::Heard);
}

#[test]
fn a_number_that_was_given_to_a_stranger_is_a_stranger() {
    // The stranger comes before the number is taken hold of. Its event comes at once, or with the exit before it
    // already heard, a few milliseconds late.
    for late in [0, 3] {
        let mut world = World::default();
        let root = world.place(10, true);
        let elsewhere = world.place(50, false);
        let mut pursuit = world.end(&[root]);
        let newborn = world.fork(root, 11);
        let acts = world.turn(&mut pursuit);
        world.die(newborn);
        let event = world.fork_untold(elsewhere, 11);
        let stranger = world.bearer(11).unwrap();
        for act in acts {
            world.perform(act);
        }
        for _ in 0..late {
            for act in world.turn(&mut pursuit) {
                world.perform(act);
            }
            world.millis += 1;
        }
        world.queue.push_back(event);
        let report = world.run(&mut pursuit);
        assert!(world.souls[stranger].alive, "{late} ms late");
        assert_eq!(world.outcome(&report, stranger), None);
        assert_eq!(world.got(Wire::Kill), [root]);
    }
}

#[test]
fn one_that_started_after_its_event_is_a_stranger() {
    let mut world = World::default();
    let root = world.place(10, true);
    let mut pursuit = world.end(&[root]);
    let newborn = world.fork(root, 11);
    world.souls[newborn].start += 2;
    world.run(&mut pursuit);
    assert_eq!(world.got(Wire::Kill), [root]);
}

#[test]
fn one_whose_event_was_stamped_long_after_its_start_is_no_stranger() {
    let mut world = World {
        millis: 5000,
        ..World::default()
    };
    let root = world.place(10, true);
    let mut pursuit = world.end(&[root]);
    let newborn = world.fork(root, 11);
    world.souls[newborn].start -= 40;
    world.run(&mut pursuit);
    assert_eq!(world.got(Wire::Kill), [root, newborn]);
}

#[test]
fn an_exit_that_is_told_late_does_not_hide_the_next_bearer() {
    let mut world = World::default();
    let root = world.place(10, true);
    let mut pursuit = world.end(&[root]);
    let first = world.fork(root, 11);
    let exit = world.die_untold(first);
    let second = world.fork(root, 11);
    world.queue.push_back(exit);
    let third = world.fork(second, 12);
    world.run(&mut pursuit);
    for member in [second, third] {
        assert!(!world.souls[member].alive);
    }
}

#[test]
fn a_target_whose_birth_is_told_only_now_owns_nothing_told_before() {
    let mut world = World::default();
    let elsewhere = world.place(50, false);
    let before = world.fork(elsewhere, 10);
    let innocent = world.fork(before, 11);
    world.die(before);
    let root = world.fork(elsewhere, 10);
    world.souls[root].member = true;
    let child = world.fork(root, 12);
    let mut pursuit = world.end(&[root]);
    // The root dies first, so that nothing else can tell whose child the innocent is.
    world.die(root);
    world.run(&mut pursuit);
    assert_eq!(world.got(Wire::Kill), [child]);
    assert!(world.souls[innocent].alive);
}

#[test]
fn who_is_denied_is_asked_once_and_the_rest_is_ended() {
    let mut world = World::default();
    let root = world.place(10, true);
    let child = world.fork(root, 11);
    world.souls[root].door = Some(Outcome::Denied);
    let mut pursuit = world.end(&[root, child]);
    let grandchild = world.fork(root, 12);
    let report = world.run(&mut pursuit);
    assert_eq!(world.outcome(&report, root), Some(Outcome::Denied));
    assert_eq!(world.got(Wire::Kill), [child, grandchild]);
    let asked = world
        .acts
        .iter()
        .filter(|act| matches!(act, Act::Send { key, .. } if *key == world.key(root)));
    assert_eq!(asked.count(), 1);
    assert_eq!(report.left, []);
}

#[test]
fn what_is_protected_has_protected_children() {
    for mut world in [World::default(), scan_tier()] {
        let root = world.place(10, true);
        let spared = world.fork(root, 11);
        let protected = Outcome::Withheld(Withheld::Protected);
        world.souls[spared].door = Some(protected);
        let mut pursuit = world.end(&[root, spared]);
        let child = world.fork(spared, 12);
        let report = world.run(&mut pursuit);
        assert_eq!(world.outcome(&report, spared), Some(protected));
        assert_eq!(world.got(Wire::Kill), [root]);
        assert!(world.souls[child].alive);
        assert_eq!(world.souls[child].state, 'S');
    }
}

#[test]
fn nothing_is_sent_after_it_expired() {
    for order in [TERM, Order::End] {
        let mut world = World {
            millis: 100,
            ..World::default()
        };
        let root = world.place(10, true);
        let mut warrant = world.warrant(order, &[root]);
        warrant.expires = world.now().before(millis(1));
        let mut pursuit = world.pursue(warrant);
        let report = world.run(&mut pursuit);
        let expired = Outcome::Withheld(Withheld::Expired);
        assert_eq!(world.outcome(&report, root), Some(expired));
        assert_eq!(world.sent, []);
        assert_eq!(report.first, None);
    }
}

#[test]
fn a_recall_half_way_lets_go_of_the_rest() {
    let mut world = World {
        lingering: true,
        ..World::default()
    };
    let root = world.place(10, true);
    let mut pursuit = world.end(&[root]);
    for act in world.turn(&mut pursuit) {
        world.perform(act);
    }
    // Struck, not dead yet; then a child is heard of, and authority is withdrawn.
    world.souls[root].doomed = false;
    let child = world.fork(root, 11);
    world.souls[root].doomed = true;
    world.sightings.push(Sighting::Recalled);
    for act in world.turn(&mut pursuit) {
        world.perform(act);
    }
    assert_eq!(pursuit.settled(), None, "the struck one is waited for");
    world.die(root);
    let report = world.run(&mut pursuit);
    assert_eq!(world.outcome(&report, root), Some(Outcome::Sent));
    assert_eq!(world.got(Wire::Kill), [root]);
    assert!(world.souls[child].alive);
}

#[test]
fn who_cannot_be_made_sure_of_is_tried_again_and_then_left_alone() {
    for (order, mut world) in [
        (TERM, World::default()),
        (Order::End, World::default()),
        (Order::End, scan_tier()),
    ] {
        let root = world.place(10, true);
        let other = world.place(11, true);
        world.souls[root].door = Some(UNSURE);
        world.souls[other].door = Some(UNSURE);
        let warrant = world.warrant(order, &[root, other]);
        let mut pursuit = world.pursue(warrant);
        let report = world.run_with(&mut pursuit, |world, _| {
            if world.millis > 300 {
                world.souls[other].door = None;
            }
        });
        assert_eq!(world.outcome(&report, root), Some(UNSURE));
        assert_eq!(world.outcome(&report, other), Some(Outcome::Sent));
        assert_eq!(world.souls[root].state, 'S');
        assert!(
            world.acts.len() < 5000,
            "not all the time: {}",
            world.acts.len()
        );
    }
}

#[test]
fn what_outlives_it_is_named_with_its_state() {
    for mut world in [World::default(), scan_tier()] {
        let root = world.place(10, true);
        let stuck = world.fork(root, 11);
        world.souls[stuck].stuck = true;
        world.souls[stuck].state = 'D';
        let mut pursuit = world.end(&[root, stuck]);
        let report = world.run_with(&mut pursuit, |world, _| world.souls[stuck].state = 'D');
        assert_eq!(world.outcome(&report, stuck), Some(Outcome::Survived));
        let key = world.key(stuck);
        assert_eq!(report.left, [Survivor { key, state: 'D' }]);
        assert_eq!(report.took.as_secs(), 5);
        let kills = world.got(Wire::Kill);
        assert_eq!(kills, [root, stuck], "once each");
    }
}

#[test]
fn while_it_gets_on_it_goes_on() {
    for mut world in [World::default(), scan_tier()] {
        let root = world.place(10, true);
        let mut pursuit = world.end(&[root]);
        let all: Vec<_> = (11..17).map(|number| world.fork(root, number)).collect();
        let report = world.run_with(&mut pursuit, |world, _| world.millis += 1_500);
        for soul in all {
            assert_eq!(world.outcome(&report, soul), Some(Outcome::Sent));
        }
        assert!(report.took.as_secs() > 10, "{:?}", report.took);
    }
}

#[test]
fn much_memory_is_given_more_time() {
    let mut world = World::default();
    let root = world.place(10, true);
    world.souls[root].stuck = true;
    let mut warrant = world.warrant(Order::End, &[root]);
    let evidence = Arc::get_mut(&mut warrant.evidence).unwrap();
    let size = Quantity::Size(Bytes::gib(9));
    evidence.readings.push(Reading {
        metric: Metric::Memory,
        now: Some(Range::at_least(size, Tier::Events)),
        limit: Quantity::Size(Bytes::gib(8)),
        lasting: None,
        held: millis(0),
        finding: Finding::Sustained,
    });
    let mut pursuit = world.pursue(warrant);
    assert_eq!(world.run(&mut pursuit).took.as_secs(), 10);
}

#[test]
fn after_a_loss_the_table_is_read_and_only_what_is_proven_counts() {
    let mut world = World::default();
    let elsewhere = world.place(50, false);
    let root = world.place(10, true);
    let child = world.fork(root, 11);
    let stranger = world.fork(elsewhere, 51);
    let mut pursuit = world.end(&[root]);
    world.queue.clear();
    world.lost = true;
    let report = world.run(&mut pursuit);
    assert_eq!(
        world.got(Wire::Stop),
        [root, child],
        "as where nothing is heard"
    );
    assert_eq!(world.outcome(&report, child), Some(Outcome::Sent));
    assert!(world.souls[stranger].alive);
}

#[test]
fn the_dead_are_gone_and_nothing_is_said_of_the_untold() {
    for mut world in [World::default(), scan_tier()] {
        let root = world.place(10, true);
        let mut pursuit = world.end(&[root]);
        world.die(root);
        let stranger = world.place(10, false);
        let report = world.run(&mut pursuit);
        assert_eq!(report.each, [(world.key(root), Outcome::Gone)]);
        assert_eq!(world.sent, []);
        assert!(world.souls[stranger].alive);
        let fork = Happening::Fork {
            parent: pid(10),
            child: pid(11),
            ticks: StartTicks(0),
        };
        world.queue.push_back(world.event(fork));
        assert_eq!(world.turn(&mut pursuit), [], "settled is settled");
    }
}

#[test]
fn another_ones_child_is_a_stranger_while_the_parent_lives_even_if_nothing_is_told_of_it() {
    let mut world = World::default();
    let root = world.place(10, true);
    world.souls[root].door = Some(UNSURE);
    let elsewhere = world.place(50, false);
    let mut pursuit = world.end(&[root]);
    let newborn = world.fork(root, 11);
    let acts = world.turn(&mut pursuit);
    let _exit = world.die_untold(newborn);
    let _fork = world.fork_untold(elsewhere, 11);
    for act in acts {
        world.perform(act);
    }
    world.run(&mut pursuit);
    assert!(world.got(Wire::Kill).is_empty());
}

#[test]
fn a_parent_that_is_about_to_be_dead_has_given_its_children_away_already() {
    let mut world = World {
        lingering: true,
        ..World::default()
    };
    let root = world.place(10, true);
    let mut pursuit = world.end(&[root]);
    let newborn = world.fork(root, 11);
    world.souls[newborn].parent = 1;
    for _ in 0..4 {
        for act in world.turn(&mut pursuit) {
            world.perform(act);
        }
        world.millis += 1;
    }
    world.die(root);
    world.lingering = false;
    world.run(&mut pursuit);
    assert_eq!(world.got(Wire::Kill), [root, newborn]);
}

#[test]
fn what_is_protected_goes_on_having_protected_children() {
    let mut world = World::default();
    let root = world.place(10, true);
    let spared = world.fork(root, 11);
    world.souls[spared].door = Some(Outcome::Withheld(Withheld::Protected));
    world.souls[root].stuck = true;
    let mut pursuit = world.end(&[root, spared]);
    for _ in 0..3 {
        for act in world.turn(&mut pursuit) {
            world.perform(act);
        }
    }
    let child = world.fork(spared, 12);
    world.run(&mut pursuit);
    assert_eq!(world.got(Wire::Kill), [root]);
    assert!(world.souls[child].alive);
}

#[test]
fn whoever_is_held_waits_until_everything_told_before_was_heard() {
    let mut world = World::default();
    let root = world.place(10, true);
    let elsewhere = world.place(50, false);
    let mut pursuit = world.end(&[root]);
    let newborn = world.fork(root, 11);
    let acts = world.turn(&mut pursuit);
    world.die(newborn);
    let stranger = world.fork(elsewhere, 11);
    for act in acts {
        world.perform(act);
    }
    // The events are there, and are not read to their end at once.
    world.told = Some(0);
    world.run(&mut pursuit);
    assert!(world.souls[stranger].alive);
    assert_eq!(world.got(Wire::Kill), [root]);
}

#[test]
fn a_recall_between_asking_and_continuing_continues_nobody() {
    let mut world = World::default();
    let root = world.place(10, true);
    world.souls[root].state = 'T';
    let warrant = world.warrant(TERM, &[root]);
    let mut pursuit = world.pursue(warrant);
    for _ in 0..2 {
        for act in world.turn(&mut pursuit) {
            world.perform(act);
        }
    }
    world.sightings.push(Sighting::Recalled);
    let report = world.run(&mut pursuit);
    assert_eq!(world.sent, [(root, Wire::Ask)]);
    assert_eq!(world.outcome(&report, root), Some(Outcome::Sent));
}

#[test]
fn who_is_held_when_events_are_lost_is_found_again() {
    let mut world = World::default();
    let root = world.place(10, true);
    world.souls[root].door = Some(UNSURE);
    let mut pursuit = world.end(&[root]);
    let newborn = world.fork(root, 11);
    for act in world.turn(&mut pursuit) {
        world.perform(act);
    }
    // One turn later it is held, and not confirmed: there is more to hear.
    let exit = Happening::Exit { pid: pid(90) };
    world.queue.push_back(world.event(exit));
    world.told = Some(0);
    for act in world.turn(&mut pursuit) {
        world.perform(act);
    }
    world.lost = true;
    world.souls[root].door = None;
    let report = world.run(&mut pursuit);
    assert_eq!(world.outcome(&report, newborn), Some(Outcome::Sent));
    assert!(report.took < millis(200), "{:?}", report.took);
}
