//! What may be written where: one table of keys for each kind of map. The decoder reads by it, the editor's schema is
//! printed from it, so that neither can know a key that the other does not.

use super::diagnostic::{Problem, quoted};
use super::reader::Reader;
use super::words::nearest;
use super::yaml::{Entry, Node, Value};

/// The keys of one kind of map, decoded into a `D`.
pub(super) struct Table<D: 'static> {
    /// Its name in the schema.
    pub(super) name: &'static str,
    /// What the map is, with its article: "a rule".
    pub(super) what: &'static str,
    pub(super) keys: &'static [Key<D>],
    /// Words that people bring from elsewhere, and what to write instead.
    pub(super) foreign: &'static [(&'static str, &'static str)],
}

/// One key.
pub(super) struct Key<D: 'static> {
    pub(super) name: &'static str,
    /// What it means, for the editor.
    pub(super) about: &'static str,
    pub(super) shape: Shape,
    pub(super) does: Does<D>,
}

/// What a key does.
pub(super) enum Does<D> {
    /// It is decoded.
    Sets(fn(&mut D, &Entry, &mut Reader<'_>)),
    /// It is accepted, without effect in this version.
    Nothing,
    /// It is known and not available in this version.
    NotYet,
}

/// What a value looks like, for the schema.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// The number 1.
    One,
    /// Text.
    Text,
    /// Text, or a list of texts.
    Texts,
    /// A program and its arguments.
    Command,
    /// `true` or `false`.
    Flag,
    /// `30m`.
    Duration,
    /// `8GiB`.
    Size,
    /// `8GiB` or `50%`.
    Memory,
    /// `90%` or `4 cores`.
    Cpu,
    /// `200/s`.
    Pace,
    /// `8`, or `200%`.
    Load,
    /// `10%`.
    Percent,
    /// `22:00-06:00`, or a list of such.
    Hours,
    /// `100`.
    Count,
    /// One of these words.
    Words(&'static [&'static str]),
    /// `tree`, `process` or `env:NAME`.
    Scope,
    /// One of these words, or a list of any text.
    WordsOrList(&'static [&'static str]),
    /// One of the first words alone, or any of the others, or a list of these.
    WordsOrThese(&'static [&'static str], &'static [&'static str]),
    /// A map from names to texts.
    Names,
    /// The map of this table.
    Map(&'static str),
    /// A list of such maps.
    Maps(&'static str),
    /// Such a map, or a list of them.
    MapOrMaps(&'static str),
    /// A plain value, or the map that it is short for.
    Short(&'static Shape, &'static str),
    /// A word, or such a map.
    WordOr(&'static [&'static str], &'static str),
    /// A list of such words or maps.
    WordsOrMaps(&'static [&'static str], &'static str),
    /// True, false, nothing, or a map of settings.
    Switch,
}

impl<D> Key<D> {
    pub(super) const fn sets(
        name: &'static str,
        about: &'static str,
        shape: Shape,
        set: fn(&mut D, &Entry, &mut Reader<'_>),
    ) -> Self {
        Self {
            name,
            about,
            shape,
            does: Does::Sets(set),
        }
    }

    pub(super) const fn nothing(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            shape: Shape::Any,
            does: Does::Nothing,
        }
    }

    pub(super) const fn not_yet(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            shape: Shape::Any,
            does: Does::NotYet,
        }
    }
}

impl<D> Table<D> {
    /// Decodes a map into `draft` and tells what is wrong with its keys. The keys that were given, whatever became of
    /// their values.
    pub(super) fn read(
        &self,
        node: &Node,
        draft: &mut D,
        reader: &mut Reader<'_>,
    ) -> Vec<&'static str> {
        let mut given = Vec::new();
        let Value::Map(entries) = &node.value else {
            if let Some(found) = reader.describe(node) {
                let expected = format!("expected {}: a map of keys", self.what);
                reader.refuse(node.span, format!("found {found}"), expected);
            }
            return given;
        };
        for entry in entries.iter().filter(|entry| !entry.key.starts_with("x-")) {
            let Some(key) = self.keys.iter().find(|key| key.name == entry.key) else {
                self.refuse_unknown(entry, reader);
                continue;
            };
            given.push(key.name);
            match key.does {
                Does::Sets(set) => set(draft, entry, reader),
                Does::Nothing => {
                    let message = format!(
                        "{} has no effect in this version of beadle",
                        quoted(key.name)
                    );
                    let problem = Problem::warning(reader.spot(entry.at), message);
                    reader.findings.push(problem);
                }
                Does::NotYet => reader.not_yet(entry.at, key.name),
            }
        }
        given
    }

    fn refuse_unknown(&self, entry: &Entry, reader: &mut Reader<'_>) {
        let known = self.keys.iter().map(|key| key.name);
        let foreign = self.foreign.iter().map(|(word, _)| *word);
        let expected = if reader.findings.full() {
            String::new()
        } else if let Some(word) = nearest(&entry.key, known.chain(foreign)) {
            let instead = self.foreign.iter().find(|(foreign, _)| *foreign == word);
            instead.map_or_else(
                || format!("did you mean {}?", quoted(word)),
                |(_, instead)| (*instead).to_owned(),
            )
        } else {
            let available = self
                .keys
                .iter()
                .filter(|key| matches!(key.does, Does::Sets(_)));
            let available: Vec<_> = available.map(|key| quoted(key.name)).collect();
            format!("expected {}", available.join(", "))
        };
        let message = format!("{} is not a key of {}", quoted(&entry.key), self.what);
        reader.refuse(entry.at, message, expected);
    }
}

/// A table as the schema sees it.
pub(super) trait Keys: Sync {
    fn name(&self) -> &'static str;
    /// Each key that this version has: name, meaning, shape.
    fn each(&self) -> Vec<(&'static str, &'static str, Shape)>;
}

impl<D> Keys for Table<D> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn each(&self) -> Vec<(&'static str, &'static str, Shape)> {
        let available = |key: &&Key<D>| !matches!(key.does, Does::NotYet);
        let keys = self.keys.iter().filter(available);
        keys.map(|key| (key.name, key.about, key.shape)).collect()
    }
}
