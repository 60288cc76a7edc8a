//! Exceptions: what rules never mind, because a person said so. One file in the folder of the store, so that it outlives a
//! reboot; plain JSON, so that whoever runs the machine can read it, and mend it.
//!
//! **Invariants.** Whoever reads finds an old file or a new one, whole, and on the disk. A file that is not to be understood is
//! neither set aside nor written over: without it, what people have allowed would be ended.
//!
//! # Why a mistake in it stops the beginning
//! It says what is to be left alone. To go on without it would be to act on what is not known; a rule file with a mistake stops
//! the beginning as well.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::folder::{self, Outlasts};
use super::{Bytes, StoreError};
use crate::engine::answer::{EXCEPTIONS, Exception};
use crate::engine::process::Uid;

/// The file's name.
const FILE: &str = "exceptions.json";

/// More than this is none of ours: each takes at most some KiB.
const LARGEST: u64 = 16 << 20;

/// One exception, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The exception.
    pub exception: Exception,
    /// When it was given, RFC 3339; `None` where somebody wrote it by hand.
    pub since: Option<String>,
}

/// The file, as it is written. Older ones must load for ever.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    exceptions: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    number: u64,
    rule: String,
    owner: u32,
    program: Bytes,
    cwd: Bytes,
    by: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    since: Option<String>,
}

/// Where they are kept.
#[derive(Debug)]
pub struct Exceptions {
    path: PathBuf,
    /// What it held when it was read or written last.
    known: Mutex<Option<Vec<u8>>>,
}

impl Exceptions {
    /// The place in `folder`, which must be ours alone to write.
    pub fn open(folder: &Path, mode: u32) -> Result<Self, StoreError> {
        folder::own(folder, mode)?;
        let path = folder.join(FILE);
        let known = Mutex::default();
        Ok(Self { path, known })
    }

    /// All of them; none where there is no file.
    pub fn read(&self) -> Result<Vec<Kept>, StoreError> {
        let path = &self.path;
        let size = match path.metadata() {
            Ok(found) => found.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.know(None);
                return Ok(Vec::new());
            }
            Err(error) => return Err(StoreError::io("look at", path)(error)),
        };
        let damaged = |what: String| StoreError::Damaged {
            path: path.clone(),
            what,
        };
        if size > LARGEST {
            return Err(damaged(format!("it is larger than {LARGEST} bytes")));
        }
        let text = std::fs::read(path).map_err(StoreError::io("read", path))?;
        let written: Written =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if written.version != 1 {
            return Err(damaged(format!(
                "it is of version {}, which a later beadle writes",
                written.version
            )));
        }
        let all = understood(written.exceptions).map_err(damaged)?;
        self.know(Some(text));
        Ok(all)
    }

    /// Keeps these, all there are, in place of what was kept before. They are on disk when this returns. What somebody has
    /// changed since it was read is left as it is.
    pub fn keep(&self, all: &[Kept]) -> Result<(), StoreError> {
        let written = Written {
            version: 1,
            exceptions: all.iter().map(Line::of).collect(),
        };
        // Numbers and texts: nothing that can fail.
        let mut text = serde_json::to_vec_pretty(&written).unwrap_or_default();
        text.push(b'\n');
        if !self.is_as_known()? {
            let path = self.path.clone();
            return Err(StoreError::Changed { path });
        }
        folder::replace(&self.path, &text, Outlasts::Reboot)?;
        self.know(Some(text));
        Ok(())
    }

    /// Whether the file is what was read or written last. One that is gone holds nothing that could be lost.
    pub fn is_as_known(&self) -> Result<bool, StoreError> {
        let there = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(StoreError::io("read", &self.path)(error)),
        };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.as_ref() == Some(&there))
    }

    fn know(&self, text: Option<Vec<u8>>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// What somebody may have written by hand: numbers are given once, and there are not too many.
fn understood(lines: Vec<Line>) -> Result<Vec<Kept>, String> {
    if lines.len() > EXCEPTIONS {
        return Err(format!("there are more than {EXCEPTIONS} exceptions"));
    }
    let all: Vec<Kept> = lines.into_iter().map(Line::read).collect();
    let mut numbers: Vec<u64> = all.iter().map(|kept| kept.exception.number).collect();
    numbers.sort_unstable();
    match numbers.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(twice) => Err(format!(
            "the number {} is given twice",
            twice.first().copied().unwrap_or_default()
        )),
        None => Ok(all),
    }
}

