//! Desktops, where [`sys`](crate::sys) cannot reach them yet.

use super::{Failure, Finding, Surroundings};

#[expect(
    clippy::unnecessary_wraps,
    reason = "where there are desktops it may fail"
)]
pub(super) fn findings(_: &str, _: &Surroundings) -> Result<Vec<Finding>, Failure> {
    let found = "this beadle cannot show notifications on this system yet";
    let lost = "nudges go to the log alone";
    Ok(vec![Finding::less("desktop", found, lost)])
}
