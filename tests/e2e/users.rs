//! The same for somebody without privileges.

use super::case::{Case, rules};
use super::in_both_tiers;
use super::launch::Order;
use super::report::{Tier, cannot_show};
use super::stage::{User, root};

in_both_tiers!(without_privileges_the_whole_ladder_works_on_ones_own);
in_both_tiers!(without_privileges_other_peoples_runaways_are_left_alone);

fn without_privileges_the_whole_ladder_works_on_ones_own(tier: Tier) {
    if !root() {
        return cannot_show(
            "a change of user",
            "all other tests run without privileges here",
        );
    }
    let mut case = Case::of("nobody", tier, User::Stranger);
    let (program, below) = (case.program("nobody"), case.program("below"));
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    assert_eq!(
        daemon.log.event("start").says["tier"],
        tier.word(),
        "{}",
        daemon.log.text()
    );
    let order = Order::new(&program, "middle")
        .other(below.to_str().unwrap())
        .number(2500);
    let villain = case.start(order);
    let kill = daemon.log.signal(villain.pid, "KILL");
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    let survivors = || case.survivors();
    super::wait::wait_until("an empty stage", || survivors() == 0);
    assert!(kill.says["owner"] == User::Stranger.uid(), "{}", kill.text);
    assert_eq!(case.lost(), 0);
}

fn without_privileges_other_peoples_runaways_are_left_alone(tier: Tier) {
    if !root() {
        return cannot_show(
            "other people's runaways",
            "only root can become another user",
        );
    }
    let mut case = Case::of("own", tier, User::Stranger);
    let mut others = Case::of("others", tier, User::Me);
    let program = others.program("others");
    let leash = std::process::id();
    let watch = super::daemon::Watch::new(&case.beadle(), &case.path(""), User::Stranger);
    let mut daemon = watch
        .tier(tier)
        .leash(leash)
        .rules(&rules(&program))
        .start();
    let foreign = others.start(Order::new(&program, "ignore"));
    let own = case.start(Order::new(&program, "ignore"));
    daemon.log.signal(own.pid, "KILL");
    daemon.log.about(own.pid, "close");
    assert!(foreign.lives());
    assert!(daemon.stop().success());
    let signals = daemon.log.targets();
    assert!(
        signals.iter().all(|(pid, _)| *pid == own.pid),
        "{signals:?}"
    );
}
