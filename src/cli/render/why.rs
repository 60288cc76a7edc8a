//! `beadle why PID`: each rule, each limit, and what would have to change.

use super::idle;
use super::page::Page;
use super::paint::{Paint, Tone};
use super::status::lasting;
use super::words;
use crate::control::wire::{Finding, Gate, Incident, Peers, Reading, Relation, RuleWhy, Safe, Why};

/// The whole answer. Rules that mean the process come first, then those that nearly do, then the rest.
pub fn why(why: &Why, paint: Paint) -> String {
    let mut page = Page::default();
    heading(why, paint, &mut page);
    let mut rules: Vec<&RuleWhy> = why.rules.iter().collect();
    rules.sort_by_key(|rule| rank(&rule.relation));
    for rule in rules {
        one(rule, why.pid, paint, &mut page);
    }
    if why.rules.is_empty() {
        page.line("no rule is in force");
    }
    for (name, note) in &why.notes {
        page.line(paint.tone(Tone::Faint, format_args!("{name}: {note}")));
    }
    page.text()
}

const fn rank(relation: &Relation) -> u8 {
    match relation {
        Relation::Member { .. } => 0,
        Relation::Barred { .. } => 1,
        Relation::Pending { .. } => 2,
        Relation::Unmatched { .. } => 3,
    }
}

