use std::path::Path;
use std::process::Command;

use super::*;
use crate::engine::forest::Serial;
use crate::engine::process::{ExecGen, Pid};
use crate::sys::fake_proc::{FakeProc, Line};
use crate::sys::pidfd::PidFd;
use crate::sys::villain::{Leaderless, Sleeper, wait_until};

fn question(pid: Pid, variables: &[&str]) -> Question {
    Question {
        about: Serial::NOBODY,
        pid,
        key: None,
        start: None,
        exec: ExecGen(3),
        variables: variables.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn pid(number: u32) -> Pid {
    Pid::new(number).unwrap()
}

fn fake(proc: &FakeProc, number: u32, variables: &[&str]) -> Facts {
    let proc = Procfs::open(proc.path()).unwrap();
    read_facts(&proc, &question(pid(number), variables), Clock)
}

fn real(question: &Question) -> Facts {
    read_facts(&Procfs::open(Path::new("/proc")).unwrap(), question, Clock)
}

fn args(facts: &Facts) -> Vec<&[u8]> {
    let args = facts.args.known().unwrap();
    args.iter().map(Text::bytes).collect()
}

const STATUS: &str =
    "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t10\t1\nSigIgn:\t0000000000000001\n";

#[test]
fn every_fact_is_read() {
    let proc = FakeProc::new();
    let line = Line {
        comm: b") R 1 (\n",
        tty: 136 << 8 | 4,
        ..Line::default()
    };
    proc.process(10, line)
        .file("status", STATUS)
        .file("cmdline", b"py\xff\0-m\0\0pytest\0")
        .file("environ", "CI=1\0XCI=no\0SECRET=hush\0CI=2\0EMPTY=\0")
        .file("loginuid", "1000")
        .file("cgroup", "0::/a.scope\n")
        .link("exe", "/usr/bin/python3 (deleted)")
        .link("cwd", "/srv/work");
    let facts = fake(&proc, 10, &["CI", "EMPTY", "MISSING", ""]);
    assert_eq!(facts.key, Some(ProcKey::new(pid(10), Mark::Ticks(1000))));
    assert_eq!((facts.exec, facts.kernel_thread), (ExecGen(3), false));
    assert_eq!(facts.comm.bytes(), b") R 1 (\n");
    assert_eq!(args(&facts), [b"py\xff".as_slice(), b"-m", b"", b"pytest"]);
    let env = [("CI", "1"), ("EMPTY", "")];
    let env = env.map(|(name, value)| (name.to_owned(), Text::from(value)));
    assert_eq!(facts.env, Read::Known(env.to_vec()));
    assert_eq!(facts.owner, Read::Known(Uid(2)));
    assert_eq!(facts.group.known().map(|gid| gid.0), Some(6));
    assert_eq!(facts.login, Read::Known(Some(Uid(1000))));
    let exe = facts.exe.known().unwrap();
    assert_eq!(
        (exe.path.bytes(), exe.deleted),
        (b"/usr/bin/python3".as_slice(), true)
    );
    assert_eq!(facts.cwd, Read::Known(Place::existing("/srv/work")));
    assert_eq!(facts.tty, Read::Known(Some(Place::existing("/dev/pts/4"))));
    assert_eq!(facts.cgroup, Read::Known(Text::from("/a.scope")));
    assert_eq!(facts.container, Read::Known(None));
    assert_eq!(facts.namespace, Read::Known(Namespace::Other));
    assert_eq!(facts.hangup, Read::Known(Hangup::Ignored));
}

#[test]
fn the_environment_is_not_read_unless_asked_for() {
    let proc = FakeProc::new();
    proc.process(10, Line::default()).file("environ", "CI=1\0");
    assert_eq!(fake(&proc, 10, &[]).env, Read::NotAsked);
}

#[test]
fn arguments_that_do_not_fit_are_dropped_whole() {
    let proc = FakeProc::new();
    let long = vec![b'x'; 1 << 20];
    proc.process(10, Line::default())
        .file("cmdline", [b"cat\0-n\0".as_slice(), &long, b"\0"].concat());
    assert_eq!(args(&fake(&proc, 10, &[])), [b"cat".as_slice(), b"-n"]);
    let fits = [vec![b'x'; MOST_ARGS - 1], vec![0], b"more\0".to_vec()].concat();
    proc.process(11, Line::default()).file("cmdline", fits);
    assert_eq!(args(&fake(&proc, 11, &[])), [vec![b'x'; MOST_ARGS - 1]]);
    proc.process(12, Line::default()).file("cmdline", long);
    assert!(args(&fake(&proc, 12, &[])).is_empty());
}

#[test]
fn odd_arguments_are_taken_as_they_are() {
    let proc = FakeProc::new();
    let cases: [(&[u8], Vec<&[u8]>); 4] = [
        (b"", vec![]),
        (b"\0", vec![b""]),
        (b"sshd: a@b", vec![b"sshd: a@b"]),
        (b"a\0\0", vec![b"a", b""]),
    ];
    for (number, (text, expected)) in (10..).zip(cases) {
        proc.process(number, Line::default()).file("cmdline", text);
        assert_eq!(args(&fake(&proc, number, &[])), expected);
    }
}

#[test]
fn missing_and_garbage_files_are_not_known_and_hide_nothing_else() {
    let proc = FakeProc::new();
    proc.process(10, Line::default())
        .file("status", "garbage")
        .file("loginuid", "-9")
        .file("cgroup", "\0\0")
        .file("cmdline", "cat\0");
    let facts = fake(&proc, 10, &["CI"]);
    assert!(facts.key.is_some());
    assert_eq!(args(&facts), [b"cat"]);
    assert_eq!((facts.exe, facts.env), (Read::Gone, Read::Gone));
    assert_eq!((facts.owner, facts.namespace), (Read::Denied, Read::Denied));
    assert_eq!((facts.login, facts.cgroup), (Read::Denied, Read::Denied));
    proc.process(11, Line::default());
    assert_eq!(fake(&proc, 11, &[]).login, Read::Known(None));
}

#[test]
fn another_process_is_no_answer() {
    let proc = FakeProc::new();
    proc.process(10, Line::default()).file("cmdline", "cat\0");
    let zombie = Line {
        state: 'Z',
        ..Line::default()
    };
    proc.process(11, zombie);
    let open = Procfs::open(proc.path()).unwrap();
    let other_start = Question {
        start: Some(StartTicks(997)),
        ..question(pid(10), &[])
    };
    let other_key = Question {
        key: Some(ProcKey::new(pid(10), Mark::Ticks(999))),
        ..question(pid(10), &[])
    };
    for asked in [
        other_start,
        other_key,
        question(pid(11), &[]),
        question(pid(12), &[]),
    ] {
        let facts = read_facts(&open, &asked, Clock);
        assert_eq!((facts.key, facts.args), (None, Read::Gone));
    }
    // The stamp of a fork event may come long after the start.
    let near = Question {
        start: Some(StartTicks(1050)),
        ..question(pid(10), &[])
    };
    assert!(read_facts(&open, &near, Clock).key.is_some());
}

#[test]
fn nothing_is_asked_of_the_kernels_own() {
    let proc = FakeProc::new();
    let line = Line {
        flags: 0x0020_0000,
        ..Line::default()
    };
    proc.process(10, line).file("cmdline", "disguise\0");
    let facts = fake(&proc, 10, &["CI"]);
    assert!(facts.kernel_thread);
    assert_eq!((facts.exe, facts.args), (Read::NotAsked, Read::NotAsked));
}

#[test]
fn a_real_child_is_told_from_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("nap (deleted)");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let child = Sleeper::run(Command::new(&program).arg("30").env("BEADLE_TEST", "a=b"));
    let hold = PidFd::open(child.pid()).unwrap();
    let asked = question(child.pid(), &["BEADLE_TEST", "PATH_THAT_IS_NOT_SET"]);
    // Until it has execed, it is an image of ourselves.
    wait_until("the child runs", || {
        real(&asked)
            .args
            .known()
            .is_some_and(|args| args.len() == 2)
    });
    let facts = real(&asked);
    assert_eq!(facts.key, Some(hold.key(child.pid(), facts.start)));
    let exe = facts.exe.known().unwrap();
    assert_eq!(
        (exe.file_name(), exe.deleted),
        (b"nap (deleted)".as_slice(), false)
    );
    let env = vec![("BEADLE_TEST".to_owned(), Text::from("a=b"))];
    assert_eq!(facts.env, Read::Known(env));
    assert_eq!(
        facts.owner,
        Read::Known(Uid(rustix::process::geteuid().as_raw()))
    );
    assert_eq!(facts.namespace, Read::Known(Namespace::Ours));
    assert_eq!(facts.hangup, Read::Known(Hangup::Heeded));
    std::fs::remove_file(&program).unwrap();
    let facts = real(&asked);
    let exe = facts.exe.known().unwrap();
    assert_eq!(
        (exe.file_name(), exe.deleted),
        (b"nap (deleted)".as_slice(), true)
    );
}

#[test]
fn a_process_without_its_leader_still_has_a_program() {
    let child = Leaderless::start();
    wait_until("the leader has ended", || {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap();
        text.contains(") Z ")
    });
    let facts = real(&question(child.pid(), &[]));
    assert!(facts.key.is_some());
    assert!(facts.exe.known().is_some());
    assert!(!facts.args.known().unwrap().is_empty());
}
