//! The fake kernel: numbers that are reused, births, images, deaths, signals, and what a look can see of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle::engine::account::{Account, Threads};
use beadle::engine::event::{Event, Happening};
use beadle::engine::gate::Vitals;
use beadle::engine::label::{Badge, Label};
use beadle::engine::process::{Mark, Pid, ProcKey, StartTicks, Uid};
use beadle::engine::rule::Signal;
use beadle::engine::units::{Bytes, Mono};

use super::body::{Body, Deed, Id, OnKill, OnTerm, Plan, State, Waits};
use super::kin::{Kin, Stretch};
use super::letters::Letter;
pub use super::make::{Make, Marks};
use super::senses::group_id;

/// The machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub now: Mono,
    pub slept: Duration,
    pub make: Make,
    pub bodies: BTreeMap<Id, Body>,
    pub kin: Vec<Kin>,
    /// What the kernel has told of since this was last taken.
    pub events: Vec<Event>,
    /// What it has written of the dead since this was last taken.
    pub records: Vec<Account>,
    /// What was said and not read yet.
    pub letters: Vec<Letter>,
    /// The groups that are frozen.
    pub frozen: BTreeSet<String>,
    /// Who was moved where and when: the groups.
    pub entries: Vec<(Mono, String)>,
    /// How many processors it has. Nobody waits for one here: there must be enough.
    pub cores: u32,
    /// How often it counts what is used; zero is always.
    pub tick: Duration,
    /// What gates may ask of it.
    pub vitals: Vitals,
    /// The local time of day when the story began.
    pub wall: Duration,
    /// How many events there were in all.
    pub told: u64,
    holders: BTreeMap<Pid, Id>,
    /// Every identity there ever was.
    keys: BTreeMap<ProcKey, Id>,
    cursor: u32,
    inode: u64,
    /// What will be done when, and by whom.
    pub agenda: BTreeMap<(Mono, u64), (Id, Deed)>,
    entered: u64,
}

/// What became of a signal, in truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Reached,
    Dead,
}

const START: Mono = Mono::from_secs(1000);

impl Machine {
    /// A machine on which only init runs.
    pub fn new(make: Make) -> Self {
        let mut machine = Self {
            now: START,
            slept: Duration::ZERO,
            make,
            bodies: BTreeMap::new(),
            kin: Vec::new(),
            events: Vec::new(),
            letters: Vec::new(),
            frozen: BTreeSet::new(),
            records: Vec::new(),
            entries: Vec::new(),
            cores: 4,
            tick: Duration::ZERO,
            vitals: Vitals::default(),
            wall: Duration::ZERO,
            told: 0,
            holders: BTreeMap::new(),
            keys: BTreeMap::new(),
            cursor: 1,
            inode: 100,
            agenda: BTreeMap::new(),
            entered: 0,
        };
        let mut init = Plan::of("systemd");
        init.owner = Some(0);
        machine.make_body(None, Pid::INIT, init);
        machine.events.clear();
        machine
    }

    pub const INIT: Id = Id(0);

    /// The minute of the local day.
    pub fn local_minute(&self) -> u16 {
        let gone_by = self.wall + self.now.since(START) + self.slept;
        u16::try_from(gone_by.as_secs() / 60 % 1440).unwrap()
    }

    /// The process that is alive or a zombie.
    pub fn body(&self, id: Id) -> Option<&Body> {
        self.bodies.get(&id)
    }

    pub fn alive(&self, id: Id) -> bool {
        self.body(id).is_some_and(Body::alive)
    }

    /// Who holds a number.
    pub fn holder(&self, pid: Pid) -> Option<&Body> {
        self.bodies.get(self.holders.get(&pid)?)
    }

    /// The process with this identity, as the kernel would find it.
    pub fn find(&self, key: ProcKey) -> Option<&Body> {
        self.holder(key.pid()).filter(|body| self.key(body) == key)
    }

    /// Who bears or bore this identity.
    pub fn ever(&self, key: ProcKey) -> Option<Id> {
        self.keys.get(&key).copied()
    }

    /// The identity that the kernel shows.
    pub fn key(&self, body: &Body) -> ProcKey {
        let mark = match self.make.marks {
            Marks::Inodes => Mark::Inode(body.inode),
            Marks::Ticks => Mark::Ticks(body.ticks),
        };
        ProcKey::new(body.pid, mark)
    }

    pub fn ticks(&self) -> u64 {
        (self.now.nanos() + u64::try_from(self.slept.as_nanos()).unwrap()) / 10_000_000
    }

    /// All numbers in use.
    pub fn listing(&self) -> Vec<Pid> {
        self.holders.keys().copied().collect()
    }

