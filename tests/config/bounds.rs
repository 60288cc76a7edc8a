//! Whatever a file holds, what it costs is bounded: refused, or loaded in a moment.

use std::fs;

use beadle::config::{self, Paint};
use tempfile::TempDir;

use super::{load, request};

#[test]
fn whatever_is_too_much_is_refused() {
    let refused = |text: &str, part: &str| {
        let told = load(text).unwrap_err().render(Paint::Plain);
        assert!(
            told.contains(part),
            "{part} not in: {}",
            told.chars().take(2000).collect::<String>()
        );
        assert!(told.len() < 200_000);
    };
    let regex = "a".repeat(1 << 20);
    let rule = "match: { program: x }, limits: { age: 1h } }";
    refused(
        &format!("version: 1\nrules: [{{ name: a, match: {{ cmdline: {regex} }} }}]"),
        "bytes long",
    );
    refused(
        &format!("version: 1\nrules: [{{ name: {regex}, {rule}]"),
        "not a name",
    );
    refused(&format!("version: 1\n{regex}: 1\n"), "");
    refused(
        &format!("version: 1 # {}", "x".repeat(4 << 20)),
        "larger than 4 MiB",
    );
    refused(
        &format!("version: 1\nrules:{}", " [".repeat(5000)),
        "nested",
    );
    let million: String = (0..1_000_000).map(|_| "- a\n").collect();
    refused(&format!("version: 1\nrules:\n{million}"), "values");
    let many = (0..10_001)
        .map(|n| format!("- {{ name: r{n}, {rule}\n"))
        .collect::<Vec<_>>()
        .concat();
    refused(
        &format!("version: 1\nrules:\n{many}"),
        "10001 rules, more than 10000",
    );
    let repeats = (0..300)
        .map(|n| format!("'a{{{}}}',", 1000 + n))
        .collect::<Vec<_>>()
        .concat();
    refused(
        &format!(
            "version: 1\nrules: [{{ name: a, match: {{ arg: [{repeats}] }}, limits: {{ age: 1h }} }}]"
        ),
        "more than 200 patterns with a repetition",
    );
    let globs = (0..300)
        .map(|n| format!("{}{n},", "p".repeat(4000)))
        .collect::<Vec<_>>()
        .concat();
    refused(
        &format!(
            "version: 1\nrules: [{{ name: a, match: {{ program: [{globs}] }}, limits: {{ age: 1h }} }}]"
        ),
        "bytes of them",
    );
    let wrong = (0..9000)
        .map(|n| format!("- {{ name: r{n}, wrong: 1 }}\n"))
        .collect::<Vec<_>>()
        .concat();
    refused(
        &format!("version: 1\nrules:\n{wrong}"),
        "27000 problems in 1 file (the first 100 are shown)",
    );
}

#[test]
fn text_that_is_not_utf8_is_refused_by_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rules.yaml");
    fs::write(&path, b"version: 1\n# \xff\n").unwrap();
    let refusal = config::load(&request(Some(&path), None)).unwrap_err();
    assert!(refusal.to_string().contains("not UTF-8 text on line 2"));
}

#[test]
fn as_many_rules_as_are_allowed_load() {
    let rule =
        |n| format!("- {{ name: r{n}, match: {{ program: p{n} }}, limits: {{ age: 1h }} }}\n");
    let rules = (0..10_000).map(rule).collect::<Vec<_>>().concat();
    let loaded = load(&format!("version: 1\nbuiltin: none\nrules:\n{rules}")).unwrap();
    assert_eq!(loaded.rules.rules.len(), 10_000);
}

#[test]
fn a_file_of_nothing_but_unknown_words_is_refused() {
    let words = (0..200_000)
        .map(|n| format!("menory{n}: 1\n"))
        .collect::<Vec<_>>();
    let refusal = load(&words.concat()).unwrap_err();
    assert!(refusal.summary().starts_with("200001 problems in 1 file"));
}
