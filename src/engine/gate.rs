//! `when:`: what must be so of the machine for a rule to be judged.
//!
//! **Invariants.** All gates of a rule must be open. What is not known opens none: a rule that waits for a figure that
//! nobody can read waits for ever, and says so.
//!
//! While a gate is closed the rule's verdict is exempt: limits go on being measured, and an open incident waits with its
//! clock standing. It recovers all the same: a breach that is over is not to be taken up, hours later, where it was left.

use std::collections::BTreeSet;
use std::fmt;

use super::snapshot::Machine;
use super::units::Hundredths;

/// One gate of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The local time of day lies in one of these. Never empty.
    Between(Vec<Hours>),
    /// The machine runs on this.
    OnBattery(Power),
    /// The one-minute load average is above this.
    Load(Load),
    /// Some process waited for memory for more than so many percent of the last ten seconds.
    MemoryPressure(Hundredths),
}

/// A part of each day, by the clock on the wall: where clocks are put forward, a part that is skipped does not come; where
/// they are put back, one that is repeated comes twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The first minute of the day that belongs to it, 0 ..= 1439.
    pub from: u16,
    /// The first that does not, 1 ..= 1440; before `from`, it is one of the next day.
    pub until: u16,
}

/// What a machine runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// A battery that is being emptied.
    Battery,
    /// Anything else.
    Mains,
}

/// A threshold of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// So much.
    All(Hundredths),
    /// So many percent of the number of processors.
    PerProcessor(Hundredths),
}

/// A figure of the machine that some gate asks for, and that costs a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vital {
    /// The load average.
    Load,
    /// Memory pressure.
    MemoryPressure,
    /// What the machine runs on.
    Power,
}

/// Those figures, all of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Load average of the last minute.
    pub load: Sensed<Hundredths>,
    /// Percent of the last ten seconds in which some process waited for memory.
    pub memory_pressure: Sensed<Hundredths>,
    /// What the machine runs on.
    pub power: Sensed<Power>,
}

/// A figure of the machine, or why there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sensed<T> {
    /// Read.
    Known(T),
    /// This machine, or its kernel, does not tell it.
    Absent,
    /// It could not be read.
    Unread,
    /// Nobody needed it so far.
    #[default]
    NotAsked,
}

impl<T> Sensed<T> {
    /// The value, or why there is none.
    fn known(self) -> Result<T, Lack> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Absent => Err(Lack::Absent),
            Self::Unread => Err(Lack::Unread),
            Self::NotAsked => Err(Lack::NotAsked),
        }
    }
}

/// A gate held against the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateReading {
    /// The gate.
    pub gate: Gate,
    /// What was found, as far as known.
    pub now: Option<Condition>,
    /// How it stands.
    pub stands: Stands,
}

/// What was found of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The minute of the local day.
    Minute(u16),
    /// What it runs on.
    Power(Power),
    /// The load.
    Load(Hundredths),
    /// Memory pressure, in percent.
    Pressure(Hundredths),
}

/// How a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// The rule is judged, as far as this goes.
    Open,
    /// It is not.
    Closed,
    /// Nobody knows, which is as good as closed.
    Unknown(Lack),
}

/// Why a figure is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// This machine, or its kernel, does not tell it.
    Absent,
    /// It could not be read.
    Unread,
    /// It was not read yet: nothing that the rule means runs.
    NotAsked,
    /// How many processors there are is not known.
    Processors,
}

