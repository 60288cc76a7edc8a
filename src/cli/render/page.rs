//! Lines, and columns that line up.

use std::fmt::Display;

use super::paint::{Paint, Tone};

/// Text of several lines, each ended by a newline.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// Adds a line.
    pub(super) fn line(&mut self, line: impl Display) {
        self.0.push_str(&line.to_string());
        self.0.push('\n');
    }

    /// Adds lines that are ended already.
    pub(super) fn block(&mut self, lines: &str) {
        self.0.push_str(lines);
    }

    /// Adds an empty line.
    pub(super) fn gap(&mut self) {
        self.0.push('\n');
    }

    /// All of it.
    pub(super) fn text(self) -> String {
        self.0
    }
}

/// Which way a column leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lean {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Lines up `rows` under `heads`. The last column is not padded, so lines have no trailing space.
pub(super) fn table(heads: &[(&str, Lean)], rows: &[Vec<String>], paint: Paint) -> String {
    let width = |column: usize, head: &str| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .fold(head.chars().count(), usize::max)
    };
    let columns: Vec<(Lean, usize)> = heads
        .iter()
        .enumerate()
        .map(|(column, (head, lean))| (*lean, width(column, head)))
        .collect();
    let lay = |cells: &[String]| {
        let mut line = String::new();
        for (cell, (lean, width)) in cells.iter().zip(&columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            match lean {
                Lean::Left => line.extend([cell.as_str(), &fill(cell, *width)]),
                Lean::Right => line.extend([&fill(cell, *width), cell.as_str()]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    };
    let head: Vec<String> = heads.iter().map(|(head, _)| (*head).to_owned()).collect();
    let mut page = Page::default();
    page.line(paint.tone(Tone::Faint, lay(&head)));
    for row in rows {
        page.line(lay(row));
    }
    page.text()
}

/// The spaces that a cell lacks.
fn fill(cell: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(cell.chars().count()))
}
