//! What happens while nobody watches: between the end of one daemon and the start of the next.
//!
//! **What must hold.** A number is nobody: who bears it now is compared by identity, and what was left is of that boot or of
//! nobody. Whoever was born meanwhile is a member where something shows it, and else is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use beadle::store::intent::{Intent, Manner, Record};
use rustix::process::Signal;
use serde_json::json;

use crate::e2e::case::{Case, rules};
use crate::e2e::daemon::Daemon;
use crate::e2e::identity::heir;
use crate::e2e::in_both_tiers;
use crate::e2e::launch::{Order, Started};
use crate::e2e::report::{Promise, Tier, cannot_show};
use crate::e2e::stage::root;
use crate::e2e::wait::wait_until;

in_both_tiers!(a_member_goes_and_its_number_is_a_strangers);
in_both_tiers!(all_of_it_goes_and_its_numbers_are_strangers);
in_both_tiers!(members_fork_twice);
in_both_tiers!(the_machine_was_started_anew);

/// A pair: the daemon dies after this event about it.
struct Scene {
    case: Case,
    program: PathBuf,
    villain: Started,
    member: u32,
    sign: PathBuf,
}

impl Scene {
    fn new(name: &'static str, tier: Tier, reached: impl Fn(&Daemon, u32)) -> Self {
        let mut case = Case::new(name, tier);
        let program = case.program(name);
        case.canaries(&program);
        let daemon = case.watch().rules(&rules(&program)).start();
        let sign = case.path("leave");
        let villain = case.start(Order::new(&program, "pair").file(&sign));
        let member = case.number_in("leave.pid");
        reached(&daemon, villain.pid);
        dies(daemon);
        Self {
            case,
            program,
            villain,
            member,
            sign,
        }
    }

    /// A stranger bears this number now; it must be there afterwards.
    fn pass_on(&mut self, number: u32) {
        let program = &self.program;
        let heir = heir(&mut self.case, || Order::canary(program), number);
        self.case.keep(heir);
    }

    fn successor(&self) -> Daemon {
        self.case.watch().rules(&rules(&self.program)).start()
    }
}

/// Ends a daemon the way the kernel does when memory is short.
fn dies(mut daemon: Daemon) {
    daemon.signal(Signal::KILL);
    daemon.ended();
}

fn never_told_again(daemon: &Daemon, root: u32) {
    let deeds = daemon.log.deeds(root);
    let again = |deed: &String| deed.starts_with("incident") || deed.starts_with("nudge");
    assert!(!deeds.iter().any(again), "told again: {deeds:?}");
}

/// Who was signalled, by number.
fn signalled(daemon: &Daemon) -> Vec<u32> {
    let targets = daemon.log.targets();
    targets.into_iter().map(|(pid, _)| pid).collect()
}

/// Scenario 2: in the grace, with nobody there, a member exits and a canary gets its number.
fn a_member_goes_and_its_number_is_a_strangers(tier: Tier) {
    if !root() {
        return cannot_show("reuse between daemons", "only root can choose numbers");
    }
    let mut scene = Scene::new("between", tier, |daemon, root| {
        let outcome = |says: &serde_json::Value| {
            says["event"] == "outcome" && says["root"] == root && says["signal"] == "TERM"
        };
        daemon.log.wait("what came of TERM", outcome);
    });
    fs::write(&scene.sign, "").unwrap();
    scene.pass_on(scene.member);
    let daemon = scene.successor();
    let kill = daemon.log.signal(scene.villain.pid, "KILL");
    assert_eq!(
        kill.says["pids"],
        json!([scene.villain.pid]),
        "{}",
        kill.text
    );
    daemon.log.about(scene.villain.pid, "close");
    let story = "a member's number passes on between two daemons";
    let row = scene.case.row(2, story, kill.at);
    row.holds(&daemon.log.text());
    never_told_again(&daemon, scene.villain.pid);
    assert!(!signalled(&daemon).contains(&scene.member));
}

/// Scenario 2, after the nudge: all of the tree is gone, and canaries bear all of its numbers. The case is closed, and what
/// it knew means nobody.
fn all_of_it_goes_and_its_numbers_are_strangers(tier: Tier) {
    if !root() {
        return cannot_show("reuse between daemons", "only root can choose numbers");
    }
    let mut scene = Scene::new("gone", tier, |daemon, root| {
        daemon.log.about(root, "nudge");
    });
    fs::write(&scene.sign, "").unwrap();
    let number = scene.villain.pid;
    // What holds it ends it.
    let other = scene.case.start(Order::canary(&scene.program));
    drop(std::mem::replace(&mut scene.villain, other));
    let since = Instant::now();
    scene.pass_on(number);
    scene.pass_on(scene.member);
    let daemon = scene.successor();
    let close = daemon.log.about(number, "close");
    assert_eq!(close.says["how"], "exited", "{}", close.text);
    // What else comes of it comes in the time of a whole case.
    let second = scene.case.start(Order::new(&scene.program, "ignore"));
    daemon.log.signal(second.pid, "KILL");
    daemon.log.about(second.pid, "close");
    let story = "all of its numbers pass on between two daemons";
    let row = scene.case.row(2, story, since);
    row.holds(&daemon.log.text());
    never_told_again(&daemon, number);
    let hit = signalled(&daemon);
    assert!(!hit.contains(&number) && !hit.contains(&scene.member));
    assert!(scene.villain.lives());
}

