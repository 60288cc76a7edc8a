//! Memory that is counted too often, not at all, or that keeps others waiting.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::e2e::case::{Case, rules, rules_with};
use crate::e2e::daemon::Daemon;
use crate::e2e::in_both_tiers;
use crate::e2e::launch::{Order, Started};
use crate::e2e::report::{Tier, cannot_show};
use crate::e2e::stage::{User, root};
use crate::e2e::wait::wait_until;

in_both_tiers!(shared_memory_is_no_excess_until_it_is_ones_own);
in_both_tiers!(memory_is_found_in_shared_segments);
in_both_tiers!(memory_is_found_behind_a_leader_that_ended);
in_both_tiers!(memory_is_found_in_huge_pages);
in_both_tiers!(a_process_whose_memory_is_always_locked_keeps_nobody_waiting);

/// They go when they are asked: what matters is that they are.
fn leaves(case: &Case, daemon: &Daemon, villain: &Started, (number, story): (&str, &'static str)) {
    let term = daemon.log.signal(villain.pid, "TERM");
    let row = case.row(number, story, term.at);
    row.holds(&daemon.log.text());
    daemon.log.about(villain.pid, "close");
}

/// Scenario 37, a quarter of its size: nine share 64 MiB under a limit of 256; the sum of what each holds is 576. When
/// each writes to half of it, 288 are their own, and 32 still shared.
fn shared_memory_is_no_excess_until_it_is_ones_own(tier: Tier) {
    let mut case = Case::new("shares", tier);
    let program = case.program("shares");
    case.canaries(&program);
    let limits = "{ memory: { above: 256MiB, for: 1s } }";
    let daemon = case.watch().rules(&rules_with(&program, limits)).start();
    let sign = case.path("write");
    let villain = case.start(Order::new(&program, "share").number(64).file(&sign));
    case.wait_for_members(9);
    wait_until("the shares to be known", || {
        let why = daemon.ask(&["why", "--json", &villain.pid.to_string()]);
        let why: serde_json::Value = serde_json::from_slice(&why.stdout).unwrap_or_default();
        let reading = &why["rules"][0]["readings"][0];
        reading["tier"] == "shares" && reading["finding"] == "clear"
    });
    assert_eq!(daemon.log.all("incident").len(), 0, "{}", daemon.log.text());
    fs::write(&sign, "").unwrap();
    let story = "nine share 64 MiB, then write to it";
    leaves(&case, &daemon, &villain, ("37", story));
}

/// The rule of scenario 38: whoever holds 64 MiB holds too much.
fn holds(case: &mut Case, order: impl FnOnce(&PathBuf) -> Order, story: &'static str) {
    let program = case.program("holds");
    case.canaries(&program);
    let limits = "{ memory: { above: 48MiB, for: 1s } }";
    let daemon = case.watch().rules(&rules_with(&program, limits)).start();
    let villain = case.start(order(&program).burn(0));
    leaves(case, &daemon, &villain, ("38", story));
}

/// Scenario 38.
fn memory_is_found_in_shared_segments(tier: Tier) {
    let mut case = Case::new("shmem", tier);
    let order = |program: &PathBuf| Order::new(program, "shmem").number(64);
    holds(&mut case, order, "64 MiB in shared memory");
}

/// Scenario 38.
fn memory_is_found_behind_a_leader_that_ended(tier: Tier) {
    let mut case = Case::new("behind", tier);
    let order = |program: &PathBuf| Order::new(program, "leaderless").number(100);
    holds(&mut case, order, "64 MiB, the leader thread has ended");
}

/// Scenario 38.
fn memory_is_found_in_huge_pages(tier: Tier) {
    let Some(_pages) = HugePages::allow(64) else {
        return cannot_show("memory in huge pages", "no huge pages can be had here");
    };
    let mut case = Case::new("huge", tier);
    let order = |program: &PathBuf| Order::new(program, "hugetlb").number(64);
    holds(&mut case, order, "64 MiB in huge pages");
}

/// Lets processes ask for so many huge pages more than there are, and takes that back.
struct HugePages(u64);

const OVERCOMMIT: &str = "/proc/sys/vm/nr_overcommit_hugepages";

/// Both tiers may ask at once.
static ASKING: Mutex<()> = Mutex::new(());

impl HugePages {
    fn allow(more: u64) -> Option<Self> {
        if !root() {
            return None;
        }
        let _one_at_a_time = ASKING.lock().unwrap();
        let before = overcommit()?;
        fs::write(OVERCOMMIT, (before + more).to_string()).ok()?;
        Some(Self(more))
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _one_at_a_time = ASKING.lock().unwrap();
        let now = overcommit().unwrap_or(self.0);
        fs::write(OVERCOMMIT, now.saturating_sub(self.0).to_string()).unwrap();
    }
}

fn overcommit() -> Option<u64> {
    let text = fs::read_to_string(OVERCOMMIT).ok()?;
    text.trim().parse().ok()
}

/// Scenario 39, with 900 MiB: while it forks, its arguments and environment cannot be read. Others' ladders are climbed
/// at their pace, and questions are answered.
fn a_process_whose_memory_is_always_locked_keeps_nobody_waiting(tier: Tier) {
    let mut case = Case::alone("swell", tier, User::Me);
    let (program, large) = (case.program("quick"), case.program("swell"));
    case.canaries(&program);
    let second = rules_with(&large, "{ memory: { above: 600MiB, for: 8s } }");
    let second = second
        .split("rules:\n")
        .nth(1)
        .unwrap()
        .replace("villain", "large");
    let daemon = case.watch().rules(&(rules(&program) + &second)).start();
    let order = Order::new(&large, "swell").number(900).forks(1_000_000);
    let swelling = case.start(order);
    wait_until("it to swell", || resident_mib(swelling.pid) > 850);
    let villain = case.start(Order::new(&program, "ignore"));
    let nudge = daemon.log.about(villain.pid, "nudge");
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let asked = Instant::now();
        let answer = daemon.ask(&["why", &swelling.pid.to_string()]);
        assert!(answer.status.success(), "{answer:?}");
        slowest = slowest.max(asked.elapsed());
    }
    println!("the slowest of ten answers about it took {slowest:?}");
    let term = daemon.log.signal(villain.pid, "TERM");
    let kill = daemon.log.signal(villain.pid, "KILL");
    // 1 s of notice and 2 s of grace are given in full, whatever else goes on.
    for (span, due) in [(term.at - nudge.at, 1.0), (kill.at - term.at, 2.0)] {
        let given = span.as_secs_f64();
        assert!(given > due - 0.1, "{given} s: {}", daemon.log.text());
    }
    let story = "900 MiB, forks without a pause";
    leaves(&case, &daemon, &swelling, ("39", story));
}

fn resident_mib(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * 4 / 1024
}
