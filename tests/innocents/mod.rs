//! The innocents: healthy, noisy work that is never nudged by the built-in rules, nor signalled by strict rules that aim
//! at its neighbors.
//!
//! **Invariants.** Whoever works here is a real program, ends by itself, and hangs from the case's launcher, so that
//! daemons are on a leash and the oracle knows everybody. Who stays is held by its identity from the beginning to the end;
//! who comes and goes leaves a note of each round, and a round that somebody was missing in is a failed one.
//!
//! # What could be held against them
//! | innocent | under strict rules |
//! |---|---|
//! | what `nohup` left behind | has the name, the starter and the age of an offender that nobody told to stay |
//! | what a launcher started that exits at once | has that name too; its starter is gone, and so is the root above it |
//! | what was disowned in a terminal that is gone; a double-forked daemon | are nobody's children |
//! | a stopped editor in an idle shell | the shell matches a rule and is over its limit; an offender is a job of its own |
//! | a pipeline | an offender writes into it, in its process group and session |
//! | `find /usr`, a SQLite import, a pool with 20 workers | have an offender for a child, of the same interpreter |
//! | `pip install pytest` | names the program that a rule is about |
//! | a parallel compile, a browser | are busy |
//!
//! Under the built-in rules what `nohup` and the launcher left behind bear the names of tool servers, and the daemon is a
//! development server.
//!
//! `tests/innocents/run [SECONDS]` plays all of it for so long and prints the table.

mod ear;
mod ground;
mod innocent;
mod ledger;
mod neighbors;
mod street;

use std::thread;
use std::time::{Duration, Instant};

use ear::Ear;
use ground::Ground;
use ledger::Line;
use neighbors::Neighbors;
use street::Street;

use crate::e2e::case::Case;
use crate::e2e::daemon::Daemon;
use crate::e2e::in_both_tiers;
use crate::e2e::report::{Tier, cannot_show};
use crate::e2e::stage::{User, root};

/// Longest that one round of anybody's work takes on a busy machine.
const A_ROUND: Duration = Duration::from_secs(120);

/// What settling in, a last round and looking around take at most, beside the play itself.
const MARGIN: Duration = Duration::from_secs(180);

/// How long the built-in rules are in force.
fn span() -> Duration {
    let said = std::env::var("BEADLE_INNOCENTS_SECONDS");
    let seconds = said.map_or(20, |said| said.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

#[test]
fn the_built_in_rules_bother_nobody() {
    nobody_is_bothered(User::Me, "built-in rules");
}

#[test]
fn the_built_in_rules_bother_nobody_without_privileges() {
    if !root() {
        return cannot_show(
            "a change of user",
            "all other tests run without privileges here",
        );
    }
    nobody_is_bothered(User::Stranger, "built-in rules, as a user");
}

/// Both tiers watch the same street: under rules that only nudge they are not in each other's way.
fn nobody_is_bothered(user: User, play: &str) {
    let (span, tiers) = (span(), [Tier::Events, Tier::Scan]);
    let mut case = Case::alone_for("quiet", Tier::Events, user, span + MARGIN);
    let ground = Ground::lay(&case, user, span + MARGIN);
    let rules = include_str!("built-in.yaml");
    let daemons = tiers.map(|tier| case.watch_in(tier).rules(rules).start());
    let mut ears = daemons.each_ref().map(|daemon| Ear::on(&daemon.log));
    let street = Street::fill(&mut case, &ground, &Neighbors::none());
    let_work(&street, span, || {
        for ear in &mut ears {
            ear.listen(case.oracle());
            assert!(ear.complaints.is_empty(), "{:#?}", ear.complaints);
        }
    });
    for (tier, daemon) in tiers.into_iter().zip(&daemons) {
        assert_eq!(daemon.log.event("start").says["tier"], tier.word());
        are_judged(daemon, &street);
        all_are_unharmed(&street, daemon, (play, tier));
    }
}

/// Lets them work for so long, and on until everybody has finished a round; whoever takes too long is not waited for.
fn let_work(street: &Street, span: Duration, mut meanwhile: impl FnMut()) {
    let since = Instant::now();
    let late = || since.elapsed() > span + A_ROUND;
    while since.elapsed() < span || !(street.has_worked() || late()) {
        thread::sleep(Duration::from_millis(200));
        meanwhile();
    }
}

/// Who bears a name that the built-in rules know is under their eyes: it was not overlooked.
fn are_judged(daemon: &Daemon, street: &Street) {
    let ps = daemon.ask_json(&["ps"]);
    let units = ps["units"].as_array().unwrap();
    for innocent in street.known_to_built_in_rules() {
        let pid = innocent.pids()[0];
        let judged = units.iter().any(|unit| unit["root"] == pid);
        assert!(judged, "{} ({pid}) is not judged: {ps}", innocent.name);
    }
}

/// Tells what each has come to, then holds all to it.
fn all_are_unharmed(street: &Street, daemon: &Daemon, (play, tier): (&str, Tier)) {
    let lines = street.innocents().map(|one| Line::of(one, &daemon.log));
    let lines: Vec<_> = lines.collect();
    for line in &lines {
        line.tell(play, tier);
    }
    for (line, innocent) in lines.iter().zip(street.innocents()) {
        let said = daemon.log.text();
        assert!(
            line.is_unharmed(),
            "{innocent:?} came to harm; the daemon said:\n{said}"
        );
    }
}

in_both_tiers!(strict_rules_end_the_neighbors_of_the_innocents_and_nobody_else);

fn strict_rules_end_the_neighbors_of_the_innocents_and_nobody_else(tier: Tier) {
    only_neighbors_are_ended(User::Me, tier, "strict rules");
}

#[test]
fn strict_rules_do_the_same_without_privileges() {
    if !root() {
        return cannot_show(
            "a change of user",
            "all other tests run without privileges here",
        );
    }
    only_neighbors_are_ended(User::Stranger, Tier::Events, "strict rules, as a user");
}

fn only_neighbors_are_ended(user: User, tier: Tier, play: &str) {
    let life = A_ROUND + MARGIN;
    let mut case = Case::alone_for("strict", tier, user, life);
    let ground = Ground::lay(&case, user, life);
    let neighbors = Neighbors::of(&case, ground.work(), ground.python());
    let daemon = case.watch().rules(include_str!("strict.yaml")).start();
    assert_eq!(daemon.log.event("start").says["tier"], tier.word());
    let street = Street::fill(&mut case, &ground, &neighbors);
    let ended = neighbors.end(&case, &daemon);
    let_work(&street, Duration::ZERO, || ());
    all_are_unharmed(&street, &daemon, (play, tier));
    for says in daemon.log.all("signal") {
        let offender = ended.iter().any(|pid| says["root"] == *pid);
        assert!(offender, "somebody else's tree was signalled: {says}");
    }
}
