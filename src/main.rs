//! The `beadle` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    beadle::cli::run(std::env::args_os())
}
