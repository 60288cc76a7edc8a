//! The escape suite: whatever gets away from others tries to get away here, and who looks like it must not be hit.
//!
//! The stage, the villains and the oracle are those of [`crate::e2e`], and so are the first scenarios. Every scenario
//! runs in the event tier and in the scan tier, where both can be had. With events nobody survives and no canary is lost;
//! what a scan cannot promise stands in its [`Promise`], and in the last column of the table, with the reason.
//! `tests/escape/run [N]` plays all of it N times and prints that table.
//!
//! # Where they are
//! By their numbers in the list of hostile scenarios; `C` is one that a measurement corrected, a word one that is in no
//! list.
//!
//! | module | scenarios |
//! |---|---|
//! | [`crate::e2e`] | 1, 4, 6, 10, 12, 13, 16, 18, 19, 20, 31, 32, 36, 41, 43, 46 |
//! | [`births`] | 5, 11, 28, 29, 30, C2 |
//! | [`siege`] | 885 processes of all sorts; 2,500 attacked while they grow |
//! | [`identity`] | 3, 17, C4 |
//! | [`locks`] | 47 |
//! | [`stands`] | 14, 15, 24, 25, 26, 27, C1 |
//! | [`realms`] | 21, 22, 23, 40, 44, 45 |
//! | [`memory`] | 37, 38, 39 |
//! | [`answers`] | 48 |
//! | [`spared`] | who is kept, protected or a boundary in the midst of a tree that is ended |
//! | [`between`] | 2, 34, 35: what happens while there is no daemon |
//! | [`restart`] | 33: a daemon that dies and comes back |
//! | [`reuse`] | a thousand rounds of reuse before a signal, and between a fork and the hold (C3) |
//! | [`flood`] | 42 |
//!
//! 7 to 9, the CPU time of the dead, have no survivors to count: they are in [`crate::e2e`] (`accounting`), with a table of their
//! own, which `tests/escape/table` prints below the first.

mod answers;
mod between;
mod births;
mod children;
mod flood;
mod identity;
mod locks;
mod memory;
mod realms;
mod restart;
mod reuse;
mod siege;
mod spared;
mod stands;

use crate::e2e::case::Case;
use crate::e2e::daemon::Daemon;
use crate::e2e::launch::Started;
use crate::e2e::report::Promise;

/// A villain goes the whole way: KILL, an empty stage or what was promised of it, the end of its case.
fn ends(
    case: &Case,
    daemon: &Daemon,
    villain: &Started,
    (number, story): (&str, &'static str),
    promise: Promise,
) {
    let kill = daemon.log.signal(villain.pid, "KILL");
    let row = case.promise(number, story, kill.at, promise);
    row.holds(&daemon.log.text());
    daemon.log.about(villain.pid, "close");
}
