//! Processes of our own that play a part: the same program again, under another name.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// What this program is in a process of its own, and for how many seconds at most.
const ROLE: &str = "BEADLE_BENCH_ROLE";
const LIFE: &str = "BEADLE_BENCH_LIFE";

/// A process that plays a part. It ends when this is dropped, or at its time.
pub(crate) struct Helper {
    pub(crate) child: Child,
    /// What it says.
    pub(crate) said: BufReader<ChildStdout>,
    /// Holds the program.
    _folder: TempDir,
}

impl Helper {
    /// Starts one under this name, and waits until it is ready.
    pub(crate) fn start(name: &str, role: &str, life: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(name);
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut child = Command::new(program)
            .env(ROLE, role)
            .env(LIFE, life.as_secs().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut helper = Self {
            child,
            said,
            _folder: folder,
        };
        let mut line = String::new();
        helper.said.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the helper did not begin: {role}");
        helper
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What this process is to play, if it is a helper; from here on it ends at its time. With its life in seconds.
pub(crate) fn role() -> Option<(String, u32)> {
    let role = std::env::var(ROLE).ok()?;
    let life: u32 = std::env::var(LIFE).unwrap().parse().unwrap();
    // SAFETY: touches no memory; the default action ends us.
    unsafe { libc::alarm(life) };
    Some((role, life))
}

/// Says that the play may begin.
pub(crate) fn ready() {
    println!("ready");
    std::io::stdout().flush().unwrap();
}
