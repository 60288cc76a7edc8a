//! The judge alone, for a moment: what it makes of these rules and of what runs here now.
//!
//! **Invariants.** There is no signaller, no event thread and no sink here: whatever the judge decides, nothing can be
//! signalled and nobody is told. It is the daemon's own judge, sampler and learner, so what is seen is what the
//! daemon would see in the scan tier.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::config;
use crate::engine::decision::{Decision, Hearing, Input, View};
use crate::engine::elder::Rank;
use crate::engine::judge::{Judge, Settings};
use crate::engine::process::Uid;
use crate::engine::rule::RuleSet;
use crate::engine::warrant::Spare;
use crate::sys::clients::Clients;
use crate::sys::clock::Clock;
use crate::sys::learner::Learner;
use crate::sys::ourselves;
use crate::sys::procfs::Procfs;
use crate::sys::sampler::Sampler;

use super::options::StartError;

/// Looks at this machine for `span`, through these rules.
pub(crate) fn glance(rules: Arc<RuleSet>, span: Duration) -> Result<View, StartError> {
    let root = Path::new("/proc");
    let unreadable = |source| StartError::Proc {
        path: PathBuf::from(root),
        source,
    };
    let user = ourselves::owner();
    let procfs = Procfs::open(root).map_err(unreadable)?;
    let settings = settings(user, &procfs);
    let (learnt, facts) = channel();
    let deliver = move |found| {
        // The look is over: nobody needs facts any more.
        let _ = learnt.send(found);
    };
    let learner = Learner::start(root, deliver).map_err(|source| StartError::Thread {
        what: "the learner",
        source,
    })?;
    let mut sampler = Sampler::new(root).map_err(unreadable)?;
    let mut judge = Judge::new(settings, rules);
    let clock = Clock;
    let end = clock.now().after(span);
    let mut inputs = VecDeque::from([Input::Hearing(Hearing::Nothing)]);
    while clock.now() < end {
        let input = inputs.pop_front().unwrap_or_else(|| {
            let until = judge.next_deadline().map_or(end, |due| due.min(end));
            match facts.recv_timeout(until.since(clock.now())) {
                Ok(found) => Input::Facts(found),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Input::Deadline,
            }
        });
        for decision in judge.step(clock.now(), input) {
            match decision {
                Decision::List => {
                    inputs.push_back(Input::Listing(sampler.list().map_err(unreadable)?));
                }
                Decision::Sample {
                    asks,
                    groups: _,
                    vitals,
                    by: _,
                } => {
                    let look = sampler.look(&asks, &vitals, &clock);
                    inputs.push_back(Input::Snapshot(look));
                }
                Decision::Learn(questions) => learner.ask(questions),
                // A moment is too short for a survey. Without the means to act the rest are only words.
                Decision::Flush
                | Decision::Account(_)
                | Decision::Measure(_)
                | Decision::Inspect(_)
                | Decision::Prepare(_)
                | Decision::Carry(_)
                | Decision::Run(_)
                | Decision::Recall(_)
                | Decision::Accept(_)
                | Decision::Refuse(_)
                | Decision::Consult
                | Decision::Reply(_)
                | Decision::Keep(_)
                | Decision::Tell(_) => {}
            }
        }
    }
    Ok(judge.view())
}

/// Those of a judge that only looks.
fn settings(user: Uid, procfs: &Procfs) -> Settings {
    Settings {
        only_user: (user != Uid::ROOT).then_some(user),
        rank: Rank::First,
        spare: Arc::new(Spare {
            keys: ourselves::lineage(procfs),
            bystanders: Vec::new(),
        }),
        itself: None,
        leash: None,
        reaper: None,
        managers: Clients::here(|place| config::runnable(place, user.0).ok()).managers(),
        first_incident: 1,
    }
}
