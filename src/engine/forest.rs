//! Lineage: who was started by whom, remembered beyond the death of those between.
//!
//! A process is a [`Node`] from its first sign (a fork event, or a first look) until it is forgotten. A number's
//! holder is known at every point of the event stream, so lineage needs no identity at birth; the identity is bound
//! at the first look, when the start that the kernel gives agrees with the birth that was heard.
//!
//! **Invariants.**
//! - Nobody descends from itself. A parent is older than its child; its serial is smaller too, unless it was found
//!   after the child was heard of.
//! - A number has at most one living holder.
//! - Nothing that was read or heard of an earlier holder of a number is taken as word of the present one.
//! - A node is forgotten by its owner's word alone ([`Forest::forget`]), after the change that told of its end.
//! - An identity, once bound, never changes; another identity under the same number is another node.
//! - Where events are heard, a look may be ahead of them: a death that a look finds is noted, and believed once its exit
//!   is heard or the stream is known to have come as far. What the dead did before they died is then known.
//! - The dead pass their children on to the nearest living process above, so a chain of a million hops that fork
//!   and exit costs one node. Who started a process that was orphaned so is kept as its [`Starter`].
//!
//! # Why no tombstones
//! Membership is inherited at the moment of the fork, from a parent that is then alive, and is kept by the judge.
//! Nothing has to be looked up through the dead afterwards.

mod kin;
mod sight;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use super::event::{Event, Happening};
use super::legacy::Kin;
use super::process::{ExecGen, Pid, ProcKey, StartTicks, Uid};
use super::units::Mono;
use super::warrant::HardTie;

/// One process within this run, in the order of first signs. Not an identity outside the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(NonZeroU64);

impl Serial {
    /// That of nobody, ever: for questions that no judge asks.
    pub const NOBODY: Self = Self(NonZeroU64::MIN);
}

/// All processes that are known.
#[derive(Debug, Default)]
pub struct Forest {
    /// Boxed: of a map that grows at its end, half stays empty.
    nodes: BTreeMap<Serial, Box<Node>>,
    holders: BTreeMap<Pid, Serial>,
    /// Children heard of whose parent, by number, nobody is known to be: the parent is found later.
    waiting: BTreeMap<Pid, BTreeSet<Serial>>,
    made: u64,
    /// How far the stream of events has come.
    heard: Mono,
    /// All that happened before this has been told.
    told: Mono,
    /// Whom an earlier beadle knew, while they were not found.
    left: BTreeMap<ProcKey, Kin>,
    /// Who was found before the one above it, as an earlier beadle knew them, by that one.
    early: BTreeMap<ProcKey, BTreeSet<Serial>>,
    /// When the look that is being taken in began.
    look: Mono,
    /// When events were found to be lost, last.
    lost: Mono,
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
    /// The number of the parent that was heard, while nobody is known to hold it.
    pub awaits: Option<Pid>,
    /// Why the parent is its parent; `None` when it is not certain enough to act on.
    pub tie: Option<HardTie>,
    /// Who started it, once that one is gone.
    pub starter: Option<Box<Starter>>,
    /// Once it is dead, the process above it that took its children over.
    pub heir: Option<Serial>,
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
    /// When a look last found it alive.
    seen_at: Mono,
    /// More than one thread was ever seen: the exit of its leader is not its death.
    pub threaded: bool,
    /// Threads it ever had, as far as their starts were heard.
    pub threads: u32,
    /// It made a session of its own: whoever is in that session descends from it.
    pub session: bool,
    /// The session it was last seen in.
    in_session: Option<Pid>,
    /// Effective user.
    pub owner: Option<Uid>,
    /// Events were lost since it was last seen: its number may be another's by now.
    doubted: bool,
    /// Whether its children pass to whoever is above it when it dies.
    lineage: Lineage,
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
            heir: None,
            children: BTreeSet::new(),
            exec: ExecGen(0),
            exec_at: born,
            life: Life::Alive,
            missed: None,
            seen_at: Mono::BOOT,
            awaits: None,
            doubted: false,
            lineage: Lineage::Passes,
            threaded: false,
            threads: 1,
            session: false,
            in_session: None,
            owner: None,
        }
    }

    /// Surely no later than its start, in awake time, where the machine slept for so long since boot.
    pub fn no_later_than_start(&self, slept: Duration) -> Mono {
        match self.seen {
            FirstSign::Heard => self.born,
            FirstSign::Found => {
                let boot = Mono::from_nanos(self.start.0.saturating_mul(NANOS_A_TICK));
                boot.before(slept).min(self.born)
            }
        }
    }
}

/// Start ticks are hundredths of a second.
const NANOS_A_TICK: u64 = 10_000_000;

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

