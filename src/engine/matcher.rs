//! Which processes a rule means. Three answers: yes, no, and *unknown*, which never matches.
//!
//! **Invariants.** A fact that is not known makes no field yes, and `not` makes no yes of it either: unknown stays
//! unknown, unless another field already says no.
//!
//! # Two questions
//! [`Matcher::test`] asks whether a rule means a process: processes of another pid namespace only where the rule has a
//! `container` field. [`Matcher::holds`] asks for the fields alone: for nested matchers, for `keep`, `protect` and
//! `boundaries`, where leaving a process out because it lives in a container would mean signalling it.

mod change;
mod reason;
#[cfg(test)]
pub(in crate::engine) mod tests;

use std::borrow::Cow;
use std::time::Duration;

use super::facts::{Facts, Namespace, Place, Read};
use super::pattern::{Glob, Pattern};
use super::process::{Gid, ProcKey, Text, Uid};
use super::program;

pub use reason::Reason;

/// A matcher: all its fields must hold; within a field any of its values will do. Never empty.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The fields given.
    pub fields: Vec<Field>,
}

/// One field of a matcher, with its alternatives.
#[derive(Clone, Debug)]
pub enum Field {
    /// What really runs.
    Program(Vec<Glob>),
    /// The executable: file name, or whole path when the glob has a `/`.
    Exe(Vec<Glob>),
    /// The short name.
    Name(Vec<Glob>),
    /// Some argument matches, whole. The name it was called by (`argv[0]`) is no argument.
    Arg(Vec<Pattern>),
    /// Each pattern matches some argument, whole.
    Args(Vec<Pattern>),
    /// All arguments, `argv[0]` too, joined by one space, anywhere. Empty ones at the end do not count: a rewritten
    /// title leaves hundreds of them.
    Cmdline(Vec<Pattern>),
    /// Effective user.
    User(Vec<Uid>),
    /// Effective group.
    Group(Vec<Gid>),
    /// Variables at exec: every name given must be set to a value that matches.
    Env(Vec<(String, Vec<Glob>)>),
    /// Working directory.
    Cwd(Vec<PlaceGlob>),
    /// Controlling terminal.
    Tty(Vec<PlaceGlob>),
    /// Control group path.
    Cgroup(Vec<Glob>),
    /// systemd unit: the last component of the control group path that names one.
    Unit(Vec<Glob>),
    /// Container id or name.
    Container(Vec<Glob>),
    /// The parent matches any of these.
    Parent(Vec<Matcher>),
    /// Some process above matches any of these.
    Ancestor(Vec<Matcher>),
    /// None of these matches.
    Not(Vec<Matcher>),
    /// Awake time since its exec. Unknown of processes above.
    Age {
        /// More than this.
        above: Duration,
    },
    /// This very process, whatever it runs. No rule file can say so: what is run under guard is known before it runs.
    This(ProcKey),
}

/// A pattern for a path that may also be absent or deleted.
#[derive(Clone, Debug)]
pub enum PlaceGlob {
    /// There is none.
    None,
    /// What it named is deleted.
    Deleted,
    /// Its path matches.
    Path(Glob),
}

/// How an answer can change while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Only by exec.
    AtExec,
    /// By something the kernel tells us.
    ByEvent,
    /// At any time: looked at again every 10 s, for processes that pass the rest.
    Drifts,
    /// By time passing.
    Ripens,
}

/// Whether a matcher holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Something it needs could not be read, or not yet.
    Unknown,
}

/// What a matcher is held against.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Facts of the process; `None` while they are pending.
    pub facts: Option<&'a Facts>,
    /// Awake time since its exec (since its start, when no exec was seen).
    pub age: Duration,
    /// The processes above it, nearest first; a `None` inside is one that is not known.
    pub above: &'a [Option<&'a Facts>],
}

impl Answer {
    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    /// Either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        self.negated().and(other.negated()).negated()
    }

    /// The opposite; of unknown, unknown.
    #[must_use]
    pub const fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }

    /// All of them; yes when there are none.
    fn all(answers: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::Yes;
        for answer in answers {
            all = all.and(answer);
            if all == Self::No {
                break;
            }
        }
        all
    }

    /// Any of them; no when there are none.
    fn any(answers: impl Iterator<Item = Self>) -> Self {
        Self::all(answers.map(Self::negated)).negated()
    }

    /// Whether the value passes, where it is known.
    fn of<T>(read: &Read<T>, passes: impl FnOnce(&T) -> bool) -> Self {
        read.known()
            .map_or(Self::Unknown, |value| passes(value).into())
    }
}

