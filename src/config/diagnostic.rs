//! What is wrong with the rules, told to a person: file, line, column, the line with a caret, what was expected.
//!
//! **Invariants.** Nothing from a file reaches a terminal unescaped. However much is wrong, what is said is bounded.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::source::{Excerpt, Spot};

/// How many problems of one severity are kept; the rest are counted.
const KEPT: usize = 100;

/// Something wrong, or doubtful, in the rules.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Whether it keeps the rules from being loaded.
    pub severity: Severity,
    /// Where.
    pub at: Place,
    /// What is wrong.
    pub message: String,
    /// What was expected there; stands at the caret.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is loaded.
    Error,
    /// Loaded, and yet perhaps not what was meant.
    Warning,
}

/// Where a problem is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a file's text.
    Text(Spot),
    /// A file or folder as such.
    Path(PathBuf),
}

/// How problems are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text alone.
    Plain,
    /// With terminal colors.
    Color,
}

/// Why nothing was loaded: every problem of every file.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The errors, in the order of files and lines. Never empty.
    pub problems: Vec<Problem>,
    /// How many more there were than are kept.
    pub unsaid: usize,
}

impl Severity {
    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Problem {
    pub(super) fn error(spot: Spot, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Place::Text(spot), &message.into())
    }

    pub(super) fn warning(spot: Spot, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Place::Text(spot), &message.into())
    }

    pub(super) fn of_path(severity: Severity, path: &Path, message: impl Into<String>) -> Self {
        Self::new(severity, Place::Path(path.to_owned()), &message.into())
    }

    fn new(severity: Severity, at: Place, message: &str) -> Self {
        Self {
            severity,
            at,
            message: clean(message).into_owned(),
            label: None,
            help: None,
        }
    }

    #[must_use]
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(clean(&label.into()).into_owned());
        self
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(clean(&help.into()).into_owned());
        self
    }

    /// The file or folder, escaped.
    pub fn path(&self) -> Cow<'_, str> {
        match &self.at {
            Place::Text(spot) => clean(spot.source.path()),
            Place::Path(path) => Cow::Owned(clean(&path.to_string_lossy()).into_owned()),
        }
    }

    /// The line, from 1; `None` for a problem of the file as such.
    pub fn line(&self) -> Option<usize> {
        match &self.at {
            Place::Text(spot) => Some(spot.line()),
            Place::Path(_) => None,
        }
    }

    /// The column in characters, from 1; `None` for a problem of the file as such.
    pub fn column(&self) -> Option<usize> {
        match &self.at {
            Place::Text(spot) => Some(spot.column()),
            Place::Path(_) => None,
        }
    }

    fn order(&self) -> (usize, usize) {
        match &self.at {
            Place::Path(_) => (0, 0),
            Place::Text(spot) => (spot.source.rank() + 1, spot.span.start),
        }
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let path = self.path();
        let title = level.primary_title(&*self.message);
        let label = self.label.as_deref();
        let mut group = match &self.at {
            Place::Text(spot) => {
                let Excerpt { line, range, whole } = spot.excerpt();
                let mark = AnnotationKind::Primary.span(range).label(label);
                let snippet = Snippet::source(line)
                    .line_start(spot.line())
                    .annotation(mark);
                if whole {
                    title.element(snippet.path(path))
                } else {
                    // The library would count columns in the excerpt.
                    let origin = Origin::path(path).line(spot.line());
                    title
                        .element(origin.char_column(spot.column()))
                        .element(snippet)
                }
            }
            Place::Path(_) => {
                let note = label.map(|label| Level::NOTE.message(label));
                title.element(Origin::path(path)).elements(note)
            }
        };
        if let Some(help) = self.help.as_deref() {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

/// One line: `path:line:column: error: message: label; help`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())?;
        if let (Some(line), Some(column)) = (self.line(), self.column()) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}: {}", self.severity.word(), self.message)?;
        if let Some(label) = &self.label {
            write!(f, ": {label}")?;
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// All problems and a summary, as people read them.
    pub fn render(&self, paint: Paint) -> String {
        let problems = render(&self.problems, paint);
        format!("{problems}\n{}\n", self.summary())
    }

    /// `5 problems in 1 file; nothing was loaded`.
    pub fn summary(&self) -> String {
        let mut files: Vec<_> = self.problems.iter().map(Problem::path).collect();
        files.sort();
        files.dedup();
        let total = self.problems.len() + self.unsaid;
        let shown = match self.unsaid {
            0 => String::new(),
            _ => format!(" (the first {} are shown)", self.problems.len()),
        };
        format!(
            "{} in {}{shown}; nothing was loaded",
            counted(total, "problem"),
            counted(files.len(), "file")
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        f.write_str(&self.summary())
    }
}

impl std::error::Error for Refusal {}

/// Problems as people read them: each with its line and a caret, a blank line between.
pub fn render(problems: &[Problem], paint: Paint) -> String {
    let renderer = match paint {
        Paint::Plain => Renderer::plain(),
        Paint::Color => Renderer::styled(),
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(120);
    let mut text = String::new();
    for (place, problem) in problems.iter().enumerate() {
        text.push_str(if place == 0 { "" } else { "\n" });
        text.push_str(&problem.render(&renderer));
        text.push('\n');
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// Problems as they are found, bounded.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    unsaid: usize,
}

impl Findings {
    pub(super) fn push(&mut self, problem: Problem) {
        match problem.severity {
            Severity::Error if self.errors.len() < KEPT => self.errors.push(problem),
            Severity::Error => self.unsaid += 1,
            Severity::Warning if self.warnings.len() < KEPT => self.warnings.push(problem),
            Severity::Warning => {}
        }
    }

    /// Whether another error would only be counted: its words are not worth looking for.
    pub(super) fn full(&self) -> bool {
        self.errors.len() >= KEPT
    }

    /// How many errors there are, to see whether some step found any.
    pub(super) fn errors(&self) -> usize {
        self.errors.len() + self.unsaid
    }

    /// The warnings, or the refusal when there is any error.
    pub(super) fn settle(mut self) -> Result<Vec<Problem>, Refusal> {
        self.errors.sort_by_key(Problem::order);
        self.warnings.sort_by_key(Problem::order);
        if self.errors.is_empty() {
            return Ok(self.warnings);
        }
        Err(Refusal {
            problems: self.errors,
            unsaid: self.unsaid,
        })
    }
}

/// Text from a file, in backticks, escaped and cut short, to stand in a message.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut quoted: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        quoted.push('…');
    }
    format!("`{quoted}`")
}

fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| printable(c) == c) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(printable).collect())
}

