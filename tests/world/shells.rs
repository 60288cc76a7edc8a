//! Carries out what the judge decides, as the real shells would: late, out of step, sometimes not at all.

mod death;
pub mod errands;
mod freeze;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::account::{Accounting, Accounts};
use beadle::engine::activity::Inspection;
use beadle::engine::decision::{Decision, Hearing, Input};
use beadle::engine::errand::{Errand, Ran};
use beadle::engine::facts::{Question, Read};
use beadle::engine::forest::Forest;
use beadle::engine::gate::Vital;
use beadle::engine::process::{Pid, ProcKey, StartTicks, Text, Uid};
use beadle::engine::rule::Signal;
use beadle::engine::snapshot::{Ask, Entered};
use beadle::engine::units::Mono;
use beadle::engine::warrant::{
    EventCount, Newborn, Order, Outcome, Report, Survivor, Warrant, WarrantId, Withheld,
};

use super::body::{Body, Consent, Id, State};
use super::chance::Chance;
use super::machine::{Machine, Reach};
use super::senses::{self, Sight};
pub use ways::{Door, Records, Ways};

/// A signal as it was sent, to a true process.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Mono,
    pub to: Id,
    pub signal: Signal,
    pub warrant: Arc<Warrant>,
    /// Whether it truly carried the warrant's label then; `None` where there is none.
    pub carried: Option<bool>,
}

#[derive(Clone, Debug)]
enum Job {
    Deliver(Input),
    List,
    Flush(Mono),
    Look(Vec<Ask>, Vec<Text>, BTreeSet<Vital>),
    Account(Accounting),
    Learn(Vec<Question>),
    Inspect(Inspection),
    Begin(Arc<Warrant>),
    Chase(WarrantId),
    Return(Arc<Errand>, Ran),
}

/// An act under way.
#[derive(Clone, Debug)]
struct Act {
    warrant: Arc<Warrant>,
    began: Mono,
    each: Vec<(ProcKey, Outcome)>,
    reached: BTreeSet<Id>,
    /// Who was met and carries another label.
    passed: BTreeSet<Id>,
    continued: Vec<ProcKey>,
    first: Option<Mono>,
}

/// The shells.
#[derive(Clone, Debug)]
pub struct Shells {
    pub ways: Ways,
    /// Every signal that was sent.
    pub sent: Vec<Sent>,
    /// Which image's facts the judge was told.
    pub heard: BTreeSet<(Id, u32)>,
    /// The same, of the judges before it.
    pub heard_before: BTreeSet<(Id, u32)>,
    /// Which image's facts were read, by number and moment.
    read: BTreeMap<(Pid, Mono), (Id, u32)>,
    chance: Chance,
    jobs: BTreeMap<(Mono, u64), Job>,
    entered: u64,
    acts: BTreeMap<WarrantId, Act>,
    recalled: BTreeSet<WarrantId>,
    /// Whom we stopped, and when.
    held: BTreeMap<Id, Mono>,
    /// Records are kept, and were last read then.
    recording: Option<Mono>,
    /// When groups were last looked at.
    looked: BTreeMap<Text, Mono>,
    /// Whose reports never come.
    pub lost: BTreeSet<WarrantId>,
    /// Whom the next look fails at.
    pub unseen: Option<Pid>,
    /// Whom shells that died had stopped, to end them.
    stopped: Vec<Id>,
}

impl Shells {
    pub fn new(ways: Ways, seed: u64) -> Self {
        Self {
            ways,
            sent: Vec::new(),
            heard: BTreeSet::new(),
            heard_before: BTreeSet::new(),
            read: BTreeMap::new(),
            chance: Chance::new(seed),
            jobs: BTreeMap::new(),
            entered: 0,
            acts: BTreeMap::new(),
            recalled: BTreeSet::new(),
            held: BTreeMap::new(),
            recording: None,
            looked: BTreeMap::new(),
            lost: BTreeSet::new(),
            unseen: None,
            stopped: Vec::new(),
        }
    }

