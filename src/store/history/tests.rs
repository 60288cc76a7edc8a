use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::engine::units::Bytes;
use crate::store::tiny::Tiny;

const NOW: i64 = 1_790_000_000_000;
const DAY: i64 = 86_400_000;
const ANN: u32 = 1000;

fn open(folder: &Path) -> History {
    reopen(folder, Keeping::default(), NOW).unwrap()
}

fn reopen(folder: &Path, keeping: Keeping, now: i64) -> Result<History, StoreError> {
    History::open(folder, 0o700, keeping, now, Trust::Usual)
}

fn page(number: u64, at: i64, kind: &'static str, effect: Effect) -> Page {
    Page {
        number,
        boot: "boot".into(),
        at,
        kind,
        head: Head {
            rule: "pytest".to_owned(),
            owner: Some(ANN),
            root: 4711,
            key: "4711:47110".to_owned(),
            program: "pytest".to_owned(),
            command: "python -m pytest".to_owned(),
        },
        effect,
        form: 1,
        body: format!("{{\"kind\":\"{kind}\"}}"),
        people: Vec::new(),
        unnamed: 0,
    }
}

fn person(pid: u32, part: Part, signal: Option<&'static str>) -> Person {
    Person {
        pid,
        key: format!("{pid}:{pid}0"),
        program: "python".to_owned(),
        part,
        signal,
        outcome: None,
        because: None,
    }
}

fn came(pid: u32, signal: &'static str, outcome: &'static str) -> Person {
    Person {
        program: String::new(),
        outcome: Some(outcome),
        ..person(pid, Part::Target, Some(signal))
    }
}

/// A story as they are: two are asked, one leaves, the other is ended.
fn story() -> Vec<Page> {
    let with = |page: Page, people: &[Person]| Page {
        people: people.to_vec(),
        ..page
    };
    let spared = Person {
        because: Some("taken out by `keep`".to_owned()),
        ..person(4720, Part::Spared, None)
    };
    let goes = |at, kind| page(3, NOW + at, kind, Effect::Goes);
    let none = |at, kind| page(3, NOW + at, kind, Effect::None);
    let target = |pid, signal| person(pid, Part::Target, Some(signal));
    vec![
        with(
            page(3, NOW, "incident", Effect::Begins),
            &[4711, 4712, 4713].map(|pid| person(pid, Part::Member, None)),
        ),
        goes(1, "nudge"),
        goes(2, "signal"),
        with(
            none(2, "warrant"),
            &[target(4711, "TERM"), target(4712, "TERM"), spared],
        ),
        with(
            none(3, "outcome"),
            &[came(4711, "TERM", "sent"), came(4712, "TERM", "sent")],
        ),
        goes(4, "signal"),
        with(
            none(4, "warrant"),
            &[target(4711, "KILL"), target(4712, "KILL")],
        ),
        with(
            none(5, "outcome"),
            &[came(4711, "KILL", "sent"), came(4712, "KILL", "gone")],
        ),
        page(3, NOW + 6, "close", Effect::Ends("ended".to_owned())),
    ]
}

fn keep(history: &mut History, pages: &[Page], now: i64) {
    let pages: Vec<&Page> = pages.iter().collect();
    history.keep(&pages, now).unwrap();
    history.make_room().unwrap();
}

fn all() -> Query {
    Query {
        most: 100,
        ..Query::default()
    }
}

fn of_pid(pid: u32) -> Query {
    Query {
        pid: Some(pid),
        ..all()
    }
}

fn numbers(history: &History, query: &Query) -> Vec<u64> {
    let (found, _) = history.list(query).unwrap();
    found.iter().map(|kept| kept.number).collect()
}

