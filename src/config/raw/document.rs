//! The top level of a file.

use std::time::Duration;

use super::matcher::{self, Place};
use super::rule::{self, RuleDraft};
use crate::config::quantity;
use crate::config::reader::Reader;
use crate::config::source::Marked;
use crate::config::table::{Key, Shape, Table};
use crate::config::yaml::{Entry, Node, Value};
use crate::engine::matcher::Matcher;
use crate::engine::rule::Mode;
use crate::engine::units::Bytes;

/// The words of the three modes.
pub(super) const MODES: [(&str, Mode); 3] = [
    (Mode::Observe.word(), Mode::Observe),
    (Mode::Nudge.word(), Mode::Nudge),
    (Mode::Enforce.word(), Mode::Enforce),
];
/// The same, for the schema.
pub(super) const MODE_WORDS: &[&str] = &[
    Mode::Observe.word(),
    Mode::Nudge.word(),
    Mode::Enforce.word(),
];

/// The most rules of all files together.
pub(in crate::config) const MOST_RULES: usize = 10_000;

/// What one file says.
#[derive(Default)]
pub(in crate::config) struct Document {
    pub(in crate::config) mode: Option<Mode>,
    pub(in crate::config) interval: Option<Duration>,
    pub(in crate::config) builtin: Option<Packs>,
    pub(in crate::config) protect: Vec<Matcher>,
    pub(in crate::config) boundaries: Vec<Matcher>,
    pub(in crate::config) nudge: NudgeDraft,
    pub(in crate::config) breaker: BreakerDraft,
    pub(in crate::config) store: StoreDraft,
    pub(in crate::config) defaults: RuleDraft,
    pub(in crate::config) rules: Vec<RuleDraft>,
}

/// Which built-in packs run.
pub(in crate::config) enum Packs {
    All,
    None,
    These(Vec<Marked<String>>),
}

/// Where nudges go, as far as said.
#[derive(Default)]
pub(in crate::config) struct NudgeDraft {
    pub(in crate::config) desktop: DesktopDraft,
    pub(in crate::config) journal: Option<bool>,
    pub(in crate::config) tty: Option<bool>,
    pub(in crate::config) remind: Option<Duration>,
}

/// How nudges come to a desktop, as far as said.
#[derive(Clone, Copy, Default)]
pub(in crate::config) struct DesktopDraft {
    pub(in crate::config) on: Option<bool>,
    pub(in crate::config) buttons: Option<bool>,
    pub(in crate::config) terminal: Option<bool>,
}

/// The breaker, as far as said.
#[derive(Default)]
pub(in crate::config) struct BreakerDraft {
    pub(in crate::config) trees: Option<u32>,
    pub(in crate::config) within: Option<Duration>,
}

/// How much history is kept, as far as said.
#[derive(Default)]
pub(in crate::config) struct StoreDraft {
    pub(in crate::config) span: Option<Duration>,
    pub(in crate::config) size: Option<Bytes>,
}

/// The keys of the top level.
pub(in crate::config) static DOCUMENT: Table<Document> = Table {
    name: "beadle",
    what: "the top level of a file",
    keys: &[
        Key::sets(
            "version",
            "The version of the rule language: 1.",
            Shape::One,
            version,
        ),
        Key::sets(
            "mode",
            "How far your rules go: `observe` records, `nudge` (the default) tells people, `enforce` carries out the \
             whole ladder.",
            Shape::Words(MODE_WORDS),
            |draft, entry, reader| draft.mode = reader.choice(&entry.node, "a mode", &MODES),
        ),
        Key::sets(
            "interval",
            "The pace at which levels are read. Default `1s`.",
            Shape::Duration,
            |draft, entry, reader| draft.interval = interval(&entry.node, reader),
        ),
        Key::sets(
            "builtin",
            "The built-in rule packs that run: a list, `all` (the default) or `none`.",
            Shape::WordsOrList(&["all", "none"]),
            |draft, entry, reader| draft.builtin = Some(packs(&entry.node, reader)),
        ),
        Key::sets(
            "protect",
            "Processes that are never signalled, besides the built-in list.",
            Shape::MapOrMaps("match"),
            |draft, entry, reader| draft.protect = matcher::list(&entry.node, Place::Aside, reader),
        ),
        Key::sets(
            "boundaries",
            "Processes at which lineage ends, besides the built-in list: never a root, never a member, never signalled.",
            Shape::MapOrMaps("match"),
            |draft, entry, reader| {
                draft.boundaries = matcher::list(&entry.node, Place::Aside, reader);
            },
        ),
        Key::sets(
            "nudge",
            "Where nudges go. Desktop and journal unless switched off.",
            Shape::Map("nudge"),
            |draft, entry, reader| drop(NUDGE.read(&entry.node, &mut draft.nudge, reader)),
        ),
        Key::sets(
            "breaker",
            "Per rule and owner: after so many ended trees in so long, only nudge. Default `{ trees: 10, in: 10m }`.",
            Shape::Map("breaker"),
            |draft, entry, reader| drop(BREAKER.read(&entry.node, &mut draft.breaker, reader)),
        ),
        Key::sets(
            "store",
            "How long incidents are kept, and in how much room: the oldest go first. Default `{ keep: 30d, size: 64MiB }`. \
             The folder is named by `beadle watch --state DIR`.",
            Shape::Map("store"),
            |draft, entry, reader| drop(STORE.read(&entry.node, &mut draft.store, reader)),
        ),
        Key::sets(
            "defaults",
            "Values that each of your rules starts from. A rule's own key replaces the default's whole value.",
            Shape::Map("defaults"),
            |draft, entry, reader| draft.defaults = rule::defaults(&entry.node, reader),
        ),
        Key::sets("rules", "Your rules.", Shape::Maps("rule"), rules),
    ],
    foreign: &[
        ("rule", "did you mean `rules`, a list?"),
        ("packs", "did you mean `builtin`?"),
        ("dry_run", "write `mode: observe`"),
        ("dry-run", "write `mode: observe`"),
        ("exclude", "processes never to signal go under `protect`"),
        ("ignore", "processes never to signal go under `protect`"),
        ("whitelist", "processes never to signal go under `protect`"),
    ],
};

