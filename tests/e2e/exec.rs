//! Programs that are run for an incident, for real.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::case::{Case, rules};
use super::daemon::Daemon;
use super::in_both_tiers;
use super::launch::{Order, Started};
use super::oracle::alive;
use super::report::Tier;
use super::stage::copy;
use super::wait::wait_until;

in_both_tiers!(a_program_is_run_once_and_told_what_it_is_about);
in_both_tiers!(where_people_are_only_told_nothing_is_run);
in_both_tiers!(one_that_hangs_is_ended_with_all_it_started);
in_both_tiers!(one_that_writes_without_end_costs_no_memory);
in_both_tiers!(one_that_fails_is_a_fault_and_the_ladder_goes_on);
in_both_tiers!(a_daemon_that_dies_meanwhile_has_it_run_no_second_time);
in_both_tiers!(what_beadle_runs_is_judged_by_no_rule);

/// A tree over its limit, a daemon, and a script that is run half a second after the nudge.
struct Scene {
    case: Case,
    rules: String,
    daemon: Daemon,
    villain: Started,
}

impl Scene {
    fn new(tier: Tier, script: &str, timeout: &str) -> Self {
        Self::with(tier, script, timeout, |rules| rules)
    }

    fn with(tier: Tier, script: &str, timeout: &str, change: fn(String) -> String) -> Self {
        let mut case = Case::new("exec", tier);
        let program = case.program("exec");
        case.canaries(&program);
        let file = case.path("script");
        fs::write(&file, script).unwrap();
        let folder = case.path("");
        let (file, folder) = (file.display(), folder.display());
        let stage = format!("exec: [/bin/sh, {file}, {folder}, stage], timeout: {timeout}");
        let rules = rules(&program).replace(
            "[ nudge,",
            &format!("[ nudge, {{ after: 500ms, {stage} }},"),
        ) + &format!("    on_close: {{ exec: [/bin/sh, {file}, {folder}, close] }}\n");
        let rules = change(rules);
        let daemon = case.watch().rules(&rules).start();
        // Those whom nobody ends go before anybody has waited too long for it.
        let order = Order::new(&program, "crowd").number(2);
        let villain = case.start(order.life(Duration::from_secs(25)));
        Self {
            case,
            rules,
            daemon,
            villain,
        }
    }

    /// What the stage's program came to.
    fn ran(&self) -> Value {
        self.daemon.log.about(self.villain.pid, "ran").says
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.case.path(name)).unwrap_or_default()
    }

    /// The ladder goes on to its end.
    fn goes_on(&self) {
        self.daemon.log.signal(self.villain.pid, "TERM");
        let kill = self.daemon.log.signal(self.villain.pid, "KILL");
        let row = self
            .case
            .row("exec", "a program is run, then the end", kill.at);
        assert_eq!(
            (row.survivors, row.lost),
            (0, 0),
            "{}",
            self.daemon.log.text()
        );
    }

    fn faults(&self) -> Vec<String> {
        let status = self.daemon.ask_json(&["status"]);
        let faults = status["daemon"]["faults"].as_array().unwrap().iter();
        let ours = faults.filter(|fault| fault["part"] == "errand");
        ours.map(|fault| fault["text"].to_string()).collect()
    }
}

