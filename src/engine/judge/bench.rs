//! A snapshot's verdicts, and what they set in motion.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Judge;
use super::dossier::{Dossier, Learning, Met};
use super::unit::{Unit, UnitId};
use crate::engine::decision::{Decision, Hearing};
use crate::engine::evidence::{Evidence, Exemption, UnitKey, Verdict};
use crate::engine::facts::{Hangup, Read};
use crate::engine::forest::{FirstSign, Serial};
use crate::engine::gate::GateReading;
use crate::engine::incident::Incident;
use crate::engine::measures::{Measures, Stands};
use crate::engine::process::{Pid, StartTicks};
use crate::engine::rule::Rule;
use crate::engine::snapshot::{Group, RunState, Sample, Seen, Snapshot};
use crate::engine::units::{Mono, Range, Tier};
use crate::engine::usage::{Buried, Living};
use crate::engine::verdict::verdict;

/// A starter that lived so long after starting something abandons it when it goes; one that went at once handed over.
const HANDS_OVER: Duration = Duration::from_secs(30);

impl Judge {
    /// Takes in figures, then judges every unit whose figures were asked for.
    pub(super) fn look_at(&mut self, snapshot: &Snapshot, out: &mut Vec<Decision>) {
        let mut answered = BTreeSet::new();
        for sample in &snapshot.samples {
            if let Seen::Still = sample.seen {
                self.hold_figures(sample, &mut answered);
            }
        }
        // Parents first, so that children found in the same look find their parents.
        let anew = |sample: &&Sample| sample.seen != Seen::Still;
        let mut order: Vec<&Sample> = snapshot.samples.iter().filter(anew).collect();
        order.sort_by_key(|sample| match &sample.seen {
            Seen::Alive(figures) => (figures.start.0, sample.pid),
            Seen::Still | Seen::Zombie { .. } | Seen::Gone | Seen::Unread(_) => (0, sample.pid),
        });
        let began = snapshot.samples.iter().map(|sample| sample.at).min();
        self.forest.begin_look(began.unwrap_or(self.now));
        let mut changes = Vec::new();
        for sample in order {
            self.silence.saw(sample.pid);
            let holder = self.forest.holder(sample.pid);
            answered.extend(self.awaiting(holder, sample));
            if holder.is_none() && !self.asked_about(sample) {
                // It died since: what was read of it would raise it from the dead.
                continue;
            }
            self.note_last_words(sample);
            let serial = self.forest.sight(sample, self.hearing, &mut changes);
            self.settle(&changes, out);
            changes.clear();
            if let Some(serial) = serial {
                self.note_figures(serial, sample);
            }
            match sample.seen {
                Seen::Zombie {
                    start,
                    ppid: Some(ppid),
                    ..
                } => {
                    self.note_nobody(sample.pid);
                    self.lay_out(sample, start, ppid);
                }
                Seen::Zombie { ppid: None, .. } | Seen::Gone => self.note_nobody(sample.pid),
                Seen::Alive(_) | Seen::Still | Seen::Unread(_) => {}
            }
        }
        self.settle_unclaimed(out);
        self.note_lists(&snapshot.groups, out);
        if self.hearing == Hearing::Events && !self.missed {
            self.silence.end(self.now);
        }
        for id in answered {
            self.pass_time(id, &snapshot.groups);
            self.judge(id, &snapshot.groups, out);
        }
    }

    /// A process has not run: its figures hold, and nothing else is to be learnt of it.
    fn hold_figures(&mut self, sample: &Sample, answered: &mut BTreeSet<UnitId>) {
        let Some(serial) = self.forest.meant(sample) else {
            return;
        };
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        dossier.latest_mut().hold(sample.at);
        for id in &dossier.units {
            let asked = self.units.get(id).and_then(|unit| unit.asked);
            if asked.is_some_and(|asked| asked <= sample.at) {
                answered.insert(*id);
            }
        }
    }

    /// Whether a sample answers a question about a number that nobody is known to hold.
    fn asked_about(&mut self, sample: &Sample) -> bool {
        let answers = self
            .strangers
            .get(&sample.pid)
            .is_some_and(|asked| *asked <= sample.at);
        if answers {
            self.strangers.remove(&sample.pid);
        }
        answers
    }

