//! A file's text and places in it.
//!
//! **Invariants.** A [`Span`] counts bytes of the text it was made from and may be stale or wrong without harm: every
//! use cuts it to the text and to whole characters.

use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::printable;

/// The text of one file, shared by all that point into it.
#[derive(Debug)]
pub struct Source {
    path: Arc<str>,
    text: String,
    /// The first byte of each line.
    lines: Vec<usize>,
    rank: usize,
}

/// A range of bytes of a [`Source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A place in a file.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The file.
    pub source: Arc<Source>,
    /// Where in it.
    pub span: Span,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Marked<T> {
    pub(super) value: T,
    pub(super) spot: Spot,
}

impl Source {
    /// A file that was read as the `rank`th; problems are told in that order.
    pub fn new(path: &str, text: String, rank: usize) -> Arc<Self> {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0)
            .chain(after.map(|(at, _)| at + 1))
            .collect();
        Arc::new(Self {
            path: path.into(),
            text,
            lines,
            rank,
        })
    }

    /// The path as people would type it.
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The order in which it was read.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many lines begin at or before `offset`; at least one does.
    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).max(1)
    }

    /// The first byte of the line that `offset` is on.
    fn line_start(&self, offset: usize) -> usize {
        self.lines.get(self.line(offset) - 1).copied().unwrap_or(0)
    }
}

impl Spot {
    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.source.line(self.start())
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        let line = self.source.line_start(self.start())..self.start();
        let before = self.source.text.get(line).unwrap_or_default();
        before.chars().count() + 1
    }

    fn start(&self) -> usize {
        self.source.text.floor_char_boundary(self.span.start)
    }

    /// The line that the place begins on, made printable, and cut around the place when it is very long.
    pub(super) fn excerpt(&self) -> Excerpt {
        const BEFORE: usize = 2000;
        const AFTER: usize = 200;
        let text = self.source.text();
        let start = self.start();
        let first = self.source.line_start(start);
        let rest = text.get(start..).unwrap_or_default();
        let last = start + rest.find(['\n', '\r']).unwrap_or(rest.len());

        let from = text.ceil_char_boundary(first.max(start.saturating_sub(BEFORE)));
        let to = text.floor_char_boundary(last.min(start + AFTER)).max(start);
        let end = text.ceil_char_boundary(self.span.end).clamp(start, to);
        let clean = |range: Range<usize>| {
            let piece = text.get(range).unwrap_or_default();
            piece.chars().map(printable).collect::<String>()
        };
        let (before, inside) = (clean(from..start), clean(start..end));
        Excerpt {
            range: before.len()..before.len() + inside.len(),
            line: before + &inside + &clean(end..to),
            whole: from == first,
        }
    }
}

/// A line of a file as it may be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) line: String,
    /// The bytes of `line` that are meant.
    pub(super) range: Range<usize>,
    /// Whether it begins where the line begins, so that columns count true.
    pub(super) whole: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(text: &str, start: usize, end: usize) -> Spot {
        Spot {
            source: Source::new("a.yaml", text.to_owned(), 0),
            span: Span { start, end },
        }
    }

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let at = spot("a: 1\nbä: ö\n", 10, 12);
        assert_eq!((at.line(), at.column()), (2, 5));
        assert_eq!((&*at.excerpt().line, at.excerpt().range), ("bä: ö", 5..7));
    }

    #[test]
    fn a_place_beyond_the_text_or_inside_a_character_does_no_harm() {
        assert_eq!(spot("ä", 1, 900).excerpt().range, 0..2);
        assert_eq!(spot("ab", 70, 9).excerpt().range, 2..2);
        assert_eq!(spot("", 0, 0).line(), 1);
    }

    #[test]
    fn long_lines_are_cut_and_controls_do_not_get_through() {
        let text = format!("{}\u{1b}[2J{}", "x".repeat(9000), "y".repeat(9000));
        let Excerpt { line, range, whole } = spot(&text, 9000, 9004).excerpt();
        assert!(line.len() < 3000 && !line.contains('\u{1b}') && !whole);
        assert_eq!(line.get(range), Some("\u{fffd}[2J"));
    }
}
