//! The machine's daemon that may become nobody: somebody else steps into sessions for it. In place of systemd, the test starts
//! that one for each connection; `tests/box/run` has the real one.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::session::{Sessions, start};
use super::{Theater, desktop, fault, first, plain, rules, shows_as_root, titled};
use crate::e2e::launch::Order;
use crate::e2e::report::{Tier, cannot_show};
use crate::e2e::stage::{User, root};
use crate::e2e::wait::wait_until;

/// Takes a daemon the means to become somebody else.
const BOUND: [&str; 2] = ["setpriv", "--bounding-set=-setuid,-setgid"];

/// In place of `beadle-notify.socket`.
struct Porter {
    place: PathBuf,
    calls: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Porter {
    /// Listens, and starts a process that sees these sessions for whoever connects.
    fn listen(folder: &Path, sessions: &Sessions, uid: u32, beadle: &Path) -> Self {
        let place = folder.join("notify.socket");
        let listener = UnixListener::bind(&place).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (calls, over) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (counted, ended) = (Arc::clone(&calls), Arc::clone(&over));
        let (mut before, users) = (sessions.before(), sessions.users(uid));
        let script = format!(
            "mount --bind '{}' /etc/passwd && exec \"$@\"",
            users.display()
        );
        before.extend(["sh", "-c", &script, "sh"].map(str::to_owned));
        let beadle = beadle.to_owned();
        std::thread::spawn(move || {
            let mut all: Vec<std::process::Child> = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                all.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let mut command = Command::new(&before[0]);
                command.args(&before[1..]).arg(&beadle);
                let ends = (
                    OwnedFd::from(stream.try_clone().unwrap()),
                    OwnedFd::from(stream),
                );
                command
                    .args(["notify", "--connected"])
                    .stdin(ends.0)
                    .stdout(ends.1);
                all.push(start(command, 0));
            }
            for mut child in all {
                let _ = child.kill();
                let _ = child.wait();
            }
        });
        Self { place, calls, over }
    }
}

impl Drop for Porter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// What runs a daemon as its service does: no sight of `/run/user`, no means to become anybody; a note of who is logged in, and
/// the porter, if there is one.
fn confined(uid: u32, porter: Option<&Porter>) -> Vec<String> {
    let mut script = format!(
        "mount -t tmpfs -o mode=755 none /run && mkdir -p /run/systemd/users /run/beadle && touch /run/systemd/users/{uid}"
    );
    if let Some(porter) = porter {
        let bind = format!(
            " && touch /run/beadle/notify.socket && mount --bind '{}' /run/beadle/notify.socket",
            porter.place.display()
        );
        script.push_str(&bind);
    }
    let script = format!("{script} && exec \"$@\"");
    let before = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    before
        .iter()
        .chain(&BOUND)
        .map(|&word| word.to_owned())
        .collect()
}

#[test]
fn a_daemon_that_may_become_nobody_is_helped_into_sessions() {
    if !shows_as_root("a porter") {
        return;
    }
    let mut theater = Theater::new("porter");
    let program = theater.case.program("porter");
    let session = theater.log_in();
    let mut server = session.serve("buttons");
    let beadle = theater.case.beadle();
    let porter = Porter::listen(
        theater.folder.path(),
        &theater.sessions,
        theater.audience,
        &beadle,
    );
    let before = confined(theater.audience, Some(&porter));
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let watch = theater.watch(Some(&session)).under(&before);
    let daemon = watch.rules(&rules(&program, "1h")).start();
    let villain = theater.case.start(Order::new(&program, "obey"));
    let shown = first(&server);
    wait_until("status to tell of it", || desktop(&daemon)["shown"] == 1);
    assert_eq!(desktop(&daemon)["user"], theater.audience);
    // Who shows it is that user, and has nothing of root.
    let notifier = theirs(theater.audience);
    let status = fs::read_to_string(format!("/proc/{notifier}/status")).unwrap();
    for line in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert!(
            status.contains(&format!("{line}:\t0000000000000000\n")),
            "{status}"
        );
    }
    let ids = format!("{0}\t{0}\t{0}\t{0}\n", theater.audience);
    assert!(status.contains(&format!("Uid:\t{ids}")), "{status}");
    assert!(
        status.contains("NoNewPrivs:\t1") && status.contains("Groups:\t \n"),
        "{status}"
    );
    server.press(shown["id"].as_u64().unwrap(), "stop");
    let close = daemon.log.about(villain.pid, "close").says;
    assert_eq!(close["how"], "ended", "{close}");
    let answered = daemon.log.about(villain.pid, "answer").says;
    assert_eq!(answered["user"], theater.audience, "{answered}");
    titled(&server, "was ended");
    server.asked.wait("it to be taken away", |says| {
        says["call"] == "CloseNotification"
    });
    wait_until("the notifier to go", || {
        !Path::new(&format!("/proc/{notifier}")).exists()
    });
    assert_eq!(fault(&daemon), None);
    assert_eq!(porter.calls.load(Ordering::Relaxed), 1);
}

