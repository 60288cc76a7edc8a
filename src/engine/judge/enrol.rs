//! Facts: what a process runs, how it stands, which rules it is the root of.
//!
//! **Invariants.** No root is made while anything above it is not known. A root is the topmost match of its rule. Facts
//! of an image that is no longer run change nothing.

use std::sync::Arc;
use std::time::Duration;

use super::Judge;
use super::census::YOUTH;
use super::dossier::{Dossier, Hand, Learning, Papers};
use super::jobs::Whose;
use super::roster;
use super::unit::{Unit, UnitId};
use crate::engine::decision::{Closing, Decision};
use crate::engine::evidence::{Subject, UnitKey};
use crate::engine::facts::{Facts, Read};
use crate::engine::forest::{Life, Lineage, Node, Serial};
use crate::engine::guard::{self, Reason, Standing};
use crate::engine::incident::Phase;
use crate::engine::label::Label;
use crate::engine::matcher::{self, Answer};
use crate::engine::process::{ExecGen, ProcKey, ShortName, Text, Uid};
use crate::engine::program;
use crate::engine::redact;
use crate::engine::rule::Scope;

/// Whoever is in no group that may be judged is asked where it is after so long.
const MOVES: Duration = Duration::from_secs(30);

/// How much of a command line is kept for people.
pub(super) const COMMAND_SHOWN: usize = 160;

impl Judge {
    /// Takes in facts: standing, answers, and what follows from them.
    pub(super) fn learn(&mut self, batch: Vec<Facts>, out: &mut Vec<Decision>) {
        for facts in batch {
            self.learn_one(facts, out);
        }
        self.stirred = true;
    }

    /// Considers those who wait for what is above them, when something changed that may decide for them.
    pub(super) fn reconsider(&mut self, out: &mut Vec<Decision>) {
        if std::mem::take(&mut self.stirred) {
            for serial in std::mem::take(&mut self.hopeful) {
                self.consider(serial, out);
                self.shelve(serial);
            }
        }
    }

    fn learn_one(&mut self, facts: Facts, out: &mut Vec<Decision>) {
        let serial = facts.about;
        if self.forest.holder(facts.pid) != Some(serial) {
            // It was asked about another, who held the number before.
            return;
        }
        let current = self
            .forest
            .node(serial)
            .is_some_and(|node| node.exec == facts.exec);
        let dead = |node: &Node| matches!(node.life, Life::Dead(_));
        if self.forest.node(serial).is_some_and(dead) {
            // It is only counted as a zombie.
            return;
        }
        if !current {
            // It ran another image by the time; that one was asked about too.
            return;
        }
        if matches!(facts.args, Read::Late) || matches!(facts.exe, Read::Late) {
            self.learn_later(serial);
            return;
        }
        let ours = facts
            .key
            .is_some_and(|key| self.forest.bind(serial, key, facts.start, facts.at));
        let leaving = |node: &Node| node.life == Life::Leaving;
        if !self.forest.node(serial).is_some_and(leaving) {
            self.unschedule(serial);
        }
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        if !ours {
            // It vanished, or the number is another's by now: the next look or event tells which. What its parent
            // runs says nothing about it any more.
            dossier.learning = Learning::Settled;
            dossier.papers = Papers::None;
            dossier.name = None;
            dossier.answers = None;
            return;
        }
        // Facts that were only read again tell nothing new of what it runs.
        let known = match &dossier.papers {
            Papers::Here(before) => (before.key, before.exec) == (facts.key, facts.exec),
            Papers::Shelved => true,
            Papers::None => false,
        };
        dossier.learning = Learning::Settled;
        self.note_environment(serial, &facts);
        self.note_place(serial, &facts);
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        let program = program::of(&facts).unwrap_or_default();
        // The next process most often runs what the last one did.
        if program != self.last_program {
            self.last_program = program;
        }
        dossier.program = self.last_program.clone();
        dossier.image = roster::image(&facts);
        dossier.name = Some(ShortName::of(facts.comm.bytes()));
        let owner = facts.owner.known().copied();
        dossier.papers = Papers::Here(Arc::new(facts));
        self.forest.own(serial, owner);
        let standing = self.standing(serial);
        if let Some(dossier) = self.dossiers.get_mut(&serial) {
            self.forest.set_lineage(serial, lineage(&standing));
            dossier.standing = standing;
        }
        self.answer(serial);
        self.rearrange(serial, out);
        self.relabel(serial, out);
        if !known {
            self.count_from_now(serial);
        }
        self.hopeful.insert(serial);
    }

