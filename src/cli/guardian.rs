//! `beadle guardian`: started by a beadle that is about to stop processes, never by people.

use std::io::stdin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::Failure;
use crate::sys::guardian::keep;

/// Continue who was stopped, should the beadle that stopped them die
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    // What ends a beadle and all that is with it comes here too; it goes when there is nobody left to be continued.
    // SIGABRT is how a service manager ends a beadle that hangs, and may send it to both.
    for signal in [SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGABRT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    keep(stdin().lock());
    Ok(())
}
