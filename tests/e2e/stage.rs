//! Where a test plays: copies of the programs that every user may run, and folders that go away with the last test.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

/// The one stage of this test process while any test needs it.
static STAGE: Mutex<Weak<Stage>> = Mutex::new(Weak::new());

/// A user that nothing else on this machine runs as.
const STRANGER: u32 = 61_613;

/// Another one, whose processes are none of the first one's business.
pub(crate) const OTHER_STRANGER: u32 = 61_614;

/// As whom daemon and villains run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// As whoever runs the tests.
    Me,
    /// As somebody without privileges; only root can become another.
    Stranger,
}

impl User {
    /// The ids to become, where they are not ours.
    pub(crate) fn ids(self) -> Option<u32> {
        match self {
            Self::Me => None,
            Self::Stranger => Some(STRANGER),
        }
    }

    /// The effective user id.
    pub(crate) fn uid(self) -> u32 {
        self.ids()
            .unwrap_or_else(|| rustix::process::geteuid().as_raw())
    }
}

/// Whether we may do everything here.
pub(crate) fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The programs.
pub(crate) struct Stage {
    dir: TempDir,
}

impl Stage {
    /// The stage, set up when nobody is on it.
    pub(crate) fn enter() -> Arc<Self> {
        let mut current = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stage) = current.upgrade() {
            return stage;
        }
        let dir = tempfile::Builder::new()
            .prefix("beadle-e2e-")
            .tempdir()
            .unwrap();
        open_to_all(dir.path());
        let stage = Arc::new(Self { dir });
        copy(&std::env::current_exe().unwrap(), &stage.villain());
        copy(Path::new(env!("CARGO_BIN_EXE_beadle")), &stage.beadle());
        for program in [stage.villain(), stage.beadle()] {
            open_to_all(&program);
        }
        *current = Arc::downgrade(&stage);
        stage
    }

    /// The villain's program.
    pub(crate) fn villain(&self) -> PathBuf {
        self.dir.path().join("villain")
    }

    /// The program under test.
    pub(crate) fn beadle(&self) -> PathBuf {
        self.dir.path().join("beadle")
    }

    /// A folder of its own for a test.
    pub(crate) fn folder(&self, name: &str, user: User) -> TempDir {
        let dir = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(self.dir.path())
            .unwrap();
        open_to_all(dir.path());
        give(dir.path(), user);
        dir
    }
}

/// Everybody may read it, and enter or run it.
pub(crate) fn open_to_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// Hands a file over.
pub(crate) fn give(path: &Path, user: User) {
    if let Some(id) = user.ids() {
        chown(path, Some(id), Some(id)).unwrap();
    }
}

/// Copies a program, and not by our own hand: a child that another test forks meanwhile would keep the copy open for writing,
/// and such a program cannot be run.
pub(crate) fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg(from).arg(to).status();
    assert!(status.unwrap().success(), "cannot copy {}", from.display());
}