    /// What it runs could not be read in time: it is asked again. Where that is known already, only what it carries may be
    /// missing.
    fn learn_later(&mut self, serial: Serial) {
        let open = |dossier: &&mut Box<Dossier>| dossier.learning != Learning::Settled;
        let Some(dossier) = self.dossiers.get_mut(&serial).filter(open) else {
            return self.ask_later(serial);
        };
        dossier.learning = Learning::Young;
        let wait = self.patience_with(serial);
        self.schedule(serial, self.now.after(wait));
    }

    /// What counts only since it is known what it runs was not used all at once.
    fn count_from_now(&mut self, serial: Serial) {
        let Some((node, dossier)) = self.forest.node(serial).zip(self.dossiers.get(&serial)) else {
            return;
        };
        if self.now.since(node.exec_at) <= YOUTH {
            return;
        }
        for id in &dossier.units {
            if let Some(unit) = self.units.get_mut(id)
                && !unit.rule.keep.is_empty()
                && unit.root != serial
            {
                unit.forget_paces();
            }
        }
    }

    /// A process as matchers see it.
    pub(super) fn with_subject<T>(
        &self,
        serial: Serial,
        hold: impl FnOnce(&matcher::Subject<'_>) -> T,
    ) -> Option<T> {
        let facts = self.facts_of(serial);
        self.with_facts(serial, facts, hold)
    }

    /// A process as matchers would see it by these facts.
    pub(super) fn with_facts<T>(
        &self,
        serial: Serial,
        facts: Option<&Facts>,
        hold: impl FnOnce(&matcher::Subject<'_>) -> T,
    ) -> Option<T> {
        let above: Vec<Option<&Facts>> = self
            .forest
            .above(serial)
            .map(|(above, _)| self.facts_of(above))
            .collect();
        let node = self.forest.node(serial)?;
        Some(hold(&matcher::Subject {
            facts,
            age: self.now.since(node.exec_at),
            above: &above,
        }))
    }

    fn facts_of(&self, serial: Serial) -> Option<&Facts> {
        self.dossiers.get(&serial)?.facts()
    }

    /// Holds every rule's matcher against a process.
    pub(super) fn answer(&mut self, serial: Serial) {
        let test = |subject: &matcher::Subject<'_>| {
            let rules = self.rules.rules.iter();
            let answers: Vec<Answer> = rules.map(|rule| rule.matcher.test(subject)).collect();
            answers
        };
        let Some(answers) = self.with_subject(serial, test) else {
            return;
        };
        // What holds for one process most often holds for the next.
        if *self.last_answers != *answers {
            self.last_answers = answers.into();
        }
        if let Some(dossier) = self.dossiers.get_mut(&serial) {
            dossier.answers = Some(self.last_answers.clone());
        }
    }

    /// Draws the consequences of new facts for the units a process is in already.
    fn rearrange(&mut self, serial: Serial, out: &mut Vec<Decision>) {
        let Some(dossier) = self.dossiers.get(&serial) else {
            return;
        };
        let standing = dossier.standing.clone();
        for id in dossier.units.clone() {
            let Some((unit, dossier)) = self.units.get(&id).zip(self.dossiers.get(&serial)) else {
                continue;
            };
            let index = unit.index;
            let job = unit.label.is_some();
            let stands = match &unit.label {
                Some(label) => label.standing(&standing),
                None => standing.clone(),
            };
            let boundary = matches!(stands, Standing::Boundary(_));
            if unit.root == serial {
                if boundary || dossier.answer(index) == Answer::No {
                    self.abandon(id, out);
                }
                continue;
            }
            let stays_behind = unit.label.as_ref().is_some_and(Label::is_variable);
            if boundary && job && stays_behind {
                self.leave_alone(id, serial, out);
            } else if boundary {
                self.leave(id, serial, out);
                // What a boundary started begins trees of its own.
                let family = self.forest.below(serial);
                self.hopeful.extend(family);
            } else if self.is_kept(serial, index) {
                self.keep_out(serial, index);
                self.leave(id, serial, out);
            }
        }
    }

    /// Holds the lists of protection and boundaries against everyone again.
    pub(super) fn restand(&mut self, everyone: &[Serial], out: &mut Vec<Decision>) {
        for serial in everyone {
            let standing = self.standing(*serial);
            if let Some(dossier) = self
                .dossiers
                .get_mut(serial)
                .filter(|dossier| dossier.learning == Learning::Settled)
            {
                self.forest.set_lineage(*serial, lineage(&standing));
                dossier.standing = standing;
                self.rearrange(*serial, out);
            }
        }
    }

    /// Whether a process may be signalled, by its own facts.
    fn standing(&self, serial: Serial) -> Standing {
        let dossier = self.dossiers.get(&serial);
        if dossier.is_some_and(|dossier| dossier.hand == Hand::Ours) {
            return Standing::Boundary(Reason::Started);
        }
        let lists = guard::Lists::of(&self.rules, &self.settings.spare.keys);
        let Some(standing) = self.with_subject(serial, |subject| guard::standing(subject, &lists))
        else {
            return Standing::Plain;
        };
        // What already belongs to a judged tree cannot protect itself by running a protected program.
        let born_to = |unit: &Unit| unit.root != serial && !unit.strays.contains(&serial);
        let member = |id: &UnitId| self.units.get(id).is_some_and(born_to);
        match self.dossiers.get(&serial) {
            Some(dossier) if dossier.units.iter().any(member) => standing.for_member(),
            Some(_) | None => standing,
        }
    }

    /// Whether `keep` of a rule takes a process out of the rule's trees, by its own facts.
    pub(super) fn is_kept(&self, serial: Serial, rule: usize) -> bool {
        let learnt = |dossier: &Dossier| dossier.learning == Learning::Settled;
        let Some(rule) = self.rules.rules.get(rule) else {
            return false;
        };
        if rule.keep.is_empty() || !self.dossiers.get(&serial).is_some_and(|it| learnt(it)) {
            return false;
        }
        let any = |subject: &matcher::Subject<'_>| {
            rule.keep
                .iter()
                .any(|keep| keep.holds(subject) == Answer::Yes)
        };
        self.with_subject(serial, any).unwrap_or(false)
    }

