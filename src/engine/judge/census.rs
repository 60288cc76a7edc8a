//! Births and deaths: who belongs to which unit.
//!
//! **Invariants.** Membership is inherited at birth over a hard tie and ends by death, by `keep`, or by being a
//! boundary; nothing else ends it. A unit without a living member is closed.

use std::time::Duration;

use super::Judge;
use super::dossier::{Dossier, Hand, Learning, Leashed, Papers};
use super::exclusive::Exclusive;
use super::jobs::Whose;
use super::unit::{Unit, UnitId};
use crate::engine::decision::{Closing, Decision};
use crate::engine::evidence::UnitKey;
use crate::engine::forest::{Change, FirstSign, Life, Serial};
use crate::engine::guard::{Reason, Standing};
use crate::engine::incident::Phase;
use crate::engine::legacy::Ending;
use crate::engine::process::ExecGen;
use crate::engine::units::Mono;

/// A process must live so long before its facts are read: a compile farm's children cost no regex.
pub(super) const YOUTH: Duration = Duration::from_secs(1);
/// Members of a unit with an open incident are known sooner: what is about to be signalled may be a boundary. So are
/// those whom the rule may keep: until they are known, what they use counts for nothing.
const YOUTH_IN_TROUBLE: Duration = Duration::from_millis(50);

impl Judge {
    /// Draws the consequences of what changed in the forest.
    pub(super) fn settle(&mut self, changes: &[Change], out: &mut Vec<Decision>) {
        for change in changes {
            match *change {
                Change::Born(serial) => self.register(serial),
                Change::Adopted(serial) => self.inherit_late(serial, out),
                // Another user is like another image: the matchers may answer otherwise.
                Change::Execed(serial) => {
                    self.hand_up(serial);
                    self.expect(serial);
                }
                Change::Owned(serial) => self.expect(serial),
                Change::Leaving(serial) => {
                    let units = self.dossiers.get(&serial).map(|dossier| &dossier.units);
                    let soon = units.map_or(YOUTH, |units| self.youth(units));
                    self.schedule(serial, self.now.after(soon));
                }
                Change::Died(serial) => self.bury(serial, out),
                Change::Reaped(serial) => self.reap(serial),
            }
        }
    }

    fn register(&mut self, serial: Serial) {
        let Some(node) = self.forest.node(serial) else {
            return;
        };
        let parent = node.parent.and_then(|parent| self.dossiers.get(&parent));
        let mut dossier = Dossier::born_of(parent.map(Box::as_ref));
        dossier.units = parent
            .map(|parent| self.inheritance(parent))
            .unwrap_or_default();
        dossier.units.extend(self.handed_on(serial));
        if let Some(parent) = parent {
            dossier.carried = parent.carried.of_child(node.seen);
            // It begins where its parent is. Of one that was found, nobody knows where it has been since.
            dossier.filed = parent.filed.filter(|_| node.seen == FirstSign::Heard);
        }
        if let Some(parent) = node.parent {
            dossier.leashed = self.leashed_below(parent);
            dossier.hand = self.hand_below(parent);
        }
        if dossier.hand == Hand::Ours {
            // What it runs does not matter.
            dossier.standing = Standing::Boundary(Reason::Started);
        }
        let (seen, born, above, key) = (node.seen, node.born, node.parent, node.key);
        dossier.keep_from(&self.kept_before(key));
        let units = &self.units;
        let apart = |id: &UnitId| {
            let index = units.get(id).map(|unit| unit.index);
            index.is_some_and(|index| dossier.is_kept_from(index))
        };
        let own = dossier
            .units
            .iter()
            .copied()
            .filter(|id| !apart(id))
            .collect();
        dossier.units = own;
        for id in &dossier.units {
            let perhaps = above.is_some_and(|above| self.may_be_kept(above, *id));
            if let Some(unit) = self.units.get_mut(id) {
                unit.members.insert(serial);
                unit.spawned.note(perhaps);
                if above.is_some_and(|above| unit.strays.contains(&above)) {
                    unit.strays.insert(serial);
                }
            }
        }
        let youth = self.youth(&dossier.units);
        self.dossiers.insert(serial, Box::new(dossier));
        // What was there before us has most likely lived long enough.
        let ripe = match seen {
            FirstSign::Heard => born.after(youth),
            FirstSign::Found => born.after(youth).max(self.now),
        };
        self.schedule(serial, ripe);
    }

    /// Has a process looked after at that moment, or sooner where that was due already.
    pub(super) fn schedule(&mut self, serial: Serial, at: Mono) {
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        let due = dossier.due.min(at);
        let old = std::mem::replace(&mut dossier.due, due);
        if old < Mono::NEVER {
            self.ripe.remove(&(old, serial));
        }
        self.ripe.insert((due, serial));
    }

