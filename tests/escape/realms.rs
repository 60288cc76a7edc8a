//! Other users, other namespaces, other control groups.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ends;
use crate::e2e::case::{Case, rules};
use crate::e2e::daemon::{Daemon, Watch};
use crate::e2e::in_both_tiers;
use crate::e2e::launch::{Order, Started};
use crate::e2e::lineage::pipe;
use crate::e2e::report::{Number, Promise, Row, Tier, cannot_show};
use crate::e2e::stage::{OTHER_STRANGER, User, copy, root};
use crate::e2e::wait::wait_until;

in_both_tiers!(who_becomes_another_user_is_ended_by_root);
in_both_tiers!(who_may_not_be_signalled_is_told_of_and_the_rest_is_ended);
in_both_tiers!(what_is_not_ones_own_is_left_alone_and_the_rest_is_ended);
in_both_tiers!(where_others_are_hidden_ones_own_is_ended_all_the_same);
in_both_tiers!(a_pid_namespace_inside_the_tree_is_ended_and_others_are_not);
in_both_tiers!(who_enters_the_namespace_of_a_member_is_no_member);
in_both_tiers!(a_control_group_is_no_tie);

const ONLY_ROOT: &str = "only root can become another user, and make namespaces and control groups";

/// Scenario 21, as root.
fn who_becomes_another_user_is_ended_by_root(tier: Tier) {
    if !root() {
        return cannot_show("a member that becomes another user", ONLY_ROOT);
    }
    let mut case = Case::new("turncoat", tier);
    let program = case.program("turncoat");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "turncoat").number(OTHER_STRANGER));
    case.wait_for_members(2);
    let story = "a member becomes another user (as root)";
    ends(&case, &daemon, &villain, ("21", story), Promise::Nobody);
}

/// A program that runs as root whoever starts it; nobody but our stranger can.
fn climbing_program(case: &Case) -> PathBuf {
    let path = case.path("climbing");
    copy(&case.program("plain"), &path);
    chown(&path, Some(0), User::Stranger.ids()).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o4710)).unwrap();
    path
}

/// A tree of the stranger's in which one belongs to root in the kernel's eyes, and effectively to `uid`.
fn climbs(case: &mut Case, watch: Watch, program: &Path, uid: u32) -> (Daemon, Started) {
    let climbing = climbing_program(case);
    case.canaries(program);
    let daemon = watch.rules(&rules(program)).start();
    let order = Order::new(program, "climber").other(climbing.to_str().unwrap());
    let villain = case.start(order.number(uid));
    case.wait_for_members(3);
    (daemon, villain)
}

/// Scenario 21, without privileges: effectively a member is ours, but the kernel refuses.
fn who_may_not_be_signalled_is_told_of_and_the_rest_is_ended(tier: Tier) {
    if !root() {
        return cannot_show("a member that may not be signalled", ONLY_ROOT);
    }
    let mut case = Case::of("climber", tier, User::Stranger);
    let program = case.program("climber");
    let watch = case.watch();
    let (daemon, villain) = climbs(&mut case, watch, &program, User::Stranger.uid());
    let promise = Promise::AtMost(1, "the kernel does not let a user signal root's (EPERM)");
    let story = "a member may not be signalled (as a user)";
    let kill = daemon.log.signal(villain.pid, "KILL");
    let row = case.promise(21, story, kill.at, promise);
    row.holds(&daemon.log.text());
    let outcomes = daemon.log.all("outcome");
    for signal in ["TERM", "KILL"] {
        assert_eq!(denied(&outcomes, signal), 1, "{}", daemon.log.text());
    }
}

/// How many are said to have been denied this signal.
fn denied(outcomes: &[Value], signal: &str) -> usize {
    let of = outcomes.iter().filter(|says| says["signal"] == signal);
    let each = of.filter_map(|says| says["each"].as_array()).flatten();
    each.filter(|fate| fate["outcome"] == "denied").count()
}

