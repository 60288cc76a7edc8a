//! `beadle run`: a command as if beadle were not there, until it goes over its budget; and nobody left behind.

mod budgets;
mod job;
mod leftovers;
mod preflight;
mod streams;

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::daemon::become_user;
use super::oracle::Oracle;
use super::report::Tier;
use super::stage::{Stage, User, root};
use super::villain::TRUTH;

/// Where a command is run under guard. Who of it lives is told by a control group that beadle is in too, or by a mark.
struct Ground {
    stage: Arc<Stage>,
    oracle: Oracle,
    user: User,
}

/// Signals that a command heeds, or not, by what it was started with.
const HEEDED: [i32; 11] = [
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGPIPE,
    libc::SIGCHLD,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

impl Ground {
    fn new() -> Self {
        Self::of(User::Me)
    }

    fn of(user: User) -> Self {
        Self {
            stage: Stage::enter(),
            oracle: Oracle::new(),
            user,
        }
    }

    /// `beadle run` with these arguments.
    fn run(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.stage.beadle());
        command.arg("run").args(args);
        self.prepare(&mut command);
        command
    }

    /// The same in a tier.
    fn run_in(&self, tier: Tier, args: &[&str]) -> Command {
        let all = [&["--tier", tier.word()], args].concat();
        self.run(&all)
    }

    fn prepare(&self, command: &mut Command) {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir("/")
            .env(TRUTH, self.oracle.mark());
        let door = self.oracle.door();
        // SAFETY: a write of bytes that live for ever, and a change of dispositions, may be made between fork and exec.
        unsafe {
            command.pre_exec(move || {
                // As a shell at a terminal starts programs: whoever started the tests may ignore Ctrl-C, as what runs in the background
                // does, or hang-ups, under `nohup`.
                for signal in HEEDED {
                    libc::signal(signal, libc::SIG_DFL);
                }
                if let Some(door) = &door {
                    libc::write(door.as_raw_fd(), c"0".as_ptr().cast(), 1);
                }
                Ok(())
            });
        }
        become_user(command, self.user);
    }

    /// The control groups of runs that are there.
    fn groups(&self) -> Vec<std::path::PathBuf> {
        let all = std::fs::read_dir(self.oracle.path("")).unwrap();
        let all = all.map(|entry| entry.unwrap().path());
        let of_a_run = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("beadle-run-")
        };
        all.filter(of_a_run).collect()
    }

    /// Nobody of it lives, by the oracle.
    #[track_caller]
    fn is_left_empty(&self) {
        assert!(self.oracle.is_empty(), "alive: {:?}", self.oracle.living());
    }
}

/// No control group of a run outlives it.
impl Drop for Ground {
    fn drop(&mut self) {
        if !root() || std::thread::panicking() {
            return;
        }
        let left = self.groups();
        assert!(left.is_empty(), "control groups are left: {left:?}");
    }
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The report, which was the last line of standard output.
#[track_caller]
fn report(output: &Output) -> Value {
    let text = out(output);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|_| panic!("no report: {text}\n{}", err(output)))
}

/// Sends a signal to a child of ours.
fn send(child: &Child, signal: i32) {
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: our own child, which is not waited for yet.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Reads a line that a child says.
fn line(child: &mut Child) -> String {
    let mut text = Vec::new();
    let out = child.stdout.as_mut().unwrap();
    let mut byte = [0];
    let patience = Timespec::try_from(Duration::from_secs(45)).unwrap();
    let says = |out: &ChildStdout| {
        let mut fds = [PollFd::new(out, PollFlags::IN)];
        poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
    };
    loop {
        assert!(
            says(out),
            "nothing more came after {:?}",
            String::from_utf8_lossy(&text)
        );
        if std::io::Read::read(out, &mut byte).unwrap() == 0 || byte == *b"\n" {
            break;
        }
        let _ = text.write(&byte);
    }
    String::from_utf8(text).unwrap()
}
