//! What the dead leave behind: the CPU time they used, to their units and to whoever is above them.
//!
//! **Invariants.** Every one of the dead is among those of the nearest living process above it, so that a unit whose root is
//! known late has all the dead it ought to have. Nobody is in two such sums. Who may have been counted elsewhere too is
//! an upper bound, and no lower one.
//!
//! # Why somebody may be counted twice
//! Of a process that is found, the children it had waited for are counted once, as the kernel sums them up. One of
//! them may have been seen alive a moment before.

use super::Judge;
use super::dossier::Dossier;
use super::reckon::Dying;
use super::unit::UnitId;
use crate::engine::account::Account;
use crate::engine::forest::{Life, Node, Serial};
use crate::engine::units::Mono;
use crate::engine::usage::Buried;

/// CPU time of the dead below a living process: whatever unit it comes to belong to, they belong to too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Estate {
    /// What they used.
    pub(super) dead: Buried,
    /// When children it had waited for were counted that nobody had known: it is among those that anybody was who died
    /// before this.
    pub(super) counted: Option<Mono>,
}

/// What is remembered of a death whose record has not come.
#[derive(Clone, Debug)]
pub(super) struct Debt {
    dying: Dying,
    /// What was noted without it.
    given: Buried,
    /// Where.
    units: Vec<UnitId>,
}

impl Judge {
    /// What one of the dead used, and whether that may have been counted already.
    pub(super) fn account(&mut self, serial: Serial) -> Buried {
        let Some((node, dossier)) = self.forest.node(serial).zip(self.dossiers.get(&serial)) else {
            return Buried::default();
        };
        let Life::Dead(died) = node.life else {
            return Buried::default();
        };
        let dying = self.dying(node, dossier, died);
        let given = dying.reckon(None);
        let doubtful = self.may_be_counted(serial, node, dossier);
        let sure = |id: &&UnitId| !doubtful && !self.may_be_kept(serial, **id);
        let units: Vec<UnitId> = dossier.units.iter().filter(sure).copied().collect();
        let debt = || Debt {
            dying,
            given,
            units,
        };
        let record = self.ledger.settle(dying.death(node.pid), debt);
        let account = record.map_or(given, |record| dying.reckon(Some(&record)));
        if doubtful {
            account.in_doubt()
        } else {
            account
        }
    }

    /// Whether somebody above had waited for it when that one's own children were first counted.
    fn may_be_counted(&self, serial: Serial, node: &Node, dossier: &Dossier) -> bool {
        let lived = dossier.latest().at.unwrap_or(node.born);
        if lived >= self.last_counted {
            return false;
        }
        let mut above = self.forest.above(serial);
        above.any(|(above, _)| {
            let estate = self
                .dossiers
                .get(&above)
                .and_then(|above| above.estate.as_ref());
            estate.and_then(|estate| estate.counted) > Some(lived)
        })
    }

    /// Whoever takes over the children of one of the dead takes over its account and those of its dead.
    pub(super) fn pass_on(&mut self, serial: Serial, account: Buried) {
        let heir = self.forest.node(serial).and_then(|node| node.heir);
        let unsure = self.may_be_kept_anywhere(serial);
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        let mut dead = dossier
            .estate
            .take()
            .map(|estate| estate.dead)
            .unwrap_or_default();
        dead.absorb(account);
        let dead = if unsure { dead.in_doubt() } else { dead };
        if let Some(heir) = heir.and_then(|heir| self.dossiers.get_mut(&heir)) {
            heir.inherit(dead);
        }
    }

    /// A process runs another image: its dead of before are those of whoever is above it.
    pub(super) fn hand_up(&mut self, serial: Serial) {
        let above = self.forest.node(serial).and_then(|node| node.parent);
        let unsure = self.may_be_kept_anywhere(serial);
        let estate = self
            .dossiers
            .get_mut(&serial)
            .and_then(|dossier| dossier.estate.take());
        let above = above.and_then(|above| self.dossiers.get_mut(&above));
        if let Some((above, estate)) = above.zip(estate) {
            let dead = estate.dead;
            above.inherit(if unsure { dead.in_doubt() } else { dead });
        }
    }

    /// Whether a rule keeps it out of its trees, or may: it is no certain part of any.
    fn may_be_kept_anywhere(&self, serial: Serial) -> bool {
        let kept = self
            .dossiers
            .get(&serial)
            .and_then(|dossier| dossier.kept.as_ref());
        let keeps = || self.rules.rules.iter().any(|rule| !rule.keep.is_empty());
        kept.is_some() || (keeps() && self.is_unknown(serial))
    }

    /// A record came after its death was noted: what was given is made good.
    pub(super) fn pay(&mut self, debt: &Debt, record: &Account) {
        let account = debt.dying.reckon(Some(record));
        for id in &debt.units {
            let Some(unit) = self.units.get_mut(id) else {
                continue;
            };
            let gained = account.at_least.saturating_sub(debt.given.at_least);
            let narrowed = debt.given.at_most().saturating_sub(account.at_most());
            unit.late.gained = unit.late.gained.saturating_add(gained);
            unit.late.narrowed = unit.late.narrowed.saturating_add(narrowed);
            unit.buried.unrecorded = unit.buried.unrecorded.saturating_sub(1);
        }
    }
}
