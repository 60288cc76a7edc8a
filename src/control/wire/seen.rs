//! From the engine's values to what travels.

use std::time::Duration;

use super::{
    Above, Act, Bidden, Daemon, Elsewhere, Evidence, Exception, Figure, Finding, Gate, Heartbeats,
    Incident, Judged, Manner, Next, Pause, Peers, Person, Progress, Ps, Reading, Relation, Replied,
    Rest, Rule, RuleWhy, Safe, Snooze, Status, Subject, Unit, Why,
};
use crate::engine::answer::{self, Bidding, Effect, Granted};
use crate::engine::decision::{
    Explanation, IncidentView, PauseView, Relation as Standing, Rest as Resting, RuleExplanation,
    RuleView, UnitView, View,
};
use crate::engine::errand::Task;
use crate::engine::evidence::{self, Exemption, Quantity, UnitKey, Verdict};
use crate::engine::gate::{GateReading, Stands};
use crate::engine::process::{Pid, Text, Uid};
use crate::engine::rule::{Metric, Origin, StageAct};
use crate::engine::units::{Bytes, Millicores, Mono, PerSecond};

/// Seconds, to the millisecond: no reader is served by nanoseconds.
pub fn seconds(span: Duration) -> f64 {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis).as_secs_f64()
}

/// Seconds of awake time since boot.
pub fn moment(at: Mono) -> f64 {
    seconds(Duration::from_nanos(at.nanos()))
}

fn figure(quantity: Quantity) -> Figure {
    match quantity {
        Quantity::Time(span) => Figure::Part(seconds(span)),
        // A core is to a thousandth of it as a second to a millisecond.
        Quantity::Cores(Millicores(n)) | Quantity::Pace(PerSecond(n)) => {
            Figure::Part(Duration::from_millis(n).as_secs_f64())
        }
        Quantity::Size(Bytes(n)) | Quantity::Count(n) => Figure::Whole(n),
    }
}

/// An upper bound: what is less than a millisecond counts as one.
fn ceiling(quantity: Quantity) -> Figure {
    let part = Duration::from_nanos(999_999);
    match quantity {
        Quantity::Time(span) => figure(Quantity::Time(span.saturating_add(part))),
        Quantity::Cores(_) | Quantity::Pace(_) | Quantity::Size(_) | Quantity::Count(_) => {
            figure(quantity)
        }
    }
}

const fn unit(metric: Metric) -> Unit {
    match metric {
        Metric::CpuTime
        | Metric::Age
        | Metric::Orphaned
        | Metric::Leftover
        | Metric::Stalled
        | Metric::Spinning
        | Metric::Silent => Unit::Seconds,
        Metric::Cpu => Unit::Cores,
        Metric::Spawns => Unit::PerSecond,
        Metric::Memory => Unit::Bytes,
        Metric::Processes
        | Metric::Threads
        | Metric::OpenFiles
        | Metric::Zombies
        | Metric::Instances => Unit::Count,
    }
}

/// The scope as rules write it.
fn scope(unit: UnitKey, label: Option<&Text>) -> Safe {
    match unit {
        UnitKey::Process(_) => Safe::word("process"),
        UnitKey::Tree(_) => Safe::word("tree"),
        UnitKey::Label(_) => {
            let shown = label.map(ToString::to_string).unwrap_or_default();
            // No name of a variable begins as a path does.
            if shown.starts_with('/') {
                return Safe::word("cgroup");
            }
            let name = shown.split('=').next().unwrap_or_default();
            Safe::word(&format!("env:{name}"))
        }
    }
}

impl From<&evidence::Reading> for Reading {
    fn from(reading: &evidence::Reading) -> Self {
        Self {
            metric: Safe::word(reading.metric.word()),
            unit: unit(reading.metric),
            at_least: reading.now.map(|now| figure(now.at_least)),
            at_most: reading.now.and_then(|now| now.at_most).map(ceiling),
            limit: figure(reading.limit),
            lasting: reading.lasting.map(seconds),
            held: seconds(reading.held),
            tier: reading.now.map(|now| Safe::word(now.tier.word())),
            finding: Safe::word(reading.finding.word()),
        }
    }
}

