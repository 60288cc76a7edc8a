//! Who stands still because of us, and letting them go on: what the door and the guardian keep account of.

use std::sync::Arc;

use beadle::engine::process::ProcKey;
use beadle::engine::rule::Signal;
use beadle::engine::warrant::{Outcome, Warrant, Withheld};

use super::{Sent, Shells};
use crate::world::body::{Body, Id, State};
use crate::world::machine::Machine;

impl Shells {
    /// Who stands still because of us: stopped by us and not moved since.
    pub fn frozen<'a>(&'a self, machine: &'a Machine) -> impl Iterator<Item = &'a Body> {
        let bodies = self.held.iter().map(|(id, at)| (machine.body(*id), *at));
        bodies.filter_map(|(body, at)| {
            body.filter(|body| body.state == State::Stopped && body.since == at)
        })
    }

    /// We are no more: the guardian lets everyone go on.
    pub fn let_all_go_on(&self, machine: &mut Machine) {
        let ids: Vec<Id> = self.frozen(machine).map(|body| body.id).collect();
        for id in ids {
            machine.proceed(id);
        }
    }

    /// CONT, for whom we stopped and for nobody else.
    pub(super) fn take_back(
        &mut self,
        machine: &mut Machine,
        key: ProcKey,
        warrant: &Arc<Warrant>,
    ) -> Outcome {
        let Some(id) = machine.find(key).map(|body| body.id) else {
            return Outcome::Gone;
        };
        if self.held.remove(&id).is_none() {
            return Outcome::Withheld(Withheld::Protected);
        }
        self.sent.push(Sent {
            at: machine.now,
            to: id,
            signal: Signal::Cont,
            warrant: warrant.clone(),
            carried: None,
        });
        machine.signal(id, Signal::Cont);
        Outcome::Sent
    }
}