    /// Nothing is to be done for a process any more.
    pub(super) fn unschedule(&mut self, serial: Serial) {
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        let due = std::mem::replace(&mut dossier.due, Mono::NEVER);
        if due < Mono::NEVER {
            self.ripe.remove(&(due, serial));
        }
    }

    /// The units that a child of this process is born into.
    fn inheritance(&self, parent: &Dossier) -> Vec<UnitId> {
        let boundary = matches!(parent.standing, Standing::Boundary(_));
        let passes = |id: &&UnitId| match self.units.get(id).map(|unit| unit.key) {
            Some(UnitKey::Tree(_)) => !boundary,
            // Whoever is outside a job is no member of it.
            Some(UnitKey::Label(_)) => true,
            Some(UnitKey::Process(_)) | None => false,
        };
        parent.units.iter().filter(passes).copied().collect()
    }

    /// Where the children of this process stand to `--only-under`.
    fn leashed_below(&self, parent: Serial) -> Leashed {
        let key = self.forest.node(parent).and_then(|node| node.key);
        if key.is_some() && key == self.settings.leash {
            return Leashed::Below;
        }
        self.dossiers
            .get(&parent)
            .map_or(Leashed::Outside, |parent| parent.leashed)
    }

    /// Whose doing the children of this process are.
    fn hand_below(&self, parent: Serial) -> Hand {
        let key = self.forest.node(parent).and_then(|node| node.key);
        if key.is_some() && key == self.settings.itself {
            return Hand::Ours;
        }
        self.dossiers
            .get(&parent)
            .map_or(Hand::Others, |parent| parent.hand)
    }

    /// How long a member of these units lives before its facts are read.
    fn youth(&self, units: &[UnitId]) -> Duration {
        let mut units = units.iter().filter_map(|unit| self.units.get(unit));
        // Whoever runs another image counts for nothing in a job until it is known what that carries.
        let presses = |unit: &Unit| {
            unit.incident.is_some() || !unit.rule.keep.is_empty() || unit.label.is_some()
        };
        if units.any(presses) {
            YOUTH_IN_TROUBLE
        } else {
            YOUTH
        }
    }

    /// A process that was known before its parent was: it and all below it join what the parent belongs to.
    fn inherit_late(&mut self, serial: Serial, out: &mut Vec<Decision>) {
        let Some(node) = self.forest.node(serial) else {
            return;
        };
        let above = node.parent;
        let leashed = above.map_or(Leashed::Outside, |above| self.leashed_below(above));
        let hand = above.map_or(Hand::Others, |above| self.hand_below(above));
        let parent = above.and_then(|above| self.dossiers.get(&above));
        let mut units = parent
            .map(|parent| self.inheritance(parent))
            .unwrap_or_default();
        units.extend(self.handed_on(serial));
        let kept = parent.and_then(|parent| parent.kept.clone());
        self.leave_others(serial, &units, out);
        for id in units {
            // Whose job it is, its environment says.
            if self.units.get(&id).is_some_and(|unit| unit.label.is_some()) {
                continue;
            }
            self.join(id, serial);
            self.merge_below(id, out);
        }
        self.stirred = true;
        let mut family = self.forest.below(serial);
        family.insert(serial);
        for member in family {
            if let Some(dossier) = self.dossiers.get_mut(&member) {
                if leashed == Leashed::Below {
                    dossier.leashed = leashed;
                }
                if hand == Hand::Ours {
                    dossier.hand = hand;
                    dossier.standing = Standing::Boundary(Reason::Started);
                }
                if let Some(kept) = &kept {
                    dossier.keep_from(kept);
                }
            }
        }
    }

    /// A process leaves the units of those who had only adopted it.
    fn leave_others(&mut self, serial: Serial, units: &[UnitId], out: &mut Vec<Decision>) {
        let Some(dossier) = self.dossiers.get(&serial) else {
            return;
        };
        let own = |id: &UnitId| {
            let unit = self.units.get(id);
            unit.is_some_and(|unit| unit.root == serial || unit.label.is_some())
        };
        let others: Vec<UnitId> = dossier
            .units
            .iter()
            .filter(|id| !units.contains(id) && !own(id))
            .copied()
            .collect();
        for id in others {
            self.leave(id, serial, out);
            self.hopeful.insert(serial);
        }
    }