impl Line {
    fn of(kept: &Kept) -> Self {
        let exception = &kept.exception;
        Self {
            number: exception.number,
            rule: exception.rule.to_string(),
            owner: exception.owner.0,
            program: Bytes::of(&exception.program),
            cwd: Bytes::of(&exception.cwd),
            by: exception.by.0,
            since: kept.since.clone(),
        }
    }

    fn read(self) -> Kept {
        Kept {
            exception: Exception {
                number: self.number,
                rule: Arc::from(self.rule),
                owner: Uid(self.owner),
                program: self.program.read(),
                cwd: self.cwd.read(),
                by: Uid(self.by),
            },
            since: self.since,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::process::Text;
    use crate::store::tiny::Tiny;

    fn kept(number: u64, cwd: &[u8]) -> Kept {
        Kept {
            exception: Exception {
                number,
                rule: Arc::from("pytest"),
                owner: Uid(1000),
                program: Text::new(b"py\x1b[2Jtest".to_vec()),
                cwd: Text::new(cwd.to_vec()),
                by: Uid(1001),
            },
            since: Some("2026-11-22T14:03:07.000+00:00".to_owned()),
        }
    }

    fn open(folder: &Path) -> Exceptions {
        Exceptions::open(folder, 0o700).unwrap()
    }

    #[test]
    fn what_is_kept_is_read_again_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        assert_eq!(open(&folder).read().unwrap(), []);
        let all = [kept(1, b"/home/ann"), kept(7, b"/tmp/\xff\"\n")];
        let exceptions = open(&folder);
        exceptions.keep(&all).unwrap();
        assert_eq!(open(&folder).read().unwrap(), all);
        exceptions.keep(&[]).unwrap();
        assert_eq!(open(&folder).read().unwrap(), []);
    }

    #[test]
    fn what_somebody_else_has_written_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (open(dir.path()), open(dir.path()));
        ours.keep(&[kept(1, b"/a")]).unwrap();
        theirs.read().unwrap();
        theirs.keep(&[kept(2, b"/b")]).unwrap();
        let refused = ours.keep(&[]).unwrap_err();
        assert!(matches!(refused, StoreError::Changed { .. }), "{refused}");
        assert!(refused.to_string().contains("reload"), "{refused}");
        assert_eq!(ours.read().unwrap(), [kept(2, b"/b")]);
        // It is known now, and where somebody took it away there is nothing to lose.
        ours.keep(&[kept(3, b"/c")]).unwrap();
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        ours.keep(&[kept(4, b"/d")]).unwrap();
        assert_eq!(ours.read().unwrap(), [kept(4, b"/d")]);
    }

    #[test]
    fn a_file_of_the_first_version_loads_and_may_be_written_by_hand() {
        let dir = tempfile::tempdir().unwrap();
        let exceptions = open(dir.path());
        std::fs::write(
            dir.path().join(FILE),
            r#"{ "version": 1, "exceptions": [
                 { "number": 3, "rule": "r", "owner": 1000, "program": "p", "cwd": "/", "by": 0, "why": "ours" } ] }"#,
        )
        .unwrap();
        let read = exceptions.read().unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].exception.number, &read[0].since), (3, &None));
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_the_file_stays_as_it_is() {
        let two = r#"{"version":1,"exceptions":[
            {"number":3,"rule":"r","owner":1,"program":"p","cwd":"/","by":0},
            {"number":3,"rule":"s","owner":1,"program":"p","cwd":"/","by":0}]}"#;
        for (text, said) in [
            ("", "EOF"),
            ("{\"version\":1,\n\"exceptions\":[}", "line 2 column"),
            (
                "{\"version\":1,\"exceptions\":[{\"number\":1}]}",
                "missing field `rule`",
            ),
            (
                "{\"version\":2,\"exceptions\":[]}",
                "which a later beadle writes",
            ),
            (two, "the number 3 is given twice"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let exceptions = open(dir.path());
            let path = dir.path().join(FILE);
            std::fs::write(&path, text).unwrap();
            let refused = exceptions.read().unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
            assert!(refused.contains("exceptions.json"), "{refused}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_the_old_file_stays() {
        let tiny = Tiny::make(64 << 10);
        let exceptions = open(tiny.path());
        exceptions.keep(&[kept(1, b"/a")]).unwrap();
        tiny.fill();
        if tiny.is_small() {
            let more = [kept(1, b"/a"), kept(2, b"/b")];
            let refused = exceptions.keep(&more).unwrap_err();
            assert!(
                refused.to_string().starts_with("cannot write "),
                "{refused}"
            );
        }
        tiny.free();
        assert_eq!(exceptions.read().unwrap(), [kept(1, b"/a")]);
    }
}
