//! The shape of the file, and how older shapes become the present one.
//!
//! **Invariants.** A file of any version up to [`VERSION`] can be brought to it; one of a later version is not touched.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::store::StoreError;

/// The present version, in `user_version`.
const VERSION: i64 = 1;

/// By which `file` and we know it, in `application_id`.
const NAME: i64 = 0x0bea_d1e0;

/// From nothing to version 1. Times are milliseconds of wall time.
const FIRST: &str = "
CREATE TABLE incident (
    row     INTEGER PRIMARY KEY,
    number  INTEGER NOT NULL,
    boot    TEXT NOT NULL,
    began   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    rule    TEXT NOT NULL,
    owner   INTEGER,
    root    INTEGER NOT NULL,
    key     TEXT NOT NULL,
    program TEXT NOT NULL,
    command TEXT NOT NULL,
    closed  TEXT
) STRICT;
CREATE INDEX incident_by_number ON incident (number);
CREATE TABLE page (
    row      INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL REFERENCES incident ON DELETE CASCADE,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    form     INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;
CREATE INDEX page_by_incident ON page (incident);
CREATE INDEX page_by_time ON page (at);
CREATE TABLE process (
    pid      INTEGER NOT NULL,
    incident INTEGER NOT NULL REFERENCES incident ON DELETE CASCADE,
    key      TEXT NOT NULL,
    at       INTEGER NOT NULL,
    program  TEXT NOT NULL,
    part     TEXT NOT NULL,
    signal   TEXT,
    outcome  TEXT,
    because  TEXT,
    PRIMARY KEY (pid, incident, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX process_by_incident ON process (incident);
CREATE TABLE lost (at INTEGER NOT NULL, records INTEGER NOT NULL, because TEXT NOT NULL) STRICT;
CREATE TABLE reach (since INTEGER NOT NULL) STRICT;
";

/// Sets a connection up for writing. Memory is kept small: a few pages a minute are written here.
pub(super) fn prepare(file: &Connection) -> rusqlite::Result<()> {
    // Before anything is written, or it has no effect.
    file.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    file.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    file.pragma_update(None, "synchronous", "FULL")?;
    file.pragma_update(None, "foreign_keys", true)?;
    // Half a MiB beside the file, as a rule.
    file.pragma_update_and_check(None, "wal_autocheckpoint", 128, |_| Ok(()))?;
    file.pragma_update_and_check(None, "journal_size_limit", 512 << 10, |_| Ok(()))
}

/// What protects us from a file that somebody else has made.
pub(super) fn guard(file: &Connection) -> rusqlite::Result<()> {
    file.busy_timeout(super::PATIENCE)?;
    file.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    file.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    file.pragma_update(None, "cell_size_check", true)?;
    // KiB, when negative.
    file.pragma_update(None, "cache_size", -256)
}

/// The version of a file; 0 of an empty one.
pub(super) fn version(file: &Connection) -> rusqlite::Result<i64> {
    file.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses what is not ours, of a later version, or damaged.
pub(super) fn verify(file: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = || -> rusqlite::Result<(i64, i64, String)> {
        let name = file.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let check = file.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        Ok((name, version(file)?, check))
    };
    let (name, version, check) = read().map_err(StoreError::sql("read", path))?;
    match (name, version) {
        (0, 0) | (NAME, 0..=VERSION) if check == "ok" => Ok(()),
        (0, 0) | (NAME, 0..=VERSION) => Err(StoreError::Damaged {
            path: path.to_owned(),
            what: check,
        }),
        (NAME, _) => Err(StoreError::Damaged {
            path: path.to_owned(),
            what: format!("it is of version {version}, this beadle knows {VERSION}"),
        }),
        _ => Err(StoreError::Damaged {
            path: path.to_owned(),
            what: "it is another program's".to_owned(),
        }),
    }
}

/// Brings a file to the present version, step by step. The next version adds its step here.
pub(super) fn migrate(file: &Connection, now: i64) -> rusqlite::Result<()> {
    if version(file)? == VERSION {
        return Ok(());
    }
    let change = Transaction::new_unchecked(file, TransactionBehavior::Immediate)?;
    if version(&change)? < 1 {
        change.execute_batch(FIRST)?;
        change.execute("INSERT INTO reach VALUES (?1)", params![now])?;
        change.pragma_update(None, "application_id", NAME)?;
    }
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}

/// The file's name for SQLite, with the word that nobody changes it.
pub(super) fn unchanging(path: &Path) -> String {
    let mut name = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                name.push(char::from(*byte));
            }
            // Writing to a string cannot fail.
            other => drop(write!(name, "%{other:02X}")),
        }
    }
    name + "?immutable=1"
}
