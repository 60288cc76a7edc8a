//! The one integration binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests may panic, wait, print and read the environment"
)]

/// What a test needs to issue a warrant.
mod desk;
/// Warrants carried out against real trees that the tests start themselves.
mod pursuit;
/// The same binary as a process tree that misbehaves, within bounds.
mod villain;
