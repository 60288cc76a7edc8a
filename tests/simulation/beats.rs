//! Heartbeats against decisions: small worlds in which processes move on in the very moment at which they are to be asked to
//! leave, before the last call and after it, and say much else besides.
//!
//! | invariant | planted fault that it caught |
//! |---|---|
//! | nobody is asked to leave who moved within the limit | `heartbeats`: progress does not restate the verdict |
//! | nobody is signalled after its progress was accepted | `heartbeats`: a receipt is given while an act is under way |
//! | who has never sent a beat is left alone | `heartbeat`: a unit that was never heard is silent since its start |
//! | who stands still is left alone | `heartbeats`: a pulse passes whatever stands |
//! | nobody but a member of the same owner averts anything, where the kernel holds no sender | none yet here |
//! | a member that the kernel holds averts, whatever user it has become | `heartbeats`: the user must fit, too |
//! | while nothing is heard, and where something was lost, nobody is asked to leave | `heartbeats`: `take_hearing` and `lose` do nothing |
//! | no receipt is given for what was dropped | `heartbeats`: more of one user wait than may |
//! | whoever does not move is asked to leave | `heartbeat`: every beat moves |
//! | every receipt is given in the end | none yet |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::decision::{Decision, Hearing, Input};
use beadle::engine::heartbeat::{Beat, Hears, Proof, Receipt, Words};
use beadle::engine::judge::{Judge, Settings};
use beadle::engine::process::{Mark, Pid, ProcKey, Uid};
use beadle::engine::rule::{Bound, RuleSet, Signal};
use beadle::engine::steward::Managers;
use beadle::engine::units::Mono;
use beadle::engine::warrant::{Order, Spare, WarrantId};

use crate::world::body::{Deed, Id, OnTerm, Plan, State};
use crate::world::chance::Chance;
use crate::world::letters::Letter;
use crate::world::machine::{Machine, Make, Marks};
use crate::world::rules;
use crate::world::shells::{Shells, Ways};

/// How many worlds there are.
const SEEDS: u64 = 600;
/// How long a world lasts.
const LENGTH: Duration = Duration::from_secs(60);
/// The limit, and the notice.
const SILENT: Duration = Duration::from_secs(5);
const NOTICE: Duration = Duration::from_secs(4);

/// How a worker behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It says nothing that is a beat.
    Mute,
    /// It beats, and its counter stands still; others say that it moves.
    Stuck,
    /// It moves now and then.
    Moves,
    /// It moves when it is about to be signalled.
    Aims,
    /// It is stopped soon, by somebody, and stays so.
    Stopped,
    /// A child of its own that has become another user's moves; itself it stands still.
    Delegates,
}

/// What is known of a worker.
#[derive(Clone, Debug)]
struct Worker {
    manner: Manner,
    counter: u64,
    /// When it last moved, by what was read.
    moved: Option<Mono>,
    /// When its progress was last accepted, by a receipt.
    accepted: Option<Mono>,
    /// The number of its first signal.
    signalled: bool,
    began: Mono,
}

struct World {
    machine: Machine,
    shells: Shells,
    judge: Judge,
    chance: Chance,
    workers: BTreeMap<Id, Worker>,
    /// Whom each receipt is of that was not given yet.
    receipts: BTreeMap<u64, Id>,
    /// Receipts of which the judge was told, and when.
    told: BTreeMap<u64, Mono>,
    acting: BTreeMap<WarrantId, Id>,
    seen: usize,
    aimed: u64,
    late: u64,
    asked: u64,
    /// What goes wrong with hearing, when, and until when.
    trouble: Trouble,
    from: Mono,
    until: Mono,
    begun: bool,
    over: bool,
    /// Until then something that was lost may have been any worker's.
    lost: Mono,
    /// Receipts of a flood that were given, and that were refused.
    given: u64,
    refused: u64,
}

/// What goes wrong with hearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// Nothing is heard, and what is sent is lost.
    Deaf,
    /// Nothing is heard in time; it is heard afterwards.
    Late,
    /// Of this user come more beats than there is room for, of processes that nobody knows.
    Flood(u32),
}

