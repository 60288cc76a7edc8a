//! Seeded worlds: thousands of small machines on which everything goes wrong, and invariants that hold after every
//! step. A seed that fails is printed with how to run it again.

mod auditor;
mod beats;
mod jobs;
mod restart;
mod story;
mod watchman;
mod weather;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::answer::{Answer, Reply, Which, Whom, Wish};
use beadle::engine::decision::{Decision, Input};
use beadle::engine::judge::{Judge, Settings};
use beadle::engine::process::Uid;
use beadle::engine::steward::Managers;
use beadle::engine::units::Mono;
use beadle::engine::warrant::Spare;

use crate::world::chance::Chance;
use crate::world::machine::Machine;
use crate::world::shells::Shells;
use auditor::Auditor;
use restart::{Life, Word};
use story::{Asker, Restart, Story, Trouble};
use watchman::{Pause, STRANGER, Scene, Watchman};

/// How many seeds run in the normal test.
const SEEDS: u64 = 10_000;
/// A world of two minutes that takes more steps than this is a busy loop: the busiest takes 5,000.
const MOST_STEPS: u64 = 10_000;
/// The same for what the world itself does.
const MOST_TURNS: u64 = 100_000;
/// A seed takes some ten milliseconds; one that takes so long is in a loop within one step.
const LONGEST_SEED: Duration = Duration::from_secs(60);

/// Who that is, where the owner is this one.
fn uid(by: Asker, owner: Option<Uid>) -> Uid {
    match (by, owner) {
        (Asker::Root, _) => Uid::ROOT,
        (Asker::Owner, Some(owner)) => owner,
        (Asker::Owner, None) | (Asker::Stranger, _) => Uid(STRANGER),
    }
}

/// One world under way.
struct Run {
    story: Story,
    shells: Shells,
    judge: Judge,
    watchman: Watchman,
    auditor: Auditor,
    chance: Chance,
    /// Since when events wait to be heard, and until when.
    pending: Option<Mono>,
    /// Every beadle there was, the present one last.
    lives: Vec<Life>,
    /// What is left to the next.
    word: Word,
    /// How the present one will be killed, once it acts.
    doom: Option<Restart>,
    decided: u64,
    steps: u64,
    turns: u64,
    trace: Option<String>,
}

impl Run {
    fn new(seed: u64, trace: bool) -> Self {
        let story = Story::of(seed);
        let shells = Shells::new(story.ways, seed ^ 0x5eed);
        let life = Life::of(settings(&story), &story);
        Self {
            judge: life.judge(),
            lives: vec![life],
            word: Word::default(),
            doom: None,
            shells,
            watchman: Watchman::default(),
            auditor: Auditor::default(),
            chance: Chance::new(seed ^ 0xc1a0),
            pending: None,
            decided: 0,
            steps: 0,
            turns: 0,
            story,
            trace: trace.then(String::new),
        }
    }

