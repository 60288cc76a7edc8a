//! What is written of an act before its first signal, and what is added when it is over.

use serde::{Deserialize, Serialize};

use super::slot::ROOM;
use crate::engine::decision::Hearing;
use crate::engine::process::{Mark, ProcKey};
use crate::engine::warrant::{Order, Outcome, Report, Warrant};
use crate::store::key;

/// An act: whom it is about to be sent to. Serialized as it stands; fields may be added, never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The warrant's number in its run.
    pub warrant: u64,
    /// The incident.
    pub incident: u64,
    /// The rule.
    pub rule: String,
    /// The signal that was ordered, without `SIG`.
    pub signal: String,
    /// How it is carried out.
    pub manner: Manner,
    /// How often authority had been withdrawn.
    pub epoch: u64,
    /// Wall time, for people.
    pub wall: String,
    /// Each target: `PID:INODE`, or `PID~TICKS` where the kernel tells no inode.
    pub targets: Vec<String>,
    /// Those of them that were found stopped before.
    #[serde(default)]
    pub stood: Vec<u32>,
    /// Targets for which there was no room.
    #[serde(default)]
    pub more: usize,
}

/// How an act is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manner {
    /// Nobody is stopped.
    Plain,
    /// Members stand still for a while: frozen, or, where births are not heard, before they are ended.
    Walk,
    /// As some later beadle does it.
    #[serde(other)]
    Other,
}

impl Record {
    /// The record of a warrant that is about to be carried out.
    pub fn of(warrant: &Warrant, hearing: Hearing, wall: String) -> Self {
        let bound = warrant.targets.iter().map(|target| target.key);
        let unbound = warrant.unbound.iter();
        let unbound =
            unbound.map(|unbound| ProcKey::new(unbound.pid, Mark::Ticks(unbound.start.0)));
        let mut targets: Vec<String> = Vec::new();
        let mut more = 0;
        // Quotes and comma for each; the rest of the record takes less than what is set apart.
        let mut room = ROOM.saturating_sub(4096);
        for key in bound.chain(unbound) {
            let target = key.to_string();
            match room.checked_sub(target.len().saturating_add(3)) {
                Some(left) if more == 0 => {
                    room = left;
                    targets.push(target);
                }
                Some(_) | None => more += 1,
            }
        }
        let stood = warrant.targets.iter().filter(|target| target.stopped);
        Self {
            warrant: warrant.id.0,
            incident: warrant.incident.0,
            rule: warrant.evidence.rule.chars().take(200).collect(),
            signal: warrant.order.signal().word().to_owned(),
            manner: match (warrant.order, hearing) {
                (Order::Hold | Order::Release, _) | (Order::End, Hearing::Nothing) => Manner::Walk,
                (Order::End, Hearing::Events) | (Order::Ask(_), _) => Manner::Plain,
            },
            epoch: warrant.epoch.0,
            wall,
            targets,
            stood: stood
                .map(|target| target.key.pid().number())
                .take(200)
                .collect(),
            more,
        }
    }

    /// Its targets; what is not to be understood is left out.
    pub fn keys(&self) -> Vec<ProcKey> {
        self.targets.iter().filter_map(|text| key(text)).collect()
    }
}

/// What came of an act, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Settled {
    sent: usize,
    gone: usize,
    denied: usize,
    withheld: usize,
    survived: usize,
    took_ms: u64,
}

impl Settled {
    pub(super) fn of(report: &Report) -> Self {
        let mut settled = Self {
            took_ms: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
            ..Self::default()
        };
        for (_, outcome) in &report.each {
            let count = match outcome {
                Outcome::Sent => &mut settled.sent,
                Outcome::Gone => &mut settled.gone,
                Outcome::Denied => &mut settled.denied,
                Outcome::Withheld(_) => &mut settled.withheld,
                Outcome::Survived => &mut settled.survived,
            };
            *count += 1;
        }
        settled
    }
}