impl From<&evidence::Evidence> for Evidence {
    fn from(evidence: &evidence::Evidence) -> Self {
        Self {
            text: Safe::default(),
            sampled: moment(evidence.sampled),
            members: evidence.members,
            pids: evidence.pids.iter().map(|pid| pid.number()).collect(),
            readings: evidence.readings.iter().map(Reading::from).collect(),
            peers: evidence.peers.as_ref().map(Peers::from),
            progress: evidence.progress.as_ref().map(Progress::from),
            manner: evidence
                .manner
                .as_ref()
                .map(|it| Box::new(Manner::from(it))),
        }
    }
}

impl From<&evidence::Peers> for Peers {
    fn from(peers: &evidence::Peers) -> Self {
        Self {
            count: peers.count,
            over: peers.over,
            oldest: peers.oldest.iter().map(|pid| pid.number()).collect(),
        }
    }
}

impl From<&evidence::Evidence> for Subject {
    fn from(evidence: &evidence::Evidence) -> Self {
        let subject = &evidence.subject;
        Self {
            rule: Safe::word(&evidence.rule),
            about: evidence.about.as_deref().map(Safe::word),
            scope: scope(evidence.unit, subject.label.as_ref()),
            label: subject.label.as_ref().map(Safe::from),
            root: subject.key.pid().number(),
            key: Safe::word(&subject.key.to_string()),
            program: Safe::from(&subject.program),
            command: Safe::from(&subject.command),
            cwd: subject.cwd.as_ref().map(Safe::from),
            owner: subject.owner.map(|Uid(id)| id),
            audience: subject.audience.map(|Uid(id)| id),
            tty: subject.tty.as_ref().map(Safe::from),
        }
    }
}

impl From<&Resting> for Rest {
    fn from(rest: &Resting) -> Self {
        match rest {
            Resting::Mode(mode) => Self::Mode {
                mode: Safe::word(mode.word()),
            },
            Resting::Breaker => Self::Breaker,
            Resting::Respawn { by } => Self::Respawn {
                by: by.as_ref().map(Safe::from),
            },
            Resting::Denied => Self::Denied,
            Resting::Protected => Self::Protected,
            Resting::Instances => Self::Instances,
            Resting::Busy => Self::Busy,
            Resting::Minded { incident, rule } => Self::Minded(Elsewhere {
                incident: incident.0,
                rule: Safe::word(rule),
            }),
            Resting::Unstoppable(why) => Self::Unstoppable {
                because: Safe::word(&why.to_string()),
            },
        }
    }
}

impl From<&StageAct> for Act {
    fn from(act: &StageAct) -> Self {
        let mut told = Self {
            signal: act.signal().map(|signal| Safe::word(signal.word())),
            ..Self::default()
        };
        match act {
            StageAct::Exec(command) => told.exec = Some(Safe::word(&command.program)),
            StageAct::Stop => told.stop = Some(Safe::word("unit")),
            StageAct::Nudge | StageAct::Freeze | StageAct::Signal(..) => {}
        }
        told
    }
}

impl From<&Task> for Act {
    fn from(task: &Task) -> Self {
        match task {
            Task::Exec(command) => Self {
                exec: Some(Safe::word(&command.program)),
                ..Self::default()
            },
            Task::Stop(steward) => Self {
                stop: Some(Safe::word(steward.name())),
                ..Self::default()
            },
        }
    }
}

impl Next {
    /// What comes in `left`.
    pub fn after(act: &StageAct, left: Duration) -> Self {
        Self {
            act: Act::from(act),
            left: seconds(left),
        }
    }
}

impl Incident {
    /// As seen at `now`.
    fn seen(view: &IncidentView, now: Mono) -> Self {
        Self {
            id: view.id.0,
            lasted: seconds(now.since(view.since)),
            stage: Safe::word(&view.stage),
            next: view
                .next
                .as_ref()
                .map(|(act, at)| Next::after(act, at.since(now))),
            rests: view.rests.as_ref().map(Rest::from),
            bidden: view.bidden.map(Bidden::from),
        }
    }
}

impl From<Uid> for Person {
    /// By number alone.
    fn from(Uid(user): Uid) -> Self {
        Self { user, name: None }
    }
}

impl From<Bidding> for Bidden {
    fn from(bidding: Bidding) -> Self {
        Self {
            reply: Safe::word(bidding.deed.reply().word()),
            by: Person::from(bidding.by),
        }
    }
}

