//! The daemon under test, as a user would start it, on a leash.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use super::log::Log;
use super::report::Tier;
use super::stage::User;
use super::wait::wait_for;

/// How long the daemon may take to stop.
const PROMPTLY: Duration = Duration::from_secs(5);

/// How to start a daemon.
pub(crate) struct Watch {
    /// The program.
    pub(crate) program: PathBuf,
    /// A folder of its own, that its user may write to.
    pub(crate) folder: PathBuf,
    /// As whom.
    pub(crate) user: User,
    arguments: Vec<OsString>,
    before: Vec<OsString>,
    open_files: Option<u64>,
    variables: Vec<(&'static str, OsString)>,
    says: &'static str,
}

impl Watch {
    /// One that keeps everything of its own in `folder`.
    pub(crate) fn new(program: &Path, folder: &Path, user: User) -> Self {
        let mut watch = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            user,
            arguments: Vec::new(),
            before: Vec::new(),
            open_files: None,
            variables: Vec::new(),
            says: "json",
        };
        watch
            .arguments
            .extend(["watch", "--state"].map(OsString::from));
        watch.arguments.push(folder.join("state").into());
        watch.arguments.push("--socket".into());
        watch.arguments.push(watch.socket().into());
        watch
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("control/socket")
    }

    /// Where its rules are.
    pub(crate) fn rules_file(&self) -> PathBuf {
        self.folder.join("rules.yaml")
    }

    /// Its rules, in the language of rules; the file is `rules_file`.
    pub(crate) fn rules(self, rules: &str) -> Self {
        let file = self.rules_file();
        fs::write(&file, rules).unwrap();
        self.arg("--config").arg(file)
    }

    /// One argument more.
    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The leash.
    pub(crate) fn leash(self, pid: u32) -> Self {
        self.arg("--only-under").arg(pid.to_string())
    }

    /// From where it hears of births.
    pub(crate) fn tier(self, tier: Tier) -> Self {
        self.arg("--tier").arg(tier.word())
    }

    /// A command that runs it, in front of it.
    pub(crate) fn under(mut self, command: &[&str]) -> Self {
        self.before = command.iter().map(OsString::from).collect();
        self
    }

    /// How it speaks: `json` unless said.
    pub(crate) fn says(mut self, how: &'static str) -> Self {
        self.says = how;
        self
    }

    /// A variable of its environment.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The most open files it may have.
    pub(crate) fn open_files(mut self, most: u64) -> Self {
        self.open_files = Some(most);
        self
    }

    /// The words of the command line.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = self.before.clone();
        words.push(self.program.clone().into());
        words.extend(self.arguments.iter().cloned());
        words.extend(["--log", self.says].map(OsString::from));
        words
    }

    /// The command, ready to run.
    pub(crate) fn command(&self) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        plain(&mut command, &self.folder);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        become_user(&mut command, self.user);
        if let Some(most) = self.open_files {
            let limit = libc::rlimit {
                rlim_cur: most,
                rlim_max: most,
            };
            // SAFETY: setrlimit may be called between fork and exec.
            unsafe {
                command.pre_exec(move || {
                    match libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) {
                        0 => Ok(()),
                        _ => Err(std::io::Error::last_os_error()),
                    }
                });
            }
        }
        command
    }

    /// Starts it and waits until it watches.
    pub(crate) fn start(self) -> Daemon {
        let daemon = self.spawn();
        daemon.log.event("start");
        daemon
    }

    /// Starts it, whatever comes of that.
    pub(crate) fn spawn(self) -> Daemon {
        let mut command = self.command();
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        Daemon {
            child,
            log,
            watch: self,
        }
    }

    /// Runs it to its end, for when it must refuse to start.
    pub(crate) fn refused(self) -> (Option<i32>, String) {
        let mut daemon = self.spawn();
        let ended = wait_for("the daemon to refuse", PROMPTLY, || {
            daemon.child.try_wait().unwrap()
        });
        let status = ended.unwrap_or_else(|vain| panic!("{vain}:\n{}", daemon.log.text()));
        // The reader may be a moment behind the end.
        let _ = wait_for("its words", PROMPTLY, || {
            (!daemon.log.text().is_empty()).then_some(())
        });
        (status.code(), daemon.log.text())
    }
}

/// A daemon that runs, or ran.
pub(crate) struct Daemon {
    child: Child,
    /// What it says.
    pub(crate) log: Log,
    /// How it was started.
    pub(crate) watch: Watch,
}

impl Daemon {
    /// Its own number, as it says.
    pub(crate) fn pid(&self) -> u32 {
        let start = self.log.event("start").says;
        u32::try_from(start["daemon"].as_u64().unwrap()).unwrap()
    }

    /// Sends it a signal, on a hold taken while it is known to be ours.
    pub(crate) fn signal(&mut self, signal: Signal) {
        assert_eq!(
            self.child.try_wait().unwrap(),
            None,
            "it is gone:\n{}",
            self.log.text()
        );
        let pid = if self.watch.before.is_empty() {
            self.child.id()
        } else {
            self.pid()
        };
        let number = Pid::from_raw(pid.cast_signed()).unwrap();
        let hold = pidfd_open(number, PidfdFlags::empty()).unwrap();
        assert_eq!(self.child.try_wait().unwrap(), None);
        pidfd_send_signal(hold, signal).unwrap();
    }

    /// Asks it to stop, and waits; it must be prompt.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let ended = wait_for("the daemon to stop", PROMPTLY, || child.try_wait().unwrap());
        ended.unwrap_or_else(|vain| panic!("{vain}:\n{}", self.log.text()))
    }

    /// Asks it a question as the user it runs as.
    pub(crate) fn ask(&self, question: &[&str]) -> Output {
        ask(&self.watch, question, self.watch.user.ids())
    }

    /// Asks it a question as somebody.
    pub(crate) fn ask_as(&self, uid: u32, question: &[&str]) -> Output {
        ask(&self.watch, question, Some(uid))
    }

    /// Runs the program for a question that needs no daemon.
    pub(crate) fn ask_nobody(&self, question: &[&str]) -> Output {
        let mut command = Command::new(&self.watch.program);
        command.args(question);
        plain(&mut command, &self.watch.folder);
        command
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .output()
            .unwrap()
    }

    /// Asks for JSON.
    pub(crate) fn ask_json(&self, question: &[&str]) -> Value {
        let mut words = question.to_vec();
        words.push("--json");
        let output = self.ask(&words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{words:?} gave no JSON ({error}): {text:?}, {output:?}")
        })
    }
}

fn ask(watch: &Watch, question: &[&str], uid: Option<u32>) -> Output {
    let mut command = Command::new(&watch.program);
    command.args(question).arg("--socket").arg(watch.socket());
    plain(&mut command, &watch.folder);
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    command
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .output()
        .unwrap()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            if std::thread::panicking() {
                eprintln!("the daemon said:\n{}", self.log.text());
            }
            self.signal(Signal::TERM);
            let child = &mut self.child;
            let _ = wait_for("the daemon's end", PROMPTLY, || {
                child.try_wait().ok().flatten()
            });
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing of the tester's own settings reaches the program.
pub(crate) fn plain(command: &mut Command, home: &Path) {
    command
        .stdin(Stdio::null())
        .stdout(File::create("/dev/null").unwrap())
        .current_dir("/")
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", home);
}

/// The program runs as this user.
pub(crate) fn become_user(command: &mut Command, user: User) {
    if let Some(id) = user.ids() {
        command.uid(id).gid(id);
    }
}
