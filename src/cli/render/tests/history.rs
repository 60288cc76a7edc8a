//! The past: stories with their certificates, lists, and what was done to one process.

use std::sync::Arc;

use super::fixtures::{key, notice, nudge, outcomes, over, pid, report, wall, warrant};
use super::{Paint, golden};
use crate::cli::render::{Entry, Eyes, certificate, history, story};
use crate::control::wire::{Certificate, History, Kept, Lost, Part, Reach, Safe, State, Story};
use crate::engine::decision::{Closing, What};
use crate::engine::guard::{Kind, List, Reason};
use crate::engine::process::{ExecGen, StartTicks, Text};
use crate::engine::rule::{Mode, Signal};
use crate::engine::units::Mono;
use crate::engine::warrant::{
    Certainty, HardTie, Image, Member, Order, Outcome, Shelter, Spare, Target, Unbound, Warrant,
    WarrantId, Withheld,
};

fn member(number: u32, program: &str, shelter: Option<Shelter>) -> Member {
    Member {
        pid: pid(number),
        key: Some(key(number)),
        program: Text::from(program),
        image: Image::Other,
        shelter,
    }
}

/// One of every tie, and of every reason to spare somebody.
fn signed(id: u64, order: Order) -> Arc<Warrant> {
    let target = |n: u32, tie, stopped| Target {
        key: key(n),
        start: StartTicks(u64::from(n)),
        tie,
        exec: ExecGen(2),
        stopped,
    };
    let builtin = Reason::Builtin {
        kind: Kind::BuildDaemon,
        name: Text::from("gradle"),
    };
    let configured = Reason::Configured {
        list: List::Protect,
        entry: 2,
    };
    Arc::new(Warrant {
        id: WarrantId(id),
        targets: vec![
            target(4711, HardTie::Root, false),
            target(4712, HardTie::Forked { parent: pid(4711) }, true),
            target(4713, HardTie::Child { parent: key(4711) }, false),
            target(4714, HardTie::Session { session: pid(4712) }, false),
        ],
        unbound: vec![Unbound {
            pid: pid(4715),
            start: StartTicks(9),
            tie: HardTie::Forked { parent: pid(4714) },
        }],
        roster: vec![
            member(4711, "pytest", None),
            Member {
                image: Image::Shell,
                ..member(4712, "bash", None)
            },
            member(4713, "evil\x1b[2J\n", None),
            member(4714, "python", None),
            Member {
                key: None,
                ..member(4715, "python", None)
            },
            member(4720, "gradle", Some(Shelter::Boundary(builtin))),
            member(4721, "postgres", Some(Shelter::Protected(configured))),
            member(4722, "bazel", Some(Shelter::Kept)),
            member(4723, "sleep", Some(Shelter::Leash)),
            member(4724, "sudo", Some(Shelter::Foreign)),
            member(4725, "late", Some(Shelter::Untied)),
        ],
        label: None,
        spare: Arc::new(Spare {
            keys: vec![key(900), key(1)],
            bystanders: Vec::new(),
        }),
        ..warrant(order)
    })
}

fn certified(warrant: &Warrant, most: usize) -> Certificate {
    certificate(
        warrant,
        Some(pid(812)),
        most,
        Mono::from_secs(5_001),
        &wall(0),
    )
}

fn told(what: What, seconds: u64) -> Entry {
    Entry::notice(&notice(over(), what), &wall(seconds))
}

fn came(warrant: &Warrant, each: &[(u32, Outcome)], seconds: u64) -> Entry {
    let report = crate::engine::warrant::Report {
        warrant: warrant.id,
        continued: vec![key(4712)],
        left: vec![crate::engine::warrant::Survivor {
            key: key(4714),
            state: 'D',
        }],
        ..report(each)
    };
    Entry::outcome(warrant, Mode::Enforce, &report, &wall(seconds))
}

fn kept(state: State) -> Kept {
    let t = |seconds| crate::cli::render::stamp(&wall(seconds));
    Kept {
        id: 3,
        began: t(0),
        last: t(90_000),
        boot: Safe::word("4e0b1c7e-7d8f-4a8e-9a51-6f5a1d0c2b3a"),
        this_boot: state != State::Left,
        state,
        how: (state == State::Closed).then(|| Safe::word("ended")),
        rule: Safe::word("pytest"),
        root: 4711,
        key: Safe::word("4711:47110"),
        program: Safe::word("pytest"),
        command: Safe::word("python -m pytest -q tests"),
        owner: Some(1000),
        signal: Some(Safe::word("KILL")),
        signalled: 3,
        killed: 2,
        parts: Vec::new(),
    }
}

fn whole() -> Story {
    let (term, kill) = (signed(7, Order::Ask(Signal::Term)), signed(8, Order::End));
    let all = [4711, 4712, 4713, 4714, 4715].map(|n| (n, Outcome::Sent));
    let fates = [
        (4711, Outcome::Sent),
        (4712, Outcome::Gone),
        (4713, Outcome::Denied),
        (4714, Outcome::Survived),
        (4715, Outcome::Withheld(Withheld::Unsure)),
        (4730, Outcome::Sent),
    ];
    let tell = ["journal", "/dev/pts/4"].map(Safe::word).to_vec();
    let closed = What::Closed {
        how: Closing::Ended(Certainty::Heard),
        lasted: super::fixtures::secs(90_000),
    };
    Story {
        kept: kept(State::Closed),
        entries: vec![
            told(What::Opened, 0),
            told(nudge(Some((Signal::Term, 3)), None, false), 0).told(tell),
            came(&term, &all, 3),
            came(&kill, &fates, 5),
            told(closed, 90_000),
        ],
        certificates: vec![certified(&term, 100), certified(&kill, 100)],
        left_out: 2,
    }
}

