//! `when`: what must be so of the machine for a rule to be judged.

use crate::config::quantity::{Misread, refuse_sign, single, thousandths};
use crate::config::reader::Reader;
use crate::config::table::{Key, Shape, Table};
use crate::config::yaml::{Entry, Node, Value};
use crate::engine::gate::{Gate, Hours, Load, Power};
use crate::engine::units::Hundredths;

/// Minutes of a day.
const DAY: u16 = 1440;

/// `when` as far as read.
#[derive(Default)]
pub(in crate::config) struct GatesDraft {
    gates: Vec<Gate>,
}

/// One gate that is written as a map.
pub(in crate::config) struct GateDraft<T> {
    above: Option<T>,
}

/// The keys of `when`.
pub(in crate::config) static WHEN: Table<GatesDraft> = Table {
    name: "when",
    what: "`when`",
    keys: &[
        Key::sets(
            "between",
            "Local time of day: `22:00-06:00`, or a list of such, any of which is enough.",
            Shape::Hours,
            |draft, entry, reader| {
                let parts = reader.each(&entry.node, "a part of the day such as `22:00-06:00`");
                let read = parts.iter().map(|part| {
                    reader.quantity(part, "a part of the day such as `22:00-06:00`", hours)
                });
                if let Some(hours) = read.collect::<Option<Vec<Hours>>>()
                    && !hours.is_empty()
                {
                    draft.gates.push(Gate::Between(hours));
                }
            },
        ),
        Key::sets(
            "on_battery",
            "Whether the machine must run on battery, or must not.",
            Shape::Flag,
            |draft, entry, reader| {
                if let Some(on) = reader.flag(&entry.node) {
                    let power = if on { Power::Battery } else { Power::Mains };
                    draft.gates.push(Gate::OnBattery(power));
                }
            },
        ),
        Key::sets(
            "load",
            "The one-minute load average must be above this: `8`, or `200%` of the number of processors.",
            Shape::Short(&Shape::Load, "load-gate"),
            |draft, entry, reader| {
                let above = LOAD.read_gate(&entry.node, load, reader);
                draft.gates.extend(above.map(Gate::Load));
            },
        ),
        Key::sets(
            "memory_pressure",
            "Some process must have waited for memory for more than this part of the last 10 s: `10%`, the `some avg10` of \
             /proc/pressure/memory.",
            Shape::Short(&Shape::Percent, "pressure-gate"),
            |draft, entry, reader| {
                let above = PRESSURE.read_gate(&entry.node, share, reader);
                draft.gates.extend(above.map(Gate::MemoryPressure));
            },
        ),
    ],
    foreign: &[
        ("time", "did you mean `between: \"22:00-06:00\"`?"),
        ("hours", "did you mean `between: \"22:00-06:00\"`?"),
        ("battery", "did you mean `on_battery`?"),
        ("on_ac", "did you mean `on_battery: false`?"),
        ("pressure", "did you mean `memory_pressure`?"),
        ("psi", "did you mean `memory_pressure`?"),
        ("loadavg", "did you mean `load`?"),
        ("above", "`above` belongs to one gate: `load: { above: 8 }`"),
    ],
};

/// The keys of `load`.
pub(in crate::config) static LOAD: Table<GateDraft<Load>> = Table {
    name: "load-gate",
    what: "`load`",
    keys: &[above(Shape::Load, |draft, entry, reader| {
        draft.above = reader.quantity(&entry.node, "a load such as `8`", load);
    })],
    foreign: FOREIGN,
};

/// The keys of `memory_pressure`.
pub(in crate::config) static PRESSURE: Table<GateDraft<Hundredths>> = Table {
    name: "pressure-gate",
    what: "`memory_pressure`",
    keys: &[above(Shape::Percent, |draft, entry, reader| {
        draft.above = reader.quantity(&entry.node, "a share such as `10%`", share);
    })],
    foreign: FOREIGN,
};

/// Words that people bring to a gate from a limit.
const FOREIGN: &[(&str, &str)] = &[
    ("for", "a gate is open at once; `for` belongs to a limit"),
    ("below", "a gate is open above its threshold"),
];

