//! `ladder`: what happens, in order.

use std::sync::Arc;
use std::time::Duration;

use super::exec;
use crate::config::diagnostic::{Problem, quoted};
use crate::config::quantity;
use crate::config::reader::Reader;
use crate::config::source::Span;
use crate::config::table::{Key, Shape, Table};
use crate::config::words::nearest;
use crate::config::yaml::{Entry, Node, Value};
use crate::engine::rule::{Command, Signal, Stage, StageAct, To};

/// The stages, checked against each other.
pub(in crate::config) type LadderDraft = Vec<Stage>;

/// Real signals that no ladder sends, and why.
const OTHERS: [(&str, &str); 6] = [
    ("STOP", "`freeze` stops the tree, and lets it go on again"),
    (
        "CONT",
        "what was found stopped is continued by itself, after TERM",
    ),
    ("TSTP", "a stopped tree holds its locks for ever"),
    ("ABRT", "QUIT asks for a core as well"),
    ("SEGV", "QUIT asks for a core"),
    ("PIPE", "TERM asks to leave"),
];
/// Stages of the language that this version does not carry out.
const NOT_YET: [&str; 1] = ["capture"];

/// A stage as far as read.
#[derive(Default)]
pub(in crate::config) struct StageDraft {
    after: Option<Duration>,
    acts: Vec<StageAct>,
    timeout: Option<(Span, Option<Duration>)>,
    abrupt: bool,
}

/// A signal as far as read.
#[derive(Default)]
pub(in crate::config) struct SignalDraft {
    signal: Option<Signal>,
    to: To,
}

/// The keys of a stage.
pub(in crate::config) static STAGE: Table<StageDraft> = Table {
    name: "stage",
    what: "a stage",
    keys: &[
        Key::sets(
            "after",
            "Time since the stage before.",
            Shape::Duration,
            |draft, entry, reader| {
                draft.after =
                    reader.quantity(&entry.node, "a duration such as `5m`", quantity::duration);
            },
        ),
        Key::sets(
            "nudge",
            "Tells people.",
            Shape::Any,
            |draft, entry, reader| {
                plain(StageAct::Nudge, draft, entry, reader);
            },
        ),
        Key::sets(
            "freeze",
            "Stops the whole tree; it goes on when the incident is over, or with the next stage that asks.",
            Shape::Any,
            |draft, entry, reader| {
                plain(StageAct::Freeze, draft, entry, reader);
            },
        ),
        Key::sets(
            "signal",
            "Sends a signal, to the whole tree unless `to` says otherwise: TERM asks, KILL ends.",
            Shape::WordOr(
                &["TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2"],
                "signal",
            ),
            |draft, entry, reader| {
                draft.acts.extend(signal(&entry.node, reader));
            },
        ),
        Key::sets(
            "abrupt",
            "`true` permits KILL without a nudge and TERM before it.",
            Shape::Flag,
            |draft, entry, reader| {
                draft.abrupt = reader.flag(&entry.node) == Some(true);
            },
        ),
        Key::sets(
            "exec",
            "Runs a program: its whole path, and its arguments. It gets the case by environment and as JSON on standard input.",
            Shape::Command,
            |draft, entry, reader| {
                let words = exec::words(&entry.node, reader);
                draft
                    .acts
                    .extend(words.map(|words| StageAct::Exec(exec::command(words, None))));
            },
        ),
        Key::sets(
            "timeout",
            "How long the program of `exec` may take before it is ended. Default `30s`.",
            Shape::Duration,
            |draft, entry, reader| {
                draft.timeout = Some((entry.at, exec::timeout(&entry.node, reader)));
            },
        ),
        Key::sets(
            "stop",
            "`unit` asks the service or container manager to stop what the tree lives in, where nobody else lives in it.",
            Shape::Words(&["unit"]),
            |draft, entry, reader| {
                let word = reader.choice(&entry.node, "what is to be stopped", &[("unit", ())]);
                draft.acts.extend(word.map(|()| StageAct::Stop));
            },
        ),
        Key::not_yet("capture", "Collects stacks, locks and files."),
    ],
    foreign: &[
        ("wait", "did you mean `after`?"),
        ("delay", "did you mean `after`?"),
        ("in", "did you mean `after`?"),
        ("run", "did you mean `exec`?"),
        ("command", "did you mean `exec`?"),
        ("kill", "did you mean `signal: KILL`?"),
        ("term", "did you mean `signal: TERM`?"),
    ],
};

