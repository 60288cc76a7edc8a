//! The folder of one process, and reading what is in it.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, readlinkat, statat};

use crate::engine::facts::{Place, Read};
use crate::engine::process::Text;
use crate::engine::snapshot::Why;
use crate::sys::procfs::{Entry, Missing, Procfs, file_in, read_long};

/// What the kernel appends to the path of something that was unlinked.
const DELETED: &[u8] = b" (deleted)";

/// `/proc/PID`, or `/proc/PID/task/TID`, held open: all that is read through it is of one process.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Folder {
    pub(super) fn open(proc: &Procfs, entry: &Entry) -> Result<Self, Missing> {
        proc.folder(entry).map(Self)
    }

    /// Opens a file of it.
    pub(super) fn file(&self, name: &str) -> Result<OwnedFd, Missing> {
        file_in(&self.0, name.as_bytes())
    }

    /// At most `most` bytes of a file.
    pub(super) fn read(&self, name: &str, most: usize) -> Result<Vec<u8>, Missing> {
        let mut text = Vec::new();
        read_long(self.file(name)?, &mut text, most)?;
        Ok(text)
    }

    /// Where a link leads.
    pub(super) fn place(&self, name: &str) -> Result<Place, Missing> {
        let target = readlinkat(&self.0, name, Vec::new())?.into_bytes();
        let Some(path) = target.strip_suffix(DELETED) else {
            return Ok(Place {
                path: Text::new(target),
                deleted: false,
            });
        };
        // A file may be *named* so. Then the name leads to the very thing that the link does.
        let named = statat(CWD, target.as_slice(), AtFlags::empty());
        let linked = statat(&self.0, name, AtFlags::empty());
        let honest = match (named, linked) {
            (Ok(named), Ok(linked)) => {
                (named.st_dev, named.st_ino) == (linked.st_dev, linked.st_ino)
            }
            (Ok(_) | Err(_), _) => false,
        };
        Ok(Place {
            path: Text::new(if honest { target.as_slice() } else { path }),
            deleted: !honest,
        })
    }
}

/// The answer that a failed read comes to.
pub(super) fn answer<T>(read: Result<T, Missing>) -> Read<T> {
    match read {
        Ok(value) => Read::Known(value),
        Err(Missing::Gone) => Read::Gone,
        Err(Missing::Unread(Why::Denied)) => Read::Denied,
        // We ran out of something; asked again later.
        Err(Missing::Unread(Why::Short)) => Read::Late,
    }
}
