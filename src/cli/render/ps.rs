//! `beadle ps`: what is judged, nearest to a limit first.

use super::page::{Lean, Page, table};
use super::paint::Paint;
use super::words;
use crate::control::wire::{Judged, Ps, Reading};

/// The units as a table.
pub fn ps(ps: &Ps, paint: Paint) -> String {
    let mut page = Page::default();
    if ps.units.is_empty() {
        page.line(
            "Nothing that is yours to see is judged just now: no living process matches a rule.",
        );
        return page.text();
    }
    let heads = [
        ("NEAR", Lean::Right),
        ("PID", Lean::Right),
        ("PROGRAM", Lean::Left),
        ("RULE", Lean::Left),
        ("PROCESSES", Lean::Right),
        ("VERDICT", Lean::Left),
        ("NEAREST LIMIT", Lean::Left),
        ("INCIDENT", Lean::Left),
    ];
    let rows: Vec<Vec<String>> = ps.units.iter().map(row).collect();
    page.block(&table(&heads, &rows, paint));
    if ps.more > 0 {
        page.line(format_args!(
            "and {} further from their limits",
            words::count(ps.more as u64, "unit", "units")
        ));
    }
    page.text()
}

fn row(unit: &Judged) -> Vec<String> {
    vec![
        percent(unit.nearness),
        unit.subject.root.to_string(),
        match &unit.subject.label {
            Some(label) => format!("{} ({label})", unit.subject.program),
            None => unit.subject.program.to_string(),
        },
        unit.subject.rule.to_string(),
        words::grouped(u64::from(unit.evidence.members)),
        unit.finding.verdict.to_string(),
        nearest(&unit.evidence.readings).map_or_else(|| "not known".to_owned(), words::level),
        unit.incident.as_ref().map_or_else(String::new, |incident| {
            let outlook = words::outlook(incident, &unit.finding);
            format!("{}: {}; {outlook}", incident.id, incident.stage)
        }),
    ]
}

/// The reading nearest to its limit.
fn nearest(readings: &[Reading]) -> Option<&Reading> {
    let share = |reading: &Reading| {
        // A limit of nothing (`zombies: 0`) is compared as if it were a thousandth.
        let limit = reading.limit.number().max(0.001);
        reading.at_least.map(|least| least.number() / limit)
    };
    readings
        .iter()
        .filter_map(|reading| Some((share(reading)?, reading)))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, reading)| reading)
}

/// `97 %`; more than ten times over is not told apart.
fn percent(nearness: f64) -> String {
    match nearness {
        near if near >= 10.0 => "> 999 %".to_owned(),
        near => format!("{:.0} %", near * 100.0),
    }
}
