//! Figures for the report: the most there was at one look, and who was biggest.
//!
//! **Invariants.** What is kept of processes is bounded, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Big, Figures};
use crate::control::wire::Safe;
use crate::engine::decision::{UnitView, View};
use crate::engine::evidence::Quantity;
use crate::engine::process::{ProcKey, Text};
use crate::engine::rule::Metric;
use crate::engine::snapshot::{Seen, Snapshot};
use crate::engine::units::{Bytes, Mono};

/// So many processes are kept in mind.
const MOST: usize = 4096;
/// When there are more, so many of the biggest stay.
const STAY: usize = 1024;
/// So many are told.
const TOLD: usize = 10;

/// The figures so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) now: Figures,
    pub(super) peak_memory: Bytes,
    pub(super) peak_processes: u64,
    pub(super) cpu: Duration,
    pub(super) looks: u64,
    members: BTreeMap<ProcKey, Trace>,
}

/// What was seen of one process.
#[derive(Debug)]
struct Trace {
    name: Text,
    memory: Bytes,
    cpu: Duration,
}

impl Tally {
    /// Takes in what the judge makes of the last look.
    pub(super) fn look(&mut self, view: &View, looked: &[Looked], began: Mono) {
        let Some(unit) = view.units.first() else {
            return;
        };
        self.looks = self.looks.saturating_add(1);
        self.now = Figures {
            wall: view.at.since(began),
            cpu: self.cpu,
            ..Figures::default()
        };
        self.read(unit);
        let members: BTreeSet<ProcKey> = unit.members.iter().copied().collect();
        for one in looked.iter().filter(|one| members.contains(&one.key)) {
            self.note(one);
        }
        if self.members.len() > MOST {
            self.forget_small();
        }
    }

    fn read(&mut self, unit: &UnitView) {
        for reading in &unit.evidence.readings {
            let Some(range) = reading.now else { continue };
            match (reading.metric, range.at_least) {
                (Metric::CpuTime, Quantity::Time(used)) => {
                    self.cpu = self.cpu.max(used);
                    self.now.cpu = self.cpu;
                }
                (Metric::Memory, Quantity::Size(bytes)) => {
                    self.peak_memory = self.peak_memory.max(bytes);
                    self.now.memory = bytes;
                }
                (Metric::Processes, Quantity::Count(count)) => {
                    self.peak_processes = self.peak_processes.max(count);
                    self.now.processes = count;
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, one: &Looked) {
        let seen = self.members.entry(one.key).or_insert_with(|| Trace {
            name: one.name.clone(),
            memory: Bytes(0),
            cpu: Duration::ZERO,
        });
        seen.name = one.name.clone();
        seen.memory = seen.memory.max(one.memory);
        seen.cpu = seen.cpu.max(one.cpu);
    }

    fn forget_small(&mut self) {
        let mut sizes: Vec<Bytes> = self.members.values().map(|one| one.memory).collect();
        sizes.sort_unstable_by_key(|size| std::cmp::Reverse(*size));
        let least = sizes.get(STAY).copied().unwrap_or_default();
        self.members.retain(|_, one| one.memory > least);
    }

    /// The biggest, most memory first.
    pub(super) fn biggest(&self) -> Vec<Big> {
        let mut all: Vec<(&ProcKey, &Trace)> = self.members.iter().collect();
        all.sort_by_key(|(key, one)| (std::cmp::Reverse((one.memory, one.cpu)), **key));
        let told = all.into_iter().take(TOLD).map(|(key, one)| Big {
            pid: key.pid(),
            name: Safe::from(&one.name),
            memory: one.memory,
            cpu: one.cpu,
        });
        told.collect()
    }
}

/// What a look found of one process.
#[derive(Debug)]
pub(super) struct Looked {
    key: ProcKey,
    name: Text,
    memory: Bytes,
    cpu: Duration,
}

impl Looked {
    /// The living of a look.
    pub(super) fn all(snapshot: &Snapshot) -> Vec<Self> {
        let living = snapshot.samples.iter().filter_map(|sample| {
            let Seen::Alive(figures) = &sample.seen else {
                return None;
            };
            Some(Self {
                key: sample.key?,
                name: Text::new(figures.comm.bytes()),
                memory: figures
                    .memory
                    .map_or(figures.rss, |memory| memory.private()),
                cpu: figures.cpu,
            })
        });
        living.collect()
    }
}
