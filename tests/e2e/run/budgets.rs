//! Over a budget: ended, told why, and 124. Over an assertion: not ended, and 123.

use std::fs;

use serde_json::json;

use super::{Ground, err, report};
use crate::e2e::in_both_tiers;
use crate::e2e::report::{Tier, cannot_show};
use crate::e2e::stage::root;

/// Turns a deaf ear to what asks it.
const SPINS: &str = "trap '' TERM; ulimit -t 30; while :; do :; done";

in_both_tiers!(a_command_over_its_cpu_time_is_asked_and_ended);
in_both_tiers!(a_command_over_its_memory_is_ended);
in_both_tiers!(a_command_over_its_age_is_ended);
in_both_tiers!(a_command_that_hangs_is_ended_and_a_slow_one_is_not);
in_both_tiers!(a_command_with_too_many_processes_is_ended);
in_both_tiers!(orphans_count_and_are_ended_with_the_rest);

fn a_command_over_its_cpu_time_is_asked_and_ended(tier: Tier) {
    let ground = Ground::new();
    let args = [
        "--cpu-time",
        "1s",
        "--grace",
        "500ms",
        "--report",
        "-",
        "--",
        "sh",
        "-c",
        SPINS,
    ];
    let output = ground.run_in(tier, &args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(124), "{}", err(&output));
    assert_eq!(report["ended_by"], "beadle");
    assert_eq!(report["why"]["signals"], json!(["TERM", "KILL"]));
    let reading = &report["why"]["evidence"]["readings"];
    assert_eq!(reading.as_array().unwrap().len(), 1, "{report}");
    assert_eq!(reading[0]["metric"], "cpu_time");
    assert!(reading[0]["at_least"].as_f64().unwrap() > 1.0);
    assert!(err(&output).contains("ended sh after"), "{}", err(&output));
    assert!(err(&output).contains("CPU time"), "{}", err(&output));
    assert!(err(&output).contains("nobody is left"), "{}", err(&output));
    ground.is_left_empty();
}

fn a_command_over_its_memory_is_ended(tier: Tier) {
    let ground = Ground::new();
    let holds = "x=$(head -c 40000000 /dev/zero | tr '\\0' a); sleep 30";
    let args = ["--memory", "20M", "--report", "-", "--", "sh", "-c", holds];
    let output = ground.run_in(tier, &args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(124), "{}", err(&output));
    assert_eq!(report["why"]["evidence"]["readings"][0]["metric"], "memory");
    assert!(
        report["peak_memory_bytes"].as_u64().unwrap() > 20 << 20,
        "{report}"
    );
    assert_eq!(report["biggest"][0]["name"], "sh", "{report}");
    ground.is_left_empty();
}

fn a_command_over_its_age_is_ended(tier: Tier) {
    let ground = Ground::new();
    let args = ["--age", "2s", "--quiet", "--", "sleep", "30"];
    let output = ground.run_in(tier, &args).output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", err(&output));
    assert_eq!(err(&output), "", "it was asked to be quiet");
    ground.is_left_empty();
}

fn a_command_that_hangs_is_ended_and_a_slow_one_is_not(tier: Tier) {
    let ground = Ground::new();
    let run = |budget: &str, script: &str| {
        let args = [budget, "3s", "--report", "-", "--", "sh", "-c", script];
        ground.run_in(tier, &args).output().unwrap()
    };
    let hangs = run("--stalled", "sleep 60 & sleep 60; wait");
    assert_eq!(hangs.status.code(), Some(124), "{}", err(&hangs));
    let told = err(&hangs);
    assert!(told.contains("nothing moved for"), "{told}");
    assert!(told.contains("for a child to end"), "{told}");
    ground.is_left_empty();
    // Somebody is started as often as it breathes: nothing moves but that.
    let slow = run("--stalled", "for i in 1 2 3 4 5 6; do sleep 1; done");
    assert_eq!(slow.status.code(), Some(0), "{}", err(&slow));
    let spins = run("--spinning", "i=0; while :; do i=$((i+1)); done");
    assert_eq!(spins.status.code(), Some(124), "{}", err(&spins));
    let told = err(&spins);
    assert!(told.contains("busy with nothing to show for"), "{told}");
    let counts =
        "i=0; while [ $i -lt 4000000 ]; do i=$((i+1)); [ $((i % 100000)) != 0 ] || echo $i; done";
    let counts = run("--spinning", counts);
    assert_eq!(counts.status.code(), Some(0), "{}", err(&counts));
    ground.is_left_empty();
}