impl From<bool> for Answer {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Matcher {
    /// Whether a rule with this matcher means the process.
    pub fn test(&self, subject: &Subject<'_>) -> Answer {
        self.reaches(subject.facts).and(self.holds(subject))
    }

    /// Whether all fields hold, wherever the process lives.
    pub fn holds(&self, subject: &Subject<'_>) -> Answer {
        self.fit(&Look::at(subject))
    }

    /// What [`Matcher::test`] says for as long as the process runs this image, whatever drifts or ripens meanwhile;
    /// unknown where that may decide.
    pub fn test_for_good(&self, subject: &Subject<'_>) -> Answer {
        self.reaches(subject.facts)
            .and(self.holds_for_good(subject))
    }

    /// What [`Matcher::holds`] says for as long as the process runs this image.
    pub fn holds_for_good(&self, subject: &Subject<'_>) -> Answer {
        self.fit(&Look {
            tense: Tense::ForGood,
            ..Look::at(subject)
        })
    }

    /// Whether the matcher reaches into the pid namespace of the process.
    ///
    /// A namespace that the kernel does not show is taken for ours, unless the control group names a container: what
    /// beadle may not look at it may not signal either, and an unprivileged beadle would otherwise know no answer for
    /// any process of another user.
    fn reaches(&self, facts: Option<&Facts>) -> Answer {
        let container = |field: &Field| matches!(field, Field::Container(_));
        if self.fields.iter().any(container) {
            return Answer::Yes;
        }
        let Some(facts) = facts else {
            return Answer::Unknown;
        };
        match facts.namespace {
            Read::Known(Namespace::Ours) => Answer::Yes,
            Read::Known(Namespace::Other) => Answer::No,
            Read::Denied => matches!(facts.container.known(), None | Some(None)).into(),
            Read::Gone | Read::Late | Read::NotAsked => Answer::Unknown,
        }
    }

    fn fit(&self, look: &Look<'_>) -> Answer {
        Answer::all(self.fields.iter().map(|field| field.fit(look)))
    }
}

/// A process as a field sees it: the subject itself, or one above it.
#[derive(Clone, Copy)]
struct Look<'a> {
    facts: Option<&'a Facts>,
    /// Known of the subject only.
    age: Option<Duration>,
    above: &'a [Option<&'a Facts>],
    tense: Tense,
}

/// For how long an answer is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tense {
    /// At this moment.
    Now,
    /// Until the next exec.
    ForGood,
}

impl<'a> Look<'a> {
    fn at(subject: &Subject<'a>) -> Self {
        Self {
            facts: subject.facts,
            age: Some(subject.age),
            above: subject.above,
            tense: Tense::Now,
        }
    }

    /// The next process above; `None` where there is none.
    fn up(&self) -> Option<Self> {
        let (facts, above) = self.above.split_first()?;
        Some(Self {
            facts: *facts,
            age: None,
            above,
            tense: self.tense,
        })
    }

    /// Each process above, nearest first.
    fn ups(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.up(), Self::up)
    }
}

impl Field {
    fn fit(&self, look: &Look<'_>) -> Answer {
        match (look.tense, self.volatility()) {
            (Tense::ForGood, Volatility::Drifts | Volatility::Ripens) => return Answer::Unknown,
            (Tense::ForGood, Volatility::AtExec | Volatility::ByEvent) | (Tense::Now, _) => {}
        }
        match self {
            Self::Parent(matchers) => look
                .up()
                .map_or(Answer::No, |parent| any_fits(matchers, &parent)),
            Self::Ancestor(matchers) => Answer::any(look.ups().map(|up| any_fits(matchers, &up))),
            Self::Not(matchers) => any_fits(matchers, look).negated(),
            Self::Age { above } => look
                .age
                .map_or(Answer::Unknown, |age| (age > *above).into()),
            Self::Program(_)
            | Self::Exe(_)
            | Self::Name(_)
            | Self::Arg(_)
            | Self::Args(_)
            | Self::Cmdline(_)
            | Self::User(_)
            | Self::Group(_)
            | Self::Env(_)
            | Self::Cwd(_)
            | Self::Tty(_)
            | Self::Cgroup(_)
            | Self::Unit(_)
            | Self::Container(_)
            | Self::This(_) => look
                .facts
                .map_or(Answer::Unknown, |facts| self.fit_facts(facts)),
        }
    }