/// Scenario 44: it is root's altogether.
fn what_is_not_ones_own_is_left_alone_and_the_rest_is_ended(tier: Tier) {
    if !root() {
        return cannot_show("a member of another user", ONLY_ROOT);
    }
    let mut case = Case::of("foreign", tier, User::Stranger);
    let program = case.program("foreign");
    let watch = case.watch();
    let (daemon, villain) = climbs(&mut case, watch, &program, 0);
    foreign_row(&case, &daemon, &villain, "a member of root's (as a user)");
}

fn foreign_row(case: &Case, daemon: &Daemon, villain: &Started, story: &'static str) {
    let kill = daemon.log.signal(villain.pid, "KILL");
    let promise = Promise::AtMost(1, "a user's daemon ends that user's processes only");
    let row = case.promise(44, story, kill.at, promise);
    row.holds(&daemon.log.text());
    let outcomes = daemon.log.all("outcome");
    assert_eq!(denied(&outcomes, "KILL"), 0, "it was tried");
}

/// Scenario 44 again, where the process table shows a user nothing but the user's own.
fn where_others_are_hidden_ones_own_is_ended_all_the_same(tier: Tier) {
    if !root() {
        return cannot_show("hidden processes", ONLY_ROOT);
    }
    let mut case = Case::of("hidepid", tier, User::Stranger);
    let program = case.program("hidepid");
    let hide = format!(
        "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid={0} --regid={0} --clear-groups \"$@\"",
        User::Stranger.uid()
    );
    let under = ["unshare", "-m", "sh", "-c", &hide, "hidden"];
    let watch = Watch::new(&case.beadle(), &case.path(""), User::Me);
    let watch = watch.tier(tier).leash(case.leash()).under(&under);
    let (daemon, villain) = climbs(&mut case, watch, &program, 0);
    foreign_row(&case, &daemon, &villain, "the same, with hidepid=2");
}

/// Scenario 22: its init ignores TERM by the kernel's grace, and what is inside has numbers of its own.
fn a_pid_namespace_inside_the_tree_is_ended_and_others_are_not(tier: Tier) {
    if !root() {
        return cannot_show("a pid namespace in a tree", ONLY_ROOT);
    }
    let mut case = Case::new("inn", tier);
    let (program, hidden) = (case.program("inn"), case.program("hidden"));
    case.canaries(&program);
    case.canaries(&hidden);
    let daemon = case.watch().rules(&rules(&program)).start();
    let told = case.path("elsewhere");
    let other = Order::bystander(&program, "inn").other(hidden.to_str().unwrap());
    let other = case.start(other.file(&told));
    case.keep(other);
    let init = Started::hold(case.number_in("elsewhere"));
    case.keep(init);
    let order = Order::new(&program, "inn").other(hidden.to_str().unwrap());
    let villain = case.start(order.file(&case.path("told")));
    case.wait_for_members(3);
    let story = "a pid namespace with a daemon in it";
    ends(&case, &daemon, &villain, ("22", story), Promise::Nobody);
}

