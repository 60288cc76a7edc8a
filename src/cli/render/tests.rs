//! Golden files: every sentence that people read, and every key that programs read.
//!
//! `UPDATE_GOLDEN=1 cargo test render` rewrites them; the difference is then reviewed like code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::card::{card, short};
use super::entry::Entry;
use super::message::{message, tap};
use super::trial::{Leads, Trial, TrialRule, trial};
use super::{Paint, line, ps, status, status_line, why};
use crate::control::wire::{self, Daemon, Ps, Safe, Status, Why};
use crate::engine::answer::Reply;
use crate::engine::decision::{Explanation, Relation, RuleExplanation};
use crate::engine::evidence::{Finding, Quantity, Reading, UnitKey, Verdict};
use crate::engine::process::{Text, Uid};
use crate::engine::rule::{Metric, Mode, Signal, Stage, StageAct, To};
use crate::engine::units::{Mono, Range, Tier};

mod fixtures;
mod history;
mod views;

use self::fixtures::{
    all, cpu_time, daemon, figures, key, memory, notice, notices, nudge, over, peers, pid,
    progress, reading, wall,
};
use self::views::{gates, incident, view};

fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/render")
        .join(name);
    if std::env::vars().any(|(name, _)| name == "UPDATE_GOLDEN") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        expected,
        "{} differs: UPDATE_GOLDEN=1 rewrites it",
        path.display()
    );
}

fn lines(entries: &[Entry], paint: Paint) -> String {
    entries.iter().fold(String::new(), |mut text, entry| {
        writeln!(text, "{}", line(entry, paint)).unwrap();
        text
    })
}

#[test]
fn log_in_text() {
    golden("log.txt", &lines(&all(), Paint::Plain));
}

#[test]
fn log_in_json() {
    let text = all().iter().fold(String::new(), |mut text, entry| {
        writeln!(text, "{}", entry.json()).unwrap();
        text
    });
    golden("log.jsonl", &text);
}

#[test]
fn a_json_log_read_back_tells_the_same_story() {
    for entry in all() {
        let back: Entry = serde_json::from_str(&entry.json()).unwrap();
        assert_eq!(line(&back, Paint::Plain), line(&entry, Paint::Plain));
        assert_eq!(back.json(), entry.json());
    }
}

#[test]
fn what_stands_on_notifications() {
    let may = [Reply::Stop, Reply::Extend, Reply::Allow, Reply::Freeze];
    let mut text = String::new();
    for entry in all() {
        let Some(card) = card(&entry, &may) else {
            continue;
        };
        assert!(!card.title.contains('\n'), "{}", card.title);
        let buttons: Vec<_> = card.buttons.iter().map(|it| it.label.as_str()).collect();
        let stays = if card.urgent { " (stays)" } else { "" };
        let goes = card.linger.map_or("", |_| " (for a moment)");
        writeln!(text, "== {}{stays}{goes}\n{}", card.title, card.body).unwrap();
        if !buttons.is_empty() {
            writeln!(text, "[ {} ]", buttons.join(" ] [ ")).unwrap();
        }
        for line in card.details.lines() {
            writeln!(text, "    {line}").unwrap();
        }
        writeln!(text, "~ {}\n", short(&entry).unwrap()).unwrap();
    }
    golden("card.txt", &text);
}

#[test]
fn what_people_are_told() {
    let entries: Vec<Entry> = notices()
        .iter()
        .chain(&figures())
        .map(|notice| Entry::notice(notice, &wall(0)))
        .collect();
    let taps: Vec<String> = entries.iter().filter_map(tap).collect();
    let journal: Vec<String> = all()
        .iter()
        .map(|entry| format!("{:?}", message(entry)))
        .collect();
    golden("tap.txt", &(taps.join("\n") + "\n"));
    golden("message.txt", &(journal.join("\n") + "\n"));
}

