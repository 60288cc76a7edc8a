//! The command line: one file per subcommand, one renderer for all.

pub mod render;
