//! The script of a scenario: rules, the world's make, and lines with a time.

use std::collections::BTreeMap;
use std::time::Duration;

use beadle::engine::gate::{Power, Sensed};
use beadle::engine::units::{Bytes, Hundredths, Mono};

use crate::world::body::{Consent, Deed, OnKill, OnTerm, Plan, Waits};
use crate::world::machine::Machine;

/// Where the story begins.
pub const START: Mono = Mono::from_secs(1000);

/// A script, read.
pub struct Script {
    /// Rule files by name; the first, without a name, is in force.
    pub rules: BTreeMap<String, String>,
    /// What is said of the world: `tier=scan`, `user=1000`, `leash=NAME`.
    pub world: Words,
    pub lines: Vec<(Mono, String)>,
    pub end: Mono,
}

impl Script {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self {
            rules: BTreeMap::new(),
            world: Words::parse(""),
            lines: Vec::new(),
            end: START,
        };
        let mut rules: Option<String> = None;
        for line in text.lines() {
            let indented = line.starts_with("  ");
            if let (Some(name), true) = (&rules, indented) {
                let yaml = script.rules.entry(name.clone()).or_default();
                yaml.push_str(line.strip_prefix("  ").unwrap_or(line));
                yaml.push('\n');
                continue;
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            match first {
                "rules" => rules = Some(rest.trim().to_owned()),
                "world" => script.world = Words::parse(rest),
                "until" => script.end = START.after(span(rest.trim())?),
                at => script
                    .lines
                    .push((START.after(span(at)?), rest.trim().to_owned())),
            }
        }
        Ok(script)
    }
}

/// Bare words, and words with a value.
#[derive(Clone, Debug)]
pub struct Words {
    pub bare: Vec<String>,
    pub named: BTreeMap<String, String>,
}

impl Words {
    pub fn parse(text: &str) -> Self {
        let (mut bare, mut named) = (Vec::new(), BTreeMap::new());
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => {
                    named.insert(name.to_owned(), value.to_owned());
                }
                None => bare.push(word.to_owned()),
            }
        }
        Self { bare, named }
    }

    pub fn word(&self, index: usize) -> Result<&str, String> {
        self.bare
            .get(index)
            .map(String::as_str)
            .ok_or_else(|| "a word is missing".to_owned())
    }

    pub fn named(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    /// How a process behaves.
    pub fn plan(&self, plan: &mut Plan) -> Result<(), String> {
        for (name, value) in &self.named {
            match name.as_str() {
                "owner" => plan.owner = Some(number(value)?),
                "group" => value.clone_into(&mut plan.group),
                "cpu" => plan.cpu = u64::from(number(value.trim_end_matches('%'))?) * 10,
                "memory" => plan.memory = size(value)?,
                "writes" => plan.writes = span(value)?,
                "rereads" => plan.rereads = size(value)?.0,
                "serves" => plan.serves = value == "yes",
                "hides" => plan.hides = value == "yes",
                "growth" => plan.growth = size(value)?,
                "threads" => plan.threads = number(value)?,
                "args" => plan.args = value.split(',').map(str::to_owned).collect(),
                "term" => {
                    plan.on_term = match value.split_once(':') {
                        Some((_, count)) => OnTerm::Forks(number(count)?),
                        None if value == "ignores" => OnTerm::Ignores,
                        None => OnTerm::Dies(span(value)?),
                    }
                }
                "kill" => plan.on_kill = OnKill::Stuck,
                "signals" => plan.consent = Consent::Refuses,
                "env" => {
                    for set in value.split(',') {
                        let (name, value) = set.split_once(':').ok_or("`env=NAME:value`")?;
                        plan.env.push((name.to_owned(), value.to_owned()));
                    }
                }
                "waits" => plan.waits = Waits::Never,
                "lives" => plan.deeds.push((span(value)?, Deed::Exit)),
                "cwd" => plan.cwd = Some(value.clone()),
                "login" => plan.login = Some(number(value)?),
                "container" => plan.container = Some(value.clone()),
                "nohup" => plan.nohup = value == "yes",
                "parent" | "pid" => {}
                other => return Err(format!("`{other}` is no manner")),
            }
        }
        Ok(())
    }
}

impl Words {
    /// What gates may ask of the machine: `time=21:50 load=9.5 pressure=12.25 power=battery`; `?` cannot be read, `none` is
    /// not told.
    pub fn condition(&self, machine: &mut Machine) -> Result<(), String> {
        for (name, value) in &self.named {
            match name.as_str() {
                "time" => {
                    let (hour, minute) = value.split_once(':').ok_or("when?")?;
                    let minutes = u64::from(number(hour)? * 60 + number(minute)?);
                    let gone_by = (machine.now.since(START) + machine.slept).as_secs();
                    let day = 86_400;
                    machine.wall = Duration::from_secs(minutes * 60 + day - gone_by % day);
                }
                "load" => machine.vitals.load = sensed(value, hundredths)?,
                "pressure" => machine.vitals.memory_pressure = sensed(value, hundredths)?,
                "power" => machine.vitals.power = sensed(value, power)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn sensed<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<Sensed<T>, String> {
    match text {
        "?" => Ok(Sensed::Unread),
        "none" => Ok(Sensed::Absent),
        text => read(text).map(Sensed::Known),
    }
}

fn hundredths(text: &str) -> Result<Hundredths, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "00"));
    let part = number(&format!("{part:0<2}"))?;
    Ok(Hundredths(u64::from(number(whole)? * 100 + part)))
}

fn power(text: &str) -> Result<Power, String> {
    match text {
        "battery" => Ok(Power::Battery),
        "mains" => Ok(Power::Mains),
        other => Err(format!("`{other}` is no power")),
    }
}

pub fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// `90s`, `350ms`, `10m`, `2h`.
pub fn span(text: &str) -> Result<Duration, String> {
    beadle::config::duration(text).or_else(|problem| match text {
        "0s" => Ok(Duration::ZERO),
        _ => Err(problem),
    })
}

pub fn size(text: &str) -> Result<Bytes, String> {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let count = u64::from(number(digits)?);
    match &text[digits.len()..] {
        "GiB" => Ok(Bytes::gib(count)),
        "MiB" => Ok(Bytes::mib(count)),
        unit => Err(format!("`{unit}` is no unit")),
    }
}
