//! Durations, sizes, shares of processors and counts, as rules write them.
//!
//! **Invariants.** A number has a unit, and each unit has one meaning: `M` is never minutes and never 1000². What is
//! doubtful is refused with the spelling that is not.

use std::time::Duration;

use crate::engine::rule::Amount;
use crate::engine::units::{Bytes, Millicores, PerSecond};

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misread {
    /// What is wrong.
    pub(super) message: String,
    /// What was expected.
    pub(super) expected: String,
}

impl Misread {
    pub(super) fn new(message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            expected: expected.into(),
        }
    }
}

/// A hundred years: more is a slip of the hand.
const LONGEST: u64 = 100 * 365 * 86_400;

/// `500ms`, `45s`, `30m`, `1h30m`, `2d`: whole numbers, more than nothing.
pub(super) fn duration(text: &str) -> Result<Duration, Misread> {
    const EXPECTED: &str = "expected a duration such as `500ms`, `45s`, `30m`, `1h30m` or `2d`";
    refuse_sign(text, "a duration", EXPECTED)?;
    let mut total = Duration::ZERO;
    let mut smallest = u64::MAX;
    for (number, unit) in parts(text).ok_or_else(|| Misread::new("not a duration", EXPECTED))? {
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => {
                return Err(Misread::new(
                    "a duration without a unit",
                    format!("write `{number}s`, `{number}m` or `{number}h`"),
                ));
            }
            unit => return Err(foreign_time(number, unit, EXPECTED)),
        };
        if millis >= smallest {
            let expected = "write the larger unit first, each once: `1h30m`";
            return Err(Misread::new(
                "the units of a duration are out of order",
                expected,
            ));
        }
        smallest = millis;
        let number: u64 = number.parse().map_err(|_| {
            let message = "the numbers of a duration are whole";
            Misread::new(message, "write `1h30m` rather than `1.5h`")
        })?;
        total = total.saturating_add(Duration::from_millis(number.saturating_mul(millis)));
    }
    match total.as_secs() {
        0 if total.is_zero() => Err(Misread::new(
            "a duration must be more than nothing",
            EXPECTED,
        )),
        0..=LONGEST => Ok(total),
        _ => Err(Misread::new("longer than a hundred years", EXPECTED)),
    }
}

fn foreign_time(number: &str, unit: &str, expected: &str) -> Misread {
    let known = match unit {
        "M" => {
            let message = "`M` is no unit of time";
            return Misread::new(message, format!("minutes are `m`: `{number}m`"));
        }
        "S" | "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "H" | "hr" | "hrs" | "hour" | "hours" => "h",
        "D" | "day" | "days" => "d",
        "msec" | "millis" | "milliseconds" => "ms",
        "w" | "week" | "weeks" => {
            return Misread::new("the largest unit of time is the day", "a week is `7d`");
        }
        _ => return Misread::new("not a unit of time", expected),
    };
    Misread::new(
        "not a unit of time",
        format!("did you mean `{number}{known}`?"),
    )
}

/// `8GiB`, `512M`, `1.5G`: 1024-based.
pub(super) fn size(text: &str) -> Result<Bytes, Misread> {
    const EXPECTED: &str = "expected a size such as `512M`, `8GiB` or `1.5G`";
    refuse_sign(text, "a size", EXPECTED)?;
    let (number, unit) = single(text).ok_or_else(|| Misread::new("not a size", EXPECTED))?;
    let shift = match unit {
        "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        "" => {
            return Err(Misread::new(
                "a size without a unit",
                format!("write `{number}M` or `{number}GiB`"),
            ));
        }
        unit => {
            let letter: String = unit.chars().take(1).collect::<String>().to_uppercase();
            let expected = match &*letter {
                "K" | "M" | "G" | "T" => format!("did you mean `{number}{letter}iB`?"),
                _ => EXPECTED.to_owned(),
            };
            return Err(Misread::new("not a unit of size here", expected));
        }
    };
    let bytes = thousandths(number)
        .and_then(|n| n.checked_mul(1 << shift))
        .and_then(|n| u64::try_from(n / 1000).ok());
    match bytes {
        Some(0) => Err(Misread::new("a size must be more than nothing", EXPECTED)),
        Some(bytes) => Ok(Bytes(bytes)),
        None => Err(Misread::new("not a size", EXPECTED)),
    }
}

