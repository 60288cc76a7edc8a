//! Service managers: what they are told while we watch, and how they are made to start us.
//!
//! | file | holds |
//! |---|---|
//! | [`notify`] | words to the manager that started us: ready, reloading, stopping, alive |
//! | [`systemd`], [`launchd`] | what is written where, and what is run, to be started by each of them |
//! | [`plan`] | such a list of steps, carried out or taken back |
//!
//! **Invariants.** What is written are the very files of the folders `systemd/` and `launchd/`, with the path of the program
//! that is installed. A file that we did not write is neither replaced nor removed. Each step is told before it is taken, and
//! may be taken again.

pub mod launchd;
pub mod notify;
pub mod plan;
pub mod systemd;

use std::path::PathBuf;

/// Whose service it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The machine's: it guards everybody, as root.
    Machine,
    /// One user's: it guards that user's processes.
    User {
        /// Their number.
        uid: u32,
        /// Their home.
        home: PathBuf,
        /// `$XDG_DATA_HOME`, or `~/.local/share`.
        data: PathBuf,
    },
}

/// Whether what a service kept goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It stays.
    Stays,
    /// It goes.
    Goes,
}

/// What our own files say of themselves, whatever version wrote them.
pub const MARK: &str = "Put in place by `beadle service install";
