//! `cargo lint`: formatting, clippy and rustdoc, warnings denied. Stops at the first that complains.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a tool for developers, not part of beadle"
)]

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let steps: [(&str, &[&str]); 3] = [
        ("formatting", &["fmt", "--check"]),
        (
            "clippy",
            &["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"],
        ),
        (
            "rustdoc",
            &["doc", "--quiet", "--no-deps", "--document-private-items"],
        ),
    ];
    for (what, arguments) in steps {
        eprintln!("lint: {what}");
        let status = Command::new(&cargo)
            .args(arguments)
            .env("RUSTDOCFLAGS", "-D warnings")
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("lint: {what}: {status}");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("lint: cannot start {}: {error}", cargo.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
