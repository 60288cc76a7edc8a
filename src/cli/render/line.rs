//! A log entry as one line of text.

use std::time::Duration;

use super::entry::{Case, Edge, Entry, Event, Fate, Left, Reloaded, Start, StartRule};
use super::paint::{Paint, Tone};
use super::words;
use crate::control::wire::{Evidence, Next, Rest, Safe};
use crate::engine::units::Span;

/// Columns of the second field: as wide as `incident`.
const WIDTH: usize = 8;

/// Processes listed by number before the rest is only counted.
const LISTED: usize = 8;

/// `14:03:07 nudge    pytest[4711] rule pytest: CPU time 9.1 s > 8 s, 3 processes; … (incident 3; …)`
pub fn line(entry: &Entry, paint: Paint) -> String {
    let time = clock(&entry.t);
    let word = format!("{:<WIDTH$}", entry.event.word());
    let said = match &entry.case {
        Some(case) => format!(
            "{} {}: {} {}",
            paint.tone(Tone::Strong, name(case)),
            rule(&entry.event, case),
            deed(&entry.event, case),
            paint.tone(Tone::Faint, reference(&entry.event, case)),
        ),
        None => ours(&entry.event),
    };
    format!(
        "{} {} {said}",
        paint.tone(Tone::Faint, time),
        paint.tone(tone(&entry.event), word)
    )
}

/// What is told to people who are not looking at the log: one sentence or two, without time or column.
pub(super) fn address(event: &Event, case: &Case) -> String {
    format!(
        "{} {}: {}",
        name(case),
        rule(event, case),
        deed(event, case)
    )
}

/// What is said of ourselves, without time or column.
pub(super) fn ours(event: &Event) -> String {
    match event {
        Event::Fault {
            part,
            state: Edge::Began,
            text,
            ..
        } => format!("{part}: {text}; the watch goes on"),
        Event::Fault {
            part,
            state: Edge::Over,
            text,
            count,
        } => format!(
            "{part}: works again, after {}: {text}",
            words::count(*count, "fault", "faults")
        ),
        Event::Reload {
            outcome: Reloaded::Taken,
            rules,
            ..
        } => format!(
            "{} in force now",
            words::count(*rules as u64, "rule", "rules")
        ),
        Event::Reload {
            outcome: Reloaded::Refused,
            rules,
            problems,
        } => format!(
            "the new rules are refused and the {rules} old ones stay: {}",
            first_of(problems)
        ),
        Event::Start(start) => beginning(start),
        Event::Stop { because } => format!("{because}; nothing is watched any more"),
        // These belong to a case; one without it comes from a log that somebody cut.
        Event::Incident { .. }
        | Event::Nudge { .. }
        | Event::Signal { .. }
        | Event::Answer { .. }
        | Event::Outcome { .. }
        | Event::Run { .. }
        | Event::Ran { .. }
        | Event::Withheld { .. }
        | Event::Close { .. } => "of a case that the log does not name".to_owned(),
    }
}

/// What was done, and why.
pub(super) fn deed(event: &Event, case: &Case) -> String {
    match event {
        Event::Incident { from: None } => format!("{}.", figures(&case.evidence)),
        Event::Incident { from: Some(from) } => {
            format!("takes over incident {from}, {}.", figures(&case.evidence))
        }
        Event::Nudge {
            next, rests, again, ..
        } => nudge(case, next.as_ref(), rests.as_ref(), *again),
        Event::Signal { .. } => signal(event),
        Event::Answer { .. } => answer(event),
        Event::Outcome {
            signal,
            each,
            continued,
            left,
            certainty,
            took,
            ..
        } => {
            let came = outcome(signal, each, continued, left, unsure(certainty.as_ref()));
            format!("{came} (in {}).", instant(*took))
        }
        Event::Run {
            run,
            asks,
            served,
            closing,
            ..
        } => running(run.as_ref(), asks.as_ref(), *served, closing.as_ref()),
        Event::Ran { .. } => ran(event),
        Event::Withheld {
            act,
            targets,
            rests,
        } => format!(
            "{}: would have {}.",
            words::rest(rests),
            words::undone(act, u64::from(*targets))
        ),
        Event::Close {
            how,
            lasted,
            certainty,
        } => close(how, *lasted, unsure(certainty.as_ref())),
        Event::Fault { .. } | Event::Reload { .. } | Event::Start(_) | Event::Stop { .. } => {
            ours(event)
        }
    }
}

/// Which signal goes to whom, and why now.
fn signal(event: &Event) -> String {
    let Event::Signal {
        signal,
        pids,
        served,
        bidden,
        ..
    } = event
    else {
        return String::new();
    };
    let whom = words::processes(pids.len() as u64);
    let (who, span) = (list(pids), words::span(*served));
    match (signal.as_str(), bidden) {
        ("KILL", None) => format!("SIGKILL to {whom} ({who}) after {span} of grace."),
        ("KILL", Some(by)) => format!(
            "SIGKILL to {whom} ({who}) after {span} of grace, {}.",
            words::bidden(by)
        ),
        ("CONT", _) => format!("SIGCONT to {whom} ({who}), frozen {span} ago."),
        (_, None) => format!("SIG{signal} to {whom} ({who}) after {span} of notice."),
        (_, Some(by)) => format!("SIG{signal} to {whom} ({who}), {}.", words::bidden(by)),
    }
}

