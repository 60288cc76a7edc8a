//! Interpreters, and how they read a command line: past their own options, to what they run.

use super::options::Takes;

/// A kind of interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `CPython` and `PyPy`.
    Python,
    /// Node.
    Node,
    /// Deno.
    Deno,
    /// Bun.
    Bun,
    /// Ruby.
    Ruby,
    /// Perl.
    Perl,
    /// PHP on the command line.
    Php,
    /// The sh family, csh, fish and their kin.
    Shell,
    /// A Java virtual machine.
    Java,
    /// .NET's host.
    Dotnet,
}

impl Family {
    /// By the file name of an executable, a version after it allowed: `python3.11`, `php8.2`, `ksh93`.
    pub fn of(image: &[u8]) -> Option<Self> {
        let end = image
            .iter()
            .position(u8::is_ascii_digit)
            .unwrap_or(image.len());
        let base = image.get(..end)?;
        let base = match base.split_last() {
            Some((b'-' | b'.' | b'_', base)) if end < image.len() => base,
            Some(_) | None => base,
        };
        Some(match base {
            b"python" | b"pythonw" | b"Python" | b"pypy" => Self::Python,
            b"node" | b"nodejs" => Self::Node,
            b"deno" => Self::Deno,
            b"bun" | b"bunx" => Self::Bun,
            b"ruby" | b"truffleruby" => Self::Ruby,
            b"perl" => Self::Perl,
            b"php" => Self::Php,
            b"sh" | b"bash" | b"rbash" | b"dash" | b"ash" | b"hush" | b"posh" | b"zsh"
            | b"rzsh" | b"ksh" | b"rksh" | b"mksh" | b"lksh" | b"oksh" | b"pdksh" | b"yash"
            | b"csh" | b"tcsh" | b"fish" | b"nu" | b"elvish" => Self::Shell,
            b"java" => Self::Java,
            b"dotnet" => Self::Dotnet,
            _ => return None,
        })
    }

    /// Whether programs in it are known to write a title over their arguments.
    pub(super) const fn rewrites_titles(self) -> bool {
        match self {
            Self::Python
            | Self::Node
            | Self::Deno
            | Self::Bun
            | Self::Ruby
            | Self::Perl
            | Self::Php => true,
            Self::Shell | Self::Java | Self::Dotnet => false,
        }
    }
}

/// Whose options are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Grammar {
    /// An interpreter's.
    Of(Family),
    /// fish, whose letters mean other things than sh's.
    Fish,
    /// `coverage run`.
    Coverage,
    /// `cProfile`.
    Profiler,
    /// `pdb`.
    Pdb,
    /// `debugpy`.
    Debugpy,
    /// A launcher whose options take no values.
    Plain,
}

/// What the options lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// Nothing: a prompt or standard input.
    Nothing,
    /// Code among the arguments.
    Code,
    /// A module, by name.
    Module(&'a [u8]),
    /// A script, by path, or the first word that is no option.
    Script(&'a [u8]),
}

/// Reads options until it is clear what runs; also gives the words after it.
pub(super) fn walk<'a, 'w>(
    grammar: Grammar,
    mut words: &'w [&'a [u8]],
) -> (Found<'a>, &'w [&'a [u8]]) {
    while let Some((&word, rest)) = words.split_first() {
        words = rest;
        match grammar.class(word) {
            Class::End => {
                return found(Found::Script, None, words);
            }
            Class::Input => return (Found::Nothing, words),
            Class::Skip => continue,
            Class::Word => return (Found::Script(word), words),
            Class::Option => {}
        }
        let (takes, attached) = grammar.option(word);
        match takes {
            Takes::Nothing | Takes::Digits | Takes::Rest => {}
            Takes::Value => {
                if attached.is_none() {
                    words = words.get(1..).unwrap_or_default();
                }
            }
            Takes::Code => return (Found::Code, words),
            Takes::Input => return (Found::Nothing, words),
            Takes::Module => return found(Found::Module, attached, words),
            Takes::Script => return found(Found::Script, attached, words),
        }
    }
    (Found::Nothing, words)
}

/// The value of an option that names what runs: attached, or else the next word.
fn found<'a, 'w>(
    as_what: fn(&'a [u8]) -> Found<'a>,
    attached: Option<&'a [u8]>,
    words: &'w [&'a [u8]],
) -> (Found<'a>, &'w [&'a [u8]]) {
    match (attached, words.split_first()) {
        (Some(value), _) => (as_what(value), words),
        (None, Some((&value, rest))) => (as_what(value), rest),
        (None, None) => (Found::Nothing, words),
    }
}

/// What a word is before its options are looked up.
enum Class {
    /// `--`: the next word is no option.
    End,
    /// `-`: standard input.
    Input,
    /// Neither option nor file.
    Skip,
    /// No option.
    Word,
    /// One option or several.
    Option,
}

impl Grammar {
    /// The grammar of an interpreter by its family and file name.
    pub(super) fn of(family: Family, image: &[u8]) -> Self {
        match family {
            Family::Shell if image == b"fish" => Self::Fish,
            Family::Python
            | Family::Node
            | Family::Deno
            | Family::Bun
            | Family::Ruby
            | Family::Perl
            | Family::Php
            | Family::Shell
            | Family::Java
            | Family::Dotnet => Self::Of(family),
        }
    }

    fn class(self, word: &[u8]) -> Class {
        match (self, word) {
            // In a shell a lone dash ends the options too.
            (_, b"--") | (Self::Of(Family::Shell), b"-" | b"+") => Class::End,
            (_, b"-") => Class::Input,
            (_, [b'-', ..]) | (Self::Of(Family::Shell), [b'+', ..]) => Class::Option,
            // A file of further options, which we cannot read; an empty word, which a rewritten title leaves behind.
            (Self::Of(Family::Java), [b'@', ..]) | (_, []) => Class::Skip,
            (_, _) => Class::Word,
        }
    }

    /// What the option or cluster of options in `word` takes, and the value attached to it.
    fn option(self, word: &[u8]) -> (Takes, Option<&[u8]>) {
        let (name, value) = match word.iter().position(|&byte| byte == b'=') {
            Some(equals) => (
                word.get(..equals).unwrap_or(word),
                word.get(equals.saturating_add(1)..),
            ),
            None => (word, None),
        };
        if word.starts_with(b"--") || !self.clusters() {
            return (self.long(name), value);
        }
        let mut letters = word.get(1..).unwrap_or_default();
        while let Some((&letter, rest)) = letters.split_first() {
            letters = rest;
            match self.short(letter) {
                Takes::Nothing => {}
                Takes::Digits => {
                    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    letters = rest.get(digits..).unwrap_or_default();
                }
                Takes::Rest => return (Takes::Nothing, None),
                takes @ (Takes::Value
                | Takes::Code
                | Takes::Input
                | Takes::Module
                | Takes::Script) => return (takes, (!rest.is_empty()).then_some(rest)),
            }
        }
        (Takes::Nothing, None)
    }
}
