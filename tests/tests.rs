//! The one integration binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the fake world is read by its two users only"
)]

/// Seeded worlds, invariants.
mod simulation;
/// The fake machine and its shells.
mod world;
