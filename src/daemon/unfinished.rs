//! What the beadle before this one was doing when it died.
//!
//! Nobody is signalled for it. Whether those who stand still were stopped by it, or by a person since, cannot be known for
//! certain; and a signal without a warrant has no door to go through. So it is told, with what to do.

use std::fmt::Write;

use crate::engine::process::ProcKey;
use crate::store::intent::{Manner, Record};
use crate::sys::glimpse::bearer;
use crate::sys::holds::Holds;
use crate::sys::pidfd::Life;

/// So many numbers are named.
const NAMED: usize = 12;

/// Acts that were left open.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// For people.
    pub(super) text: String,
    /// Who was to be signalled and is still there.
    left: Vec<ProcKey>,
}

impl Unfinished {
    /// Looks at what became of them; `None` when nothing was left open.
    pub(super) fn look(records: &[Record]) -> Option<Self> {
        let mut left = Vec::new();
        let mut stories = Vec::new();
        for record in records {
            let (story, alive) = tell(record);
            stories.push(story);
            left.extend(alive);
        }
        let text = stories.join("; ");
        (!records.is_empty()).then_some(Self { text, left })
    }

    /// Whether nobody of them is left.
    pub(super) fn is_over(&self) -> bool {
        !self.left.iter().any(|key| lives(*key))
    }
}

fn tell(record: &Record) -> (String, Vec<ProcKey>) {
    let keys = record.keys();
    let count = keys.len().saturating_add(record.more);
    let alive: Vec<ProcKey> = keys.into_iter().filter(|key| lives(*key)).collect();
    let mut story = format!(
        "the beadle before this one died while it sent {} by rule {} (incident {}, {})",
        record.signal, record.rule, record.incident, record.wall
    );
    // Writing to a string cannot fail.
    let _ = if alive.is_empty() {
        write!(story, ": none of its {count} targets is left")
    } else {
        write!(
            story,
            ": of its {count} targets {} are still there, look at them: {}",
            alive.len(),
            numbers(&alive)
        )
    };
    let stopped: Vec<ProcKey> = alive
        .iter()
        .filter(|key| record.manner != Manner::Plain && stands(**key, record))
        .copied()
        .collect();
    if !stopped.is_empty() {
        let _ = write!(
            story,
            "; stopped, most likely by it: `kill -CONT {}` lets them go on",
            numbers(&stopped).replace(", ", " ")
        );
    }
    (story, alive)
}

fn lives(key: ProcKey) -> bool {
    Holds::with_room(1).life(key) == Some(Life::Alive)
}

/// Whether it is stopped now and was not before.
fn stands(key: ProcKey, record: &Record) -> bool {
    let state = bearer(key.pid()).map(|(glimpse, _)| glimpse.state);
    state == Ok('T') && !record.stood.contains(&key.pid().number())
}

fn numbers(keys: &[ProcKey]) -> String {
    let mut named: Vec<String> = keys
        .iter()
        .take(NAMED)
        .map(|key| key.pid().to_string())
        .collect();
    if keys.len() > NAMED {
        named.push("…".to_owned());
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::*;
    use crate::engine::process::StartTicks;
    use crate::sys::pidfd::PidFd;
    use crate::sys::villain::{Sleeper, wait_until};

    fn record(keys: &[ProcKey], manner: Manner) -> Record {
        Record {
            warrant: 7,
            incident: 12,
            rule: "pytest".to_owned(),
            signal: "KILL".to_owned(),
            manner,
            epoch: 0,
            wall: "2026-11-22T07:40:00Z".to_owned(),
            targets: keys.iter().map(ToString::to_string).collect(),
            stood: Vec::new(),
            more: 0,
        }
    }

    fn key(sleeper: &Sleeper) -> ProcKey {
        let hold = PidFd::open(sleeper.pid()).unwrap();
        let start = bearer(sleeper.pid()).unwrap().0.start;
        hold.key(sleeper.pid(), StartTicks(start.0))
    }

    #[test]
    fn who_is_left_and_who_stands_still_is_told() {
        let (mut one, two, mut three) = (Sleeper::start(), Sleeper::start(), Sleeper::start());
        let keys = [key(&one), key(&two), key(&three)];
        one.reap();
        two.signal(Signal::STOP);
        wait_until("it stands", || bearer(two.pid()).unwrap().0.state == 'T');
        let walk = Unfinished::look(&[record(&keys, Manner::Walk)]).unwrap();
        let (stands, runs) = (two.pid(), three.pid());
        assert!(
            walk.text.ends_with(&format!(
                "of its 3 targets 2 are still there, look at them: {stands}, {runs}; stopped, most likely by it: \
                 `kill -CONT {stands}` lets them go on"
            )),
            "{}",
            walk.text
        );
        let plain = Unfinished::look(&[record(&keys, Manner::Plain)]).unwrap();
        assert!(!plain.text.contains("CONT"), "{}", plain.text);
        let before = Record {
            stood: vec![stands.number()],
            ..record(&keys, Manner::Walk)
        };
        let before = Unfinished::look(&[before]).unwrap();
        assert!(!before.text.contains("CONT"), "{}", before.text);
        assert!(!walk.is_over());
        three.reap();
        drop(two);
        assert!(walk.is_over());
        let later = Unfinished::look(&[record(&keys, Manner::Walk)]).unwrap();
        assert!(later.text.ends_with("none of its 3 targets is left"));
    }

    #[test]
    fn nothing_left_open_is_nothing_to_tell() {
        assert!(Unfinished::look(&[]).is_none());
    }
}
