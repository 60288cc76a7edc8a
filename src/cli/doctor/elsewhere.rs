//! In place of what is to be found of the machine, where processes cannot be seen yet.

use super::Finding;
use crate::engine::process::Uid;

/// The one there is.
pub(super) fn findings(_user: Uid) -> Vec<Finding> {
    vec![
        Finding::bad(
            "processes",
            "this build cannot see the processes of this system yet",
        )
        .remedy("on Linux it can; `beadle check`, `rules` and `schema` work here too"),
    ]
}
