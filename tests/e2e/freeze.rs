//! Freezing, for real: who stands still, and all the ways in which they go on again.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::case::{Case, rules};
use super::daemon::Daemon;
use super::in_both_tiers;
use super::launch::{Order, Started, state};
use super::report::Tier;
use super::wait::wait_until;

in_both_tiers!(who_is_frozen_stands_still_and_is_ended_all_the_same);
in_both_tiers!(a_pause_lets_them_go_on);
in_both_tiers!(whoever_was_born_a_moment_before_goes_on_too);
in_both_tiers!(an_orderly_end_lets_them_go_on);
in_both_tiers!(the_guardian_of_a_daemon_that_dies_lets_them_go_on);
in_both_tiers!(where_the_guardian_dies_too_the_next_daemon_does);

/// So many are frozen.
const CROWD: u64 = 40;

/// A tree that stands frozen, and its daemon.
struct Scene {
    case: Case,
    rules: String,
    daemon: Daemon,
    villain: Started,
}

impl Scene {
    fn frozen(name: &'static str, tier: Tier) -> Self {
        let mut case = Case::new(name, tier);
        let program = case.program(name);
        case.canaries(&program);
        let rules = freezing(&program);
        let daemon = case.watch().rules(&rules).start();
        let villain = case.start(Order::new(&program, "crowd").number(CROWD));
        let stopped = |says: &serde_json::Value| {
            says["event"] == "outcome" && says["root"] == villain.pid && says["signal"] == "STOP"
        };
        let outcome = daemon.log.wait("what came of STOP", stopped);
        let all = case.oracle().living();
        assert_eq!(all.len() as u64, CROWD + 1, "{}", outcome.text);
        assert!(all.iter().all(|pid| stands(*pid)), "{}", outcome.text);
        Self {
            case,
            rules,
            daemon,
            villain,
        }
    }

    /// All of them go on; how long that took from a moment on is printed.
    fn goes_on(&self, since: Instant) {
        let standing = || {
            let all = self.case.oracle().living();
            all.into_iter().filter(|pid| stands(*pid)).count()
        };
        wait_until("nobody to stand still", || standing() == 0);
        println!("{:?} until nobody stands still", since.elapsed());
        assert!(self.villain.lives());
    }

    /// The next daemon finds the case where it was, and ends it.
    fn must_end(self) {
        let daemon = self.case.watch().rules(&self.rules).start();
        let deeds = |signal: &str| daemon.log.signal(self.villain.pid, signal);
        deeds("TERM");
        let kill = deeds("KILL");
        let row = self
            .case
            .row("freeze", "frozen, and the daemon dies", kill.at);
        assert_eq!((row.survivors, row.lost), (0, 0), "{}", daemon.log.text());
        let told = daemon.log.deeds(self.villain.pid);
        assert!(
            !told.iter().any(|deed| deed.starts_with("nudge")),
            "{told:?}"
        );
    }
}

fn freezing(program: &Path) -> String {
    rules(program).replace("[ nudge,", "[ nudge, { after: 500ms, freeze },")
}

fn stands(pid: u32) -> bool {
    state(pid) == Some('T')
}

fn who_is_frozen_stands_still_and_is_ended_all_the_same(tier: Tier) {
    let scene = Scene::frozen("freeze", tier);
    let log = &scene.daemon.log;
    log.signal(scene.villain.pid, "TERM");
    let kill = log.signal(scene.villain.pid, "KILL");
    let row = scene.case.row("freeze", "frozen, asked, ended", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0), "{}", log.text());
}

fn a_pause_lets_them_go_on(tier: Tier) {
    let scene = Scene::frozen("freeze", tier);
    let since = Instant::now();
    let paused = scene.daemon.ask(&["pause", "10m", "--rule", "villain"]);
    assert!(paused.status.success(), "{paused:?}");
    scene.goes_on(since);
    let cont = scene.daemon.log.signal(scene.villain.pid, "CONT");
    assert_eq!(scene.case.lost(), 0, "{}", cont.text);
}

/// Children that nobody had seen before they were stopped: they are known by what the hold found alone.
fn whoever_was_born_a_moment_before_goes_on_too(tier: Tier) {
    let mut case = Case::new("freeze", tier);
    let program = case.program("freeze");
    let daemon = case.watch().rules(&freezing(&program)).start();
    let villain = case.start(Order::new(&program, "sower").number(900).forks(900));
    daemon.log.signal(villain.pid, "STOP");
    let paused = daemon.ask(&["pause", "10m", "--rule", "villain"]);
    assert!(paused.status.success(), "{paused:?}");
    daemon.log.signal(villain.pid, "CONT");
    let standing = || case.oracle().living().into_iter().any(stands);
    wait_until("nobody to stand still", || !standing());
    assert!(villain.lives());
}

fn an_orderly_end_lets_them_go_on(tier: Tier) {
    let mut scene = Scene::frozen("freeze", tier);
    let since = Instant::now();
    assert!(scene.daemon.stop().success());
    scene.goes_on(since);
    scene.must_end();
}

fn the_guardian_of_a_daemon_that_dies_lets_them_go_on(tier: Tier) {
    let mut scene = Scene::frozen("freeze", tier);
    // A service manager that ends a beadle which hangs may send this to all that is with it.
    signal_guardian_of(scene.daemon.pid(), Signal::ABORT);
    let since = Instant::now();
    scene.daemon.signal(Signal::KILL);
    scene.daemon.ended();
    scene.goes_on(since);
    scene.must_end();
}

fn where_the_guardian_dies_too_the_next_daemon_does(tier: Tier) {
    let mut scene = Scene::frozen("freeze", tier);
    signal_guardian_of(scene.daemon.pid(), Signal::KILL);
    scene.daemon.signal(Signal::KILL);
    scene.daemon.ended();
    let all = scene.case.oracle().living();
    assert!(
        all.iter().all(|pid| stands(*pid)),
        "somebody let them go on"
    );
    let since = Instant::now();
    let next = scene.case.watch().rules(&scene.rules).start();
    scene.goes_on(since);
    let told = next.log.event("fault");
    assert!(told.text.contains("go on now"), "{}", told.text);
    next.log.signal(scene.villain.pid, "TERM");
    let kill = next.log.signal(scene.villain.pid, "KILL");
    let row = scene
        .case
        .row("freeze", "frozen, and daemon and guardian die", kill.at);
    assert_eq!((row.survivors, row.lost), (0, 0), "{}", next.log.text());
}

/// Signals the guardian of a daemon of our own: its child of that name.
fn signal_guardian_of(daemon: u32, signal: Signal) {
    let tasks = fs::read_dir(format!("/proc/{daemon}/task")).unwrap();
    let mut guardians = 0;
    for task in tasks.flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for pid in list.split_whitespace() {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.starts_with(b"beadle\0guardian\0") {
                let number = Pid::from_raw(pid.parse().unwrap()).unwrap();
                let hold = pidfd_open(number, PidfdFlags::empty()).unwrap();
                pidfd_send_signal(&hold, signal).unwrap();
                guardians += 1;
            }
        }
    }
    assert_eq!(guardians, 1, "one guardian stands by");
}
