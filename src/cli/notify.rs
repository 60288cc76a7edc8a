//! `beadle notify`: started by a beadle that has something to show to a user, as that user; never by people.

use super::Failure;
use crate::sys::nudger::desktop::notifier;

/// Show notifications in this session, as told on standard input
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    Ok(notifier::run()?)
}
