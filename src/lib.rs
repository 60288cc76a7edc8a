//! beadle: a runaway-process watchdog.

pub mod engine;
pub mod sys;
