//! The daemon that is measured. It runs in mode `observe`: it signals nothing.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// What every rule file begins with.
const HEAD: &str = "version: 1
mode: observe
interval: 1s
nudge: { desktop: false, journal: false }
rules:
";

/// A daemon that watches. It is ended when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    /// The first line of its log.
    pub(crate) start: Value,
}

impl Daemon {
    /// Starts one under this rule and waits until it watches. All that it keeps goes into this folder.
    pub(crate) fn watch(folder: &Path, rule: &str, options: &[&str]) -> Self {
        let rules = folder.join("rules.yaml");
        fs::write(&rules, format!("{HEAD}{rule}")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_beadle"))
            .arg("watch")
            .arg("--config")
            .arg(&rules)
            .arg("--state")
            .arg(folder.join("state"))
            .arg("--socket")
            .arg(socket(folder))
            .args(["--log", "json"])
            .args(options)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let start: Value = serde_json::from_str(&line).unwrap_or_default();
        assert_eq!(start["event"], "start", "the daemon did not start: {line}");
        // What it says later must go somewhere.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Self { child, start }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the daemon of this folder is asked.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("control/socket")
}
