//! CI jobs and control groups: all who carry the label of a job, or are in the group, are ended, wherever they have got to, and
//! nobody else.

use std::path::Path;
use std::time::Duration;

use super::case::Case;
use super::in_both_tiers;
use super::launch::{Order, Started};
use super::report::{Promise, Tier, cannot_show};
use super::stage::root;
use super::villain::{LABEL, SERVER};
use super::wait::wait_for;

in_both_tiers!(a_job_cannot_leave_but_by_another_value);
in_both_tiers!(who_is_in_the_control_group_is_ended);

/// Scenario 50: a double fork, a session, a multiplexer; a stray that hangs from nobody in the job; a daemon that left it by
/// `BUILD_TAG=dontKillMe`, and its child; others' jobs, and no job at all.
fn a_job_cannot_leave_but_by_another_value(tier: Tier) {
    let mut case = Case::new("job", tier);
    let (step, runner) = (case.program("step"), case.program("runner"));
    let (tmux, tool) = (case.program("tmux"), case.program("tool"));
    let name = step.file_name().unwrap().to_str().unwrap().to_owned();
    let rules = format!(
        "version: 1
mode: enforce
interval: 500ms
builtin: none
nudge: {{ desktop: false, journal: false }}
rules:
  - name: job
    match: {{ exe: {name} }}
    scope: env:{LABEL}
    limits: {{ cpu_time: 300ms }}
    ladder: [ nudge, {{ after: 2s, signal: TERM }}, {{ after: 2s, signal: KILL }} ]
"
    );
    for label in ["job-8", "", "job-70"] {
        for program in [&step, &tool] {
            let canary = case.start(Order::canary(program).variable(LABEL, label));
            case.keep(canary);
        }
    }
    case.canaries(&step);
    let daemon = case.watch().rules(&rules).start();
    let stray = Order::new(&tool, "ignore").burn(0);
    let stray = case.start(stray.variable(LABEL, "job-7"));
    let folder = case.path("").to_str().unwrap().to_owned();
    let order = Order::new(&runner, "runner")
        .other(step.to_str().unwrap())
        .variable(SERVER, tmux.to_str().unwrap())
        .variable("BEADLE_FILE", &folder);
    let runner = case.start(order);
    let job = case.number_in("job");
    let (left, child) = (case.number_in("left"), case.number_in("child"));
    case.keep(runner);
    case.keep(Started::hold(left));
    case.keep(Started::hold(child));
    daemon.log.about(job, "nudge");
    let why = daemon.ask_json(&["why", &stray.pid.to_string()]);
    assert_eq!(why["rules"][0]["relation"], "member", "{why}");
    assert_eq!(why["rules"][0]["label"], "BUILD_TAG=job-7", "{why}");
    assert_eq!(why["rules"][0]["scope"], "env:BUILD_TAG", "{why}");
    let kill = daemon.log.signal(job, "KILL");
    let close = daemon.log.about(job, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    // A multiplexer that no look saw start may be a person's.
    let promise = match tier {
        Tier::Events => Promise::Nobody,
        Tier::Scan => Promise::AtMost(2, "no look saw who started the multiplexer"),
    };
    let story = "a CI job: daemon, tmux, stray; one left it";
    let row = case.promise(50, story, kill.at, promise);
    row.holds(&daemon.log.text());
    let targets = daemon.log.targets();
    let spared = |(pid, _): &(u32, String)| [left, child].contains(pid);
    assert!(!targets.iter().any(spared), "{targets:?}");
    drop(stray);
}

/// Somebody in the case's group, who has gone in by himself before he begins.
fn inside(case: &mut Case, program: &Path) -> Started {
    let started = case.start(Order::new(program, "ignore").burn(0));
    let patience = Duration::from_secs(10);
    let there = || (case.oracle().knows(started.pid) == Some(true)).then_some(());
    wait_for("somebody in the group", patience, there).unwrap();
    started
}

/// Scenario 51: one came into the group from elsewhere, one went elsewhere, one went into a group below it.
fn who_is_in_the_control_group_is_ended(tier: Tier) {
    if !root() {
        return cannot_show("scope: cgroup", "only root may make control groups");
    }
    let mut case = Case::new("group", tier);
    let (step, tool) = (case.program("step"), case.program("tool"));
    let name = step.file_name().unwrap().to_str().unwrap().to_owned();
    let rules = format!(
        "version: 1
mode: enforce
interval: 500ms
builtin: none
nudge: {{ desktop: false, journal: false }}
rules:
  - name: group
    match: {{ exe: {name} }}
    scope: cgroup
    limits: {{ cpu_time: 300ms }}
    ladder: [ nudge, {{ after: 2s, signal: TERM }}, {{ after: 2s, signal: KILL }} ]
"
    );
    case.canaries(&tool);
    let daemon = case.watch().rules(&rules).start();
    // Started in the group of the case; two of them leave it.
    let gone = inside(&mut case, &tool);
    let below = inside(&mut case, &tool);
    case.oracle().put_out(gone.pid);
    let inner = case.oracle().put_below(below.pid);
    let came = inside(&mut case, &tool);
    case.oracle().put_out(came.pid);
    let job = case.start(Order::new(&step, "ignore"));
    daemon.log.about(job.pid, "nudge");
    case.oracle().take_in(came.pid);
    let why = daemon.ask_json(&["why", &job.pid.to_string()]);
    assert_eq!(why["rules"][0]["scope"], "cgroup", "{why}");
    let kill = daemon.log.signal(job.pid, "KILL");
    let close = daemon.log.about(job.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    let (gone_lives, below_lives) = (gone.lives(), below.lives());
    assert!(!came.lives(), "came in, and lives: {}", daemon.log.text());
    assert!(gone_lives, "had gone elsewhere: {}", daemon.log.text());
    assert!(below_lives, "was in a group below: {}", daemon.log.text());
    drop((gone, below));
    drop(inner);
    let story = "a control group: one came, one went, one below";
    let row = case.promise(51, story, kill.at, Promise::Nobody);
    row.holds(&daemon.log.text());
}
