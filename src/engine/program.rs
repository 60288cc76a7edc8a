//! What really runs: the program that a person would name when asked what a process *is*.
//!
//! `python -m pytest`, `-mpytest` and `/usr/bin/pytest` are all `pytest`; `java -jar agent.jar` is `agent`.
//!
//! # What counts
//! - **An executable that is no interpreter** is its file name, whole: `Runner.Listener` keeps its dot. For a
//!   multi-call binary (busybox) it is the applet.
//! - **An interpreter** is the module or script after its own options, without folder and without a script's
//!   extension; `__main__.py` is its folder. Only known extensions go: `py.test` keeps its dot. Java is the last part of
//!   the class name, Deno the last part of the specifier.
//! - **An interpreter that runs no file** (`-c code`, standard input, a prompt, a subcommand such as `dotnet test` or
//!   `deno test`) is the interpreter, by its file name: `python3.11`, `bash`, `dotnet`.
//! - **A launcher that becomes what it launches**, in the same process, is seen through: `bundle exec rspec` is `rspec`,
//!   `coverage run -m pytest` is `pytest`. A launcher that starts a child and waits is itself: `npm exec`, `npx`,
//!   `bun run dev`, `dotnet run`, `timeout`, `sudo`.
//! - **A rewritten title** (`npm run dev` or `node (vitest 1)` as the only argument of an interpreter) counts by its first
//!   word, or by the word in parentheses after the interpreter's own name: the real arguments are gone.
//!
//! Everything but the executable is the process's own word, and comm is used only when there is nothing else. That is
//! good enough to find what a rule means and never good enough to spare anybody: see [`super::guard`].

mod interpreter;
mod name;
mod options;
#[cfg(test)]
mod tests;

use super::facts::{Facts, Place, Read};
use super::process::Text;

pub use interpreter::Family;
use interpreter::{Found, Grammar};
use name::{
    all_empty, deno_name, first_word, has_blank, is_stream, java_name, last_part, module_name,
    script_name, unwrapped, without_dash,
};

/// Arguments looked at; who hides a script behind more options than this is its interpreter.
const MOST_ARGUMENTS: usize = 4096;

/// What a command line runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running<'a> {
    /// What really runs.
    pub name: &'a [u8],
    /// The file name of the executable, the applet of a multi-call binary; what the process calls itself where the
    /// executable is not known.
    pub image: &'a [u8],
    /// Which interpreter, if it is one.
    pub family: Option<Family>,
    /// What the interpreter was given to run.
    pub form: Form,
}

/// What a process was given to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It is no interpreter.
    Native,
    /// An interpreter with nothing to run: a prompt, or code on standard input.
    Bare,
    /// Code among the arguments, or a subcommand of the interpreter's own.
    Inline,
    /// A script or module.
    Script,
}

/// The name of what really runs; never empty unless everything given is.
pub fn resolve(exe: Option<&Place>, args: &[Text], comm: &Text) -> Text {
    Text::new(running(exe, args, comm).name)
}

/// The best name there is, for people; `None` when neither executable nor arguments nor comm tells.
pub fn of(facts: &Facts) -> Option<Text> {
    let args = facts.args.known().map_or(&[][..], Vec::as_slice);
    let name = running(facts.exe.known(), args, &facts.comm).name;
    (!name.is_empty()).then(|| Text::new(name))
}

/// What runs, as far as it is *known*: `None` where a missing fact could change the answer. For matching.
pub fn known(facts: &Facts) -> Option<Running<'_>> {
    let args = facts.args.known().map(Vec::as_slice);
    if facts.kernel_thread {
        return Some(running(None, &[], &facts.comm));
    }
    match (&facts.exe, args) {
        (Read::Known(exe), Some(args)) => Some(running(Some(exe), args, &facts.comm)),
        (Read::Known(exe), None) => {
            let running = running(Some(exe), &[], &facts.comm);
            // Without arguments an interpreter, or a multi-call binary, is not known by its file name.
            (running.form == Form::Native && !is_multi_call(running.image)).then_some(running)
        }
        // The executable of another user's process cannot be read, its arguments can. comm alone names an interpreter
        // at best, so it does not count.
        (Read::Denied | Read::Gone, Some(args))
            if args.iter().any(|arg| !arg.bytes().is_empty()) =>
        {
            Some(running(None, args, &facts.comm))
        }
        (Read::Denied | Read::Gone | Read::Late | Read::NotAsked, Some(_) | None) => None,
    }
}

