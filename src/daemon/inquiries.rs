//! People who ask about a process whose facts are being read again for them.
//!
//! **Invariants.** The learner answers every question, be it with "late"; so everybody here is answered, within its deadline
//! and whatever waits before.

use crate::control::server::Ask;
use crate::engine::facts::Facts;
use crate::engine::process::Pid;

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Inquiries(Vec<(Pid, Ask)>);

impl Inquiries {
    /// Somebody asks about this process and waits for its facts.
    pub(super) fn wait(&mut self, pid: Pid, ask: Ask) {
        self.0.push((pid, ask));
    }

    /// Those who wait for any of these facts, each with what was learnt for it.
    pub(super) fn meet(&mut self, learnt: &[Facts]) -> Vec<(Pid, Ask, Facts)> {
        let mut met = Vec::new();
        for (pid, ask) in std::mem::take(&mut self.0) {
            match learnt.iter().find(|facts| facts.pid == pid) {
                Some(facts) => met.push((pid, ask, facts.clone())),
                None => self.0.push((pid, ask)),
            }
        }
        met
    }
}
