//! Heartbeats of real programs: stuck is not slow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::case::Case;
use super::in_both_tiers;
use super::launch::{Order, Started};
use super::report::{Tier, cannot_show};
use super::stage::{OTHER_STRANGER, User, open_to_all, root};
use super::wait::{wait_for, wait_until};

in_both_tiers!(whose_counter_stands_still_is_ended_and_who_moves_is_not);
in_both_tiers!(a_script_beats_by_programs_that_live_for_a_moment);
in_both_tiers!(who_is_no_member_averts_nothing);
in_both_tiers!(what_is_slow_to_close_holds_up_nothing);
in_both_tiers!(a_socket_that_vanishes_is_no_silence_and_is_made_anew);
in_both_tiers!(progress_that_was_sent_before_the_decision_averts_the_signal);

/// Longer than any of these tests.
const LIFE: Duration = Duration::from_secs(60);

/// The program of this name, under a name of the case's own.
fn python(case: &Case, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/programs");
    let path = case.path(&format!("{name}-of-{}.py", case.oracle().mark()));
    if !path.exists() {
        fs::copy(source.join(name).with_extension("py"), &path).unwrap();
        open_to_all(&path);
    }
    path
}

fn order(script: &Path, arguments: &[&str]) -> Order {
    let mut words = vec![script.to_str().unwrap()];
    words.extend(arguments);
    Order::command(Path::new("/usr/bin/python3"), &words).life(LIFE)
}

/// Whether the kernel gives a hold on whoever sends: pidfds with an identity, Linux 6.9.
fn holds_senders() -> bool {
    let own = rustix::process::getpid();
    let hold = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).unwrap();
    rustix::fs::fstatfs(&hold).unwrap().f_type == 0x5049_4446
}

/// Where the daemon of a case hears heartbeats.
fn socket(case: &Case) -> PathBuf {
    case.path("control/beat.sock")
}

fn rules(program: &Path, more: &str, notice: &str) -> String {
    let program = program.file_stem().unwrap().to_str().unwrap();
    format!(
        "version: 1
mode: enforce
interval: 500ms
builtin: none
breaker: {{ trees: 100000, in: 10m }}
nudge: {{ desktop: false, journal: false }}
rules:
  - name: stuck
    match: {{ program: {program} }}
    {more}
    cooldown: 1ms
    ladder: [ nudge, {{ after: {notice}, signal: TERM }}, {{ after: 2s, signal: KILL }} ]
"
    )
}

