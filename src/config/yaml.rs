//! YAML bytes to a tree in which every key and value knows its place. The only module that knows the parser.
//!
//! **Invariants.** Bounded: bytes, values (aliases expanded) and depth. What cannot mean anything is told here: a key
//! twice, a tag, a second document, an alias of nothing, which is nearly always an unquoted `*`.
//!
//! # Why events and not serde
//! Serde stops at the first error and hides whether a value was quoted. From events, everything that is wrong is told at
//! once, each with its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError};

use super::diagnostic::{Findings, Problem, quoted};
use super::source::{Source, Span, Spot};

/// The largest file.
pub(super) const LARGEST_FILE: u64 = 4 << 20;
/// The most values of one file, each alias counted as all that it stands for.
const MOST_VALUES: usize = 500_000;
/// So many bytes of text count as one more value.
const TEXT: usize = 64;
/// The deepest nesting.
const DEEPEST: usize = 64;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing: `key:`, `~` or `null`.
    Null,
    /// Text as written, its quotes and escapes undone. What it means is for the key to say.
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Already complained about.
    Broken,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Span,
    pub(super) node: Node,
}

impl Node {
    /// How many values it holds, itself included; long text counts as several.
    fn weight(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Broken => 0,
            Value::Text(text) => text.len() / TEXT,
            Value::List(items) => items.iter().map(Self::weight).sum(),
            Value::Map(entries) => entries.iter().map(|entry| 1 + entry.node.weight()).sum(),
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Text(_) | Value::Broken => 0,
            Value::List(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Map(entries) => entries.iter().map(|e| e.node.depth()).max().unwrap_or(0),
        }
    }
}

/// The one document of a file; `None` when its syntax is broken or there is nothing in it.
pub(super) fn parse(source: &Arc<Source>, findings: &mut Findings) -> Option<Node> {
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut builder = Builder {
        source,
        findings,
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        values: 0,
        root: None,
    };
    for event in Parser::new_from_str_with_options(source.text(), options) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let problem = syntax(source, &error);
                builder.findings.push(problem);
                return None;
            }
        };
        builder.take(event, bytes(&span)).ok()?;
    }
    if builder.root.is_none() {
        let problem = Problem::error(builder.spot(Span::default()), "the file is empty")
            .label("expected at least `version: 1`");
        builder.findings.push(problem);
    }
    builder.root
}

/// Parsing goes no further; the problem is told.
struct Stop;

