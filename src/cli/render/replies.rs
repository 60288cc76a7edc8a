//! What came of an answer to an incident, and what rules never mind.

use super::page::{Lean, Page, table};
use super::paint::{Paint, Tone};
use super::words;
use crate::control::wire::{Exception, Replied, Safe};

/// What came of `stop`, `extend`, `allow` or `freeze`, and what to do next.
pub fn replied(replied: &Replied, paint: Paint) -> String {
    let mut page = Page::default();
    let id = replied.incident;
    let case = format!(
        "incident {id}: {}[{}], rule {}:",
        replied.program, replied.root, replied.rule
    );
    let case = paint.tone(Tone::Strong, case);
    match (replied.reply.as_str(), &replied.exception) {
        ("stop", _) => {
            page.line(format_args!(
                "{case} asked to stop now (SIGTERM), and ended after 10 s (SIGKILL) as far as it is still there"
            ));
            page.line(format_args!("what comes of it: beadle show {id}"));
        }
        ("freeze", _) => {
            page.line(format_args!(
                "{case} stands still (SIGSTOP) until it is answered again"
            ));
            page.line(format_args!(
                "to let it go on: beadle extend {id}; to end it: beadle stop {id}"
            ));
        }
        ("extend", _) => {
            let left = replied.left.unwrap_or_default();
            let more = words::extensions(replied.extensions);
            let more = more.map_or_else(String::new, |more| format!("; it {more}"));
            page.line(format_args!(
                "{case} left alone for {}{more}",
                words::span(left)
            ));
        }
        (_, Some(exception)) => {
            page.line(format_args!(
                "{case} closed, and never minded again: {}",
                words::exception(exception)
            ));
            page.line(format_args!(
                "to take it back: beadle forget {}",
                exception.number
            ));
        }
        (other, None) => page.line(format_args!("{case} {other}")),
    }
    unkept(replied.unkept.as_ref(), paint, &mut page);
    page.text()
}

/// What `forget` came to.
pub fn forgotten(gone: &[Exception], why: Option<&Safe>, paint: Paint) -> String {
    let mut page = Page::default();
    for exception in gone {
        page.line(format_args!("forgotten: {}", words::exception(exception)));
    }
    unkept(why, paint, &mut page);
    page.text()
}

fn unkept(why: Option<&Safe>, paint: Paint, page: &mut Page) {
    if let Some(why) = why {
        let text = format!("this could not be kept, and holds only until beadle ends: {why}");
        page.line(paint.tone(Tone::Warn, text));
    }
}

/// What rules never mind, because a person said so.
pub fn exceptions(exceptions: &[Exception], paint: Paint) -> String {
    let mut page = Page::default();
    if exceptions.is_empty() {
        page.line("No exception is yours to see: `beadle allow` makes one of an incident.");
        return page.text();
    }
    let heads = [
        ("N", Lean::Right),
        ("RULE", Lean::Left),
        ("USER", Lean::Right),
        ("PROGRAM", Lean::Left),
        ("FOLDER", Lean::Left),
        ("BY", Lean::Left),
        ("SINCE", Lean::Left),
    ];
    let rows: Vec<Vec<String>> = exceptions
        .iter()
        .map(|it| {
            vec![
                it.number.to_string(),
                it.rule.to_string(),
                it.owner.to_string(),
                it.program.to_string(),
                it.cwd.to_string(),
                format!("user {}", it.by),
                it.since
                    .as_ref()
                    .map_or_else(|| "?".to_owned(), words::date),
            ]
        })
        .collect();
    page.block(&table(&heads, &rows, paint));
    page.text()
}
