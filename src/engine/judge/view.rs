//! What the judge sees now, for `status`, `ps` and `why`. Nothing here changes anything.

use std::collections::BTreeMap;

use super::Judge;
use super::dossier::Learning;
use super::subject::COMMAND_SHOWN;
use super::unit::{Unit, UnitId};
use crate::engine::answer::Deed;
use crate::engine::decision::{
    Explanation, IncidentView, Relation, Rest, RuleExplanation, RuleView, UnitView, View, nearness,
};
use crate::engine::evidence::{Evidence, UnitKey, Verdict};
use crate::engine::facts::Facts;
use crate::engine::forest::{Forest, Serial};
use crate::engine::gate::Gate;
use crate::engine::guard::Standing;
use crate::engine::incident::{Incident, Phase};
use crate::engine::matcher::{Answer, Reason};
use crate::engine::process::{Pid, ProcKey, Text};
use crate::engine::redact;
use crate::engine::rule::{Mode, Rule, StageAct};
use crate::engine::units::Mono;

/// How many members are named to people.
const NAMED: usize = 12;

impl Judge {
    /// The figures as data, for whoever asks why.
    pub(super) fn evidence(&self, unit: &Unit) -> Evidence {
        let pids = unit
            .members
            .iter()
            .filter_map(|serial| self.forest.node(*serial))
            .map(|node| node.pid);
        Evidence {
            rule: unit.rule.name.clone(),
            about: unit.rule.about.clone(),
            unit: unit.key,
            subject: unit.subject.clone(),
            sampled: unit.sampled,
            readings: unit.readings.clone(),
            members: u32::try_from(unit.members.len()).unwrap_or(u32::MAX),
            pids: pids.take(NAMED).collect(),
            peers: self.peers(unit),
            progress: unit.pulse.progress(self.now),
            manner: Self::manner(unit),
        }
    }

    /// Everything, nearest to a limit first.
    pub fn view(&self) -> View {
        let mut units: Vec<UnitView> = self
            .units
            .values()
            .map(|unit| self.unit_view(unit))
            .collect();
        units.sort_by_key(|unit| {
            (
                std::cmp::Reverse(unit.incident.is_some()),
                std::cmp::Reverse(unit.nearness),
            )
        });
        let count = |index: usize| {
            self.units
                .values()
                .filter(|unit| unit.index == index)
                .count()
        };
        let rule = |(index, rule): (usize, &std::sync::Arc<Rule>)| RuleView {
            name: rule.name.clone(),
            about: rule.about.clone(),
            origin: rule.origin.clone(),
            mode: rule.mode,
            scope: rule.scope.clone(),
            units: count(index),
            gates: match count(index) {
                0 => rule.gates.iter().map(Gate::unread).collect(),
                _ => self.gates(rule),
            },
        };
        View {
            at: self.now,
            tier: self.tier(),
            gaps: self.gaps,
            processes: self.forest.len(),
            pending: self
                .dossiers
                .values()
                .filter(|dossier| dossier.learning != Learning::Settled)
                .count(),
            mode: self.rules.mode,
            rules: (0..).zip(&self.rules.rules).map(rule).collect(),
            units,
            pauses: self
                .pauses
                .iter()
                .filter(|pause| pause.until > self.now)
                .cloned()
                .collect(),
            beats: self.heard_beats(),
        }
    }

    fn unit_view(&self, unit: &Unit) -> UnitView {
        UnitView {
            evidence: self.evidence(unit),
            verdict: unit.verdict.clone(),
            gates: unit.gates.clone(),
            nearness: nearness(&unit.readings),
            incident: unit
                .incident
                .as_ref()
                .map(|incident| incident_view(incident, unit)),
            members: unit
                .members
                .iter()
                .filter_map(|serial| self.forest.node(*serial)?.key)
                .collect(),
        }
    }