/// The keys of `signal` when it is a map.
pub(in crate::config) static SIGNAL: Table<SignalDraft> = Table {
    name: "signal",
    what: "`signal`",
    keys: &[
        Key::sets(
            "name",
            "The signal, without `SIG`.",
            Shape::Words(&["TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2"]),
            |draft, entry, reader| {
                draft.signal = named(&entry.node, reader);
            },
        ),
        Key::sets(
            "to",
            "To whom: the `tree` (default), or its `root` alone while that lives. KILL is for the tree.",
            Shape::Words(&["tree", "root"]),
            |draft, entry, reader| {
                let words = [("tree", To::Tree), ("root", To::Root)];
                draft.to = reader
                    .choice(&entry.node, "an addressee", &words)
                    .unwrap_or_default();
            },
        ),
    ],
    foreign: &[],
};

/// A stage that was read whole, and where it stands.
struct Placed {
    stage: Stage,
    span: Span,
    abrupt: bool,
}

/// Decodes a ladder; `None` when any of it is wrong.
pub(super) fn read(entry: &Entry, reader: &mut Reader<'_>) -> Option<LadderDraft> {
    let before = reader.trouble();
    let nodes = reader.each(&entry.node, "stages such as `nudge`").iter();
    let stages: Vec<Option<Placed>> = nodes
        .enumerate()
        .map(|(place, node)| stage(node, place, reader))
        .collect();
    check(&stages, reader);
    if reader.trouble() > before {
        return None;
    }
    let placed = stages.into_iter().flatten();
    Some(placed.map(|placed| placed.stage).collect())
}

fn stage(node: &Node, place: usize, reader: &mut Reader<'_>) -> Option<Placed> {
    if let Value::Text(word) = &node.value {
        return bare(node, word, reader);
    }
    let mut draft = StageDraft::default();
    let before = reader.trouble();
    let given = STAGE.read(node, &mut draft, reader);
    if reader.trouble() > before {
        return None;
    }
    let act = match draft.acts.as_slice() {
        [act] => in_time(act, draft.timeout, reader)?,
        [] => {
            reader.refuse(
                node.span,
                "a stage that does nothing",
                "add `nudge`, `signal: TERM`, `freeze`, `exec: […]` or `stop: unit`",
            );
            return None;
        }
        _ => {
            reader.refuse(
                node.span,
                "a stage that does two things",
                "make them two stages, each with its `after:`",
            );
            return None;
        }
    };
    if place > 0 && !given.contains(&"after") {
        reader.refuse(
            node.span,
            "a stage that does not say when",
            "add `after:`, the time since the stage before",
        );
        return None;
    }
    Some(Placed {
        stage: Stage {
            after: draft.after.unwrap_or_default(),
            act,
        },
        span: node.span,
        abrupt: draft.abrupt,
    })
}

/// The act with the time that it may take, where it takes any.
fn in_time(
    act: &StageAct,
    timeout: Option<(Span, Option<Duration>)>,
    reader: &mut Reader<'_>,
) -> Option<StageAct> {
    match (act, timeout) {
        (_, None) => Some(act.clone()),
        (StageAct::Exec(command), Some((_, timeout))) => {
            let command = Command {
                timeout: timeout?,
                ..Command::clone(command)
            };
            Some(StageAct::Exec(Arc::new(command)))
        }
        (_, Some((at, _))) => {
            let expected = "it is for the program of `exec`";
            reader.refuse(at, "`timeout` means nothing here", expected);
            None
        }
    }
}

