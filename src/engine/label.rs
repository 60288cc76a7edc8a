//! Labels: what says whose work a process is: a variable of its environment, as a CI job's, or its control group.
//!
//! The kernel keeps the environment that an image was started with, and a fork copies it. So a label is *recorded*: it is
//! inherited at a fork and read again after an exec. Whoever leaves a job on purpose does it by an exec with another value.
//! A control group is inherited at a fork too, and may be another at any time, without a sign: so who is in it is read at every
//! look, from the group's own list.
//!
//! # Why a unit's key holds the root and not the value
//! [`UnitKey`](super::evidence::UnitKey) is in every map, warrant, notice and record. A value may be a secret, may be as long
//! as the kernel allows, and is hostile; an interned number would mean nothing to the next beadle. So the key stays small and
//! [`Copy`]: the identity of the root that the unit was made for. That there is *one* unit for each rule, name, value and owner
//! is the judge's to see to, which holds the [`Label`] in one place: with the unit. What lasts longer than a root, the
//! cooldown and what is left to the next beadle, goes by the label.

use std::sync::Arc;

use super::guard::Standing;
use super::process::{CgroupId, Text, Uid};
use super::redact;
use super::rule::Scope;

/// How much of a value is shown.
const SHOWN: usize = 80;
/// How much of a path is.
const LONGEST: usize = 200;

/// Whose work it is: what all of it have in common, and the user to whom all of it belong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// What they have in common.
    pub badge: Badge,
    /// The owner of the root: others' processes are none of the job, whatever they carry.
    pub owner: Uid,
}

/// What tells whose work a process is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Badge {
    /// A variable of its environment.
    Variable {
        /// Its name.
        name: Arc<str>,
        /// Its value. Never empty.
        value: Text,
    },
    /// The control group that it is in. One below that is another.
    Cgroup {
        /// Which. A path may be another group's tomorrow.
        id: CgroupId,
        /// Where.
        path: Text,
    },
}

impl Label {
    /// Fit to be shown: `NAME=value` without secrets, or the group's path; cut short. No name of a variable begins as a path does.
    pub fn shown(&self) -> Text {
        match &self.badge {
            Badge::Variable { name, value } => {
                let both = [name.as_bytes(), b"=", value.bytes()].concat();
                redact::command_line(&[Text::new(both)], SHOWN)
            }
            Badge::Cgroup { path, .. } => {
                Text::new(path.bytes().get(..LONGEST).unwrap_or(path.bytes()))
            }
        }
    }

    /// The control group, where it is one.
    pub const fn group(&self) -> Option<CgroupId> {
        match self.badge {
            Badge::Variable { .. } => None,
            Badge::Cgroup { id, .. } => Some(id),
        }
    }

    /// Whether it is a variable.
    pub const fn is_variable(&self) -> bool {
        matches!(self.badge, Badge::Variable { .. })
    }

    /// Whether a rule of this scope tells by such a label.
    pub fn is_of(&self, scope: &Scope) -> bool {
        match (&self.badge, scope) {
            (Badge::Variable { name, .. }, Scope::Env(other)) => name == other,
            (Badge::Cgroup { .. }, Scope::Cgroup) => true,
            (Badge::Variable { .. } | Badge::Cgroup { .. }, _) => false,
        }
    }

    /// How somebody of this standing stands to those who carry it. Whoever runs a multiplexer carries the variable on, and has
    /// not left the job by it; in a control group a boundary is what it is elsewhere.
    pub fn standing(&self, standing: &Standing) -> Standing {
        match self.badge {
            Badge::Variable { .. } => standing.in_a_job(),
            Badge::Cgroup { .. } => standing.clone(),
        }
    }
}

/// Whether a control group may be taken for one unit, by its path: a slice, a login or the root of all holds many.
pub fn may_be_one(path: &[u8]) -> bool {
    let mut parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty());
    let Some(name) = parts.clone().next_back() else {
        return false;
    };
    let many = name.ends_with(b".slice")
        || name == b"init.scope"
        || (name.starts_with(b"session-") && name.ends_with(b".scope"))
        || (name.starts_with(b"user@") && name.ends_with(b".service"));
    // A path that leaves our namespace cannot be followed from here.
    !many && !parts.any(|part| part == b"..")
}

/// What a process is found to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// The label.
    It,
    /// None, or another: it is no part of the job, or is not taken for one now.
    Another,
    /// It could not be told now.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, value: &str) -> String {
        let label = Label {
            badge: Badge::Variable {
                name: name.into(),
                value: Text::from(value),
            },
            owner: Uid(1),
        };
        label.shown().to_string()
    }

    #[test]
    fn a_label_is_shown_without_secrets_and_on_one_line() {
        assert_eq!(shown("BUILD_TAG", "jenkins-a-7"), "BUILD_TAG=jenkins-a-7");
        assert_eq!(shown("JOB_TOKEN", "hunter2"), "JOB_TOKEN=[redacted]");
        assert_eq!(shown("BUILD_TAG", "a\u{1b}[2Jb"), "BUILD_TAG=a\\u{1b}[2Jb");
        assert!(shown("BUILD_TAG", &"x".repeat(500)).len() < 90);
    }
}
