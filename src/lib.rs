//! beadle: a runaway-process watchdog.

pub mod cli;
pub mod control;
pub mod engine;
pub mod sys;
