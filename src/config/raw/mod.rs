//! Exactly what one file says, each value valid by itself, with its place. What only the whole can tell (a limit that
//! its scope has no use for, a rule without limits once defaults are in) is [`super::lower`]'s.

mod answers;
pub(super) mod document;
pub(super) mod exec;
pub(super) mod gate;
pub(super) mod ladder;
pub(super) mod limit;
pub(super) mod matcher;
mod narrow;
pub(super) mod rule;
mod scope;