/// What a person has answered.
fn answer(event: &Event) -> String {
    let Event::Answer {
        reply,
        by,
        until,
        left,
        extensions,
        exception,
    } = event
    else {
        return String::new();
    };
    let what = match (reply.as_str(), exception) {
        ("stop", _) => "is to be stopped now: SIGTERM, and SIGKILL after 10 s".to_owned(),
        ("freeze", _) => "is to be frozen, until somebody says more".to_owned(),
        ("extend", _) => snoozed(until.as_ref(), *left, *extensions),
        (_, Some(exception)) => format!("never minded again: {}", words::exception(exception)),
        (reply, None) => reply.to_owned(),
    };
    format!("{what}. Answered by {}.", words::person(by))
}

/// `snoozed until 14:33:07 (30 min); may be extended once more`
fn snoozed(until: Option<&Safe>, left: Option<f64>, extensions: Option<u32>) -> String {
    let until = until.map_or_else(|| "?".to_owned(), |until| clock(until).to_owned());
    let left = left.map_or_else(String::new, |left| format!(" ({})", words::span(left)));
    let more = words::extensions(extensions).map_or_else(String::new, |more| format!("; {more}"));
    format!("snoozed until {until}{left}{more}")
}

/// What others are set to do, and when.
fn running(
    run: Option<&Safe>,
    asks: Option<&Safe>,
    served: Option<f64>,
    closing: Option<&Safe>,
) -> String {
    let what = match (asks, run) {
        (Some(asks), _) => format!("asks {asks}"),
        (None, Some(run)) => format!("runs {run}"),
        (None, None) => "runs something".to_owned(),
    };
    let when = match (served, closing) {
        (_, Some(how)) => format!(", as the case is closed: {how}"),
        (Some(served), None) => format!(" after {} of notice", words::span(served)),
        (None, None) => String::new(),
    };
    format!("{what}{when}.")
}

/// What came of it.
fn ran(event: &Event) -> String {
    let Event::Ran {
        act,
        asks,
        text,
        said,
        took,
        ..
    } = event
    else {
        return String::new();
    };
    let what = match (asks, &act.exec) {
        (Some(asks), _) => format!("asking {asks}"),
        (None, Some(program)) => program.to_string(),
        (None, None) => "what was run".to_owned(),
    };
    let said = said
        .as_ref()
        .map_or_else(String::new, |said| format!(": “{said}”"));
    format!("{what} {text} (in {}){said}.", instant(*took))
}

fn nudge(case: &Case, next: Option<&Next>, rests: Option<&Rest>, again: bool) -> String {
    let again = if again { "still " } else { "" };
    let figures = figures(&case.evidence);
    let then = match (next, rests) {
        (Some(next), _) => words::next(next, &case.evidence),
        (None, Some(rest)) => format!("no signal follows: {}", words::rest(rest)),
        (None, None) => "no signal follows".to_owned(),
    };
    format!("{again}{figures}; {then}.")
}

/// What is to be said of an end that nobody can be sure of.
fn unsure(certainty: Option<&Safe>) -> &'static str {
    match certainty.map(Safe::as_str) {
        Some("looked") => ", as far as looks can tell",
        Some(_) | None => "",
    }
}

fn outcome(signal: &Safe, each: &[Fate], continued: &[u32], left: &[Left], unsure: &str) -> String {
    let of = |word: &str| -> Vec<u32> {
        each.iter()
            .filter(|fate| fate.outcome.as_str() == word)
            .map(|fate| fate.pid)
            .collect()
    };
    let (sent, gone, denied) = (of("sent"), of("gone"), of("denied"));
    let deed = match signal.as_str() {
        "KILL" => "ended",
        "STOP" => "stopped",
        "CONT" => "let go on",
        _ => "reached",
    };
    let mut parts = Vec::new();
    if !sent.is_empty() || each.is_empty() {
        parts.push(format!("{deed} {}", words::processes(sent.len() as u64)));
    }
    if !gone.is_empty() {
        parts.push(format!("{} gone before", gone.len()));
    }
    if !continued.is_empty() {
        parts.push(format!("{} stopped and continued", continued.len()));
    }
    if !denied.is_empty() {
        parts.push(format!(
            "the kernel refused {} ({})",
            denied.len(),
            list(&denied)
        ));
    }
    for why in ["protected", "recalled", "expired", "unsure"] {
        let held: Vec<u32> = each
            .iter()
            .filter(|fate| fate.because.as_ref().is_some_and(|it| it.as_str() == why))
            .map(|fate| fate.pid)
            .collect();
        if !held.is_empty() {
            parts.push(format!(
                "held back {} ({}): {}",
                held.len(),
                list(&held),
                held_back(why)
            ));
        }
    }
    if !left.is_empty() {
        let left: Vec<String> = left
            .iter()
            .map(|left| format!("{} in state {}", left.pid, left.state))
            .collect();
        parts.push(format!("still there: {}", left.join(", ")));
    } else if signal.as_str() == "KILL" && sent.len() + gone.len() == each.len() {
        parts.push(format!("none left{unsure}"));
    }
    format!("SIG{signal} {}", parts.join(", "))
}

