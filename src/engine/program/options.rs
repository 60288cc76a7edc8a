//! The options of interpreters: which take a value, which name what is run.
//!
//! **Why tables.** `python -W error x.py` runs `x`, `python -c error x.py` runs code: only the interpreter's own grammar
//! tells. An option that is not listed is taken for a switch.

use super::interpreter::{Family, Grammar};

/// What an option takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
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

impl Grammar {
    /// Whether short options may share one dash.
    pub(super) const fn clusters(self) -> bool {
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

    /// What a letter behind one dash takes.
    pub(super) fn short(self, letter: u8) -> Takes {
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

    /// What an option in words takes, its dashes included.
    pub(super) fn long(self, name: &[u8]) -> Takes {
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
