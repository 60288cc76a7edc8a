//! Decisions carried out. What a shell finds is an input again.

use std::path::Path;
use std::sync::Arc;

use crate::engine::answer::{Declined, Exception, Granted};
use crate::engine::decision::{Decision, Input, Notice};
use crate::engine::facts::Question;
use crate::engine::units::Mono;
use crate::engine::warrant::{Warrant, WarrantId};
use crate::sys::accounting::cgroup::Groups;
use crate::sys::clock::Clock;
use crate::sys::inspector::Inspector;
use crate::sys::learner::Learner;
use crate::sys::measurer::Measurer;
use crate::sys::sampler::Sampler;

use super::consult::Elder;
use super::ear::Ear;
use super::errands::Errands;
use super::faults::Part;
use super::inbox::{Inbox, Mail, Post};
use super::keeper::Keeper;
use super::options::StartError;
use super::pursue::Pursuer;

/// The parts of us that touch the machine.
#[derive(Debug)]
pub(super) struct Shells {
    pub(super) clock: Clock,
    sampler: Sampler,
    groups: Groups,
    learner: Learner,
    measurer: Measurer,
    inspector: Inspector,
    errands: Errands,
    /// `None` where there is no thread to hear heartbeats.
    pub(super) ear: Option<Ear>,
    /// The machine's beadle, for a user's.
    elder: Option<Elder>,
    post: Post,
    pub(super) pursuer: Pursuer,
    /// After the pursuer, so that what it lets go of at the end is closed.
    pub(super) keeper: Keeper,
    /// Warrants under way, for the words of their outcome.
    warrants: Vec<Arc<Warrant>>,
}

/// What the loop does with a decision beyond carrying it out.
#[derive(Debug)]
pub(super) enum Aftermath {
    /// Nothing.
    Done,
    /// Something is to be told.
    Tell(Notice),
    /// A part does not work.
    Fault(Part, String),
    /// These exceptions are to be kept.
    Keep(Vec<Exception>),
    /// A person has answered, and this came of it.
    Reply(Result<Granted, Declined>),
}

impl Shells {
    /// Starts all shells.
    pub(super) fn start(
        proc_root: &Path,
        groups: Groups,
        errands: Errands,
        pursuer: Pursuer,
        keeper: Keeper,
        post: &Post,
    ) -> Result<Self, StartError> {
        let unreadable = |source| StartError::Proc {
            path: proc_root.to_owned(),
            source,
        };
        let answers = post.clone();
        let deliver = move |facts| {
            // The loop is gone: nobody needs facts any more.
            let _ = answers.send(Mail::Input(Input::Facts(facts)));
        };
        let findings = post.clone();
        let survey = move |found| {
            let _ = findings.send(Mail::Input(Input::Measured(found)));
        };
        let seen = post.clone();
        let watch = move |found| {
            let _ = seen.send(Mail::Input(Input::Inspected(found)));
        };
        Ok(Self {
            clock: Clock,
            sampler: Sampler::new(proc_root).map_err(unreadable)?,
            groups,
            learner: Learner::start(proc_root, deliver).map_err(|source| StartError::Thread {
                what: "the learner",
                source,
            })?,
            measurer: Measurer::start(proc_root, survey).map_err(|source| StartError::Thread {
                what: "the measurer",
                source,
            })?,
            inspector: Inspector::start(proc_root, watch).map_err(|source| StartError::Thread {
                what: "the inspector",
                source,
            })?,
            errands,
            ear: None,
            elder: None,
            post: post.clone(),
            pursuer,
            keeper,
            warrants: Vec::new(),
        })
    }

    /// The same, where another beadle goes first.
    pub(super) fn after(self, elder: Option<Elder>) -> Self {
        Self { elder, ..self }
    }

    /// Carries out one decision.
    pub(super) fn carry_out(&mut self, decision: Decision, inbox: &mut Inbox) -> Aftermath {
        match decision {
            Decision::List => match self.sampler.list() {
                Ok(listed) => inbox.defer(Input::Listing(listed)),
                Err(error) => {
                    return Aftermath::Fault(
                        Part::Listing,
                        format!("cannot list processes: {error}"),
                    );
                }
            },
            Decision::Flush => self.pursuer.flush(),
            Decision::Sample {
                asks,
                groups,
                vitals,
                by: _,
            } => {
                // What is read of a group frames the look.
                let listed = self.groups.list(&groups, self.clock);
                let mut snapshot = self.sampler.look(&asks, &vitals, &self.clock);
                snapshot.groups = self.groups.measure(listed, self.clock);
                inbox.defer(Input::Snapshot(snapshot));
            }
            Decision::Account(accounting) => self.pursuer.account(accounting),
            Decision::Learn(questions) => self.learn(questions),
            Decision::Measure(survey) => self.measurer.ask(survey),
            Decision::Inspect(inspection) => self.inspector.ask(inspection),
            // Nothing awaits between here and the warrant: what was accepted by now is all that counts.
            Decision::Prepare(id) => inbox.drain_then(Input::LastCall(id)),
            Decision::Carry(warrant) => {
                self.warrants.push(warrant.clone());
                // Written down first; and what cannot be written down is done all the same.
                let written = self.keeper.begin(&warrant);
                self.pursuer.carry(warrant);
                return match written {
                    Ok(()) => Aftermath::Done,
                    Err(text) => Aftermath::Fault(Part::Intent, text),
                };
            }
            Decision::Run(errand) => self.errands.run(&errand, self.clock.now()),
            Decision::Recall(id) => self.pursuer.recall(id),
            Decision::Accept(receipt) => {
                if let Some(ear) = &self.ear {
                    ear.accept(receipt);
                }
            }
            Decision::Refuse(receipt) => {
                if let Some(ear) = &self.ear {
                    ear.refuse(receipt);
                }
            }
            Decision::Consult => {
                if let Some(elder) = &self.elder {
                    elder.ask(&self.post);
                }
            }
            Decision::Tell(notice) => return Aftermath::Tell(notice),
            Decision::Reply(came) => return Aftermath::Reply(came),
            Decision::Keep(exceptions) => return Aftermath::Keep(exceptions),
        }
        Aftermath::Done
    }

    /// Has facts learnt; they come as mail.
    pub(super) fn learn(&self, questions: Vec<Question>) {
        self.learner.ask(questions);
    }

    /// The warrant a report is about; it is over.
    pub(super) fn settled(&mut self, id: WarrantId) -> Option<Arc<Warrant>> {
        let at = self.warrants.iter().position(|warrant| warrant.id == id)?;
        Some(self.warrants.swap_remove(at))
    }

    /// Now.
    pub(super) fn now(&self) -> Mono {
        self.clock.now()
    }
}
