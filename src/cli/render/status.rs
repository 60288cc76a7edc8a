//! `beadle status`: how the watch goes.

use super::page::{Lean, Page, table};
use super::paint::{Paint, Tone};
use super::words;
use crate::control::wire::{Desktop, Heartbeats, Judged, Pause, Rule, Safe, Status};

/// The whole page.
pub fn status(status: &Status, paint: Paint) -> String {
    let mut page = Page::default();
    heading(status, paint, &mut page);
    for fault in &status.daemon.faults {
        page.line(format_args!(
            "{} {}: {} ({} in {})",
            paint.tone(Tone::Grave, "fault:"),
            fault.part,
            fault.text,
            words::count(fault.count, "time", "times"),
            words::span(fault.lasted),
        ));
    }
    page.gap();
    incidents(&status.incidents, paint, &mut page);
    spoken(&status.heartbeats, &mut page);
    page.gap();
    if !status.pauses.is_empty() {
        page.block(&pauses(&status.pauses, paint));
        page.gap();
    }
    page.block(&rules(&status.rules, paint));
    waiting(&status.rules, paint, &mut page);
    page.text()
}

/// The same in a line, for the service manager. It shows it to everybody, so there is nothing in it of anybody's processes.
pub fn status_line(status: &Status) -> String {
    let mut parts = vec![
        format!("Mode {}, {}", status.mode, hearing(status)),
        format!(
            "knows {}, judges {}",
            words::processes(status.processes as u64),
            words::count(status.units as u64, "unit", "units"),
        ),
        match status.incidents.len() as u64 {
            0 => "no incident is open".to_owned(),
            open => words::count(open, "open incident", "open incidents"),
        },
    ];
    if !status.pauses.is_empty() {
        parts.push(words::count(status.pauses.len() as u64, "pause", "pauses"));
    }
    let faults = status.daemon.faults.iter();
    let faults: Vec<Safe> = faults.map(|fault| fault.part.clone()).collect();
    if !faults.is_empty() {
        let faults = words::list(&faults);
        parts.push(format!("trouble with {faults}: `beadle status` says what"));
    }
    parts.join("; ")
}

/// Pauses in force, a line each.
pub fn pauses(pauses: &[Pause], paint: Paint) -> String {
    let mut page = Page::default();
    for pause in pauses {
        let mark = paint.tone(Tone::Warn, "paused:");
        page.line(format_args!("{mark} {}", paused(pause)));
    }
    if pauses.is_empty() {
        page.line("Nothing is paused.");
    }
    page.text()
}

/// `rule pytest for another 29 min, by user 1000`
fn paused(pause: &Pause) -> String {
    let what = match &pause.rule {
        Some(rule) => format!("rule {rule}"),
        None => "every rule".to_owned(),
    };
    format!("{what} {}", lasting(pause))
}

/// `for another 29 min, by user 1000`
pub(super) fn lasting(pause: &Pause) -> String {
    let left = match pause.left {
        Some(left) => format!("for another {}", words::span(left)),
        None => "until resumed".to_owned(),
    };
    format!("{left}, by user {}", pause.by)
}

fn hearing(status: &Status) -> String {
    match (status.tier.as_str(), &status.daemon.deaf) {
        ("events", _) => "hearing forks and exits from the kernel".to_owned(),
        (_, why) => format!(
            "finding forks and exits by looking{}",
            words::because(why.as_ref())
        ),
    }
}

fn heading(status: &Status, paint: Paint, page: &mut Page) {
    let daemon = &status.daemon;
    page.line(format_args!(
        "{} [{}] up {}, mode {}, {}",
        paint.tone(Tone::Strong, format!("beadle {}", daemon.version)),
        daemon.pid,
        words::span(daemon.up),
        paint.tone(Tone::Strong, &status.mode),
        hearing(status),
    ));
    let pending = match status.pending {
        0 => String::new(),
        n => format!(" ({n} not read yet)"),
    };
    page.line(format_args!(
        "knows {}{pending}, judges {}",
        words::processes(status.processes as u64),
        words::count(status.units as u64, "unit", "units"),
    ));
    match daemon.config.as_slice() {
        [] => page.line("rules are the built-in ones, which only nudge"),
        files => page.line(format_args!("rules from {}", words::list(files))),
    }
    for desktop in &daemon.desktops {
        page.line(format_args!("{}", shows(desktop)));
    }
    hears(&status.heartbeats, page);
    if let Some(elder) = &daemon.elder {
        let left = words::count(elder.left as u64, "unit is", "units are");
        page.line(format_args!(
            "the machine's beadle watches too, and goes first: {left} left to it"
        ));
    }
    if let Some(leash) = daemon.leash {
        page.line(format_args!("signals nothing but descendants of {leash}"));
    }
    if status.gaps > 0 {
        page.line(format_args!(
            "events were lost {}; everything was listed anew each time",
            words::count(status.gaps, "time", "times")
        ));
    }
}