fn heading(why: &Why, paint: Paint, page: &mut Page) {
    let program = why.program.as_ref().map_or("?", Safe::as_str);
    let name = paint.tone(Tone::Strong, format!("{program}[{}]", why.pid));
    match &why.command {
        Some(command) => page.line(format_args!("{name}  {command}")),
        None => page.line(name),
    }
    let above = || {
        let above = why.above.iter();
        let above: Vec<_> = above
            .map(|it| format!("{}[{}]", it.program, it.pid))
            .collect();
        (!above.is_empty()).then(|| format!("started by {}", above.join(" < ")))
    };
    let facts: Vec<String> = [
        why.owner.map(|owner| format!("user {owner}")),
        why.key.as_ref().map(|key| format!("identity {key}")),
        above(),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !facts.is_empty() {
        page.line(format_args!("  {}", facts.join("; ")));
    }
    if let Some(standing) = &why.standing {
        page.line(format_args!("  {}", paint.tone(Tone::Good, standing)));
    }
}

fn one(rule: &RuleWhy, pid: u32, paint: Paint, page: &mut Page) {
    let title = format!("rule {} ({}):", rule.rule, rule.mode);
    let strong = paint.tone(Tone::Strong, &title);
    match &rule.relation {
        Relation::Member {
            scope,
            label,
            root,
            program,
            finding,
            readings,
            peers,
            progress,
            manner,
            soonest,
            incident,
            ..
        } => {
            let place = match (scope.as_str(), *root == pid) {
                ("process", _) => "judged by itself".to_owned(),
                (_, root_itself) if label.is_some() => {
                    job(label.as_ref(), root_itself, program, *root)
                }
                (_, true) => "root of a tree".to_owned(),
                (_, false) => format!("member of the tree of {program}[{root}]"),
            };
            page.line(format_args!(
                "{strong} {place}: {}",
                verdict(finding, paint)
            ));
            limits(readings, peers.as_deref(), "  ", page);
            if let Some(progress) = progress.as_deref().and_then(words::progress) {
                page.line(format_args!("  {progress}"));
            }
            if let Some(manner) = manner {
                page.line(format_args!("  {}", idle::manner(manner)));
            }
            when(&finding.when, "  ", page);
            if let Some(soonest) = soonest {
                page.line(format_args!(
                    "  at this pace the next limit is over in {}",
                    words::span(*soonest)
                ));
            }
            if let Some(incident) = incident {
                page.line(format_args!(
                    "  {}",
                    paint.tone(Tone::Warn, open(incident, finding))
                ));
            }
        }
        Relation::Barred { because } => {
            page.line(format_args!("{strong} matches, but is no root: {because}"));
        }
        Relation::Pending { because } => {
            page.line(format_args!("{strong} not known yet: {because}"));
        }
        Relation::Unmatched { because } => {
            let title = paint.tone(Tone::Faint, &title);
            page.line(format_args!("{title} does not match: {because}"));
        }
    }
}

/// Its place in a job, and whose that is.
fn job(label: Option<&Safe>, root_itself: bool, program: &Safe, root: u32) -> String {
    let label = label.map(ToString::to_string).unwrap_or_default();
    if root_itself {
        format!("root of the job {label}")
    } else {
        format!("member of the job {label} of {program}[{root}]")
    }
}

fn verdict(finding: &Finding, paint: Paint) -> String {
    let tone = match finding.verdict.as_str() {
        "sustained" => Tone::Grave,
        "breaching" => Tone::Warn,
        "clear" => Tone::Good,
        _ => Tone::Strong,
    };
    let word = paint.tone(tone, &finding.verdict);
    if let Some(elsewhere) = &finding.minded {
        return format!("{word}: {}", words::elsewhere(elsewhere));
    }
    match (&finding.paused, &finding.snoozed, finding.exception) {
        (Some(pause), _, _) => format!("{word}: paused {}", lasting(pause)),
        (None, Some(snooze), _) => format!("{word}: {}", words::snoozed(snooze)),
        (None, None, Some(number)) => format!(
            "{word}: exception {number} (beadle rules --exceptions lists them, beadle forget {number} takes it back)"
        ),
        (None, None, None) => word,
    }
}

/// One line a gate: `when load above 8 (now 3.1): closed`.
pub(super) fn when(gates: &[Gate], indent: &str, page: &mut Page) {
    for gate in gates {
        page.line(format_args!(
            "{indent}when {}: {}",
            words::gate_now(gate),
            gate.stands
        ));
    }
}

/// One line a limit, in columns: metric, now, limit, finding; then the other instances, where they are counted.
pub(super) fn limits(readings: &[Reading], peers: Option<&Peers>, indent: &str, page: &mut Page) {
    let rows: Vec<[String; 4]> = readings
        .iter()
        .map(|reading| {
            let limit = words::figure(reading.limit, reading.unit);
            let lasting = reading.lasting.map_or_else(String::new, |lasting| {
                format!(" for {}", words::span(lasting))
            });
            [
                reading.metric.to_string(),
                words::now(reading),
                format!("limit {limit}{lasting}"),
                found(reading),
            ]
        })
        .collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let (metric, now, limit) = (width(0), width(1), width(2));
    for [a, b, c, d] in &rows {
        page.line(format_args!(
            "{indent}{a:<metric$}  {b:<now$}  {c:<limit$}  {d}"
        ));
    }
    if let Some(peers) = peers {
        page.line(format_args!(
            "{indent}{} in all: {}",
            words::count(peers.count, "instance", "instances"),
            words::older(peers)
        ));
    }
}

/// `over for 12 s of 30 s (events)`
fn found(reading: &Reading) -> String {
    let tier = reading
        .tier
        .as_ref()
        .map_or_else(String::new, |tier| format!(" ({tier})"));
    let finding = match (reading.finding.as_str(), reading.lasting) {
        ("breaching", Some(lasting)) => format!(
            "over for {} of {}",
            words::span(reading.held),
            words::span(lasting)
        ),
        ("sustained", _) => "over".to_owned(),
        _ if words::is_unheard(reading) => "unknown".to_owned(),
        (word, _) => word.to_owned(),
    };
    format!("{finding}{tier}")
}

fn open(incident: &Incident, finding: &Finding) -> String {
    format!(
        "incident {}, open for {}: {}; {}",
        incident.id,
        words::span(incident.lasted),
        incident.stage,
        words::outlook(incident, finding)
    )
}