#[test]
fn every_line_is_one_line_whatever_a_process_calls_itself() {
    let mut hostile = over();
    hostile.subject.program = Text::new(*b"x\n14:00:00 close y\x1b]0;t\x07\xff\r");
    hostile.subject.command = Text::new(*b"\x1b[2Jrm\n-rf");
    hostile.rule = "pyt\nest\u{202e}".into();
    hostile.about = Some("a\nb\x1b[31m".to_owned());
    let notice = notice(hostile, nudge(Some((Signal::Term, 3)), None, false));
    let entry = Entry::notice(&notice, &wall(0));
    let texts = [
        line(&entry, Paint::Plain),
        entry.json(),
        message(&entry).text,
        tap(&entry).unwrap(),
    ];
    for text in texts {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
}

#[test]
fn color_changes_no_word() {
    let mut bare = lines(&all(), Paint::Color);
    for code in ["0", "1", "2", "31", "32", "33"] {
        bare = bare.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(bare, lines(&all(), Paint::Plain));
}

#[test]
fn status_page() {
    let mut seen = Status::seen(&view(), daemon());
    seen.heartbeats.socket = Some(Safe::word("/run/beadle/beat.sock"));
    seen.heartbeats.unreadable = 1;
    let spoken = |progress| wire::Spoken {
        root: 4711,
        program: Safe::word("pytest"),
        owner: Some(1000),
        progress,
    };
    seen.heartbeats.units = vec![spoken(wire::Progress::from(&progress()))];
    let text = status(&seen, Paint::Plain);
    golden("status.txt", &text);
    let mut quiet = view();
    (quiet.units, quiet.pauses, quiet.gaps, quiet.tier) = (vec![], vec![], 0, Tier::Scan);
    let bare = Daemon {
        config: vec![],
        deaf: None,
        leash: None,
        faults: vec![],
        ..daemon()
    };
    golden(
        "status-quiet.txt",
        &status(&Status::seen(&quiet, bare.clone()), Paint::Plain),
    );
    let told = [
        status_line(&Status::seen(&view(), daemon())),
        status_line(&Status::seen(&quiet, bare)),
    ];
    golden("status-line.txt", &(told.join("\n") + "\n"));
    assert!(
        !told
            .iter()
            .any(|line| line.contains("pytest") || line.contains("4711"))
    );
}

#[test]
fn ps_page() {
    let mut seen = Ps::from(&view());
    seen.more = 1;
    golden("ps.txt", &ps(&seen, Paint::Plain));
    let none = Ps {
        units: vec![],
        more: 0,
    };
    golden("ps-empty.txt", &ps(&none, Paint::Plain));
}

/// A member of a tree that is over one limit and near to others.
fn breaching() -> Relation {
    Relation::Member {
        unit: UnitKey::Tree(key(4711)),
        label: None,
        root: Text::from("pytest"),
        verdict: Verdict::Breaching,
        gates: gates(),
        readings: vec![
            cpu_time(7_000, 8, Finding::Clear),
            memory(9_000, 8_192, 30, 12, Finding::Breaching),
            Reading {
                now: Some(Range::at_least(Quantity::Count(90), Tier::Scan)),
                ..reading(
                    Metric::Processes,
                    Quantity::Count(90),
                    Quantity::Count(100),
                    Finding::Unknown,
                )
            },
        ],
        peers: Some(Box::new(peers())),
        progress: Some(Box::new(progress())),
        manner: None,
        soonest: Some(Mono::from_secs(5_018)),
        incident: Some(Box::new(incident(Some((Signal::Term, 5_002)), None))),
    }
}

#[test]
fn why_page() {
    let rule = |name: &str, relation| RuleExplanation {
        rule: name.into(),
        mode: Mode::Enforce,
        relation,
    };
    let explanation = Explanation {
        audience: None,
        pid: pid(4712),
        key: Some(key(4712)),
        program: Some(Text::from("python")),
        command: Some(Text::from("python -c spin")),
        owner: Some(Uid(1000)),
        above: vec![
            (pid(4711), Text::from("pytest")),
            (pid(4000), Text::from("bash")),
        ],
        standing: Some("protected: terminals and shells".to_owned()),
        rules: vec![
            rule(
                "chrome",
                Relation::Unmatched("program is `python`, not `chrome`".to_owned()),
            ),
            rule(
                "late",
                Relation::Pending("its arguments are not read yet".to_owned()),
            ),
            rule(
                "py",
                Relation::Barred("pytest[4711] above it is the root".to_owned()),
            ),
            rule("pytest", breaching()),
        ],
        notes: BTreeMap::from([("answers", "12".to_owned())]),
    };
    let seen = Why::seen(&explanation, Mono::from_secs(5_000));
    golden("why.txt", &why(&seen, Paint::Plain));
    let unknown = Explanation {
        key: None,
        program: None,
        command: None,
        owner: None,
        above: vec![],
        standing: None,
        rules: vec![],
        notes: BTreeMap::new(),
        ..explanation
    };
    let seen = Why::seen(&unknown, Mono::from_secs(5_000));
    golden("why-unknown.txt", &why(&seen, Paint::Plain));
}

#[test]
fn trial_page() {
    let stage = |after, act| Stage {
        after: Duration::from_secs(after),
        act,
    };
    let ladder = super::words::ladder(&[
        stage(0, StageAct::Nudge),
        stage(300, StageAct::Signal(Signal::Term, To::Tree)),
        stage(10, StageAct::Signal(Signal::Kill, To::Tree)),
    ]);
    let rule = |name: &str, mode: Mode| TrialRule {
        label: None,
        name: Safe::word(name),
        mode: Safe::word(mode.word()),
        ladder: ladder.clone(),
        when: (name == "pytest").then(|| "load above 8".to_owned()),
        signals: mode == Mode::Enforce,
        clauses: vec![(1, Leads::On)],
    };
    let units = Ps::from(&view()).units;
    let pages: Vec<String> = [Mode::Enforce, Mode::Nudge, Mode::Observe]
        .map(|mode| {
            trial(
                &Trial {
                    rules: &[rule("pytest", mode), rule("other", mode)],
                    units: &units,
                    processes: 1_234,
                    pending: 1,
                    span: Duration::from_secs(4),
                },
                Paint::Plain,
            )
        })
        .to_vec();
    golden("trial.txt", &pages.join("\n"));
}

#[test]
fn of_instances_alone_no_signal_is_to_be_expected() {
    let rule = TrialRule {
        name: Safe::word("pytest"),
        mode: Safe::word("enforce"),
        ladder: "nudge, SIGTERM after 5 min".to_owned(),
        when: None,
        label: None,
        signals: true,
        clauses: vec![(1, Leads::Nowhere), (2, Leads::On)],
    };
    let said = |age: Finding, over: Finding| {
        let limit = |metric, finding| {
            let figure = Quantity::Count(4);
            wire::Reading::from(&reading(metric, figure, Quantity::Count(3), finding))
        };
        let mut units = Ps::from(&view()).units;
        units.truncate(1);
        units[0].finding.verdict = Safe::word("sustained");
        units[0].evidence.readings = vec![
            limit(Metric::Instances, Finding::Sustained),
            limit(Metric::Threads, age),
            limit(Metric::Zombies, over),
        ];
        let found = Trial {
            rules: std::slice::from_ref(&rule),
            units: &units,
            processes: 1,
            pending: 0,
            span: Duration::from_secs(4),
        };
        trial(&found, Paint::Plain)
    };
    let alone = said(Finding::Sustained, Finding::Clear);
    let fate = "would now: nudge, and no signal (`instances` alone only nudges)";
    assert!(alone.contains(fate), "{alone}");
    let more = said(Finding::Sustained, Finding::Sustained);
    assert!(
        more.contains("would now: nudge, SIGTERM after 5 min"),
        "{more}"
    );
}
