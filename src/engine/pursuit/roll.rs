//! Who is pursued, and which number stands for whom as of the last event heard.
//!
//! # Why a fork is enough to know a number's bearer
//! Every bearer of a number announces itself by the fork event that names it as the child, queued before it first runs,
//! and after the last fork of the bearer before. So, in the order of the stream, the last fork that names a number says
//! who bears it. An exit says less: one of a bearer before may come after the fork that gave the number on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Glimpse, Motion, Slot};
use crate::engine::process::{Pid, ProcKey, StartTicks};
use crate::engine::units::Mono;
use crate::engine::warrant::{HardTie, Newborn, Outcome, Target, Warrant, Withheld};

/// One process that is pursued.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) pid: Pid,
    /// `None` until it was taken hold of.
    pub(super) key: Option<ProcKey>,
    /// When it started; of a newborn that is not held yet, the time of its fork.
    pub(super) start: StartTicks,
    /// The member that started it, or that speaks for its session.
    pub(super) parent: Option<Slot>,
    pub(super) origin: Origin,
    pub(super) standing: Standing,
    /// When `standing` came to be.
    pub(super) since: Mono,
    /// What is due is not ordered again before this.
    pub(super) next: Mono,
    /// An exit of its number was heard: of itself, or late, of the bearer before.
    pub(super) exit_heard: bool,
    /// How often it was seen to be another's child while its parent seemed to live.
    pub(super) elsewhere: u32,
    /// The session that ties it: one that a member made. `None` where something else ties it.
    pub(super) session: Option<Pid>,
    /// Found stopped by a sample before the warrant.
    pub(super) sampled_stopped: bool,
    /// How it looked last.
    pub(super) motion: Option<Motion>,
    /// In how many rounds it slept on with a STOP queued.
    pub(super) frozen: u32,
    /// The kernel's letter for its state, as last seen.
    pub(super) state: char,
    /// We stopped it, and have not continued it.
    pub(super) halted: bool,
}

/// How far it is with one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its birth was heard, or it was seen; nobody holds it.
    Heard,
    /// It is held; whether it is the one that was heard of is not sure yet.
    Held,
    /// It is who we think it is, and has been sent nothing final.
    Due,
    /// KILL was sent.
    Struck,
    /// Its outcome is known.
    Settled(Outcome),
    /// It was no member after all, or was dead before anybody held it: not spoken of.
    Dropped,
}

/// How it came to be pursued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The warrant names it.
    Target,
    /// The fork event of a member named it.
    Told,
    /// It was seen in the table as a member's child, or in a member's session. To be proven.
    Seen,
}

/// Members by number and start, and whether they live.
type Known = BTreeMap<(Pid, StartTicks), (Slot, bool)>;

/// What in the table makes a process look like a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeenTie {
    /// Its parent is one.
    Child {
        /// That one.
        parent: Slot,
    },
    /// It shares a session that a member made.
    Session {
        /// A living member in the same.
        with: Slot,
    },
}

/// All that are pursued.
#[derive(Debug, Default)]
pub(super) struct Roll {
    members: Vec<Member>,
    /// Those neither settled nor dropped.
    open: BTreeSet<Slot>,
    /// Members by the number they bear as of the last event.
    bearers: BTreeMap<Pid, Slot>,
    /// The numbers of those in their midst who are none of them. Should one be another's by now, that one is left alone.
    bystanders: BTreeSet<Pid>,
    /// When somebody was last found, struck or seen dead.
    moved: Mono,
    /// Whether whoever is born to a member is one, too.
    newborn: Newborn,
}

impl Roll {
    /// Everyone whom a warrant names. Those known by their birth alone are like newborns, and so only pursued where
    /// newborns are: a request leaves them alone.
    pub(super) fn named_by(warrant: &Warrant, now: Mono) -> Self {
        let mut roll = Self::of(&warrant.targets, now);
        roll.newborn = warrant.newborn;
        let bystanders = warrant.spare.bystanders.iter();
        roll.bystanders = bystanders.map(|key| key.pid()).collect();
        if warrant.newborn == Newborn::Refuse {
            for unbound in &warrant.unbound {
                let parent = match unbound.tie {
                    HardTie::Forked { parent } => roll.bearer(parent),
                    HardTie::Root
                    | HardTie::Child { .. }
                    | HardTie::Session { .. }
                    | HardTie::Labeled
                    | HardTie::Filed
                    | HardTie::Frozen => None,
                };
                roll.add(Member::heard(unbound.pid, unbound.start, parent, now));
            }
        }
        roll
    }