/// Receipts from here on are of a flood,
const FLOOD: u64 = 1 << 40;
/// which has so many beats, of which so many may wait.
const FLOODED: u64 = 400;
const WAITING_EACH: u64 = 256;
/// So long nothing is known after something was lost.
const WAKING: Duration = Duration::from_secs(60);

fn rules_of() -> RuleSet {
    let clauses = vec![rules::limit(Bound::Silent(SILENT), None)];
    let mut rule = rules::rule(
        "stuck",
        "worker",
        clauses,
        rules::ladder(NOTICE.as_secs(), 3),
    );
    rule.cooldown = Duration::from_millis(1);
    rule.breaker.trees = 1000;
    rules::rule_set(vec![rule])
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0xbea7);
        let hearing = chance.one_of(&[Hearing::Events, Hearing::Nothing]);
        let mut ways = Ways::smooth(hearing);
        ways.slowest = chance.one_of(&[0, 0, 5, 50]);
        ways.lost_reports = chance.one_of(&[0, 0, 0, 100]);
        let mut machine = Machine::new(Make {
            pids: 500,
            marks: chance.one_of(&[Marks::Inodes, Marks::Ticks]),
        });
        let mut shell = Plan::of("bash");
        shell.owner = Some(1000);
        let shell = machine.start(Machine::INIT, &shell).unwrap();
        let stranger = machine.start(shell, &Plan::of("perl")).unwrap();
        // Without a hold on it, a child that has become another user speaks for nobody.
        let delegates = match machine.make.marks {
            Marks::Inodes => Manner::Delegates,
            Marks::Ticks => Manner::Stuck,
        };
        let mut workers = BTreeMap::new();
        for _ in 0..chance.within(3, 6) {
            let mut plan = Plan::of("worker");
            plan.on_term = chance.one_of(&[OnTerm::Dies(Duration::ZERO), OnTerm::Ignores]);
            let id = machine.start(shell, &plan).unwrap();
            let worker = Worker {
                manner: chance.one_of(&[
                    Manner::Mute,
                    Manner::Stuck,
                    Manner::Moves,
                    Manner::Aims,
                    Manner::Aims,
                    Manner::Aims,
                    Manner::Stopped,
                    delegates,
                ]),
                counter: 1,
                moved: None,
                accepted: None,
                signalled: false,
                began: machine.now,
            };
            plan_of(&mut machine, &mut chance, id, worker.manner, stranger);
            workers.insert(id, worker);
        }
        let init = machine.body(Machine::INIT).map(|body| machine.key(body));
        let settings = Settings {
            only_user: None,
            spare: Arc::new(Spare {
                keys: init.into_iter().collect(),
                bystanders: Vec::new(),
            }),
            leash: None,
            itself: None,
            reaper: None,
            managers: Managers::default(),
            rank: beadle::engine::elder::Rank::First,
            first_incident: 1,
        };
        let none = Trouble::None;
        let trouble = chance.one_of(&[
            none,
            none,
            none,
            none,
            Trouble::Deaf,
            Trouble::Late,
            Trouble::Flood(1000),
            Trouble::Flood(2000),
        ]);
        let from = machine
            .now
            .after(Duration::from_millis(chance.within(4000, 30_000)));
        let until = from.after(Duration::from_millis(chance.within(500, 12_000)));
        Self {
            trouble,
            from,
            until,
            begun: false,
            over: false,
            lost: Mono::BOOT,
            given: 0,
            refused: 0,
            machine,
            shells: Shells::new(ways, seed),
            judge: Judge::new(settings, Arc::new(rules_of())),
            chance,
            workers,
            receipts: BTreeMap::new(),
            told: BTreeMap::new(),
            acting: BTreeMap::new(),
            seen: 0,
            aimed: 0,
            late: 0,
            asked: 0,
        }
    }

    fn go(&mut self) -> Result<(), String> {
        self.step(Input::Hearing(self.shells.ways.hearing))?;
        let end = self.machine.now.after(LENGTH);
        while self.machine.now < end {
            let next = [
                self.machine.next(),
                self.shells.next(),
                self.judge.next_deadline(),
                (!self.begun).then_some(self.from),
                (!self.over).then_some(self.until),
            ];
            let next = next.into_iter().flatten().min().unwrap_or(end);
            self.machine.advance(next.max(self.machine.now));
            self.make_trouble()?;
            self.hear()?;
            while self.shells.next().is_some_and(|at| at <= self.machine.now) {
                let Some(input) = self.shells.turn(&mut self.machine) else {
                    continue;
                };
                self.hear()?;
                if let Input::LastCall(_) = input {
                    self.call(input)?;
                } else {
                    self.step(input)?;
                }
            }
            let due = self.judge.next_deadline();
            if due.is_some_and(|at| at <= self.machine.now) {
                self.step(Input::Deadline)?;
            }
        }
        self.over()
    }

    /// Hearing goes wrong, and works again.
    fn make_trouble(&mut self) -> Result<(), String> {
        let now = self.machine.now;
        if !self.begun && now >= self.from {
            self.hear()?;
            self.begun = true;
            match self.trouble {
                Trouble::None => {}
                Trouble::Deaf => self.step(Input::Hears(Hears::Deaf("vanished".into())))?,
                Trouble::Late => self.step(Input::Hears(Hears::Late))?,
                Trouble::Flood(user) => self.flood(user)?,
            }
        }
        if !self.over && now >= self.until {
            self.over = true;
            match self.trouble {
                Trouble::Deaf => {
                    self.machine.letters.clear();
                    self.lost = now.after(WAKING);
                    self.step(Input::Hears(Hears::Well))?;
                }
                Trouble::Late => self.step(Input::Hears(Hears::Well))?,
                Trouble::None | Trouble::Flood(_) => {}
            }
        }
        Ok(())
    }

    /// Whether nothing is heard now.
    fn is_deaf(&self) -> bool {
        self.begun && !self.over && matches!(self.trouble, Trouble::Deaf | Trouble::Late)
    }

    fn flood(&mut self, user: u32) -> Result<(), String> {
        let beat = |n: u64| Beat {
            sender: ProcKey::new(
                Pid::new(u32::try_from(600 + n).unwrap()).unwrap(),
                Mark::Inode(1_000_000 + n),
            ),
            proof: Proof::Held,
            user: Uid(user),
            words: Words::read(b"WATCHDOG=1").unwrap(),
            receipt: Some(Receipt(FLOOD + n)),
        };
        if user == 1000 {
            // Some of what was dropped may have been theirs.
            self.lost = self.machine.now.after(WAKING);
        }
        self.step(Input::Beats((0..FLOODED).map(beat).collect()))
    }

    /// The last call, with what some say just before and just after it.
    fn call(&mut self, input: Input) -> Result<(), String> {
        let aiming: Vec<Id> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.manner == Manner::Aims && !worker.signalled)
            .map(|(id, _)| *id)
            .collect();
        for id in &aiming {
            if self.chance.permille(400) {
                self.aimed += 1;
                self.advance(*id);
            }
        }
        // All that was sent by then is read first.
        self.hear()?;
        self.step(input)?;
        for id in aiming {
            if self.chance.permille(300) {
                self.late += 1;
                self.advance(id);
            }
        }
        Ok(())
    }

    /// A worker moves, and asks to be told when that is taken in.
    fn advance(&mut self, id: Id) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.counter += 1;
        let words = format!("X_BEADLE_PROGRESS={}", worker.counter);
        self.machine.say(id, &words);
        self.machine.say(id, "BARRIER=1");
        let receipt = self.aimed * 100_000 + self.late;
        if let Some(letter) = self.machine.letters.last_mut().filter(|it| it.from == id) {
            letter.receipt = Some(receipt);
            self.receipts.insert(receipt, id);
        }
    }

    fn hear(&mut self) -> Result<(), String> {
        if self.is_deaf() {
            return match self.shells.hear(&mut self.machine) {
                Some(input) => self.step(input),
                None => Ok(()),
            };
        }
        if let Some(input) = self.shells.hear(&mut self.machine) {
            self.step(input)?;
        }
        let (letters, input) = self.machine.post();
        for letter in &letters {
            self.note(letter);
        }
        match input {
            Some(input) => self.step(input),
            None => Ok(()),
        }
    }

    /// What is read is what counts, by what is true: a member of the tree, as its owner or root, and another figure.
    fn note(&mut self, letter: &Letter) {
        let now = self.machine.now;
        self.told
            .extend(letter.receipt.map(|receipt| (receipt, now)));
        let owner = letter.user == 1000 || letter.user == 0;
        let parent = self.machine.kin[letter.from.0].parent;
        let delegates = |id: &Id| {
            let worker = self.workers.get(id);
            worker.is_some_and(|worker| worker.manner == Manner::Delegates)
        };
        if let Some(worker) = parent.filter(delegates) {
            self.workers.get_mut(&worker).unwrap().moved = Some(letter.at);
        }
        let Some(worker) = self.workers.get_mut(&letter.from).filter(|_| owner) else {
            return;
        };
        let beats = letter.words.contains("PROGRESS") || letter.words.contains("WATCHDOG");
        let moves = worker.manner == Manner::Moves || letter.words.contains("PROGRESS");
        let moves = moves && (worker.manner != Manner::Stuck || worker.moved.is_none());
        if beats && moves {
            worker.moved = Some(letter.at);
        }
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        let now = self.machine.now;
        if let Input::Report(report) = &input {
            self.acting.remove(&report.warrant);
        }
        self.signals()?;
        let decisions = self.judge.step(now, input);
        for decision in &decisions {
            match decision {
                Decision::Carry(warrant) => {
                    let id = self.machine.ever(warrant.unit.root()).ok_or("who?")?;
                    self.acting.insert(warrant.id, id);
                    if warrant.order == Order::Ask(Signal::Term) {
                        self.judge_asking(id)?;
                    }
                }
                Decision::Recall(id) => {
                    self.acting.remove(id);
                }
                Decision::Accept(receipt) => self.accept(receipt.0)?,
                Decision::Refuse(receipt) if receipt.0 >= FLOOD => self.refused += 1,
                Decision::Refuse(_) => return Err("a known one's receipt is refused".to_owned()),
                _ => {}
            }
        }
        self.shells.carry_out(&decisions, now);
        Ok(())
    }

    fn judge_asking(&mut self, id: Id) -> Result<(), String> {
        let now = self.machine.now;
        self.asked += 1;
        let worker = self.workers.get(&id).ok_or("no worker is asked to leave")?;
        let said = format!("{:?} is asked to leave", worker.manner);
        if self.is_deaf() {
            return Err(format!("{said} while nothing is heard"));
        }
        // Whoever has been heard since has lost nothing.
        let before = |moved: Mono| moved.after(WAKING) <= self.lost;
        if now < self.lost && worker.moved.is_some_and(before) {
            return Err(format!("{said} though some of what it said may be lost"));
        }
        match worker.moved {
            None => return Err(format!("{said} and was never heard")),
            Some(moved) if now.since(moved) <= SILENT => {
                return Err(format!("{said} and moved {:?} ago", now.since(moved)));
            }
            Some(_) => {}
        }
        let body = self.machine.body(id).ok_or("nobody is asked to leave")?;
        if body.state == State::Stopped {
            return Err(format!("{said} and is stopped"));
        }
        Ok(())
    }

    fn accept(&mut self, receipt: u64) -> Result<(), String> {
        if receipt >= FLOOD {
            self.given += 1;
            if self.given > WAITING_EACH {
                return Err("a receipt for what was dropped".to_owned());
            }
            return Ok(());
        }
        if !self.told.contains_key(&receipt) {
            return Err("a receipt for what was not read".to_owned());
        }
        let id = self.receipts.remove(&receipt).ok_or("a receipt twice")?;
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.accepted = Some(self.machine.now);
        }
        Ok(())
    }

    /// Looks at what was sent since.
    fn signals(&mut self) -> Result<(), String> {
        for sent in &self.shells.sent[self.seen..] {
            // Or somebody below one.
            let Some(worker) = self.workers.get_mut(&sent.to) else {
                continue;
            };
            let fresh = worker
                .accepted
                .is_some_and(|at| sent.at.since(at) <= SILENT);
            if !worker.signalled && fresh {
                return Err("signalled after accepted progress".to_owned());
            }
            worker.signalled = true;
        }
        self.seen = self.shells.sent.len();
        Ok(())
    }

    fn over(&self) -> Result<(), String> {
        let now = self.machine.now;
        for worker in self.workers.values() {
            let patient = now.since(worker.began) < Duration::from_secs(40)
                || self.lost > Mono::BOOT
                || self.trouble == Trouble::Late;
            if worker.manner == Manner::Stuck && !worker.signalled && !patient {
                return Err("nobody asked who is stuck".to_owned());
            }
        }
        // What was said in the last moments may wait for an act, and an act whose report is lost for long.
        let waits = self.shells.ways.lost_reports > 0;
        let old = |at: Mono| now.since(at) > Duration::from_secs(20);
        let mut told = self.told.iter();
        if !waits && told.any(|(it, at)| old(*at) && self.receipts.contains_key(it)) {
            return Err("a receipt is never given".to_owned());
        }
        Ok(())
    }
}