const fn above<T>(
    shape: Shape,
    set: fn(&mut GateDraft<T>, &Entry, &mut Reader<'_>),
) -> Key<GateDraft<T>> {
    Key::sets("above", "Open means more than this.", shape, set)
}

impl<T> Table<GateDraft<T>> {
    /// Reads a plain value, or the map that it is short for.
    fn read_gate(
        &self,
        node: &Node,
        parse: fn(&str) -> Result<T, Misread>,
        reader: &mut Reader<'_>,
    ) -> Option<T> {
        match &node.value {
            Value::Map(_) => {
                let mut draft = GateDraft { above: None };
                let given = self.read(node, &mut draft, reader);
                if !given.contains(&"above") {
                    reader.refuse(node.span, "a gate without a threshold", "add `above:`");
                }
                draft.above
            }
            Value::Null | Value::Text(_) | Value::List(_) | Value::Broken => {
                reader.quantity(node, "a threshold", parse)
            }
        }
    }
}

/// Decodes `when`; `None` when any of it is wrong, so that nothing is concluded from the rest.
pub(super) fn read(entry: &Entry, reader: &mut Reader<'_>) -> Option<Vec<Gate>> {
    let before = reader.trouble();
    let mut draft = GatesDraft::default();
    WHEN.read(&entry.node, &mut draft, reader);
    if draft.gates.is_empty() && reader.trouble() == before {
        let expected = "add one, such as `between: \"22:00-06:00\"`, or take it out";
        reader.refuse(entry.at, "`when` without a gate", expected);
    }
    (reader.trouble() == before).then_some(draft.gates)
}

/// `22:00-06:00`
fn hours(text: &str) -> Result<Hours, Misread> {
    const EXPECTED: &str = "expected a part of the day such as `22:00-06:00`";
    let wrong = |message: &str| Misread::new(message, EXPECTED);
    if text.contains(['–', '—', '…']) || text.contains("..") || text.contains(" to ") {
        return Err(Misread::new(
            "not a part of the day",
            "put a plain hyphen between the two times: `22:00-06:00`",
        ));
    }
    let (from, until) = text
        .split_once('-')
        .ok_or_else(|| wrong("not a part of the day"))?;
    let hours = Hours {
        from: minute(from.trim())?,
        until: minute(until.trim())?,
    };
    match hours {
        Hours { from: DAY, .. } => {
            Err(wrong("a part of the day begins at `00:00` at the earliest"))
        }
        Hours {
            from: 0,
            until: DAY,
        } => Err(Misread::new(
            "that is the whole day",
            "without `between` the rule is always judged",
        )),
        Hours { from, until } if from == until => Err(wrong("it ends when it begins")),
        // Midnight as an end is that of the day.
        Hours { from, until: 0 } => Ok(Hours { from, until: DAY }),
        hours => Ok(hours),
    }
}

/// `06:05`, in minutes; `24:00` is the end of the day.
fn minute(text: &str) -> Result<u16, Misread> {
    let digits = |part: &str, most: usize| {
        let sound = !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
        (sound && part.len() <= most).then(|| part.parse::<u16>().ok())?
    };
    let Some((hour, minute)) = text.split_once(':') else {
        let expected = match digits(text, 2) {
            Some(hour @ 0..=24) => format!("did you mean `{hour:02}:00`?"),
            Some(_) | None => "expected hours and minutes, as `22:00`".to_owned(),
        };
        return Err(Misread::new("not a time of day", expected));
    };
    match (
        digits(hour, 2),
        digits(minute, 2).filter(|_| minute.len() == 2),
    ) {
        (Some(hour @ 0..24), Some(minute @ 0..60)) => Ok(hour * 60 + minute),
        (Some(24), Some(0)) => Ok(DAY),
        _ => Err(Misread::new(
            "not a time of day",
            "expected `00:00` to `23:59`, or `24:00` as an end",
        )),
    }
}

/// `8`, `0.75`, `200%` of the number of processors.
fn load(text: &str) -> Result<Load, Misread> {
    const EXPECTED: &str = "expected a load such as `8`, or `200%` of the number of processors";
    refuse_sign(text, "a load", EXPECTED)?;
    let (number, unit) = single(text).ok_or_else(|| Misread::new("not a load", EXPECTED))?;
    let make = match unit {
        "" => Load::All,
        "%" => Load::PerProcessor,
        _ => return Err(Misread::new("a load has no unit", EXPECTED)),
    };
    match places(number) {
        Some(Hundredths(0)) => Err(Misread::new("a load must be more than nothing", EXPECTED)),
        Some(above @ Hundredths(..=100_000_000)) => Ok(make(above)),
        Some(_) => Err(Misread::new("more than any machine has", EXPECTED)),
        None => Err(Misread::new(
            "not a number with two places at most",
            EXPECTED,
        )),
    }
}

/// `10%`, `0.5%`.
fn share(text: &str) -> Result<Hundredths, Misread> {
    const EXPECTED: &str = "expected a share of time such as `10%`";
    refuse_sign(text, "a share of time", EXPECTED)?;
    let (number, unit) = single(text).ok_or_else(|| Misread::new("not a share", EXPECTED))?;
    match unit {
        "%" => {}
        "" => {
            let expected = format!("write `{number}%`");
            return Err(Misread::new("a share without its unit", expected));
        }
        _ => return Err(Misread::new("not a unit of a share", EXPECTED)),
    }
    match places(number) {
        Some(above @ Hundredths(1..10_000)) => Ok(above),
        Some(_) => Err(Misread::new(
            "never, or always",
            "expected more than `0%` and less than `100%`",
        )),
        None => Err(Misread::new(
            "not a number with two places at most",
            EXPECTED,
        )),
    }
}

/// A decimal number with at most two places.
fn places(number: &str) -> Option<Hundredths> {
    let thousandths = thousandths(number)?;
    let hundredths = (thousandths % 10 == 0).then_some(thousandths / 10)?;
    u64::try_from(hundredths).ok().map(Hundredths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::quantity::tests::told;

    #[test]
    fn parts_of_the_day() {
        for (text, from, until) in [
            ("22:00-06:00", 1320, 360),
            ("9:05 - 17:00", 545, 1020),
            ("18:00-24:00", 1080, 1440),
            ("18:00-00:00", 1080, 1440),
            ("00:00-23:59", 0, 1439),
        ] {
            assert_eq!(hours(text), Ok(Hours { from, until }), "{text}");
        }
        for (text, part) in [
            ("", "not a part of the day"),
            ("22:00", "not a part of the day"),
            ("22:00–06:00", "a plain hyphen"),
            ("22:00..06:00", "a plain hyphen"),
            ("22:00 to 06:00", "a plain hyphen"),
            ("22-6", "did you mean `22:00`?"),
            ("10pm-6am", "hours and minutes"),
            ("25:00-06:00", "`00:00` to `23:59`"),
            ("22:60-06:00", "`00:00` to `23:59`"),
            ("22:5-06:00", "`00:00` to `23:59`"),
            ("24:01-06:00", "`00:00` to `23:59`"),
            ("24:00-06:00", "at the earliest"),
            ("06:00-06:00", "ends when it begins"),
            ("00:00-24:00", "the whole day"),
            ("00:00-00:00", "ends when it begins"),
            ("22:00-06:00-08:00", "`00:00` to `23:59`"),
            ("+1:00-06:00", "`00:00` to `23:59`"),
        ] {
            let told = told(hours(text));
            assert!(told.contains(part), "{text}: {told}");
        }
    }

    #[test]
    fn loads_and_shares() {
        assert_eq!(load("8"), Ok(Load::All(Hundredths(800))));
        assert_eq!(load("0.75"), Ok(Load::All(Hundredths(75))));
        assert_eq!(load("200%"), Ok(Load::PerProcessor(Hundredths(20_000))));
        for (text, part) in [
            ("0", "more than nothing"),
            ("-1", "negative"),
            ("8 cores", "no unit"),
            ("1.005", "two places"),
            ("high", "not a load"),
            ("99999999999", "any machine"),
        ] {
            let told = told(load(text));
            assert!(told.contains(part), "{text}: {told}");
        }
        assert_eq!(share("10%"), Ok(Hundredths(1000)));
        assert_eq!(share("0.5 %"), Ok(Hundredths(50)));
        for (text, part) in [
            ("10", "write `10%`"),
            ("0%", "never, or always"),
            ("100%", "never, or always"),
            ("-1%", "negative"),
            ("10ms", "not a unit"),
            ("lots", "not a share"),
        ] {
            let told = told(share(text));
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}
