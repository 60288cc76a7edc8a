//! The daemon: the loop that waits, steps the judge, carries out and publishes.
//!
//! tokio runs it on one thread; the event reader has an OS thread of its own and runs pursuits; everything slow is a
//! thread or a task with a deadline and can never block the loop.
//!
//! | file | holds |
//! |---|---|
//! | `options` | how the watch is to run, and why it may not begin |
//! | `start` | what must be there before the watch begins |
//! | `watch` | the loop |
//! | `inbox` | what the loop waits for, in one order |
//! | `shells` | decisions carried out: the sampler, the learner, the pursuer |
//! | `ear` | heartbeats: when they are read, and how many at a time |
//! | `historian` | what became of incidents: kept, and told to those who ask |
//! | `inquiries` | people who wait for facts to be read again |
//! | `recall` | what was kept, read for whoever asks |
//! | `keeper` | what is kept on disk, and what to do where it cannot be |
//! | `unfinished` | what the beadle before this one was doing when it died |
//! | `voice` | what is told: the log, the journal, terminals |
//! | `rules` | rule files |
//! | `changes` | when they change |
//! | `errands` | programs that are run for an incident, and all that they are told |
//! | `exceptions` | what people said that rules never mind |
//! | `consult` | the machine's beadle, which is asked what it minds |
//! | `faults` | what does not work, while the watch goes on |
//! | `service` | what the service manager is told |
//! | `tidy` | when free memory is given back |
//! | `glance` | the judge alone, for a moment, without the means to act |
//! | `present` | who runs now that a matcher means |
//! | `run` | a command under guard |
//! | `pursue` | the one hot loop: events and pursuits |
//! | `elsewhere` | in place of all but the rules and the options, where [`sys`](crate::sys) cannot see processes yet |

#[cfg(target_os = "linux")]
mod changes;
#[cfg(target_os = "linux")]
mod consult;
#[cfg(target_os = "linux")]
mod ear;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod errands;
#[cfg(target_os = "linux")]
mod exceptions;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod glance;
#[cfg(target_os = "linux")]
mod historian;
#[cfg(target_os = "linux")]
mod inbox;
#[cfg(target_os = "linux")]
mod inquiries;
#[cfg(target_os = "linux")]
mod keeper;
mod options;
#[cfg(target_os = "linux")]
mod present;
#[cfg(target_os = "linux")]
pub mod pursue;
mod recall;
mod rules;
#[cfg(target_os = "linux")]
pub mod run;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod shells;
#[cfg(target_os = "linux")]
mod start;
#[cfg(target_os = "linux")]
mod tidy;
#[cfg(target_os = "linux")]
mod unfinished;
#[cfg(target_os = "linux")]
mod voice;
#[cfg(target_os = "linux")]
mod watch;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::watch;
#[cfg(target_os = "linux")]
pub use start::watch;

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::glance;
#[cfg(target_os = "linux")]
pub(crate) use glance::glance;
#[cfg(target_os = "linux")]
pub(crate) use present::{Present, Sight, present};

pub use options::{AccountingChoice, LogForm, Options, StartError, TierChoice};
pub(crate) use recall::{Inquiry, Standpoint, recall, state_folder};
pub(crate) use rules::Rules;

/// Whether there is a watch on this system.
pub(crate) fn can_watch() -> Result<(), StartError> {
    if cfg!(target_os = "linux") {
        Ok(())
    } else {
        Err(StartError::Elsewhere)
    }
}
