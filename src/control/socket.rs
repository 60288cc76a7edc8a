//! Where daemon and client meet, and how a daemon makes sure that it is the only one there.
//!
//! **Invariants.** Whoever holds the lock beside the socket owns the place; only the holder removes or makes the
//! socket. The lock is the kernel's (`flock`), so it ends with the process whatever way that goes: a socket
//! without a holder is stale and taken over. The lock file stays, for removing it would let two hold "the" lock.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::engine::process::Uid;

/// The machine's own daemon listens here.
const MACHINE: &str = "/run/beadle/socket";

/// Who may connect. What they may see and do is decided by who they are, not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: the machine's daemon.
    Everyone,
    /// One user: that user's daemon.
    Owner,
}

impl Access {
    /// What a daemon of this user grants.
    pub const fn of(daemon: Uid) -> Self {
        match daemon {
            Uid::ROOT => Self::Everyone,
            Uid(_) => Self::Owner,
        }
    }

    const fn socket(self) -> u32 {
        match self {
            Self::Everyone => 0o666,
            Self::Owner => 0o600,
        }
    }

    const fn folder(self) -> u32 {
        match self {
            Self::Everyone => 0o755,
            Self::Owner => 0o700,
        }
    }
}

/// Where a daemon of this user listens. `runtime` is `$XDG_RUNTIME_DIR`; without it a folder in `/tmp` that must
/// be this user's own.
pub fn path(daemon: Uid, runtime: Option<&Path>) -> PathBuf {
    match (daemon, runtime) {
        (Uid::ROOT, _) => PathBuf::from(MACHINE),
        (_, Some(runtime)) => runtime.join("beadle/socket"),
        (Uid(id), None) => PathBuf::from(format!("/tmp/beadle-{id}/socket")),
    }
}

/// Where a client of this user looks: at its own daemon first, then at the machine's.
pub fn candidates(client: Uid, runtime: Option<&Path>) -> Vec<PathBuf> {
    let mut all = vec![path(client, runtime)];
    if client != Uid::ROOT {
        all.push(PathBuf::from(MACHINE));
    }
    all
}

/// The place, held: one daemon a socket.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Held, not used: closing it gives the place away.
    _lock: File,
}

/// Why the place cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another daemon has it.
    #[error(
        "another beadle{} holds {}: stop it, or give this one a place of its own with --socket",
        holder.map(|pid| format!(", pid {pid},")).unwrap_or_default(),
        path.display()
    )]
    Busy {
        /// Who, when it said so.
        holder: Option<u32>,
        /// Where.
        path: PathBuf,
    },
    /// The folder is somebody else's, who could put another socket there.
    #[error(
        "the folder {} belongs to user {owner}, who could answer in our stead: name another place with --socket",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Something that is no socket is there.
    #[error("{} exists and is no socket: move it away, or name another place with --socket", path.display())]
    NoSocket {
        /// What.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen at {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Claim {
    /// Takes the place for `daemon` (ourselves), makes its folder when missing, and listens; non-blocking.
    pub fn take(
        path: &Path,
        daemon: Uid,
        access: Access,
    ) -> Result<(Self, UnixListener), ClaimError> {
        let failed = |source| ClaimError::Io {
            path: path.to_owned(),
            source,
        };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        };
        match DirBuilder::new().mode(access.folder()).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => {}
        }
        let owner = folder.metadata().map_err(failed)?.uid();
        if owner != daemon.0 && owner != Uid::ROOT.0 {
            return Err(ClaimError::Foreign {
                path: folder.to_owned(),
                owner,
            });
        }
        let lock = locked(path)?;
        match path.symlink_metadata() {
            Ok(found) if found.file_type().is_socket() => {
                // Stale: its holder would have the lock.
                std::fs::remove_file(path).map_err(failed)?;
            }
            Ok(_) => {
                return Err(ClaimError::NoSocket {
                    path: path.to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let claim = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        std::fs::set_permissions(path, Permissions::from_mode(access.socket()))
            .and_then(|()| listener.set_nonblocking(true))
            .map_err(failed)?;
        Ok((claim, listener))
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A socket that stays is stale and taken over by the next daemon: nothing is lost if this fails.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Holds the lock beside the socket, with our number in it for the next who wants it.
fn locked(socket: &Path) -> Result<File, ClaimError> {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let failed = |source| ClaimError::Io {
        path: path.clone(),
        source,
    };
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(&path)
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut said = String::new();
            // Numbers are short; whatever else is in there is not read to its end.
            let read = (&mut lock).take(16).read_to_string(&mut said);
            return Err(ClaimError::Busy {
                holder: read.ok().and_then(|_| said.trim().parse().ok()),
                path: socket.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    lock.set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Uid {
        Uid(rustix::process::geteuid().as_raw())
    }

    #[test]
    fn one_daemon_a_place_and_the_second_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("b/socket");
        let (claim, _listener) = Claim::take(&place, me(), Access::Owner).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place), 0o600);
        assert_eq!(mode(place.parent().unwrap()), 0o700);
        let refused = Claim::take(&place, me(), Access::Owner).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains(&format!("pid {}", std::process::id())),
            "{text}"
        );
        assert!(text.contains("b/socket"), "{text}");
        drop(claim);
        assert!(!place.exists());
        Claim::take(&place, me(), Access::Everyone).unwrap();
    }

    #[test]
    fn a_stale_socket_is_taken_over_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let stale = dir.path().join("stale");
        drop(UnixListener::bind(&stale).unwrap());
        assert!(stale.exists());
        let (_claim, _listener) = Claim::take(&stale, me(), Access::Owner).unwrap();
        std::os::unix::net::UnixStream::connect(&stale).unwrap();
        let file = dir.path().join("letters");
        std::fs::write(&file, "dear").unwrap();
        let refused = Claim::take(&file, me(), Access::Owner).unwrap_err();
        assert!(matches!(refused, ClaimError::NoSocket { .. }));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "dear");
    }

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        std::fs::write(&precious, "keep").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join("socket.lock")).unwrap();
        Claim::take(&dir.path().join("socket"), me(), Access::Owner).unwrap_err();
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep");
    }

    #[test]
    fn a_users_client_looks_at_its_own_daemon_first() {
        let found = candidates(Uid(7), Some(Path::new("/run/user/7")));
        assert_eq!(
            found,
            ["/run/user/7/beadle/socket", MACHINE].map(PathBuf::from)
        );
        assert_eq!(candidates(Uid::ROOT, None), [PathBuf::from(MACHINE)]);
        assert_eq!(path(Uid(7), None), PathBuf::from("/tmp/beadle-7/socket"));
    }
}