enum Frame {
    List {
        from: Span,
        anchor: usize,
        items: Vec<Node>,
    },
    Map {
        from: Span,
        anchor: usize,
        entries: Vec<Entry>,
        key: Option<(Option<String>, Span)>,
    },
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    findings: &'a mut Findings,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let problem = Problem::error(self.spot(span), "a second document").label(
                    "a file holds one document: put the rules into one list, or into two files",
                );
                self.findings.push(problem);
                Err(Stop)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let plain = style == ScalarStyle::Plain;
                let value = match &*text {
                    "" | "~" | "null" if plain => Value::Null,
                    text => Value::Text(text.to_owned()),
                };
                self.place(Node { span, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.open(Frame::List {
                    from: span,
                    anchor,
                    items: Vec::new(),
                })
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.open(Frame::Map {
                    from: span,
                    anchor,
                    entries: Vec::new(),
                    key: None,
                })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => {
                let text = format!("*{name}");
                let problem = Problem::error(
                    self.spot(span),
                    format!("{} without quotes is an alias in YAML", quoted(&text)),
                )
                .label(format!(
                    "to match text, quote it: {}",
                    quoted(&format!("\"{text}\""))
                ));
                self.findings.push(problem);
                let value = Value::Broken;
                self.place(Node { span, value }, 0)
            }
            // Stream and document marks; comments and anchor names are not asked for.
            _ => Ok(()),
        }
    }

    fn open(&mut self, frame: Frame) -> Result<(), Stop> {
        let from = match &frame {
            Frame::List { from, .. } | Frame::Map { from, .. } => *from,
        };
        if self.stack.len() >= DEEPEST {
            return self.too_deep(from);
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Stop> {
        match self.stack.pop() {
            Some(Frame::List {
                from,
                anchor,
                items,
            }) => {
                let end = items
                    .last()
                    .map_or(end.end, |node| node.span.end.max(end.end));
                let value = Value::List(items);
                let span = Span { end, ..from };
                self.place(Node { span, value }, anchor)
            }
            Some(Frame::Map {
                from,
                anchor,
                entries,
                ..
            }) => {
                let end = entries
                    .last()
                    .map_or(end.end, |e| e.node.span.end.max(end.end));
                let value = Value::Map(self.settle(entries));
                let span = Span { end, ..from };
                self.place(Node { span, value }, anchor)
            }
            None => Ok(()),
        }
    }

    /// A finished value goes into the list or map that is open.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        self.charge(1, node.span)?;
        if anchor != 0 {
            self.charge(node.weight(), node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => match key.take() {
                Some((Some(key), at)) => entries.push(Entry { key, at, node }),
                // The key was no text, and that was told.
                Some((None, _)) => {}
                None => {
                    let at = node.span;
                    let Value::Text(text) = node.value else {
                        *key = Some((None, at));
                        let told = matches!(node.value, Value::Broken);
                        if !told {
                            let problem = Problem::error(self.spot(at), "a key must be a word");
                            self.findings.push(problem);
                        }
                        return Ok(());
                    };
                    *key = Some((Some(text), at));
                }
            },
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor) else {
            let problem = Problem::error(self.spot(span), "a value cannot contain itself");
            self.findings.push(problem);
            return Err(Stop);
        };
        if self.stack.len() + node.depth() > DEEPEST {
            return self.too_deep(span);
        }
        let (weight, node) = (node.weight(), node.clone());
        self.charge(weight, span)?;
        self.place(node, 0)
    }

    /// Refuses keys that come twice and pulls in what `<<` names.
    fn settle(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut first: BTreeMap<String, Span> = BTreeMap::new();
        let (mut kept, mut merged) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            if entry.key == "<<" {
                self.merge(entry.node, &mut merged);
                continue;
            }
            if let Some(span) = first.get(&entry.key) {
                let line = self.spot(*span).line();
                let message = format!("the key {} is given twice", quoted(&entry.key));
                let problem = Problem::error(self.spot(entry.at), message);
                self.findings
                    .push(problem.label(format!("first on line {line}")));
                continue;
            }
            first.insert(entry.key.clone(), entry.at);
            kept.push(entry);
        }
        let mut seen: BTreeSet<String> = first.into_keys().collect();
        merged.retain(|entry: &Entry| seen.insert(entry.key.clone()));
        kept.append(&mut merged);
        kept
    }

    /// The entries of the map, or the list of maps, that stands after `<<`.
    fn merge(&mut self, node: Node, merged: &mut Vec<Entry>) {
        match node.value {
            Value::Map(mut inner) => merged.append(&mut inner),
            Value::List(maps) => {
                for map in maps {
                    self.merge(map, merged);
                }
            }
            Value::Null | Value::Text(_) => {
                let problem = Problem::error(self.spot(node.span), "`<<` takes in a map")
                    .label("expected an alias such as `*name`");
                self.findings.push(problem);
            }
            Value::Broken => {}
        }
    }

    fn charge(&mut self, values: usize, span: Span) -> Result<(), Stop> {
        self.values = self.values.saturating_add(values);
        if self.values <= MOST_VALUES {
            return Ok(());
        }
        let problem = Problem::error(
            self.spot(span),
            format!("the file holds more than {MOST_VALUES} values, its aliases counted"),
        );
        self.findings.push(problem);
        Err(Stop)
    }

    fn too_deep(&mut self, span: Span) -> Result<(), Stop> {
        let problem = Problem::error(
            self.spot(span),
            format!("the file is nested more than {DEEPEST} deep"),
        );
        self.findings.push(problem);
        Err(Stop)
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            let problem = Problem::error(self.spot(span), "a YAML tag (`!…`) has no meaning here")
                .label("to match text that begins with `!`, quote it");
            self.findings.push(problem);
        }
    }

    fn spot(&self, span: Span) -> Spot {
        Spot {
            source: Arc::clone(self.source),
            span,
        }
    }
}

fn bytes(span: &granit_parser::Span) -> Span {
    let start = span.start.byte_offset().unwrap_or(0);
    let end = span.end.byte_offset().unwrap_or(start).max(start);
    Span { start, end }
}

