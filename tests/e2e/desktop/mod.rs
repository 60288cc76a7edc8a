//! Nudges on desktops: a real message bus for each user, a notification server of our own on it, and the real notifier.
//!
//! As root the daemon lives in a mount namespace where `/run/user` is the test's. Without privileges it is told of its own
//! session as any program is: by `XDG_RUNTIME_DIR`.

mod answers;
mod porter;
mod session;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use self::session::{Server, Session, Sessions, buttons, has_bus};
use super::case::Case;
use super::daemon::{Daemon, Watch, plain};
use super::launch::{Order, Started};
use super::report::{Tier, cannot_show};
use super::stage::{OTHER_STRANGER, User, open_to_all, root};
use super::wait::wait_until;

/// Whether this machine can show it; says so where it cannot.
fn shows(what: &str) -> bool {
    let has = has_bus();
    if !has {
        cannot_show(what, "dbus-daemon is not installed");
    }
    has
}

/// The same for what needs several users.
fn shows_as_root(what: &str) -> bool {
    if !root() {
        cannot_show(what, "only root can become another user");
        return false;
    }
    shows(what)
}

/// A ladder that waits `after` before its TERM.
fn rules(program: &Path, after: &str) -> String {
    let program = program.file_name().unwrap().to_str().unwrap();
    format!(
        "version: 1
mode: enforce
interval: 500ms
builtin: none
nudge: {{ journal: false }}
rules:
  - name: villain
    about: <b>never</b> ends & stays
    match: {{ exe: {program} }}
    limits: {{ cpu_time: 300ms }}
    ladder: [ nudge, {{ after: {after}, signal: TERM }}, {{ after: 3s, signal: KILL }} ]
"
    )
}

/// A stage where the daemon runs as whoever tests, and the villains as whoever is told.
struct Theater {
    case: Case,
    sessions: Sessions,
    audience: u32,
    /// The daemon's own folder: root reads no rules that others may change.
    folder: tempfile::TempDir,
}

impl Theater {
    fn new(name: &str) -> Self {
        let user = if root() { User::Stranger } else { User::Me };
        Self::of(name, user)
    }

    fn of(name: &str, user: User) -> Self {
        let case = Case::of(name, Tier::Events, user);
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let sessions = Sessions::new(folder.path().join("sessions"), &case.villain());
        Self {
            case,
            sessions,
            audience: User::Stranger.uid(),
            folder,
        }
    }

    /// A daemon that looks for sessions here.
    fn watch(&self, own: Option<&Session>) -> Watch {
        let watch = Watch::new(&self.case.beadle(), self.folder.path(), User::Me)
            .tier(Tier::Events)
            .leash(self.case.leash());
        match own {
            Some(own) if !root() => watch.variable("XDG_RUNTIME_DIR", own.folder()),
            Some(_) | None if root() => {
                let before = self.sessions.before();
                let before: Vec<&str> = before.iter().map(String::as_str).collect();
                watch.under(&before)
            }
            Some(_) | None => watch,
        }
    }

    /// The session of whoever is told.
    fn log_in(&self) -> Session {
        let me = rustix::process::geteuid().as_raw();
        self.sessions.open(if root() { self.audience } else { me })
    }
}

/// Buttons as a test names them.
fn named(words: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(word, label): &(&str, &str)| ((*word).to_owned(), (*label).to_owned());
    words.iter().map(owned).collect()
}

/// The first notification that was ordered, now or soon.
fn first(server: &Server) -> Value {
    server
        .asked
        .wait("a notification", |says| says["call"] == "Notify")
        .says
}

fn titled(server: &Server, words: &str) -> Value {
    server
        .asked
        .wait(words, |says| {
            says["title"].as_str().is_some_and(|it| it.contains(words))
        })
        .says
}

fn desktop(daemon: &Daemon) -> Value {
    daemon.ask_json(&["status"])["daemon"]["desktops"][0].clone()
}

fn fault(daemon: &Daemon) -> Option<String> {
    let status = daemon.ask_json(&["status"]);
    let faults = status["daemon"]["faults"].as_array()?;
    let desktop = faults.iter().find(|fault| fault["part"] == "desktop")?;
    Some(desktop["text"].as_str()?.to_owned())
}

