//! One rule, or the defaults that rules start from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::answers;
use super::document::{MODE_WORDS, MODES};
use super::exec;
use super::gate;
use super::ladder::{self, LadderDraft};
use super::limit::{self, ClauseDraft};
use super::matcher::{self, Place};
use super::scope;
use crate::config::diagnostic::quoted;
use crate::config::quantity;
use crate::config::reader::Reader;
use crate::config::source::{Marked, Span, Spot};
use crate::config::table::{Key, Shape, Table};
use crate::config::yaml::{Node, Value};
use crate::engine::answer::Reply;
use crate::engine::gate::Gate;
use crate::engine::matcher::Matcher;
use crate::engine::rule::{Command, Mode, Scope};

/// What a rule says. A key that was given and is not here was wrong, and that was told.
#[derive(Clone, Default)]
pub(in crate::config) struct RuleDraft {
    /// Where it begins; `None` when there are no defaults at all.
    pub(in crate::config) spot: Option<Spot>,
    pub(in crate::config) given: Vec<&'static str>,
    pub(in crate::config) name: Option<Marked<String>>,
    pub(in crate::config) about: Option<String>,
    pub(in crate::config) enabled: Option<bool>,
    pub(in crate::config) mode: Option<Mode>,
    pub(in crate::config) matcher: Option<Marked<Matcher>>,
    pub(in crate::config) scope: Option<Marked<Scope>>,
    pub(in crate::config) clauses: Option<Vec<ClauseDraft>>,
    pub(in crate::config) gates: Option<Vec<Gate>>,
    pub(in crate::config) warmup: Option<Duration>,
    pub(in crate::config) keep: Option<Vec<Matcher>>,
    pub(in crate::config) ladder: Option<LadderDraft>,
    pub(in crate::config) cooldown: Option<Duration>,
    pub(in crate::config) on_close: Option<Arc<Command>>,
    pub(in crate::config) answers: Option<Vec<Reply>>,
}

/// The keys of a rule.
pub(in crate::config) static RULE: Table<RuleDraft> = Table {
    name: "rule",
    what: "a rule",
    keys: &[
        Key::sets(
            "name",
            "The rule's name, unique. A later rule of the same name replaces an earlier one.",
            Shape::Text,
            |draft, entry, reader| {
                draft.name = name(&entry.node, reader);
            },
        ),
        Key::sets(
            "about",
            "What the rule is for: shown in every nudge.",
            Shape::Text,
            |draft, entry, reader| {
                draft.about = about(&entry.node, reader);
            },
        ),
        Key::sets(
            "enabled",
            "`false` switches off the rule of this name, a built-in one too.",
            Shape::Flag,
            |draft, entry, reader| {
                draft.enabled = reader.flag(&entry.node);
            },
        ),
        Key::sets(
            "mode",
            "How far this rule goes, instead of the top level's `mode`.",
            Shape::Words(MODE_WORDS),
            |draft, entry, reader| {
                draft.mode = reader.choice(&entry.node, "a mode", &MODES);
            },
        ),
        Key::sets(
            "match",
            "Which processes are roots: all fields must hold.",
            Shape::Map("match"),
            |draft, entry, reader| {
                draft.matcher = matcher::read(&entry.node, Place::Root, reader)
                    .map(|matcher| reader.mark(matcher, entry.at));
            },
        ),
        Key::sets(
            "scope",
            "What is summed and ended: the `tree` (default), each matching `process` by itself, or with `env:NAME` every \
             process of the same owner whose environment has the same NAME: a CI job.",
            Shape::Scope,
            |draft, entry, reader| {
                draft.scope = scope::read(&entry.node, reader)
                    .map(|scope| reader.mark(scope, entry.node.span));
            },
        ),
        Key::sets(
            "limits",
            "One breached limit is enough; `all` groups limits that must breach together.",
            Shape::Map("limits"),
            |draft, entry, reader| {
                draft.clauses = limit::read(entry, reader);
            },
        ),
        Key::sets(
            "when",
            "What must be so of the machine: all gates given must be open. While one is closed nobody is told and nothing \
             is signalled; an open incident waits with its clock standing.",
            Shape::Map("when"),
            |draft, entry, reader| {
                draft.gates = gate::read(entry, reader);
            },
        ),
        Key::sets(
            "warmup",
            "Ignores limits but `cpu_time`, `age` and `processes` at the start. Default `30s` for \
             `leftover` and `orphaned`, else none.",
            Shape::Duration,
            |draft, entry, reader| {
                draft.warmup =
                    reader.quantity(&entry.node, "a duration such as `30s`", quantity::duration);
            },
        ),
        Key::sets(
            "keep",
            "Members that leave the tree with all they start: not counted, not signalled.",
            Shape::MapOrMaps("match"),
            |draft, entry, reader| {
                draft.keep = Some(matcher::list(&entry.node, Place::Aside, reader));
            },
        ),
        Key::sets(
            "ladder",
            "What happens, in order. Default `[nudge]`.",
            Shape::WordsOrMaps(&["nudge"], "stage"),
            |draft, entry, reader| {
                draft.ladder = ladder::read(entry, reader);
            },
        ),
        Key::sets(
            "cooldown",
            "How long a unit is left in peace after an incident closed. Default `10m`.",
            Shape::Duration,
            |draft, entry, reader| {
                draft.cooldown =
                    reader.quantity(&entry.node, "a duration such as `10m`", quantity::duration);
            },
        ),
        Key::nothing("nudge", "Where this rule's nudges go."),
        Key::sets(
            "answers",
            "Which answers people may give to its incidents: a list of `stop`, `extend`, `allow`, `freeze`, or `all`, or `none`. \
             Default for rules of root's beadle `[stop, extend]`, and `extend` at most twice; for one's own `all`. Root may give all.",
            Shape::WordsOrThese(answers::ALONE, answers::WORDS),
            |draft, entry, reader| {
                draft.answers = Some(answers::read(&entry.node, reader));
            },
        ),
        Key::sets(
            "on_close",
            "A program that is run when an incident closes, in mode `enforce`.",
            Shape::Map("on_close"),
            |draft, entry, reader| {
                draft.on_close = exec::on_close(&entry.node, reader);
            },
        ),
        Key::nothing("tags", "Words for your own use."),
    ],
    foreign: &[
        ("action", "what happens goes under `ladder`"),
        ("actions", "what happens goes under `ladder`"),
        ("stages", "did you mean `ladder`?"),
        (
            "signal",
            "signals go into the `ladder`: `- { after: 5m, signal: TERM }`",
        ),
        (
            "kill",
            "signals go into the `ladder`: `- { after: 10s, signal: KILL }`",
        ),
        (
            "exec",
            "programs go into the `ladder`: `- { after: 5m, exec: [/path/to/program] }`",
        ),
        ("timeout", "did you mean `limits: { age: … }`?"),
        ("description", "did you mean `about`?"),
        ("disabled", "did you mean `enabled: false`?"),
        (
            "grace",
            "each stage of the `ladder` says how long after the one before: `after: 10s`",
        ),
        (
            "notice",
            "each stage of the `ladder` says how long after the one before: `after: 5m`",
        ),
        (
            "pid",
            "a rule names a kind of process; a number soon belongs to another",
        ),
        ("program", "did you mean `match: { program: … }`?"),
        ("cmdline", "did you mean `match: { cmdline: … }`?"),
        ("cpu", "did you mean `limits: { cpu: … }`?"),
        ("cpu_time", "did you mean `limits: { cpu_time: … }`?"),
        ("memory", "did you mean `limits: { memory: … }`?"),
        ("age", "did you mean `limits: { age: … }`?"),
        (
            "between",
            "did you mean `when: { between: \"22:00-06:00\" }`?",
        ),
        ("on_battery", "did you mean `when: { on_battery: true }`?"),
        ("load", "did you mean `when: { load: 8 }`?"),
        (
            "memory_pressure",
            "did you mean `when: { memory_pressure: 10% }`?",
        ),
        (
            "for",
            "`for` belongs to a limit: `cpu: { above: 90%, for: 10m }`",
        ),
    ],
};

