//! One of everything there is to see.

use super::fixtures::{cpu_time, evidence, key, memory, over};
use crate::engine::decision::{IncidentView, PauseView, Rest, RuleView, UnitView, View};
use crate::engine::evidence::{Exemption, Finding, IncidentId, Reading, Verdict};
use crate::engine::gate::{Gate, GateReading, Hours, Load, Power, Sensed, Vitals};
use crate::engine::heartbeat::Heard;
use crate::engine::process::Uid;
use crate::engine::rule::{Mode, Origin, Scope, Signal, StageAct, To};
use crate::engine::snapshot::Machine;
use crate::engine::units::{Hundredths, Mono, Tier};

pub(super) fn incident(next: Option<(Signal, u64)>, rests: Option<Rest>) -> IncidentView {
    IncidentView {
        id: IncidentId(3),
        since: Mono::from_secs(4_990),
        stage: "nudged".to_owned(),
        next: next.map(|(signal, at)| {
            let act = StageAct::Signal(signal, To::Tree);
            (act, Mono::from_secs(at))
        }),
        rests,
        bidden: None,
        snoozed: None,
    }
}

pub(super) fn unit(
    readings: Vec<Reading>,
    verdict: Verdict,
    incident: Option<IncidentView>,
) -> UnitView {
    let evidence = evidence(readings);
    UnitView {
        nearness: crate::engine::decision::nearness(&evidence.readings),
        evidence,
        verdict,
        gates: vec![],
        incident,
        members: vec![key(4711), key(4712), key(4715)],
    }
}

/// A gate of each kind: open, closed, and not known.
pub(super) fn gates() -> Vec<GateReading> {
    let machine = Machine {
        local_minute: 14 * 60 + 5,
        cores: 4,
        vitals: Vitals {
            load: Sensed::Known(Hundredths(850)),
            memory_pressure: Sensed::Absent,
            power: Sensed::Known(Power::Mains),
        },
        ..Machine::default()
    };
    let night = Hours {
        from: 22 * 60,
        until: 6 * 60,
    };
    [
        Gate::Between(vec![night]),
        Gate::OnBattery(Power::Battery),
        Gate::Load(Load::PerProcessor(Hundredths(20_000))),
        Gate::MemoryPressure(Hundredths(1_000)),
    ]
    .iter()
    .map(|gate| gate.read(&machine))
    .collect()
}

/// One whose rule waits.
fn behind_gates() -> UnitView {
    let open = Some(incident(Some((Signal::Term, 5_002)), None));
    UnitView {
        gates: gates(),
        ..unit(over().readings, Verdict::Exempt(Exemption::Closed), open)
    }
}

pub(super) fn view() -> View {
    let rule = |name: &str, origin, gates| RuleView {
        name: name.into(),
        about: Some(format!("what {name} is for")),
        origin,
        mode: Mode::Enforce,
        scope: Scope::Tree,
        units: 2,
        gates,
    };
    let file = Origin::File {
        path: "/etc/beadle/beadle.yaml".into(),
        line: 4,
    };
    let paused = Verdict::Exempt(Exemption::Paused {
        until: Mono::NEVER,
        by: Uid(1000),
    });
    let rests = Some(Rest::Mode(Mode::Nudge));
    View {
        at: Mono::from_secs(5_000),
        tier: Tier::Events,
        gaps: 2,
        processes: 1_234,
        pending: 5,
        mode: Mode::Enforce,
        rules: vec![
            rule("pytest", file, gates()),
            rule("browsers", Origin::Builtin { pack: "browsers" }, vec![]),
        ],
        units: vec![
            unit(
                over().readings,
                Verdict::Sustained,
                Some(incident(Some((Signal::Term, 5_002)), None)),
            ),
            unit(
                over().readings,
                Verdict::Sustained,
                Some(incident(None, rests)),
            ),
            unit(
                vec![
                    memory(7_000, 8_192, 30, 0, Finding::Clear),
                    cpu_time(1_000, 8, Finding::Clear),
                ],
                paused,
                Some(incident(Some((Signal::Term, 5_002)), None)),
            ),
            unit(vec![], Verdict::Unknown, None),
            behind_gates(),
        ],
        pauses: vec![
            PauseView {
                by: Uid(1000),
                rule: Some("pytest".into()),
                until: Mono::from_secs(6_800),
            },
            PauseView {
                by: Uid(0),
                rule: None,
                until: Mono::NEVER,
            },
        ],
        beats: Heard {
            taken: 1_200,
            strangers: 5,
            others: 3,
            dropped: 2,
        },
    }
}
