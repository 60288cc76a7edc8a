//! A rule that is given on a command line: `beadle run --cpu-time 30m --memory 4GiB -- CMD`.
//!
//! **Invariants.** Every value is read by the parser that reads it in a rule file, and refused in the same words. What comes
//! of it is a rule like any other: the judge does not know where it was written.
//!
//! # Limits that nobody gave
//! What is measured is what some limit needs. A report tells of CPU time, memory and processes whether they are limited or not,
//! so each of these has a limit here; without a budget it is one that nothing reaches.

use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::{Findings, Problem, Refusal};
use super::raw::matcher::{self, Place};
use super::reader::Reader;
use super::source::{Source, Span, Spot};
use super::words::nearest;
use super::{Names, quantity, yaml};
use crate::engine::activity::BUSY;
use crate::engine::answer::Replies;
use crate::engine::matcher::{Field, Matcher};
use crate::engine::process::ProcKey;
use crate::engine::rule::{
    Amount, Bound, Breaker, Channels, Clause, Keeping, Limit, Measure, Metric, Mode, Origin, Rule,
    RuleSet, Scope, Servers, Signal, Stage, StageAct, To,
};
use crate::engine::units::{Bytes, Millicores};

/// The name of the rule.
pub const RULE: &str = "run";

/// The pace at which levels are read: somebody waits for the command.
const INTERVAL: Duration = Duration::from_millis(500);

/// How far a command may go, and what becomes of it then.
#[derive(Clone, Debug)]
pub struct Budget {
    /// CPU time of all that it starts, the dead included.
    pub cpu_time: Option<Duration>,
    /// Processor use, as the mean of the last five seconds.
    pub cpu: Option<Millicores>,
    /// Memory of all that it starts, shared pages once.
    pub memory: Option<Amount>,
    /// Awake time since it started.
    pub age: Option<Duration>,
    /// For how long nothing may move in it.
    pub stalled: Option<Duration>,
    /// For how long nothing may come of what it does.
    pub spinning: Option<Duration>,
    /// How many processes.
    pub processes: Option<u64>,
    /// Which signals ask, in order.
    pub ask: Vec<Signal>,
    /// How long each of them is given before the next, and before KILL.
    pub grace: Duration,
    /// Who of it is left alone, with all that they start.
    pub keep: Vec<Matcher>,
}

impl Budget {
    /// The rule set that holds this budget against one process and all below it.
    pub fn rules(&self, root: ProcKey) -> RuleSet {
        let variables = self.keep.iter().flat_map(Matcher::variables);
        RuleSet {
            mode: Mode::Enforce,
            interval: INTERVAL,
            variables: variables.map(str::to_owned).collect(),
            rules: vec![Arc::new(self.rule(root))],
            protect: Vec::new(),
            boundaries: Vec::new(),
            remind: None,
            channels: Channels {
                journal: false,
                tty: false,
                desktop: None,
            },
            keeping: Keeping::default(),
        }
    }

    /// Whether somebody gave a limit on this; what else is measured has one that nothing reaches.
    pub fn limits(&self, metric: Metric) -> bool {
        match metric {
            Metric::CpuTime => self.cpu_time.is_some(),
            Metric::Cpu => self.cpu.is_some(),
            Metric::Memory => self.memory.is_some(),
            Metric::Age => self.age.is_some(),
            Metric::Stalled => self.stalled.is_some(),
            Metric::Spinning => self.spinning.is_some(),
            Metric::Processes => self.processes.is_some(),
            Metric::Threads
            | Metric::OpenFiles
            | Metric::Zombies
            | Metric::Spawns
            | Metric::Orphaned
            | Metric::Leftover
            | Metric::Instances
            | Metric::Silent => false,
        }
    }

