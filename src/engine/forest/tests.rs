//! Stories of forks, exits and reused numbers.

use std::time::Duration;

use super::*;
use crate::engine::decision::Hearing;
use crate::engine::process::{Mark, ShortName};
use crate::engine::snapshot::{Figures, RunState, Sample, Seen};
use crate::engine::units::Bytes;

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
    assert_eq!(
        forest.node(twelve).unwrap().starter.as_ref().unwrap().pid,
        pid(11)
    );
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

/// What a look found alive: started then, child of that one, in that session.
fn alive(secs: u64, n: u32, start: u64, parent: Option<ProcKey>, session: u32) -> Sample {
    Sample {
        pid: pid(n),
        key: Some(key(n, start)),
        at: Mono::from_secs(secs),
        seen: Seen::Alive(Figures {
            start: StartTicks(start),
            ran: None,
            ppid: parent.map(ProcKey::pid),
            parent,
            session: Pid::new(session),
            tty: 0,
            comm: ShortName::of(b"sh"),
            owner: None,
            kernel_thread: false,
            state: RunState::Sleeping,
            cpu: Duration::ZERO,
            grain: Duration::ZERO,
            at_rest: true,
            reaped: Duration::ZERO,
            threads: 1,
            rss: Bytes(0),
            memory: None,
            open_files: None,
        }),
    }
}

fn key(n: u32, start: u64) -> ProcKey {
    ProcKey::new(pid(n), Mark::Inode(start))
}

#[test]
fn whom_a_look_found_is_no_parent_of_whom_its_number_bore_before() {
    let mut forest = Forest::default();
    let mut changes = Vec::new();
    // The look is ahead of the stream: twenty is another by then than the one that started thirty.
    for (n, start) in [(20, 1200), (30, 1100)] {
        let sample = alive(13, n, start, Some(key(1, 0)), 1);
        forest.sight(&sample, Hearing::Events, &mut changes);
    }
    forest.apply(&[fork(11, 20, 30)], &mut changes);
    assert_eq!(parent_of(&forest, 30), None);
    // Of its own children it is the parent.
    forest.apply(&[fork(14, 20, 40)], &mut changes);
    assert_eq!(parent_of(&forest, 40), Some(20));
}

#[test]
fn a_session_says_whose_somebody_is_while_its_maker_is_seen_in_the_same_look() {
    let born_of_init =
        |at: u64, n: u32, session: u32| alive(at, n, at * 100, Some(key(1, 0)), session);
    let mut changes = Vec::new();
    let mut forest = Forest::default();
    let mut look = |samples: &[Sample]| {
        forest.begin_look(samples[0].at);
        for sample in samples {
            forest.sight(sample, Hearing::Nothing, &mut changes);
        }
        parent_of(&forest, samples.last().unwrap().pid.number())
    };
    let maker = born_of_init(2, 20, 20);
    assert_eq!(look(std::slice::from_ref(&maker)), None);
    assert_eq!(look(&[born_of_init(4, 30, 20)]), None);
    let again = Sample {
        at: Mono::from_secs(5),
        ..maker
    };
    assert_eq!(look(&[again, born_of_init(5, 31, 20)]), Some(20));
}

#[test]
fn a_look_from_before_events_were_lost_dispels_no_doubt() {
    for (looked, trusted) in [(4, false), (5, true)] {
        let mut forest = grown(&[fork(1, 9, 10)]);
        let ten = forest.holder(pid(10)).unwrap();
        let mut changes = Vec::new();
        forest.sight(&alive(2, 10, 100, None, 1), Hearing::Events, &mut changes);
        forest.doubt(Mono::from_secs(5));
        // Read at four, or at five: ten may have died in between, and its number be another's.
        forest.sight(
            &alive(looked, 10, 100, None, 1),
            Hearing::Events,
            &mut changes,
        );
        forest.apply(&[fork(6, 10, 11)], &mut changes);
        assert_eq!(parent_of(&forest, 11).is_some(), trusted, "{looked}");
        assert_eq!(forest.is_settled(ten), trusted);
    }
}
