//! Whose child a process is, whatever it does to hide it.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::case::{Case, rules, rules_with};
use super::in_both_tiers;
use super::launch::{Order, Started};
use super::log::Log;
use super::report::{Promise, Tier};
use super::stage::{User, give};

in_both_tiers!(a_double_fork_does_not_leave_the_tree);
in_both_tiers!(a_death_in_the_middle_does_not_cut_the_tree);
in_both_tiers!(a_comet_is_caught);
in_both_tiers!(a_leader_thread_that_ended_is_not_a_death);
in_both_tiers!(who_starts_the_daemon_is_spared_and_its_runaway_is_not);

/// Scenario 4: the way daemons hide, with a middle that is gone in a millisecond.
fn a_double_fork_does_not_leave_the_tree(tier: Tier) {
    let mut case = Case::new("daemonize", tier);
    let (program, hidden) = (case.program("daemonize"), case.program("hidden"));
    case.canaries(&program);
    case.canaries(&hidden);
    let daemon = case.watch().rules(&rules(&program)).start();
    let order = Order::new(&program, "daemonize").other(hidden.to_str().unwrap());
    let villain = case.start(order);
    case.wait_for_members(2);
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let promise = match tier {
        Tier::Events => Promise::Nobody,
        // Its session and its children are nobody's, and are left alone.
        Tier::Scan => Promise::AtMost(1, "no look saw the one in the middle"),
    };
    let story = "double fork, session, middle gone";
    let row = case.promise(4, story, kill.at, promise);
    row.holds(&daemon.log.text());
}

/// Scenario 6: three levels hang from a process that dies after it was seen.
fn a_death_in_the_middle_does_not_cut_the_tree(tier: Tier) {
    let mut case = Case::new("middle", tier);
    let (program, below) = (case.program("middle"), case.program("below"));
    case.canaries(&program);
    case.canaries(&below);
    let daemon = case.watch().rules(&rules(&program)).start();
    let order = Order::new(&program, "middle")
        .other(below.to_str().unwrap())
        .number(3000);
    let villain = case.start(order);
    case.wait_for_members(5);
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let row = case.row(6, "the middle of the tree dies", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
}

/// Scenario 10: fork and exit at every hop, a session at each, no pause.
fn a_comet_is_caught(tier: Tier) {
    let mut case = Case::alone("comet", tier, User::Me);
    let program = case.program("comet");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "comet").forks(150_000).burn(400));
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let promise = match tier {
        Tier::Events => Promise::Nobody,
        // What is promised is that nobody else is hit. Counted in the middle of a hop the one comet is two: the child
        // that was just born and the parent that is about to exit.
        Tier::Scan => Promise::AtMost(2, "no look ever finds it"),
    };
    let story = "comet: fork and exit at every hop";
    let row = case.promise(10, story, kill.at, promise);
    row.holds(&daemon.log.text());
    drop(villain);
}

/// Scenario 16: it looks like a zombie without memory, while its other threads burn and hold.
fn a_leader_thread_that_ended_is_not_a_death(tier: Tier) {
    let mut case = Case::new("leaderless", tier);
    let program = case.program("leaderless");
    case.canaries(&program);
    // Both figures must be counted after the leader is gone.
    let limits = "{ all: [ { cpu_time: 3s }, { memory: { above: 48MiB, measure: rss } } ] }";
    let daemon = case.watch().rules(&rules_with(&program, limits)).start();
    let villain = case.start(Order::new(&program, "leaderless").burn(4000).number(1500));
    let nudge = daemon.log.about(villain.pid, "nudge");
    let stat = fs::read_to_string(format!("/proc/{}/stat", villain.pid)).unwrap();
    assert!(stat.contains(") Z "), "the leader lives: {stat}");
    assert!(
        !daemon
            .log
            .deeds(villain.pid)
            .contains(&"close exited".to_owned())
    );
    let term = daemon.log.signal(villain.pid, "TERM");
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}\n{}", nudge.text, close.text);
    let row = case.row(16, "the leader thread ends, others burn on", term.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
}

/// Scenario 31: the daemon is started from inside the tree that it judges.
fn who_starts_the_daemon_is_spared_and_its_runaway_is_not(tier: Tier) {
    let mut case = Case::new("inside", tier);
    let program = case.program("inside");
    let said = case.path("said");
    let log = pipe(&said, User::Me);
    let watch = case.watch().rules(&rules(&program));
    let words: Vec<_> = watch
        .words()
        .into_iter()
        .map(|word| word.into_string().unwrap())
        .collect();
    let order = Order::new(&program, "host").other(&serde_json::json!(words).to_string());
    let home = case.path("").to_str().unwrap().to_owned();
    let host = case.start(order.file(&said).variable("HOME", &home));
    let daemon = log.event("start").says["daemon"].as_u64().unwrap();
    let daemon = Started::hold(u32::try_from(daemon).unwrap());
    case.wait_for_members(3);
    let spared = [host.pid, daemon.pid];
    case.keep(host);
    case.keep(daemon);
    let kill = log.wait("KILL", |says| {
        says["event"] == "signal" && says["signal"] == "KILL"
    });
    let row = case.row(31, "the daemon is inside the tree", kill.at);
    row.holds(&log.text());
    let targets = log.targets();
    assert!(
        targets.iter().all(|(pid, _)| !spared.contains(pid)),
        "{targets:?}"
    );
}

/// A pipe with a name, read to its end.
pub(crate) fn pipe(path: &Path, user: User) -> Log {
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a C string of ours.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o622) }, 0);
    give(path, user);
    // For writing too, or opening it would wait for a writer.
    Log::follow(
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap(),
    )
}