/// The keys of the top level's `nudge`.
pub(in crate::config) static NUDGE: Table<NudgeDraft> = Table {
    name: "nudge",
    what: "`nudge`",
    keys: &[
        Key::sets(
            "desktop",
            "Desktop notifications, to whoever is logged in and meant. On unless `false`.",
            Shape::SwitchOr("desktop"),
            |draft, entry, reader| desktop(&mut draft.desktop, entry, reader),
        ),
        Key::sets(
            "journal",
            "The system journal.",
            Shape::Switch,
            |draft, entry, reader| {
                draft.journal = switch(entry, reader);
            },
        ),
        Key::sets(
            "tty",
            "One line on the tree's own terminal.",
            Shape::Switch,
            |draft, entry, reader| {
                draft.tty = switch(entry, reader);
            },
        ),
        Key::sets(
            "remind",
            "People are told again of an unanswered incident after so long. Not unless given.",
            Shape::Duration,
            |draft, entry, reader| {
                draft.remind =
                    reader.quantity(&entry.node, "a duration such as `1h`", quantity::duration);
            },
        ),
        Key::not_yet("webhook", "An HTTP request."),
        Key::not_yet("exec", "A command."),
    ],
    foreign: &[],
};

/// The keys of the `desktop` of `nudge`.
pub(in crate::config) static DESKTOP: Table<DesktopDraft> = Table {
    name: "desktop",
    what: "`desktop`",
    keys: &[
        Key::sets(
            "buttons",
            "With buttons, by which people answer. Default `true`.",
            Shape::Flag,
            |draft, entry, reader| draft.buttons = reader.flag(&entry.node),
        ),
        Key::sets(
            "terminal",
            "One line on the tree's own terminal instead, where no desktop is there or none works. Default `true`.",
            Shape::Flag,
            |draft, entry, reader| draft.terminal = reader.flag(&entry.node),
        ),
    ],
    foreign: &[
        ("actions", "did you mean `buttons`?"),
        ("tty", "did you mean `terminal`?"),
        ("fallback", "did you mean `terminal`?"),
    ],
};

/// The keys of `breaker`.
pub(in crate::config) static BREAKER: Table<BreakerDraft> = Table {
    name: "breaker",
    what: "`breaker`",
    keys: &[
        Key::sets(
            "trees",
            "So many ended trees.",
            Shape::Count,
            |draft, entry, reader| {
                draft.trees = trees(&entry.node, reader);
            },
        ),
        Key::sets(
            "in",
            "Within so long.",
            Shape::Duration,
            |draft, entry, reader| {
                draft.within =
                    reader.quantity(&entry.node, "a duration such as `10m`", quantity::duration);
            },
        ),
    ],
    foreign: &[
        ("within", "did you mean `in`?"),
        ("for", "did you mean `in`?"),
    ],
};

/// The keys of `store`.
pub(in crate::config) static STORE: Table<StoreDraft> = Table {
    name: "store",
    what: "`store`",
    keys: &[
        Key::sets(
            "keep",
            "Incidents are kept for so long. Default `30d`.",
            Shape::Duration,
            |draft, entry, reader| draft.span = kept_for(&entry.node, reader),
        ),
        Key::sets(
            "size",
            "All of them take at most so much room, `8MiB` or more. Default `64MiB`.",
            Shape::Size,
            |draft, entry, reader| draft.size = kept_in(&entry.node, reader),
        ),
    ],
    foreign: &[
        ("for", "did you mean `keep`?"),
        ("days", "write `keep: 30d`"),
        ("age", "did you mean `keep`?"),
        ("max_size", "did you mean `size`?"),
        ("limit", "did you mean `size`?"),
        (
            "path",
            "the folder is named on the command line: `beadle watch --state DIR`",
        ),
        (
            "dir",
            "the folder is named on the command line: `beadle watch --state DIR`",
        ),
        (
            "folder",
            "the folder is named on the command line: `beadle watch --state DIR`",
        ),
    ],
};

