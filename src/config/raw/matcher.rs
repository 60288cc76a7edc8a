//! `match` and its like: which processes are meant.
//!
//! **Invariants.** At least one field narrows: a matcher that means every process is refused, also inside another.

use std::collections::BTreeSet;

use super::narrow;
use crate::config::diagnostic::quoted;
use crate::config::quantity;
use crate::config::reader::Reader;
use crate::config::source::Span;
use crate::config::table::{Key, Shape, Table};
use crate::config::yaml::{Entry, Node, Value};
use crate::engine::matcher::{Field, Matcher, PlaceGlob};
use crate::engine::pattern::{Anchor, Glob, Pattern};
use crate::engine::process::{Gid, Uid};

/// What a matcher is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Place {
    /// It finds the roots of a rule.
    Root,
    /// It spares, bounds or qualifies.
    Aside,
}

/// A matcher as far as read.
#[derive(Default)]
pub(in crate::config) struct MatcherDraft {
    fields: Vec<Field>,
    narrows: bool,
    /// Something but `cmdline` names what runs.
    names: bool,
    cmdlines: Vec<(Span, Pattern)>,
}

/// The keys of a matcher.
pub(in crate::config) static MATCH: Table<MatcherDraft> = Table {
    name: "match",
    what: "a matcher",
    keys: &[
        Key::sets(
            "program",
            "Glob on what really runs: the executable's file name, or the module or script of an \
             interpreter, without folder and extension. `python -m pytest` is `pytest`.",
            Shape::Texts,
            |draft, entry, reader| {
                let globs = globs(entry, reader, narrow::program);
                draft.named(globs, Field::Program);
            },
        ),
        Key::sets(
            "exe",
            "Glob on the executable's file name, or on its whole path when it has a `/`.",
            Shape::Texts,
            |draft, entry, reader| {
                let globs = globs(entry, reader, narrow::number);
                draft.named(globs, Field::Exe);
            },
        ),
        Key::sets(
            "name",
            "Glob on the short name, of which the kernel keeps 15 bytes.",
            Shape::Texts,
            |draft, entry, reader| {
                let globs = globs(entry, reader, narrow::short_name);
                draft.named(globs, Field::Name);
            },
        ),
        Key::sets(
            "arg",
            "Regular expression that must match one whole argument.",
            Shape::Texts,
            |draft, entry, reader| {
                let patterns = patterns(entry, Anchor::Whole, reader);
                draft.any(patterns, narrow::by_pattern, Field::Arg);
            },
        ),
        Key::sets(
            "args",
            "Regular expressions, each of which must match some whole argument.",
            Shape::Texts,
            |draft, entry, reader| {
                let patterns = patterns(entry, Anchor::Whole, reader);
                draft.narrows |= patterns.iter().any(narrow::by_pattern);
                draft.fields.push(Field::Args(patterns));
            },
        ),
        Key::sets(
            "cmdline",
            "Regular expression on the arguments joined by one space, anywhere.",
            Shape::Texts,
            |draft, entry, reader| {
                cmdline(draft, entry, reader);
            },
        ),
        Key::sets(
            "user",
            "Effective user: name or id.",
            Shape::Texts,
            |draft, entry, reader| {
                let ids = ids(entry, "user", reader, |reader, name| {
                    reader.names.user(name)
                });
                draft.fixed(Field::User(ids.into_iter().map(Uid).collect()));
            },
        ),
        Key::sets(
            "group",
            "Effective group: name or id.",
            Shape::Texts,
            |draft, entry, reader| {
                let ids = ids(entry, "group", reader, |reader, name| {
                    reader.names.group(name)
                });
                draft.fixed(Field::Group(ids.into_iter().map(Gid).collect()));
            },
        ),
        Key::sets(
            "env",
            "Variables at exec, each with a glob: `{ CI: \"*\" }` is set to anything.",
            Shape::Names,
            |draft, entry, reader| {
                let variables = variables(entry, reader);
                draft.fixed(Field::Env(variables));
            },
        ),
        Key::sets(
            "cwd",
            "Glob on the working directory, or `deleted`.",
            Shape::Texts,
            |draft, entry, reader| {
                let places = places(entry, reader, &["deleted"]);
                draft.any(places, narrow::by_place, Field::Cwd);
            },
        ),
        Key::sets(
            "tty",
            "Glob on the controlling terminal, `none` or `deleted`.",
            Shape::Texts,
            |draft, entry, reader| {
                let places = places(entry, reader, &["none", "deleted"]);
                draft.any(places, narrow::by_place, Field::Tty);
            },
        ),
        Key::sets(
            "cgroup",
            "Glob on the control group's path.",
            Shape::Texts,
            |draft, entry, reader| {
                let globs = globs(entry, reader, narrow::nothing);
                draft.any(globs, narrow::by_glob, Field::Cgroup);
            },
        ),
        Key::sets(
            "unit",
            "Glob on the systemd unit.",
            Shape::Texts,
            |draft, entry, reader| {
                let globs = globs(entry, reader, narrow::nothing);
                draft.any(globs, narrow::by_glob, Field::Unit);
            },
        ),
        Key::sets(
            "container",
            "Glob on the container's id or name. Processes in containers match only rules that have it.",
            Shape::Texts,
            |draft, entry, reader| {
                let globs = globs(entry, reader, narrow::nothing);
                draft.fixed(Field::Container(globs));
            },
        ),
        Key::sets(
            "parent",
            "The parent matches any of these.",
            Shape::MapOrMaps("match"),
            |draft, entry, reader| {
                refuse_ages(&entry.node, reader);
                let nested = list(&entry.node, Place::Aside, reader);
                draft.fixed(Field::Parent(nested));
            },
        ),
        Key::sets(
            "ancestor",
            "Some process above matches any of these.",
            Shape::MapOrMaps("match"),
            |draft, entry, reader| {
                refuse_ages(&entry.node, reader);
                let nested = list(&entry.node, Place::Aside, reader);
                draft.fixed(Field::Ancestor(nested));
            },
        ),
        Key::sets(
            "not",
            "None of these matches.",
            Shape::MapOrMaps("match"),
            |draft, entry, reader| {
                let nested = list(&entry.node, Place::Aside, reader);
                draft.fields.push(Field::Not(nested));
            },
        ),
        Key::sets(
            "age",
            "Awake time since the exec.",
            Shape::Short(&Shape::Duration, "match-age"),
            |draft, entry, reader| {
                draft.fields.extend(age(entry, reader));
            },
        ),
    ],
    foreign: &[
        (
            "pid",
            "a rule names a kind of process; a number soon belongs to another",
        ),
        (
            "pids",
            "a rule names a kind of process; a number soon belongs to another",
        ),
        (
            "ppid",
            "did you mean `parent: { program: … }`? Numbers soon belong to others",
        ),
        ("comm", "did you mean `name`?"),
        ("uid", "did you mean `user`?"),
        ("gid", "did you mean `group`?"),
        (
            "command",
            "did you mean `cmdline` (a regular expression) or `program`?",
        ),
        (
            "cmd",
            "did you mean `cmdline` (a regular expression) or `program`?",
        ),
        ("path", "did you mean `exe`?"),
        ("process", "did you mean `program`?"),
        ("exclude", "did you mean `not`?"),
        ("except", "did you mean `not`?"),
        ("service", "did you mean `unit`?"),
        ("any", "a list inside one field means any of them"),
    ],
};