impl From<&answer::Exception> for Exception {
    fn from(exception: &answer::Exception) -> Self {
        Self {
            number: exception.number,
            rule: Safe::word(&exception.rule),
            owner: exception.owner.0,
            program: Safe::from(&exception.program),
            cwd: Safe::from(&exception.cwd),
            by: exception.by.0,
            since: None,
        }
    }
}

impl Replied {
    /// What came of an answer, at this moment; `None` where it was none to an incident.
    pub fn seen(granted: &Granted, now: Mono) -> Option<Self> {
        let Granted::Replied {
            incident,
            rule,
            root,
            program,
            effect,
        } = granted
        else {
            return None;
        };
        let (left, extensions) = match effect {
            Effect::Extended { until, left } => (Some(seconds(until.since(now))), *left),
            Effect::Stops | Effect::Allowed(_) | Effect::Freezes => (None, None),
        };
        Some(Self {
            incident: incident.0,
            rule: Safe::word(rule),
            root: root.number(),
            program: Safe::from(program),
            reply: Safe::word(effect.reply().word()),
            left,
            extensions,
            exception: match effect {
                Effect::Allowed(exception) => Some(Exception::from(exception)),
                Effect::Stops | Effect::Extended { .. } | Effect::Freezes => None,
            },
            unkept: None,
        })
    }
}

impl Pause {
    fn seen(view: &PauseView, now: Mono) -> Self {
        let left = (view.until != Mono::NEVER).then(|| seconds(view.until.since(now)));
        Self {
            by: view.by.0,
            rule: view.rule.as_deref().map(Safe::word),
            left,
        }
    }
}

/// The pauses in force.
pub fn pauses(view: &View) -> Vec<Pause> {
    view.pauses
        .iter()
        .map(|pause| Pause::seen(pause, view.at))
        .collect()
}

impl Finding {
    fn seen(
        verdict: &Verdict,
        gates: &[GateReading],
        incident: Option<&IncidentView>,
        now: Mono,
    ) -> Self {
        // What a person said is in force before the next verdict says so.
        let snooze = incident.and_then(|incident| incident.snoozed);
        let snooze = snooze.filter(|snooze| now < snooze.until);
        let mut finding = Self {
            verdict: Safe::word(verdict.word()),
            paused: None,
            snoozed: snooze.map(|snooze| Snooze {
                by: snooze.by.0,
                left: seconds(snooze.until.since(now)),
            }),
            exception: None,
            minded: None,
            when: gates.iter().map(Gate::from).collect(),
        };
        match verdict {
            Verdict::Exempt(Exemption::Paused { until, by }) => {
                let (by, until) = (*by, *until);
                let pause = PauseView {
                    by,
                    rule: None,
                    until,
                };
                finding.paused = Some(Pause::seen(&pause, now));
            }
            Verdict::Exempt(Exemption::Allowed { number, .. }) => {
                finding.exception = Some(*number);
            }
            Verdict::Exempt(Exemption::Minded { incident, rule }) => {
                finding.minded = Some(Elsewhere {
                    incident: incident.0,
                    rule: Safe::word(rule),
                });
            }
            Verdict::Exempt(Exemption::Snoozed { .. } | Exemption::Closed)
            | Verdict::Clear
            | Verdict::Breaching
            | Verdict::Sustained
            | Verdict::Unknown => {}
        }
        finding
    }
}

impl From<&GateReading> for Gate {
    fn from(reading: &GateReading) -> Self {
        Self {
            gate: Safe::word(reading.gate.word()),
            opens: Safe::word(&reading.gate.to_string()),
            now: reading.now.map(|now| Safe::word(&now.to_string())),
            stands: Safe::word(reading.stands.word()),
            because: match reading.stands {
                Stands::Unknown(lack) => Some(Safe::word(&lack.to_string())),
                Stands::Open | Stands::Closed => None,
            },
        }
    }
}

impl Judged {
    fn seen(view: &UnitView, now: Mono) -> Self {
        Self {
            subject: Subject::from(&view.evidence),
            finding: Finding::seen(&view.verdict, &view.gates, view.incident.as_ref(), now),
            nearness: Duration::from_millis(view.nearness).as_secs_f64(),
            incident: view
                .incident
                .as_ref()
                .map(|incident| Incident::seen(incident, now)),
            evidence: Evidence::from(&view.evidence),
        }
    }
}

