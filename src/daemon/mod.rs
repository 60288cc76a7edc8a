//! The daemon: the one loop, and beside it the one thread that must be prompt.

pub mod pursue;
