//! The layers, as data, checked against what each file really imports.
//!
//! A path counts wherever it stands (`use crate::x`, `crate::x::y` in the middle of a line), except in test modules,
//! which may look anywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each layer, and the layers it may import.
const LAYERS: [(&str, &[&str]); 7] = [
    ("engine", &[]),
    ("config", &["engine"]),
    ("store", &["engine"]),
    ("control", &["engine"]),
    ("sys", &["engine"]),
    (
        "daemon",
        &["engine", "config", "store", "control", "sys", "cli"],
    ),
    (
        "cli",
        &["engine", "config", "store", "control", "sys", "daemon"],
    ),
];

/// Crates that the engine may name.
const ENGINE_CRATES: [&str; 2] = ["regex", "globset"];

/// What of `std` the engine may not name: the world.
const WORLD: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "std::io",
    "std::os",
    "Instant",
    "SystemTime",
];

#[test]
fn layers_import_only_what_lies_below() {
    let mut wrong = Vec::new();
    for (layer, allowed) in LAYERS {
        for (file, text) in sources(&Path::new("src").join(layer)) {
            for (number, line) in code(&text) {
                for target in layers_named(line) {
                    if target != layer && !allowed.contains(&target) {
                        wrong.push(format!(
                            "{}:{number}: {layer} imports {target}: {}",
                            file.display(),
                            line.trim()
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_folder_is_a_layer() {
    let known: BTreeSet<&str> = LAYERS.iter().map(|(layer, _)| *layer).collect();
    for entry in fs::read_dir("src").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_root = ["lib.rs", "main.rs"].contains(&name.as_str());
        assert!(
            is_root || known.contains(name.as_str()),
            "src/{name} is no layer of the architecture"
        );
    }
}

#[test]
fn the_engine_does_not_know_the_world() {
    let mut wrong = Vec::new();
    for (file, text) in sources(Path::new("src/engine")) {
        for (number, line) in code(&text) {
            let worldly = WORLD.iter().find(|word| line.contains(*word));
            if let Some(word) = worldly {
                wrong.push(format!("{}:{number}: {word}", file.display()));
            }
            let outside = line
                .strip_prefix("use ")
                .and_then(|path| path.split("::").next());
            let allowed = ["std", "crate", "super", "self"];
            // A module of one's own is named in lower case like a crate; only known crates are looked for.
            let foreign = |name: &&str| {
                !allowed.contains(name) && is_dependency(name) && !ENGINE_CRATES.contains(name)
            };
            if let Some(name) = outside.filter(foreign) {
                wrong.push(format!("{}:{number}: crate {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn one_file_sends_signals() {
    let ways = [
        "pidfd_send_signal(",
        "kill_process(",
        "libc::kill(",
        "kill_process_group(",
        ".kill()",
    ];
    for (file, text) in sources(Path::new("src")) {
        if file.ends_with("sys/signaller.rs") || file.starts_with("src/sys/signaller") {
            continue;
        }
        // The demo ends its own child, and nothing else, through the handle it started it with.
        let own_children = file.ends_with("cli/demo.rs");
        for (number, line) in code(&text) {
            let sends = ways
                .iter()
                .any(|way| line.contains(way) && !(own_children && *way == ".kill()"));
            assert!(!sends, "{}:{number}: {}", file.display(), line.trim());
        }
    }
}

#[test]
fn files_and_names_stay_small() {
    let vague = [
        "util", "utils", "helpers", "common", "types", "manager", "misc", "core",
    ];
    for (file, text) in sources(Path::new("src")) {
        let lines = text.lines().count();
        assert!(
            lines <= 600,
            "{} has {lines} lines: look for the seam",
            file.display()
        );
        for part in file.with_extension("").components() {
            let name = part.as_os_str().to_str().unwrap();
            assert!(
                !vague.contains(&name),
                "{} is filed under no noun",
                file.display()
            );
        }
    }
}

/// Lines of code with their numbers: no comments, and nothing after the first test module of a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines())
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn layers_named(line: &str) -> Vec<&'static str> {
    let names = |layer: &str| {
        line.contains(&format!("crate::{layer}::")) || line.contains(&format!("crate::{layer};"))
    };
    let mut found: Vec<&str> = LAYERS
        .iter()
        .map(|(layer, _)| *layer)
        .filter(|layer| names(layer))
        .collect();
    if let Some((_, group)) = line.split_once("use crate::{") {
        let first_words = group
            .split([',', '}'])
            .map(|path| path.trim().split("::").next().unwrap_or_default());
        let grouped: Vec<&str> = first_words.collect();
        found.extend(
            LAYERS
                .iter()
                .map(|(layer, _)| *layer)
                .filter(|layer| grouped.contains(layer)),
        );
    }
    found
}

fn is_dependency(name: &str) -> bool {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let dashed = name.replace('_', "-");
    manifest.lines().any(|line| {
        line.starts_with(&format!("{name} ")) || line.starts_with(&format!("{dashed} "))
    })
}

/// All sources below a folder, tests of their own (`tests.rs`, `tests/`) excepted.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("tests") || name == "villain.rs" || name == "fake_proc.rs" {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found.sort();
    found
}