/// Scenario 34: members fork twice while nobody listens. The session that a member made shows whose child the one is; the
/// other made one of its own, and its parent is gone: nothing shows whose it is, and it is left alone.
fn members_fork_twice(tier: Tier) {
    let mut case = Case::new("latecomers", tier);
    let program = case.program("latecomers");
    case.canaries(&program);
    let daemon = case.watch().rules(&rules(&program)).start();
    let sign = case.path("fork");
    let villain = case.start(Order::new(&program, "latecomers").file(&sign));
    let nudge = daemon.log.about(villain.pid, "nudge");
    dies(daemon);
    fs::write(&sign, "").unwrap();
    case.wait_for_members(4);
    let daemon = case.watch().rules(&rules(&program)).start();
    let kill = daemon.log.signal(villain.pid, "KILL");
    assert_eq!(
        kill.says["incident"], nudge.says["incident"],
        "{}",
        kill.text
    );
    let pids = kill.says["pids"].as_array().unwrap();
    assert_eq!(pids.len(), 3, "the session shows it: {}", kill.text);
    // What they used while nobody looked is not known.
    let readings = kill.says["evidence"]["readings"].as_array().unwrap();
    let cpu = readings
        .iter()
        .find(|it| it["metric"] == "cpu_time")
        .unwrap();
    let [least, most] = ["at_least", "at_most"].map(|key| cpu[key].as_f64());
    assert!(most.is_none_or(|most| Some(most) > least), "{cpu}");
    daemon.log.about(villain.pid, "close");
    let promise = Promise::AtMost(
        1,
        "a session of its own, and its parent gone, while nobody watched",
    );
    let story = "members fork twice between two daemons";
    let row = case.promise(34, story, kill.at, promise);
    row.holds(&daemon.log.text());
    never_told_again(&daemon, villain.pid);
}

/// Scenario 35: what was left, and the record of an act, are of another boot, and speak of identities that strangers bear.
fn the_machine_was_started_anew(tier: Tier) {
    let mut scene = Scene::new("reboot", tier, |daemon, root| {
        daemon.log.about(root, "nudge");
    });
    let state = scene.case.path("state");
    let stranger = scene.case.start(Order::canary(&scene.program));
    pretend(&state, &scene.villain, &stranger);
    let daemon = scene.successor();
    // It is a case like any other, from its beginning.
    daemon.log.about(scene.villain.pid, "nudge");
    let kill = daemon.log.signal(scene.villain.pid, "KILL");
    daemon.log.about(scene.villain.pid, "close");
    let status = daemon.ask_json(&["status"]);
    assert_eq!(status["daemon"]["faults"], json!([]), "{status}");
    assert_eq!(
        daemon.log.deeds(stranger.pid),
        [""; 0],
        "{}",
        daemon.log.text()
    );
    assert!(!signalled(&daemon).contains(&stranger.pid));
    scene.case.keep(stranger);
    let story = "what was left is of another boot";
    let row = scene.case.row(35, story, kill.at);
    row.holds(&daemon.log.text());
    fs::write(&scene.sign, "").unwrap();
    wait_until("the pair to be gone", || !scene.villain.lives());
}

/// Makes what was left speak of another boot, and of this stranger where it spoke of the villain.
fn pretend(state: &Path, villain: &Started, stranger: &Started) {
    const ELSEWHERE: &str = "0a1b2c3d-0000-4000-8000-123456789abc";
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let key = |of: &Started| format!("{}:{}", of.pid, of.inode());
    let legacy = state.join("legacy.json");
    let text = fs::read_to_string(&legacy).unwrap();
    assert!(
        text.contains(boot.trim()) && text.contains(&key(villain)),
        "{text}"
    );
    let text = text.replace(boot.trim(), ELSEWHERE);
    fs::write(&legacy, text.replace(&key(villain), &key(stranger))).unwrap();
    let left = state.join("left");
    let (mut intent, _) = Intent::open(&left, 0o700, ELSEWHERE).unwrap();
    let record = Record {
        warrant: 3,
        incident: 9,
        rule: "villain".to_owned(),
        signal: "KILL".to_owned(),
        manner: Manner::Walk,
        epoch: 0,
        wall: "2026-11-22T07:40:00Z".to_owned(),
        targets: vec![key(stranger)],
        stood: vec![stranger.pid],
        more: 0,
    };
    intent.begin(&record).unwrap();
    // A beadle that dies leaves it open.
    fs::copy(&left, state.join("intent")).unwrap();
}