impl Gate {
    /// The key in rules.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Between(_) => "between",
            Self::OnBattery(_) => "on_battery",
            Self::Load(_) => "load",
            Self::MemoryPressure(_) => "memory_pressure",
        }
    }

    /// What must be read to know how it stands; the time of day is always known.
    pub const fn vital(&self) -> Option<Vital> {
        match self {
            Self::Between(_) => None,
            Self::OnBattery(_) => Some(Vital::Power),
            Self::Load(_) => Some(Vital::Load),
            Self::MemoryPressure(_) => Some(Vital::MemoryPressure),
        }
    }

    /// How it stands on this machine.
    pub fn read(&self, machine: &Machine) -> GateReading {
        let found = self.hold(machine);
        GateReading {
            gate: self.clone(),
            now: found.ok().map(|(now, _)| now),
            stands: match found {
                Ok((_, true)) => Stands::Open,
                Ok((_, false)) => Stands::Closed,
                Err(lack) => Stands::Unknown(lack),
            },
        }
    }

    /// The gate of a rule for which nothing was read.
    pub fn unread(&self) -> GateReading {
        GateReading {
            gate: self.clone(),
            now: None,
            stands: Stands::Unknown(Lack::NotAsked),
        }
    }

    /// Whether the rule is judged, as far as this gate goes.
    pub fn is_open(&self, machine: &Machine) -> bool {
        matches!(self.hold(machine), Ok((_, true)))
    }

    /// Whether it is closed now, and may be open within the minute: the time of day is known no closer.
    pub fn opens_next_minute(&self, machine: &Machine) -> bool {
        let next = match machine.local_minute {
            1439.. => 0,
            minute => minute.saturating_add(1),
        };
        match self {
            Self::Between(hours) => {
                let within = |minute| hours.iter().any(|hours| hours.contain(minute));
                !within(machine.local_minute) && within(next)
            }
            Self::OnBattery(_) | Self::Load(_) | Self::MemoryPressure(_) => false,
        }
    }

    fn hold(&self, machine: &Machine) -> Result<(Condition, bool), Lack> {
        let Vitals {
            load,
            memory_pressure,
            power,
        } = machine.vitals;
        Ok(match self {
            Self::Between(hours) => {
                let minute = machine.local_minute;
                let within = hours.iter().any(|hours| hours.contain(minute));
                (Condition::Minute(minute), within)
            }
            Self::OnBattery(wanted) => {
                let power = power.known()?;
                (Condition::Power(power), power == *wanted)
            }
            Self::Load(above) => {
                let load = load.known()?;
                (
                    Condition::Load(load),
                    load > above.threshold(machine.cores)?,
                )
            }
            Self::MemoryPressure(above) => {
                let pressure = memory_pressure.known()?;
                (Condition::Pressure(pressure), pressure > *above)
            }
        })
    }
}

/// What must be read to know how gates stand.
pub fn vitals<'g>(gates: impl Iterator<Item = &'g Gate>) -> BTreeSet<Vital> {
    gates.filter_map(Gate::vital).collect()
}

impl Hours {
    /// Whether a minute of the day belongs to it.
    pub const fn contain(self, minute: u16) -> bool {
        if self.from < self.until {
            self.from <= minute && minute < self.until
        } else {
            self.from <= minute || minute < self.until
        }
    }
}

impl Load {
    /// The load that it stands for, on so many processors; 0 is unknown.
    fn threshold(self, cores: u32) -> Result<Hundredths, Lack> {
        match (self, cores) {
            (Self::All(load), _) => Ok(load),
            (Self::PerProcessor(_), 0) => Err(Lack::Processors),
            (Self::PerProcessor(Hundredths(percent)), cores) => {
                let load = percent.saturating_mul(u64::from(cores)).wrapping_div(100);
                Ok(Hundredths(load))
            }
        }
    }
}

impl Power {
    /// The words people read.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Battery => "on battery",
            Self::Mains => "on mains",
        }
    }
}

impl Stands {
    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", Clock(self.from), Clock(self.until))
    }
}

/// What opens it, as rules write it: `above 8`, `22:00-06:00`, `true`.
impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between(hours) => {
                for (place, hours) in hours.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{hours}")?;
                }
                Ok(())
            }
            Self::OnBattery(Power::Battery) => f.write_str("true"),
            Self::OnBattery(Power::Mains) => f.write_str("false"),
            Self::Load(Load::All(load)) => write!(f, "above {load}"),
            Self::Load(Load::PerProcessor(percent)) => {
                write!(f, "above {percent} % of the processors")
            }
            Self::MemoryPressure(percent) => write!(f, "above {percent} %"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minute(minute) => Clock(*minute).fmt(f),
            Self::Power(power) => f.write_str(power.words()),
            Self::Load(load) => load.fmt(f),
            Self::Pressure(percent) => write!(f, "{percent} %"),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "this machine or its kernel does not tell it",
            Self::Unread => "it could not be read",
            Self::NotAsked => "it is not read while nothing is judged",
            Self::Processors => "the number of processors is not known",
        })
    }
}