    fn go(&mut self) -> Result<(), String> {
        let hearing = self.story.ways.hearing;
        self.step(Input::Hearing(hearing))?;
        while self.story.machine.now < self.story.end {
            self.turns += 1;
            if self.turns > MOST_TURNS {
                return Err("time does not go on".to_owned());
            }
            let next = self.next();
            self.story.machine.advance(next);
            self.look_at_gates();
            self.trouble()?;
            self.look_at_gates();
            self.perish()?;
            if self.chance.permille(self.story.early_records) {
                self.mourn()?;
            }
            if self.story.machine.events.is_empty() {
                self.auditor.heard = self.story.machine.now;
            }
            if let (None, false) = (self.pending, self.story.machine.events.is_empty()) {
                let lag = self.chance.within(0, self.story.lag);
                self.pending = Some(self.story.machine.now.after(Duration::from_millis(lag)));
            }
            if self
                .pending
                .is_some_and(|until| until <= self.story.machine.now)
            {
                self.hear()?;
            }
            while self
                .shells
                .next()
                .is_some_and(|at| at <= self.story.machine.now)
            {
                self.turns += 1;
                if let Some(input) = self.shells.turn(&mut self.story.machine) {
                    // The loop takes in everything that is there before the last call.
                    if matches!(
                        input,
                        Input::LastCall(_) | Input::Report(_) | Input::Flushed(_)
                    ) {
                        self.hear()?;
                    }
                    self.step(input)?;
                }
            }
            if self
                .judge
                .next_deadline()
                .is_some_and(|at| at <= self.story.machine.now)
            {
                self.step(Input::Deadline)?;
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Mono {
        let machine = &self.story.machine;
        let troubles = self.story.troubles.first().map(|(at, _)| *at);
        let restarts = self.story.restarts.first().map(|(at, _)| *at);
        let all = [
            machine.next(),
            self.shells.next(),
            self.judge.next_deadline(),
            self.pending,
            troubles,
            restarts,
        ];
        let next = all
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.story.end)
            .max(machine.now);
        if self.chance.permille(self.story.oversleeps) {
            let late = Duration::from_millis(self.chance.within(1, 3000));
            self.watchman.overslept += late;
            next.after(late)
        } else {
            next
        }
    }

    fn hear(&mut self) -> Result<(), String> {
        self.pending = None;
        self.mourn()?;
        self.auditor.heard = self.story.machine.now;
        match self.shells.hear(&mut self.story.machine) {
            Some(input) => {
                if matches!(input, Input::Gap) {
                    self.watchman.gaps += 1;
                    self.auditor.gaps += 1;
                }
                self.step(input)
            }
            None => Ok(()),
        }
    }

    fn mourn(&mut self) -> Result<(), String> {
        match self.shells.mourn(&mut self.story.machine) {
            Some(input) => self.step(input),
            None => Ok(()),
        }
    }

    /// Before and after something changes: whoever looks in between may see either.
    fn look_at_gates(&mut self) {
        let scene = scene_of(&self.story, &self.shells, &self.judge);
        self.watchman.look_at_gates(&scene);
    }

    fn trouble(&mut self) -> Result<(), String> {
        let now = self.story.machine.now;
        while let Some(trouble) = story::due(&mut self.story.troubles, now) {
            self.note(&format!("trouble {trouble:?}"));
            match trouble {
                Trouble::Sleep(span) => self.story.machine.sleep(span),
                Trouble::Stall(span) => {
                    let to = self.story.machine.now.after(span);
                    self.story.machine.advance(to);
                }
                Trouble::Weather(vitals) => self.story.machine.vitals = vitals,
                Trouble::Pause { by, span, rule } => {
                    let rule = rule
                        .and_then(|index| self.story.rules.rules.get(index))
                        .map(|rule| rule.name.clone());
                    let now = self.story.machine.now;
                    self.watchman
                        .pauses
                        .retain(|pause| pause.by != by || pause.rule != rule);
                    self.watchman.pauses.push(Pause {
                        by,
                        rule: rule.clone(),
                        until: span.map_or(Mono::NEVER, |span| now.after(span)),
                    });
                    self.step(Input::Answer(Answer {
                        by: Uid(by),
                        what: Wish::Pause { span, rule },
                    }))?;
                }
                Trouble::Resume { by } => {
                    self.watchman
                        .pauses
                        .retain(|pause| by != 0 && pause.by != by);
                    self.step(Input::Answer(Answer {
                        by: Uid(by),
                        what: Wish::Resume { rule: None },
                    }))?;
                }
                Trouble::Reply { by, reply, choice } => {
                    if let Some(answer) = self.reply(by, reply, choice) {
                        self.step(Input::Answer(answer))?;
                    }
                }
                Trouble::Forget { by } => {
                    let number = self.watchman.replies.allowed.first().map(|it| it.number);
                    let which = vec![Which::Number(number.unwrap_or(1))];
                    let owner = self.watchman.replies.allowed.first().map(|it| it.owner);
                    let by = uid(by, owner);
                    self.step(Input::Answer(Answer {
                        by,
                        what: Wish::Forget { which },
                    }))?;
                }
                Trouble::Reload(seed) => {
                    let (rules, _) = story::make_rules(
                        &mut Chance::new(seed),
                        &mut Chance::new(seed ^ story::GATES),
                    );
                    let rules = story::freeze_some(rules, seed);
                    self.story.rules = story::count_some(rules, seed);
                    self.watchman.reloaded();
                    self.auditor.reloads += 1;
                    self.step(Input::Rules(Arc::new(self.story.rules.clone())))?;
                }
            }
        }
        Ok(())
    }

    /// What somebody answers to one of the incidents that are open, if there are any.
    fn reply(&self, by: Asker, reply: Reply, choice: u64) -> Option<Answer> {
        let view = self.judge.view();
        let units = view.units.iter();
        let open: Vec<_> = units
            .filter_map(|unit| Some((unit, unit.incident.as_ref()?.id)))
            .collect();
        let count = u64::try_from(open.len()).unwrap();
        let chosen = choice.checked_rem(count)?;
        let (unit, incident) = open.get(usize::try_from(chosen).unwrap())?;
        // People name what they see: the incident, or a process.
        let whom = match choice >> 62 {
            0 => Whom::Process(unit.evidence.unit.root().pid()),
            1 => Whom::Number(incident.0),
            _ => Whom::Incident(*incident),
        };
        Some(Answer {
            by: uid(by, unit.evidence.subject.owner),
            what: Wish::Reply { whom, reply },
        })
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        let now = self.story.machine.now;
        if let Input::Snapshot(snapshot) = &input {
            self.watchman.snapshots += 1;
            self.watchman.machine_told(now, snapshot.machine.slept);
        }
        self.shells.told(self.judge.forest(), &input);
        if let Input::Report(report) = &input {
            self.watchman.report(report);
        }
        self.note(&format!("< {input:?}"));
        let settles = matches!(input, Input::Report(_) | Input::Answer(_));
        self.live(now, &input);
        let scene = scene_of(&self.story, &self.shells, &self.judge);
        self.watchman.clock(&scene);
        if let Input::Answer(answer) = &input {
            self.watchman.answering(&scene, answer);
        }
        let decisions = self.judge.step(now, input);
        self.steps += 1;
        self.decided = digest(self.decided, &decisions);
        for decision in &decisions {
            self.note(&format!("    > {decision:?}"));
        }
        if self.steps > MOST_STEPS {
            return Err("the judge and its shells keep each other busy".to_owned());
        }
        let scene = scene_of(&self.story, &self.shells, &self.judge);
        self.watchman.signals(&scene)?;
        self.watchman.decisions(&scene, &decisions)?;
        self.watchman
            .beliefs(&scene, self.trace.is_some() || self.steps.is_multiple_of(8))?;
        self.auditor.audit(&scene)?;
        self.carry_out(settles, &decisions)
    }

    fn note(&mut self, words: &str) {
        if let Some(trace) = &mut self.trace {
            let _ = writeln!(
                trace,
                "{:9.3} {words}",
                self.story
                    .machine
                    .now
                    .since(Mono::from_secs(1000))
                    .as_secs_f64()
            );
        }
    }
}

/// What there is to be seen.
fn scene_of<'a>(story: &'a Story, shells: &'a Shells, judge: &'a Judge) -> Scene<'a> {
    Scene {
        machine: &story.machine,
        shells,
        rules: &story.rules,
        only_user: story.only_user,
        leash: story.leash,
        judge,
        calm_start: story.calm_start,
    }
}

