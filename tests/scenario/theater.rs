//! Plays a script: the fake machine, the judge, the shells in their order, and the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use beadle::cli::render::{Entry, Paint, line};
use beadle::config::{self, Names, Request};
use beadle::engine::answer::{Answer, Exception, Reply, Which, Whom, Wish};
use beadle::engine::decision::{Decision, Hearing, Input, Notice};
use beadle::engine::evidence::IncidentId;
use beadle::engine::heartbeat::{Hears, Loss};
use beadle::engine::judge::{Judge, Settings};
use beadle::engine::process::Uid;
use beadle::engine::rule::RuleSet;
use beadle::engine::steward::Managers;
use beadle::engine::units::Mono;
use beadle::engine::warrant::Spare;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::script::{START, Script, Words, number, size, span};
use crate::world::body::{Deed, Id, Plan};
use crate::world::machine::{Machine, Make, Marks};
use crate::world::senses::Parts;
use crate::world::shells::errands::Conduct;
use crate::world::shells::{Records, Shells, Ways};

/// Steps that one story may take.
const MOST_STEPS: u32 = 200_000;

/// Whether a new beadle knows which numbers were given.
enum Numbers {
    Kept,
    Lost,
}

/// A story being played.
pub struct Theater {
    pub log: String,
    machine: Machine,
    shells: Shells,
    judge: Judge,
    settings: Settings,
    ways: Ways,
    rules: Arc<RuleSet>,
    files: BTreeMap<String, Arc<RuleSet>>,
    names: BTreeMap<String, Id>,
    alive: BTreeSet<Id>,
    /// An answer that is accepted just before the next last call.
    interruption: Option<Answer>,
    /// Words that are sent just before the next last call.
    last_words: Option<(Id, String)>,
    /// What was kept for whoever watches next.
    kept: Vec<Exception>,
    steps: u32,
}

/// The words of a datagram: those in capitals.
fn said(line: &str) -> String {
    let words = line.split_whitespace().skip(2);
    let loud = words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
    loud.collect::<Vec<_>>().join("\n")
}

/// Who answers: root, unless it is said.
fn answerer(words: &Words) -> Result<u32, String> {
    number(words.named("by").unwrap_or("0"))
}

fn reply_of(word: &str) -> Result<Reply, String> {
    let mut all = Reply::ALL.into_iter();
    let found = all.find(|reply| reply.word() == word);
    found.ok_or_else(|| format!("`{word}` is no answer"))
}

struct Nobody;

impl Names for Nobody {
    fn user(&self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }

    fn group(&self, _: &str) -> Option<u32> {
        None
    }
}

/// How programs that are run behave: `takes=5s`, `programs=fail`.
fn conduct(world: &Words) -> Result<Conduct, String> {
    let took = world.named("takes").map(span).transpose()?;
    let took = took.unwrap_or(Duration::from_millis(200));
    match world.named("programs") {
        None => Ok(Conduct::Works(took)),
        Some("fail") => Ok(Conduct::Fails(took)),
        Some("hang") => Ok(Conduct::Hangs),
        Some("vanish") => Ok(Conduct::Vanishes),
        Some("missing") => Ok(Conduct::Missing),
        Some(other) => Err(format!("programs do not {other}")),
    }
}

/// Who is there to be asked: `managers=none`, or all of them.
fn managers(word: Option<&str>) -> Managers {
    let there = word != Some("none");
    Managers {
        systemd: there,
        docker: there,
        podman: there,
    }
}

/// Rules as `config` loads them from a file.
fn load(yaml: &str) -> Result<Arc<RuleSet>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, yaml).map_err(|error| error.to_string())?;
    let request = Request {
        explicit: Some(path),
        home: None,
        uid: 1000,
        mode: None,
        names: &Nobody,
    };
    config::load(&request)
        .map(|loaded| loaded.rules)
        .map_err(|refusal| config::render(&refusal.problems, config::Paint::Plain))
}

