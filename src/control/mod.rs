//! The control socket: how a person's `beadle status` reaches the daemon, and who may ask what.
//!
//! [`wire`] holds the values that travel, [`protocol`] the questions and answers, [`socket`] the place where they
//! meet, [`server`] the daemon's end and [`client`] the other.
//!
//! **Invariants.** A client can neither block the daemon's loop nor make it hold more than a bounded amount of
//! memory. Who asks is what the kernel vouches for, never what is sent. Owners see and pause only their own.

pub mod client;
pub mod protocol;
pub mod server;
pub mod socket;
pub mod wire;
