//! Warrants against real trees: no survivor, and never the wrong process.
//!
//! What is true is found by a mark in the environment that no part of beadle looks at. Beside every tree lives a canary
//! that looks the same and is not in it. Each test runs in the event tier and in the scan tier, and prints both.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use beadle::engine::decision::Hearing;
use beadle::engine::event::{Event, Happening};
use beadle::engine::label::{Badge, Label};
use beadle::engine::process::{Mark, Pid, ProcKey, Text, Uid};
use beadle::engine::pursuit::Glimpse;
use beadle::engine::rule::Signal;
use beadle::engine::warrant::{HardTie, Order, Outcome, Report, Spare, WarrantId, Withheld};
use beadle::sys::events::Deafness;
use beadle::sys::glimpse::{everyone, stat};
use beadle::sys::holds::Holds;
use beadle::sys::signaller::Signaller;

use super::desk::{Canary, Desk, Forest, PATIENCE, now, wait_until, warrant};
use super::villain::{Kind, Villain};

/// One tree at a time: they are meant to fill the machine, not each other's figures.
static ALONE: Mutex<()> = Mutex::new(());

/// What one run showed.
struct Run {
    tier: Hearing,
    forks: u32,
    report: Report,
    left: usize,
}

/// How the judge that issues the warrant knows the tree.
#[derive(Clone, Copy)]
enum Known {
    /// By the root alone: everyone else is caught up with from the events.
    Root,
    /// By looks at the table.
    Looks,
}

/// Lets a villain loose for a while and ends it.
fn end(kind: Kind, want: Hearing, known: Known, cap: u32, loose: Duration) -> Run {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut canary = Canary::new();
    let mut desk = Desk::open(want);
    desk.flush();
    let before = desk.upto;
    let mut villain = Villain::start(kind, cap, Duration::from_secs(20));
    let mut forest = Forest::rooted(villain.pid());
    wait_until("the tree to grow", || {
        villain.forks() > 0 || kind == Kind::Headless
    });
    if (kind, want) == (Kind::Farm, Hearing::Nothing) {
        wait_until("everyone to be seen", || {
            forest.look();
            let known = |pid| forest.members.contains_key(pid);
            villain.forks() >= cap && villain.alive().iter().all(known)
        });
    }
    villain.seen();
    let until = now().after(loose);
    while now() < until {
        if let Known::Looks = known {
            forest.look();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let seen = match known {
        Known::Root => before,
        Known::Looks => desk.upto,
    };
    let report = desk.carry(warrant(Order::End, forest.targets(), seen));
    let left = villain.alive().len();
    canary.assert_unharmed();
    // The root is our child: dead and waiting.
    assert!(left > 0 || villain.root.try_wait().unwrap().is_some());
    Run {
        tier: desk.tier,
        forks: villain.forks(),
        left,
        report,
    }
}

fn column(what: &str, run: &Run) {
    let tier = match run.tier {
        Hearing::Events => "events",
        Hearing::Nothing => "scan",
    };
    println!(
        "{what:>10} | {tier:>6} | forks {:>5} | told of {:>4} | took {:>4} ms | left by report {} | left in truth {}",
        run.forks,
        run.report.each.len(),
        run.report.took.as_millis(),
        run.report.left.len(),
        run.left,
    );
}

fn each_once(report: &Report) {
    let mut keys: Vec<_> = report.each.iter().map(|(key, _)| *key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), report.each.len(), "one outcome for each");
}

fn ends_in_both_tiers(kind: Kind, cap: u32) {
    let loose = Duration::from_millis(150);
    for (want, known) in [
        (Hearing::Events, Known::Root),
        (Hearing::Events, Known::Looks),
        (Hearing::Nothing, Known::Looks),
    ] {
        let run = end(kind, want, known, cap, loose);
        column(kind.word(), &run);
        each_once(&run.report);
        assert_eq!((run.left, run.report.left.len()), (0, 0));
    }
}

#[test]
fn a_fork_bomb_is_ended_to_the_last_process() {
    ends_in_both_tiers(Kind::Bomb, 300);
}

#[test]
fn a_tree_of_all_sorts_is_ended_to_the_last_process() {
    ends_in_both_tiers(Kind::Farm, 200);
}

#[test]
fn a_leader_thread_that_has_ended_is_not_a_death() {
    ends_in_both_tiers(Kind::Headless, 10);
}

#[test]
fn a_comet_is_caught_where_events_are_heard() {
    for kind in [Kind::Comet, Kind::Zoo] {
        // KNOWN: on a machine that has been overrun just before, one of the zoo gets away now and then, and nobody knows yet why. It is printed
        // each time; three in a row are too many.
        let mut left = (0, 0);
        for _ in 0..3 {
            let pace = Duration::from_millis(20);
            let run = end(kind, Hearing::Events, Known::Root, 3000, pace);
            column(kind.word(), &run);
            left = (run.left, run.report.left.len());
            if left == (0, 0) || run.tier != Hearing::Events {
                left = (0, 0);
                break;
            }
        }
        assert_eq!(left, (0, 0));
    }
    // No scan can follow it: what is asked there is only that nobody else is hurt, and that it ends.
    let run = end(
        Kind::Zoo,
        Hearing::Nothing,
        Known::Looks,
        3000,
        Duration::from_millis(20),
    );
    column(Kind::Zoo.word(), &run);
}

#[test]
fn a_stopped_tree_gets_to_run_its_handlers() {
    for want in [Hearing::Events, Hearing::Nothing] {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut desk = Desk::open(want);
        let villain = Villain::start(Kind::Stopped, 10, Duration::from_secs(20));
        let mut forest = Forest::rooted(villain.pid());
        wait_until("both to stop", || {
            forest.look();
            let (_, all) = everyone();
            let stopped = all
                .iter()
                .filter(|one| one.state == 'T' && forest.members.contains_key(&one.pid));
            stopped.count() == 2
        });
        let targets = forest.targets();
        let report = desk.carry(warrant(
            Order::Ask(Signal::Term),
            targets.clone(),
            desk.upto,
        ));
        assert_eq!(report.each.len(), 2);
        assert!(
            report
                .each
                .iter()
                .all(|(_, outcome)| *outcome == Outcome::Sent)
        );
        let children_first: Vec<_> = targets.iter().rev().map(|target| target.key).collect();
        assert_eq!(report.continued, children_first);
        wait_until("both handlers to run", || villain.heeded() == 2);
        wait_until("both to end", || villain.alive().is_empty());
    }
}

#[test]
fn more_members_than_descriptors_are_ended_all_the_same() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for want in [Hearing::Events, Hearing::Nothing] {
        let mut desk = Desk::with(Signaller::new(Holds::with_room(8)), want);
        let villain = Villain::start(Kind::Bomb, 100, Duration::from_secs(20));
        let mut forest = Forest::rooted(villain.pid());
        wait_until("a hundred", || villain.forks() >= 100);
        forest.look();
        let report = desk.carry(warrant(Order::End, forest.targets(), desk.upto));
        assert!(report.each.len() > 50);
        assert_eq!((villain.alive().len(), report.left.len()), (0, 0));
    }
}

