//! People answer, for real: their own runaways, and nobody else's.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::case::Case;
use super::daemon::{Daemon, Watch};
use super::in_both_tiers;
use super::launch::{Order, Started, state};
use super::report::{Tier, cannot_show};
use super::stage::{OTHER_STRANGER, User, root};
use super::wait::wait_until;

in_both_tiers!(the_owner_stops_what_beadle_only_tells_of);
in_both_tiers!(the_owner_extends_and_freezes_and_root_allows);
in_both_tiers!(what_was_allowed_outlives_the_daemon);

/// Rules of these modes and stages for a program.
fn rules(program: &Path, mode: &str, ladder: &str) -> String {
    let program = program.file_name().unwrap().to_str().unwrap();
    format!(
        "version: 1
mode: {mode}
interval: 500ms
builtin: none
nudge: {{ desktop: false, journal: false }}
rules:
  - name: villain
    match: {{ exe: {program} }}
    limits: {{ cpu_time: 300ms }}
    ladder: {ladder}
    answers: [stop, extend, freeze]
"
    )
}

/// Somebody's villain, and root's daemon in a folder of root's.
struct Scene {
    daemon: Daemon,
    case: Case,
    villain: Started,
    incident: String,
    _root: Case,
}

impl Scene {
    fn set(name: &str, tier: Tier, mode: &str, ladder: &str) -> Self {
        let root = Case::new(&format!("{name}-root"), tier);
        let mut case = Case::of(name, tier, User::Stranger);
        let program = case.program(name);
        let daemon = Watch::new(&case.beadle(), &root.path(""), User::Me)
            .tier(tier)
            .leash(std::process::id())
            .rules(&rules(&program, mode, ladder))
            .start();
        let villain = case.start(Order::new(&program, "ignore"));
        let nudge = daemon.log.about(villain.pid, "nudge");
        let incident = nudge.says["incident"].to_string();
        Self {
            daemon,
            case,
            villain,
            incident,
            _root: root,
        }
    }
}

fn refused(daemon: &Daemon, uid: u32, words: &[&str], because: &str) {
    let answer = daemon.ask_as(uid, words);
    assert_eq!(answer.status.code(), Some(1), "{words:?}: {answer:?}");
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(said.contains(because), "{words:?}: {said}");
}

fn taken(daemon: &Daemon, uid: u32, words: &[&str]) -> String {
    let answer = daemon.ask_as(uid, words);
    assert!(answer.status.success(), "{words:?}: {answer:?}");
    String::from_utf8(answer.stdout).unwrap()
}

fn the_owner_stops_what_beadle_only_tells_of(tier: Tier) {
    if !root() {
        return cannot_show(
            "somebody else's answer",
            "only root can become another user",
        );
    }
    let Scene {
        daemon,
        case,
        villain,
        incident,
        _root,
    } = Scene::set("stopped", tier, "nudge", "[nudge]");
    let owner = User::Stranger.uid();
    refused(&daemon, OTHER_STRANGER, &["stop", &incident], "not yours");
    let pid = villain.pid.to_string();
    refused(&daemon, OTHER_STRANGER, &["stop", &pid], "not yours");
    assert_eq!(daemon.log.all("answer").len(), 0, "{}", daemon.log.text());
    let said = taken(&daemon, owner, &["stop", "--pid", &pid]);
    assert!(said.contains("SIGTERM"), "{said}");
    let term = daemon.log.signal(villain.pid, "TERM");
    let kill = daemon.log.signal(villain.pid, "KILL");
    let apart = kill.at.duration_since(term.at);
    assert!(apart >= Duration::from_millis(9_500), "{apart:?}");
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    wait_until("an empty stage", || case.survivors() == 0);
    for signal in [term, kill] {
        assert_eq!(signal.says["bidden"]["user"], owner, "{}", signal.text);
        assert_eq!(signal.says["bidden"]["reply"], "stop", "{}", signal.text);
    }
    // Nobody else was meant.
    let targets = daemon.log.targets();
    assert!(
        targets.iter().all(|(pid, _)| *pid == villain.pid),
        "{targets:?}"
    );
    let story = taken(&daemon, owner, &["show", &incident]);
    let whose = format!("as user {owner} said: stop");
    assert!(story.contains(&whose), "{story}");
    assert!(
        story.contains(&format!("Answered by user {owner}")),
        "{story}"
    );
    let story = daemon.ask_json(&["show", &incident]);
    for certificate in story["certificates"].as_array().unwrap() {
        assert_eq!(certificate["bidden"]["user"], owner, "{certificate}");
    }
}

