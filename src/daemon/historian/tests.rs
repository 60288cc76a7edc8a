use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::{Connection, TransactionBehavior};

use super::super::inbox::Inbox;
use super::*;
use crate::cli::render::{Eyes, Paint, history, story};
use crate::control::protocol::Search;
use crate::control::wire::{self, State};
use crate::engine::process::Uid;
use crate::store::history::{Effect, Head, Page};
use crate::sys::clock::Clock;

fn place(folder: &Path) -> Place {
    Place {
        folder: folder.to_owned(),
        mode: 0o700,
    }
}

fn historian(folder: &Path) -> (Historian, Inbox) {
    let (post, inbox) = Inbox::new();
    let keeping = Keeping::default();
    let historian = Historian::new(Some(place(folder)), keeping, "boot\n", None, &post);
    (historian, inbox)
}

fn page(number: u64, body: &str) -> Page {
    Page {
        number,
        boot: "boot".into(),
        at: Clock.wall().as_millisecond(),
        kind: "nudge",
        head: Head {
            rule: "pytest".to_owned(),
            owner: Some(1000),
            ..Head::default()
        },
        effect: Effect::Goes,
        form: 1,
        body: body.to_owned(),
        people: Vec::new(),
        unnamed: 0,
    }
}

fn from(whose: Option<u32>, open: &[u64]) -> Standpoint {
    Standpoint {
        whose: whose.map(Uid),
        boot: "boot".to_owned(),
        now: Clock.wall(),
        zone: TimeZone::UTC,
        open: open.iter().copied().collect(),
    }
}

async fn asked(historian: &mut Historian, inquiry: Inquiry, from: Standpoint) -> Answer {
    let (reply, answer) = oneshot::channel();
    historian.ask(inquiry, from, reply);
    answer.await.unwrap()
}

async fn listed(historian: &mut Historian) -> wire::History {
    let list = Inquiry::List(Search::default());
    match asked(historian, list, from(None, &[])).await {
        Answer::History(history) => history,
        other => panic!("{other:?}"),
    }
}

async fn news(inbox: &mut Inbox) -> Result<(), String> {
    match inbox.wait(Clock, None).await {
        Mail::History(news) => news,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_made_before_something_happens_and_a_question_sees_what_was_told_before() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    let (mut historian, _inbox) = historian(&folder);
    assert!(historian.thread.is_none() && !folder.exists());
    historian.keep(page(3, "{}")).unwrap();
    let found = listed(&mut historian).await;
    let [kept] = found.incidents.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        (kept.id, kept.this_boot, kept.state),
        (3, true, State::Left)
    );
    let list = || Inquiry::List(Search::default());
    let Answer::History(open) = asked(&mut historian, list(), from(None, &[3])).await else {
        panic!("something else")
    };
    assert_eq!(open.incidents[0].state, State::Open);
    let Answer::History(hers) = asked(&mut historian, list(), from(Some(1001), &[])).await else {
        panic!("something else")
    };
    assert_eq!(hers.incidents, []);
    let Answer::Show(told) = asked(
        &mut historian,
        Inquiry::Show { incident: 3 },
        from(None, &[]),
    )
    .await
    else {
        panic!("something else")
    };
    // A body that nobody understands is left out, and counted.
    assert_eq!((told.entries.len(), told.left_out), (0, 1));
    let nothing = asked(
        &mut historian,
        Inquiry::Show { incident: 4 },
        from(None, &[]),
    )
    .await;
    assert!(matches!(nothing, Answer::Refused(_)));
    assert_eq!(historian.finish(Duration::from_secs(10)), None);
    // A daemon that just wrote its last leaves all of it in the file.
    let list = Inquiry::List(Search::default());
    let Answer::History(found) = recall(&folder, &list, &from(None, &[])).unwrap() else {
        panic!("something else")
    };
    assert_eq!(found.incidents.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_written_waits_and_what_does_not_fit_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut historian, mut inbox) = historian(dir.path());
    historian.keep(page(1, "{}")).unwrap();
    assert_eq!(listed(&mut historian).await.incidents.len(), 1);
    let mut other = Connection::open(dir.path().join("history.sqlite")).unwrap();
    let lock = other
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let mut refused = 0_u64;
    for number in 2..600 {
        refused += u64::from(historian.keep(page(number, "{}")).is_err());
    }
    let complaint = news(&mut inbox).await.unwrap_err();
    assert!(complaint.contains("locked"), "{complaint}");
    drop(lock);
    // It tries again by itself, and then says that it works.
    while news(&mut inbox).await.is_err() {}
    let found = listed(&mut historian).await;
    let noted: u64 = found.reach.lost.iter().map(|lost| lost.records).sum();
    assert!(refused > 0 && noted >= refused, "{refused} {noted}");
    assert_eq!(found.incidents.len() as u64 + noted, 599);
    assert_eq!(historian.finish(Duration::from_secs(10)), None);
}

