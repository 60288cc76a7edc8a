//! What is said on standard error while a command runs, and after.

use std::io::IsTerminal;

use super::Args;
use super::asserts::Over;
use super::voice::Voice;
use crate::cli::render::words;
use crate::control::wire::Safe;
use crate::daemon::run::{Account, Ended, Figures, Leftover, Oom, Proof, Word};
use crate::engine::units::Span;

/// So many who are left are told by name.
const TOLD: usize = 8;

/// Who says it.
pub(super) struct Teller {
    program: Safe,
    quiet: bool,
    /// A line of figures that is drawn over: only where nothing else is on the screen.
    draws: bool,
    drawn: bool,
    voice: Voice,
}

impl Teller {
    pub(super) fn new(args: &Args) -> Self {
        let program = args.command.first();
        let program = program.map(|program| program.to_string_lossy().into_owned());
        // What has the terminal for its output may draw on it itself, and so may the reader of a pipe.
        let alone = std::io::stderr().is_terminal() && goes_to_a_file();
        Self {
            program: Safe::word(&program.unwrap_or_default()),
            quiet: args.quiet,
            draws: alone && !args.quiet,
            drawn: false,
            voice: Voice::default(),
        }
    }

    pub(super) fn tell(&mut self, word: &Word) {
        match word {
            Word::Signal {
                signal,
                targets,
                evidence,
            } => self.say(&format!(
                "{}: SIG{} to {}",
                words::evidence(evidence),
                signal.word(),
                words::processes(*targets as u64)
            )),
            Word::Leftover {
                signal,
                targets,
                first,
            } => self.say(&format!(
                "left behind by {}: SIG{} to {}: {}",
                self.program,
                signal.word(),
                words::processes(*targets as u64),
                named(first, *targets)
            )),
            Word::Progress(figures) => self.draw(figures),
        }
    }

    fn say(&mut self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// Says it also where nothing is to be said.
    pub(super) fn insist(&mut self, text: &str) {
        self.clear();
        self.voice.say(format!("beadle: {text}\n"));
    }

    fn draw(&mut self, figures: &Figures) {
        if self.draws && in_foreground() {
            self.drawn = true;
            self.voice.draw(format!(
                "\r\x1b[Kbeadle: {} · CPU {} · {} · {}\r",
                Span(figures.wall),
                Span(figures.cpu),
                figures.memory,
                words::processes(figures.processes)
            ));
        }
    }

    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.voice.draw("\r\x1b[K".to_owned());
        }
    }

    /// Says what came of it, where that is not what was wanted.
    pub(super) fn close(mut self, account: &Account, over: &[Over]) {
        for line in closing(&self.program, account) {
            self.say(&line);
        }
        // Somebody who is left is no news to be kept back, and no part of what was asked not to be said.
        let left = &account.leftovers.left;
        if self.quiet && !left.is_empty() {
            self.insist(&format!(
                "left behind by {}, and STILL THERE: {}",
                self.program,
                named(left, left.len())
            ));
        }
        for one in over {
            self.say(&one.to_string());
        }
        self.voice.finish();
    }
}

/// Some of so many, by number and name.
fn named(some: &[Leftover], all: usize) -> String {
    let who: Vec<String> = some
        .iter()
        .take(TOLD)
        .map(|one| format!("{} ({})", one.pid, one.name))
        .collect();
    let more = match all > who.len() {
        true => ", …",
        false => "",
    };
    format!("{}{more}", who.join(", "))
}

/// The last words: why beadle ended it, whose signal it was, and what it left behind.
fn closing(program: &Safe, account: &Account) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(sentence) = &account.sentence {
        let signals: Vec<String> = sentence
            .signals
            .iter()
            .map(|signal| format!("SIG{}", signal.word()))
            .collect();
        lines.push(format!(
            "ended {program} after {}: {} ({}); {}",
            Span(account.wall),
            words::evidence(&sentence.evidence),
            signals.join(", "),
            rest(account)
        ));
    } else if account.ended == Ended::Killed(libc::SIGKILL) {
        let by = match account.oom {
            Oom::Here(_) => "by the kernel, for want of memory".to_owned(),
            Oom::Somewhere => {
                "not by beadle; the kernel ended a process for want of memory meanwhile".to_owned()
            }
            Oom::Nobody => "not by beadle, and not for want of memory".to_owned(),
        };
        lines.push(format!("{program} was killed {by}"));
    }
    let left = &account.leftovers;
    let some = left.asked.max(left.ended).max(left.left.len());
    if account.sentence.is_none() && some > 0 {
        let some = words::processes(some as u64);
        lines.push(format!("{program} left {some} behind; {}", rest(account)));
    }
    lines
}

/// Who is left, and how that is known.
fn rest(account: &Account) -> String {
    let left = &account.leftovers;
    match left.proof {
        Proof::NoChild => "nobody is left".to_owned(),
        Proof::EmptyGroup => "nobody is left, and its control group is empty".to_owned(),
        Proof::OnlyKept => format!(
            "{} kept, nobody else is left",
            words::processes(left.kept.len() as u64)
        ),
        Proof::None => {
            format!("STILL THERE: {}", named(&left.left, left.left.len()))
        }
    }
}

/// Whether standard output is a file.
fn goes_to_a_file() -> bool {
    let kind = rustix::fs::fstat(std::io::stdout()).map(|stat| stat.st_mode);
    kind.is_ok_and(|mode| rustix::fs::FileType::from_raw_mode(mode).is_file())
}

/// Whether our group has the terminal of standard error.
fn in_foreground() -> bool {
    rustix::termios::tcgetpgrp(std::io::stderr())
        .is_ok_and(|group| group == rustix::process::getpgrp())
}
