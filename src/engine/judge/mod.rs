//! The judge: holds rules against units and moves incidents up their ladders.
//!
//! `step(now, input) -> decisions` is all there is. What it asks for comes back as input; between two steps nothing
//! happens, so the same inputs give the same decisions for ever.
//!
//! | file | holds |
//! |---|---|
//! | `census` | births and deaths: who belongs to which unit |
//! | `enrol` | facts: how a process stands, which rules it is the root of |
//! | `shelf` | facts that nobody needs for now are not kept |
//! | `groups` | units that are told by a control group: who is in it |
//! | `orphans` | those of a command that beadle runs itself |
//! | `jobs` | units that are told by a label: who carries what |
//! | `proofs` | when it is asked again what a process carries |
//! | `looks` | when to list, to learn and to look: pay only for what is judged |
//! | `estate` | what the dead leave behind |
//! | `reckon` | CPU time: of one of the dead, of a unit |
//! | `ledger` | whose record is whose |
//! | `exclusive` | control groups that a unit has to itself |
//! | `freeze` | whom a `freeze` stage stopped, and letting them go on |
//! | `heartbeats` | what processes say of themselves, and whose it is |
//! | `instances` | how many roots of one kind there are, and who speaks for them |
//! | `activity` | when a unit is inspected for whether anything happens in it |
//! | `silence` | how long nothing was heard |
//! | `pending` | looks that wait for the events of before them |
//! | `survey` | when memory is worth counting with shared pages once |
//! | `bench` | a snapshot's verdicts, and what they set in motion |
//! | `ladder` | the stages: openings, nudges, closings |
//! | `roster` | all of a tree in words, and who of it may be signalled |
//! | `acts` | authority: targets, last calls, warrants, reports |
//! | `errands` | what others are to do: programs, managers; one at a time for each incident |
//! | `premises` | what a tree lives in, and who else does |
//! | `answers` | what people and rule files say: pauses, new rules |
//! | `elder` | the machine's beadle, which goes first |
//! | `replies` | what people answer to an incident, and who may |
//! | `view` | what it sees now, for `status`, `ps` and `why` |

mod activity;
mod acts;
mod answers;
mod bench;
mod bystanders;
mod census;
mod dossier;
mod elder;
mod enrol;
mod errands;
mod estate;
mod exclusive;
#[cfg(test)]
mod fixtures;
mod freeze;
mod groups;
mod heartbeats;
mod instances;
mod jobs;
mod ladder;
mod ledger;
mod legacy;
mod looks;
mod orphans;
mod pending;
mod premises;
mod proofs;
mod reckon;
mod replies;
mod roster;
mod shelf;
mod silence;
mod subject;
mod survey;
mod unit;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::account::{Accounting, Accounts};
use super::answer::Exception;
use super::decision::{Decision, Hearing, Input, PauseView};
use super::elder::Rank;
use super::event::{Event, Happening};
use super::evidence::{IncidentId, UnitKey};
use super::forest::{Forest, Serial};
use super::incident::Past;
use super::legacy::Ending;
use super::matcher::Answer;
use super::process::{Pid, ProcKey, Text, Uid};
use super::rule::{RuleName, RuleSet};
use super::snapshot::{Ask, Machine};
use super::steward::Managers;
use super::units::{Mono, Tier};
use super::warrant::{EventCount, Spare, Warrant, WarrantId};
use dossier::Dossier;
use elder::Counsel;
use errands::Errands;
use estate::Debt;
use heartbeats::Heartbeats;
use instances::SpokenOf;
use jobs::Whose;
use ledger::Ledger;
use legacy::Unclaimed;
use pending::Pending;
use shelf::Filing;
use silence::Silence;
use unit::{Unit, UnitId};
pub use view::Case;

/// After waking, nothing fires for so long.
const AFTER_WAKING: Duration = Duration::from_secs(60);
/// A step that comes so much later than it was due means that everything stood still, us included.
const STOOD_STILL: Duration = Duration::from_secs(30);