impl From<&RuleView> for Rule {
    fn from(view: &RuleView) -> Self {
        let origin = match &view.origin {
            Origin::Builtin { pack } => format!("built-in {pack}"),
            Origin::File { path, line } => format!("{path}:{line}"),
        };
        Self {
            name: Safe::word(&view.name),
            about: view.about.as_deref().map(Safe::word),
            origin: Safe::word(&origin),
            mode: Safe::word(view.mode.word()),
            scope: Safe::word(&view.scope.word()),
            units: view.units,
            when: view.gates.iter().map(Gate::from).collect(),
        }
    }
}

impl Status {
    /// What the judge sees, with what the daemon knows of itself.
    pub fn seen(view: &View, daemon: Daemon) -> Self {
        Self {
            daemon,
            mode: Safe::word(view.mode.word()),
            tier: Safe::word(view.tier.word()),
            gaps: view.gaps,
            processes: view.processes,
            pending: view.pending,
            rules: view.rules.iter().map(Rule::from).collect(),
            units: view.units.len(),
            incidents: view
                .units
                .iter()
                .filter(|unit| unit.incident.is_some())
                .map(|unit| Judged::seen(unit, view.at))
                .collect(),
            pauses: view
                .pauses
                .iter()
                .map(|pause| Pause::seen(pause, view.at))
                .collect(),
            heartbeats: Heartbeats::seen(view),
        }
    }
}

impl From<&View> for Ps {
    fn from(view: &View) -> Self {
        Self {
            units: view
                .units
                .iter()
                .map(|unit| Judged::seen(unit, view.at))
                .collect(),
            more: 0,
        }
    }
}

impl Why {
    /// The explanation, as seen at `now`.
    pub fn seen(explanation: &Explanation, now: Mono) -> Self {
        let above = |(pid, name): &(_, Text)| Above {
            pid: Pid::number(*pid),
            program: Safe::from(name),
        };
        Self {
            pid: explanation.pid.number(),
            key: explanation.key.map(|key| Safe::word(&key.to_string())),
            program: explanation.program.as_ref().map(Safe::from),
            command: explanation.command.as_ref().map(Safe::from),
            owner: explanation.owner.map(|Uid(id)| id),
            audience: explanation.audience.map(|Uid(id)| id),
            above: explanation.above.iter().map(above).collect(),
            standing: explanation.standing.as_deref().map(Safe::word),
            rules: explanation
                .rules
                .iter()
                .map(|rule| RuleWhy::seen(rule, now))
                .collect(),
            notes: explanation
                .notes
                .iter()
                .map(|(name, note)| ((*name).to_owned(), Safe::word(note)))
                .collect(),
        }
    }
}

impl RuleWhy {
    fn seen(rule: &RuleExplanation, now: Mono) -> Self {
        let relation = match &rule.relation {
            Standing::Member {
                unit,
                label,
                root,
                verdict,
                gates,
                readings,
                peers,
                progress,
                manner,
                soonest,
                incident,
            } => Relation::Member {
                scope: scope(*unit, label.as_ref()),
                label: label.as_ref().map(Safe::from),
                root: unit.root().pid().number(),
                key: Safe::word(&unit.root().to_string()),
                program: Safe::from(root),
                finding: Box::new(Finding::seen(verdict, gates, incident.as_deref(), now)),
                readings: readings.iter().map(Reading::from).collect(),
                peers: peers.as_deref().map(|peers| Box::new(Peers::from(peers))),
                progress: progress.as_deref().map(|it| Box::new(Progress::from(it))),
                manner: manner.as_deref().map(|it| Box::new(Manner::from(it))),
                soonest: soonest.map(|at| seconds(at.since(now))),
                incident: incident
                    .as_ref()
                    .map(|incident| Box::new(Incident::seen(incident, now))),
            },
            Standing::Barred(why) => Relation::Barred {
                because: Safe::word(why),
            },
            Standing::Unmatched(why) => Relation::Unmatched {
                because: Safe::word(why),
            },
            Standing::Pending(what) => Relation::Pending {
                because: Safe::word(what),
            },
        };
        Self {
            rule: Safe::word(&rule.rule),
            mode: Safe::word(rule.mode.word()),
            relation,
        }
    }
}
