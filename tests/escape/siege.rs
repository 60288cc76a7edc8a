//! The whole zoo at once: deaf, disguised, stopped, a comet, and a crowd that hops from session to session.

use super::ends;
use crate::e2e::case::{Case, rules_with};
use crate::e2e::in_both_tiers;
use crate::e2e::launch::Order;
use crate::e2e::report::{Promise, Tier};
use crate::e2e::stage::User;

in_both_tiers!(a_tree_of_885_of_all_sorts_is_ended);
in_both_tiers!(a_tree_of_2500_is_ended_while_it_grows);

/// What a scan cannot find in a zoo: the comet, which is two in the middle of a hop, and the one behind the double fork.
const UNSEEN: Promise =
    Promise::AtMost(3, "no look finds the comet, nor who left by a double fork");

fn promise(tier: Tier) -> Promise {
    match tier {
        Tier::Events => Promise::Nobody,
        Tier::Scan => UNSEEN,
    }
}

/// The zoo: root, deaf, disguised, stopped, comet, and four that multiply.
fn a_tree_of_885_of_all_sorts_is_ended(tier: Tier) {
    let mut case = Case::alone("zoo", tier, User::Me);
    let program = case.program("zoo");
    case.canaries(&program);
    let rules = rules_with(&program, "{ processes: 400 }");
    let daemon = case.watch().rules(&rules).start();
    let order = Order::new(&program, "zoo").number(885 - 9).forks(60_000);
    let villain = case.start(order);
    case.wait_for_members(880);
    let story = "885 of all sorts";
    ends(&case, &daemon, &villain, ("885", story), promise(tier));
}

/// The same with a steady growth that is not over when the attack begins.
fn a_tree_of_2500_is_ended_while_it_grows(tier: Tier) {
    let mut case = Case::alone("flood", tier, User::Me);
    let program = case.program("flood");
    case.canaries(&program);
    let rules = rules_with(&program, "{ processes: 600 }")
        .replace("after: 1s", "after: 100ms")
        .replace("after: 2s", "after: 100ms");
    let daemon = case.watch().rules(&rules).start();
    let order = Order::new(&program, "flood").number(2500).forks(60_000);
    let villain = case.start(order);
    let kill = daemon.log.signal(villain.pid, "KILL");
    let named = kill.says["pids"].as_array().unwrap().len();
    println!("attacked when {named} of 2,500 were known");
    assert!((600..2450).contains(&named), "it did not grow: {named}");
    let story = "2,500 attacked while it grows";
    let row = case.promise("2500", story, kill.at, promise(tier));
    row.holds(&daemon.log.text());
}
