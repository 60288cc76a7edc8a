//! Who a process is: numbers that are reused, images that change, names that lie, clocks that are elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::case::{Case, rules, rules_with};
use super::daemon::Daemon;
use super::launch::{Order, Started, state};
use super::report::{Tier, cannot_show};
use super::stage::{User, root};
use super::wait::{wait_for, wait_until};
use super::{in_both_tiers, log::Log};

in_both_tiers!(a_number_that_passes_to_a_stranger_in_the_grace_is_not_signalled);
in_both_tiers!(a_root_that_exits_in_the_grace_is_not_avenged_on_the_next_of_its_number);
in_both_tiers!(who_runs_something_else_by_now_is_let_go);
in_both_tiers!(names_that_break_parsers_break_nothing);
in_both_tiers!(a_name_does_not_protect);
in_both_tiers!(another_clock_hurries_nothing);

/// Starts somebody who bears a number which was another's a moment ago.
pub(crate) fn heir(case: &mut Case, order: impl Fn() -> Order, number: u32) -> Started {
    let heir = wait_for("the number to be free", Duration::from_secs(10), || {
        case.try_start(order().numbered(number)).ok()
    });
    let heir = heir.unwrap();
    assert_eq!(heir.pid, number);
    heir
}

/// A tree of which one member exits once TERM was sent, its number free for an [`heir`].
pub(crate) struct Parted {
    pub(crate) case: Case,
    pub(crate) program: PathBuf,
    pub(crate) daemon: Daemon,
    /// The member that stays.
    pub(crate) villain: Started,
    /// The number of the one that leaves.
    pub(crate) member: u32,
}

impl Parted {
    /// A pair.
    pub(crate) fn new(name: &'static str, tier: Tier) -> Self {
        Self::of(name, "pair", tier)
    }

    /// One that lives in this manner: it names the member that leaves, and when, as a pair does.
    pub(crate) fn of(name: &'static str, manner: &str, tier: Tier) -> Self {
        let mut case = Case::new(name, tier);
        let program = case.program(name);
        case.canaries(&program);
        let daemon = case.watch().rules(&rules(&program)).start();
        let sign = case.path("leave");
        let villain = case.start(Order::new(&program, manner).file(&sign));
        let member = case.number_in("leave.pid");
        daemon.log.signal(villain.pid, "TERM");
        fs::write(&sign, "").unwrap();
        Self {
            case,
            program,
            daemon,
            villain,
            member,
        }
    }

    /// Starts somebody who bears the number of the one that left; it must be there afterwards.
    pub(crate) fn pass_on(&mut self, order: impl Fn(&Path) -> Order) {
        let program = &self.program;
        let heir = heir(&mut self.case, || order(program), self.member);
        self.case.keep(heir);
    }
}