    /// Makes a process the root of every rule that it is the topmost match of.
    pub(super) fn consider(&mut self, serial: Serial, out: &mut Vec<Decision>) {
        let Some(dossier) = self.dossiers.get(&serial) else {
            return;
        };
        let ours = match self.settings.only_user {
            None => true,
            Some(user) => self.forest.node(serial).and_then(|node| node.owner) == Some(user),
        };
        if matches!(dossier.standing, Standing::Boundary(_))
            || dossier.learning != Learning::Settled
            || !ours
        {
            return;
        }
        let matching: Vec<usize> = (0..self.rules.rules.len())
            .filter(|rule| dossier.answer(*rule) == Answer::Yes)
            .collect();
        for index in matching {
            match self.place(serial, index) {
                // Its facts are needed again.
                Placed::Top if self.is_shelved(serial) => self.fetch(serial),
                Placed::Top => self.crown(serial, index, out),
                Placed::Joins(job) => self.admit(job, serial),
                Placed::Below => {}
                Placed::Unproven => self.schedule_proof(serial, self.now),
                Placed::Elsewhere => self.schedule_proof(serial, self.now.after(MOVES)),
                Placed::Unsure => {
                    self.hopeful.insert(serial);
                }
            }
        }
    }

    /// Whether anything above a matching process matches too.
    fn place(&self, serial: Serial, index: usize) -> Placed {
        let Some((rule, dossier)) = self.rules.rules.get(index).zip(self.dossiers.get(&serial))
        else {
            return Placed::Below;
        };
        if let Scope::Env(_) | Scope::Cgroup = &rule.scope {
            return self.place_in_job(serial, index, &rule.scope);
        }
        let belongs = |id: &UnitId| self.units.get(id).is_some_and(|unit| unit.index == index);
        if dossier.units.iter().any(belongs) || dossier.is_kept_from(index) {
            return Placed::Below;
        }
        if rule.scope == Scope::Process {
            return Placed::Top;
        }
        self.unless_unsure(serial)
    }

    /// Whose job a matching process would be the root of, or belong to.
    fn place_in_job(&self, serial: Serial, index: usize, scope: &Scope) -> Placed {
        let dossier = self.dossiers.get(&serial);
        if *scope == Scope::Cgroup {
            // Its group's path is among its facts.
            if self.is_shelved(serial) {
                return Placed::Top;
            }
            if !self.knows_own_group() {
                return Placed::Unsure;
            }
        }
        let Some(label) = self.label_of(serial, scope) else {
            // What it carried may be so no more: it is asked again.
            return if self.may_carry(serial, scope) {
                Placed::Unproven
            } else if *scope == Scope::Cgroup {
                Placed::Elsewhere
            } else {
                Placed::Below
            };
        };
        if dossier.is_none_or(|dossier| dossier.is_kept_from(index)) {
            return Placed::Below;
        }
        match self.job(index, &label) {
            Some(job) if !self.is_above_root(serial, job) => Placed::Joins(job),
            Some(_) | None => self.unless_unsure(serial),
        }
    }

    /// The topmost, unless something above it is not known yet.
    fn unless_unsure(&self, serial: Serial) -> Placed {
        for (above, _) in self.forest.above(serial) {
            let Some(above) = self.dossiers.get(&above) else {
                return Placed::Unsure;
            };
            if let Standing::Boundary(_) = above.standing {
                break;
            }
            if above.learning != Learning::Settled {
                return Placed::Unsure;
            }
        }
        Placed::Top
    }

