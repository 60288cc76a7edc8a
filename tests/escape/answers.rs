//! People who answer at the last moment.

use std::time::Duration;

use rustix::event::{Timespec, poll};

use crate::e2e::case::{Case, rules};
use crate::e2e::in_both_tiers;
use crate::e2e::launch::Order;
use crate::e2e::report::{Number, Promise, Row, Tier};
use crate::e2e::stage::User;

in_both_tiers!(what_was_answered_before_the_signal_holds);

/// How often.
const ROUNDS: u32 = 12;

/// Scenario 48: a pause arrives at about the moment of TERM, a little earlier or later each time. Whoever is told that
/// it holds may rely on that.
fn what_was_answered_before_the_signal_holds(tier: Tier) {
    let mut case = Case::alone("answers", tier, User::Me);
    let program = case.program("answers");
    case.canaries(&program);
    let rules = rules(&program)
        .replace("interval: 500ms", "interval: 200ms")
        .replace("after: 1s", "after: 400ms");
    let daemon = case.watch().rules(&rules).start();
    let (mut stayed, mut broken) = (0, 0);
    for round in 0..ROUNDS {
        let villain = case.start(Order::new(&program, "obey"));
        let nudge = daemon.log.about(villain.pid, "nudge");
        // The command needs a few milliseconds to get there.
        let due = nudge.at + Duration::from_millis(u64::from(370 + 5 * round));
        rest(due.saturating_duration_since(std::time::Instant::now()));
        let paused = daemon.ask(&["pause", "10m", "--rule", "villain"]);
        let answered = std::time::Instant::now();
        assert!(paused.status.success(), "{paused:?}");
        // Longer than two looks: what was due would be done.
        rest(Duration::from_millis(600));
        let asked =
            |says: &serde_json::Value| says["event"] == "signal" && says["root"] == villain.pid;
        match daemon.log.lines().iter().find(|line| asked(&line.says)) {
            None => {
                stayed += 1;
                assert!(villain.lives(), "{}", daemon.log.text());
            }
            // Stamps are in milliseconds.
            Some(line) if line.at > answered + Duration::from_millis(2) => broken += 1,
            Some(_) => {}
        }
        drop(villain);
        assert!(
            daemon
                .ask(&["resume", "--rule", "villain"])
                .status
                .success()
        );
    }
    println!("{stayed} of {ROUNDS} pauses came in time");
    assert!(stayed > 0, "never in time: {}", daemon.log.text());
    let row = Row {
        number: Number::from(48),
        story: "a pause at the moment of TERM, 12 times",
        tier,
        survivors: broken,
        lost: case.lost(),
        empty: None,
        promise: Promise::Nobody,
    };
    row.tell();
    row.holds(&daemon.log.text());
}

fn rest(span: Duration) {
    let wait = Timespec::try_from(span).unwrap();
    let _ = poll(&mut [], Some(&wait));
}
