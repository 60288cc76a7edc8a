//! The one renderer: all that people read of evidence, notices, reports, views and explanations is written here.
//!
//! It renders [`wire`](crate::control::wire) values, never the engine's own, so the log of a daemon in this process,
//! the answer of a daemon at the other end of a socket and a JSON log of last week read alike.
//!
//! **Invariants.** A log entry is one line. Whatever a process may have chosen arrives as
//! [`Safe`](crate::control::wire::Safe) and is printed as such. Text says nothing that the JSON does not hold.

pub mod card;
mod certificate;
mod doctor;
pub mod entry;
mod history;
mod idle;
mod line;
pub mod message;
mod page;
mod paint;
mod ps;
mod replies;
mod status;
mod story;
mod trial;
mod why;
pub mod words;

pub use certificate::certificate;
pub(super) use doctor::doctor;
pub use entry::{Entry, stamp};
pub use history::{Eyes, history};
pub use line::line;
pub use paint::{Paint, Tone};
pub use ps::ps;
pub use replies::{exceptions, forgotten, replied};
pub use status::{pauses, status, status_line};
pub use story::story;
pub use trial::{Trial, TrialRule, rule_list, trial};
pub use why::why;

#[cfg(test)]
mod tests;