/// Scenario 1: a member exits between TERM and KILL, and a canary gets its number at once.
fn a_number_that_passes_to_a_stranger_in_the_grace_is_not_signalled(tier: Tier) {
    if !root() {
        return cannot_show("the reuse of a number", "only root can choose numbers");
    }
    let mut parted = Parted::new("reuse", tier);
    parted.pass_on(Order::canary);
    let kill = parted.daemon.log.signal(parted.villain.pid, "KILL");
    assert!(
        !kill.says["pids"]
            .as_array()
            .unwrap()
            .contains(&json!(parted.member)),
        "{}",
        kill.text
    );
    parted.daemon.log.about(parted.villain.pid, "close");
    let row = parted
        .case
        .row(1, "a member's number passes to a stranger", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
}

/// Scenario 1, where it is the root that exits: the case is closed, and its number means nothing.
fn a_root_that_exits_in_the_grace_is_not_avenged_on_the_next_of_its_number(tier: Tier) {
    if !root() {
        return cannot_show(
            "the reuse of a root's number",
            "only root can choose numbers",
        );
    }
    let mut case = Case::new("heir", tier);
    let program = case.program("heir");
    let mut daemon = case.watch().rules(&rules(&program)).start();
    // It obeys, so it is gone right after TERM, well before the grace is over.
    let villain = case.start(Order::new(&program, "obey"));
    daemon.log.signal(villain.pid, "TERM");
    let heir = heir(&mut case, || Order::canary(&program), villain.pid);
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    // What comes next is a whole case later: a second villain goes the whole way meanwhile.
    let second = case.start(Order::new(&program, "ignore"));
    daemon.log.signal(second.pid, "KILL");
    daemon.log.about(second.pid, "close");
    assert!(heir.lives(), "{}", daemon.log.text());
    assert!(daemon.stop().success());
}

/// Scenario 18: an innocuous image in the grace, and the other way round.
fn who_runs_something_else_by_now_is_let_go(tier: Tier) {
    let mut case = Case::new("rename", tier);
    let (bad, good) = (case.program("runaway"), case.program("innocuous"));
    // It must have the time to reform, on a busy machine too.
    let rules = rules(&bad).replace("after: 1s", "after: 4s");
    let daemon = case.watch().rules(&rules).start();
    let signs = ["reformed", "fallen"].map(|name| case.path(name));
    let reforms = case.start(
        Order::new(&bad, "rename")
            .other(good.to_str().unwrap())
            .file(&signs[0]),
    );
    // It goes on for as long as the scan tier may take to notice.
    let falls = case.start(
        Order::new(&good, "rename")
            .other(bad.to_str().unwrap())
            .file(&signs[1])
            .number(20_000),
    );
    let nudge = daemon.log.about(reforms.pid, "nudge");
    fs::write(&signs[0], "").unwrap();
    let close = daemon.log.about(reforms.pid, "close");
    assert_eq!(close.says["how"], "unmatched", "{}", close.text);
    assert_eq!(
        close.says["key"], nudge.says["key"],
        "the identity outlives exec"
    );
    fs::write(&signs[1], "").unwrap();
    let term = daemon.log.signal(falls.pid, "TERM");
    let close = daemon.log.about(falls.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    assert!(!falls.lives());
    assert!(reforms.lives(), "{}", daemon.log.text());
    let signalled = daemon.log.targets();
    assert!(
        signalled.iter().all(|(pid, _)| *pid != reforms.pid),
        "{signalled:?}"
    );
    drop(reforms);
    let row = case.row(18, "runs another program in the grace", term.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
}

/// Scenario 19: names and arguments with brackets, newlines, escapes, a megabyte, and none at all.
fn names_that_break_parsers_break_nothing(tier: Tier) {
    let mut case = Case::new("hostile", tier);
    let program = case.program("hostile");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "hostile"));
    case.wait_for_members(4);
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let row = case.row(19, "hostile names and arguments", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
    every_line_is_one_object(&daemon.log);
    assert_eq!(
        daemon.log.all("nudge").len(),
        1,
        "a nudge was forged:\n{}",
        daemon.log.text()
    );
}

fn every_line_is_one_object(log: &Log) {
    for line in log.lines() {
        assert!(line.says.is_object(), "not JSON: {:?}", line.text);
        let raw = line.text.chars().find(|letter| letter.is_control());
        assert_eq!(raw, None, "a raw control character: {:?}", line.text);
    }
}

/// Scenario 20: comm, arguments and environment of somebody else.
fn a_name_does_not_protect(tier: Tier) {
    let mut case = Case::new("disguise", tier);
    let program = case.program("disguise");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "disguise"));
    wait_until("the disguise", || {
        fs::read(format!("/proc/{}/comm", villain.pid)).is_ok_and(|name| name == b"systemd\n")
    });
    let kill = daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    let row = case.row(20, "looks like systemd and a kernel thread", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
}

/// Scenario 36, as far as a machine's clock can be left alone: the daemon's monotonic and boot clocks are a day ahead
/// of everybody else's. (Wall time does not enter the engine at all: no type of it holds one.)
fn another_clock_hurries_nothing(tier: Tier) {
    if !root() {
        return cannot_show("another clock", "only root can make a time namespace");
    }
    let mut case = Case::of("clock", tier, User::Me);
    let program = case.program("clock");
    case.canaries(&program);
    let limits = "{ age: 6h, cpu_time: 300ms }";
    let ahead = [
        "unshare",
        "--time",
        "--monotonic",
        "86400",
        "--boottime",
        "86400",
    ];
    let watch = case
        .watch()
        .rules(&rules_with(&program, limits))
        .under(&ahead);
    let daemon = watch.start();
    let there = fs::read_link(format!("/proc/{}/ns/time", daemon.pid())).unwrap();
    assert_ne!(there, fs::read_link("/proc/self/ns/time").unwrap());
    let villain = case.start(Order::new(&program, "ignore"));
    let kill = daemon.log.signal(villain.pid, "KILL");
    let term = daemon.log.signal(villain.pid, "TERM");
    daemon.log.about(villain.pid, "close");
    let grace = kill.says["mono"].as_f64().unwrap() - term.says["mono"].as_f64().unwrap();
    assert!(grace >= 2.0, "a grace of 2 s took {grace} s");
    // A day of age would have opened a case against every canary at once.
    assert_eq!(daemon.log.all("incident").len(), 1, "{}", daemon.log.text());
    let row = case.row(36, "the daemon's clock is a day ahead", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
    assert_eq!(state(villain.pid), None);
}
