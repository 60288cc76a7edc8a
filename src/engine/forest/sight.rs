//! What looks tell of births, identities and deaths: the other half of lineage, where nothing was heard or not yet.

use super::{Change, FirstSign, Forest, Life, NANOS_A_TICK, Node, Serial};
use crate::engine::decision::Hearing;
use crate::engine::process::{Pid, ProcKey, StartTicks, Uid};
use crate::engine::snapshot::{Figures, Sample, Seen};
use crate::engine::units::Mono;
use crate::engine::warrant::HardTie;
use std::collections::BTreeSet;
use std::time::Duration;

/// Stamps of events are taken a moment before they are queued, each processor for itself.
const SETTLING: Duration = Duration::from_millis(10);

/// Two looks so far apart answer two questions.
const AGAIN: Duration = Duration::from_secs(1);

/// A look is believed after so long even if nothing was heard since.
const SILENCE: Duration = Duration::from_secs(10);

impl Forest {
    /// A look is taken in next: whatever it found was read at this moment or later.
    pub const fn begin_look(&mut self, at: Mono) {
        self.look = at;
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
                if self.node(serial).is_some_and(|node| node.life.is_over()) {
                    changes.push(Change::Reaped(serial));
                }
                None
            }
            Seen::Still | Seen::Unread(_) => self.meant(sample),
        }
    }

    /// A look found a process dead; whether that is believed now: the events must have come as far.
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
        let (heard, told) = (self.heard, self.told);
        let Some(node) = self.nodes.get_mut(&serial) else {
            return true;
        };
        let first = *node.missed.get_or_insert(at);
        // Of one whose identity is not known, the answer may be to a question about who had the number before: it counts
        // when it is given again.
        let meant = node.key.is_some() || at.since(first) >= AGAIN;
        let believed = match hearing {
            Hearing::Nothing => true,
            Hearing::Events => {
                (meant && (first <= told || heard > first.after(SETTLING)))
                    || at.since(first) >= SILENCE
                    || node.life.is_over()
            }
        };
        if believed {
            self.die(serial, at, changes);
            return true;
        }
        if node.life == Life::Alive {
            // Should nothing be heard of it, it is looked at again.
            node.life = Life::Leaving;
            changes.push(Change::Leaving(serial));
        }
        false
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
    /// The node a sample is about: the number's holder, unless it is known to be another.
    pub fn meant(&self, sample: &Sample) -> Option<Serial> {
        let serial = self.holder(sample.pid)?;
        let node = self.node(serial)?;
        if self.predates(serial, sample.at) {
            return None;
        }
        match (node.key, sample.key, &sample.seen) {
            (Some(ours), Some(theirs), _) if ours != theirs => None,
            // The question was about an identity that this node never bore, or from before it was known: the answer is
            // about an earlier holder.
            (None, Some(_), Seen::Still | Seen::Gone | Seen::Unread(_))
            | (Some(_), None, Seen::Gone) => None,
            (
                Some(_) | None,
                Some(_) | None,
                Seen::Alive(_) | Seen::Still | Seen::Zombie { .. } | Seen::Gone | Seen::Unread(_),
            ) => Some(serial),
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
            let older = self
                .node(holder)
                .is_some_and(|node| figures.start < node.start && !figures.start.near(node.start));
            if older || self.predates(holder, sample.at) {
                return None;
            }
            if self.bind(holder, key, figures.start, sample.at) {
                let parent = figures.parent.and_then(|parent| self.find(parent));
                let tie = figures.parent.map(|parent| HardTie::Child { parent });
                self.adopt(holder, parent, tie, changes);
                let mut doubted = false;
                let since_loss = sample.at >= self.lost;
                if let Some(node) = self.nodes.get_mut(&holder) {
                    node.missed = None;
                    node.seen_at = sample.at;
                    node.in_session = figures.session;
                    node.threaded |= figures.threads > 1;
                    node.owner = figures.owner.or(node.owner);
                    doubted = since_loss && std::mem::take(&mut node.doubted);
                }
                if doubted {
                    self.claim(holder, changes);
                }
                return Some(holder);
            }
            if !self.miss(holder, sample.at, hearing, changes) {
                return None;
            }
            changes.push(Change::Reaped(holder));
        }
        Some(self.find_born(sample, key, figures, changes))
    }

    /// Whether a process is what it was when it was last seen, as far as is known: only then can it be found unchanged.
    pub fn is_settled(&self, serial: Serial) -> bool {
        self.node(serial).is_some_and(|node| {
            node.life == Life::Alive && node.missed.is_none() && !node.doubted && node.key.is_some()
        })
    }

    /// Another image was found to run where no exec was heard.
    pub fn found_execed(&mut self, serial: Serial, at: Mono) {
        if let Some(node) = self.nodes.get_mut(&serial) {
            node.exec = node.exec.next();
            node.exec_at = at;
        }
    }

    /// Whether something that was read at that moment is of an earlier holder of the number.
    pub fn predates(&self, serial: Serial, read: Mono) -> bool {
        self.node(serial)
            .is_some_and(|node| node.seen == FirstSign::Heard && read <= node.born)
    }

    /// Binds an identity, read at that moment, to a node that has none; whether the node bears that identity now.
    pub fn bind(&mut self, serial: Serial, key: ProcKey, start: StartTicks, read: Mono) -> bool {
        let stale = self.predates(serial, read);
        let Some(node) = self.nodes.get_mut(&serial) else {
            return false;
        };
        match node.key {
            Some(bound) => bound == key,
            None if node.pid == key.pid() && start.can_be(node.start) && !stale => {
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
        // A session is named by a number: whose it is, only the one who made it can tell, seen alive in the same look.
        // The number of one seen before may be a stranger's by now, with a session of his own.
        let in_session = || {
            let session = figures.session.filter(|session| *session != sample.pid)?;
            let maker = self.holder(session)?;
            let node = self.node(maker)?;
            let vouched = node.session && node.seen_at >= self.look && !self.is_shared(session);
            vouched.then_some((maker, HardTie::Session { session }))
        };
        // A child of init may be an orphan: the session it is in says more than its new parent.
        let tied = match proven {
            Some((_, HardTie::Child { parent })) if parent.pid() == Pid::INIT => {
                in_session().or(proven)
            }
            Some(_) => proven,
            None => in_session(),
        };
        let left = self.left.remove(&key);
        let tied = left.as_ref().and_then(|kin| self.left_above(kin)).or(tied);
        let above = left.as_ref().and_then(|kin| kin.parent);
        // Ticks count from boot, sleep included; taking all sleep as slept by it makes it no older than it is.
        let started = Mono::from_nanos(figures.start.0.saturating_mul(NANOS_A_TICK)).min(sample.at);
        let serial = self.plant(Node {
            key: Some(key),
            seen_at: sample.at,
            parent: tied.map(|(parent, _)| parent),
            // By its fork it was known better than by what hangs from whom now.
            tie: left
                .as_ref()
                .and_then(|kin| kin.tie)
                .or(tied.map(|(_, tie)| tie)),
            threaded: figures.threads > 1,
            threads: figures.threads.max(1),
            session: figures.session == Some(sample.pid)
                || left.as_ref().is_some_and(|kin| kin.session),
            starter: left.and_then(|kin| kin.starter).map(Box::new),
            in_session: figures.session,
            owner: figures.owner,
            ..Node::new(sample.pid, figures.start, started, FirstSign::Found)
        });
        changes.push(Change::Born(serial));
        self.claim(serial, changes);
        self.regain(serial, key, changes);
        self.miss_above(serial, above);
        serial
    }

    /// Gives a process that was just seen the children that were heard of before. Whoever held its number when they were
    /// born had started by then; this one had, it lives, and a number has one holder at a time.
    fn claim(&mut self, serial: Serial, changes: &mut Vec<Change>) {
        let Some((pid, start)) = self.node(serial).map(|node| (node.pid, node.start)) else {
            return;
        };
        for child in self.stop_waiting(pid) {
            let younger = self
                .node(child)
                .is_some_and(|child| child.start >= start || child.start.near(start));
            if younger {
                let tie = HardTie::Forked { parent: pid };
                self.adopt(child, Some(serial), Some(tie), changes);
            }
        }
    }
}
