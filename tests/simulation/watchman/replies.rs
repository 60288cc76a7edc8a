//! What people answer: who may, what it keeps from being sent, and what is sent for it.

use std::collections::BTreeMap;
use std::time::Duration;

use beadle::engine::answer::{Answer, Bidding, Deed, Effect, Exception, Granted, Wish};
use beadle::engine::decision::{Decision, What};
use beadle::engine::incident::Incident;
use beadle::engine::process::Uid;
use beadle::engine::rule::Mode;
use beadle::engine::units::Mono;
use beadle::engine::warrant::{Order, Warrant};

use super::evidence::truth;
use super::{Scene, Verdict, Watchman, ensure, find};

/// A user who owns nothing and hears of nothing.
pub const STRANGER: u32 = 4242;
/// How long whoever is asked by a person has.
const GRACE: Duration = Duration::from_secs(10);

/// What was answered.
#[derive(Debug, Default)]
pub struct Replies {
    /// Until when nothing may be sent for an incident.
    snoozed: BTreeMap<u64, Mono>,
    /// What no rule may mind.
    pub allowed: Vec<Exception>,
    /// What was bidden, and is in force: by each who did.
    bidden: BTreeMap<u64, Vec<Bidding>>,
    /// When TERM was asked for, by bidding.
    asked: BTreeMap<u64, Mono>,
    /// The answer that the judge is being told, and how incidents stand before it.
    now: Option<(Answer, BTreeMap<u64, Stand>)>,
    /// Answers that were taken.
    pub taken: u64,
}

/// What an answer may change of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stand {
    bidding: Option<Bidding>,
    until: Option<Mono>,
    extended: u32,
    owner: Option<Uid>,
}

fn stands(scene: &Scene<'_>) -> BTreeMap<u64, Stand> {
    let view = scene.judge.view();
    let owner = |incident: &Incident| {
        let mut units = view.units.iter();
        let unit = units.find(|unit| {
            unit.incident
                .as_ref()
                .is_some_and(|open| open.id == incident.id)
        });
        unit.and_then(|unit| unit.evidence.subject.owner)
    };
    let incidents = scene.judge.cases().filter_map(|case| case.incident);
    incidents
        .map(|incident| {
            let stand = Stand {
                bidding: incident.bidding(),
                until: incident.snoozed.map(|snooze| snooze.until),
                extended: incident.extended,
                owner: owner(incident),
            };
            (incident.id.0, stand)
        })
        .collect()
}

impl Watchman {
    /// The judge is about to be told an answer.
    pub fn answering(&mut self, scene: &Scene<'_>, answer: &Answer) {
        let stands = stands(scene);
        if let Wish::Pause { rule, .. } = &answer.what {
            // Whoever is to be left alone is not to be stopped any more.
            for case in scene.judge.cases() {
                let Some(incident) = case.incident else {
                    continue;
                };
                let owner = stands.get(&incident.id.0).and_then(|stand| stand.owner);
                let theirs = answer.by == Uid::ROOT || owner == Some(answer.by);
                if theirs && rule.as_ref().is_none_or(|rule| *rule == case.rule.name) {
                    self.replies.take_back(incident.id.0);
                }
            }
        }
        self.replies.now = Some((answer.clone(), stands));
    }

    /// What came of it.
    pub(super) fn answered(&mut self, scene: &Scene<'_>, decisions: &[Decision]) -> Verdict {
        for decision in decisions {
            if let Decision::Keep(all) = decision {
                self.replies.allowed.clone_from(all);
            }
        }
        let Some((answer, before)) = self.replies.now.take() else {
            return Ok(());
        };
        let came = decisions.iter().find_map(|decision| match decision {
            Decision::Reply(came) => Some(came),
            _ => None,
        });
        let came = came.ok_or("an answer that nobody replies to")?;
        let after = stands(scene);
        match came {
            Err(declined) => {
                let moved = before.iter().any(|(id, stand)| {
                    // What was given up in the same step may have closed.
                    after.get(id).is_some_and(|now| now != stand)
                });
                let told = decisions.iter().any(|decision| match decision {
                    Decision::Tell(notice) => matches!(notice.what, What::Answered { .. }),
                    Decision::Keep(_) => true,
                    _ => false,
                });
                ensure!(
                    !moved && !told,
                    "a refused answer moves something: {answer:?}, {declined}"
                );
            }
            Ok(Granted::Replied {
                incident, effect, ..
            }) => {
                self.replies.taken += 1;
                let owner = before.get(&incident.0).and_then(|stand| stand.owner);
                ensure!(
                    answer.by == Uid::ROOT || owner == Some(answer.by),
                    "a stranger's answer is taken: {answer:?} of {owner:?}"
                );
                self.replies.note(incident.0, answer.by, effect);
            }
            Ok(Granted::Forgotten(gone)) => {
                let theirs = |it: &Exception| it.owner == answer.by || it.by == answer.by;
                ensure!(
                    answer.by == Uid::ROOT || gone.iter().all(theirs),
                    "a stranger forgets: {answer:?}"
                );
            }
            Ok(Granted::Paused) => {}
        }
        Ok(())
    }