    /// Every target.
    pub(super) fn of(targets: &[Target], now: Mono) -> Self {
        let mut roll = Self::default();
        for target in targets {
            let session = match target.tie {
                HardTie::Session { session } => Some(session),
                HardTie::Root
                | HardTie::Forked { .. }
                | HardTie::Child { .. }
                | HardTie::Labeled
                | HardTie::Filed
                | HardTie::Frozen => None,
            };
            roll.add(Member {
                key: Some(target.key),
                session,
                standing: Standing::Due,
                sampled_stopped: target.stopped,
                origin: Origin::Target,
                ..Member::heard(target.key.pid(), target.start, None, now)
            });
        }
        roll
    }

    /// A newborn, told of by the fork event of the member `parent`. From now on it is who bears its number.
    pub(super) fn told(&mut self, pid: Pid, start: StartTicks, parent: Slot, now: Mono) {
        if self.newborn == Newborn::Admit {
            return self.unbear(pid);
        }
        self.add(Member::heard(pid, start, Some(parent), now));
    }

    /// A process of the table that may be a member, as `tie` would show.
    pub(super) fn seen(&mut self, one: &Glimpse, tie: SeenTie, now: Mono) {
        if self.newborn == Newborn::Admit {
            return;
        }
        let (parent, session) = match tie {
            SeenTie::Child { parent } => (parent, None),
            SeenTie::Session { with } => (with, one.session),
        };
        self.add(Member {
            origin: Origin::Seen,
            session,
            ..Member::heard(one.pid, one.start, Some(parent), now)
        });
    }

    fn add(&mut self, member: Member) {
        let slot = Slot(self.members.len());
        self.bearers.insert(member.pid, slot);
        self.open.insert(slot);
        self.members.push(member);
    }

    /// Whoever was told of as born to this one, or to those, was not: they bear no number for us and are dropped.
    pub(super) fn disown(&mut self, slot: Slot, now: Mono) {
        let mut disowned = BTreeSet::from([slot]);
        let born = self
            .members
            .iter()
            .enumerate()
            .filter_map(|(index, member)| {
                let told = member.origin != Origin::Target;
                // Whoever is born comes after who it is born to.
                (told && disowned.contains(&member.parent?) && disowned.insert(Slot(index)))
                    .then_some((Slot(index), member.pid))
            });
        for (child, pid) in born.collect::<Vec<_>>() {
            if self.bearer(pid) == Some(child) {
                self.unbear(pid);
            }
            self.stand(child, Standing::Dropped, now);
        }
    }

    pub(super) fn member(&self, slot: Slot) -> Option<&Member> {
        self.members.get(slot.0)
    }

    pub(super) fn member_mut(&mut self, slot: Slot) -> Option<&mut Member> {
        self.members.get_mut(slot.0)
    }

