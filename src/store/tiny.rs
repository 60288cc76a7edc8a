//! A disk that is soon full, for tests: a small tmpfs where we may mount one, else a folder that can lose its files.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

pub(super) struct Tiny {
    dir: TempDir,
    mounted: bool,
}

impl Tiny {
    pub(super) fn make(bytes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={bytes},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tiny"]);
        let mounted = mount.arg(dir.path()).output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        Self { dir, mounted }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Whether it really is a disk of its own.
    pub(super) fn is_small(&self) -> bool {
        self.mounted
    }

    /// Leaves not a block free.
    pub(super) fn fill(&self) {
        if !self.mounted {
            return;
        }
        let mut file = std::fs::File::create(self.path().join("filler")).unwrap();
        while file.write(&[b'x'; 4096]).is_ok_and(|count| count > 0) {}
    }

    pub(super) fn free(&self) {
        let _ = std::fs::remove_file(self.path().join("filler"));
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        if self.mounted {
            let done = Command::new("umount").arg(self.path()).status();
            assert!(done.unwrap().success());
        }
    }
}
