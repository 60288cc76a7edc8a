//! What is sent, when, and what is not.

use std::fs;
use std::time::Instant;

use rustix::process::Signal;

use super::case::{Case, rules};
use super::in_both_tiers;
use super::launch::Order;
use super::report::Tier;
use super::wait::wait_until;

in_both_tiers!(who_ignores_term_gets_kill_after_the_grace_and_not_before);
in_both_tiers!(who_obeys_is_never_killed);
in_both_tiers!(who_is_stopped_gets_to_run_its_handler);
in_both_tiers!(outside_the_leash_nothing_is_signalled);
in_both_tiers!(in_scope_process_the_children_live);

/// Scenario 12.
fn who_ignores_term_gets_kill_after_the_grace_and_not_before(tier: Tier) {
    let mut case = Case::new("ignore", tier);
    let program = case.program("ignore");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "ignore"));
    let term = daemon.log.signal(villain.pid, "TERM");
    assert!(villain.lives());
    let kill = daemon.log.signal(villain.pid, "KILL");
    let mono = |says: &serde_json::Value| says["mono"].as_f64().unwrap();
    let grace = mono(&kill.says) - mono(&term.says);
    assert!(grace >= 2.0, "a grace of 2 s took {grace} s");
    daemon.log.about(villain.pid, "close");
    let expected = [
        "incident",
        "nudge",
        "signal TERM",
        "outcome TERM",
        "signal KILL",
        "outcome KILL",
        "close ended",
    ];
    let mut deeds = daemon.log.deeds(villain.pid);
    // A nudge names the signal that comes next.
    deeds[1].truncate("nudge".len());
    assert_eq!(deeds, expected);
    let row = case.row(12, "ignores TERM", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
}

fn who_obeys_is_never_killed(tier: Tier) {
    let mut case = Case::new("obey", tier);
    let program = case.program("obey");
    case.canaries(&program);
    let mut daemon = case.watch().rules(&rules(&program)).start();
    let handled = case.path("handled");
    let villain = case.start(Order::new(&program, "obey").file(&handled));
    daemon.log.signal(villain.pid, "TERM");
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "ended");
    assert!(handled.exists(), "its handler did not run");
    assert!(daemon.stop().success());
    let signals = daemon.log.targets();
    assert_eq!(signals, [(villain.pid, "TERM".to_owned())]);
    assert_eq!(case.lost(), 0);
}

/// Scenario 13: found stopped, with a handler that it can only run when it is continued.
fn who_is_stopped_gets_to_run_its_handler(tier: Tier) {
    let mut case = Case::new("stopped", tier);
    let program = case.program("stopped");
    case.canaries(&program);
    // On a busy machine it takes its time until it has stopped itself.
    let rules = rules(&program).replace("after: 1s", "after: 5s");
    let daemon = case.watch().rules(&rules).start();
    let handled = case.path("handled");
    let villain = case.start(Order::new(&program, "stopped").file(&handled));
    wait_until("the villain to stop itself", || villain.stopped());
    let term = daemon.log.signal(villain.pid, "TERM");
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    assert_eq!(
        fs::read(&handled).unwrap_or_default(),
        b"handled",
        "{}",
        daemon.log.text()
    );
    let signals = daemon.log.targets();
    assert!(
        signals.iter().all(|(_, signal)| signal == "TERM"),
        "{signals:?}"
    );
    let row = case.row(13, "stopped, with a handler of TERM", term.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
}

/// The leash: what matches elsewhere is told of, and left alone.
fn outside_the_leash_nothing_is_signalled(tier: Tier) {
    let mut case = Case::new("leash", tier);
    let mut elsewhere = Case::new("elsewhere", tier);
    let program = case.program("leash");
    let daemon = case.watch().rules(&rules(&program)).start();
    let free = elsewhere.start(Order::new(&program, "ignore"));
    let leashed = case.start(Order::new(&program, "ignore"));
    daemon.log.signal(leashed.pid, "KILL");
    daemon.log.about(leashed.pid, "close");
    let withheld = daemon.log.about(free.pid, "withheld");
    assert_eq!(
        withheld.says["rests"]["why"], "protected",
        "{}",
        withheld.text
    );
    assert!(free.lives());
    let signals = daemon.log.targets();
    assert!(
        signals.iter().all(|(pid, _)| *pid == leashed.pid),
        "{signals:?}"
    );
}

/// Where every process is judged by itself, what it started is another matter: before, meanwhile and after.
fn in_scope_process_the_children_live(tier: Tier) {
    let mut case = Case::new("alone", tier);
    let program = case.program("alone");
    let rules = rules(&program).replace("    limits:", "    scope: process\n    limits:");
    let daemon = case.watch().rules(&rules).start();
    let villain = case.start(Order::new(&program, "sower").number(500).forks(500));
    daemon.log.about(villain.pid, "close");
    assert!(!villain.lives());
    let outcome = daemon.log.wait("what came of KILL", |says| {
        says["event"] == "outcome" && says["signal"] == "KILL"
    });
    let each = outcome.says["each"].as_array().unwrap();
    assert_eq!(each.len(), 1, "{}", outcome.text);
    assert!(case.oracle().living().len() > 50, "{}", daemon.log.text());
}

#[test]
fn observe_and_nudge_say_what_would_have_been_and_send_nothing() {
    let mut case = Case::new("modes", Tier::Events);
    let program = case.program("modes");
    let mut observer = case
        .watch()
        .rules(&rules(&program))
        .arg("--mode")
        .arg("observe")
        .start();
    let villain = case.start(Order::new(&program, "obey"));
    let withheld = observer.log.about(villain.pid, "withheld");
    assert_eq!(withheld.says["signal"], "TERM", "{}", withheld.text);
    assert_eq!(withheld.says["mode"], "observe");
    assert!(observer.stop().success());
    let mut nudger = case
        .watch()
        .rules(&rules(&program))
        .arg("--mode")
        .arg("nudge")
        .start();
    let withheld = nudger.log.about(villain.pid, "withheld");
    assert_eq!(withheld.says["signal"], "TERM", "{}", withheld.text);
    assert_eq!(withheld.says["mode"], "nudge");
    assert!(nudger.stop().success());
    assert_eq!(nudger.log.all("nudge").len(), 1);
    for daemon in [&observer, &nudger] {
        assert_eq!(daemon.log.all("signal").len(), 0, "{}", daemon.log.text());
        assert_eq!(daemon.log.all("withheld").len(), 1, "{}", daemon.log.text());
    }
    assert!(villain.lives());
}

#[test]
fn asked_to_stop_in_the_grace_the_daemon_goes_at_once_and_leaves_nobody_stopped() {
    let mut case = Case::new("leave", Tier::Events);
    let program = case.program("leave");
    let mut daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "ignore"));
    daemon.log.signal(villain.pid, "TERM");
    let asked = Instant::now();
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    println!("{:?} to stop", asked.elapsed());
    assert!(villain.lives() && !villain.stopped());
    assert_eq!(daemon.log.event("stop").says["event"], "stop");
    assert!(
        daemon
            .log
            .targets()
            .iter()
            .all(|(_, signal)| signal == "TERM")
    );
    assert!(!daemon.watch.socket().exists(), "its socket is left");
}
