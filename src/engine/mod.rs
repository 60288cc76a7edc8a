//! The pure engine: it alone decides, and it knows neither clock, files, signals, logging nor threads.
//!
//! Three machines: [`forest`] keeps lineage, [`judge`] holds rules against units and moves incidents up their
//! ladders, [`pursuit`] carries out one act to its end. Everything else here is a value they share.
//!
//! **Invariants.** The same inputs give the same decisions. Maps are ordered. What is not known is never acted on.
//!
//! # Why pure
//! An hour of escalation is tested in a microsecond, and a recording replays to the same decisions for ever.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::wildcard_enum_match_arm,
        clippy::panic,
        reason = "tests may panic"
    )
)]

pub mod account;
pub mod activity;
pub mod answer;
pub mod decision;
pub mod elder;
pub mod errand;
pub mod event;
pub mod evidence;
pub mod facts;
pub mod forest;
pub mod gate;
pub mod guard;
pub mod heartbeat;
pub mod incident;
pub mod instances;
pub mod judge;
pub mod label;
pub mod legacy;
pub mod matcher;
pub mod measures;
pub mod pace;
pub mod pattern;
pub mod process;
pub mod program;
pub mod pursuit;
pub mod redact;
pub mod rule;
pub mod snapshot;
pub mod steward;
pub mod survey;
pub mod units;
pub mod usage;
pub mod verdict;
pub mod warrant;
