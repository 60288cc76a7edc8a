//! Why a matcher does not match, in words: the first field that did not hold, and what was found instead.

use std::fmt;

use super::{Answer, Field, Look, Matcher, PlaceGlob, Subject, unit};
use crate::engine::facts::{Facts, Place, Read};
use crate::engine::pattern::{Glob, Pattern};
use crate::engine::units::Span;
use crate::engine::{program, redact};

/// Alternatives that are spelt out; of more, their number is told.
const SPELT_OUT: usize = 4;
/// The longest value shown, in bytes.
const LONGEST: usize = 120;

/// Why a matcher does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A field that does not hold, and what was found instead.
    Unmet(String),
    /// No field says no, and this is missing to say yes.
    Missing(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmet(text) | Self::Missing(text) => f.write_str(text),
        }
    }
}

impl Matcher {
    /// The first reason why [`Matcher::test`] does not say yes; `None` when it does. A field that says no comes before
    /// one that does not know.
    pub fn first_failing(&self, subject: &Subject<'_>) -> Option<Reason> {
        let reaches = self.reaches(subject.facts);
        let far = match reaches {
            Answer::Yes => None,
            Answer::No => Some(Reason::Unmet(
                "it lives in another pid namespace, and the rule has no `container`".to_owned(),
            )),
            Answer::Unknown => Some(Reason::Missing(match subject.facts {
                Some(facts) => format!("its pid namespace {}", silence(&facts.namespace)),
                None => NOT_LEARNT.to_owned(),
            })),
        };
        let found = self.failing(&Look::at(subject));
        match (far, found) {
            (Some(Reason::Unmet(why)), _) | (_, Some(Reason::Unmet(why))) => {
                Some(Reason::Unmet(why))
            }
            (far, found) => far.or(found),
        }
    }

    fn failing(&self, look: &Look<'_>) -> Option<Reason> {
        let first = |answer| self.fields.iter().find(|field| field.fit(look) == answer);
        match (first(Answer::No), first(Answer::Unknown)) {
            (Some(field), _) => Some(Reason::Unmet(field.unmet(look))),
            (None, Some(field)) => Some(Reason::Missing(field.missing(look))),
            (None, None) => None,
        }
    }
}

const NOT_LEARNT: &str = "its facts are not learnt yet";

