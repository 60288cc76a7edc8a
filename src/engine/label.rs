//! Labels: a variable of the environment whose value says whose work a process is, a CI job's.
//!
//! The kernel keeps the environment that an image was started with, and a fork copies it. So a label is *recorded*: it is
//! inherited at a fork and read again after an exec. Whoever leaves a job on purpose does it by an exec with another value.
//!
//! # Why a unit's key holds the root and not the value
//! [`UnitKey`](super::evidence::UnitKey) is in every map, warrant, notice and record. A value may be a secret, may be as long
//! as the kernel allows, and is hostile; an interned number would mean nothing to the next beadle. So the key stays small and
//! [`Copy`]: the identity of the root that the unit was made for. That there is *one* unit for each rule, name, value and owner
//! is the judge's to see to, which holds the [`Label`] in one place: with the unit. What lasts longer than a root, the
//! cooldown and what is left to the next beadle, goes by the label.

use std::sync::Arc;

use super::process::{Text, Uid};
use super::redact;

/// How much of a value is shown.
const SHOWN: usize = 80;

/// Whose work it is: a variable, its value, and the user all of whom carry it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// The variable.
    pub name: Arc<str>,
    /// Its value. Never empty.
    pub value: Text,
    /// The owner of the root: others' processes are none of the job, whatever they carry.
    pub owner: Uid,
}

impl Label {
    /// Fit to be shown: `NAME=value`, without secrets, cut short.
    pub fn shown(&self) -> Text {
        let both = [self.name.as_bytes(), b"=", self.value.bytes()].concat();
        redact::command_line(&[Text::new(both)], SHOWN)
    }
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
            name: name.into(),
            value: Text::from(value),
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
