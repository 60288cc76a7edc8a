//! What a command leaves behind is gone when `beadle run` is.

use std::process::Command;

use serde_json::{Value, json};

use super::{Ground, err, report};
use crate::e2e::in_both_tiers;
use crate::e2e::report::{Tier, cannot_show};
use crate::e2e::stage::{User, root};
use crate::e2e::wait::wait_until;

/// Sixty orphans of three kinds, which live for two minutes.
const SIXTY: &str = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); \
    setsid sleep 120 & nohup sleep 120 >/dev/null 2>&1 & (sleep 120 &) done; exit 3";

in_both_tiers!(sixty_orphans_are_gone_with_the_command);
in_both_tiers!(orphans_that_turn_a_deaf_ear_are_ended);
in_both_tiers!(orphans_that_go_on_forking_are_ended);
in_both_tiers!(who_becomes_one_to_be_kept_is_kept_and_who_ceases_to_be_is_not);
in_both_tiers!(an_orphan_of_one_that_is_kept_stays);
in_both_tiers!(age_and_those_above_are_known_of_whom_to_keep);

fn sixty_orphans_are_gone_with_the_command(tier: Tier) {
    let ground = Ground::new();
    let output = ground
        .run_in(tier, &["--report", "-", "--", "sh", "-c", SIXTY])
        .output()
        .unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    let left = &report["left_behind"];
    assert_eq!(left["found"].as_array().unwrap().len(), 60, "{report}");
    assert_eq!(left["asked"], 60, "{report}");
    is_proven(left);
    ground.is_left_empty();
    assert!(err(&output).contains("sh left 60 processes behind; nobody is left"));
}

