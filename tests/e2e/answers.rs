//! The control socket, asked by the same program as people do.

use serde_json::Value;

use super::case::{Case, rules};
use super::launch::Order;
use super::report::{Tier, cannot_show};
use super::stage::{OTHER_STRANGER, User, root};
use super::wait::wait_until;

#[test]
fn status_ps_and_why_tell_what_is_judged() {
    let mut case = Case::new("answers", Tier::Events);
    let program = case.program("answers");
    case.canaries(&program);
    let daemon = case
        .watch()
        .rules(&rules(&program))
        .arg("--mode")
        .arg("nudge")
        .start();
    let villain = case.start(Order::new(&program, "ignore"));
    daemon.log.about(villain.pid, "withheld");

    let status = daemon.ask_json(&["status"]);
    assert_eq!(status["mode"], "nudge", "{status}");
    assert_eq!(status["tier"], "events", "{status}");
    assert_eq!(status["daemon"]["leash"], case.leash(), "{status}");
    assert_eq!(status["incidents"][0]["root"], villain.pid, "{status}");

    let ps = daemon.ask_json(&["ps"]);
    let units = ps["units"].as_array().unwrap();
    assert_eq!(
        units[0]["root"], villain.pid,
        "the nearest to its limit comes first: {ps}"
    );
    assert_eq!(units.len(), 4, "{ps}");

    let why = daemon.ask_json(&["why", &villain.pid.to_string()]);
    let rule = &why["rules"][0];
    assert_eq!(rule["relation"], "member", "{why}");
    assert_eq!(rule["readings"][0]["metric"], "cpu_time", "{why}");
    let tier = rule["readings"][0]["tier"].as_str().unwrap();
    assert!(Tier::Events.sources().contains(&tier), "{why}");
    assert!(rule["incident"]["id"].is_u64(), "{why}");
    let launcher = case.leash().to_string();
    let why = daemon.ask_json(&["why", &launcher]);
    assert_eq!(why["rules"][0]["relation"], "unmatched", "{why}");
    assert!(
        why["rules"][0]["because"]
            .as_str()
            .is_some_and(|text| text.contains("exe")),
        "{why}"
    );

    for question in [vec!["status"], vec!["ps"], vec!["why", &launcher]] {
        let answer = daemon.ask(&question);
        assert!(
            answer.status.success() && !answer.stdout.is_empty(),
            "{answer:?}"
        );
    }
}

#[test]
fn a_pause_stays_the_hand_and_resume_frees_it() {
    let mut case = Case::new("pause", Tier::Events);
    let program = case.program("pause");
    let daemon = case.watch().rules(&rules(&program)).start();
    let paused = daemon.ask(&["pause", "10m", "--rule", "villain"]);
    assert!(paused.status.success(), "{paused:?}");
    let villain = case.start(Order::new(&program, "obey"));
    let verdict = || {
        // Just born, it is not known yet.
        let why = daemon.ask(&["why", "--json", &villain.pid.to_string()]);
        let why: Value = serde_json::from_slice(&why.stdout).ok()?;
        why["rules"][0]["verdict"].as_str().map(str::to_owned)
    };
    wait_until("the pause to show", || {
        verdict().as_deref() == Some("exempt")
    });
    assert_eq!(
        daemon.ask_json(&["status"])["pauses"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(daemon.log.all("incident").len(), 0, "{}", daemon.log.text());
    let resumed = daemon.ask(&["resume", "--rule", "villain"]);
    assert!(resumed.status.success(), "{resumed:?}");
    daemon.log.signal(villain.pid, "TERM");
    daemon.log.about(villain.pid, "close");
}

#[test]
fn other_users_see_and_stay_only_their_own() {
    if !root() {
        return cannot_show(
            "another user's questions",
            "only root can become another user",
        );
    }
    let mut case = Case::new("strangers", Tier::Events);
    let program = case.program("strangers");
    // Root's daemon: everybody may ask.
    let daemon = case.watch().rules(&rules(&program)).start();
    let villain = case.start(Order::new(&program, "ignore"));
    daemon.log.about(villain.pid, "nudge");
    let ps = daemon.ask_as(OTHER_STRANGER, &["ps", "--json"]);
    let ps: Value = serde_json::from_slice(&ps.stdout).unwrap();
    assert_eq!(
        ps["units"],
        serde_json::json!([]),
        "root's units are shown to a stranger"
    );
    let why = daemon.ask_as(OTHER_STRANGER, &["why", &villain.pid.to_string()]);
    assert!(!why.status.success(), "{why:?}");
    let said = String::from_utf8_lossy(&[why.stdout, why.stderr].concat()).into_owned();
    assert!(said.contains("not yours"), "{said}");
    // A stranger's pause is for the stranger's own processes: root's runaway is ended all the same.
    let pause = daemon.ask_as(OTHER_STRANGER, &["pause", "10m"]);
    assert!(pause.status.success(), "{pause:?}");
    daemon.log.signal(villain.pid, "KILL");
    daemon.log.about(villain.pid, "close");
    assert!(!villain.lives());
}

#[test]
fn a_users_daemon_answers_nobody_else() {
    if !root() {
        return cannot_show("another user's daemon", "only root can become another user");
    }
    let case = Case::of("private", Tier::Events, User::Stranger);
    let rules = "version: 1\nbuiltin: none\nrules: []\n";
    let daemon = case.watch().rules(rules).start();
    assert!(daemon.ask(&["status"]).status.success());
    let refused = daemon.ask_as(OTHER_STRANGER, &["status"]);
    assert!(!refused.status.success(), "{refused:?}");
}
