//! Folders of our own, and files in them that no link leads away from.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
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

/// What a file must outlast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlasts {
    /// A reboot: it is on disk when it is said to be there.
    Reboot,
    /// Us alone: it means nothing after a reboot.
    Us,
}

/// Puts a new file in the place of the old one: whoever reads finds either, whole.
pub(super) fn replace(path: &Path, text: &[u8], outlasts: Outlasts) -> Result<(), StoreError> {
    let draft = beside(path, ".new");
    let put = || {
        let mut file = file(&draft)?;
        file.set_len(0)
            .and_then(|()| file.write_all(text))
            .and_then(|()| match outlasts {
                Outlasts::Reboot => file.sync_all(),
                Outlasts::Us => Ok(()),
            })
            .map_err(StoreError::io("write", &draft))?;
        std::fs::rename(&draft, path).map_err(StoreError::io("replace", path))
    };
    put().inspect_err(|_| {
        // Half a draft is of no use; the next one is written over it anyway.
        let _ = std::fs::remove_file(&draft);
    })
}

/// The name of a file beside this one.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