fn orphans_that_turn_a_deaf_ear_are_ended(tier: Tier) {
    let ground = Ground::new();
    let deaf = "for i in 1 2 3 4 5; do setsid sh -c \"trap '' TERM INT HUP; sleep 120; sleep 120\" & done; sleep 1";
    let args = ["--leftover", "2s", "--report", "-", "--", "sh", "-c", deaf];
    let output = ground.run_in(tier, &args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(
        report["left_behind"]["ended"].as_u64().unwrap() >= 5,
        "{report}"
    );
    is_proven(&report["left_behind"]);
    ground.is_left_empty();
}

fn orphans_that_go_on_forking_are_ended(tier: Tier) {
    let report = comets(User::Me, &["--tier", tier.word()], 40_000);
    assert_eq!(report["left_behind"]["left"], json!([]), "{report}");
    is_proven(&report["left_behind"]);
}

/// Nobody can be frozen there: a comet has to be caught in the two milliseconds that it lives, which on a busy machine nobody
/// promises. But who is left is told. They end by themselves before anybody has waited too long.
#[test]
fn of_orphans_that_go_on_forking_without_a_control_group_nobody_is_left_untold() {
    let user = match root() {
        true => User::Stranger,
        false => User::Me,
    };
    let report = comets(user, &["--tier", "scan", "--no-cgroup"], 3000);
    let left = &report["left_behind"];
    match left["proof"].as_str() {
        Some("no_child") => assert_eq!(left["left"], json!([]), "{report}"),
        Some("none") => assert_eq!(report["exit"], 122, "{report}"),
        other => panic!("{other:?}: {report}"),
    }
}

fn comets(user: User, options: &[&str], forks: u32) -> Value {
    let ground = Ground::of(user);
    // So many forks at most, one after the other, each by another process; deaf, and each in a session of its own. Where they are many that
    // takes longer than anybody waits for it: only who is ended is gone.
    let comet =
        format!("n=$1; trap '' TERM; [ $n -lt {forks} ] && setsid sh \"$0\" $((n+1)) & exit 0");
    let dir = ground.stage.folder("comet", ground.user);
    let script = dir.path().join("comet");
    std::fs::write(&script, comet).unwrap();
    let script = script.display();
    let start = format!("sh {script} 0; sh {script} 0; sleep 0.3");
    let most = ["--leftover", "1s", "--report", "-", "--", "sh", "-c"];
    let output = ground
        .run(&[options, &most, &[&start]].concat())
        .output()
        .unwrap();
    let report = report(&output);
    let proven = report["left_behind"]["proof"] != "none";
    let code = if proven { 0 } else { 122 };
    assert_eq!(output.status.code(), Some(code), "{}", err(&output));
    ground.is_left_empty();
    report
}

#[test]
fn the_same_without_privileges_and_without_a_control_group() {
    if !root() {
        return cannot_show(
            "a change of user",
            "all other tests run without privileges here",
        );
    }
    let ground = Ground::of(User::Stranger);
    let args = ["--report", "-", "--", "sh", "-c", SIXTY];
    let output = ground.run(&args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert_eq!(report["cpu_source"], "at_least", "{report}");
    assert_eq!(report["left_behind"]["proof"], "no_child", "{report}");
    ground.is_left_empty();
}

#[test]
fn what_goes_by_itself_is_given_the_time() {
    let ground = Ground::new();
    // It has its last line still to write when the command is gone.
    let late = "(trap 'echo asked' TERM; sleep 0.3; echo last) & exit 0";
    let args = ["--", "sh", "-c", late];
    let output = ground.run(&args).output().unwrap();
    assert_eq!(
        (super::out(&output), err(&output)),
        ("last\n".to_owned(), String::new())
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn whom_a_matcher_keeps_stays_with_all_that_it_started() {
    let ground = Ground::new();
    let dir = ground.stage.folder("keep", ground.user);
    let server = dir.path().join("server");
    std::fs::write(&server, "sleep 12; exit 0\n").unwrap();
    let start = format!(
        "setsid sh {} >/dev/null 2>&1 & setsid sleep 60 & exit 0",
        server.display()
    );
    let args = [
        "--keep",
        "program: server",
        "--report",
        "-",
        "--",
        "sh",
        "-c",
        &start,
    ];
    let output = ground.run(&args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let left = &report["left_behind"];
    assert_eq!(left["proof"], "only_kept", "{report}");
    let kept = left["kept"].as_array().unwrap();
    assert_eq!((kept.len(), &left["asked"]), (2, &json!(1)), "{report}");
    let kept: Vec<u64> = kept
        .iter()
        .map(|one| one["pid"].as_u64().unwrap())
        .collect();
    let lives = |pid: &u64| std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(kept.iter().all(lives), "{report}");
    // They end by themselves.
    wait_until("their end", || !kept.iter().any(lives));
}

/// Runs it with `--keep` and waits for the report; who is kept by name, and all names that were told to be ended.
fn kept(ground: &Ground, tier: Tier, keep: &str, start: &str) -> (Vec<String>, Value) {
    let args = [
        "--leftover",
        "3s",
        "--keep",
        keep,
        "--report",
        "-",
        "--",
        "sh",
        "-c",
        start,
    ];
    let output = ground.run_in(tier, &args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{}\n{report}", err(&output));
    let kept = report["left_behind"]["kept"].as_array().unwrap();
    let names = kept
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    (names, report)
}

/// A script of this name.
fn script(dir: &std::path::Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn who_becomes_one_to_be_kept_is_kept_and_who_ceases_to_be_is_not(tier: Tier) {
    let ground = Ground::new();
    let dir = ground.stage.folder("execs", ground.user);
    let server = script(dir.path(), "server", "sleep 9; exit 0\n");
    let ceases = script(dir.path(), "server2", "sleep 0.3; exec sleep 61\n");
    let start = format!(
        "exec >/dev/null 2>&1; setsid sh -c 'sleep 0.3; exec sh {server}' & setsid sh {ceases} & exit 0"
    );
    let (names, report) = kept(&ground, tier, "program: server*", &start);
    assert_eq!(names, ["sh", "sleep"], "{report}");
    // The one that became another program was ended, and nobody asked of it is left.
    assert!(
        report["left_behind"]["ended"].as_u64() >= Some(1),
        "{report}"
    );
    wait_until("their end", || ground.oracle.is_empty());
}

fn an_orphan_of_one_that_is_kept_stays(tier: Tier) {
    let ground = Ground::new();
    let dir = ground.stage.folder("orphan", ground.user);
    // Who is in between lives for as long as two looks take.
    let text = "sh -c 'setsid sleep 11 & sleep 1.5'; sleep 11; exit 0\n";
    let server = script(dir.path(), "server", text);
    let start =
        format!("exec >/dev/null 2>&1; setsid sh {server} & setsid sleep 60 & sleep 2.5; exit 0");
    let (names, report) = kept(&ground, tier, "program: server", &start);
    assert_eq!(names, ["sh", "sleep", "sleep"], "{report}");
    assert_eq!(report["left_behind"]["asked"], 1, "{report}");
    wait_until("their end", || ground.oracle.is_empty());
}

fn age_and_those_above_are_known_of_whom_to_keep(tier: Tier) {
    let ground = Ground::new();
    let dir = ground.stage.folder("above", ground.user);
    let server = script(dir.path(), "server", "sleep 12; exit 0\n");
    let start = format!("exec >/dev/null 2>&1; setsid sh {server} & sleep 1; exit 0");
    let (names, report) = kept(&ground, tier, "ancestor: { program: server }", &start);
    assert_eq!(names, ["sleep"], "{report}");
    let start = "exec >/dev/null 2>&1; setsid sleep 11 & sleep 3; setsid sleep 61 & exit 0";
    let (names, report) = kept(&ground, tier, "{ program: sleep, age: 2s }", start);
    // The younger one is asked, and goes, before it is as old as that.
    let asked = &report["left_behind"]["asked"];
    assert_eq!(
        (names, asked),
        (vec!["sleep".to_owned()], &1.into()),
        "{report}"
    );
    wait_until("their end", || ground.oracle.is_empty());
}

/// Whose parent nobody saw cannot be told from one whose parent is meant.
#[test]
fn who_is_left_because_nobody_knows_is_told_and_costs_the_status() {
    let ground = Ground::new();
    let start = "exec >/dev/null 2>&1; (setsid sleep 12 &); exit 0";
    let args = [
        "--tier",
        "scan",
        "--leftover",
        "1s",
        "--quiet",
        "--keep",
        "parent: { name: not-so-called }",
        "--",
        "sh",
        "-c",
        start,
    ];
    let output = ground.run(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(122), "{}", err(&output));
    assert!(err(&output).contains("STILL THERE"), "{}", err(&output));
    assert!(err(&output).contains("(sleep)"), "{}", err(&output));
    wait_until("their end", || ground.oracle.is_empty());
    remove_groups(&ground);
}

/// Whoever stays had a group that could not be taken down.
fn remove_groups(ground: &Ground) {
    if root() {
        for group in ground.groups() {
            wait_until("an empty group", || std::fs::remove_dir(&group).is_ok());
        }
    }
}

#[test]
fn what_is_left_behind_is_asked_with_the_first_signal_that_asks_and_told_by_name() {
    let ground = Ground::new();
    let start = "sh -c 'trap \"echo usr; exit\" USR1; trap \"echo term\" TERM; n=0; \
                 while [ $n -lt 200 ]; do n=$((n+1)); sleep 0.1; done' & sleep 0.3";
    let args = ["--ask", "USR1,TERM", "--", "sh", "-c", start];
    let output = ground.run(&args).output().unwrap();
    assert_eq!(super::out(&output), "usr\n", "{}", err(&output));
    let told = err(&output);
    assert!(
        told.contains("SIGUSR1 to 2 processes: ") && told.contains(" (sh)"),
        "{told}"
    );
    ground.is_left_empty();
}

#[test]
fn a_server_of_terminals_is_left_behind_like_anybody() {
    let ground = Ground::new();
    let dir = ground.stage.folder("tmux", ground.user);
    let tmux = format!(
        "tmux -S {}/s -f /dev/null new-session -d 'sleep 60'",
        dir.path().display()
    );
    let args = ["--report", "-", "--", "sh", "-c", &tmux];
    let output = ground.run(&args).output().unwrap();
    let report = report(&output);
    let found = report["left_behind"]["found"].as_array().unwrap().len();
    assert!(found >= 2, "{report}");
    is_proven(&report["left_behind"]);
    ground.is_left_empty();
}

#[test]
fn a_run_within_a_run_ends_with_it() {
    let ground = Ground::new();
    let inner = ground.stage.beadle();
    let inner = inner.to_str().unwrap();
    let args = [
        "--age",
        "2s",
        "--grace",
        "1s",
        "--report",
        "-",
        "--",
        inner,
        "run",
        "--",
        "sh",
        "-c",
        "setsid sleep 60 & sleep 60",
    ];
    let output = ground.run(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", err(&output));
    ground.is_left_empty();
}

/// A fact of the kernel's, and not a look that found nobody.
#[track_caller]
fn is_proven(left: &Value) {
    assert_eq!(left["left"].as_array().unwrap().len(), 0, "{left}");
    let proof = if root() { "empty_cgroup" } else { "no_child" };
    assert_eq!(left["proof"], proof, "{left}");
}

/// An entry point that starts a server and then becomes beadle, which is its parent from then on.
#[test]
fn who_was_there_before_the_command_is_not_taken_for_its_child() {
    let ground = Ground::new();
    let beadle = ground.stage.beadle();
    let script = format!(
        "sleep 60 >/dev/null 2>&1 & echo $! >&2; exec {} run --processes 1 -- true",
        beadle.display()
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script]);
    ground.prepare(&mut command);
    let output = command.output().unwrap();
    let told = err(&output);
    assert_eq!(output.status.code(), Some(125), "{told}");
    let number = told.lines().next().unwrap();
    assert!(
        told.contains(&format!("process {number} among them")),
        "{told}"
    );
    let before: u32 = number.parse().unwrap();
    assert_eq!(ground.oracle.living(), [before].into(), "{told}");
    // The oracle ends it.
}
