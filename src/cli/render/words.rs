//! Figures and reasons in words.

use std::time::Duration;

use super::idle;
use crate::control::wire::{
    Act, Bidden, Doubt, Elsewhere, Evidence, Exception, Figure, Finding, Gate, Incident, Next,
    Peers, Person, Progress, Reading, Rest, Safe, Snooze, Subject, Unit,
};
use crate::engine::evidence::{self, Quantity};
use crate::engine::gate::{self, Stands};
use crate::engine::rule::{Metric, Rule, Stage, StageAct, To};
use crate::engine::units::{Bytes, Millicores, PerSecond, Span};

/// Words with commas.
pub fn list(words: &[Safe]) -> String {
    let words: Vec<&str> = words.iter().map(Safe::as_str).collect();
    words.join(", ")
}

/// A unit by its root, and whose job it is where it is one.
pub fn whom(subject: &Subject) -> String {
    let root = format!("{}[{}]", subject.program, subject.root);
    match &subject.label {
        Some(label) => format!("{root} ({label})"),
        None => root,
    }
}

/// A reason in brackets, with a space before it; nothing without one.
pub fn because(why: Option<&Safe>) -> String {
    why.map_or_else(String::new, |why| format!(" ({why})"))
}

/// Whether a breach of the metric can pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    /// It can fall again.
    Can,
    /// It only grows.
    Cannot,
}

/// So many seconds as people say them.
pub fn span(seconds: f64) -> Span {
    Span(duration(seconds))
}

/// How old a figure was, in so many seconds.
pub fn age(seconds: f64) -> String {
    match duration(seconds).as_millis() {
        0 => "less than 1 ms".to_owned(),
        _ => span(seconds).to_string(),
    }
}

/// `2026-11-22 14:03:07` of an RFC 3339 time; the whole text when it is none.
pub fn date(t: &Safe) -> String {
    let parts = t.as_str().get(..10).zip(t.as_str().get(11..19));
    parts.map_or_else(|| t.to_string(), |(day, clock)| format!("{day} {clock}"))
}

/// The kernel's letter for a state, in words.
pub fn state(letter: char) -> String {
    let words = match letter {
        'R' => "running",
        'S' => "sleeping",
        'D' => "in the kernel, where no signal reaches it (state D)",
        'T' | 't' => "stopped",
        'Z' => "dead, and not waited for",
        'X' | 'x' => "dying",
        other => return format!("in state {other}"),
    };
    words.to_owned()
}

/// So many things: `1 process`, `3 processes`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{} {many}", grouped(n)),
    }
}

/// So many processes.
pub fn processes(n: u64) -> String {
    count(n, "process", "processes")
}

/// A number with its thousands set apart.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A figure with its unit.
pub fn figure(figure: Figure, unit: Unit) -> String {
    match (figure, unit) {
        (Figure::Whole(n), Unit::Bytes) => Quantity::Size(Bytes(n)).to_string(),
        (Figure::Whole(n), Unit::Count) => grouped(n),
        (Figure::Part(cores), Unit::Cores) => {
            let thousandths = u64::try_from(duration(cores).as_millis()).unwrap_or(u64::MAX);
            Quantity::Cores(Millicores(thousandths)).to_string()
        }
        (Figure::Part(seconds), Unit::Seconds) => span(seconds).to_string(),
        (Figure::Part(times), Unit::PerSecond) => {
            let thousandths = u64::try_from(duration(times).as_millis()).unwrap_or(u64::MAX);
            PerSecond(thousandths).to_string()
        }
        // JSON keeps no difference between 3 and 3.0: a whole number of seconds, cores or times a second comes back as such.
        (Figure::Whole(n), Unit::Seconds) => Span(Duration::from_secs(n)).to_string(),
        (Figure::Whole(n), Unit::Cores) => Millicores(n.saturating_mul(1000)).to_string(),
        (Figure::Whole(n), Unit::PerSecond) => PerSecond(n.saturating_mul(1000)).to_string(),
        (Figure::Part(part), Unit::Bytes | Unit::Count) => part.to_string(),
    }
}

