use std::sync::mpsc::Receiver;

use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};

use super::*;
use crate::engine::facts::Read;
use crate::engine::forest::Serial;
use crate::engine::process::{ExecGen, Pid};
use crate::sys::clock::Clock;
use crate::sys::fake_proc::{FakeProc, Line};
use crate::sys::villain::wait_until;

const PATIENCE: Duration = Duration::from_secs(10);

fn question(number: u32) -> Question {
    Question {
        about: Serial::NOBODY,
        pid: Pid::new(number).unwrap(),
        key: None,
        start: None,
        exec: ExecGen(0),
        variables: Arc::new([]),
    }
}

fn start(proc: &FakeProc) -> (Learner, Receiver<Vec<Facts>>) {
    let (answers, inbox) = channel();
    let learner = Learner::start(proc.path(), move |facts| {
        let _ = answers.send(facts);
    });
    (learner.unwrap(), inbox)
}

/// As many answers as were asked for, in the order they came.
fn wait(inbox: &Receiver<Vec<Facts>>, count: usize) -> Vec<Facts> {
    let mut facts = Vec::new();
    while facts.len() < count {
        facts.extend(inbox.recv_timeout(PATIENCE).unwrap());
    }
    facts
}

/// A process whose arguments cannot be read until somebody lets go: opening a pipe waits for the other end.
fn stuck(proc: &FakeProc, number: u32) {
    proc.process(number, Line::default());
    let path = proc.path().join(number.to_string()).join("cmdline");
    mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).unwrap();
}

fn let_go(proc: &FakeProc, number: u32) {
    let path = proc.path().join(number.to_string()).join("cmdline");
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    wait_until("somebody reads", || {
        open(&path, flags, Mode::empty()).is_ok()
    });
}

#[test]
fn every_question_is_answered_once_and_in_batches() {
    let proc = FakeProc::new();
    for number in 1..=500 {
        proc.process(number, Line::default())
            .file("cmdline", "cat\0");
    }
    let (learner, inbox) = start(&proc);
    learner.ask((1..=600).map(question).collect());
    let mut batches = 0;
    let mut facts = Vec::new();
    while facts.len() < 600 {
        facts.extend(inbox.recv_timeout(PATIENCE).unwrap());
        batches += 1;
    }
    facts.sort_by_key(|facts| facts.pid);
    let pids: Vec<_> = facts.iter().map(|facts| facts.pid.number()).collect();
    assert_eq!(pids, (1..=600).collect::<Vec<_>>());
    assert_eq!(
        facts.iter().filter(|facts| facts.key.is_some()).count(),
        500
    );
    assert!(batches < 300, "{batches} batches");
}

#[test]
fn what_hangs_is_late_and_holds_up_nobody_else() {
    let proc = FakeProc::new();
    stuck(&proc, 1);
    stuck(&proc, 2);
    proc.process(3, Line::default()).file("cmdline", "cat\0");
    let (learner, inbox) = start(&proc);
    learner.ask(vec![question(1), question(2), question(1), question(3)]);
    let facts = wait(&inbox, 4);
    let late = |facts: &&Facts| facts.args == Read::Late;
    assert_eq!(facts.iter().filter(late).count(), 3);
    let learnt: Vec<_> = facts.iter().filter(|facts| facts.key.is_some()).collect();
    assert!(matches!(learnt.as_slice(), [facts] if facts.pid.number() == 3));
    // Asked again while somebody still waits there: late at once, and no further thread is lost.
    let asked = Clock.now();
    learner.ask(vec![question(1)]);
    assert_eq!(wait(&inbox, 1).first().unwrap().args, Read::Late);
    assert!(Clock.now().since(asked) < DEADLINE);
    let_go(&proc, 1);
    let_go(&proc, 2);
    // What came too late is dropped: the next answer is to the next question.
    learner.ask(vec![question(3)]);
    let facts = wait(&inbox, 1);
    assert_eq!(facts.first().unwrap().pid.number(), 3);
    assert!(inbox.recv_timeout(Duration::from_millis(50)).is_err());
}

#[test]
fn when_everybody_hangs_everything_is_late() {
    let proc = FakeProc::new();
    for number in 1..=8 {
        stuck(&proc, number);
    }
    proc.process(9, Line::default()).file("cmdline", "cat\0");
    let (learner, inbox) = start(&proc);
    learner.ask((1..=9).map(question).collect());
    let facts = wait(&inbox, 9);
    assert!(facts.iter().all(|facts| facts.args == Read::Late));
    for number in 1..=8 {
        let_go(&proc, number);
    }
    wait_until("a thread is free again", || {
        learner.ask(vec![question(9)]);
        let facts = wait(&inbox, 1).remove(0);
        assert_eq!(facts.pid.number(), 9);
        facts.key.is_some()
    });
}
