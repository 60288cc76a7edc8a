//! What is told, and to whom: the log, the journal, the terminals of trees.
//!
//! **Invariants.** Nothing here blocks: every sink has a thread of its own behind a bounded queue, and what does not
//! fit is counted and said. Every line is rendered from the same entry, whatever sink it goes to.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::cli::render::{Entry, Paint, line, message};
use crate::control::wire::Safe;
use crate::engine::decision::{Notice, What};
use crate::engine::process::Uid;
use crate::engine::rule::{Channels, Mode};
use crate::engine::warrant::{Report, Warrant};
use crate::sys::clock::Clock;
use crate::sys::nudger::stream::Stream;
use crate::sys::nudger::tty::Line;
use crate::sys::nudger::{Health, Nudger};

use super::faults::{Edge, Fault, Part};
use super::options::{LogForm, StartError};

/// How long what was said last may take to arrive when the watch ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// All sinks.
#[derive(Debug)]
pub(super) struct Voice {
    clock: Clock,
    form: LogForm,
    paint: Paint,
    log: Stream,
    nudger: Nudger,
    /// Losses that were told of already, by sink.
    told: Vec<(&'static str, u64)>,
    /// What those are called who have answered.
    people: BTreeMap<u32, String>,
}

impl Voice {
    /// Opens the sinks. A machine without a journal is told by the log alone, unless the journal *is* the log.
    pub(super) fn open(
        form: LogForm,
        channels: Channels,
        paint: Paint,
    ) -> Result<Self, StartError> {
        let log = Stream::start().map_err(|source| StartError::Thread {
            what: "the log",
            source,
        })?;
        let (nudger, missing) = Nudger::open(wanted(form, channels));
        for sink in missing {
            if form == LogForm::Journald && sink.sink == "journal" {
                return Err(StartError::Journal {
                    source: sink.source,
                });
            }
        }
        Ok(Self {
            clock: Clock,
            form,
            paint,
            log,
            nudger,
            told: Vec::new(),
            people: BTreeMap::new(),
        })
    }

    /// New rules may name other channels.
    pub(super) fn take_channels(&mut self, channels: Channels) {
        // What cannot be had is done without, as at the start.
        let _missing = self.nudger.switch(wanted(self.form, channels));
    }

    /// Somebody who is about to answer is called so.
    pub(super) fn meet(&mut self, Uid(user): Uid, name: Option<String>) {
        match name {
            Some(name) => drop(self.people.insert(user, name)),
            None => drop(self.people.remove(&user)),
        }
    }

    /// The wall clock, for text.
    pub(super) fn wall(&self) -> Zoned {
        self.clock.wall().to_zoned(TimeZone::system())
    }

    /// Tells what the judge wants told; what was told, and how.
    pub(super) fn notice(&mut self, notice: &Notice, wall: &Zoned) -> Entry {
        let entry = Entry::notice(notice, wall);
        let name = |user: u32| self.people.get(&user).map(|name| Safe::word(name));
        let mut entry = entry.named(name);
        // In `observe` nobody is told; it is recorded that they would have been.
        if let (What::Nudge { .. }, Mode::Nudge | Mode::Enforce) = (&notice.what, notice.mode) {
            let mut by: Vec<Safe> = self.nudger.recorder().map(Safe::word).into_iter().collect();
            by.extend(self.tap(notice, &entry));
            entry = entry.told(by);
        }
        self.say(&entry);
        entry
    }

    /// Tells whoever sits at the tree's terminal, if anybody may be there; which that is.
    fn tap(&mut self, notice: &Notice, entry: &Entry) -> Option<Safe> {
        let subject = &notice.evidence.subject;
        let (tty, audience) = subject.tty.as_ref().zip(subject.audience)?;
        let text = message::tap(entry)?;
        let device = PathBuf::from(std::ffi::OsStr::from_bytes(tty.bytes()));
        let line = Line {
            device,
            audience,
            text,
        };
        self.nudger
            .tap(line, self.clock.now())
            .then(|| Safe::from(tty))
    }

    /// Tells what came of a warrant.
    pub(super) fn outcome(&mut self, warrant: &Warrant, report: &Report, wall: &Zoned) -> Entry {
        let entry = Entry::outcome(warrant, Mode::Enforce, report, wall);
        self.say(&entry);
        entry
    }

    /// Tells an edge of a fault.
    pub(super) fn fault(&mut self, part: Part, edge: &Edge, text: &str) {
        use crate::cli::render::entry::Edge as Said;
        let (now, wall) = (self.clock.now(), self.wall());
        match edge {
            Edge::Began => self.say(&Entry::fault(part.word(), Said::Began, text, 1, now, &wall)),
            Edge::None => {}
            Edge::Over(Fault { text, count, .. }) => {
                self.say(&Entry::fault(
                    part.word(),
                    Said::Over,
                    text,
                    *count,
                    now,
                    &wall,
                ));
            }
        }
    }

    /// Tells anything else.
    pub(super) fn say(&mut self, entry: &Entry) {
        let now = self.clock.now();
        match self.form {
            LogForm::Json => self.log.write(entry.json() + "\n", now),
            LogForm::Text => self.log.write(line(entry, self.paint) + "\n", now),
            LogForm::Journald => {}
        }
        self.nudger.record(&message::message(entry), now);
    }

    /// What is wrong with the sinks, if anything is: stuck now, or more was lost since it was asked last.
    pub(super) fn trouble(&mut self) -> Option<String> {
        let now = self.clock.now();
        let mut all = self.nudger.health(now);
        all.push(("standard error", self.log.health(now)));
        let troubles: Vec<String> = all
            .into_iter()
            .filter_map(|(sink, health)| self.complaint(sink, health))
            .collect();
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }

    fn complaint(&mut self, sink: &'static str, health: Health) -> Option<String> {
        let known = self.told.iter_mut().find(|(name, _)| *name == sink);
        let told = known.map(|(_, told)| std::mem::replace(told, health.dropped));
        let told = told.unwrap_or_else(|| {
            self.told.push((sink, health.dropped));
            0
        });
        let lost = health.dropped.saturating_sub(told);
        match (health.stuck, lost) {
            (Some(stuck), _) => Some(format!(
                "{sink} has taken nothing for {} s; {} messages lost",
                stuck.as_secs(),
                health.dropped
            )),
            (None, 0) => None,
            (None, lost) => Some(format!("{sink} lost {lost} messages")),
        }
    }

    /// Lets what was said arrive, for a moment.
    pub(super) fn finish(self) {
        self.log.finish(LAST_WORDS);
        self.nudger.finish(LAST_WORDS);
    }
}

/// The journal as the log is wanted whatever the rules say.
fn wanted(form: LogForm, channels: Channels) -> Channels {
    Channels {
        journal: channels.journal || form == LogForm::Journald,
        ..channels
    }
}
