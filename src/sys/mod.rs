//! The machine: everything unsafe and everything that differs between systems.

pub mod accounting;
pub mod clock;
pub mod events;
#[cfg(test)]
mod fake_proc;
pub mod glimpse;
pub mod holds;
pub mod learner;
pub mod measurer;
pub mod nudger;
pub mod ourselves;
pub mod pidfd;
pub mod procfs;
pub mod sampler;
pub mod signaller;
pub mod stat;
pub mod status;
pub mod users;
#[cfg(test)]
pub(crate) mod villain;
