//! `beadle schema`: what editors complete rule files by.

use super::say;
use crate::config;

/// Print the JSON Schema of rule files, for your editor's completion
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  beadle schema > ~/.config/beadle/schema.json
  and in the first line of a rule file, for editors with the YAML language server:
  # yaml-language-server: $schema=./schema.json")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) {
    // A value of serde_json's own always has a text.
    let text = serde_json::to_string_pretty(&config::schema()).unwrap_or_default();
    say(&text);
    say("\n");
}
