//! The villains: this very test binary, started again under another name to misbehave in one manner.
//!
//! **Invariants.** A villain ends by itself: every process of it has an alarm at the deadline, a limit on CPU time
//! and on memory, and its forks are counted on a page that all of them share. It is started by its launcher only,
//! under the launcher's number, so that a daemon on that leash can harm nobody else.

mod births;
mod bounds;
mod desktop;
mod jobs;
mod launcher;
mod locks;
mod manners;
mod memory;
mod realms;
mod stands;
mod storms;
mod terminal;

use std::env;

pub(crate) use bounds::now;
pub(crate) use jobs::{LABEL, SERVER};
pub(crate) use launcher::CGROUP_FD;

/// Which manner.
pub(crate) const MANNER: &str = "BEADLE_VILLAIN";
/// A mark of our own in the environment: the ground truth where there is no cgroup.
pub(crate) const TRUTH: &str = "BEADLE_TRUTH";
/// When every process of the villain ends by itself: milliseconds of `CLOCK_MONOTONIC`.
pub(crate) const UNTIL: &str = "BEADLE_UNTIL";
/// How often it may fork, all its processes together.
pub(crate) const FORKS: &str = "BEADLE_FORKS";
/// Milliseconds of CPU that its root burns first: what brings it over its limit.
pub(crate) const BURN: &str = "BEADLE_BURN";
/// A file that it writes or waits for; what for depends on the manner.
pub(crate) const FILE: &str = "BEADLE_FILE";
/// A second program, where the manner needs one.
pub(crate) const OTHER: &str = "BEADLE_OTHER";
/// A number, where the manner needs one.
pub(crate) const NUMBER: &str = "BEADLE_NUMBER";

/// Runs before `main` in every start of this binary, on its first thread and before there is another; it returns where
/// no manner is given, and the tests begin.
///
/// # Why before `main`
/// The test harness runs tests on threads of its own, even a single one. A villain must be its process's first thread:
/// it forks, ends its leader, and changes the name that others see. The standard library takes its own arguments from
/// the same list of constructors, from an earlier place in it, so it is ready.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = begin;

extern "C" fn begin() {
    if let Some(manner) = env::var_os(MANNER) {
        bounds::take();
        manners::live(manner.to_str().unwrap_or_default());
    }
}