/// Programs that notify systemd, unchanged: one beats on while its counter stands still, one is slow, one is fast, and one only
/// said that it was ready.
fn whose_counter_stands_still_is_ended_and_who_moves_is_not(tier: Tier) {
    let mut case = Case::new("beats", tier);
    let script = python(&case, "worker");
    let limits = "limits: { silent: 4s }";
    let daemon = case.watch().rules(&rules(&script, limits, "1s")).start();
    let place = socket(&case);
    let start = |case: &mut Case, manner: &str| {
        let order = order(&script, &[manner]);
        case.start(order.variable("NOTIFY_SOCKET", place.to_str().unwrap()))
    };
    let [slow, healthy, silent] = ["slow", "healthy", "silent"].map(|it| start(&mut case, it));
    let fake = start(&mut case, "fake");
    let nudge = daemon.log.about(fake.pid, "nudge");
    let progress = &nudge.says["evidence"]["progress"];
    assert_eq!(progress["done"], 7, "{}", nudge.text);
    assert_eq!(progress["total"], 1000, "{}", nudge.text);
    assert!(progress["moved"].as_f64().unwrap() > 4.0, "{}", nudge.text);
    let words = nudge.says["evidence"]["text"].as_str().unwrap();
    assert!(words.contains("at 7/1,000"), "{words}");
    let status = daemon.ask(&["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("hears heartbeats at"), "{status}");
    assert!(status.contains("last moved"), "{status}");
    let why = daemon.ask(&["why", &silent.pid.to_string()]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("no heartbeat yet"), "{why}");

    daemon.log.signal(fake.pid, "TERM");
    let close = daemon.log.about(fake.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    let spared: Vec<&Started> = vec![&slow, &healthy, &silent];
    assert!(spared.iter().all(|it| it.lives()), "{}", daemon.log.text());
    let signalled = daemon.log.targets();
    let only = |(pid, _): &(u32, String)| *pid == fake.pid;
    assert!(signalled.iter().all(only), "{signalled:?}");
}

/// `beadle beat` in a shell script: as long as it counts, nothing happens; when it says the same again and again, it is ended.
fn a_script_beats_by_programs_that_live_for_a_moment(tier: Tier) {
    let mut case = Case::new("script", tier);
    let script = case.path(&format!("script-of-{}.sh", case.oracle().mark()));
    let beadle = case.beadle();
    fs::write(
        &script,
        format!(
            "n=0; while [ $n -lt 8 ]; do n=$((n+1)); {0} beat --progress $n/8 --status \"batch $n\" || exit 3; sleep 0.5; done
             echo counted > {1}
             while :; do {0} beat --progress 8/8 || exit 3; sleep 0.5; done",
            beadle.display(),
            case.path("counted").display(),
        ),
    )
    .unwrap();
    let limits = "limits: { silent: 3s }";
    let daemon = case.watch().rules(&rules(&script, limits, "1s")).start();
    let order = Order::command(Path::new("/bin/sh"), &[script.to_str().unwrap()]).life(LIFE);
    let place = socket(&case);
    let started = case.start(order.variable("NOTIFY_SOCKET", place.to_str().unwrap()));
    wait_until("it to have counted", || case.path("counted").exists());
    assert!(started.lives(), "{}", daemon.log.text());
    assert!(
        daemon.log.all("incident").is_empty(),
        "{}",
        daemon.log.text()
    );
    let nudge = daemon.log.about(started.pid, "nudge");
    let words = nudge.says["evidence"]["text"].as_str().unwrap();
    assert!(words.contains("at 8/8, 100 %"), "{words}");
    assert!(words.contains("says: batch 8"), "{words}");
    daemon.log.signal(started.pid, "TERM");
    daemon.log.about(started.pid, "close");

    // What a person who makes a mistake is told.
    let gone = case.path("nowhere");
    let refused = daemon.ask_nobody(&["beat", "--socket", gone.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("nobody listens there"), "{told}");
    assert!(told.contains("export NOTIFY_SOCKET="), "{told}");
}

/// Progress of somebody else's is nobody's: of a process that no rule judges, and of another user's.
fn who_is_no_member_averts_nothing(tier: Tier) {
    let mut case = Case::new("spoof", tier);
    let script = python(&case, "worker");
    let limits = "limits: { silent: 3s }";
    let daemon = case.watch().rules(&rules(&script, limits, "2s")).start();
    let place = socket(&case);
    let order = order(&script, &["fake"]);
    let fake = case.start(order.variable("NOTIFY_SOCKET", place.to_str().unwrap()));
    // The tester itself is none of it, whatever it claims.
    let door = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let mut number = 0_u32;
    let mut spoof = |text: &str| {
        number += 1;
        let text = format!("X_BEADLE_PROGRESS={number}\nMAINPID={}\n{text}", fake.pid);
        let _ = door.send_to(text.as_bytes(), &place);
    };
    wait_until("the nudge", || {
        spoof("");
        !daemon.log.all("nudge").is_empty()
    });
    spoof("EXTEND_TIMEOUT_USEC=60000000");
    spoof("STOPPING=1");
    let _ = door.send_to(b"X_BEADLE_PROGRESS=a lot", &place);
    daemon.log.signal(fake.pid, "TERM");
    let heard = wait_for("the count", Duration::from_secs(10), || {
        let status = daemon.ask_json(&["status"]);
        let heard = status["heartbeats"].clone();
        (heard["strangers"].as_u64()? > 2).then_some(heard)
    });
    let heard = heard.unwrap();
    assert!(heard["taken"].as_u64().unwrap() > 0, "{heard}");
    assert_eq!(heard["unreadable"], 1, "{heard}");
    a_member_that_became_another_users_speaks_for_its_tree(&mut case, tier);
}

/// The machine's daemon hears everybody; a member that has become another user's is a member still, where the kernel holds senders.
fn a_member_that_became_another_users_speaks_for_its_tree(case: &mut Case, tier: Tier) {
    if !root() {
        return cannot_show(
            "another user's heartbeats",
            "only root can become another user",
        );
    }
    let script = python(case, "worker");
    let child = python(case, "aim");
    fs::write(
        &child,
        format!(
            "import os, time, subprocess
subprocess.Popen(['/usr/bin/python3', '{}', 'healthy'], user={OTHER_STRANGER}, group={OTHER_STRANGER})
open('{}', 'w').write('x')
time.sleep(60)",
            script.display(),
            case.path("begun").display()
        ),
    )
    .unwrap();
    let program = child.file_stem().unwrap().to_str().unwrap().to_owned();
    let rules = rules(Path::new(&program), "limits: { silent: 3s }", "1h");
    let daemon = case.watch_in(tier).rules(&rules).start();
    let place = case.path(tier.word()).join("control/beat.sock");
    // Its daemon is root's: everybody may send.
    let order = order(&child, &[]);
    let started = case.start(order.variable("NOTIFY_SOCKET", place.to_str().unwrap()));
    // By its number alone nobody knows who it was.
    let (heard, not) = match holds_senders() {
        true => ("taken", "refused"),
        false => ("refused", "taken"),
    };
    let counted = wait_for("its beats", Duration::from_secs(30), || {
        let status = daemon.ask_json(&["status"]);
        let counts = &status["heartbeats"];
        (counts[heard].as_u64()? > 2).then(|| counts.clone())
    });
    let counted = counted.unwrap_or_else(|vain| panic!("{vain}: {}", daemon.ask_json(&["status"])));
    assert_eq!(counted[not], 0, "{counted}");
    assert!(started.lives());
}

/// Somebody passes what is slow to close to both sockets, again and again: the daemon goes on looking, hearing and answering.
fn what_is_slow_to_close_holds_up_nothing(tier: Tier) {
    let mut case = Case::new("linger", tier);
    let script = python(&case, "worker");
    let limits = "limits: { silent: 4s }";
    let daemon = case.watch().rules(&rules(&script, limits, "1s")).start();
    let place = socket(&case);
    let lingerer = python(&case, "linger");
    let control = case.path("control/socket");
    let words = [&place, &control].map(|path| path.to_str().unwrap().to_owned());
    let told = case.path("sent");
    let order_it = order(&lingerer, &[&words[0], &words[1], told.to_str().unwrap()]);
    let _lives = case.start(order_it);
    // They lie in the queue before anything that is stuck has even begun.
    wait_until("it to have been passed", || told.exists());
    let start = |case: &mut Case, manner: &str| {
        let order = order(&script, &[manner]);
        case.start(order.variable("NOTIFY_SOCKET", place.to_str().unwrap()))
    };
    let (healthy, fake) = (start(&mut case, "healthy"), start(&mut case, "fake"));
    daemon.log.signal(fake.pid, "TERM");
    let close = daemon.log.about(fake.pid, "close");
    assert_eq!(close.says["how"], "ended", "{}", close.text);
    assert!(healthy.lives(), "{}", daemon.log.text());
    let status = daemon.ask_json(&["status"]);
    assert!(
        status["heartbeats"]["taken"].as_u64().unwrap() > 0,
        "{status}"
    );
}

/// The socket vanishes while the daemon runs: nobody is signalled on silence that may not be, and it is made anew.
fn a_socket_that_vanishes_is_no_silence_and_is_made_anew(tier: Tier) {
    let mut case = Case::new("gone", tier);
    let script = python(&case, "worker");
    let limits = "limits: { silent: 4s }";
    let daemon = case.watch().rules(&rules(&script, limits, "1s")).start();
    let place = socket(&case);
    let order = order(&script, &["healthy"]);
    let healthy = case.start(order.variable("NOTIFY_SOCKET", place.to_str().unwrap()));
    let taken = || daemon.ask_json(&["status"])["heartbeats"]["taken"].as_u64();
    wait_until("it to be heard", || taken() > Some(0));
    fs::remove_file(&place).unwrap();
    // It does not survive that its words find nobody; another that beats on does.
    wait_until("the socket to be there again", || place.exists());
    let fault = daemon.log.wait("the fault", |line| {
        line["event"] == "fault" && line["part"] == "heartbeats"
    });
    assert!(fault.text.contains("vanished"), "{}", fault.text);
    assert!(daemon.log.all("signal").is_empty(), "{}", daemon.log.text());
    drop(healthy);
    let before = taken();
    let order = self::order(&script, &["healthy"]);
    let _lives = case.start(order.variable("NOTIFY_SOCKET", place.to_str().unwrap()));
    wait_until("it to be heard", || taken() > before);
}

/// How many processes show progress at the moment of the decision: `BEADLE_AIM=1000` for more than in the usual run.
fn shots() -> u32 {
    #[allow(clippy::disallowed_methods, reason = "the tester's choice")]
    let asked = std::env::var("BEADLE_AIM").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(80)
}

/// Progress comes in the same milliseconds as the decision to signal, many times. Whatever was in the queue before the last
/// call averts the signal, and nobody is signalled after progress was accepted.
fn progress_that_was_sent_before_the_decision_averts_the_signal(tier: Tier) {
    const WIDTH: u32 = 40;
    let rounds = shots().div_ceil(WIDTH);
    let life = Duration::from_secs(60) + Duration::from_secs(10) * rounds;
    let mut case = Case::alone_for("aim", tier, User::Me, life);
    let script = python(&case, "aim");
    let more = "scope: process\n    limits: { silent: 1s }";
    let daemon = case.watch().rules(&rules(&script, more, "500ms")).start();
    let (place, results) = (socket(&case), case.path("results"));
    let words = [&place, &results].map(|path| path.to_str().unwrap().to_owned());
    let numbers = [rounds, WIDTH].map(|number| number.to_string());
    let arguments = [&words[0], &words[1], &numbers[0], &numbers[1]].map(String::as_str);
    let driver = case.start(order(&script, &arguments).life(life));
    wait_for("all to have played", life, || {
        (!driver.lives()).then_some(())
    })
    .unwrap();

    let text = fs::read_to_string(&results).unwrap();
    let said: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // When it was decided, by the daemon's own word.
    let decided: BTreeMap<u64, f64> = daemon
        .log
        .all("signal")
        .iter()
        .filter(|signal| signal["signal"] == "TERM")
        .filter_map(|signal| Some((signal["root"].as_u64()?, signal["mono"].as_f64()?)))
        .collect();
    // Whom the signal reached a moment before it would have spoken: so near was it aimed.
    let beaten = said.iter().filter(|one| {
        let moment = |name: &str| one[name].as_f64();
        let aimed = moment("began")
            .zip(moment("aim"))
            .map(|(began, aim)| began + aim);
        let before = aimed.zip(moment("hit")).map(|(aimed, hit)| aimed - hit);
        one["sent"].is_null() && before.is_some_and(|before| before < 0.01)
    });
    let beaten = beaten.count();
    let (mut averted, mut close, mut signalled) = (0, 0, 0);
    for one in said.iter().filter(|one| !one["sent"].is_null()) {
        let (pid, sent) = (one["pid"].as_u64().unwrap(), one["sent"].as_f64().unwrap());
        let (accepted, hit) = (one["accepted"].as_f64(), one["hit"].as_f64());
        match (accepted, hit) {
            (Some(accepted), Some(hit)) => {
                assert!(hit <= accepted, "signalled after accepted progress: {one}");
                signalled += 1;
            }
            (Some(_), None) => averted += 1,
            (None, _) => panic!("never taken in: {one}"),
        }
        if let (Some(decided), Some(_)) = (decided.get(&pid), hit) {
            // What is told is cut to the millisecond; between the last look into the queue and the decision the daemon may
            // lose the processor for a moment.
            assert!(sent + 0.005 >= *decided, "{one} was decided at {decided}");
            close += u32::from((sent - decided).abs() < 0.002);
        }
    }
    let row = format!(
        "{tier:?}: {} spoke: {averted} averted it, {signalled} too late, {close} of these within 2 ms of the decision; \
         {beaten} were signalled less than 10 ms before they would have spoken",
        averted + signalled
    );
    eprintln!("{row}");
    assert!(
        averted > 0 && beaten > 0,
        "nothing was aimed at: {row}\n{text}"
    );
}
