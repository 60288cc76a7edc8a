//! `beadle try` and `beadle rules`: what rules say, and what they would do.

use std::time::Duration;

use serde::Serialize;

use super::page::{Lean, Page, table};
use super::paint::{Paint, Tone};
use super::why::{limits, when};
use super::words;
use crate::control::wire::{Judged, Reading, Rest, Safe};
use crate::engine::rule::{Clause, Mode, Rule, Scope, StageAct};

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
    /// Its clauses, each with so many limits.
    #[serde(skip)]
    pub clauses: Vec<(usize, Leads)>,
}

/// Whether more than a nudge may come of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// People are told of it, and no more.
    Nowhere,
    /// The whole ladder.
    On,
}

impl Leads {
    fn of(clause: &Clause) -> Self {
        if clause.only_tells() {
            Self::Nowhere
        } else {
            Self::On
        }
    }
}

impl TrialRule {
    /// The rule as its file has it.
    pub fn of(rule: &Rule) -> Self {
        Self {
            name: Safe::word(&rule.name),
            mode: Safe::word(rule.mode.word()),
            ladder: words::course(rule),
            when: words::condition(&rule.gates),
            label: match &rule.scope {
                Scope::Env(name) => Some(name.to_string()),
                Scope::Tree | Scope::Process | Scope::Cgroup => None,
            },
            signals: rule.mode == Mode::Enforce
                && rule.ladder.iter().any(|stage| stage.act != StageAct::Nudge),
            clauses: rule
                .clauses
                .iter()
                .map(|clause| (clause.limits.len(), Leads::of(clause)))
                .collect(),
        }
    }

    /// Whether no clause is over that more than a nudge may come of.
    fn only_tells(&self, readings: &[Reading]) -> bool {
        let mut rest = readings.iter();
        let mut leads_on = self.clauses.iter().map(|(limits, leads)| {
            let mut these = rest.by_ref().take(*limits).map(|it| it.finding.as_str());
            // All of them are taken, whatever the first says.
            let over = these.by_ref().all(|finding| finding == "sustained");
            these.for_each(drop);
            over && *leads == Leads::On
        });
        !leads_on.any(|on| on)
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
        let evidence = &unit.evidence;
        limits(&evidence.readings, evidence.peers.as_ref(), "    ", page);
        when(&unit.finding.when, "    ", page);
        if unit.finding.verdict.as_str() == "sustained" {
            let fate = format!("would now: {}", consequence(rule, &evidence.readings));
            page.line(format_args!("    {}", paint.tone(Tone::Warn, fate)));
        }
    }
    if let Some(more @ 1..) = units.len().checked_sub(SHOWN) {
        page.line(format_args!("  and {more} more"));
    }
}

fn consequence(rule: &TrialRule, readings: &[Reading]) -> String {
    match (rule.mode.as_str(), rule.signals) {
        ("enforce", true) if rule.only_tells(readings) => {
            format!("nudge, and no signal ({})", words::rest(&Rest::Instances))
        }
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