    fn tell(&mut self, what: Happening) {
        self.told += 1;
        self.events.push(Event { at: self.now, what });
    }

    /// Starts a process. `None` when no number is free.
    pub fn start(&mut self, parent: Id, plan: &Plan) -> Option<Id> {
        let pid = self.free_pid()?;
        let mut plan = plan.clone();
        let above = self.bodies.get(&parent)?;
        plan.owner = plan.owner.or(Some(above.owner));
        let (program, threads, pace) = (plan.program.clone(), plan.threads, plan.cpu);
        let by = above.pid;
        let id = self.make_body(Some(parent), pid, plan);
        let ticks = StartTicks(self.ticks());
        self.tell(Happening::Fork {
            parent: by,
            child: pid,
            ticks,
        });
        self.bodies.get_mut(&id)?.birth_event = self.told;
        if let Some(program) = program {
            self.exec(id, &program);
        }
        if threads > 1 {
            let body = self.bodies.get_mut(&id)?;
            body.plan.threads = threads;
            body.plan.cpu = pace;
            body.many = true;
            self.stretch(id);
            let count = threads - 1;
            self.tell(Happening::Thread { pid, count });
        }
        Some(id)
    }

    /// Makes this number the next to be handed out, if it is free.
    pub fn hand_out(&mut self, pid: Pid) {
        self.cursor = pid.number() - 1;
    }

    fn free_pid(&mut self) -> Option<Pid> {
        for _ in 0..self.make.pids {
            self.cursor = if self.cursor >= self.make.pids {
                2
            } else {
                self.cursor + 1
            };
            let pid = Pid::new(self.cursor)?;
            let in_session = self
                .bodies
                .values()
                .any(|body| body.session == pid && body.alive());
            // With soft identity two processes of one tick and one number are one to everybody: not tried here.
            let too_soon = self.make.marks == Marks::Ticks
                && self
                    .kin
                    .last()
                    .is_some_and(|last| self.now.since(last.born) < Duration::ZERO);
            if !self.holders.contains_key(&pid) && !in_session && !too_soon {
                return Some(pid);
            }
        }
        None
    }

    fn make_body(&mut self, parent: Option<Id>, pid: Pid, plan: Plan) -> Id {
        let id = Id(self.kin.len());
        let above = parent.and_then(|parent| self.bodies.get(&parent));
        let program = above.map_or_else(|| "systemd".to_owned(), |above| above.program.clone());
        let session = above.map_or(pid, |above| above.session);
        self.inode += 1;
        let body = Body {
            id,
            pid,
            inode: self.inode,
            born: self.now,
            ticks: self.ticks(),
            parent,
            session,
            program: program.clone(),
            image: 0,
            owner: plan.owner.unwrap_or(0),
            owned: self.now,
            state: State::Running,
            birth_event: 0,
            leader_gone: false,
            used: Duration::ZERO,
            since: self.now,
            reaped: Duration::ZERO,
            held: plan.memory,
            held_since: self.now,
            reclaimed: Bytes(0),
            term_pending: false,
            group: match plan.group.as_str() {
                "" => above.map_or_else(|| "/user.slice".to_owned(), |above| above.group.clone()),
                own => own.to_owned(),
            },
            env: {
                let mut env = above.map(|above| above.env.clone()).unwrap_or_default();
                env.extend(plan.env.iter().cloned());
                env
            },
            many: plan.threads > 1,
            leaving: false,
            plan,
        };
        for (after, deed) in &body.plan.deeds {
            self.entered += 1;
            self.agenda
                .insert((self.now.after(*after), self.entered), (id, deed.clone()));
        }
        self.kin.push(Kin {
            pid,
            parent,
            born: self.now,
            died: None,
            last_cpu: Duration::ZERO,
            ran: vec![(self.now, program)],
            shrank: Vec::new(),
            cpu_at_exec: Duration::ZERO,
            stretches: Vec::new(),
        });
        self.holders.insert(pid, id);
        self.keys.insert(self.key(&body), id);
        self.bodies.insert(id, body);
        self.stretch(id);
        id
    }

    /// Notes that a process goes on at another pace, or elsewhere.
    fn stretch(&mut self, id: Id) {
        let Some(body) = self.bodies.get(&id) else {
            return;
        };
        let pace = match body.state {
            State::Running => body.plan.cpu,
            State::Stopped | State::Zombie => 0,
        };
        let (from, group) = (self.now, body.group.clone());
        self.kin[id.0].stretches.push(Stretch { from, pace, group });
    }

