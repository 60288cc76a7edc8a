//! What goes into the judge and what comes out of it: the whole conversation between the engine and the world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::account::{Accounting, Accounts};
use super::activity::{Inspected, Inspection, Manner};
use super::answer::{Answer, Bidding, Declined, Effect, Exception, Granted, Snooze};
use super::elder::Word;
use super::errand::{Came, Errand, ErrandId, Occasion, Ran, Task};
use super::event::Event;
use super::evidence::{Evidence, IncidentId, Peers, Reading, UnitKey, Verdict};
use super::facts::{Facts, Question};
use super::gate::{GateReading, Vital};
use super::heartbeat::{Beat, Heard, Hears, Loss, Progress, Receipt};
use super::legacy::Legacy;
use super::process::{Pid, ProcKey, Text, Uid};
use super::rule::{Mode, Origin, RuleName, RuleSet, Scope, Signal, StageAct};
use super::snapshot::{Ask, Snapshot};
use super::steward::Unstoppable;
use super::survey::{Findings, Survey};
use super::units::{Mono, Tier};
use super::warrant::{Certainty, EventCount, Report, Warrant, WarrantId};

/// Something the judge is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The kernel's events, in its order; `upto` counts all that were ever delivered, these included.
    Events {
        /// What happened.
        events: Vec<Event>,
        /// How many events were delivered by now.
        upto: EventCount,
    },
    /// Whether births and deaths are heard from now on.
    Hearing(Hearing),
    /// Events were lost: what is known of births and deaths may be wrong until the next listing.
    Gap,
    /// All events of before this moment have been told.
    Flushed(Mono),
    /// What the kernel wrote of the dead, or whether it writes anything.
    Accounts(Accounts),
    /// The numbers of all processes there are.
    Listing(Vec<Pid>),
    /// Figures that were asked for.
    Snapshot(Snapshot),
    /// Facts that were asked for.
    Facts(Vec<Facts>),
    /// What a survey of memory found.
    Measured(Findings),
    /// What an inspection of what a unit does found.
    Inspected(Inspected),
    /// What came of a warrant.
    Report(Report),
    /// What an errand came to.
    Ran(Ran),
    /// What processes said of themselves, in its order.
    Beats(Vec<Beat>),
    /// Whether heartbeats are heard from now on.
    Hears(Hears),
    /// What may have been said and was not heard.
    Lost(Loss),
    /// Everything that was accepted before this moment has been delivered: sign or let go.
    LastCall(WarrantId),
    /// New rules, all of them.
    Rules(Arc<RuleSet>),
    /// What a person said.
    Answer(Answer),
    /// What people said that rules never mind: all of it, in place of what was known before.
    Exceptions(Vec<Exception>),
    /// What an earlier beadle of this boot left; before anything else.
    Inherit(Box<Legacy>),
    /// Incidents are numbered from here from now on, unless they are further already.
    Numbering(IncidentId),
    /// What the machine's beadle minds.
    Elder(Word),
    /// Nothing came until the deadline.
    Deadline,
}

/// Whether the kernel tells us of births and deaths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It does: the event tier.
    Events,
    /// It does not: the scan tier.
    Nothing,
}

/// Something the judge wants done. The shells carry it out; what they find comes back as [`Input`].
#[derive(Clone, Debug)]
pub enum Decision {
    /// List all processes.
    List,
    /// Have every event told that happened by now; [`Input::Flushed`] follows.
    Flush,
    /// Take figures. An answer that is not there by `by` counts as not known.
    Sample {
        /// Of whom.
        asks: Vec<Ask>,
        /// Paths of control groups whose figures are wanted too.
        groups: Vec<Text>,
        /// Figures of the machine that are wanted too.
        vitals: BTreeSet<Vital>,
        /// How long it may take.
        by: Mono,
    },
    /// Whether the kernel is to leave a record of everyone who dies.
    Account(Accounting),
    /// Learn facts, off the loop.
    Learn(Vec<Question>),
    /// Survey memory, off the loop.
    Measure(Survey),
    /// Inspect what a unit does, off the loop.
    Inspect(Inspection),
    /// Drain heartbeats and answers, then give the last call for this warrant.
    Prepare(WarrantId),
    /// Carry out a warrant.
    Carry(Arc<Warrant>),
    /// Have an errand done, apart from everything else.
    Run(Arc<Errand>),
    /// Ask the machine's beadle what it minds; [`Input::Elder`] follows, whatever comes of it.
    Consult,
    /// Withdraw a warrant: nothing more may be sent for it.
    Recall(WarrantId),
    /// Everything that was said before this receipt was asked for is taken in.
    Accept(Receipt),
    /// Something that was said before this receipt was asked for was dropped.
    Refuse(Receipt),
    /// Tell people, and the log.
    Tell(Notice),
    /// Tell whoever answered what came of it: one for each [`Input::Answer`], in the same step.
    Reply(Result<Granted, Declined>),
    /// Keep these exceptions, all there are, for whoever watches next.
    Keep(Vec<Exception>),
}

