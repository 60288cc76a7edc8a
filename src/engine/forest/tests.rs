//! Stories of forks, exits and reused numbers.

use super::*;
use crate::engine::decision::Hearing;
use crate::engine::process::Mark;
use crate::engine::snapshot::{Sample, Seen};

fn pid(n: u32) -> Pid {
    Pid::new(n).unwrap()
}

fn event(secs: u64, what: Happening) -> Event {
    Event {
        at: Mono::from_secs(secs),
        what,
    }
}

fn fork(secs: u64, parent: u32, child: u32) -> Event {
    let ticks = StartTicks(secs * 100);
    event(
        secs,
        Happening::Fork {
            parent: pid(parent),
            child: pid(child),
            ticks,
        },
    )
}

fn exit(secs: u64, n: u32) -> Event {
    event(secs, Happening::Exit { pid: pid(n) })
}

fn grown(events: &[Event]) -> Forest {
    let mut forest = Forest::default();
    forest.apply(events, &mut Vec::new());
    forest
}

fn parent_of(forest: &Forest, n: u32) -> Option<u32> {
    let (_, parent) = forest.above(forest.holder(pid(n)).unwrap()).next()?;
    Some(parent.pid.number())
}

#[test]
fn a_double_fork_stays_below_its_grandparent() {
    let mut forest = grown(&[
        fork(1, 9, 10),
        fork(2, 10, 11),
        fork(3, 11, 12),
        exit(3, 11),
    ]);
    assert_eq!(parent_of(&forest, 12), Some(10));
    let twelve = forest.holder(pid(12)).unwrap();
    assert_eq!(forest.node(twelve).unwrap().starter.unwrap().pid, pid(11));
    let mut changes = Vec::new();
    forest.apply(&[exit(4, 10)], &mut changes);
    assert_eq!(parent_of(&forest, 12), None);
}

#[test]
fn a_long_chain_of_hops_costs_one_node() {
    let mut forest = grown(&[fork(1, 9, 10)]);
    let mut changes = Vec::new();
    for hop in 10..10_000 {
        forest.apply(&[fork(2, hop, hop + 1), exit(2, hop)], &mut changes);
        let dead = forest
            .iter()
            .find(|(_, node)| matches!(node.life, Life::Dead(_)))
            .unwrap()
            .0;
        forest.forget(dead);
    }
    assert_eq!(forest.len(), 1);
}

#[test]
fn the_exit_of_a_leader_with_threads_is_no_death() {
    let mut changes = Vec::new();
    let mut forest = grown(&[
        fork(1, 9, 10),
        event(
            1,
            Happening::Thread {
                pid: pid(10),
                count: 1,
            },
        ),
    ]);
    forest.apply(&[exit(2, 10)], &mut changes);
    let ten = forest.holder(pid(10)).unwrap();
    assert_eq!(changes, [Change::Leaving(ten)]);
    assert_eq!(
        forest.node(forest.holder(pid(10)).unwrap()).unwrap().life,
        Life::Leaving
    );
    forest.apply(&[event(3, Happening::Exec { pid: pid(10) })], &mut changes);
    assert_eq!(
        forest.node(forest.holder(pid(10)).unwrap()).unwrap().life,
        Life::Alive
    );
}

#[test]
fn an_identity_is_bound_only_to_the_birth_it_agrees_with() {
    let mut forest = grown(&[fork(1, 9, 10)]);
    let serial = forest.holder(pid(10)).unwrap();
    let key = ProcKey::new(pid(10), Mark::Inode(77));
    assert!(
        !forest.bind(serial, key, StartTicks(500), Mono::from_secs(9)),
        "another birth under the same number"
    );
    assert!(forest.bind(serial, key, StartTicks(101), Mono::from_secs(9)));
    assert!(!forest.bind(
        serial,
        ProcKey::new(pid(10), Mark::Inode(78)),
        StartTicks(101),
        Mono::from_secs(9)
    ));
}

#[test]
fn a_number_that_is_handed_out_again_has_a_new_holder() {
    let mut changes = Vec::new();
    let mut forest = grown(&[fork(1, 9, 10), fork(2, 10, 11)]);
    let old = forest.holder(pid(11)).unwrap();
    forest.apply(&[fork(3, 9, 11)], &mut changes);
    assert_ne!(forest.holder(pid(11)), Some(old));
    assert_eq!(changes[..2], [Change::Died(old), Change::Reaped(old)]);
    assert_eq!(
        parent_of(&forest, 11),
        None,
        "nine is not known, ten is not its parent"
    );
}

/// What a look found where nobody is.
fn gone(secs: u64, n: u32) -> Sample {
    Sample {
        pid: pid(n),
        key: None,
        at: Mono::from_secs(secs),
        seen: Seen::Gone,
    }
}

#[test]
fn a_look_does_not_bury_whom_the_stream_has_yet_to_hear_of() {
    let mut forest = grown(&[fork(1, 9, 10), fork(2, 10, 11)]);
    let mut changes = Vec::new();
    // The look is ahead: eleven has forked and is dead already.
    let eleven = forest.holder(pid(11)).unwrap();
    forest.sight(&gone(3, 11), Hearing::Events, &mut changes);
    assert_eq!(changes, [Change::Leaving(eleven)]);
    forest.apply(&[fork(2, 11, 12), exit(2, 11)], &mut changes);
    assert_eq!(parent_of(&forest, 12), Some(10));
}

#[test]
fn a_death_without_an_exit_is_believed_once_the_stream_is_beyond_the_look() {
    let mut forest = grown(&[fork(1, 9, 10), fork(2, 10, 11)]);
    let eleven = forest.holder(pid(11)).unwrap();
    let mut changes = Vec::new();
    forest.sight(&gone(3, 11), Hearing::Events, &mut changes);
    forest.apply(&[fork(4, 9, 20)], &mut changes);
    changes.clear();
    forest.sight(&gone(5, 11), Hearing::Events, &mut changes);
    assert_eq!(changes, [Change::Died(eleven), Change::Reaped(eleven)]);
}

#[test]
fn a_death_is_believed_at_once_where_nothing_is_heard_and_in_the_end_where_all_is_silent() {
    for (hearing, looks) in [(Hearing::Nothing, vec![3]), (Hearing::Events, vec![3, 13])] {
        let mut forest = grown(&[fork(1, 9, 10)]);
        let mut changes = Vec::new();
        let ten = forest.holder(pid(10)).unwrap();
        for secs in looks {
            changes.clear();
            forest.sight(&gone(secs, 10), hearing, &mut changes);
        }
        assert_eq!(
            changes,
            [Change::Died(ten), Change::Reaped(ten)],
            "{hearing:?}"
        );
    }
}