/// Resolves a command line. Everything returned is borrowed from what was given.
pub fn running<'a>(exe: Option<&'a Place>, args: &'a [Text], comm: &'a Text) -> Running<'a> {
    let words: Vec<&[u8]> = args.iter().take(MOST_ARGUMENTS).map(Text::bytes).collect();
    let (image, words) = image(exe, &words, comm.bytes());
    let Some(family) = Family::of(image) else {
        return Running {
            name: image,
            image,
            family: None,
            form: Form::Native,
        };
    };
    let (own, rest) = words
        .split_first()
        .map_or((&[][..], &[][..]), |(own, rest)| (*own, rest));
    let (name, form) = match title(family, own, rest) {
        Some(title) => named_by_title(family, title),
        None => run_by(family, Grammar::of(family, image), own, rest),
    };
    Running {
        name: name.filter(|name| !name.is_empty()).unwrap_or(image),
        image,
        family: Some(family),
        form,
    }
}

/// The executable's name, and the arguments from the one that names it on.
fn image<'a, 'w>(
    exe: Option<&'a Place>,
    words: &'w [&'a [u8]],
    comm: &'a [u8],
) -> (&'a [u8], &'w [&'a [u8]]) {
    let image = exe
        .map(|exe| unwrapped(exe.file_name()))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| own_name(words, comm));
    if !is_multi_call(image) {
        return (image, words);
    }
    // `sh script` through a link named sh, or `busybox sh script`.
    let applet = words
        .iter()
        .take(2)
        .position(|word| !is_multi_call(last_part(without_dash(word))));
    match applet.and_then(|at| words.get(at..)) {
        Some(words @ [applet, ..]) if !without_dash(applet).starts_with(b"-") => {
            let name = last_part(without_dash(applet));
            if name.is_empty() {
                (image, words)
            } else {
                (name, words)
            }
        }
        Some(_) | None => (image, words),
    }
}

fn is_multi_call(image: &[u8]) -> bool {
    image.starts_with(b"busybox") || image == b"toybox"
}

/// What a process calls itself, where its executable cannot be read.
fn own_name<'a>(words: &[&'a [u8]], comm: &'a [u8]) -> &'a [u8] {
    let Some((&own, rest)) = words.split_first() else {
        return comm;
    };
    let whole = last_part(without_dash(own));
    let name = if has_blank(own) && all_empty(rest) && !is_cut_to(whole, comm) {
        first_word(own)
    } else {
        whole
    };
    if name.is_empty() { comm } else { name }
}

/// Whether comm is this name, or the first 15 bytes of it.
pub(super) fn is_cut_to(name: &[u8], comm: &[u8]) -> bool {
    name == comm || (comm.len() == 15 && name.starts_with(comm))
}

/// The only argument, where it is a title that the process wrote over its arguments.
fn title<'a>(family: Family, own: &'a [u8], rest: &[&[u8]]) -> Option<&'a [u8]> {
    let rewritten = family.rewrites_titles()
        && all_empty(rest)
        && !own.iter().all(|&byte| byte == b' ')
        && Family::of(last_part(without_dash(own))).is_none();
    rewritten.then_some(own)
}

fn named_by_title(family: Family, title: &[u8]) -> (Option<&[u8]>, Form) {
    let word = first_word(title);
    if Family::of(word) != Some(family) {
        return (script_name(word), Form::Script);
    }
    // `node (vitest 1)`.
    let inner = title
        .iter()
        .position(|&byte| byte == b'(')
        .and_then(|open| title.get(open..))
        .map(first_word)
        .filter(|word| !word.is_empty());
    if inner.is_some() {
        return (inner, Form::Script);
    }
    // `ruby bin/rake db:migrate`, all in one argument.
    let words: Vec<&[u8]> = title
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
        .take(MOST_ARGUMENTS)
        .collect();
    match words.split_first() {
        Some((own, rest)) => run_by(family, Grammar::Of(family), own, rest),
        None => (None, Form::Bare),
    }
}

