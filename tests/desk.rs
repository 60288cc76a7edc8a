//! What a test needs to issue a warrant: a pursuer, a poor judge's forest, a canary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use beadle::daemon::pursue::{Heard, Pursuer};
use beadle::engine::account::Accounting;
use beadle::engine::decision::Hearing;
use beadle::engine::event::Event;
use beadle::engine::evidence::{Evidence, IncidentId, Subject, UnitKey};
use beadle::engine::process::{ExecGen, Pid, ProcKey, Text};
use beadle::engine::rule::RuleName;
use beadle::engine::units::Mono;
use beadle::engine::warrant::{
    Epoch, EventCount, HardTie, Newborn, Order, Report, Spare, Target, Warrant, WarrantId,
};
use beadle::sys::events::Deafness;
use beadle::sys::glimpse::everyone;
use beadle::sys::holds::Holds;
use beadle::sys::pidfd::Life;
use beadle::sys::signaller::Signaller;

use super::villain::{Kind, Villain, awake};

/// Longer than anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A pursuer and what it said.
pub(crate) struct Desk {
    pub(crate) pursuer: Pursuer,
    pub(crate) heard: Receiver<Heard>,
    pub(crate) events: Vec<Event>,
    pub(crate) upto: EventCount,
    pub(crate) gaps: u32,
    pub(crate) flushed: Mono,
    pub(crate) tier: Hearing,
    pub(crate) why: Option<Deafness>,
}

impl Desk {
    pub(crate) fn open(want: Hearing) -> Self {
        Self::with(Signaller::default(), want)
    }

    pub(crate) fn with(signaller: Signaller, want: Hearing) -> Self {
        let (sink, heard) = channel();
        let pursuer = Pursuer::start_with(signaller, want, Accounting::Wanted, move |what| {
            let _ = sink.send(what);
        })
        .unwrap();
        let (tier, why) = match heard.recv_timeout(PATIENCE).unwrap() {
            Heard::Listening => (Hearing::Events, None),
            Heard::Deaf(why) => (Hearing::Nothing, Some(why)),
            other => panic!("first of all comes the tier: {other:?}"),
        };
        Self {
            pursuer,
            heard,
            events: Vec::new(),
            upto: EventCount(0),
            gaps: 0,
            flushed: Mono::BOOT,
            tier,
            why,
        }
    }

    pub(crate) fn take(&mut self, heard: Heard) -> Option<Report> {
        match heard {
            Heard::Events { events, upto } => {
                let count = u64::try_from(events.len()).unwrap();
                assert_eq!(
                    self.upto.0 + count,
                    upto.0,
                    "no event is told twice or left out"
                );
                self.upto = upto;
                self.events.extend(events);
                None
            }
            Heard::Gap => {
                self.gaps += 1;
                None
            }
            Heard::Accounts(_) => None,
            Heard::Report(report) => Some(report),
            Heard::Flushed(upto) => {
                self.flushed = upto;
                None
            }
            Heard::Listening | Heard::Deaf(_) => panic!("the tier changed"),
        }
    }

    pub(crate) fn flush(&mut self) {
        self.pursuer.flush();
        loop {
            let heard = self.heard.recv_timeout(PATIENCE).unwrap();
            let done = matches!(heard, Heard::Flushed(_));
            self.take(heard);
            if done {
                return;
            }
        }
    }

    pub(crate) fn report(&mut self) -> Report {
        loop {
            let heard = self.heard.recv_timeout(PATIENCE).unwrap();
            if let Some(report) = self.take(heard) {
                return report;
            }
        }
    }

    pub(crate) fn carry(&mut self, warrant: Warrant) -> Report {
        self.pursuer.carry(Arc::new(warrant));
        self.report()
    }
}

/// What a judge would know: members by lineage, as far as looking at the table shows it.
#[derive(Default)]
pub(crate) struct Forest {
    pub(crate) members: BTreeMap<Pid, Target>,
    pub(crate) order: Vec<Pid>,
}

impl Forest {
    pub(crate) fn rooted(pid: Pid) -> Self {
        let mut forest = Self::default();
        forest.admit(pid, HardTie::Root);
        forest
    }

    pub(crate) fn admit(&mut self, pid: Pid, tie: HardTie) {
        let mut holds = Holds::with_room(1);
        let Ok((key, glimpse)) = holds.take(pid) else {
            return;
        };
        // The number may be another's since it was seen, and so may the parent's.
        if let HardTie::Child { parent } = tie
            && (glimpse.ppid != Some(parent.pid()) || holds.life(parent) != Some(Life::Alive))
        {
            return;
        }
        self.order.push(pid);
        let target = Target {
            key,
            start: glimpse.start,
            tie,
            exec: ExecGen(0),
            stopped: glimpse.state == 'T',
        };
        self.members.insert(pid, target);
    }

    pub(crate) fn look(&mut self) {
        loop {
            let (_, all) = everyone();
            let new: Vec<_> = all
                .iter()
                .filter(|one| !self.members.contains_key(&one.pid))
                .filter_map(|one| Some((one.pid, self.members.get(&one.ppid?)?.key)))
                .collect();
            if new.is_empty() {
                return;
            }
            for (pid, parent) in new {
                self.admit(pid, HardTie::Child { parent });
            }
        }
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        self.order.iter().map(|pid| self.members[pid]).collect()
    }
}

pub(crate) fn now() -> Mono {
    Mono::from_nanos(awake())
}

pub(crate) fn warrant(order: Order, targets: Vec<Target>, seen: EventCount) -> Warrant {
    let root = targets[0].key;
    let unit = UnitKey::Tree(root);
    Warrant {
        unbound: Vec::new(),
        roster: Vec::new(),
        id: WarrantId(1),
        incident: IncidentId(1),
        unit,
        order,
        targets,
        newborn: match order {
            Order::Ask(_) | Order::Release => Newborn::Admit,
            Order::End | Order::Hold => Newborn::Refuse,
        },
        label: None,
        spare: Arc::new(Spare::default()),
        bidden: None,
        evidence: Arc::new(Evidence {
            rule: RuleName::from("test"),
            about: None,
            unit,
            subject: Subject {
                key: root,
                program: Text::from("villain"),
                command: Text::from("villain"),
                cwd: None,
                owner: None,
                audience: None,
                tty: None,
                label: None,
            },
            sampled: now(),
            readings: Vec::new(),
            members: 1,
            pids: Vec::new(),
            peers: None,
            progress: None,
            manner: None,
        }),
        sampled: now(),
        expires: now().after(Duration::from_secs(15)),
        epoch: Epoch(0),
        seen,
    }
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = now().after(Duration::from_secs(10));
    while !holds() {
        assert!(now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// One that looks like the tree and is none of it.
pub(crate) struct Canary {
    pub(crate) villain: Villain,
    pub(crate) key: ProcKey,
}

impl Canary {
    pub(crate) fn new() -> Self {
        let villain = Villain::start(Kind::Idle, 0, Duration::from_secs(50));
        let key = Holds::with_room(1).take(villain.pid()).unwrap().0;
        Self { villain, key }
    }

    pub(crate) fn assert_unharmed(&mut self) {
        let (key, glimpse) = Holds::with_room(1).take(self.villain.pid()).unwrap();
        assert_eq!(key, self.key);
        assert_ne!(glimpse.state, 'T', "the canary is not stopped");
        assert!(self.villain.root.try_wait().unwrap().is_none());
    }
}
