//! The historian: keeps what became of incidents, and tells those who ask.
//!
//! **Invariants.** The loop never waits: pages and questions go through a bounded queue to a thread that may wait for the
//! disk. What does not fit, or cannot be written, is counted, said, and noted in the history itself once it can be
//! written again. The thread begins with the first page or question; after a minute without either the file is closed,
//! so that a beadle to whom nothing happens pays for nothing.

mod answers;
mod desk;
mod pages;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use jiff::Zoned;
use tokio::sync::oneshot;

use crate::cli::render::Entry;
use crate::control::protocol::{Answer, Refusal, RefusalKind};
use crate::engine::process::Pid;
use crate::engine::rule::Keeping;
use crate::engine::units::Mono;
use crate::engine::warrant::{Member, Report, Warrant};
use crate::store::history::Page;

use super::inbox::{Mail, Post};

pub(crate) use answers::{Inquiry, Standpoint, answer};
use desk::Desk;
use pages::Scribe;

/// Pages and questions that may wait.
const QUEUE: usize = 256;

/// Bytes of pages that may wait.
const WEIGHT: usize = 8 << 20;

/// Bytes of the thread's stack: SQLite's deepest calls take some tens of KiB.
const STACK: usize = 512 << 10;

/// Where history is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder.
    pub(super) folder: PathBuf,
    /// How it is made when missing.
    pub(super) mode: u32,
}

/// Something for the thread.
enum Job {
    /// A page.
    Keep(Box<Page>),
    /// How much is kept from now on.
    Settle(Keeping),
    /// A question.
    Answer(Box<Asked>),
}

/// A question, and where its answer goes.
struct Asked {
    inquiry: Inquiry,
    from: Standpoint,
    reply: oneshot::Sender<Answer>,
}

impl Asked {
    /// Answers it. Whoever asked may have gone: then nobody needs the answer.
    fn answer(self, answer: Answer) {
        let _ = self.reply.send(answer);
    }

    fn refuse(self, why: &str) {
        self.answer(Refusal::new(RefusalKind::NoHistory, why).into());
    }
}

/// What both ends of the queue count.
#[derive(Debug, Default)]
struct Load {
    /// Bytes of pages in the queue.
    waiting: AtomicUsize,
    /// Pages that did not fit, until they are noted in the history.
    missed: AtomicU64,
}

/// The loop's end.
#[derive(Debug)]
pub(super) struct Historian {
    scribe: Scribe,
    place: Option<Place>,
    keeping: Keeping,
    thread: Option<Thread>,
    load: Arc<Load>,
    post: Post,
}

#[derive(Debug)]
struct Thread {
    queue: SyncSender<Job>,
    /// How many pages could not be written in the end.
    unkept: Receiver<usize>,
}

impl Historian {
    /// One who has done nothing yet.
    pub(super) fn new(
        place: Option<Place>,
        keeping: Keeping,
        boot: &str,
        leash: Option<Pid>,
        post: &Post,
    ) -> Self {
        let boot = boot.trim().into();
        Self {
            scribe: Scribe { boot, leash },
            place,
            keeping,
            thread: None,
            load: Arc::default(),
            post: post.clone(),
        }
    }

    /// Keeps something that was told of an incident.
    pub(super) fn entry(
        &mut self,
        entry: &Entry,
        tree: &[Member],
        wall: &Zoned,
    ) -> Result<(), String> {
        let page = self.scribe.entry(entry, tree, wall);
        page.map_or(Ok(()), |page| self.keep(page))
    }

    /// Keeps what is about to be done.
    pub(super) fn warrant(
        &mut self,
        warrant: &Warrant,
        now: Mono,
        wall: &Zoned,
    ) -> Result<(), String> {
        let page = self.scribe.warrant(warrant, now, wall);
        self.keep(page)
    }

    /// Keeps what came of it.
    pub(super) fn outcome(
        &mut self,
        warrant: &Warrant,
        report: &Report,
        entry: &Entry,
        wall: &Zoned,
    ) -> Result<(), String> {
        let page = self.scribe.outcome(warrant, report, entry, wall);
        self.keep(page)
    }

