//! Instances: what `instances` means.

use std::time::Duration;

use beadle::engine::rule::{Bound, Limit, Per, Scope};

use super::{load, rule};

#[test]
fn they_mean_what_they_say() {
    let limit = |text: &str| -> Limit {
        let text = format!(
            "version: 1\nbuiltin: none\nrules: [{{ name: a, match: {{ program: a }}, limits: {{ instances: {text} }} }}]\n"
        );
        let loaded = load(&text).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert!(loaded.warnings.is_empty());
        rule(&loaded, "a").clauses[0].limits[0].clone()
    };
    let of = |per| Bound::Instances { above: 3, per };
    assert_eq!(limit("3").bound, of(Per::Owner));
    assert_eq!(limit("{ above: 3 }").bound, of(Per::Owner));
    assert_eq!(limit("{ above: 3, per: parent }").bound, of(Per::Parent));
    assert_eq!(limit("{ above: 3, per: cwd }").bound, of(Per::Cwd));
    let lasting = limit("{ above: 3, for: 30s }").lasting;
    assert_eq!(lasting, Some(Duration::from_secs(30)));
}

#[test]
fn they_are_counted_of_processes_too() {
    let loaded = load(
        "version: 1
rules: [{ name: a, scope: process, match: { program: a }, limits: { instances: 2 } }]
",
    )
    .unwrap();
    assert_eq!(rule(&loaded, "a").scope, Scope::Process);
}