    /// Runs another image.
    pub fn exec(&mut self, id: Id, program: &str) {
        let now = self.now;
        let Some(body) = self.bodies.get_mut(&id).filter(|body| body.alive()) else {
            return;
        };
        body.settle(now);
        program.clone_into(&mut body.program);
        body.image += 1;
        body.leader_gone = false;
        // The other threads are no more, and one has one processor.
        body.plan.threads = 1;
        body.plan.cpu = body.plan.cpu.min(1000);
        let (pid, used) = (body.pid, body.used);
        self.kin[id.0].ran.push((now, program.to_owned()));
        self.kin[id.0].cpu_at_exec = used;
        self.stretch(id);
        self.tell(Happening::Exec { pid });
    }

    /// Ends a process: its children go to init; it stays a zombie until its parent waits.
    pub fn exit(&mut self, id: Id) {
        let (now, tick) = (self.now, self.tick);
        let Some(body) = self.bodies.get_mut(&id).filter(|body| body.alive()) else {
            return;
        };
        if !std::mem::replace(&mut body.leaving, true) {
            self.records.push(Account {
                pid: body.pid,
                cpu: body.counted(now, tick),
                lived: now.since(body.born),
                threads: if body.many {
                    Threads::Many
                } else {
                    Threads::One
                },
            });
            if !body.plan.teardown.is_zero() {
                let end = now.after(body.plan.teardown);
                body.settle(now);
                body.state = State::Running;
                body.plan.cpu = 1000;
                self.stretch(id);
                self.enter(end, id, Deed::Vanish);
                return;
            }
        }
        self.vanish(id);
    }

    fn vanish(&mut self, id: Id) {
        let now = self.now;
        let Some(body) = self.bodies.get_mut(&id).filter(|body| body.alive()) else {
            return;
        };
        self.kin[id.0].shrank.push((now, body.memory(now)));
        body.settle(now);
        body.state = State::Zombie;
        let (pid, parent, heard) = (body.pid, body.parent, body.leader_gone);
        self.kin[id.0].died = Some(now);
        self.kin[id.0].last_cpu = body.used;
        self.stretch(id);
        let orphans: Vec<Id> = self
            .bodies
            .values()
            .filter(|body| body.parent == Some(id))
            .map(|body| body.id)
            .collect();
        for orphan in orphans {
            let Some(body) = self.bodies.get_mut(&orphan) else {
                continue;
            };
            body.parent = Some(Self::INIT);
            if body.state == State::Zombie {
                self.reap(orphan);
            }
        }
        // Of a process whose leader went first nothing more is heard.
        if !heard {
            self.tell(Happening::Exit { pid });
        }
        let waits = parent
            .and_then(|parent| self.bodies.get(&parent))
            .map_or(Waits::AtOnce, |parent| parent.plan.waits);
        if waits == Waits::AtOnce {
            self.reap(id);
        }
    }

    fn reap(&mut self, id: Id) {
        let Some(body) = self.bodies.remove(&id) else {
            return;
        };
        self.holders.remove(&body.pid);
        if let Some(parent) = body.parent.and_then(|parent| self.bodies.get_mut(&parent)) {
            parent.reaped += body.used + body.reaped;
        }
    }

    /// Sends a signal to a true process.
    pub fn signal(&mut self, id: Id, signal: Signal) -> Reach {
        let now = self.now;
        let Some(body) = self.bodies.get_mut(&id) else {
            return Reach::Dead;
        };
        if !body.alive() {
            return Reach::Dead;
        }
        match (signal, body.state, body.plan.on_kill) {
            (Signal::Kill, _, OnKill::Dies) => self.exit(id),
            (Signal::Stop, State::Running, _) => self.act(id, Deed::Stop),
            (Signal::Cont, State::Stopped, _) => self.proceed(id),
            (Signal::Kill, _, OnKill::Stuck) | (Signal::Stop | Signal::Cont, _, _) => {}
            (_, State::Stopped, _) => body.term_pending = true,
            // It runs no more handlers.
            _ if body.leaving => {}
            (_, State::Running | State::Zombie, _) => self.asked(id),
        }
        let _ = now;
        Reach::Reached
    }

    fn asked(&mut self, id: Id) {
        let Some(body) = self.bodies.get(&id) else {
            return;
        };
        match body.plan.on_term {
            OnTerm::Dies(Duration::ZERO) => self.exit(id),
            OnTerm::Dies(after) => self.enter(self.now.after(after), id, Deed::Exit),
            OnTerm::Ignores => {}
            OnTerm::Forks(count) => {
                let child = Plan {
                    on_term: OnTerm::Ignores,
                    // A fork has one thread, however many its parent had.
                    cpu: body.plan.cpu.min(1000),
                    ..Plan::default()
                };
                for _ in 0..count {
                    self.start(id, &child);
                }
                self.exit(id);
            }
        }
    }