/// What becomes of lineage at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lineage {
    /// Whoever is above it is above its children.
    Passes,
    /// It is a boundary: its children are nobody else's, also after its death.
    Ends,
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
    /// A process that was known already turned out to have this parent, or not the one it seemed to have.
    Adopted(Serial),
    /// It runs another image.
    Execed(Serial),
    /// It has another effective user.
    Owned(Serial),
    /// Its leader thread ended while it had others: the next look tells whether it lives.
    Leaving(Serial),
    /// It died.
    Died(Serial),
    /// It is gone for good: it was waited for, and its number is free or another's.
    Reaped(Serial),
}

impl Forest {
    /// The node, unless it was forgotten.
    pub fn node(&self, serial: Serial) -> Option<&Node> {
        self.nodes.get(&serial).map(Box::as_ref)
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
        self.nodes.iter().map(|(serial, node)| (*serial, &**node))
    }

    /// How many are known, the dead that are not forgotten included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How far the stream of events has come.
    pub const fn heard(&self) -> Mono {
        self.heard
    }

    /// All that happened before this moment has been told.
    pub fn catch_up(&mut self, upto: Mono) {
        self.told = self.told.max(upto);
    }

    /// Whether all that happened before that moment was told.
    pub fn is_told(&self, moment: Mono) -> bool {
        moment <= self.told
    }

    /// The living above a process, nearest first; above one that is dead, its heir and those above that one.
    pub fn above(&self, serial: Serial) -> impl Iterator<Item = (Serial, &Node)> {
        let mut next = self.node(serial).and_then(|node| node.parent.or(node.heir));
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

    /// Lineage ends at this process, or passes through it again.
    pub fn set_lineage(&mut self, serial: Serial, lineage: Lineage) {
        if let Some(node) = self.nodes.get_mut(&serial) {
            node.lineage = lineage;
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
            Happening::Thread { pid, count } => {
                self.change(event.at, pid, |node| {
                    node.threaded = true;
                    node.threads = node.threads.saturating_add(count);
                });
            }
            Happening::Exec { pid } => {
                let execed = self.change(event.at, pid, |node| {
                    node.exec = node.exec.next();
                    node.exec_at = event.at;
                    // Exec by a thread that is not the leader ends the others, the leader first.
                    node.life = Life::Alive;
                    node.missed = None;
                    node.threaded = false;
                });
                changes.extend(execed.map(Change::Execed));
            }
            Happening::Exit { pid } => self.exit(event.at, pid, changes),
            Happening::Owner { pid, owner } => {
                let owned = self.change(event.at, pid, |node| node.owner = Some(owner));
                changes.extend(owned.map(Change::Owned));
            }
            Happening::Session { pid } => {
                self.change(event.at, pid, |node| node.session = true);
            }
            // A short name decides nothing by itself; the next facts bring it.
            Happening::Name { .. } => {}
        }
    }

    /// Whom an event of that moment is about: the number's holder, unless a look found it and it is younger than the
    /// event, which then is of an earlier holder.
    pub fn holder_at(&self, at: Mono, pid: Pid) -> Option<Serial> {
        let serial = self.holder(pid)?;
        let node = self.node(serial)?;
        (node.seen == FirstSign::Heard || at >= node.born).then_some(serial)
    }

    fn change(&mut self, at: Mono, pid: Pid, how: impl FnOnce(&mut Node)) -> Option<Serial> {
        let serial = self.holder_at(at, pid)?;
        let node = self.nodes.get_mut(&serial)?;
        how(node);
        Some(serial)
    }

    fn exit(&mut self, at: Mono, pid: Pid, changes: &mut Vec<Change>) {
        let Some(serial) = self.holder_at(at, pid) else {
            // Whoever waits to be found under this number will not be: it may be handed out again.
            self.stop_waiting(pid);
            return;
        };
        let Some(node) = self.nodes.get_mut(&serial) else {
            return;
        };
        if node.threaded && node.life == Life::Alive {
            node.life = Life::Leaving;
            changes.push(Change::Leaving(serial));
        } else if !node.threaded {
            self.die(serial, at, changes);
        }
    }

    fn stop_waiting(&mut self, parent: Pid) -> BTreeSet<Serial> {
        let children = self.waiting.remove(&parent).unwrap_or_default();
        for child in &children {
            if let Some(node) = self.nodes.get_mut(child) {
                node.awaits = None;
            }
        }
        children
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
            let found_before_heard = self.node(holder).is_some_and(|node| {
                node.seen == FirstSign::Found
                    && node.start.near(ticks)
                    && !matches!(node.life, Life::Dead(_))
            });
            if found_before_heard {
                // A look was quicker than the stream: this is the birth of the process it found. Whoever had adopted it
                // by then is no parent.
                self.part(holder, at);
                if let Some(parent) = self.trusted(parent, ticks) {
                    self.adopt(holder, Some(parent), Some(tie), changes);
                } else {
                    self.await_parent(holder, parent);
                    changes.push(Change::Adopted(holder));
                }
                return;
            }
            // The number is handed out again, so its holder is dead and reaped, whatever was heard.
            self.die(holder, at, changes);
            changes.push(Change::Reaped(holder));
        }
        self.stop_waiting(child);
        let named = parent;
        let parent = self.trusted(parent, ticks);
        let owner = parent
            .and_then(|parent| self.node(parent))
            .and_then(|node| node.owner);
        let serial = self.plant(Node {
            parent,
            awaits: parent.is_none().then_some(named),
            tie: parent.map(|_| tie),
            owner,
            ..Node::new(child, ticks, at, FirstSign::Heard)
        });
        changes.push(Change::Born(serial));
    }

