//! The daemon.

use std::process::ExitCode;

use crate::cli::Surroundings;
use crate::cli::watch::Options;

/// Watches until told to stop.
pub fn watch(_options: &Options, _around: &Surroundings) -> ExitCode {
    ExitCode::from(2)
}
