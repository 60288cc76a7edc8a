//! How an incident is written, open or closed: where it stands on which ladder.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Carried, Whole};
use crate::engine::answer::{Bidding, Deed, Snooze};
use crate::engine::evidence::IncidentId;
use crate::engine::incident::{Past, Weight};
use crate::engine::legacy::{self, Stand};
use crate::engine::process::Uid;
use crate::engine::rule::{Command, Mode, Signal, StageAct, To};
use crate::engine::units::{Mono, nanos};

/// What stages are called in a ladder that is written down; signals go by their names.
const NUDGE: &str = "nudge";
const FREEZE: &str = "freeze";
const STOP: &str = "stop unit";
/// What stands before the program, its arguments and its time.
const EXEC: &str = "exec ";
/// What follows the name of one that is for the root alone.
const TO_ROOT: &str = " to root";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Case {
    id: u64,
    opened: u64,
    next: usize,
    mode: String,
    ladder: Vec<String>,
    told: Option<u64>,
    signalled: bool,
    denied: bool,
    said: bool,
    #[serde(default)]
    ran: usize,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    weight: Option<Less>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    bidden: Option<Bidden>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    snoozed: Option<Snoozed>,
    #[serde(default)]
    extended: u32,
}

/// What a person has bidden, and how many of its stages were carried out.
#[derive(Debug, Serialize, Deserialize)]
struct Bidden {
    by: u32,
    deed: String,
    done: usize,
}

/// Until when it is left alone, because a person said so.
#[derive(Debug, Serialize, Deserialize)]
struct Snoozed {
    by: u32,
    until: u64,
}

impl Bidden {
    fn of((bidding, done): (Bidding, usize)) -> Self {
        Self {
            by: bidding.by.0,
            deed: bidding.deed.reply().word().to_owned(),
            done,
        }
    }

    /// `None` where it is a deed of some other beadle's.
    fn read(self) -> Option<(Bidding, usize)> {
        let mut deeds = [Deed::Stop, Deed::Freeze].into_iter();
        let deed = deeds.find(|deed| deed.reply().word() == self.deed)?;
        let by = Uid(self.by);
        Some((Bidding { by, deed }, self.done))
    }
}

impl Snoozed {
    const fn of(snooze: Snooze) -> Self {
        Self {
            by: snooze.by.0,
            until: snooze.until.nanos(),
        }
    }

    const fn read(self) -> Snooze {
        Snooze {
            by: Uid(self.by),
            until: Mono::from_nanos(self.until),
        }
    }
}

/// What an incident rested on, where that was less than it may be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Less {
    Light,
    Lightened(u64),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Remainder {
    rule: String,
    unit: Whole,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    label: Option<Carried>,
    ladder: Vec<String>,
    id: u64,
    opened: u64,
    until: u64,
    next: usize,
    served: u64,
    denied: bool,
    told: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    weight: Option<Less>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    snoozed: Option<Snoozed>,
    #[serde(default)]
    extended: u32,
}

impl Less {
    const fn of(weight: Weight) -> Option<Self> {
        match weight {
            Weight::Light => Some(Self::Light),
            Weight::Grave => None,
            Weight::Lightened(since) => Some(Self::Lightened(since.nanos())),
        }
    }

    fn read(less: Option<Self>) -> Weight {
        match less {
            Some(Self::Light) => Weight::Light,
            None => Weight::Grave,
            Some(Self::Lightened(since)) => Weight::Lightened(Mono::from_nanos(since)),
        }
    }
}

fn word(act: &StageAct) -> String {
    match act {
        StageAct::Nudge => NUDGE.to_owned(),
        StageAct::Exec(command) => {
            let timeout = nanos(command.timeout);
            let all = (&*command.program, &command.args, timeout);
            // Texts and a number: this cannot fail.
            format!("{EXEC}{}", serde_json::to_string(&all).unwrap_or_default())
        }
        StageAct::Freeze => FREEZE.to_owned(),
        StageAct::Stop => STOP.to_owned(),
        StageAct::Signal(signal, To::Tree) => signal.word().to_owned(),
        StageAct::Signal(signal, To::Root) => format!("{}{TO_ROOT}", signal.word()),
    }
}

