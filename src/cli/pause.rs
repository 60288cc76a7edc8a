//! `beadle pause`: leave my processes alone for a while.

use std::time::Duration;

use super::reach::{Reach, astray};
use super::render::pauses;
use super::{Failure, Surroundings, json, say};
use crate::control::protocol::{Answer, Question};

/// Leave your processes alone for a while (root: everyone's)
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle pause 30m                 every rule, for half an hour
  beadle pause 2h --rule pytest    one rule
  beadle pause                     until `beadle resume`

What was about to be signalled is not, from the moment this returns.")]
pub(super) struct Args {
    /// For how long: 90s, 30m, 1h30m [default: until resumed]
    #[arg(value_name = "SPAN", value_parser = span)]
    span: Option<Duration>,

    /// Only under this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,

    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let question = Question::Pause {
        // Rounded up: a pause may be longer than asked for, never shorter.
        span: args.span.map(|span| {
            span.as_secs()
                .saturating_add(u64::from(span.subsec_nanos() > 0))
        }),
        rule: args.rule.clone(),
    };
    tell(&args.reach.ask(&question, around)?, &args.reach, around)
}

/// Says which pauses are in force now.
pub(super) fn tell(answer: &Answer, reach: &Reach, around: &Surroundings) -> Result<(), Failure> {
    let Answer::Pauses { pauses: found } = answer else {
        return Err(astray());
    };
    if reach.json {
        say(&json(found));
    } else {
        say(&pauses(found, around.out));
    }
    Ok(())
}

/// A span as rules write it: `90s`, `30m`, `1h30m`.
fn span(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "write a span such as `90s`, `30m` or `1h30m`";
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len()
            - rest
                .trim_start_matches(|it: char| it.is_ascii_digit())
                .len();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
        let unit = tail.chars().next().ok_or_else(|| {
            format!("a span needs a unit: write `{number}s`, `{number}m` or `{number}h`")
        })?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'M' => return Err(format!("minutes are `m`: `{number}m`")),
            _ => return Err(EXPECTED.to_owned()),
        };
        total = total.saturating_add(Duration::from_secs(number.saturating_mul(seconds)));
        rest = tail.get(unit.len_utf8()..).unwrap_or_default();
    }
    match total {
        Duration::ZERO => Err(EXPECTED.to_owned()),
        total => Ok(total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_in_rules() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in [
            "",
            "30",
            "m",
            "0s",
            "30M",
            "-5m",
            "5 m",
            "1.5h",
            "99999999999999999999s",
            "5\u{b5}",
        ] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
        assert!(span("30").unwrap_err().contains("`30m`"));
    }
}
