//! Reading at the last moment whether a process carries the label of a job.
//!
//! **Invariants.** Whoever asks waits [`PATIENCE`] at most. What is read by number is true of the process that the asker holds,
//! if that one lives afterwards; that is the asker's to see to. Of an environment nothing leaves this file but the answer.
//!
//! # Why a thread of its own
//! A process that holds its own memory map locked makes the reader of its environment wait, perhaps for ever. Whoever carries
//! out acts may not. A reader that does not come back is left where it is, and another one hired; of processes that somebody
//! is stuck at nothing is known, and they get no signal.

use std::fs::File;
use std::io::Read as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::glimpse;
use super::learner::cgroup;
use super::status::Status;
use crate::engine::label::{Badge, Carries, Label};
use crate::engine::process::{Pid, Text, Uid};

/// How long an answer is waited for: reading takes some millionths of a second.
const PATIENCE: Duration = Duration::from_millis(40);
/// How many readers may be stuck before nobody is asked any more.
const MOST_STUCK: usize = 8;
/// What is read of an environment.
const MOST: u64 = 4 << 20;
/// So many threads are looked at.
const THREADS: usize = 16;
/// In the midst of an exec a process shows none: so often it is looked at again,
const AGAIN: u32 = 4;
/// after so long each time.
const PAUSE: Duration = Duration::from_millis(1);
/// Stack of a reader: it reads a file into memory.
const STACK: usize = 128 << 10;

/// Whom it is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// The warrant names it: everybody knows what it runs.
    Named,
    /// It was found in the act. A person may be at it.
    Found,
}

/// Asks, and waits for the answer a short while.
#[derive(Debug, Default)]
pub(super) struct Prover {
    desk: Option<Desk>,
    /// Processes that a reader did not come back from.
    stuck: Vec<Pid>,
}

#[derive(Debug)]
struct Desk {
    questions: Sender<(Pid, Whom, Label)>,
    answers: Receiver<Carries>,
}

impl Prover {
    /// Whether the process with this number carries the label now. [`Carries::Unknown`] is no answer in time too.
    pub(super) fn ask(&mut self, pid: Pid, whom: Whom, label: &Label) -> Carries {
        if self.stuck.contains(&pid) || self.stuck.len() >= MOST_STUCK {
            return Carries::Unknown;
        }
        let Some(desk) = self.desk.take().or_else(hire) else {
            return Carries::Unknown;
        };
        if desk.questions.send((pid, whom, label.clone())).is_err() {
            return Carries::Unknown;
        }
        let Ok(answer) = desk.answers.recv_timeout(PATIENCE) else {
            self.stuck.push(pid);
            return Carries::Unknown;
        };
        self.desk = Some(desk);
        answer
    }

    /// Nothing is under way any more: whoever was stuck may be asked about again.
    pub(super) fn rest(&mut self) {
        self.desk = None;
        self.stuck.clear();
    }
}

fn hire() -> Option<Desk> {
    let (questions, asked) = channel::<(Pid, Whom, Label)>();
    let (tell, answers) = channel();
    let reader = move || {
        for (pid, whom, label) in asked {
            if tell.send(carries(pid, whom, &label)).is_err() {
                return;
            }
        }
    };
    let builder = thread::Builder::new().name("prover".to_owned());
    builder.stack_size(STACK).spawn(reader).ok()?;
    Some(Desk { questions, answers })
}

fn carries(pid: Pid, whom: Whom, label: &Label) -> Carries {
    if whom == Whom::Found && may_be_a_persons(pid) {
        // For this time: it will be known what it is.
        return Carries::Another;
    }
    if !is_owned_by(pid, label.owner) {
        return Carries::Unknown;
    }
    match &label.badge {
        Badge::Variable { name, value } => carries_variable(pid, name, value),
        Badge::Cgroup { id, path } => {
            let read = || std::fs::read(format!("/proc/{pid}/cgroup")).ok();
            let Some(file) = read() else {
                return Carries::Unknown;
            };
            match cgroup::identity(&file, read) {
                Some(found) if found == *id => Carries::It,
                Some(_) => Carries::Another,
                // Where it is cannot be told, but that it is not there.
                None if cgroup::path(&file).is_some_and(|shown| shown != *path) => Carries::Another,
                None => Carries::Unknown,
            }
        }
    }
}

fn carries_variable(pid: Pid, name: &str, value: &Text) -> Carries {
    for _ in 0..AGAIN {
        let Some(environment) = environment(pid) else {
            return Carries::Unknown;
        };
        if !environment.is_empty() {
            return found_in(&environment, name, value);
        }
        park();
    }
    Carries::Another
}

/// A moment's rest.
fn park() {
    let (_keep, never) = channel::<()>();
    let _ = never.recv_timeout(PAUSE);
}

/// Somebody has opened a terminal there: what runs in it must have been looked at before.
fn may_be_a_persons(pid: Pid) -> bool {
    let leads = glimpse::stat(&format!("/proc/{pid}/stat"), |stat| {
        stat.tty != 0 && Pid::new(stat.session) == Some(pid)
    });
    leads.unwrap_or(true)
}

/// Whether a process is this user's. The owner of its folder is no measure: it is root for whoever may not be looked into.
fn is_owned_by(pid: Pid, owner: Uid) -> bool {
    let status = std::fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    Status::new(&status).and_then(Status::owner) == Some(owner)
}

/// The environment of a process; `None` where it cannot be read.
fn environment(pid: Pid) -> Option<Vec<u8>> {
    match read(&format!("/proc/{pid}/environ")) {
        Some(environment) if !environment.is_empty() => Some(environment),
        // Where the first thread has ended, the others show it.
        none => of_another_thread(pid).or(none),
    }
}