/// A [`size`], or `50%` of the machine.
pub(super) fn memory(text: &str) -> Result<Amount, Misread> {
    let Some(number) = text.strip_suffix('%') else {
        return size(text).map(Amount::Bytes);
    };
    match number.trim_end().parse() {
        Ok(percent @ 1..=100) => Ok(Amount::Percent(percent)),
        Ok(_) | Err(_) => Err(Misread::new(
            "not a share of the machine's memory",
            "expected a whole number from `1%` to `100%`",
        )),
    }
}

/// `90%` of one core, `4 cores`, `1.5 cores`.
pub(super) fn cpu(text: &str) -> Result<Millicores, Misread> {
    const EXPECTED: &str = "expected `90%` (of one core) or `4 cores`";
    refuse_sign(text, "processor use", EXPECTED)?;
    let (number, unit) = single(text).ok_or_else(|| Misread::new("not processor use", EXPECTED))?;
    let thousandths = thousandths(number).ok_or_else(|| Misread::new("not a number", EXPECTED))?;
    let millicores = match unit {
        "%" => thousandths / 100,
        "core" | "cores" => thousandths,
        "" => {
            return Err(Misread::new(
                "processor use without a unit",
                format!("write `{number}%` of one core, or `{number} cores`"),
            ));
        }
        _ => return Err(Misread::new("not a unit of processor use", EXPECTED)),
    };
    match u64::try_from(millicores) {
        Ok(0) => Err(Misread::new(
            "processor use must be more than nothing",
            EXPECTED,
        )),
        Ok(n @ 1..=1_000_000_000) => Ok(Millicores(n)),
        Ok(_) | Err(_) => Err(Misread::new("more cores than any machine has", EXPECTED)),
    }
}

/// `200/s`, `30/m`, `5/h`.
pub(super) fn pace(text: &str) -> Result<PerSecond, Misread> {
    const EXPECTED: &str = "expected a pace such as `200/s` or `30/m`";
    refuse_sign(text, "a pace", EXPECTED)?;
    let (number, unit) = single(text).ok_or_else(|| Misread::new("not a pace", EXPECTED))?;
    let thousandths = thousandths(number).ok_or_else(|| Misread::new("not a number", EXPECTED))?;
    let seconds = match unit {
        "/s" => 1,
        "/m" => 60,
        "/h" => 3600,
        "" => {
            return Err(Misread::new(
                "a pace without a unit of time",
                format!("write `{number}/s` or `{number}/m`"),
            ));
        }
        "/sec" | "/second" | "ps" => {
            return Err(Misread::new(
                "not a unit of time",
                format!("did you mean `{number}/s`?"),
            ));
        }
        "/min" | "/minute" | "/M" => {
            return Err(Misread::new(
                "not a unit of time",
                format!("did you mean `{number}/m`?"),
            ));
        }
        _ => return Err(Misread::new("not a pace", EXPECTED)),
    };
    match u64::try_from(thousandths / seconds) {
        Ok(0) => Err(Misread::new("slower than can be measured", EXPECTED)),
        Ok(pace) => Ok(PerSecond(pace)),
        Err(_) => Err(Misread::new("faster than any machine", EXPECTED)),
    }
}

/// `100`.
pub(super) fn count(text: &str) -> Result<u64, Misread> {
    const EXPECTED: &str = "expected a whole number such as `100`";
    refuse_sign(text, "a count", EXPECTED)?;
    match text.parse() {
        Ok(count) => Ok(count),
        Err(_) => Err(Misread::new("not a count", EXPECTED)),
    }
}

pub(super) fn refuse_sign(text: &str, what: &str, expected: &str) -> Result<(), Misread> {
    if text.starts_with('-') {
        return Err(Misread::new(format!("{what} cannot be negative"), expected));
    }
    Ok(())
}

/// Numbers with their units: `1h 30m` → `1 h`, `30 m`. `None` when it does not begin with a number.
fn parts(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = text.trim();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, after) = rest.split_at(number.unwrap_or(rest.len()));
        let after = after.trim_start();
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
        let (unit, after) = after.split_at(unit.unwrap_or(after.len()));
        if number.is_empty() {
            return None;
        }
        parts.push((number, unit));
        rest = after.trim_start();
    }
    (!parts.is_empty()).then_some(parts)
}