fn a_command_with_too_many_processes_is_ended(tier: Tier) {
    let ground = Ground::new();
    let many = "for i in 1 2 3 4 5 6 7 8; do sleep 30 & done; wait";
    let args = ["--processes", "5", "--report", "-", "--", "sh", "-c", many];
    let output = ground.run_in(tier, &args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(124), "{}", err(&output));
    assert_eq!(report["peak_processes"], 9, "{report}");
    ground.is_left_empty();
}

/// Each hop makes a session of its own, forgets its environment and loses its parent before anybody looks.
fn orphans_count_and_are_ended_with_the_rest(tier: Tier) {
    let ground = Ground::new();
    let hides =
        "for i in 1 2 3 4 5 6 7 8; do (setsid env -i sh -c '(sleep 30 &)' &) ; done; sleep 30";
    let args = ["--processes", "5", "--report", "-", "--", "sh", "-c", hides];
    let output = ground.run_in(tier, &args).output().unwrap();
    let report = report(&output);
    assert_eq!(
        output.status.code(),
        Some(124),
        "{}\n{report}",
        err(&output)
    );
    assert_eq!(report["peak_processes"], 10, "{report}");
    ground.is_left_empty();
}

#[test]
fn a_status_of_0_after_beadle_asked_is_124_all_the_same() {
    let ground = Ground::new();
    let obeys = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let args = ["--age", "1s", "--report", "-", "--", "sh", "-c", obeys];
    let output = ground.run(&args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(124), "{}", err(&output));
    assert_eq!(report["why"]["signals"], json!(["TERM"]));
    assert_eq!(
        (&report["status"], &report["ended_by"]),
        (&json!(0), &json!("beadle"))
    );
}

/// It heeds what it was asked for, and is within its budget from then on.
#[test]
fn a_command_that_recovers_after_it_was_asked_ends_by_itself() {
    let ground = Ground::new();
    let heeds = "trap : TERM; sleep 60 & sleep 60 & sleep 60 & wait; wait; sleep 14; exit 5";
    let args = [
        "--processes",
        "3",
        "--grace",
        "40s",
        "--report",
        "-",
        "--",
        "sh",
        "-c",
        heeds,
    ];
    let output = ground.run(&args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(5), "{}\n{report}", err(&output));
    assert!(err(&output).contains("SIGTERM to"), "{}", err(&output));
    assert_eq!(report["ended_by"], "itself", "{report}");
    assert!(report.get("why").is_none(), "{report}");
}

#[test]
fn the_signals_that_ask_come_in_the_order_given() {
    let ground = Ground::new();
    let says = "trap 'echo int' INT; trap 'echo term; exit 1' TERM; while :; do sleep 0.1; done";
    let args = [
        "--age", "1s", "--ask", "INT,TERM", "--grace", "1s", "--", "sh", "-c", says,
    ];
    let output = ground.run(&args).output().unwrap();
    assert_eq!(super::out(&output), "int\nterm\n", "{}", err(&output));
    assert_eq!(output.status.code(), Some(124));
}

#[test]
fn within_its_budget_a_command_is_left_alone() {
    let ground = Ground::new();
    let args = [
        "--age",
        "1h",
        "--cpu-time",
        "1h",
        "--memory",
        "50%",
        "--processes",
        "100",
        "--",
        "sh",
        "-c",
        "sleep 3; echo done; exit 4",
    ];
    let output = ground.run(&args).output().unwrap();
    assert_eq!(
        (super::out(&output), err(&output)),
        ("done\n".to_owned(), String::new())
    );
    assert_eq!(output.status.code(), Some(4));
}

/// What a program of the built-in lists does is the command's own business, and goes against its budget.
#[test]
fn a_shell_a_multiplexer_and_a_bus_are_no_way_out() {
    let ground = Ground::new();
    let dir = ground.stage.folder("ways-out", ground.user);
    let tmux = format!(
        "tmux -S {}/s -f /dev/null new-session -d 'sleep 40'; bash --norc -i -c 'sleep 40'",
        dir.path().display()
    );
    let args = [
        "--age", "2s", "--grace", "1s", "--report", "-", "--", "sh", "-c", &tmux,
    ];
    let output = ground.run(&args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(124), "{}", err(&output));
    let members = report["why"]["evidence"]["members"].as_u64().unwrap();
    assert!(members >= 4, "sh, the server, its pane and bash: {report}");
    ground.is_left_empty();
}

