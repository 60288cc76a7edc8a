//! What the judge keeps of one process: what it runs, how it stands, which units it belongs to.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::facts::Facts;
use crate::engine::guard::Standing;
use crate::engine::matcher::Answer;
use crate::engine::process::Text;
use crate::engine::units::Mono;
use crate::engine::usage::{Buried, Latest};

use super::estate::Estate;
use super::unit::UnitId;

/// The file on one process.
#[derive(Clone, Debug)]
pub(super) struct Dossier {
    /// What it runs: its own facts once learnt, its parent's until then.
    pub(super) facts: Option<Arc<Facts>>,
    /// What really runs, by the same.
    pub(super) program: Text,
    /// How far its own facts are.
    pub(super) learning: Learning,
    /// When to learn its facts, to ask again for them, or to see whether it lives.
    pub(super) due: Option<Mono>,
    /// Whether it may be signalled at all.
    pub(super) standing: Standing,
    /// Each rule's answer, in the order of the rules; empty before its own facts are known.
    pub(super) answers: Vec<Answer>,
    /// The units it belongs to.
    pub(super) units: Vec<UnitId>,
    /// Rules, by index, whose trees it has left for good by `keep`.
    pub(super) kept: Vec<usize>,
    /// It descends from the process that `--only-under` names.
    pub(super) leashed: Leashed,
    /// It was last seen dead and not waited for.
    pub(super) zombie: Option<Mono>,
    /// Its last figures.
    pub(super) latest: Latest,
    /// Those of its descendants that are gone; most have none.
    pub(super) estate: Option<Box<Estate>>,
}

/// How far the facts of the present image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learning {
    /// Not asked for yet: it has not lived long enough.
    Young,
    /// Asked for; what does not come is asked for again.
    Asked,
    /// Known, or known not to be known.
    Settled,
}

/// Where a process stands to `--only-under`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leashed {
    /// A descendant: may be signalled.
    Below,
    /// Not one.
    Outside,
}

impl Dossier {
    /// A newborn's: what its parent's says, until its own facts are learnt.
    pub(super) fn born_of(parent: Option<&Self>) -> Self {
        Self {
            facts: parent.and_then(|parent| parent.facts.clone()),
            program: parent
                .map(|parent| parent.program.clone())
                .unwrap_or_default(),
            learning: Learning::Young,
            due: None,
            standing: match parent.map(|parent| &parent.standing) {
                // Lineage ends at a boundary, not at what it starts; that is left alone until it is known.
                Some(Standing::Boundary(reason) | Standing::Protected(reason)) => {
                    Standing::Protected(reason.clone())
                }
                Some(Standing::Plain) | None => Standing::Plain,
            },
            answers: Vec::new(),
            units: Vec::new(),
            kept: parent.map(|parent| parent.kept.clone()).unwrap_or_default(),
            leashed: parent.map_or(Leashed::Outside, |parent| parent.leashed),
            zombie: None,
            latest: Latest::default(),
            estate: None,
        }
    }

    /// Takes over some of the dead.
    pub(super) fn inherit(&mut self, dead: Buried) {
        if dead.count > 0 || dead.at_least > Duration::ZERO {
            let estate = self.estate.get_or_insert_default();
            estate.dead.absorb(dead);
        }
    }

    /// A rule's answer; unknown before the facts are known.
    pub(super) fn answer(&self, rule: usize) -> Answer {
        self.answers.get(rule).copied().unwrap_or(Answer::Unknown)
    }
}
