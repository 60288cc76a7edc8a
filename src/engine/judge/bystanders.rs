//! Who stands in the midst of a tree and is none of it: let go by a rule, protected, a boundary, another user's.
//!
//! # Why they are named
//! They are no targets. But their parents are, and a pursuit that has to look for more members in the process table finds
//! them first: as children of a member, or in its session.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Judge;
use super::dossier::Dossier;
use super::unit::Unit;
use crate::engine::forest::{Life, Node, Serial};
use crate::engine::guard::Standing;
use crate::engine::process::ProcKey;
use crate::engine::warrant::{Spare, Target};

impl Judge {
    /// Whom a warrant spares that ends a unit.
    pub(super) fn spare(&self, unit: &Unit, targets: &[Target]) -> Arc<Spare> {
        let named: BTreeSet<ProcKey> = targets.iter().map(|target| target.key).collect();
        let mut spare = Spare {
            keys: self.settings.spare.keys.clone(),
            bystanders: Vec::new(),
        };
        for (serial, node) in self.forest.iter() {
            let living = match node.life {
                Life::Alive | Life::Leaving => true,
                Life::Dead(_) => false,
            };
            let Some((key, dossier)) = node.key.zip(self.dossiers.get(&serial)) else {
                continue;
            };
            if !living || named.contains(&key) {
                continue;
            }
            if self.stands_by(serial, node, dossier, unit) {
                spare.bystanders.push(key);
            } else if dossier.standing != Standing::Plain {
                spare.keys.push(key);
            }
        }
        Arc::new(spare)
    }

    fn stands_by(&self, serial: Serial, node: &Node, dossier: &Dossier, unit: &Unit) -> bool {
        let is_member = |serial: Serial| unit.members.contains(&serial);
        if is_member(serial) {
            // Whose tie alone is not certain may be made sure of yet.
            return self.shelter(unit, node, dossier).is_some();
        }
        let below = || self.forest.above(serial).any(|(above, _)| is_member(above));
        dossier.is_kept_from(unit.index) || below()
    }
}
