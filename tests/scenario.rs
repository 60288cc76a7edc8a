//! Stories: a small world by script, real rules, and the log that people would read. `scenarios/*.scn` hold the script,
//! then `----`, then the log; `UPDATE_SCENARIOS=1` writes the log anew, to be read before it is kept.
//!
//! Log lines are printed by the one renderer, so that a scenario tests the words too. Lines that begin with `=` are the
//! world's own: who died, and of what. The clock begins at 00:00:00.

mod script;
mod theater;

use std::fmt::Write as _;
use std::path::Path;

use script::Script;
use theater::Theater;

/// Plays a script and gives the log.
fn play(text: &str) -> Result<String, String> {
    let script = Script::parse(text)?;
    let mut theater = Theater::new(&script)?;
    for (at, line) in &script.lines {
        theater.until(*at)?;
        theater
            .act(line)
            .map_err(|problem| format!("{problem}, in: {line}"))?;
    }
    theater.until(script.end)?;
    Ok(theater.log)
}

#[test]
fn scenarios_are_told_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let update = std::env::var_os("UPDATE_SCENARIOS").is_some();
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "scn"))
        .collect();
    files.sort();
    assert!(files.len() >= 25, "only {} scenarios", files.len());
    let mut wrong = String::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let (script, told) = text.split_once("----\n").unwrap_or((&text, ""));
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match play(script) {
            Ok(log) if log == told => {}
            Ok(log) if update => std::fs::write(&path, format!("{script}----\n{log}")).unwrap(),
            Ok(log) => {
                let _ = writeln!(wrong, "\n{name}: told\n{log}\ninstead of\n{told}");
            }
            Err(problem) => {
                let _ = writeln!(wrong, "\n{name}: {problem}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
