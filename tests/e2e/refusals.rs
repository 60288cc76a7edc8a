//! What the daemon refuses to begin with.

use super::case::{Case, rules};
use super::in_both_tiers;
use super::report::{Promise, Row, Tier, cannot_show};
use super::wait::wait_until;

/// The exit code of bad rules.
const BAD_RULES: Option<i32> = Some(78);

/// The exit code of bad use.
const BAD_USE: Option<i32> = Some(2);

in_both_tiers!(what_would_match_everybody_is_refused);

/// Scenario 46: patterns that match all, numbers that mean groups.
fn what_would_match_everybody_is_refused(tier: Tier) {
    let mut case = Case::new("refused", tier);
    let program = case.program("refused");
    case.canaries(&program);
    for all in [
        "{}",
        "{ arg: '' }",
        "{ cmdline: '.*' }",
        "{ cmdline: '' }",
        "{ exe: '*' }",
        "{ name: '*' }",
    ] {
        let rules = format!(
            "version: 1\nmode: enforce\nrules:\n  - name: all\n    match: {all}\n    limits: {{ age: 1s }}\n"
        );
        let (code, said) = case.watch().rules(&rules).refused();
        assert_eq!(code, BAD_RULES, "match: {all}\n{said}");
        assert!(
            said.contains("rules.yaml:5:"),
            "match: {all} is refused without its place:\n{said}"
        );
    }
    for number in [
        "0",
        "-1",
        "1x",
        "4294967295",
        "4294967296",
        "2147483648",
        "99999999999999999999",
    ] {
        let watch =
            super::daemon::Watch::new(&case.beadle(), &case.path(""), super::stage::User::Me);
        let watch = watch
            .rules(&rules(&program))
            .arg(format!("--only-under={number}"));
        let (code, said) = watch.refused();
        assert_eq!(code, BAD_USE, "--only-under={number}\n{said}");
    }
    let daemon = case.watch().rules(&rules(&program)).start();
    for number in ["0", "-1", "4294967296"] {
        let answer = daemon.ask(&["why", "--", number]);
        assert!(!answer.status.success(), "why {number}: {answer:?}");
    }
    let row = Row {
        number: 46.into(),
        story: "rules and numbers that mean everybody",
        tier,
        survivors: 0,
        lost: case.lost(),
        empty: None,
        promise: Promise::Nobody,
    };
    row.tell();
    row.holds(&daemon.log.text());
    assert_eq!(daemon.log.all("signal").len(), 0);
}

#[test]
fn a_second_daemon_on_the_same_socket_is_told_who_holds_it() {
    let case = Case::new("second", Tier::Events);
    let rules = "version: 1\nbuiltin: none\nrules: []\n";
    let first = case.watch().rules(rules).start();
    let (code, said) = case.watch().rules(rules).refused();
    assert!(code.is_some_and(|code| code != 0), "{said}");
    assert!(said.contains(&format!("pid {}", first.pid())), "{said}");
    assert!(
        first.ask(&["status"]).status.success(),
        "the first one is gone"
    );
}

#[test]
fn without_rules_the_built_in_ones_are_named_and_only_nudge() {
    if std::path::Path::new("/etc/beadle").exists() {
        return cannot_show("a machine without rules", "this one has /etc/beadle");
    }
    let case = Case::new("bare", Tier::Events);
    let mut daemon = case.watch().start();
    let start = daemon.log.event("start").says;
    assert_eq!(start["config"], serde_json::json!([]), "{start}");
    let named = start["rules"].as_array().unwrap();
    assert!(named.len() >= 5, "{start}");
    assert!(named.iter().all(|rule| rule["mode"] == "nudge"), "{start}");
    let status = daemon.ask_json(&["status"]);
    let rules = status["rules"].as_array().unwrap();
    assert_eq!(rules.len(), named.len());
    assert!(daemon.stop().success());
    assert_eq!(daemon.log.all("signal").len(), 0);

    let mut daemon = case.watch().says("text").spawn();
    let first = named[0]["name"].as_str().unwrap().to_owned();
    wait_until("the rules in words", || {
        let said = daemon.log.text();
        said.contains("built in") && said.contains("nudge") && said.contains(&first)
    });
    wait_until("the socket", || daemon.watch.socket().exists());
    assert!(daemon.stop().success());
}
