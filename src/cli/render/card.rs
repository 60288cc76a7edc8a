//! A log entry as what stands on a notification.

use std::time::Duration;

use super::entry::{Case, Entry, Event};
use super::line::{deed, figures, name, rule};
use super::words;
use crate::engine::answer::Reply;
use crate::sys::message::{Button, Card};

/// How long the end of what we ended stays on the screen.
const LAST: Duration = Duration::from_secs(10);

/// The longest text that stands for a whole notification, in letters.
const SHORT: usize = 100;

/// What is shown; `None` where the entry is nothing that people are shown.
///
/// `may` is what people may answer.
pub fn card(entry: &Entry, may: &[Reply]) -> Option<Card> {
    let case = entry.case.as_ref()?;
    let event = &entry.event;
    let title = format!("{} {}", name(case), fate(event)?);
    let rule = rule(event, case).replacen('r', "R", 1);
    let body = format!("{rule}: {}", deed(event, case));
    let last = is_last(event) || matches!(event, Event::Close { .. });
    Some(Card {
        title,
        body,
        details: if last {
            String::new()
        } else {
            details(case, may)
        },
        buttons: if last {
            Vec::new()
        } else {
            buttons(event, case, may)
        },
        urgent: urgent(event),
        linger: is_last(event).then_some(LAST),
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
        Event::Answer { reply, .. } => match reply.as_str() {
            "stop" => "is to be stopped",
            "freeze" => "is to be frozen",
            "allow" => "is never minded again",
            _ => "is left alone for now",
        },
        Event::Incident { .. }
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

/// Whether there is nothing more to come, but something to be seen: the end of what we did ourselves, and what people are granted.
fn is_last(event: &Event) -> bool {
    match event {
        Event::Close { how, .. } => matches!(how.as_str(), "ended" | "denied"),
        Event::Answer { reply, .. } => matches!(reply.as_str(), "extend" | "allow"),
        Event::Incident { .. }
        | Event::Nudge { .. }
        | Event::Signal { .. }
        | Event::Outcome { .. }
        | Event::Run { .. }
        | Event::Ran { .. }
        | Event::Withheld { .. }
        | Event::Fault { .. }
        | Event::Reload { .. }
        | Event::Start(_)
        | Event::Stop { .. } => false,
    }
}

/// What can be answered by a button: the two that are undone by themselves, or are what people want at once.
fn buttons(event: &Event, case: &Case, may: &[Reply]) -> Vec<Button> {
    let stops = match event {
        Event::Signal { signal, .. } => signal.as_str() != "STOP",
        Event::Answer { reply, .. } => reply.as_str() == "stop",
        _ => false,
    };
    let button = |(reply, label): (Reply, &str)| Button {
        reply: Some(reply),
        label: label.to_owned(),
        command: command(reply, case),
    };
    [(Reply::Stop, "Stop now"), (Reply::Extend, "30 min more")]
        .into_iter()
        // Nobody has to ask for what is under way.
        .filter(|(reply, _)| may.contains(reply) && !(stops && *reply == Reply::Stop))
        .map(button)
        .collect()
}

fn command(reply: Reply, case: &Case) -> String {
    format!("beadle {} {}", reply.word(), case.incident)
}

/// What else there is to know, a line each.
fn details(case: &Case, may: &[Reply]) -> String {
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
    let others = [
        (Reply::Freeze, "Have it stand still"),
        (Reply::Allow, "Never mind it again"),
    ];
    for (reply, what) in others.into_iter().filter(|(it, _)| may.contains(it)) {
        lines.push(format!("{what}: {}", command(reply, case)));
    }
    lines.push(format!(
        "More: beadle show {}, beadle why {}",
        case.incident, subject.root
    ));
    lines.join("\n")
}
