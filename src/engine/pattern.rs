//! Globs and regular expressions over bytes, compiled once, bounded in size.
//!
//! # Why not all of them are compiled
//! Most are plain words, or words with a star at an end. A compiled expression takes 5 KiB and more, and as much again once
//! it is used; the built-in rules alone have some two hundred of these.

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
    form: Form,
}

/// A regular expression, matched over bytes.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    form: Form,
}

/// How a pattern is matched.
#[derive(Clone)]
enum Form {
    /// The text is this.
    Is(Box<[u8]>),
    /// The text begins so.
    Begins(Box<[u8]>),
    /// The text ends so.
    Ends(Box<[u8]>),
    /// The text has this in it.
    Holds(Box<[u8]>),
    /// Anything else.
    Fits(Regex),
}

impl Form {
    fn matches(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Is(word) => **word == *bytes,
            Self::Begins(word) => bytes.starts_with(word),
            Self::Ends(word) => bytes.ends_with(word),
            Self::Holds(word) => bytes.windows(word.len()).any(|part| *part == **word),
            Self::Fits(regex) => regex.is_match(bytes),
        }
    }

    /// The form of a glob that has no need of an expression. In a path a star means less.
    fn of_glob(text: &str) -> Option<Self> {
        let word = |word: &str| {
            let plain = !word.is_empty() && !word.contains(['*', '?', '[', ']', '{', '}', '\\']);
            plain.then(|| word.as_bytes().into())
        };
        if text.contains('/') {
            return word(text).map(Self::Is);
        }
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (None, None) => word(text).map(Self::Is),
            (None, Some(start)) => word(start).map(Self::Begins),
            (Some(end), None) => word(end).map(Self::Ends),
            (Some(rest), Some(_)) => word(rest.strip_suffix('*')?).map(Self::Holds),
        }
    }

    /// The form of an expression that is a plain word.
    fn of_word(text: &str, anchor: Anchor) -> Option<Self> {
        const MEANING: [char; 14] = [
            '.', '^', '$', '*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '\\',
        ];
        let plain = !text.is_empty() && !text.contains(MEANING);
        plain.then(|| match anchor {
            Anchor::Whole => Self::Is(text.as_bytes().into()),
            Anchor::Anywhere => Self::Holds(text.as_bytes().into()),
        })
    }
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
        let owned = text.to_owned();
        if let Some(form) = Form::of_glob(text) {
            return Ok(Self { text: owned, form });
        }
        let glob = globset::GlobBuilder::new(text)
            .literal_separator(text.contains('/'))
            .backslash_escape(true)
            .build()
            .map_err(|error| error.kind().to_string())?;
        let form = Form::Fits(compile(glob.regex())?);
        Ok(Self { text: owned, form })
    }

    /// The text it was made from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches all of `bytes`.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.form.matches(bytes)
    }
}

impl Pattern {
    /// Compiles; the error says what is wrong, in words for people.
    pub fn new(text: &str, anchor: Anchor) -> Result<Self, String> {
        refuse_long(text)?;
        if let Some(form) = Form::of_word(text, anchor) {
            let text = text.to_owned();
            return Ok(Self { text, form });
        }
        // Compiled alone first: `a)(b` is an error by itself and would not be inside a group.
        let mut regex = compile(text)?;
        if anchor == Anchor::Whole {
            regex = compile(&format!("^(?:{text})$"))?;
        }
        Ok(Self {
            text: text.to_owned(),
            form: Form::Fits(regex),
        })
    }

    /// The text it was made from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.form.matches(bytes)
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
    fn a_plain_glob_matches_what_its_expression_would() {
        let words = [
            "x", "a.x", "x-", "xä", "a,x", "!x", "+x", "a x", "^x$", "/a/x",
        ];
        let texts = [
            "", "x", "xx", "a.x", "abx", "ba.xb", "x-", "x-x-", "\nx", "x\n", "x\nx", "xä", "äxä",
            "a,x", "!x", "+x", "++x", "a x", "^x$", "/a/x", "/a/x/", "b/a/x", "/", "*x", "*", "x*",
        ];
        for word in words {
            for (before, after) in [("", ""), ("*", ""), ("", "*"), ("*", "*")] {
                let text = format!("{before}{word}{after}");
                let glob = Glob::new(&text).unwrap();
                // `[x]` is `x`, and no plain word.
                let same = Glob::new(&text.replace('x', "[x]")).unwrap();
                let starred_path = text.contains('/') && text.contains('*');
                assert!(starred_path || !matches!(glob.form, Form::Fits(_)));
                assert!(matches!(same.form, Form::Fits(_)));
                for text in texts {
                    let bytes = text.as_bytes();
                    assert_eq!(
                        glob.matches(bytes),
                        same.matches(bytes),
                        "{glob:?} {text:?}"
                    );
                }
            }
        }
        for text in ["*", "**", "***", "a*b", "**x", "x**", "{a,b}", "a?"] {
            assert!(matches!(Glob::new(text).unwrap().form, Form::Fits(_)));
        }
    }

    #[test]
    fn a_plain_pattern_matches_what_its_expression_would() {
        for word in [
            "x", "--x=y", "a x", "x#", "x&&y", "x~", "<x>", "ä x", "/x/", "x\n",
        ] {
            for anchor in [Anchor::Whole, Anchor::Anywhere] {
                let plain = Pattern::new(word, anchor).unwrap();
                let same = Pattern::new(&word.replace('x', "[x]"), anchor).unwrap();
                assert!(!matches!(plain.form, Form::Fits(_)));
                assert!(matches!(same.form, Form::Fits(_)));
                for around in ["", "-", "\n", "xx", "ä"] {
                    let text = format!("{around}{word}{around}");
                    let bytes = text.as_bytes();
                    assert_eq!(plain.matches(bytes), same.matches(bytes), "{word} {text:?}");
                }
                assert!(!plain.matches(b""));
            }
        }
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