    /// Why a process is, or is not, judged. `None` when there is no such process. Of most processes no facts are kept: what
    /// answers the question of [`Judge::recall`] is given along.
    pub fn explain(&self, pid: Pid, learnt: Option<&Facts>) -> Option<Explanation> {
        let serial = self.forest.holder(pid)?;
        let (node, dossier) = self.forest.node(serial).zip(self.dossiers.get(&serial))?;
        let facts = self.at_hand(serial, learnt);
        let args: &[Text] = facts
            .and_then(|facts| facts.args.known())
            .map_or(&[], Vec::as_slice);
        let settled = dossier.learning == Learning::Settled;
        let name = |(serial, node): (Serial, &crate::engine::forest::Node)| {
            let program = self
                .dossiers
                .get(&serial)
                .map(|dossier| dossier.program.clone());
            (node.pid, program.unwrap_or_default())
        };
        Some(Explanation {
            pid,
            key: node.key,
            program: (!dossier.program.bytes().is_empty()).then(|| dossier.program.clone()),
            command: facts.map(|_| redact::command_line(args, COMMAND_SHOWN)),
            owner: node.owner,
            audience: self.audience(serial),
            above: self.forest.above(serial).map(name).collect(),
            standing: match &dossier.standing {
                Standing::Plain => None,
                Standing::Protected(reason) => Some(format!("protected: {reason}")),
                Standing::Boundary(reason) => Some(format!("boundary: {reason}")),
            },
            rules: (0..)
                .zip(&self.rules.rules)
                .map(|(index, rule)| RuleExplanation {
                    rule: rule.name.clone(),
                    mode: rule.mode,
                    relation: self.relation(serial, facts, index, rule),
                })
                .collect(),
            notes: BTreeMap::from([(
                "facts",
                (if settled { "learnt" } else { "pending" }).to_owned(),
            )]),
        })
    }

    fn relation(
        &self,
        serial: Serial,
        facts: Option<&Facts>,
        index: usize,
        rule: &Rule,
    ) -> Relation {
        let Some(dossier) = self.dossiers.get(&serial) else {
            return Relation::Pending("it has just gone".to_owned());
        };
        let of_rule = |id: &&UnitId| self.units.get(id).is_some_and(|unit| unit.index == index);
        if let Some(unit) = dossier
            .units
            .iter()
            .find(of_rule)
            .and_then(|id| self.units.get(id))
        {
            return Relation::Member {
                unit: unit.key,
                label: unit.subject.label.clone(),
                root: unit.subject.program.clone(),
                verdict: unit.verdict.clone(),
                gates: unit.gates.clone(),
                readings: unit.readings.clone(),
                peers: self.peers(unit).map(Box::new),
                progress: unit.pulse.progress(self.now).map(Box::new),
                manner: Self::manner(unit).map(Box::new),
                soonest: self.soonest(unit),
                incident: unit
                    .incident
                    .as_ref()
                    .map(|incident| Box::new(incident_view(incident, unit))),
            };
        }
        if dossier.learning != Learning::Settled {
            return Relation::Pending(
                "what it runs is read once it has lived for a second".to_owned(),
            );
        }
        if let Standing::Boundary(reason) = &dossier.standing {
            return Relation::Barred(format!("it is a boundary ({reason})"));
        }
        match dossier.answer(index) {
            Answer::Yes if dossier.is_kept_from(index) => {
                Relation::Barred("it was kept out of its tree by `keep`".to_owned())
            }
            Answer::Yes => Relation::Barred(
                self.no_job(serial, &rule.scope)
                    .unwrap_or_else(|| self.barred(serial)),
            ),
            Answer::No | Answer::Unknown => self.unmatched(serial, facts, rule),
        }
    }

    fn barred(&self, serial: Serial) -> String {
        let owner = self.forest.node(serial).and_then(|node| node.owner);
        match self.settings.only_user {
            Some(user) if owner != Some(user) => {
                "it belongs to another user; an unprivileged beadle judges its own user's processes"
                    .to_owned()
            }
            Some(_) | None => "it matches, and waits for what is above it to be known".to_owned(),
        }
    }

    fn unmatched(&self, serial: Serial, facts: Option<&Facts>, rule: &Rule) -> Relation {
        match self
            .with_facts(serial, facts, |subject| rule.matcher.first_failing(subject))
            .flatten()
        {
            Some(Reason::Unmet(text)) => Relation::Unmatched(text),
            Some(Reason::Missing(text)) => Relation::Pending(text),
            None => {
                Relation::Pending("it matches now; it is looked at again within 10 s".to_owned())
            }
        }
    }

