use std::path::Path;
use std::sync::mpsc::Receiver;

use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};

use super::*;
use crate::engine::process::{Mark, Pid, ProcKey, StartTicks};
use crate::engine::snapshot::Why;
use crate::engine::survey::{Holder, Image, Share, SurveyId};
use crate::engine::units::Bytes;
use crate::sys::fake_proc::{FakeProc, FakeProcess, Line};
use crate::sys::procfs::Missing;
use crate::sys::villain::Sharers;

/// As the kernel writes it; of `whole` KiB of anonymous memory `fair` fall to this process.
fn rollup(fair: u64) -> String {
    format!(
        "555622917000-7ffda6914000 ---p 00000000 00:00 0                          [rollup]\n\
         Rss:                4148 kB\nPss:                1032 kB\nPss_Dirty:           595 kB\n\
         Pss_Anon:         {fair} kB\nPss_File:            437 kB\nPss_Shmem:            30 kB\n\
         Shared_Clean:       2920 kB\nShared_Hugetlb:     4096 kB\nPrivate_Hugetlb:    2048 kB\n\
         Swap:                 99 kB\nSwapPss:               5 kB\nLocked:                0 kB\n"
    )
}

const STATUS: &str = "Name:\tx\nVmRSS:\t    1300 kB\nRssAnon:\t    1000 kB\nRssFile:\t     200 kB\n\
    RssShmem:\t     100 kB\nVmSwap:\t      10 kB\nHugetlbPages:\t    6144 kB\n";

fn fake(proc: &FakeProc, number: u32, line: Line<'_>, fair: u64) -> FakeProcess {
    proc.process(number, line)
        .file("status", STATUS)
        .file("smaps_rollup", rollup(fair))
}

fn holder(number: u32) -> Holder {
    let pid = Pid::new(number).unwrap();
    Holder {
        key: ProcKey::new(pid, Mark::Ticks(1000)),
        start: StartTicks(1000),
    }
}

fn survey(id: u64, whom: &[u32], enough: Bytes) -> Survey {
    Survey {
        id: SurveyId(id),
        whom: whom.iter().copied().map(holder).collect(),
        enough,
    }
}

fn measurer(root: &Path) -> (Measurer, Receiver<Findings>) {
    let (send, findings) = channel();
    let deliver = move |found| send.send(found).unwrap();
    (Measurer::start(root, deliver).unwrap(), findings)
}

fn numbers(findings: &Findings) -> Vec<u32> {
    let shares = findings.shares.iter();
    shares.map(|(key, _)| key.pid().number()).collect()
}

fn one(proc: &FakeProc, number: u32) -> Result<Share, Missing> {
    let proc = Procfs::open(proc.path()).unwrap();
    reading::share(&proc, &holder(number))
}

#[test]
fn each_kind_of_memory_is_divided_as_far_as_the_kernel_says() {
    let proc = FakeProc::new();
    let forked = Line {
        flags: 0x40_0040,
        ..Line::default()
    };
    fake(&proc, 7, Line::default(), 300);
    fake(&proc, 8, forked, 300);
    let share = one(&proc, 7).unwrap();
    assert_eq!(share.anonymous, Bytes::kib(305));
    assert_eq!(
        (share.shared, share.shared_whole),
        (Bytes::kib(30), Bytes::kib(100))
    );
    assert_eq!(
        (share.huge, share.huge_shared),
        (Bytes::mib(2), Bytes::mib(4))
    );
    assert_eq!(
        (share.low, share.high),
        (Bytes::kib(7254), Bytes::kib(7254))
    );
    assert_eq!(share.image, Image::Own);
    assert_eq!(one(&proc, 8).unwrap().image, Image::Copied);
}

#[test]
fn who_stands_still_is_not_asked() {
    let proc = FakeProc::new();
    for (number, state) in [(11, 'T'), (12, 't'), (13, 'D')] {
        let line = Line {
            state,
            ..Line::default()
        };
        fake(&proc, number, line, 300);
        assert_eq!(one(&proc, number), Err(Missing::Unread(Why::Short)));
    }
}

#[test]
fn another_process_with_the_number_is_not_counted() {
    let proc = FakeProc::new();
    let later = Line {
        start: 1001,
        ..Line::default()
    };
    fake(&proc, 7, later, 300);
    assert_eq!(one(&proc, 7), Err(Missing::Gone));
    assert_eq!(one(&proc, 8), Err(Missing::Gone));
}