/// What another thread than the first shows, where one shows anything.
fn of_another_thread(pid: Pid) -> Option<Vec<u8>> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let threads = threads.flatten().take(THREADS);
    let mut shown = threads.filter_map(|thread| {
        let file = thread.path().join("environ");
        read(file.to_str()?)
    });
    shown.find(|environment| !environment.is_empty())
}

fn read(file: &str) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(file).ok()?;
    file.take(MOST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Where a variable is set twice, the first counts, as it does to `getenv`.
fn found_in(environment: &[u8], name: &str, value: &Text) -> Carries {
    let mut set = environment.split(|byte| *byte == 0);
    let found = set.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    if found == Some(value.bytes()) {
        Carries::It
    } else {
        Carries::Another
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::sys::villain::Leaderless;

    fn label(value: &str) -> Label {
        Label {
            badge: Badge::Variable {
                name: "BEADLE_JOB".into(),
                value: Text::from(value),
            },
            owner: Uid(rustix::process::geteuid().as_raw()),
        }
    }

    fn sleeper(value: &str) -> (Child, Pid) {
        let child = Command::new("sleep")
            .arg("20")
            .env("BEADLE_JOB", value)
            .spawn()
            .unwrap();
        let pid = Pid::new(child.id()).unwrap();
        (child, pid)
    }

    #[test]
    fn only_the_same_value_of_the_same_user_counts() {
        let (mut child, pid) = sleeper("7");
        let mut prover = Prover::default();
        let mut ask = |label: &Label| prover.ask(pid, Whom::Named, label);
        assert_eq!(ask(&label("7")), Carries::It);
        for other in ["", "70", "8"] {
            assert_eq!(ask(&label(other)), Carries::Another, "{other}");
        }
        let other = Label {
            owner: Uid(12_345),
            ..label("7")
        };
        assert_eq!(ask(&other), Carries::Unknown);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(ask(&label("7")), Carries::Unknown);
    }

    /// A sleeper that leads a session on a terminal of its own, as the shell of a person does.
    fn at_a_terminal() -> (Child, Pid, std::os::fd::OwnedFd) {
        use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
        use std::os::unix::process::CommandExt as _;

        let (mut screen, mut slave) = (-1, -1);
        let nothing = std::ptr::null_mut();
        // SAFETY: both descriptors are ours to be written; no name is asked for.
        let made = unsafe {
            libc::openpty(
                &raw mut screen,
                &raw mut slave,
                nothing,
                nothing.cast(),
                nothing.cast(),
            )
        };
        assert_eq!(made, 0);
        // SAFETY: openpty has just made them, and nobody else has them.
        let (screen, slave) =
            unsafe { (OwnedFd::from_raw_fd(screen), OwnedFd::from_raw_fd(slave)) };
        let number = slave.as_raw_fd();
        let mut command = Command::new("sleep");
        command.arg("20").env("BEADLE_JOB", "7");
        // SAFETY: both may be called between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::setsid();
                libc::ioctl(number, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let pid = Pid::new(child.id()).unwrap();
        (child, pid, screen)
    }

    #[test]
    fn whoever_was_found_at_a_terminal_of_its_own_is_looked_at_first() {
        let (mut child, pid, screen) = at_a_terminal();
        let mut prover = Prover::default();
        let found = prover.ask(pid, Whom::Found, &label("7"));
        let named = prover.ask(pid, Whom::Named, &label("7"));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(screen);
        assert_eq!((found, named), (Carries::Another, Carries::It));
    }

    #[test]
    fn no_environment_at_all_is_no_label() {
        let mut child = Command::new("sleep").arg("20").env_clear().spawn().unwrap();
        let pid = Pid::new(child.id()).unwrap();
        let answer = Prover::default().ask(pid, Whom::Found, &label("7"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(answer, Carries::Another);
    }

    #[test]
    fn where_the_first_thread_has_ended_another_shows_it() {
        // Its environment is that of the tests.
        let one = Leaderless::start();
        let ours = std::fs::read("/proc/self/environ").unwrap();
        let mut entries = ours.split(|byte| *byte == 0);
        let entry = entries.find(|entry| entry.contains(&b'=')).unwrap();
        let mut both = entry.splitn(2, |byte| *byte == b'=');
        let name = String::from_utf8(both.next().unwrap().to_vec()).unwrap();
        let ours = Label {
            badge: Badge::Variable {
                name: name.as_str().into(),
                value: Text::new(both.next().unwrap()),
            },
            ..label("")
        };
        let mut prover = Prover::default();
        assert_eq!(prover.ask(one.pid(), Whom::Named, &ours), Carries::It);
        let other = label("7");
        assert_eq!(prover.ask(one.pid(), Whom::Named, &other), Carries::Another);
    }

    #[test]
    fn a_reader_that_is_stuck_is_not_waited_for_again() {
        let (mut child, pid) = sleeper("7");
        let mut prover = Prover::default();
        // A desk at which nobody sits.
        let (questions, _asked) = channel();
        let (_tell, answers) = channel();
        prover.desk = Some(Desk { questions, answers });
        assert_eq!(prover.ask(pid, Whom::Named, &label("7")), Carries::Unknown);
        assert_eq!(prover.ask(pid, Whom::Named, &label("7")), Carries::Unknown);
        prover.rest();
        assert_eq!(prover.ask(pid, Whom::Named, &label("7")), Carries::It);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
