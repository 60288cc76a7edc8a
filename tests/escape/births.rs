//! Those who are many, and those who hide whose children they are.

use super::ends;
use crate::e2e::case::{Case, rules, rules_with};
use crate::e2e::in_both_tiers;
use crate::e2e::launch::{Order, Started};
use crate::e2e::report::{Promise, Tier};
use crate::e2e::stage::User;

in_both_tiers!(a_foreign_subreaper_is_not_blamed_for_its_orphans);
in_both_tiers!(a_bomb_is_put_out);
in_both_tiers!(a_sibling_by_descent_is_not_taken_for_a_child);
in_both_tiers!(children_had_while_term_is_handled_are_members);
in_both_tiers!(who_leaves_a_respawner_behind_leaves_it_in_the_tree);
in_both_tiers!(threads_that_fork_while_their_leader_stands_still_are_stopped_too);

/// Scenario 5: orphans go to a subreaper that another rule judges, and their CPU time shows in its own figures.
fn a_foreign_subreaper_is_not_blamed_for_its_orphans(tier: Tier) {
    let mut case = Case::new("subreaper", tier);
    let (program, reaper) = (case.program("orphans"), case.program("reaper"));
    let hidden = case.program("hidden");
    case.canaries(&program);
    // What is kept is known once it has lived for a second: until then it counts for the one who started it.
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let second = format!(
        "  - name: reaper
    match: {{ exe: {} }}
    keep: {{ exe: {} }}
    limits: {{ all: [ {{ cpu_time: 300ms }}, {{ age: 2s }} ] }}
    ladder: [ nudge, {{ after: 1s, signal: TERM }}, {{ after: 2s, signal: KILL }} ]
",
        name(&reaper),
        name(&program)
    );
    let rules = rules(&program) + &second;
    let daemon = case.watch().rules(&rules).start();
    let told = case.path("told");
    let order = Order::new(&reaper, "subreaper")
        .other(program.to_str().unwrap())
        .number(hidden.display())
        .file(&told);
    let reaper = case.start(order);
    let reaper_pid = reaper.pid;
    case.keep(reaper);
    let villain = Started::hold(case.number_in("told"));
    let story = "orphans go to a foreign subreaper";
    ends(&case, &daemon, &villain, ("5", story), Promise::Nobody);
    let blamed = daemon.log.all("incident");
    assert!(
        blamed.iter().all(|says| says["root"] != reaper_pid),
        "{}",
        daemon.log.text()
    );
}

/// Scenario 11: nine hundred, every other one in a session of its own, none of whom listens.
fn a_bomb_is_put_out(tier: Tier) {
    let mut case = Case::alone("bomb", tier, User::Me);
    let program = case.program("bomb");
    case.canaries(&program);
    let rules = rules_with(&program, "{ processes: 100 }");
    let daemon = case.watch().rules(&rules).start();
    let villain = case.start(Order::new(&program, "bomb").number(900).forks(1000));
    let kill = daemon.log.signal(villain.pid, "KILL");
    let row = case.row(11, "bomb of 900, deaf, sessions at every hop", kill.at);
    row.holds(&daemon.log.text());
}

/// Scenario 28: the kernel says that the sibling's parent is ours, and means who called. Only a hook at the fork itself
/// could know better, so it is left alone, and said to be.
fn a_sibling_by_descent_is_not_taken_for_a_child(tier: Tier) {
    let mut case = Case::new("sibling", tier);
    let (program, hidden) = (case.program("sibling"), case.program("hidden"));
    case.canaries(&program);
    case.canaries(&hidden);
    let daemon = case.watch().rules(&rules(&program)).start();
    let order = Order::new(&program, "sibling").other(hidden.to_str().unwrap());
    let villain = case.start(order);
    case.wait_for_members(2);
    let promise = Promise::AtMost(1, "REPORTED: not to be won without BPF");
    let story = "a child that is its sibling (CLONE_PARENT)";
    ends(&case, &daemon, &villain, ("28", story), promise);
}

/// Scenario 29: a member answers TERM with its parent's end and fifty children.
fn children_had_while_term_is_handled_are_members(tier: Tier) {
    let mut case = Case::new("hydra", tier);
    let program = case.program("hydra");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "hydra"));
    case.wait_for_members(2);
    let story = "kills its parent and forks 50 on TERM";
    ends(&case, &daemon, &villain, ("29", story), Promise::Nobody);
}

/// Scenario 30: it goes when asked, and leaves somebody who starts it anew: another session, another environment, no
/// parent.
fn who_leaves_a_respawner_behind_leaves_it_in_the_tree(tier: Tier) {
    let mut case = Case::new("respawner", tier);
    let (program, hidden) = (case.program("respawner"), case.program("hidden"));
    case.canaries(&program);
    case.canaries(&hidden);
    let daemon = case.watch().rules(&rules(&program)).start();
    let order = Order::new(&program, "respawner").other(hidden.to_str().unwrap());
    let villain = case.start(order);
    let (last, promise) = match tier {
        Tier::Events => {
            let kill = daemon.log.wait("KILL", |says| {
                says["event"] == "signal" && says["signal"] == "KILL"
            });
            (kill, Promise::Nobody)
        }
        // The second would be judged as itself, were its descent from the leash known.
        Tier::Scan => (
            daemon.log.signal(villain.pid, "TERM"),
            Promise::AtMost(2, "born and left alone between two looks"),
        ),
    };
    let story = "TERM's handler leaves a respawner";
    let row = case.promise(30, story, last.at, promise);
    row.holds(&daemon.log.text());
}

/// Correction 2: a leader that is stopped says nothing of its threads.
fn threads_that_fork_while_their_leader_stands_still_are_stopped_too(tier: Tier) {
    let mut case = Case::alone("threads", tier, User::Me);
    let program = case.program("threads");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let order = Order::new(&program, "threads").number(1500).forks(2000);
    let villain = case.start(order);
    let story = "three threads fork, their leader does nothing";
    ends(&case, &daemon, &villain, ("C2", story), Promise::Nobody);
}