    /// Everyone, in the order they became members.
    pub(super) fn all(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// Those whose outcome is not known, in the order they became members.
    pub(super) fn open(&self) -> impl DoubleEndedIterator<Item = (Slot, &Member)> {
        self.open
            .iter()
            .filter_map(|&slot| Some((slot, self.members.get(slot.0)?)))
    }

    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// The member that bears a number now.
    pub(super) fn bearer(&self, pid: Pid) -> Option<Slot> {
        self.bearers.get(&pid).copied()
    }

    /// A number no longer stands for a member.
    pub(super) fn unbear(&mut self, pid: Pid) {
        self.bearers.remove(&pid);
    }

    /// When somebody was last found, struck or seen dead.
    pub(super) const fn moved(&self) -> Mono {
        self.moved
    }

    /// Moves one on. What is settled stays settled.
    pub(super) fn stand(&mut self, slot: Slot, standing: Standing, now: Mono) {
        let Some(member) = self.members.get_mut(slot.0) else {
            return;
        };
        match member.standing {
            Standing::Settled(_) | Standing::Dropped => return,
            Standing::Heard | Standing::Held | Standing::Due | Standing::Struck => {}
        }
        member.standing = standing;
        member.since = now;
        member.next = now;
        if standing != Standing::Dropped {
            self.moved = now;
        }
        match standing {
            Standing::Settled(_) | Standing::Dropped => {
                self.open.remove(&slot);
            }
            Standing::Heard | Standing::Held | Standing::Due | Standing::Struck => {}
        }
    }

    /// The numbers of bystanders, of members that are protected, and of all that hangs from them up to living members.
    fn shielded(&self, seen: &[Glimpse], members: &Known) -> BTreeSet<Pid> {
        let spared = self.members.iter().filter(|member| {
            matches!(
                member.standing,
                Standing::Settled(Outcome::Withheld(Withheld::Protected | Withheld::Left))
            )
        });
        let spared: BTreeSet<_> = spared.map(|member| (member.pid, member.start)).collect();
        let mut shielded: BTreeSet<Pid> = seen
            .iter()
            .filter(|one| {
                spared.contains(&(one.pid, one.start)) || self.bystanders.contains(&one.pid)
            })
            .map(|one| one.pid)
            .collect();
        let living = |one: &Glimpse| matches!(members.get(&(one.pid, one.start)), Some((_, true)));
        let mut before = usize::MAX;
        while !shielded.is_empty() && before != shielded.len() {
            before = shielded.len();
            let hanging = seen
                .iter()
                .filter(|one| one.ppid.is_some_and(|ppid| shielded.contains(&ppid)) && !living(one))
                .map(|one| one.pid);
            let hanging: Vec<_> = hanging.collect();
            shielded.extend(hanging);
        }
        shielded
    }

    /// Those of a whole table who may be members and are not known, each with the living member that speaks for it: a
    /// parent for its children, and anyone in a session that a member made for all in it.
    pub(super) fn unknown_of(&self, seen: &[Glimpse]) -> Vec<(Glimpse, SeenTie)> {
        let mut known = Known::new();
        let mut makers = BTreeSet::new();
        for (index, member) in self.members.iter().enumerate() {
            makers.insert(member.pid);
            makers.extend(member.session);
            match member.standing {
                // Within one tick the number of a dead one may be its sibling's.
                Standing::Dropped | Standing::Settled(Outcome::Sent | Outcome::Gone) => {}
                Standing::Heard
                | Standing::Held
                | Standing::Due
                | Standing::Struck
                | Standing::Settled(_) => {
                    let one = (Slot(index), member.is_alive());
                    known.insert((member.pid, member.start), one);
                }
            }
        }
        let mut parents = BTreeMap::new();
        let mut sessions = BTreeMap::new();
        for one in seen {
            let Some(&(slot, true)) = known.get(&(one.pid, one.start)) else {
                continue;
            };
            parents.insert(one.pid, slot);
            if let Some(session) = one.session.filter(|session| makers.contains(session)) {
                sessions.entry(session).or_insert(slot);
            }
        }
        let shielded = self.shielded(seen, &known);
        let speaker = |one: &Glimpse| {
            // Neither a parent nor a session speaks for somebody spared, or for what such a one has started.
            if shielded.contains(&one.pid) || shielded.contains(&one.ppid?) {
                return None;
            }
            let parent = one.ppid.and_then(|ppid| parents.get(&ppid));
            let child = parent.map(|&parent| SeenTie::Child { parent });
            child.or_else(|| {
                let &with = sessions.get(&one.session?)?;
                Some(SeenTie::Session { with })
            })
        };
        seen.iter()
            .filter(|one| !known.contains_key(&(one.pid, one.start)))
            .filter_map(|one| Some((*one, speaker(one)?)))
            .collect()
    }
}

impl Member {
    /// A process that was heard of or seen, and that nobody holds yet.
    pub(super) const fn heard(
        pid: Pid,
        start: StartTicks,
        parent: Option<Slot>,
        now: Mono,
    ) -> Self {
        Self {
            pid,
            key: None,
            start,
            parent,
            origin: Origin::Told,
            standing: Standing::Heard,
            since: now,
            next: now,
            exit_heard: false,
            elsewhere: 0,
            session: None,
            sampled_stopped: false,
            motion: None,
            frozen: 0,
            state: '?',
            halted: false,
        }
    }

    /// Whether it is a member that lives, as far as is known.
    pub(super) const fn is_alive(&self) -> bool {
        match self.standing {
            Standing::Due | Standing::Struck => true,
            Standing::Settled(outcome) => match outcome {
                // What is protected, or has left, speaks for nobody.
                Outcome::Withheld(Withheld::Protected | Withheld::Left)
                | Outcome::Sent
                | Outcome::Gone => false,
                Outcome::Denied | Outcome::Withheld(_) | Outcome::Survived => true,
            },
            Standing::Heard | Standing::Held | Standing::Dropped => false,
        }
    }
}
