//! Config.
pub mod diagnostic;
mod quantity;
pub mod source;
mod yaml;