#[test]
fn what_was_kept_is_told_also_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    let mut history = open(&folder);
    keep(&mut history, &story(), NOW);
    let mode = |name: &str| folder.join(name).metadata().unwrap().permissions().mode();
    for name in ["history.sqlite", "history.sqlite-wal", "history.sqlite-shm"] {
        assert_eq!(mode(name) & 0o777, 0o600, "{name}");
    }
    // Somebody may read while it is open.
    let readers = [History::read(&folder).unwrap(), {
        drop(history);
        History::read(&folder).unwrap()
    }];
    for history in readers {
        let (found, more) = history.list(&all()).unwrap();
        let [kept] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert!(!more);
        assert_eq!((kept.number, kept.root, kept.owner), (3, 4711, Some(ANN)));
        assert_eq!(kept.closed.as_deref(), Some("ended"));
        assert_eq!(kept.signal.as_deref(), Some("KILL"));
        assert_eq!((kept.signalled, kept.killed), (2, 1));
        assert_eq!((kept.began, kept.last), (NOW, NOW + 6));
        let told = history.story(3).unwrap().unwrap();
        let kinds: Vec<&str> = told.pages.iter().map(|page| page.kind.as_str()).collect();
        let expected: Vec<&str> = story().iter().map(|page| page.kind).collect();
        assert_eq!(kinds, expected);
        assert_eq!(told.pages[1].body, "{\"kind\":\"nudge\"}");
        assert_eq!((told.pages[1].form, told.left_out), (1, 0));
        assert_eq!(history.story(4).unwrap(), None);
        let reach = history.reach().unwrap();
        assert_eq!((reach.since, reach.lost), (NOW, vec![]));
    }
}

#[test]
fn a_number_leads_to_what_was_done_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = open(dir.path());
    keep(&mut history, &story(), NOW);
    let part = |pid| {
        let (found, _) = history.list(&of_pid(pid)).unwrap();
        let [kept] = found.as_slice() else {
            panic!("{found:?}")
        };
        let [part] = kept.parts.as_slice() else {
            panic!("{kept:?}")
        };
        let deed = (part.signal.clone(), part.outcome.clone());
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        (part.part.clone(), text(&deed.0), text(&deed.1))
    };
    let told = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(part(4711), told("target", "KILL", "sent"));
    // What was sent before counts more than what did not arrive any more.
    assert_eq!(part(4712), told("target", "TERM", "sent"));
    assert_eq!(part(4713), told("member", "", ""));
    assert_eq!(part(4720), told("spared", "", ""));
    assert_eq!(numbers(&history, &of_pid(4714)), [0; 0]);
    let (found, _) = history.list(&of_pid(4711)).unwrap();
    assert_eq!(found[0].parts[0].program, "python");
}

#[test]
fn who_was_noted_before_it_was_known_is_noted_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = open(dir.path());
    let unbound = Person {
        key: String::new(),
        ..person(4719, Part::Target, Some("KILL"))
    };
    let warrant = Page {
        people: vec![unbound],
        ..page(3, NOW, "warrant", Effect::None)
    };
    let outcome = Page {
        people: vec![came(4719, "KILL", "sent")],
        ..page(3, NOW + 1, "outcome", Effect::None)
    };
    keep(&mut history, &[warrant, outcome.clone(), outcome], NOW);
    let (found, _) = history.list(&of_pid(4719)).unwrap();
    let [part] = found[0].parts.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!((&*part.key, &*part.program), ("4719:47190", "python"));
    assert_eq!(part.outcome.as_deref(), Some("sent"));
}

#[test]
fn incidents_are_chosen_by_owner_rule_time_and_count() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = open(dir.path());
    let with = |number, at, rule: &str, owner| {
        let mut page = page(number, at, "incident", Effect::Begins);
        (page.head.rule, page.head.owner) = (rule.to_owned(), owner);
        page
    };
    let pages = [
        with(1, NOW, "pytest", Some(ANN)),
        with(2, NOW + 10, "chrome", Some(0)),
        with(3, NOW + 20, "pytest", None),
        with(4, NOW + 30, "pytest", Some(ANN)),
    ];
    keep(&mut history, &pages, NOW);
    assert_eq!(numbers(&history, &all()), [4, 3, 2, 1]);
    let owner = Some(ANN);
    assert_eq!(numbers(&history, &Query { owner, ..all() }), [4, 1]);
    let rule = Some("pytest".to_owned());
    assert_eq!(numbers(&history, &Query { rule, ..all() }), [4, 3, 1]);
    let since = Some(NOW + 20);
    assert_eq!(numbers(&history, &Query { since, ..all() }), [4, 3]);
    let (found, more) = history.list(&Query { most: 3, ..all() }).unwrap();
    assert_eq!((found.len(), more), (3, true));
}

