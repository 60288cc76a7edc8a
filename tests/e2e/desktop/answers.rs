//! What people answer on their desktops.

use super::super::daemon::Daemon;
use super::super::launch::{Order, Started};
use super::super::wait::wait_until;
use super::session::{Session, buttons};
use super::{Theater, desktop, fault, first, named, rules, shows, titled, told};

/// A runaway that obeys, and a daemon that tells this session of it, so long before its TERM.
fn runaway(theater: &mut Theater, session: &Session, after: &str) -> (Daemon, Started) {
    let program = theater.case.program("answered");
    let rules = rules(&program, after);
    let daemon = theater.watch(Some(session)).rules(&rules).start();
    (daemon, theater.case.start(Order::new(&program, "obey")))
}

#[test]
fn details_are_shown_in_the_same_place() {
    if !shows("what else there is to know, on a desktop") {
        return;
    }
    let mut theater = Theater::new("details");
    let session = theater.log_in();
    let mut server = session.serve("buttons");
    let (daemon, villain) = runaway(&mut theater, &session, "60s");
    let nudge = first(&server);
    let id = nudge["id"].as_u64().unwrap();
    daemon.log.about(villain.pid, "nudge");
    wait_until("it to be on the screen", || desktop(&daemon)["shown"] == 1);
    server.press(id, "details");
    wait_until("the rest", || server.shown().len() == 2);
    let whole = server.shown().remove(1);
    assert_eq!(whole["replaces"], id, "{whole}");
    let body = whole["body"].as_str().unwrap();
    assert!(
        body.contains("CPU time") && body.contains("Command: "),
        "{body}"
    );
    let left = named(&[("stop", "Stop now"), ("extend", "30 min more")]);
    assert_eq!(buttons(&whole), left, "{whole}");
    // Nothing was answered by looking.
    assert!(villain.lives());
    // On a busy machine it may not be heard at once.
    wait_until("it to be gone", || {
        server.dismiss(id);
        desktop(&daemon)["shown"] == 0
    });
    assert!(villain.lives());
    assert_eq!(fault(&daemon), None);
}

/// Whoever may write to the bus can say that an action was invoked: a program of another name whose number a server gave anew, or
/// one in a sandbox that wants more time for itself.
#[test]
fn what_anybody_can_guess_is_no_answer() {
    if !shows("an answer that nobody gave") {
        return;
    }
    let mut theater = Theater::new("guess");
    let session = theater.log_in();
    let mut server = session.serve("buttons");
    let (daemon, villain) = runaway(&mut theater, &session, "60s");
    let id = first(&server)["id"].as_u64().unwrap();
    wait_until("it to be on the screen", || desktop(&daemon)["shown"] == 1);
    for guess in ["stop", "extend", "stop-0000000000000000"] {
        server.say(id, guess);
    }
    // Whoever was deafened for a moment by that hears what comes later.
    wait_until("the rest", || {
        server.say(id, "details");
        server.shown().len() >= 2
    });
    assert_eq!(daemon.log.all("answer").len(), 0, "{}", daemon.log.text());
    assert!(villain.lives());
}

#[test]
fn stop_now_is_carried_out_and_recorded() {
    if !shows("an answer on a desktop") {
        return;
    }
    let mut theater = Theater::new("stop");
    let session = theater.log_in();
    let mut server = session.serve("buttons");
    let (daemon, villain) = runaway(&mut theater, &session, "60s");
    let nudge = first(&server);
    wait_until("it to be on the screen", || desktop(&daemon)["shown"] == 1);
    server.press(nudge["id"].as_u64().unwrap(), "stop");
    let answer = daemon.log.about(villain.pid, "answer").says;
    assert_eq!(answer["reply"], "stop", "{answer}");
    assert_eq!(answer["user"], told(&theater), "{answer}");
    let term = daemon.log.signal(villain.pid, "TERM").says;
    assert_eq!(term["bidden"]["user"], told(&theater), "{term}");
    let close = daemon.log.about(villain.pid, "close").says;
    assert_eq!(close["how"], "ended", "{close}");
    assert!(!villain.lives());
    // What was said in between may be passed over where the screen is slow: the last word counts.
    let over = titled(&server, "was ended");
    assert_eq!(over["replaces"], nudge["id"], "{over}");
    let incident = answer["incident"].to_string();
    let story = daemon.ask(&["show", &incident]);
    let story = String::from_utf8_lossy(&story.stdout).into_owned();
    assert!(story.contains("nswered by"), "{story}");
}

#[test]
fn more_time_is_given_as_often_as_the_rule_lets_people() {
    if !shows("an answer on a desktop that is declined") {
        return;
    }
    let mut theater = Theater::new("extend");
    let session = theater.log_in();
    let mut server = session.serve("buttons");
    let (daemon, villain) = runaway(&mut theater, &session, "5s");
    let nudge = first(&server);
    let id = nudge["id"].as_u64().unwrap();
    wait_until("it to be on the screen", || desktop(&daemon)["shown"] == 1);
    server.press(id, "extend");
    let answer = daemon.log.about(villain.pid, "answer").says;
    assert_eq!(answer["reply"], "extend", "{answer}");
    assert_eq!(answer["user"], told(&theater), "{answer}");
    let granted = titled(&server, "is left alone for now");
    assert_eq!(granted["actions"], serde_json::json!([]), "{granted}");
    // It says so for a moment, and goes.
    server.asked.wait("it to be taken away", |says| {
        says["call"] == "CloseNotification" && says["id"] == id
    });
    assert!(villain.lives());
    assert_eq!(daemon.log.targets(), vec![], "{}", daemon.log.text());
    assert_eq!(fault(&daemon), None);
}
