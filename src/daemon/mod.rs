//! The daemon: the loop that waits, steps the judge, carries out and publishes.
//!
//! tokio runs it on one thread; the event reader has an OS thread of its own and runs pursuits; everything slow is a
//! thread or a task with a deadline and can never block the loop.
//!
//! | file | holds |
//! |---|---|
//! | `start` | options, what must be there before the watch begins, and the errors of that |
//! | `watch` | the loop |
//! | `inbox` | what the loop waits for, in one order |
//! | `shells` | decisions carried out: the sampler, the learner, the pursuer |
//! | `keeper` | what is kept on disk, and what to do where it cannot be |
//! | `unfinished` | what the beadle before this one was doing when it died |
//! | `voice` | what is told: the log, the journal, terminals |
//! | `rules` | rule files, and when they change |
//! | `faults` | what does not work, while the watch goes on |
//! | `glance` | the judge alone, for a moment, without the means to act |
//! | `pursue` | the one hot loop: events and pursuits |

mod faults;
mod glance;
mod inbox;
mod keeper;
pub mod pursue;
mod rules;
mod shells;
mod start;
mod unfinished;
mod voice;
mod watch;

pub(crate) use glance::glance;
pub(crate) use rules::Rules;
pub use start::{AccountingChoice, LogForm, Options, StartError, TierChoice, watch};