/// What the judge is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For an unprivileged beadle, the one user whose processes it judges; `None` judges everyone's.
    pub only_user: Option<Uid>,
    /// Whether another beadle goes first.
    pub rank: Rank,
    /// Beadle and its ancestors.
    pub spare: Arc<Spare>,
    /// Beadle itself, where it runs programs: what descends from it is judged by no rule.
    pub itself: Option<ProcKey>,
    /// `--only-under`: nothing but descendants of this process is ever signalled.
    pub leash: Option<ProcKey>,
    /// Beadle itself, where it runs a command under guard: whoever loses all above it is handed to it by the kernel, so a
    /// child of it that was found belongs to the one tree that it judges. Nothing below it protects itself by what it runs.
    pub reaper: Option<ProcKey>,
    /// Which service and container managers there are.
    pub managers: Managers,
    /// The first number an incident may get.
    pub first_incident: u64,
}

/// The judge.
#[derive(Debug)]
pub struct Judge {
    settings: Settings,
    rules: Arc<RuleSet>,
    forest: Forest,
    /// Boxed: of a map that grows at its end, half stays empty.
    dossiers: BTreeMap<Serial, Box<Dossier>>,
    units: BTreeMap<UnitId, Unit>,
    /// The answers of the rules to the last process they were held against.
    last_answers: Arc<[Answer]>,
    /// What the last process runs that was learnt.
    last_program: Text,
    /// What becomes of facts that nobody needs for now.
    filing: Filing,
    /// When to learn the facts of whom.
    ripe: BTreeSet<(Mono, Serial)>,
    /// Processes that match and wait for what is above them to be known.
    hopeful: BTreeSet<Serial>,
    /// Something changed that may decide for them.
    stirred: bool,
    /// Numbers that the last listing showed and nobody is known to hold, and when they were asked about.
    strangers: BTreeMap<Pid, Mono>,
    /// Who is still to be looked at since something was missed.
    doubtful: Vec<Serial>,
    /// Asks that the next look takes along.
    asks: Vec<Ask>,
    /// Where the scan tier's re-check stands.
    cursor: Option<Serial>,
    hearing: Hearing,
    gaps: u64,
    /// Events were lost and not everyone was looked at since.
    missed: bool,
    /// Looks that wait for the events of before them.
    pending: VecDeque<Pending>,
    silence: Silence,
    ledger: Ledger<Debt>,
    /// When somebody's children waited for before were last counted.
    last_counted: Mono,
    /// Whether records of the dead were asked for, and until when at least.
    accounting: Accounting,
    accounting_until: Mono,
    seen: EventCount,
    next_list: Mono,
    /// Matchers that ripen or drift are looked at again then.
    next_review: Mono,
    machine: Machine,
    /// The moment of the last step.
    now: Mono,
    quiet_until: Mono,
    snapshots: u64,
    pauses: Vec<PauseView>,
    /// What people said that rules never mind.
    exceptions: Vec<Exception>,
    endings: VecDeque<Ending>,
    flights: BTreeMap<WarrantId, Flight>,
    errands: Errands,
    /// What incidents left behind whose unit is no more while its root lives: it runs something else for now.
    /// Those of a job last as long as their cooldown.
    pasts: BTreeMap<(RuleName, Whose), (UnitKey, Past)>,
    /// The variables by which rules tell jobs apart.
    labels: Arc<[Arc<str>]>,
    /// Since when those are asked for.
    labels_since: Mono,
    /// Whose environment is to be read again, and when.
    proofs: BTreeSet<(Mono, Serial)>,
    /// What an earlier beadle left and nobody has taken up yet.
    unclaimed: Option<Unclaimed>,
    /// Of which kinds of instances something was said of late.
    spoken_of: SpokenOf,
    heartbeats: Heartbeats,
    counsel: Counsel,
    last_incident: u64,
    last_warrant: u64,
    last_unit: u64,
    last_survey: u64,
    last_inspection: u64,
}

