//! What outlives a beadle: the numbers of incidents, and what was being done when it died.
//!
//! **Invariants.** Nothing here stops the watch: a full disk, a folder of somebody else's, a file full of garbage are
//! faults, and each has a way to go on without. What cannot be understood is set aside, never deleted.
//!
//! | file | holds |
//! |---|---|
//! | [`numbers`] | which incident numbers were given out |
//! | [`intent`] | acts under way, written before their first signal |
//! | [`exceptions`] | what rules never mind, because a person said so |
//! | [`history`] | what became of incidents |
//! | [`legacy`] | what is left to the next beadle of this boot |
//! | `folder` | folders of our own |

pub mod exceptions;
mod folder;
pub mod history;
pub mod intent;
pub mod legacy;
pub mod numbers;
#[cfg(test)]
mod tiny;

use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use rusqlite::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::engine::process::{Mark, Pid, ProcKey, Text};

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
    /// SQLite refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Sql {
        /// What was tried, as a verb.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it said.
        source: Box<rusqlite::Error>,
    },
    /// Somebody has changed a file since it was read.
    #[error("{} was changed by somebody else, and is left as it is: reload first (SIGHUP)", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file is not as we would have left it.
    #[error("{} is not to be understood: {what}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is no history to be read.
    #[error("no history is kept in {}", folder.display())]
    NoHistory {
        /// Where we looked.
        folder: PathBuf,
    },
}

impl StoreError {
    /// What the system refused.
    fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// What SQLite refused.
    fn sql(what: &'static str, path: &std::path::Path) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Sql {
            what,
            path,
            source: Box::new(source),
        }
    }

    /// SQLite's word for it.
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql { source, .. } => source.sqlite_error_code(),
            Self::Io { .. }
            | Self::Foreign { .. }
            | Self::Busy { .. }
            | Self::Changed { .. }
            | Self::Damaged { .. }
            | Self::NoHistory { .. } => None,
        }
    }

    /// Whether the file itself is at fault, so that another try would find the same.
    pub fn is_damage(&self) -> bool {
        let damage = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        matches!(self, Self::Damaged { .. })
            || self.code().is_some_and(|code| damage.contains(&code))
    }
}

/// Whether a folder is no place of ours.
pub fn folder_is_anothers(error: &StoreError) -> bool {
    matches!(error, StoreError::Foreign { .. })
}

/// A key as it was written.
fn key(text: &str) -> Option<ProcKey> {
    let (at, mark): (usize, fn(u64) -> Mark) = match (text.find(':'), text.find('~')) {
        (Some(at), _) => (at, Mark::Inode),
        (None, Some(at)) => (at, Mark::Ticks),
        (None, None) => return None,
    };
    let pid = Pid::new(u32::from_str(text.get(..at)?).ok()?)?;
    let number = u64::from_str(text.get(at + 1..)?).ok()?;
    Some(ProcKey::new(pid, mark(number)))
}

/// Text as a string, where it is one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Raw(Vec<u8>),
}

impl Bytes {
    fn of(text: &Text) -> Self {
        match std::str::from_utf8(text.bytes()) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Raw(text.bytes().to_owned()),
        }
    }

    fn read(self) -> Text {
        match self {
            Self::Text(text) => Text::new(text.into_bytes()),
            Self::Raw(bytes) => Text::new(bytes),
        }
    }
}
