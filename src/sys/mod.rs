//! The machine: everything unsafe and everything that differs between systems.
//!
//! The clock, the users and the form of a message are the same everywhere. What sees and signals processes knows Linux
//! alone so far: another system's way joins it behind the same names, and takes the `cfg` off the line that names it.

#[cfg(target_os = "linux")]
pub mod accounting;
pub mod boot;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
pub mod clients;
pub mod clock;
#[cfg(target_os = "linux")]
pub mod command;
#[cfg(target_os = "linux")]
pub mod events;
#[cfg(target_os = "linux")]
pub mod executor;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod fake_proc;
#[cfg(target_os = "linux")]
pub mod glimpse;
#[cfg(target_os = "linux")]
pub mod guardian;
#[cfg(target_os = "linux")]
pub mod heap;
#[cfg(target_os = "linux")]
pub mod heartbeats;
#[cfg(target_os = "linux")]
mod holder;
#[cfg(target_os = "linux")]
pub mod holds;
#[cfg(target_os = "linux")]
pub mod inspector;
#[cfg(target_os = "linux")]
pub mod learner;
#[cfg(target_os = "linux")]
pub mod measurer;
pub mod message;
#[cfg(target_os = "linux")]
pub mod nudger;
#[cfg(target_os = "linux")]
pub mod ourselves;
#[cfg(target_os = "linux")]
pub mod pidfd;
#[cfg(target_os = "linux")]
pub mod procfs;
#[cfg(target_os = "linux")]
mod prover;
#[cfg(target_os = "linux")]
pub mod rivals;
pub mod sampler;
pub mod service;
#[cfg(target_os = "linux")]
pub mod signaller;
#[cfg(target_os = "linux")]
pub mod stat;
#[cfg(target_os = "linux")]
pub mod status;
#[cfg(target_os = "linux")]
mod stillness;
pub mod users;
#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) mod villain;
pub mod vitals;