/// `age` of a matcher, as a map.
pub(in crate::config) static AGE: Table<Option<Field>> = Table {
    name: "match-age",
    what: "`age`",
    keys: &[Key::sets(
        "above",
        "More than this.",
        Shape::Duration,
        |draft, entry, reader| {
            *draft = reader
                .quantity(&entry.node, "a duration such as `1m`", quantity::duration)
                .map(|above| Field::Age { above });
        },
    )],
    foreign: &[],
};

impl MatcherDraft {
    fn any<T>(&mut self, values: Vec<T>, narrows: fn(&T) -> bool, field: fn(Vec<T>) -> Field) {
        self.narrows |= !values.is_empty() && values.iter().all(narrows);
        self.fields.push(field(values));
    }

    fn named(&mut self, globs: Vec<Glob>, field: fn(Vec<Glob>) -> Field) {
        self.names |= globs.iter().all(narrow::by_glob);
        self.any(globs, narrow::by_glob, field);
    }

    /// A field that narrows whatever its values are.
    fn fixed(&mut self, field: Field) {
        self.narrows = true;
        self.fields.push(field);
    }
}

/// Decodes one matcher; `None` when any of it is wrong.
pub(in crate::config) fn read(
    node: &Node,
    place: Place,
    reader: &mut Reader<'_>,
) -> Option<Matcher> {
    let before = reader.trouble();
    let mut draft = MatcherDraft::default();
    MATCH.read(node, &mut draft, reader);
    if reader.trouble() > before || !matches!(node.value, Value::Map(_)) {
        return None;
    }
    if !draft.narrows {
        let expected = "add a field that narrows, such as `program: pytest`";
        reader.refuse(node.span, "this means every process", expected);
        return None;
    }
    if place == Place::Root && !draft.names {
        for (span, pattern) in &draft.cmdlines {
            narrow::doubt_cmdline(*span, pattern, reader);
        }
    }
    Some(Matcher {
        fields: draft.fields,
    })
}

/// Decodes a matcher or a list of them.
pub(super) fn list(node: &Node, place: Place, reader: &mut Reader<'_>) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    for item in reader.each(node, "matchers such as `{ program: bazel }`") {
        matchers.extend(read(item, place, reader));
    }
    matchers
}

