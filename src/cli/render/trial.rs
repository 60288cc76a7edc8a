//! `beadle try` and `beadle rules`: what rules say, and what they would do.

use std::time::Duration;

use serde::Serialize;

use super::page::{Lean, Page, table};
use super::paint::{Paint, Tone};
use super::why::{limits, when};
use super::words;
use crate::control::wire::{Judged, Safe};
use crate::engine::rule::{Mode, Rule, Scope};

/// Units of one rule that are shown in full.
const SHOWN: usize = 10;

/// What was found.
#[derive(Debug)]
pub struct Trial<'a> {
    /// The rules of the file.
    pub rules: &'a [TrialRule],
    /// What they judge.
    pub units: &'a [Judged],
    /// Living processes known.
    pub processes: usize,
    /// Processes whose facts are not learnt yet.
    pub pending: usize,
    /// How long was looked.
    pub span: Duration,
}

/// A rule on trial.
#[derive(Debug, Serialize)]
pub struct TrialRule {
    /// Its name.
    pub name: Safe,
    /// Its mode.
    pub mode: Safe,
    /// What happens, in words.
    pub ladder: String,
    /// When it is judged, in words; absent is always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The variable by which it tells jobs apart; absent where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether its ladder would be climbed beyond the nudge.
    pub signals: bool,
}

impl TrialRule {
    /// The rule as its file has it.
    pub fn of(rule: &Rule) -> Self {
        Self {
            name: Safe::word(&rule.name),
            mode: Safe::word(rule.mode.word()),
            ladder: words::ladder(&rule.ladder),
            when: words::condition(&rule.gates),
            label: match &rule.scope {
                Scope::Env(name) => Some(name.to_string()),
                Scope::Tree | Scope::Process => None,
            },
            signals: rule.mode == Mode::Enforce
                && rule.ladder.iter().any(|stage| stage.act.signal().is_some()),
        }
    }
}

/// Rule by rule: its units, nearest to a limit first, and what would become of them.
pub fn trial(found: &Trial<'_>, paint: Paint) -> String {
    let mut page = Page::default();
    let pending = match found.pending {
        0 => String::new(),
        n => format!(" ({n} not read yet)"),
    };
    page.line(format_args!(
        "looked for {} at {}{pending}; nothing was signalled",
        words::span(found.span.as_secs_f64()),
        words::processes(found.processes as u64),
    ));
    for rule in found.rules {
        page.gap();
        one(rule, found, paint, &mut page);
    }
    page.text()
}

fn one(rule: &TrialRule, found: &Trial<'_>, paint: Paint, page: &mut Page) {
    let title = paint.tone(Tone::Strong, format!("rule {} ({}):", rule.name, rule.mode));
    let units: Vec<&Judged> = found
        .units
        .iter()
        .filter(|unit| unit.subject.rule == rule.name)
        .collect();
    let title = match &rule.when {
        Some(when) => format!("{title} only while {when};"),
        None => title,
    };
    if units.is_empty() {
        match &rule.label {
            Some(name) => page.line(format_args!(
                "{title} judges nothing that runs now: nobody matches whose environment has {name}"
            )),
            None => page.line(format_args!("{title} matches nothing that runs now")),
        }
        return;
    }
    page.line(format_args!(
        "{title} {}",
        words::count(units.len() as u64, "unit", "units")
    ));
    for unit in units.iter().take(SHOWN) {
        let subject = &unit.subject;
        let name = words::whom(subject);
        page.line(format_args!(
            "  {}  {}; {}: {}",
            paint.tone(Tone::Strong, name),
            subject.command,
            words::processes(u64::from(unit.evidence.members)),
            unit.finding.verdict,
        ));
        limits(&unit.evidence.readings, "    ", page);
        when(&unit.finding.when, "    ", page);
        if unit.finding.verdict.as_str() == "sustained" {
            let fate = format!("would now: {}", consequence(rule));
            page.line(format_args!("    {}", paint.tone(Tone::Warn, fate)));
        }
    }
    if let Some(more @ 1..) = units.len().checked_sub(SHOWN) {
        page.line(format_args!("  and {more} more"));
    }
}

fn consequence(rule: &TrialRule) -> String {
    match (rule.mode.as_str(), rule.signals) {
        ("observe", _) => "only be recorded (mode is observe)".to_owned(),
        (_, true) => format!("{}, unless it ends or recovers", rule.ladder),
        ("enforce", false) => "nudge, and no signal (its ladder has none)".to_owned(),
        (mode, false) => format!("nudge, and no signal (mode is {mode})"),
    }
}

/// Rules as a table: name, mode, origin, ladder, about.
pub fn rule_list(rules: impl Iterator<Item = [String; 5]>, paint: Paint) -> String {
    let heads = [
        ("RULE", Lean::Left),
        ("MODE", Lean::Left),
        ("FROM", Lean::Left),
        ("LADDER", Lean::Left),
        ("ABOUT", Lean::Left),
    ];
    let rows: Vec<Vec<String>> = rules.map(Vec::from).collect();
    table(&heads, &rows, paint)
}
