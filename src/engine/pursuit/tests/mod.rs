//! Pursuits in a world of a few processes, where the world knows who is who and the pursuit must find out.

mod simulation;
mod table;
mod walks;
mod world;