fn globs(
    entry: &Entry,
    reader: &mut Reader<'_>,
    check: fn(&Node, &Glob, &mut Reader<'_>),
) -> Vec<Glob> {
    let mut globs: Vec<Glob> = Vec::new();
    let nodes = reader.each(&entry.node, "a pattern");
    doubt_twins(nodes, reader);
    for node in nodes {
        if let Some(glob) = reader.glob(node) {
            check(node, &glob, reader);
            globs.push(glob);
        }
    }
    globs
}

fn patterns(entry: &Entry, anchor: Anchor, reader: &mut Reader<'_>) -> Vec<Pattern> {
    let nodes = reader.each(&entry.node, "a regular expression");
    doubt_twins(nodes, reader);
    let patterns = nodes.iter().filter_map(|node| reader.pattern(node, anchor));
    patterns.collect()
}

fn doubt_twins(nodes: &[Node], reader: &mut Reader<'_>) {
    let mut seen = BTreeSet::new();
    for node in nodes {
        if let Value::Text(text) = &node.value
            && !seen.insert(text)
        {
            let message = format!("{} is listed twice", quoted(text));
            reader.doubt(node.span, message, "once is enough");
        }
    }
}

fn cmdline(draft: &mut MatcherDraft, entry: &Entry, reader: &mut Reader<'_>) {
    let nodes = reader.each(&entry.node, "a regular expression");
    let patterns = patterns(entry, Anchor::Anywhere, reader);
    let spans = nodes.iter().map(|node| node.span);
    draft.cmdlines.extend(spans.zip(patterns.iter().cloned()));
    draft.any(patterns, narrow::by_pattern, Field::Cmdline);
}

fn ids(
    entry: &Entry,
    what: &str,
    reader: &mut Reader<'_>,
    find: fn(&Reader<'_>, &str) -> Option<u32>,
) -> Vec<u32> {
    let mut ids = Vec::new();
    for node in reader.each(&entry.node, "a name or an id") {
        let Some(name) = reader.text(node, "a name or an id") else {
            continue;
        };
        match name.parse().ok().or_else(|| find(reader, name)) {
            Some(id) => ids.push(id),
            None => reader.refuse(
                node.span,
                format!("no {what} {} on this machine", quoted(name)),
                "expected a name that exists, or an id",
            ),
        }
    }
    ids
}

fn variables(entry: &Entry, reader: &mut Reader<'_>) -> Vec<(String, Vec<Glob>)> {
    let Value::Map(entries) = &entry.node.value else {
        reader.refuse(
            entry.node.span,
            "not a map of variables",
            "expected `{ NAME: pattern }`",
        );
        return Vec::new();
    };
    if entries.is_empty() {
        reader.refuse(
            entry.node.span,
            "no variable",
            "expected `{ NAME: pattern }`",
        );
    }
    let mut variables = Vec::new();
    for variable in entries {
        if variable.key.is_empty() || variable.key.contains(['=', '\0']) {
            reader.refuse(variable.at, "not the name of a variable", "expected `NAME`");
        }
        variables.push((
            variable.key.clone(),
            globs(variable, reader, narrow::nothing),
        ));
    }
    variables
}

fn places(entry: &Entry, reader: &mut Reader<'_>, words: &[&str]) -> Vec<PlaceGlob> {
    let mut places = Vec::new();
    for node in reader.each(&entry.node, "a pattern") {
        let word = match &node.value {
            Value::Text(text) if words.contains(&&**text) => &**text,
            Value::Text(_) | Value::Null | Value::List(_) | Value::Map(_) | Value::Broken => "",
        };
        match word {
            "none" => places.push(PlaceGlob::None),
            "deleted" => places.push(PlaceGlob::Deleted),
            _ => places.extend(reader.glob(node).map(PlaceGlob::Path)),
        }
    }
    places
}

/// The age of a process above is known to nobody at the moment that a matcher is asked, so it could never match.
fn refuse_ages(node: &Node, reader: &mut Reader<'_>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| refuse_ages(item, reader)),
        Value::Map(entries) => {
            for entry in entries {
                match &*entry.key {
                    "age" => reader.refuse(
                        entry.at,
                        "`age` of a process above is never known",
                        "write `age` beside `parent` or `ancestor`, not inside",
                    ),
                    "not" => refuse_ages(&entry.node, reader),
                    _ => {}
                }
            }
        }
        Value::Null | Value::Text(_) | Value::Broken => {}
    }
}

fn age(entry: &Entry, reader: &mut Reader<'_>) -> Option<Field> {
    let Value::Map(_) = &entry.node.value else {
        return reader
            .quantity(&entry.node, "a duration such as `1m`", quantity::duration)
            .map(|above| Field::Age { above });
    };
    let mut draft = None;
    let given = AGE.read(&entry.node, &mut draft, reader);
    if !given.contains(&"above") {
        reader.refuse(entry.node.span, "`age` without a threshold", "add `above:`");
    }
    draft
}