    /// The units that wait for this sample. Others are not judged: a look for someone else brought them nothing new.
    fn awaiting(&self, holder: Option<Serial>, sample: &Sample) -> Vec<UnitId> {
        let dossier = holder.and_then(|holder| self.dossiers.get(&holder));
        let waits = |id: &&UnitId| {
            let asked = self.units.get(id).and_then(|unit| unit.asked);
            asked.is_some_and(|asked| asked <= sample.at)
        };
        let units = dossier.iter().flat_map(|dossier| &dossier.units);
        units.filter(waits).copied().collect()
    }

    /// A zombie's figures are the last it will ever have, and exact.
    fn note_last_words(&mut self, sample: &Sample) {
        let Seen::Zombie { cpu, grain, .. } = sample.seen else {
            return;
        };
        let Some(serial) = self.forest.holder(sample.pid) else {
            return;
        };
        let ours = self
            .forest
            .node(serial)
            .is_some_and(|node| node.key.is_none() || node.key == sample.key);
        if let Some(dossier) = self.dossiers.get_mut(&serial).filter(|_| ours) {
            dossier.latest_mut().end(sample.at, cpu, grain);
        }
    }

    fn note_figures(&mut self, serial: Serial, sample: &Sample) {
        let Seen::Alive(figures) = &sample.seen else {
            return;
        };
        let found = self
            .forest
            .node(serial)
            .is_some_and(|node| node.seen == FirstSign::Found);
        let Some(dossier) = self.dossiers.get_mut(&serial) else {
            return;
        };
        let first = std::mem::replace(&mut dossier.met, Met::Once) == Met::Never;
        if !dossier.units.is_empty() {
            dossier.latest_mut().update(sample.at, figures);
        }
        let renamed = dossier.learning == Learning::Settled
            && dossier.name.is_some_and(|name| name != figures.comm);
        if first && found && figures.reaped > Duration::ZERO {
            let unknown = Buried {
                at_least: figures.reaped,
                ..Buried::default()
            };
            dossier.inherit(unknown);
            if let Some(estate) = &mut dossier.estate {
                estate.counted = Some(sample.at);
            }
            self.last_counted = self.last_counted.max(sample.at);
            for id in dossier.units.clone() {
                let perhaps = self.may_be_kept(serial, id);
                if let Some(unit) = self.units.get_mut(&id)
                    && matches!(unit.key, UnitKey::Tree(_))
                {
                    let sure = !perhaps && !unit.departed;
                    unit.buried
                        .absorb(if sure { unknown } else { unknown.in_doubt() });
                }
            }
        }
        // Where not every exec is heard, another name is the sign of one.
        if renamed && (self.hearing == Hearing::Nothing || self.gaps > 0) {
            self.forest.found_execed(serial, sample.at);
            self.expect(serial);
        }
    }

    /// A zombie that died before anybody counted it counts for the units of whoever ought to wait for it.
    fn lay_out(&mut self, sample: &Sample, start: StartTicks, ppid: Pid) {
        let heir = self.forest.holder(ppid);
        let units = heir.and_then(|heir| self.dossiers.get(&heir));
        let counting: Vec<UnitId> = units
            .iter()
            .flat_map(|dossier| &dossier.units)
            .filter(|id| self.units.get(id).is_some_and(Unit::counts_zombies))
            .copied()
            .collect();
        if counting.is_empty() {
            return;
        }
        let Some(dead) = self.forest.lay_out(sample, start) else {
            return;
        };
        for id in &counting {
            if let Some(unit) = self.units.get_mut(id) {
                unit.zombies.insert(dead);
            }
        }
        let mut dossier = Dossier::born_of(None);
        dossier.learning = Learning::Settled;
        dossier.latest_mut().note_zombie(sample.at);
        dossier.units = counting;
        self.dossiers.insert(dead, Box::new(dossier));
    }