    /// When the soonest limit would be over at this pace.
    fn soonest(&self, unit: &Unit) -> Option<Mono> {
        let paces = unit
            .gauges
            .iter()
            .filter_map(|gauge| gauge.forecast(self.now, &unit.measures, unit.since));
        paces.min()
    }

    /// The members of all units, for those who watch them from outside.
    pub fn members(&self) -> Vec<ProcKey> {
        let members = self.units.values().flat_map(|unit| &unit.members);
        members
            .filter_map(|serial| self.forest.node(*serial)?.key)
            .collect()
    }

    /// How every unit's case stands, to look at.
    pub fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        self.units.values().map(|unit| Case {
            unit: unit.key,
            rule: &unit.rule,
            verdict: &unit.verdict,
            sampled: unit.sampled,
            incident: unit.incident.as_ref(),
        })
    }

    /// How much is remembered, by kind: all of it is bounded by who lives and by what was closed of late.
    pub fn holdings(&self) -> [(&'static str, usize); 8] {
        [
            ("processes", self.forest.len()),
            ("dossiers", self.dossiers.len()),
            ("scheduled", self.ripe.len()),
            ("hopeful", self.hopeful.len()),
            ("units", self.units.len()),
            ("flights", self.flights.len()),
            ("errands", self.errands.len()),
            (
                "questions",
                self.asks.len().saturating_add(self.doubtful.len()),
            ),
        ]
    }

    /// The forest, to look at.
    pub const fn forest(&self) -> &Forest {
        &self.forest
    }
}

/// One rule against one unit, as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The unit.
    pub unit: UnitKey,
    /// The rule.
    pub rule: &'a Rule,
    /// The last verdict.
    pub verdict: &'a Verdict,
    /// The oldest sample behind it.
    pub sampled: Mono,
    /// The incident, when one is open.
    pub incident: Option<&'a Incident>,
}

fn incident_view(incident: &Incident, unit: &Unit) -> IncidentView {
    let rule = &unit.rule;
    let carried = incident
        .next
        .checked_sub(1)
        .and_then(|index| incident.stages(rule).get(index));
    let stage = match carried.map(|stage| &stage.act) {
        None => match incident.bidding().map(|bidding| bidding.deed) {
            None => "opened".to_owned(),
            Some(Deed::Stop) => "to be stopped".to_owned(),
            Some(Deed::Freeze) => "to be frozen".to_owned(),
        },
        Some(StageAct::Nudge) => "nudged".to_owned(),
        Some(StageAct::Exec(command)) => format!("{} run", command.program),
        Some(StageAct::Stop) => "asked to stop".to_owned(),
        Some(StageAct::Freeze) if unit.frozen.is_none() => "was frozen".to_owned(),
        Some(StageAct::Freeze) => "frozen".to_owned(),
        Some(StageAct::Signal(signal, _)) => format!("SIG{} sent", signal.word()),
    };
    let due = incident.due(rule);
    let ahead = due.filter(|(stage, _)| stage.act != StageAct::Nudge);
    let ahead = ahead.map(|(stage, due)| (stage.act.clone(), due));
    let rests = match (&incident.phase, rule.mode) {
        (Phase::Resting(why), _) => Some(why.clone()),
        (Phase::Climbing, _) if incident.bidding().is_some() => None,
        // It will rest there: nobody is promised a signal that never comes.
        (Phase::Climbing, Mode::Observe | Mode::Nudge) => {
            ahead.as_ref().map(|_| Rest::Mode(rule.mode))
        }
        (Phase::Climbing, Mode::Enforce) if unit.only_tells() => {
            ahead.as_ref().map(|_| Rest::Instances)
        }
        (Phase::Climbing, Mode::Enforce) | (Phase::Preparing(_) | Phase::Acting(_), _) => None,
    };
    let next = ahead.filter(|_| rests.is_none() && incident.phase == Phase::Climbing);
    IncidentView {
        id: incident.id,
        since: incident.opened,
        stage,
        next,
        rests,
        bidden: incident.bidding(),
        snoozed: incident.snoozed,
    }
}