/// What is measured now: `9.1 s`, `at least 9.1 s`, `not known`.
pub fn now(reading: &Reading) -> String {
    if counts_instances(reading) {
        return place(reading);
    }
    if is_unheard(reading) {
        return "no heartbeat yet".to_owned();
    }
    let show = |value| figure(value, reading.unit);
    match (reading.at_least, reading.at_most) {
        (None, _) => "not known".to_owned(),
        (Some(least), Some(most)) if show(least) == show(most) => show(least),
        (Some(least), Some(most)) => format!("{} to {}", show(least), show(most)),
        (Some(least), None) => format!("at least {}", show(least)),
    }
}

/// Whether it is the number of instances.
fn counts_instances(reading: &Reading) -> bool {
    reading.metric.as_str() == Metric::Instances.word()
}

/// Which instance it is: `newest`, `4th newest`, `2nd to 5th newest`.
fn place(reading: &Reading) -> String {
    let show = |value| match value {
        Figure::Whole(n) => ordinal(n),
        Figure::Part(part) => part.to_string(),
    };
    match (reading.at_least, reading.at_most) {
        (None, _) => "not known".to_owned(),
        (Some(Figure::Whole(1)), Some(Figure::Whole(1))) => "newest".to_owned(),
        (Some(least), Some(most)) if least == most => format!("{} newest", show(least)),
        (Some(least), Some(most)) => format!("{} to {} newest", show(least), show(most)),
        (Some(least), None) => format!("at least {} newest", show(least)),
    }
}

