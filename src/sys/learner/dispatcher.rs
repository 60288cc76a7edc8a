//! Who reads what, and what is late. One thread owns all of this; there are no locks.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::DEADLINE;
use super::reading::{nothing, read_facts};
use crate::engine::facts::{Facts, Question};
use crate::engine::process::Pid;
use crate::engine::snapshot::Why;
use crate::engine::units::Mono;
use crate::sys::clock::Clock;
use crate::sys::procfs::{Missing, Procfs};

/// Stack of each thread: the deepest call keeps two lines and a page.
pub(super) const STACK: usize = 256 << 10;

/// Threads that read at a time.
const WORKERS: usize = 2;

/// Threads in all, those included that wait for a process which may never let them go.
const MOST_WORKERS: usize = 8;

/// Questions that wait. One more is late at once, and asked again.
const MOST_QUEUED: usize = 32 << 10;

/// Answers are handed over when so many have come together,
const BATCH: usize = 256;

/// or the first of them is this old, or nothing more is awaited.
const LINGER: Duration = Duration::from_millis(10);

/// What the dispatcher is told.
#[derive(Debug)]
pub(super) enum Message {
    Ask(Vec<Question>),
    Done(WorkerId, Box<Facts>),
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkerId(u64);

#[derive(Debug)]
struct Worker {
    desk: Sender<Question>,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Reading {
        question: Question,
        since: Mono,
    },
    /// Its question was answered as late; it still waits for that process.
    Stuck(Pid),
}

/// Whether somebody is at a process already.
enum Busy {
    No,
    Reading,
    Stuck,
}

pub(super) struct Dispatcher<F> {
    proc: Arc<Procfs>,
    inbox: Sender<Message>,
    deliver: F,
    workers: BTreeMap<WorkerId, Worker>,
    hired: u64,
    queue: VecDeque<Question>,
    answers: Vec<Facts>,
    oldest: Option<Mono>,
}

impl<F: Fn(Vec<Facts>)> Dispatcher<F> {
    pub(super) fn new(proc: Arc<Procfs>, inbox: Sender<Message>, deliver: F) -> Self {
        Self {
            proc,
            inbox,
            deliver,
            workers: BTreeMap::new(),
            hired: 0,
            queue: VecDeque::new(),
            answers: Vec::new(),
            oldest: None,
        }
    }

    /// Sees to it that enough threads can read.
    pub(super) fn hire(&mut self) -> io::Result<()> {
        while self.able() < WORKERS && self.workers.len() < MOST_WORKERS {
            let id = WorkerId(self.hired);
            let (desk, questions) = channel();
            let (proc, inbox) = (Arc::clone(&self.proc), self.inbox.clone());
            thread::Builder::new()
                .name(format!("reader-{}", id.0))
                .stack_size(STACK)
                .spawn(move || work(&proc, id, &questions, &inbox))?;
            self.hired += 1;
            let state = State::Idle;
            self.workers.insert(id, Worker { desk, state });
        }
        Ok(())
    }

    /// Works until told to stop.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        while self.turn(messages).is_continue() {}
    }

    fn turn(&mut self, messages: &Receiver<Message>) -> ControlFlow<()> {
        let message = match self.patience() {
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(patience) => messages.recv_timeout(patience),
        };
        match message {
            Ok(message) => self.hear(message)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return ControlFlow::Break(()),
        }
        while let Ok(message) = messages.try_recv() {
            self.hear(message)?;
        }
        self.give_up_on_the_late();
        self.hand_out();
        self.hand_over();
        ControlFlow::Continue(())
    }

