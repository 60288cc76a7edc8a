//! What the engine tells, as pages of history.
//!
//! A page's body is an entry as the JSON log has it, or a certificate: types of `control::wire`, whose fields are added
//! and never renamed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Zoned;

use crate::cli::render::{Entry, certificate};
use crate::control::wire::{Event, Safe, Subject};
use crate::daemon::recall::FORM;
use crate::engine::process::{Pid, ProcKey};
use crate::engine::units::Mono;
use crate::engine::warrant::{Member, Outcome, Report, Warrant};
use crate::store::history::{Effect, Head, Page, Part, Person};

/// Processes named on one page.
const NAMED: usize = 8192;

/// Writes pages.
#[derive(Clone, Debug)]
pub(super) struct Scribe {
    /// The boot we live in.
    pub(super) boot: Arc<str>,
    /// Nothing but descendants of this process is signalled.
    pub(super) leash: Option<Pid>,
}

impl Scribe {
    /// Something that was told of an incident, and all of its tree where that is of interest.
    pub(super) fn entry(&self, entry: &Entry, tree: &[Member], wall: &Zoned) -> Option<Page> {
        let case = entry.case.as_ref()?;
        let effect = match &entry.event {
            Event::Incident { .. } => Effect::Begins,
            Event::Nudge { .. }
            | Event::Signal { .. }
            | Event::Answer { .. }
            | Event::Withheld { .. }
            | Event::Run { closing: None, .. } => Effect::Goes,
            Event::Close { how, .. } => Effect::Ends(how.to_string()),
            Event::Outcome { .. }
            | Event::Run {
                closing: Some(_), ..
            }
            | Event::Ran { .. }
            | Event::Fault { .. }
            | Event::Reload { .. }
            | Event::Start(_)
            | Event::Stop { .. } => Effect::None,
        };
        let people = tree.iter().map(bystander).collect();
        let told = Told {
            kind: entry.event.word(),
            effect,
            body: bounded(entry).json(),
            people,
        };
        Some(self.page(case.incident, &case.subject, wall, told))
    }

    /// What is about to be done, and all that it rests on.
    pub(super) fn warrant(&self, warrant: &Warrant, now: Mono, wall: &Zoned) -> Page {
        let certificate = certificate(warrant, self.leash, NAMED, now, wall);
        let signal = warrant.order.signal().word();
        let names = names(warrant);
        let target = |pid: Pid, key: Option<ProcKey>| Person {
            pid: pid.number(),
            key: key.map(|key| key.to_string()).unwrap_or_default(),
            program: names.get(&pid).cloned().unwrap_or_default(),
            part: Part::Target,
            signal: Some(signal),
            outcome: None,
            because: None,
        };
        let bound = warrant.targets.iter().map(|target| target.key);
        let bound = bound.map(|key| target(key.pid(), Some(key)));
        let unbound = warrant.unbound.iter();
        let unbound = unbound.map(|unbound| target(unbound.pid, None));
        let spared = warrant.roster.iter();
        let spared = spared.filter(|member| member.shelter.is_some());
        let told = Told {
            kind: "warrant",
            effect: Effect::None,
            // Our own types: nothing that can fail.
            body: serde_json::to_string(&certificate).unwrap_or_default(),
            people: bound.chain(unbound).chain(spared.map(bystander)).collect(),
        };
        let subject = Subject::from(&*warrant.evidence);
        self.page(warrant.incident.0, &subject, wall, told)
    }

    /// What came of a warrant; `entry` says the same.
    pub(super) fn outcome(
        &self,
        warrant: &Warrant,
        report: &Report,
        entry: &Entry,
        wall: &Zoned,
    ) -> Page {
        let signal = warrant.order.signal().word();
        let ordered: BTreeSet<Pid> = warrant.pids().into_iter().collect();
        let fate = |(key, outcome): &(ProcKey, Outcome)| Person {
            pid: key.pid().number(),
            key: key.to_string(),
            program: String::new(),
            part: if ordered.contains(&key.pid()) {
                Part::Target
            } else {
                Part::Born
            },
            signal: Some(signal),
            outcome: Some(outcome.word()),
            because: match outcome {
                Outcome::Withheld(why) => Some(why.word().to_owned()),
                Outcome::Sent | Outcome::Gone | Outcome::Denied | Outcome::Survived => None,
            },
        };
        let told = Told {
            kind: entry.event.word(),
            effect: Effect::None,
            body: bounded(entry).json(),
            people: report.each.iter().map(fate).collect(),
        };
        let subject = Subject::from(&*warrant.evidence);
        self.page(warrant.incident.0, &subject, wall, told)
    }

    fn page(&self, number: u64, subject: &Subject, wall: &Zoned, told: Told) -> Page {
        let Told {
            kind,
            effect,
            body,
            mut people,
        } = told;
        let unnamed = people.len().saturating_sub(NAMED) as u64;
        people.truncate(NAMED);
        Page {
            number,
            boot: Arc::clone(&self.boot),
            at: wall.timestamp().as_millisecond(),
            kind,
            head: head(subject),
            effect,
            form: FORM,
            body,
            people,
            unnamed,
        }
    }
}

/// What a page says, and of whom.
struct Told {
    kind: &'static str,
    effect: Effect,
    body: String,
    people: Vec<Person>,
}

fn head(subject: &Subject) -> Head {
    let text = |safe: &Safe| safe.to_string();
    Head {
        rule: text(&subject.rule),
        owner: subject.owner,
        root: subject.root,
        key: text(&subject.key),
        program: text(&subject.program),
        command: text(&subject.command),
    }
}

/// One for whom nothing is ordered.
fn bystander(member: &Member) -> Person {
    Person {
        pid: member.pid.number(),
        key: member.key.map(|key| key.to_string()).unwrap_or_default(),
        program: Safe::from(&member.program).to_string(),
        part: match member.shelter {
            Some(_) => Part::Spared,
            None => Part::Member,
        },
        signal: None,
        outcome: None,
        because: member
            .shelter
            .as_ref()
            .map(|why| Safe::word(&why.to_string()).to_string()),
    }
}

fn names(warrant: &Warrant) -> BTreeMap<Pid, String> {
    let roster = warrant.roster.iter();
    roster
        .map(|member| (member.pid, Safe::from(&member.program).to_string()))
        .collect()
}

/// An entry about so many processes that it would take more room than all others together is cut.
fn bounded(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    match &mut entry.event {
        Event::Signal { pids, .. } => pids.truncate(NAMED),
        Event::Outcome { pids, each, .. } => {
            pids.truncate(NAMED);
            each.truncate(NAMED);
        }
        Event::Incident { .. }
        | Event::Nudge { .. }
        | Event::Answer { .. }
        | Event::Run { .. }
        | Event::Ran { .. }
        | Event::Withheld { .. }
        | Event::Close { .. }
        | Event::Fault { .. }
        | Event::Reload { .. }
        | Event::Start(_)
        | Event::Stop { .. } => {}
    }
    entry
}