/// What an interpreter runs, by the words after its own name.
fn run_by<'a>(
    family: Family,
    grammar: Grammar,
    own: &'a [u8],
    words: &[&'a [u8]],
) -> (Option<&'a [u8]>, Form) {
    let (found, rest) = interpreter::walk(grammar, words);
    let (found, rest) = past_subcommand(family, found, rest);
    match found {
        Found::Nothing => (None, Form::Bare),
        Found::Code if last_part(own) == b"bunx" => (Some(b"bunx"), Form::Inline),
        Found::Code => (None, Form::Inline),
        Found::Module(module) | Found::Script(module) if family == Family::Java => {
            (java_name(module), Form::Script)
        }
        Found::Module(module) => {
            let name = module_name(module);
            let carried = Launcher::of_module(family, name).and_then(|it| it.becomes(rest));
            (Some(carried.unwrap_or(name)), Form::Script)
        }
        Found::Script(script) if is_stream(script) => (None, Form::Inline),
        Found::Script(script) if family == Family::Deno => (deno_name(script), Form::Script),
        Found::Script(script) => match script_name(script) {
            Some(name) => {
                let carried = Launcher::of_script(family, name).and_then(|it| it.becomes(rest));
                (Some(carried.unwrap_or(name)), Form::Script)
            }
            // `node .`: whatever the working folder holds.
            None => (None, Form::Inline),
        },
    }
}

/// Goes past the interpreter's own subcommands: `node inspect x.js`, `deno run x.ts`, `dotnet exec x.dll`.
fn past_subcommand<'a, 'w>(
    family: Family,
    found: Found<'a>,
    rest: &'w [&'a [u8]],
) -> (Found<'a>, &'w [&'a [u8]]) {
    let Found::Script(word) = found else {
        return (found, rest);
    };
    let leads_on = match family {
        Family::Node => matches!(word, b"inspect" | b"debug"),
        Family::Deno => matches!(word, b"run" | b"serve"),
        Family::Bun => word == b"run",
        Family::Dotnet => word == b"exec",
        Family::Python
        | Family::Ruby
        | Family::Perl
        | Family::Php
        | Family::Shell
        | Family::Java => false,
    };
    let (found, rest) = if leads_on {
        interpreter::walk(Grammar::Of(family), rest)
    } else {
        (found, rest)
    };
    let Found::Script(word) = found else {
        return (found, rest);
    };
    let runs_a_file = match family {
        // `deno test`, `bun run dev`: a subcommand, or a script of the package that runs in a child.
        Family::Deno | Family::Bun => word.iter().any(|byte| b"/.:".contains(byte)),
        Family::Dotnet => word.ends_with(b".dll") || word.ends_with(b".exe"),
        Family::Python
        | Family::Node
        | Family::Ruby
        | Family::Perl
        | Family::Php
        | Family::Shell
        | Family::Java => true,
    };
    (if runs_a_file { found } else { Found::Code }, rest)
}

/// A program that becomes what it launches, in its own process.
struct Launcher {
    /// The subcommand that does so; `None` when there is no other.
    verb: Option<&'static [u8]>,
    grammar: Grammar,
}

impl Launcher {
    fn of_script(family: Family, name: &[u8]) -> Option<Self> {
        let (verb, grammar) = match (family, name) {
            (Family::Ruby, b"bundle" | b"bundler") => (Some(&b"exec"[..]), Grammar::Plain),
            (Family::Python, b"coverage" | b"coverage3") => (Some(&b"run"[..]), Grammar::Coverage),
            (Family::Python, b"debugpy") => (None, Grammar::Debugpy),
            (_, _) => return None,
        };
        Some(Self { verb, grammar })
    }

    /// As a module these names are Python's own; a script called `profile.py` is anybody's.
    fn of_module(family: Family, name: &[u8]) -> Option<Self> {
        let grammar = match name {
            b"cProfile" | b"profile" => Grammar::Profiler,
            b"pdb" => Grammar::Pdb,
            _ => return Self::of_script(family, name),
        };
        Some(Self {
            verb: None,
            grammar,
        })
    }

    fn becomes<'a>(&self, words: &[&'a [u8]]) -> Option<&'a [u8]> {
        let words = match (self.verb, words.split_first()) {
            (Some(verb), Some((&word, rest))) if word == verb => rest,
            (Some(_), _) => return None,
            (None, _) => words,
        };
        match interpreter::walk(self.grammar, words).0 {
            Found::Module(module) => Some(module_name(module)),
            Found::Script(script) => script_name(script),
            Found::Code | Found::Nothing => None,
        }
    }
}
