//! What a beadle leaves to the next one of the same boot: lineage that nothing shows any more, what the dead used,
//! incidents, pauses.
//!
//! **Invariants.** It is a claim about identities: it counts for a process only where the kernel shows one with the same
//! identity. It is of one boot: its moments are of that boot's awake clock. It makes nothing come sooner: an incident comes
//! back at its stage with its clock at zero, and still rests on fresh figures.
//!
//! # Why lineage is left, and not membership
//! Membership follows from lineage, for whichever rules there are after the restart. Only of a tree whose root is gone are
//! members left by themselves: there is nobody to find them from.

use std::time::Duration;

use super::answer::{Bidding, Snooze};
use super::decision::PauseView;
use super::evidence::{IncidentId, Subject, UnitKey};
use super::forest::Starter;
use super::incident::{Past, Weight};
use super::instances::Circle;
use super::label::Label;
use super::process::{ProcKey, Text, Uid};
use super::rule::{Mode, RuleName, StageAct};
use super::units::Mono;
use super::usage::Buried;
use super::warrant::HardTie;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Legacy {
    /// When it was left.
    pub at: Mono,
    /// How members are related.
    pub kin: Vec<Kin>,
    /// Who has left the trees of which rules for good.
    pub kept: Vec<(ProcKey, Vec<RuleName>)>,
    /// The units.
    pub units: Vec<Bequest>,
    /// What closed incidents left behind for the cooldown of living roots.
    pub pasts: Vec<Remainder>,
    /// Trees that were ended.
    pub endings: Vec<Ending>,
    /// Pauses.
    pub pauses: Vec<PauseView>,
    /// Who stands still because of it: the next one lets them go on, should it not come to that itself.
    pub frozen: Vec<ProcKey>,
}

impl Legacy {
    /// Whether there is nothing to be left.
    pub fn is_empty(&self) -> bool {
        self.kin.is_empty()
            && self.kept.is_empty()
            && self.units.is_empty()
            && self.pasts.is_empty()
            && self.endings.is_empty()
            && self.pauses.is_empty()
            && self.frozen.is_empty()
    }
}

/// A process, and the nearest living one above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kin {
    /// Who.
    pub key: ProcKey,
    /// Who is above it.
    pub parent: Option<ProcKey>,
    /// Why that one is its parent.
    pub tie: Option<HardTie>,
    /// It made a session of its own.
    pub session: bool,
    /// Who started it, once that one is gone.
    pub starter: Option<Starter>,
    /// CPU time it had used at most when it was left: it may be gone before anybody reads it again.
    pub used: Duration,
}

/// What is left of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bequest {
    /// The rule.
    pub rule: RuleName,
    /// The unit.
    pub unit: UnitKey,
    /// Its root, in words.
    pub subject: Subject,
    /// Who started the root, and what that one ran.
    pub starter: Option<(Option<ProcKey>, Text)>,
    /// What other instances have in common with it.
    pub circle: Circle,
    /// When the root became one.
    pub since: Mono,
    /// CPU time of the root from before.
    pub before: Duration,
    /// CPU time of members that are gone.
    pub buried: Buried,
    /// Members that were born as such: for sure, and perhaps.
    pub spawned: (u64, u64),
    /// When the root went away.
    pub root_gone: Option<Mono>,
    /// Its members, where the root is gone, or not all of them need descend from it.
    pub members: Vec<ProcKey>,
    /// The label that tells who belongs to it.
    pub label: Option<Label>,
    /// Its open incident.
    pub incident: Option<Stand>,
}

/// What a closed incident left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remainder {
    /// The rule.
    pub rule: RuleName,
    /// The unit.
    pub unit: UnitKey,
    /// The label that told who belonged to it.
    pub label: Option<Label>,
    /// The ladder that its stages are of.
    pub ladder: Vec<StageAct>,
    /// What was left.
    pub past: Past,
}

/// Where an incident stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Its number.
    pub id: IncidentId,
    /// Since when.
    pub opened: Mono,
    /// How many stages were carried out.
    pub next: usize,
    /// The mode they were carried out in: in another one, nothing of it was said to the same people.
    pub mode: Mode,
    /// The ladder they were of.
    pub ladder: Vec<StageAct>,
    /// The last time people were told.
    pub told: Option<Mono>,
    /// Whether any signal was sent.
    pub signalled: bool,
    /// Whether a stage was refused by the kernel.
    pub denied: bool,
    /// What was said to be withheld already.
    pub said: bool,
    /// Stages before this one have had their programs run.
    pub ran: usize,
    /// What it rested on.
    pub weight: Weight,
    /// What a person has bidden, and how many of its stages were carried out.
    pub bidden: Option<(Bidding, usize)>,
    /// Until when it is left alone, because a person said so.
    pub snoozed: Option<Snooze>,
    /// How often people have extended it.
    pub extended: u32,
}

/// A tree that we ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub at: Mono,
    /// Under which rule.
    pub rule: RuleName,
    /// Whose.
    pub owner: Option<Uid>,
    /// What ran.
    pub program: Text,
    /// Who had started it.
    pub starter: Option<ProcKey>,
}
