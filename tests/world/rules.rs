//! Rules, written in Rust: for worlds that are made by chance.

use std::sync::Arc;
use std::time::Duration;

use beadle::engine::answer::Replies;
use beadle::engine::matcher::{Field, Matcher};
use beadle::engine::pattern::Glob;
use beadle::engine::rule::{
    Amount, Bound, Breaker, Channels, Clause, Detached, Keeping, Limit, Measure, Mode, Origin,
    Rule, RuleSet, Scope, Signal, Stage, StageAct, To,
};
use beadle::engine::units::{Bytes, Millicores};

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Matches a program.
pub fn program(name: &str) -> Matcher {
    Matcher {
        fields: vec![Field::Program(vec![Glob::new(name).unwrap()])],
    }
}

pub fn limit(bound: Bound, lasting: Option<u64>) -> Clause {
    Clause {
        limits: vec![Limit {
            bound,
            lasting: lasting.map(secs),
        }],
    }
}

pub const fn cpu(percent: u64) -> Bound {
    Bound::Cpu(Millicores(percent * 10))
}

pub const fn rss(mib: u64) -> Bound {
    Bound::Memory {
        measure: Measure::Rss,
        above: Amount::Bytes(Bytes::mib(mib)),
    }
}

pub const fn private(mib: u64) -> Bound {
    Bound::Memory {
        measure: Measure::Private,
        above: Amount::Bytes(Bytes::mib(mib)),
    }
}

pub const fn orphaned(span: u64) -> Bound {
    Bound::Orphaned {
        above: secs(span),
        detached: Detached::Spared,
    }
}

/// Nudge, then TERM, then KILL.
pub fn ladder(notice: u64, grace: u64) -> Vec<Stage> {
    let stage = |after, act| Stage {
        after: secs(after),
        act,
    };
    vec![
        stage(0, StageAct::Nudge),
        stage(notice, StageAct::Signal(Signal::Term, To::Tree)),
        stage(grace, StageAct::Signal(Signal::Kill, To::Tree)),
    ]
}

pub fn rule(name: &str, matches: &str, clauses: Vec<Clause>, ladder: Vec<Stage>) -> Rule {
    Rule {
        name: Arc::from(name),
        about: None,
        origin: Origin::File {
            path: Arc::from("sim.yaml"),
            line: 1,
        },
        mode: Mode::Enforce,
        matcher: program(matches),
        scope: Scope::Tree,
        clauses,
        gates: Vec::new(),
        warmup: None,
        keep: vec![program("kept")],
        ladder,
        cooldown: secs(40),
        breaker: Breaker::default(),
        on_close: None,
        replies: Replies::usual(),
    }
}

pub fn rule_set(rules: Vec<Rule>) -> RuleSet {
    RuleSet {
        mode: Mode::Enforce,
        interval: secs(1),
        rules: rules.into_iter().map(Arc::new).collect(),
        protect: vec![program("bash")],
        boundaries: vec![program("tmux"), program("systemd")],
        remind: Some(secs(60)),
        channels: Channels {
            journal: false,
            tty: false,
            desktop: false,
        },
        keeping: Keeping::default(),
        variables: super::senses::no_variables(),
    }
}
