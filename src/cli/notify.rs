//! `beadle notify`: started by a beadle that has something to show to a user, as that user; never by people.
//!
//! With `--connected` it is the service manager that starts it, as root, for the machine's beadle, who says first which user it is.

use super::Failure;
use crate::sys::nudger::desktop::{notifier, porter};

/// Show notifications in this session, as told on standard input
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Standard input and output are a connection with the machine's beadle
    #[arg(long)]
    connected: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.connected {
        return Ok(porter::run()?);
    }
    Ok(notifier::run()?)
}
