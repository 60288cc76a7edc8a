//! Those who cannot be stopped, and those who cannot move.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ends;
use crate::e2e::case::{Case, rules};
use crate::e2e::in_both_tiers;
use crate::e2e::launch::{Order, state};
use crate::e2e::report::{Promise, Tier, cannot_show};
use crate::e2e::stage::root;
use crate::e2e::wait::wait_until;

in_both_tiers!(two_that_continue_each_other_are_ended);
in_both_tiers!(who_is_continued_from_outside_is_ended_and_the_outsider_spared);
in_both_tiers!(a_parent_that_waits_in_vfork_is_ended_with_its_child);
in_both_tiers!(who_is_held_by_a_debugger_counts_as_dead_when_it_is);
in_both_tiers!(what_cannot_die_is_told_once_and_dies_when_it_can);
in_both_tiers!(a_frozen_tree_is_ended_as_it_is);
in_both_tiers!(a_stopped_child_in_a_group_of_its_own_runs_its_handler);

/// Scenario 14.
fn two_that_continue_each_other_are_ended(tier: Tier) {
    let mut case = Case::new("partners", tier);
    let program = case.program("partners");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "partners"));
    let kill = daemon.log.signal(villain.pid, "KILL");
    let row = case.row(14, "two continue each other every 0.5 ms", kill.at);
    row.holds(&daemon.log.text());
}

/// Scenario 15.
fn who_is_continued_from_outside_is_ended_and_the_outsider_spared(tier: Tier) {
    let mut case = Case::new("meddler", tier);
    let program = case.program("meddler");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "ignore"));
    let meddler = case.start(Order::bystander(&program, "meddler").number(villain.pid));
    case.keep(meddler);
    let kill = daemon.log.signal(villain.pid, "KILL");
    let row = case.row(15, "an outsider continues it every 1 ms", kill.at);
    row.holds(&daemon.log.text());
}

/// Scenario 24: in D, which is not what "unkillable" means.
fn a_parent_that_waits_in_vfork_is_ended_with_its_child(tier: Tier) {
    let mut case = Case::new("vfork", tier);
    let program = case.program("vfork");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "vfork"));
    wait_until("the parent to wait", || state(villain.pid) == Some('D'));
    let story = "a parent in vfork, its child asleep";
    ends(&case, &daemon, &villain, ("24", story), Promise::Nobody);
    assert_eq!(left(&daemon.log.all("outcome")), 0, "{}", daemon.log.text());
}

/// How many were ever said to have outlived KILL.
fn left(outcomes: &[serde_json::Value]) -> usize {
    let left = outcomes.iter().filter_map(|says| says["left"].as_array());
    left.map(Vec::len).sum()
}

/// Scenario 25: stopped by a tracer from outside, and afterwards a zombie that only the tracer could wait for.
fn who_is_held_by_a_debugger_counts_as_dead_when_it_is(tier: Tier) {
    let mut case = Case::new("tracer", tier);
    let program = case.program("tracer");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "ignore"));
    daemon.log.about(villain.pid, "incident");
    let tracer = case.start(Order::bystander(&program, "tracer").number(villain.pid));
    wait_until("the tracer's grip", || state(villain.pid) == Some('t'));
    let tracer_pid = tracer.pid;
    case.keep(tracer);
    let story = "held by a tracer outside the tree";
    ends(&case, &daemon, &villain, ("25", story), Promise::Nobody);
    assert_eq!(state(villain.pid), Some('Z'), "the tracer has let go");
    assert_eq!(left(&daemon.log.all("outcome")), 0, "{}", daemon.log.text());
    let targets = daemon.log.targets();
    assert!(
        targets.iter().all(|(pid, _)| *pid != tracer_pid),
        "{targets:?}"
    );
}

