//! The machine: everything unsafe and everything that differs between systems.

pub mod clock;
#[cfg(test)]
mod fake_proc;
pub mod learner;
pub mod nudger;
pub mod ourselves;
pub mod pidfd;
pub mod procfs;
pub mod sampler;
pub mod events;
pub mod glimpse;
pub mod holds;
pub mod pidfd;
pub mod signaller;
pub mod stat;
pub mod status;
pub mod users;
#[cfg(test)]
mod villain;
