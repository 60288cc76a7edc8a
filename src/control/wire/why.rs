//! How one process stands to the rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Finding, Incident, Manner, Peers, Progress, Reading, Safe};

/// A process in a line of ancestors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Above {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub program: Safe,
}

/// The answer to `why PID`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The process.
    pub pid: u32,
    /// Its identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Safe>,
    /// What really runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Safe>,
    /// Its command line, cut short, secrets removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Safe>,
    /// Effective user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// The user who hears of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<u32>,
    /// Those above it, nearest first.
    pub above: Vec<Above>,
    /// Whether it is protected or a boundary, and by which entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Safe>,
    /// Each rule, in order.
    pub rules: Vec<RuleWhy>,
    /// For developers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, Safe>,
}

/// One rule's view of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleWhy {
    /// The rule.
    pub rule: Safe,
    /// Its mode.
    pub mode: Safe,
    /// How it stands to the process.
    #[serde(flatten)]
    pub relation: Relation,
}

/// How a rule stands to a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "relation", rename_all = "snake_case")]
pub enum Relation {
    /// It is, or belongs to, a unit of the rule.
    Member {
        /// `tree`, `process` or `env:NAME`.
        scope: Safe,
        /// With `env:NAME`, whose job it is: `NAME=value`, secrets removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<Safe>,
        /// The unit's root.
        root: u32,
        /// The root's identity.
        key: Safe,
        /// What the root runs.
        program: Safe,
        /// The verdict.
        #[serde(flatten)]
        finding: Box<Finding>,
        /// Each limit.
        readings: Vec<Reading>,
        /// The other instances, where the rule counts them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peers: Option<Box<Peers>>,
        /// How far it is, by its own word.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<Box<Progress>>,
        /// In which manner nothing happens in it, or nothing comes of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        manner: Option<Box<Manner>>,
        /// In how many seconds the soonest limit would be over at this pace.
        #[serde(skip_serializing_if = "Option::is_none")]
        soonest: Option<f64>,
        /// The open incident.
        #[serde(skip_serializing_if = "Option::is_none")]
        incident: Option<Box<Incident>>,
    },
    /// It matches, and yet is no root.
    Barred {
        /// Why.
        because: Safe,
    },
    /// It does not match.
    Unmatched {
        /// The first field that did not hold.
        because: Safe,
    },
    /// Not known yet.
    Pending {
        /// What is missing.
        because: Safe,
    },
}