fn syntax(source: &Arc<Source>, error: &ScanError) -> Problem {
    let start = error.marker().byte_offset().unwrap_or(0);
    let problem = |start: usize, length: usize, message: String| {
        let span = Span {
            start,
            end: start + length,
        };
        let source = Arc::clone(source);
        Problem::error(Spot { source, span }, message)
    };
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => problem(
            start,
            1,
            format!("the file is nested more than {DEEPEST} deep"),
        ),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => {
            problem(start, 1, "a tab cannot indent in YAML".to_owned()).label("use spaces")
        }
        ErrorKind::MissingAnchorOrAliasName | ErrorKind::UnexpectedCharacter { .. } => {
            // The parser stands on the sign, or one past it.
            let rest = |at: usize| source.text().get(at..).unwrap_or_default();
            let at = match rest(start.saturating_sub(1)) {
                before if before.starts_with(['*', '&']) => start.saturating_sub(1),
                _ => start,
            };
            let ends = [' ', ',', ']', '}', '\n', '\r'];
            let word = rest(at).split(ends).next().unwrap_or_default();
            let sign = word.chars().next().map(String::from).unwrap_or_default();
            let message = format!("a value cannot begin with {} unquoted", quoted(&sign));
            problem(at, word.len(), message)
                .label(format!("quote it: {}", quoted(&format!("\"{word}\""))))
        }
        _ => problem(start, 1, format!("not valid YAML: {}", error.info())),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn read(text: &str) -> Result<Node, String> {
        let source = Source::new("t.yaml", text.to_owned(), 0);
        let mut findings = Findings::default();
        let node = parse(&source, &mut findings);
        match findings.settle() {
            Ok(_) => Ok(node.unwrap()),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    fn map(node: &Node) -> &[Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_and_values_know_their_bytes() {
        let text = "é: [a, 'b c']\nk:\n  - |\n    x\n";
        let node = read(text).unwrap();
        let cut = |span: Span| &text[span.start..span.end];
        let [first, second] = map(&node) else {
            panic!()
        };
        assert_eq!((cut(first.at), cut(first.node.span)), ("é", "[a, 'b c']"));
        let Value::List(items) = &first.node.value else {
            panic!()
        };
        assert_eq!(cut(items[1].span), "'b c'");
        assert_eq!(cut(second.at), "k");
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let told = read("a: *x\na: 2\n? [q]\n: 1\nb: !t 3\nc: 1\nc: 2\n").unwrap_err();
        for part in [
            ":1:4: error: `*x` without quotes is an alias in YAML: to match text, quote it: `\"*x\"`",
            ":2:1: error: the key `a` is given twice: first on line 1",
            ":3:3: error: a key must be a word",
            ":5:7: error: a YAML tag",
            ":7:1: error: the key `c` is given twice: first on line 6",
        ] {
            assert!(told.contains(part), "{part} not in:\n{told}");
        }
    }

    #[test]
    fn an_unquoted_sign_is_explained() {
        for (text, expected) in [
            ("a: @x", "quote it: `\"@x\"`"),
            ("a: *", "quote it: `\"*\"`"),
            ("a: [*]", "quote it: `\"*\"`"),
            ("a: *.py", "quote it: `\"*.py\"`"),
            ("a: `x`", "quote it"),
            ("a:\n\tb: 1", "a tab cannot indent"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for n in 1..12 {
            let before = format!("*a{}", n - 1);
            let ten = vec![before; 10].join(",");
            writeln!(laughs, "a{n}: &a{n} [{ten}]").unwrap();
        }
        assert!(read(&laughs).unwrap_err().contains("values"));
        for deep in ["[".repeat(5000), "{a: ".repeat(5000), "- ".repeat(5000)] {
            assert!(read(&deep).unwrap_err().contains("nested"));
        }
        let mut tower = String::from("a0: &a0 [x]\n");
        for n in 1..100 {
            writeln!(tower, "a{n}: &a{n} [*a{}]", n - 1).unwrap();
        }
        assert!(read(&tower).unwrap_err().contains("nested"));
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(1 << 20),
            "*a,".repeat(100)
        );
        assert!(read(&long).unwrap_err().contains("values"));
        assert!(read("a: &a [*a]").is_err());
        assert!(
            read(&format!("[{}]", "a,".repeat(600_000)))
                .unwrap_err()
                .contains("values")
        );
    }

    #[test]
    fn merge_keys_fill_in_what_is_not_said() {
        let node = read("x-b: &b {p: 1, q: 2}\nr: {<<: *b, q: 3}\n").unwrap();
        let keys: Vec<_> = map(&map(&node)[1].node).iter().map(|e| &*e.key).collect();
        assert_eq!(keys, ["q", "p"]);
    }

    #[test]
    fn nothing_and_two_documents_are_refused() {
        assert!(read("").unwrap_err().contains("empty"));
        assert!(read("# only words\n").unwrap_err().contains("empty"));
        assert!(
            read("a: 1\n---\nb: 2\n")
                .unwrap_err()
                .contains("second document")
        );
    }
}