    /// Judges one unit on its newest figures.
    fn judge(&mut self, id: UnitId, groups: &[Group], out: &mut Vec<Decision>) {
        self.note_reaped(id);
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let (sampled, newest) = self.sample_times(unit);
        let exemption = self.exemption(unit);
        let gates = self.gates(&unit.rule);
        let (now, lapse) = (self.now, self.rules.interval.saturating_mul(3));
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let Some(asked) = unit.asked.take() else {
            return;
        };
        let glanced = unit.glances();
        unit.anew = false;
        unit.looked = asked;
        unit.newest = unit.newest.max(newest);
        unit.judged = unit.judged.saturating_add(1);
        unit.sampled = sampled;
        self.note_arrivals(id);
        let Some(unit) = self.units.get(&id) else {
            return;
        };
        let mut measures = self.measure_all(id, unit);
        if let Some(range) = &mut measures.cpu_time {
            *range = self.refine(id, *range, groups);
        }
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        if let Some(range) = &mut measures.cpu_time {
            // What was used once stays used, also where the best source of it is gone.
            unit.floor = unit.floor.max(range.at_least);
            range.at_least = unit.floor;
            range.at_most = range.at_most.map(|most| most.max(unit.floor));
        }
        let at = unit.newest;
        let warmup = unit.rule.warmup;
        unit.readings = unit
            .gauges
            .iter_mut()
            .map(|gauge| gauge.read(at, &measures, warmup, lapse))
            .collect();
        unit.measures = measures;
        let verdict = verdict(&unit.rule.clauses, &unit.readings);
        if glanced && verdict != Verdict::Clear && self.rests_on_held(id) {
            self.look_anew(id);
            return;
        }
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        unit.verdict = verdict;
        unit.gates = gates;
        if let Some(exemption) = exemption {
            self.let_alone(id, exemption, out);
        } else if let Some((since, incident)) = unit.exempt.take().zip(unit.incident.as_mut()) {
            incident.stand(since, now);
        }
        self.meet_company(id, groups);
        self.review_frozen(id, out);
        self.survey(id, out);
        self.inspect(id, out);
        self.escalate(id, out);
        self.plan(id);
    }

    /// Leaves a unit alone, whatever its limits say.
    fn let_alone(&mut self, id: UnitId, exemption: Exemption, out: &mut Vec<Decision>) {
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let first = unit.exempt.is_none();
        unit.exempt.get_or_insert(now);
        let allowed = matches!(exemption, Exemption::Allowed { .. });
        let minded = matches!(exemption, Exemption::Minded { .. });
        unit.verdict = Verdict::Exempt(exemption);
        self.thaw(id, out);
        if allowed {
            self.close_answered(id, out);
        }
        if minded {
            self.give_way(id, first, out);
        }
    }

    /// What a unit measures now: no less than those use who are members for sure, no more than all who may be.
    fn measure_all(&self, id: UnitId, unit: &Unit) -> Measures {
        let mut measures = self.measure(unit, &|_| true);
        let keeps = !unit.rule.keep.is_empty();
        let unknown = || unit.members.iter().any(|serial| self.is_unknown(*serial));
        if unit.label.is_some() || (keeps && unknown()) {
            let sure = self.measure(unit, &|serial| !self.may_be_kept(serial, id));
            measures.is_at_least(&sure);
        }
        measures
    }

    /// Whether some member's figures are older than this look: it has not run since they were read.
    fn rests_on_held(&self, id: UnitId) -> bool {
        let held = |serial: &Serial| {
            let dossier = self.dossiers.get(serial);
            dossier.is_some_and(|dossier| dossier.latest().held())
        };
        let unit = self.units.get(&id);
        unit.is_some_and(|unit| unit.members.iter().any(held))
    }

    /// Held figures are good enough to find that nothing is over, and for nothing else.
    fn look_anew(&mut self, id: UnitId) {
        let now = self.now;
        if let Some(unit) = self.units.get_mut(&id) {
            unit.anew = true;
            unit.next_look = now;
        }
    }

    /// The oldest and the newest sample of the living members. Who was never read has none.
    fn sample_times(&self, unit: &Unit) -> (Mono, Mono) {
        let samples = unit
            .members
            .iter()
            // Whoever was found dead has no newer figures, and holds up nobody.
            .filter(|serial| {
                let node = self.forest.node(**serial);
                node.is_some_and(|node| node.missed.is_none())
            })
            .filter_map(|serial| self.dossiers.get(serial)?.latest().at);
        let both = samples.fold(None, |both: Option<(Mono, Mono)>, at| {
            let (oldest, newest) = both.unwrap_or((at, at));
            Some((oldest.min(at), newest.max(at)))
        });
        both.unwrap_or_default()
    }

    /// Why a unit is not judged now: what a person said goes first. A gate holds up what is done of our own accord, and
    /// nothing that a person bids.
    fn exemption(&self, unit: &Unit) -> Option<Exemption> {
        let bidden = unit.incident.as_ref().and_then(Incident::bidding);
        let closed =
            || (bidden.is_none() && self.is_closed(&unit.rule)).then_some(Exemption::Closed);
        let minded = || self.minded(unit).filter(|_| bidden.is_none());
        self.let_be(unit).or_else(closed).or_else(minded)
    }

