//! What a rule judges: its members, its dead, its gauges, its incident.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::evidence::{Evidence, Reading, Subject, UnitKey, Verdict};
use crate::engine::forest::Serial;
use crate::engine::gate::GateReading;
use crate::engine::heartbeat::Pulse;
use crate::engine::incident::{Incident, Past, Phase, Weight};
use crate::engine::instances::Circle;
use crate::engine::label::Label;
use crate::engine::measures::Measures;
use crate::engine::process::{ProcKey, Text};
use crate::engine::rule::{Bound, Measure, Per, Rule};
use crate::engine::snapshot::Want;
use crate::engine::units::Mono;
use crate::engine::usage::Buried;
use crate::engine::verdict::{Gauge, Lead, lead, verdict};

use super::activity::Watch;
use super::exclusive::Exclusive;
use super::freeze::Frozen;
use super::premises::Company;
use super::silence::Share;
use super::survey::Surveyed;

/// A stage that is so long overdue does not come: its unit cannot be read, or is stopped.
const OVERDUE: Duration = Duration::from_secs(30);
/// A unit is seen so often, at its full pace, before it is taken to be at rest.
pub(super) const SEEN_BEFORE: u64 = 3;

/// A unit within this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnitId(pub(super) u64);

/// One unit under one rule.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Its identity.
    pub(super) key: UnitKey,
    /// The rule.
    pub(super) rule: Arc<Rule>,
    /// The rule's place in the set.
    pub(super) index: usize,
    /// The root's node; it may be forgotten.
    pub(super) root: Serial,
    /// The root, in words.
    pub(super) subject: Subject,
    /// What other instances must have in common with it.
    pub(super) circle: Circle,
    /// Who started the root, and what that one runs.
    pub(super) starter: Option<(Option<ProcKey>, Text)>,
    /// When the root became one: its exec if that was seen, else its start.
    pub(super) since: Mono,
    /// CPU time of the root that may be from before it became one.
    pub(super) before: Duration,
    /// What its members carry, where it is told by that.
    pub(super) label: Option<Label>,
    /// Living members.
    pub(super) members: BTreeSet<Serial>,
    /// Those of them who belong to it by what they carry alone.
    pub(super) strays: BTreeSet<Serial>,
    /// Of a control group, those who came in from elsewhere or were there before: what they used by then is not the unit's.
    pub(super) arrived: BTreeMap<Serial, Arrival>,
    /// Of a control group, members that were not on its list at the last look.
    pub(super) unlisted: BTreeSet<Serial>,
    /// Members that died and were perhaps not waited for; only where a limit asks.
    pub(super) zombies: BTreeSet<Serial>,
    /// CPU time of those gone.
    pub(super) buried: Buried,
    /// Members that were born as such.
    pub(super) spawned: Births,
    /// An earlier beadle left it: its members are known to us by looks, and what they run not at once.
    pub(super) inherited: bool,
    /// What records that came late said of those gone.
    pub(super) late: Late,
    /// Not after the birth of its root.
    pub(super) began: Mono,
    /// How long nothing was heard in its life.
    pub(super) silence: Share,
    /// What its root had waited for before it became one; `None` before that is known.
    pub(super) reaped_before: Option<Duration>,
    /// Somebody left it: what members wait for may be none of its.
    pub(super) departed: bool,
    /// The most that it was ever seen to have used at least.
    pub(super) floor: Duration,
    /// Its control group, when it has one to itself.
    pub(super) exclusive: Exclusive,
    /// Of a job, who was sent KILL already and lives.
    pub(super) struck: BTreeSet<ProcKey>,
    /// When the root went away.
    pub(super) root_gone: Option<Mono>,
    /// One per limit, in the order of the clauses.
    pub(super) gauges: Vec<Gauge>,
    /// What a look must bring.
    pub(super) want: Want,
    /// When figures were asked for, while they have not come.
    pub(super) asked: Option<Mono>,
    /// When the figures were asked for that it was last judged on.
    pub(super) looked: Mono,
    /// The newest sample behind the last verdict, of the dead as well: the moment that paces are measured at.
    pub(super) newest: Mono,
    /// When to look next.
    pub(super) next_look: Mono,
    /// The next look must read everybody anew.
    pub(super) anew: bool,
    /// How often it was judged.
    pub(super) judged: u64,
    /// The oldest sample behind the last verdict.
    pub(super) sampled: Mono,
    /// The last measures.
    pub(super) measures: Measures,
    /// What surveys of its memory found.
    pub(super) surveyed: Surveyed,
    /// What inspections found of what it does.
    pub(super) watch: Watch,
    /// The last readings.
    pub(super) readings: Vec<Reading>,
    /// The last verdict.
    pub(super) verdict: Verdict,
    /// How the rule's gates stood then.
    pub(super) gates: Vec<GateReading>,
    /// The open incident.
    pub(super) incident: Option<Incident>,
    /// Who of it stands still because of us.
    pub(super) frozen: Option<Frozen>,
    /// Who else lives in what a manager would stop, by the last look.
    pub(super) company: Company,
    /// The evidence that the incident last spoke with.
    pub(super) evidence: Option<Arc<Evidence>>,
    /// What it says of itself.
    pub(super) pulse: Pulse,
    /// What the last incident left behind.
    pub(super) past: Option<Past>,
    /// When the rule was last exempt for it: its clock stands from then on.
    pub(super) exempt: Option<Mono>,
    /// Since when the machine's beadle is to be asked about it.
    pub(super) counsel: Option<Mono>,
    /// How often authority over it was withdrawn.
    pub(super) epoch: u64,
}

