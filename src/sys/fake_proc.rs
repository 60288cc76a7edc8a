//! A folder that looks like `/proc`, for tests: with names, files and numbers that no honest kernel would show.
//!
//! Its numbers mean nobody, so readers of it find identity by start ticks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::engine::process::Pid;

/// A procfs of nobody.
pub(crate) struct FakeProc(TempDir);

/// One process in it, or a thread of one.
pub(crate) struct FakeProcess(PathBuf);

/// The fields of a stat line that tests change.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) comm: &'a [u8],
    pub(crate) state: char,
    pub(crate) ppid: u32,
    pub(crate) tty: u32,
    pub(crate) flags: u64,
    pub(crate) ticks: u64,
    pub(crate) threads: u64,
    pub(crate) start: u64,
    pub(crate) rss: u64,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Self {
            comm: b"cat",
            state: 'S',
            ppid: 1,
            tty: 0,
            flags: 0,
            ticks: 12,
            threads: 1,
            start: 1000,
            rss: 10,
        }
    }
}

impl Line<'_> {
    /// The line as the kernel writes it.
    pub(crate) fn bytes(&self, pid: Pid) -> Vec<u8> {
        let mut line = format!("{pid} (").into_bytes();
        line.extend_from_slice(self.comm);
        let Self {
            state,
            ppid,
            tty,
            flags,
            ticks,
            threads,
            start,
            rss,
            ..
        } = self;
        let rest = format!(
            ") {state} {ppid} 7 7 {tty} -1 {flags} 0 0 0 0 {ticks} 0 3 0 20 0 {threads} 0 {start} 4096 {rss} 0\n"
        );
        line.extend_from_slice(rest.as_bytes());
        line
    }
}

impl FakeProc {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// An empty folder of a process.
    pub(crate) fn bare(&self, number: u32) -> FakeProcess {
        let folder = self.path().join(number.to_string());
        fs::create_dir_all(&folder).unwrap();
        FakeProcess(folder)
    }

    /// A process with a stat line.
    pub(crate) fn process(&self, number: u32, line: Line<'_>) -> FakeProcess {
        let line = line.bytes(Pid::new(number).unwrap());
        self.bare(number).file("stat", line)
    }

    pub(crate) fn remove(&self, number: u32) {
        fs::remove_dir_all(self.path().join(number.to_string())).unwrap();
    }
}

impl FakeProcess {
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn link(self, name: &str, target: &str) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    /// A thread of it.
    pub(crate) fn thread(self, tid: u32, line: Line<'_>) -> Self {
        let line = line.bytes(Pid::new(tid).unwrap());
        self.file(&format!("task/{tid}/stat"), line)
    }
}
