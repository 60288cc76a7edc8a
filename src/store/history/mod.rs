//! History: what became of incidents, kept on disk for people who ask later.
//!
//! One SQLite file in the folder of the store: an incident has *pages*, one for each thing that happened, written when it
//! happened and never changed; and the *processes* that had a part in it, so that a number leads to the story.
//!
//! **Invariants.** A page is kept whole or not at all. What a page says is not understood here: its body is text in a form
//! that its writer has numbered. What could not be kept is counted (`lost`), and how far back *all* is kept is known
//! (`reach`): "nothing is known" is never said of a time that was not watched over. A file that is not to be understood
//! is set aside, never deleted, and begun anew.
//!
//! # Why SQLite
//! Ranges by time and number, an index on processes, deleting the oldest: that is SQL; and whoever runs the machine has
//! `sqlite3` at hand to look for himself. It is opened with the first page or question, so a beadle to whom nothing happens
//! does not pay for it.
//!
//! # Durability
//! Each batch of pages is flushed to the disk before it counts (`synchronous = FULL`): a machine that a runaway is about to
//! bring down is when this is wanted. It happens on a thread of the caller's that may wait.

mod page;
mod recall;
mod schema;
#[cfg(test)]
mod tests;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, params};

pub use self::page::{Effect, Head, Page, Part, Person};
pub use self::recall::{KeptRow, LostRow, PageRow, PartRow, Query, Reach, StoryRows};

use super::{StoreError, folder};
use crate::engine::rule::Keeping;

/// The file's name.
const FILE: &str = "history.sqlite";

/// How long another program's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is too old is looked for once in so many milliseconds.
const SWEEP: i64 = 3_600_000;

/// So many rounds of making room are tried: each takes an eighth of what is left.
const ROUNDS: usize = 40;

/// The newest notes of what was lost; older ones go.
const LOST_KEPT: i64 = 100;

/// An open history.
#[derive(Debug)]
pub struct History {
    file: Connection,
    path: PathBuf,
    /// Device and number of the file.
    identity: Option<(u64, u64)>,
    keeping: Keeping,
    /// When what is too old was last looked for: milliseconds of wall time.
    swept: Option<i64>,
    /// What was found damaged when it was opened, until somebody takes note.
    damage: Option<String>,
}

/// Whether the file is trusted to be as it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is, unless it shows otherwise when it is opened.
    Usual,
    /// It was found damaged while it was used: it is set aside.
    Lost,
}

impl History {
    /// Opens the history in `folder`, which is made with `mode` when missing, at this moment of wall time in milliseconds.
    pub fn open(
        folder: &Path,
        mode: u32,
        keeping: Keeping,
        now: i64,
        trust: Trust,
    ) -> Result<Self, StoreError> {
        folder::own(folder, mode)?;
        // SQLite is told to follow no link, and means those on the way as well.
        let folder = std::fs::canonicalize(folder).map_err(StoreError::io("find", folder))?;
        let path = folder.join(FILE);
        let why = match trust {
            Trust::Usual => match Self::connect(&path, keeping, now) {
                Err(error) if error.is_damage() => error.to_string(),
                other => return other,
            },
            Trust::Lost => format!("{} is damaged", path.display()),
        };
        let aside = set_aside(&path)?;
        let mut history = Self::connect(&path, keeping, now)?;
        let damage = format!("{why}; it was set aside as {}", aside.display());
        history.note_lost(now, 0, &damage)?;
        history.damage = Some(damage);
        Ok(history)
    }