/// How many members were born.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Births {
    /// To members for sure.
    pub(super) sure: u64,
    /// To those who may turn out to be kept.
    pub(super) perhaps: u64,
}

impl Births {
    /// One more.
    pub(super) const fn note(&mut self, perhaps: bool) {
        let count = if perhaps {
            &mut self.perhaps
        } else {
            &mut self.sure
        };
        *count = count.saturating_add(1);
    }
}

impl Unit {
    /// A unit that was never looked at.
    pub(super) fn new(
        key: UnitKey,
        rule: Arc<Rule>,
        index: usize,
        root: Serial,
        subject: Subject,
        since: Mono,
    ) -> Self {
        Self {
            key,
            index,
            root,
            subject,
            circle: Circle::default(),
            starter: None,
            since,
            before: Duration::ZERO,
            label: None,
            members: BTreeSet::new(),
            strays: BTreeSet::new(),
            arrived: BTreeMap::new(),
            unlisted: BTreeSet::new(),
            struck: BTreeSet::new(),
            zombies: BTreeSet::new(),
            buried: Buried::default(),
            spawned: Births::default(),
            inherited: false,
            late: Late::default(),
            began: since,
            silence: Share::default(),
            reaped_before: None,
            departed: false,
            floor: Duration::ZERO,
            exclusive: Exclusive::default(),
            root_gone: None,
            gauges: gauges(&rule),
            want: want(&rule),
            asked: None,
            looked: Mono::BOOT,
            newest: Mono::BOOT,
            next_look: Mono::BOOT,
            anew: false,
            judged: 0,
            sampled: Mono::BOOT,
            measures: Measures::default(),
            surveyed: Surveyed::default(),
            watch: Watch::default(),
            readings: Vec::new(),
            verdict: Verdict::Unknown,
            gates: Vec::new(),
            incident: None,
            frozen: None,
            company: Company::Unknown,
            evidence: None,
            pulse: Pulse::default(),
            past: None,
            exempt: None,
            counsel: None,
            epoch: 0,
            rule,
        }
    }

    /// Takes the rule in its new form. Limits are judged afresh.
    pub(super) fn take_rule(&mut self, rule: Arc<Rule>, index: usize, now: Mono) {
        self.gauges = gauges(&rule);
        self.want = want(&rule);
        let ladder_changed = rule.ladder != self.rule.ladder || rule.mode != self.rule.mode;
        let old = std::mem::replace(&mut self.rule, rule);
        self.index = index;
        self.next_look = now;
        if let Some(incident) = &mut self.incident {
            incident.bid_again(now, self.rule.mode);
        }
        if !ladder_changed {
            return;
        }
        if let Some(incident) = &mut self.incident {
            incident.restart(now, &old.ladder, &self.rule.ladder);
        }
        if let Some(past) = &mut self.past {
            past.restart(&old.ladder, &self.rule.ladder);
        }
    }

    /// Whether figures of members that have not run since they were read will do: nothing was over when it was last
    /// judged, and nothing is under way.
    pub(super) fn glances(&self) -> bool {
        let clear = match self.verdict {
            Verdict::Clear => true,
            Verdict::Exempt(_) => self.limits() == Verdict::Clear,
            Verdict::Breaching | Verdict::Sustained | Verdict::Unknown => false,
        };
        clear && self.incident.is_none() && self.judged >= SEEN_BEFORE && !self.anew
    }

    /// What its limits say, whether or not anything exempts the rule.
    pub(super) fn limits(&self) -> Verdict {
        verdict(&self.rule.clauses, &self.readings)
    }

