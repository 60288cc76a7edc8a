//! Lineage: who was started by whom, remembered beyond the death of those between.
//!
//! A process is a [`Node`] from its first sign (a fork event, or a first look) until it is forgotten. A number's
//! holder is known at every point of the event stream, so lineage needs no identity at birth; the identity is bound
//! at the first look, when the start that the kernel gives agrees with the birth that was heard.
//!
//! **Invariants.**
//! - A node's serial is greater than its parent's: in serial order, parents come before children.
//! - A number has at most one living holder.
//! - An identity, once bound, never changes; another identity under the same number is another node.
//! - Where events are heard, a look runs ahead of them: a death that a look finds is noted, and believed once its exit is
//!   heard or the stream has gone beyond the look. What the dead did before they died is then known.
//! - The dead pass their children on to the nearest living process above, so a chain of a million hops that fork
//!   and exit costs one node. Who started a process that was orphaned so is kept as its [`Starter`].
//!
//! # Why no tombstones
//! Membership is inherited at the moment of the fork, from a parent that is then alive, and is kept by the judge.
//! Nothing has to be looked up through the dead afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::decision::Hearing;
use super::event::{Event, Happening};
use super::process::{ExecGen, Pid, ProcKey, StartTicks, Uid};
use super::snapshot::{Figures, Sample, Seen};
use super::units::Mono;
use super::warrant::HardTie;

/// Stamps of events are taken a moment before they are queued, each processor for itself.
const SETTLING: Duration = Duration::from_millis(10);

/// A look is believed after so long even if nothing was heard since.
const SILENCE: Duration = Duration::from_secs(10);

/// One process within this run, in the order of first signs. Not an identity outside the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(u64);

/// All processes that are known.
#[derive(Debug, Default)]
pub struct Forest {
    nodes: BTreeMap<Serial, Node>,
    holders: BTreeMap<Pid, Serial>,
    made: u64,
    /// How far the stream of events has come.
    heard: Mono,
}

/// What is known of one process's birth, life and kin.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its number.
    pub pid: Pid,
    /// Its identity, once bound.
    pub key: Option<ProcKey>,
    /// Its start: the kernel's, or what the fork event gives, which is near it.
    pub start: StartTicks,
    /// When it started, awake time. What was slept before it was first seen is taken as slept by it.
    pub born: Mono,
    /// How its birth became known.
    pub seen: FirstSign,
    /// The nearest living process above it.
    pub parent: Option<Serial>,
    /// Why the parent is its parent; `None` when it is not certain enough to act on.
    pub tie: Option<HardTie>,
    /// Who started it, once that one is gone.
    pub starter: Option<Starter>,
    /// The living it started, and those it inherited from its dead children.
    pub children: BTreeSet<Serial>,
    /// Which image it runs.
    pub exec: ExecGen,
    /// When that image began; its birth until an exec is seen.
    pub exec_at: Mono,
    /// Whether it lives.
    pub life: Life,
    /// When a look first found it dead, ahead of the events.
    pub missed: Option<Mono>,
    /// More than one thread was ever seen: the exit of its leader is not its death.
    pub threaded: bool,
    /// It made a session of its own: whoever is in that session descends from it.
    pub session: bool,
    /// Effective user.
    pub owner: Option<Uid>,
}

impl Node {
    /// One that lives, of whose kin and doings nothing is known yet.
    const fn new(pid: Pid, start: StartTicks, born: Mono, seen: FirstSign) -> Self {
        Self {
            pid,
            key: None,
            start,
            born,
            seen,
            parent: None,
            tie: None,
            starter: None,
            children: BTreeSet::new(),
            exec: ExecGen(0),
            exec_at: born,
            life: Life::Alive,
            missed: None,
            threaded: false,
            session: false,
            owner: None,
        }
    }
}

/// How a birth became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstSign {
    /// Its fork was heard.
    Heard,
    /// It was found by a look.
    Found,
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It does.
    Alive,
    /// Its leader thread ended; whether others live on, the next look tells.
    Leaving,
    /// It died then. Perhaps nobody has waited for it yet.
    Dead(Mono),
}

impl Life {
    const fn is_over(self) -> bool {
        match self {
            Self::Dead(_) => true,
            Self::Alive | Self::Leaving => false,
        }
    }
}

/// Who started a process, and when that one went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starter {
    /// Its number then.
    pub pid: Pid,
    /// Its identity, when it was known.
    pub key: Option<ProcKey>,
    /// When it died.
    pub died: Mono,
}