#[test]
fn garbage_is_not_known() {
    let proc = FakeProc::new();
    let texts = [
        "",
        "\u{0}\n",
        "Pss_Anon: 99999999999999999999 kB\nSwapPss: 0 kB\nPss_Shmem: 0 kB\n",
        "Pss_Anon: -1 kB\nSwapPss: 0 kB\nPss_Shmem: 0 kB\n",
        "Pss: 1 kB\nSwapPss: 0 kB\n",
    ];
    for text in texts {
        fake(&proc, 7, Line::default(), 1).file("smaps_rollup", text);
        assert_eq!(one(&proc, 7), Err(Missing::Unread(Why::Short)), "{text:?}");
    }
}

#[test]
fn a_process_without_its_leader_is_seen_at_a_thread() {
    let proc = FakeProc::new();
    let dead = Line {
        state: 'Z',
        threads: 2,
        ..Line::default()
    };
    proc.process(7, dead)
        .thread(7, dead)
        .thread(9, Line::default())
        .file("task/9/status", STATUS)
        .file("task/9/smaps_rollup", rollup(50));
    assert_eq!(one(&proc, 7).unwrap().anonymous, Bytes::kib(55));
    proc.process(8, Line { threads: 1, ..dead });
    assert_eq!(one(&proc, 8), Err(Missing::Gone));
}

#[test]
fn a_survey_ends_as_soon_as_enough_is_found() {
    let proc = FakeProc::new();
    for number in 1..=5 {
        fake(&proc, number, Line::default(), 10_240);
    }
    let (measurer, findings) = measurer(proc.path());
    let whom = [2, 99, 1, 3, 4, 5];
    // 12 MiB each, and once the 4 MiB that are shared: two are 28.
    measurer.ask(survey(1, &whom, Bytes::mib(27)));
    let found = findings.recv().unwrap();
    assert_eq!((found.id, numbers(&found)), (SurveyId(1), vec![2, 1]));
    measurer.ask(survey(2, &whom, Bytes::gib(1)));
    let found = findings.recv().unwrap();
    assert_eq!(numbers(&found), [2, 1, 3, 4, 5]);
}

#[test]
fn who_keeps_us_waiting_costs_one_survey_and_not_the_next() {
    let proc = FakeProc::new();
    fake(&proc, 1, Line::default(), 1);
    proc.process(2, Line::default()).file("status", STATUS);
    fake(&proc, 3, Line::default(), 1);
    let fifo = proc.path().join("2/smaps_rollup");
    let mode = Mode::RUSR | Mode::WUSR;
    mkfifoat(CWD, &fifo, mode).unwrap();
    let (measurer, findings) = measurer(proc.path());
    let patience = DEADLINE * 5;
    measurer.ask(survey(1, &[1, 2, 3], Bytes::gib(1)));
    let found = findings.recv_timeout(patience).unwrap();
    assert_eq!(numbers(&found), [1]);
    measurer.ask(survey(2, &[1, 2, 3], Bytes::gib(1)));
    let found = findings.recv_timeout(patience).unwrap();
    assert_eq!(numbers(&found), [1, 3]);
    // Whoever waited is let go, so that its thread ends.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    drop(open(&fifo, flags, Mode::empty()).unwrap());
}

#[test]
fn a_forked_tree_holds_what_it_shares_once() {
    let tree = Sharers::start(64 << 20, 3);
    let (measurer, findings) = measurer(Path::new("/proc"));
    let holders: Vec<Holder> = tree.pids().iter().map(|pid| known(*pid)).collect();
    assert_eq!(holders.len(), 4);
    measurer.ask(Survey {
        id: SurveyId(1),
        whom: holders,
        enough: Bytes::gib(1),
    });
    let found = findings.recv_timeout(DEADLINE * 5).unwrap();
    assert_eq!(found.shares.len(), 4);
    let sum = |of: fn(&Share) -> Bytes| {
        let shares = found.shares.iter().map(|(_, share)| of(share).0 >> 20);
        shares.sum::<u64>()
    };
    let (cheap, certain) = (sum(|share| share.low), sum(Share::certain));
    assert!(cheap >= 4 * 64, "{cheap} MiB");
    // What the tests themselves hold is shared by everybody, and counts in part.
    assert!(
        (60..=cheap / 3).contains(&certain),
        "{certain} of {cheap} MiB"
    );
    assert!(
        found
            .shares
            .iter()
            .all(|(_, share)| share.image == Image::Copied)
    );
}

fn known(pid: Pid) -> Holder {
    let text = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
    let start = crate::sys::stat::Stat::parse(&text).unwrap().start;
    let hold = crate::sys::pidfd::PidFd::open(pid).unwrap();
    Holder {
        key: hold.key(pid, start),
        start,
    }
}