fn bare(node: &Node, word: &str, reader: &mut Reader<'_>) -> Option<Placed> {
    if word == "nudge" {
        let (after, act) = (Duration::ZERO, StageAct::Nudge);
        return Some(Placed {
            stage: Stage { after, act },
            span: node.span,
            abrupt: false,
        });
    }
    if word == "freeze" {
        let expected = "write `{ after: 2m, freeze }`: the time since the stage before";
        reader.refuse(node.span, "a stage that does not say when", expected);
        return None;
    }
    if word == "exec" || word == "stop" {
        let expected = match word {
            "exec" => "write `{ after: 2m, exec: [/path/to/program] }`",
            _ => "write `{ after: 2m, stop: unit }`",
        };
        reader.refuse(
            node.span,
            format!("{} says too little", quoted(word)),
            expected,
        );
        return None;
    }
    if NOT_YET.contains(&word) {
        reader.not_yet(node.span, word);
        return None;
    }
    let upper = word.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let expected = match Signal::NAMED.iter().find(|signal| signal.word() == bare) {
        Some(signal) => format!("did you mean `{{ after: 5m, signal: {} }}`?", signal.word()),
        None => match nearest(word, ["nudge"]) {
            Some(_) => "did you mean `nudge`?".to_owned(),
            None => "expected `nudge` or `{ after: 5m, signal: TERM }`".to_owned(),
        },
    };
    reader.refuse(
        node.span,
        format!("{} is not a stage", quoted(word)),
        expected,
    );
    None
}

/// A stage without settings.
fn plain(act: StageAct, draft: &mut StageDraft, entry: &Entry, reader: &mut Reader<'_>) {
    let plain = match &entry.node.value {
        Value::Null => true,
        Value::Text(text) => text == "true",
        Value::Map(entries) => entries.is_empty(),
        Value::List(_) | Value::Broken => false,
    };
    if plain {
        draft.acts.push(act);
    } else {
        let name = word(&act);
        reader.refuse(
            entry.node.span,
            format!("{name} has no settings here"),
            format!(
                "write `{key}` alone: `{{ after: 5m, {key} }}`",
                key = entry.key
            ),
        );
    }
}

fn signal(node: &Node, reader: &mut Reader<'_>) -> Option<StageAct> {
    let Value::Map(_) = &node.value else {
        return Some(StageAct::Signal(named(node, reader)?, To::Tree));
    };
    let mut draft = SignalDraft::default();
    let given = SIGNAL.read(node, &mut draft, reader);
    if !given.contains(&"name") {
        reader.refuse(node.span, "a signal without a name", "add `name: TERM`");
    }
    let signal = draft.signal?;
    if (signal, draft.to) == (Signal::Kill, To::Root) {
        reader.refuse(
            node.span,
            "KILL to the root alone leaves the rest behind",
            "leave out `to: root`, or send a signal that asks",
        );
        return None;
    }
    Some(StageAct::Signal(signal, draft.to))
}

