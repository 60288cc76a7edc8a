//! Which processes there are, and how much memory: what sysinfo is good for on every system.
//!
//! On macOS it reads the arguments of everybody at each listing, whatever it is asked for: some 50 µs a process, most of
//! what a listing costs. They are dropped here.

use std::io;
use std::time::Duration;

use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::engine::process::Pid;
use crate::engine::units::{Bytes, Mono};

/// How long the machine's memory is good for.
const FRESH: Duration = Duration::from_secs(60);

/// Counts the processes.
#[derive(Debug)]
pub(super) struct Census {
    system: System,
    memory: Option<(Mono, Bytes)>,
}

impl Census {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            system: open()?,
            memory: None,
        })
    }

    /// All processes there are now, by number; threads are none.
    ///
    /// # Errors
    /// A list without ourselves is none: sysinfo has no other way to say that it was refused, or that the list was longer
    /// than the room it had made for it.
    pub(super) fn list(&mut self) -> io::Result<Vec<Pid>> {
        let nothing = ProcessRefreshKind::nothing().without_tasks();
        self.system
            .refresh_processes_specifics(ProcessesToUpdate::All, true, nothing);
        let numbers = self.system.processes().keys();
        let mut pids: Vec<Pid> = numbers.filter_map(|pid| Pid::new(pid.as_u32())).collect();
        pids.sort_unstable();
        match Pid::new(std::process::id()) {
            Some(own) if pids.binary_search(&own).is_ok() => Ok(pids),
            Some(_) | None => Err(io::Error::other("the list of processes could not be read")),
        }
    }

    /// The machine's memory; 0 when unknown.
    pub(super) fn memory(&mut self, now: Mono) -> Bytes {
        match self.memory {
            Some((read, memory)) if now.since(read) < FRESH => memory,
            Some(_) | None => {
                let ram = MemoryRefreshKind::nothing().with_ram();
                self.system.refresh_memory_specifics(ram);
                let memory = Bytes(self.system.total_memory());
                self.memory = Some((now, memory));
                memory
            }
        }
    }
}

/// A sysinfo that has read nothing yet.
pub(super) fn open() -> io::Result<System> {
    System::new().map_err(|error| io::Error::other(error.to_string()))
}
