//! What people said that rules never mind: read at the beginning, kept off the loop, and told to whoever asks.
//!
//! **Invariants.** The loop never waits for the disk: one thread writes at a time, and what changed meanwhile is written after
//! it. Whoever said so is answered once it is kept, or with why it is not: then it holds for as long as this beadle runs.

use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use crate::cli::render::stamp;
use crate::control::protocol::Answer;
use crate::control::wire::{self, Safe};
use crate::engine::answer::Exception;
use crate::store::exceptions::{Exceptions as Book, Kept};
use crate::store::{StoreError, folder_is_anothers};
use crate::sys::clock::Clock;

use super::historian::Place;
use super::inbox::{Mail, Post};

/// Whether they are being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pen {
    Idle,
    Writing,
    /// And what is written is old already.
    Behind,
    /// It could not be written.
    Stuck,
}

/// What came of reading them again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reread {
    /// Nothing is new.
    Same,
    /// Ours are being written.
    Later,
    /// These are in force now.
    Mended(Vec<Exception>),
    /// So are these, and they are being written.
    Mending(Vec<Exception>),
}

/// The keeper of exceptions.
#[derive(Debug)]
pub(super) struct Exceptions {
    /// Where they are kept; otherwise why they are not.
    book: Result<Arc<Book>, String>,
    all: Vec<Kept>,
    pen: Pen,
    /// Who waits for what is not written yet.
    waiting: Vec<(oneshot::Sender<Answer>, Answer)>,
    post: Post,
}

impl Exceptions {
    /// Reads what there is. `trouble` is why the place is not ours to write in.
    pub(super) fn open(
        place: Option<&Place>,
        trouble: Option<&str>,
        post: &Post,
    ) -> Result<Self, StoreError> {
        let (book, all) = match place.map(|place| Book::open(&place.folder, place.mode)) {
            Some(Ok(book)) => {
                // Whoever else keeps its state there: what people have allowed is left alone by us too.
                let all = book.read()?;
                let ours = trouble.map_or(Ok(()), |why| Err(why.to_owned()));
                (ours.map(|()| Arc::new(book)), all)
            }
            Some(Err(error)) if folder_is_anothers(&error) => (Err(error.to_string()), Vec::new()),
            Some(Err(error)) => return Err(error),
            None => (
                Err("there is no folder to keep it in; name one with --state".to_owned()),
                Vec::new(),
            ),
        };
        Ok(Self {
            book,
            all,
            pen: Pen::Idle,
            waiting: Vec::new(),
            post: post.clone(),
        })
    }

    /// All of them, for the judge.
    pub(super) fn all(&self) -> Vec<Exception> {
        let all = self.all.iter();
        all.map(|kept| kept.exception.clone()).collect()
    }

    /// All of them, for people.
    pub(super) fn told(&self) -> Vec<wire::Exception> {
        self.all.iter().map(told).collect()
    }

    /// Reads them again, where somebody may have mended them by hand. What people said and could not be written is not
    /// forgotten for it: it is written again, added to what somebody wrote meanwhile.
    pub(super) fn reread(&mut self) -> Result<Reread, String> {
        let Ok(book) = &self.book else {
            return Ok(Reread::Same);
        };
        if matches!(self.pen, Pen::Writing | Pen::Behind) {
            return Ok(Reread::Later);
        }
        let edited = !book.is_as_known().unwrap_or(false);
        let read = book.read().map_err(|error| {
            format!("{error}; what was known before stays in force: mend the file, then reload")
        })?;
        if self.pen == Pen::Stuck {
            if edited {
                self.all = merged(read, std::mem::take(&mut self.all));
            }
            self.write();
            return Ok(Reread::Mending(self.all()));
        }
        if read == self.all {
            return Ok(Reread::Same);
        }
        self.all = read;
        Ok(Reread::Mended(self.all()))
    }

