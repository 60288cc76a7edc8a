//! The stage itself, without a daemon: villains do what they are said to do, the oracle sees it, and all of them end.

use std::fs;

use super::case::Case;
use super::launch::{Order, state};
use super::report::Tier;
use super::stage::User;
use super::wait::wait_until;

#[test]
fn villains_misbehave_as_told_and_leave_nobody_behind() {
    let mut case = Case::new("rehearsal", Tier::Events);
    let (program, other) = (case.program("rehearsal"), case.program("other"));
    case.canaries(&program);
    let other = other.to_str().unwrap();
    let mut members = 0;
    let mut villains = Vec::new();
    for (manner, more) in [
        ("obey", 1),
        ("daemonize", 2),
        // The one in the middle is gone soon.
        ("middle", 4),
        ("disguise", 4),
        ("hostile", 4),
        ("crowd", 41),
    ] {
        let order = Order::new(&program, manner).other(other).number(40).burn(1);
        villains.push(case.start(order));
        members += more;
        case.wait_for_members(members);
    }
    for villain in &villains {
        assert!(villain.lives(), "{}", said(&case));
    }
    drop(villains);
    // Who does not listen, or hid, outlives its root.
    wait_until("the roots to go", || case.survivors() <= members - 6 + 2);
    assert!(case.survivors() >= 45, "{}", said(&case));
    assert_eq!(case.lost(), 0);
}

#[test]
fn a_comet_is_seen_by_the_oracle_and_a_lazy_parent_has_zombies() {
    let mut case = Case::alone("comet-rehearsal", Tier::Events, User::Me);
    let program = case.program("comet");
    let comet = case.start(Order::new(&program, "comet").forks(2_000).burn(1));
    drop(comet);
    let lazy = case.start(Order::new(&program, "zombies").number(20).burn(1));
    let children = || {
        let path = format!("/proc/{0}/task/{0}/children", lazy.pid);
        let text = fs::read_to_string(path).unwrap_or_default();
        let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
        pids.filter(|pid| state(*pid) == Some('Z')).count()
    };
    wait_until("twenty zombies", || children() == 20);
    wait_until("the comet to burn out", || case.survivors() == 1);
}

fn said(case: &Case) -> String {
    fs::read_to_string(case.path("villains.log")).unwrap_or_default()
}
