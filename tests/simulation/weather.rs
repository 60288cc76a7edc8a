//! What gates ask for: rules that have some, and a machine on which it changes.

use std::time::Duration;

use beadle::engine::gate::{Gate, Hours, Load, Power, Sensed, Vitals};
use beadle::engine::rule::Rule;
use beadle::engine::units::{Hundredths, Mono};

use super::story::Trouble;
use crate::world::chance::Chance;

/// The local time at which every story begins: a minute before midnight.
pub const WALL: Duration = Duration::from_secs(86_400 - 60);

/// The load, and the percentage of pressure, above which gates are open.
const ABOVE: Hundredths = Hundredths(500);

/// Gives some rules gates, in some worlds; whether in this.
pub fn gate(rules: &mut [Rule], chance: &mut Chance) -> bool {
    if !chance.permille(400) {
        return false;
    }
    for rule in rules {
        for _ in 0..chance.one_of(&[0, 0, 1, 1, 1, 2]) {
            rule.gates.push(any(chance));
        }
        // Long enough for a gate to close in the midst of it.
        if !rule.gates.is_empty() && chance.permille(500) {
            for stage in rule.ladder.iter_mut().skip(1) {
                stage.after += Duration::from_secs(chance.within(10, 20));
            }
        }
    }
    true
}

fn any(chance: &mut Chance) -> Gate {
    let part = |from, until| Gate::Between(vec![Hours { from, until }]);
    match chance.within(0, 6) {
        0 => part(0, 1),
        1 => part(23 * 60, 1440),
        2 => part(1, 6 * 60),
        3 => Gate::OnBattery(chance.one_of(&[Power::Battery, Power::Mains])),
        4 => Gate::MemoryPressure(ABOVE),
        _ => Gate::Load(Load::All(ABOVE)),
    }
}

/// How it changes, from the beginning on.
pub fn weather(chance: &mut Chance, start: Mono, length: u64) -> Vec<(Mono, Trouble)> {
    let mut changes = Vec::new();
    let mut at = start;
    while at < start.after(Duration::from_secs(length)) {
        changes.push((at, Trouble::Weather(vitals(chance))));
        // Sometimes it flaps.
        let most = chance.one_of(&[3_000, 30_000, 60_000]);
        at = at.after(Duration::from_millis(chance.within(100, most)));
    }
    changes
}

fn vitals(chance: &mut Chance) -> Vitals {
    let mut figure = || match chance.within(0, 9) {
        0 => Sensed::Unread,
        1 => Sensed::Known(ABOVE),
        2..=4 => Sensed::Known(Hundredths(7)),
        _ => Sensed::Known(Hundredths(ABOVE.0 + 1)),
    };
    Vitals {
        load: figure(),
        memory_pressure: figure(),
        power: chance.one_of(&[
            Sensed::Known(Power::Battery),
            Sensed::Known(Power::Mains),
            Sensed::Known(Power::Mains),
            Sensed::Absent,
        ]),
    }
}
