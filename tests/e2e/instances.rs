//! Instances of one program, for real: who is told of, and who is left alone.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use super::case::{Case, rules_with};
use super::daemon::Daemon;
use super::in_both_tiers;
use super::launch::{Order, Started};
use super::report::Tier;
use super::wait::wait_until;

in_both_tiers!(the_oldest_are_told_of_once_and_nobody_is_signalled);
in_both_tiers!(of_many_the_one_that_was_left_behind_is_ended);

/// The oldest two of four are over: one message names them, no signal follows, and the next daemon says nothing again.
fn the_oldest_are_told_of_once_and_nobody_is_signalled(tier: Tier) {
    let mut case = Case::new("instances", tier);
    let program = case.program("instances");
    let all: Vec<Started> = (0..4).map(|_| another(&mut case, &program)).collect();
    let rules = rules_with(&program, "{ instances: 2 }");
    let mut daemon = case.watch().rules(&rules).start();
    let nudge = daemon.log.event("nudge");
    let oldest = [all[0].pid, all[1].pid];
    let peers = json!({ "count": 4, "over": 2, "oldest": oldest });
    assert_eq!(nudge.says["evidence"]["peers"], peers, "{}", nudge.text);
    assert_eq!(nudge.says["rests"]["why"], "instances", "{}", nudge.text);
    for pid in oldest {
        let withheld = daemon.log.about(pid, "withheld");
        assert_eq!(withheld.says["signal"], "TERM", "{}", withheld.text);
        assert_eq!(withheld.says["rests"]["why"], "instances");
    }
    spared(&daemon, &all);
    assert_eq!(daemon.log.all("nudge").len(), 1, "{}", daemon.log.text());

    let why = daemon.ask(&["why", &oldest[0].to_string()]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    let older = format!(
        "4 instances in all: 2 older ones are over ({} {})",
        oldest[0], oldest[1]
    );
    assert!(why.contains(&older), "{why}");
    assert!(why.contains("4th newest"), "{why}");

    daemon.signal(Signal::KILL);
    daemon.ended();
    let daemon = case.watch().rules(&rules).start();
    wait_until("both cases to be open again", || {
        let status = daemon.ask_json(&["status"]);
        let open = status["incidents"].as_array().map_or(0, Vec::len);
        let over = |unit: &serde_json::Value| unit["verdict"] == "sustained";
        open == 2 && status["incidents"].as_array().unwrap().iter().all(over)
    });
    // A later root is over from its first look on, and its case would be told of after the others.
    let fifth = another(&mut case, &program);
    let third = daemon.log.about(all[2].pid, "incident");
    assert_eq!(
        third.says["evidence"]["peers"]["count"], 5,
        "{}",
        third.text
    );
    spared(&daemon, &all);
    assert!(fifth.lives());
    assert!(daemon.log.all("nudge").is_empty(), "{}", daemon.log.text());
}

/// One instance more, which is one before the next is.
fn another(case: &mut Case, program: &Path) -> Started {
    let started = case.start(Order::new(program, "obey").burn(0));
    let image = format!("/proc/{}/exe", started.pid);
    wait_until("it to be what it runs", || {
        fs::read_link(&image).is_ok_and(|exe| exe == program)
    });
    started
}

fn spared(daemon: &Daemon, all: &[Started]) {
    assert!(all.iter().all(Started::lives), "{}", daemon.log.text());
    assert!(daemon.log.all("signal").is_empty(), "{}", daemon.log.text());
}

/// One too many, whose root is gone: that one is ended, and neither the older ones in use nor the newest.
fn of_many_the_one_that_was_left_behind_is_ended(tier: Tier) {
    let mut case = Case::new("forgotten", tier);
    let (program, hidden) = (case.program("forgotten"), case.program("hidden"));
    case.canaries(&program);
    let limits = "{ all: [ { instances: 1 }, { leftover: 1s } ] }";
    let rules = rules_with(&program, limits).replace("limits:", "warmup: 100ms\n    limits:");
    let daemon = case.watch().rules(&rules).start();
    let order = Order::new(&program, "leaver").burn(0);
    let villain = case.start(order.other(hidden.to_str().unwrap()));
    case.wait_for_members(2);
    let newest = case.start(Order::canary(&program));
    case.keep(newest);
    let nudge = daemon.log.about(villain.pid, "nudge");
    assert_eq!(nudge.says["next"]["signal"], "TERM", "{}", nudge.text);
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let story = "one of five, left behind by its root";
    let row = case.row("instances", story, kill.at);
    row.holds(&daemon.log.text());
    let others = daemon.log.all("signal");
    let its = |signal: &serde_json::Value| signal["root"] == villain.pid;
    assert!(others.iter().all(its), "{}", daemon.log.text());
}