    /// When something is done next.
    pub fn next(&self) -> Option<Mono> {
        self.jobs.keys().next().map(|(at, _)| *at)
    }

    /// Gives the judge something to read.
    pub fn post(&mut self, at: Mono, input: Input) {
        self.enter(at, Job::Deliver(input));
    }

    fn enter(&mut self, at: Mono, job: Job) {
        self.entered += 1;
        self.jobs.insert((at, self.entered), job);
    }

    fn soon(&mut self, now: Mono) -> Mono {
        let millis = match self.ways.slowest {
            0 => 0,
            slowest => self.chance.within(0, slowest),
        };
        now.after(Duration::from_millis(millis))
    }

    /// Takes the events that happened to the judge, or loses them.
    pub fn hear(&mut self, machine: &mut Machine) -> Option<Input> {
        let events = std::mem::take(&mut machine.events);
        if self.ways.hearing == Hearing::Nothing || events.is_empty() {
            return None;
        }
        if self.chance.permille(self.ways.gaps) {
            return Some(Input::Gap);
        }
        let upto = EventCount(machine.told);
        Some(Input::Events { events, upto })
    }

    /// Begins to carry out decisions.
    pub fn carry_out(&mut self, decisions: &[Decision], now: Mono) {
        for decision in decisions {
            match decision {
                Decision::List => {
                    let at = self.soon(now);
                    self.enter(at, Job::List);
                }
                Decision::Flush => {
                    if let Some(least) = self.ways.flush {
                        let at = self.soon(now).after(least);
                        self.enter(at, Job::Flush(now));
                    }
                }
                Decision::Account(wanted) => {
                    let at = self.soon(now);
                    self.enter(at, Job::Account(*wanted));
                }
                Decision::Sample {
                    asks,
                    groups,
                    vitals,
                    ..
                } => {
                    if !self.chance.permille(self.ways.lost_looks) {
                        let at = self.soon(now);
                        let look = Job::Look(asks.clone(), groups.clone(), vitals.clone());
                        self.enter(at, look);
                    }
                }
                Decision::Learn(questions) => {
                    let at = self.soon(now);
                    self.enter(at, Job::Learn(questions.clone()));
                }
                Decision::Prepare(id) => self.enter(now, Job::Deliver(Input::LastCall(*id))),
                Decision::Carry(warrant) => {
                    let at = now.after(Duration::from_micros(100));
                    self.enter(at, Job::Begin(warrant.clone()));
                }
                Decision::Run(errand) => self.run(now, errand),
                Decision::Recall(id) => {
                    self.recalled.insert(*id);
                }
                Decision::Inspect(inspection) => {
                    let at = self.soon(now);
                    self.enter(at, Job::Inspect(inspection.clone()));
                }
                // Nobody measures here: what lies between the bounds stays unknown.
                Decision::Measure(_)
                | Decision::Accept(_)
                | Decision::Refuse(_)
                | Decision::Tell(_)
                | Decision::Consult
                | Decision::Reply(_)
                | Decision::Keep(_) => {}
            }
        }
    }

    /// Notes what the judge is being told.
    pub fn told(&mut self, forest: &Forest, input: &Input) {
        let Input::Facts(facts) = input else { return };
        for facts in facts {
            let node = forest
                .holder(facts.pid)
                .and_then(|serial| forest.node(serial));
            let read = self.read.remove(&(facts.pid, facts.at));
            // What was read of an image that is not run any more says nothing.
            if node.is_some_and(|node| node.exec == facts.exec) {
                self.heard.extend(read);
            }
        }
    }

