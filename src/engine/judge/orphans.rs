//! Orphans of a command that beadle runs itself: the kernel hands them to beadle, so nobody of it gets lost.
//!
//! **Invariants.** Only where beadle runs a command ([`Settings::reaper`](super::Settings)): there is one tree then, and nobody
//! but it hangs from beadle. Whoever was *heard* to be started by beadle was started by it, and is none of it.

use super::Judge;
use super::dossier::Leashed;
use super::unit::UnitId;
use crate::engine::evidence::UnitKey;
use crate::engine::forest::Serial;
use crate::engine::warrant::HardTie;

impl Judge {
    /// The units that a process belongs to because it was found to be a child of whoever adopts the orphans of a tree: there
    /// is no other way to become one.
    pub(super) fn handed_on(&self, serial: Serial) -> Vec<UnitId> {
        let Some(reaper) = self.settings.reaper else {
            return Vec::new();
        };
        let tie = self.forest.node(serial).and_then(|node| node.tie);
        // Whoever was heard to be started by it was started by it.
        if tie != Some(HardTie::Child { parent: reaper }) {
            return Vec::new();
        }
        let trees = self
            .units
            .iter()
            .filter(|(_, unit)| matches!(unit.key, UnitKey::Tree(_)) && unit.root != serial);
        trees.map(|(id, _)| *id).collect()
    }

    /// Whether a process was started by the command, as far up as it is known.
    pub(super) fn is_commanded(&self, serial: Serial) -> bool {
        let dossier = self.dossiers.get(&serial);
        self.settings.reaper.is_some()
            && dossier.is_some_and(|dossier| dossier.leashed == Leashed::Below)
    }

    /// Whoever of it was orphaned before it was judged joins it.
    pub(super) fn gather_orphans(&mut self, id: UnitId) {
        let reaper = self.settings.reaper.and_then(|key| self.forest.find(key));
        let reaper = reaper.and_then(|reaper| self.forest.node(reaper));
        let children = reaper.map(|reaper| reaper.children.clone());
        for child in children.unwrap_or_default() {
            if self.handed_on(child).contains(&id) {
                self.join(id, child);
            }
        }
    }
}
