//! A small kernel: numbers are given again, events are queued, signals take effect or do not.
//!
//! Its own notion of identity is the birth certificate ([`Soul`]), which no pursuit ever sees.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::super::{
    Act, Anchor, Found, Glimpse, Look, Motion, Pursuit, Queue, Sighting, Slot, Turn, Wire,
};
use crate::engine::decision::Hearing;
use crate::engine::event::{Event, Happening};
use crate::engine::evidence::{Evidence, IncidentId, Subject, UnitKey};
use crate::engine::process::{ExecGen, Mark, Pid, ProcKey, StartTicks, Text};
use crate::engine::units::Mono;
use crate::engine::warrant::{
    Epoch, EventCount, HardTie, Newborn, Order, Outcome, Report, Spare, Target, Warrant, WarrantId,
    Withheld,
};

/// Who a process really is.
pub(super) type Soul = usize;

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing of its own that a test may set"
)]
pub(super) struct Process {
    pub(super) number: u32,
    pub(super) parent: u32,
    pub(super) session: u32,
    pub(super) start: u64,
    pub(super) state: char,
    pub(super) alive: bool,
    /// KILL is pending; it can do nothing more.
    pub(super) doomed: bool,
    /// What the door says of any signal to it; `None` lets it through.
    pub(super) door: Option<Outcome>,
    /// KILL takes no effect.
    pub(super) stuck: bool,
    /// Descends from the root.
    pub(super) member: bool,
}

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing of its own that a test may set"
)]
pub(super) struct World {
    pub(super) souls: Vec<Process>,
    pub(super) bearers: BTreeMap<u32, Soul>,
    pub(super) queue: VecDeque<Event>,
    pub(super) sent: Vec<(Soul, Wire)>,
    pub(super) millis: u64,
    pub(super) lost: bool,
    /// KILL takes effect only when the world says so.
    pub(super) lingering: bool,
    pub(super) struck: Vec<(Slot, Soul)>,
    pub(super) sightings: Vec<Sighting>,
    pub(super) acts: Vec<Act>,
    pub(super) scan_tier: bool,
    /// Nobody can be taken hold of.
    pub(super) short: bool,
    /// How many events are told in the next turn; the rest comes later.
    pub(super) told: Option<usize>,
}

pub(super) fn pid(number: u32) -> Pid {
    Pid::new(number).unwrap()
}

impl World {
    pub(super) fn now(&self) -> Mono {
        Mono::from_nanos(self.millis * 1_000_000)
    }

    fn ticks(&self) -> u64 {
        self.millis / 10
    }

    pub(super) fn key(&self, soul: Soul) -> ProcKey {
        let inode = u64::try_from(soul).unwrap();
        ProcKey::new(pid(self.souls[soul].number), Mark::Inode(inode))
    }

    pub(super) fn bearer(&self, number: u32) -> Option<Soul> {
        self.bearers.get(&number).copied()
    }

    /// A process from nowhere.
    pub(super) fn place(&mut self, number: u32, member: bool) -> Soul {
        let soul = self.souls.len();
        assert!(
            self.bearers.insert(number, soul).is_none(),
            "{number} is taken"
        );
        self.souls.push(Process {
            number,
            parent: 1,
            session: number,
            start: self.ticks(),
            state: 'S',
            alive: true,
            doomed: false,
            door: None,
            stuck: false,
            member,
        });
        soul
    }

    /// A birth, and its event.
    pub(super) fn fork(&mut self, parent: Soul, number: u32) -> Soul {
        let event = self.fork_untold(parent, number);
        self.queue.push_back(event);
        self.bearers[&number]
    }

    /// A birth whose event is not queued yet.
    pub(super) fn fork_untold(&mut self, parent: Soul, number: u32) -> Event {
        let from = self.souls[parent].clone();
        assert!(from.alive && !from.doomed && from.state != 'T');
        let soul = self.place(number, from.member);
        self.souls[soul].parent = from.number;
        self.souls[soul].session = from.session;
        self.event(Happening::Fork {
            parent: pid(from.number),
            child: pid(number),
            ticks: StartTicks(self.ticks()),
        })
    }

