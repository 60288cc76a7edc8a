//! Interpreters and how each reads its own options: which take a value, which name what is run.
//!
//! **Why tables.** `python -W error x.py` runs `x`, `python -c error x.py` runs code: only the interpreter's own grammar
//! tells. An option that is not listed is taken for a switch.

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

/// What an option takes.
#[derive(Clone, Copy, Debug)]
enum Takes {
    /// Nothing: a switch.
    Nothing,
    /// Octal digits, attached, if there are any.
    Digits,
    /// The rest of its own argument, if there is any.
    Rest,
    /// The rest of its argument, else the next one.
    Value,
    /// Code: no file is run.
    Code,
    /// It makes the interpreter read standard input.
    Input,
    /// A module to run.
    Module,
    /// A file to run.
    Script,
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

    /// Whether short options may share one dash.
    const fn clusters(self) -> bool {
        match self {
            Self::Of(
                Family::Python | Family::Ruby | Family::Perl | Family::Php | Family::Shell,
            )
            | Self::Fish
            | Self::Coverage
            | Self::Profiler
            | Self::Pdb => true,
            Self::Of(Family::Node | Family::Deno | Family::Bun | Family::Java | Family::Dotnet)
            | Self::Debugpy
            | Self::Plain => false,
        }
    }

    fn short(self, letter: u8) -> Takes {
        match self {
            Self::Of(Family::Python) => match letter {
                b'c' => Takes::Code,
                b'm' => Takes::Module,
                b'W' | b'X' => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Of(Family::Ruby) => match letter {
                b'e' => Takes::Code,
                b'I' | b'r' | b'C' | b'X' | b'E' => Takes::Value,
                b'F' | b'K' | b'i' | b'W' | b'x' | b'T' => Takes::Rest,
                b'0' => Takes::Digits,
                _ => Takes::Nothing,
            },
            Self::Of(Family::Perl) => match letter {
                b'e' | b'E' => Takes::Code,
                b'I' => Takes::Value,
                b'M' | b'm' | b'F' | b'i' | b'x' | b'C' | b'D' | b'd' | b'V' => Takes::Rest,
                b'0' | b'l' => Takes::Digits,
                _ => Takes::Nothing,
            },
            Self::Of(Family::Php) => match letter {
                // -S serves a folder: PHP itself is what runs.
                b'r' | b'R' | b'B' | b'E' | b'S' => Takes::Code,
                b'f' | b'F' => Takes::Script,
                b'd' | b'c' | b'z' | b't' => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Of(Family::Shell) => match letter {
                b'c' => Takes::Code,
                b's' => Takes::Input,
                b'o' | b'O' => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Fish => match letter {
                b'c' => Takes::Code,
                b'C' | b'd' | b'o' | b'p' | b'f' => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Coverage => match letter {
                b'm' => Takes::Module,
                _ => Takes::Nothing,
            },
            Self::Profiler => match letter {
                b'm' => Takes::Module,
                b'o' | b's' => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Pdb => match letter {
                b'm' => Takes::Module,
                b'c' => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Of(Family::Node | Family::Deno | Family::Bun | Family::Java | Family::Dotnet)
            | Self::Debugpy
            | Self::Plain => Takes::Nothing,
        }
    }

    fn long(self, name: &[u8]) -> Takes {
        match self {
            Self::Of(Family::Python) => match name {
                b"--check-hash-based-pycs" => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Of(Family::Ruby) => match name {
                b"--encoding"
                | b"--external-encoding"
                | b"--internal-encoding"
                | b"--enable"
                | b"--disable"
                | b"--dump"
                | b"--parser" => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Of(Family::Php) => match name {
                b"--run" | b"--process-begin" | b"--process-code" | b"--process-end"
                | b"--server" => Takes::Code,
                b"--file" | b"--process-file" => Takes::Script,
                b"--define" | b"--php-ini" | b"--zend-extension" | b"--docroot" => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Of(Family::Shell) | Self::Fish => match name {
                b"--command" | b"--commands" => Takes::Code,
                b"--rcfile" | b"--init-file" | b"--init-command" | b"--emulate" | b"--config"
                | b"--env-config" | b"--features" | b"--profile" | b"--debug-output" => {
                    Takes::Value
                }
                _ => Takes::Nothing,
            },
            Self::Of(Family::Node) => node(name),
            Self::Of(Family::Deno) => deno(name),
            Self::Of(Family::Bun) => bun(name),
            Self::Of(Family::Java) => java(name),
            Self::Of(Family::Dotnet) => match name {
                b"--additionalprobingpath"
                | b"--additional-deps"
                | b"--depsfile"
                | b"--fx-version"
                | b"--roll-forward"
                | b"--roll-forward-on-no-candidate-fx"
                | b"--runtimeconfig" => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Coverage => match name {
                b"--module" => Takes::Module,
                b"--rcfile" | b"--source" | b"--omit" | b"--include" | b"--context"
                | b"--data-file" | b"--concurrency" | b"--debug" => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Profiler => match name {
                b"--outfile" | b"--sort" => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Debugpy => match name {
                b"-m" => Takes::Module,
                b"-c" => Takes::Code,
                b"--listen"
                | b"--connect"
                | b"--log-to"
                | b"--parent-session-pid"
                | b"--adapter-access-token" => Takes::Value,
                name if name.starts_with(b"--configure-") => Takes::Value,
                _ => Takes::Nothing,
            },
            Self::Of(Family::Perl) | Self::Pdb | Self::Plain => Takes::Nothing,
        }
    }
}

/// Node takes a separate value for each of its own options that has one; V8's options need `=`.
fn node(name: &[u8]) -> Takes {
    match name {
        // --test and --run start children for what they run.
        b"-e" | b"--eval" | b"-p" | b"-pe" | b"--print" | b"--run" | b"--test" => Takes::Code,
        b"-i" | b"--interactive" => Takes::Input,
        b"-r"
        | b"--require"
        | b"--import"
        | b"--loader"
        | b"--experimental-loader"
        | b"-C"
        | b"--conditions"
        | b"--env-file"
        | b"--env-file-if-exists"
        | b"--title"
        | b"--input-type"
        | b"--inspect-port"
        | b"--debug-port"
        | b"--inspect-publish-uid"
        | b"--icu-data-dir"
        | b"--max-http-header-size"
        | b"--diagnostic-dir"
        | b"--redirect-warnings"
        | b"--disable-warning"
        | b"--disable-proto"
        | b"--trace-event-categories"
        | b"--trace-event-file-pattern"
        | b"--unhandled-rejections"
        | b"--dns-result-order"
        | b"--cpu-prof-dir"
        | b"--cpu-prof-name"
        | b"--cpu-prof-interval"
        | b"--heap-prof-dir"
        | b"--heap-prof-name"
        | b"--heap-prof-interval"
        | b"--report-dir"
        | b"--report-directory"
        | b"--report-filename"
        | b"--report-signal"
        | b"--openssl-config"
        | b"--tls-keylog"
        | b"--tls-cipher-list"
        | b"--secure-heap"
        | b"--secure-heap-min"
        | b"--heapsnapshot-signal"
        | b"--heapsnapshot-near-heap-limit"
        | b"--localstorage-file"
        | b"--test-reporter"
        | b"--test-reporter-destination"
        | b"--test-name-pattern"
        | b"--test-skip-pattern"
        | b"--test-shard"
        | b"--test-concurrency"
        | b"--test-timeout"
        | b"--watch-path"
        | b"--allow-fs-read"
        | b"--allow-fs-write"
        | b"--v8-pool-size"
        | b"--experimental-default-type"
        | b"--experimental-policy"
        | b"--policy-integrity"
        | b"--experimental-sea-config"
        | b"--build-snapshot-config"
        | b"--snapshot-blob"
        | b"--es-module-specifier-resolution"
        | b"--experimental-specifier-resolution"
        | b"--network-family-autoselection-attempt-timeout"
        | b"--trace-require-module"
        | b"--experimental-config-file"
        | b"--stack-trace-limit" => Takes::Value,
        _ => Takes::Nothing,
    }
}

/// Deno's permissions and its optional values need `=`.
fn deno(name: &[u8]) -> Takes {
    match name {
        b"-c" | b"--config" | b"--import-map" | b"--location" | b"--seed" | b"--cert"
        | b"--ext" | b"-L" | b"--log-level" | b"--preload" | b"--import" | b"--require"
        | b"--conditions" | b"--port" | b"--host" => Takes::Value,
        _ => Takes::Nothing,
    }
}

fn bun(name: &[u8]) -> Takes {
    match name {
        b"-e" | b"--eval" | b"-p" | b"--print" => Takes::Code,
        b"-r"
        | b"--preload"
        | b"--require"
        | b"--import"
        | b"--cwd"
        | b"--env-file"
        | b"-c"
        | b"--config"
        | b"-d"
        | b"--define"
        | b"-l"
        | b"--loader"
        | b"--port"
        | b"--conditions"
        | b"-F"
        | b"--filter"
        | b"--tsconfig-override"
        | b"--shell"
        | b"--install"
        | b"--main-fields"
        | b"--extension-order"
        | b"--title"
        | b"--elide-lines"
        | b"--max-http-header-size"
        | b"--dns-result-order"
        | b"--unhandled-rejections"
        | b"--console-depth"
        | b"--user-agent"
        | b"--drop" => Takes::Value,
        _ => Takes::Nothing,
    }
}

/// `-jar` is a switch: the jar is the first word after all options.
fn java(name: &[u8]) -> Takes {
    match name {
        b"-m" | b"--module" => Takes::Module,
        b"-cp"
        | b"-classpath"
        | b"--class-path"
        | b"-p"
        | b"--module-path"
        | b"--upgrade-module-path"
        | b"--add-modules"
        | b"--limit-modules"
        | b"--add-exports"
        | b"--add-opens"
        | b"--add-reads"
        | b"--patch-module"
        | b"--enable-native-access"
        | b"-d"
        | b"--describe-module"
        | b"--source" => Takes::Value,
        _ => Takes::Nothing,
    }
}
