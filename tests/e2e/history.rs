//! What is told afterwards: of whom, by whom, and to whom.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use serde_json::Value;

use super::case::{Case, rules};
use super::in_both_tiers;
use super::launch::Order;
use super::report::{Tier, cannot_show};
use super::stage::root;

/// Whom nobody's processes are.
const NOBODY: u32 = 65_534;

in_both_tiers!(who_killed_my_process);

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn who_killed_my_process(tier: Tier) {
    let mut case = Case::new("history", tier);
    let program = case.program("history");
    case.canaries(&program);
    let mut daemon = case.watch().rules(&rules(&program)).start();
    let none = daemon.ask(&["history"]);
    assert!(said(&none).starts_with("No such incident is kept."));
    let villain = case.start(Order::new(&program, "crowd").number(3));
    let kill = daemon.log.signal(villain.pid, "KILL");
    let close = daemon.log.about(villain.pid, "close");
    let incident = close.says["incident"].to_string();
    let pids = kill.says["pids"].as_array().unwrap();
    let child = pids.iter().find(|pid| **pid != villain.pid).unwrap();

    // Who killed my process?
    let answer = daemon.ask(&["history", "--pid", &child.to_string()]);
    assert!(answer.status.success(), "{answer:?}");
    let text = said(&answer);
    let names = [
        format!("[{child}]"),
        "was ended by SIGKILL".to_owned(),
        "rule villain".to_owned(),
        format!("beadle show {incident}"),
    ];
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    // Not beadle.
    let innocent = daemon.ask(&["history", "--pid", &case.leash().to_string()]);
    assert_eq!(innocent.status.code(), Some(1));
    assert!(said(&innocent).contains("beadle sent it no signal"));

    let story = daemon.ask_json(&["show", &incident]);
    certified(&story, &kill.says, tier);
    let page = daemon.ask(&["show", &incident]);
    let text = said(&page);
    let tie = match tier {
        Tier::Events => format!("forked by member {}", villain.pid),
        Tier::Scan => format!("found as a child of member {}", villain.pid),
    };
    let words = ["SIGKILL ends 4 processes", "the root", &tie, "ended"];
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    let status = daemon.ask_json(&["status"]);
    assert_eq!(
        status["daemon"]["faults"],
        serde_json::json!([]),
        "{status}"
    );

    // What is root's is nobody else's to see.
    let strangers = |arguments: &[&str]| {
        let answer = daemon.ask_as(NOBODY, arguments);
        assert!(!said(&answer).contains("villain"), "{answer:?}");
        answer
    };
    if root() {
        let list = strangers(&["history"]);
        assert!(said(&list).contains("yours to see"), "{list:?}");
        strangers(&["history", "--pid", &child.to_string()]);
        let show = strangers(&["show", &incident]);
        assert!(String::from_utf8_lossy(&show.stderr).contains("not yours"));
    } else {
        cannot_show(
            "another user's history",
            "only root can become another user",
        );
    }

    // The daemon goes, and what it knew stays.
    assert!(daemon.stop().success());
    let state = case.path("state");
    let state = state.to_str().unwrap();
    for question in [
        vec!["history", "--state", state],
        vec!["show", &incident, "--state", state],
    ] {
        let answer = daemon.ask_nobody(&question);
        assert!(answer.status.success(), "{answer:?}");
        assert!(said(&answer).contains("rule villain") || said(&answer).contains("  villain  "));
        if root() {
            let mut stranger = Command::new(case.beadle());
            let refused = stranger.args(&question).uid(NOBODY).gid(NOBODY).output();
            let refused = refused.unwrap();
            assert_eq!(
                (refused.status.code(), said(&refused)),
                (Some(1), String::new())
            );
        }
    }
    let read = daemon.ask_nobody(&["show", &incident, "--state", state, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said(&read)).unwrap(), story);
    assert_eq!(case.lost(), 0);
}

/// The certificate of the KILL says who, why, on what figures, and what came of it.
fn certified(story: &Value, kill: &Value, tier: Tier) {
    let certificates = story["certificates"].as_array().unwrap();
    let it = certificates.last().unwrap();
    assert_eq!(
        (&it["signal"], &it["newborn"]),
        (&"KILL".into(), &"refused".into())
    );
    assert_eq!(it["warrant"], kill["warrant"]);
    let reading = &it["evidence"]["readings"][0];
    assert_eq!(reading["metric"], "cpu_time", "{reading}");
    let source = reading["tier"].as_str().unwrap();
    assert!(tier.sources().contains(&source), "{reading}");
    let targets = it["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 4, "{it}");
    for target in targets {
        let named = target["program"].as_str().unwrap();
        assert!(named.starts_with("history-of-"), "{target}");
        assert!(
            target["key"].is_string() && target["exec"].is_u64(),
            "{target}"
        );
    }
    assert!(it["leash"].is_u64() && !it["ours"].as_array().unwrap().is_empty());
    let entries = story["entries"].as_array().unwrap();
    let outcome = entries
        .iter()
        .rfind(|entry| entry["event"] == "outcome")
        .unwrap();
    let first = outcome["first"].as_f64().unwrap();
    let age = first - it["evidence"]["sampled"].as_f64().unwrap();
    assert!((0.0..2.0).contains(&age), "figures {age} s old");
    let each = outcome["each"].as_array().unwrap();
    assert!(
        each.len() >= 4 && each.iter().all(|fate| fate["outcome"] == "sent"),
        "{outcome}"
    );
    assert_eq!(
        (&story["state"], &story["how"]),
        (&"closed".into(), &"ended".into())
    );
    let events: Vec<&str> = entries
        .iter()
        .filter_map(|it| it["event"].as_str())
        .collect();
    let ladder = [
        "incident", "nudge", "signal", "outcome", "signal", "outcome", "close",
    ];
    assert_eq!(events, ladder);
}

#[test]
fn who_is_kept_out_of_the_tree_is_named_with_the_reason() {
    let mut case = Case::new("spared", Tier::Events);
    let (program, below) = (case.program("spared"), case.program("below"));
    let kept = below.file_name().unwrap().to_str().unwrap();
    let text = rules(&program).replace(
        "    ladder:",
        &format!("    keep: [{{ exe: {kept} }}]\n    ladder:"),
    );
    let daemon = case.watch().rules(&text).start();
    let order = Order::new(&program, "middle")
        .other(below.to_str().unwrap())
        .number(60_000);
    let villain = case.start(order);
    let close = daemon.log.about(villain.pid, "close");
    let story = daemon.ask_json(&["show", &close.says["incident"].to_string()]);
    let certificates = story["certificates"].as_array().unwrap();
    let spared = certificates[0]["spared"].as_array().unwrap();
    let [first, ..] = spared.as_slice() else {
        panic!("nobody was spared: {story}")
    };
    assert!(first["program"].as_str().unwrap().starts_with("below-of-"));
    assert!(first["because"].as_str().unwrap().contains("`keep`"));
    let targets = certificates[0]["targets"].as_array().unwrap();
    let is_target = |pid: &Value| targets.iter().any(|target| target["pid"] == *pid);
    assert!(!is_target(&first["pid"]), "{story}");
    let answer = daemon.ask(&["history", "--pid", &first["pid"].to_string()]);
    assert!(said(&answer).contains("was spared: taken out of the tree by `keep`"));
}
