use std::sync::Arc;

use super::*;
use crate::engine::answer::Replies;
use crate::engine::matcher::Matcher;
use crate::engine::rule::{Breaker, Command, Mode, Origin, Scope, Signal, To};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(n: u64) -> Mono {
    Mono::from_secs(100 + n)
}

/// Nudge, a program after 5 s, TERM after 5 s more.
fn rule() -> Rule {
    let stage = |after, act| Stage {
        after: secs(after),
        act,
    };
    let command = Command {
        program: "/bin/true".into(),
        args: Vec::new(),
        timeout: secs(30),
    };
    Rule {
        name: "r".into(),
        about: None,
        origin: Origin::Builtin { pack: "p" },
        mode: Mode::Enforce,
        matcher: Matcher { fields: Vec::new() },
        scope: Scope::Tree,
        clauses: Vec::new(),
        gates: Vec::new(),
        warmup: None,
        keep: Vec::new(),
        ladder: vec![
            stage(0, StageAct::Nudge),
            stage(5, StageAct::Exec(Arc::new(command))),
            stage(5, StageAct::Signal(Signal::Term, To::Tree)),
        ],
        cooldown: secs(60),
        breaker: Breaker::default(),
        on_close: None,
        replies: Replies::usual(),
    }
}

fn judge(incident: &mut Incident, now: u64) -> Step {
    incident.judge(at(now), at(now), &Verdict::Sustained, &rule(), None)
}

/// Nudged at 0, its program run at 5, TERM sent at 10.
fn asked() -> Incident {
    let mut incident = Incident::open(IncidentId(1), at(0));
    assert_eq!(judge(&mut incident, 0), Step::Nudge);
    incident.done(at(0));
    assert_eq!(judge(&mut incident, 4), Step::Wait);
    assert_eq!(judge(&mut incident, 5), Step::Act);
    incident.ran(at(5));
    assert_eq!(judge(&mut incident, 10), Step::Act);
    incident.done(at(10));
    incident
}

#[test]
fn for_a_root_found_above_term_comes_again_and_no_program_is_run_again() {
    let mut incident = asked().taken_over(IncidentId(2), &rule());
    assert_eq!(incident.next, 1);
    assert_eq!(judge(&mut incident, 14), Step::Wait);
    // Its time is waited for as before.
    assert_eq!(judge(&mut incident, 15), Step::Wait);
    assert_eq!((incident.next, judge(&mut incident, 20)), (2, Step::Act));
}

#[test]
fn a_program_that_was_run_is_not_done_to_the_tree() {
    let mut incident = Incident::open(IncidentId(1), at(0));
    incident.done(at(0));
    incident.ran(at(5));
    assert_eq!(incident.taken_over(IncidentId(2), &rule()).next, 2);
}

#[test]
fn the_next_beadle_runs_it_no_second_time_and_another_ladder_does() {
    let incident = asked().taken_over(IncidentId(2), &rule());
    let stand = incident.stand_on(&rule());
    let mut next = Incident::resume(&stand, at(30), &rule());
    assert_eq!(judge(&mut next, 35), Step::Wait);
    assert_eq!(judge(&mut next, 40), Step::Act);
    assert_eq!(next.next, 2);
    let mut other = rule();
    let command = Command {
        program: "/bin/false".into(),
        args: Vec::new(),
        timeout: secs(30),
    };
    other.ladder[1].act = StageAct::Exec(Arc::new(command));
    let mut anew = Incident::resume(&stand, at(30), &other);
    let step = anew.judge(at(35), at(35), &Verdict::Sustained, &other, None);
    assert_eq!((anew.next, step), (1, Step::Act));
}

#[test]
fn a_new_breach_is_a_new_life() {
    let past = asked().past(at(20), &rule());
    let mut again = Incident::reopen(&past, at(30));
    assert_eq!((again.next, judge(&mut again, 30)), (1, Step::Act));
}