/// Something worth telling, with its reason. All that the log, the journal, the terminal and the history say of
/// decisions is printed from these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When.
    pub at: Mono,
    /// Which incident.
    pub incident: IncidentId,
    /// The rule's mode.
    pub mode: Mode,
    /// Why: the figures.
    pub evidence: Arc<Evidence>,
    /// What.
    pub what: What,
}

/// What happened to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It opened: a clause holds.
    Opened,
    /// It takes over the case of a smaller tree, below a root that was found above it.
    TakenOver {
        /// That case.
        from: IncidentId,
    },
    /// People are told. This, and only this, goes to the audience.
    Nudge {
        /// What comes next of its own accord, and in how long; `None` when nothing will.
        next: Option<(StageAct, Duration)>,
        /// Why nothing will, where the ladder goes on but we do not.
        rests: Option<Rest>,
        /// A reminder of an incident that people were told of before.
        again: bool,
    },
    /// A warrant is carried out: its signal goes to so many processes.
    Signal {
        /// Which warrant.
        warrant: WarrantId,
        /// Which signal.
        signal: Signal,
        /// To whom.
        targets: Vec<Pid>,
        /// How long the stage before gave.
        served: Duration,
        /// Whose bidding it is, where it is a person's.
        bidden: Option<Bidding>,
    },
    /// A person has answered.
    Answered {
        /// Who.
        by: Uid,
        /// What comes of it.
        effect: Effect,
    },
    /// An errand is begun.
    Run {
        /// Which.
        errand: ErrandId,
        /// What.
        task: Task,
        /// At which point.
        occasion: Occasion,
    },
    /// What an errand came to.
    Ran {
        /// Which.
        errand: ErrandId,
        /// What it was.
        task: Task,
        /// What it came to.
        came: Came,
        /// How long it took.
        took: Duration,
    },
    /// A stage was due and was not carried out; said once.
    Withheld {
        /// What would have been done.
        act: StageAct,
        /// To how many processes.
        targets: u32,
        /// Why not.
        why: Rest,
    },
    /// It is over.
    Closed {
        /// How.
        how: Closing,
        /// How long it was open.
        lasted: Duration,
    },
}

/// Why a ladder rests where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The rule's mode ends here.
    Mode(Mode),
    /// Too many trees of this rule and owner were ended of late.
    Breaker,
    /// Three of these were ended of late: somebody restarts them.
    Respawn {
        /// Who, as far as known.
        by: Option<Text>,
    },
    /// A stage was refused by the kernel before.
    Denied,
    /// Every member is protected, or outside the leash.
    Protected,
    /// Too much is being run, or waits to be.
    Busy,
    /// What it lives in is not to be stopped. The ladder goes on.
    Unstoppable(Unstoppable),
    /// Nothing is over but the number of instances, of which people are only told.
    Instances,
    /// The machine's beadle minds it: this incident there, under this rule.
    Minded {
        /// Its number there.
        incident: IncidentId,
        /// Its rule there.
        rule: RuleName,
    },
}

/// How an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Every limit was clear for 10 s.
    Recovered,
    /// The unit went away by itself.
    Exited,
    /// We ended it: so surely.
    Ended(Certainty),
    /// The kernel refused our signal.
    Denied,
    /// A person answered.
    Answered,
    /// A root above took it over.
    Merged,
    /// The root runs something that does not match.
    Unmatched,
    /// The rule is gone.
    RuleRemoved,
}

impl Closing {
    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Exited => "exited",
            Self::Ended(_) => "ended",
            Self::Denied => "denied",
            Self::Answered => "answered",
            Self::Merged => "merged",
            Self::Unmatched => "unmatched",
            Self::RuleRemoved => "rule removed",
        }
    }

    /// How sure the end is, where it is our doing.
    pub const fn certainty(self) -> Option<Certainty> {
        match self {
            Self::Ended(certainty) => Some(certainty),
            Self::Recovered
            | Self::Exited
            | Self::Denied
            | Self::Answered
            | Self::Merged
            | Self::Unmatched
            | Self::RuleRemoved => None,
        }
    }
}

/// What the judge sees now, for `status`, `ps` and `why`.
#[derive(Clone, Debug)]
pub struct View {
    /// Now.
    pub at: Mono,
    /// Where births and deaths come from.
    pub tier: Tier,
    /// How many times events were lost.
    pub gaps: u64,
    /// Living processes known.
    pub processes: usize,
    /// Processes whose facts are not learnt yet.
    pub pending: usize,
    /// The mode asked for.
    pub mode: Mode,
    /// The rules, with how many units each judges.
    pub rules: Vec<RuleView>,
    /// The units, nearest to a limit first.
    pub units: Vec<UnitView>,
    /// Pauses in force.
    pub pauses: Vec<PauseView>,
    /// What became of heartbeats.
    pub beats: Heard,
}