    fn fit_facts(&self, facts: &Facts) -> Answer {
        match self {
            Self::Program(globs) => program::known(facts).map_or(Answer::Unknown, |running| {
                any_glob(globs, running.name).into()
            }),
            Self::Exe(globs) => Answer::of(&facts.exe, |exe| {
                globs.iter().any(|glob| exe_fits(glob, exe))
            }),
            Self::Name(globs) => any_glob(globs, facts.comm.bytes()).into(),
            Self::Arg(patterns) => Answer::of(&facts.args, |args| {
                patterns.iter().any(|pattern| some_argument(args, pattern))
            }),
            Self::Args(patterns) => Answer::of(&facts.args, |args| {
                patterns.iter().all(|pattern| some_argument(args, pattern))
            }),
            Self::Cmdline(patterns) => Answer::of(&facts.args, |args| {
                let line = joined(args);
                patterns.iter().any(|pattern| pattern.matches(&line))
            }),
            Self::User(users) => Answer::of(&facts.owner, |owner| users.contains(owner)),
            Self::Group(groups) => Answer::of(&facts.group, |group| groups.contains(group)),
            Self::Env(wanted) => Answer::of(&facts.env, |env| {
                wanted.iter().all(|(name, globs)| set_to(env, name, globs))
            }),
            Self::Cwd(globs) => Answer::of(&facts.cwd, |cwd| any_place(globs, Some(cwd))),
            Self::Tty(globs) => Answer::of(&facts.tty, |tty| any_place(globs, tty.as_ref())),
            Self::Cgroup(globs) => {
                Answer::of(&facts.cgroup, |cgroup| any_glob(globs, cgroup.bytes()))
            }
            Self::Unit(globs) => Answer::of(&facts.cgroup, |cgroup| {
                unit(cgroup.bytes()).is_some_and(|unit| any_glob(globs, &unit))
            }),
            Self::Container(globs) => Answer::of(&facts.container, |container| {
                container
                    .as_ref()
                    .is_some_and(|id| any_glob(globs, id.bytes()))
            }),
            Self::This(key) => facts
                .key
                .map_or(Answer::Unknown, |found| (found == *key).into()),
            // These look at more than the facts.
            Self::Parent(_) | Self::Ancestor(_) | Self::Not(_) | Self::Age { .. } => {
                Answer::Unknown
            }
        }
    }
}

fn any_fits(matchers: &[Matcher], look: &Look<'_>) -> Answer {
    Answer::any(matchers.iter().map(|matcher| matcher.fit(look)))
}

fn any_glob(globs: &[Glob], bytes: &[u8]) -> bool {
    globs.iter().any(|glob| glob.matches(bytes))
}

fn any_place(globs: &[PlaceGlob], place: Option<&Place>) -> bool {
    globs.iter().any(|glob| match (glob, place) {
        (PlaceGlob::None, place) => place.is_none(),
        (PlaceGlob::Deleted, place) => place.is_some_and(|place| place.deleted),
        (PlaceGlob::Path(glob), place) => {
            place.is_some_and(|place| glob.matches(place.path.bytes()))
        }
    })
}

/// The file name, or the whole path where the glob speaks of folders.
fn exe_fits(glob: &Glob, exe: &Place) -> bool {
    if glob.text().contains('/') {
        glob.matches(exe.path.bytes())
    } else {
        glob.matches(exe.file_name())
    }
}

fn some_argument(args: &[Text], pattern: &Pattern) -> bool {
    args.iter().skip(1).any(|arg| pattern.matches(arg.bytes()))
}

fn joined(args: &[Text]) -> Vec<u8> {
    let end = args
        .iter()
        .rposition(|arg| !arg.bytes().is_empty())
        .map_or(0, |last| last.saturating_add(1));
    let args: Vec<&[u8]> = args.iter().take(end).map(Text::bytes).collect();
    args.join(&b' ')
}

fn set_to(env: &[(String, Text)], name: &str, globs: &[Glob]) -> bool {
    env.iter()
        .any(|(set, value)| set == name && any_glob(globs, value.bytes()))
}

/// The systemd unit that a control group path lies in: its last component that names one, `\x2d` written as `-`.
///
/// Below a unit its own processes may make groups of any name, so the last component alone would not do.
pub fn unit(cgroup: &[u8]) -> Option<Cow<'_, [u8]>> {
    let component = cgroup.rsplit(|&byte| byte == b'/').find(|component| {
        [&b".service"[..], b".scope", b".slice"]
            .iter()
            .any(|suffix| component.len() > suffix.len() && component.ends_with(suffix))
    })?;
    Some(unescaped(component))
}

fn unescaped(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'\\') {
        return Cow::Borrowed(name);
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = escaped(rest).unwrap_or((byte, after));
        plain.push(byte);
        rest = after;
    }
    Cow::Owned(plain)
}

/// The byte that a leading `\xHH` stands for, and what follows it.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.strip_prefix(b"\\x")?.split_at_checked(2)?;
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u8::from_str_radix(digits, 16).ok()?, rest))
}