    /// Makes a process a root.
    fn crown(&mut self, serial: Serial, index: usize, out: &mut Vec<Decision>) {
        let Some(rule) = self.rules.rules.get(index).cloned() else {
            return;
        };
        let Some(node) = self.forest.node(serial) else {
            return;
        };
        let Some(key) = node.key else { return };
        let (unit_key, label) = match &rule.scope {
            Scope::Tree => (UnitKey::Tree(key), None),
            Scope::Process => (UnitKey::Process(key), None),
            Scope::Env(_) | Scope::Cgroup => match self.label_of(serial, &rule.scope) {
                Some(label) => (UnitKey::Label(key), Some(label)),
                None => return,
            },
        };
        let (since, born) = (node.exec_at, node.born);
        let began = node.no_later_than_start(self.machine.slept);
        let execed = node.exec != ExecGen::default();
        let mut unit = Unit::new(
            unit_key,
            rule,
            index,
            serial,
            self.subject(serial, key),
            since,
        );
        unit.next_look = self.now;
        unit.circle = self.circle(serial);
        let whose = Whose::of(unit.key, label.as_ref());
        unit.past = self.take_past(&unit.rule.name, whose);
        unit.subject.label = label.as_ref().map(Label::shown);
        unit.label = label;
        unit.starter = self.forest.above(serial).next().map(|(above, node)| {
            let program = self
                .dossiers
                .get(&above)
                .map(|dossier| dossier.program.clone());
            (node.key, program.unwrap_or_default())
        });
        if execed {
            // What it used before its exec is not the program's; it is at most what it had used when it was learnt.
            let learnt = self
                .dossiers
                .get(&serial)
                .and_then(|dossier| dossier.facts())
                .map(|facts| facts.cpu);
            let lived = since.since(born);
            unit.before = learnt.map_or(lived, |learnt| learnt.min(lived));
        }
        (unit.began, unit.silence) = (began, self.silence.share(began, self.now));
        if unit.counts_zombies() {
            // Those that died before it was judged are found by their numbers only.
            self.next_list = self.now;
        }
        self.take_up(&mut unit);
        let id = self.new_unit();
        self.units.insert(id, unit);
        self.join(id, serial);
        self.gather(id);
        self.merge_below(id, out);
        self.note_instance(id);
    }

    /// A root found above others of the same rule takes them over, stage and all.
    pub(super) fn merge_below(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let index = unit.index;
        if let UnitKey::Process(_) = unit.key {
            return;
        }
        let inner: Vec<UnitId> = self
            .units
            .iter()
            .filter(|(other, inner)| {
                let same = match &unit.label {
                    None => unit.members.contains(&inner.root),
                    Some(_) => unit.label == inner.label,
                };
                **other != id && inner.index == index && same
            })
            .map(|(inner, _)| *inner)
            .collect();
        for inner in inner {
            let now = self.now;
            let stage = self.units.get(&inner).and_then(|unit| {
                let mut stage = unit.incident.clone()?.taken_over(&unit.rule);
                if let Some(since) = unit.exempt {
                    stage.stand(since, now);
                }
                Some(stage)
            });
            self.close(inner, Closing::Merged, out);
            // Its dead came with its living: whoever is above them inherited them.
            self.dissolve(inner);
            let Some(unit) = self.units.get_mut(&id) else {
                return;
            };
            if let (Some(stage), None) = (stage, &unit.incident) {
                if let Phase::Acting(_) = stage.phase {
                    // Until its report comes nothing else is done to these processes.
                    let acts = self.flights.values_mut();
                    for act in acts.filter(|act| act.unit == inner) {
                        act.unit = id;
                    }
                }
                unit.incident = Some(stage);
                // Its clock stands from here on, where it does.
                unit.exempt = unit.exempt.map(|_| now);
            }
        }
    }

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
    fn audience(&self, serial: Serial) -> Option<Uid> {
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
}

/// What becomes of lineage at a process of that standing.
const fn lineage(standing: &Standing) -> Lineage {
    match standing {
        Standing::Boundary(_) => Lineage::Ends,
        Standing::Plain | Standing::Protected(_) => Lineage::Passes,
    }
}

/// Where a matching process stands among others that match.
enum Placed {
    /// Nothing above it matches.
    Top,
    /// It belongs to another root of the rule, or was kept out of it, or is of no job.
    Below,
    /// There is a unit of its job.
    Joins(UnitId),
    /// What it carries was read too long ago.
    Unproven,
    /// It is in no group that may be judged, and may be in another later.
    Elsewhere,
    /// Something above it is not known yet.
    Unsure,
}

#[cfg(test)]
mod tests;
