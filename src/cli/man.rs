//! `beadle man`: the manual, made from the same source as `--help`.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::{Cli, Failure, say};

/// Print the manual page, or write one for every command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle man | man -l -
  beadle man --dir ~/.local/share/man/man1
packaging/install puts them in their place.")]
pub(super) struct Args {
    /// Write beadle.1, beadle-watch.1 and so on into this folder, which must be there.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut whole = Cli::command();
    whole.build();
    let Some(dir) = &args.dir else {
        say(&page(whole));
        return Ok(());
    };
    let shown = whole
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let each: Vec<clap::Command> = shown.cloned().collect();
    for command in each {
        let name = format!("beadle-{}", command.get_name());
        write(dir, &name, &page(command))?;
    }
    write(dir, "beadle", &page(whole))
}

fn page(command: clap::Command) -> String {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = Man::new(command).render(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}

fn write(dir: &Path, name: &str, page: &str) -> Result<(), Failure> {
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page).map_err(|error| {
        Failure::new(format!(
            "{}: {error}: --dir takes a folder that is there and that you may write to",
            path.display()
        ))
    })
}