pub(super) fn single(text: &str) -> Option<(&str, &str)> {
    match parts(text)?.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

/// A decimal number with at most three places, in thousandths.
pub(super) fn thousandths(number: &str) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let places = u32::try_from(fraction.len())
        .ok()
        .filter(|n| (1..=3).contains(n))?;
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = fraction.parse().ok()?;
    Some(u128::from(whole) * 1000 + u128::from(fraction) * 10_u128.pow(3 - places))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::config) fn told<T: std::fmt::Debug>(read: Result<T, Misread>) -> String {
        let Misread { message, expected } = read.unwrap_err();
        format!("{message}: {expected}")
    }

    #[test]
    fn paces() {
        for (text, thousandths) in [
            ("200/s", 200_000),
            ("1.5/s", 1500),
            ("30/m", 500),
            ("90 /h", 25),
        ] {
            assert_eq!(pace(text), Ok(PerSecond(thousandths)), "{text}");
        }
        for (text, part) in [
            ("200", "write `200/s`"),
            ("200/sec", "did you mean `200/s`?"),
            ("200/M", "did you mean `200/m`?"),
            ("-1/s", "cannot be negative"),
            ("1/h", "slower than can be measured"),
            ("fast", "not a pace"),
            ("99999999999999999999/s", "not a number"),
        ] {
            let told = told(pace(text));
            assert!(told.contains(part), "{text}: {told}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("500ms", 500),
            ("45s", 45_000),
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("30 m", 1_800_000),
            ("2d", 172_800_000),
            ("90m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, part) in [
            ("30", "without a unit: write `30s`"),
            ("30M", "minutes are `m`: `30m`"),
            ("1M", "`M` is no unit of time"),
            ("5min", "did you mean `5m`?"),
            ("2H", "did you mean `2h`?"),
            ("1w", "a week is `7d`"),
            ("3y", "not a unit of time"),
            ("-5m", "cannot be negative"),
            ("0s", "more than nothing"),
            ("0h0m", "more than nothing"),
            ("30m1h", "out of order"),
            ("1h1h", "out of order"),
            ("1.5h", "whole"),
            ("1h30", "without a unit"),
            ("", "not a duration"),
            ("soon", "not a duration"),
            ("m30", "not a duration"),
            ("99999999999999999999h", "whole"),
            ("9999999999999999999h", "hundred years"),
            ("1000000d", "hundred years"),
            ("½h", "not a duration"),
        ] {
            let told = told(duration(text));
            assert!(told.contains(part), "{text}: {told}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512M", 512 << 20),
            ("8GiB", 8 << 30),
            ("8 GiB", 8 << 30),
            ("1.5G", 3 << 29),
            ("0.001K", 1),
            ("10B", 10),
            ("2T", 2 << 40),
        ] {
            assert_eq!(size(text), Ok(Bytes(bytes)), "{text}");
        }
        for (text, part) in [
            ("8", "write `8M` or `8GiB`"),
            ("8GB", "did you mean `8GiB`?"),
            ("8g", "did you mean `8GiB`?"),
            ("512mb", "did you mean `512MiB`?"),
            ("8X", "not a unit"),
            ("0G", "more than nothing"),
            ("-1G", "negative"),
            ("1G1M", "not a size"),
            ("99999999999T", "not a size"),
            ("1.2345G", "not a size"),
            ("", "not a size"),
        ] {
            let told = told(size(text));
            assert!(told.contains(part), "{text}: {told}");
        }
        assert_eq!(memory("50%"), Ok(Amount::Percent(50)));
        assert_eq!(memory("1G"), Ok(Amount::Bytes(Bytes::gib(1))));
        for text in ["0%", "101%", "-1%", "1.5%", "%"] {
            assert!(told(memory(text)).contains("`100%`"), "{text}");
        }
    }

    #[test]
    fn processors_and_counts() {
        for (text, millicores) in [
            ("90%", 900),
            ("4 cores", 4000),
            ("1 core", 1000),
            ("4cores", 4000),
            ("1.5 cores", 1500),
            ("12.5%", 125),
            ("400 %", 4000),
        ] {
            assert_eq!(cpu(text), Ok(Millicores(millicores)), "{text}");
        }
        for (text, part) in [
            ("90", "write `90%` of one core"),
            ("0%", "more than nothing"),
            ("-1%", "negative"),
            ("4 CPUs", "not a unit"),
            ("fast", "not processor use"),
            ("99999999999999%", "more cores"),
        ] {
            assert!(told(cpu(text)).contains(part), "{text}");
        }
        assert_eq!(count("100"), Ok(100));
        for text in ["-1", "1.5", "many", "", "100/s"] {
            assert!(told(count(text)).contains("such as `100`"), "{text}");
        }
    }
}
