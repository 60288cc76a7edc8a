//! The workflow files: that they say what they mean, and name nothing that is not there. `actionlint` reads them too where it is
//! installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use granit_parser::{Event, Parser};

/// Words of a shell that runners have, by job: what is installed there is theirs.
const THEIRS: [&str; 4] = ["rustup", "plutil", "sudo", "apt-get"];
/// Subcommands of cargo's own.
const CARGOS: [&str; 4] = ["build", "test", "run", "clippy"];

fn workflows() -> Vec<PathBuf> {
    let files = fs::read_dir(".github/workflows").unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// The values of a key, in the order of the file, each on its own line.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let key = format!("{key}:");
    let value = |line: &'a str| {
        Some(
            line.trim()
                .trim_start_matches("- ")
                .strip_prefix(&key)?
                .trim(),
        )
    };
    text.lines().filter_map(value).collect()
}

/// What would not run, or not as it was meant.
fn complaints(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(error) = Parser::new_from_str(text).find_map(Result::err) {
        all.push(format!("no YAML: {error}"));
    }
    for (key, least) in [
        ("permissions", 1),
        ("on", 1),
        ("jobs", 1),
        ("runs-on", 1),
        ("run", 1),
    ] {
        if values(text, key).len() < least {
            all.push(format!("no {key}"));
        }
    }
    let jobs = values(text, "runs-on").len();
    if values(text, "timeout-minutes").len() != jobs {
        all.push("a job without an end".to_owned());
    }
    for action in values(text, "uses") {
        let (named, version) = action.split_once(" # ").unwrap_or((action, ""));
        let commit = named.split_once('@').map_or("", |(_, commit)| commit);
        let whole = commit.len() == 40 && commit.chars().all(|it| it.is_ascii_hexdigit());
        if !whole || !version.starts_with('v') {
            all.push(format!("not pinned: {action}"));
        }
    }
    for line in values(text, "run") {
        // A line that goes on below could hide anything.
        if line.starts_with(['|', '>']) {
            all.push("more lines than one".to_owned());
        }
        let commands = line.split("&&").map(str::trim);
        all.extend(commands.filter_map(unknown));
    }
    all
}

/// Why a command cannot be run, as far as that is known here.
fn unknown(command: &str) -> Option<String> {
    // The matrix puts nothing in front but `sudo`.
    let command = command.strip_prefix("${{ matrix.as }} ").unwrap_or(command);
    let words: Vec<&str> = command.split_whitespace().collect();
    let (program, rest) = match words.as_slice() {
        ["sudo", program, rest @ ..] | [program, rest @ ..] => (*program, rest),
        [] => return Some("an empty command".to_owned()),
    };
    let aliases = fs::read_to_string(".cargo/config.toml").unwrap();
    let is_cargos = |word: &&&str| {
        CARGOS.contains(word)
            || aliases
                .lines()
                .any(|line| line.starts_with(&format!("{word} =")))
    };
    let runs = match program {
        "cargo" => rest.first().as_ref().is_some_and(is_cargos),
        program if program.contains('/') => is_program(Path::new(program)),
        program => THEIRS.contains(&program),
    };
    if !runs {
        return Some(format!("cannot run: {command}"));
    }
    let mut files = rest
        .iter()
        .filter(|word| word.contains('/') && !word.starts_with("target/"));
    let missing = files.find(|word| !Path::new(word).exists());
    missing.map(|file| format!("not there: {file}"))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[test]
fn workflows_name_nothing_that_is_not_there() {
    let files = workflows();
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(
            complaints(&text),
            Vec::<String>::new(),
            "{}",
            file.display()
        );
        let systems = values(&text, "runs-on").join(" ");
        assert!(
            systems.contains("ubuntu-") && systems.contains("macos-"),
            "{systems}"
        );
        assert!(values(&text, "run").contains(&"cargo lint"));
    }
}

#[test]
fn the_reader_of_workflows_notices_what_is_wrong() {
    let good = fs::read_to_string(".github/workflows/check.yml").unwrap();
    let spoilt = [
        ("run: tests/mac-check", "run: tests/mac-chekc", "cannot run"),
        ("run: cargo lint", "run: cargo lnt", "cannot run"),
        ("run: cargo lint", "run: curl x", "cannot run"),
        (
            "run: cargo lint",
            "run: |\n          cargo lint",
            "more lines",
        ),
        (
            "launchd/org.beadle.agent.plist",
            "launchd/gone.plist",
            "not there",
        ),
        ("--locked", "", ""),
        (" # v4.2.2", "", "not pinned"),
        ("@11bd719", "@v4.11bd719", "not pinned"),
        ("    timeout-minutes: 60\n", "", "without an end"),
        ("permissions:", "permission:", "no permissions"),
        ("jobs:", "\tjobs:", "no YAML"),
        ("include:", "include: [", "no YAML"),
    ];
    for (part, other, why) in spoilt {
        let text = good.replacen(part, other, 1);
        assert_ne!(text, good, "{part}");
        let said = complaints(&text).join("; ");
        assert!(said.contains(why), "{part} → {other}: {said}");
        assert_eq!(said.is_empty(), why.is_empty(), "{part} → {other}: {said}");
    }
}

#[test]
fn actionlint_has_nothing_to_say_where_it_is_installed() {
    let Ok(said) = Command::new("actionlint").args(workflows()).output() else {
        println!("NOT SHOWN HERE: actionlint's opinion of the workflow files: it is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{text}");
}

/// A file that no runner could read is noticed by the parser that reads rules.
#[test]
fn the_parser_reads_to_the_end() {
    let text = fs::read_to_string(".github/workflows/check.yml").unwrap();
    let last = Parser::new_from_str(&text).last().unwrap().unwrap().0;
    assert!(matches!(last, Event::StreamEnd), "{last:?}");
}
