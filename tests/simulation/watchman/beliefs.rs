//! Beliefs: lineage, membership, and what is remembered.

use beadle::engine::decision::Hearing;
use beadle::engine::evidence::UnitKey;
use beadle::engine::units::Mono;

use super::{Scene, Verdict, Watchman, ensure, find};
use crate::world::body::State;

impl Watchman {
    /// Looks at what the judge believes.
    pub fn beliefs(&mut self, scene: &Scene<'_>, deep: bool) -> Verdict {
        let (judge, machine) = (scene.judge, scene.machine);
        if let Some(next) = judge.next_deadline() {
            ensure!(
                next > machine.now,
                "the deadline {next:?} is past at {:?}",
                machine.now
            );
        }
        if deep {
            holdings(scene)?;
            self.forest(scene)?;
            self.units(scene)?;
        }
        Ok(())
    }

    fn forest(&self, scene: &Scene<'_>) -> Verdict {
        let (forest, machine) = (scene.judge.forest(), scene.machine);
        // What died and is not told yet, and zombies that a limit counts, may still be known.
        let slack = machine.bodies.len() + machine.events.len() + 40;
        ensure!(
            forest.len() <= machine.bodies.len() + slack,
            "{} known of {}",
            forest.len(),
            machine.bodies.len()
        );
        for (serial, node) in forest.iter() {
            if let Some(parent) = node.parent {
                let above = forest.node(parent).ok_or("a parent that is forgotten")?;
                ensure!(
                    above.children.contains(&serial),
                    "a child unknown to its parent"
                );
                if let Some((child, parent)) = node
                    .key
                    .and_then(|key| machine.ever(key))
                    .zip(above.key.and_then(|key| machine.ever(key)))
                {
                    ensure!(
                        machine.descends(child, parent),
                        "false lineage: {child:?} {} is not below {parent:?} {}",
                        node.pid,
                        above.pid
                    );
                }
            }
            for child in &node.children {
                let below = forest.node(*child).ok_or("a child that is forgotten")?;
                ensure!(below.parent == Some(serial), "a child of another parent");
            }
            let dead = matches!(node.life, beadle::engine::forest::Life::Dead(_));
            ensure!(
                dead || forest.holder(node.pid) == Some(serial),
                "two living holders of {}",
                node.pid
            );
        }
        Ok(())
    }

    fn units(&mut self, scene: &Scene<'_>) -> Verdict {
        let machine = scene.machine;
        let view = scene.judge.view();
        self.care.look(scene, self.worked, &view)?;
        self.standing.look(scene, self.worked, &view)?;
        let sure = scene.shells.ways.hearing == Hearing::Events
            && self.gaps == 0
            && machine.events.is_empty();
        for unit in &view.units {
            let key = unit.evidence.unit;
            let name = &unit.evidence.rule;
            let acting = unit.incident.is_some();
            ensure!(
                unit.evidence.members > 0 || acting,
                "a unit without a member: {name}"
            );
            let root = machine.ever(key.root());
            let Some(root) = root else { continue };
            for member in &unit.members {
                let Some(body) = machine.find(*member) else {
                    continue;
                };
                ensure!(
                    !machine.chain(body.id, root).is_empty(),
                    "a stranger in the unit: {name} {member}"
                );
            }
            if !sure || self.reloads > 0 || !matches!(key, UnitKey::Tree(_)) || !scene.calm_start {
                continue;
            }
            let keeps = find(scene.rules, name).is_none_or(|rule| !rule.keep.is_empty());
            for body in machine.living().filter(|body| body.state != State::Zombie) {
                if body.id == root || unit.members.contains(&machine.key(body)) {
                    continue;
                }
                let chain = machine.chain(body.id, root);
                let cut = chain.iter().any(|id| {
                    let ran = |name: &[&str]| {
                        machine.kin[id.0]
                            .ran
                            .iter()
                            .any(|(_, ran)| name.contains(&ran.as_str()))
                    };
                    ran(&["tmux", "systemd"]) || (keeps && *id != root && ran(&["kept"]))
                });
                if chain.is_empty() || cut {
                    continue;
                }
                if !self.restarts.can_know(scene, unit, &chain) {
                    continue;
                }
                // A member whose identity is not bound yet has no key to show.
                let holder = scene
                    .judge
                    .forest()
                    .holder(body.pid)
                    .and_then(|serial| scene.judge.forest().node(serial));
                if holder.is_some_and(|node| node.key.is_none()) {
                    continue;
                }
                let before = machine.kin[body.id.0]
                    .ran
                    .first()
                    .is_some_and(|(at, _)| *at < Mono::from_secs(1002));
                ensure!(
                    before,
                    "a member is missing from {name}: {} {chain:?} {:?}",
                    body.pid,
                    scene.judge.explain(body.pid, None).map(|it| (
                        it.standing,
                        it.above,
                        it.rules
                            .into_iter()
                            .find(|rule| rule.rule == *name)
                            .map(|rule| format!("{:?}", rule.relation)
                                .chars()
                                .take(90)
                                .collect::<String>())
                    ))
                );
            }
        }
        Ok(())
    }
}

/// Nothing is remembered that nobody needs.
fn holdings(scene: &Scene<'_>) -> Verdict {
    let [
        (_, processes),
        (_, dossiers),
        (_, scheduled),
        (_, hopeful),
        (_, units),
        (_, flights),
        (_, errands),
        (_, questions),
    ] = scene.judge.holdings();
    ensure!(
        dossiers <= processes,
        "{dossiers} dossiers of {processes} processes"
    );
    ensure!(
        scheduled <= dossiers,
        "{scheduled} appointments of {dossiers} processes"
    );
    ensure!(
        hopeful <= dossiers,
        "{hopeful} hopes of {dossiers} processes"
    );
    let most = processes * scene.rules.rules.len() + flights;
    ensure!(units <= most, "{units} units of {processes} processes");
    ensure!(
        flights <= units * 2 + 4,
        "{flights} flights for {units} units"
    );
    ensure!(errands <= 4 + 64, "{errands} errands");
    ensure!(questions == 0, "questions that nobody asks");
    Ok(())
}