    /// Who held a number for sure when a child of its holder was born: no birth or death of its holders can have been
    /// missed, and whom a look found had started by then.
    fn trusted(&self, pid: Pid, child: StartTicks) -> Option<Serial> {
        let serial = self.holder(pid)?;
        let node = self.node(serial)?;
        let then = node.seen == FirstSign::Heard || node.start.can_be(child);
        (then && !node.doubted).then_some(serial)
    }

    fn await_parent(&mut self, serial: Serial, parent: Pid) {
        if let Some(node) = self.nodes.get_mut(&serial) {
            node.awaits = Some(parent);
            self.waiting.entry(parent).or_default().insert(serial);
        }
    }

    /// Takes a process that a look found from the parent that the look gave it: its birth is heard now.
    fn part(&mut self, serial: Serial, at: Mono) {
        let Some(node) = self.nodes.get_mut(&serial) else {
            return;
        };
        node.seen = FirstSign::Heard;
        node.born = node.born.min(at);
        node.tie = None;
        let above = node.parent.take();
        if let Some(above) = above.and_then(|above| self.nodes.get_mut(&above)) {
            above.children.remove(&serial);
        }
    }

    fn plant(&mut self, node: Node) -> Serial {
        let serial = self.next_serial();
        self.holders.insert(node.pid, serial);
        if let Some(parent) = node.awaits {
            self.waiting.entry(parent).or_default().insert(serial);
        }
        if let Some(parent) = node.parent.and_then(|parent| self.nodes.get_mut(&parent)) {
            parent.children.insert(serial);
        }
        self.nodes.insert(serial, Box::new(node));
        serial
    }

    fn next_serial(&mut self) -> Serial {
        self.made = self.made.saturating_add(1);
        Serial(NonZeroU64::MIN.saturating_add(self.made))
    }

    fn adopt(
        &mut self,
        serial: Serial,
        parent: Option<Serial>,
        tie: Option<HardTie>,
        changes: &mut Vec<Change>,
    ) {
        let Some(parent) = parent else { return };
        let living = |node: &Node| !matches!(node.life, Life::Dead(_));
        let orphan = self
            .node(serial)
            .is_some_and(|node| node.parent.is_none() && node.starter.is_none() && living(node));
        let round = parent == serial || self.above(parent).any(|(above, _)| above == serial);
        if !orphan || round || !self.node(parent).is_some_and(living) {
            return;
        }
        let mut awaited = None;
        if let Some(node) = self.nodes.get_mut(&serial) {
            node.parent = Some(parent);
            node.tie = tie;
            awaited = node.awaits.take();
        }
        self.wait_no_more(serial, awaited);
        if let Some(node) = self.nodes.get_mut(&parent) {
            node.children.insert(serial);
        }
        changes.push(Change::Adopted(serial));
    }

    fn wait_no_more(&mut self, serial: Serial, parent: Option<Pid>) {
        let Some(parent) = parent else { return };
        if let Some(children) = self.waiting.get_mut(&parent) {
            children.remove(&serial);
            if children.is_empty() {
                self.waiting.remove(&parent);
            }
        }
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
        let above = node.parent.take();
        let heir = above.filter(|_| node.lineage == Lineage::Passes);
        node.heir = heir;
        let awaited = node.awaits.take();
        let (pid, doubted) = (node.pid, node.doubted);
        let children = std::mem::take(&mut node.children);
        self.wait_no_more(serial, awaited);
        if doubted {
            // Whether those who wait were its children, nobody will know.
            self.stop_waiting(pid);
        }
        if let Some(above) = above.and_then(|above| self.nodes.get_mut(&above)) {
            above.children.remove(&serial);
            if heir.is_some() {
                above.children.extend(&children);
            }
        }
        for child in children {
            if let Some(child) = self.nodes.get_mut(&child) {
                child.parent = heir;
                child.starter.get_or_insert_with(|| Box::new(starter));
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

    /// Events were lost: an exit that is heard from now on may be of a leader whose threads were not heard of, and a
    /// number that of a process whose birth was not. A look from before then dispels no doubt.
    pub fn doubt(&mut self, now: Mono) {
        self.lost = now;
        for node in self.nodes.values_mut() {
            node.threaded = true;
            node.doubted = true;
        }
    }
}
