//! `exec`: a program of the administrator's.
//!
//! **Invariants.** It is named by its whole path and nothing goes through a shell. What root runs, nobody else may change.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::diagnostic::{Problem, quoted};
use crate::config::quantity;
use crate::config::reader::Reader;
use crate::config::source::Span;
use crate::config::table::{Key, Shape, Table};
use crate::config::trust;
use crate::config::yaml::{Node, Value};
use crate::engine::rule::Command;

/// How long a program may take, unless it is said.
const USUAL: Duration = Duration::from_secs(30);
/// How long it may be said that it may take.
const LONGEST: Duration = Duration::from_secs(3600);
/// The most words of one command, and the most bytes of all of them.
const MOST: (usize, usize) = (64, 8 << 10);

/// A program as far as read.
#[derive(Default)]
pub(in crate::config) struct OnCloseDraft {
    words: Option<Vec<String>>,
    timeout: Option<Duration>,
}

/// The keys of `on_close`.
pub(in crate::config) static ON_CLOSE: Table<OnCloseDraft> = Table {
    name: "on_close",
    what: "`on_close`",
    keys: &[
        Key::sets(
            "exec",
            "The program, by its whole path, and its arguments. It gets the case by environment and as JSON on standard input.",
            Shape::Command,
            |draft, entry, reader| {
                draft.words = words(&entry.node, reader);
            },
        ),
        Key::sets(
            "timeout",
            "How long it may take before it is ended. Default `30s`.",
            Shape::Duration,
            |draft, entry, reader| {
                draft.timeout = timeout(&entry.node, reader);
            },
        ),
    ],
    foreign: &[
        ("run", "did you mean `exec`?"),
        ("command", "did you mean `exec`?"),
    ],
};

/// Decodes `on_close`.
pub(super) fn on_close(node: &Node, reader: &mut Reader<'_>) -> Option<Arc<Command>> {
    let mut draft = OnCloseDraft::default();
    let given = ON_CLOSE.read(node, &mut draft, reader);
    if let Value::Map(_) = &node.value
        && !given.contains(&"exec")
    {
        let expected = "add `exec: [/path/to/program]`";
        reader.refuse(node.span, "nothing to run", expected);
    }
    Some(command(draft.words?, draft.timeout))
}

/// A program, its arguments, its time.
pub(super) fn command(words: Vec<String>, timeout: Option<Duration>) -> Arc<Command> {
    let mut words = words.into_iter();
    Arc::new(Command {
        program: words.next().unwrap_or_default().into(),
        args: words.collect(),
        timeout: timeout.unwrap_or(USUAL),
    })
}

/// How long a program may take.
pub(super) fn timeout(node: &Node, reader: &mut Reader<'_>) -> Option<Duration> {
    let span = reader.quantity(node, "a duration such as `30s`", quantity::duration)?;
    if span <= LONGEST {
        return Some(span);
    }
    let expected = "expected at most `1h`: whatever runs longer is better started by what is run";
    reader.refuse(node.span, "too long", expected);
    None
}

/// The program and its arguments; never empty.
pub(super) fn words(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let items = match &node.value {
        Value::List(items) => items,
        Value::Text(text) if !text.is_empty() => {
            let expected = format!(
                "write a list, `exec: [{}]`: nothing goes through a shell",
                text.split_whitespace().collect::<Vec<_>>().join(", ")
            );
            reader.refuse(node.span, "found text", expected);
            return None;
        }
        Value::Text(_) | Value::Null | Value::Map(_) | Value::Broken => {
            let found = reader.describe(node)?;
            let expected = "expected a list, `[/path/to/program, argument]`";
            reader.refuse(node.span, format!("found {found}"), expected);
            return None;
        }
    };
    let mut words = Vec::with_capacity(items.len());
    for item in items {
        words.push(word(item, reader)?);
    }
    let Some((first, program)) = items.first().zip(words.first()) else {
        let expected = "expected a program, by its whole path";
        reader.refuse(node.span, "the list is empty", expected);
        return None;
    };
    if words.len() > MOST.0 || words.iter().map(String::len).sum::<usize>() > MOST.1 {
        let expected = format!("expected at most {} words of {} bytes", MOST.0, MOST.1);
        reader.refuse(node.span, "too long for a command", expected);
        return None;
    }
    usable(program, first.span, reader)?;
    Some(words)
}