/// The same rules, under which people may extend so often.
fn bounded(mut rules: Arc<RuleSet>, most: Option<u32>) -> Arc<RuleSet> {
    for rule in &mut Arc::make_mut(&mut rules).rules {
        Arc::make_mut(rule).replies.extensions = most;
    }
    rules
}

impl Theater {
    pub fn new(script: &Script) -> Result<Self, String> {
        let files: BTreeMap<String, Arc<RuleSet>> = script
            .rules
            .iter()
            .map(|(name, yaml)| {
                let rules = load(yaml)?;
                // Of an administrator: `extensions=2`.
                let most = script.world.named("extensions").map(number).transpose()?;
                Ok((name.clone(), bounded(rules, most)))
            })
            .collect::<Result<_, String>>()?;
        let world = &script.world;
        let hearing = match world.named("tier") {
            Some("scan") => Hearing::Nothing,
            _ => Hearing::Events,
        };
        let mut ways = Ways::smooth(hearing);
        let only_user = world.named("user").map(number).transpose()?;
        ways.user = only_user.unwrap_or(0);
        if world.named("memory") == Some("hidden") {
            ways.parts = Parts::Hidden;
        }
        if world.named("records") == Some("kept") {
            ways.records = Records::Kept;
        }
        ways.conduct = conduct(world)?;
        let mut machine = Machine::new(Make {
            pids: 4000,
            marks: Marks::Inodes,
        });
        world.condition(&mut machine)?;
        let mut names = BTreeMap::from([("init".to_owned(), Machine::INIT)]);
        // The shell that everything is started from, unless another parent is named.
        let mut shell = Plan::of("bash");
        shell.owner = Some(1000);
        let shell = machine.start(Machine::INIT, &shell).ok_or("no number")?;
        names.insert("shell".to_owned(), shell);
        machine.events.clear();
        let key = |id: Id| machine.body(id).map(|body| machine.key(body));
        let settings = Settings {
            only_user: only_user.map(Uid),
            rank: beadle::engine::elder::Rank::First,
            spare: Arc::new(Spare {
                keys: key(Machine::INIT).into_iter().collect(),
                bystanders: Vec::new(),
            }),
            leash: world.named("leash").and_then(|name| key(*names.get(name)?)),
            itself: None,
            reaper: None,
            managers: managers(world.named("managers")),
            first_incident: 1,
        };
        let rules = files.get("").cloned().ok_or("no rules")?;
        let mut theater = Self {
            log: String::new(),
            judge: Judge::new(settings.clone(), rules.clone()),
            settings,
            ways,
            rules,
            shells: Shells::new(ways, 1),
            alive: machine.living().map(|body| body.id).collect(),
            machine,
            files,
            names,
            interruption: None,
            last_words: None,
            kept: Vec::new(),
            steps: 0,
        };
        theater.step(Input::Hearing(hearing));
        Ok(theater)
    }

    /// Lets everything happen up to a moment.
    pub fn until(&mut self, end: Mono) -> Result<(), String> {
        loop {
            let next = [
                self.machine.next(),
                self.shells.next(),
                self.judge.next_deadline(),
            ];
            let next = next.into_iter().flatten().min().unwrap_or(end);
            if next > end {
                break;
            }
            self.machine.advance(next);
            self.turn();
            if self.steps > MOST_STEPS {
                return Err(format!("a busy loop at {:?}", self.machine.now));
            }
        }
        self.machine.advance(end);
        self.turn();
        Ok(())
    }