impl Field {
    /// The word in rules.
    const fn word(&self) -> &'static str {
        match self {
            Self::Program(_) => "program",
            Self::Exe(_) => "exe",
            Self::Name(_) => "name",
            Self::Arg(_) => "arg",
            Self::Args(_) => "args",
            Self::Cmdline(_) => "cmdline",
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::Env(_) => "env",
            Self::Cwd(_) => "cwd",
            Self::Tty(_) => "tty",
            Self::Cgroup(_) => "cgroup",
            Self::Unit(_) => "unit",
            Self::Container(_) => "container",
            Self::Parent(_) => "parent",
            Self::Ancestor(_) => "ancestor",
            Self::Not(_) => "not",
            Self::Age { .. } => "age",
            Self::This(_) => "pid",
        }
    }

    /// Why the field says no.
    fn unmet(&self, look: &Look<'_>) -> String {
        match self {
            Self::Parent(matchers) => match look.up() {
                None => "it has no `parent`".to_owned(),
                Some(up) => match matchers.first().and_then(|matcher| matcher.failing(&up)) {
                    Some(reason) => format!("`parent`: {reason}"),
                    None => "its `parent` does not match".to_owned(),
                },
            },
            Self::Ancestor(_) => match look.above.len() {
                0 => "it has no `ancestor`".to_owned(),
                count => format!("`ancestor`: none of the {count} above it matches"),
            },
            Self::Not(matchers) => {
                let holds = |matcher: &&Matcher| matcher.fit(look) == Answer::Yes;
                let fields = matchers.iter().find(holds).map(|matcher| &matcher.fields);
                let found: Vec<_> = fields
                    .into_iter()
                    .flatten()
                    .map(|field| field.found(look))
                    .collect();
                format!("`not` rules it out: {}", found.join(", "))
            }
            Self::Arg(_) => format!("`arg`: no argument is {}", self.wanted()),
            Self::Args(patterns) => {
                let args = look.facts.and_then(|facts| facts.args.known());
                let lacks = |pattern: &&Pattern| {
                    args.is_none_or(|args| !super::some_argument(args, pattern))
                };
                let lacking = patterns.iter().find(lacks).map(Pattern::text);
                format!(
                    "`args`: no argument is {}",
                    quoted_list(lacking.into_iter())
                )
            }
            Self::Env(wanted) => env_unmet(wanted, look.facts),
            Self::Age { above } => format!("{}, not above {}", self.found(look), Span(*above)),
            Self::Program(_)
            | Self::Exe(_)
            | Self::Name(_)
            | Self::Cmdline(_)
            | Self::User(_)
            | Self::Group(_)
            | Self::Cwd(_)
            | Self::Tty(_)
            | Self::Cgroup(_)
            | Self::Unit(_)
            | Self::Container(_)
            | Self::This(_) => format!("{}, not {}", self.found(look), self.wanted()),
        }
    }

    /// What the field found.
    fn found(&self, look: &Look<'_>) -> String {
        let word = self.word();
        let value = match (self, look.facts) {
            (Self::Arg(_), _) => return format!("an argument is {}", self.wanted()),
            (Self::Age { .. }, _) => look.age.map(|age| Span(age).to_string()),
            (
                Self::Args(_) | Self::Env(_) | Self::Parent(_) | Self::Ancestor(_) | Self::Not(_),
                _,
            ) => return format!("`{word}` holds"),
            (_, None) => None,
            (Self::Program(_), Some(facts)) => {
                program::known(facts).map(|running| quoted(running.name))
            }
            (Self::Exe(_), Some(facts)) => facts.exe.known().map(place),
            (Self::Name(_), Some(facts)) => Some(quoted(facts.comm.bytes())),
            (Self::Cmdline(_), Some(facts)) => facts
                .args
                .known()
                .map(|args| format!("`{}`", redact::command_line(args, LONGEST))),
            (Self::User(_), Some(facts)) => facts.owner.known().map(ToString::to_string),
            (Self::Group(_), Some(facts)) => facts.group.known().map(|group| group.0.to_string()),
            (Self::Cwd(_), Some(facts)) => facts.cwd.known().map(place),
            (Self::Tty(_), Some(facts)) => facts
                .tty
                .known()
                .map(|tty| tty.as_ref().map_or_else(none, place)),
            (Self::Cgroup(_), Some(facts)) => facts.cgroup.known().map(|path| quoted(path.bytes())),
            (Self::Unit(_), Some(facts)) => facts
                .cgroup
                .known()
                .map(|path| unit(path.bytes()).map_or_else(none, |unit| quoted(&unit))),
            (Self::Container(_), Some(facts)) => facts
                .container
                .known()
                .map(|id| id.as_ref().map_or_else(none, |id| quoted(id.bytes()))),
            (Self::This(_), Some(facts)) => Some(facts.pid.to_string()),
        };
        format!("`{word}` is {}", value.as_deref().unwrap_or("unknown"))
    }

    /// What the field asks for.
    fn wanted(&self) -> String {
        match self {
            Self::Program(globs)
            | Self::Exe(globs)
            | Self::Name(globs)
            | Self::Cgroup(globs)
            | Self::Unit(globs)
            | Self::Container(globs) => quoted_list(globs.iter().map(Glob::text)),
            Self::Arg(patterns) | Self::Args(patterns) | Self::Cmdline(patterns) => {
                quoted_list(patterns.iter().map(Pattern::text))
            }
            Self::User(users) => list(users.iter().map(ToString::to_string)),
            Self::Group(groups) => list(groups.iter().map(|group| group.0.to_string())),
            Self::Cwd(globs) | Self::Tty(globs) => list(globs.iter().map(|glob| match glob {
                PlaceGlob::None => none(),
                PlaceGlob::Deleted => "deleted".to_owned(),
                PlaceGlob::Path(glob) => quoted(glob.text().as_bytes()),
            })),
            Self::This(key) => key.pid().to_string(),
            Self::Env(_)
            | Self::Parent(_)
            | Self::Ancestor(_)
            | Self::Not(_)
            | Self::Age { .. } => String::new(),
        }
    }

    /// What is missing for the field to answer.
    fn missing(&self, look: &Look<'_>) -> String {
        let word = self.word();
        let why = match (self, look.facts) {
            (Self::Parent(matchers), _) => {
                return format!("`parent`: {}", first_missing(matchers, look.up().iter()));
            }
            (Self::Ancestor(matchers), _) => {
                let ups: Vec<_> = look.ups().collect();
                return format!("`ancestor`: {}", first_missing(matchers, ups.iter()));
            }
            (Self::Not(matchers), _) => {
                return format!("`not`: {}", first_missing(matchers, std::iter::once(look)));
            }
            (Self::Age { .. }, _) => "of a process above is not known",
            (_, None) => return NOT_LEARNT.to_owned(),
            (Self::Program(_), Some(facts)) => match &facts.exe {
                Read::Known(_) => silence(&facts.args),
                Read::Denied | Read::Gone | Read::Late | Read::NotAsked => silence(&facts.exe),
            },
            (Self::Exe(_), Some(facts)) => silence(&facts.exe),
            (Self::Arg(_) | Self::Args(_) | Self::Cmdline(_), Some(facts)) => silence(&facts.args),
            (Self::Name(_) | Self::This(_), Some(_)) => "is not known",
            (Self::User(_), Some(facts)) => silence(&facts.owner),
            (Self::Group(_), Some(facts)) => silence(&facts.group),
            (Self::Env(_), Some(facts)) => silence(&facts.env),
            (Self::Cwd(_), Some(facts)) => silence(&facts.cwd),
            (Self::Tty(_), Some(facts)) => silence(&facts.tty),
            (Self::Cgroup(_) | Self::Unit(_), Some(facts)) => silence(&facts.cgroup),
            (Self::Container(_), Some(facts)) => silence(&facts.container),
        };
        format!("`{word}` {why}")
    }
}

