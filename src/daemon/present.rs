//! Who runs now that a matcher means: one look, without a judge and without rules.
//!
//! **Invariants.** Nothing is signalled and nobody is told. We and what we hang from never count, and nobody who hangs from one
//! of these that matches: a test that asks whether another test runs is no other test, nor are its workers. Who could not be read is
//! neither found nor left out: it is counted as unknown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::options::StartError;
use crate::engine::facts::{Facts, Question};
use crate::engine::forest::Serial;
use crate::engine::matcher::{Answer, Matcher, Subject};
use crate::engine::process::{ExecGen, Pid, Text, Uid};
use crate::engine::program;
use crate::engine::pursuit::Glimpse;
use crate::engine::redact;
use crate::sys::glimpse::{bearer, everyone};
use crate::sys::learner::Learner;
use crate::sys::ourselves;
use crate::sys::procfs::Procfs;

/// How much of a command line is shown.
const SHOWN: usize = 160;
/// A tick of the kernel's.
const TICK: Duration = Duration::from_millis(10);
/// Each question has an answer long before.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that the matcher means, and nobody above it.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    /// Its number.
    pub(crate) pid: Pid,
    /// What really runs.
    pub(crate) program: Text,
    /// Its command line, cut short, secrets removed.
    pub(crate) command: Text,
    /// Its working directory, where it can be read.
    pub(crate) cwd: Option<Text>,
    /// Effective user.
    pub(crate) owner: Option<Uid>,
    /// Since its start, sleep of the machine included.
    pub(crate) age: Duration,
}

/// What a look came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// Who is meant.
    pub(crate) found: Vec<Present>,
    /// So many live and could not be read far enough to tell.
    pub(crate) unknown: usize,
    /// The system shows us no processes but our own (`hidepid`).
    pub(crate) hidden: bool,
}

impl Sight {
    /// Whether nobody was found and somebody may be there.
    pub(crate) const fn is_unsure(&self) -> bool {
        self.found.is_empty() && (self.unknown > 0 || self.hidden)
    }
}

/// Looks once.
pub(crate) fn present(matcher: &Matcher) -> Result<Sight, StartError> {
    let root = Path::new("/proc");
    let unreadable = |source| StartError::Proc {
        path: PathBuf::from(root),
        source,
    };
    let procfs = Procfs::open(root).map_err(unreadable)?;
    let ours: Vec<Pid> = ourselves::lineage(&procfs)
        .iter()
        .map(|key| key.pid())
        .collect();
    let (at, all) = everyone();
    let table: BTreeMap<Pid, Glimpse> = all.into_iter().map(|one| (one.pid, one)).collect();
    let facts = learn(matcher, &table)?;
    let answer = |one: &Glimpse| {
        let above = above(one, &table);
        let chain: Vec<Option<&Facts>> = above.iter().map(|pid| facts.get(pid)).collect();
        let ticks = u32::try_from(at.0.saturating_sub(one.start.0)).unwrap_or(u32::MAX);
        let age = TICK.saturating_mul(ticks);
        let subject = Subject {
            facts: facts.get(&one.pid),
            age,
            above: &chain,
        };
        (matcher.test(&subject), above, age)
    };
    let mut matching: BTreeMap<Pid, (Vec<Pid>, Duration)> = BTreeMap::new();
    let mut unknown = 0_usize;
    for one in table.values() {
        match answer(one) {
            (Answer::Yes, above, age) => {
                matching.insert(one.pid, (above, age));
            }
            // Who has gone since is no more unknown.
            (Answer::Unknown, ..) if !ours.contains(&one.pid) && lives(one) => {
                unknown = unknown.saturating_add(1);
            }
            (Answer::Unknown | Answer::No, ..) => {}
        }
    }
    let topmost = matching
        .iter()
        .filter(|(pid, (above, _))| {
            !ours.contains(pid) && !above.iter().any(|above| matching.contains_key(above))
        })
        .filter_map(|(pid, (_, age))| Some(tell(facts.get(pid)?, *age)));
    Ok(Sight {
        found: topmost.collect(),
        unknown,
        hidden: bearer(Pid::INIT).is_err(),
    })
}

/// Whether it is there still.
fn lives(one: &Glimpse) -> bool {
    let seen = bearer(one.pid).map(|(seen, _)| seen);
    seen.is_ok_and(|seen| seen.start == one.start && !matches!(seen.state, 'Z' | 'X' | 'x'))
}

/// The facts of everybody.
fn learn(
    matcher: &Matcher,
    table: &BTreeMap<Pid, Glimpse>,
) -> Result<BTreeMap<Pid, Facts>, StartError> {
    let (learnt, answers) = channel();
    let deliver = move |found: Vec<Facts>| {
        // The look is over: nobody needs facts any more.
        let _ = learnt.send(found);
    };
    let learner =
        Learner::start(Path::new("/proc"), deliver).map_err(|source| StartError::Thread {
            what: "the learner",
            source,
        })?;
    let variables: Arc<[String]> = matcher.variables().into_iter().map(str::to_owned).collect();
    let question = |one: &Glimpse| Question {
        about: Serial::NOBODY,
        pid: one.pid,
        key: None,
        start: Some(one.start),
        exec: ExecGen::default(),
        variables: variables.clone(),
    };
    learner.ask(table.values().map(question).collect());
    let mut facts = BTreeMap::new();
    let mut heard = 0;
    while heard < table.len()
        && let Ok(some) = answers.recv_timeout(PATIENCE)
    {
        heard = heard.saturating_add(some.len());
        facts.extend(some.into_iter().map(|one| (one.pid, one)));
    }
    Ok(facts)
}

/// Those above, nearest first.
fn above(one: &Glimpse, table: &BTreeMap<Pid, Glimpse>) -> Vec<Pid> {
    let mut above = Vec::new();
    let mut next = one.ppid;
    while let Some(pid) = next.filter(|pid| !above.contains(pid)) {
        above.push(pid);
        next = table.get(&pid).and_then(|one| one.ppid);
    }
    above
}

fn tell(facts: &Facts, age: Duration) -> Present {
    let args = facts.args.known().map_or(&[][..], Vec::as_slice);
    Present {
        pid: facts.pid,
        program: program::of(facts).unwrap_or_default(),
        command: redact::command_line(args, SHOWN),
        cwd: facts.cwd.known().map(|place| place.path.clone()),
        owner: facts.owner.known().copied(),
        age,
    }
}
