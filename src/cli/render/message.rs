//! A log entry as a message for the journal or to a person.

use super::entry::{Edge, Entry, Event, Reloaded};
use super::line::{address, ours};
use crate::control::wire::Safe;
use crate::sys::message::{Kind, Message, Urgency};

/// The message that says what the entry says.
pub fn message(entry: &Entry) -> Message {
    let case = entry.case.as_ref();
    Message {
        kind: kind(&entry.event),
        urgency: urgency(&entry.event),
        text: case.map_or_else(|| ours(&entry.event), |case| address(&entry.event, case)),
        rule: case.map(|case| case.subject.rule.to_string()),
        incident: case.map(|case| case.incident),
        pid: case.map(|case| case.pid),
        unit: case.map(|case| case.subject.key.to_string()),
        signal: entry.event.signal().map(Safe::to_string),
    }
}

/// What the nudge says on a terminal, to somebody who may never have heard of us: what, then what to do.
/// `None` when the entry is no nudge.
pub fn tap(entry: &Entry) -> Option<String> {
    let case = entry.case.as_ref()?;
    let Event::Nudge { next, .. } = &entry.event else {
        return None;
    };
    let said = address(&entry.event, case);
    let (root, rule) = (case.subject.root, &case.subject.rule);
    let hold = match next {
        Some(_) => format!(" To hold it off: beadle pause 30m --rule {rule}"),
        None => String::new(),
    };
    Some(format!("beadle: {said} Why: beadle why {root}.{hold}"))
}

const fn kind(event: &Event) -> Kind {
    match event {
        Event::Incident { .. } => Kind::Incident,
        Event::Nudge { .. } => Kind::Nudge,
        Event::Signal { .. } => Kind::Signal,
        Event::Answer { .. } => Kind::Answer,
        Event::Outcome { .. } => Kind::Outcome,
        Event::Run { .. } => Kind::Run,
        Event::Ran { .. } => Kind::Ran,
        Event::Withheld { .. } => Kind::Withheld,
        Event::Close { .. } => Kind::Close,
        Event::Fault { .. } => Kind::Fault,
        Event::Reload { .. } => Kind::Reload,
        Event::Start(_) => Kind::Start,
        Event::Stop { .. } => Kind::Stop,
    }
}

const fn urgency(event: &Event) -> Urgency {
    match event {
        Event::Nudge { .. } | Event::Signal { .. } | Event::Run { .. } => Urgency::Warning,
        Event::Ran { status, .. } if !matches!(status, Some(0)) => Urgency::Error,
        Event::Fault { state, .. } => match state {
            Edge::Began => Urgency::Error,
            Edge::Over => Urgency::Notice,
        },
        Event::Reload { outcome, .. } => match outcome {
            Reloaded::Refused => Urgency::Error,
            Reloaded::Taken => Urgency::Notice,
        },
        Event::Incident { .. }
        | Event::Answer { .. }
        | Event::Outcome { .. }
        | Event::Ran { .. }
        | Event::Withheld { .. }
        | Event::Close { .. } => Urgency::Notice,
        Event::Start(_) | Event::Stop { .. } => Urgency::Info,
    }
}