/// Keys of a rule that defaults cannot hold.
pub(in crate::config) const NO_DEFAULT: [&str; 4] = ["name", "about", "enabled", "match"];

/// Decodes one rule.
pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> RuleDraft {
    let mut draft = RuleDraft::default();
    draft.given = RULE.read(node, &mut draft, reader);
    let head = head(node);
    draft.spot = Some(reader.spot(head));
    if !matches!(node.value, Value::Map(_)) {
        return draft;
    }
    if !draft.given.contains(&"name") {
        reader.refuse(head, "a rule without a name", "add `name:`");
    }
    let off = draft.enabled == Some(false);
    if !off && !draft.given.contains(&"match") {
        reader.refuse(
            head,
            "a rule that does not say which processes it means",
            "add `match:`",
        );
    }
    draft
}

/// Decodes the values that rules start from.
pub(super) fn defaults(node: &Node, reader: &mut Reader<'_>) -> RuleDraft {
    let mut draft = RuleDraft::default();
    draft.given = RULE.read(node, &mut draft, reader);
    draft.spot = Some(reader.spot(head(node)));
    if let Value::Map(entries) = &node.value {
        for entry in entries
            .iter()
            .filter(|entry| NO_DEFAULT.contains(&&*entry.key))
        {
            let message = format!("{} cannot be a default", quoted(&entry.key));
            reader.refuse(entry.at, message, "each rule says its own");
        }
    }
    draft
}

/// Two rules of one name in one file are a slip; across files the later one replaces.
pub(super) fn refuse_twins(rules: &[RuleDraft], reader: &mut Reader<'_>) {
    let mut first = BTreeMap::new();
    for name in rules.iter().filter_map(|rule| rule.name.as_ref()) {
        if let Some(line) = first.get(&*name.value) {
            let message = format!("a second rule with the name {}", quoted(&name.value));
            reader.refuse(name.spot.span, message, format!("first on line {line}"));
        } else {
            first.insert(&*name.value, name.spot.line());
        }
    }
}

/// The first key of a map: where a caret is wanted that speaks of the whole.
fn head(node: &Node) -> Span {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.span, |entry| entry.at),
        Value::Null | Value::Text(_) | Value::List(_) | Value::Broken => node.span,
    }
}

fn name(node: &Node, reader: &mut Reader<'_>) -> Option<Marked<String>> {
    const LONGEST: usize = 64;
    let name = reader.text(node, "a name")?;
    let sound = name.chars().count() <= LONGEST
        && name.trim() == name
        && name
            .chars()
            .all(|c| crate::config::diagnostic::printable(c) == c);
    if sound {
        return Some(reader.mark(name.to_owned(), node.span));
    }
    let expected = format!("expected at most {LONGEST} printable characters");
    reader.refuse(node.span, "not a name for a rule", expected);
    None
}

fn about(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    const LONGEST: usize = 500;
    let about = reader.text(node, "a sentence")?.trim();
    if about.chars().count() <= LONGEST {
        return Some(about.to_owned());
    }
    let expected = format!("expected at most {LONGEST} characters");
    reader.refuse(node.span, "too long to be shown in a nudge", expected);
    None
}
