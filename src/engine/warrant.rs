//! Authority for one act, and what came of it. A warrant is not keystrokes: identity, tie, rule, evidence,
//! freshness, protection and blast radius in one value. Stored, it is the kill certificate.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Bidding;
use super::decision::Hearing;
use super::event::Event;
use super::evidence::{Evidence, IncidentId, UnitKey};
use super::guard::Reason;
use super::label::Label;
use super::process::{ExecGen, Pid, ProcKey, StartTicks, Text};
use super::rule::Signal;
use super::units::Mono;

/// The number of a warrant: counts from 1 within one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WarrantId(pub u64);

/// How often authority over this unit was withdrawn. A warrant of an older epoch sends nothing more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// How far into the stream of events a decision has looked: the number of events applied before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCount(pub u64);

/// Authority for one act against one unit.
#[derive(Clone, Debug)]
pub struct Warrant {
    /// Its number.
    pub id: WarrantId,
    /// The incident it belongs to.
    pub incident: IncidentId,
    /// The unit.
    pub unit: UnitKey,
    /// What is ordered.
    pub order: Order,
    /// The living members, parents before children.
    pub targets: Vec<Target>,
    /// Living members whose fork was heard and who were never looked at: their identity is taken when the warrant is
    /// carried out, by the same rule as for newborns.
    pub unbound: Vec<Unbound>,
    /// All of the tree at the last call, in words: whom it is about, and who is spared and why.
    pub roster: Vec<Member>,
    /// What becomes of processes that members start meanwhile.
    pub newborn: Newborn,
    /// What everyone must be found to carry at the very moment of a signal, where the unit is told by a label.
    pub label: Option<Label>,
    /// Never signalled, whatever else says so.
    pub spare: Arc<Spare>,
    /// Why.
    pub evidence: Arc<Evidence>,
    /// Whose bidding it is, where it is a person's and not the ladder's.
    pub bidden: Option<Bidding>,
    /// How old the evidence is: its oldest sample.
    pub sampled: Mono,
    /// Nothing is sent after this.
    pub expires: Mono,
    /// Compared at every send.
    pub epoch: Epoch,
    /// The decision has seen the stream of events up to here; what came later is caught up with before acting.
    pub seen: EventCount,
}

/// What a warrant orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send a signal that asks, parents first; continue those found stopped, children first.
    Ask(Signal),
    /// KILL every member and every newborn until none is left.
    End,
    /// STOP every member and every newborn until nobody moves; they stay so.
    Hold,
    /// CONT to those who stand still because of a hold.
    Release,
}

impl Order {
    /// The signal it sends.
    pub const fn signal(self) -> Signal {
        match self {
            Self::Ask(signal) => signal,
            Self::End => Signal::Kill,
            Self::Hold => Signal::Stop,
            Self::Release => Signal::Cont,
        }
    }
}

/// What becomes of processes that members start while an act is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Newborn {
    /// They are left alone: they become members, or, where one process is judged by itself, none.
    #[default]
    Admit,
    /// They get the same.
    Refuse,
}

/// One process that a signal goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Who.
    pub key: ProcKey,
    /// When it started.
    pub start: StartTicks,
    /// Why it is a member.
    pub tie: HardTie,
    /// Which image it ran when it was judged.
    pub exec: ExecGen,
    /// Whether the last sample found it stopped.
    pub stopped: bool,
}

/// A member known by the event of its birth alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbound {
    /// Its number, valid at `Warrant::seen` events.
    pub pid: Pid,
    /// Its start by the event; the kernel's own is near it.
    pub start: StartTicks,
    /// Why it is a member.
    pub tie: HardTie,
}

impl Warrant {
    /// The numbers of all targets.
    pub fn pids(&self) -> Vec<Pid> {
        let bound = self.targets.iter().map(|target| target.key.pid());
        bound
            .chain(self.unbound.iter().map(|unbound| unbound.pid))
            .collect()
    }
}

/// One process of a tree, in words that people know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub pid: Pid,
    /// Its identity, once bound.
    pub key: Option<ProcKey>,
    /// What really runs; its parent's program until its own is known.
    pub program: Text,
    /// What kind of program that is.
    pub image: Image,
    /// Why it gets no signal; `None` when it gets what the tree gets.
    pub shelter: Option<Shelter>,
}

/// What kind of program a process runs, as far as it matters to whoever asks what a signal would end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// A shell: with a person at it, or with commands among its arguments. Scripts are not.
    Shell,
    /// Anything else.
    Other,
}

/// Why a process of a tree gets no signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shelter {
    /// It is protected.
    Protected(Reason),
    /// It is a boundary: lineage ends at it.
    Boundary(Reason),
    /// `keep` of the rule takes it out of the tree, with what it starts.
    Kept,
    /// It does not descend from the process that `--only-under` names.
    Leash,
    /// It is another user's, and an unprivileged beadle answers for one user's processes.
    Foreign,
    /// Why it belongs to the tree is not certain enough to act on.
    Untied,
    /// It runs another image since it was last known to carry the label of the job, or could not be asked.
    Unproven,
}