#[test]
fn the_same_number_is_another_incident_where_it_begins_again_or_in_another_boot() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = open(dir.path());
    let elsewhere = Page {
        boot: "another".into(),
        ..page(3, NOW + 2, "nudge", Effect::Goes)
    };
    let pages = [
        page(3, NOW, "incident", Effect::Begins),
        page(3, NOW + 1, "close", Effect::Ends("exited".to_owned())),
        elsewhere,
        page(3, NOW + 3, "incident", Effect::Begins),
        page(3, NOW + 4, "nudge", Effect::Goes),
    ];
    keep(&mut history, &pages, NOW);
    let (found, _) = history.list(&all()).unwrap();
    let seen: Vec<(&str, i64, Option<&str>)> = found
        .iter()
        .map(|kept| (&*kept.boot, kept.last - NOW, kept.closed.as_deref()))
        .collect();
    let expected = [
        ("boot", 4, None),
        ("another", 2, None),
        ("boot", 1, Some("exited")),
    ];
    assert_eq!(seen, expected);
    assert_eq!(history.story(3).unwrap().unwrap().pages.len(), 2);
    // A late report opens nothing again; another nudge does.
    let close = page(3, NOW + 5, "close", Effect::Ends("ended".to_owned()));
    keep(
        &mut history,
        &[close, page(3, NOW + 6, "outcome", Effect::None)],
        NOW,
    );
    let closed = |history: &History| history.story(3).unwrap().unwrap().kept.closed;
    assert_eq!(closed(&history).as_deref(), Some("ended"));
    keep(
        &mut history,
        &[page(3, NOW + 7, "nudge", Effect::Goes)],
        NOW,
    );
    assert_eq!(closed(&history), None);
}

#[test]
fn what_is_too_old_goes_and_how_far_all_is_kept_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = open(dir.path());
    keep(&mut history, &story(), NOW);
    history.note_lost(NOW, 2, "the disk was full").unwrap();
    let later = NOW + 30 * DAY + 5;
    keep(
        &mut history,
        &[page(9, later, "incident", Effect::Begins)],
        later,
    );
    // Of the first all but the last pages are too old now.
    assert_eq!(history.story(3).unwrap().unwrap().pages.len(), 2);
    assert_eq!(numbers(&history, &of_pid(4713)), [0; 0]);
    let reach = history.reach().unwrap();
    assert_eq!((reach.since, reach.lost), (NOW + 5, vec![]));
    // Looked for once an hour.
    keep(&mut history, &[], later + SWEEP - 1);
    assert_eq!(numbers(&history, &all()), [9, 3]);
    keep(&mut history, &[], later + SWEEP);
    assert_eq!(numbers(&history, &all()), [9]);
    // And at once where people want less.
    history.settle(Keeping {
        span: Duration::from_secs(60),
        ..Keeping::default()
    });
    keep(&mut history, &[], later + SWEEP + 1);
    assert_eq!(numbers(&history, &all()), [0; 0]);
}

#[test]
fn what_is_too_much_goes_the_oldest_first_and_the_file_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let size = Bytes::mib(1);
    let keeping = Keeping {
        size,
        ..Keeping::default()
    };
    let mut history = reopen(dir.path(), keeping, NOW).unwrap();
    for number in 1..=300 {
        let at = NOW + i64::try_from(number).unwrap();
        let large = Page {
            body: "x".repeat(20 << 10),
            people: (0..50)
                .map(|pid| person(pid + 1, Part::Member, None))
                .collect(),
            ..page(number, at, "incident", Effect::Begins)
        };
        keep(&mut history, &[large], NOW);
    }
    let left = numbers(&history, &all());
    assert_eq!(left.first(), Some(&300));
    assert!((20..60).contains(&left.len()), "{}", left.len());
    let oldest = left.last().copied().unwrap();
    let since = history.reach().unwrap().since;
    assert!(since <= NOW + i64::try_from(oldest).unwrap());
    assert!(since > NOW, "what went is not counted as kept");
    assert_eq!(numbers(&history, &of_pid(1)), left);
    drop(history);
    let bytes = dir.path().join(FILE).metadata().unwrap().len();
    assert!(bytes <= size.0 + (size.0 >> 3), "{bytes}");
}