/// What is missing in the first matcher that does not know about some of these.
fn first_missing<'a, 'l: 'a>(
    matchers: &[Matcher],
    mut looks: impl Iterator<Item = &'a Look<'l>>,
) -> String {
    let missing = |look: &Look<'_>| {
        matchers
            .iter()
            .filter(|matcher| matcher.fit(look) == Answer::Unknown)
            .find_map(|matcher| matcher.failing(look))
    };
    looks
        .find_map(missing)
        .map_or_else(|| NOT_LEARNT.to_owned(), |reason| reason.to_string())
}

/// The value of a variable may be a secret: it is compared, never shown.
fn env_unmet(wanted: &[(String, Vec<Glob>)], facts: Option<&Facts>) -> String {
    let env = facts
        .and_then(|facts| facts.env.known())
        .map_or(&[][..], Vec::as_slice);
    let unmet = wanted
        .iter()
        .find(|(name, globs)| !super::set_to(env, name, globs));
    let Some((name, globs)) = unmet else {
        return "`env` does not match".to_owned();
    };
    if env.iter().any(|(set, _)| set == name) {
        let wanted = quoted_list(globs.iter().map(Glob::text));
        format!("`env`: {name} is not {wanted}")
    } else {
        format!("`env`: {name} is not set")
    }
}

/// Why a fact says nothing.
const fn silence<T>(read: &Read<T>) -> &'static str {
    match read {
        Read::Known(_) => "does not tell",
        Read::Denied => "could not be read",
        Read::Gone => "was gone when it was read",
        Read::Late => "is not read yet",
        Read::NotAsked => "was not asked for",
    }
}

fn none() -> String {
    "none".to_owned()
}

fn place(place: &Place) -> String {
    let deleted = if place.deleted { " (deleted)" } else { "" };
    format!("{}{deleted}", quoted(place.path.bytes()))
}

/// Hostile text between backticks, escaped and cut short.
fn quoted(bytes: &[u8]) -> String {
    format!("`{}`", redact::cut(bytes, LONGEST))
}

fn quoted_list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    list(items.map(|item| quoted(item.as_bytes())))
}

/// `a`, `a or b`, `a, b or c`, `a, b, c, d or 7 others`.
fn list(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    let more = items.len().saturating_sub(SPELT_OUT);
    if more > 1 {
        items.truncate(SPELT_OUT);
        items.push(format!("{more} others"));
    }
    match items.pop() {
        None => "anything".to_owned(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} or {last}", items.join(", ")),
    }
}