/// Scenario 23: its parent is the init of a member's namespace now. It dies with that namespace, by the kernel's hand; a
/// signal is not for it.
fn who_enters_the_namespace_of_a_member_is_no_member(tier: Tier) {
    if !root() {
        return cannot_show("a guest in a member's pid namespace", ONLY_ROOT);
    }
    let mut case = Case::new("guest", tier);
    let (program, hidden) = (case.program("guest"), case.program("hidden"));
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let order = Order::new(&program, "inn").other(hidden.to_str().unwrap());
    let villain = case.start(order.file(&case.path("init")));
    case.wait_for_members(3);
    let init = case.number_in("init");
    let order = Order::bystander(&program, "guest").number(init);
    case.pass(order.file(&case.path("guest")));
    let guest = Started::hold(case.number_in("guest"));
    let parent = || parent_of(guest.pid) == Some(init);
    wait_until("the guest to be adopted", parent);
    daemon.log.signal(villain.pid, "TERM");
    let outcome = daemon.log.about(villain.pid, "outcome");
    assert!(guest.lives(), "{}", outcome.text);
    let kill = daemon.log.signal(villain.pid, "KILL");
    let mut row = case.row(23, "a guest in a member's pid namespace", kill.at);
    let targets = daemon.log.targets();
    row.lost += targets.iter().filter(|(pid, _)| *pid == guest.pid).count();
    row.holds(&daemon.log.text());
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = stat.rsplit(')').next()?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// Scenario 40: a member goes to another group, a canary comes into the tree's.
fn a_control_group_is_no_tie(tier: Tier) {
    if !root() {
        return cannot_show("another control group", ONLY_ROOT);
    }
    let mut case = Case::new("cgroup", tier);
    let program = case.program("cgroup");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "pair").file(&case.path("leave")));
    let member = Started::hold(case.number_in("leave.pid"));
    daemon.log.about(villain.pid, "incident");
    case.oracle().put_out(member.pid);
    let canary = case.start(Order::canary(&program));
    case.oracle().take_in(canary.pid);
    case.keep(canary);
    let story = "a member leaves the cgroup, a canary enters it";
    ends(&case, &daemon, &villain, ("40", story), Promise::Nobody);
    assert!(!member.lives(), "{}", daemon.log.text());
}

/// Scenario 45: what arrives in a pid namespace, once anybody on the machine listens, means other processes there.
#[test]
fn in_a_pid_namespace_events_are_not_trusted() {
    if !root() {
        return cannot_show("a daemon in a pid namespace", ONLY_ROOT);
    }
    let mut case = Case::new("container", Tier::Scan);
    let program = case.program("container");
    case.canaries(&program);
    // Somebody on the machine listens.
    let outside = Watch::new(&case.beadle(), &fresh(&case, "outside"), User::Me);
    let outside = outside.tier(Tier::Events).leash(case.leash());
    let outside = outside
        .rules("version: 1\nbuiltin: none\nrules: []\n")
        .start();
    assert_eq!(outside.log.event("start").says["tier"], "events");
    let said = case.path("said");
    let log = pipe(&said, User::Me);
    let inside = Watch::new(&case.beadle(), &fresh(&case, "inside"), User::Me);
    let inside = inside.tier(Tier::Events).leash(1).rules(&rules(&program));
    let words = inside.words().into_iter();
    let words: Vec<_> = words.map(|word| word.into_string().unwrap()).collect();
    let unshare = Path::new("/usr/bin/unshare");
    let arguments = ["-pf", "--mount-proc", "--", program.to_str().unwrap()];
    let order = Order::command(unshare, &arguments)
        .other(&serde_json::json!(words).to_string())
        .variable("BEADLE_VILLAIN", "host")
        .file(&said);
    let villain = case.start(order);
    let start = log.event("start");
    assert_eq!(start.says["tier"], "scan", "{}", start.text);
    assert!(
        start.says["deaf"]
            .as_str()
            .is_some_and(|why| why.contains("namespace")),
        "{}",
        start.text
    );
    let kill = log.wait("KILL", |says| {
        says["event"] == "signal" && says["signal"] == "KILL"
    });
    log.event("close");
    // The host and its daemon live on, with the one that made their namespace.
    wait_until("the runaway's end", || case.survivors() == 3);
    let row = Row {
        number: Number::from(45),
        story: "a daemon in a pid namespace",
        tier: Tier::Scan,
        survivors: case.survivors() - 3,
        lost: case.lost(),
        empty: Some(kill.at.elapsed()),
        promise: Promise::Nobody,
    };
    row.tell();
    row.holds(&log.text());
    assert!(villain.lives());
}

/// A folder of its own within the case's.
fn fresh(case: &Case, name: &str) -> PathBuf {
    let path = case.path(name);
    fs::create_dir(&path).unwrap();
    path
}
