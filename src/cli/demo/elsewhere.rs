//! `beadle demo` on systems where there is nothing to see yet: it says so.

use crate::cli::{Failure, Surroundings};
use crate::daemon::StartError;

/// See beadle at work on a harmless runaway of its own (on Linux only, so far)
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, _around: &Surroundings) -> Result<(), Failure> {
    Err(StartError::Elsewhere.into())
}
