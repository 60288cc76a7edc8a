//! What outlives a daemon: numbers of incidents, and the act it died in.

use std::fs;

use rustix::process::Signal;

use beadle::engine::process::{Mark, Pid, ProcKey};
use beadle::store::intent::{Intent, Manner, Record};

use super::case::{Case, rules};
use super::launch::Order;
use super::report::Tier;

#[test]
fn no_incident_has_the_number_of_an_earlier_one() {
    let mut case = Case::new("store_numbers", Tier::Events);
    let program = case.program("store_numbers");
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let mut daemon = case.watch().rules(&rules(&program)).start();
        let villain = case.start(Order::new(&program, "obey"));
        let nudge = daemon.log.about(villain.pid, "nudge");
        numbers.push(nudge.says["incident"].as_u64().unwrap());
        // Not even when it is killed.
        daemon.signal(Signal::KILL);
        daemon.ended();
    }
    assert_eq!(numbers, [1, 65]);
}

#[test]
fn an_act_that_a_daemon_died_in_is_told_by_the_next() {
    let mut case = Case::new("store_intent", Tier::Scan);
    let program = case.program("store_intent");
    let villain = case.start(Order::new(&program, "ignore").burn(0));
    let folder = case.path("state");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", villain.pid)).unwrap();
    let start = stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap();
    let pid = Pid::new(villain.pid).unwrap();
    let (mut intent, _) = Intent::open(&case.path("left"), 0o700, &boot).unwrap();
    let record = Record {
        warrant: 3,
        incident: 9,
        rule: "villain".to_owned(),
        signal: "KILL".to_owned(),
        manner: Manner::Walk,
        epoch: 0,
        wall: "2026-11-22T07:40:00Z".to_owned(),
        targets: vec![ProcKey::new(pid, Mark::Ticks(start.parse().unwrap())).to_string()],
        stood: Vec::new(),
        more: 0,
    };
    intent.begin(&record).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::copy(case.path("left"), folder.join("intent")).unwrap();

    let mut daemon = case.watch().rules(&rules(&program)).start();
    let fault = daemon.log.event("fault");
    let text = fault.says["text"].as_str().unwrap();
    assert_eq!(fault.says["part"], "unfinished act", "{}", fault.text);
    let says = [
        "KILL by rule villain",
        "incident 9",
        &villain.pid.to_string(),
    ];
    assert!(says.iter().all(|part| text.contains(part)), "{text}");
    let status = daemon.ask_json(&["status"]);
    let faults = status["daemon"]["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 1, "{status}");
    assert!(villain.lives());
    daemon.stop();

    // Told once.
    let daemon = case.watch().rules(&rules(&program)).start();
    let status = daemon.ask_json(&["status"]);
    assert_eq!(
        status["daemon"]["faults"].as_array().unwrap().len(),
        0,
        "{status}"
    );
}
