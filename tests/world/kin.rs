//! What is remembered of every process that ever was: the truth that the engine's notion is held against.

use std::collections::BTreeSet;
use std::time::Duration;

use beadle::engine::process::Pid;
use beadle::engine::units::{Bytes, Mono};

use super::body::{Id, State};
use super::machine::Machine;

/// What is remembered of every process that ever was.
#[derive(Clone, Debug)]
pub struct Kin {
    pub pid: Pid,
    /// Who forked it: never changes.
    pub parent: Option<Id>,
    pub born: Mono,
    pub died: Option<Mono>,
    /// CPU it had used when it died.
    pub last_cpu: Duration,
    /// Every program it ran, and since when.
    pub ran: Vec<(Mono, String)>,
    /// When it came to hold less memory, and how much it held until then.
    pub shrank: Vec<(Mono, Bytes)>,
    /// CPU time it had used when it began to run the last of them.
    pub cpu_at_exec: Duration,
    /// Its whole life, in stretches of one pace.
    pub stretches: Vec<Stretch>,
}

/// A part of a life: from a moment on it used so many thousandths of a processor, in a control group.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub from: Mono,
    pub pace: u64,
    pub group: String,
}

impl Kin {
    /// CPU time it had used at a moment.
    pub fn cpu_at(&self, at: Mono) -> Duration {
        self.cpu_where(at, |_| true)
    }

    /// The same, of what it used in some groups.
    pub fn cpu_where(&self, at: Mono, counts: impl Fn(&str) -> bool) -> Duration {
        let ends = self.stretches.iter().skip(1).map(|next| next.from);
        let ends = ends.chain([Mono::NEVER]);
        let stretches = self.stretches.iter().zip(ends);
        stretches
            .filter(|(stretch, _)| counts(&stretch.group))
            .map(|(stretch, end)| {
                let span = at.min(end).since(stretch.from).as_nanos();
                Duration::from_nanos(u64::try_from(span * u128::from(stretch.pace) / 1000).unwrap())
            })
            .sum()
    }
}

impl Machine {
    /// Whether `ancestor` is above `id` by birth; a process is not above itself.
    pub fn descends(&self, id: Id, ancestor: Id) -> bool {
        let mut next = self.kin[id.0].parent;
        while let Some(above) = next {
            if above == ancestor {
                return true;
            }
            next = self.kin[above.0].parent;
        }
        false
    }

    /// Everyone from `id` up to `top`, both included; empty when `top` is not above.
    pub fn chain(&self, id: Id, top: Id) -> Vec<Id> {
        let mut chain = vec![id];
        let mut last = id;
        while last != top {
            match self.kin[last.0].parent {
                Some(parent) => {
                    chain.push(parent);
                    last = parent;
                }
                None => return Vec::new(),
            }
        }
        chain
    }

    /// What was used in a control group, as the kernel has counted it.
    pub fn used_in(&self, group: &str) -> Duration {
        let used = |id: usize| {
            let late = match self.bodies.get(&Id(id)) {
                Some(body) if body.state == State::Running => {
                    let counted = body.counted(self.now, self.tick);
                    let behind = body.cpu(self.now).saturating_sub(counted);
                    if body.group == group {
                        behind
                    } else {
                        Duration::ZERO
                    }
                }
                Some(_) | None => Duration::ZERO,
            };
            let used = self.kin[id].cpu_where(self.now, |other| other == group);
            used.saturating_sub(late)
        };
        (0..self.kin.len()).map(used).sum()
    }

    /// True CPU time of these, dead or alive.
    pub fn cpu_of(&self, id: Id) -> Duration {
        self.body(id)
            .map_or(self.kin[id.0].last_cpu, |body| body.cpu(self.now))
    }

    /// The most memory that this one held since then.
    pub fn most_memory(&self, id: Id, since: Mono) -> u64 {
        let now = self.body(id).filter(|body| body.alive());
        let now = now.map(|body| body.memory(self.now).0);
        let before = self.kin[id.0].shrank.iter();
        let before = before
            .filter(|(at, _)| *at >= since)
            .map(|(_, held)| held.0);
        before.chain(now).max().unwrap_or(0)
    }

    /// Everyone who ever descended from `root`, itself included.
    pub fn tree(&self, root: Id) -> BTreeSet<Id> {
        let mut tree = BTreeSet::from([root]);
        // Children are always younger than their parents.
        for index in root.0 + 1..self.kin.len() {
            if self.kin[index]
                .parent
                .is_some_and(|parent| tree.contains(&parent))
            {
                tree.insert(Id(index));
            }
        }
        tree
    }
}