/// What a batch of events or a look changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A process appeared.
    Born(Serial),
    /// A process that was there before us turned out to have a parent.
    Adopted(Serial),
    /// It runs another image.
    Execed(Serial),
    /// It has another effective user.
    Owned(Serial),
    /// It died.
    Died(Serial),
}

impl Forest {
    /// The node, unless it was forgotten.
    pub fn node(&self, serial: Serial) -> Option<&Node> {
        self.nodes.get(&serial)
    }

    /// Who holds a number now.
    pub fn holder(&self, pid: Pid) -> Option<Serial> {
        self.holders.get(&pid).copied()
    }

    /// The living process with this identity.
    pub fn find(&self, key: ProcKey) -> Option<Serial> {
        let serial = self.holder(key.pid())?;
        let node = self.node(serial)?;
        (node.key == Some(key)).then_some(serial)
    }

    /// Every process known, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (Serial, &Node)> {
        self.nodes.iter().map(|(serial, node)| (*serial, node))
    }

    /// How many are known, the dead that are not forgotten included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The living above a process, nearest first.
    pub fn above(&self, serial: Serial) -> impl Iterator<Item = (Serial, &Node)> {
        let mut next = self.node(serial).and_then(|node| node.parent);
        std::iter::from_fn(move || {
            let serial = next?;
            let node = self.node(serial)?;
            next = node.parent;
            Some((serial, node))
        })
    }

    /// The living below a process, itself excluded, parents before children.
    pub fn below(&self, serial: Serial) -> BTreeSet<Serial> {
        let mut found = BTreeSet::new();
        let mut open = vec![serial];
        while let Some(next) = open.pop() {
            for &child in self.node(next).iter().flat_map(|node| &node.children) {
                if found.insert(child) {
                    open.push(child);
                }
            }
        }
        found
    }

    /// Takes in events, in the kernel's order.
    pub fn apply(&mut self, events: &[Event], changes: &mut Vec<Change>) {
        for event in events {
            self.happen(event, changes);
        }
    }

    fn happen(&mut self, event: &Event, changes: &mut Vec<Change>) {
        self.heard = self.heard.max(event.at);
        match event.what {
            Happening::Fork {
                parent,
                child,
                ticks,
            } => self.fork(event.at, parent, child, ticks, changes),
            Happening::Thread { pid } => {
                self.change(pid, |node| node.threaded = true);
            }
            Happening::Exec { pid } => {
                let execed = self.change(pid, |node| {
                    node.exec = node.exec.next();
                    node.exec_at = event.at;
                    // Exec by a thread that is not the leader ends the others, the leader first.
                    node.life = Life::Alive;
                    node.missed = None;
                    node.threaded = false;
                });
                changes.extend(execed.map(Change::Execed));
            }
            Happening::Exit { pid } => {
                let Some(serial) = self.holder(pid) else {
                    return;
                };
                let threaded = self.node(serial).is_some_and(|node| node.threaded);
                if threaded {
                    self.change(pid, |node| node.life = Life::Leaving);
                } else {
                    self.die(serial, event.at, changes);
                }
            }
            Happening::Owner { pid, owner } => {
                let owned = self.change(pid, |node| node.owner = Some(owner));
                changes.extend(owned.map(Change::Owned));
            }
            Happening::Session { pid } => {
                self.change(pid, |node| node.session = true);
            }
            // A short name decides nothing by itself; the next facts bring it.
            Happening::Name { .. } => {}
        }
    }

    fn change(&mut self, pid: Pid, how: impl FnOnce(&mut Node)) -> Option<Serial> {
        let serial = self.holder(pid)?;
        let node = self.nodes.get_mut(&serial)?;
        how(node);
        Some(serial)
    }

    fn fork(
        &mut self,
        at: Mono,
        parent: Pid,
        child: Pid,
        ticks: StartTicks,
        changes: &mut Vec<Change>,
    ) {
        let tie = HardTie::Forked { parent };
        if let Some(holder) = self.holder(child) {
            let found_before_heard = self
                .node(holder)
                .is_some_and(|node| node.seen == FirstSign::Found && node.start.near(ticks));
            if found_before_heard {
                // A look was quicker than the queue: this is the birth of the process it found.
                self.adopt(holder, self.holder(parent), Some(tie), changes);
                return;
            }
            // The number is handed out again, so its holder is dead and reaped, whatever was heard.
            self.die(holder, at, changes);
        }
        let parent = self.holder(parent);
        let owner = parent
            .and_then(|parent| self.node(parent))
            .and_then(|node| node.owner);
        let serial = self.plant(Node {
            parent,
            tie: parent.map(|_| tie),
            owner,
            ..Node::new(child, ticks, at, FirstSign::Heard)
        });
        changes.push(Change::Born(serial));
    }

    fn plant(&mut self, node: Node) -> Serial {
        self.made = self.made.saturating_add(1);
        let serial = Serial(self.made);
        self.holders.insert(node.pid, serial);
        if let Some(parent) = node.parent.and_then(|parent| self.nodes.get_mut(&parent)) {
            parent.children.insert(serial);
        }
        self.nodes.insert(serial, node);
        serial
    }

    fn adopt(
        &mut self,
        serial: Serial,
        parent: Option<Serial>,
        tie: Option<HardTie>,
        changes: &mut Vec<Change>,
    ) {
        // A parent younger than its child would break the order that everything here relies on.
        let Some(parent) = parent.filter(|parent| *parent < serial) else {
            return;
        };
        let orphan = self
            .node(serial)
            .is_some_and(|node| node.parent.is_none() && node.starter.is_none());
        if !orphan {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&serial) {
            node.parent = Some(parent);
            node.tie = tie;
        }
        if let Some(node) = self.nodes.get_mut(&parent) {
            node.children.insert(serial);
        }
        changes.push(Change::Adopted(serial));
    }

    /// Takes in what one look found, and says whom it is about.
    pub fn sight(
        &mut self,
        sample: &Sample,
        hearing: Hearing,
        changes: &mut Vec<Change>,
    ) -> Option<Serial> {
        match &sample.seen {
            Seen::Alive(figures) => self.alive(sample, figures, hearing, changes),
            Seen::Zombie { .. } => {
                let serial = self.meant(sample)?;
                self.miss(serial, sample.at, hearing, changes);
                Some(serial)
            }
            Seen::Gone => {
                let serial = self.meant(sample)?;
                self.miss(serial, sample.at, hearing, changes);
                None
            }
            Seen::Unread(_) => self.meant(sample),
        }
    }

    /// A look found a process dead; whether that is believed now.
    ///
    /// # Why not at once
    /// A process that forks and exits at every hop is dead in every look. Its fork is still in the queue then; buried
    /// before that is read, it would leave a child that nobody knows the parent of.
    fn miss(
        &mut self,
        serial: Serial,
        at: Mono,
        hearing: Hearing,
        changes: &mut Vec<Change>,
    ) -> bool {
        let heard = self.heard;
        let Some(node) = self.nodes.get_mut(&serial) else {
            return true;
        };
        let first = *node.missed.get_or_insert(at);
        let believed = match hearing {
            Hearing::Nothing => true,
            Hearing::Events => {
                heard > first.after(SETTLING) || at.since(first) >= SILENCE || node.life.is_over()
            }
        };
        if believed {
            self.die(serial, at, changes);
        }
        believed
    }

    /// The node a sample is about: the number's holder, unless it is known to be another.
    fn meant(&self, sample: &Sample) -> Option<Serial> {
        let serial = self.holder(sample.pid)?;
        let node = self.node(serial)?;
        match (node.key, sample.key) {
            (Some(ours), Some(theirs)) if ours != theirs => None,
            (Some(_) | None, Some(_) | None) => Some(serial),
        }
    }

    fn alive(
        &mut self,
        sample: &Sample,
        figures: &Figures,
        hearing: Hearing,
        changes: &mut Vec<Change>,
    ) -> Option<Serial> {
        let key = sample.key?;
        if let Some(holder) = self.holder(sample.pid) {
            if self.bind(holder, key, figures.start) {
                let parent = figures.parent.and_then(|parent| self.find(parent));
                let tie = figures.parent.map(|parent| HardTie::Child { parent });
                self.adopt(holder, parent, tie, changes);
                self.change(sample.pid, |node| {
                    node.missed = None;
                    node.threaded |= figures.threads > 1;
                    node.owner = figures.owner.or(node.owner);
                    if node.life == Life::Leaving {
                        node.life = Life::Alive;
                    }
                });
                return Some(holder);
            }
            if !self.miss(holder, sample.at, hearing, changes) {
                return None;
            }
        }
        Some(self.find_born(sample, key, figures, changes))
    }

    /// Binds an identity to a node that has none; whether the node bears that identity now.
    pub fn bind(&mut self, serial: Serial, key: ProcKey, start: StartTicks) -> bool {
        let Some(node) = self.nodes.get_mut(&serial) else {
            return false;
        };
        match node.key {
            Some(bound) => bound == key,
            None if node.pid == key.pid() && start.can_be(node.start) => {
                node.key = Some(key);
                node.start = start;
                true
            }
            None => false,
        }
    }

    /// Notes the effective user, when it is known.
    pub fn own(&mut self, serial: Serial, owner: Option<Uid>) {
        if let Some(node) = self.nodes.get_mut(&serial) {
            node.owner = owner.or(node.owner);
        }
    }

    /// Takes a zombie in that nobody knew alive; `None` where its number is somebody's already.
    pub fn lay_out(&mut self, sample: &Sample, start: StartTicks) -> Option<Serial> {
        if self.holders.contains_key(&sample.pid) {
            return None;
        }
        Some(self.plant(Node {
            key: sample.key,
            life: Life::Dead(sample.at),
            ..Node::new(sample.pid, start, sample.at, FirstSign::Found)
        }))
    }

    fn find_born(
        &mut self,
        sample: &Sample,
        key: ProcKey,
        figures: &Figures,
        changes: &mut Vec<Change>,
    ) -> Serial {
        let proven = figures
            .parent
            .and_then(|parent| Some((self.find(parent)?, HardTie::Child { parent })));
        let in_session = || {
            let session = figures.session.filter(|session| *session != sample.pid)?;
            let maker = self.holder(session)?;
            self.node(maker)?
                .session
                .then_some((maker, HardTie::Session { session }))
        };
        // A child of init may be an orphan: the session it is in says more than its new parent.
        let tied = match proven {
            Some((_, HardTie::Child { parent })) if parent.pid() == Pid::INIT => {
                in_session().or(proven)
            }
            Some(_) => proven,
            None => in_session(),
        };
        // Ticks count from boot, sleep included; taking all sleep as slept by it makes it no older than it is.
        let started = Mono::from_nanos(figures.start.0.saturating_mul(10_000_000)).min(sample.at);
        let serial = self.plant(Node {
            key: Some(key),
            parent: tied.map(|(parent, _)| parent),
            tie: tied.map(|(_, tie)| tie),
            threaded: figures.threads > 1,
            session: figures.session == Some(sample.pid),
            owner: figures.owner,
            ..Node::new(sample.pid, figures.start, started, FirstSign::Found)
        });
        changes.push(Change::Born(serial));
        serial
    }

    /// Notes a death: once. Its children go to the nearest living process above it.
    pub fn die(&mut self, serial: Serial, at: Mono, changes: &mut Vec<Change>) {
        let Some(node) = self.nodes.get_mut(&serial) else {
            return;
        };
        if let Life::Dead(_) = node.life {
            return;
        }
        node.life = Life::Dead(at);
        let starter = Starter {
            pid: node.pid,
            key: node.key,
            died: at,
        };
        let heir = node.parent.take();
        let children = std::mem::take(&mut node.children);
        if let Some(heir) = heir.and_then(|heir| self.nodes.get_mut(&heir)) {
            heir.children.remove(&serial);
            heir.children.extend(&children);
        }
        for child in children {
            if let Some(child) = self.nodes.get_mut(&child) {
                child.parent = heir;
                child.starter.get_or_insert(starter);
            }
        }
        changes.push(Change::Died(serial));
    }

    /// Drops a node that died; whoever keeps files on it has closed them. A living one is kept.
    pub fn forget(&mut self, serial: Serial) {
        let Some(node) = self.nodes.get(&serial) else {
            return;
        };
        if !matches!(node.life, Life::Dead(_)) {
            return;
        }
        let pid = node.pid;
        self.nodes.remove(&serial);
        if self.holder(pid) == Some(serial) {
            self.holders.remove(&pid);
        }
    }

    /// Events were lost: an exit that is heard from now on may be of a leader whose threads were not heard of.
    pub fn doubt(&mut self) {
        for node in self.nodes.values_mut() {
            node.threaded = true;
        }
    }

    /// Compares a listing of all numbers with what is known: numbers without a holder, and holders not listed.
    pub fn differs(&self, listed: &[Pid]) -> (Vec<Pid>, Vec<Serial>) {
        let listed: BTreeSet<Pid> = listed.iter().copied().collect();
        let strangers = listed
            .iter()
            .filter(|pid| !self.holders.contains_key(pid))
            .copied()
            .collect();
        let missing = self
            .holders
            .iter()
            .filter(|(pid, _)| !listed.contains(pid))
            .map(|(_, serial)| *serial)
            .collect();
        (strangers, missing)
    }
}

#[cfg(test)]
mod tests;
