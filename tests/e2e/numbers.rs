//! Many: zombies that are no processes, and more members than the daemon has descriptors.

use super::case::{Case, rules, rules_with};
use super::in_both_tiers;
use super::launch::Order;
use super::oracle::alive;
use super::report::Tier;

in_both_tiers!(zombies_are_counted_as_zombies_and_as_nothing_else);
in_both_tiers!(few_descriptors_are_no_reason_to_signal_numbers);

/// Scenario 41: two thousand dead children whose parent does not ask.
fn zombies_are_counted_as_zombies_and_as_nothing_else(tier: Tier) {
    let mut case = Case::new("zombies", tier);
    let program = case.program("zombies");
    case.canaries(&program);
    let limits = "{ processes: 50, zombies: 1500 }";
    let daemon = case.watch().rules(&rules_with(&program, limits)).start();
    let villain = case.start(Order::new(&program, "zombies").number(2000).forks(2100));
    let nudge = daemon.log.about(villain.pid, "nudge");
    let readings = nudge.says["evidence"]["readings"]
        .as_array()
        .unwrap()
        .clone();
    let of = |metric: &str| {
        let reading = readings
            .iter()
            .find(|reading| reading["metric"] == metric)
            .unwrap();
        (
            reading["at_least"].as_u64().unwrap(),
            reading["finding"].clone(),
        )
    };
    assert_eq!(of("zombies"), (2000, "sustained".into()), "{}", nudge.text);
    assert_eq!(of("processes"), (1, "clear".into()), "{}", nudge.text);
    let kill = daemon.log.signal(villain.pid, "KILL");
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    let signals = daemon.log.targets();
    assert!(
        signals.iter().all(|(pid, _)| *pid == villain.pid),
        "zombies were signalled: {signals:?}"
    );
    let row = case.row(41, "2,000 zombies of a lazy parent", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0));
}

/// Scenario 43: 256 descriptors for 500 members.
fn few_descriptors_are_no_reason_to_signal_numbers(tier: Tier) {
    let mut case = Case::new("descriptors", tier);
    let program = case.program("descriptors");
    case.canaries(&program);
    let watch = case.watch().rules(&rules(&program)).open_files(256);
    let daemon = watch.start();
    let villain = case.start(Order::new(&program, "crowd").number(500).forks(600));
    case.wait_for_members(501);
    let kill = daemon.log.signal(villain.pid, "KILL");
    let outcome = daemon.log.wait("what came of KILL", |says| {
        says["event"] == "outcome" && says["signal"] == "KILL"
    });
    daemon.log.about(villain.pid, "close");
    let row = case.row(43, "256 descriptors for 500 members", kill.at);
    assert_eq!(row.lost, 0);
    // Whoever could not be held for sure is said to be left.
    let unsure = outcome.says["each"].as_array().unwrap().iter();
    let unsure = unsure.filter(|fate| fate["outcome"] == "withheld").count();
    assert!(
        row.survivors <= unsure,
        "{} survive, {unsure} withheld",
        row.survivors
    );
    assert_eq!(row.survivors, 0, "{}", daemon.log.text());
    assert!(!alive(villain.pid));
}
