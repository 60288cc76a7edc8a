//! One process of whom several files are read, proven to be the one that is meant.
//!
//! **Invariants.** A number alone is never believed: whoever is read is told by the inode of its pidfd where there is one, and by
//! its start before and after.

use std::os::fd::OwnedFd;

use super::procfs::{Entry, Missing, Procfs, STAT_LINE, read_short};
use super::stat::Stat;
use crate::engine::process::Mark;
use crate::engine::snapshot::Why;
use crate::engine::survey::Holder;

/// The process, and its `stat`.
#[derive(Debug)]
pub(super) struct Held<'a> {
    holder: &'a Holder,
    file: OwnedFd,
    line: [u8; STAT_LINE],
}

impl<'a> Held<'a> {
    /// Takes hold of it.
    pub(super) fn take(proc: &Procfs, holder: &'a Holder) -> Result<Self, Missing> {
        let pid = holder.key.pid();
        let file = proc.file(&Entry::of(pid).at("stat"))?;
        if let Mark::Inode(inode) = holder.key.mark() {
            let hold = proc.hold(pid)?;
            if hold.is_some_and(|hold| hold.inode() != Some(inode)) {
                return Err(Missing::Gone);
            }
        }
        Ok(Self {
            holder,
            file,
            line: [0; STAT_LINE],
        })
    }

    /// Its `stat` now, if it is still this process and alive.
    pub(super) fn stat(&mut self) -> Result<Stat<'_>, Missing> {
        let line = read_short(&self.file, &mut self.line)?;
        let stat = Stat::parse(line).ok_or(Missing::Unread(Why::Short))?;
        let other = match self.holder.key.mark() {
            Mark::Inode(_) => stat.start != self.holder.start,
            Mark::Ticks(ticks) => stat.start.0 != ticks,
        };
        if other || stat.dead() {
            return Err(Missing::Gone);
        }
        Ok(stat)
    }
}
