//! Restarts: a beadle is killed, the machine goes on without one, and another begins with what was left to it.
//!
//! # When word is left
//! As the loop leaves it: when something is told, settled or answered, and every ten seconds; before anything of a step is
//! carried out, but after an act, which waits for nothing. What is left goes through its stored form.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Decision, Hearing, Input};
use beadle::engine::evidence::UnitKey;
use beadle::engine::judge::{Judge, Settings};
use beadle::engine::legacy::Legacy;
use beadle::engine::rule::{RuleName, RuleSet};
use beadle::engine::units::Mono;
use beadle::store::legacy::Shelf;

use super::story::{self, Amid, Restart, Story, Trouble};
use super::{Run, scene_of};
use crate::world::body::Id;
use crate::world::chance::Chance;
use crate::world::machine::Machine;

/// How often word is left, if nothing happens before.
const LEAVE: Duration = Duration::from_secs(10);
/// Numbers of incidents are reserved in blocks; no life takes so many.
const BLOCK: u64 = 10_000;

/// One beadle: what it began with, and all that it was told.
pub(super) struct Life {
    settings: Settings,
    rules: Arc<RuleSet>,
    pub(super) inputs: Vec<(Mono, Input)>,
}

impl Life {
    pub(super) fn of(settings: Settings, story: &Story) -> Self {
        Self {
            settings,
            rules: Arc::new(story.rules.clone()),
            inputs: Vec::new(),
        }
    }

    /// Its judge, as it was at the beginning.
    pub(super) fn judge(&self) -> Judge {
        Judge::new(self.settings.clone(), self.rules.clone())
    }
}

/// The members of each unit whose identity was known.
pub(super) type Known = BTreeMap<(RuleName, UnitKey), BTreeSet<Id>>;

/// What is left to the next beadle.
#[derive(Debug, Default)]
pub(super) struct Word {
    last: Option<Legacy>,
    /// What was known when it was left, and the incidents that were open.
    known: Known,
    open: BTreeSet<u64>,
    /// When to leave it next, if nothing happens before.
    next: Mono,
}

impl Word {
    fn leave(&mut self, judge: &Judge, machine: &Machine) {
        let legacy = judge.bequeath();
        self.next = machine.now.after(LEAVE);
        // Where there is nothing, nothing is written.
        if legacy.is_empty() && self.last.as_ref().is_none_or(Legacy::is_empty) {
            return;
        }
        self.last = Some(legacy);
        let units = judge.view().units.into_iter().map(|unit| {
            let members = unit.members.iter().filter_map(|key| machine.ever(*key));
            (
                (unit.evidence.rule.clone(), unit.evidence.unit),
                members.collect(),
            )
        });
        self.known = units.collect();
        let incidents = judge.cases().filter_map(|case| case.incident);
        self.open = incidents.map(|incident| incident.id.0).collect();
    }

    /// What the next one reads of it.
    fn read(&self) -> Option<Legacy> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("legacy.json");
        let (shelf, nothing) = Shelf::open(&path, "this boot").unwrap();
        assert_eq!(nothing, None);
        shelf.leave(self.last.as_ref()?).unwrap();
        let (_, read) = Shelf::open(&path, "this boot").unwrap();
        assert!(read.is_some(), "what was left is not to be understood");
        read
    }
}

impl Run {
    /// Notes what the present beadle is told.
    pub(super) fn live(&mut self, now: Mono, input: &Input) {
        let life = self.lives.last_mut().unwrap();
        life.inputs.push((now, input.clone()));
    }

    /// Carries out what was decided and leaves word, or is killed in the midst of it.
    pub(super) fn carry_out(
        &mut self,
        settles: bool,
        decisions: &[Decision],
    ) -> Result<(), String> {
        let now = self.story.machine.now;
        let tells = |decision: &Decision| matches!(decision, Decision::Tell(_));
        let acts = |decision: &Decision| matches!(decision, Decision::Carry(_));
        let (tells, acts) = (decisions.iter().any(tells), decisions.iter().any(acts));
        // Nobody reads it where nobody is killed.
        let read = self.doom.is_some() || !self.story.restarts.is_empty();
        let leaves = read && (settles || tells || now >= self.word.next);
        if leaves && !acts {
            self.word.leave(&self.judge, &self.story.machine);
        }
        self.shells.carry_out(decisions, now);
        if acts && let Some(doom) = self.doom.take_if(|doom| doom.amid == Amid::Beginning) {
            return self.restart(doom);
        }
        if leaves && acts {
            self.word.leave(&self.judge, &self.story.machine);
        }
        if acts && let Some(doom) = self.doom.take() {
            return self.restart(doom);
        }
        Ok(())
    }

    /// It is killed now if it is to be, or when it acts.
    pub(super) fn perish(&mut self) -> Result<(), String> {
        let now = self.story.machine.now;
        while let Some(restart) = story::due(&mut self.story.restarts, now) {
            match restart.amid {
                Amid::Anything => self.restart(restart)?,
                Amid::Beginning | Amid::Acting => self.doom = Some(restart),
            }
        }
        Ok(())
    }

    fn restart(&mut self, restart: Restart) -> Result<(), String> {
        self.note(&format!("killed, {restart:?}"));
        self.shells.die(&mut self.story.machine);
        let back = self.story.machine.now.after(restart.down);
        self.story.machine.advance(back);
        // Nobody listens, and nobody answers.
        self.story.machine.events.clear();
        self.story.machine.records.clear();
        self.pending = None;
        let asks = |trouble: &Trouble| match trouble {
            Trouble::Pause { .. }
            | Trouble::Resume { .. }
            | Trouble::Reply { .. }
            | Trouble::Forget { .. } => true,
            Trouble::Sleep(_) | Trouble::Stall(_) | Trouble::Reload(_) | Trouble::Weather(_) => {
                false
            }
        };
        self.story
            .troubles
            .retain(|(at, trouble)| *at > back || !asks(trouble));
        if let Some(seed) = restart.rules {
            let (rules, _) = story::make_rules(
                &mut Chance::new(seed),
                &mut Chance::new(seed ^ story::GATES),
            );
            let rules = story::freeze_some(rules, seed);
            self.story.rules = story::count_some(rules, seed);
            self.watchman.reloaded();
            self.auditor.reloads += 1;
        }
        let legacy = self.word.read();
        self.note(&format!("another one, left {legacy:?}"));
        let life = Life::of(
            Settings {
                first_incident: BLOCK * self.lives.len() as u64 + 1,
                // The leash may be gone.
                ..self.lives[0].settings.clone()
            },
            &self.story,
        );
        self.judge = life.judge();
        self.lives.push(life);
        self.shells.begin_anew(&mut self.story.machine);
        self.watchman
            .restarted(back, &self.word.known, &self.word.open);
        self.auditor.restarted(back, &self.word.known);
        let scene = scene_of(&self.story, &self.shells, &self.judge);
        self.watchman.signals(&scene)?;
        let allowed = self.watchman.replies.allowed.clone();
        if !allowed.is_empty() {
            self.step(Input::Exceptions(allowed))?;
        }
        if let Some(legacy) = legacy {
            self.step(Input::Inherit(Box::new(legacy)))?;
        }
        // Until the ear says otherwise nothing is heard.
        self.step(Input::Hearing(Hearing::Nothing))?;
        match self.story.ways.hearing {
            Hearing::Events => self.step(Input::Hearing(Hearing::Events)),
            Hearing::Nothing => Ok(()),
        }
    }
}
