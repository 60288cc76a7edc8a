//! Lineage left by an earlier beadle: who is above whom, where nothing shows it any more.
//!
//! A process whose parents are dead hangs from init, or from whoever adopts orphans there; its session may be its own. What
//! was known of it by its fork is known to nobody else.

use super::{Forest, Serial};
use crate::engine::legacy::Kin;
use crate::engine::process::ProcKey;
use crate::engine::warrant::HardTie;

impl Forest {
    /// Takes over what is left of lineage. It counts for those who are found from now on.
    pub fn inherit(&mut self, kin: Vec<Kin>) {
        self.left = kin.into_iter().map(|kin| (kin.key, kin)).collect();
    }

    /// Nobody is found any more whom an earlier beadle knew.
    pub fn forget_inheritance(&mut self) {
        self.left.clear();
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
        })
    }

    /// A serial for somebody who was gone before we came.
    pub fn nobody(&mut self) -> Serial {
        self.next_serial()
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
