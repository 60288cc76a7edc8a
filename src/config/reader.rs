//! Reading single values: text, choices, flags, quantities, patterns. What is wrong is told and becomes `None`.

use std::sync::Arc;

use super::Names;
use super::diagnostic::{Findings, Problem, quoted};
use super::quantity::Misread;
use super::source::{Marked, Source, Span, Spot};
use super::words::nearest;
use super::yaml::{Node, Value};
use crate::engine::pattern::{Anchor, Glob, LONGEST, Pattern};

/// The most patterns of one file: each is compiled, and takes memory for as long as beadle runs.
const MOST_PATTERNS: usize = 20_000;
/// The most bytes of all patterns of one file.
const MOST_BYTES: usize = 1 << 20;
/// The most patterns of one file that repeat something so many times. Each may compile to a mebibyte.
const MOST_REPEATING: usize = 200;

/// Reads the values of one file.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) names: &'a dyn Names,
    pub(super) findings: &'a mut Findings,
    /// As whom the rules will be carried out: 0 is root.
    pub(super) uid: u32,
    /// Values that were complained about before they came here.
    broken: usize,
    patterns: Patterns,
}

/// What the patterns read so far may cost.
#[derive(Default)]
struct Patterns {
    count: usize,
    bytes: usize,
    /// Those that repeat something so many times: a few bytes of text that compile to many.
    repeating: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a Arc<Source>,
        names: &'a dyn Names,
        uid: u32,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            source,
            names,
            findings,
            uid,
            broken: 0,
            patterns: Patterns::default(),
        }
    }

    /// Grows with everything that is wrong: what was read since it grew is not to be relied on.
    pub(super) fn trouble(&self) -> usize {
        self.findings.errors() + self.broken
    }

    /// What a value is, in words; `None` when it was complained about before.
    pub(super) fn describe(&mut self, node: &Node) -> Option<&'static str> {
        match &node.value {
            Value::Text(text) if text.is_empty() => Some("empty text"),
            Value::Text(_) => Some("text"),
            Value::Null => Some("nothing"),
            Value::List(_) => Some("a list"),
            Value::Map(_) => Some("a map"),
            Value::Broken => {
                self.broken += 1;
                None
            }
        }
    }

    pub(super) fn spot(&self, span: Span) -> Spot {
        Spot {
            source: Arc::clone(self.source),
            span,
        }
    }

    pub(super) fn mark<T>(&self, value: T, span: Span) -> Marked<T> {
        let spot = self.spot(span);
        Marked { value, spot }
    }

    /// An error: what is wrong, and what was expected.
    pub(super) fn refuse(
        &mut self,
        span: Span,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let problem = Problem::error(self.spot(span), message).label(expected);
        self.findings.push(problem);
    }

    /// A warning: what is doubtful, and what would not be.
    pub(super) fn doubt(
        &mut self,
        span: Span,
        message: impl Into<String>,
        better: impl Into<String>,
    ) {
        let problem = Problem::warning(self.spot(span), message).label(better);
        self.findings.push(problem);
    }

    /// Something of the rule language that this version does not carry out.
    pub(super) fn not_yet(&mut self, span: Span, word: &str) {
        let message = format!(
            "{} is not available in this version of beadle",
            quoted(word)
        );
        self.refuse(span, message, "take it out for now");
    }

    /// Text as written. `what` says what it is for: "a signal".
    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        if let Value::Text(text) = &node.value
            && !text.is_empty()
        {
            return Some(text);
        }
        let found = self.describe(node)?;
        self.refuse(
            node.span,
            format!("found {found}"),
            format!("expected {what}"),
        );
        None
    }

    /// The items of a list, or the one value that stands for a list of one.
    pub(super) fn each<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) if items.is_empty() => {
                self.refuse(node.span, "the list is empty", format!("expected {what}"));
                &[]
            }
            Value::List(items) => items,
            Value::Null | Value::Text(_) | Value::Map(_) | Value::Broken => {
                std::slice::from_ref(node)
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let known = || words.iter().map(|(word, _)| *word);
        let list = known().map(quoted).collect::<Vec<_>>().join(", ");
        let text = self.text(node, &format!("{what}: {list}"))?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let expected = match nearest(text, known()) {
            Some(word) => format!("did you mean {}?", quoted(word)),
            None => format!("expected {list}"),
        };
        self.refuse(
            node.span,
            format!("{} is not {what}", quoted(text)),
            expected,
        );
        None
    }

    /// `true` or `false`, and no other word for them.
    pub(super) fn flag(&mut self, node: &Node) -> Option<bool> {
        let text = self.text(node, "`true` or `false`")?;
        let meant = match &*text.to_ascii_lowercase() {
            "true" | "yes" | "y" | "on" | "1" => true,
            "false" | "no" | "n" | "off" | "0" => false,
            _ => {
                self.refuse(
                    node.span,
                    format!("{} is neither", quoted(text)),
                    "expected `true` or `false`",
                );
                return None;
            }
        };
        if text == "true" || text == "false" {
            return Some(meant);
        }
        self.refuse(
            node.span,
            format!("{} is text", quoted(text)),
            format!("did you mean `{meant}`?"),
        );
        None
    }

    /// A quantity, by one of the parsers of [`super::quantity`].
    pub(super) fn quantity<T>(
        &mut self,
        node: &Node,
        what: &str,
        parse: fn(&str) -> Result<T, Misread>,
    ) -> Option<T> {
        let text = self.text(node, what)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(Misread { message, expected }) => {
                self.refuse(node.span, format!("{}: {message}", quoted(text)), expected);
                None
            }
        }
    }

    pub(super) fn glob(&mut self, node: &Node) -> Option<Glob> {
        let text = self.text(node, "a pattern such as `pytest` or `python3*`")?;
        self.count_pattern(node.span, text)?;
        Glob::new(text)
            .map_err(|error| self.refuse(node.span, "not a pattern", error))
            .ok()
    }

    pub(super) fn pattern(&mut self, node: &Node, anchor: Anchor) -> Option<Pattern> {
        let text = self.text(node, "a regular expression")?;
        self.count_pattern(node.span, text)?;
        Pattern::new(text, anchor)
            .map_err(|error| self.refuse(node.span, "not a regular expression", error))
            .ok()
    }

    fn count_pattern(&mut self, span: Span, text: &str) -> Option<()> {
        let repeats = |pair: &[u8]| matches!(pair, [b'{', digit] if digit.is_ascii_digit());
        self.patterns.count += 1;
        self.patterns.bytes += text.len().min(LONGEST);
        self.patterns.repeating += usize::from(text.as_bytes().windows(2).any(repeats));
        let Patterns {
            count,
            bytes,
            repeating,
        } = self.patterns;
        if count <= MOST_PATTERNS && bytes <= MOST_BYTES && repeating <= MOST_REPEATING {
            return Some(());
        }
        let message = match repeating {
            0..=MOST_REPEATING => format!(
                "more than {MOST_PATTERNS} patterns, or {MOST_BYTES} bytes of them, in one file"
            ),
            _ => format!(
                "more than {MOST_REPEATING} patterns with a repetition such as `{{8}}` in one file"
            ),
        };
        self.refuse(span, message, "this pattern is not read");
        None
    }
}
