//! `beadle doctor`: what works, what does not, and what to do.

use super::page::Page;
use super::paint::{Paint, Tone};
use super::words;
use crate::cli::doctor::{Finding, Findings, State};

/// The widest name of a part.
const PART: usize = 13;
/// How far lines below a finding are moved in.
const INDENT: usize = PART + 6;
/// Where lines are broken.
const WIDTH: usize = 110;

/// The whole page.
pub(in crate::cli) fn doctor(found: &Findings, paint: Paint) -> String {
    let mut page = Page::default();
    let who = match found.user {
        0 => "root".to_owned(),
        user => format!("user {user}"),
    };
    page.line(format_args!("beadle {}, as {who}", found.version));
    page.gap();
    for finding in &found.parts {
        one(finding, paint, &mut page);
    }
    page.gap();
    page.line(summary(&found.parts));
    page.text()
}

fn one(finding: &Finding, paint: Paint, page: &mut Page) {
    let (word, tone) = match finding.state {
        State::Well => ("well", Tone::Good),
        State::Less => ("less", Tone::Warn),
        State::Bad => ("bad ", Tone::Grave),
    };
    let mut lines = wrap(finding.found.as_str()).into_iter();
    let first = lines.next().unwrap_or_default();
    let mark = paint.tone(tone, word);
    page.line(format_args!("{mark}  {:PART$}{first}", finding.part));
    let below = |page: &mut Page, text: &str| page.line(format_args!("{:INDENT$}{text}", ""));
    for line in lines {
        below(page, &line);
    }
    let more = [("lost: ", &finding.lost), ("do: ", &finding.remedy)];
    for (word, text) in more {
        if let Some(text) = text {
            for line in wrap(&format!("{word}{text}")) {
                below(page, &paint.tone(Tone::Faint, line));
            }
        }
    }
}

/// Words in lines that are not too long.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if INDENT + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn summary(findings: &[Finding]) -> String {
    let count = |state| {
        findings
            .iter()
            .filter(|finding| finding.state == state)
            .count() as u64
    };
    match (count(State::Bad), count(State::Less)) {
        (0, 0) => "All is as well as it can be.".to_owned(),
        (0, less) => format!(
            "Nothing is bad; {} with less.",
            words::count(less, "part works", "parts work")
        ),
        (bad, _) => format!(
            "{} to be mended.",
            words::count(bad, "thing is", "things are")
        ),
    }
}
