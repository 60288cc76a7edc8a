//! What outlives a beadle: the numbers of incidents, and what was being done when it died.
//!
//! **Invariants.** Nothing here stops the watch: a full disk, a folder of somebody else's, a file full of garbage are
//! faults, and each has a way to go on without. What cannot be understood is set aside, never deleted.
//!
//! | file | holds |
//! |---|---|
//! | [`numbers`] | which incident numbers were given out |
//! | [`intent`] | acts under way, written before their first signal |
//! | `folder` | folders of our own |

mod folder;
pub mod intent;
pub mod numbers;
#[cfg(test)]
mod tiny;

use std::io;
use std::path::PathBuf;

/// Why something cannot be kept. The watch goes on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The folder is open to others, who could put their own into it.
    #[error(
        "the folder {} belongs to user {owner} or is open to others; name another with --state",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Another beadle keeps its state there.
    #[error("another beadle keeps its state in {}; name another folder with --state", path.display())]
    Busy {
        /// What it holds.
        path: PathBuf,
    },
}

impl StoreError {
    /// What the system refused.
    fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