/// Decodes a whole file.
pub(in crate::config) fn read(node: &Node, reader: &mut Reader<'_>) -> Document {
    let mut draft = Document::default();
    let given = DOCUMENT.read(node, &mut draft, reader);
    if !given.contains(&"version") && matches!(node.value, Value::Map(_)) {
        let mut span = node.span;
        span.end = span.start;
        reader.refuse(
            span,
            "the file does not say its version",
            "begin it with `version: 1`",
        );
    }
    draft
}

fn version(_: &mut Document, entry: &Entry, reader: &mut Reader<'_>) {
    match reader.text(&entry.node, "the version of the rule language: 1") {
        Some("1") | None => {}
        Some(_) => reader.refuse(
            entry.node.span,
            "not a version this beadle knows",
            "expected 1",
        ),
    }
}

fn interval(node: &Node, reader: &mut Reader<'_>) -> Option<Duration> {
    let pace = reader.quantity(node, "a duration such as `1s`", quantity::duration)?;
    if (Duration::from_millis(100)..=Duration::from_secs(300)).contains(&pace) {
        return Some(pace);
    }
    reader.refuse(
        node.span,
        "not a pace to look at processes",
        "expected `100ms` to `5m`",
    );
    None
}

/// Less would delete what happened before anybody had the time to ask.
fn kept_for(node: &Node, reader: &mut Reader<'_>) -> Option<Duration> {
    let span = reader.quantity(node, "a duration such as `30d`", quantity::duration)?;
    if span >= Duration::from_secs(60) {
        return Some(span);
    }
    reader.refuse(
        node.span,
        "too short to ask for what happened",
        "expected `1m` or more",
    );
    None
}

/// Less would not hold the story of one large tree.
fn kept_in(node: &Node, reader: &mut Reader<'_>) -> Option<Bytes> {
    let size = reader.quantity(node, "a size such as `64MiB`", quantity::size)?;
    if size >= Bytes::mib(8) {
        return Some(size);
    }
    reader.refuse(
        node.span,
        "too little room for history",
        "expected `8MiB` or more",
    );
    None
}

fn packs(node: &Node, reader: &mut Reader<'_>) -> Packs {
    match &node.value {
        Value::Text(text) if text == "all" => return Packs::All,
        Value::Text(text) if text == "none" => return Packs::None,
        Value::List(items) if items.is_empty() => return Packs::None,
        Value::List(_) | Value::Text(_) | Value::Null | Value::Map(_) | Value::Broken => {}
    }
    let items = reader.each(node, "`all`, `none` or a list of packs");
    let mut names = Vec::new();
    for item in items {
        if let Some(name) = reader.text(item, "`all`, `none` or the name of a pack") {
            names.push(reader.mark(name.to_owned(), item.span));
        }
    }
    Packs::These(names)
}

fn trees(node: &Node, reader: &mut Reader<'_>) -> Option<u32> {
    let count = reader.quantity(node, "a count such as `10`", quantity::count)?;
    match u32::try_from(count) {
        Ok(0) | Err(_) => {
            reader.refuse(node.span, "not a number of trees", "expected `1` or more");
            None
        }
        Ok(count) => Some(count),
    }
}

/// A channel: on, off, or its settings, of which there are none yet.
fn switch(entry: &Entry, reader: &mut Reader<'_>) -> Option<bool> {
    match &entry.node.value {
        Value::Null => Some(true),
        Value::Map(settings) => {
            for setting in settings
                .iter()
                .filter(|setting| !setting.key.starts_with("x-"))
            {
                reader.not_yet(setting.at, &setting.key);
            }
            Some(true)
        }
        Value::Text(_) | Value::List(_) | Value::Broken => reader.flag(&entry.node),
    }
}

/// The desktop: on, off, or its settings.
fn desktop(draft: &mut DesktopDraft, entry: &Entry, reader: &mut Reader<'_>) {
    match &entry.node.value {
        Value::Null => draft.on = Some(true),
        Value::Map(_) => {
            draft.on = Some(true);
            DESKTOP.read(&entry.node, draft, reader);
        }
        Value::Text(_) | Value::List(_) | Value::Broken => draft.on = reader.flag(&entry.node),
    }
}

fn rules(draft: &mut Document, entry: &Entry, reader: &mut Reader<'_>) {
    let items = match &entry.node.value {
        Value::List(items) => items,
        // `rules:` with every rule commented out.
        Value::Null => return,
        Value::Text(_) | Value::Map(_) | Value::Broken => {
            reader.refuse(
                entry.node.span,
                "`rules` is a list",
                "begin each rule with `- name:`",
            );
            return;
        }
    };
    if items.len() > MOST_RULES {
        let message = format!("{} rules, more than {MOST_RULES}", items.len());
        reader.refuse(entry.at, message, "none of them is read");
        return;
    }
    draft.rules = items.iter().map(|item| rule::read(item, reader)).collect();
    rule::refuse_twins(&draft.rules, reader);
}
