//! beadle: a runaway-process watchdog.

pub mod config;
pub mod engine;
pub mod sys;
