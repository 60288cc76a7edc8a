use super::*;
use crate::engine::answer::{Bidding, Deed, Snooze};
use crate::engine::decision::PauseView;
use crate::engine::evidence::{IncidentId, Subject, UnitKey};
use crate::engine::forest::Starter;
use crate::engine::heartbeat::{Count, Pulse};
use crate::engine::incident::{Past, Weight};
use crate::engine::instances::{Circle, Realm};
use crate::engine::label::{Badge, Label};
use crate::engine::legacy::{Bequest, Ending, Kin, Remainder, Stand};
use crate::engine::process::{Mark, Pid, ProcKey, Text, Uid};
use crate::engine::rule::{Command, Mode, Signal, StageAct, To};
use crate::engine::units::Mono;
use crate::engine::usage::Buried;
use crate::engine::warrant::HardTie;
use std::time::Duration;

fn key(pid: u32, mark: Mark) -> ProcKey {
    ProcKey::new(Pid::new(pid).unwrap(), mark)
}

fn pulse(sender: ProcKey) -> Pulse {
    let count = Count {
        done: 567,
        total: Some(1000),
    };
    Pulse {
        since: Some(Mono::from_secs(41)),
        moved: Some(Mono::from_secs(40)),
        count: Some(count),
        status: Some(Text::new(*b"batch \xff")),
        stopping: true,
        extended: Mono::from_secs(60),
        granted: Duration::from_secs(10),
        senders: [(sender, Some(count))].into(),
        ..Pulse::default()
    }
}

fn subject(root: ProcKey) -> Subject {
    Subject {
        key: root,
        program: Text::from("pytest"),
        command: Text::new(*b"pytest \xff"),
        cwd: Some(Text::from("/home/a")),
        owner: Some(Uid(1000)),
        audience: None,
        tty: None,
        label: None,
    }
}

fn unit(root: ProcKey, member: ProcKey) -> Bequest {
    Bequest {
        rule: "pytest".into(),
        unit: UnitKey::Tree(root),
        subject: subject(root),
        starter: Some((Some(member), Text::from("sh"))),
        circle: Circle {
            realm: Some(Realm::Container(Text::from("c0ffee"))),
            starter: Some(member),
            cwd: Some(Text::from("/home/a")),
        },
        since: Mono::from_secs(4),
        before: Duration::from_millis(3),
        buried: Buried {
            at_least: Duration::from_secs(8),
            beyond: Duration::from_millis(70),
            count: 2,
            unrecorded: 1,
            unheard: 2,
        },
        spawned: (5, 6),
        root_gone: Some(Mono::from_secs(50)),
        members: vec![member],
        pulse: pulse(member),
        label: None,
        incident: Some(Stand {
            id: IncidentId(4),
            opened: Mono::from_secs(5),
            next: 2,
            mode: Mode::Enforce,
            ladder: vec![
                StageAct::Nudge,
                StageAct::Exec(std::sync::Arc::new(Command {
                    program: "/usr/local/bin/tell".into(),
                    args: vec!["a b".to_owned(), String::new()],
                    timeout: Duration::from_secs(7),
                })),
                StageAct::Freeze,
                StageAct::Stop,
                StageAct::Signal(Signal::Term, To::Root),
                StageAct::Signal(Signal::Kill, To::Tree),
            ],
            told: None,
            signalled: true,
            denied: false,
            said: true,
            ran: 2,
            bidden: Some((
                Bidding {
                    by: Uid(1000),
                    deed: Deed::Stop,
                },
                1,
            )),
            snoozed: Some(Snooze {
                until: Mono::from_secs(1800),
                by: Uid(1001),
            }),
            extended: 2,
            weight: Weight::Lightened(Mono::from_secs(44)),
        }),
    }
}

fn label() -> Label {
    Label {
        badge: Badge::Variable {
            name: "BUILD_TAG".into(),
            value: Text::new(*b"a\xff-7"),
        },
        owner: Uid(1000),
    }
}