    fn rule(&self, root: ProcKey) -> Rule {
        Rule {
            name: RULE.into(),
            about: None,
            origin: Origin::Builtin { pack: RULE },
            mode: Mode::Enforce,
            matcher: Matcher {
                fields: vec![Field::This(root)],
            },
            scope: Scope::Tree,
            clauses: self.clauses(),
            gates: Vec::new(),
            warmup: None,
            keep: self.keep.clone(),
            ladder: self.ladder(),
            // There is no second time.
            cooldown: Duration::from_secs(1),
            breaker: Breaker::default(),
            on_close: None,
            replies: Replies::all(),
        }
    }

    fn clauses(&self) -> Vec<Clause> {
        const NEVER: Duration = Duration::from_secs(1 << 40);
        let bounds = [
            Some(Bound::CpuTime(self.cpu_time.unwrap_or(NEVER))),
            Some(Bound::Memory {
                measure: Measure::Private,
                above: self.memory.unwrap_or(Amount::Bytes(Bytes(u64::MAX))),
            }),
            Some(Bound::Processes(self.processes.unwrap_or(u64::MAX))),
            self.cpu.map(Bound::Cpu),
            self.age.map(Bound::Age),
            self.stalled.map(|above| Bound::Stalled {
                above,
                servers: Servers::Spared,
            }),
            self.spinning
                .map(|above| Bound::Spinning { above, cpu: BUSY }),
        ];
        let alone = |bound| Clause {
            limits: vec![Limit {
                bound,
                lasting: None,
            }],
        };
        bounds.into_iter().flatten().map(alone).collect()
    }

    /// Nobody waits to be told: whoever gave the budget looks on.
    fn ladder(&self) -> Vec<Stage> {
        let nudge = Stage {
            after: Duration::ZERO,
            act: StageAct::Nudge,
        };
        let signals = self.ask.iter().copied().chain([Signal::Kill]);
        let stages = signals.enumerate().map(|(place, signal)| Stage {
            after: match place {
                0 => Duration::ZERO,
                _ => self.grace,
            },
            act: StageAct::Signal(signal, To::Tree),
        });
        std::iter::once(nudge).chain(stages).collect()
    }
}

/// A [`quantity::size`] such as `4GiB`, or why it is none.
pub fn size(text: &str) -> Result<Bytes, String> {
    quantity::size(text).map_err(|misread| told(&misread))
}

/// A size, or a share of the machine such as `50%`; or why it is neither.
pub fn memory(text: &str) -> Result<Amount, String> {
    quantity::memory(text).map_err(|misread| told(&misread))
}

/// Processor use such as `90%` of a core or `4 cores`, or why it is none.
pub fn cpu(text: &str) -> Result<Millicores, String> {
    quantity::cpu(text).map_err(|misread| told(&misread))
}

/// How many, or why that is no number.
pub fn count(text: &str) -> Result<u64, String> {
    quantity::count(text).map_err(|misread| told(&misread))
}

fn told(misread: &quantity::Misread) -> String {
    format!("{}: {}", misread.message, misread.expected)
}

/// A signal that asks, `TERM` or `SIGTERM`; or why it does not.
pub fn asks(text: &str) -> Result<Signal, String> {
    let upper = text.trim().to_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let words = Signal::NAMED.map(Signal::word);
    match Signal::NAMED.iter().find(|signal| signal.word() == bare) {
        Some(Signal::Kill) => Err(
            "KILL does not ask, it comes last by itself: expected such as `INT,TERM`".to_owned(),
        ),
        Some(signal) => Ok(*signal),
        None => Err(nearest(bare, words).map_or_else(
            || "no signal that asks: expected HUP, INT, QUIT, USR1, USR2 or TERM".to_owned(),
            |word| format!("no such signal: did you mean `{word}`?"),
        )),
    }
}