/// Why a process is a member, strongly enough to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardTie {
    /// It is the root.
    Root,
    /// The kernel told of its fork, and its parent was a member.
    Forked {
        /// The parent's number then.
        parent: Pid,
    },
    /// At first sight its parent was a member, and the parent still lived afterwards.
    Child {
        /// The parent.
        parent: ProcKey,
    },
    /// It belongs to a session that a member made.
    Session {
        /// The session's number, which cannot be reused while anyone is in it.
        session: Pid,
    },
    /// Its own environment says so, and the rule declares that to be enough.
    Labeled,
    /// It is in the unit's control group, and the rule declares that to be enough.
    Filed,
    /// It was found below a member when the tree was frozen, and stopped with it. Good for letting it go on, and for
    /// nothing else.
    Frozen,
}

impl fmt::Display for Shelter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected(reason) => write!(f, "protected: {reason}"),
            Self::Boundary(reason) => write!(f, "boundary: {reason}"),
            Self::Kept => f.write_str("taken out of the tree by `keep`"),
            Self::Leash => f.write_str("outside the leash"),
            Self::Foreign => f.write_str("another user's"),
            Self::Untied => f.write_str("not certain that it belongs to the tree"),
            Self::Unproven => f.write_str("not known to carry the label of the job now"),
        }
    }
}

impl fmt::Display for HardTie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the root"),
            Self::Forked { parent } => write!(f, "forked by member {parent}"),
            Self::Child { parent } => write!(f, "found as a child of member {}", parent.pid()),
            Self::Session { session } => {
                write!(f, "in session {session}, which a member made")
            }
            Self::Labeled => f.write_str("carries the label of the job"),
            Self::Filed => f.write_str("in the control group"),
            Self::Frozen => f.write_str("frozen with the tree"),
        }
    }
}

/// Who is never signalled: us and what we hang from, and whoever stands in the midst of what is ended and is none of
/// it. None of them is a target; this is for whoever looks for more, and the second check at the moment of the signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spare {
    /// Beadle itself and its ancestors.
    pub keys: Vec<ProcKey>,
    /// Kept, protected, a boundary, another user's. What they start is left alone with them, where it is no target.
    pub bystanders: Vec<ProcKey>,
}

impl Spare {
    /// Whether it spares this process.
    pub fn spares(&self, key: ProcKey) -> bool {
        self.keys.contains(&key) || self.bystanders.contains(&key)
    }
}

/// What came of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The signal was sent (and, for [`Order::End`], the process is dead; for [`Order::Hold`], it stands still by our
    /// doing).
    Sent,
    /// It was dead before.
    Gone,
    /// The kernel refused.
    Denied,
    /// We held back, and why.
    Withheld(Withheld),
    /// KILL was sent and it is still there.
    Survived,
}

impl Outcome {
    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Gone => "gone",
            Self::Denied => "denied",
            Self::Withheld(_) => "withheld",
            Self::Survived => "survived",
        }
    }
}

/// Why a signal was held back at the last moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Protected.
    Protected,
    /// It does not carry the label of the job, or no more.
    Left,
    /// Authority was withdrawn.
    Recalled,
    /// The warrant was too old.
    Expired,
    /// We could not make sure who it is: out of file descriptors, or no pidfds here.
    Unsure,
}

impl Withheld {
    /// The word in logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::Left => "left",
            Self::Recalled => "recalled",
            Self::Expired => "expired",
            Self::Unsure => "unsure",
        }
    }
}

/// A process that outlived an [`Order::End`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// Who.
    pub key: ProcKey,
    /// The kernel's letter for its state; `?` when it could not be read.
    pub state: char,
}

/// How sure it is that nobody lives on whom nobody knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// As far as looks can tell: who was born and hid between two of them was never seen.
    Looked,
    /// Every birth was heard.
    Heard,
}

impl Certainty {
    /// How it is told.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Looked => "looked",
            Self::Heard => "heard",
        }
    }
}

impl From<Hearing> for Certainty {
    fn from(hearing: Hearing) -> Self {
        match hearing {
            Hearing::Events => Self::Heard,
            Hearing::Nothing => Self::Looked,
        }
    }
}

/// What came of a warrant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which warrant.
    pub warrant: WarrantId,
    /// Each process that was a target or was born as a member meanwhile.
    pub each: Vec<(ProcKey, Outcome)>,
    /// Who was continued because it was found stopped.
    pub continued: Vec<ProcKey>,
    /// Births, execs and exits that were heard during the act and are not in the stream yet. Empty where the same
    /// stream reaches the judge anyway.
    pub heard: Vec<Event>,
    /// Who outlived it, as far as is known.
    pub left: Vec<Survivor>,
    /// How sure it is that these are all.
    pub certainty: Certainty,
    /// When the first signal was sent; `None` when none was.
    pub first: Option<Mono>,
    /// When it was settled.
    pub at: Mono,
    /// From start to settled.
    pub took: Duration,
}
