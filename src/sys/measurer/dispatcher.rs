//! Which survey is under way, who is asked next, and who keeps us waiting. One thread owns all of this.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::DEADLINE;
use super::reading::share;
use crate::engine::process::{Pid, ProcKey};
use crate::engine::survey::{Findings, Holder, Share, Survey};
use crate::engine::units::{Bytes, Mono};
use crate::sys::clock::Clock;
use crate::sys::procfs::Procfs;

/// Stack of each thread: the deepest call keeps a few lines.
pub(super) const STACK: usize = 256 << 10;

/// For each second of work, so many of rest: about a hundredth of one processor.
const REST: u32 = 99;

/// Rest after even the longest work.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Threads that may be kept waiting at a time.
const MOST_STUCK: usize = 3;

/// Surveys that wait their turn. One more is answered with nobody.
const MOST_QUEUED: usize = 256;

/// What the dispatcher is told.
#[derive(Debug)]
pub(super) enum Message {
    Ask(Survey),
    Answered(ReaderId, Answer),
    Stop,
}

/// What a reader found of one process, and the CPU time that took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    share: Option<(ProcKey, Share)>,
    spent: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReaderId(u64);

#[derive(Debug)]
struct Reader {
    id: ReaderId,
    desk: Sender<Holder>,
}

/// The survey under way.
#[derive(Debug)]
struct Current {
    survey: Survey,
    since: Mono,
    /// Who is being asked.
    asked: Pid,
    rest: VecDeque<Holder>,
    shares: Vec<(ProcKey, Share)>,
    spent: Duration,
}

pub(super) struct Dispatcher<F> {
    proc: Arc<Procfs>,
    inbox: Sender<Message>,
    deliver: F,
    reader: Option<Reader>,
    hired: u64,
    /// Readers that were given up, and who keeps each waiting.
    stuck: BTreeMap<ReaderId, Pid>,
    queue: VecDeque<Survey>,
    current: Option<Current>,
    rests_until: Mono,
}

impl<F: Fn(Findings)> Dispatcher<F> {
    pub(super) fn new(proc: Arc<Procfs>, inbox: Sender<Message>, deliver: F) -> Self {
        Self {
            proc,
            inbox,
            deliver,
            reader: None,
            hired: 0,
            stuck: BTreeMap::new(),
            queue: VecDeque::new(),
            current: None,
            rests_until: Mono::BOOT,
        }
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
            Ok(Message::Ask(survey)) => self.take(survey),
            Ok(Message::Answered(reader, answer)) => self.hear(reader, &answer),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                return ControlFlow::Break(());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        self.give_up_if_late();
        self.begin();
        ControlFlow::Continue(())
    }

    fn take(&mut self, survey: Survey) {
        if self.queue.len() < MOST_QUEUED {
            self.queue.push_back(survey);
        } else {
            let at = Clock.now();
            (self.deliver)(Findings {
                id: survey.id,
                at,
                shares: Vec::new(),
            });
        }
    }

    /// Begins the next survey when none is under way and there was rest enough.
    fn begin(&mut self) {
        while self.current.is_none() && self.rests_until <= Clock.now() {
            let Some(survey) = self.queue.pop_front() else {
                return;
            };
            self.current = Some(Current {
                rest: survey.whom.iter().copied().collect(),
                since: Clock.now(),
                asked: Pid::INIT,
                shares: Vec::new(),
                spent: Duration::ZERO,
                survey,
            });
            self.ask_next();
        }
    }

    fn hear(&mut self, reader: ReaderId, answer: &Answer) {
        if self.stuck.remove(&reader).is_some() {
            // Its survey was answered without it; its desk is closed.
            return;
        }
        if let Some(current) = &mut self.current {
            current.shares.extend(answer.share);
            current.spent = current.spent.saturating_add(answer.spent);
            self.ask_next();
        }
    }

    /// Asks the next process, or answers.
    fn ask_next(&mut self) {
        let Some(current) = &mut self.current else {
            return;
        };
        if found(&current.shares) <= current.survey.enough {
            while let Some(holder) = current.rest.pop_front() {
                if self.stuck.values().any(|pid| *pid == holder.key.pid()) {
                    continue;
                }
                current.asked = holder.key.pid();
                if self.hand_over(holder) {
                    return;
                }
                break;
            }
        }
        self.answer();
    }

    /// Gives a reader something to read; `false` when there is none to be had.
    fn hand_over(&mut self, holder: Holder) -> bool {
        if self.reader.is_none() && self.stuck.len() < MOST_STUCK {
            // Without a thread to spare, nothing is known: no more than that.
            self.reader = self.hire().ok();
        }
        let reader = self.reader.as_ref();
        reader.is_some_and(|reader| reader.desk.send(holder).is_ok())
    }

    fn hire(&mut self) -> io::Result<Reader> {
        self.hired += 1;
        let id = ReaderId(self.hired);
        let (desk, holders) = channel();
        let (proc, answers) = (Arc::clone(&self.proc), self.inbox.clone());
        thread::Builder::new()
            .name(format!("measurer-{}", id.0))
            .stack_size(STACK)
            .spawn(move || read(&proc, id, &holders, &answers))?;
        Ok(Reader { id, desk })
    }

    fn give_up_if_late(&mut self) {
        let Some(current) = &self.current else { return };
        if Clock.now().since(current.since) < DEADLINE {
            return;
        }
        if let Some(reader) = self.reader.take() {
            self.stuck.insert(reader.id, current.asked);
        }
        self.answer();
    }

    /// Answers with what was found, and rests.
    fn answer(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        let rest = current.spent.saturating_mul(REST).min(LONGEST_REST);
        self.rests_until = Clock.now().after(rest);
        (self.deliver)(Findings {
            id: current.survey.id,
            at: current.since,
            shares: current.shares,
        });
    }

    /// How long to wait for the next message; `None` is for ever.
    fn patience(&self) -> Option<Duration> {
        let until = match &self.current {
            Some(current) => current.since.after(DEADLINE),
            None if self.queue.is_empty() => return None,
            None => self.rests_until,
        };
        Some(until.since(Clock.now()))
    }
}

/// What the unit holds for certain by these shares.
fn found(shares: &[(ProcKey, Share)]) -> Bytes {
    let huge = shares.iter().map(|(_, share)| share.huge_shared).max();
    let sum = shares
        .iter()
        .fold(Bytes(0), |sum, (_, share)| sum.plus(share.certain()));
    sum.plus(huge.unwrap_or_default())
}

/// A thread that reads, one process after the other. It keeps its priority: whoever reads slowly keeps the map locked.
fn read(proc: &Procfs, id: ReaderId, holders: &Receiver<Holder>, answers: &Sender<Message>) {
    for holder in holders {
        let before = Clock.spent();
        // Gone, refused or standing still: one share less, and the sum stays a lower bound.
        let share = share(proc, &holder).ok().map(|share| (holder.key, share));
        let spent = Clock.spent().saturating_sub(before);
        let answer = Answer { share, spent };
        if answers.send(Message::Answered(id, answer)).is_err() {
            return;
        }
    }
}
