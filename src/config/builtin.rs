//! Rules that run without any file: they only ever nudge.
//!
//! Each pack is a rule file like a user's, embedded; `beadle rules` shows it as it is written here. The limits are wide
//! on purpose: a nudge that is wrong once is switched off for ever.

use std::sync::Arc;

use super::source::Source;

/// A set of built-in rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pack {
    /// The word for `builtin:`.
    pub name: &'static str,
    /// What it looks after, in one line.
    pub about: &'static str,
    /// The rules, as a user would write them.
    pub yaml: &'static str,
}

const PACKS: [Pack; 5] = [
    Pack {
        name: "test-runners",
        about: "test runs that never end, and what they leave behind",
        yaml: include_str!("packs/test-runners.yaml"),
    },
    Pack {
        name: "headless-browsers",
        about: "browsers without a window whose test or agent is gone",
        yaml: include_str!("packs/headless-browsers.yaml"),
    },
    Pack {
        name: "language-servers",
        about: "language servers that outlive their editor or never come to rest",
        yaml: include_str!("packs/language-servers.yaml"),
    },
    Pack {
        name: "agent-tool-servers",
        about: "coding agents and their tool servers, orphaned or spinning",
        yaml: include_str!("packs/agent-tool-servers.yaml"),
    },
    Pack {
        name: "dev-servers",
        about: "development servers that outlive their terminal or spin",
        yaml: include_str!("packs/dev-servers.yaml"),
    },
];

/// All packs.
pub fn packs() -> &'static [Pack] {
    &PACKS
}

impl Pack {
    pub(super) fn source(&self) -> Arc<Source> {
        let path = format!("built-in/{}.yaml", self.name);
        Source::new(&path, self.yaml.to_owned(), usize::MAX - 1)
    }
}