    /// Continues a stopped process; a signal that waited reaches it.
    pub fn proceed(&mut self, id: Id) {
        let now = self.now;
        let Some(body) = self
            .bodies
            .get_mut(&id)
            .filter(|body| body.state == State::Stopped)
        else {
            return;
        };
        body.state = State::Running;
        body.since = now;
        let asked = std::mem::take(&mut body.term_pending);
        self.stretch(id);
        if asked {
            self.asked(id);
        }
    }

    /// Enters something that a process will do.
    pub fn enter(&mut self, at: Mono, id: Id, deed: Deed) {
        self.entered += 1;
        self.agenda.insert((at, self.entered), (id, deed));
    }

    /// When somebody does something next.
    pub fn next(&self) -> Option<Mono> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Lets time pass.
    pub fn advance(&mut self, to: Mono) {
        while let Some(entry) = self.agenda.first_entry() {
            let at = entry.key().0;
            if at > to {
                break;
            }
            let (id, deed) = entry.remove();
            self.now = self.now.max(at);
            self.act(id, deed);
        }
        self.now = self.now.max(to);
    }

    /// The machine sleeps: awake time stands still.
    pub fn sleep(&mut self, span: Duration) {
        self.slept += span;
    }

    /// Makes a process do something now.
    pub fn act(&mut self, id: Id, deed: Deed) {
        let now = self.now;
        let Some(body) = self.bodies.get_mut(&id).filter(|body| body.alive()) else {
            return;
        };
        let pid = body.pid;
        if body.leaving && !matches!(deed, Deed::Vanish) {
            return;
        }
        if body.state == State::Stopped && !matches!(deed, Deed::Continue | Deed::Reclaim(_)) {
            self.enter(now.after(Duration::from_millis(500)), id, deed);
            return;
        }
        match deed {
            Deed::Start(plan) => {
                self.start(id, &plan);
            }
            Deed::Hop => {
                let plan = Plan {
                    program: None,
                    ..body.plan.clone()
                };
                if self.start(id, &plan).is_some() {
                    self.exit(id);
                }
            }
            Deed::Exec(program) => self.exec(id, &program),
            Deed::ExecWith(program, name, value) => {
                body.env.insert(name, value);
                self.exec(id, &program);
            }
            Deed::Session => {
                body.session = pid;
                self.tell(Happening::Session { pid });
            }
            Deed::Exit => self.exit(id),
            Deed::LeaderExit => {
                if body.plan.threads > 1 && !body.leader_gone {
                    body.leader_gone = true;
                    self.tell(Happening::Exit { pid });
                }
            }
            Deed::ThreadExec(program) => {
                if body.plan.threads == 1 {
                    body.plan.threads = 2;
                    body.many = true;
                    self.tell(Happening::Thread { pid, count: 1 });
                }
                self.tell(Happening::Exit { pid });
                self.exec(id, &program);
            }
            Deed::Hold(bytes) => {
                self.kin[id.0].shrank.push((now, body.memory(now)));
                body.held = bytes;
                body.held_since = now;
                body.reclaimed = Bytes(0);
                body.plan.growth = Bytes(0);
            }
            Deed::Reclaim(bytes) => {
                self.kin[id.0].shrank.push((now, body.memory(now)));
                body.reclaimed = bytes;
            }
            Deed::Stop => {
                body.settle(now);
                body.state = State::Stopped;
                self.stretch(id);
            }
            Deed::Enter(group) => {
                self.entries.push((now, group.clone()));
                body.settle(now);
                body.group = group;
                self.stretch(id);
            }
            Deed::Vanish => self.vanish(id),
            Deed::Continue => self.proceed(id),
            Deed::Say(words) => self.say(id, &words),
            Deed::Own(user) => {
                body.owner = user;
                body.owned = now;
                let owner = Uid(user);
                self.tell(Happening::Owner { pid, owner });
            }
        }
    }

    /// Whether a process carries a label, in truth.
    pub fn carries(&self, id: Id, label: &Label) -> bool {
        let Some(body) = self.body(id) else {
            return false;
        };
        let its = match &label.badge {
            Badge::Variable { name, value } => {
                let set = body.env.get(&**name);
                set.is_some_and(|set| set.as_bytes() == value.bytes())
            }
            Badge::Cgroup { id, .. } => group_id(&body.group) == *id,
        };
        its && Uid(body.owner) == label.owner
    }

    /// Everyone alive.
    pub fn living(&self) -> impl Iterator<Item = &Body> {
        self.bodies.values().filter(|body| body.alive())
    }
}
