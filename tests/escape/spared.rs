//! Those who are to be left alone in the midst of a tree that is ended, with what they have started.

use std::path::Path;

use crate::e2e::case::{Case, rules};
use crate::e2e::in_both_tiers;
use crate::e2e::launch::{Order, Started};
use crate::e2e::report::Tier;

in_both_tiers!(who_is_kept_protected_or_a_boundary_outlives_the_tree_around_it);

/// Their parent is a member and so are others of their session: whoever looks for more finds them first.
fn who_is_kept_protected_or_a_boundary_outlives_the_tree_around_it(tier: Tier) {
    let mut case = Case::new("household", tier);
    let program = case.program("household");
    let spared = ["kept", "protected", "boundary"].map(|name| case.program(name));
    case.canaries(&program);
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let [kept, protected, boundary] = [0, 1, 2].map(|at| name(&spared[at]));
    let rules = rules(&program)
        .replace("rules:\n", &format!("protect: [ {{ exe: {protected} }} ]\nboundaries: [ {{ exe: {boundary} }} ]\nrules:\n"))
        .replace("    limits:", &format!("    keep: {{ exe: {kept} }}\n    limits:"));
    let daemon = case.watch().rules(&rules).start();
    let list = std::env::join_paths(&spared).unwrap();
    let order = Order::new(&program, "household").other(list.to_str().unwrap());
    let villain = case.start(order.burn(1500).file(&case.path("child")));
    case.wait_for_members(8);
    daemon.log.signal(villain.pid, "TERM");
    let mut count = 0;
    for pid in case.oracle().living() {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        if spared.contains(&exe) {
            count += 1;
            case.keep(Started::hold(pid));
        }
    }
    assert_eq!(count, 6, "three, and a child of each");
    let story = "kept, protected and a boundary in its midst";
    // Its case stays open for as long as who is protected lives in it.
    let kill = daemon.log.signal(villain.pid, "KILL");
    let row = case.row("kept", story, kill.at);
    row.holds(&daemon.log.text());
}