/// Scenario 26: frozen by the older freezer, where not even KILL arrives.
fn what_cannot_die_is_told_once_and_dies_when_it_can(tier: Tier) {
    let Some(freezer) = Freezer::make() else {
        return cannot_show("a process that KILL does not reach", "no v1 freezer here");
    };
    let mut case = Case::new("freezer", tier);
    let program = case.program("freezer");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "pair").file(&case.path("leave")));
    let member = case.number_in("leave.pid");
    daemon.log.about(villain.pid, "nudge");
    freezer.freeze(member);
    let kill = daemon.log.signal(villain.pid, "KILL");
    // Others are served meanwhile.
    let other = case.start(Order::new(&program, "ignore"));
    let outcome = daemon.log.wait("what came of KILL", |says| {
        says["event"] == "outcome" && says["signal"] == "KILL" && says["root"] == villain.pid
    });
    let left = &outcome.says["left"];
    assert_eq!(left[0]["pid"], member, "{}", outcome.text);
    assert_eq!(left[0]["state"], "D", "{}", outcome.text);
    let other_kill = daemon.log.signal(other.pid, "KILL");
    daemon.log.about(other.pid, "close");
    let waited = other_kill.at.duration_since(kill.at);
    assert!(
        waited < Duration::from_secs(10),
        "the other waited {waited:?}"
    );
    let thawed = Instant::now();
    drop(freezer);
    let row = case.row(26, "frozen (v1) in the way of KILL, then thawed", thawed);
    row.holds(&daemon.log.text());
    daemon.log.about(villain.pid, "close");
    let kills = |says: &&serde_json::Value| says["signal"] == "KILL" && says["root"] == villain.pid;
    let told = daemon.log.all("outcome");
    assert_eq!(
        told.iter().filter(kills).count(),
        1,
        "{}",
        daemon.log.text()
    );
}

/// A group of the v1 freezer. Whoever is in it thaws when it is dropped.
struct Freezer(PathBuf);

impl Freezer {
    fn make() -> Option<Self> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let mut places = mounts.lines().filter_map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let is_it = words.get(2) == Some(&"cgroup")
                && words.get(3)?.split(',').any(|one| one == "freezer");
            is_it.then(|| PathBuf::from(words[1]))
        });
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let own = format!("beadle-escape-{}-{number}", std::process::id());
        let place = places.next().filter(|_| root())?.join(own);
        fs::create_dir(&place).ok()?;
        Some(Self(place))
    }

    fn freeze(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::write(self.0.join("freezer.state"), "FROZEN").unwrap();
        wait_until("the frost", || {
            fs::read_to_string(self.0.join("freezer.state")).unwrap() == "FROZEN\n"
        });
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        fs::write(self.0.join("freezer.state"), "THAWED").unwrap();
        // It can go when everybody in it has.
        let _ = crate::e2e::wait::wait_for("an empty freezer", Duration::from_secs(5), || {
            fs::remove_dir(&self.0).ok()
        });
    }
}

/// Scenario 27: frozen by the newer one. Who has no handler dies of TERM all the same, nobody's handler runs, KILL works.
fn a_frozen_tree_is_ended_as_it_is(tier: Tier) {
    if !root() {
        return cannot_show("a frozen tree", "only root has control groups");
    }
    let mut case = Case::new("frozen", tier);
    let program = case.program("frozen");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let handled = case.path("handled");
    let villain = case.start(Order::new(&program, "trio").file(&handled));
    case.wait_for_members(3);
    daemon.log.about(villain.pid, "nudge");
    case.oracle().freeze();
    daemon.log.signal(villain.pid, "TERM");
    wait_until("the one without a handler to go", || {
        case.oracle().living().len() == 2
    });
    let story = "a frozen (v2) tree";
    ends(&case, &daemon, &villain, ("27", story), Promise::Nobody);
    assert!(!handled.exists(), "its handler ran");
    assert_eq!(left(&daemon.log.all("outcome")), 0, "{}", daemon.log.text());
}

/// Correction 1: were its parent continued first, the kernel would hang up the child's group before its handler runs.
fn a_stopped_child_in_a_group_of_its_own_runs_its_handler(tier: Tier) {
    let mut case = Case::new("groups", tier);
    let program = case.program("groups");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let note = case.path("handled");
    let villain = case.start(Order::new(&program, "stopped_pair").file(&note));
    case.wait_for_members(2);
    wait_until("both to stop", || {
        let members = case.oracle().living();
        members.iter().all(|pid| state(*pid) == Some('T'))
    });
    let term = daemon.log.signal(villain.pid, "TERM");
    daemon.log.about(villain.pid, "close");
    for who in ["root", "child"] {
        let path = note.with_extension(who);
        let handled = fs::read(path).unwrap_or_default();
        assert_eq!(handled, b"handled", "{who}:\n{}", daemon.log.text());
    }
    let row = case.row(
        "C1",
        "stopped with a stopped child, both have handlers",
        term.at,
    );
    row.holds(&daemon.log.text());
    let killed = |(_, signal): &(u32, String)| signal == "KILL";
    assert!(
        !daemon.log.targets().iter().any(killed),
        "{}",
        daemon.log.text()
    );
}