/// Writes down all that it finds.
const CURIOUS: &str = r#"
cd "$1" || exit 9
echo "$2" >> runs
case $2 in close) echo "$BEADLE_CLOSING" > closing; exit 0;; esac
{ env; echo "HERE=$OLDPWD"; } > environment
read -r own rest < /proc/$$/stat
echo "$$ $(cut -d' ' -f5,6 /proc/$$/stat)" > session
for fd in /proc/$$/fd/*; do echo "$(readlink "$fd")"; done > descriptors
cat > input
echo told
"#;

fn a_program_is_run_once_and_told_what_it_is_about(tier: Tier) {
    let scene = Scene::new(tier, CURIOUS, "20s");
    let ran = scene.ran();
    assert_eq!(
        (&ran["came"], &ran["status"]),
        (&"exited".into(), &0.into()),
        "{ran}"
    );
    assert_eq!(ran["said"], "told", "{ran}");
    let run = scene.daemon.log.about(scene.villain.pid, "run").says;
    let (pid, owner) = (scene.villain.pid, rustix::process::geteuid().as_raw());
    let environment = scene.text("environment");
    let has = |line: &str| environment.lines().any(|one| one == line);
    for line in [
        format!("BEADLE_INCIDENT={}", run["incident"]),
        "BEADLE_RULE=villain".to_owned(),
        format!("BEADLE_PID={pid}"),
        format!("BEADLE_UNIT=tree {}", run["key"].as_str().unwrap()),
        format!("BEADLE_PROGRAM={}", run["program"].as_str().unwrap()),
        format!("BEADLE_OWNER={owner}"),
        "BEADLE_STAGE=2".to_owned(),
        "HERE=/".to_owned(),
        "LANG=C.UTF-8".to_owned(),
    ] {
        assert!(has(&line), "{line}\n{environment}");
    }
    // Nothing of ours, nor of whoever started us.
    let known = [
        "BEADLE_", "PATH=", "LANG=", "PWD=", "OLDPWD=", "HERE=", "_=",
    ];
    let strange = |line: &&str| !known.iter().any(|known| line.starts_with(known));
    assert_eq!(environment.lines().find(strange), None, "{environment}");

    // On standard input, what the log says of it.
    let input: Value = serde_json::from_str(&scene.text("input")).unwrap();
    assert_eq!(input["event"], "run");
    for key in [
        "incident", "rule", "root", "key", "evidence", "stage", "exec",
    ] {
        assert_eq!(input[key], run[key], "{key}");
        assert!(!input[key].is_null(), "{key}: {input}");
    }

    // A session of its own, and no descriptor but its three and what the shell has open itself.
    let session = scene.text("session");
    let numbers: Vec<&str> = session.split_whitespace().collect();
    assert!(
        numbers.len() == 3 && numbers.iter().all(|one| *one == numbers[0]),
        "{session}"
    );
    let script = scene.case.path("script");
    let descriptors = scene.text("descriptors");
    let own = |link: &str| {
        // A shell keeps its script, and what it redirects, open; the folder is open for the list itself.
        let known = ["pipe:", "/proc/"]
            .iter()
            .any(|known| link.starts_with(known));
        known || link.is_empty() || Path::new(link) == script || link.ends_with("/descriptors")
    };
    assert!(descriptors.lines().all(own), "{descriptors}");
    // Its input, its output, and the one that the shell has for the list itself.
    let pipes: std::collections::BTreeSet<&str> = descriptors
        .lines()
        .filter(|link| link.starts_with("pipe:"))
        .collect();
    assert_eq!(pipes.len(), 3, "{descriptors}");

    scene.goes_on();
    let closing = || scene.text("closing");
    wait_until("the closing to be told", || !closing().is_empty());
    assert_eq!(closing().trim(), "ended");
    assert_eq!(scene.text("runs"), "stage\nclose\n");
    assert_eq!(scene.faults(), Vec::<String>::new());
    let incident = run["incident"].to_string();
    let page = scene.daemon.ask(&["show", &incident]);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("runs /bin/sh"), "{page}");
    assert!(page.contains("/bin/sh ended well"), "{page}");
    assert!(page.contains("as the case is closed: ended"), "{page}");
}

fn where_people_are_only_told_nothing_is_run(tier: Tier) {
    let nudge = |rules: String| rules.replace("mode: enforce", "mode: nudge");
    let scene = Scene::with(tier, CURIOUS, "20s", nudge);
    let withheld = scene.daemon.log.about(scene.villain.pid, "withheld");
    assert_eq!(withheld.says["exec"], "/bin/sh", "{}", withheld.text);
    drop(scene.villain);
    // Nor when it is over.
    scene
        .daemon
        .log
        .wait("the closing", |says| says["event"] == "close");
    assert_eq!(scene.daemon.log.all("run"), Vec::<Value>::new());
    assert_eq!(fs::read_to_string(scene.case.path("runs")).ok(), None);
}

const HANGS: &str = r#"
case $2 in close) exit 0;; esac
sleep 60 &
echo "$! $$" > "$1/numbers"
echo waiting
sleep 60
"#;

fn one_that_hangs_is_ended_with_all_it_started(tier: Tier) {
    let scene = Scene::new(tier, HANGS, "1s");
    let ran = scene.ran();
    assert_eq!(ran["came"], "timed_out", "{ran}");
    assert_eq!(ran["said"], "waiting", "{ran}");
    let numbers = scene.text("numbers");
    let gone = |number: &str| !alive(number.parse().unwrap());
    assert_eq!(numbers.split_whitespace().count(), 2);
    wait_until("all of it to be gone", || {
        numbers.split_whitespace().all(gone)
    });
    let faults = scene.faults();
    assert!(
        faults.iter().any(|text| text.contains("took too long")),
        "{faults:?}"
    );
    scene.goes_on();
}

fn one_that_writes_without_end_costs_no_memory(tier: Tier) {
    let floods =
        "case $2 in close) exit 0;; esac\nwhile :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyy; done";
    let scene = Scene::new(tier, floods, "2s");
    let ran = scene.ran();
    assert_eq!(ran["came"], "timed_out", "{ran}");
    let said = ran["said"].as_str().unwrap();
    assert!(
        said.chars().all(|letter| letter == 'y') && said.len() <= 28,
        "{said}"
    );
    let status = fs::read_to_string(format!("/proc/{}/status", scene.daemon.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(peak < 64 << 10, "{peak} KiB");
    scene.goes_on();
}

fn one_that_fails_is_a_fault_and_the_ladder_goes_on(tier: Tier) {
    let fails = "case $2 in close) exit 0;; esac\necho first\nprintf 'no \\033[31mroute --password hunter2\\n\\n' >&2\nexit 3";
    let scene = Scene::new(tier, fails, "20s");
    let ran = scene.ran();
    assert_eq!(
        (&ran["came"], &ran["status"]),
        (&"exited".into(), &3.into()),
        "{ran}"
    );
    let said = ran["said"].as_str().unwrap();
    assert!(said.starts_with("no \\u{1b}[31mroute"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let faults = scene.faults();
    assert!(
        faults.iter().any(|text| text.contains("status 3")),
        "{faults:?}"
    );
    scene.goes_on();
}

fn a_daemon_that_dies_meanwhile_has_it_run_no_second_time(tier: Tier) {
    let slow = "cd \"$1\"\necho $2 >> runs\ncase $2 in close) exit 0;; esac\nsleep 3";
    let mut scene = Scene::new(tier, slow, "20s");
    wait_until("it to be run", || scene.text("runs").contains("stage"));
    scene.daemon.signal(Signal::KILL);
    scene.daemon.ended();
    scene.daemon = scene.case.watch().rules(&scene.rules).start();
    scene.goes_on();
    wait_until("the closing to be told", || {
        scene.text("runs").contains("close")
    });
    assert_eq!(scene.text("runs"), "stage\nclose\n");
}

/// The rule means programs of this name, and what is run is of this name and burns.
fn what_beadle_runs_is_judged_by_no_rule(tier: Tier) {
    let mut case = Case::new("exec", tier);
    let program = case.program("exec");
    let folder = case.path("own");
    fs::create_dir(&folder).unwrap();
    let own = folder.join(program.file_name().unwrap());
    copy(Path::new("/bin/sh"), &own);
    let number = case.path("number");
    let burns = format!("printf $$ > {}; while :; do :; done", number.display());
    let rules = rules(&program).replace(
        "[ nudge,",
        &format!(
            "[ nudge, {{ after: 500ms, exec: [{}, -c, '( {burns} ) & {burns}'], timeout: 6s }},",
            own.display()
        ),
    );
    let daemon = case.watch().rules(&rules).start();
    let villain = case.start(Order::new(&program, "crowd").number(1));
    let pid = case.number_in("number");
    daemon.log.signal(villain.pid, "KILL");
    let why = daemon.ask(&["why", &pid.to_string()]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("started by beadle"), "{why}");
    // It burns for seconds and is far over the limit when it is ended for its time alone.
    let ran = daemon.log.wait("its end", |says| says["event"] == "ran");
    assert_eq!(ran.says["came"], "timed_out", "{}", ran.text);
    let opened = daemon.log.all("incident");
    assert!(
        opened.iter().all(|says| says["root"] == villain.pid),
        "{opened:?}"
    );
}
