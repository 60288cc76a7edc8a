//! Errands: programs that take their time, and managers that do as asked.

use std::sync::Arc;
use std::time::Duration;

use beadle::engine::errand::{Came, Errand, Ran, Task};
use beadle::engine::process::Text;
use beadle::engine::rule::Signal;
use beadle::engine::units::Mono;

use super::{Job, Shells};
use crate::world::body::Id;
use crate::world::machine::Machine;

/// How programs that are run behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// They do as they should, after so long.
    Works(Duration),
    /// They end with status 3, after so long.
    Fails(Duration),
    /// They never end by themselves.
    Hangs,
    /// Nothing is heard of them.
    Vanishes,
    /// They cannot be started.
    Missing,
}

impl Shells {
    pub(super) fn run(&mut self, now: Mono, errand: &Arc<Errand>) {
        let timeout = errand.task.timeout();
        let said = Some(Text::from("that is\u{1b}[2J all"));
        let (took, came) = match self.ways.conduct {
            Conduct::Works(took) if took < timeout => (
                took,
                Came::Exited {
                    status: 0,
                    said: None,
                },
            ),
            Conduct::Fails(took) if took < timeout => (took, Came::Exited { status: 3, said }),
            Conduct::Works(_) | Conduct::Fails(_) | Conduct::Hangs => {
                (timeout, Came::TimedOut { said: None })
            }
            Conduct::Vanishes => return,
            Conduct::Missing => (Duration::ZERO, Came::Unstarted("it is not there".into())),
        };
        let at = now.after(took);
        let ran = Ran {
            errand: errand.id,
            came,
            at,
            took,
        };
        self.enter(at, Job::Return(errand.clone(), ran));
    }

    /// What a manager was asked to stop is asked to leave.
    pub(super) fn stop_unit(machine: &mut Machine, errand: &Errand, ran: &Ran) {
        let Task::Stop(steward) = &errand.task else {
            return;
        };
        if !ran.came.is_well() {
            return;
        }
        let inside = |group: &str| group.ends_with(&format!("/{}", steward.name()));
        let members = machine.living().filter(|body| inside(&body.group));
        let members: Vec<Id> = members.map(|body| body.id).collect();
        for id in members {
            machine.signal(id, Signal::Term);
        }
    }
}
