//! A fake world: a machine whose processes misbehave, and shells that are late.
//!
//! It keeps its own notion of who is who ([`body::Id`]), of who descends from whom and of what was really sent, so
//! that a fault in the engine's notion of them shows.

pub mod body;
pub mod chance;
pub mod kin;
pub mod letters;
pub mod machine;
pub mod make;
pub mod rules;
pub mod senses;
pub mod shells;