#[test]
fn one_notification_follows_an_incident_and_goes_with_it() {
    if !shows("a nudge on a desktop") {
        return;
    }
    let mut theater = Theater::new("bubble");
    let program = theater.case.program("bubble");
    let session = theater.log_in();
    let server = session.serve("buttons");
    let daemon = theater
        .watch(Some(&session))
        .rules(&rules(&program, "3s"))
        .start();
    let villain = theater.case.start(Order::new(&program, "obey"));
    let nudge = first(&server);
    let id = nudge["id"].as_u64().unwrap();
    assert_eq!(
        (&nudge["app"], &nudge["replaces"]),
        (&"beadle".into(), &0.into())
    );
    let title = nudge["title"].as_str().unwrap();
    assert!(
        title.contains(&format!("[{}] is over its limits", villain.pid)),
        "{nudge}"
    );
    let body = nudge["body"].as_str().unwrap();
    assert!(body.contains("CPU time"), "{nudge}");
    // What a rule or a process says is text, whatever it looks like.
    assert!(
        body.contains("(&lt;b&gt;never&lt;/b&gt; ends &amp; stays)"),
        "{nudge}"
    );
    let (stop, extend) = (("stop", "Stop now"), ("extend", "30 min more"));
    let details = ("details", "Details");
    assert_eq!(buttons(&nudge), named(&[stop, extend, details]), "{nudge}");
    wait_until("status to tell of it", || desktop(&daemon)["shown"] == 1);
    assert_eq!(desktop(&daemon)["server"], "beadle's test 1.0");
    let told = daemon.log.about(villain.pid, "nudge").says;
    assert_eq!(told["by"], serde_json::json!(["desktop"]), "{told}");
    let asked = titled(&server, "is asked to leave");
    let ended = titled(&server, "was ended");
    // What is under way can be held off, and what is over cannot be answered.
    for (later, left) in [(&asked, named(&[extend, details])), (&ended, vec![])] {
        assert_eq!((&later["replaces"], &later["id"]), (&id.into(), &id.into()));
        assert_eq!(buttons(later), left, "{later}");
    }
    server.asked.wait("it to be taken away", |says| {
        says["call"] == "CloseNotification" && says["id"] == id
    });
    daemon.log.about(villain.pid, "close");
    assert_eq!(fault(&daemon), None);
    assert_eq!(daemon.log.all("fault").len(), 0, "{}", daemon.log.text());
    // With nothing to show, nobody waits to show it.
    wait_until("the notifier to go", || notifier(&daemon).is_none());
}

/// The notifier of a daemon.
fn notifier(daemon: &Daemon) -> Option<u32> {
    let (parent, theirs) = (daemon.pid().to_string(), b"beadle\0notify\0");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let mut numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.find(|pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        let is_child = after.split_whitespace().nth(1) == Some(parent.as_str());
        let words = || std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        is_child && words() == theirs
    })
}

#[test]
fn a_notifier_is_nobodys_to_judge_and_its_death_holds_nothing_up() {
    if !shows("a notifier that dies") {
        return;
    }
    let mut theater = Theater::new("notifier");
    let program = theater.case.program("notifier");
    let session = theater.log_in();
    let server = session.serve("buttons");
    // It only tells: other tests have notifiers too.
    let rules = rules(&program, "4s")
        + "  - name: own
    mode: nudge
    match: { exe: beadle, args: [notify] }
    limits: { age: 1s }
";
    let daemon = theater.watch(Some(&session)).rules(&rules).start();
    let villain = theater.case.start(Order::new(&program, "obey"));
    first(&server);
    wait_until("it to be on the screen", || desktop(&daemon)["shown"] == 1);
    let notifier = notifier(&daemon).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{notifier}/status")).unwrap();
    let user = format!("Uid:\t{0}\t{0}\t{0}\t{0}", told(&theater));
    assert!(status.contains(&user), "{status}");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let why = || {
        let words = ["why", "--json", &notifier.to_string()];
        String::from_utf8_lossy(&daemon.ask(&words).stdout).into_owned()
    };
    wait_until("it to be known", || why().contains("started by beadle"));
    let held = Started::hold(notifier);
    drop(held);
    let told = daemon.log.wait("a fault", |says| {
        says["event"] == "fault" && says["part"] == "desktop"
    });
    let text = told.says["text"].as_str().unwrap();
    assert!(text.contains("the notifier ended: signal: 9"), "{text}");
    let close = daemon.log.about(villain.pid, "close").says;
    assert_eq!(close["how"], "ended", "{close}");
    let judged = daemon.log.lines().into_iter().map(|line| line.says);
    let judged: Vec<_> = judged.filter(|says| says["root"] == notifier).collect();
    assert_eq!(judged, Vec::<Value>::new());
}

