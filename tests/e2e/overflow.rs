//! More happens than can be heard: events are lost, and nobody is lost for it.

use std::time::Duration;

use rustix::process::Signal;

use super::case::{Case, rules};
use super::daemon::Daemon;
use super::launch::Order;
use super::report::{Tier, cannot_show};
use super::stage::{User, root};
use super::wait::{wait_for, wait_until};

/// Events are done without for a minute, and then some.
const A_MINUTE: Duration = Duration::from_secs(75);

/// More forks than the daemon's queue holds: two events each, 832 bytes an event. It asks for 16 MiB; without privileges
/// it gets what the machine allows at most, and the kernel doubles that.
fn enough() -> u64 {
    let most = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
    let queue = most.trim().parse::<u64>().unwrap().min(16 << 20) * 2;
    queue / (2 * 832) * 3 / 2
}

/// While the daemon stands still, so much happens that the kernel drops events.
fn storm(case: &mut Case, daemon: &mut Daemon, name: &str) {
    daemon.signal(Signal::STOP);
    let program = case.program(name);
    let forks = enough();
    let order = Order::new(&program, "storm").forks(u32::try_from(forks).unwrap());
    let storm = case.start(order.number(forks).burn(0));
    wait_until("the storm's end", || !storm.lives());
    daemon.signal(Signal::CONT);
}

fn gaps(daemon: &Daemon) -> u64 {
    daemon.ask_json(&["status"])["gaps"].as_u64().unwrap()
}

/// Scenario 32: what was born in a gap is found, its lineage too, and nobody else is hit.
#[test]
fn a_gap_in_the_events_loses_nobody() {
    if !root() {
        return cannot_show(
            "a small queue beside a large one",
            "only root can become another user",
        );
    }
    let mut case = Case::of("gap", Tier::Events, User::Stranger);
    let (program, below) = (case.program("gap"), case.program("below"));
    case.canaries(&program);
    case.canaries(&below);
    let mut daemon = case.watch().rules(&rules(&program)).start();
    let order = Order::new(&program, "middle")
        .other(below.to_str().unwrap())
        .number(4000)
        .burn(1500);
    let villain = case.start(order);
    storm(&mut case, &mut daemon, "storm");
    wait_until("the gap to be known", || gaps(&daemon) > 0);
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let row = case.row(32, "events are lost before it is judged", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0), "{}", daemon.log.text());
}

/// Three gaps in ten seconds: listening is no use, and is tried again after a minute.
#[test]
fn events_lost_again_and_again_are_done_without_for_a_while() {
    if !root() {
        return cannot_show(
            "a small queue beside a large one",
            "only root can become another user",
        );
    }
    let mut case = Case::of("deaf", Tier::Events, User::Stranger);
    let program = case.program("deaf");
    let canary = case.start(Order::canary(&program).life(2 * A_MINUTE));
    case.keep(canary);
    let mut daemon = case.watch().rules(&rules(&program)).start();
    for round in 1..=3 {
        storm(&mut case, &mut daemon, "storm");
        wait_until(&format!("gap {round}"), || gaps(&daemon) >= round);
    }
    let fault = daemon.log.wait("deafness", |says| {
        says["event"] == "fault" && says["part"] == "events" && says["state"] == "began"
    });
    assert!(fault.text.contains("faster"), "{}", fault.text);
    assert_eq!(daemon.ask_json(&["status"])["tier"], "scan");
    // Meanwhile it works as it does where nothing can be heard.
    let villain = case.start(Order::new(&program, "crowd").number(20));
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let survivors = || case.survivors();
    wait_until("an empty stage", || survivors() == 0);
    assert_eq!(case.lost(), 0, "{}", kill.text);
    let heard = wait_for("the events to be heard again", A_MINUTE, || {
        (daemon.ask_json(&["status"])["tier"] == "events").then_some(())
    });
    heard.unwrap();
    daemon.log.wait("the end of the fault", |says| {
        says["event"] == "fault" && says["part"] == "events" && says["state"] == "over"
    });
    // And it hears: a double fork with its middle gone at once is known by events alone.
    let hidden = case.program("hidden");
    let order = Order::new(&program, "daemonize").other(hidden.to_str().unwrap());
    let villain = case.start(order);
    case.wait_for_members(2);
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let row = case.row(32, "listens again after three gaps", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0), "{}", daemon.log.text());
}
