//! The machine's beadle and a user's, side by side: one nudge and one ladder for a tree, whoever dies.

use std::path::Path;

use tempfile::TempDir;

use super::case::Case;
use super::daemon::{Daemon, Watch};
use super::in_both_tiers;
use super::launch::Order;
use super::report::Tier;
use super::stage::{User, open_to_all, root};
use super::wait::wait_until;

/// A user's stage, and a folder of the machine's beadle.
struct Pair {
    case: Case,
    folder: TempDir,
}

impl Pair {
    fn new(name: &str, tier: Tier) -> Self {
        // Who is not root plays both: the order they go in is told them.
        let user = if root() { User::Stranger } else { User::Me };
        let case = Case::of(name, tier, user);
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        Self { case, folder }
    }

    fn machines(&self, rules: &str) -> Daemon {
        Watch::new(&self.case.beadle(), self.folder.path(), User::Me)
            .tier(self.case.tier())
            .leash(self.case.leash())
            .rules(rules)
            .start()
    }

    fn users(&self, rules: &str) -> Daemon {
        let socket = self.folder.path().join("control/socket");
        let watch = self.case.watch().rules(rules);
        // The rule that root has no elder holds in tests, too.
        watch.arg("--elder").arg(socket).start()
    }
}

/// A rule for this program, with a ladder that waits so long before its TERM.
fn rules(program: &Path, mode: &str, after: &str) -> String {
    let program = program.file_name().unwrap().to_str().unwrap();
    format!(
        "version: 1
mode: {mode}
interval: 500ms
builtin: none
nudge: {{ journal: false, desktop: false }}
rules:
  - name: villain
    match: {{ exe: {program} }}
    limits: {{ cpu_time: 300ms }}
    ladder: [ nudge, {{ after: {after}, signal: TERM }}, {{ after: 2s, signal: KILL }} ]
"
    )
}

/// How many units a user's beadle leaves to the machine's, by its `status`.
fn left(users: &Daemon) -> Option<u64> {
    users.ask_json(&["status"])["daemon"]["elder"]["left"].as_u64()
}

fn told(daemon: &Daemon, pid: u32, event: &str) -> usize {
    let all = daemon.log.all(event);
    all.iter().filter(|line| line["pid"] == pid).count()
}

in_both_tiers!(two_beadles_make_one_ladder);
in_both_tiers!(who_is_dead_is_not_waited_for);
in_both_tiers!(what_only_tells_holds_up_what_only_tells);

fn two_beadles_make_one_ladder(tier: Tier) {
    let mut pair = Pair::new("pair", tier);
    let program = pair.case.program("pair");
    let rules = rules(&program, "enforce", "4s");
    let machines = pair.machines(&rules);
    let users = pair.users(&rules);
    let villain = pair.case.start(Order::new(&program, "ignore"));
    machines.log.about(villain.pid, "nudge");
    wait_until("it to be left to the machine's", || left(&users) == Some(1));
    // Who asks why hears whose incident it is.
    let why = users.ask(&["why", &villain.pid.to_string()]).stdout;
    let why = String::from_utf8_lossy(&why).into_owned();
    assert!(
        why.contains("left to the machine's beadle: its incident"),
        "{why}"
    );
    let status = users.ask(&["status"]).stdout;
    let status = String::from_utf8_lossy(&status).into_owned();
    assert!(
        status.contains("the machine's beadle watches too, and goes first: 1 unit is left to it"),
        "{status}"
    );
    let close = machines.log.about(villain.pid, "close").says;
    assert_eq!(close["how"], "ended", "{close}");
    for event in ["nudge", "signal", "incident"] {
        assert_eq!(told(&users, villain.pid, event), 0, "{}", users.log.text());
    }
    assert_eq!(told(&machines, villain.pid, "nudge"), 1);
    assert_eq!(told(&machines, villain.pid, "signal"), 2);
}

fn who_is_dead_is_not_waited_for(tier: Tier) {
    let mut pair = Pair::new("heir", tier);
    let program = pair.case.program("heir");
    let mut machines = pair.machines(&rules(&program, "enforce", "1h"));
    let users = pair.users(&rules(&program, "enforce", "1s"));
    let villain = pair.case.start(Order::new(&program, "ignore"));
    machines.log.about(villain.pid, "nudge");
    wait_until("it to be left to the machine's", || left(&users) == Some(1));
    assert!(machines.stop().success());
    users.log.about(villain.pid, "nudge");
    let close = users.log.about(villain.pid, "close").says;
    assert_eq!(close["how"], "ended", "{close}");
    assert_eq!(left(&users), None);
    assert_eq!(told(&machines, villain.pid, "signal"), 0);
}

fn what_only_tells_holds_up_what_only_tells(tier: Tier) {
    let mut pair = Pair::new("teller", tier);
    let program = pair.case.program("teller");
    let machines = pair.machines(&rules(&program, "nudge", "1s"));
    let more = "  - { name: another, mode: nudge, match: { exe: EXE }, limits: { age: 1s }, ladder: [ nudge ] }\n";
    let more = more.replace("EXE", program.file_name().unwrap().to_str().unwrap());
    let users = pair.users(&(rules(&program, "enforce", "6s") + &more));
    let villain = pair.case.start(Order::new(&program, "ignore"));
    machines.log.about(villain.pid, "nudge");
    // Nobody else is going to.
    let close = users.log.about(villain.pid, "close").says;
    assert_eq!(close["how"], "ended", "{close}");
    let nudges = users.log.all("nudge");
    let rules: Vec<_> = nudges.iter().map(|line| line["rule"].clone()).collect();
    assert_eq!(rules, ["villain"], "{}", users.log.text());
    assert_eq!(told(&machines, villain.pid, "signal"), 0);
}
