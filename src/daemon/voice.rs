//! What is told, and to whom: the log, the journal, desktops, the terminals of trees.
//!
//! **Invariants.** Nothing here blocks: every sink has a thread of its own behind a bounded queue, and what does not
//! fit is counted and said. Every line is rendered from the same entry, whatever sink it goes to.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::cli::render::{Entry, Paint, card, line, message};
use crate::control::wire::Safe;
use crate::engine::answer::Reply;
use crate::engine::decision::{Notice, What};
use crate::engine::evidence::IncidentId;
use crate::engine::process::Uid;
use crate::engine::rule::{Channels, Mode};
use crate::engine::warrant::{Report, Warrant};
use crate::sys::clock::Clock;
use crate::sys::nudger::desktop::{Bill, Heard, Own, Standing, Upshot};
use crate::sys::nudger::stream::Stream;
use crate::sys::nudger::tty::Line;
use crate::sys::nudger::{Health, Nudger};

use super::faults::{Edge, Fault, Part};
use super::inbox::{Mail, Post};
use super::options::{LogForm, Options, StartError};

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
        options: &Options,
        channels: Channels,
        own: Own,
        post: &Post,
    ) -> Result<Self, StartError> {
        let (form, paint) = (options.log, options.paint);
        let log = Stream::start().map_err(|source| StartError::Thread {
            what: "the log",
            source,
        })?;
        let post = post.clone();
        let deliver = move |heard| {
            // The loop is gone: nobody is told anything any more.
            let _ = post.send(Mail::Desktop(heard));
        };
        let (nudger, missing) = Nudger::open(wanted(form, channels), own, deliver);
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
    /// `may` is what people may answer.
    pub(super) fn notice(&mut self, notice: &Notice, may: &[Reply], wall: &Zoned) -> Entry {
        let entry = Entry::notice(notice, wall);
        let name = |user: u32| self.people.get(&user).map(|name| Safe::word(name));
        let mut entry = entry.named(name);
        // In `observe` nobody is told; it is recorded that they would have been.
        if let (What::Nudge { .. }, Mode::Nudge | Mode::Enforce) = (&notice.what, notice.mode) {
            let mut by: Vec<Safe> = self.nudger.recorder().map(Safe::word).into_iter().collect();
            by.extend(self.tap(notice, may, &entry));
            entry = entry.told(by);
        } else {
            self.follow(notice, may, &entry);
        }
        self.say(&entry);
        entry
    }

    /// Tells whoever is meant, on their desktop or else at the tree's terminal; by which.
    fn tap(&mut self, notice: &Notice, may: &[Reply], entry: &Entry) -> Vec<Safe> {
        let now = self.clock.now();
        let subject = &notice.evidence.subject;
        let Some(audience) = subject.audience else {
            return Vec::new();
        };
        let line = subject.tty.as_ref().zip(message::tap(entry));
        let line = line.map(|(tty, text)| Line {
            device: PathBuf::from(std::ffi::OsStr::from_bytes(tty.bytes())),
            audience,
            text,
        });
        let bill = bill(notice, may, entry);
        let shown = bill.is_some_and(|bill| self.nudger.show(audience, bill, line.as_ref(), now));
        let tapped = line.is_some_and(|line| self.nudger.tap(line, shown, now));
        let desktop = shown.then(|| Safe::word("desktop"));
        let terminal = subject.tty.as_ref().filter(|_| tapped).map(Safe::from);
        desktop.into_iter().chain(terminal).collect()
    }

    /// Shows what became of an incident that people were told of on their desktop.
    fn follow(&mut self, notice: &Notice, may: &[Reply], entry: &Entry) {
        let audience: Option<Uid> = notice.evidence.subject.audience;
        let Some((audience, bill)) = audience.zip(bill(notice, may, entry)) else {
            return;
        };
        match notice.what {
            What::Closed { .. } => self.nudger.over(audience, &bill),
            _ => self.nudger.moves(audience, bill, self.clock.now()),
        }
    }

    /// Takes in what was heard of somebody's desktop.
    pub(super) fn hear(&mut self, heard: Heard) -> Upshot {
        self.nudger.hear(heard, self.clock.now())
    }

    /// What was answered on a desktop cannot be: says why, there.
    pub(super) fn declined(&mut self, whose: Uid, incident: IncidentId, why: &Safe) {
        self.nudger.declined(whose, incident, why.as_str());
    }

    /// How each desktop is doing that something was shown on.
    pub(super) fn desktops(&self) -> Vec<Standing> {
        self.nudger.desktops()
    }

    /// Forgets the desktops of who has logged out since.
    pub(super) fn tidy(&mut self) {
        self.nudger.tidy();
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

/// What is shown of it on a desktop; nothing, where there is nothing to be shown.
fn bill(notice: &Notice, may: &[Reply], entry: &Entry) -> Option<Bill> {
    let card = card::card(entry, may)?;
    Some(Bill {
        incident: notice.incident,
        tree: notice.evidence.subject.key,
        short: card::short(entry)?,
        card,
    })
}

/// The journal as the log is wanted whatever the rules say.
fn wanted(form: LogForm, channels: Channels) -> Channels {
    Channels {
        journal: channels.journal || form == LogForm::Journald,
        ..channels
    }
}
