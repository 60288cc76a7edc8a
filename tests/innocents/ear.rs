//! Listens to a daemon for words about somebody of the case's.

use serde_json::Value;

use crate::e2e::log::Log;
use crate::e2e::oracle::Oracle;

/// A listener.
pub(super) struct Ear {
    log: Log,
    heard: usize,
    /// Incidents, nudges and signals that the machine's other processes have no part in.
    pub(super) complaints: Vec<Value>,
}

impl Ear {
    /// One that hears everything from the beginning.
    pub(super) fn on(log: &Log) -> Self {
        Self {
            log: log.clone(),
            heard: 0,
            complaints: Vec::new(),
        }
    }

    /// Takes in what is new. Whose root is gone, or cannot be told from ours, is counted as ours.
    pub(super) fn listen(&mut self, oracle: &Oracle) {
        let lines = self.log.lines();
        for line in lines.iter().skip(self.heard) {
            let about = ["incident", "nudge", "signal"]
                .contains(&line.says["event"].as_str().unwrap_or_default());
            let root = line.says["root"]
                .as_u64()
                .and_then(|pid| u32::try_from(pid).ok());
            let ours = root.is_none_or(|pid| oracle.knows(pid) != Some(false));
            if about && ours {
                self.complaints.push(line.says.clone());
            }
        }
        self.heard = lines.len();
    }
}