#[test]
fn who_is_spared_recalled_or_late_gets_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for want in [Hearing::Events, Hearing::Nothing] {
        let mut desk = Desk::open(want);
        let mut villain = Villain::start(Kind::Idle, 0, Duration::from_secs(20));
        let targets = Forest::rooted(villain.pid()).targets();
        let key = targets[0].key;
        let ended = |seen| warrant(Order::End, targets.clone(), seen);
        let mut spared = ended(desk.upto);
        spared.spare = Arc::new(Spare {
            keys: vec![key],
            bystanders: Vec::new(),
        });
        let mut late = ended(desk.upto);
        late.expires = now();
        let own = Pid::new(std::process::id()).unwrap();
        let ours = warrant(Order::End, Forest::rooted(own).targets(), desk.upto);
        for (warrant, why) in [
            (spared, Withheld::Protected),
            (late, Withheld::Expired),
            (ours, Withheld::Protected),
        ] {
            let whom = warrant.targets[0].key;
            let report = desk.carry(warrant);
            assert_eq!(report.each, [(whom, Outcome::Withheld(why))]);
            assert_eq!(report.first, None);
        }
        let mut another = ended(desk.upto);
        another.targets[0].key = ProcKey::new(key.pid(), Mark::Inode(u64::MAX));
        assert_eq!(desk.carry(another).each[0].1, Outcome::Gone);
        assert!(villain.root.try_wait().unwrap().is_none());
        let report = desk.carry(ended(desk.upto));
        assert_eq!(report.each, [(key, Outcome::Sent)]);
    }
}

/// How many of these stand still.
fn stopped(forest: &Forest) -> usize {
    let (_, all) = everyone();
    let ours = |one: &&Glimpse| one.state == 'T' && forest.members.contains_key(&one.pid);
    all.iter().filter(ours).count()
}

