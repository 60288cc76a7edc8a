//! CPU time: what one of the dead used, and what a unit has used in all.
//!
//! **Invariants.** No lower bound is above the truth and no upper bound below it (see [`usage`](crate::engine::usage)
//! for the moment they are of). A process is counted once: the dead are counted where they died, or in their parent's
//! figure of children waited for, never in both.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Judge;
use super::dossier::Dossier;
use super::ledger::Death;
use super::unit::{Unit, UnitId};
use crate::engine::account::{Account, Threads};
use crate::engine::decision::Hearing;
use crate::engine::evidence::UnitKey;
use crate::engine::forest::{FirstSign, Node, Serial};
use crate::engine::process::{ExecGen, Pid};
use crate::engine::units::{Mono, Range, Tier};
use crate::engine::usage::{Buried, LAST_STEPS, LONGEST_TICK, Spent};

/// All that bounds what one process used, at its death.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dying {
    /// Not after its start, not before it, and not before its end.
    born: Mono,
    started: Mono,
    died: Mono,
    /// Its birth was heard and so was everything since: it has no other threads than those counted.
    heard: bool,
    /// What was read of it and when.
    sampled: Option<Mono>,
    cpu: Duration,
    grain: Duration,
    at_rest: bool,
    /// Threads that had ended when it was read, and all it ever had.
    ended: u32,
    threads: u32,
    /// On how many processors it may have run at a time.
    width: u32,
    tick: Duration,
    tier: Tier,
}

impl Dying {
    /// The death, as far as its record is concerned.
    pub(super) const fn death(&self, pid: Pid) -> Death {
        Death {
            pid,
            born: self.born,
            started: self.started,
            died: self.died,
        }
    }

    /// What it used.
    pub(super) fn reckon(&self, record: Option<&Account>) -> Buried {
        let written = record.map_or(Duration::ZERO, |record| record.cpu);
        let at_least = self.cpu.max(written);
        let bounds = [
            self.by_its_sample(),
            record.and_then(|record| self.by_its_record(record)),
        ];
        let at_most = bounds
            .into_iter()
            .flatten()
            .fold(self.by_its_life(), Duration::min);
        Buried {
            at_least,
            beyond: at_most.saturating_sub(at_least),
            count: 1,
            unrecorded: u64::from(record.is_none()),
            unheard: u64::from(self.tier == Tier::Scan),
        }
    }

    /// It ran on so many processors for as long as it lived.
    fn by_its_life(&self) -> Duration {
        let life = self.died.since(self.born).saturating_add(LAST_STEPS);
        life.saturating_mul(self.width)
    }

    /// Since it was read it ran on all it could, and what it used within the last tick was not in the figure.
    fn by_its_sample(&self) -> Option<Duration> {
        let unread = self.died.since(self.sampled?);
        let behind = if self.at_rest {
            Duration::ZERO
        } else {
            self.tick
        };
        let since = unread
            .saturating_add(behind)
            .saturating_add(LAST_STEPS)
            .saturating_mul(self.width);
        let read = self.cpu.saturating_add(self.grain);
        let ended = self.tick.saturating_mul(self.ended);
        Some(read.saturating_add(since).saturating_add(ended))
    }

    /// Each thread ran for a tick at most that was not counted, and the last from its record to its end.
    fn by_its_record(&self, record: &Account) -> Option<Duration> {
        let threads = match record.threads {
            Threads::One => 1,
            Threads::Many if self.heard => self.threads,
            Threads::Many => return None,
        };
        let uncounted = self.tick.saturating_add(LAST_STEPS).saturating_mul(threads);
        let lasting = self.died.since(self.born.after(record.lived));
        Some(record.cpu.saturating_add(uncounted).saturating_add(lasting))
    }
}

/// What a unit used, from all sources but its control group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reckoning {
    /// The best bounds.
    pub(super) range: Range<Duration>,
    /// In a form whose differences tell a pace.
    pub(super) spent: Spent,
}

impl Judge {
    /// The kernel's tick, or the longest there is.
    pub(super) fn tick(&self) -> Duration {
        match self.machine.tick {
            Duration::ZERO => LONGEST_TICK,
            tick => tick,
        }
    }

    /// On how many processors a process may run at a time.
    fn width(&self, node: &Node) -> u32 {
        if node.threaded {
            self.machine.cores.max(1)
        } else {
            1
        }
    }

    /// What is known of a process that died then.
    pub(super) fn dying(&self, node: &Node, dossier: &Dossier, died: Mono) -> Dying {
        let latest = dossier.latest();
        let born = node.no_later_than_start(self.machine.slept);
        Dying {
            born,
            started: node.born,
            died,
            heard: node.seen == FirstSign::Heard && self.silence.heard_since(born),
            sampled: latest.at,
            cpu: latest.cpu,
            grain: latest.grain(),
            at_rest: latest.at_rest,
            ended: ended(node, dossier),
            threads: node.threads,
            width: self.width(node),
            tick: self.tick(),
            tier: self.tier(),
        }
    }

