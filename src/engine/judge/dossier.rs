//! What the judge keeps of one process: what it runs, how it stands, which units it belongs to.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::facts::Facts;
use crate::engine::guard::Standing;
use crate::engine::label::Label;
use crate::engine::matcher::Answer;
use crate::engine::process::{CgroupId, ShortName, Text};
use crate::engine::units::Mono;
use crate::engine::usage::{Buried, Latest};
use crate::engine::warrant::Image;

use super::estate::Estate;
use super::jobs::Carried;
use super::unit::UnitId;

/// The file on one process.
#[derive(Clone, Debug)]
pub(super) struct Dossier {
    /// What it runs: its own facts once learnt, its parent's until then.
    pub(super) papers: Papers,
    /// What really runs, by the same.
    pub(super) program: Text,
    /// What kind of program that is.
    pub(super) image: Image,
    /// Its short name when its facts were learnt.
    pub(super) name: Option<ShortName>,
    /// How far its own facts are.
    pub(super) learning: Learning,
    /// When to learn its facts, to ask again for them, or to see whether it lives; [`Mono::NEVER`] when nothing is to be done.
    pub(super) due: Mono,
    /// Whether it may be signalled at all.
    pub(super) standing: Standing,
    /// Each rule's answer, in the order of the rules; `None` before its own facts are known. Most have the same ones.
    pub(super) answers: Option<Arc<[Answer]>>,
    /// The units it belongs to.
    pub(super) units: Vec<UnitId>,
    /// Rules, by index, whose trees it has left for good by `keep`.
    pub(super) kept: Option<Arc<[usize]>>,
    /// It descends from the process that `--only-under` names.
    pub(super) leashed: Leashed,
    /// Whether it descends from beadle itself.
    pub(super) hand: Hand,
    /// What its environment says of whose work it is.
    pub(super) carried: Carried,
    /// In which control group it was last seen, and when.
    pub(super) filed: Option<(CgroupId, Mono)>,
    /// Whether it was looked at since it became known.
    pub(super) met: Met,
    /// Its last figures. Of who belongs to no unit none are kept.
    latest: Option<Box<Latest>>,
    /// Those of its descendants that are gone; most have none.
    pub(super) estate: Option<Box<Estate>>,
}

/// What there is of a process's facts.
#[derive(Clone, Debug)]
pub(super) enum Papers {
    /// Nothing.
    None,
    /// All of it.
    Here(Arc<Facts>),
    /// They were learnt, and what follows from them stands until the next exec; they can be learnt again.
    Shelved,
}

/// Whether a process was ever looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    Never,
    Once,
}

/// Those of who was never looked at.
static NO_FIGURES: Latest = Latest::NONE;

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

/// Whose doing it is that a process is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hand {
    /// Beadle's: it descends from it. It is judged by no rule, and no tree of anybody's.
    Ours,
    /// Anybody else's.
    Others,
}

impl Dossier {
    /// A newborn's: what its parent's says, until its own facts are learnt.
    pub(super) fn born_of(parent: Option<&Self>) -> Self {
        Self {
            papers: match parent.map(|parent| &parent.papers) {
                Some(Papers::Here(facts)) => Papers::Here(facts.clone()),
                // Whoever looks at those above keeps everybody's facts.
                Some(Papers::Shelved | Papers::None) | None => Papers::None,
            },
            program: parent
                .map(|parent| parent.program.clone())
                .unwrap_or_default(),
            image: parent.map_or(Image::Other, |parent| parent.image),
            name: None,
            learning: Learning::Young,
            due: Mono::NEVER,
            standing: match parent.map(|parent| &parent.standing) {
                // Lineage ends at a boundary, not at what it starts; that is left alone until it is known.
                Some(Standing::Boundary(reason) | Standing::Protected(reason)) => {
                    Standing::Protected(reason.clone())
                }
                Some(Standing::Plain) | None => Standing::Plain,
            },
            answers: None,
            units: Vec::new(),
            kept: parent.and_then(|parent| parent.kept.clone()),
            leashed: parent.map_or(Leashed::Outside, |parent| parent.leashed),
            hand: parent.map_or(Hand::Others, |parent| parent.hand),
            carried: Carried::default(),
            filed: None,
            met: Met::Never,
            latest: None,
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

    /// Its facts, or its parent's, where they are at hand.
    pub(super) fn facts(&self) -> Option<&Facts> {
        match &self.papers {
            Papers::Here(facts) => Some(facts),
            Papers::None | Papers::Shelved => None,
        }
    }

    /// Its last figures.
    pub(super) fn latest(&self) -> &Latest {
        self.latest.as_deref().unwrap_or(&NO_FIGURES)
    }

    /// Its last figures, to write in.
    pub(super) fn latest_mut(&mut self) -> &mut Latest {
        self.latest.get_or_insert_default()
    }

    /// It belongs to no unit any more: nobody needs its figures.
    pub(super) fn strike_figures(&mut self) {
        if self.units.is_empty() {
            self.latest = None;
        }
    }

    /// Whether it may belong to a job by what it carries. Kin of the root may not leave a variable by running a multiplexer or a
    /// build daemon; of all others those that people live in, and their shells, are none of it, and nobody is before it is known what
    /// it runs.
    pub(super) fn may_join(&self, label: &Label, kin: bool) -> bool {
        match (kin, &self.standing) {
            (true, standing) => !matches!(label.standing(standing), Standing::Boundary(_)),
            (false, Standing::Plain) => self.learning == Learning::Settled,
            (false, Standing::Protected(_) | Standing::Boundary(_)) => false,
        }
    }

    /// Whether it has left the trees of a rule for good.
    pub(super) fn is_kept_from(&self, rule: usize) -> bool {
        self.kept.as_deref().unwrap_or_default().contains(&rule)
    }

    /// It leaves the trees of these rules for good.
    pub(super) fn keep_from(&mut self, rules: &[usize]) {
        let kept = self.kept.as_deref().unwrap_or_default();
        let more = rules.iter().filter(|rule| !kept.contains(rule));
        let all: Vec<usize> = kept.iter().chain(more).copied().collect();
        self.kept = (!all.is_empty()).then(|| all.into());
    }

    /// A rule's answer; unknown before the facts are known.
    pub(super) fn answer(&self, rule: usize) -> Answer {
        let answer = self.answers.as_ref().and_then(|answers| answers.get(rule));
        answer.copied().unwrap_or(Answer::Unknown)
    }
}
