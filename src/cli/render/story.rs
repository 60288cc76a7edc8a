//! `beadle show ID`: the whole story of an incident, for somebody at three in the morning who wants to know what was done to
//! whom, and why.

use super::line::{deed, held_back};
use super::page::{Lean, Page, table};
use super::paint::{Paint, Tone};
use super::why::limits;
use super::words;
use crate::control::wire::{
    Case, Certificate, Doomed, Entry, Event, Fate, Kept, Left, Safe, State, Story,
};

/// Processes of one act that are listed; JSON has all.
const LISTED: usize = 50;

/// The whole story.
pub fn story(story: &Story, paint: Paint) -> String {
    let mut page = Page::default();
    heading(story, paint, &mut page);
    reason(story, paint, &mut page);
    happenings(story, paint, &mut page);
    for certificate in &story.certificates {
        page.gap();
        act(certificate, outcome(story, certificate), paint, &mut page);
    }
    page.text()
}

fn heading(story: &Story, paint: Paint, page: &mut Page) {
    let kept = &story.kept;
    let case = story.entries.iter().find_map(|entry| entry.case.as_ref());
    let about = case.and_then(|case| case.subject.about.as_ref());
    let about = about.map_or_else(String::new, |about| format!(" ({about})"));
    page.line(format_args!(
        "{} {}[{}], rule {}{about}",
        paint.tone(Tone::Strong, format_args!("incident {}:", kept.id)),
        kept.program,
        kept.root,
        kept.rule
    ));
    page.line(format_args!("  {}", paint.tone(tone(kept), fate(kept))));
    page.line(format_args!(
        "  {} to {}",
        words::date(&kept.began),
        words::date(&kept.last)
    ));
    if !kept.command.is_empty() {
        page.line(format_args!("  {}", kept.command));
    }
    let subject = case.map(|case| &case.subject);
    let of = |word: &str, value: Option<&Safe>| value.map(|value| format!("{word} {value}"));
    let facts: Vec<String> = [
        of("in", subject.and_then(|subject| subject.cwd.as_ref())),
        kept.owner.map(|owner| format!("user {owner}")),
        of("terminal", subject.and_then(|subject| subject.tty.as_ref())),
        of("identity", Some(&kept.key)),
    ]
    .into_iter()
    .flatten()
    .collect();
    page.line(format_args!("  {}", facts.join(", ")));
    if !kept.this_boot {
        let boot = format!(
            "of an earlier boot ({}): its process numbers mean nothing now",
            kept.boot
        );
        page.line(format_args!("  {}", paint.tone(Tone::Warn, boot)));
    }
}

/// The figures it began with.
fn reason(story: &Story, paint: Paint, page: &mut Page) {
    let Some(case) = story.entries.iter().find_map(|entry| entry.case.as_ref()) else {
        return;
    };
    let evidence = &case.evidence;
    page.gap();
    page.line(paint.tone(Tone::Strong, "why"));
    limits(&evidence.readings, evidence.peers.as_ref(), "  ", page);
    let shown: Vec<String> = evidence.pids.iter().map(u32::to_string).collect();
    let named = evidence.pids.len() as u64;
    let members = u64::from(evidence.members);
    let more = match members.saturating_sub(named) {
        0 => String::new(),
        more => format!(" and {} more", words::grouped(more)),
    };
    page.line(format_args!(
        "  {}: {}{more}",
        words::processes(members),
        shown.join(" ")
    ));
}

fn happenings(story: &Story, paint: Paint, page: &mut Page) {
    page.gap();
    page.line(paint.tone(Tone::Strong, "what happened"));
    if story.left_out > 0 {
        page.line(format_args!(
            "  ({} not shown: too many, or of a later beadle)",
            words::count(u64::from(story.left_out), "page is", "pages are")
        ));
    }
    let mut day = words::date(&story.kept.began);
    day.truncate(10);
    for entry in &story.entries {
        let Some(case) = &entry.case else { continue };
        let time = words::date(&entry.t);
        if !time.starts_with(&day) {
            time.get(..10).unwrap_or_default().clone_into(&mut day);
            page.line(format_args!("  {}", paint.tone(Tone::Faint, &day)));
        }
        page.line(format_args!(
            "  {}  {:<8}  {}",
            paint.tone(Tone::Faint, time.get(11..).unwrap_or_default()),
            entry.event.word(),
            deed(&entry.event, case)
        ));
        if let Some(told) = told(&entry.event, case) {
            page.line(format_args!("  {:8}  {:8}  {told}", "", ""));
        }
    }
}