    /// Whether a gate of a rule is closed, or nobody knows whether it is open.
    pub(super) fn is_closed(&self, rule: &Rule) -> bool {
        !rule.gates.iter().all(|gate| gate.is_open(&self.machine))
    }

    /// A rule's gates, and how they stand.
    pub(super) fn gates(&self, rule: &Rule) -> Vec<GateReading> {
        let gates = rule.gates.iter();
        gates.map(|gate| gate.read(&self.machine)).collect()
    }

    /// What a unit measures now, counting only the members that `counts` lets through.
    pub(super) fn measure(&self, unit: &Unit, counts: &dyn Fn(Serial) -> bool) -> Measures {
        let mut living = Living::default();
        let (mut stopped, mut missed) = (0_u64, 0_u64);
        for serial in unit.members.iter().filter(|serial| counts(**serial)) {
            let Some((node, dossier)) = self.forest.node(*serial).zip(self.dossiers.get(serial))
            else {
                continue;
            };
            let latest = dossier.latest();
            // Who was born after the figures were asked for is no gap in them.
            let newborn = latest.at.is_none() && node.born >= unit.looked;
            let fresh = latest.at.is_some_and(|at| at >= unit.looked);
            living.add(latest, unit.looked, newborn);
            if !newborn && !fresh {
                missed = missed.saturating_add(1);
            }
            if matches!(latest.state, Some(RunState::Stopped | RunState::Traced)) {
                stopped = stopped.saturating_add(1);
            }
        }
        let tier = self.tier();
        let whole = living.processes > 0 && stopped == living.processes;
        let zombies = self.zombies(unit, counts);
        let memory_unread = living.memory_unread > 0;
        let reckoning = unit.counts_cpu().then(|| self.reckon(unit, counts));
        Measures {
            cpu_time: reckoning.map(|reckoning| reckoning.range),
            spent: reckoning.map(|reckoning| reckoning.spent),
            stands: match whole {
                _ if self.stands_frozen(unit) => Stands::Frozen,
                true => Stands::Still,
                false => Stands::Moving,
            },
            whole: missed == 0,
            private: (!memory_unread || living.private > crate::engine::units::Bytes(0)).then(
                || {
                    let cheap = living.shared_once(living.private_largest, living.private, tier);
                    self.narrow(unit, cheap, counts)
                },
            ),
            private_largest: living.private_largest,
            private_sum: living.private,
            rss: Some(Living::bounded(living.rss, living.unread, tier)),
            swap: (!memory_unread).then(|| Range::exactly(living.swap, tier)),
            machine: self.machine.memory,
            age: Some(Range::exactly(self.now.since(unit.since), Tier::Exact)),
            processes: Some(Range::exactly(living.processes, tier)),
            threads: Some(Living::bounded(living.threads, living.unread, tier)),
            open_files: Some(Living::bounded(living.open_files, living.open_unread, tier)),
            zombies: Some(zombies),
            spawned: Some(self.spawned(unit)),
            orphaned: self.orphaned(unit, Detachment::Spares),
            detached: self.orphaned(unit, Detachment::Counts),
            leftover: Some(Range::exactly(
                unit.root_gone
                    .map_or(Duration::ZERO, |gone| self.now.since(gone)),
                tier,
            )),
            silent: self.silence_of(unit, counts),
            activity: unit.watch.interval().cloned(),
            watched: self.watched(unit),
            now: self.now,
            instances: self.ranks(unit),
            since_root: self.now.since(unit.since),
        }
    }

    fn spawned(&self, unit: &Unit) -> Range<u64> {
        let (sure, perhaps) = (unit.spawned.sure, unit.spawned.perhaps);
        let all_heard = self.hearing == Hearing::Events && self.gaps == 0;
        Range {
            at_least: sure,
            at_most: all_heard.then(|| sure.saturating_add(perhaps)),
            tier: self.tier(),
        }
    }

    /// The dead that a look showed to be not waited for, and at most all whose death was heard of.
    fn zombies(&self, unit: &Unit, counts: &dyn Fn(Serial) -> bool) -> Range<u64> {
        let dead = || unit.zombies.iter().filter(|serial| counts(**serial));
        let seen = dead().filter(|serial| {
            self.dossiers
                .get(serial)
                .and_then(|dossier| dossier.latest().zombie())
                .is_some_and(|at| at >= unit.looked)
        });
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Range {
            at_least: count(seen.count()),
            at_most: Some(count(dead().count())),
            tier: self.tier(),
        }
    }

