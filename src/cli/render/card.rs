//! A log entry as what stands on a notification.

use std::time::Duration;

use super::entry::{Case, Entry, Event};
use super::line::{deed, figures, name, rule};
use super::words;
use crate::sys::message::{Button, Card, Reply};

/// How long the end of what we ended stays on the screen.
const LAST: Duration = Duration::from_secs(10);

/// The longest text that stands for a whole notification, in letters.
const SHORT: usize = 100;

/// What is shown; `None` where the entry is nothing that people are shown.
pub fn card(entry: &Entry) -> Option<Card> {
    let case = entry.case.as_ref()?;
    let event = &entry.event;
    let title = format!("{} {}", name(case), fate(event)?);
    let body = format!("Rule{}: {}", &rule(event, case)[4..], deed(event, case));
    let over = matches!(event, Event::Close { .. });
    Some(Card {
        title,
        body,
        details: if over { String::new() } else { details(case) },
        buttons: buttons(event, case),
        urgent: urgent(event),
        linger: is_ours(event).then_some(LAST),
    })
}

/// The same in a few words.
pub fn short(entry: &Entry) -> Option<String> {
    let case = entry.case.as_ref()?;
    let text = format!(
        "{}: rule {}, {}",
        name(case),
        case.subject.rule,
        figures(&case.evidence)
    );
    Some(text.chars().take(SHORT).collect())
}

/// What becomes of it.
fn fate(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Nudge { again: false, .. } => "is over its limits",
        Event::Nudge { again: true, .. } => "is still over its limits",
        Event::Signal { signal, .. } => match signal.as_str() {
            "KILL" => "is being ended",
            "STOP" => "is stopped for now",
            "CONT" => "goes on",
            _ => "is asked to leave",
        },
        Event::Withheld { .. } => "is left alone",
        Event::Close { how, .. } => match how.as_str() {
            "ended" => "was ended",
            "denied" => "could not be ended",
            _ => "is settled",
        },
        Event::Incident
        | Event::Outcome { .. }
        | Event::Run { .. }
        | Event::Ran { .. }
        | Event::Fault { .. }
        | Event::Reload { .. }
        | Event::Start(_)
        | Event::Stop { .. } => return None,
    })
}

/// Whether something happens unless it is answered.
const fn urgent(event: &Event) -> bool {
    matches!(
        event,
        Event::Nudge { next: Some(_), .. } | Event::Signal { .. }
    )
}

/// The end of what we did ourselves: nobody could see it elsewhere.
fn is_ours(event: &Event) -> bool {
    let Event::Close { how, .. } = event else {
        return false;
    };
    matches!(how.as_str(), "ended" | "denied")
}

/// What can be answered.
fn buttons(event: &Event, case: &Case) -> Vec<Button> {
    let incident = case.incident;
    let button = |reply, label: &str, command: &str| Button {
        reply,
        label: label.to_owned(),
        command: format!("beadle {command} {incident}"),
    };
    match event {
        Event::Nudge { .. } => vec![
            button(Reply::Stop, "Stop now", "stop"),
            button(Reply::Extend, "30 min more", "extend"),
        ],
        _ => Vec::new(),
    }
}

/// What else there is to know, a line each.
fn details(case: &Case) -> String {
    let subject = &case.subject;
    let mut lines = vec![format!("Command: {}", subject.command)];
    let place = subject.cwd.as_ref().map(|cwd| format!("Folder: {cwd}"));
    lines.extend(place);
    let terminal = subject.tty.as_ref().map(|tty| format!("Terminal: {tty}"));
    lines.extend(terminal);
    let other = subject
        .owner
        .filter(|owner| Some(*owner) != subject.audience);
    lines.extend(other.map(|owner| format!("Runs as: user {owner}")));
    lines.push(format!(
        "Processes: {}",
        words::grouped(u64::from(case.evidence.members))
    ));
    lines.push(format!(
        "More: beadle show {}, beadle why {}",
        case.incident, subject.root
    ));
    lines.join("\n")
}
