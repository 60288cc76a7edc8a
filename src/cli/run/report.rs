//! `--report`: what came of a run, as one JSON object. Times in seconds, memory in bytes; what is not known is left out.

use serde::Serialize;

use super::asserts::Over;
use crate::cli::render::words;
use crate::control::wire::{Evidence, Safe, seconds};
use crate::daemon::run::{Account, CpuSource, Ended, Leftover, Oom, Order, Proof};
use crate::engine::process::Text;
use crate::engine::redact;

/// How much of the command line is kept.
const SHOWN: usize = 400;

/// The report.
#[derive(Serialize)]
struct Report {
    /// The form of this: always 1.
    version: u32,
    /// What wrote it.
    beadle: &'static str,
    /// The command line, secrets removed, cut short.
    command: Safe,
    /// Its number.
    pid: u32,
    /// The status that beadle ended with; where a signal ended the command, or came when it was gone, 128 and its number.
    exit: u8,
    /// `itself`, `beadle`, or `signal`: somebody else's.
    ended_by: &'static str,
    /// The status of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    /// The number of the signal that it died of.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    /// `nobody`, `somewhere` on this machine, or `here`: whether the kernel ended anybody for want of memory meanwhile.
    out_of_memory: &'static str,
    /// Why beadle ended it, and by which signals.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
    wall_seconds: f64,
    /// CPU time of all its processes, the dead included.
    cpu_seconds: f64,
    /// `cgroup` is exact, `at_least` is not more than that: there was no group for it alone, or some of it left that.
    cpu_source: &'static str,
    /// The most memory at one look, shared pages once, without the page cache; left out where it ended before the first look.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_bytes: Option<u64>,
    /// The most that the kernel counted for its control group, page cache included.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_cgroup_memory_bytes: Option<u64>,
    /// The most processes at one look.
    peak_processes: u64,
    /// How many looks there were: what lived between two of them was not seen.
    looks: u64,
    /// `events` or `scan`: whether births were heard.
    tier: &'static str,
    /// The processes that held the most memory of their own.
    biggest: Vec<Big>,
    left_behind: LeftBehind,
    /// What was over an `--assert-…`.
    over: Vec<Assert>,
}

#[derive(Serialize)]
struct Why {
    text: Safe,
    signals: Vec<&'static str>,
    evidence: Evidence,
}

#[derive(Serialize)]
struct Big {
    pid: u32,
    name: Safe,
    memory_bytes: u64,
    cpu_seconds: f64,
}

#[derive(Serialize)]
struct LeftBehind {
    /// Who lived when the command ended.
    found: Vec<One>,
    /// How many were asked to go.
    asked: usize,
    /// How many were ended.
    ended: usize,
    /// Who is left, and not kept.
    left: Vec<One>,
    /// Who was kept.
    kept: Vec<One>,
    /// By what that is known: `no_child` and `empty_cgroup` are facts of the kernel's; `only_kept`; `none` where somebody is
    /// left.
    proof: &'static str,
}

#[derive(Serialize)]
struct One {
    pid: u32,
    name: Safe,
}

#[derive(Serialize)]
struct Assert {
    /// The option, without `--assert-`.
    what: &'static str,
    /// What was allowed: milliseconds, bytes, or a count.
    limit: u64,
    /// What it was.
    was: u64,
}

/// The report as one line.
pub(super) fn json(order: &Order, account: &Account, over: &[Over], exit: u8) -> String {
    let left = &account.leftovers;
    let why = account.sentence.as_ref().map(|sentence| Why {
        text: Safe::word(&words::evidence(&sentence.evidence)),
        signals: sentence.signals.iter().map(|one| one.word()).collect(),
        evidence: sentence.evidence.clone(),
    });
    let (status, signal) = match account.ended {
        Ended::Exited(status) => (Some(status), None),
        Ended::Killed(signal) => (None, Some(signal)),
    };
    let report = Report {
        version: 1,
        beadle: env!("CARGO_PKG_VERSION"),
        command: command(order),
        pid: account.pid.number(),
        exit,
        ended_by: match (&account.sentence, account.ended) {
            (Some(_), _) => "beadle",
            (None, Ended::Exited(_)) => "itself",
            (None, Ended::Killed(_)) => "signal",
        },
        status,
        signal,
        out_of_memory: match account.oom {
            Oom::Nobody => "nobody",
            Oom::Somewhere => "somewhere",
            Oom::Here(_) => "here",
        },
        why,
        wall_seconds: seconds(account.wall),
        cpu_seconds: seconds(account.cpu),
        cpu_source: match account.cpu_source {
            CpuSource::Cgroup => "cgroup",
            CpuSource::AtLeast => "at_least",
        },
        peak_memory_bytes: account.peak_memory.map(|bytes| bytes.0),
        peak_cgroup_memory_bytes: account.peak_group_memory.map(|bytes| bytes.0),
        peak_processes: account.peak_processes,
        looks: account.looks,
        tier: account.tier.word(),
        biggest: account.biggest.iter().map(Big::of).collect(),
        left_behind: LeftBehind {
            found: left.found.iter().map(One::of).collect(),
            asked: left.asked,
            ended: left.ended,
            left: left.left.iter().map(One::of).collect(),
            kept: left.kept.iter().map(One::of).collect(),
            proof: match left.proof {
                Proof::NoChild => "no_child",
                Proof::EmptyGroup => "empty_cgroup",
                Proof::OnlyKept => "only_kept",
                Proof::None => "none",
            },
        },
        over: over.iter().copied().map(Assert::of).collect(),
    };
    crate::cli::json(&report)
}

fn command(order: &Order) -> Safe {
    let words = std::iter::once(&order.program).chain(&order.args);
    let words: Vec<Text> = words
        .map(|word| Text::new(word.as_encoded_bytes()))
        .collect();
    Safe::from(&redact::command_line(&words, SHOWN))
}

impl Big {
    fn of(big: &crate::daemon::run::Big) -> Self {
        Self {
            pid: big.pid.number(),
            name: big.name.clone(),
            memory_bytes: big.memory.0,
            cpu_seconds: seconds(big.cpu),
        }
    }
}

impl One {
    fn of(one: &Leftover) -> Self {
        Self {
            pid: one.pid.number(),
            name: one.name.clone(),
        }
    }
}

impl Assert {
    fn of(over: Over) -> Self {
        let (what, limit, was) = over.parts();
        Self { what, limit, was }
    }
}