    fn turn(&mut self) {
        self.hear();
        while self.shells.next().is_some_and(|at| at <= self.machine.now) {
            if let Some(input) = self.shells.turn(&mut self.machine) {
                self.hear();
                if let Input::LastCall(_) = input
                    && let Some(answer) = self.interruption.take()
                {
                    self.step(Input::Answer(answer));
                }
                if let Input::LastCall(_) = input {
                    if let Some((id, words)) = self.last_words.take() {
                        self.machine.say(id, &words);
                    }
                    // All that was sent by then is read first.
                    self.read_letters();
                }
                self.step(input);
            }
        }
        self.hear();
        if self
            .judge
            .next_deadline()
            .is_some_and(|at| at <= self.machine.now)
        {
            self.step(Input::Deadline);
        }
    }

    fn hear(&mut self) {
        self.mourn();
        if let Some(input) = self.shells.mourn(&mut self.machine) {
            self.step(input);
        }
        if let Some(input) = self.shells.hear(&mut self.machine) {
            self.step(input);
        }
        self.read_letters();
    }

    fn read_letters(&mut self) {
        if let (_, Some(input)) = self.machine.post() {
            self.step(input);
        }
    }

    fn tell(&mut self, notice: &Notice) {
        let wall = Timestamp::UNIX_EPOCH
            .checked_add(SignedDuration::try_from(self.machine.now.since(START)).unwrap())
            .unwrap()
            .to_zoned(TimeZone::UTC);
        let entry = Entry::notice(notice, &wall);
        let _ = writeln!(self.log, "{}", line(&entry, Paint::Plain));
    }

    fn step(&mut self, input: Input) {
        self.steps += 1;
        let now = self.machine.now;
        let decisions = self.judge.step(now, input);
        for decision in &decisions {
            match decision {
                Decision::Tell(notice) => self.tell(notice),
                Decision::Reply(Err(declined)) => {
                    let _ = writeln!(self.log, "> refused: {declined}");
                }
                Decision::Keep(all) => self.kept.clone_from(all),
                _ => {}
            }
        }
        self.shells.carry_out(&decisions, now);
    }

    /// Notes who died, and whether of a signal of ours.
    fn mourn(&mut self) {
        let living: BTreeSet<Id> = self.machine.living().map(|body| body.id).collect();
        for id in self.alive.difference(&living) {
            let Some(name) = self.names.iter().find(|(_, named)| *named == id) else {
                continue;
            };
            let last = self.shells.sent.iter().rfind(|sent| sent.to == *id);
            let of = last.map_or(String::new(), |sent| {
                format!(", sent {}", sent.signal.word())
            });
            let _ = writeln!(self.log, "= {} is dead{of}", name.0);
        }
        self.alive = living;
    }

