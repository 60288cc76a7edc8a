//! Folders of our own, and files in them that no link leads away from.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Makes a folder, with those above it, where it is missing; it must be ours and nobody else's to write.
pub(super) fn own(path: &Path, mode: u32) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(StoreError::io("make", path))?;
    let found = path.metadata().map_err(StoreError::io("look at", path))?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if ours && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(StoreError::Foreign {
        path: path.to_owned(),
        owner: found.uid(),
    })
}

/// Opens a file of ours for reading and writing, made when missing.
pub(super) fn file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .map_err(StoreError::io("open", path))
}

/// A file that nobody else may hold at the same time. The kernel ends the lock with us, whatever way that goes.
#[derive(Debug)]
pub(super) struct Locked(File);

impl Locked {
    /// Takes hold of a file.
    pub(super) fn take(file: File, path: &Path) -> Result<Self, StoreError> {
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(StoreError::io("lock", path)(source)),
        }
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough while a child that was just forked, and has not run exec yet, has the file too.
        let _ = self.0.unlock();
    }
}

/// Sets a file aside under another name, over what was set aside before.
pub(super) fn set_aside(path: &Path) -> Result<(), StoreError> {
    std::fs::rename(path, beside(path, ".aside")).map_err(StoreError::io("set aside", path))
}

/// The name of a file beside this one.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