    /// For how long the root has been without its starter; zero while it has one, or was handed over.
    fn orphaned(&self, unit: &Unit, detachment: Detachment) -> Option<Range<Duration>> {
        let none = Some(Range::exactly(Duration::ZERO, self.tier()));
        let (Some(node), Some(dossier)) =
            (self.forest.node(unit.root), self.dossiers.get(&unit.root))
        else {
            return none;
        };
        let facts = dossier.facts()?;
        if detachment == Detachment::Spares {
            match facts.hangup {
                Read::Known(Hangup::Heeded) => {}
                Read::Known(Hangup::Ignored) => return none,
                Read::Denied | Read::Gone | Read::Late | Read::NotAsked => return None,
            }
        }
        let since = |moment: Mono| Some(Range::exactly(self.now.since(moment), self.tier()));
        match &node.starter {
            Some(starter) if starter.died.since(node.born) >= HANDS_OVER => since(starter.died),
            // Its starter was never seen: what adopted it tells nothing, only a terminal that hung up does.
            None if self.starter_unseen(unit.root) => match facts.tty.known() {
                Some(Some(terminal)) if terminal.deleted => since(facts.at),
                Some(_) | None => none,
            },
            Some(_) | None => none,
        }
    }

    pub(super) fn starter_unseen(&self, root: Serial) -> bool {
        let Some(node) = self.forest.node(root) else {
            return false;
        };
        let parent = node.parent.and_then(|parent| self.forest.node(parent));
        node.seen == FirstSign::Found && parent.is_none_or(|parent| parent.pid == Pid::INIT)
    }

    /// Whether a unit is part of another: the one that holds a root is never part of that root's, so that no two
    /// lie within each other.
    fn lies_within(inner: &Unit, outer: &Unit) -> bool {
        match inner.root_gone {
            None => outer.members.contains(&inner.root),
            Some(_) => {
                inner.members.len() < outer.members.len()
                    && inner.members.is_subset(&outer.members)
                    && !inner.members.contains(&outer.root)
            }
        }
    }

    /// Whether a unit would be clear without an inner one that has an incident of its own: then it waits for it.
    pub(super) fn waits_for_inner(&self, id: UnitId) -> bool {
        let Some(unit) = self.units.get(&id) else {
            return false;
        };
        let inner: Vec<&Unit> = self
            .units
            .iter()
            .filter(|(other, inner)| {
                **other != id
                    && inner.root != unit.root
                    && Self::lies_within(inner, unit)
                    && inner.goes_on(self.now, self.quiet_until)
            })
            .map(|(_, inner)| inner)
            .collect();
        if inner.is_empty() || matches!(unit.key, UnitKey::Process(_)) {
            return false;
        }
        let mut measures = self.measure(unit, &|serial| {
            !inner.iter().any(|inner| inner.members.contains(&serial))
        });
        // The inner units' dead were counted here too.
        let dead = inner.iter().fold(Duration::ZERO, |sum, inner| {
            sum.saturating_add(inner.buried.at_least)
        });
        if let (Some(cpu), Some(spent)) = (&mut measures.cpu_time, &mut measures.spent) {
            // Of those waited for nobody knows to which unit they belonged.
            cpu.at_least = spent.at_least.saturating_sub(unit.before);
            for at_least in [&mut cpu.at_least, &mut spent.at_least] {
                *at_least = at_least.saturating_sub(dead);
            }
            cpu.at_most = cpu.at_most.map(|most| most.saturating_sub(dead));
        }
        let mut gauges = unit.gauges.clone();
        let lapse = self.rules.interval.saturating_mul(3);
        let readings: Vec<_> = gauges
            .iter_mut()
            .map(|gauge| gauge.read_without_history(self.now, &measures, unit.rule.warmup, lapse))
            .collect();
        matches!(
            verdict(&unit.rule.clauses, &readings),
            Verdict::Clear | Verdict::Unknown
        )
    }

    /// Evidence to speak with now, kept for what follows.
    pub(super) fn testify(&mut self, id: UnitId) -> Option<Arc<Evidence>> {
        let unit = self.units.get(&id)?;
        let evidence = Arc::new(self.evidence(unit));
        self.units.get_mut(&id)?.evidence = Some(evidence.clone());
        Some(evidence)
    }
}

/// Whether a root that was started to outlive its starter counts as orphaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detachment {
    Spares,
    Counts,
}
