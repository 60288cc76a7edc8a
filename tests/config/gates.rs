//! Gates: what `when` means.

use beadle::engine::gate::{Gate, Hours, Load, Power};
use beadle::engine::rule::Origin;
use beadle::engine::units::Hundredths;

use super::{load, rule};

#[test]
fn they_mean_what_they_say() {
    let gates = |when: &str| {
        let text = format!(
            "version: 1\nbuiltin: none\nrules: [{{ name: a, match: {{ program: a }}, limits: {{ age: 1h }}, {when} }}]\n"
        );
        rule(
            &load(&text).unwrap_or_else(|refusal| panic!("{refusal}")),
            "a",
        )
        .gates
        .clone()
    };
    let part = |from, until| Hours { from, until };
    assert_eq!(gates("about: always"), []);
    assert_eq!(
        gates("when: { between: 22:00-06:00 }"),
        [Gate::Between(vec![part(1320, 360)])]
    );
    assert_eq!(
        gates("when: { between: [ \"22:00-24:00\", \"1:30-6:00\" ], on_battery: false }"),
        [
            Gate::Between(vec![part(1320, 1440), part(90, 360)]),
            Gate::OnBattery(Power::Mains)
        ]
    );
    for (eight, ten) in [("8", "10%"), ("{ above: 8 }", "{ above: 10.0% }")] {
        assert_eq!(
            gates(&format!(
                "when: {{ load: {eight}, memory_pressure: {ten} }}"
            )),
            [
                Gate::Load(Load::All(Hundredths(800))),
                Gate::MemoryPressure(Hundredths(1000))
            ]
        );
    }
    assert_eq!(
        gates("when: { load: 150% }"),
        [Gate::Load(Load::PerProcessor(Hundredths(15_000)))]
    );
}

#[test]
fn they_are_defaults_of_ones_own_rules() {
    let text = "version: 1
defaults: { when: { on_battery: true } }
rules:
  - { name: a, match: { program: a }, limits: { age: 1h } }
  - { name: b, match: { program: b }, limits: { age: 1h }, when: { load: 8 } }
";
    let loaded = load(text).unwrap();
    assert_eq!(rule(&loaded, "a").gates, [Gate::OnBattery(Power::Battery)]);
    assert_eq!(
        rule(&loaded, "b").gates,
        [Gate::Load(Load::All(Hundredths(800)))]
    );
    let built_in = loaded
        .rules
        .rules
        .iter()
        .filter(|rule| matches!(rule.origin, Origin::Builtin { .. }));
    assert!(built_in.clone().count() > 0);
    assert!(built_in.clone().all(|rule| rule.gates.is_empty()));
}