/// To whom a nudge went, and how.
fn told(event: &Event, case: &Case) -> Option<String> {
    let Event::Nudge { by, .. } = event else {
        return None;
    };
    let whom = case.subject.audience;
    let whom = whom.map_or_else(|| "nobody known".to_owned(), |id| format!("user {id}"));
    Some(match by.as_slice() {
        _ if case.mode.as_str() == "observe" => format!("Nobody was told: mode is {}.", case.mode),
        [] => format!("For {whom}, by the log alone."),
        by => format!("For {whom}, by the log, {}.", words::list(by)),
    })
}

fn act(certificate: &Certificate, outcome: Option<&Entry>, paint: Paint, page: &mut Page) {
    let targets = certificate.targets.len() as u64 + u64::from(certificate.more);
    let does = match certificate.signal.as_str() {
        "KILL" => "ends",
        "STOP" => "freezes",
        "CONT" => "lets go on",
        _ => "asks",
    };
    let shells = match certificate.shells {
        0 => String::new(),
        1 => ", 1 of them a shell".to_owned(),
        n => format!(", {n} of them shells"),
    };
    page.line(format_args!(
        "{} {does} {}{shells}",
        paint.tone(
            Tone::Strong,
            format_args!("warrant {}: SIG{}", certificate.warrant, certificate.signal)
        ),
        words::processes(targets)
    ));
    page.line(format_args!("  for {}", certificate.evidence.text));
    if let Some(bidden) = &certificate.bidden {
        page.line(format_args!("  {}", words::bidden(bidden)));
    }
    page.line(format_args!("  {}", freshness(certificate, outcome)));
    page.block(&indented(&roll(
        certificate,
        outcome.and_then(Came::of),
        paint,
    )));
    let listed = targets.saturating_sub(LISTED as u64);
    if listed > 0 {
        page.line(format_args!(
            "  and {} more: --json has them",
            words::grouped(listed)
        ));
    }
    spared(certificate, page);
}

/// How old the oldest figure was when it counted.
fn freshness(certificate: &Certificate, outcome: Option<&Entry>) -> String {
    let first = outcome.and_then(|entry| match &entry.event {
        Event::Outcome { first, .. } => *first,
        _ => None,
    });
    let sampled = certificate.evidence.sampled;
    match (first, outcome) {
        (Some(first), _) => format!(
            "the oldest figure was {} old when the first signal was sent",
            words::age(first - sampled)
        ),
        (None, Some(_)) => "nothing was sent".to_owned(),
        (None, None) => format!(
            "the oldest figure was {} old when it was signed; what came of it is not known",
            words::age(certificate.mono - sampled)
        ),
    }
}

/// What came of an act.
#[derive(Clone, Copy)]
struct Came<'s> {
    each: &'s [Fate],
    left: &'s [Left],
    continued: &'s [u32],
}

impl<'s> Came<'s> {
    fn of(outcome: &'s Entry) -> Option<Self> {
        match &outcome.event {
            Event::Outcome {
                each,
                left,
                continued,
                ..
            } => Some(Self {
                each,
                left,
                continued,
            }),
            _ => None,
        }
    }

    fn of_target(&self, signal: &Safe, target: &Doomed) -> String {
        let fate = self.each.iter().find(|fate| is(target, fate));
        fate.map_or_else(|| "not reached".to_owned(), |fate| self.word(signal, fate))
    }

    fn word(&self, signal: &Safe, fate: &Fate) -> String {
        let state = self.left.iter().find(|left| left.key == fate.key);
        match (fate.outcome.as_str(), &fate.because, state) {
            ("survived", _, Some(left)) => format!("still there: {}", words::state(left.state)),
            ("gone", _, _) => "gone before".to_owned(),
            ("denied", _, _) => "the kernel refused".to_owned(),
            ("withheld", Some(because), _) => format!("held back: {}", held_back(because.as_str())),
            ("sent", _, _) if signal.as_str() == "KILL" => "ended".to_owned(),
            ("sent", _, _) if signal.as_str() == "STOP" => "stands still".to_owned(),
            ("sent", _, _) if signal.as_str() == "CONT" => "goes on".to_owned(),
            ("sent", _, _) if self.continued.contains(&fate.pid) => {
                "sent, and continued".to_owned()
            }
            (word, _, _) => word.to_owned(),
        }
    }
}

