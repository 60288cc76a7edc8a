//! Signals: whom they truly reach.

use beadle::engine::evidence::UnitKey;
use beadle::engine::rule::Signal;

use super::{Scene, Verdict, Watchman, ensure, find};
use crate::world::body::Id;

impl Watchman {
    /// Looks at every signal that was truly sent since the last time.
    pub fn signals(&mut self, scene: &Scene<'_>) -> Verdict {
        let machine = scene.machine;
        for sent in &scene.shells.sent[self.seen..] {
            self.signals += 1;
            let warrant = &sent.warrant;
            let name = &warrant.evidence.rule;
            let moment = self.moment(sent.at);
            if sent.signal == Signal::Term {
                let case = self.cases.entry(warrant.incident.0).or_default();
                if case.termed.is_none() {
                    case.termed = Some(sent.at);
                    case.grace = Some(self.gates.mark(name, moment));
                }
            }
            if sent.signal == Signal::Kill {
                self.kills += 1;
            }
            self.freezes += u64::from(sent.signal == Signal::Stop);
            // Whoever was rightly stopped goes on, whatever it has become.
            if sent.signal == Signal::Cont {
                continue;
            }
            let root = machine.ever(warrant.unit.root());
            let root = root.ok_or("a signal for a root that never was")?;
            let chain = machine.chain(sent.to, root);
            ensure!(
                !chain.is_empty(),
                "signal to a stranger, {:?} is not below {root:?}: {name}",
                sent.to
            );
            let rule = find(scene.rules, name);
            if let UnitKey::Process(_) = warrant.unit {
                ensure!(
                    chain.len() == 1,
                    "a child signalled in scope process: {name}"
                );
            }
            let keeps = rule.is_none_or(|rule| !rule.keep.is_empty());
            for id in &chain {
                let spared = runs_known(scene, *id, &["tmux", "systemd"]);
                ensure!(
                    spared.is_none(),
                    "signal to or below a boundary {id:?}: {name} {chain:?} {:?}",
                    machine.kin[id.0].ran
                );
                // What was kept died before the rule was there: nobody can know any more.
                if keeps && *id != root && machine.alive(*id) {
                    let kept = runs_known(scene, *id, &["kept"]);
                    ensure!(
                        kept.is_none(),
                        "signal to or below a kept process {id:?}: {name} {chain:?} {:?}",
                        machine.kin[id.0].ran
                    );
                }
            }
            if let Some(leash) = scene.leash {
                ensure!(
                    machine.descends(sent.to, leash),
                    "signal outside the leash: {name}"
                );
            }
            if let (Some(user), Some(body)) = (scene.only_user, machine.body(sent.to)) {
                // Whose it has become since it was looked at, nobody can know.
                ensure!(
                    body.owner == user || body.owned >= warrant.sampled,
                    "signal to another user's process: {name}"
                );
            }
        }
        self.seen = scene.shells.sent.len();
        Ok(())
    }
}

/// Whether a process runs one of these, or died of it, and the judge had been told so.
fn runs_known(scene: &Scene<'_>, id: Id, programs: &[&str]) -> Option<usize> {
    let ran = &scene.machine.kin[id.0].ran;
    let image = ran.len().checked_sub(1)?;
    let image_of = (id, u32::try_from(image).unwrap());
    // Of a dead one whom only an earlier judge knew, nobody can tell the present one.
    let before = scene.machine.alive(id) && scene.shells.heard_before.contains(&image_of);
    let known = before || scene.shells.heard.contains(&image_of);
    (known && programs.contains(&ran[image].1.as_str())).then_some(image)
}
