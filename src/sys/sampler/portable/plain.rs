//! A witness for the tests: sysinfo and nothing else, on whatever system they run.
//!
//! It shows that what is built on a witness is right. What it cannot tell it says so: starts are whole seconds, session,
//! terminal, state by thread and reaped time are not there.
//!
//! # Arguments
//! sysinfo drops empty arguments and does not say so, and keeps the ones it had where it reads none. So what it brings is
//! held against the length of the kernel's own text, and where a byte is missing the arguments are unknown.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use sysinfo::{Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use super::census::open;
use super::{Found, Identity, Image, Life, Missing, Witness};
use crate::engine::facts::{Place, Read};
use crate::engine::process::{Gid, Mark, Pid, ShortName, StartTicks, Text, Uid};
use crate::engine::snapshot::{Figures, RunState, Seen, Want};
use crate::engine::units::Bytes;
use crate::sys::clock::Clock;

/// sysinfo adds ticks of user and system time, each cut down to whole ones of 10 ms, and tells whole milliseconds.
pub(super) const GRAIN: Duration = Duration::from_millis(21);

/// Asks sysinfo.
#[derive(Debug)]
pub(super) struct Plain {
    system: System,
    /// When the machine was booted, in seconds; read once, because it is computed anew each time.
    boot: u64,
}

impl Plain {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            system: open()?,
            boot: System::boot_time().map_err(|error| io::Error::other(error.to_string()))?,
        })
    }

    fn read(&mut self, pid: Pid, kind: ProcessRefreshKind) -> Result<&Process, Missing> {
        let number = sysinfo::Pid::from_u32(pid.number());
        self.system
            .refresh_processes_specifics(ProcessesToUpdate::Some(&[number]), true, kind);
        self.system.process(number).ok_or(Missing::Gone)
    }
}

impl Witness for Plain {
    fn identity(&mut self, pid: Pid) -> Result<Identity, Missing> {
        let nothing = ProcessRefreshKind::nothing().without_tasks();
        identity(self.read(pid, nothing)?)
    }

    fn look(&mut self, pid: Pid, _want: Want, clock: Clock) -> Result<Found, Missing> {
        let kind = ProcessRefreshKind::nothing()
            .with_cpu()
            .with_memory()
            .with_user(UpdateKind::Always)
            .with_tasks();
        let (at, boot) = (clock.now(), self.boot);
        let process = self.read(pid, kind)?;
        let identity = identity(process)?;
        // The second it started in, at its end: nobody is taken for older than he is.
        let secs = process.start_time().saturating_sub(boot).saturating_add(1);
        let start = StartTicks(secs.saturating_mul(100));
        let cpu = Duration::from_millis(process.accumulated_cpu_time());
        let seen = match identity.life {
            Life::Zombie => Seen::Zombie {
                start,
                cpu,
                grain: GRAIN,
                ppid: identity.ppid,
            },
            Life::Alive => Seen::Alive(Figures {
                start,
                ran: None,
                ppid: identity.ppid,
                parent: None,
                session: None,
                tty: 0,
                comm: ShortName::of(process.name().as_bytes()),
                owner: process.effective_user_id().map(|uid| Uid(**uid)),
                kernel_thread: process.thread_kind() == Some(sysinfo::ThreadKind::Kernel),
                state: state(process.status()),
                cpu,
                grain: GRAIN,
                at_rest: false,
                reaped: Duration::ZERO,
                threads: process
                    .tasks()
                    .map_or(1, |tasks| u32::try_from(tasks.len()).unwrap_or(u32::MAX)),
                rss: Bytes(process.memory()),
                memory: None,
                open_files: None,
            }),
        };
        Ok(Found {
            mark: identity.mark,
            start,
            at,
            seen,
        })
    }

    fn image(&mut self, pid: Pid, variables: &[String]) -> Image {
        let always = UpdateKind::Always;
        let kind = ProcessRefreshKind::nothing()
            .with_cmd(always)
            .with_exe(always)
            .with_cwd(always)
            .with_environ(always)
            .with_user(always)
            .without_tasks();
        let Ok(process) = self.read(pid, kind) else {
            return Image {
                exe: Read::Gone,
                args: Read::Gone,
                env: Read::Gone,
                cwd: Read::Gone,
                group: Read::Gone,
            };
        };
        Image {
            exe: process.exe().map_or(Read::Denied, place),
            args: arguments(pid, process),
            env: environment(process, variables),
            cwd: process.cwd().map_or(Read::Denied, place),
            group: process
                .effective_group_id()
                .map_or(Read::Denied, |gid| Read::Known(Gid(*gid))),
        }
    }
}

fn identity(process: &Process) -> Result<Identity, Missing> {
    let life = match process.status() {
        ProcessStatus::Zombie => Life::Zombie,
        ProcessStatus::Dead => return Err(Missing::Gone),
        _ => Life::Alive,
    };
    Ok(Identity {
        mark: Mark::Ticks(process.start_time().saturating_mul(1_000_000)),
        ppid: process.parent().and_then(|ppid| Pid::new(ppid.as_u32())),
        life,
    })
}

fn state(status: ProcessStatus) -> RunState {
    match status {
        ProcessStatus::Run => RunState::Running,
        ProcessStatus::Stop => RunState::Stopped,
        ProcessStatus::Tracing => RunState::Traced,
        ProcessStatus::UninterruptibleDiskSleep => RunState::Waiting,
        _ => RunState::Sleeping,
    }
}

fn arguments(pid: Pid, process: &Process) -> Read<Vec<Text>> {
    let told: Vec<Text> = process
        .cmd()
        .iter()
        .map(|argument| Text::new(argument.as_bytes()))
        .collect();
    let bytes: usize = told.iter().map(|argument| argument.bytes().len() + 1).sum();
    match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(text) if text.len() == bytes => Read::Known(told),
        Ok(_) | Err(_) => Read::Denied,
    }
}

fn environment(process: &Process, variables: &[String]) -> Read<Vec<(String, Text)>> {
    match (variables, process.environ()) {
        ([], _) => Read::NotAsked,
        (_, []) => Read::Denied,
        (wanted, environment) => {
            let value_of = |name: &String| {
                environment.iter().find_map(|entry| {
                    let value = entry.as_bytes().strip_prefix(name.as_bytes())?;
                    value.strip_prefix(b"=")
                })
            };
            let set = wanted
                .iter()
                .filter_map(|name| Some((name.clone(), Text::new(value_of(name)?))));
            Read::Known(set.collect())
        }
    }
}

fn place(path: &Path) -> Read<Place> {
    Read::Known(Place {
        path: Text::new(path.as_os_str().as_bytes()),
        // sysinfo takes the kernel's note of that away.
        deleted: false,
    })
}