/// Targets, and who was started meanwhile, with what came of each.
fn roll(certificate: &Certificate, came: Option<Came<'_>>, paint: Paint) -> String {
    let heads = [
        ("PID", Lean::Right),
        ("PROGRAM", Lean::Left),
        ("IDENTITY", Lean::Left),
        ("EXECS", Lean::Right),
        ("WHY IT IS A MEMBER", Lean::Left),
        ("WHAT CAME OF IT", Lean::Left),
    ];
    let signal = &certificate.signal;
    let targets = certificate.targets.iter().map(|target| {
        vec![
            target.pid.to_string(),
            program(target),
            target
                .key
                .as_ref()
                .map_or_else(|| "?".to_owned(), Safe::to_string),
            target
                .exec
                .map_or_else(|| "?".to_owned(), |n| n.to_string()),
            target.tie.to_string(),
            came.map_or_else(
                || "not known".to_owned(),
                |came| came.of_target(signal, target),
            ),
        ]
    });
    let unknown = |fate: &&Fate| !certificate.targets.iter().any(|target| is(target, fate));
    // Where not all targets are told by name, nobody can say who of the others was none.
    let all_named = certificate.more == 0;
    let born = came.into_iter().flat_map(|came| {
        let others = came.each.iter().filter(unknown).filter(|_| all_named);
        others.map(move |fate| {
            vec![
                fate.pid.to_string(),
                "?".to_owned(),
                fate.key.to_string(),
                "?".to_owned(),
                "started by a member meanwhile".to_owned(),
                came.word(signal, fate),
            ]
        })
    });
    let rows: Vec<Vec<String>> = targets.chain(born).take(LISTED).collect();
    table(&heads, &rows, paint)
}

fn is(target: &Doomed, fate: &Fate) -> bool {
    match &target.key {
        Some(key) => *key == fate.key,
        None => target.pid == fate.pid,
    }
}

fn program(target: &Doomed) -> String {
    let mut words = target.program.to_string();
    for (holds, word) in [(target.shell, "a shell"), (target.stopped, "stopped")] {
        if holds {
            words = format!("{words}, {word}");
        }
    }
    words
}

fn spared(certificate: &Certificate, page: &mut Page) {
    for one in certificate.spared.iter().take(LISTED) {
        page.line(format_args!(
            "  spared {}[{}]: {}",
            one.program, one.pid, one.because
        ));
    }
    let all = certificate.spared.len() as u64 + u64::from(certificate.more_spared);
    let more = all.saturating_sub(LISTED as u64);
    if more > 0 {
        page.line(format_args!("  spared {} more", words::grouped(more)));
    }
    if !certificate.ours.is_empty() {
        page.line(format_args!(
            "  out of reach, whatever a rule says: beadle and what it hangs from ({})",
            numbers(&certificate.ours).join(" ")
        ));
    }
    if let Some(leash) = certificate.leash {
        page.line(format_args!(
            "  on a leash: nothing but descendants of {leash} was signalled"
        ));
    }
    let newborn = match certificate.newborn.as_str() {
        "refused" => "got the same",
        _ => "was left alone",
    };
    page.line(format_args!(
        "  what its members started meanwhile {newborn}"
    ));
}

/// The numbers of identities.
fn numbers(keys: &[Safe]) -> Vec<&str> {
    keys.iter()
        .filter_map(|key| key.as_str().split([':', '~']).next())
        .collect()
}

/// What came of an act: the first report of its warrant after it began.
fn outcome<'s>(story: &'s Story, certificate: &Certificate) -> Option<&'s Entry> {
    story.entries.iter().find(|entry| {
        let its = match &entry.event {
            Event::Outcome { warrant, .. } => *warrant == certificate.warrant,
            _ => false,
        };
        its && entry.mono >= certificate.mono
    })
}

/// How it stands, or ended: `ended; 8 processes signalled, 2 of them with SIGKILL`.
pub(super) fn fate(kept: &Kept) -> String {
    let how = match (kept.state, &kept.how) {
        (State::Open, _) => "open".to_owned(),
        (State::Left, _) => "left open: its beadle ended before".to_owned(),
        (State::Closed, Some(how)) => how.to_string(),
        (State::Closed, None) => "closed".to_owned(),
    };
    let signalled = words::processes(u64::from(kept.signalled));
    match (&kept.signal, kept.killed) {
        (None, _) => format!("{how}; nobody signalled"),
        (Some(_), killed) if (1..kept.signalled).contains(&killed) => {
            format!("{how}; {signalled} signalled, {killed} of them with SIGKILL")
        }
        (Some(signal), _) => format!("{how}; {signalled} signalled (SIG{signal})"),
    }
}

const fn tone(kept: &Kept) -> Tone {
    match (kept.state, &kept.signal) {
        (State::Open | State::Left, _) => Tone::Warn,
        (State::Closed, Some(_)) => Tone::Grave,
        (State::Closed, None) => Tone::Good,
    }
}

fn indented(lines: &str) -> String {
    lines.lines().fold(String::new(), |mut text, line| {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
        text
    })
}
