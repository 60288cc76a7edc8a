//! The machine: everything unsafe and everything that differs between systems.

pub mod nudger;
pub mod pidfd;
pub mod stat;
