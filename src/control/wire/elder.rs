//! What the machine's beadle and a user's tell each other, and people, of the order they go in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Safe;
use crate::engine::elder::{self, Course};
use crate::engine::evidence::IncidentId;
use crate::engine::process::{ProcKey, Uid};

/// An incident that is open, for a beadle that goes after this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minded {
    /// Its number.
    pub incident: u64,
    /// Its rule.
    pub rule: Safe,
    /// Whose tree it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Who else has processes in it: they are told of it too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<u32>,
    /// Whether more is to come of it than was told.
    pub goes_on: bool,
    /// The identities of whom it is about.
    pub members: Vec<Safe>,
}

/// What the machine's beadle is to a user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elder {
    /// So many units are left to it now.
    pub left: usize,
}

/// An incident of another beadle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Its number there.
    pub incident: u64,
    /// Its rule there.
    pub rule: Safe,
}

impl Minded {
    /// One of ours.
    pub fn seen(owner: Option<Uid>, members: &BTreeSet<Uid>, minded: &elder::Minded) -> Self {
        let others = members.iter().filter(|user| Some(**user) != owner);
        Self {
            incident: minded.incident.0,
            rule: Safe::word(&minded.rule),
            owner: owner.map(|owner| owner.0),
            others: others.map(|user| user.0).collect(),
            goes_on: minded.course == Course::GoesOn,
            members: minded
                .members
                .iter()
                .map(|key| Safe::word(&key.to_string()))
                .collect(),
        }
    }

    /// One of the machine's beadle.
    pub fn read(&self) -> elder::Minded {
        elder::Minded {
            incident: IncidentId(self.incident),
            rule: self.rule.as_str().into(),
            course: match self.goes_on {
                true => Course::GoesOn,
                false => Course::Tells,
            },
            members: self
                .members
                .iter()
                .filter_map(|key| ProcKey::parse(key.as_str()))
                .collect(),
        }
    }
}