fn settings(story: &Story) -> Settings {
    let leash = story
        .leash
        .and_then(|id| story.machine.body(id))
        .map(|body| story.machine.key(body));
    let init = story
        .machine
        .body(Machine::INIT)
        .map(|body| story.machine.key(body));
    Settings {
        only_user: story.only_user.map(Uid),
        rank: beadle::engine::elder::Rank::First,
        spare: Arc::new(Spare {
            keys: init.into_iter().collect(),
            bystanders: Vec::new(),
        }),
        leash,
        itself: None,
        reaper: None,
        managers: Managers {
            systemd: true,
            ..Managers::default()
        },
        first_incident: 1,
    }
}

fn digest(before: u64, decisions: &[Decision]) -> u64 {
    // Cheap and good enough to tell two runs apart.
    let mut hash = before;
    for decision in decisions {
        for byte in format!("{decision:?}").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

fn env(name: &str) -> Option<u64> {
    #[allow(
        clippy::disallowed_methods,
        reason = "how many seeds is the tester's choice"
    )]
    std::env::var(name).ok()?.parse().ok()
}

/// What came of many seeds.
#[derive(Default)]
struct Tally {
    steps: u64,
    most_steps: u64,
    nudges: u64,
    signals: u64,
    kills: u64,
    freezes: u64,
    errands: u64,
    closings: BTreeMap<&'static str, u64>,
    /// Figures of CPU time held against the truth, by tier, and how wide they were in all.
    audits: BTreeMap<&'static str, (u64, Duration)>,
    /// By kind: the seeds, and the first one's words.
    failures: BTreeMap<String, (Vec<u64>, String)>,
}