    /// Whether its incident is on its way to something: whoever waits for it will not wait for ever. Nothing fires
    /// before `quiet`.
    pub(super) fn goes_on(&self, now: Mono, quiet: Mono) -> bool {
        let Some(incident) = &self.incident else {
            return false;
        };
        match incident.phase {
            Phase::Resting(_) => false,
            Phase::Preparing(_) | Phase::Acting(_) => true,
            // A rule that is paused, or waits for a gate, goes nowhere, and holds up no other rule.
            Phase::Climbing if matches!(self.verdict, Verdict::Exempt(_)) => false,
            Phase::Climbing => incident
                .deadline(&self.rule)
                .is_some_and(|due| now < due.max(quiet).after(OVERDUE)),
        }
    }

    /// Others belong to it now: paces are measured afresh.
    pub(super) fn forget_paces(&mut self) {
        for gauge in &mut self.gauges {
            gauge.forget_pace();
        }
    }

    /// Somebody leaves it, with all that was used by them.
    pub(super) fn part(&mut self) {
        self.forget_paces();
        self.departed = true;
        self.floor = Duration::ZERO;
        // What lies between the unit's time and its group's is another figure now.
        self.exclusive = Exclusive::default();
    }

    /// Whether it is judged by its CPU time or pace.
    pub(super) fn counts_cpu(&self) -> bool {
        self.want.cpu
    }

    /// Whether it matters how many instances there are, and of what: each `per` that some limit names.
    pub(super) fn counts_instances(&self) -> impl Iterator<Item = (Per, u64)> {
        self.gauges
            .iter()
            .filter_map(|gauge| match gauge.limit.bound {
                Bound::Instances { above, per } => Some((per, above)),
                Bound::CpuTime(_)
                | Bound::Cpu(_)
                | Bound::Memory { .. }
                | Bound::Age(_)
                | Bound::Processes(_)
                | Bound::Threads(_)
                | Bound::OpenFiles(_)
                | Bound::Zombies(_)
                | Bound::Spawns(_)
                | Bound::Orphaned { .. }
                | Bound::Leftover(_)
                | Bound::Stalled { .. }
                | Bound::Spinning { .. }
                | Bound::Silent(_) => None,
            })
    }

    /// What of it may lead to more than a nudge.
    pub(super) fn lead(&self) -> Lead {
        lead(&self.rule.clauses, &self.readings)
    }

    /// Whether people are only told of its case.
    pub(super) fn only_tells(&self) -> bool {
        self.incident
            .as_ref()
            .is_some_and(|incident| incident.weight != Weight::Grave)
    }

    /// Whether dead members must be watched until they are reaped.
    pub(super) fn counts_zombies(&self) -> bool {
        self.gauges
            .iter()
            .any(|gauge| matches!(gauge.limit.bound, Bound::Zombies(_)))
    }
}

/// Somebody who was not born in a unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// When it became a member.
    pub(super) at: Mono,
    /// CPU time that it had used by then, and a little longer; `None` before it was read.
    pub(super) used: Option<Duration>,
}

/// What records that came late said of the dead.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Late {
    /// They used so much more at least,
    pub(super) gained: Duration,
    /// and so much less at most.
    pub(super) narrowed: Duration,
}

fn gauges(rule: &Rule) -> Vec<Gauge> {
    let limits = rule.clauses.iter().flat_map(|clause| &clause.limits);
    limits.cloned().map(Gauge::new).collect()
}

fn want(rule: &Rule) -> Want {
    let limits = rule.clauses.iter().flat_map(|clause| &clause.limits);
    limits.fold(Want::default(), |want, limit| {
        want.or(match limit.bound {
            Bound::Memory {
                measure: Measure::Private | Measure::Swap,
                ..
            } => Want {
                memory: true,
                ..Want::default()
            },
            Bound::OpenFiles(_) => Want {
                open_files: true,
                ..Want::default()
            },
            Bound::CpuTime(_) | Bound::Cpu(_) => Want {
                cpu: true,
                ..Want::default()
            },
            // Resident memory stands in `stat`; the other measures need the parts.
            Bound::Memory {
                measure: Measure::Rss,
                ..
            }
            | Bound::Age(_)
            | Bound::Processes(_)
            | Bound::Threads(_)
            | Bound::Zombies(_)
            | Bound::Spawns(_)
            | Bound::Orphaned { .. }
            | Bound::Leftover(_)
            | Bound::Stalled { .. }
            | Bound::Spinning { .. }
            | Bound::Silent(_)
            | Bound::Instances { .. } => Want::default(),
        })
    })
}