    pub(super) fn event(&self, what: Happening) -> Event {
        let at = self.now();
        Event { at, what }
    }

    /// A death at which nobody waits: the number is free at once. Its event is returned, to be queued whenever.
    pub(super) fn die_untold(&mut self, soul: Soul) -> Event {
        let number = self.souls[soul].number;
        self.souls[soul].alive = false;
        self.bearers.remove(&number);
        for other in &mut self.souls {
            if other.alive && other.parent == number {
                other.parent = 1;
            }
        }
        self.event(Happening::Exit { pid: pid(number) })
    }

    pub(super) fn die(&mut self, soul: Soul) {
        let event = self.die_untold(soul);
        self.queue.push_back(event);
    }

    fn glimpse(&self, soul: Soul) -> Glimpse {
        let one = &self.souls[soul];
        Glimpse {
            pid: pid(one.number),
            ppid: Pid::new(one.parent),
            session: Pid::new(one.session),
            start: StartTicks(one.start),
            state: one.state,
        }
    }

    /// The process of this key, if it lives.
    fn find(&self, key: ProcKey) -> Option<Soul> {
        let Mark::Inode(inode) = key.mark() else {
            panic!("no soft keys here")
        };
        let soul = usize::try_from(inode).unwrap();
        (self.bearer(key.pid().number()) == Some(soul)).then_some(soul)
    }

    fn send(&mut self, slot: Slot, key: ProcKey, wire: Wire) -> Outcome {
        let Some(soul) = self.find(key) else {
            return Outcome::Gone;
        };
        if let Some(outcome) = self.souls[soul].door {
            return outcome;
        }
        self.sent.push((soul, wire));
        match wire {
            Wire::Kill => {
                self.souls[soul].doomed = true;
                self.struck.push((slot, soul));
                if !self.lingering && !self.souls[soul].stuck {
                    self.die(soul);
                }
            }
            Wire::Stop => self.souls[soul].state = 'T',
            Wire::Cont => self.souls[soul].state = 'S',
            Wire::Ask => {}
        }
        Outcome::Sent
    }

    pub(super) fn perform(&mut self, act: Act) {
        self.acts.push(act);
        let sighting = match act {
            Act::Send { slot, key, wire } => {
                let outcome = self.send(slot, key, wire);
                Sighting::Sent {
                    slot,
                    wire,
                    outcome,
                }
            }
            Act::Take { slot, pid, anchor } => {
                let taken = self.bearer(pid.number()).map_or(Found::Gone, |soul| {
                    let alive = anchor.and_then(|anchor| self.find(anchor)).is_some();
                    Found::Held {
                        key: self.key(soul),
                        glimpse: self.glimpse(soul),
                        anchor: if alive { Anchor::Alive } else { Anchor::Lost },
                    }
                });
                let found = if self.short { Found::Unsure } else { taken };
                Sighting::Taken { slot, found }
            }
            Act::Look { slot, key } => {
                let look = self.find(key).map_or(Look::Dead, |soul| {
                    let state = self.souls[soul].state;
                    let motion = match state {
                        'T' => Motion::Still,
                        'D' => Motion::Bound,
                        'R' => Motion::Running,
                        _ => Motion::Asleep,
                    };
                    Look::Alive { state, motion }
                });
                Sighting::Looked { slot, look }
            }
            Act::Scan => Sighting::Scanned {
                at: StartTicks(self.ticks()),
                seen: self
                    .bearers
                    .values()
                    .map(|&soul| self.glimpse(soul))
                    .collect(),
            },
        };
        self.sightings.push(sighting);
    }

