//! Memory that is shared counts once.

use serde_json::Value;

use super::case::{Case, rules_with};
use super::in_both_tiers;
use super::launch::Order;
use super::report::Tier;
use super::wait::wait_until;

in_both_tiers!(five_children_who_share_are_left_alone_and_five_who_do_not_are_ended);

/// Six processes with 32 MiB each under a limit of 100 MiB for all: 32 MiB where they share it, 192 where they do not.
fn five_children_who_share_are_left_alone_and_five_who_do_not_are_ended(tier: Tier) {
    let mut case = Case::new("memory", tier);
    let program = case.program("memory");
    case.canaries(&program);
    let limits = "{ memory: { above: 100MiB, for: 1s } }";
    let daemon = case.watch().rules(&rules_with(&program, limits)).start();
    // Both are judged alike; only one is a villain.
    let sharing = case.start(Order::new(&program, "hold_once").number(32));
    let reading = || {
        let why = daemon.ask(&["why", "--json", &sharing.pid.to_string()]);
        let why: Value = serde_json::from_slice(&why.stdout).ok()?;
        Some(why["rules"][0]["readings"][0].clone())
    };
    wait_until("shares to decide", || {
        let clear = |reading: Value| reading["finding"] == "clear" && reading["tier"] == "shares";
        reading().is_some_and(clear)
    });
    let reading = reading().unwrap();
    let least = reading["at_least"].as_u64().unwrap() >> 20;
    assert!((32..100).contains(&least), "{reading}");

    let hoarding = case.start(Order::new(&program, "hold_each").number(32));
    let nudge = daemon.log.about(hoarding.pid, "nudge");
    let evidence = &nudge.says["evidence"]["readings"][0];
    let least = evidence["at_least"].as_u64().unwrap() >> 20;
    assert!((101..250).contains(&least), "{}", nudge.text);
    assert_eq!(evidence["tier"], "shares", "{}", nudge.text);
    let close = daemon.log.about(hoarding.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    assert!(sharing.lives(), "{}", daemon.log.text());
    assert_eq!(case.lost(), 0);
    let signals = daemon.log.targets();
    assert!(
        signals.iter().all(|(pid, _)| *pid != sharing.pid),
        "{signals:?}"
    );
}