/// The character, or U+FFFD where it could move the cursor, color the terminal or turn the writing direction.
pub(super) fn printable(c: char) -> char {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    match c {
        '\t' => ' ',
        c if c.is_control() || turns => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::{Source, Span};

    fn problem(path: &str, text: &str, start: usize, end: usize) -> Problem {
        let source = Source::new(path, text.to_owned(), 0);
        let span = Span { start, end };
        Problem::error(Spot { source, span }, "bad").label("worse")
    }

    #[test]
    fn a_problem_is_one_line_or_a_picture() {
        let bad = problem("a.yaml", "x: 1\nyy: 2\n", 5, 7).help("mend it");
        assert_eq!(bad.to_string(), "a.yaml:2:1: error: bad: worse; mend it");
        assert_eq!(
            render(&[bad], Paint::Plain),
            "error: bad\n --> a.yaml:2:1\n  |\n2 | yy: 2\n  | ^^ worse\n  |\n  = help: mend it\n"
        );
    }

    #[test]
    fn nothing_hostile_gets_through() {
        let bad = problem(
            "a\u{1b}[2J.yaml",
            "k\u{1b}]0;x\u{7}\u{202e}v\u{9b}2J: 1",
            0,
            4,
        );
        for text in [
            bad.to_string(),
            render(std::slice::from_ref(&bad), Paint::Plain),
            quoted("\u{1b}[2J\u{202e}"),
        ] {
            assert!(
                text.chars().all(|c| c == '\n' || printable(c) == c),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_said_is_bounded() {
        let mut findings = Findings::default();
        for _ in 0..1000 {
            findings.push(problem("a.yaml", "x", 0, 1));
        }
        let refusal = findings.settle().unwrap_err();
        assert_eq!(
            refusal.to_string().lines().last(),
            Some("1000 problems in 1 file (the first 100 are shown); nothing was loaded")
        );
    }
}
