//! The machine: everything unsafe and everything that differs between systems.

pub mod events;
pub mod glimpse;
pub mod holds;
pub mod pidfd;
pub mod signaller;
pub mod stat;