#[tokio::test]
async fn a_file_damaged_in_use_is_told_of_and_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.sqlite");
    std::fs::write(&path, "this is no database at all").unwrap();
    let (mut historian, mut inbox) = historian(dir.path());
    historian.keep(page(1, "{}")).unwrap();
    let told = news(&mut inbox).await.unwrap_err();
    assert!(told.contains("set aside"), "{told}");
    assert_eq!(news(&mut inbox).await, Ok(()));
    // Whoever removes the file loses what was in it, and nothing that comes after.
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(dir.path().join(format!("history.sqlite{end}"))).unwrap();
    }
    historian.keep(page(2, "{}")).unwrap();
    let found = listed(&mut historian).await;
    assert_eq!(found.incidents.len(), 1);
    assert_eq!(found.incidents[0].id, 2);
}

#[tokio::test]
async fn without_a_place_nothing_is_kept_and_questions_are_answered() {
    let (post, _inbox) = Inbox::new();
    let mut historian = Historian::new(None, Keeping::default(), "boot", None, &post);
    historian.keep(page(1, "{}")).unwrap();
    let list = Inquiry::List(Search::default());
    let Answer::Refused(refusal) = asked(&mut historian, list, from(None, &[])).await else {
        panic!("something else")
    };
    assert_eq!(refusal.kind, RefusalKind::NoHistory);
    assert_eq!(historian.finish(Duration::from_secs(1)), None);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_said_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    std::fs::write(&folder, "a file where the folder should be").unwrap();
    let (mut historian, mut inbox) = historian(&folder);
    historian.keep(page(1, "{}")).unwrap();
    assert!(news(&mut inbox).await.is_err());
    let left = historian.finish(Duration::from_secs(10));
    assert_eq!(left.as_deref(), Some("records not kept: 1"));
}

/// What the first version wrote must be read for ever, to the word. Nobody writes `v1.sql` again.
#[test]
fn a_history_of_the_first_version_is_told_for_ever() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/history");
    let dir = tempfile::tempdir().unwrap();
    let file = Connection::open(dir.path().join("history.sqlite")).unwrap();
    let sql = std::fs::read_to_string(golden.join("v1.sql")).unwrap();
    file.execute_batch(&sql).unwrap();
    drop(file);
    let from = Standpoint {
        whose: None,
        boot: "635da4bd-a37b-41ea-b19a-070410509c0c".to_owned(),
        now: Timestamp::from_second(1_795_340_000).unwrap(),
        zone: TimeZone::UTC,
        open: BTreeSet::new(),
    };
    let told = |inquiry: Inquiry| match recall(dir.path(), &inquiry, &from).unwrap() {
        Answer::History(found) => history(&found, Eyes::Root, Paint::Plain),
        Answer::Show(found) => {
            assert_eq!(found.left_out, 0);
            story(&found, Paint::Plain)
        }
        other => panic!("{other:?}"),
    };
    let of = |pid| Search {
        pid: Some(pid),
        ..Search::default()
    };
    let mut text = told(Inquiry::List(Search::default()));
    for pid in [32742, 320, 348, 32744, 308, 32741, 1] {
        writeln!(text, "\n$ history --pid {pid}").unwrap();
        text += &told(Inquiry::List(of(pid)));
    }
    for incident in 1..=2 {
        writeln!(text, "\n$ show {incident}").unwrap();
        text += &told(Inquiry::Show { incident });
    }
    let path = golden.join("v1.txt");
    if std::env::vars().any(|(name, _)| name == "UPDATE_GOLDEN") {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "UPDATE_GOLDEN=1 rewrites it");
}
