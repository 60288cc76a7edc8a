//! The villains: this very test binary, started again under another name to misbehave in one manner.
//!
//! **Invariants.** A villain ends by itself: every process of it has an alarm at the deadline, a limit on CPU time
//! and on memory, and its forks are counted on a page that all of them share. It is started by its launcher only,
//! under the launcher's number, so that a daemon on that leash can harm nobody else.

mod bounds;
mod launcher;
mod manners;
mod terminal;

use std::env;
use std::ffi::OsString;

pub(crate) use bounds::now;
pub(crate) use launcher::{ANSWER, CGROUP_FD};

/// The name of the test that is the villain's entry.
pub(crate) const ENTRY: &str = "e2e::villain::entry";

/// Which manner.
pub(crate) const MANNER: &str = "BEADLE_VILLAIN";
/// A mark of our own in the environment: the ground truth where there is no cgroup.
pub(crate) const TRUTH: &str = "BEADLE_TRUTH";
/// When every process of the villain ends by itself: milliseconds of CLOCK_MONOTONIC.
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

/// Not a test: where a villain begins. Run without a manner, it does nothing.
#[test]
#[ignore = "not a test: where a villain begins"]
fn entry() {
    if let Some(manner) = env::var_os(MANNER) {
        let manner = manner.into_string().unwrap();
        bounds::take();
        manners::live(&manner);
    }
}

/// The arguments that lead a test binary to its villain. More may follow: they are filters that match no test.
pub(crate) fn arguments() -> Vec<OsString> {
    let fixed = [
        ENTRY,
        "--exact",
        "--ignored",
        "--nocapture",
        // On the main thread, or a fork would leave it behind.
        "--test-threads=1",
    ];
    fixed.map(OsString::from).to_vec()
}