/// A matcher as rules write it, on one line: `program: pytest`, or `{ program: pytest, cwd: /srv/* }`.
///
/// # Errors
/// Every problem, with its place in the line. `of` is where it was written, for the message.
pub fn matcher(text: &str, of: &str, uid: u32, names: &dyn Names) -> Result<Matcher, Refusal> {
    let whole = match text.trim_start().starts_with('{') {
        true => text.to_owned(),
        false => format!("{{ {text} }}"),
    };
    let source = Source::new(of, whole, 0);
    let mut findings = Findings::default();
    let found = yaml::parse(&source, &mut findings).and_then(|node| {
        let mut reader = Reader::new(&source, names, uid, &mut findings);
        matcher::read(&node, Place::Aside, &mut reader)
    });
    if let Some(found) = found {
        findings.settle()?;
        return Ok(found);
    }
    // A matcher without a field would mean everybody.
    if findings.errors() == 0 {
        let whole = Spot {
            source: Arc::clone(&source),
            span: Span::default(),
        };
        let problem =
            Problem::error(whole, "no matcher").label("expected such as `program: pytest`");
        findings.push(problem);
    }
    match findings.settle() {
        Err(refusal) => Err(refusal),
        Ok(problems) => Err(Refusal {
            problems,
            unsaid: 0,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::process::{Mark, Pid};

    struct Nobody;

    impl Names for Nobody {
        fn user(&self, _: &str) -> Option<u32> {
            None
        }

        fn group(&self, _: &str) -> Option<u32> {
            None
        }
    }

    fn refused(text: &str) -> String {
        let refusal = matcher(text, "--keep", 0, &Nobody).unwrap_err();
        refusal.render(crate::config::Paint::Plain)
    }

    fn budget() -> Budget {
        Budget {
            cpu_time: None,
            cpu: None,
            memory: None,
            age: Some(Duration::from_secs(60)),
            stalled: None,
            spinning: None,
            processes: None,
            ask: vec![Signal::Int, Signal::Term],
            grace: Duration::from_secs(7),
            keep: Vec::new(),
        }
    }

    #[test]
    fn a_matcher_is_read_with_and_without_braces_and_never_means_everybody() {
        for text in [
            "program: pytest",
            "{ program: pytest, cwd: /srv/* }",
            "  { name: [a, b] }",
        ] {
            assert!(matcher(text, "--keep", 0, &Nobody).is_ok(), "{text}");
        }
        for text in [
            "",
            "   ",
            "{}",
            "pytest",
            "age: 5s",
            "program: '*'",
            "program: a\n---\nname: b",
        ] {
            let told = refused(text);
            assert!(told.contains("--keep"), "{text}: {told}");
        }
        let told = refused("progam: pytest");
        assert!(told.contains("did you mean `program`?"), "{told}");
    }

    #[test]
    fn each_signal_that_asks_is_given_its_grace_and_kill_comes_last() {
        let told: Vec<(u64, &str)> = budget()
            .ladder()
            .iter()
            .map(|stage| {
                let word = stage.act.signal().map_or("nudge", Signal::word);
                (stage.after.as_secs(), word)
            })
            .collect();
        assert_eq!(told, [(0, "nudge"), (0, "INT"), (7, "TERM"), (7, "KILL")]);
    }

    #[test]
    fn what_a_report_tells_is_measured_and_only_what_was_asked_for_is_limited() {
        let root = ProcKey::new(Pid::new(7).unwrap(), Mark::Inode(1));
        let rules = budget().rules(root);
        let metrics: Vec<Metric> = rules.rules[0]
            .clauses
            .iter()
            .map(|clause| clause.limits[0].bound.metric())
            .collect();
        let wanted = [
            Metric::CpuTime,
            Metric::Memory,
            Metric::Processes,
            Metric::Age,
        ];
        assert_eq!(metrics, wanted);
        let limited: Vec<Metric> = metrics
            .into_iter()
            .filter(|one| budget().limits(*one))
            .collect();
        assert_eq!(limited, [Metric::Age]);
    }

    #[test]
    fn signals_that_do_not_ask_are_refused_in_words() {
        assert_eq!(asks("SIGINT"), Ok(Signal::Int));
        assert_eq!(asks("usr1"), Ok(Signal::Usr1));
        for (text, told) in [
            ("KILL", "does not ask"),
            ("STOP", "expected HUP"),
            ("trm", "`TERM`"),
        ] {
            assert!(
                asks(text).unwrap_err().contains(told),
                "{text}: {:?}",
                asks(text)
            );
        }
    }
}
