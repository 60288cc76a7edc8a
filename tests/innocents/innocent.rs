//! An innocent, and how it fares.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use crate::e2e::launch::Started;

/// Who must not only live but also be stopped still.
pub(super) const EDITOR: &str = "a stopped editor in an idle shell";

/// An innocent at work.
pub(super) struct Innocent {
    /// What people call it.
    pub(super) name: &'static str,
    /// Since when it works.
    pub(super) since: Instant,
    /// Who must be there in the end with the identity they had; whom a rule would judge comes first.
    pub(super) who: Vec<Started>,
    /// Where it notes its rounds.
    pub(super) note: Option<PathBuf>,
    /// Whether a built-in rule looks after it.
    pub(super) known: Known,
}

/// Whether the name is one that the built-in rules look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Some rule judges it.
    Judged,
    /// No rule does.
    Unheard,
}

/// What came of the rounds of somebody's work.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) good: usize,
    pub(super) failed: usize,
}

impl Innocent {
    /// Their numbers.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.who.iter().map(|one| one.pid).collect()
    }

    /// Whether all are who they were; a stopped editor is still stopped, too.
    pub(super) fn lives(&self) -> bool {
        self.who.iter().all(Started::lives) && (self.name != EDITOR || self.is_stopped())
    }

    /// The rounds it has noted, where its work has rounds.
    pub(super) fn rounds(&self) -> Option<Rounds> {
        let note = fs::read_to_string(self.note.as_ref()?).unwrap_or_default();
        let count = |word: &str| note.lines().filter(|line| line.starts_with(word)).count();
        Some(Rounds {
            good: count("ok"),
            failed: count("failed"),
        })
    }

    fn is_stopped(&self) -> bool {
        self.who.iter().any(Started::stopped)
    }

    fn trouble(&self) -> Option<String> {
        fs::read_to_string(self.note.as_ref()?.with_extension("note.trouble")).ok()
    }
}

impl fmt::Debug for Innocent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name)
            .field("pids", &self.pids())
            .field("lives", &self.lives())
            .field("rounds", &self.rounds())
            .field("trouble", &self.trouble())
            .finish_non_exhaustive()
    }
}
