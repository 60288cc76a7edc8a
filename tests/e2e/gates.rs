//! Gates of real rules on a real machine.

use beadle::sys::clock::Clock;
use jiff::{ToSpan, tz::TimeZone};

use super::case::{Case, rules};
use super::launch::Order;
use super::report::Tier;
use super::wait::wait_until;

/// A time zone in which the test and the daemon agree.
const ZONE: [&str; 2] = ["env", "TZ=UTC"];

/// A part of the day there, from so many hours after now to so many.
fn part(from: i64, until: i64) -> String {
    let now = Clock.wall().to_zoned(TimeZone::UTC);
    let at = |hours: i64| {
        now.checked_add(hours.hours())
            .unwrap()
            .strftime("%H:%M")
            .to_string()
    };
    format!("{}-{}", at(from), at(until))
}

/// The stage's rule, with gates.
fn gated(rules: &str, when: &str) -> String {
    let at = rules.find("    limits:").unwrap();
    let (before, after) = rules.split_at(at);
    format!("{before}    when: {when}\n{after}")
}

#[test]
fn a_rule_waits_while_its_gate_is_closed_and_goes_on_when_it_is_taken_out() {
    let mut case = Case::new("gates", Tier::Events);
    let program = case.program("gates");
    let plain = rules(&program);
    // No machine has such a load.
    let closed = format!("{{ between: \"{}\", load: 900000 }}", part(-2, 2));
    let daemon = case
        .watch()
        .rules(&gated(&plain, &closed))
        .under(&ZONE)
        .start();
    let villain = case.start(Order::new(&program, "obey"));
    let question = villain.pid.to_string();
    wait_until("the closed gate to show", || {
        let why = daemon.ask(&["why", "--json", &question]);
        let why: serde_json::Value = serde_json::from_slice(&why.stdout).unwrap_or_default();
        why["rules"][0]["verdict"] == "exempt"
            // It is over its limit, and would be told of.
            && why["rules"][0]["readings"][0]["finding"] == "sustained"
    });
    let why = daemon.ask_json(&["why", &question]);
    let when = &why["rules"][0]["when"];
    assert_eq!(when[0]["gate"], "between", "{why}");
    assert_eq!(when[0]["stands"], "open", "{why}");
    assert_eq!(when[1]["gate"], "load", "{why}");
    assert_eq!(when[1]["stands"], "closed", "{why}");
    assert_eq!(when[1]["opens"], "above 900000", "{why}");
    assert!(when[1]["now"].is_string(), "{why}");
    let status = daemon.ask(&["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.contains("waits until load above 900000 (now "),
        "{status}"
    );
    assert!(villain.lives());

    std::fs::write(daemon.watch.rules_file(), &plain).unwrap();
    daemon.log.signal(villain.pid, "TERM");
    daemon.log.about(villain.pid, "close");
    wait_until("its end", || !villain.lives());
    let first = daemon.log.event("reload");
    assert_eq!(first.says["outcome"], "taken", "{}", first.text);
}

#[test]
fn the_time_of_day_opens_and_closes_rules() {
    let mut case = Case::new("hours", Tier::Events);
    let (now, later) = (case.program("now"), case.program("later"));
    let one = gated(&rules(&now), &format!("{{ between: \"{}\" }}", part(-2, 2)));
    let other = gated(
        &rules(&later),
        &format!("{{ between: \"{}\" }}", part(6, 10)),
    );
    // The second rule, under a name of its own, joins the first.
    let at = other.find("  - name: villain").unwrap();
    let other = other[at..].replace("name: villain", "name: later");
    let daemon = case
        .watch()
        .rules(&format!("{one}{other}"))
        .under(&ZONE)
        .start();
    let spared = case.start(Order::new(&later, "obey"));
    let ended = case.start(Order::new(&now, "obey"));
    daemon.log.about(ended.pid, "close");
    wait_until("its end", || !ended.lives());
    let question = spared.pid.to_string();
    let rule = || {
        let why = daemon.ask_json(&["why", &question]);
        let rules = why["rules"].as_array().unwrap().clone();
        rules
            .into_iter()
            .find(|rule| rule["rule"] == "later")
            .unwrap()
    };
    wait_until("the other to be over as well", || {
        rule()["readings"][0]["finding"] == "sustained"
    });
    assert_eq!(rule()["verdict"], "exempt");
    assert_eq!(rule()["when"][0]["stands"], "closed");
    assert!(spared.lives());
    let told = daemon.log.text();
    assert!(
        !told.contains(&format!("\"root\":{}", spared.pid)),
        "{told}"
    );
}