#[test]
fn the_doctor_shows_a_notification_and_hears_its_button() {
    if !shows("a trial of a desktop") {
        return;
    }
    let theater = Theater::new("doctor");
    let session = theater.log_in();
    let mut server = session.serve("buttons");
    let user = told(&theater).to_string();
    let ask = |words: &[&str]| {
        let mut line = if root() {
            theater.sessions.before()
        } else {
            Vec::new()
        };
        line.push(theater.case.beadle().to_str().unwrap().to_owned());
        line.extend(words.iter().map(|&word| word.to_owned()));
        let mut command = Command::new(&line[0]);
        plain(command.args(&line[1..]), theater.folder.path());
        let folder = session.folder();
        command
            .env("XDG_RUNTIME_DIR", folder)
            .stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let doctor = ask(&["doctor", "--json", "--notify", &user]);
    let shown = first(&server);
    let id = shown["id"].as_u64().unwrap();
    // It hears what is pressed a moment after it is shown.
    let pressed = std::cell::Cell::new(0);
    let mut doctor = doctor;
    wait_until("the doctor to end", || {
        pressed.set(pressed.get() + 1);
        if pressed.get() % 50 == 1 {
            server.press(id, "seen");
        }
        doctor.try_wait().unwrap().is_some()
    });
    let output = doctor.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = &found["findings"][0];
    assert_eq!(finding["state"], "well", "{found}");
    let notified = &finding["notified"];
    assert_eq!(notified["user"].to_string(), user, "{found}");
    assert_eq!(notified["id"], id, "{found}");
    assert_eq!(notified["server"], "beadle's test", "{found}");
    assert_eq!(notified["answered"], true, "{found}");
    drop(server);
    let output = ask(&["doctor", "--notify", &user])
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("no notification server runs in the session"),
        "{said}"
    );
}

#[test]
fn only_who_is_meant_is_told() {
    if !shows_as_root("two users' desktops") {
        return;
    }
    let mut theater = Theater::new("audience");
    let program = theater.case.program("audience");
    let (mine, others) = (theater.log_in(), theater.sessions.open(OTHER_STRANGER));
    let (server, other) = (mine.serve("buttons"), others.serve("buttons"));
    let daemon = theater.watch(None).rules(&rules(&program, "1s")).start();
    let villain = theater.case.start(Order::new(&program, "obey"));
    first(&server);
    daemon.log.about(villain.pid, "close");
    titled(&server, "was ended");
    assert_eq!(other.shown(), Vec::<Value>::new());
    let desktops = daemon.ask_json(&["status"])["daemon"]["desktops"].clone();
    assert_eq!(desktops.as_array().unwrap().len(), 1, "{desktops}");
    assert_eq!(desktops[0]["user"], theater.audience, "{desktops}");
}

#[test]
fn who_runs_something_as_root_is_told_and_not_root() {
    if !shows_as_root("somebody who runs something as root") {
        return;
    }
    let mut theater = Theater::of("sudo", User::Me);
    let (person, program) = (theater.case.program("person"), theater.case.program("made"));
    let (mine, roots) = (theater.log_in(), theater.sessions.open(0));
    let (server, other) = (mine.serve("buttons"), roots.serve("buttons"));
    let daemon = theater.watch(None).rules(&rules(&program, "1s")).start();
    let order = Order::new(&person, "elevated").other(program.to_str().unwrap());
    let _person = theater.case.start(order.number(theater.audience));
    let nudge = daemon.log.event("nudge").says;
    assert_eq!(nudge["owner"], 0, "{nudge}");
    assert_eq!(nudge["audience"], theater.audience, "{nudge}");
    first(&server);
    titled(&server, "was ended");
    assert_eq!(other.shown(), Vec::<Value>::new());
}

