//! The end of the shells in the midst of their work, and what those after them find.
//!
//! Who was stopped to be ended is continued: by a guardian within milliseconds, or by the next beadle as it begins. Both are
//! played here as `sys` and `daemon` do it; that they do is shown with real processes (`tests/escape/restart.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle::engine::decision::Hearing;
use beadle::engine::warrant::{Order, Warrant};

use super::{Act, Job, Shells};
use crate::world::body::{Deed, Id, State};
use crate::world::machine::Machine;

impl Shells {
    /// All ends at once. An act that was to begin reaches some; nothing that was asked for ever comes.
    pub fn die(&mut self, machine: &mut Machine) {
        for job in std::mem::take(&mut self.jobs).into_values() {
            if let Job::Begin(warrant) = job {
                self.begin_and_die(machine, &warrant);
            }
        }
        if self.chance.permille(500) {
            self.release(machine);
        }
        self.acts.clear();
        self.recalled.clear();
        self.read.clear();
        self.looked.clear();
        self.recording = None;
    }

    /// Others begin, and whoever lives is learnt again.
    pub fn begin_anew(&mut self, machine: &mut Machine) {
        self.heard_before.append(&mut self.heard);
        self.release(machine);
    }

    fn begin_and_die(&mut self, machine: &mut Machine, warrant: &Arc<Warrant>) {
        let mut act = Act {
            warrant: warrant.clone(),
            began: machine.now,
            each: Vec::new(),
            reached: BTreeSet::new(),
            passed: BTreeSet::new(),
            continued: Vec::new(),
            first: None,
        };
        // Where nothing is heard, everyone is stopped before anyone is ended.
        let stops = self.ways.hearing == Hearing::Nothing && warrant.order == Order::End;
        let reached = self.chance.within(0, warrant.targets.len() as u64);
        for target in warrant
            .targets
            .iter()
            .take(usize::try_from(reached).unwrap())
        {
            let id = machine.find(target.key).map(|body| body.id);
            match id {
                Some(id) if stops => self.stop(machine, warrant, id),
                // Who stands still already is not ours to stop.
                Some(id) if warrant.order == Order::Hold && stands(machine, id) => {}
                _ => {
                    self.send(machine, &mut act, target.key, id);
                }
            }
        }
    }

    fn stop(&mut self, machine: &mut Machine, warrant: &Warrant, id: Id) {
        let runs = machine.body(id).is_some_and(|body| {
            body.state == State::Running && !warrant.spare.spares(machine.key(body))
        });
        if runs && self.may_signal(machine, id) && machine.now <= warrant.expires {
            machine.act(id, Deed::Stop);
            self.stopped.push(id);
        }
    }

    fn release(&mut self, machine: &mut Machine) {
        for id in std::mem::take(&mut self.stopped) {
            machine.proceed(id);
        }
        self.let_all_go_on(machine);
        self.held.clear();
    }
}

fn stands(machine: &Machine, id: Id) -> bool {
    let body = machine.body(id);
    body.is_some_and(|body| body.state == State::Stopped)
}
