//! Locks: who holds one is not whom the kernel names.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{FlockOperation, flock};

use super::ends;
use crate::e2e::identity::Parted;
use crate::e2e::in_both_tiers;
use crate::e2e::launch::Order;
use crate::e2e::report::{Promise, Tier, cannot_show};
use crate::e2e::stage::root;

in_both_tiers!(whom_a_lock_names_may_be_a_stranger_by_now);

/// Scenario 47: a convoy behind a lock. Whoever took it is dead, a canary has the number that the kernel's list of locks
/// goes on giving, and its child holds the lock.
fn whom_a_lock_names_may_be_a_stranger_by_now(tier: Tier) {
    if !root() {
        return cannot_show("a lock of a reused number", "only root can choose numbers");
    }
    let mut parted = Parted::of("convoy", "convoy", tier);
    parted.pass_on(Order::canary);
    let lock = parted.case.path("leave.lock");
    let file = File::open(&lock).unwrap();
    let inode = format!(":{} ", file.metadata().unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let of_it = || locks.lines().filter(|line| line.contains(&inode));
    let taker = format!(" {} ", parted.member);
    assert!(of_it().any(|line| line.contains(&taker)), "{locks}");
    assert_eq!(of_it().count(), 3, "two wait for it: {locks}");
    let Parted {
        case,
        daemon,
        villain,
        member,
        ..
    } = parted;
    let story = "a lock's taker is dead, its number a stranger's";
    ends(&case, &daemon, &villain, ("47", story), Promise::Nobody);
    let after = |(pid, _): &(u32, _)| *pid == member;
    let told = daemon.log.targets();
    let times = told.iter().filter(|target| after(target)).count();
    assert!(times <= 1, "it was asked once, while it was a member");
    // With all of the convoy gone the lock is anybody's.
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
}
