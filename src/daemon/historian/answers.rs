//! What was kept, as answers to people: for whoever asks the daemon, and for whoever reads the file without one.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::pages::FORM;
use crate::cli::render::stamp;
use crate::control::protocol::{Answer, MOST_INCIDENTS, Refusal, Search};
use crate::control::wire::{self, Certificate, Entry, Kept, Lost, Part, Reach, Safe, State, Story};
use crate::engine::process::Uid;
use crate::store::StoreError;
use crate::store::history::{History, KeptRow, LostRow, PageRow, PartRow, Query, StoryRows};

/// A question to history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inquiry {
    /// `beadle history`
    List(Search),
    /// `beadle show`
    Show {
        /// The incident's number.
        incident: u64,
    },
}

/// What has to be known to answer it.
#[derive(Clone, Debug)]
pub(crate) struct Standpoint {
    /// Whose incidents may be told; `None` is everybody's.
    pub(crate) whose: Option<Uid>,
    /// The boot we live in.
    pub(crate) boot: String,
    /// Wall time now.
    pub(crate) now: Timestamp,
    /// In which time is told.
    pub(crate) zone: TimeZone,
    /// The incidents that a beadle has in hand.
    pub(crate) open: BTreeSet<u64>,
}

/// The answer.
pub(crate) fn answer(
    history: &History,
    inquiry: &Inquiry,
    from: &Standpoint,
) -> Result<Answer, StoreError> {
    match inquiry {
        Inquiry::List(search) => list(history, search, from),
        Inquiry::Show { incident } => Ok(match history.story(*incident)? {
            Some(rows) => Answer::Show(Box::new(from.story(rows))),
            None => Refusal::no_incident(*incident).into(),
        }),
    }
}

fn list(history: &History, search: &Search, from: &Standpoint) -> Result<Answer, StoreError> {
    let since = search.within.map(|seconds| {
        let span = i64::try_from(seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        from.now.as_millisecond().saturating_sub(span)
    });
    let query = Query {
        owner: from.whose.map(|Uid(id)| id),
        rule: search.rule.clone(),
        since,
        pid: search.pid,
        most: search.most.unwrap_or(MOST_INCIDENTS).min(MOST_INCIDENTS),
    };
    let (rows, more) = history.list(&query)?;
    let reach = history.reach()?;
    Ok(Answer::History(wire::History {
        pid: search.pid,
        incidents: rows.into_iter().map(|row| from.kept(row)).collect(),
        more,
        reach: Reach {
            since: Some(from.time(reach.since)),
            lost: reach.lost.into_iter().map(|row| from.lost(row)).collect(),
        },
    }))
}

impl Standpoint {
    fn kept(&self, row: KeptRow) -> Kept {
        let this_boot = row.boot == self.boot;
        let state = match row.closed {
            Some(_) => State::Closed,
            None if this_boot && self.open.contains(&row.number) => State::Open,
            None => State::Left,
        };
        Kept {
            id: row.number,
            began: self.time(row.began),
            last: self.time(row.last),
            boot: Safe::from(row.boot),
            this_boot,
            state,
            how: row.closed.map(Safe::from),
            rule: Safe::from(row.rule),
            root: row.root,
            key: Safe::from(row.key),
            program: Safe::from(row.program),
            command: Safe::from(row.command),
            owner: row.owner,
            signal: row.signal.map(Safe::from),
            signalled: row.signalled,
            killed: row.killed,
            parts: row.parts.into_iter().map(|row| self.part(row)).collect(),
        }
    }

    fn story(&self, rows: StoryRows) -> Story {
        let mut story = Story {
            kept: self.kept(rows.kept),
            entries: Vec::new(),
            certificates: Vec::new(),
            left_out: u32::try_from(rows.left_out).unwrap_or(u32::MAX),
        };
        for page in &rows.pages {
            match understood(page) {
                Some(Body::Entry(entry)) => story.entries.push(*entry),
                Some(Body::Certificate(certificate)) => story.certificates.push(*certificate),
                None => story.left_out = story.left_out.saturating_add(1),
            }
        }
        story
    }

    fn part(&self, row: PartRow) -> Part {
        let told = |text: String| (!text.is_empty()).then(|| Safe::from(text));
        Part {
            pid: row.pid,
            key: told(row.key),
            program: told(row.program),
            part: Safe::from(row.part),
            signal: row.signal.map(Safe::from),
            outcome: row.outcome.map(Safe::from),
            because: row.because.map(Safe::from),
            t: self.time(row.at),
        }
    }

    fn lost(&self, row: LostRow) -> Lost {
        Lost {
            t: self.time(row.at),
            records: row.records,
            because: Safe::from(row.because),
        }
    }

    /// Milliseconds of wall time as people here write it.
    fn time(&self, millis: i64) -> Safe {
        let at = Timestamp::from_millisecond(millis).unwrap_or_default();
        stamp(&at.to_zoned(self.zone.clone()))
    }
}

/// What a page says.
enum Body {
    Entry(Box<Entry>),
    Certificate(Box<Certificate>),
}

/// The body of a page of any form up to the present one; an older form is brought to it here.
fn understood(page: &PageRow) -> Option<Body> {
    match (page.form, page.kind.as_str()) {
        (FORM, "warrant") => serde_json::from_str(&page.body).ok().map(Body::Certificate),
        (FORM, _) => serde_json::from_str(&page.body).ok().map(Body::Entry),
        _ => None,
    }
}
