//! The incident that beadle was built for, with the software that it happened in: two test runs, one of which holds an
//! embedded store's lock and waits for ever, while the other tries for that lock for ever; both at full speed.
//!
//! `tests/run` makes the Python environment that this needs; without it these tests fail and say so.

mod stuck;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::e2e::case::Case;
use crate::e2e::daemon::{Daemon, become_user};
use crate::e2e::launch::{Order, Started};
use crate::e2e::report::{Tier, cannot_show};
use crate::e2e::stage::{User, give, open_to_all, root};
use crate::e2e::wait::wait_until;

/// The longest life of anything here.
const LIFE: Duration = Duration::from_secs(100);

/// The rule, and one with larger limits for what runs in a folder of its own.
const RULES: &str = "version: 1
mode: enforce
builtin: none
nudge: { desktop: false, journal: false }
rules:
  - name: pytest
    match: { program: pytest, not: { cwd: '**/healthy' } }
    limits: { cpu_time: 8s, age: 45s }
    ladder: [ nudge, { after: 3s, signal: TERM }, { after: 2s, signal: KILL } ]
  - name: long-pytest
    match: { program: pytest, cwd: '**/healthy' }
    limits: { cpu_time: 1h, age: 2h }
    ladder: [ nudge, { after: 3s, signal: TERM }, { after: 2s, signal: KILL } ]
";

/// The same for spellings, sooner.
const SOONER: &str = "version: 1
mode: enforce
builtin: none
interval: 500ms
nudge: { desktop: false, journal: false }
rules:
  - name: pytest
    match: { program: pytest }
    limits: { cpu_time: 1500ms }
    ladder: [ nudge, { after: 500ms, signal: TERM }, { after: 2s, signal: KILL } ]
";

#[test]
fn two_runs_that_fight_for_a_store_are_ended_and_a_busy_healthy_one_is_not() {
    fight(Case::alone("fight", Tier::Events, User::Me), User::Me);
}

#[test]
fn the_same_without_privileges() {
    if !root() {
        return cannot_show(
            "a change of user",
            "all other tests run without privileges here",
        );
    }
    fight(
        Case::alone("fight-user", Tier::Events, User::Stranger),
        User::Stranger,
    );
}

fn fight(mut case: Case, user: User) {
    let python = python(user);
    let (runs, healthy) = (folder(&case, "runs", user), folder(&case, "healthy", user));
    let daemon = case.watch().rules(RULES).start();
    let store = runs.join("store");
    let test = |order: Order, folder: &Path| {
        order
            .folder(folder)
            .life(LIFE)
            .variable("STORE", store.to_str().unwrap())
    };
    let holds = Order::command(
        &python,
        &[
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "test_hold.py",
        ],
    );
    let holds = case.start(test(holds, &runs));
    wait_until("the store", || store.join("collection/answers").exists());
    let waits = Order::command(
        &python,
        &["-mpytest", "-q", "-p", "no:cacheprovider", "test_wait.py"],
    );
    let waits = case.start(test(waits, &runs));
    wait_until("the lock to be refused", || {
        runs.join("store.refused").exists()
    });
    let script = python.with_file_name("pytest");
    let passes = Order::command(
        &script,
        &["-v", "-p", "no:cacheprovider", "test_healthy.py"],
    );
    let passes = case.start(test(passes, &healthy));

    for run in [&holds, &waits] {
        ended_in_order(&daemon, run);
    }
    assert!(passes.lives(), "{}", daemon.log.text());
    // Far from its limits it is looked at now and then.
    wait_until("the twin to be judged, and to work", || {
        let ps = daemon.ask_json(&["ps"]);
        let units = ps["units"].as_array().unwrap();
        let judged = units.iter().find(|unit| unit["root"] == passes.pid);
        assert!(
            judged.is_some_and(|unit| unit["rule"] == "long-pytest"),
            "{ps}"
        );
        let used = &judged.unwrap()["evidence"]["readings"][0]["at_least"];
        used.as_f64().is_some_and(|seconds| seconds > 3.0)
    });
    assert_eq!(daemon.log.deeds(passes.pid), Vec::<String>::new());
    assert_eq!(case.survivors(), 1, "only the healthy one is left");
}