/// A warrant under way.
#[derive(Clone, Debug)]
struct Flight {
    unit: UnitId,
    /// `None` until the last call.
    warrant: Option<Arc<Warrant>>,
    /// When it is given up: what was asked for did not come.
    until: Mono,
}

impl Judge {
    /// A judge who knows nothing of the machine yet.
    pub fn new(settings: Settings, rules: Arc<RuleSet>) -> Self {
        Self {
            last_incident: settings.first_incident.saturating_sub(1),
            settings,
            last_answers: Arc::new([]),
            last_program: Text::default(),
            filing: Filing::under(&rules),
            labels: rules.labels().into(),
            rules,
            forest: Forest::default(),
            dossiers: BTreeMap::new(),
            units: BTreeMap::new(),
            ripe: BTreeSet::new(),
            hopeful: BTreeSet::new(),
            stirred: false,
            strangers: BTreeMap::new(),
            doubtful: Vec::new(),
            asks: Vec::new(),
            cursor: None,
            hearing: Hearing::Nothing,
            gaps: 0,
            missed: false,
            pending: VecDeque::new(),
            silence: Silence::default(),
            ledger: Ledger::default(),
            last_counted: Mono::BOOT,
            accounting: Accounting::Unwanted,
            accounting_until: Mono::BOOT,
            seen: EventCount::default(),
            next_list: Mono::BOOT,
            next_review: Mono::BOOT,
            machine: Machine::default(),
            now: Mono::BOOT,
            quiet_until: Mono::BOOT,
            snapshots: 0,
            pauses: Vec::new(),
            exceptions: Vec::new(),
            endings: VecDeque::new(),
            flights: BTreeMap::new(),
            errands: Errands::default(),
            pasts: BTreeMap::new(),
            labels_since: Mono::BOOT,
            proofs: BTreeSet::new(),
            unclaimed: None,
            spoken_of: SpokenOf::new(),
            heartbeats: Heartbeats::default(),
            counsel: Counsel::default(),
            last_warrant: 0,
            last_unit: 0,
            last_survey: 0,
            last_inspection: 0,
        }
    }

    /// Takes in one input and decides. `now` never runs backwards.
    pub fn step(&mut self, now: Mono, input: Input) -> Vec<Decision> {
        let mut out = Vec::new();
        self.keep_time(now);
        match input {
            Input::Events { events, upto } => {
                self.hear(&events, &mut out);
                self.seen = upto;
            }
            Input::Hearing(hearing) => {
                // What happened while nothing was heard is as good as lost.
                if self.hearing != hearing {
                    self.doubt();
                    // Whoever tells of events begins anew, and keeps records only while it is asked to.
                    self.accounting = Accounting::Unwanted;
                }
                self.hearing = hearing;
                self.next_list = now;
            }
            Input::Gap => {
                self.gaps = self.gaps.saturating_add(1);
                self.doubt();
                // At most one listing a second, however often events are lost.
                self.next_list = self.next_list.min(now.after(Duration::from_secs(1)));
            }
            Input::Flushed(upto) => self.forest.catch_up(upto),
            Input::Accounts(accounts) => self.take_accounts(accounts),
            Input::Listing(listed) => {
                self.compare(&listed);
                // Where nobody is judged there are no looks.
                self.settle_unclaimed(&mut out);
            }
            Input::Snapshot(snapshot) => self.await_events(snapshot, &mut out),
            Input::Facts(facts) => self.learn(facts, &mut out),
            Input::Measured(findings) => self.take_survey(findings),
            Input::Inspected(found) => self.take_inspection(found),
            Input::Report(report) => self.take_report(&report, &mut out),
            Input::Ran(ran) => self.take_back(ran, &mut out),
            Input::Beats(beats) => self.take_beats(beats, &mut out),
            Input::Hears(hears) => self.take_hearing(hears),
            Input::Lost(loss) => self.lose(loss),
            Input::LastCall(warrant) => self.last_call(warrant, &mut out),
            Input::Rules(rules) => self.take_rules(rules, &mut out),
            Input::Answer(answer) => self.take_answer(answer, &mut out),
            Input::Exceptions(exceptions) => self.take_exceptions(exceptions),
            Input::Inherit(legacy) => self.inherit(*legacy),
            Input::Numbering(IncidentId(first)) => {
                self.last_incident = self.last_incident.max(first.saturating_sub(1));
            }
            Input::Elder(word) => self.take_word(word),
            Input::Deadline => {}
        }
        self.hear_beats(&mut out);
        self.take_looks(&mut out);
        // Whom a look has found.
        self.hear_beats(&mut out);
        self.pauses.retain(|pause| pause.until > now);
        self.give_up_flights(&mut out);
        self.pass_on_errands(&mut out);
        self.review();
        self.reconsider(&mut out);
        self.settle_jobs(&mut out);
        self.ask_what_is_due(&mut out);
        out
    }

