//! Who somebody is: by whose number, by which image, in which group.

use super::ends;
use crate::e2e::case::{Case, rules};
use crate::e2e::identity::Parted;
use crate::e2e::in_both_tiers;
use crate::e2e::launch::{Order, Started};
use crate::e2e::report::{Promise, Tier, cannot_show};
use crate::e2e::stage::root;

in_both_tiers!(children_of_the_next_bearer_of_a_members_number_are_nobodys);
in_both_tiers!(an_exec_by_a_thread_that_is_not_the_leader_is_no_death);
in_both_tiers!(the_other_end_of_a_pipeline_is_no_member);

/// Scenario 3: a member's number passes to a canary, which has a child then.
fn children_of_the_next_bearer_of_a_members_number_are_nobodys(tier: Tier) {
    if !root() {
        return cannot_show(
            "the reuse of a parent's number",
            "only root can choose numbers",
        );
    }
    let mut parted = Parted::new("parent", tier);
    let told = parted.case.path("child");
    parted.pass_on(|program| Order::bystander(program, "nest").file(&told));
    let Parted {
        mut case,
        daemon,
        villain,
        ..
    } = parted;
    let child = Started::hold(case.number_in("child"));
    case.keep(child);
    let story = "a parent's number passes to a stranger";
    ends(&case, &daemon, &villain, ("3", story), Promise::Nobody);
}

/// Scenario 17: the leader's exit is told before the exec, and no exit of the thread ever is.
fn an_exec_by_a_thread_that_is_not_the_leader_is_no_death(tier: Tier) {
    let mut case = Case::new("threadexec", tier);
    let (program, hidden) = (case.program("threadexec"), case.program("hidden"));
    case.canaries(&program);
    case.canaries(&hidden);
    let daemon = case.watch().rules(&rules(&program)).start();
    let order = Order::new(&program, "thread_exec").other(hidden.to_str().unwrap());
    let villain = case.start(order);
    let incident = daemon.log.about(villain.pid, "incident");
    let key = incident.says["key"].as_str().unwrap_or_default();
    assert!(
        key.contains(&villain.inode().to_string()),
        "another identity: {}",
        incident.text
    );
    case.wait_for_members(2);
    let story = "a thread that is not the leader execs";
    ends(&case, &daemon, &villain, ("17", story), Promise::Nobody);
}

/// Correction 4: both sides of a pipe share a process group, also where a member made it.
fn the_other_end_of_a_pipeline_is_no_member(tier: Tier) {
    let mut case = Case::new("pipeline", tier);
    let program = case.program("pipeline");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "group"));
    daemon.log.about(villain.pid, "incident");
    let neighbor = case.start(Order::bystander(&program, "neighbor").number(villain.pid));
    case.keep(neighbor);
    let story = "a stranger in a group that a member made";
    ends(&case, &daemon, &villain, ("C4", story), Promise::Nobody);
}