    /// One turn, all events there are included. The acts are returned, not performed.
    pub(super) fn turn(&mut self, pursuit: &mut Pursuit) -> Vec<Act> {
        let mut struck = std::mem::take(&mut self.struck);
        struck.retain(|&(slot, soul)| {
            if !self.souls[soul].alive {
                self.sightings.push(Sighting::Dead { slot });
            }
            self.souls[soul].alive
        });
        self.struck = struck;
        let count = self.told.take().unwrap_or(usize::MAX).min(self.queue.len());
        let events: Vec<_> = self.queue.drain(..count).collect();
        let queue = match (self.scan_tier, std::mem::take(&mut self.lost)) {
            (true, _) => Queue::Deaf,
            (false, true) => Queue::Lost,
            (false, false) if self.queue.is_empty() => Queue::Empty,
            (false, false) => Queue::More,
        };
        let sightings = std::mem::take(&mut self.sightings);
        let mut acts = Vec::new();
        pursuit.turn(
            &Turn {
                now: self.now(),
                sightings: &sightings,
                events: &events,
                queue,
            },
            &mut acts,
        );
        acts
    }

    /// Turns and acts until it is settled; a millisecond passes in each.
    pub(super) fn run(&mut self, pursuit: &mut Pursuit) -> Report {
        self.run_with(pursuit, |_, _| {})
    }

    /// The same, and before each act the world moves.
    pub(super) fn run_with(
        &mut self,
        pursuit: &mut Pursuit,
        mut moves: impl FnMut(&mut Self, Act),
    ) -> Report {
        for _ in 0..50_000 {
            for act in self.turn(pursuit) {
                moves(self, act);
                self.perform(act);
            }
            self.millis += 1;
            if let Some(report) = pursuit.settled() {
                return report.clone();
            }
        }
        panic!("it does not end");
    }

    pub(super) fn target(&self, soul: Soul) -> Target {
        Target {
            key: self.key(soul),
            start: StartTicks(self.souls[soul].start),
            tie: HardTie::Root,
            exec: ExecGen(0),
            stopped: self.souls[soul].state == 'T',
        }
    }

    pub(super) fn warrant(&self, order: Order, souls: &[Soul]) -> Warrant {
        let unit = UnitKey::Tree(self.key(souls[0]));
        Warrant {
            unbound: Vec::new(),
            roster: Vec::new(),
            id: WarrantId(7),
            incident: IncidentId(1),
            unit,
            order,
            targets: souls.iter().map(|&soul| self.target(soul)).collect(),
            newborn: Newborn::Refuse,
            label: None,
            spare: Arc::new(Spare::default()),
            bidden: None,
            evidence: Arc::new(evidence(unit)),
            sampled: self.now(),
            expires: Mono::NEVER,
            epoch: Epoch(0),
            seen: EventCount(0),
        }
    }

    pub(super) fn pursue(&mut self, warrant: Warrant) -> Pursuit {
        let hearing = if self.scan_tier {
            Hearing::Nothing
        } else {
            Hearing::Events
        };
        Pursuit::new(Arc::new(warrant), hearing, self.now())
    }

    pub(super) fn end(&mut self, souls: &[Soul]) -> Pursuit {
        let warrant = self.warrant(Order::End, souls);
        self.pursue(warrant)
    }

    /// To whom this was sent, in order.
    pub(super) fn got(&self, wire: Wire) -> Vec<Soul> {
        let these = self.sent.iter().filter(|(_, what)| *what == wire);
        these.map(|(soul, _)| *soul).collect()
    }

    pub(super) fn outcome(&self, report: &Report, soul: Soul) -> Option<Outcome> {
        let key = self.key(soul);
        let found = report.each.iter().find(|(one, _)| *one == key);
        found.map(|(_, outcome)| *outcome)
    }
}

/// A world in which nothing is told.
pub(super) fn scan_tier() -> World {
    World {
        scan_tier: true,
        ..World::default()
    }
}

pub(super) const UNSURE: Outcome = Outcome::Withheld(Withheld::Unsure);

fn evidence(unit: UnitKey) -> Evidence {
    Evidence {
        rule: "test".into(),
        about: None,
        unit,
        subject: Subject {
            key: unit.root(),
            program: Text::from("x"),
            command: Text::from("x"),
            cwd: None,
            owner: None,
            audience: None,
            tty: None,
            label: None,
        },
        sampled: Mono::BOOT,
        readings: Vec::new(),
        members: 1,
        pids: Vec::new(),
        peers: None,
        progress: None,
        manner: None,
    }
}

pub(super) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