/// An argument may be empty; a byte of zero ends it for the kernel.
fn word(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    match &node.value {
        Value::Text(text) if text.contains('\0') => {
            let expected = "no program can be given a zero byte";
            reader.refuse(node.span, "a zero byte", expected);
            None
        }
        Value::Text(text) => Some(text.clone()),
        Value::Null | Value::List(_) | Value::Map(_) | Value::Broken => {
            reader.text(node, "an argument: text").map(str::to_owned)
        }
    }
}

/// Whether the program is there and may be run, by whom the rules will be carried out.
fn usable(program: &str, span: Span, reader: &mut Reader<'_>) -> Option<()> {
    let path = Path::new(program);
    if !path.is_absolute() {
        let expected = "expected its whole path, such as `/usr/local/bin/tell`";
        let message = format!("{} is not a whole path", quoted(program));
        reader.refuse(span, message, expected);
        return None;
    }
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // It may come with a disk that is mounted later, or be hidden from whoever checks: no reason to leave all else
        // unwatched. It is looked at again when it is to be run.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("{} is not there", quoted(program));
            reader.doubt(span, message, "as long as it is not, nothing is run");
            return Some(());
        }
        Err(error) => {
            let message = format!("{} cannot be run", quoted(program));
            reader.refuse(span, message, error.to_string());
            return None;
        }
    };
    let may = metadata.permissions().mode() & 0o111 != 0;
    if !metadata.is_file() || !may {
        let message = format!("{} is not a program", quoted(program));
        let why = if metadata.is_file() {
            "nobody may execute it: `chmod +x`"
        } else {
            "it is no regular file"
        };
        reader.refuse(span, message, why);
        return None;
    }
    if reader.uid != 0 {
        return Some(());
    }
    match trust::distrusted(path) {
        Ok(None) => Some(()),
        Ok(Some(found)) => {
            let shown = found.place.display();
            let problem = Problem::error(
                reader.spot(span),
                "root does not run what others may change",
            )
            .label(found.why)
            .help(format!("chown root {shown} && chmod go-w {shown}"));
            reader.findings.push(problem);
            None
        }
        Err(error) => {
            reader.refuse(span, "cannot be read", error.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;
    use crate::config::diagnostic::Findings;
    use crate::config::source::Source;
    use crate::config::{Names, yaml};

    struct Nobody;

    impl Names for Nobody {
        fn user(&self, _: &str) -> Option<u32> {
            None
        }

        fn group(&self, _: &str) -> Option<u32> {
            None
        }
    }

    /// What is wrong with a program, for whom.
    fn wrong(program: &Path, uid: u32) -> Option<String> {
        let source = Source::new("r.yaml", format!("[{}]\n", program.display()), 0);
        let mut findings = Findings::default();
        let node = yaml::parse(&source, &mut findings).unwrap();
        let mut reader = Reader::new(&source, &Nobody, uid, &mut findings);
        let words = words(&node, &mut reader);
        let refusal = findings.settle().err();
        assert_eq!(words.is_none(), refusal.is_some());
        refusal.map(|refusal| refusal.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn root_runs_only_what_is_roots_alone() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("tell");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o757)).unwrap();
        assert_eq!(wrong(&program, 1000), None);
        let told = wrong(&program, 0).unwrap();
        assert!(told.contains("root does not run"), "{told}");
        // A folder that others may write is as good as the file.
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
            assert_eq!(wrong(&program, 0), None);
            fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
            assert!(wrong(&program, 0).is_some());
        }
        fs::set_permissions(&program, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(wrong(&folder.path().join("missing"), 0), None);
        assert!(wrong(&program, 1000).unwrap().contains("not a program"));
    }
}