fn the_owner_extends_and_freezes_and_root_allows(tier: Tier) {
    if !root() {
        return cannot_show(
            "somebody else's answer",
            "only root can become another user",
        );
    }
    let ladder = "[ nudge, { after: 4s, signal: TERM }, { after: 2s, signal: KILL } ]";
    let Scene {
        daemon,
        case,
        villain,
        incident,
        _root,
    } = Scene::set("answered", tier, "enforce", ladder);
    let owner = User::Stranger.uid();
    let said = taken(&daemon, owner, &["extend", &incident]);
    assert!(said.contains("left alone for 30 min"), "{said}");
    refused(&daemon, OTHER_STRANGER, &["freeze", &incident], "not yours");
    refused(&daemon, owner, &["allow", &incident], "ask root");
    for view in [
        vec!["status"],
        vec!["ps"],
        vec!["why", &villain.pid.to_string()],
    ] {
        let said = taken(&daemon, owner, &view);
        assert!(said.contains("snoozed for another"), "{view:?}: {said}");
    }
    // The stage would have been due by now.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(daemon.log.targets(), [], "{}", daemon.log.text());
    taken(&daemon, owner, &["freeze", &incident]);
    daemon.log.signal(villain.pid, "STOP");
    wait_until("it to stand still", || state(villain.pid) == Some('T'));
    taken(&daemon, owner, &["extend", &incident]);
    wait_until("it to go on", || state(villain.pid) != Some('T'));
    refused(
        &daemon,
        owner,
        &["extend", &incident],
        "extended twice already",
    );
    let said = taken(&daemon, 0, &["allow", &incident]);
    assert!(said.contains("exception 1"), "{said}");
    assert!(!said.contains("could not be kept"), "{said}");
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "answered", "{}", close.text);
    let listed = taken(&daemon, owner, &["rules", "--exceptions"]);
    assert!(listed.contains("villain"), "{listed}");
    let listed = taken(&daemon, OTHER_STRANGER, &["rules", "--exceptions"]);
    assert!(!listed.contains("villain"), "{listed}");
    refused(&daemon, OTHER_STRANGER, &["forget", "1"], "yours to forget");
    taken(&daemon, owner, &["forget", "1"]);
    // It is judged again: the same case, which is still snoozed, until somebody says otherwise.
    wait_until("it to be judged again", || {
        daemon.ask_as(owner, &["stop", &incident]).status.success()
    });
    daemon.log.signal(villain.pid, "KILL");
    wait_until("an empty stage", || case.survivors() == 0);
}

fn what_was_allowed_outlives_the_daemon(tier: Tier) {
    let mut case = Case::new("allowed", tier);
    let program = case.program("allowed");
    let ladder = "[ nudge, { after: 3s, signal: TERM }, { after: 2s, signal: KILL } ]";
    let rules = rules(&program, "enforce", ladder);
    let mut daemon = case.watch().rules(&rules).start();
    let villain = case.start(Order::new(&program, "ignore"));
    let nudge = daemon.log.about(villain.pid, "nudge");
    let incident = nudge.says["incident"].to_string();
    let allowed = daemon.ask_json(&["allow", &incident]);
    assert_eq!(allowed["exception"]["number"], 1, "{allowed}");
    assert!(daemon.stop().success());
    let again = case.watch().rules(&rules).start();
    let another = case.start(Order::new(&program, "ignore"));
    let why = || {
        let why = again.ask(&["why", &another.pid.to_string()]);
        String::from_utf8_lossy(&why.stdout).into_owned()
    };
    wait_until("the exception to show", || why().contains("exception 1"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(again.log.all("incident").len(), 0, "{}", again.log.text());
    assert!(villain.lives() && another.lives());
    drop(again);
    let file = case.path("state").join("exceptions.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"rule\"", "\"role\"")).unwrap();
    let (code, said) = case.watch().rules(&rules).refused();
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("exceptions.json") && said.contains("mend"),
        "{said}"
    );
}