/// What a worker says of itself, whatever befalls it.
fn plan_of(machine: &mut Machine, chance: &mut Chance, id: Id, manner: Manner, stranger: Id) {
    let start = machine.now;
    let say = |machine: &mut Machine, whom: Id, millis: u64, words: String| {
        let at = start.after(Duration::from_millis(millis));
        machine.enter(at, whom, Deed::Say(words));
    };
    let first = chance.within(1000, 8000);
    match manner {
        Manner::Mute => say(machine, id, first, "READY=1\nSTATUS=serving".to_owned()),
        Manner::Aims => say(machine, id, first, "X_BEADLE_PROGRESS=1".to_owned()),
        Manner::Stuck => {
            for n in 0..65 {
                let words = chance.one_of(&["X_BEADLE_PROGRESS=7/9", "WATCHDOG=1"]);
                let words = if n == 0 {
                    "X_BEADLE_PROGRESS=7/9"
                } else {
                    words
                };
                say(machine, id, first + n * 900, words.to_owned());
                // What others say of it is theirs.
                let words = format!("X_BEADLE_PROGRESS={n}");
                say(machine, stranger, first + n * 900, words);
            }
            // Where the kernel holds no sender, who has become another user speaks for nobody.
            if machine.make.marks == Marks::Ticks {
                machine.enter(start, id, Deed::Start(Box::new(another_users())));
            }
        }
        Manner::Delegates => {
            say(
                machine,
                id,
                first.min(2000),
                "X_BEADLE_PROGRESS=7/9".to_owned(),
            );
            machine.enter(start, id, Deed::Start(Box::new(another_users())));
        }
        Manner::Moves => {
            let mut at = first;
            for n in 0..60 {
                say(machine, id, at, format!("X_BEADLE_PROGRESS={n}"));
                at += chance.within(200, 4500);
            }
        }
        Manner::Stopped => {
            say(machine, id, first, "X_BEADLE_PROGRESS=1".to_owned());
            let at = start.after(Duration::from_millis(first + chance.within(100, 3000)));
            machine.enter(at, id, Deed::Stop);
        }
    }
}

/// Somebody who becomes another user, and counts.
fn another_users() -> Plan {
    let other = Plan::of("sh").then(Duration::from_millis(500), Deed::Own(1001));
    (0..58).fold(other, |plan, n| {
        let words = format!("X_BEADLE_PROGRESS={}", 100 + n);
        plan.then(Duration::from_secs(n + 2), Deed::Say(words))
    })
}

#[test]
fn progress_and_decisions_never_race() {
    let (mut aimed, mut late, mut asked, mut refused) = (0, 0, 0, 0);
    let mut failures = Vec::new();
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        if let Err(what) = world.go() {
            failures.push(format!("seed {seed}: {what}"));
        }
        aimed += world.aimed;
        late += world.late;
        asked += world.asked;
        refused += world.refused;
    }
    let few: Vec<_> = failures.iter().take(10).collect();
    assert!(failures.is_empty(), "{} seeds: {few:#?}", failures.len());
    assert!(
        aimed >= 1000 && late >= 1000,
        "{aimed} before and {late} after"
    );
    assert!(asked >= 1000, "{asked} were asked to leave");
    assert!(refused >= 1000, "{refused} receipts were refused");
}