#[test]
fn show_pages() {
    golden("show.txt", &story(&whole(), Paint::Plain));
    // Of an act in which its beadle died: what came of it nobody knows.
    let cut = Story {
        kept: kept(State::Left),
        entries: vec![told(What::Opened, 0)],
        certificates: vec![certified(&signed(7, Order::End), 2)],
        left_out: 0,
    };
    golden("show-cut.txt", &story(&cut, Paint::Plain));
    let bare = Story {
        entries: Vec::new(),
        certificates: Vec::new(),
        ..cut
    };
    assert!(story(&bare, Paint::Plain).contains("incident 3:"));
}

#[test]
fn certificates_in_json() {
    let lines = whole().certificates.into_iter().map(|certificate| {
        let line = serde_json::to_string(&certificate).unwrap();
        assert_eq!(
            serde_json::from_str::<Certificate>(&line).unwrap(),
            certificate
        );
        line + "\n"
    });
    golden("certificate.jsonl", &lines.collect::<String>());
}

#[test]
fn whatever_a_process_calls_itself_the_page_stays_a_page() {
    let mut hostile = whole();
    hostile.kept.program = Safe::from(&Text::new(*b"x\n14:00 close y\x1b]0;t\x07\xff\r"));
    for paint in [Paint::Plain, Paint::Color] {
        let bare = story(&hostile, paint);
        let bare = ["0", "1", "2", "31", "32", "33"]
            .iter()
            .fold(bare, |text, code| {
                text.replace(&format!("\x1b[{code}m"), "")
            });
        assert!(
            bare.chars()
                .all(|letter| letter == '\n' || !letter.is_control())
        );
        assert_eq!(bare, story(&hostile, Paint::Plain));
    }
    // And outcomes of warrants that nobody certified harm nobody.
    let mut stray = whole();
    stray.entries.extend(outcomes());
    story(&stray, Paint::Plain);
}

fn part(what: &str, signal: Option<&str>, outcome: Option<&str>, because: Option<&str>) -> Part {
    Part {
        pid: 4712,
        key: Some(Safe::word("4712:47120")),
        program: Some(Safe::word("python")),
        part: Safe::word(what),
        signal: signal.map(Safe::word),
        outcome: outcome.map(Safe::word),
        because: because.map(Safe::word),
        t: crate::cli::render::stamp(&wall(5)),
    }
}

fn reach() -> Reach {
    let lost = |t: &str, records, because: &str| Lost {
        t: Safe::word(t),
        records,
        because: Safe::word(because),
    };
    Reach {
        since: Some(Safe::word("2026-10-23T14:00:00.000+01:00")),
        lost: vec![
            lost(
                "2026-11-01T00:00:00.000+01:00",
                3,
                "more happened than could be written",
            ),
            lost("2026-10-30T00:00:00.000+01:00", 0, "the file was damaged"),
        ],
    }
}

#[test]
fn lists_of_incidents() {
    let mut quiet = kept(State::Closed);
    (quiet.signal, quiet.signalled, quiet.killed) = (None, 0, 0);
    (quiet.how, quiet.owner) = (Some(Safe::word("recovered")), None);
    let mut asked = kept(State::Open);
    (asked.signal, asked.killed) = (Some(Safe::word("TERM")), 0);
    let list = History {
        pid: None,
        incidents: vec![kept(State::Closed), asked, kept(State::Left), quiet],
        more: true,
        reach: reach(),
    };
    golden("history.txt", &history(&list, Eyes::Root, Paint::Plain));
}

#[test]
fn what_was_done_to_one_process() {
    let parts = [
        part("target", Some("KILL"), Some("sent"), None),
        part("target", Some("TERM"), Some("sent"), None),
        part("born", Some("KILL"), Some("sent"), None),
        part("target", Some("KILL"), Some("survived"), None),
        part("target", Some("KILL"), Some("gone"), None),
        part("target", Some("TERM"), Some("denied"), None),
        part("target", Some("TERM"), Some("withheld"), Some("expired")),
        part("target", Some("KILL"), None, None),
        part("spared", None, None, Some("outside the leash")),
        Part {
            key: None,
            program: None,
            ..part("member", None, None, None)
        },
    ];
    let of = |state, parts: &[Part]| Kept {
        parts: parts.to_vec(),
        ..kept(state)
    };
    let one = History {
        pid: Some(4712),
        incidents: vec![of(State::Closed, &parts), of(State::Left, &parts[..1])],
        more: false,
        reach: Reach::default(),
    };
    golden("history-pid.txt", &history(&one, Eyes::Root, Paint::Plain));
}

#[test]
fn nothing_is_said_with_what_it_is_worth() {
    let reach = reach();
    let nothing = |pid, reach: &Reach| History {
        pid,
        reach: reach.clone(),
        ..History::default()
    };
    let sure = Reach {
        lost: vec![],
        ..reach.clone()
    };
    let pages: Vec<String> = [
        (Some(4712), &sure, Eyes::Root),
        (Some(4712), &sure, Eyes::Own),
        (Some(4712), &reach, Eyes::Root),
        (None, &sure, Eyes::Root),
        (None, &sure, Eyes::Own),
    ]
    .into_iter()
    .map(|(pid, reach, eyes)| history(&nothing(pid, reach), eyes, Paint::Plain))
    .collect();
    golden("history-nothing.txt", &pages.join("\n"));
}