    /// Nothing is sent for what people leave alone.
    pub(super) fn let_be(&self, scene: &Scene<'_>, warrant: &Warrant) -> Verdict {
        let now = scene.machine.now;
        let name = &warrant.evidence.rule;
        let until = self.replies.snoozed.get(&warrant.incident.0);
        ensure!(
            until.is_none_or(|until| now >= *until),
            "signal while snoozed: {name}"
        );
        let subject = &warrant.evidence.subject;
        let allowed = self.replies.allowed.iter().any(|it| {
            it.rule == *name
                && Some(it.owner) == subject.owner
                && it.program == subject.program
                && Some(&it.cwd) == subject.cwd.as_ref()
        });
        ensure!(!allowed, "signal to what is an exception: {name}");
        Ok(())
    }

    /// What a person has bidden is done as it was bidden.
    pub(super) fn by_bidding(
        &mut self,
        scene: &Scene<'_>,
        warrant: &Warrant,
        bidding: Bidding,
    ) -> Verdict {
        let now = scene.machine.now;
        let name = &warrant.evidence.rule;
        let incident = warrant.incident.0;
        let rule = find(scene.rules, name).ok_or("a warrant for a rule that is gone")?;
        ensure!(
            rule.mode != Mode::Observe,
            "bidden in mode {}: {name}",
            rule.mode
        );
        ensure!(
            self.replies
                .bidden
                .get(&incident)
                .is_some_and(|all| all.contains(&bidding)),
            "nobody has bidden this: {name} {bidding:?}"
        );
        self.not_paused(scene, &warrant.evidence)?;
        match (warrant.order, bidding.deed) {
            (Order::Ask(_), Deed::Stop) => {
                self.replies.asked.insert(incident, now);
            }
            (Order::End, Deed::Stop) => {
                // A beadle that is killed in the act is followed by one that does it again.
                let asked = self.replies.asked.get(&incident).copied();
                let asked = asked.ok_or(format!("KILL by bidding without TERM: {name}"))?;
                ensure!(
                    now >= asked.after(GRACE),
                    "KILL by bidding within the grace: {name}"
                );
            }
            (Order::Hold, Deed::Freeze) => {}
            (order, deed) => return Err(format!("{order:?} for {deed:?}: {name}")),
        }
        ensure!(
            !warrant.targets.is_empty() || !warrant.unbound.is_empty(),
            "an empty warrant by bidding"
        );
        self.alone(now, warrant)?;
        let old = now.since(warrant.sampled);
        ensure!(
            old <= scene.rules.interval * 2,
            "stale evidence for a bidding, {old:?} old: {name}"
        );
        self.remember(scene.machine, warrant.unit);
        truth(scene, &self.roots, &warrant.evidence)
    }
}

impl Replies {
    fn note(&mut self, incident: u64, by: Uid, effect: &Effect) {
        let deed = match effect {
            Effect::Extended { until, .. } => {
                self.snoozed.insert(incident, *until);
                return self.take_back(incident);
            }
            Effect::Allowed(_) => return,
            Effect::Stops => Deed::Stop,
            Effect::Freezes => Deed::Freeze,
        };
        self.snoozed.remove(&incident);
        // What is under way goes on, for whoever bade it first.
        let bidden = self.bidden.entry(incident).or_default();
        if bidden.iter().any(|bidding| bidding.deed != deed) {
            bidden.clear();
            self.asked.remove(&incident);
        }
        bidden.push(Bidding { by, deed });
    }

    fn take_back(&mut self, incident: u64) {
        self.bidden.remove(&incident);
        self.asked.remove(&incident);
    }

    /// Whether an incident goes by what somebody has bidden.
    pub(super) fn has_bidden(&self, incident: u64) -> bool {
        self.bidden.contains_key(&incident)
    }
}