/// A way to damage the file in a folder.
type Damage = fn(&Path);

#[test]
fn a_file_that_is_not_to_be_understood_is_set_aside_and_begun_anew() {
    let later = |folder: &Path| {
        drop(open(folder));
        let file = Connection::open(folder.join(FILE)).unwrap();
        file.pragma_update(None, "user_version", 2).unwrap();
    };
    let foreign = |folder: &Path| {
        let file = Connection::open(folder.join(FILE)).unwrap();
        file.execute_batch("CREATE TABLE song (title TEXT); PRAGMA application_id = 7;")
            .unwrap();
    };
    let garbage = |folder: &Path| std::fs::write(folder.join(FILE), [0xff; 9000]).unwrap();
    let torn = |folder: &Path| {
        let mut history = open(folder);
        keep(&mut history, &story(), NOW);
        drop(history);
        let mut bytes = std::fs::read(folder.join(FILE)).unwrap();
        for byte in bytes.iter_mut().skip(4096) {
            *byte = 0x5a;
        }
        std::fs::write(folder.join(FILE), bytes).unwrap();
    };
    let damage: [(&str, Damage); 4] = [
        ("version 2", later),
        ("another program's", foreign),
        ("not a database", garbage),
        ("not to be understood", torn),
    ];
    for (words, damage) in damage {
        let dir = tempfile::tempdir().unwrap();
        damage(dir.path());
        let before = std::fs::read(dir.path().join(FILE)).unwrap();
        // Whoever only reads leaves it as it is.
        let refused = History::read(dir.path()).unwrap_err();
        assert!(refused.is_damage(), "{refused}");
        let mut history = open(dir.path());
        let told = history.take_damage().unwrap();
        assert!(told.contains(words) && told.contains("aside"), "{told}");
        let aside = dir.path().join("history.sqlite.aside");
        assert!(std::fs::read(aside).unwrap() == before, "{words}: changed");
        keep(&mut history, &story(), NOW);
        let lost = history.reach().unwrap().lost;
        assert_eq!((lost.len(), lost[0].records), (1, 0));
        drop(history);
        assert_eq!(open(dir.path()).take_damage(), None);
    }
}

#[test]
fn nothing_that_was_set_aside_is_written_over_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let aside = |end: &str| dir.path().join(format!("history.sqlite.aside{end}"));
    for (text, end) in [("one is garbage", ""), ("two is garbage", "2")] {
        std::fs::write(dir.path().join(FILE), text).unwrap();
        drop(open(dir.path()));
        assert_eq!(std::fs::read_to_string(aside(end)).unwrap(), text);
    }
    assert_eq!(
        std::fs::read_to_string(aside("")).unwrap(),
        "one is garbage"
    );
    // The same where damage showed itself in use.
    History::open(dir.path(), 0o700, Keeping::default(), NOW, Trust::Lost).unwrap();
    assert!(aside("3").exists());
}

#[test]
fn a_full_disk_is_an_error_and_half_of_nothing_is_kept() {
    let tiny = Tiny::make(512 << 10);
    let mut history = open(tiny.path());
    keep(&mut history, &story(), NOW);
    tiny.fill();
    if tiny.is_small() {
        let large = Page {
            body: "x".repeat(300 << 10),
            ..page(4, NOW, "incident", Effect::Begins)
        };
        let refused = history
            .keep(&[&page(5, NOW, "incident", Effect::Begins), &large], NOW)
            .unwrap_err();
        assert!(!refused.is_damage(), "{refused}");
        assert!(
            refused.to_string().starts_with("cannot write "),
            "{refused}"
        );
    }
    tiny.free();
    assert_eq!(numbers(&history, &all()), [3]);
    keep(
        &mut history,
        &[page(6, NOW, "incident", Effect::Begins)],
        NOW,
    );
    drop(history);
    assert_eq!(numbers(&open(tiny.path()), &all()), [6, 3]);
}