/// The notifier of a user, by its number.
fn theirs(uid: u32) -> u32 {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let mut numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found = numbers.find(|pid: &u32| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = String::from_utf8_lossy(&read("status")).into_owned();
        read("cmdline") == b"beadle\0notify\0" && status.contains(&format!("Uid:\t{uid}\t"))
    });
    found.expect("a notifier")
}

#[test]
fn without_a_porter_it_is_said_what_is_missing() {
    if !shows_as_root("a missing porter") {
        return;
    }
    let mut theater = Theater::new("porterless");
    let program = theater.case.program("porterless");
    let before = confined(theater.audience, None);
    // It sees the session, and may not step into it.
    let sees = format!(
        "mkdir /run/user && mount --bind '{}' /run/user && exec \"$@\"",
        theater.sessions.folder()
    );
    let session = theater.log_in();
    let at = before.len() - BOUND.len();
    let (mount, bound) = before.split_at(at);
    let sees = ["sh", "-c", &sees, "sh"].map(str::to_owned);
    let before = [mount, &sees, bound].concat();
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let watch = theater.watch(Some(&session)).under(&before);
    let daemon = watch.rules(&rules(&program, "2s")).start();
    let villain = theater.case.start(Order::new(&program, "obey"));
    wait_until("status to tell of it", || fault(&daemon).is_some());
    let text = fault(&daemon).unwrap();
    assert!(
        text.contains("cannot become user")
            && text.contains("systemctl start beadle-notify.socket"),
        "{text}"
    );
    assert!(text.contains("terminals are written to instead"), "{text}");
    // The ladder goes on.
    let close = daemon.log.about(villain.pid, "close").says;
    assert_eq!(close["how"], "ended", "{close}");
}

/// What a porter answers to these words, and whether it went by itself without complaint; the other end is this user's.
fn answers(beadle: &Path, peer: u32, words: &[u8]) -> (Vec<Value>, bool, String) {
    let pair = move || {
        // SAFETY: no pointers. The bare call changes this thread alone, which ends with it.
        let came = unsafe { libc::syscall(libc::SYS_setresuid, -1, peer, -1) };
        assert_eq!(came, 0);
        UnixStream::pair().unwrap()
    };
    let (mut ours, theirs) = std::thread::spawn(pair).join().unwrap();
    let mut command = Command::new(beadle);
    plain(&mut command, Path::new("/"));
    command.args(["notify", "--connected"]);
    command.stdin(OwnedFd::from(theirs.try_clone().unwrap()));
    command.stdout(OwnedFd::from(theirs)).stderr(Stdio::piped());
    let mut child = start(command, 0);
    // It may have gone before it has read anything.
    let _ = ours.write_all(words);
    let _ = ours.shutdown(Shutdown::Write);
    let said = BufReader::new(ours).lines().map_while(Result::ok);
    let said = said
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    let mut log = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    (said, child.wait().unwrap().success(), log)
}

#[test]
fn a_porter_serves_root_alone_and_becomes_nobody_but_whom_it_may() {
    if !root() {
        return cannot_show("a porter", "only root can become another user");
    }
    let case = crate::e2e::case::Case::of("turned", Tier::Events, User::Me);
    let beadle = case.beadle();
    let version = env!("CARGO_PKG_VERSION");
    let hello = |whose: u32| format!("{{\"whose\":{whose},\"version\":\"{version}\"}}\n");
    let nobody = 65534;
    // Somebody known who has no session: that is told, and all is well.
    let (said, well, log) = answers(&beadle, 0, hello(nobody).as_bytes());
    assert_eq!(said, [serde_json::json!({"said": "no_session"})], "{log}");
    assert!(well, "{log}");
    // The machine's daemon learns why.
    let other = format!("{{\"whose\":{nobody},\"version\":\"0.0.1\"}}\n");
    for (words, why) in [
        (hello(0), "root is shown nothing"),
        (hello(4_000_000_017), "user 4000000017 is not known here"),
        (hello(u32::MAX), "user 4294967295 is not known here"),
        (other, "systemctl restart beadle"),
    ] {
        let (said, well, log) = answers(&beadle, 0, words.as_bytes());
        let text = said[0]["text"].as_str().unwrap();
        assert!(text.contains(why) && said.len() == 1, "{text}");
        assert!(log.contains(why) && !well, "{log}");
    }
    // All others learn nothing.
    let long = format!("{}{}", " ".repeat(300), hello(nobody));
    for (peer, words, why) in [
        (1000, hello(nobody), "only the machine's own beadle"),
        (nobody, hello(nobody), "only the machine's own beadle"),
        (0, String::new(), "nobody was named"),
        (0, "{\"whose\":1".to_owned(), "nobody was named"),
        (0, "show\n".to_owned(), "nobody was named"),
        (0, long, "nobody was named"),
    ] {
        let (said, well, log) = answers(&beadle, peer, words.as_bytes());
        assert_eq!(said, Vec::<Value>::new(), "{words:?}");
        assert!(log.contains(why) && !well, "{log}");
    }
}
