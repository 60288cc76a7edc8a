//! How far something is, by its own word, and what becomes of such words.

use serde::{Deserialize, Serialize};

use super::{Safe, seconds};
use crate::engine::decision::View;
use crate::engine::heartbeat::{self, Heard};
use crate::engine::process::Uid;

/// How far a unit is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// So much is done; absent where no counter is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// Of so much, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// In percent of the whole, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u64>,
    /// How it says it stands; secrets removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Safe>,
    /// How many seconds ago something advanced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<f64>,
    /// Why its silence is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
}

/// Why the silence of a unit is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doubt {
    /// It stands still: stopped, or frozen.
    Still,
    /// Heartbeats are not heard.
    Deaf,
    /// Some may have been lost.
    Lost,
}

impl From<heartbeat::Doubt> for Doubt {
    fn from(doubt: heartbeat::Doubt) -> Self {
        match doubt {
            heartbeat::Doubt::Still => Self::Still,
            heartbeat::Doubt::Deaf => Self::Deaf,
            heartbeat::Doubt::Lost => Self::Lost,
        }
    }
}

impl From<&heartbeat::Progress> for Progress {
    fn from(progress: &heartbeat::Progress) -> Self {
        let count = progress.count;
        Self {
            done: count.map(|count| count.done),
            total: count.and_then(|count| count.total),
            percent: count.and_then(heartbeat::Count::percent),
            status: progress.status.as_ref().map(Safe::from),
            moved: progress.moved.map(seconds),
            doubt: progress.doubt.map(Doubt::from),
        }
    }
}

/// What became of heartbeats.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heartbeats {
    /// Where they are heard; absent where that does not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<Safe>,
    /// Taken in by the unit of their sender.
    pub taken: u64,
    /// Refused: sent as a user who is neither the unit's owner nor root.
    pub refused: u64,
    /// Sent by nobody who is judged.
    pub strangers: u64,
    /// What could not be read, or came from nobody in particular.
    pub unreadable: u64,
    /// Dropped: too many of one user's waited for their senders to become known.
    #[serde(default)]
    pub dropped: u64,
    /// Units that have spoken, the first of them that whoever asks may see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<Spoken>,
}

/// A unit that has spoken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spoken {
    /// Its root's number.
    pub root: u32,
    /// What the root runs.
    pub program: Safe,
    /// Whose: a user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// How far it is.
    pub progress: Progress,
}

impl Heartbeats {
    /// What the judge has heard.
    pub fn seen(view: &View) -> Self {
        let Heard {
            taken,
            strangers,
            others,
            dropped,
        } = view.beats;
        let mut units: Vec<Spoken> = Vec::new();
        for unit in &view.units {
            let root = unit.evidence.unit.root().pid().number();
            if let Some(progress) = &unit.evidence.progress
                // It may be judged by several rules.
                && units.iter().all(|told| told.root != root)
            {
                units.push(Spoken {
                    root,
                    program: Safe::from(&unit.evidence.subject.program),
                    owner: unit.evidence.subject.owner.map(|Uid(id)| id),
                    progress: Progress::from(progress),
                });
            }
        }
        Self {
            socket: None,
            taken,
            refused: others,
            strangers,
            unreadable: 0,
            dropped,
            units,
        }
    }
}
