//! What a tree used, its dead included, held against the kernel's own count for the control group it lives in.
//!
//! Each storm is watched by five daemons at a time, one for each source of figures. The truth is the oracle's, which is
//! the very group that the first and the last of them may read; the others may not.
//!
//! **The claim.** In every tier the range holds the truth. How wide it is, is printed.

use std::time::Duration;

use serde_json::Value;

use super::case::Case;
use super::daemon::Daemon;
use super::launch::{Order, Started};
use super::report::{Account, Tier, cannot_show};
use super::stage::{User, root};
use super::wait::{wait_for, wait_until};

/// What a villain runs after its fork until it has written itself into its group: its own time, and not the group's. Some
/// tenths of a millisecond.
const ENTERING: Duration = Duration::from_millis(1);

/// A source of figures, by what is printed, and how a daemon is told to use it.
struct Source {
    name: &'static str,
    tier: Tier,
    accounting: &'static str,
    /// What it must say of itself.
    says: &'static str,
}

const SOURCES: [Source; 5] = [
    Source {
        name: "own cgroup",
        tier: Tier::Events,
        accounting: "best",
        says: "exact",
    },
    Source {
        name: "taskstats",
        tier: Tier::Events,
        accounting: "taskstats",
        says: "taskstats",
    },
    Source {
        name: "events",
        tier: Tier::Events,
        accounting: "proc",
        says: "events",
    },
    Source {
        name: "scan",
        tier: Tier::Scan,
        accounting: "proc",
        says: "scan",
    },
    Source {
        name: "scan, own cgroup",
        tier: Tier::Scan,
        accounting: "best",
        says: "",
    },
];

#[test]
fn children_of_half_a_millisecond_to_twenty() {
    storm("storm_mixed", ("-", "children of 0.5 to 20 ms"));
}

#[test]
fn children_that_nobody_waits_for() {
    storm("storm_ignored", ("8", "SIGCHLD ignored"));
}

#[test]
fn children_half_of_them_orphaned() {
    storm("storm_orphaned", ("7", "half orphaned"));
}

#[test]
fn children_that_are_waited_for() {
    storm("storm_waited", ("8", "waited for"));
}

#[test]
fn threads_of_a_process_that_lives_on() {
    storm("storm_threads", ("9", "threads of 12 ms"));
}

#[test]
fn grandchildren_under_a_subreaper() {
    storm("storm_subreaper", ("-", "under a subreaper"));
}

#[test]
fn chains_of_execs() {
    storm("storm_execs", ("-", "exec chains"));
}

fn storm(manner: &str, (number, story): (&'static str, &'static str)) {
    if !root() {
        return cannot_show(story, "only root can count with a control group of its own");
    }
    let mut case = Case::alone(manner, Tier::Events, User::Me);
    let program = case.program(manner);
    let watches: Vec<Daemon> = SOURCES
        .iter()
        .map(|source| watch(&case, &program, source))
        .collect();
    let sign = case.path("sign");
    let villain = case.start(Order::new(&program, manner).file(&sign).forks(600));
    // All of them know it before it begins.
    for daemon in &watches {
        wait_until("a judged storm", || {
            reading(daemon, &villain, "age").is_some()
        });
    }
    std::fs::write(&sign, "").unwrap();
    let done = case.path("sign.done");
    wait_until("the storm to pass", || done.exists());
    wait_until("the last of it", || case.survivors() == 1);
    let before = case.used();
    let ranges: Vec<Value> = watches
        .iter()
        .map(|daemon| fresh(daemon, &villain))
        .collect();
    let after = case.used();
    let account = |(source, range): (&Source, &Value)| {
        let at = |bound: &str| range[bound].as_f64().map(Duration::from_secs_f64);
        let account = Account {
            number,
            story,
            source: source.name,
            truth: before,
            at_least: at("at_least").unwrap(),
            at_most: at("at_most"),
            tier: range["tier"].as_str().unwrap().to_owned(),
        };
        account.tell();
        account
    };
    let accounts: Vec<Account> = SOURCES.iter().zip(&ranges).map(account).collect();
    for ((source, account), daemon) in SOURCES.iter().zip(&accounts).zip(&watches) {
        let gaps = daemon.ask_json(&["status"])["gaps"].as_u64().unwrap();
        let what = format!(
            "{story} by {}, {gaps} gaps: {account:?}, and truly {before:?}",
            source.name
        );
        assert!(account.at_least <= after + ENTERING, "{what}");
        assert!(account.at_most.is_none_or(|most| most >= before), "{what}");
        // On a busy machine the figures of one look lie further apart than what is called exact.
        let width = account
            .at_most
            .map(|most| most.saturating_sub(account.at_least));
        let narrow = source.says == "exact" && width.is_some_and(|width| width * 20 < before);
        let named = source.says.is_empty() || account.tier == source.says || narrow;
        // On a machine that is overrun events get lost; then the figure must not pretend that they were heard.
        let honest = gaps > 0 && account.tier == "scan";
        assert!(named || honest, "{what}");
    }
}

fn watch(case: &Case, program: &std::path::Path, source: &Source) -> Daemon {
    let name = program.file_name().unwrap().to_str().unwrap();
    let folder = case.path(&source.name.replace([' ', ','], "-"));
    std::fs::create_dir(&folder).unwrap();
    let rules = format!(
        "version: 1
mode: observe
interval: 500ms
builtin: none
nudge: {{ desktop: false, journal: false }}
rules:
  - name: storm
    match: {{ exe: {name} }}
    limits: {{ cpu_time: 1h, processes: 5000, age: 10h }}
    ladder: [ nudge ]
"
    );
    super::daemon::Watch::new(&case.beadle(), &folder, User::Me)
        .tier(source.tier)
        .arg("--accounting")
        .arg(source.accounting)
        .rules(&rules)
        .start()
}

/// What a daemon says of a measure, once it judges the villain.
fn reading(daemon: &Daemon, villain: &Started, metric: &str) -> Option<Value> {
    let why = daemon.ask(&["why", "--json", &villain.pid.to_string()]);
    // Before anything was heard of it there is no answer.
    let why: Value = serde_json::from_slice(&why.stdout).ok()?;
    let readings = why["rules"][0]["readings"].as_array()?.clone();
    let of = |reading: &Value| reading["metric"] == metric && reading["at_least"].is_number();
    readings.into_iter().find(of)
}

/// What a daemon says of CPU time by a look that began after this was called.
fn fresh(daemon: &Daemon, villain: &Started) -> Value {
    let age = || reading(daemon, villain, "age").and_then(|age| age["at_least"].as_f64());
    let now = age().unwrap();
    let patience = Duration::from_secs(20);
    wait_for("a look or two", patience, || {
        age().filter(|age| *age > now + 1.1)
    })
    .unwrap();
    reading(daemon, villain, "cpu_time").unwrap()
}