    /// CPU time of a unit, counting only the members that `counts` lets through.
    pub(super) fn reckon(&self, unit: &Unit, counts: &dyn Fn(Serial) -> bool) -> Reckoning {
        let (mut read, mut open, mut lost) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let tick = self.tick();
        for serial in unit.members.iter().filter(|serial| counts(**serial)) {
            let Some((node, dossier)) = self.forest.node(*serial).zip(self.dossiers.get(serial))
            else {
                continue;
            };
            let latest = dossier.latest();
            read = read.saturating_add(latest.cpu);
            open = open.saturating_add(latest.grain());
            lost = lost.saturating_add(tick.saturating_mul(ended(node, dossier)));
            if latest.at.is_none_or(|at| at < unit.looked) {
                let unread = self.now.since(latest.at.unwrap_or(node.born));
                let beyond = unread.saturating_add(tick).saturating_mul(self.width(node));
                open = open.saturating_add(beyond);
            }
        }
        let dead = unit.buried.at_least;
        let spent = Spent {
            at_least: read.saturating_add(dead),
            settled: unit
                .buried
                .beyond
                .saturating_add(lost)
                .saturating_add(self.unheard(unit)),
            open,
            behind: tick,
            tier: unit.buried.tier(self.cpu_tier(unit)),
        };
        let waited = self.waited(unit, counts);
        let at_least = spent
            .at_least
            .saturating_add(unit.late.gained)
            .max(waited)
            .saturating_sub(unit.before)
            .saturating_sub(self.brought(unit, counts));
        let most = spent
            .at_least
            .saturating_add(spent.settled)
            .saturating_add(spent.open)
            .saturating_sub(unit.late.narrowed);
        Reckoning {
            range: Range {
                at_least,
                at_most: self.bounded(unit, most).map(|most| most.max(at_least)),
                tier: spent.tier,
            },
            spent,
        }
    }

    /// What members had used before they became some.
    fn brought(&self, unit: &Unit, counts: &dyn Fn(Serial) -> bool) -> Duration {
        let these = unit.arrived.iter().filter(|(serial, _)| counts(**serial));
        let used = these.map(|(serial, arrival)| {
            let all = || self.dossiers.get(serial).map(|it| it.latest().cpu);
            arrival.used.or_else(all).unwrap_or_default()
        });
        used.fold(Duration::ZERO, Duration::saturating_add)
    }

    /// What the living used, and those they waited for: a lower bound that knows nothing of the others, and much of
    /// those who died unseen.
    fn waited(&self, unit: &Unit, counts: &dyn Fn(Serial) -> bool) -> Duration {
        // Who left the unit, or would have if it had been known, may be waited for by a member, and does not count.
        let whole = !unit.departed && unit.rule.keep.is_empty();
        let (UnitKey::Tree(_), true, Some(before)) = (unit.key, whole, unit.reaped_before) else {
            return Duration::ZERO;
        };
        let (mut sum, mut waited) = (Duration::ZERO, false);
        // When somebody above each member was last read who had waited for somebody: parents come before children.
        let mut above: BTreeMap<Serial, Mono> = BTreeMap::new();
        for serial in unit.members.iter().filter(|serial| counts(**serial)) {
            let Some((node, dossier)) = self.forest.node(*serial).zip(self.dossiers.get(serial))
            else {
                continue;
            };
            let (latest, over) = (
                dossier.latest(),
                node.parent.and_then(|parent| above.get(&parent)).copied(),
            );
            // Read before that one was, it may be dead since, and among those waited for.
            if latest.at >= over {
                sum = sum.saturating_add(latest.cpu);
            }
            sum = sum.saturating_add(latest.reaped());
            let waits = latest.at.filter(|_| !latest.reaped().is_zero());
            waited |= waits.is_some();
            above.extend(over.max(waits).map(|at| (*serial, at)));
        }
        if waited {
            sum.saturating_sub(before)
        } else {
            Duration::ZERO
        }
    }

    /// Nobody uses more than all processors for the whole of its life.
    fn bounded(&self, unit: &Unit, most: Duration) -> Option<Duration> {
        match self.machine.cores {
            0 => None,
            cores => {
                let life = self.now.since(unit.began).saturating_add(self.tick());
                Some(most.min(life.saturating_mul(cores)))
            }
        }
    }

    /// What those may have used who lived and died while nothing was heard.
    pub(super) fn unheard(&self, unit: &Unit) -> Duration {
        self.silent(unit).saturating_mul(self.machine.cores.max(1))
    }

    /// For how long something may have been missed of it. A lone process with one thread has all its time in its figure.
    fn silent(&self, unit: &Unit) -> Duration {
        let root = self.forest.node(unit.root);
        match unit.key {
            UnitKey::Process(_) if root.is_some_and(|root| !root.threaded) => Duration::ZERO,
            UnitKey::Process(_) | UnitKey::Tree(_) | UnitKey::Label(_) => {
                self.silence.of(unit.silence, self.now)
            }
        }
    }

    fn cpu_tier(&self, unit: &Unit) -> Tier {
        let silent = !self.silent(unit).is_zero();
        match (self.hearing, self.ledger.is_open()) {
            (Hearing::Nothing, _) => Tier::Scan,
            (Hearing::Events, _) if silent => Tier::Scan,
            (Hearing::Events, true) => Tier::Taskstats,
            (Hearing::Events, false) => Tier::Events,
        }
    }

    /// Notes what the root had waited for before it became one, at the first look after that.
    pub(super) fn note_reaped(&mut self, id: UnitId) {
        let Some(unit) = self
            .units
            .get(&id)
            .filter(|unit| unit.reaped_before.is_none())
        else {
            return;
        };
        let root = self
            .forest
            .node(unit.root)
            .zip(self.dossiers.get(&unit.root));
        let Some((node, dossier)) = root else { return };
        let before = match dossier.latest().at {
            // It is what it was born as.
            _ if node.exec == ExecGen::default() => Duration::ZERO,
            Some(at) if at >= node.exec_at => dossier.latest().reaped(),
            Some(_) | None => return,
        };
        if let Some(unit) = self.units.get_mut(&id) {
            unit.reaped_before = Some(before);
        }
    }
}

/// Threads of a process that had ended when it was read: what each ran since its last tick is in no figure.
fn ended(node: &Node, dossier: &Dossier) -> u32 {
    match dossier.latest().at {
        Some(_) => node.threads.saturating_sub(dossier.latest().threads.max(1)),
        None => 0,
    }
}
