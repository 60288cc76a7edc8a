//! Whether a pattern tells processes apart, and whether it tells apart the ones that were meant.
//!
//! Found out by trying: a pattern that matches a handful of texts which have nothing in common matches everything.

use crate::config::diagnostic::quoted;
use crate::config::reader::Reader;
use crate::config::source::Span;
use crate::config::yaml::Node;
use crate::engine::matcher::PlaceGlob;
use crate::engine::pattern::{Glob, Pattern};

/// Texts without anything in common.
const WORDS: [&[u8]; 6] = [b"a", b"Zebra-9", b"_", b"07", b"\xff\xfe", b"q w.~"];
/// Paths without anything in common.
const PATHS: [&[u8]; 4] = [b"/a", b"/usr/bin/Zebra-9", b"/_/\xff", b"/0/1/2/3"];
/// What the kernel keeps of a short name.
const SHORT: usize = 15;

pub(super) fn by_glob(glob: &Glob) -> bool {
    let texts: &[&[u8]] = if glob.text().contains('/') {
        &PATHS
    } else {
        &WORDS
    };
    !texts.iter().all(|text| glob.matches(text))
}

pub(super) fn by_pattern(pattern: &Pattern) -> bool {
    !WORDS.iter().all(|text| pattern.matches(text))
}

pub(super) fn by_place(place: &PlaceGlob) -> bool {
    match place {
        PlaceGlob::None | PlaceGlob::Deleted => true,
        // A place is a path, with or without a slash in the pattern.
        PlaceGlob::Path(glob) => by_glob(glob) && !PATHS.iter().all(|path| glob.matches(path)),
    }
}

/// No more to say about this glob.
pub(super) fn nothing(_: &Node, _: &Glob, _: &mut Reader<'_>) {}

/// A pattern of digits alone is a process number that went astray.
pub(super) fn number(node: &Node, glob: &Glob, reader: &mut Reader<'_>) {
    if !glob.text().is_empty() && glob.text().bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("{} looks like the number of a process", quoted(glob.text()));
        reader.refuse(
            node.span,
            message,
            "a rule names a kind of process; a number soon belongs to another",
        );
    }
}

/// `program` is compared without folder and extension.
pub(super) fn program(node: &Node, glob: &Glob, reader: &mut Reader<'_>) {
    const SCRIPTS: [&str; 12] = [
        ".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".php", ".sh", ".jar", ".dll", ".pyc",
    ];
    number(node, glob, reader);
    if glob.text().contains('/') {
        let expected = "use `exe` for a path, or give the name alone";
        reader.refuse(
            node.span,
            "`program` is compared without its folder",
            expected,
        );
    }
    if let Some(script) = SCRIPTS.iter().find_map(|end| glob.text().strip_suffix(end))
        && !script.is_empty()
    {
        let expected = format!("did you mean {}?", quoted(script));
        reader.doubt(
            node.span,
            "`program` is compared without its extension",
            expected,
        );
    }
}

/// The kernel keeps 15 bytes of a short name: what is longer never matches.
pub(super) fn short_name(node: &Node, glob: &Glob, reader: &mut Reader<'_>) {
    number(node, glob, reader);
    let text = glob.text();
    let literal = text.bytes().filter(|byte| *byte != b'*').count();
    if literal <= SHORT || text.contains(['{', '[', '\\']) {
        return;
    }
    let kept = text
        .get(..text.floor_char_boundary(SHORT))
        .unwrap_or_default();
    let message = format!(
        "the kernel keeps {SHORT} bytes of this name, so {} never matches",
        quoted(text)
    );
    let expected = format!(
        "use `program`, or write {}",
        quoted(&format!("{}*", kept.trim_end_matches('*')))
    );
    reader.refuse(node.span, message, expected);
}

/// An unanchored expression finds its word in the arguments of those who only look at it.
pub(super) fn doubt_cmdline(span: Span, pattern: &Pattern, reader: &mut Reader<'_>) {
    let word = longest_word(pattern.text());
    let bystanders = [
        "bash".to_owned(),
        "-bash".to_owned(),
        "/bin/sh -c ls".to_owned(),
        "/usr/bin/zsh -l".to_owned(),
        format!("vim tests/{word}_notes.md"),
        format!("vim {word}"),
        format!("less /var/log/{word}.log"),
        format!("grep -r {word} ."),
        format!("beadle try {word}.yaml"),
    ];
    let Some(found) = bystanders
        .iter()
        .find(|line| pattern.matches(line.as_bytes()))
    else {
        return;
    };
    let message = format!("this also matches {}", quoted(found));
    let better = if word.is_empty() {
        "anchor it, or use `program`".to_owned()
    } else {
        format!("use `program: {word}`, or anchor it: `^`")
    };
    reader.doubt(span, message, better);
}

/// The longest run of a regular expression that stands for itself.
fn longest_word(regex: &str) -> &str {
    regex
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
        .max_by_key(|word| word.len())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::pattern::Anchor;

    #[test]
    fn what_matches_everything_does_not_narrow() {
        for glob in ["*", "**", "?*", "{*,a}", "*?", "/**", "**/*"] {
            assert!(!by_glob(&Glob::new(glob).unwrap()), "{glob}");
        }
        for glob in ["a*", "*.py", "?", "[a-z]*", "/usr/**", "py?est"] {
            assert!(by_glob(&Glob::new(glob).unwrap()), "{glob}");
        }
        for regex in [
            "", ".*", ".", "^", "^.*$", ".+", "(.*)", "a|", "(?s).*", "[^\\n]*",
        ] {
            let pattern = Pattern::new(regex, Anchor::Anywhere).unwrap();
            assert!(!by_pattern(&pattern), "{regex}");
        }
        for regex in ["a", "^[a-z]+$", "--headless"] {
            let pattern = Pattern::new(regex, Anchor::Anywhere).unwrap();
            assert!(by_pattern(&pattern), "{regex}");
        }
        assert!(!by_place(&PlaceGlob::Path(Glob::new("*").unwrap())));
        assert!(by_place(&PlaceGlob::Path(Glob::new("/home/*").unwrap())));
    }

    #[test]
    fn the_longest_word_is_found() {
        for (regex, word) in [
            ("^python -m pytest$", "pytest"),
            ("py.test|tox", "test"),
            (".*", ""),
            ("--headless(=new)?", "--headless"),
        ] {
            assert_eq!(longest_word(regex), word, "{regex}");
        }
    }
}