    /// A process and all below it, up to boundaries and kept ones, become members.
    pub(super) fn join(&mut self, id: UnitId, top: Serial) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        // What the newcomers used before is no pace of the unit's.
        unit.forget_paces();
        let (index, root) = (unit.index, unit.root);
        let mut open = vec![top];
        while let Some(serial) = open.pop() {
            if serial != root && self.is_kept(serial, index) {
                self.keep_out(serial, index);
            }
            let perhaps = self.may_be_kept(serial, id);
            let Some((unit, dossier)) = self.units.get_mut(&id).zip(self.dossiers.get_mut(&serial))
            else {
                continue;
            };
            let apart =
                matches!(dossier.standing, Standing::Boundary(_)) || dossier.is_kept_from(index);
            if apart {
                unit.departed = true;
            }
            if apart || dossier.units.contains(&id) {
                continue;
            }
            dossier.units.push(id);
            unit.members.insert(serial);
            if serial != root {
                // Whether it ran a shell before or after it became a member must make no difference.
                dossier.standing =
                    std::mem::replace(&mut dossier.standing, Standing::Plain).for_member();
            }
            if let UnitKey::Tree(_) = unit.key {
                let dead = dossier.estate.as_ref().map(|estate| estate.dead);
                // Whoever had left before may have brought some of them already.
                let sure = !unit.departed && !perhaps;
                let known = dead.map(|dead| if sure { dead } else { dead.in_doubt() });
                unit.buried.absorb(known.unwrap_or_default());
                open.extend(
                    self.forest
                        .node(serial)
                        .iter()
                        .flat_map(|node| &node.children),
                );
            }
        }
    }

    /// Whether a member may turn out to be one that the rule keeps: nobody knows yet what it runs, or what one above it
    /// does that may have started it as another program. Or to be none of the job: nobody knows yet what it carries.
    ///
    /// # Why it matters
    /// What is kept is not counted. A build server that worked hard before it was known, and children of it that were
    /// dead by then, once brought the end over a healthy program.
    pub(super) fn may_be_kept(&self, serial: Serial, unit: UnitId) -> bool {
        let Some(unit) = self.units.get(&unit) else {
            return false;
        };
        let unproven = |label| !self.is_proven(serial, label);
        if unit.label.as_ref().is_some_and(unproven) {
            return true;
        }
        if unit.rule.keep.is_empty() {
            return false;
        }
        let above = self.forest.above(serial).map(|(above, _)| above);
        std::iter::once(serial)
            .chain(above)
            .take_while(|member| *member != unit.root)
            .any(|member| self.is_unknown(member))
    }

    /// Whether nobody knows yet what a process runs that may be another program than its parent.
    pub(super) fn is_unknown(&self, serial: Serial) -> bool {
        let both = self.forest.node(serial).zip(self.dossiers.get(&serial));
        both.is_some_and(|(node, dossier)| {
            let own_image = node.exec != ExecGen::default() || node.seen == FirstSign::Found;
            let gone = matches!(dossier.papers, Papers::None);
            own_image && (gone || dossier.learning != Learning::Settled)
        })
    }

    /// A process and all below it are no part of a rule's trees, for good.
    pub(super) fn keep_out(&mut self, top: Serial, rule: usize) {
        let mut family = self.forest.below(top);
        family.insert(top);
        for member in family {
            if let Some(dossier) = self.dossiers.get_mut(&member) {
                dossier.keep_from(&[rule]);
            }
        }
    }

    /// One member is none any more.
    pub(super) fn let_out(&mut self, id: UnitId, serial: Serial) {
        if let Some(dossier) = self.dossiers.get_mut(&serial) {
            dossier.units.retain(|unit| *unit != id);
            dossier.strike_figures();
        }
        if let Some(unit) = self.units.get_mut(&id) {
            unit.members.remove(&serial);
            unit.strays.remove(&serial);
            unit.arrived.remove(&serial);
            unit.part();
        }
    }

    /// A process and all below it leave a unit.
    pub(super) fn leave(&mut self, id: UnitId, top: Serial, out: &mut Vec<Decision>) {
        let mut family = self.forest.below(top);
        family.insert(top);
        for serial in family {
            self.let_out(id, serial);
        }
        self.withdraw(id, out);
        self.review_frozen(id, out);
        self.close_if_empty(id, out);
    }

    /// Its image or its user is another: its facts are to be learnt again.
    pub(super) fn expect(&mut self, serial: Serial) {
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        // What is shelved is of the image before, or of the user.
        if let (Papers::Shelved, Learning::Settled) = (&dossier.papers, dossier.learning) {
            dossier.papers = Papers::None;
        }
        dossier.learning = Learning::Young;
        dossier.carried.doubt();
        let youth = self
            .dossiers
            .get(&serial)
            .map_or(YOUTH, |dossier| self.youth(&dossier.units));
        self.schedule(serial, self.now.after(youth));
    }

    fn bury(&mut self, serial: Serial, out: &mut Vec<Decision>) {
        let Some((node, dossier)) = self.forest.node(serial).zip(self.dossiers.get(&serial)) else {
            return;
        };
        let Life::Dead(died) = node.life else { return };
        let units = dossier.units.clone();
        let read = dossier.latest().at.unwrap_or(Mono::BOOT);
        let owner = node.owner;
        let account = self.account(serial);
        self.pass_on(serial, account);
        let mut watched = false;
        for id in &units {
            let perhaps = self.may_be_kept(serial, *id);
            let Some(unit) = self.units.get_mut(id) else {
                continue;
            };
            unit.members.remove(&serial);
            unit.strays.remove(&serial);
            unit.newest = unit.newest.max(read);
            if let Some(arrival) = unit.arrived.remove(&serial) {
                let brought = arrival.used.unwrap_or(account.at_least);
                unit.before = unit.before.saturating_add(brought);
            }
            // What another user's process used, the group has counted all the same.
            let theirs = owner.zip(unit.label.as_ref());
            if theirs.is_some_and(|(owner, label)| owner != label.owner) {
                unit.exclusive = Exclusive::default();
            }
            unit.buried
                .absorb(if perhaps { account.in_doubt() } else { account });
            if unit.root == serial {
                unit.root_gone = Some(died);
                unit.next_look = unit.next_look.min(died.after(self.rules.interval));
            }
            if unit.counts_zombies() {
                unit.zombies.insert(serial);
                watched = true;
            }
        }
        self.hopeful.remove(&serial);
        self.unschedule(serial);
        self.stirred = true;
        if !watched {
            self.dossiers.remove(&serial);
            self.forest.forget(serial);
        }
        for id in units {
            self.close_if_empty(id, out);
        }
    }

    /// One of the dead is gone for good: nothing counts it any more.
    pub(super) fn reap(&mut self, serial: Serial) {
        for id in self
            .dossiers
            .remove(&serial)
            .iter()
            .flat_map(|dossier| &dossier.units)
        {
            if let Some(unit) = self.units.get_mut(id) {
                unit.zombies.remove(&serial);
            }
        }
        self.forest.forget(serial);
    }

    /// A unit whose last member died is over; while an act is under way, its report closes it.
    pub(super) fn close_if_empty(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let phase = unit.incident.as_ref().map(|incident| &incident.phase);
        let over = unit.members.is_empty() || self.is_deserted(unit);
        if !over || matches!(phase, Some(Phase::Acting(_))) {
            return;
        }
        let ours = unit.incident.as_ref();
        let ours = ours.filter(|incident| incident.has_acted());
        let how = match ours {
            Some(incident) => Closing::Ended(incident.certainty.min(self.hearing.into())),
            None => Closing::Exited,
        };
        self.stirred = true;
        self.close(id, how, out);
        self.dissolve(id);
    }

    /// Drops a unit.
    pub(super) fn dissolve(&mut self, id: UnitId) {
        let Some(unit) = self.units.remove(&id) else {
            return;
        };
        let (now, forest) = (self.now, &self.forest);
        self.pasts.retain(|(_, whose), (key, past)| {
            let lives = match whose {
                Whose::Job(_) => true,
                Whose::Unit(_) => forest.find(key.root()).is_some(),
            };
            past.until > now && lives
        });
        let stays = unit.root_gone.is_none() || unit.label.is_some();
        if let Some(past) = unit.past.clone().filter(|_| stays) {
            let whose = Whose::of(unit.key, unit.label.as_ref());
            let name = unit.rule.name.clone();
            self.pasts.insert((name, whose), (unit.key, past));
        }
        for serial in unit.members.iter().chain(&unit.zombies) {
            if let Some(dossier) = self.dossiers.get_mut(serial) {
                dossier.units.retain(|unit| *unit != id);
                dossier.strike_figures();
            }
        }
        for serial in unit.zombies {
            self.release(serial);
        }
    }

    /// Forgets a dead process that no unit watches any more.
    pub(super) fn release(&mut self, serial: Serial) {
        let watched = self
            .units
            .values()
            .any(|unit| unit.zombies.contains(&serial));
        let dead = self
            .forest
            .node(serial)
            .is_none_or(|node| matches!(node.life, Life::Dead(_)));
        if dead && !watched {
            self.dossiers.remove(&serial);
            self.forest.forget(serial);
        }
    }

    /// Notes that we ended a tree.
    pub(super) fn note_ending(&mut self, id: UnitId) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let longest = self
            .rules
            .rules
            .iter()
            .map(|rule| rule.cooldown.max(rule.breaker.within))
            .max()
            .unwrap_or_default();
        let edge = self.now.before(longest);
        self.endings.retain(|ending| ending.at >= edge);
        self.endings.push_back(Ending {
            at: self.now,
            rule: unit.rule.name.clone(),
            owner: unit.subject.owner,
            program: unit.subject.program.clone(),
            starter: unit.starter.as_ref().and_then(|(key, _)| *key),
        });
    }
}
