//! What loads and is perhaps not what was meant.

use std::time::Duration;

use super::diagnostic::{Findings, Problem};
use super::raw::limit::ClauseDraft;
use super::source::Marked;
use crate::engine::matcher::{Field, Matcher};
use crate::engine::rule::{Bound, Clause, Limit, Metric, Stage};
use crate::engine::units::Span;

/// How dear a field is to keep an eye on.
enum Cost {
    /// Read once per exec.
    AtExec,
    /// Told by the kernel, or by time passing.
    Told,
    /// Read again every 10 s; the word in rules.
    Drifts(&'static str),
}

/// A rule with no field that is fixed at exec makes every process a candidate: say what it costs.
pub(super) fn every_process(matcher: &Marked<Matcher>, findings: &mut Findings) {
    let mut drifting = Vec::new();
    for field in &matcher.value.fields {
        match cost(field) {
            Cost::AtExec => return,
            Cost::Told => {}
            Cost::Drifts(word) => drifting.push(word),
        }
    }
    let help = match drifting.as_slice() {
        [] => "the facts of every process are read and kept for this rule".to_owned(),
        words => format!(
            "the {} of every process is read again every 10 s for this rule",
            words.join(", ")
        ),
    };
    let problem = Problem::warning(
        matcher.spot.clone(),
        "every process is a candidate for this rule",
    )
    .label("no field here is fixed at exec: add `program` if you can")
    .help(help);
    findings.push(problem);
}

fn cost(field: &Field) -> Cost {
    match field {
        Field::Program(_)
        | Field::Exe(_)
        | Field::Arg(_)
        | Field::Args(_)
        | Field::Cmdline(_)
        | Field::Env(_)
        | Field::Container(_)
        | Field::This(_) => Cost::AtExec,
        Field::Name(_)
        | Field::User(_)
        | Field::Group(_)
        | Field::Parent(_)
        | Field::Ancestor(_)
        | Field::Not(_)
        | Field::Age { .. } => Cost::Told,
        Field::Cwd(_) => Cost::Drifts("working directory"),
        Field::Tty(_) => Cost::Drifts("terminal"),
        Field::Cgroup(_) | Field::Unit(_) => Cost::Drifts("control group"),
    }
}

/// A ladder that goes on, over limits of which people are only told.
pub(super) fn only_tells(clauses: &[ClauseDraft], ladder: &[Stage], findings: &mut Findings) {
    let rule: Vec<Clause> = clauses.iter().map(Clause::from).collect();
    let signal = ladder.iter().find_map(|stage| stage.act.signal());
    let (Some(signal), true) = (signal, rule.iter().all(Clause::only_tells)) else {
        return;
    };
    let instances = |limit: &&Marked<Limit>| limit.value.bound.metric() == Metric::Instances;
    if let Some(limit) = clauses.iter().flatten().find(instances) {
        let message = format!(
            "`instances` alone only nudges: SIG{} is never sent",
            signal.word()
        );
        let problem = Problem::warning(limit.spot.clone(), message)
            .label("group it with a limit that says idleness")
            .help("such as `all: [ { instances: 3 }, { orphaned: 5m } ]`; `leftover` and `silent` say it too");
        findings.push(problem);
    }
}

/// A limit that takes longer than `age` allows is never the one that is reached.
pub(super) fn never_first(clauses: &[ClauseDraft], findings: &mut Findings) {
    let Some(oldest) = clauses.iter().filter_map(plain_age).min() else {
        return;
    };
    for clause in clauses.iter().filter(|clause| plain_age(clause).is_none()) {
        let late = clause.iter().find(|limit| least(&limit.value) >= oldest);
        if let Some(limit) = late {
            let message = format!("never reached: `age` ends it after {}", Span(oldest));
            let problem = Problem::warning(limit.spot.clone(), message)
                .label("make this shorter than `age`, or take it out");
            findings.push(problem);
        }
    }
}

fn plain_age(clause: &ClauseDraft) -> Option<Duration> {
    match clause.as_slice() {
        [limit] => match limit.value.bound {
            Bound::Age(span) => Some(span),
            Bound::CpuTime(_)
            | Bound::Cpu(_)
            | Bound::Memory { .. }
            | Bound::Processes(_)
            | Bound::Threads(_)
            | Bound::OpenFiles(_)
            | Bound::Zombies(_)
            | Bound::Spawns(_)
            | Bound::Orphaned { .. }
            | Bound::Leftover(_)
            | Bound::Stalled { .. }
            | Bound::Spinning { .. }
            | Bound::Silent(_)
            | Bound::Instances { .. } => None,
        },
        _ => None,
    }
}

/// The least time a unit must have lived before this limit can be over.
fn least(limit: &Limit) -> Duration {
    match limit.bound {
        Bound::Age(span)
        | Bound::Leftover(span)
        | Bound::Silent(span)
        | Bound::Stalled { above: span, .. }
        | Bound::Spinning { above: span, .. }
        | Bound::Orphaned { above: span, .. } => span,
        // CPU time grows as fast as there are cores.
        Bound::CpuTime(_) => Duration::ZERO,
        Bound::Cpu(_)
        | Bound::Memory { .. }
        | Bound::Processes(_)
        | Bound::Threads(_)
        | Bound::OpenFiles(_)
        | Bound::Zombies(_)
        | Bound::Spawns(_)
        | Bound::Instances { .. } => limit.lasting.unwrap_or_default(),
    }
}
