//! What is read once per exec: what a process runs, for whom, where. Matchers compare these.

use std::time::Duration;

use super::forest::Serial;
use super::process::{CgroupId, ExecGen, Gid, Pid, ProcKey, StartTicks, Text, Uid};
use super::units::Mono;

/// What became of an attempt to learn something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read<T> {
    /// Learnt.
    Known(T),
    /// The kernel refused.
    Denied,
    /// The process vanished while we looked: ordinary.
    Gone,
    /// It did not come in time; asked again later.
    Late,
    /// Nobody needs it.
    NotAsked,
}

impl<T> Read<T> {
    /// The value, when known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Denied | Self::Gone | Self::Late | Self::NotAsked => None,
        }
    }
}

/// A request for facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whom it is about: the number may be another's before it is answered. Echoed.
    pub about: Serial,
    /// The number.
    pub pid: Pid,
    /// Its identity, when known; else the answer brings it.
    pub key: Option<ProcKey>,
    /// When it started, as far as known: an answer with a start that is not near is of another process.
    pub start: Option<StartTicks>,
    /// Which image the question is about; echoed.
    pub exec: ExecGen,
    /// Environment variables that some rule names. No other is ever read out of the process's memory and kept.
    pub variables: std::sync::Arc<[String]>,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whom they are about, as asked.
    pub about: Serial,
    /// The number that was asked about.
    pub pid: Pid,
    /// Its identity; `None` when the process was gone or another process answered.
    pub key: Option<ProcKey>,
    /// When it started.
    pub start: StartTicks,
    /// Which image these facts are of, as asked.
    pub exec: ExecGen,
    /// When they were read.
    pub at: Mono,
    /// No less than the CPU time it had used a tick before.
    pub cpu: Duration,
    /// A thread of the kernel itself.
    pub kernel_thread: bool,
    /// Short name, at most 15 bytes.
    pub comm: Text,
    /// The executable.
    pub exe: Read<Place>,
    /// The arguments, each as given; empty ones kept.
    pub args: Read<Vec<Text>>,
    /// The variables asked for that are set, at exec: name and value.
    pub env: Read<Vec<(String, Text)>>,
    /// Effective user.
    pub owner: Read<Uid>,
    /// Effective group.
    pub group: Read<Gid>,
    /// The user who logged in, where the machine keeps that; `Known(None)` when nobody did.
    pub login: Read<Option<Uid>>,
    /// Working directory.
    pub cwd: Read<Place>,
    /// Controlling terminal: its device path; `Known(None)` when there is none.
    pub tty: Read<Option<Place>>,
    /// Control group path (v2; else the v1 systemd hierarchy).
    pub cgroup: Read<Text>,
    /// Which control group of version 2 that is.
    pub cgroup_id: Read<CgroupId>,
    /// Container id from the control group path; `Known(None)` outside containers.
    pub container: Read<Option<Text>>,
    /// Whether it lives in another pid namespace than ours.
    pub namespace: Read<Namespace>,
    /// What it does on SIGHUP.
    pub hangup: Read<Hangup>,
}

/// A path, and whether what it named is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path, without the kernel's ` (deleted)`.
    pub path: Text,
    /// Whether the file or folder it named is gone.
    pub deleted: bool,
}

impl Place {
    /// A place that exists.
    pub fn existing(path: &str) -> Self {
        Self {
            path: Text::from(path),
            deleted: false,
        }
    }

    /// The last component of the path.
    pub fn file_name(&self) -> &[u8] {
        self.path
            .bytes()
            .rsplit(|&byte| byte == b'/')
            .next()
            .unwrap_or_default()
    }
}

/// Which pid namespace a process lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Ours.
    Ours,
    /// Another: a container, or a sandbox.
    Other,
}

/// What a process does on SIGHUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// It ignores it: it was meant to outlive its terminal (`nohup`).
    Ignored,
    /// It dies of it or handles it.
    Heeded,
}