    /// Does the next thing that is due; what the judge is told of it.
    pub fn turn(&mut self, machine: &mut Machine) -> Option<Input> {
        let entry = self.jobs.first_entry()?;
        if entry.key().0 > machine.now {
            return None;
        }
        let now = machine.now;
        match entry.remove() {
            Job::Deliver(input) => return Some(input),
            Job::List => {
                let at = self.soon(now);
                self.post(at, Input::Listing(machine.listing()));
            }
            // Whoever turns us has everything heard before.
            Job::Flush(asked) => return Some(Input::Flushed(asked)),
            Job::Account(wanted) => return Some(self.account(machine, wanted)),
            Job::Look(asks, groups, wanted) => {
                let sight = Sight {
                    memory: self.ways.parts,
                    units: self.ways.units,
                };
                let groups = self.groups_asked(machine, &groups);
                let (chance, share, unseen) =
                    (&mut self.chance, self.ways.unread, &mut self.unseen);
                let mut dim =
                    |pid| chance.permille(share) | (unseen.take_if(|one| *one == pid).is_some());
                let also = (groups.as_slice(), &wanted);
                let found = senses::snapshot(machine, &asks, also, &mut dim, sight);
                let at = self.soon(now);
                self.post(at, Input::Snapshot(found));
            }
            Job::Learn(questions) => self.learn(machine, &questions),
            Job::Inspect(inspection) => {
                let found = senses::inspect(machine, &inspection);
                let at = self.soon(now);
                self.post(at, Input::Inspected(found));
            }
            Job::Begin(warrant) => self.begin(machine, warrant),
            Job::Chase(id) => self.chase(machine, id),
            Job::Return(errand, ran) => {
                Self::stop_unit(machine, &errand, &ran);
                return Some(Input::Ran(ran));
            }
        }
        None
    }

    /// Groups, and whether somebody came in since the last look at each.
    fn groups_asked(&mut self, machine: &Machine, paths: &[Text]) -> Vec<(Text, Entered)> {
        let now = machine.now;
        let mut asked = |path: &Text| {
            let last = self.looked.insert(path.clone(), now);
            let name = path.to_string();
            let came = |(at, group): &(Mono, String)| {
                *group == name && last.is_some_and(|last| *at > last)
            };
            let entered = if machine.entries.iter().any(came) {
                Entered::Somebody
            } else {
                Entered::Nobody
            };
            (path.clone(), entered)
        };
        paths.iter().map(&mut asked).collect()
    }

    fn account(&mut self, machine: &mut Machine, wanted: Accounting) -> Input {
        self.recording = match self.ways.records {
            Records::Kept if wanted == Accounting::Wanted => Some(machine.now),
            Records::Kept | Records::None => None,
        };
        machine.records.clear();
        Input::Accounts(self.recording.map_or(Accounts::Closed, Accounts::Open))
    }

    /// Takes what was written of the dead to the judge, leaves it for the next time, or loses it.
    pub fn mourn(&mut self, machine: &mut Machine) -> Option<Input> {
        let (now, Some(since)) = (machine.now, self.recording) else {
            machine.records.clear();
            return None;
        };
        if machine.records.is_empty() || self.chance.permille(self.ways.late_records) {
            return None;
        }
        self.recording = Some(now);
        let records = std::mem::take(&mut machine.records);
        Some(Input::Accounts(
            if self.chance.permille(self.ways.lost_records) {
                Accounts::Lost(now)
            } else {
                Accounts::Batch {
                    since,
                    upto: now,
                    records,
                }
            },
        ))
    }

    fn learn(&mut self, machine: &Machine, questions: &[Question]) {
        let mut answers = Vec::new();
        for question in questions {
            if self.chance.permille(self.ways.lost_facts) {
                continue;
            }
            let mut facts = senses::facts(machine, question);
            if facts.key.is_some() && self.chance.permille(self.ways.late_facts) {
                facts.args = Read::Late;
                facts.exe = Read::Late;
            } else if facts.key.is_some() && self.chance.permille(self.ways.late_env) {
                facts.env = Read::Late;
            } else if let Some(body) = facts.key.and_then(|key| machine.find(key)) {
                self.read
                    .insert((body.pid, machine.now), (body.id, body.image));
            }
            answers.push(facts);
        }
        if !answers.is_empty() {
            let at = self.soon(machine.now);
            self.post(at, Input::Facts(answers));
        }
    }