#[test]
fn assertions_fail_a_build_and_end_nothing() {
    let ground = Ground::new();
    let works = "for i in 1 2 3 4; do sleep 3 & done; wait; echo done";
    let args = [
        "--assert-processes",
        "3",
        "--assert-age",
        "1s",
        "--assert-memory",
        "1T",
        "--report",
        "-",
        "--",
        "sh",
        "-c",
        works,
    ];
    let output = ground.run(&args).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(123), "{}", err(&output));
    assert!(super::out(&output).starts_with("done\n"));
    let over: Vec<&str> = report["over"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["what"].as_str().unwrap())
        .collect();
    assert_eq!(over, ["processes", "age"]);
    assert_eq!(
        report["over"][0],
        json!({ "what": "processes", "limit": 3, "was": 5 })
    );
    assert!(err(&output).contains("over --assert-processes: there were 5, 3 allowed"));
}

#[test]
fn a_command_that_fails_by_itself_keeps_its_status_over_an_assertion() {
    let ground = Ground::new();
    let args = [
        "--assert-processes",
        "0",
        "--",
        "sh",
        "-c",
        "sleep 2; exit 9",
    ];
    let output = ground.run(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(9), "{}", err(&output));
    assert!(err(&output).contains("over --assert-processes"));
}

/// The kernel's own count for a group that only the command is in.
#[test]
fn cpu_time_is_what_the_control_group_counts() {
    if !root() {
        return cannot_show("CPU time against a cgroup", "only root has control groups");
    }
    for kind in [&["--no-cgroup"][..], &[]] {
        let (ground, inner) = (Ground::new(), crate::e2e::oracle::Oracle::new());
        let burns = "ulimit -t 20; i=0; while [ $i -lt 60 ]; do i=$((i+1)); \
                     sh -c 'j=0; while [ $j -lt 9000 ]; do j=$((j+1)); done'; done";
        let script = match kind {
            // The enclosure counts what was used in it: nobody is moved out of it.
            [] => format!("{burns}; times >&2"),
            _ => format!(
                "echo $$ > {}; {burns}",
                inner.path("cgroup.procs").display()
            ),
        };
        let args = [kind, &["--report", "-", "--", "sh", "-c", &script]].concat();
        let output = ground.run(&args).output().unwrap();
        let report = report(&output);
        let told = report["cpu_seconds"].as_f64().unwrap();
        if kind.is_empty() {
            assert_eq!(report["cpu_source"], "cgroup", "{report}");
            let used = times(&err(&output));
            assert!(used > 0.1, "{report}");
            assert!(
                (told - used).abs() < 0.1 + used * 0.05,
                "{told} against {used}"
            );
            continue;
        }
        let stat = fs::read_to_string(inner.path("cpu.stat")).unwrap();
        let used = stat
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        let used = used.unwrap().parse::<f64>().unwrap() / 1e6;
        assert_eq!(report["cpu_source"], "at_least", "{report}");
        assert!(used > 0.1, "{stat}");
        // A few milliseconds were used before it was in the group.
        assert!(
            (told - used).abs() < 0.05 + used * 0.05,
            "{told} against {used}"
        );
    }
}

/// What the `times` of a shell has printed: user and system time of itself, and of its children.
fn times(text: &str) -> f64 {
    let times = text.lines().flat_map(str::split_whitespace);
    let times = times.filter_map(|time| time.strip_suffix('s')?.split_once('m'));
    let times = times.filter_map(|(minutes, seconds)| {
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    });
    times.sum()
}

/// What is used in a group of its own is not in the count of the command's.
#[test]
fn cpu_time_used_in_another_group_counts() {
    if !root() {
        return cannot_show("CPU time used outside", "only root has control groups");
    }
    let (ground, outside) = (Ground::new(), crate::e2e::oracle::Oracle::new());
    let script = format!(
        "ulimit -t 20; sh -c 'echo $$ > {}; i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done'",
        outside.path("cgroup.procs").display()
    );
    let args = ["--report", "-", "--", "sh", "-c", &script];
    let output = ground.run(&args).output().unwrap();
    let report = report(&output);
    let used = outside.used().as_secs_f64();
    assert!(used > 0.1, "{used}");
    assert!(
        report["cpu_seconds"].as_f64().unwrap() > used * 0.9,
        "{report}"
    );
    assert_eq!(report["cpu_source"], "at_least", "{report}");
}
