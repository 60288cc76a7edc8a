//! New rules while the daemon runs.

use std::fs;

use rustix::process::Signal;

use super::case::{Case, rules};
use super::launch::Order;
use super::report::Tier;
use super::wait::wait_until;

/// Five mistakes, one a line from line 5 on; the third line of each pair is right.
const MISTAKES: &str = "version: 1
mode: enforce
rules:
  - name: villain
    match: { progam: pytest }
    limits: { memroy: 8GiB }
    ladder: [ nudge, { after: 10, signal: TERM } ]
    cooldown: 5M
  - name: second
    match: { arg: '(' }
    limits: { cpu_time: 1s }
";

#[test]
fn five_mistakes_are_five_problems_and_the_old_rules_stay() {
    let mut case = Case::new("reload", Tier::Events);
    let program = case.program("reload");
    let mut daemon = case.watch().rules(&rules(&program)).start();
    let file = daemon.watch.rules_file();
    fs::write(&file, MISTAKES).unwrap();
    daemon.signal(Signal::HUP);
    let reload = daemon.log.wait("the refusal", |says| {
        says["event"] == "reload" && says["outcome"] == "refused"
    });
    assert_eq!(
        reload.says["problems"].as_array().unwrap().len(),
        5,
        "{}",
        reload.text
    );
    assert_eq!(reload.says["rules"], 1, "{}", reload.text);

    let check = daemon.ask_nobody(&["check", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
    assert_eq!(check.status.code(), Some(78), "{said}");
    for place in [
        "rules.yaml:5:14",
        "rules.yaml:6:15",
        "rules.yaml:7:31",
        "rules.yaml:8:15",
        "rules.yaml:10:19",
    ] {
        assert!(said.contains(place), "{place} is not named:\n{said}");
    }
    for hint in ["`program`", "`memory`", "`10s`", "`5m`"] {
        assert!(said.contains(hint), "{hint} is not suggested:\n{said}");
    }
    assert!(
        said.matches('^').count() >= 5,
        "no caret under each:\n{said}"
    );

    // The rule that was in force still ends its runaway.
    let villain = case.start(Order::new(&program, "ignore"));
    daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    assert!(!villain.lives());
}

#[test]
fn a_changed_file_is_read_without_being_asked() {
    let mut case = Case::new("edited", Tier::Events);
    let program = case.program("edited");
    let harmless = "version: 1\nbuiltin: none\nrules: []\n";
    let daemon = case.watch().rules(harmless).start();
    let villain = case.start(Order::new(&program, "obey"));
    // The way editors save: another file takes its place.
    let file = daemon.watch.rules_file();
    let draft = file.with_extension("draft");
    fs::write(&draft, rules(&program)).unwrap();
    fs::rename(&draft, &file).unwrap();
    let reload = daemon.log.event("reload");
    assert_eq!(reload.says["outcome"], "taken", "{}", reload.text);
    daemon.log.signal(villain.pid, "TERM");
    daemon.log.about(villain.pid, "close");
    wait_until("its end", || !villain.lives());
}
