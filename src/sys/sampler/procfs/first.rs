//! First sight of a process: who it is, and who its parent is.
//!
//! # When a parent is proven
//! A number in `ppid` is nobody in particular. But while the process that bore it lives, so does the link: a child is
//! given away only when its parent dies. So: take hold of the parent, *then* read the child's `ppid`, then find the
//! parent still alive. Thousands of processes share a few parents, which are held for the length of one look.
//!
//! # Whose children prove nothing
//! The first process of a pid namespace is given every orphan in it, and not all of them were born there: whoever enters
//! (`nsenter`, `docker exec`) may leave some. Those who share a session that it made are its descendants all the same.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::fs::fstat;

use super::reader::{Looked, Reader, parse};
use super::sample;
use crate::engine::process::{Pid, ProcKey, StartTicks, Uid};
use crate::engine::snapshot::{Ask, Sample, Seen};
use crate::sys::clock::Clock;
use crate::sys::pidfd::{Life, PidFd};
use crate::sys::procfs::{Entry, Missing, Procfs, STAT_LINE, file_in, key_of, read_short};
use crate::sys::status::Status;

/// More parents than this are not held at a time.
const MOST_HELD: usize = 256;

/// A status file with some hundred groups in it.
const STATUS: usize = 4096;

/// Looks at whoever bears the number now.
pub(super) fn sight(reader: &mut Reader, parents: &mut Parents, ask: &Ask, clock: Clock) -> Sample {
    match meet(reader, parents, ask, clock) {
        Ok((key, looked)) => sample(ask.pid, Some(key), Ok(looked), clock),
        Err(missing) => sample(ask.pid, None, Err(missing), clock),
    }
}

fn meet(
    reader: &mut Reader,
    parents: &mut Parents,
    ask: &Ask,
    clock: Clock,
) -> Result<(ProcKey, Looked), Missing> {
    let folder = reader.proc.folder(&Entry::of(ask.pid))?;
    let stat = file_in(&folder, b"stat")?;
    let hold = reader.proc.hold(ask.pid)?;
    // The folder belongs to the effective user even where the files in it are root's.
    let owner = fstat(&folder).map(|folder| Uid(folder.st_uid));
    let ran = reader.ran(ask.pid);
    let mut looked = reader.look(ask.pid, &stat, ran, ask.want, clock)?;
    if ask.start.is_some_and(|start| !looked.start.can_be(start)) {
        return Err(Missing::Gone);
    }
    if let Seen::Alive(figures) = &mut looked.seen {
        figures.owner = owner.ok();
        figures.parent = looked
            .ppid
            .and_then(|ppid| parents.prove(&reader.proc, &stat, ppid));
    }
    Ok((key_of(ask.pid, hold.as_ref(), looked.start), looked))
}

/// Parents that are held while one look lasts.
#[derive(Debug, Default)]
pub(super) struct Parents(BTreeMap<Pid, Parent>);

#[derive(Debug)]
struct Parent {
    key: ProcKey,
    hold: Option<PidFd>,
    adopts: Adopts,
}

/// Whose children a process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adopts {
    /// Its own, and its descendants'.
    Kin,
    /// Anybody's.
    Strangers,
}

impl Parents {
    /// The parent of the process whose stat file this is and which was just read to have parent `ppid`.
    fn prove(&mut self, proc: &Procfs, child: &OwnedFd, ppid: Pid) -> Option<ProcKey> {
        match self.0.get(&ppid) {
            // Held since before the child was read.
            Some(parent) if parent.lives() => return parent.speaks(),
            Some(_) | None => {
                self.0.remove(&ppid);
            }
        }
        let parent = Parent::meet(proc, ppid).ok()?;
        // The child again, now that its parent is held.
        if Reader::ppid(child).ok()? != Some(ppid) {
            return None;
        }
        let key = match &parent.hold {
            Some(hold) => parent.speaks().filter(|_| hold.life() == Life::Alive),
            // Without a hold, the number is proven by the child alone: it named the same parent before the parent
            // was read and after.
            None => parent.speaks(),
        };
        if self.0.len() < MOST_HELD && parent.hold.is_some() {
            self.0.insert(ppid, parent);
        }
        key
    }
}

impl Parent {
    fn meet(proc: &Procfs, pid: Pid) -> Result<Self, Missing> {
        let hold = proc.hold(pid)?;
        let start = match hold.as_ref().and_then(PidFd::inode) {
            // Its pidfd says who it is; nothing needs to be read.
            Some(_) => StartTicks(0),
            None => start_of(proc, pid)?,
        };
        let key = key_of(pid, hold.as_ref(), start);
        Ok(Self {
            key,
            hold,
            adopts: adopts(proc, pid),
        })
    }

    /// Who it is, where that makes it somebody's parent.
    fn speaks(&self) -> Option<ProcKey> {
        (self.adopts == Adopts::Kin).then_some(self.key)
    }

    /// Whether the number has been its own until now.
    fn lives(&self) -> bool {
        let hold = self.hold.as_ref();
        hold.is_some_and(|hold| hold.life() == Life::Alive)
    }
}

/// Whose children a process may have; one that does not tell is like most.
fn adopts(proc: &Procfs, pid: Pid) -> Adopts {
    let mut buffer = [0; STATUS];
    let Ok(file) = proc.file(&Entry::of(pid).at("status")) else {
        return Adopts::Kin;
    };
    let text = read_short(&file, &mut buffer).unwrap_or_default();
    match Status::new(text).is_some_and(Status::is_namespace_init) {
        true => Adopts::Strangers,
        false => Adopts::Kin,
    }
}

/// When a living process started.
fn start_of(proc: &Procfs, pid: Pid) -> Result<StartTicks, Missing> {
    let stat = proc.file(&Entry::of(pid).at("stat"))?;
    let mut line = [0; STAT_LINE];
    let stat = parse(read_short(&stat, &mut line)?)?;
    if stat.dead() {
        Err(Missing::Gone)
    } else {
        Ok(stat.start)
    }
}
