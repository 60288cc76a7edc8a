//! What each innocent came to: one line each, printed and kept for the table of `tests/innocents/run`.

use std::fs::OpenOptions;
use std::io::Write;

use super::innocent::{Innocent, Rounds};
use crate::e2e::log::Log;
use crate::e2e::report::{Tier, folder, plain};

/// What an innocent came to under one daemon.
pub(super) struct Line {
    name: &'static str,
    seconds: u64,
    rounds: Option<Rounds>,
    incidents: usize,
    signals: usize,
    alive: bool,
}

impl Line {
    /// As it is now, by what the daemon says and by what is true.
    pub(super) fn of(innocent: &Innocent, log: &Log) -> Self {
        let pids = innocent.pids();
        let incidents = log.all("incident").into_iter();
        let about = incidents.filter(|says| pids.iter().any(|pid| says["root"] == *pid));
        let targets = log.targets();
        let hit = targets.iter().filter(|(pid, _)| pids.contains(pid));
        Self {
            name: innocent.name,
            seconds: innocent.since.elapsed().as_secs(),
            rounds: innocent.rounds(),
            incidents: about.count(),
            signals: hit.count(),
            alive: innocent.lives(),
        }
    }

    /// Prints and keeps it.
    pub(super) fn tell(&self, play: &str, tier: Tier) {
        let rounds = self.rounds.as_ref();
        let rounds = rounds.map_or("-".to_owned(), |rounds| rounds.good.to_string());
        let alive = if self.alive { "yes" } else { "NO" };
        let line = format!(
            "{}\t{play}\t{}\t{}\t{rounds}\t{}\t{}\t{alive}\n",
            self.name,
            tier.word(),
            self.seconds,
            self.incidents,
            self.signals,
        );
        print!("{line}");
        let path = folder("innocents").join(plain(&format!("{play} {}", tier.word())));
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// Nobody has touched it, and it has worked.
    pub(super) fn is_unharmed(&self) -> bool {
        let worked = |rounds: &Rounds| rounds.failed == 0 && rounds.good > 0;
        self.alive && self.signals == 0 && self.rounds.as_ref().is_none_or(worked)
    }
}
