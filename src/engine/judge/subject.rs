//! Who a root is, in words people know, and whose.

use super::Judge;
use crate::engine::evidence::Subject;
use crate::engine::facts::Facts;
use crate::engine::forest::Serial;
use crate::engine::process::{ProcKey, Text, Uid};
use crate::engine::redact;

/// How much of a command line is kept for people.
pub(super) const COMMAND_SHOWN: usize = 160;

impl Judge {
    /// A process, in words people know.
    pub(super) fn subject(&self, serial: Serial, key: ProcKey) -> Subject {
        let node = self.forest.node(serial);
        let dossier = self.dossiers.get(&serial);
        let facts = dossier.and_then(|dossier| dossier.facts());
        let args: &[Text] = facts
            .and_then(|facts| facts.args.known())
            .map_or(&[], Vec::as_slice);
        let place = |facts: &Facts| facts.cwd.known().map(|place| place.path.clone());
        let terminal = |facts: &Facts| facts.tty.known().cloned().flatten().map(|place| place.path);
        let owner = node.and_then(|node| node.owner);
        Subject {
            key,
            program: dossier
                .map(|dossier| dossier.program.clone())
                .unwrap_or_default(),
            command: redact::command_line(args, COMMAND_SHOWN),
            cwd: facts.and_then(place),
            owner,
            audience: self.audience(serial).or(owner),
            tty: facts.and_then(terminal),
            label: None,
        }
    }

    /// Whom to tell: the user who logged in, else the nearest person above, else nobody better than the owner.
    pub(super) fn audience(&self, serial: Serial) -> Option<Uid> {
        let login = |serial: &Serial| {
            let facts = self.facts_of(*serial)?;
            facts.login.known().copied().flatten()
        };
        let person = |serial: &Serial| {
            let owner = self.forest.node(*serial)?.owner?;
            (owner.0 >= 1000 && owner.0 < 65_534).then_some(owner)
        };
        let above = || self.forest.above(serial).map(|(serial, _)| serial);
        login(&serial)
            .or_else(|| person(&serial))
            .or_else(|| above().find_map(|serial| person(&serial)))
    }

    /// A root may run another program by now, or for somebody else: that is what people are told, and whose it is. Where it
    /// began to work stays.
    pub(super) fn reintroduce(&mut self, serial: Serial) {
        let units = self.dossiers.get(&serial).map(|it| it.units.clone());
        for id in units.unwrap_or_default() {
            let rooted = self.units.get(&id).filter(|unit| unit.root == serial);
            let Some(before) = rooted.map(|unit| unit.subject.clone()) else {
                continue;
            };
            let now = self.subject(serial, before.key);
            if let Some(unit) = self.units.get_mut(&id) {
                // Whose a job is, its label says, whoever its root has become.
                let whose = match &unit.label {
                    Some(_) => (before.owner, before.audience),
                    None => (now.owner, now.audience),
                };
                unit.subject = Subject {
                    cwd: before.cwd.or(now.cwd),
                    label: before.label,
                    owner: whose.0,
                    audience: whose.1,
                    ..now
                };
            }
        }
    }
}