/// `None` where it is an act of some other beadle's.
fn act(word: &String) -> Option<StageAct> {
    if word == NUDGE {
        return Some(StageAct::Nudge);
    }
    if word == FREEZE {
        return Some(StageAct::Freeze);
    }
    if word == STOP {
        return Some(StageAct::Stop);
    }
    if let Some(all) = word.strip_prefix(EXEC) {
        let (program, args, timeout): (String, _, _) = serde_json::from_str(all).ok()?;
        return Some(StageAct::Exec(Arc::new(Command {
            program: program.into(),
            args,
            timeout: Duration::from_nanos(timeout),
        })));
    }
    let (name, to) = match word.strip_suffix(TO_ROOT) {
        Some(name) => (name, To::Root),
        None => (word.as_str(), To::Tree),
    };
    let mut signals = Signal::NAMED.into_iter();
    let signal = signals.find(|one| one.word() == name)?;
    Some(StageAct::Signal(signal, to))
}

impl Case {
    pub(super) fn of(stand: &Stand) -> Self {
        Self {
            id: stand.id.0,
            opened: stand.opened.nanos(),
            next: stand.next,
            mode: stand.mode.word().to_owned(),
            ladder: stand.ladder.iter().map(word).collect(),
            told: stand.told.map(Mono::nanos),
            signalled: stand.signalled,
            denied: stand.denied,
            said: stand.said,
            ran: stand.ran,
            weight: Less::of(stand.weight),
            bidden: stand.bidden.map(Bidden::of),
            snoozed: stand.snoozed.map(Snoozed::of),
            extended: stand.extended,
        }
    }

    /// `None` where the ladder is one of some other beadle: at which stage it stood would be a guess.
    pub(super) fn read(self) -> Option<Stand> {
        let mut modes = [Mode::Observe, Mode::Nudge, Mode::Enforce].into_iter();
        Some(Stand {
            mode: modes.find(|mode| mode.word() == self.mode)?,
            id: IncidentId(self.id),
            opened: Mono::from_nanos(self.opened),
            next: self.next,
            ladder: self.ladder.iter().map(act).collect::<Option<_>>()?,
            told: self.told.map(Mono::from_nanos),
            signalled: self.signalled,
            denied: self.denied,
            said: self.said,
            ran: self.ran,
            weight: Less::read(self.weight),
            bidden: self.bidden.and_then(Bidden::read),
            snoozed: self.snoozed.map(Snoozed::read),
            extended: self.extended,
        })
    }
}

impl Remainder {
    pub(super) fn of(left: &legacy::Remainder) -> Self {
        let past = &left.past;
        Self {
            rule: left.rule.to_string(),
            unit: Whole::of(left.unit),
            label: left.label.as_ref().map(Carried::of),
            ladder: left.ladder.iter().map(word).collect(),
            id: past.id.0,
            opened: past.opened.nanos(),
            until: past.until.nanos(),
            next: past.next,
            served: nanos(past.served),
            denied: past.denied,
            told: past.told.map(Mono::nanos),
            weight: Less::of(past.weight),
            snoozed: past.snoozed.map(Snoozed::of),
            extended: past.extended,
        }
    }

    pub(super) fn read(self) -> Option<legacy::Remainder> {
        let past = Past {
            id: IncidentId(self.id),
            opened: Mono::from_nanos(self.opened),
            until: Mono::from_nanos(self.until),
            next: self.next,
            served: Duration::from_nanos(self.served),
            denied: self.denied,
            told: self.told.map(Mono::from_nanos),
            weight: Less::read(self.weight),
            snoozed: self.snoozed.map(Snoozed::read),
            extended: self.extended,
        };
        Some(legacy::Remainder {
            rule: Arc::from(self.rule),
            unit: self.unit.read()?,
            label: match self.label {
                Some(label) => Some(label.read()?),
                None => None,
            },
            ladder: self.ladder.iter().map(act).collect::<Option<_>>()?,
            past,
        })
    }
}