#[test]
fn another_programs_lock_is_an_error_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = open(dir.path());
    history.file.busy_timeout(Duration::ZERO).unwrap();
    let mut other = Connection::open(dir.path().join(FILE)).unwrap();
    let lock = other
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    let refused = history.keep(&[&page(1, NOW, "nudge", Effect::Goes)], NOW);
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains("locked"), "{refused}");
    assert!(!refused.is_damage());
    // Reading waits for nobody.
    assert_eq!(numbers(&history, &all()), [0; 0]);
    drop(lock);
    keep(&mut history, &[page(1, NOW, "nudge", Effect::Goes)], NOW);
}

#[test]
fn a_folder_of_somebody_else_a_link_and_nothing_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    let none = History::read(&folder).unwrap_err();
    assert!(matches!(none, StoreError::NoHistory { .. }), "{none}");
    std::fs::create_dir(&folder).unwrap();
    let none = History::read(&folder).unwrap_err();
    assert!(matches!(none, StoreError::NoHistory { .. }), "{none}");
    let precious = dir.path().join("precious");
    std::fs::write(&precious, "keep").unwrap();
    std::os::unix::fs::symlink(&precious, folder.join(FILE)).unwrap();
    let refused = reopen(&folder, Keeping::default(), NOW).unwrap_err();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep");
    std::fs::remove_file(folder.join(FILE)).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let refused = reopen(&folder, Keeping::default(), NOW).unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    // A file that was never written to is no history.
    std::fs::write(folder.join(FILE), "").unwrap();
    let none = History::read(&folder).unwrap_err();
    assert!(matches!(none, StoreError::NoHistory { .. }), "{none}");
}

#[test]
fn a_disk_that_cannot_be_written_to_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("strange % ? name");
    let mut history = open(&folder);
    keep(&mut history, &story(), NOW);
    drop(history);
    let path = folder.join(FILE);
    let history = History::peruse(&path, Medium::Unchanging).unwrap();
    assert_eq!(numbers(&history, &all()), [3]);
}

#[test]
fn whoever_removes_the_file_begins_it_anew() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    assert!(history.is_there());
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(!history.is_there());
    let anew = open(dir.path());
    assert!(anew.is_there() && !history.is_there());
}

#[test]
fn a_long_story_is_told_from_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = open(dir.path());
    let pages: Vec<Page> = (0..1000)
        .map(|n| page(3, NOW + n, "nudge", Effect::Goes))
        .collect();
    keep(&mut history, &pages, NOW);
    let told = history.story(3).unwrap().unwrap();
    assert_eq!((told.pages.len(), told.left_out), (400, 600));
    assert_eq!(told.pages.last().unwrap().at, NOW + 999);
    let huge = Page {
        body: "x".repeat(4 << 20),
        ..page(3, NOW + 1000, "outcome", Effect::Goes)
    };
    keep(&mut history, &[huge.clone(), huge], NOW);
    let told = history.story(3).unwrap().unwrap();
    assert_eq!((told.pages.len(), told.left_out), (1, 1001));
}

#[test]
fn who_could_not_be_named_is_not_passed_over_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = open(dir.path());
    let many = Page {
        unnamed: 40_000,
        ..page(3, NOW, "warrant", Effect::None)
    };
    keep(&mut history, &[many], NOW);
    let lost = history.reach().unwrap().lost;
    assert_eq!(lost[0].records, 40_000);
    assert!(lost[0].because.contains("incident 3"), "{lost:?}");
    for n in 0..300 {
        history.note_lost(NOW + n, 1, "again").unwrap();
    }
    let notes: i64 = history
        .file
        .query_row("SELECT count(*) FROM lost", [], |row| row.get(0))
        .unwrap();
    assert_eq!(notes, LOST_KEPT);
}
