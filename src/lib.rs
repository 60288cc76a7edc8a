//! beadle: a runaway-process watchdog.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod engine;
pub mod sys;