/// A minute of the day: `06:05`.
struct Clock(u16);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute) = (self.0.wrapping_div(60), self.0.wrapping_rem(60));
        write!(f, "{hour:02}:{minute:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn hours(from: u16, until: u16) -> Hours {
        Hours { from, until }
    }

    fn at(minute: u16) -> Machine {
        Machine {
            local_minute: minute,
            ..Machine::default()
        }
    }

    fn with(vitals: Vitals, cores: u32) -> Machine {
        Machine {
            cores,
            vitals,
            ..Machine::default()
        }
    }

    #[test]
    fn a_part_of_the_day_may_go_over_midnight() {
        let night = Gate::Between(vec![hours(22 * 60, 6 * 60)]);
        let open = |minute| night.is_open(&at(minute));
        assert!(open(22 * 60) && open(1439) && open(0) && open(6 * 60 - 1));
        assert!(!open(6 * 60) && !open(12 * 60) && !open(22 * 60 - 1));
        let evening = Gate::Between(vec![hours(18 * 60, 1440)]);
        assert!(evening.is_open(&at(1439)) && !evening.is_open(&at(0)));
        let twice = Gate::Between(vec![hours(60, 120), hours(180, 240)]);
        let open: Vec<bool> = [59, 60, 119, 120, 180, 240]
            .map(|minute| twice.is_open(&at(minute)))
            .into();
        assert_eq!(open, [false, true, true, false, true, false]);
    }

    #[test]
    fn the_minute_before_it_opens_is_known() {
        let night = Gate::Between(vec![hours(22 * 60, 6 * 60)]);
        let soon = |minute| night.opens_next_minute(&at(minute));
        assert!(soon(22 * 60 - 1));
        assert!(!soon(22 * 60 - 2) && !soon(22 * 60) && !soon(1439) && !soon(6 * 60 - 1));
        let early = Gate::Between(vec![hours(0, 60)]);
        assert!(early.opens_next_minute(&at(1439)));
    }

    #[test]
    fn above_is_more_than() {
        let load = |hundredths| Vitals {
            load: Sensed::Known(Hundredths(hundredths)),
            ..Vitals::default()
        };
        let eight = Gate::Load(Load::All(Hundredths(800)));
        assert!(!eight.is_open(&with(load(800), 4)) && eight.is_open(&with(load(801), 4)));
        let twice = Gate::Load(Load::PerProcessor(Hundredths(20_000)));
        assert!(!twice.is_open(&with(load(800), 4)) && twice.is_open(&with(load(801), 4)));
        assert_eq!(
            twice.read(&with(load(801), 0)).stands,
            Stands::Unknown(Lack::Processors)
        );
    }

    #[test]
    fn what_is_not_known_opens_nothing() {
        let gates = [
            Gate::Load(Load::All(Hundredths(1))),
            Gate::MemoryPressure(Hundredths(1)),
            Gate::OnBattery(Power::Battery),
            Gate::OnBattery(Power::Mains),
        ];
        let all = |sensed: [Vitals; 3]| {
            for vitals in sensed {
                for gate in &gates {
                    let reading = gate.read(&with(vitals, 4));
                    assert!(!gate.is_open(&with(vitals, 4)), "{gate}");
                    assert!(matches!(reading.stands, Stands::Unknown(_)), "{gate}");
                    assert_eq!(reading.now, None);
                }
            }
        };
        let unread = Vitals {
            load: Sensed::Unread,
            memory_pressure: Sensed::Unread,
            power: Sensed::Unread,
        };
        let absent = Vitals {
            load: Sensed::Absent,
            memory_pressure: Sensed::Absent,
            power: Sensed::Absent,
        };
        all([Vitals::default(), unread, absent]);
    }

    #[test]
    fn it_is_told_as_rules_write_it() {
        let told = |gate: Gate| format!("{} {gate}", gate.word());
        let day = vec![hours(9 * 60 + 5, 17 * 60), hours(18 * 60, 1440)];
        assert_eq!(told(Gate::Between(day)), "between 09:05-17:00, 18:00-24:00");
        assert_eq!(
            told(Gate::Load(Load::PerProcessor(Hundredths(15_000)))),
            "load above 150 % of the processors"
        );
        assert_eq!(
            told(Gate::Load(Load::All(Hundredths(850)))),
            "load above 8.5"
        );
        assert_eq!(told(Gate::OnBattery(Power::Mains)), "on_battery false");
        assert_eq!(
            told(Gate::MemoryPressure(Hundredths(1005))),
            "memory_pressure above 10.05 %"
        );
    }
}
