//! The roster: all of a tree at one moment, in words; whom a signal is for, and who is spared and why.
//!
//! **Invariants.** One place decides whom a signal is for: [`Judge::answerable`]. The warrant's targets and what people read
//! of those who were spared both come from it.

use super::Judge;
use super::dossier::{Dossier, Learning, Leashed};
use super::unit::Unit;
use crate::engine::evidence::{IncidentId, UnitKey};
use crate::engine::facts::Facts;
use crate::engine::forest::{Node, Serial};
use crate::engine::guard::Standing;
use crate::engine::label::Badge;
use crate::engine::process::Text;
use crate::engine::program::{self, Family, Form};
use crate::engine::warrant::{HardTie, Image, Member, Shelter};

/// So many of those who left the tree are named: a tree may have started any number of them.
const NAMED_ASIDE: usize = 256;

impl Judge {
    /// The tree that an open incident is about, as it is now. Empty when there is no such incident.
    pub fn tree_of(&self, incident: IncidentId) -> Vec<Member> {
        let is_it = |unit: &&Unit| {
            let open = unit.incident.as_ref();
            open.is_some_and(|open| open.id == incident)
        };
        let unit = self.units.values().find(is_it);
        unit.map_or_else(Vec::new, |unit| self.roster(unit))
    }

    /// The members, and below the root those who left: at boundaries, and by `keep`.
    pub(super) fn roster(&self, unit: &Unit) -> Vec<Member> {
        let one = |serial: Serial| {
            let (node, dossier) = self.forest.node(serial).zip(self.dossiers.get(&serial))?;
            let shelter = self.answerable(unit, serial, node, dossier).err();
            Some(member(node, dossier, shelter))
        };
        let members = unit.members.iter().filter_map(|serial| one(*serial));
        members.chain(self.aside(unit)).collect()
    }

    /// By what a member may be signalled, or why it may not.
    pub(super) fn answerable(
        &self,
        unit: &Unit,
        serial: Serial,
        node: &Node,
        dossier: &Dossier,
    ) -> Result<HardTie, Shelter> {
        if let Some(shelter) = self.shelter(unit, node, dossier) {
            return Err(shelter);
        }
        if let Some(label) = &unit.label {
            if node.owner.is_some_and(|owner| owner != label.owner) {
                return Err(Shelter::Foreign);
            }
            // A stray may be anybody: it is known what it runs, or it is left alone.
            let stranger = unit.strays.contains(&serial) && dossier.learning != Learning::Settled;
            if stranger || !self.is_proven(serial, label) {
                return Err(Shelter::Unproven);
            }
            return Ok(match label.badge {
                _ if serial == unit.root => HardTie::Root,
                Badge::Variable { .. } => HardTie::Labeled,
                Badge::Cgroup { .. } => HardTie::Filed,
            });
        }
        if serial == unit.root {
            return Ok(HardTie::Root);
        }
        match node.tie {
            // A boundary was found in the session since: whose it is, nobody can tell.
            Some(HardTie::Session { session }) if self.forest.is_shared(session) => {
                Err(Shelter::Untied)
            }
            Some(tie) => Ok(tie),
            None => Err(Shelter::Untied),
        }
    }

    /// Why a process is not to be signalled as a member of this unit, however sure it is that it is one.
    pub(super) fn shelter(&self, unit: &Unit, node: &Node, dossier: &Dossier) -> Option<Shelter> {
        let standing = match &unit.label {
            None => dossier.standing.clone(),
            Some(label) => label.standing(&dossier.standing),
        };
        match standing {
            Standing::Plain => {}
            Standing::Protected(reason) => return Some(Shelter::Protected(reason)),
            Standing::Boundary(reason) => return Some(Shelter::Boundary(reason)),
        }
        // Whoever was kept before anybody knew whom it had started leaves those behind.
        if unit.label.is_some() && dossier.is_kept_from(unit.index) {
            return Some(Shelter::Kept);
        }
        if self.settings.leash.is_some() && dossier.leashed == Leashed::Outside {
            return Some(Shelter::Leash);
        }
        // An unprivileged beadle answers for one user's processes, also where the kernel would let it do more.
        let ours_and_its = self.settings.only_user.zip(node.owner);
        let foreign = ours_and_its.is_some_and(|(ours, its)| ours != its);
        foreign.then_some(Shelter::Foreign)
    }

    /// Whoever left the tree; of a family that left together the topmost.
    fn aside(&self, unit: &Unit) -> Vec<Member> {
        let mut found = Vec::new();
        if let UnitKey::Process(_) = unit.key {
            return found;
        }
        let gone_root = (!unit.members.contains(&unit.root)).then_some(&unit.root);
        for above in gone_root.into_iter().chain(&unit.members) {
            let children = self.forest.node(*above).map(|node| &node.children);
            for child in children.into_iter().flatten() {
                let Some((node, dossier)) = self.forest.node(*child).zip(self.dossiers.get(child))
                else {
                    continue;
                };
                let kept = dossier.is_kept_from(unit.index);
                let shelter = match &dossier.standing {
                    _ if unit.members.contains(child) => continue,
                    Standing::Boundary(reason) => Shelter::Boundary(reason.clone()),
                    Standing::Plain | Standing::Protected(_) if kept => Shelter::Kept,
                    Standing::Plain | Standing::Protected(_) => continue,
                };
                found.push(member(node, dossier, Some(shelter)));
                if found.len() >= NAMED_ASIDE {
                    return found;
                }
            }
        }
        found
    }
}

fn member(node: &Node, dossier: &Dossier, shelter: Option<Shelter>) -> Member {
    Member {
        pid: node.pid,
        key: node.key,
        program: dossier.program.clone(),
        image: dossier.image,
        shelter,
    }
}

/// What kind of program a process runs.
pub(super) fn image(facts: &Facts) -> Image {
    let args: &[Text] = facts.args.known().map_or(&[], Vec::as_slice);
    let running = program::running(facts.exe.known(), args, &facts.comm);
    let shell = running.family == Some(Family::Shell);
    match running.form {
        Form::Bare | Form::Inline if shell => Image::Shell,
        Form::Bare | Form::Inline | Form::Native | Form::Script => Image::Other,
    }
}
