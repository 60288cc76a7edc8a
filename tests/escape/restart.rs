//! A daemon that dies in the middle of a case, and its successor.
//!
//! **What must hold.** The successor goes on where the other was: nobody is told again, no grace is shorter, nobody of the
//! tree gets away for it, and nobody else is harmed.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::e2e::case::{Case, rules, rules_with};
use crate::e2e::daemon::Daemon;
use crate::e2e::in_both_tiers;
use crate::e2e::launch::{Order, Started, state};
use crate::e2e::report::{Promise, Tier};
use crate::e2e::wait::wait_until;

in_both_tiers!(after_the_nudge);
in_both_tiers!(after_the_request);
in_both_tiers!(in_the_act);
in_both_tiers!(a_tree_whose_root_is_gone_is_known_again);
in_both_tiers!(what_was_paused_stays_paused);

/// The stamps of the log are in milliseconds.
const STAMP: Duration = Duration::from_millis(2);

/// Ends a daemon the way the kernel does when memory is short.
fn dies(mut daemon: Daemon) {
    daemon.signal(Signal::KILL);
    daemon.ended();
}

/// A tree, part of which nothing shows to belong to it but the fork that was heard.
fn villain(case: &mut Case) -> (std::path::PathBuf, Order) {
    let (program, hidden) = (case.program("restart"), case.program("hidden"));
    case.canaries(&program);
    case.canaries(&hidden);
    let order = Order::new(&program, "daemonize").other(hidden.to_str().unwrap());
    (program, order)
}

fn promise(tier: Tier) -> Promise {
    match tier {
        Tier::Events => Promise::Nobody,
        Tier::Scan => Promise::AtMost(1, "no look saw the one in the middle"),
    }
}

/// The successor goes on with this signal, not before the whole grace is over, and tells nobody what was told.
fn goes_on(case: &Case, daemon: &Daemon, villain: &Started, signal: &str, grace: Duration) {
    let start = daemon.log.event("start");
    let first = daemon.log.signal(villain.pid, signal);
    let waited = first.at.duration_since(start.at);
    assert!(waited + STAMP >= grace, "{waited:?}: {}", daemon.log.text());
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let story = "the daemon is killed and comes back";
    let row = case.promise(33, story, kill.at, promise(case.tier()));
    row.holds(&daemon.log.text());
    let deeds = daemon.log.deeds(villain.pid);
    let again = |deed: &String| deed.starts_with("incident") || deed.starts_with("nudge");
    assert!(!deeds.iter().any(again), "told again: {deeds:?}");
}

/// Scenario 33, in the notice.
fn after_the_nudge(tier: Tier) {
    let mut case = Case::new("restart", tier);
    let (program, order) = villain(&mut case);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(order);
    let nudge = daemon.log.about(villain.pid, "nudge");
    dies(daemon);
    let daemon = case.watch().rules(&rules(&program)).start();
    goes_on(&case, &daemon, &villain, "TERM", Duration::from_secs(1));
    let term = daemon.log.signal(villain.pid, "TERM");
    assert_eq!(term.says["incident"], nudge.says["incident"]);
}

/// Scenario 33, in the grace. TERM may come again where it was not yet known to have been sent.
fn after_the_request(tier: Tier) {
    let mut case = Case::new("restart", tier);
    let (program, order) = villain(&mut case);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(order);
    let outcome = |says: &serde_json::Value| {
        says["event"] == "outcome" && says["root"] == villain.pid && says["signal"] == "TERM"
    };
    daemon.log.wait("what came of TERM", outcome);
    dies(daemon);
    let daemon = case.watch().rules(&rules(&program)).start();
    goes_on(&case, &daemon, &villain, "KILL", Duration::from_secs(2));
}

/// Scenario 33, while everyone is stopped to be ended: the guardian lets them go on, and the successor ends them. With events
/// nobody is stopped, and the daemon dies right before its KILL.
fn in_the_act(tier: Tier) {
    let mut case = Case::new("stopped", tier);
    let program = case.program("stopped");
    case.canaries(&program);
    let mut daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "crowd").number(60));
    daemon.log.signal(villain.pid, "TERM");
    if tier == Tier::Scan {
        let late = Instant::now() + Duration::from_secs(20);
        while state(villain.pid) != Some('T') {
            assert!(Instant::now() < late, "it is never stopped");
            std::hint::spin_loop();
        }
    }
    daemon.signal(Signal::KILL);
    daemon.ended();
    let died = Instant::now();
    let stands = || {
        case.oracle()
            .living()
            .into_iter()
            .any(|pid| state(pid) == Some('T'))
    };
    wait_until("nobody to stand still", || !stands());
    println!("{:?} until nobody stands still", died.elapsed());
    let daemon = case.watch().rules(&rules(&program)).start();
    let kill = daemon.log.signal(villain.pid, "KILL");
    let story = "the daemon is killed in the act";
    let row = case.row("33", story, kill.at);
    row.holds(&daemon.log.text());
}

/// A root that is gone, whose children are nobody's: the limit on what is left over still finds them.
fn a_tree_whose_root_is_gone_is_known_again(tier: Tier) {
    let mut case = Case::new("rootless", tier);
    let program = case.program("rootless");
    case.canaries(&program);
    let hidden = case.program("hidden");
    let rules = rules_with(&program, "{ leftover: { above: 4s } }")
        .replace("limits:", "warmup: 100ms\n    limits:");
    let daemon = case.watch().rules(&rules).start();
    let order = Order::new(&program, "leaver").other(hidden.to_str().unwrap());
    let villain = case.start(order);
    case.wait_for_members(2);
    wait_until("the root to go", || !villain.lives());
    // Word of it is left every ten seconds at the latest; an orderly end leaves it at once.
    let gone = Instant::now();
    let mut daemon = daemon;
    daemon.stop();
    let daemon = case.watch().rules(&rules).start();
    let kill = daemon.log.signal(villain.pid, "KILL");
    assert!(
        gone.elapsed() >= Duration::from_secs(4),
        "{}",
        daemon.log.text()
    );
    let story = "its root goes, then the daemon is another";
    let row = case.row("33", story, kill.at);
    row.holds(&daemon.log.text());
}

/// A pause outlives the daemon that took it.
fn what_was_paused_stays_paused(tier: Tier) {
    let case = Case::new("paused", tier);
    let program = case.program("paused");
    let daemon = case.watch().rules(&rules(&program)).start();
    let paused = daemon.ask(&["pause", "10m", "--rule", "villain"]);
    assert!(paused.status.success(), "{paused:?}");
    dies(daemon);
    let daemon = case.watch().rules(&rules(&program)).start();
    let status = daemon.ask_json(&["status"]);
    assert_eq!(status["pauses"][0]["rule"], "villain", "{status}");
}