    fn hear(&mut self, message: Message) -> ControlFlow<()> {
        match message {
            Message::Ask(questions) => {
                for question in questions {
                    if self.queue.len() < MOST_QUEUED {
                        self.queue.push_back(question);
                    } else {
                        self.late(&question);
                    }
                }
            }
            Message::Done(id, facts) => self.done(id, *facts),
            Message::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn done(&mut self, id: WorkerId, facts: Facts) {
        let able = self.able();
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        match std::mem::replace(&mut worker.state, State::Idle) {
            State::Reading { .. } => self.answer(facts),
            // It was replaced: the question was answered, and there are enough without it. Its desk closes.
            State::Stuck(_) if able >= WORKERS => {
                self.workers.remove(&id);
            }
            State::Stuck(_) | State::Idle => {}
        }
    }

    /// Answers for threads that have been reading for too long, and replaces them while that is possible.
    fn give_up_on_the_late(&mut self) {
        let now = Clock.now();
        let mut late = Vec::new();
        for worker in self.workers.values_mut() {
            match &worker.state {
                State::Reading { question, since } if now.since(*since) >= DEADLINE => {
                    late.push(question.clone());
                    worker.state = State::Stuck(question.pid);
                }
                State::Reading { .. } | State::Idle | State::Stuck(_) => {}
            }
        }
        for question in &late {
            self.late(question);
        }
        if !late.is_empty() {
            // A thread that cannot be started now is missed again at the next late answer.
            let _ = self.hire();
        }
        if self.able() == 0 {
            self.all_late();
        }
    }

    fn all_late(&mut self) {
        for question in std::mem::take(&mut self.queue) {
            self.late(&question);
        }
    }

    /// Gives every idle thread something to read.
    fn hand_out(&mut self) {
        while let Some(id) = self.idle() {
            let Some(question) = self.next() else { return };
            let Some(worker) = self.workers.get_mut(&id) else {
                return;
            };
            worker.state = State::Reading {
                question: question.clone(),
                since: Clock.now(),
            };
            // A worker leaves only when its desk is closed.
            let _ = worker.desk.send(question);
        }
    }

    fn idle(&self) -> Option<WorkerId> {
        let mut workers = self.workers.iter();
        workers.find_map(|(id, worker)| matches!(worker.state, State::Idle).then_some(*id))
    }

    /// The next question about a process that nobody is at.
    fn next(&mut self) -> Option<Question> {
        let mut at = 0;
        while let Some(question) = self.queue.get(at) {
            match self.busy(question.pid) {
                Busy::No => return self.queue.remove(at),
                Busy::Reading => at += 1,
                Busy::Stuck => {
                    if let Some(question) = self.queue.remove(at) {
                        self.late(&question);
                    }
                }
            }
        }
        None
    }

    fn busy(&self, pid: Pid) -> Busy {
        for worker in self.workers.values() {
            match &worker.state {
                State::Reading { question, .. } if question.pid == pid => return Busy::Reading,
                State::Stuck(stuck) if *stuck == pid => return Busy::Stuck,
                State::Reading { .. } | State::Stuck(_) | State::Idle => {}
            }
        }
        Busy::No
    }

    /// Threads that are not stuck.
    fn able(&self) -> usize {
        let mut able = 0;
        for worker in self.workers.values() {
            able += match worker.state {
                State::Idle | State::Reading { .. } => 1,
                State::Stuck(_) => 0,
            };
        }
        able
    }

    fn late(&mut self, question: &Question) {
        let late = Missing::Unread(Why::Short);
        self.answer(nothing(question, Clock.now(), late));
    }

    fn answer(&mut self, facts: Facts) {
        self.oldest.get_or_insert_with(|| Clock.now());
        self.answers.push(facts);
    }

    /// Hands answers over when it is time.
    fn hand_over(&mut self) {
        let Some(oldest) = self.oldest else { return };
        let more = self.since().is_some();
        if !more && self.queue.is_empty() {
            self.queue.shrink_to(BATCH);
        }
        if more && self.answers.len() < BATCH && Clock.now().since(oldest) < LINGER {
            return;
        }
        self.oldest = None;
        (self.deliver)(std::mem::take(&mut self.answers));
    }

    /// Since when somebody has been reading.
    fn since(&self) -> Option<Mono> {
        let reading = self
            .workers
            .values()
            .filter_map(|worker| match &worker.state {
                State::Reading { since, .. } => Some(*since),
                State::Idle | State::Stuck(_) => None,
            });
        reading.min()
    }

    /// How long to wait for the next message; `None` is for ever.
    fn patience(&self) -> Option<Duration> {
        let late = self.since().map(|since| since.after(DEADLINE));
        let due = self.oldest.map(|oldest| oldest.after(LINGER));
        let next = late.into_iter().chain(due).min()?;
        Some(next.since(Clock.now()))
    }
}

/// A thread that reads, one question after the other.
fn work(proc: &Procfs, id: WorkerId, questions: &Receiver<Question>, answers: &Sender<Message>) {
    for question in questions {
        let facts = Box::new(read_facts(proc, &question, Clock));
        if answers.send(Message::Done(id, facts)).is_err() {
            return;
        }
    }
}
