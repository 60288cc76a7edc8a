//! `beadle history`: what became of incidents, and of one process.

use super::line::held_back;
use super::page::{Lean, Page, table};
use super::paint::{Paint, Tone};
use super::story::fate;
use super::words;
use crate::control::wire::{History, Kept, Part, Safe};

/// Whose incidents the answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eyes {
    /// Everybody's.
    Root,
    /// One user's own.
    Own,
}

/// The whole answer.
pub fn history(history: &History, eyes: Eyes, paint: Paint) -> String {
    let mut page = Page::default();
    match (history.pid, history.incidents.is_empty()) {
        (Some(pid), true) => nothing(pid, history, eyes, &mut page),
        (Some(pid), false) => one(pid, history, paint, &mut page),
        (None, true) => page.line(match eyes {
            Eyes::Root => "No such incident is kept.",
            Eyes::Own => "No such incident is kept that is yours to see.",
        }),
        (None, false) => page.block(&list(&history.incidents, paint)),
    }
    if history.more {
        page.line("and older ones: --most, --since, --rule and --pid choose");
    }
    reach(history, paint, &mut page);
    page.text()
}

fn list(incidents: &[Kept], paint: Paint) -> String {
    let heads = [
        ("BEGAN", Lean::Left),
        ("INCIDENT", Lean::Right),
        ("RULE", Lean::Left),
        ("PROGRAM", Lean::Left),
        ("USER", Lean::Right),
        ("WHAT CAME OF IT", Lean::Left),
    ];
    let rows: Vec<Vec<String>> = incidents
        .iter()
        .map(|kept| {
            vec![
                words::date(&kept.began),
                kept.id.to_string(),
                kept.rule.to_string(),
                format!("{}[{}]", kept.program, kept.root),
                kept.owner
                    .map_or_else(|| "?".to_owned(), |id| id.to_string()),
                fate(kept),
            ]
        })
        .collect();
    table(&heads, &rows, paint)
}

fn one(pid: u32, history: &History, paint: Paint, page: &mut Page) {
    for kept in &history.incidents {
        for part in &kept.parts {
            let known = |text: &Option<Safe>| text.as_ref().map(Safe::to_string);
            let program = known(&part.program).unwrap_or_default();
            let identity = known(&part.key);
            let identity = identity.map_or_else(String::new, |key| format!(" (identity {key})"));
            page.line(format_args!(
                "{}  process {}{identity} {}",
                words::date(&part.t),
                paint.tone(Tone::Strong, format_args!("{program}[{pid}]")),
                paint.tone(tone(part), deed(part)),
            ));
        }
        let boot = if kept.this_boot {
            ""
        } else {
            "in an earlier boot, so that another process may have the number now: "
        };
        page.line(format_args!(
            "  {boot}rule {} against {}[{}]: {}",
            kept.rule,
            kept.program,
            kept.root,
            fate(kept)
        ));
        page.line(format_args!("  the whole story: beadle show {}", kept.id));
    }
}

/// What was done to a process.
fn deed(part: &Part) -> String {
    let because = part.because.as_ref();
    let because = || because.map_or("not said", Safe::as_str);
    let Some(signal) = &part.signal else {
        return match part.part.as_str() {
            "spared" => format!("was spared: {}", because()),
            _ => "belonged to the tree; beadle sent it nothing".to_owned(),
        };
    };
    let born = match part.part.as_str() {
        "born" => "was started by a member meanwhile and ",
        _ => "",
    };
    let came = match (signal.as_str(), part.outcome.as_ref().map(Safe::as_str)) {
        ("KILL", Some("sent")) => "was ended by SIGKILL".to_owned(),
        ("KILL", Some("survived")) => "was sent SIGKILL, and was still there".to_owned(),
        ("STOP", Some("sent")) => "was frozen by SIGSTOP".to_owned(),
        ("CONT", Some("sent")) => "was frozen for a while, and let go on by SIGCONT".to_owned(),
        (signal, Some("sent")) => format!("was asked to leave by SIG{signal}"),
        (signal, Some("gone")) => {
            format!("had gone before SIG{signal}: beadle did not end it")
        }
        (signal, Some("denied")) => {
            format!("was to get SIG{signal}, which the kernel refused")
        }
        (signal, Some("withheld")) => {
            let why = held_back(because());
            format!("was to get SIG{signal}, which was held back: {why}")
        }
        (signal, Some(word)) => format!("was to get SIG{signal}: {word}"),
        (signal, None) => {
            format!("was to get SIG{signal}; what came of that is not known")
        }
    };
    format!("{born}{came}")
}

fn tone(part: &Part) -> Tone {
    match part.outcome.as_ref().map(Safe::as_str) {
        Some("sent" | "survived") => Tone::Grave,
        Some(_) => Tone::Warn,
        None => Tone::Good,
    }
}

fn nothing(pid: u32, history: &History, eyes: Eyes, page: &mut Page) {
    let yours = match eyes {
        Eyes::Root => "",
        Eyes::Own => " in an incident that is yours to see",
    };
    let sure = if history.reach.lost.is_empty() {
        "beadle sent it no signal"
    } else {
        "as far as is kept, beadle sent it no signal"
    };
    page.line(format_args!(
        "Nothing is known of process {pid}{yours}: {sure}."
    ));
}

fn reach(history: &History, paint: Paint, page: &mut Page) {
    if let Some(since) = &history.reach.since {
        let text = format!("History goes back to {}.", words::date(since));
        page.line(paint.tone(Tone::Faint, text));
    }
    for lost in &history.reach.lost {
        let records = match lost.records {
            0 => "some records".to_owned(),
            n => words::count(n, "record", "records"),
        };
        let (noted, because) = (words::date(&lost.t), &lost.because);
        let text = format!("Missing: {records}, noted {noted}: {because}.");
        page.line(paint.tone(Tone::Warn, text));
    }
}