    fn may_signal(&self, machine: &Machine, id: Id) -> bool {
        let owner = machine.body(id).map(|body| body.owner);
        let refuses = |body: &Body| body.plan.consent == Consent::Refuses;
        !machine.body(id).is_some_and(refuses)
            && (self.ways.user == Uid::ROOT.0 || owner == Some(self.ways.user))
    }

    fn begin(&mut self, machine: &mut Machine, warrant: Arc<Warrant>) {
        let mut act = Act {
            began: machine.now,
            each: Vec::new(),
            reached: BTreeSet::new(),
            passed: BTreeSet::new(),
            continued: Vec::new(),
            first: None,
            warrant: warrant.clone(),
        };
        let mut whom: Vec<(ProcKey, Option<Id>)> = warrant
            .targets
            .iter()
            .map(|target| (target.key, machine.find(target.key).map(|body| body.id)))
            .collect();
        // A number known by its birth alone is good only if no later birth names it.
        for unbound in &warrant.unbound {
            let body = machine.holder(unbound.pid).filter(|body| {
                body.birth_event <= warrant.seen.0 && StartTicks(body.ticks).can_be(unbound.start)
            });
            if let Some(body) = body {
                whom.push((machine.key(body), Some(body.id)));
            }
        }
        if (self.ways.hearing, warrant.newborn) == (Hearing::Nothing, Newborn::Refuse) {
            Self::find_more(machine, &warrant, &mut whom);
        }
        // Who stands still already is not ours to stop.
        let stands = |id: Option<Id>| {
            let body = id.and_then(|id| machine.body(id));
            body.is_some_and(|body| body.state == State::Stopped)
        };
        if warrant.order == Order::Hold {
            whom.retain(|(_, id)| !stands(*id));
        }
        for (key, id) in &whom {
            let outcome = self.send(machine, &mut act, *key, *id);
            act.each.push((*key, outcome));
        }
        let asks = matches!(warrant.order, Order::Ask(_) | Order::End);
        let found = warrant.targets.iter().rev();
        for target in found.filter(|target| asks && target.stopped) {
            if let Some(id) = machine.find(target.key).map(|body| body.id) {
                machine.proceed(id);
                act.continued.push(target.key);
            }
        }
        let id = warrant.id;
        self.acts.insert(id, act);
        self.chase(machine, id);
    }

    /// Where nothing is heard, everyone is stopped first, and whoever hangs from one of them is ended too: unless the
    /// warrant spares it.
    fn find_more(machine: &Machine, warrant: &Warrant, whom: &mut Vec<(ProcKey, Option<Id>)>) {
        loop {
            let named = |id: Id| whom.iter().any(|(_, one)| *one == Some(id));
            let more: Vec<_> = machine
                .living()
                .filter(|body| !named(body.id) && body.parent.is_some_and(named))
                .map(|body| (machine.key(body), Some(body.id)))
                .filter(|(key, _)| !warrant.spare.spares(*key))
                .collect();
            if more.is_empty() {
                return;
            }
            whom.extend(more);
        }
    }

    fn send(
        &mut self,
        machine: &mut Machine,
        act: &mut Act,
        key: ProcKey,
        id: Option<Id>,
    ) -> Outcome {
        let warrant = &act.warrant;
        if warrant.order == Order::Release {
            return self.take_back(machine, key, warrant);
        }
        if self.recalled.contains(&warrant.id) {
            return Outcome::Withheld(Withheld::Recalled);
        }
        if machine.now > warrant.expires {
            return Outcome::Withheld(Withheld::Expired);
        }
        if warrant.spare.spares(key) {
            return Outcome::Withheld(Withheld::Protected);
        }
        let Some(id) = id else { return Outcome::Gone };
        if !machine.alive(id) {
            return Outcome::Gone;
        }
        if !self.may_signal(machine, id) {
            return Outcome::Denied;
        }
        if let Some(why) = self.unlabeled(machine, warrant, id) {
            return Outcome::Withheld(why);
        }
        self.sent.push(Sent {
            at: machine.now,
            to: id,
            signal: warrant.order.signal(),
            warrant: warrant.clone(),
            carried: warrant
                .label
                .as_ref()
                .map(|label| machine.carries(id, label)),
        });
        act.reached.insert(id);
        act.first.get_or_insert(machine.now);
        if warrant.order == Order::Hold {
            self.held.insert(id, machine.now);
        }
        match machine.signal(id, warrant.order.signal()) {
            Reach::Reached => Outcome::Sent,
            Reach::Dead => Outcome::Gone,
        }
    }