/// `1st`, `2nd`, `11th`.
fn ordinal(n: u64) -> String {
    let ending = match (n % 10, n % 100) {
        (1, 11) | (2, 12) | (3, 13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{}{ending}", grouped(n))
}

/// How many instances there are, and which are over: `5 instances, 3 allowed: 2 older ones are over (101 104)`.
fn instances(reading: &Reading, peers: &Peers) -> String {
    let lasting = reading
        .lasting
        .map_or_else(String::new, |lasting| format!(", for {}", span(lasting)));
    format!(
        "{}, {} allowed{lasting}: {}",
        count(peers.count, "instance", "instances"),
        figure(reading.limit, reading.unit),
        older(peers),
    )
}

/// Which instances are over: `2 older ones are over (101 104)`.
pub fn older(peers: &Peers) -> String {
    let mut named: Vec<String> = peers.oldest.iter().map(u32::to_string).collect();
    if let Some(more @ 1..) = peers.over.checked_sub(named.len() as u64) {
        named.push(format!("and {} more", grouped(more)));
    }
    match peers.over {
        0 => "none is over".to_owned(),
        1 => format!("1 older one is over ({})", named.join(" ")),
        n => format!("{} older ones are over ({})", grouped(n), named.join(" ")),
    }
}

/// A limit that is over, as a clause: `CPU time 9.1 s > 8 s`, `120 processes > 100`, `memory 8.2 GiB > 8.0 GiB for 30 s`.
pub fn breach(reading: &Reading) -> String {
    let limit = figure(reading.limit, reading.unit);
    let least = reading.at_least.map_or_else(
        || "not known".to_owned(),
        |value| figure(value, reading.unit),
    );
    let noun = noun(reading.metric.as_str());
    // Rounded for people, both sides may read the same: then only the limit is said.
    let compared = match (reading.unit, least == limit) {
        (Unit::Count, _) => format!("{least} {noun} > {limit}"),
        (_, false) => format!("{noun} {least} > {limit}"),
        (_, true) => format!("{noun} over {limit}"),
    };
    match reading.lasting {
        Some(lasting) => format!("{compared} for {}", span(lasting)),
        None => compared,
    }
}

/// The figures that hold, and how many processes they are of: `CPU time 9.1 s > 8 s, 3 processes`.
pub fn evidence(evidence: &Evidence) -> String {
    let (counts, others): (Vec<&Reading>, Vec<&Reading>) =
        sustained(evidence).partition(|reading| counts_instances(reading));
    let of_all = evidence.peers.as_ref().zip(counts.first());
    let of_all = of_all.map(|(peers, reading)| instances(reading, peers));
    let others = others.into_iter();
    let mut clauses: Vec<String> = match &of_all {
        Some(_) => others.map(breach).collect(),
        None => others.chain(counts).map(breach).collect(),
    };
    if let (true, Some(of_all)) = (clauses.is_empty(), &of_all) {
        return of_all.clone();
    }
    if clauses.is_empty() {
        // Said of an incident that stands without a limit being over just now: what comes nearest to it.
        clauses.extend(evidence.readings.first().map(level));
    }
    let counted = sustained(evidence).any(|reading| reading.metric.as_str() == "processes");
    let mut words = clauses.join(" and ");
    if !counted {
        if !words.is_empty() {
            words.push_str(", ");
        }
        words.push_str(&processes(u64::from(evidence.members)));
    }
    if let Some(progress) = evidence.progress.as_ref().and_then(progress) {
        words.push_str(", ");
        words.push_str(&progress);
    }
    let idle = |reading: &Reading| idle::is_idle(reading.metric.as_str());
    if let Some(manner) = evidence
        .manner
        .as_deref()
        .filter(|_| sustained(evidence).any(idle))
    {
        words.push_str(": ");
        words.push_str(&idle::manner(manner));
    }
    match of_all {
        Some(of_all) => format!("{words}, and {of_all}"),
        None => words,
    }
}

/// How far it is: `567/1000, 57 %, last moved 4 min ago, says: batch 9`; `None` where it gave neither a counter nor words.
pub fn progress(progress: &Progress) -> Option<String> {
    let counter = progress.done.map(|done| match progress.total {
        Some(total) => format!("at {}/{}", grouped(done), grouped(total)),
        None => format!("at {}", grouped(done)),
    });
    let moved = progress.moved.filter(|_| counter.is_some());
    let parts = [
        counter,
        progress.percent.map(|percent| format!("{percent} %")),
        moved.map(|ago| format!("last moved {} ago", age(ago))),
        progress
            .status
            .as_ref()
            .map(|status| format!("says: {status}")),
        progress.doubt.map(|it| doubt(it).to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Why its silence is not known.
const fn doubt(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Still => "stands still, which is no silence",
        Doubt::Deaf => "heartbeats are not heard now: `beadle status` says why",
        Doubt::Lost => {
            "some of its heartbeats may have been lost, for more came than there is room for"
        }
    }
}

fn is_silence(reading: &Reading) -> bool {
    let metric = reading.metric.as_str();
    metric == Metric::Silent.word() || idle::is_idle(metric)
}

/// Whether it is the silence of something that has never spoken.
pub fn is_unheard(reading: &Reading) -> bool {
    let waits = reading.finding.as_str() == evidence::Finding::Waiting.word();
    is_silence(reading) && waits && reading.at_least.is_none()
}

/// A limit whether over or not: `CPU time 7 s of 8 s`.
pub fn level(reading: &Reading) -> String {
    if counts_instances(reading) {
        let limit = figure(reading.limit, reading.unit);
        return format!("{} instance, {limit} allowed", place(reading));
    }
    format!(
        "{} {} of {}",
        noun(reading.metric.as_str()),
        now(reading),
        figure(reading.limit, reading.unit)
    )
}

/// What comes next, and what would avert it: `SIGTERM in 3 s unless it ends first`.
pub fn next(next: &Next, evidence: &Evidence) -> String {
    let unless = if sustained(evidence).all(is_silence) {
        // Also where nothing is over just now.
        if sustained(evidence).next().is_some() {
            "shows progress"
        } else {
            "recovers"
        }
    } else if sustained(evidence).all(|reading| passing(reading) == Passing::Can) {
        "recovers"
    } else {
        // CPU time and age only grow: to say that it may recover would be no advice.
        "ends first"
    };
    format!("{} unless it {unless}", coming(next))
}

/// What comes next: `SIGTERM in 3 s`.
pub fn coming(next: &Next) -> String {
    let what = match (&next.act.signal, &next.act.exec) {
        (Some(signal), _) => format!("SIG{signal}"),
        (None, Some(program)) => format!("{program} is run"),
        (None, None) => "what it lives in is asked to stop".to_owned(),
    };
    match duration(next.left) {
        Duration::ZERO => format!("{what} now"),
        left => format!("{what} in {}", Span(left)),
    }
}

/// What was not done: `sent SIGTERM to 3 processes`.
pub fn undone(act: &Act, targets: u64) -> String {
    match (&act.signal, &act.exec) {
        (Some(signal), _) => format!("sent SIG{signal} to {}", processes(targets)),
        (None, Some(program)) => format!("run {program}"),
        (None, None) => "asked its manager to stop it".to_owned(),
    }
}

/// A user who answered: `ann (user 1000)`.
pub fn person(person: &Person) -> String {
    match &person.name {
        Some(name) => format!("{name} (user {})", person.user),
        None => format!("user {}", person.user),
    }
}

/// Whose bidding it is: `as ann (user 1000) said: stop`.
pub fn bidden(bidden: &Bidden) -> String {
    format!("as {} said: {}", person(&bidden.by), bidden.reply)
}

/// How often people may still extend; nothing where that is as often as they like.
pub fn extensions(left: Option<u32>) -> Option<String> {
    Some(match left? {
        0 => "may not be extended again".to_owned(),
        1 => "may be extended once more".to_owned(),
        n => format!("may be extended {n} times more"),
    })
}

/// What an exception is about: `exception 3: rule pytest for pytest of user 1000 in /home/ann/src`.
pub fn exception(exception: &Exception) -> String {
    format!(
        "exception {}: rule {} for {} of user {} in {}",
        exception.number, exception.rule, exception.program, exception.owner, exception.cwd
    )
}

/// Until when something is left alone: `snoozed until 14:33:07, for another 12 min, by user 1000`.
pub fn snoozed(snooze: &Snooze) -> String {
    format!(
        "snoozed for another {}, by user {}",
        span(snooze.left),
        snooze.by
    )
}

/// Who minds it: `left to the machine's beadle: its incident 7, rule pytest`.
pub fn elsewhere(elsewhere: &Elsewhere) -> String {
    format!(
        "left to the machine's beadle: its incident {}, rule {}",
        elsewhere.incident, elsewhere.rule
    )
}

/// What is to be expected of an open incident.
pub fn outlook(incident: &Incident, finding: &Finding) -> String {
    if let Some(snooze) = &finding.snoozed {
        return snoozed(snooze);
    }
    if let Some(minded) = &finding.minded {
        return elsewhere(minded);
    }
    let outlook = plain_outlook(incident, finding);
    match &incident.bidden {
        Some(by) => format!("{outlook}, {}", bidden(by)),
        None => outlook,
    }
}

fn plain_outlook(incident: &Incident, finding: &Finding) -> String {
    match (&finding.paused, &incident.next, &incident.rests) {
        (Some(_), _, _) => "waits while paused".to_owned(),
        (None, _, _) if waits(&finding.when) => format!("waits until {}", opening(&finding.when)),
        (None, Some(next), _) => coming(next),
        (None, None, Some(why)) => format!("goes no further: {}", rest(why)),
        (None, None, None) => "nothing comes next".to_owned(),
    }
}

/// Whether a gate is closed, or nobody knows whether it is open.
pub fn waits(gates: &[Gate]) -> bool {
    closed(gates).next().is_some()
}

fn closed(gates: &[Gate]) -> impl Iterator<Item = &Gate> {
    gates
        .iter()
        .filter(|gate| gate.stands.as_str() != Stands::Open.word())
}

/// What would open those that are not: `load above 8 and on_battery true`.
fn opening(gates: &[Gate]) -> String {
    let words: Vec<String> = closed(gates)
        .map(|gate| format!("{} {}", gate.gate, gate.opens))
        .collect();
    words.join(" and ")
}

/// The same with what was found: `load above 8 (now 3.1) and on_battery true (now on mains)`.
pub fn awaited(gates: &[Gate]) -> String {
    let words: Vec<String> = closed(gates).map(gate_now).collect();
    words.join(" and ")
}

/// `load above 8 (now 3.1)`
pub fn gate_now(gate: &Gate) -> String {
    let found = match (&gate.now, &gate.because) {
        (Some(now), _) => format!(" (now {now})"),
        (None, Some(why)) => format!(" (not known: {why})"),
        (None, None) => String::new(),
    };
    format!("{} {}{found}", gate.gate, gate.opens)
}

/// What must be so for a rule to be judged, as rules write it; `None` where it always is.
pub fn condition(gates: &[gate::Gate]) -> Option<String> {
    let words: Vec<String> = gates
        .iter()
        .map(|gate| format!("{} {gate}", gate.word()))
        .collect();
    (!words.is_empty()).then(|| words.join(" and "))
}

/// Why a ladder rests.
pub fn rest(rest: &Rest) -> String {
    match rest {
        Rest::Mode { mode } => format!("mode is {mode}"),
        Rest::Breaker => "too many trees of this rule were ended of late".to_owned(),
        Rest::Respawn { by: Some(by) } => {
            format!("three of these were ended of late and {by} starts them again")
        }
        Rest::Respawn { by: None } => {
            "three of these were ended of late and somebody starts them again".to_owned()
        }
        Rest::Denied => "the kernel refused our signal before".to_owned(),
        Rest::Busy => "too much is being run already".to_owned(),
        Rest::Unstoppable { because } => because.to_string(),
        Rest::Protected => "all of it is protected, or outside the leash".to_owned(),
        Rest::Instances => "`instances` alone only nudges".to_owned(),
        Rest::Minded(minded) => elsewhere(minded),
    }
}

/// All that a rule leads to: its ladder, and what is run in the end.
pub fn course(rule: &Rule) -> String {
    let ladder = ladder(&rule.ladder);
    match &rule.on_close {
        Some(command) => format!("{ladder}; when it is over, run {}", command.program),
        None => ladder,
    }
}

/// A ladder: `nudge, SIGTERM after 5 min, SIGKILL after 10 s more`.
pub fn ladder(stages: &[Stage]) -> String {
    let mut words = Vec::with_capacity(stages.len());
    for (place, stage) in stages.iter().enumerate() {
        let act = match &stage.act {
            StageAct::Nudge => "nudge".to_owned(),
            StageAct::Exec(command) => format!("run {}", command.program),
            StageAct::Freeze => "freeze (SIGSTOP)".to_owned(),
            StageAct::Stop => "ask its service or container manager to stop it".to_owned(),
            StageAct::Signal(signal, To::Tree) => format!("SIG{}", signal.word()),
            StageAct::Signal(signal, To::Root) => format!("SIG{} to the root", signal.word()),
        };
        let after = match (stage.after, place) {
            (Duration::ZERO, _) => String::new(),
            (after, 0 | 1) => format!(" after {}", Span(after)),
            (after, _) => format!(" after {} more", Span(after)),
        };
        words.push(format!("{act}{after}"));
    }
    words.join(", ")
}

/// What a metric measures, for the middle of a sentence.
pub fn noun(metric: &str) -> &str {
    let known = |it: Metric| it.word() == metric;
    match metric {
        _ if known(Metric::CpuTime) => "CPU time",
        _ if known(Metric::Cpu) => "CPU",
        _ if known(Metric::OpenFiles) => "open files",
        _ if known(Metric::Orphaned) => "orphaned for",
        _ if known(Metric::Leftover) => "its root gone for",
        _ if known(Metric::Stalled) => "nothing moved for",
        _ if known(Metric::Spinning) => "busy with nothing to show for",
        _ if known(Metric::Silent) => "no progress for",
        // The rest are words already; so is, most likely, one that a newer daemon knows.
        word => word,
    }
}

fn sustained(evidence: &Evidence) -> impl Iterator<Item = &Reading> {
    evidence
        .readings
        .iter()
        .filter(|reading| reading.finding.as_str() == "sustained")
}

fn passing(reading: &Reading) -> Passing {
    let never = [
        Metric::CpuTime,
        Metric::Age,
        Metric::Orphaned,
        Metric::Leftover,
    ];
    let is = |it: &Metric| it.word() == reading.metric.as_str();
    if never.iter().any(is) {
        Passing::Cannot
    } else {
        Passing::Can
    }
}

/// Seconds back into a span; what is no span (negative, not a number) is none.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
