//! Globs and regular expressions over bytes, compiled once, bounded in size.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// The largest pattern a rule may hold, in bytes of text.
pub const LONGEST: usize = 4096;
/// The largest compiled pattern, in bytes.
const LARGEST: usize = 1 << 20;

/// A shell-like pattern: `*`, `?`, `[abc]`, `{a,b}`. In a path, `*` stops at `/` and `**` does not.
#[derive(Clone)]
pub struct Glob {
    text: String,
    regex: Regex,
}

/// A regular expression, matched over bytes.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// Where a regular expression must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The whole text.
    Whole,
    /// Somewhere in it.
    Anywhere,
}

impl Glob {
    /// Compiles; the error says what is wrong, in words for people.
    pub fn new(text: &str) -> Result<Self, String> {
        refuse_long(text)?;
        let glob = globset::GlobBuilder::new(text)
            .literal_separator(text.contains('/'))
            .backslash_escape(true)
            .build()
            .map_err(|error| error.kind().to_string())?;
        let regex = compile(glob.regex())?;
        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }

    /// The text it was made from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches all of `bytes`.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.regex.is_match(bytes)
    }
}

impl Pattern {
    /// Compiles; the error says what is wrong, in words for people.
    pub fn new(text: &str, anchor: Anchor) -> Result<Self, String> {
        refuse_long(text)?;
        // Compiled alone first: `a)(b` is an error by itself and would not be inside a group.
        let mut regex = compile(text)?;
        if anchor == Anchor::Whole {
            regex = compile(&format!("^(?:{text})$"))?;
        }
        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }

    /// The text it was made from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.regex.is_match(bytes)
    }
}

fn refuse_long(text: &str) -> Result<(), String> {
    match text.len() {
        0..=LONGEST => Ok(()),
        length => Err(format!(
            "the pattern is {length} bytes long, more than {LONGEST}"
        )),
    }
}

fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(LARGEST)
        .dfa_size_limit(LARGEST)
        .build()
        .map_err(|error| {
            if let regex::Error::CompiledTooBig(limit) = error {
                return format!(
                    "the pattern needs more than {} KiB when compiled",
                    limit >> 10
                );
            }
            // The library draws its own caret below the pattern; only its last line says what is wrong.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        })
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({:?})", self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_the_whole_text() {
        let glob = Glob::new("py*test").unwrap();
        assert!(glob.matches(b"pytest"));
        assert!(glob.matches(b"py\xfftest"));
        assert!(!glob.matches(b"pytest-watch"));
        assert!(Glob::new("{pytest,py.test}").unwrap().matches(b"py.test"));
    }

    #[test]
    fn a_star_in_a_path_stops_at_a_slash() {
        assert!(Glob::new("/usr/*/x").unwrap().matches(b"/usr/bin/x"));
        assert!(!Glob::new("/usr/*").unwrap().matches(b"/usr/bin/x"));
        assert!(Glob::new("/usr/**").unwrap().matches(b"/usr/bin/x"));
    }

    #[test]
    fn patterns_are_bounded() {
        assert!(Pattern::new(&"a".repeat(1 << 20), Anchor::Anywhere).is_err());
        assert!(
            Pattern::new("((a{100}){100}){100}", Anchor::Anywhere)
                .unwrap_err()
                .contains("KiB")
        );
        assert!(Pattern::new("a)(b", Anchor::Whole).is_err());
        assert!(
            Pattern::new("(", Anchor::Whole)
                .unwrap_err()
                .contains("unclosed group")
        );
    }

    #[test]
    fn whole_means_whole() {
        let whole = Pattern::new("a|b", Anchor::Whole).unwrap();
        assert!(whole.matches(b"a") && !whole.matches(b"ab"));
    }
}