    /// What the real door reads before each signal to a member of a job.
    fn unlabeled(&self, machine: &Machine, warrant: &Warrant, id: Id) -> Option<Withheld> {
        let label = warrant
            .label
            .as_ref()
            .filter(|_| self.ways.door == Door::Reads)?;
        let carries = machine.carries(id, label);
        (!carries).then_some(Withheld::Left)
    }

    /// Goes after newborns until all are dead, then reports.
    fn chase(&mut self, machine: &mut Machine, id: WarrantId) {
        let Some(mut act) = self.acts.remove(&id) else {
            return;
        };
        if act.warrant.newborn == Newborn::Refuse {
            while let Some((key, newborn)) = self.newborn(machine, &act) {
                let outcome = self.send(machine, &mut act, key, Some(newborn));
                act.each.push((key, outcome));
                if matches!(outcome, Outcome::Withheld(Withheld::Left)) {
                    // Whoever has left is none of the job, nor is what it starts.
                    act.passed.insert(newborn);
                } else if outcome != Outcome::Sent {
                    break;
                }
            }
        }
        let left: Vec<Id> = act
            .reached
            .iter()
            .copied()
            .filter(|id| machine.alive(*id))
            .collect();
        let patient = machine.now.since(act.began) < Duration::from_secs(2);
        if act.warrant.order == Order::End && !left.is_empty() && patient {
            let at = machine.now.after(Duration::from_millis(100));
            self.acts.insert(id, act);
            self.enter(at, Job::Chase(id));
            return;
        }
        self.settle(machine, act, &left);
    }

    fn newborn(&self, machine: &Machine, act: &Act) -> Option<(ProcKey, Id)> {
        let body = machine.living().find(|body| {
            let parent = match self.ways.hearing {
                Hearing::Events => machine.kin[body.id.0].parent,
                Hearing::Nothing => body.parent,
            };
            body.birth_event > act.warrant.seen.0
                && body.born >= act.warrant.sampled
                && parent.is_some_and(|parent| act.reached.contains(&parent))
                && !act.reached.contains(&body.id)
                && !act.passed.contains(&body.id)
        })?;
        Some((machine.key(body), body.id))
    }

    fn settle(&mut self, machine: &Machine, mut act: Act, left: &[Id]) {
        let ends = act.warrant.order == Order::End;
        let survivors: Vec<Survivor> = left
            .iter()
            .filter(|_| ends)
            .filter_map(|id| machine.body(*id))
            .map(|body| Survivor {
                key: machine.key(body),
                state: if body.state == State::Stopped {
                    'T'
                } else {
                    'D'
                },
            })
            .collect();
        for (key, outcome) in &mut act.each {
            if *outcome == Outcome::Sent && survivors.iter().any(|left| left.key == *key) {
                *outcome = Outcome::Survived;
            }
        }
        let report = Report {
            warrant: act.warrant.id,
            each: act.each,
            continued: act.continued,
            heard: Vec::new(),
            left: survivors,
            certainty: self.ways.hearing.into(),
            first: act.first,
            at: machine.now,
            took: machine.now.since(act.began),
        };
        if self.chance.permille(self.ways.lost_reports) {
            self.lost.insert(report.warrant);
        } else {
            let at = self.soon(machine.now);
            self.post(at, Input::Report(report));
        }
    }
}
