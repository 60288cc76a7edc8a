//! beadle: a runaway-process watchdog.

pub mod daemon;
pub mod engine;
pub mod sys;
