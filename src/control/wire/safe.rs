//! Strings that may be printed anywhere.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::engine::process::Text;

/// Text that fits on a line of a terminal: no control characters, no direction overrides, nothing invisible.
///
/// It is made safe when it is made *and* when it is read from a socket: a client does not trust a daemon to have
/// done it, for the socket may be another program's.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Safe(String);

impl Safe {
    /// Words of our own, or of a person's rules: a character that may not be printed comes out escaped.
    pub fn word(text: &str) -> Self {
        Self(clean(text).into_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&Text> for Safe {
    /// A `Text` escapes backslashes besides, so that nobody can forge an escape.
    fn from(text: &Text) -> Self {
        Self::word(&text.to_string())
    }
}

impl From<String> for Safe {
    fn from(text: String) -> Self {
        match clean(&text) {
            Cow::Borrowed(_) => Self(text),
            Cow::Owned(cleaned) => Self(cleaned),
        }
    }
}

impl<'de> Deserialize<'de> for Safe {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::from)
    }
}

impl fmt::Display for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Escapes what may not be printed.
fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(unprintable) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().fold(String::new(), |mut out, letter| {
        if unprintable(letter) {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
        out
    });
    Cow::Owned(escaped)
}

/// Controls; separators of lines; and the marks that make a line read as another: direction, width nothing, tags.
fn unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_in() {
        assert_eq!(Safe::word("a\x1b[2J\r\nb").as_str(), "a\\u{1b}[2J\\r\\nb");
        assert_eq!(
            Safe::word("a\u{202e}b\u{9b}").as_str(),
            "a\\u{202e}b\\u{9b}"
        );
        assert_eq!(
            Safe::from(&Text::new(*b"\\n\n\xff")).as_str(),
            "\\\\n\\n\\xff"
        );
        assert_eq!(
            Safe::word("tail -f ünïcödé 日本").as_str(),
            "tail -f ünïcödé 日本"
        );
    }

    #[test]
    fn nor_does_it_through_json() {
        let safe: Safe = serde_json::from_str(r#""x\u001b]0;owned\u0007""#).unwrap();
        assert_eq!(safe.as_str(), "x\\u{1b}]0;owned\\u{7}");
        assert_eq!(
            serde_json::to_string(&safe).unwrap(),
            r#""x\\u{1b}]0;owned\\u{7}""#
        );
    }
}
