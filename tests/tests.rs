//! The one integration binary. What needs a watch is tested where there is one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    clippy::unused_self,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic, wait, print, read the environment and tell long stories"
)]

/// The layers and the fence, checked against the sources.
mod architecture;
/// The command line: exit codes and words.
mod cli;
/// Rule files: what is refused and how it is told, what loads, what is built in.
mod config;
/// What a test needs to issue a warrant.
#[cfg(target_os = "linux")]
mod desk;
/// The real binary against real villains.
#[cfg(target_os = "linux")]
mod e2e;
/// Everything that gets away from others, and how far it gets here.
#[cfg(target_os = "linux")]
mod escape;
/// Fork, with a number of one's choice for the child.
#[cfg(target_os = "linux")]
mod fork;
/// The incident beadle was built for, with real software.
#[cfg(target_os = "linux")]
mod incidents;
/// Healthy, noisy work that is left alone, whatever happens to its neighbors.
#[cfg(target_os = "linux")]
mod innocents;
/// Warrants carried out against real trees that the tests start themselves.
#[cfg(target_os = "linux")]
mod pursuit;
/// Stories and the log that people read of them.
mod scenario;
/// What an installation puts in place.
#[cfg(target_os = "linux")]
mod service;
/// Seeded worlds, and what must hold in all of them.
mod simulation;
/// The same binary as a process tree that misbehaves, within bounds.
#[cfg(target_os = "linux")]
mod villain;
/// What runs these tests elsewhere.
mod workflow;
/// The fake machine and its shells.
mod world;