impl Tally {
    fn add(&mut self, seed: u64, result: Result<(), String>, run: &Run) {
        if let Err(what) = result {
            let kind = what.split([':', '{', ',']).next().unwrap_or_default();
            let kind: String = kind.chars().filter(|c| !c.is_ascii_digit()).collect();
            let (seeds, _) = self
                .failures
                .entry(kind)
                .or_insert_with(|| (Vec::new(), what));
            seeds.push(seed);
        }
        self.steps += run.steps;
        self.most_steps = self.most_steps.max(run.steps);
        self.nudges += run.watchman.nudges;
        self.signals += run.watchman.signals;
        self.kills += run.watchman.kills;
        self.freezes += run.watchman.freezes;
        self.errands += run.watchman.errands();
        for (how, count) in &run.watchman.closings {
            *self.closings.entry(how).or_default() += count;
        }
        for (tier, (count, width)) in &run.auditor.audits {
            let (audits, sum) = self.audits.entry(tier).or_default();
            *audits += count;
            *sum += *width;
        }
    }

    fn words(&self, count: u64) -> String {
        let mut words = format!(
            "{count} seeds, {} steps ({} at most), {} nudges, {} signals, {} STOP, {} KILL, {} run, closings {:?}\n",
            self.steps,
            self.most_steps,
            self.nudges,
            self.signals,
            self.freezes,
            self.kills,
            self.errands,
            self.closings
        );
        for (tier, (audits, width)) in &self.audits {
            let mean = *width / u32::try_from(*audits).unwrap();
            let _ = writeln!(
                words,
                "{audits} figures of CPU time by {tier}, {mean:?} wide"
            );
        }
        for (seeds, what) in self.failures.values() {
            let _ = writeln!(
                words,
                "{} seeds: {what}; run SEED={} cargo test --test tests simulation -- --nocapture",
                seeds.len(),
                seeds[0]
            );
        }
        words
    }
}

/// Runs seeds on a thread of their own, so that one that never comes back is named and does not hang the test.
fn run_all(first: u64, count: u64) -> Tally {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for seed in first..first + count {
            let mut run = Run::new(seed, false);
            let result = run.go();
            if tell.send((result, run)).is_err() {
                return;
            }
        }
    });
    let mut tally = Tally::default();
    for seed in first..first + count {
        let Ok((result, run)) = told.recv_timeout(LONGEST_SEED) else {
            panic!("seed {seed} does not come back: a step without end");
        };
        tally.add(seed, result, &run);
    }
    tally
}

#[test]
fn nothing_that_must_not_happen_happens() {
    if let Some(seed) = env("SEED") {
        let mut run = Run::new(seed, true);
        let result = run.go();
        #[allow(clippy::print_stdout, reason = "one seed is run to be read")]
        {
            println!("{}", run.trace.unwrap_or_default());
        }
        result.unwrap();
        return;
    }
    let count = env("SEEDS").unwrap_or(SEEDS);
    let first = env("FIRST").unwrap_or(0);
    let tally = run_all(first, count);
    let words = tally.words(count);
    assert!(tally.failures.is_empty(), "{words}");
    #[allow(clippy::print_stdout, reason = "seen only when asked for")]
    {
        println!("{words}");
    }
}

#[test]
fn the_same_inputs_give_the_same_decisions() {
    for seed in 0..50 {
        let mut run = Run::new(seed, false);
        let _ = run.go();
        let mut decided = 0;
        for life in run.lives {
            let mut judge = life.judge();
            for (now, input) in life.inputs {
                decided = digest(decided, &judge.step(now, input));
            }
        }
        assert_eq!(decided, run.decided, "seed {seed}");
    }
}
