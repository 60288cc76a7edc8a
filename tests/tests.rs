//! The one integration binary.

// Rule files: what is refused and how it is told, what loads, what is built in.
mod config;
