//! Incident numbers: never given out twice by one store.
//!
//! The file holds the first number that was not reserved. Numbers are reserved in blocks, before any of them is used, so
//! a beadle that dies leaves a hole of less than [`BLOCK`] and nothing else; and a disk that is full now stops nothing
//! until a block is used up.
//!
//! # When nothing can be kept
//! Numbers are taken from the wall clock, in milliseconds of this era: larger than a store counts to, and larger than
//! those of an earlier time. Nobody can *promise* then that no number comes twice; it would take two clocks that
//! disagree, or a thousand incidents a second.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::folder::{self, Locked, Outlasts};

/// So many numbers are reserved at a time.
pub const BLOCK: u64 = 64;

/// The file, as it is written. Older ones must load for ever.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    next: u64,
}

/// The numbers of one store, held by one beadle at a time.
#[derive(Debug)]
pub struct Numbers {
    path: PathBuf,
    /// Held, not used.
    _lock: Locked,
}

/// A block of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first that may be used.
    pub first: u64,
    /// The first that may not.
    pub end: u64,
}

impl Numbers {
    /// Opens the store in `folder`, and reserves a first block. Where the file is not to be understood it is set aside, and
    /// numbers go on from `otherwise`.
    pub fn open(folder: &Path, mode: u32, otherwise: u64) -> Result<(Self, Block), StoreError> {
        folder::own(folder, mode)?;
        let lock_path = folder.join("lock");
        let lock = Locked::take(folder::file(&lock_path)?, folder)?;
        let path = folder.join("incidents.json");
        let first = match std::fs::read(&path) {
            Ok(text) => {
                if let Some(next) = understood(&text) {
                    next
                } else {
                    folder::set_aside(&path)?;
                    otherwise
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 1,
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let numbers = Self { path, _lock: lock };
        let block = numbers.reserve(first)?;
        Ok((numbers, block))
    }

    /// Reserves the block that begins at `first`. It is on disk when this returns.
    pub fn reserve(&self, first: u64) -> Result<Block, StoreError> {
        let end = first.saturating_add(BLOCK);
        let written = Written {
            version: 1,
            next: end,
        };
        // A struct of two numbers: nothing that can fail.
        let mut text = serde_json::to_vec(&written).unwrap_or_default();
        text.push(b'\n');
        folder::replace(&self.path, &text, Outlasts::Reboot)?;
        Ok(Block { first, end })
    }
}

/// The next number, where the file says so in a way we know.
fn understood(text: &[u8]) -> Option<u64> {
    let written: Written = serde_json::from_slice(text).ok()?;
    (written.version == 1).then_some(written.next.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tiny::Tiny;

    const CLOCK: u64 = 1_790_000_000_000;

    fn open(folder: &Path) -> Result<(Numbers, Block), StoreError> {
        Numbers::open(folder, 0o700, CLOCK)
    }

    #[test]
    fn no_number_is_given_out_twice() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let (numbers, one) = open(&folder).unwrap();
        assert_eq!(one, Block { first: 1, end: 65 });
        let two = numbers.reserve(one.end).unwrap();
        drop(numbers);
        let (_numbers, three) = open(&folder).unwrap();
        assert_eq!(three.first, two.end);
    }

    #[test]
    fn one_beadle_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let (first, _) = open(&folder).unwrap();
        let refused = open(&folder).unwrap_err();
        assert!(matches!(refused, StoreError::Busy { .. }), "{refused}");
        drop(first);
        open(&folder).unwrap();
    }

    #[test]
    fn what_is_not_understood_is_set_aside() {
        let texts: [&[u8]; 6] = [
            b"",
            b"\xff\0\0",
            b"{\"version\":1",
            b"{\"version\":2,\"next\":5}",
            b"{\"version\":1,\"next\":-5}",
            b"[[[[",
        ];
        for text in texts {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("state");
            drop(open(&folder).unwrap());
            let path = folder.join("incidents.json");
            std::fs::write(&path, text).unwrap();
            let (numbers, block) = open(&folder).unwrap();
            assert_eq!(block.first, CLOCK);
            let aside = std::fs::read(folder.join("incidents.json.aside")).unwrap();
            assert_eq!(aside, text);
            drop(numbers);
            // From now on it counts on from there.
            assert_eq!(open(&folder).unwrap().1.first, CLOCK + BLOCK);
        }
    }

    #[test]
    fn a_file_of_the_first_version_loads() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        drop(open(&folder).unwrap());
        std::fs::write(
            folder.join("incidents.json"),
            "{\"version\":1,\"next\":4711,\"later\":true}\n",
        )
        .unwrap();
        assert_eq!(open(&folder).unwrap().1.first, 4711);
    }

    #[test]
    fn a_full_disk_is_an_error_and_not_the_end() {
        let tiny = Tiny::make(64 << 10);
        let (numbers, block) = open(tiny.path()).unwrap();
        tiny.fill();
        if tiny.is_small() {
            let refused = numbers.reserve(block.end).unwrap_err();
            assert!(
                refused.to_string().starts_with("cannot write "),
                "{refused}"
            );
        }
        tiny.free();
        // Half a draft is not in the way, and the old file was never touched.
        assert_eq!(numbers.reserve(block.end).unwrap().end, 129);
        drop(numbers);
        assert_eq!(open(tiny.path()).unwrap().1.first, 129);
    }

    #[test]
    fn a_folder_open_to_others_or_a_link_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        let refused = open(&folder).unwrap_err();
        assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        let precious = dir.path().join("precious");
        std::fs::write(&precious, "keep").unwrap();
        std::os::unix::fs::symlink(&precious, folder.join("incidents.json.new")).unwrap();
        open(&folder).unwrap_err();
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep");
    }
}