/// `hears heartbeats at /run/beadle/beat.sock: 120 taken in, 3 refused (another user's)`
fn hears(heartbeats: &Heartbeats, page: &mut Page) {
    let Some(socket) = &heartbeats.socket else {
        return;
    };
    let all = [
        (heartbeats.taken, "taken in"),
        (heartbeats.refused, "refused (another user's)"),
        (heartbeats.strangers, "from processes that no rule judges"),
        (heartbeats.unreadable, "unreadable"),
        (
            heartbeats.dropped,
            "dropped (too many waited for their senders to become known)",
        ),
    ];
    let some = all.iter().filter(|(count, _)| *count > 0);
    let some: Vec<String> = some
        .map(|(count, what)| format!("{} {what}", words::grouped(*count)))
        .collect();
    let some = match some.as_slice() {
        [] => String::new(),
        some => format!(": {}", some.join(", ")),
    };
    page.line(format_args!("hears heartbeats at {socket}{some}"));
}

/// How far those are who say so.
fn spoken(heartbeats: &Heartbeats, page: &mut Page) {
    for unit in &heartbeats.units {
        if let Some(progress) = words::progress(&unit.progress) {
            page.line(format_args!("{}[{}] {progress}", unit.program, unit.root));
        }
    }
}

/// `user 1000 is shown nudges by Xfce Notify Daemon 0.7.3; 2 are on the screen`
fn shows(desktop: &Desktop) -> String {
    let user = desktop.user;
    let server = match (&desktop.server, &desktop.trouble) {
        (_, Some(_)) => return format!("user {user} is told on terminals: no desktop works there"),
        (Some(server), None) => server.to_string(),
        (None, None) => return format!("user {user} is being shown a nudge for the first time"),
    };
    let plain = match desktop.buttons {
        Some(false) => ", which has no buttons",
        Some(true) | None => "",
    };
    let shown = desktop.shown as u64;
    let shown = words::count(shown, "is on the screen", "are on the screen");
    format!("user {user} is shown nudges by {server}{plain}; {shown}")
}

fn incidents(open: &[Judged], paint: Paint, page: &mut Page) {
    if open.is_empty() {
        page.line(paint.tone(Tone::Good, "No incident is open."));
    }
    for unit in open {
        let Some(incident) = &unit.incident else {
            continue;
        };
        page.line(format_args!(
            "{} {} rule {}: {}; open for {}: {}; {}",
            paint.tone(Tone::Warn, format!("incident {}:", incident.id)),
            words::whom(&unit.subject),
            unit.subject.rule,
            words::evidence(&unit.evidence),
            words::span(incident.lasted),
            incident.stage,
            words::outlook(incident, &unit.finding),
        ));
    }
}

/// Rules that are not judged now, and what they wait for.
fn waiting(rules: &[Rule], paint: Paint, page: &mut Page) {
    let waits = |rule: &&Rule| rule.units > 0 && words::waits(&rule.when);
    let waiting: Vec<&Rule> = rules.iter().filter(waits).collect();
    if !waiting.is_empty() {
        page.gap();
    }
    for rule in waiting {
        page.line(format_args!(
            "{} rule {} waits until {}",
            paint.tone(Tone::Warn, "closed:"),
            rule.name,
            words::awaited(&rule.when),
        ));
    }
}

fn rules(rules: &[Rule], paint: Paint) -> String {
    let heads = [
        ("RULE", Lean::Left),
        ("MODE", Lean::Left),
        ("UNITS", Lean::Right),
        ("FROM", Lean::Left),
        ("ABOUT", Lean::Left),
    ];
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            vec![
                rule.name.to_string(),
                rule.mode.to_string(),
                rule.units.to_string(),
                rule.origin.to_string(),
                rule.about
                    .as_ref()
                    .map_or_else(String::new, Safe::to_string),
            ]
        })
        .collect();
    table(&heads, &rows, paint)
}