    fn id(&self, name: &str) -> Result<Id, String> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| format!("who is {name}?"))
    }

    /// Carries out one line.
    pub fn act(&mut self, line: &str) -> Result<(), String> {
        let words = Words::parse(line);
        let (verb, whom) = (words.word(0)?, words.word(1).unwrap_or_default());
        match verb {
            "start" => self.start(&words)?,
            "crowd" => {
                let parent = self.id(words.named("parent").unwrap_or("shell"))?;
                for _ in 0..number(whom)? {
                    self.machine.start(parent, &Plan::default());
                }
            }
            "set" => {
                let id = self.id(whom)?;
                let now = self.machine.now;
                let body = self.machine.bodies.get_mut(&id).ok_or("it is gone")?;
                body.settle(now);
                words.plan(&mut body.plan)?;
                if words.named("memory").is_some() {
                    body.held = body.plan.memory;
                    body.held_since = now;
                }
            }
            "exec" => {
                let program = words.word(2)?.to_owned();
                let deed = match words.named("env").and_then(|set| set.split_once(':')) {
                    Some((name, value)) => {
                        Deed::ExecWith(program, name.to_owned(), value.to_owned())
                    }
                    None => Deed::Exec(program),
                };
                self.deed(whom, deed)?;
            }
            "exit" => self.deed(whom, Deed::Exit)?,
            "kill" => {
                let id = self.id(whom)?;
                self.machine.exit(id);
            }
            "stop" => self.deed(whom, Deed::Stop)?,
            "continue" => self.deed(whom, Deed::Continue)?,
            "session" => self.deed(whom, Deed::Session)?,
            "enter" => self.deed(whom, Deed::Enter(words.word(2)?.to_owned()))?,
            "leader-exit" => self.deed(whom, Deed::LeaderExit)?,
            "reclaim" => self.deed(whom, Deed::Reclaim(size(words.word(2)?)?))?,
            // `say NAME X_BEADLE_PROGRESS=1/9 STATUS=so_far`, or `from 10s to 90s every 5s`; `aim` is just before the next last
            // call.
            "say" => self.say(&words, line)?,
            "aim" => self.last_words = Some((self.id(whom)?, said(line))),
            // `deaf`, `late`, `hear`: whether heartbeats are heard from now on. `lost 1000`: of that user's some were not;
            // `crowded 1000`: of that user's came so many that others' found no room.
            // `freeze-group /job`, `thaw-group /job`: its kernel does, by the word of somebody else.
            "freeze-group" => drop(self.machine.frozen.insert(whom.to_owned())),
            "thaw-group" => drop(self.machine.frozen.remove(whom)),
            "deaf" => self.step(Input::Hears(Hears::Deaf("its socket vanished".into()))),
            "late" => self.step(Input::Hears(Hears::Late)),
            "hear" => self.step(Input::Hears(Hears::Well)),
            "lost" => self.step(Input::Lost(Loss::Of(Uid(number(whom)?)))),
            "crowded" => self.step(Input::Lost(Loss::OfOthersThan(Uid(number(whom)?)))),
            "own" => self.deed(whom, Deed::Own(number(words.word(2)?)?))?,
            "pause" | "interrupt" => {
                let answer = Answer {
                    by: Uid(number(words.named("by").unwrap_or("0"))?),
                    what: Wish::Pause {
                        span: words.named("for").map(span).transpose()?,
                        rule: words.named("rule").map(Arc::from),
                    },
                };
                if verb == "interrupt" {
                    self.interruption = Some(answer);
                } else {
                    self.step(Input::Answer(answer));
                }
            }
            // `meanwhile extend 1` is accepted just before the next last call.
            "answer" | "meanwhile" => {
                let answer = Answer {
                    by: Uid(answerer(&words)?),
                    what: Wish::Reply {
                        whom: self.meant(words.word(2)?)?,
                        reply: reply_of(whom)?,
                    },
                };
                if verb == "meanwhile" {
                    self.interruption = Some(answer);
                } else {
                    self.step(Input::Answer(answer));
                }
            }
            "forget" => {
                let which = match whom.parse() {
                    Ok(number) => Which::Number(number),
                    Err(_) => Which::Rule(Arc::from(whom)),
                };
                let by = Uid(answerer(&words)?);
                let what = Wish::Forget { which: vec![which] };
                self.step(Input::Answer(Answer { by, what }));
            }
            "resume" => {
                let by = Uid(number(words.named("by").unwrap_or("0"))?);
                let what = Wish::Resume { rule: None };
                self.step(Input::Answer(Answer { by, what }));
            }
            "reload" => {
                self.rules = self.files.get(whom).cloned().ok_or("no such rules")?;
                self.step(Input::Rules(self.rules.clone()));
            }
            "restart" => {
                if whom != "same" {
                    self.rules = self.files.get(whom).cloned().ok_or("no such rules")?;
                }
                let down = words.named("down").map_or(Ok(Duration::ZERO), span)?;
                let unseen = words
                    .named("unseen")
                    .map(|name| self.id(name))
                    .transpose()?;
                let numbers = match words.named("numbers") {
                    Some("lost") => Numbers::Lost,
                    _ => Numbers::Kept,
                };
                self.restart(down, numbers);
                // The first look of the new one fails at this process.
                self.shells.unseen = unseen.map(|id| self.machine.kin[id.0].pid);
                return Ok(());
            }
            "finish" => {
                for notice in self.judge.finish() {
                    self.tell(&notice);
                }
            }
            "machine" => words.condition(&mut self.machine)?,
            // From now on environments cannot be read in time, or can again.
            "environments" => {
                self.shells.ways.late_env = match whom {
                    "late" => 1000,
                    _ => 0,
                };
            }
            "suspend" => self.machine.sleep(span(whom)?),
            "stall" => {
                // Nothing runs, us included; what happened meanwhile is heard when the story goes on.
                let to = self.machine.now.after(span(whom)?);
                self.machine.advance(to);
                return Ok(());
            }
            "lose" => {
                self.machine.events.clear();
                self.step(Input::Gap);
            }
            other => return Err(format!("`{other}` is no deed")),
        }
        self.turn();
        Ok(())
    }

    /// Something is said, once or again and again: `for=60s every=5s`.
    fn say(&mut self, words: &Words, line: &str) -> Result<(), String> {
        let id = self.id(words.word(1)?)?;
        let pace = words.named("every").map(span).transpose()?;
        let last = words.named("for").map_or(Ok(Duration::ZERO), span)?;
        let mut after = Duration::ZERO;
        while after <= last {
            let at = self.machine.now.after(after);
            self.machine.enter(at, id, Deed::Say(said(line)));
            after += pace.unwrap_or(Duration::MAX / 4);
        }
        Ok(())
    }

    /// The daemon dies; so long later there is another. What it had begun is undone, what it asked for never comes.
    fn restart(&mut self, down: Duration, numbers: Numbers) {
        let legacy = self.judge.bequeath();
        self.shells.let_all_go_on(&mut self.machine);
        let to = self.machine.now.after(down);
        self.machine.advance(to);
        self.mourn();
        self.machine.events.clear();
        // Numbers are reserved in blocks.
        self.settings.first_incident = match numbers {
            Numbers::Kept => self.settings.first_incident + 64,
            Numbers::Lost => 1,
        };
        self.judge = Judge::new(self.settings.clone(), self.rules.clone());
        self.shells = Shells::new(self.ways, 2);
        self.step(Input::Exceptions(self.kept.clone()));
        self.step(Input::Inherit(Box::new(legacy)));
        self.step(Input::Hearing(self.ways.hearing));
    }

    /// `1` is an incident, `cc` a process by its name in the story, `?4` whichever the number means.
    fn meant(&self, word: &str) -> Result<Whom, String> {
        if let Some(number) = word.strip_prefix('?') {
            return Ok(Whom::Number(u64::from(
                number.parse::<u32>().map_err(|_| "no number")?,
            )));
        }
        if let Ok(incident) = word.parse() {
            return Ok(Whom::Incident(IncidentId(incident)));
        }
        let id = self.id(word)?;
        Ok(Whom::Process(self.machine.kin[id.0].pid))
    }

    fn deed(&mut self, whom: &str, deed: Deed) -> Result<(), String> {
        let id = self.id(whom)?;
        self.machine.act(id, deed);
        Ok(())
    }

    fn start(&mut self, words: &Words) -> Result<(), String> {
        let parent = self.id(words.named("parent").unwrap_or("shell"))?;
        let mut plan = Plan::default();
        if let Ok(program) = words.word(2) {
            plan.program = Some(program.replace("\\e", "\u{1b}").replace("\\n", "\n"));
        }
        words.plan(&mut plan)?;
        if let Some(whose) = words.named("pid") {
            // The number of somebody who is gone is handed out again.
            let id = self.id(whose)?;
            let pid = self.machine.kin[id.0].pid;
            self.machine.hand_out(pid);
        }
        let id = self
            .machine
            .start(parent, &plan)
            .ok_or("no number is free")?;
        self.alive.insert(id);
        self.names.insert(words.word(1)?.to_owned(), id);
        Ok(())
    }
}
