//! What the benchmarks share: the daemon that is measured, processes of their own, and meters.

pub(crate) mod daemon;
pub(crate) mod helper;
pub(crate) mod meter;
