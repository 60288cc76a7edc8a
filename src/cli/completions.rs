//! `beadle completions`: what shells complete beadle's command line by.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::{Cli, say};

/// Print a script that lets your shell complete beadle's commands and options
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle completions bash > ~/.local/share/bash-completion/completions/beadle
  beadle completions zsh > ~/.zfunc/_beadle      with `fpath+=~/.zfunc` before compinit
  beadle completions fish > ~/.config/fish/completions/beadle.fish
packaging/install puts them in their places.")]
pub(super) struct Args {
    /// Which shell.
    shell: Shell,
}

pub(super) fn run(args: &Args) {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "beadle", &mut script);
    say(&String::from_utf8_lossy(&script));
}
