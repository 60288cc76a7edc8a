//! The test's end of the launcher: villains and canaries are ordered here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::fstat;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

use super::oracle::{Oracle, alive};
use super::stage::User;
use super::villain::{self, BURN, FILE, FORKS, MANNER, NUMBER, OTHER, TRUTH, UNTIL};

/// How long a villain lives at most.
const LIFE: Duration = Duration::from_secs(45);

/// How long a launcher does, unless it is said.
pub(super) const LAUNCHER_LIFE: Duration = Duration::from_secs(180);

/// The process that starts villains, and that daemons are leashed to.
pub(crate) struct Launcher {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    mark: String,
}

impl Launcher {
    /// Starts it as `user` for so long, with `oracle` for its villains to register with.
    pub(crate) fn start(
        program: &Path,
        log: File,
        user: User,
        oracle: &Oracle,
        life: Duration,
    ) -> Self {
        let door = oracle.door();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env(MANNER, "launcher")
            .env(UNTIL, until(life))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some(id) = user.ids() {
            command.uid(id).gid(id);
        }
        let number = door.as_ref().map(AsRawFd::as_raw_fd);
        // SAFETY: dup2 may be called between fork and exec; the door is open until the launcher has started.
        unsafe {
            command.pre_exec(move || match number {
                Some(number) if libc::dup2(number, villain::CGROUP_FD) < 0 => {
                    Err(std::io::Error::last_os_error())
                }
                Some(_) | None => Ok(()),
            });
        }
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mark = oracle.mark().to_owned();
        Self {
            child,
            orders,
            answers,
            mark,
        }
    }

    /// Its number: what leashes are tied to.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn order(&mut self, order: &Value) -> Result<u32, String> {
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{order}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).expect("the launcher is gone");
        match answer["pid"].as_u64() {
            Some(pid) => Ok(u32::try_from(pid).unwrap()),
            None => Err(answer["error"].to_string()),
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // The end of its orders ends it.
        drop(self.orders.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(life: Duration) -> String {
    (villain::now() + u64::try_from(life.as_millis()).unwrap()).to_string()
}

/// An order for a villain.
pub(crate) struct Order {
    program: PathBuf,
    environment: BTreeMap<&'static str, String>,
    arguments: Vec<String>,
    judged: bool,
    number: Option<u32>,
    folder: Option<PathBuf>,
    life: Duration,
}

impl Order {
    /// A villain of this manner.
    pub(crate) fn new(program: &Path, manner: &str) -> Self {
        let environment = BTreeMap::from([(MANNER, manner.to_owned()), (BURN, "500".to_owned())]);
        Self {
            program: program.to_owned(),
            environment,
            arguments: vec!["runaway".to_owned()],
            judged: true,
            number: None,
            folder: None,
            life: LIFE,
        }
    }

    /// Somebody's double who does nothing wrong, outside the tree and outside the oracle.
    pub(crate) fn canary(program: &Path) -> Self {
        Self::bystander(program, "canary")
    }

    /// The same in another manner. It burns nothing.
    pub(crate) fn bystander(program: &Path, manner: &str) -> Self {
        let mut order = Self::new(program, manner).burn(0);
        order.judged = false;
        order
    }

    /// Not a villain of ours but a program with its own arguments.
    pub(crate) fn command(program: &Path, arguments: &[&str]) -> Self {
        let mut order = Self::new(program, "");
        order.environment.remove(MANNER);
        order.arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        order
    }

    /// The CPU milliseconds that its root burns first.
    pub(crate) fn burn(mut self, millis: u32) -> Self {
        self.environment.insert(BURN, millis.to_string());
        self
    }

    /// How often it may fork.
    pub(crate) fn forks(mut self, most: u32) -> Self {
        self.environment.insert(FORKS, most.to_string());
        self
    }

    /// The file of its manner.
    pub(crate) fn file(mut self, path: &Path) -> Self {
        self.environment
            .insert(FILE, path.to_str().unwrap().to_owned());
        self
    }

    /// The other program of its manner.
    pub(crate) fn other(mut self, other: &str) -> Self {
        self.environment.insert(OTHER, other.to_owned());
        self
    }

    /// The number of its manner.
    pub(crate) fn number(mut self, number: impl std::fmt::Display) -> Self {
        self.environment.insert(NUMBER, number.to_string());
        self
    }

    /// Any other variable.
    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.environment.insert(name, value.to_owned());
        self
    }

    /// The folder it starts in.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// How long it lives at most.
    pub(crate) fn life(mut self, life: Duration) -> Self {
        self.life = life;
        self.environment
            .insert("SECONDS", life.as_secs().to_string());
        self
    }

    /// It must bear this process number.
    pub(crate) fn numbered(mut self, pid: u32) -> Self {
        self.number = Some(pid);
        self
    }

    /// Starts it.
    pub(crate) fn start(self, launcher: &mut Launcher) -> Result<Started, String> {
        self.pass(launcher).map(Started::hold)
    }

    /// Starts what may be gone before anybody can take hold of it; its number.
    pub(crate) fn pass(self, launcher: &mut Launcher) -> Result<u32, String> {
        let mut environment = self.environment;
        environment.insert(UNTIL, until(self.life));
        environment.insert("PATH", std::env::var("PATH").unwrap_or_default());
        environment.insert("TERM", "dumb".to_owned());
        environment.insert("PYTHONDONTWRITEBYTECODE", "1".to_owned());
        if self.judged {
            environment.insert(TRUTH, launcher.mark.clone());
        }
        let order = json!({
            "program": self.program,
            "args": self.arguments,
            "env": environment,
            "judged": self.judged,
            "life": self.life.as_secs() + 1,
            "number": self.number,
            "cwd": self.folder,
        });
        launcher.order(&order)
    }
}

/// A process that was started, and a hold on it: it ends with it.
#[must_use]
pub(crate) struct Started {
    /// Its number.
    pub(crate) pid: u32,
    hold: OwnedFd,
    inode: u64,
}

impl Started {
    /// Takes hold of a process that our own villain started.
    pub(crate) fn hold(pid: u32) -> Self {
        let (hold, inode) = identity(pid).expect("a process that was just started");
        Self { pid, hold, inode }
    }

    /// Whether it is still the process it was, and lives.
    pub(crate) fn lives(&self) -> bool {
        let pause = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&self.hold, PollFlags::IN)];
        let unread = poll(&mut fds, Some(&pause)) == Ok(0);
        unread
            && alive(self.pid)
            && identity(self.pid).is_some_and(|(_, inode)| inode == self.inode)
    }

    /// What the kernel calls it among all processes ever.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// Whether every thread of it is stopped.
    pub(crate) fn stopped(&self) -> bool {
        state(self.pid) == Some('T')
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _gone = pidfd_send_signal(&self.hold, Signal::KILL);
    }
}

/// The kernel's letter for the state of a process.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let at = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(at + 2).map(|letter| char::from(*letter))
}

fn identity(pid: u32) -> Option<(OwnedFd, u64)> {
    let number = Pid::from_raw(pid.cast_signed())?;
    let hold = pidfd_open(number, PidfdFlags::empty()).ok()?;
    let inode = fstat(hold.as_fd()).ok()?.st_ino;
    Some((hold, inode))
}
