//! The one integration binary.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, and wait"
)]

/// The command line: exit codes and words.
mod cli;
/// Rule files: what is refused and how it is told, what loads, what is built in.
mod config;
