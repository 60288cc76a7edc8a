//! What the judge's own tests share.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::rule::{Channels, Keeping, Mode, Rule, RuleSet};

/// These rules, looked at once a second, and nobody is told.
pub(super) fn rule_set(rules: Vec<Arc<Rule>>) -> RuleSet {
    RuleSet {
        mode: Mode::Nudge,
        interval: Duration::from_secs(1),
        rules,
        protect: Vec::new(),
        boundaries: Vec::new(),
        remind: None,
        channels: Channels {
            journal: false,
            tty: false,
            desktop: None,
        },
        keeping: Keeping::default(),
        variables: Arc::new([]),
    }
}
