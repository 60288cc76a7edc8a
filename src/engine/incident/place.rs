//! Where a climb stands on a ladder that is not the one it began on.

use crate::engine::rule::{Stage, StageAct};

/// Where a climb stands on another ladder: at the same stage where all before it is as it was, else after the last
/// nudge that both have.
pub(super) fn same_stage<'a>(
    next: usize,
    old: impl Iterator<Item = &'a StageAct>,
    new: &[Stage],
) -> usize {
    let alike = alike(old, new);
    if alike < next {
        after_last_nudge(new, alike)
    } else {
        next
    }
}

/// How many stages two ladders begin alike with.
pub(super) fn alike<'a>(old: impl Iterator<Item = &'a StageAct>, new: &[Stage]) -> usize {
    old.zip(new)
        .take_while(|(old, new)| **old == new.act)
        .count()
}

/// The stage after the last nudge among the first stages of a ladder.
pub(super) fn after_last_nudge(ladder: &[Stage], reached: usize) -> usize {
    let reached = ladder.iter().take(reached);
    let nudge = reached
        .enumerate()
        .rfind(|(_, stage)| stage.act == StageAct::Nudge);
    nudge.map_or(0, |(index, _)| index.saturating_add(1))
}
