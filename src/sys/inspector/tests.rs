use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;

use super::*;
use crate::engine::activity::{Doing, InspectionId};
use crate::engine::process::Pid;
use crate::engine::survey::Holder;
use crate::sys::procfs::{Entry, STAT_LINE, read_short};
use crate::sys::stat::Stat;
use crate::sys::villain::wait_until;

/// A child that ends with the test.
struct Pet(Child);

impl Drop for Pet {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Pet {
    fn new(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn shell(script: &str) -> Self {
        Self::new(Command::new("sh").args(["-c", script]).stdin(Stdio::null()))
    }

    fn holder(&self) -> Holder {
        holder(self.0.id())
    }
}

fn holder(number: u32) -> Holder {
    let proc = Procfs::open(Path::new("/proc")).unwrap();
    let pid = Pid::new(number).unwrap();
    let file = proc.file(&Entry::of(pid).at("stat")).unwrap();
    let mut line = [0; STAT_LINE];
    let start = Stat::parse(read_short(&file, &mut line).unwrap())
        .unwrap()
        .start;
    let hold = proc.hold(pid).unwrap();
    Holder {
        key: crate::sys::procfs::key_of(pid, hold.as_ref(), start),
        start,
    }
}

fn look(holder: Holder, scrutiny: Scrutiny) -> Option<Doing> {
    let proc = Procfs::open(Path::new("/proc")).unwrap();
    let inspection = Inspection {
        id: InspectionId(1),
        whom: vec![holder],
        scrutiny,
    };
    inspect(&proc, &inspection)
        .each
        .pop()
        .map(|(_, doing)| doing)
}

#[track_caller]
fn wait_for(holder: Holder, scrutiny: Scrutiny, so: impl Fn(&Doing) -> bool) -> Doing {
    let mut seen = None;
    wait_until("a look that shows it", || {
        seen = look(holder, scrutiny).filter(|doing| so(doing));
        seen.is_some()
    });
    seen.unwrap()
}

#[test]
fn what_somebody_waits_for_is_told() {
    let sleeper = Pet::new(Command::new("sleep").arg("30"));
    wait_for(sleeper.holder(), Scrutiny::Plain, |it| it.waits.time == 1);
    let parent = Pet::shell("sleep 30; true");
    wait_for(parent.holder(), Scrutiny::Plain, |it| it.waits.child == 1);
    let reader = Pet::new(
        Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null()),
    );
    let doing = wait_for(reader.holder(), Scrutiny::Plain, |it| it.waits.pipe == 1);
    assert!(doing.ends.hears && !doing.ends.talks, "{doing:?}");
    let burner = Pet::shell("while :; do :; done");
    wait_for(burner.holder(), Scrutiny::Plain, |it| it.waits.run == 1);
}

#[test]
fn who_waits_for_a_lock_waits_for_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let file = File::create(&path).unwrap();
    file.lock().unwrap();
    let waiter = Pet::new(Command::new("flock").arg(&path).arg("true"));
    wait_for(waiter.holder(), Scrutiny::Plain, |it| it.waits.lock == 1);
}

#[test]
fn a_child_that_nobody_waits_for_is_counted() {
    // What is exec'd knows nothing of the child that the shell had.
    let lazy = Pet::shell("true & exec sleep 30");
    wait_for(lazy.holder(), Scrutiny::Plain, |it| it.unwaited == 1);
}

#[test]
fn counters_grow_by_what_is_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grows");
    let writer = Pet::shell(&format!(
        "while :; do echo 12345; done > {}",
        path.display()
    ));
    let before = look(writer.holder(), Scrutiny::Plain).unwrap();
    wait_for(writer.holder(), Scrutiny::Plain, |it| {
        it.written >= before.written + 600 && it.calls > before.calls && it.used > Duration::ZERO
    });
}

/// Our own process has these; what other tests open in it meanwhile is theirs.
#[test]
fn sockets_that_take_calls_are_told_from_others() {
    let proc = Procfs::open(Path::new("/proc")).unwrap();
    let ours = Pid::new(std::process::id()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let named = UnixDatagram::bind(folder.path().join("named")).unwrap();
    let nameless = UnixDatagram::unbound().unwrap();
    let (one, _other) = UnixStream::pair().unwrap();
    let listens = |fd: i32| {
        let link = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
        let digits = link
            .to_str()
            .unwrap()
            .trim_matches(|letter: char| !letter.is_ascii_digit());
        Networks::default().listens(&proc, ours, digits.parse().unwrap())
    };
    assert!(listens(listener.as_raw_fd()));
    assert!(listens(named.as_raw_fd()));
    assert!(!listens(nameless.as_raw_fd()));
    assert!(!listens(one.as_raw_fd()));
}

#[test]
fn what_is_read_again_and_again_is_seen_and_how_far_it_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again");
    fs::write(&path, "x".repeat(100_000)).unwrap();
    let again = format!(
        "exec 9< {0}; while :; do cat {0} >/dev/null; read x <&9; done",
        path.display()
    );
    let reader = Pet::shell(&again);
    let seen = wait_for(reader.holder(), Scrutiny::Close, |it| {
        it.close
            .as_ref()
            .is_some_and(|close| !close.places.is_empty())
    });
    let lengths: Vec<u64> = seen
        .close
        .unwrap()
        .places
        .iter()
        .map(|place| place.length)
        .collect();
    assert!(lengths.contains(&100_000), "{lengths:?}");
}

#[test]
fn whoever_is_gone_or_another_is_missing() {
    let mut sleeper = Pet::new(Command::new("sleep").arg("30"));
    let holder = sleeper.holder();
    let mut another = holder;
    another.start.0 += 1;
    assert!(look(another, Scrutiny::Plain).is_none());
    assert!(look(holder, Scrutiny::Plain).is_some());
    sleeper.0.kill().unwrap();
    // A zombie has nothing to show.
    wait_until("its end", || look(holder, Scrutiny::Plain).is_none());
}

#[test]
fn answers_come_back_by_number() {
    let (answers, inbox): (Sender<Inspected>, _) = channel();
    let deliver = move |found| {
        let _ = answers.send(found);
    };
    let mut inspector = Inspector::start(Path::new("/proc"), deliver).unwrap();
    let mut sleeper = Pet::new(
        Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    for number in 1..=3 {
        inspector.ask(Inspection {
            id: InspectionId(number),
            whom: vec![sleeper.holder()],
            scrutiny: Scrutiny::Plain,
        });
        let found = inbox.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!((found.id, found.each.len()), (InspectionId(number), 1));
    }
    drop(sleeper.0.stdin.take());
    let mut rest = String::new();
    sleeper
        .0
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    assert_eq!(rest, "");
}