fn job(root: ProcKey, member: ProcKey) -> Bequest {
    let mut job = unit(root, member);
    job.unit = UnitKey::Label(root);
    job.subject.label = Some(label().shown());
    job.members = Vec::new();
    job.label = Some(label());
    job
}

/// Who started a member.
fn launcher(root: ProcKey) -> Starter {
    Starter {
        pid: root.pid(),
        key: None,
        died: Mono::from_nanos(7),
    }
}

/// What a member may have used.
const SPENT: Duration = Duration::from_millis(2500);

fn legacy() -> Legacy {
    let root = key(10, Mark::Inode(1 << 40));
    let member = key(11, Mark::Ticks(77));
    let tie = |tie| Kin {
        key: member,
        parent: Some(root),
        tie: Some(tie),
        session: true,
        starter: Some(launcher(root)),
        used: SPENT,
    };
    let past = Past {
        id: IncidentId(3),
        opened: Mono::from_secs(1),
        until: Mono::from_secs(9),
        next: 1,
        served: Duration::from_millis(1500),
        denied: true,
        told: Some(Mono::from_secs(2)),
        weight: Weight::Light,
        snoozed: Some(Snooze {
            until: Mono::from_secs(77),
            by: Uid(0),
        }),
        extended: 1,
    };
    Legacy {
        at: Mono::from_secs(100),
        kin: vec![
            tie(HardTie::Root),
            tie(HardTie::Forked { parent: root.pid() }),
            tie(HardTie::Child { parent: root }),
            tie(HardTie::Session {
                session: root.pid(),
            }),
        ],
        units: vec![unit(root, member), job(root, member)],
        kept: vec![(member, vec!["other".into()])],
        frozen: vec![member],
        pasts: vec![
            Remainder {
                label: None,
                rule: "other".into(),
                unit: UnitKey::Process(root),
                ladder: vec![StageAct::Nudge],
                past: past.clone(),
            },
            Remainder {
                label: Some(label()),
                rule: "job".into(),
                unit: UnitKey::Label(root),
                ladder: vec![StageAct::Nudge],
                past,
            },
        ],
        endings: vec![Ending {
            at: Mono::from_secs(6),
            rule: "pytest".into(),
            owner: None,
            program: Text::from("pytest"),
            starter: Some(member),
        }],
        pauses: vec![PauseView {
            by: Uid(0),
            rule: None,
            until: Mono::NEVER,
        }],
    }
}

#[test]
fn what_is_left_is_found_in_the_same_boot_and_in_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("legacy.json");
    let (shelf, nothing) = Shelf::open(&path, "one\n").unwrap();
    assert_eq!(nothing, None);
    shelf.leave(&legacy()).unwrap();
    let (_, found) = Shelf::open(&path, "one").unwrap();
    assert_eq!(found, Some(legacy()));
    let (_, found) = Shelf::open(&path, "two").unwrap();
    assert_eq!(found, None);
}

#[test]
fn what_is_not_to_be_understood_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("legacy.json");
    for text in ["", "{", "[]", r#"{"version":9,"boot":"one"}"#] {
        std::fs::write(&path, text).unwrap();
        let (_, found) = Shelf::open(&path, "one").unwrap();
        assert_eq!(found, None);
        assert!(!path.exists());
        assert_eq!(
            std::fs::read_to_string(dir.path().join("legacy.json.aside")).unwrap(),
            text
        );
    }
}

#[test]
fn a_disk_that_is_full_leaves_the_old_word_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("legacy.json");
    let (shelf, _) = Shelf::open(&path, "one").unwrap();
    shelf.leave(&legacy()).unwrap();
    // No draft can be made where a folder has its name.
    std::fs::create_dir(dir.path().join("legacy.json.new")).unwrap();
    shelf.leave(&Legacy::default()).unwrap_err();
    let (_, found) = Shelf::open(&path, "one").unwrap();
    assert_eq!(found, Some(legacy()));
}