    fn connect(path: &Path, keeping: Keeping, now: i64) -> Result<Self, StoreError> {
        // Made by us, so that nobody else can read it; its companions get its mode.
        folder::file(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let file = Connection::open_with_flags(path, flags)
            .and_then(|file| schema::guard(&file).map(|()| file))
            .map_err(StoreError::sql("open", path))?;
        // What is not ours is left as it is.
        schema::verify(&file, path)?;
        schema::prepare(&file).map_err(StoreError::sql("prepare", path))?;
        schema::migrate(&file, now).map_err(StoreError::sql("prepare", path))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            identity: identity(path),
            keeping,
            swept: None,
            damage: None,
        })
    }

    /// Opens the history in `folder` to be read, by whoever may read it; no beadle need be there.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let nothing = || StoreError::NoHistory {
            folder: folder.to_owned(),
        };
        let folder = match std::fs::canonicalize(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(nothing()),
            other => other.map_err(StoreError::io("find", folder))?,
        };
        let path = folder.join(FILE);
        match path.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(nothing()),
            other => other.map_err(StoreError::io("look at", &path))?,
        };
        let history = Self::peruse(&path, Medium::Usual).or_else(|error| match error.code() {
            // A disk that cannot be written to has nobody else's changes either.
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                Self::peruse(&path, Medium::Unchanging)
            }
            _ => Err(error),
        })?;
        schema::verify(&history.file, &path)?;
        match schema::version(&history.file).map_err(StoreError::sql("read", &path))? {
            // Nothing was ever written to it.
            0 => Err(nothing()),
            _ => Ok(history),
        }
    }

    fn peruse(path: &Path, medium: Medium) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let file = match medium {
            Medium::Usual => Connection::open_with_flags(path, flags),
            Medium::Unchanging => Connection::open_with_flags(
                schema::unchanging(path),
                flags | OpenFlags::SQLITE_OPEN_URI,
            ),
        };
        let file = file
            .and_then(|file| schema::guard(&file).map(|()| file))
            // The first look at the file shows whether it can be read at all.
            .and_then(|file| schema::version(&file).map(|_| file))
            .map_err(StoreError::sql("read", path))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            identity: identity(path),
            keeping: Keeping::default(),
            swept: None,
            damage: None,
        })
    }

    /// Whether the file is still where it was opened: whoever removes it begins it anew.
    pub fn is_there(&self) -> bool {
        identity(&self.path) == self.identity
    }

    /// What was found damaged when it was opened; told once.
    pub fn take_damage(&mut self) -> Option<String> {
        self.damage.take()
    }

    /// How much is kept from now on.
    pub fn settle(&mut self, keeping: Keeping) {
        if keeping != self.keeping {
            self.keeping = keeping;
            self.swept = None;
        }
    }

    /// Keeps pages, all of them or none, and lets go of what is too old. `now` is wall time in milliseconds.
    pub fn keep(&mut self, pages: &[&Page], now: i64) -> Result<(), StoreError> {
        let due = self
            .swept
            .is_none_or(|swept| !(0..SWEEP).contains(&now.saturating_sub(swept)));
        let before = now.saturating_sub(millis(self.keeping.span));
        let written = self.change().and_then(|change| {
            for page in pages {
                page::write(&change, page)?;
            }
            if due {
                forget(&change, before)?;
            }
            change.commit()
        });
        written.map_err(StoreError::sql("write", &self.path))?;
        if due {
            self.swept = Some(now);
        }
        Ok(())
    }

    /// Lets go of the oldest where there is more than is to be kept.
    pub fn make_room(&mut self) -> Result<(), StoreError> {
        self.shrink()
            .map_err(StoreError::sql("make room in", &self.path))
    }

    /// Notes that so many records could not be kept; 0 where nobody can tell.
    pub fn note_lost(&mut self, now: i64, records: u64, because: &str) -> Result<(), StoreError> {
        let noted = self.change().and_then(|change| {
            page::note_lost(&change, now, records, because)?;
            change.execute(
                "DELETE FROM lost WHERE rowid <= (SELECT max(rowid) FROM lost) - ?1",
                params![LOST_KEPT],
            )?;
            change.commit()
        });
        noted.map_err(StoreError::sql("write", &self.path))
    }

    /// Deletes the oldest pages until what is left fits.
    fn shrink(&mut self) -> rusqlite::Result<()> {
        let most = i64::try_from(self.keeping.size.0).unwrap_or(i64::MAX);
        let mut freed = false;
        for _ in 0..ROUNDS {
            if self.used()? <= most {
                break;
            }
            let change = self.change()?;
            let last: Option<i64> = change.query_row(
                "SELECT max(row) FROM (SELECT row FROM page ORDER BY row LIMIT 1 + (SELECT count(*) FROM page) / 8)",
                [],
                |row| row.get(0),
            )?;
            let Some(last) = last else { break };
            let newest: i64 = change.query_row(
                "SELECT max(at) FROM page WHERE row <= ?1",
                params![last],
                |row| row.get(0),
            )?;
            change.execute("DELETE FROM page WHERE row <= ?1", params![last])?;
            forget_the_bare(&change, newest)?;
            change.commit()?;
            freed = true;
        }
        if freed {
            // What was freed goes back to the disk, and the log beside the file with it.
            self.file
                .execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")?;
        }
        Ok(())
    }

    /// A change that has the file to itself from its beginning: one that begins by reading would not wait for others.
    fn change(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.file
            .transaction_with_behavior(TransactionBehavior::Immediate)
    }

    /// Bytes in use.
    fn used(&self) -> rusqlite::Result<i64> {
        let number = |name| self.file.pragma_query_value(None, name, |row| row.get(0));
        let (pages, free, size): (i64, i64, i64) = (
            number("page_count")?,
            number("freelist_count")?,
            number("page_size")?,
        );
        Ok(pages.saturating_sub(free).saturating_mul(size))
    }
}

/// What the file lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    /// It may be written to while we read.
    Usual,
    /// Nobody can write there.
    Unchanging,
}

/// Lets go of all from before this moment.
fn forget(change: &Transaction<'_>, before: i64) -> rusqlite::Result<()> {
    change.execute("DELETE FROM page WHERE at < ?1", params![before])?;
    change.execute("DELETE FROM lost WHERE at < ?1", params![before])?;
    forget_the_bare(change, before.saturating_sub(1))
}

/// Lets go of what belonged to pages that are gone, the newest of them from `newest`, and notes how far all is kept.
fn forget_the_bare(change: &Transaction<'_>, newest: i64) -> rusqlite::Result<()> {
    change.execute(
        "DELETE FROM incident WHERE NOT EXISTS (SELECT 1 FROM page WHERE page.incident = incident.row)",
        [],
    )?;
    change.execute("DELETE FROM process WHERE at <= ?1", params![newest])?;
    change.execute(
        "UPDATE reach SET since = max(since, ?1)",
        params![newest.saturating_add(1)],
    )?;
    Ok(())
}

/// Sets the file aside with its companions, under the first name that is free; after a few, over the last.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = |number: u32| match number {
        1 => folder::beside(path, ".aside"),
        number => folder::beside(path, &format!(".aside{number}")),
    };
    let aside = (1..9)
        .map(name)
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| name(9));
    for end in ["-wal", "-shm"] {
        let (from, to) = (folder::beside(path, end), folder::beside(&aside, end));
        match std::fs::rename(&from, to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("set aside", &from)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    match std::fs::rename(path, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("set aside", path)(error))
        }
        Ok(()) | Err(_) => Ok(aside),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = path.metadata().ok()?;
    Some((found.dev(), found.ino()))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