/// A rule as people ask for it.
#[derive(Clone, Debug)]
pub struct RuleView {
    /// Its name.
    pub name: RuleName,
    /// What it is for.
    pub about: Option<String>,
    /// Where it was written.
    pub origin: Origin,
    /// Its mode.
    pub mode: Mode,
    /// Its scope.
    pub scope: Scope,
    /// How many units it judges now.
    pub units: usize,
    /// Its gates, and how they stand; what nothing is judged by is not read.
    pub gates: Vec<GateReading>,
}

/// A unit as people ask for it.
#[derive(Clone, Debug)]
pub struct UnitView {
    /// The figures now.
    pub evidence: Evidence,
    /// The verdict.
    pub verdict: Verdict,
    /// The rule's gates, as they stood then.
    pub gates: Vec<GateReading>,
    /// How near the nearest limit is, in thousandths: 1000 is at it.
    pub nearness: u64,
    /// The incident, when one is open.
    pub incident: Option<IncidentView>,
    /// Living members' CPU time, memory, and so on are in the readings; these are the members themselves.
    pub members: Vec<ProcKey>,
}

/// An open incident as people ask for it.
#[derive(Clone, Debug)]
pub struct IncidentView {
    /// Its number.
    pub id: IncidentId,
    /// Since when.
    pub since: Mono,
    /// The last stage that was carried out, in words.
    pub stage: String,
    /// What comes next and when.
    pub next: Option<(StageAct, Mono)>,
    /// Why nothing comes.
    pub rests: Option<Rest>,
    /// What a person has bidden, where it goes by that.
    pub bidden: Option<Bidding>,
    /// Until when it is left alone, because a person said so.
    pub snoozed: Option<Snooze>,
}

/// A pause as people ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseView {
    /// Who.
    pub by: Uid,
    /// Which rule; `None` is all.
    pub rule: Option<RuleName>,
    /// Until when; [`Mono::NEVER`] is until resumed.
    pub until: Mono,
}

/// Why a process is, or is not, judged: the answer to `why PID`.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The process.
    pub pid: Pid,
    /// Its identity; `None` while unknown.
    pub key: Option<ProcKey>,
    /// What really runs; `None` while pending.
    pub program: Option<Text>,
    /// Its command line, cut short, secrets removed.
    pub command: Option<Text>,
    /// Effective user.
    pub owner: Option<Uid>,
    /// Who hears of it.
    pub audience: Option<Uid>,
    /// Those above it by lineage, nearest first: number and name.
    pub above: Vec<(Pid, Text)>,
    /// Whether it is protected or a boundary, and by which entry.
    pub standing: Option<String>,
    /// Each rule, in order.
    pub rules: Vec<RuleExplanation>,
    /// Cached answer counts and the like, for developers.
    pub notes: BTreeMap<&'static str, String>,
}

/// One rule's view of one process.
#[derive(Clone, Debug)]
pub struct RuleExplanation {
    /// The rule.
    pub rule: RuleName,
    /// Its mode.
    pub mode: Mode,
    /// How it stands to the process.
    pub relation: Relation,
}

/// How a rule stands to a process.
#[derive(Clone, Debug)]
pub enum Relation {
    /// The process is, or belongs to, a unit of the rule.
    Member {
        /// The unit.
        unit: UnitKey,
        /// The label that tells who belongs to it, as it may be shown.
        label: Option<Text>,
        /// The root's program.
        root: Text,
        /// Its verdict.
        verdict: Verdict,
        /// The rule's gates, as they stood then.
        gates: Vec<GateReading>,
        /// Each limit: now, threshold, for how long.
        readings: Vec<Reading>,
        /// The other instances, where the rule counts them.
        peers: Option<Box<Peers>>,
        /// How far it is, by its own word.
        progress: Option<Box<Progress>>,
        /// In which manner nothing happens in it, or nothing comes of it.
        manner: Option<Box<Manner>>,
        /// When the soonest limit would be over at this pace, as far as it can be told.
        soonest: Option<Mono>,
        /// The open incident.
        incident: Option<Box<IncidentView>>,
    },
    /// It matches, and yet is no root: why.
    Barred(String),
    /// It does not match: the first field that did not hold, and what was found instead.
    Unmatched(String),
    /// Not known yet: what is missing.
    Pending(String),
}

/// The reading nearest to its threshold, in thousandths of it.
pub fn nearness(readings: &[Reading]) -> u64 {
    readings
        .iter()
        .filter_map(Reading::permille)
        .max()
        .unwrap_or(0)
}
