use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use super::*;
use crate::engine::process::{Mark, Pid, ProcKey};
use crate::engine::units::Mono;
use crate::engine::warrant::{Certainty, Outcome};
use crate::store::tiny::Tiny;

const BOOT: &str = "4e0b1c7e-7d8f-4a8e-9a51-6f5a1d0c2b3a\n";

fn key(pid: u32) -> ProcKey {
    ProcKey::new(Pid::new(pid).unwrap(), Mark::Inode(u64::from(pid) + 7000))
}

fn record(warrant: u64) -> Record {
    Record {
        warrant,
        incident: 12,
        rule: "pytest \"quoted\"\n".to_owned(),
        signal: "KILL".to_owned(),
        manner: Manner::Walk,
        epoch: 3,
        wall: "2026-11-22T07:40:00+00:00".to_owned(),
        targets: vec![key(41).to_string(), "42~9912".to_owned(), "x:1".to_owned()],
        stood: vec![42],
        more: 0,
    }
}

fn report(warrant: u64) -> Report {
    Report {
        warrant: WarrantId(warrant),
        each: vec![(key(41), Outcome::Sent), (key(42), Outcome::Gone)],
        continued: Vec::new(),
        heard: Vec::new(),
        left: Vec::new(),
        certainty: Certainty::Heard,
        first: Some(Mono::from_secs(5)),
        at: Mono::from_secs(6),
        took: Duration::from_millis(1234),
    }
}

fn open(path: &Path) -> (Intent, Vec<Record>) {
    Intent::open(path, 0o700, BOOT).unwrap()
}

/// Ends as a killed beadle does: no drop, and the kernel lets go of the lock.
fn die(mut intent: Intent) {
    intent.open = [None; SLOTS];
}

#[test]
fn an_act_left_open_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/intent");
    let (mut first, left) = open(&path);
    assert!(left.is_empty());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for warrant in 1..=3 {
        first.begin(&record(warrant)).unwrap();
    }
    first.end(&report(2)).unwrap();
    die(first);
    let (second, left) = open(&path);
    assert_eq!(left, [record(1), record(3)]);
    let keys = [
        key(41),
        ProcKey::new(Pid::new(42).unwrap(), Mark::Ticks(9912)),
    ];
    assert_eq!(left[0].keys(), keys);
    die(second);
    assert!(open(&path).1.is_empty());
}

#[test]
fn an_orderly_end_leaves_nothing_open_and_text_that_people_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("intent");
    let (mut intent, _) = open(&path);
    intent.begin(&record(1)).unwrap();
    intent.end(&report(1)).unwrap();
    intent.begin(&record(2)).unwrap();
    drop(intent);
    assert!(open(&path).1.is_empty());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("beadle intent 1\nboot 4e0b1c7e-"));
    for part in [
        "\"sent\":1",
        "\"took_ms\":1234",
        "\"let_go\"",
        "\"41:7041\"",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn slots_are_used_in_a_ring_and_an_open_one_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("intent");
    let (mut intent, _) = open(&path);
    intent.begin(&record(1)).unwrap();
    for warrant in 2..100 {
        intent.begin(&record(warrant)).unwrap();
        intent.end(&report(warrant)).unwrap();
    }
    for warrant in 100..115 {
        intent.begin(&record(warrant)).unwrap();
    }
    let full = intent.begin(&record(200)).unwrap_err();
    assert!(full.to_string().contains("one more act"), "{full}");
    intent.end(&report(107)).unwrap();
    intent.begin(&record(200)).unwrap();
    intent.end(&report(4711)).unwrap();
    die(intent);
    let mut left: Vec<u64> = open(&path).1.iter().map(|record| record.warrant).collect();
    left.sort_unstable();
    let expected = (1..2).chain(100..107).chain(108..115).chain(200..201);
    assert_eq!(left, expected.collect::<Vec<u64>>());
}

#[test]
fn another_boot_is_another_world() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("intent");
    let (mut intent, _) = open(&path);
    intent.begin(&record(1)).unwrap();
    die(intent);
    let (_intent, left) = Intent::open(&path, 0o700, "another").unwrap();
    assert!(left.is_empty());
    assert!(dir.path().join("intent.aside").exists());
}

#[test]
fn garbage_is_set_aside_and_a_damaged_slot_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("intent");
    let (full, longer) = (vec![0xff; LENGTH], vec![0; LENGTH + 1]);
    let garbage: [&[u8]; 4] = [b"", b"garbage", &full, &longer];
    for bytes in garbage {
        std::fs::write(&path, bytes).unwrap();
        let (intent, left) = open(&path);
        assert!(left.is_empty());
        die(intent);
        assert_eq!(path.metadata().unwrap().len(), LENGTH as u64);
    }
    // Any single byte of an open slot may be anything: it loads, or is passed over.
    let (mut intent, _) = open(&path);
    intent.begin(&record(1)).unwrap();
    intent.begin(&record(2)).unwrap();
    die(intent);
    let whole = std::fs::read(&path).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    for at in (HEAD..HEAD + 400).chain([HEAD + SLOT - 1]) {
        for byte in [0, b'f', b'9', b'O', 0xff] {
            // Both slots as they were, but for this byte.
            for slot in [HEAD, HEAD + SLOT] {
                file.write_all_at(&whole[slot..slot + 512], slot as u64)
                    .unwrap();
            }
            file.write_all_at(&[byte], at as u64).unwrap();
            let (intent, left) = open(&path);
            die(intent);
            assert_eq!(left.last(), Some(&record(2)), "byte {at}");
            assert!(left.len() == 1 || left[0] == record(1), "byte {at}");
        }
    }
}

#[test]
fn one_beadle_a_record_and_no_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("intent");
    let (intent, _) = open(&path);
    let busy = Intent::open(&path, 0o700, BOOT).unwrap_err();
    assert!(matches!(busy, StoreError::Busy { .. }), "{busy}");
    drop(intent);
    let precious = dir.path().join("precious");
    std::fs::write(&precious, "keep").unwrap();
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&precious, &path).unwrap();
    Intent::open(&path, 0o700, BOOT).unwrap_err();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep");
}

#[test]
fn a_disk_that_fills_up_disarms_nothing() {
    let tiny = Tiny::make(1 << 20);
    let path = tiny.path().join("intent");
    let (mut intent, _) = open(&path);
    tiny.fill();
    for warrant in 1..40 {
        intent.begin(&record(warrant)).unwrap();
        intent.end(&report(warrant)).unwrap();
    }
    intent.begin(&record(40)).unwrap();
    die(intent);
    assert_eq!(open(&path).1, [record(40)]);
}

#[test]
fn without_room_there_is_no_record_and_that_is_said() {
    let tiny = Tiny::make(64 << 10);
    tiny.fill();
    let Err(refused) = Intent::open(&tiny.path().join("intent"), 0o700, BOOT) else {
        // Nobody made the place small for us.
        assert!(!tiny.is_small());
        return;
    };
    assert!(refused.to_string().contains("intent"), "{refused}");
}

#[test]
fn the_room_is_taken_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("intent");
    let (_intent, _) = open(&path);
    let blocks = path.metadata().unwrap().blocks() * 512;
    assert!(blocks >= LENGTH as u64, "{blocks}");
}
