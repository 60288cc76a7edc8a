//! How the answer of a matcher can change while a process lives, and what it needs to be told.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Field, Matcher, PlaceGlob, Volatility};
use crate::engine::pattern::{Glob, Pattern};

impl Matcher {
    /// Whether some field, nested ones included, can change its answer in this way.
    pub fn changes(&self, how: Volatility) -> bool {
        self.fields.iter().any(|field| field.changes(how))
    }

    /// Whether the answer, once known, stays until the next exec.
    pub fn fixed_at_exec(&self) -> bool {
        !self.changes(Volatility::ByEvent)
            && !self.changes(Volatility::Drifts)
            && !self.changes(Volatility::Ripens)
    }

    /// Whether some field, nested ones included, is about processes above.
    pub fn looks_up(&self) -> bool {
        self.fields.iter().any(Field::looks_up)
    }

    /// The next age, after this one, at which the answer can change by time alone: just past it, `age` is above.
    pub fn ripens_after(&self, age: Duration) -> Option<Duration> {
        self.fields
            .iter()
            .filter_map(|field| field.ripens_after(age))
            .min()
    }

    /// The environment variables that the matcher names: the facts it is held against must have been asked for these.
    pub fn variables(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.collect_variables(&mut names);
        names
    }

    fn collect_variables<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        for field in &self.fields {
            if let Field::Env(wanted) = field {
                names.extend(wanted.iter().map(|(name, _)| name.as_str()));
            }
            for matcher in field.nested() {
                matcher.collect_variables(names);
            }
        }
    }

    /// Whether some field narrows: `program: "*"`, `age`, and `not` alone leave every process a root.
    pub fn narrows(&self) -> bool {
        self.fields.iter().any(Field::narrows)
    }
}

impl Field {
    /// The matchers inside.
    fn nested(&self) -> &[Matcher] {
        match self {
            Self::Parent(matchers) | Self::Ancestor(matchers) | Self::Not(matchers) => matchers,
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
            | Self::Age { .. }
            | Self::This(_) => &[],
        }
    }

    fn looks_up(&self) -> bool {
        matches!(self, Self::Parent(_) | Self::Ancestor(_))
            || self.nested().iter().any(Matcher::looks_up)
    }

    fn changes(&self, how: Volatility) -> bool {
        self.volatility() == how || self.nested().iter().any(|matcher| matcher.changes(how))
    }

    /// The field's own volatility, without what is nested in it.
    pub(super) const fn volatility(&self) -> Volatility {
        match self {
            Self::Program(_)
            | Self::Exe(_)
            | Self::Arg(_)
            | Self::Args(_)
            | Self::Cmdline(_)
            | Self::Env(_)
            | Self::Container(_)
            | Self::This(_)
            | Self::Not(_) => Volatility::AtExec,
            // Those above exec and die at times of their own.
            Self::Name(_)
            | Self::User(_)
            | Self::Group(_)
            | Self::Parent(_)
            | Self::Ancestor(_) => Volatility::ByEvent,
            Self::Cwd(_) | Self::Tty(_) | Self::Cgroup(_) | Self::Unit(_) => Volatility::Drifts,
            Self::Age { .. } => Volatility::Ripens,
        }
    }

    fn ripens_after(&self, age: Duration) -> Option<Duration> {
        match self {
            Self::Age { above } => (*above >= age).then_some(*above),
            Self::Not(matchers) => matchers
                .iter()
                .filter_map(|matcher| matcher.ripens_after(age))
                .min(),
            // The age of those above is unknown and stays so.
            Self::Parent(_)
            | Self::Ancestor(_)
            | Self::Program(_)
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
            | Self::This(_) => None,
        }
    }

    fn narrows(&self) -> bool {
        match self {
            Self::Program(globs)
            | Self::Exe(globs)
            | Self::Name(globs)
            | Self::Cgroup(globs)
            | Self::Unit(globs) => !globs.iter().any(takes_anything),
            Self::Arg(patterns) | Self::Cmdline(patterns) => !patterns.iter().any(accepts_anything),
            Self::Args(patterns) => !patterns.iter().all(accepts_anything),
            Self::Cwd(globs) | Self::Tty(globs) => !globs.iter().any(|glob| match glob {
                PlaceGlob::None | PlaceGlob::Deleted => false,
                PlaceGlob::Path(glob) => takes_anything(glob),
            }),
            Self::Parent(matchers) | Self::Ancestor(matchers) => {
                matchers.iter().all(Matcher::narrows)
            }
            // To be in a container, to have a variable or a given user is a narrowing in itself.
            Self::User(_) | Self::Group(_) | Self::Env(_) | Self::Container(_) | Self::This(_) => {
                true
            }
            Self::Not(_) | Self::Age { .. } => false,
        }
    }
}

/// Text that no process bears: what matches it matches anything.
const NOBODY: [&[u8]; 2] = [b"\x01\xfe\x01", b"/\x01\xfe/\x01/\xfe\x01"];

fn takes_anything(glob: &Glob) -> bool {
    NOBODY.iter().any(|nobody| glob.matches(nobody))
}

fn accepts_anything(pattern: &Pattern) -> bool {
    NOBODY.iter().any(|nobody| pattern.matches(nobody))
}
