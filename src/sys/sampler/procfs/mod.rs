//! The sampler of Linux: figures of processes, from `/proc`.
//!
//! This is the hot path. It looks only at who is asked about, reads nothing of those who have not run since they were
//! asked about last, reads as few files as the question allows, keeps the stat files of those it often reads, and
//! allocates nothing but the answer.
//!
//! **Invariants.** Figures carry a key only when everything in them was read from the process with that key. A process
//! that vanishes while we look is [`Seen::Gone`], never an error.
//!
//! # Why the stat file is read last
//! A read of an open stat file succeeds only while its process still has its number. So it is opened first and read
//! last, and what was looked up by number in between (pidfd, status, files) is proven to be of the same process.

mod first;
mod kept;
mod machine;
mod reader;

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use self::first::Parents;
use self::kept::{Found, Kept};
use self::machine::Gauge;
use self::reader::{Looked, Reader};
use crate::engine::gate::Vital;
use crate::engine::process::{Mark, Pid, ProcKey};
use crate::engine::snapshot::{Ask, Machine, Ran, Sample, Seen, Snapshot, Why};
use crate::engine::units::Mono;
use crate::sys::clock::Clock;
use crate::sys::procfs::{Entry, Missing, Procfs};
use crate::sys::vitals::Senses;

/// However many files may be open, more stat files than this are not kept: each holds 4 KiB of kernel memory.
const MOST_KEPT: usize = 8192;

/// Room for names while `/proc` is listed: 32 KiB hold about a thousand.
const NAMES: usize = 32 << 10;

/// Reads figures, and keeps what makes the next reading cheaper.
#[derive(Debug)]
pub struct Sampler {
    reader: Reader,
    kept: Kept,
    gauge: Gauge,
    senses: Senses,
    names: Box<[MaybeUninit<u8>]>,
}

impl Sampler {
    /// A sampler of the procfs at `root`. Half of the files we may open are its to keep, so raise that limit before.
    pub fn new(root: &Path) -> io::Result<Self> {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let share = usize::try_from(limit / 2).unwrap_or(usize::MAX);
        let proc = Procfs::open(root)?;
        Ok(Self {
            reader: Reader::new(proc),
            kept: Kept::with_room(share.min(MOST_KEPT)),
            gauge: Gauge::default(),
            senses: Senses::new(root),
            names: Box::new_uninit_slice(NAMES),
        })
    }

    /// All processes there are now, by number: less than a microsecond each.
    pub fn list(&mut self) -> io::Result<Vec<Pid>> {
        self.reader.proc.list(&mut self.names)
    }

    /// Looks at everybody who is asked about: one sample each, in the order asked.
    /// Takes the figures of the machine that are wanted along.
    pub fn look(&mut self, asks: &[Ask], vitals: &BTreeSet<Vital>, clock: &Clock) -> Snapshot {
        let mut parents = Parents::default();
        let mut samples = Vec::with_capacity(asks.len());
        let mut short = false;
        let now = clock.now();
        self.kept.sweep(now);
        for ask in asks {
            let sample = match ask.key {
                Some(key) => self.again(ask, key, now, *clock),
                None => first::sight(&mut self.reader, &mut parents, ask, *clock),
            };
            short |= matches!(sample.seen, Seen::Unread(Why::Short));
            samples.push(sample);
        }
        if short {
            self.kept.halve();
        }
        Snapshot {
            samples,
            // Who looks adds them: they frame this look.
            groups: Vec::new(),
            machine: Machine {
                vitals: self.senses.read(vitals, clock.now()),
                ..self.gauge.machine(&self.reader.proc, *clock)
            },
        }
    }

    /// Looks at a process that is known.
    fn again(&mut self, ask: &Ask, key: ProcKey, now: Mono, clock: Clock) -> Sample {
        // Before anything is read, so that whatever runs while we read is found out the next time.
        let ran = self.reader.ran(ask.pid);
        let still = ran.is_some() && ran == ask.ran;
        if still && !ask.want.anew {
            return Sample {
                pid: ask.pid,
                key: Some(key),
                at: now,
                seen: Seen::Still,
            };
        }
        // Who rests is read so seldom that no file needs to be kept for it.
        let busy = match (ran, ask.ran) {
            (Some(now), Some(then)) => now != then,
            (Some(_), None) => false,
            (None, _) => true,
        };
        let found = if busy {
            self.kept.find(key, now)
        } else {
            self.kept.peek(key)
        };
        let looked = match found {
            Found::Open(stat) => self.reader.look(ask.pid, stat, ran, ask.want, clock),
            Found::Welcome => match self.anew(ask, key, (ran, Proof::Hold), clock) {
                Ok((looked, stat)) => {
                    self.kept.keep(key, stat);
                    Ok(looked)
                }
                Err(missing) => Err(missing),
            },
            Found::Pass => {
                let proof = ask.start.map_or(Proof::Hold, |_| Proof::Start);
                self.anew(ask, key, (ran, proof), clock)
                    .map(|(looked, _)| looked)
            }
        };
        if let Err(Missing::Gone) = looked {
            self.kept.forget(ask.pid);
        }
        sample(ask.pid, Some(key), looked, clock)
    }

    /// Opens the stat file of a process that is known, proves that it is this process and looks.
    fn anew(
        &mut self,
        ask: &Ask,
        key: ProcKey,
        (ran, proof): (Option<Ran>, Proof),
        clock: Clock,
    ) -> Result<(Looked, OwnedFd), Missing> {
        let stat = self.reader.proc.file(&Entry::of(ask.pid).at("stat"))?;
        if let (Proof::Hold, Mark::Inode(inode)) = (proof, key.mark()) {
            let hold = self.reader.proc.hold(ask.pid)?;
            if hold.is_some_and(|hold| hold.inode() != Some(inode)) {
                return Err(Missing::Gone);
            }
        }
        let looked = self.reader.look(ask.pid, &stat, ran, ask.want, clock)?;
        let other_start = ask.start.is_some_and(|start| looked.start != start);
        let other_mark = match key.mark() {
            Mark::Ticks(ticks) => ticks != looked.start.0,
            Mark::Inode(_) => false,
        };
        if other_start || other_mark {
            Err(Missing::Gone)
        } else {
            Ok((looked, stat))
        }
    }
}

/// How a process read by its number is told from the number's next holder.
#[derive(Clone, Copy, Debug)]
enum Proof {
    /// By its pidfd's inode, beyond doubt; 6 µs.
    Hold,
    /// By its start ticks: enough for one figure, not for a file that is kept. To be mistaken, the number would have
    /// to come round within 10 ms of the *first* process's start.
    Start,
}

/// The sample that a look makes.
fn sample(pid: Pid, key: Option<ProcKey>, looked: Result<Looked, Missing>, clock: Clock) -> Sample {
    let (at, seen) = match looked {
        Ok(looked) => (looked.at, looked.seen),
        Err(missing) => (clock.now(), missing.into()),
    };
    Sample { pid, key, at, seen }
}

#[cfg(test)]
mod tests;