/// Nudged, asked, gone, in this order in the log; a run that dies of TERM is not sent KILL.
fn ended_in_order(daemon: &Daemon, run: &Started) {
    let close = daemon.log.about(run.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    let mut deeds = daemon.log.deeds(run.pid);
    for deed in &mut deeds {
        if deed.starts_with("nudge") {
            deed.truncate("nudge".len());
        }
    }
    assert_eq!(
        deeds,
        [
            "incident",
            "nudge",
            "signal TERM",
            "outcome TERM",
            "close ended"
        ]
    );
    wait_until("its end", || !run.lives());
}

/// Sixty workers of a run that was cut off, a third of them deaf and in sessions of their own.
#[test]
fn what_a_test_run_leaves_behind_is_gone_with_beadle_run() {
    let case = Case::alone("leave", Tier::Events, User::Me);
    let (python, runs) = (python(User::Me), folder(&case, "runs", User::Me));
    for tier in ["events", "scan"] {
        let report = case.path(&format!("{tier}.json"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_beadle"));
        command.args([
            "run",
            "--tier",
            tier,
            "--report",
            report.to_str().unwrap(),
            "--",
        ]);
        command.arg(&python).args([
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "test_leave.py",
        ]);
        let output = command
            .current_dir(&runs)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let told = fs::read_to_string(&report).unwrap();
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let left = &told["left_behind"];
        assert_eq!(left["found"].as_array().unwrap().len(), 60, "{told}");
        assert!(
            left["ended"].as_u64().unwrap() >= 20,
            "the deaf ones: {told}"
        );
        assert_eq!(left["left"].as_array().unwrap().len(), 0, "{told}");
        let proof = if root() { "empty_cgroup" } else { "no_child" };
        assert_eq!(left["proof"], proof, "{told}");
        assert!(told["peak_processes"].as_u64().unwrap() >= 60, "{told}");
        assert!(
            said.contains("left 60 processes behind; nobody is left"),
            "{said}"
        );
    }
}

#[test]
fn every_spelling_of_pytest_is_caught_and_lookalikes_are_not() {
    let mut case = Case::alone("spellings", Tier::Events, User::Me);
    let python = python(User::Me);
    let (runs, fakes) = (
        folder(&case, "runs", User::Me),
        folder(&case, "fakes", User::Me),
    );
    lookalikes(&python, &fakes);
    let daemon = case.watch().rules(SOONER).start();
    let mut start = |program: &Path, arguments: &[&str], folder: &Path| {
        case.start(Order::command(program, arguments).folder(folder).life(LIFE))
    };
    let spared = [
        start(&fakes.join("pip"), &["install", "pytest"], &fakes),
        start(&fakes.join("pytest-watch"), &["test_spin.py"], &fakes),
        start(&python, &["-m", "pip", "install", "pytest"], &fakes),
        start(&python, &["lookalike.py", "pytest"], &fakes),
        start(&python, &["-c", "import lookalike", "-m", "pytest"], &fakes),
    ];
    let script = python.with_file_name("pytest");
    let quiet = ["-q", "-p", "no:cacheprovider", "test_spin.py"];
    let spelt = |first: &[&'static str]| [first, &quiet].concat();
    // Not one more: after three of a kind the next is only nudged, for somebody seems to restart them.
    let ended = [
        start(&python, &spelt(&["-m", "pytest"]), &runs),
        start(&python, &spelt(&["-X", "dev", "-u", "-mpytest"]), &runs),
        start(&script, &quiet, &runs),
    ];
    for run in &ended {
        ended_in_order(&daemon, run);
    }
    for one in &spared {
        assert!(
            one.lives(),
            "{} was taken for pytest:\n{}",
            one.pid,
            daemon.log.text()
        );
        let why = daemon.ask_json(&["why", &one.pid.to_string()]);
        assert_eq!(why["rules"][0]["relation"], "unmatched", "{why}");
        assert_eq!(daemon.log.deeds(one.pid), Vec::<String>::new());
    }
}

/// Programs whose command lines are exactly those of others that have to do with pytest.
fn lookalikes(python: &Path, folder: &Path) {
    let body = include_str!("lookalike.py");
    for name in ["pip", "pytest-watch"] {
        let file = folder.join(name);
        fs::write(&file, format!("#!{}\n{body}", python.display())).unwrap();
        open_to_all(&file);
    }
    // `python -m pip` finds this one first.
    let module = folder.join("pip.py");
    fs::write(module, body).unwrap();
    fs::write(folder.join("lookalike.py"), body).unwrap();
}

/// A folder with the test files.
fn folder(case: &Case, name: &str, user: User) -> PathBuf {
    let folder = case.path(name);
    fs::create_dir(&folder).unwrap();
    give(&folder, user);
    for (name, text) in [
        ("test_hold.py", include_str!("test_hold.py")),
        ("test_wait.py", include_str!("test_wait.py")),
        ("test_healthy.py", include_str!("test_healthy.py")),
        ("test_spin.py", include_str!("test_spin.py")),
        ("test_leave.py", include_str!("test_leave.py")),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    folder
}

/// The Python that has what the incident needs, as `tests/run` made it.
pub(crate) fn python(user: User) -> PathBuf {
    let ours = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv/bin/python");
    let python = std::env::var_os("BEADLE_TEST_PYTHON").map_or_else(ours, PathBuf::from);
    let mut probe = Command::new(&python);
    probe
        .args(["-c", "import pytest, qdrant_client"])
        .stdin(Stdio::null())
        .current_dir("/");
    become_user(&mut probe, user);
    let works = probe.status().is_ok_and(|status| status.success());
    assert!(
        works,
        "{} cannot run pytest and qdrant-client as user {}: `tests/run` makes an environment that can",
        python.display(),
        user.uid()
    );
    python
}
