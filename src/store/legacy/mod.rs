//! What is left to the next beadle of this boot: one file, by default in memory (`/run`), where a reboot clears it along with
//! the processes it speaks of.
//!
//! **Invariants.** Whoever reads finds an old file or a new one, whole. Nothing of another boot is ever read: identities
//! and moments mean nothing there.
//!
//! # Why nothing is synced
//! What must survive is the death of beadle, not of the machine.

mod form;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use self::form::Written;
use super::StoreError;
use super::folder::{self, Outlasts};
use crate::engine::legacy::Legacy;

/// More than this is none of ours.
const LARGEST: u64 = 64 << 20;

/// Where it is left.
#[derive(Debug)]
pub struct Shelf {
    path: PathBuf,
    boot: String,
}

impl Shelf {
    /// Opens the place, and tells what was left there in this boot. What is not to be understood is set aside.
    pub fn open(path: &Path, boot: &str) -> Result<(Self, Option<Legacy>), StoreError> {
        let shelf = Self {
            path: path.to_owned(),
            boot: boot.trim().to_owned(),
        };
        let size = match path.metadata() {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((shelf, None)),
            Err(error) => return Err(StoreError::io("look at", path)(error)),
        };
        let text = if size <= LARGEST {
            std::fs::read(path).map_err(StoreError::io("read", path))?
        } else {
            Vec::new()
        };
        match serde_json::from_slice::<Written>(&text) {
            Ok(written) if written.version == 1 && written.boot == shelf.boot => {
                Ok((shelf, Some(written.read())))
            }
            // Of an earlier boot.
            Ok(written) if written.version == 1 => Ok((shelf, None)),
            Ok(_) | Err(_) => {
                folder::set_aside(path)?;
                Ok((shelf, None))
            }
        }
    }

    /// Leaves this instead of what was left before.
    pub fn leave(&self, legacy: &Legacy) -> Result<(), StoreError> {
        let written = Written::of(legacy, &self.boot);
        // Numbers, strings and lists of them: nothing that can fail.
        let mut text = serde_json::to_vec(&written).unwrap_or_default();
        text.push(b'\n');
        folder::replace(&self.path, &text, Outlasts::Us)
    }
}
