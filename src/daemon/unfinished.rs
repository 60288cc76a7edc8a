//! What the beadle before this one was doing when it died.
//!
//! Whoever stands still, was to be stopped for that act and ran before is continued: it is most likely the dead beadle's
//! doing, its guardian is gone too, and a process that a person stopped in between loses less by going on than a tree does by
//! standing still for ever. So is whoever it had frozen. Nothing else is sent. It is told, with what to do.

use std::fmt::Write;

use crate::engine::process::ProcKey;
use crate::engine::warrant::Outcome;
use crate::store::intent::{Manner, Record};
use crate::sys::glimpse::bearer;
use crate::sys::holds::Holds;
use crate::sys::pidfd::Life;
use crate::sys::signaller::release;

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
    /// Looks at what became of them, and lets those go on whom the dead beadle had frozen; `None` when nothing was left open.
    pub(super) fn look(records: &[Record], frozen: &[ProcKey]) -> Option<Self> {
        let mut left = Vec::new();
        let mut stories = Vec::new();
        for record in records {
            let (story, alive) = tell(record);
            stories.push(story);
            left.extend(alive);
        }
        stories.extend(thaw(frozen));
        let text = stories.join("; ");
        (!text.is_empty()).then_some(Self { text, left })
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
        let _ = match continued(&stopped) {
            left if left.is_empty() => write!(
                story,
                "; {} stood still, most likely by its doing, and go on now",
                numbers(&stopped)
            ),
            left => write!(
                story,
                "; stopped, most likely by it: `kill -CONT {}` lets them go on",
                numbers(&left).replace(", ", " ")
            ),
        };
    }
    (story, alive)
}

/// Whoever of the frozen still stands goes on: its guardian was quicker where it lived on.
fn thaw(frozen: &[ProcKey]) -> Option<String> {
    let stands = |key: &&ProcKey| {
        lives(**key) && bearer(key.pid()).is_ok_and(|(glimpse, _)| glimpse.state == 'T')
    };
    let stands: Vec<ProcKey> = frozen.iter().filter(stands).copied().collect();
    if stands.is_empty() {
        return None;
    }
    let who = numbers(&stands);
    let story = "the beadle before this one died with frozen processes";
    Some(match continued(&stands) {
        left if left.is_empty() => format!("{story}: {who} go on now"),
        left => format!(
            "{story}: `kill -CONT {}` lets them go on",
            numbers(&left).replace(", ", " ")
        ),
    })
}

/// Continues them; those who could not be.
fn continued(stopped: &[ProcKey]) -> Vec<ProcKey> {
    let refused = |key: &&ProcKey| !matches!(release(**key), Outcome::Sent | Outcome::Gone);
    stopped.iter().filter(refused).copied().collect()
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
        let (stands, runs) = (two.pid(), three.pid());
        let plain = Unfinished::look(&[record(&keys, Manner::Plain)], &[]).unwrap();
        assert!(!plain.text.contains("stood still"), "{}", plain.text);
        let before = Record {
            stood: vec![stands.number()],
            ..record(&keys, Manner::Walk)
        };
        let before = Unfinished::look(&[before], &[]).unwrap();
        assert!(!before.text.contains("stood still"), "{}", before.text);
        assert_eq!(bearer(two.pid()).unwrap().0.state, 'T');
        let walk = Unfinished::look(&[record(&keys, Manner::Walk)], &[]).unwrap();
        assert!(
            walk.text.ends_with(&format!(
                "of its 3 targets 2 are still there, look at them: {stands}, {runs}; {stands} stood still, most likely by \
                 its doing, and go on now"
            )),
            "{}",
            walk.text
        );
        wait_until("it goes on", || bearer(two.pid()).unwrap().0.state != 'T');
        assert!(!walk.is_over());
        three.reap();
        drop(two);
        assert!(walk.is_over());
        let later = Unfinished::look(&[record(&keys, Manner::Walk)], &[]).unwrap();
        assert!(later.text.ends_with("none of its 3 targets is left"));
    }

    #[test]
    fn the_frozen_go_on_and_who_was_never_frozen_does_not() {
        let (frozen, other) = (Sleeper::start(), Sleeper::start());
        for sleeper in [&frozen, &other] {
            sleeper.signal(Signal::STOP);
            wait_until("it stands", || {
                bearer(sleeper.pid()).unwrap().0.state == 'T'
            });
        }
        let stranger = ProcKey::new(other.pid(), crate::engine::process::Mark::Inode(1));
        let left = Unfinished::look(&[], &[key(&frozen), stranger]).unwrap();
        let told = format!("with frozen processes: {} go on now", frozen.pid());
        assert!(left.text.ends_with(&told), "{}", left.text);
        wait_until("it goes on", || {
            bearer(frozen.pid()).unwrap().0.state != 'T'
        });
        assert_eq!(bearer(other.pid()).unwrap().0.state, 'T');
        assert!(left.is_over());
        assert!(Unfinished::look(&[], &[key(&frozen)]).is_none());
    }

    #[test]
    fn nothing_left_open_is_nothing_to_tell() {
        assert!(Unfinished::look(&[], &[]).is_none());
    }
}
