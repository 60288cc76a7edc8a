//! Lineage where nothing shows it any more: sessions, and what an earlier beadle left.
//!
//! A process whose parents are dead hangs from init, or from whoever adopts orphans there; its session may be its own. What
//! was known of it by its fork is known to nobody else.

use std::time::Duration;

use super::{Change, Forest, Life, Lineage, Serial, Starter};
use crate::engine::legacy::Kin;
use crate::engine::process::{Pid, ProcKey};
use crate::engine::units::Mono;
use crate::engine::warrant::HardTie;

impl Forest {
    /// Whether lineage ends at somebody who lives in a session. Whoever is orphaned in it may be that one's.
    pub fn is_shared(&self, session: Pid) -> bool {
        self.nodes.values().any(|node| {
            node.lineage == Lineage::Ends
                && node.in_session == Some(session)
                && !node.life.is_over()
        })
    }

    /// Takes over what is left of lineage. It counts for those who are found from now on.
    pub fn inherit(&mut self, kin: Vec<Kin>) {
        self.left = kin.into_iter().map(|kin| (kin.key, kin)).collect();
    }

    /// Nobody is found any more whom an earlier beadle knew.
    pub fn forget_inheritance(&mut self) {
        self.left.clear();
        self.early.clear();
    }

    /// Those who were not found yet.
    pub fn left(&self) -> impl Iterator<Item = &Kin> {
        self.left.values()
    }

    /// What started a process, directly or not, is gone; whoever adopts it is nothing to it.
    pub fn mourn(&mut self, serial: Serial, gone: ProcKey, at: Mono) {
        let starter = Starter {
            pid: gone.pid(),
            key: Some(gone),
            died: at,
        };
        if let Some(node) = self.nodes.get_mut(&serial) {
            node.starter.get_or_insert_with(|| Box::new(starter));
        }
    }

    /// What is to be left of a process.
    pub fn kin(&self, serial: Serial) -> Option<Kin> {
        let node = self.node(serial)?;
        Some(Kin {
            key: node.key?,
            parent: node.parent.and_then(|parent| self.node(parent)?.key),
            tie: node.tie,
            session: node.session,
            starter: node.starter.as_deref().copied(),
            used: Duration::ZERO,
        })
    }

    /// CPU time at most, as it was left, of someone who was not found yet.
    pub fn left_used(&self, key: ProcKey) -> Option<Duration> {
        self.left.get(&key).map(|kin| kin.used)
    }

    /// A serial for somebody who was gone before we came.
    pub fn nobody(&mut self) -> Serial {
        self.next_serial()
    }

    /// Notes whom a process will belong below, should that one be found: a look at it may have failed.
    pub(super) fn miss_above(&mut self, serial: Serial, above: Option<ProcKey>) {
        if let Some(above) = above.filter(|above| self.find(*above).is_none()) {
            self.early.entry(above).or_default().insert(serial);
        }
    }

    /// Gives a process that was just found those whom it was above when an earlier beadle knew them. They were found first,
    /// and hang from whoever was further up.
    pub(super) fn regain(&mut self, serial: Serial, key: ProcKey, changes: &mut Vec<Change>) {
        for child in self.early.remove(&key).unwrap_or_default() {
            let round = self.above(serial).any(|(above, _)| above == child);
            let found = self.nodes.get_mut(&child);
            let Some(node) = found.filter(|node| !round && !matches!(node.life, Life::Dead(_)))
            else {
                continue;
            };
            let before = node.parent.replace(serial);
            if let Some(before) = before.and_then(|before| self.nodes.get_mut(&before)) {
                before.children.remove(&child);
            }
            if let Some(parent) = self.nodes.get_mut(&serial) {
                parent.children.insert(child);
            }
            changes.push(Change::Adopted(child));
        }
    }

    /// The nearest living process that was above this one, and its tie.
    pub(super) fn left_above(&self, kin: &Kin) -> Option<(Serial, HardTie)> {
        let tie = kin.tie?;
        let mut above = kin.parent;
        // As many steps as there are kin: what is left may not be well-formed.
        for _ in 0..=self.left.len() {
            let key: ProcKey = above?;
            if let Some(serial) = self.find(key) {
                return Some((serial, tie));
            }
            above = self.left.get(&key).and_then(|kin| kin.parent);
        }
        None
    }
}
