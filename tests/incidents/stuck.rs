//! Stuck is not slow: who does nothing, or nothing of use, is found, and its twin that works is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{folder, python};
use crate::e2e::case::Case;
use crate::e2e::daemon::Daemon;
use crate::e2e::in_both_tiers;
use crate::e2e::launch::{Order, Started};
use crate::e2e::report::Tier;
use crate::e2e::stage::{User, open_to_all};
use crate::e2e::wait::wait_until;

in_both_tiers!(who_is_stuck_is_found_and_named_and_who_works_is_not);

/// Three times as long as the limits of the twins, and then some.
const LIFE: Duration = Duration::from_secs(60);

/// Short limits; on a machine with more to do than processors a spinner gets little of one.
fn rules(program: &Path) -> String {
    let program = program.file_stem().unwrap().to_str().unwrap();
    format!(
        "version: 1
mode: enforce
interval: 500ms
builtin: none
breaker: {{ trees: 1000, in: 10m }}
nudge: {{ desktop: false, journal: false }}
rules:
  - name: stuck
    match: {{ program: [ {program}, pytest ], not: {{ cwd: '**/unjudged' }} }}
    limits: {{ stalled: 5s, spinning: {{ above: 5s, cpu: 3% }} }}
    cooldown: 1s
    ladder: [ nudge, {{ after: 1s, signal: TERM }}, {{ after: 2s, signal: KILL }} ]
"
    )
}

struct Stuck {
    case: Case,
    script: PathBuf,
    daemon: Daemon,
}

impl Stuck {
    fn new(tier: Tier) -> Self {
        let case = Case::new("stuck", tier);
        let script = case.path(&format!("stuck-of-{}.py", case.oracle().mark()));
        fs::write(&script, include_str!("stuck.py")).unwrap();
        open_to_all(&script);
        let daemon = case.watch().rules(&rules(&script)).start();
        Self {
            case,
            script,
            daemon,
        }
    }

    fn start(&mut self, manner: &str) -> Started {
        let lock = self.case.path(manner);
        let script = self.script.to_str().unwrap();
        let order = Order::command(Path::new("/usr/bin/python3"), &[script, manner]);
        let order = order.life(LIFE).variable("LOCK", lock.to_str().unwrap());
        self.case.start(order)
    }

    /// Nudged for this limit, with these words, and ended.
    fn is_ended(&self, villain: &Started, metric: &str, words: &[&str]) {
        let nudge = self.daemon.log.about(villain.pid, "nudge");
        let evidence = &nudge.says["evidence"];
        let readings = evidence["readings"].as_array().unwrap();
        let over = |reading: &&serde_json::Value| reading["finding"] == "sustained";
        let over: Vec<_> = readings
            .iter()
            .filter(over)
            .map(|it| &it["metric"])
            .collect();
        assert_eq!(over, [metric], "{}", nudge.text);
        let text = evidence["text"].as_str().unwrap();
        for word in words {
            assert!(text.contains(word), "without {word:?}: {text}");
        }
        let close = self.daemon.log.about(villain.pid, "close");
        assert_eq!(close.says["how"], "ended", "{}", close.text);
    }
}

fn who_is_stuck_is_found_and_named_and_who_works_is_not(tier: Tier) {
    let mut stuck = Stuck::new(tier);
    let python = python(User::Me);
    let runs = folder(&stuck.case, "runs", User::Me);
    let unjudged = folder(&stuck.case, "unjudged", User::Me);
    let store = runs.join("store");
    let quiet = ["-m", "pytest", "-q", "-p", "no:cacheprovider"];
    let test = |case: &mut Case, folder: &Path, name: &str, more: &[&str]| {
        let arguments = [&quiet[..], more, &[name]].concat();
        let order = Order::command(&python, &arguments)
            .folder(folder)
            .life(LIFE);
        case.start(order.variable("STORE", store.to_str().unwrap()))
    };
    let began = Instant::now();
    let twins = ["slow", "pool", "server", "search", "consume"];
    let twins: Vec<Started> = twins.iter().map(|manner| stuck.start(manner)).collect();
    let passes = test(&mut stuck.case, &runs, "test_healthy.py", &["-v"]);
    let sleepers = ["deadlock", "block", "hang"].map(|manner| stuck.start(manner));
    let spinners = ["futile", "compute", "again"].map(|manner| stuck.start(manner));
    let holds = test(&mut stuck.case, &unjudged, "test_hold.py", &[]);
    wait_until("the store", || store.join("collection/answers").exists());
    let waits = test(&mut stuck.case, &runs, "test_wait.py", &[]);

    let [deadlock, block, hang] = &sleepers;
    stuck.is_ended(deadlock, "stalled", &["nothing moved for", "(futex)"]);
    stuck.is_ended(block, "stalled", &["for a lock on a file"]);
    stuck.is_ended(
        hang,
        "stalled",
        &["a child has ended and nobody waits for it"],
    );
    let [futile, compute, again] = &spinners;
    stuck.is_ended(futile, "spinning", &["a second come to nothing"]);
    stuck.is_ended(compute, "spinning", &["it computes, and calls for nothing"]);
    stuck.is_ended(again, "spinning", &["it reads one file again and again"]);
    let tries = ["busy with nothing to show for", "files again and again"];
    stuck.is_ended(&waits, "spinning", &tries);
    assert!(holds.lives());
    wait_until("the twins to have worked for four times as long", || {
        began.elapsed() > Duration::from_secs(20)
    });
    for twin in twins.iter().chain([&passes]) {
        assert!(twin.lives(), "{}", stuck.daemon.log.text());
        assert_eq!(stuck.daemon.log.deeds(twin.pid), Vec::<String>::new());
    }
}
