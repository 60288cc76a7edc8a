//! What the service manager hears: the test is the manager.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use rustix::process::Signal;

use super::case::{Case, rules};
use super::daemon::{Daemon, Watch};
use super::in_both_tiers;
use super::launch::Order;
use super::report::{Tier, cannot_show};
use super::stage::root;
use super::wait::{wait_for, wait_until};

in_both_tiers!(it_is_ready_when_it_watches_and_says_how_things_stand);

/// The watchdog's patience here.
const PATIENCE: Duration = Duration::from_secs(1);

/// So long without a sign of life, and systemd would have given up on it.
const SILENCE: Duration = Duration::from_secs(3);

/// A manager's ear.
struct Manager {
    ear: UnixDatagram,
    place: PathBuf,
    heard: Vec<String>,
}

impl Manager {
    fn of(case: &Case) -> Self {
        let place = case.path("notify");
        let ear = UnixDatagram::bind(&place).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o666)).unwrap();
        ear.set_nonblocking(true).unwrap();
        let heard = Vec::new();
        Self { ear, place, heard }
    }

    /// Starts a daemon that is to report here, within a second again and again.
    fn start(&self, watch: Watch) -> Daemon {
        let patience = PATIENCE.as_micros().to_string();
        watch
            .variable("NOTIFY_SOCKET", self.place.as_os_str())
            .variable("WATCHDOG_USEC", patience)
            .spawn()
    }

    /// Takes in what came; how many signs of life were among it.
    fn listen(&mut self) -> usize {
        let mut lives = 0;
        let mut text = [0; 4096];
        while let Ok(length) = self.ear.recv(&mut text) {
            let word = String::from_utf8_lossy(&text[..length]).into_owned();
            match word.as_str() {
                "WATCHDOG=1" => lives += 1,
                _ => self.heard.push(word),
            }
        }
        lives
    }

    /// Waits for the next word that begins so, and forgets what came before it.
    fn hears(&mut self, begin: &str, daemon: &Daemon) -> String {
        let found = wait_for(begin, Duration::from_secs(45), || {
            self.listen();
            let at = self.heard.iter().position(|word| word.starts_with(begin))?;
            self.heard.drain(..=at).next_back()
        });
        found.unwrap_or_else(|vain| panic!("{vain}; {:?}\n{}", self.heard, daemon.log.text()))
    }

    /// Whether it gives a sign of life, again and again.
    fn is_told_of_life(&mut self) {
        for _ in 0..3 {
            wait_until("a sign of life", || self.listen() > 0);
        }
    }

    /// Whether none comes for so long that a manager would end it.
    fn is_told_nothing(&mut self) {
        // What is under way may still arrive.
        wait_for_silence();
        self.listen();
        let end = Instant::now() + SILENCE;
        let lives = wait_for("a sign of life", SILENCE + PATIENCE, || {
            let lives = self.listen();
            (lives > 0 || Instant::now() >= end).then_some(lives)
        });
        assert_eq!(lives.unwrap(), 0, "it is taken for alive");
    }
}

fn wait_for_silence() {
    let end = Instant::now() + PATIENCE / 4;
    wait_until("what is under way", || Instant::now() >= end);
}