    /// Keeps these, all there are, from now on.
    pub(super) fn keep(&mut self, exceptions: Vec<Exception>) {
        let wall = Clock.wall().to_zoned(TimeZone::system());
        let now = stamp(&wall).to_string();
        let known = std::mem::take(&mut self.all);
        let since = |exception: &Exception| {
            let before = known.iter().find(|kept| kept.exception == *exception);
            before.map_or(Some(now.clone()), |kept| kept.since.clone())
        };
        self.all = exceptions
            .into_iter()
            .map(|exception| Kept {
                since: since(&exception),
                exception,
            })
            .collect();
        match self.pen {
            Pen::Idle | Pen::Stuck => self.write(),
            Pen::Writing | Pen::Behind => self.pen = Pen::Behind,
        }
    }

    fn write(&mut self) {
        let Ok(book) = self.book.clone() else {
            return;
        };
        self.pen = Pen::Writing;
        let (all, post) = (self.all.clone(), self.post.clone());
        let write = move || {
            let kept = book.keep(&all).map_err(|error| error.to_string());
            // The loop is gone: nobody needs to know.
            let _ = post.send(Mail::Excepted(kept));
        };
        let thread = std::thread::Builder::new()
            .name("exceptions".to_owned())
            .stack_size(128 << 10);
        if let Err(error) = thread.spawn(write) {
            let why = Err(format!("cannot start a thread: {error}"));
            let _ = self.post.send(Mail::Excepted(why));
        }
    }

    /// Answers once what is known now is kept, or cannot be.
    pub(super) fn answer_when_kept(&mut self, reply: oneshot::Sender<Answer>, answer: Answer) {
        match (&self.book, self.pen) {
            (Ok(_), Pen::Writing | Pen::Behind) => self.waiting.push((reply, answer)),
            (Ok(_), Pen::Idle | Pen::Stuck) => drop(reply.send(answer)),
            (Err(why), _) => drop(reply.send(unkept(answer, why))),
        }
    }

    /// Takes in how writing went; what is to be said of it.
    pub(super) fn written(&mut self, kept: Result<(), String>) -> Result<(), String> {
        let next = if kept.is_ok() { Pen::Idle } else { Pen::Stuck };
        let behind = std::mem::replace(&mut self.pen, next) == Pen::Behind;
        if behind {
            self.write();
            return kept;
        }
        for (reply, answer) in std::mem::take(&mut self.waiting) {
            let answer = match &kept {
                Ok(()) => answer,
                Err(why) => unkept(answer, why),
            };
            // Whoever asked has gone: nobody needs the answer.
            let _ = reply.send(answer);
        }
        kept.map_err(|why| {
            format!("{why}; what people allowed or forgot of late holds until beadle ends")
        })
    }
}

/// What is in the file, and what people said since that could not be written: under the next free numbers, where theirs are
/// taken.
fn merged(mut read: Vec<Kept>, said: Vec<Kept>) -> Vec<Kept> {
    for mut kept in said {
        let like = |other: &Kept| {
            let number = kept.exception.number;
            Exception {
                number,
                ..other.exception.clone()
            } == kept.exception
        };
        if read.iter().any(like) {
            continue;
        }
        let number = kept.exception.number;
        if read.iter().any(|other| other.exception.number == number) {
            let taken = read.iter().map(|other| other.exception.number);
            kept.exception.number = taken.max().unwrap_or(0).saturating_add(1);
        }
        read.push(kept);
    }
    read
}

/// The same answer, with why it does not last.
fn unkept(answer: Answer, why: &str) -> Answer {
    match answer {
        Answer::Replied(mut replied) => {
            replied.unkept = Some(Safe::word(why));
            Answer::Replied(replied)
        }
        Answer::Forgotten { exceptions, .. } => Answer::Forgotten {
            exceptions,
            unkept: Some(Safe::word(why)),
        },
        other => other,
    }
}

/// An exception as people are told of it.
pub(crate) fn told(kept: &Kept) -> wire::Exception {
    wire::Exception {
        since: kept.since.as_deref().map(Safe::word),
        ..wire::Exception::from(&kept.exception)
    }
}

#[cfg(test)]
mod tests;
