//! The whole of beadle against real processes: the real binary, on a leash, and villains that misbehave.
//!
//! **Invariants.** Whatever a test starts ends: villains by themselves, the daemon with its handle. Each daemon is on
//! the leash of its own test's launcher, so that tests may run side by side. What is true is never asked of the
//! daemon: survivors are counted by a cgroup that it knows nothing of, and *canaries* (the same program with the same
//! arguments, within its limits) must be there afterwards with the identity they had.
//!
//! # Why two columns
//! Where the kernel tells of births (the event tier) nothing escapes; where it does not (the scan tier) something may.
//! Each scenario runs in both, and `tests/run` prints both.

pub(crate) mod case;
pub(crate) mod daemon;
pub(crate) mod launch;
pub(crate) mod log;
pub(crate) mod oracle;
pub(crate) mod report;
pub(crate) mod stage;
mod turn;
mod villain;
pub(crate) mod wait;

mod accounting;
mod answers;
mod boundaries;
mod desktop;
mod elder;
mod exec;
mod freeze;
mod gates;
mod heartbeats;
mod history;
pub(crate) mod identity;
mod instances;
mod jobs;
pub(crate) mod lineage;
mod memory;
mod numbers;
mod overflow;
mod refusals;
mod rehearsal;
mod reload;
mod replies;
mod run;
mod service;
mod signals;
mod stop;
mod store;
mod syscalls;
mod terminals;
mod users;

/// Makes two tests of a scenario: one in each tier.
macro_rules! in_both_tiers {
    ($scenario:ident) => {
        mod $scenario {
            use crate::e2e::report::Tier;

            #[test]
            fn events() {
                super::$scenario(Tier::Events);
            }

            #[test]
            fn scan() {
                super::$scenario(Tier::Scan);
            }
        }
    };
}
pub(crate) use in_both_tiers;