/// A span that may be too short to tell.
fn instant(took: f64) -> String {
    match words::span(took) {
        Span(Duration::ZERO) => "less than 1 ms".to_owned(),
        took => took.to_string(),
    }
}

/// Why a signal was held back.
pub(super) fn held_back(why: &str) -> &str {
    match why {
        "protected" => "protected",
        "recalled" => "no longer asked for",
        "expired" => "the warrant was too old",
        "unsure" => "not sure who it is",
        other => other,
    }
}

fn close(how: &Safe, lasted: f64, unsure: &str) -> String {
    let lasted = words::span(lasted);
    match how.as_str() {
        "exited" => format!("gone by itself after {lasted}."),
        "denied" => format!("left alone after {lasted}: the kernel refused our signal."),
        "answered" => format!("left alone after {lasted}: a person said so."),
        "merged" => format!("after {lasted} part of the case of a process above it."),
        "unmatched" => {
            format!("after {lasted} it runs something else, which the rule does not mean.")
        }
        "rule removed" => format!("after {lasted} the rule is gone."),
        how => format!("{how} after {lasted}{unsure}."),
    }
}

fn beginning(start: &Start) -> String {
    let from = match start.config.as_slice() {
        [] => "built in".to_owned(),
        files => format!("from {}", words::list(files)),
    };
    let hearing = match (start.tier.as_str(), &start.deaf) {
        ("events", _) => "forks and exits are heard from the kernel".to_owned(),
        (_, why) => format!(
            "forks and exits are found by looking{}, so what lives for less than a look is missed",
            words::because(why.as_ref())
        ),
    };
    let rules: Vec<String> = start
        .rules
        .iter()
        .map(|rule| format!("{} ({})", rule.name, rule.mode))
        .collect();
    let leash = match start.leash {
        Some(pid) => format!("; nothing is signalled but descendants of {pid}"),
        None => String::new(),
    };
    let enforced = |rule: &StartRule| rule.mode.as_str() == "enforce";
    let harmless = if start.rules.iter().any(enforced) {
        ""
    } else {
        "; nothing will be signalled"
    };
    format!(
        "beadle {} [{}] in mode {}; {} ({from}): {}; {hearing}{leash}{harmless}.",
        start.version,
        start.daemon,
        start.mode,
        words::count(start.rules.len() as u64, "rule", "rules"),
        rules.join(", "),
    )
}

/// The evidence in words: those it came with, or made anew.
pub(super) fn figures(evidence: &Evidence) -> String {
    if evidence.text.is_empty() {
        words::evidence(evidence)
    } else {
        evidence.text.to_string()
    }
}

pub(super) fn name(case: &Case) -> String {
    words::whom(&case.subject)
}

/// The rule, and for people who may not know it, what it is for.
pub(super) fn rule(event: &Event, case: &Case) -> String {
    let rule = &case.subject.rule;
    match (event, &case.subject.about) {
        (Event::Nudge { .. }, Some(about)) => format!("rule {rule} ({about})"),
        _ => format!("rule {rule}"),
    }
}

fn reference(event: &Event, case: &Case) -> String {
    match event {
        Event::Nudge { .. } => format!(
            "(incident {}; beadle why {})",
            case.incident, case.subject.root
        ),
        _ => format!("(incident {})", case.incident),
    }
}

fn list(pids: &[u32]) -> String {
    let shown: Vec<String> = pids.iter().take(LISTED).map(u32::to_string).collect();
    match pids.len().saturating_sub(LISTED) {
        0 => shown.join(" "),
        more => format!("{} and {more} more", shown.join(" ")),
    }
}

fn first_of(problems: &[Safe]) -> String {
    match problems {
        [] => "`beadle check` says why".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more: `beadle check`)", rest.len()),
    }
}

const fn tone(event: &Event) -> Tone {
    match event {
        Event::Incident { .. } | Event::Nudge { .. } => Tone::Warn,
        Event::Signal { .. }
        | Event::Fault {
            state: Edge::Began, ..
        }
        | Event::Reload {
            outcome: Reloaded::Refused,
            ..
        } => Tone::Grave,
        Event::Close { .. }
        | Event::Fault {
            state: Edge::Over, ..
        } => Tone::Good,
        Event::Outcome { .. }
        | Event::Answer { .. }
        | Event::Run { .. }
        | Event::Ran { .. }
        | Event::Withheld { .. } => Tone::Strong,
        Event::Reload { .. } | Event::Start(_) | Event::Stop { .. } => Tone::Faint,
    }
}

/// `14:03:07` of an RFC 3339 time; the whole text when it is none.
fn clock(t: &Safe) -> &str {
    t.as_str().get(11..19).unwrap_or(t.as_str())
}
