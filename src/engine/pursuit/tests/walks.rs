//! Stories of the scan tier.

use std::sync::Arc;

use super::super::{Act, Sighting, Wire};
use super::world::{millis, scan_tier};
use crate::engine::warrant::{Certainty, Order, Outcome, Spare};

#[test]
fn a_scan_that_names_a_dead_parent_proves_nothing() {
    let mut world = scan_tier();
    let elsewhere = world.place(50, false);
    let root = world.place(10, true);
    let child = world.fork(root, 11);
    let mut pursuit = world.end(&[root]);
    world.run_with(&mut pursuit, |world, act| {
        // Between the table and the hold the parent dies, and the number is a stranger's.
        if let Act::Take { .. } = act
            && world.souls[child].alive
        {
            world.die(child);
            world.die(root);
            world.fork(elsewhere, 11);
        }
    });
    assert!(world.got(Wire::Kill).is_empty());
    assert_eq!(world.got(Wire::Stop), [root]);
}

#[test]
fn the_walk_finds_what_was_born_while_it_walked() {
    let mut world = scan_tier();
    let root = world.place(10, true);
    let mut pursuit = world.end(&[root]);
    let mut next = 11;
    let report = world.run_with(&mut pursuit, |world, act| {
        if let (Act::Scan, true) = (act, next < 20) {
            // Somebody outside continues the root, and it has a child.
            world.souls[root].state = 'R';
            let child = world.fork(root, next);
            world.souls[child].session = next;
            next += 1;
        }
    });
    let kills = world.got(Wire::Kill);
    assert_eq!(kills.len(), 10);
    assert_eq!(report.each.len(), 10);
    assert!(world.souls.iter().all(|one| !one.alive));
    let stops = world.sent.iter().rposition(|(_, wire)| *wire == Wire::Stop);
    let first_kill = world.sent.iter().position(|(_, wire)| *wire == Wire::Kill);
    assert!(
        stops < first_kill,
        "all are stopped before the first is killed"
    );
}

#[test]
fn the_walk_finds_orphans_in_a_session_that_a_member_made() {
    let mut world = scan_tier();
    let root = world.place(10, true);
    let other = world.fork(root, 11);
    let orphan = world.fork(root, 12);
    world.souls[orphan].parent = 1;
    let stranger = world.place(50, false);
    let mut pursuit = world.end(&[root, other]);
    world.run(&mut pursuit);
    assert!(!world.souls[orphan].alive);
    assert!(world.souls[stranger].alive);
}

#[test]
fn a_session_that_no_member_made_ties_nobody() {
    let mut world = scan_tier();
    let shell = world.place(50, false);
    let root = world.fork(shell, 10);
    world.souls[root].member = true;
    let sibling = world.fork(shell, 51);
    let mut pursuit = world.end(&[root]);
    world.run(&mut pursuit);
    assert!(!world.souls[root].alive);
    for stranger in [shell, sibling] {
        assert!(world.souls[stranger].alive);
        assert_eq!(world.souls[stranger].state, 'S');
    }
}

#[test]
fn a_bystander_in_the_midst_of_a_tree_is_left_alone_with_what_it_starts() {
    for gap in [false, true] {
        let mut world = scan_tier();
        // The events of the other tier, with a loss: it has to look for everyone too.
        world.scan_tier = !gap;
        world.lost = gap;
        let root = world.place(10, true);
        let kept = world.fork(root, 11);
        let below = world.fork(kept, 12);
        let orphan = world.fork(kept, 13);
        world.souls[orphan].parent = 1;
        let member = world.fork(kept, 14);
        let newborn = world.fork(member, 15);
        let mut warrant = world.warrant(Order::End, &[root, member]);
        warrant.spare = Arc::new(Spare {
            keys: Vec::new(),
            bystanders: vec![world.key(kept), world.key(orphan)],
        });
        let mut pursuit = world.pursue(warrant);
        world.queue.clear();
        let report = world.run(&mut pursuit);
        assert_eq!(report.certainty, Certainty::Looked);
        for spared in [kept, below, orphan] {
            assert!(
                world.sent.iter().all(|(soul, _)| *soul != spared),
                "{spared}"
            );
        }
        for ended in [root, member, newborn] {
            assert!(!world.souls[ended].alive, "{ended}");
        }
    }
}