fn named(node: &Node, reader: &mut Reader<'_>) -> Option<Signal> {
    let text = reader.text(node, "a signal such as TERM")?;
    if let Some(signal) = Signal::NAMED
        .into_iter()
        .find(|signal| signal.word() == text)
    {
        return Some(signal);
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((word, why)) = OTHERS.iter().find(|(word, _)| *word == bare) {
        reader.refuse(node.span, format!("no ladder sends {word}"), *why);
        return None;
    }
    let words = Signal::NAMED.map(Signal::word);
    let meant = match text.trim_start_matches('-') {
        "1" => Some("HUP"),
        "2" => Some("INT"),
        "3" => Some("QUIT"),
        "9" => Some("KILL"),
        "15" => Some("TERM"),
        _ => nearest(bare, words),
    };
    let expected = match meant {
        Some(word) => format!("did you mean {}?", quoted(word)),
        None => format!("expected one of {}", words.join(", ")),
    };
    reader.refuse(
        node.span,
        format!("{} is not the name of a signal", quoted(text)),
        expected,
    );
    None
}

/// How far a stage goes: a ladder never steps down. A program may be run at any height.
fn height(act: &StageAct) -> Option<u8> {
    Some(match act {
        StageAct::Exec(_) => return None,
        StageAct::Nudge => 0,
        StageAct::Freeze
        | StageAct::Stop
        | StageAct::Signal(
            Signal::Hup
            | Signal::Int
            | Signal::Quit
            | Signal::Usr1
            | Signal::Usr2
            | Signal::Term
            | Signal::Stop
            | Signal::Cont,
            _,
        ) => 1,
        StageAct::Signal(Signal::Kill, _) => 2,
    })
}

/// Holds the stages against each other; one that could not be read may have been anything.
fn check(stages: &[Option<Placed>], reader: &mut Reader<'_>) {
    let mut below: Vec<StageAct> = Vec::new();
    let mut whole = true;
    for stage in stages {
        let Some(placed) = stage else {
            whole = false;
            continue;
        };
        let act = &placed.stage.act;
        let highest = below.iter().max_by_key(|act| height(act));
        if let Some(highest) = highest
            && (height(act).is_some_and(|it| height(highest) > Some(it))
                || height(highest) == Some(2))
        {
            let message = format!(
                "the ladder runs backwards: {} after {}",
                word(act),
                word(highest)
            );
            let expected = match act {
                StageAct::Exec(_) => "KILL comes last; `on_close` runs a program after it",
                _ => "nudges come first, then signals that ask, KILL last",
            };
            reader.refuse(placed.span, message, expected);
        }
        if whole {
            check_manners(placed, act, &below, reader);
        }
        below.push(act.clone());
    }
    let lasting = |stage: &&Option<Placed>| {
        let act = stage.as_ref().map(|placed| &placed.stage.act);
        act.is_none_or(|act| height(act).is_some())
    };
    if let Some(Some(last)) = stages.iter().rfind(lasting)
        && last.stage.act == StageAct::Freeze
    {
        reader.doubt(
            last.span,
            "the ladder ends with a freeze",
            "a frozen tree holds its locks until somebody answers: add `{ after: 10m, signal: TERM }`",
        );
    }
}

/// People are told first, and the tree is asked before it is ended.
fn check_manners(placed: &Placed, act: &StageAct, below: &[StageAct], reader: &mut Reader<'_>) {
    let term = |act: &StageAct| matches!(act, StageAct::Signal(..) | StageAct::Stop);
    if let (StageAct::Freeze, Some(before)) = (act, below.iter().rfind(|act| term(act))) {
        reader.doubt(
            placed.span,
            format!("a freeze after {}", word(before)),
            "whoever was asked cannot do as asked while it stands still: freeze before, or not at all",
        );
    }
    let nudged = below.contains(&StageAct::Nudge);
    let asked = below.contains(&StageAct::Signal(Signal::Term, To::Tree));
    let missing = match (act, nudged, asked) {
        (StageAct::Signal(Signal::Kill, _), false, false) => "a nudge and TERM",
        (StageAct::Signal(Signal::Kill, _), true, false) => "TERM",
        (StageAct::Freeze | StageAct::Stop | StageAct::Signal(..), false, _) => "a nudge",
        (
            StageAct::Nudge
            | StageAct::Exec(_)
            | StageAct::Freeze
            | StageAct::Stop
            | StageAct::Signal(..),
            ..,
        ) => {
            if placed.abrupt {
                reader.doubt(
                    placed.span,
                    "`abrupt` has no effect here",
                    "the stages before make it unneeded",
                );
            }
            return;
        }
    };
    let message = format!("{} without {missing} before it", word(act));
    let fatal = matches!(act, StageAct::Signal(Signal::Kill, _));
    match (fatal, placed.abrupt) {
        (true, false) => {
            let problem = Problem::error(reader.spot(placed.span), message)
                .label(format!("add {missing} before it"))
                .help("`abrupt: true` on this stage says that it is meant");
            reader.findings.push(problem);
        }
        (true, true) => reader.doubt(
            placed.span,
            message,
            "`abrupt` permits it; nobody can save anything first",
        ),
        (false, false) => reader.doubt(placed.span, message, "nobody is told before"),
        (false, true) => {}
    }
}

fn word(act: &StageAct) -> &'static str {
    match act {
        StageAct::Nudge => "a nudge",
        StageAct::Exec(_) => "a program",
        StageAct::Freeze => "a freeze",
        StageAct::Stop => "a stop",
        StageAct::Signal(signal, _) => signal.word(),
    }
}