    fn keep(&mut self, page: Page) -> Result<(), String> {
        if self.place.is_none() {
            // Said at the start.
            return Ok(());
        }
        let weight = page.weight();
        let waiting = self.load.waiting.fetch_add(weight, Ordering::Relaxed);
        let given = if waiting.saturating_add(weight) > WEIGHT {
            Err("too much waits to be written".to_owned())
        } else {
            self.give(Job::Keep(Box::new(page))).map_err(|(why, _)| why)
        };
        given.map_err(|why| {
            self.load.waiting.fetch_sub(weight, Ordering::Relaxed);
            let missed = self.load.missed.fetch_add(1, Ordering::Relaxed);
            format!(
                "{why}; records not kept so far: {}",
                missed.saturating_add(1)
            )
        })
    }

    /// How much is kept from now on.
    pub(super) fn settle(&mut self, keeping: Keeping) {
        if std::mem::replace(&mut self.keeping, keeping) != keeping && self.thread.is_some() {
            // What does not arrive arrives with the next: the thread is asked for no more than it can do.
            let _ = self.give(Job::Settle(keeping));
        }
    }

    /// Passes a question on; the answer goes its own way.
    pub(super) fn ask(
        &mut self,
        inquiry: Inquiry,
        from: Standpoint,
        reply: oneshot::Sender<Answer>,
    ) {
        let asked = Asked {
            inquiry,
            from,
            reply,
        };
        if self.place.is_none() {
            asked.refuse("no history is kept: `beadle status` says why");
        } else if let Err((why, Job::Answer(asked))) = self.give(Job::Answer(Box::new(asked))) {
            asked.refuse(&why);
        }
    }

    /// Hands a job over, or back.
    fn give(&mut self, job: Job) -> Result<(), (String, Job)> {
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => match self.start() {
                Ok(thread) => thread,
                Err(why) => return Err((why, job)),
            },
        };
        match thread.queue.try_send(job) {
            Ok(()) => {
                self.thread = Some(thread);
                Ok(())
            }
            Err(TrySendError::Full(job)) => {
                self.thread = Some(thread);
                Err(("the disk is too slow for what happens".to_owned(), job))
            }
            // It never ends by itself; if it did, the next job would begin another.
            Err(TrySendError::Disconnected(job)) => Err(("its thread is gone".to_owned(), job)),
        }
    }

    fn start(&self) -> Result<Thread, String> {
        let place = self.place.clone().ok_or("there is no place for it")?;
        let (queue, jobs) = sync_channel(QUEUE);
        let (tell, unkept) = sync_channel(1);
        let post = self.post.clone();
        let say = move |kept| {
            // The loop is gone: nobody needs to know.
            let _ = post.send(Mail::History(kept));
        };
        let desk = Desk::new(place, self.keeping, Arc::clone(&self.load), say);
        let work = move || {
            let left = desk.work(&jobs);
            // Nobody waited for it.
            let _ = tell.send(left);
        };
        std::thread::Builder::new()
            .name("history".to_owned())
            .stack_size(STACK)
            .spawn(work)
            .map_err(|error| format!("cannot start its thread: {error}"))?;
        Ok(Thread { queue, unkept })
    }

    /// Lets what waits be written, for a moment; how many pages were not.
    pub(super) fn finish(self, patience: Duration) -> Option<String> {
        let Thread { queue, unkept } = self.thread?;
        drop(queue);
        match unkept.recv_timeout(patience) {
            Ok(0) => None,
            Ok(left) => Some(format!("records not kept: {left}")),
            Err(_) => {
                Some("what happened last may not be kept: the disk does not answer".to_owned())
            }
        }
    }
}

/// Answers a question from the file, without a daemon.
pub(crate) fn recall(
    folder: &Path,
    inquiry: &Inquiry,
    from: &Standpoint,
) -> Result<Answer, crate::store::StoreError> {
    let history = crate::store::history::History::read(folder)?;
    answer(&history, inquiry, from)
}