#[test]
fn the_walk_leaves_nobody_stopped_when_it_is_recalled() {
    let mut world = scan_tier();
    let root = world.place(10, true);
    let child = world.fork(root, 11);
    let before = world.fork(root, 12);
    world.souls[before].state = 'T';
    let denied = world.fork(root, 13);
    let members = [root, child, before, denied];
    let mut pursuit = world.end(&members);
    for _ in 0..2 {
        for act in world.turn(&mut pursuit) {
            world.perform(act);
        }
        world.millis += 1;
    }
    assert_eq!(world.got(Wire::Stop), [root, child, denied]);
    world.sightings.push(Sighting::Recalled);
    let report = world.run(&mut pursuit);
    let states = members.map(|soul| world.souls[soul].state);
    assert_eq!(
        states,
        ['S', 'S', 'T', 'S'],
        "who was stopped before still is"
    );
    assert_eq!(report.continued, [], "taking back is not continuing");
}

#[test]
fn who_may_be_stopped_and_not_killed_is_continued() {
    let mut world = scan_tier();
    let root = world.place(10, true);
    let child = world.fork(root, 11);
    let mut pursuit = world.end(&[root, child]);
    let report = world.run_with(&mut pursuit, |world, act| {
        if let Act::Send { wire, .. } = act {
            let denied = (wire == Wire::Kill).then_some(Outcome::Denied);
            world.souls[child].door = denied;
        }
    });
    assert_eq!(world.outcome(&report, child), Some(Outcome::Denied));
    assert_eq!(world.souls[child].state, 'S');
}

#[test]
fn one_that_cannot_be_stopped_does_not_hold_the_walk_for_ever() {
    for (state, within) in [('D', 100), ('S', 100), ('R', 1200)] {
        let mut world = scan_tier();
        let root = world.place(10, true);
        world.souls[root].state = state;
        let mut pursuit = world.end(&[root]);
        // It never shows as stopped.
        let report = world.run_with(&mut pursuit, |world, _| world.souls[root].state = state);
        assert_eq!(world.outcome(&report, root), Some(Outcome::Sent));
        assert!(
            report.took < millis(within),
            "{state} took {:?}",
            report.took
        );
    }
}

#[test]
fn the_walk_waits_for_those_that_still_run() {
    let mut world = scan_tier();
    let root = world.place(10, true);
    let mut pursuit = world.end(&[root]);
    let mut scans = 0;
    world.run_with(&mut pursuit, |world, act| {
        if act == Act::Scan {
            scans += 1;
            // STOP takes its time, and before it does there is one more child.
            if scans < 8 {
                world.souls[root].state = 'R';
            }
            if scans == 7 {
                let child = world.fork(root, 11);
                world.souls[child].session = 11;
            }
        } else if scans < 8 {
            world.souls[root].state = 'R';
        }
    });
    assert!(scans >= 8, "{scans}");
    assert!(world.souls.iter().all(|one| !one.alive));
}

#[test]
fn a_parent_of_the_same_number_that_is_another_speaks_for_nobody() {
    let mut world = scan_tier();
    let root = world.place(10, true);
    let child = world.fork(root, 11);
    let elsewhere = world.place(50, false);
    let mut pursuit = world.end(&[root]);
    world.run_with(&mut pursuit, |world, act| {
        // All in one tick: parent and child die, and two strangers bear their numbers, parent and child as well.
        if let Act::Take { .. } = act
            && world.souls[child].alive
        {
            world.die(child);
            world.die(root);
            let other = world.fork(elsewhere, 10);
            world.fork(other, 11);
        }
    });
    let stops = world.got(Wire::Stop);
    assert!(stops.iter().all(|soul| [root].contains(soul)), "{stops:?}");
    assert!(world.got(Wire::Kill).is_empty());
}
