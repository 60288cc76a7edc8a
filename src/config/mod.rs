//! From YAML files to the rules in force.
//!
//! [`load`] finds the files (`discover`), reads them into trees of places (`yaml`), decodes each by the tables of
//! keys (`raw`), puts them together with the built-in packs (`lower`), and gives either all of it or a
//! [`Refusal`] with every problem of every file.
//!
//! **Invariants.** Nothing is loaded by half. What a file can cost is bounded: bytes, values, depth, rules, patterns,
//! problems told. As root, nothing is read that others may write.
//!
//! # Why an own decoder
//! Whoever edits a rule that kills wants all mistakes at once, each with a caret; and an editor's completion that
//! cannot disagree with what is accepted. Both come from one table of keys (`table`).

pub mod budget;
pub mod builtin;
pub mod diagnostic;
mod discover;
mod doubt;
mod lower;
mod quantity;
mod raw;
mod reader;
mod schema;
pub mod source;
mod table;
mod trust;
mod words;
mod yaml;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::diagnostic::{Paint, Place, Problem, Refusal, Severity, render};
pub use self::trust::runnable;

use self::diagnostic::Findings;
use self::raw::document::{self, Document};
use self::reader::Reader;
use self::source::Source;
use crate::engine::rule::{Mode, RuleSet};

/// Finds the numbers of users and groups.
pub trait Names {
    /// The id of a user.
    fn user(&self, name: &str) -> Option<u32>;
    /// The id of a group.
    fn group(&self, name: &str) -> Option<u32>;
}

/// What is to be loaded, and for whom.
pub struct Request<'a> {
    /// A file or a folder that replaces the search.
    pub explicit: Option<PathBuf>,
    /// Where a person's configuration lives: `$XDG_CONFIG_HOME` or `~/.config`. Not used for root.
    pub home: Option<PathBuf>,
    /// Who asks: for root, files that others may write are refused.
    pub uid: u32,
    /// Replaces the top-level mode and caps every rule's own.
    pub mode: Option<Mode>,
    /// Finds users and groups.
    pub names: &'a dyn Names,
}

/// Rules that may run.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// What is doubtful in them.
    pub warnings: Vec<Problem>,
    /// The files that were read, in order. None: only the built-in rules run.
    pub files: Vec<PathBuf>,
    /// Files and folders whose change means that another load may give something else. Some may not exist yet.
    pub watch: Vec<PathBuf>,
}

/// Loads all rules, or tells everything that is wrong with them.
pub fn load(request: &Request<'_>) -> Result<Loaded, Refusal> {
    let mut findings = Findings::default();
    let found = discover::find(request, &mut findings);
    let documents: Vec<Document> = found
        .sources
        .iter()
        .filter_map(|source| read(source, request, &mut findings))
        .collect();
    let rules = lower::lower(documents, request, &mut findings);
    Ok(Loaded {
        warnings: findings.settle()?,
        rules: Arc::new(rules),
        files: found.files,
        watch: found.watch,
    })
}

/// A duration as rules write it, `1h30m`; or why it is none.
pub fn duration(text: &str) -> Result<Duration, String> {
    quantity::duration(text).map_err(|misread| format!("{}: {}", misread.message, misread.expected))
}

/// The JSON Schema (draft 2020-12) of a rule file, for editors.
pub fn schema() -> serde_json::Value {
    schema::schema()
}

fn read(source: &Arc<Source>, request: &Request<'_>, findings: &mut Findings) -> Option<Document> {
    let node = yaml::parse(source, findings)?;
    let mut reader = Reader::new(source, request.names, request.uid, findings);
    Some(document::read(&node, &mut reader))
}