/// Ends a tree in the scan tier, and as soon as its root is stopped does `what`. `None` when it was ended too soon.
fn half_way<T>(what: impl FnOnce(Desk) -> T) -> Option<(Villain, Forest, T)> {
    let mut desk = Desk::open(Hearing::Nothing);
    let villain = Villain::start(Kind::Bomb, 60, Duration::from_secs(20));
    let mut forest = Forest::rooted(villain.pid());
    wait_until("sixty", || villain.forks() >= 60);
    forest.look();
    let end = warrant(Order::End, forest.targets(), desk.upto);
    desk.pursuer.carry(Arc::new(end));
    let path = format!("/proc/{}/stat", villain.pid());
    let end = now().after(PATIENCE);
    loop {
        assert!(now() < end, "neither stopped nor ended");
        match stat(&path, |stat| stat.state) {
            Ok(b'T') => return Some((villain, forest, what(desk))),
            Ok(b'Z') | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

#[test]
fn a_recall_half_way_leaves_nobody_stopped() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..20 {
        let recall = |mut desk: Desk| {
            desk.pursuer.recall(WarrantId(1));
            desk.report()
        };
        let Some((villain, forest, report)) = half_way(recall) else {
            continue;
        };
        let recalled = Outcome::Withheld(Withheld::Recalled);
        if report.each.iter().all(|(_, outcome)| *outcome == recalled) {
            assert_eq!(stopped(&forest), 0);
            assert!(villain.alive().len() >= report.each.len());
            return;
        }
    }
    panic!("never in time to recall it");
}

#[test]
fn when_the_thread_ends_nobody_stands_still() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..20 {
        if let Some((villain, forest, ())) = half_way(drop)
            && !villain.alive().is_empty()
        {
            assert_eq!(stopped(&forest), 0);
            return;
        }
    }
    panic!("never in time to end the thread");
}

#[test]
fn births_and_deaths_are_heard_in_order_or_it_is_said_why_not() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut desk = Desk::open(Hearing::Events);
    let Some(why) = desk.why else {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::new(child.id()).unwrap();
        child.wait().unwrap();
        let dead = now();
        wait_until("everything up to its death to be heard", || {
            desk.flush();
            desk.flushed >= dead
        });
        let exit = |event: &Event| event.what == Happening::Exit { pid };
        assert!(desk.events.iter().any(exit), "{:?}", desk.events);
        let own = Pid::new(std::process::id()).unwrap();
        let told: Vec<_> = desk
            .events
            .iter()
            .filter_map(|event| match event.what {
                Happening::Fork { parent, child, .. } if child == pid => Some(("fork", parent)),
                Happening::Exec { pid: who } if who == pid => Some(("exec", who)),
                Happening::Exit { pid: who } if who == pid => Some(("exit", who)),
                _ => None,
            })
            .collect();
        assert_eq!(told, [("fork", own), ("exec", pid), ("exit", pid)]);
        return;
    };
    // In a namespace, or where a policy forbids it: that is what it must say.
    let first = std::fs::read_link("/proc/self/ns/pid").unwrap();
    println!("deaf in {}: {why}", first.display());
    assert!(matches!(why, Deafness::Unconfirmed | Deafness::Refused(_)));
}

/// The door reads what everyone carries, whatever the warrant believes of them.
#[test]
fn a_jobs_warrant_reaches_nobody_who_does_not_carry_its_label() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for want in [Hearing::Events, Hearing::Nothing] {
        for order in [Order::Ask(Signal::Term), Order::End] {
            let sleeper = |value: &str| {
                let mut command = std::process::Command::new("sleep");
                command
                    .arg("30")
                    .env("BEADLE_LABEL", value)
                    .spawn()
                    .unwrap()
            };
            let (mut member, mut other) = (sleeper("7"), sleeper("8"));
            let mut forest = Forest::default();
            for child in [&member, &other] {
                forest.admit(Pid::new(child.id()).unwrap(), HardTie::Labeled);
            }
            let mut desk = Desk::open(want);
            desk.flush();
            let mut job = warrant(order, forest.targets(), desk.upto);
            job.label = Some(Label {
                badge: Badge::Variable {
                    name: "BEADLE_LABEL".into(),
                    value: Text::from("7"),
                },
                owner: Uid(rustix::process::geteuid().as_raw()),
            });
            let report = desk.carry(job);
            let outcome = |child: &std::process::Child| {
                let of = |(key, _): &&(ProcKey, Outcome)| key.pid().number() == child.id();
                report.each.iter().find(of).map(|(_, outcome)| *outcome)
            };
            assert_eq!(outcome(&member), Some(Outcome::Sent));
            assert_eq!(outcome(&other), Some(Outcome::Withheld(Withheld::Left)));
            assert!(other.try_wait().unwrap().is_none(), "it was hit");
            for child in [&mut member, &mut other] {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }
}