#[test]
fn a_server_without_buttons_says_what_to_type() {
    if !shows("a notification server without buttons") {
        return;
    }
    let mut theater = Theater::new("plain");
    let program = theater.case.program("plain");
    let session = theater.log_in();
    let server = session.serve("plain");
    let daemon = theater
        .watch(Some(&session))
        .rules(&rules(&program, "60s"))
        .start();
    let villain = theater.case.start(Order::new(&program, "obey"));
    let nudge = first(&server);
    assert_eq!(nudge["actions"], serde_json::json!([]));
    let incident = daemon.log.about(villain.pid, "nudge").says["incident"].clone();
    let body = nudge["body"].as_str().unwrap();
    for words in [
        format!("Stop now: beadle stop {incident}"),
        format!("beadle show {incident}"),
        format!("beadle why {}", villain.pid),
    ] {
        assert!(body.contains(&words), "{words}: {body}");
    }
    wait_until("status to tell of it", || {
        desktop(&daemon)["buttons"] == false
    });
    assert_eq!(fault(&daemon), None);
}

#[test]
fn a_server_that_never_answers_holds_nothing_up() {
    if !shows("a notification server that never answers") {
        return;
    }
    let mut theater = Theater::new("mute");
    let program = theater.case.program("mute");
    let session = theater.log_in();
    let server = session.serve("mute");
    let daemon = theater
        .watch(Some(&session))
        .rules(&rules(&program, "1s"))
        .start();
    let villain = theater.case.start(Order::new(&program, "ignore"));
    first(&server);
    // The ladder goes on while nobody answers there.
    daemon.log.signal(villain.pid, "KILL");
    let close = daemon.log.about(villain.pid, "close");
    let told = daemon.log.wait("a fault", |says| {
        says["event"] == "fault" && says["part"] == "desktop"
    });
    assert!(
        close.says["mono"].as_f64() < told.says["mono"].as_f64(),
        "it was ended before"
    );
    let text = fault(&daemon).unwrap();
    assert!(text.contains("did not answer in 5 s"), "{text}");
    assert!(desktop(&daemon)["trouble"].is_string());
    // It is told once, and the desktop is left alone for now.
    let again = theater.case.start(Order::new(&program, "ignore"));
    let nudge = daemon.log.about(again.pid, "nudge").says;
    assert_eq!(nudge["by"], Value::Null, "{nudge}");
    daemon.log.about(again.pid, "close");
    assert_eq!(daemon.log.all("fault").len(), 1, "{}", daemon.log.text());
}

#[test]
fn without_a_server_the_terminal_is_told() {
    if !shows("a session without a notification server") {
        return;
    }
    let mut theater = Theater::new("serverless");
    let (emulator, job) = (
        theater.case.program("emulator"),
        theater.case.program("job"),
    );
    let session = theater.log_in();
    let daemon = theater
        .watch(Some(&session))
        .rules(&rules(&job, "2s"))
        .start();
    let done = theater.case.path("done");
    let order = Order::new(&emulator, "terminal")
        .other(job.to_str().unwrap())
        .file(&done);
    let _emulator = theater.case.start(order);
    let nudge = daemon.log.event("nudge").says;
    let screen = || std::fs::read_to_string(theater.case.path("villains.log")).unwrap_or_default();
    wait_until("the terminal to be told", || {
        screen().contains("beadle: job") && screen().contains("CPU time")
    });
    let text = fault(&daemon).unwrap();
    assert!(
        text.contains("no notification server runs in the session"),
        "{text}"
    );
    let root = u32::try_from(nudge["root"].as_u64().unwrap()).unwrap();
    let close = daemon.log.about(root, "close").says;
    assert_eq!(close["how"], "ended", "{close}");
}

#[test]
fn without_a_session_the_terminal_is_told_and_nothing_is_wrong() {
    let mut theater = Theater::new("sessionless");
    let (emulator, job) = (
        theater.case.program("emulator"),
        theater.case.program("job"),
    );
    let daemon = theater.watch(None).rules(&rules(&job, "2s")).start();
    let done = theater.case.path("done");
    let order = Order::new(&emulator, "terminal")
        .other(job.to_str().unwrap())
        .file(&done);
    let _emulator = theater.case.start(order);
    let nudge = daemon.log.event("nudge").says;
    assert!(
        nudge["by"][0]
            .as_str()
            .is_some_and(|it| it.starts_with("/dev/pts/")),
        "{nudge}"
    );
    let screen = || std::fs::read_to_string(theater.case.path("villains.log")).unwrap_or_default();
    wait_until("the terminal to be told", || {
        screen().contains("beadle: job")
    });
    assert_eq!(fault(&daemon), None);
}

/// Whoever is told here.
fn told(theater: &Theater) -> u32 {
    if root() {
        theater.audience
    } else {
        rustix::process::geteuid().as_raw()
    }
}