    /// Births and deaths may have been missed: at the next listing everyone is looked at.
    fn doubt(&mut self) {
        self.missed = true;
        self.silence.begin(self.forest.heard().min(self.now));
        self.ledger.spoil(self.now);
        self.forest.doubt(self.now);
        self.doubt_labels();
    }

    /// Takes in events one by one: membership is inherited from the parent as it was at that very moment.
    fn hear(&mut self, events: &[Event], out: &mut Vec<Decision>) {
        let mut changes = Vec::new();
        for event in events {
            if let Happening::Exit { pid } = event.what {
                self.strangers.remove(&pid);
                self.silence.saw(pid);
                if self.forest.holder_at(event.at, pid).is_none() {
                    self.ledger.discard(pid);
                }
            }
            self.forest.apply(std::slice::from_ref(event), &mut changes);
            self.settle(&changes, out);
            changes.clear();
        }
    }

    /// Notices that the machine, or we, stood still.
    fn keep_time(&mut self, now: Mono) {
        let due = self.next_deadline().unwrap_or(Mono::NEVER);
        let late = now.since(due.max(self.now));
        if self.now > Mono::BOOT && late > STOOD_STILL {
            self.quiet_until = now.after(AFTER_WAKING);
            self.skip_time(now.since(self.now));
            self.wait_for_reports(now);
        }
        self.now = self.now.max(now);
    }

    /// Takes note of the machine; sleeping since the last snapshot starts the grace after waking.
    fn note_machine(&mut self, machine: Machine) {
        let slept = machine.slept.saturating_sub(self.machine.slept);
        if self.snapshots > 0 && slept > Duration::from_secs(1) {
            self.quiet_until = self.now.after(AFTER_WAKING);
        }
        self.machine = Machine {
            // A bound on what can have been used is good for all the time since.
            cores: machine.cores.max(self.machine.cores),
            ..machine
        };
    }

    /// Takes in records of the dead: those that come after their death was noted narrow what was noted.
    fn take_accounts(&mut self, accounts: Accounts) {
        let forest = &self.forest;
        let holder = |pid| Some(forest.node(forest.holder(pid)?)?.born);
        for (_, debt, account) in self.ledger.receive(accounts, self.now, holder) {
            self.pay(&debt, &account);
        }
    }

    /// How births and deaths are known.
    const fn tier(&self) -> Tier {
        match self.hearing {
            Hearing::Events => Tier::Events,
            Hearing::Nothing => Tier::Scan,
        }
    }

    fn new_incident(&mut self) -> IncidentId {
        self.last_incident = self.last_incident.saturating_add(1);
        IncidentId(self.last_incident)
    }

    fn new_warrant(&mut self) -> WarrantId {
        self.last_warrant = self.last_warrant.saturating_add(1);
        WarrantId(self.last_warrant)
    }

    fn new_unit(&mut self) -> UnitId {
        self.last_unit = self.last_unit.saturating_add(1);
        UnitId(self.last_unit)
    }
}