fn it_is_ready_when_it_watches_and_says_how_things_stand(tier: Tier) {
    let mut case = Case::new("ready", tier);
    let program = case.program("ready");
    let mut manager = Manager::of(&case);
    let mut daemon = manager.start(case.watch().rules(&rules(&program)));
    let ready = manager.hears("READY=1\nSTATUS=", &daemon);
    // From here on it answers, and has met everybody.
    let status = daemon.ask_json(&["status"]);
    assert_eq!(status["rules"][0]["name"], "villain", "{status}");
    assert!(status["processes"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(status["tier"], tier.word(), "{status}");
    daemon.log.event("start");
    assert!(ready.contains("STATUS=Mode enforce, "), "{ready}");
    assert!(
        !ready.contains("knows 0 "),
        "before its first look: {ready}"
    );
    assert!(ready.ends_with("no incident is open"), "{ready}");

    let villain = case.start(Order::new(&program, "ignore"));
    wait_until("the line to say that one is open", || {
        manager.listen();
        let last = manager.heard.last();
        last.is_some_and(|line| line.ends_with("; 1 open incident"))
    });
    daemon.log.about(villain.pid, "close");
    wait_until("the line to say that it is over", || {
        manager.listen();
        let last = manager.heard.last();
        last.is_some_and(|line| line.ends_with("no incident is open"))
    });
    manager.is_told_of_life();

    daemon.stop();
    manager.listen();
    let last = manager.heard.last().map(String::as_str);
    assert_eq!(last, Some("STOPPING=1\nSTATUS=SIGTERM"));
    let again = manager.heard.iter().any(|word| word.contains("READY=1"));
    assert!(!again, "{:?}", manager.heard);
}

#[test]
fn a_reload_is_told_at_both_ends_whatever_comes_of_it() {
    let case = Case::new("reloading", Tier::Scan);
    let program = case.program("reloading");
    let mut manager = Manager::of(&case);
    let mut daemon = manager.start(case.watch().rules(&rules(&program)));
    manager.hears("READY=1", &daemon);
    let file = daemon.watch.rules_file();
    let good = fs::read_to_string(&file).unwrap();
    for (text, outcome) in [("version: 7", "refused"), (&*good, "taken")] {
        let before = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // Not as a change of the file, which is noticed by itself.
        fs::write(&file, text).unwrap();
        daemon.signal(Signal::HUP);
        let reloading = manager.hears("RELOADING=1\nMONOTONIC_USEC=", &daemon);
        let since = reloading.lines().nth(1).unwrap().split_once('=').unwrap().1;
        let since: i64 = since.parse().unwrap();
        assert!(since >= before.tv_sec * 1_000_000, "{reloading}");
        let ready = manager.hears("READY=1\nSTATUS=", &daemon);
        assert_eq!(
            ready.contains("trouble with rules"),
            outcome == "refused",
            "{ready}"
        );
        daemon.log.wait(outcome, |says| says["outcome"] == outcome);
    }
}

#[test]
fn a_process_that_stands_gives_no_sign_of_life() {
    let case = Case::new("stands", Tier::Scan);
    let program = case.program("stands");
    let mut manager = Manager::of(&case);
    let mut daemon = manager.start(case.watch().rules(&rules(&program)));
    manager.hears("READY=1", &daemon);
    manager.is_told_of_life();
    daemon.signal(Signal::STOP);
    manager.is_told_nothing();
    daemon.signal(Signal::CONT);
    manager.is_told_of_life();
}

/// Users are looked up by the loop, and a directory that does not answer holds it up: here the file of users is a pipe that
/// nobody writes to. All other threads of the daemon go on.
#[test]
fn a_loop_that_hangs_gives_no_sign_of_life() {
    if !root() {
        return cannot_show(
            "a loop that hangs",
            "only root can put another file of users in place",
        );
    }
    let case = Case::new("hangs", Tier::Scan);
    let program = case.program("hangs");
    let pipe = case.path("users");
    mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o644)).unwrap();
    let mut manager = Manager::of(&case);
    let elsewhere = "mount --bind \"$0\" /etc/passwd && exec \"$@\"";
    let before = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        elsewhere,
        pipe.to_str().unwrap(),
    ];
    let mut daemon = manager.start(case.watch().rules(&rules(&program)).under(&before));
    manager.hears("READY=1", &daemon);
    manager.is_told_of_life();

    let file = daemon.watch.rules_file();
    let name = "match: { user: nobody-of-this-name,";
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("match: {", name)).unwrap();
    daemon.signal(Signal::HUP);
    manager.hears("RELOADING=1", &daemon);
    manager.is_told_nothing();
    assert!(
        !daemon.ask(&["status"]).status.success(),
        "the loop does not hang"
    );

    // Both the signal and the change of the file ask for a reload: the second must not hang as well.
    fs::write(&file, good).unwrap();
    // To be opened is all it waits for: a library that finds a pipe there may not even read it.
    let answer = wait_for("somebody to read", Duration::from_secs(10), || {
        open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok()
    });
    drop(answer.unwrap());
    manager.hears("READY=1", &daemon);
    manager.is_told_of_life();
}

#[test]
fn without_a_manager_nothing_is_said_and_nothing_wakes() {
    let case = Case::new("alone", Tier::Scan);
    let program = case.program("alone");
    // A patience of nobody's.
    let watch = case.watch().variable("WATCHDOG_USEC", "1000");
    let mut daemon = watch.rules(&rules(&program)).start();
    assert!(daemon.stop().success());
    assert_eq!(daemon.log.all("fault"), Vec::<serde_json::Value>::new());
}

/// The capabilities of the system unit are enough; the unit itself says what each is for.
#[test]
fn with_the_units_capabilities_it_hears_reads_and_ends_other_peoples_runaways() {
    if !root() {
        return cannot_show("the unit's capabilities", "only root has them to give away");
    }
    let unit = fs::read_to_string("systemd/beadle.service").unwrap();
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let mut bounds = "-all".to_owned();
    for name in line.unwrap().split(' ') {
        bounds.push_str(",+");
        bounds.push_str(&name.strip_prefix("CAP_").unwrap().to_lowercase());
    }
    let case = Case::new("capable", Tier::Events);
    let mut others = Case::of("strangers", Tier::Events, super::stage::User::Stranger);
    let program = others.program("strangers");
    others.canaries(&program);
    // Its environment is what only its owner and the powerful may read.
    let name = program.file_name().unwrap().to_str().unwrap();
    let rules = rules(&program).replace(
        &format!("{{ exe: {name} }}"),
        &format!("{{ exe: {name}, env: {{ SECONDS: \"31\" }} }}"),
    );
    let watch = super::daemon::Watch::new(&case.beadle(), &case.path(""), super::stage::User::Me);
    let arguments = [
        "setpriv",
        "--bounding-set",
        &bounds,
        "--inh-caps=-all",
        "--no-new-privs",
    ];
    let daemon = watch
        .leash(others.leash())
        .rules(&rules)
        .under(&arguments)
        .start();
    let alone = case.watch_in(Tier::Events).rules(&rules).start();
    let tier = |daemon: &Daemon| daemon.log.event("start").says["tier"].clone();
    // Where anybody hears, it does.
    assert_eq!(tier(&daemon), tier(&alone), "{}", daemon.log.text());
    drop(alone);
    let villain = others.start(Order::new(&program, "ignore").life(Duration::from_secs(31)));
    let nudge = daemon.log.about(villain.pid, "nudge");
    assert!(
        nudge.text.contains("SECONDS") || nudge.says["owner"] != 0,
        "{}",
        nudge.text
    );
    daemon.log.signal(villain.pid, "KILL");
    let close = daemon.log.about(villain.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    assert!(!villain.lives());
    assert_eq!(others.lost(), 0);
    assert_eq!(daemon.log.all("fault"), Vec::<serde_json::Value>::new());
}
