//! What is kept on disk and in `/run`, and what to do where it cannot be.
//!
//! **Invariants.** The loop never waits for a disk: numbers are reserved ahead, on a thread that comes and goes. An act
//! is written down before the pursuer has it; where that fails the act goes on all the same, and the fault is said.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::decision::{Hearing, Input};
use crate::engine::evidence::IncidentId;
use crate::engine::legacy::Legacy;
use crate::engine::process::Uid;
use crate::engine::units::Mono;
use crate::engine::warrant::{Report, Warrant};
use crate::store::StoreError;
use crate::store::intent::{Intent, Record};
use crate::store::legacy::Shelf;
use crate::store::numbers::{Block, Numbers};
use crate::sys::clock::Clock;

use super::exceptions::Exceptions;
use super::faults::Part;
use super::historian::Place;
use super::inbox::{Mail, Post};
use super::recall::state_folder;

/// The file that word is left in, beside the record of intent.
const LEGACY: &str = "legacy.json";

/// How often word is left of how things stand, if nothing happens before.
const LEAVE: Duration = Duration::from_secs(10);

/// With so few numbers left, the next block is reserved.
const LOW: u64 = 32;

/// Where things are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// What outlives a reboot; `None` where there is no place for it.
    state: Option<PathBuf>,
    /// The record of intent, which need not.
    intent: Option<PathBuf>,
    /// How the folder of the first is made.
    mode: u32,
}

impl Places {
    /// `state` is what was asked for; all is kept there then. `home` is `$XDG_STATE_HOME` or `~/.local/state`.
    pub(super) fn of(
        user: Uid,
        state: Option<&Path>,
        home: Option<&Path>,
        runtime: Option<&Path>,
    ) -> Self {
        let mode = if user == Uid::ROOT { 0o750 } else { 0o700 };
        let folder = state
            .map(Path::to_owned)
            .or_else(|| state_folder(user, home));
        let memory = match (state, user) {
            (Some(_), _) => None,
            (None, Uid::ROOT) => Some(PathBuf::from("/run/beadle")),
            (None, Uid(_)) => runtime.map(|runtime| runtime.join("beadle")),
        };
        let intent = memory.as_ref().or(folder.as_ref());
        Self {
            intent: intent.map(|folder| folder.join("intent")),
            state: folder,
            mode,
        }
    }
}

impl Places {
    /// Nothing is kept.
    pub(super) const fn nowhere() -> Self {
        Self {
            state: None,
            intent: None,
            mode: 0,
        }
    }

    /// The folder of what outlives a reboot, and how it is made.
    fn state(&self) -> Option<Place> {
        let folder = self.state.clone()?;
        let mode = self.mode;
        Some(Place { folder, mode })
    }
}

/// What was found where things are kept.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) keeper: Keeper,
    /// The first number of an incident.
    pub(super) first: u64,
    /// What cannot be kept.
    pub(super) faults: Vec<(Part, String)>,
    /// Acts that an earlier beadle left open.
    pub(super) unfinished: Vec<Record>,
    /// Where history is kept, if it can be.
    pub(super) history: Option<Place>,
    /// What people said that rules never mind, unless that cannot be read.
    pub(super) exceptions: Result<Exceptions, StoreError>,
    /// What an earlier beadle of this boot left.
    pub(super) legacy: Option<Legacy>,
}

/// Whether a block is being reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pen {
    Idle,
    Writing,
}

/// The keeper of the store.
#[derive(Debug)]
pub(super) struct Keeper {
    numbers: Option<Arc<Numbers>>,
    block: Block,
    last: u64,
    pen: Pen,
    intent: Option<Intent>,
    /// Where it is left to the next beadle how things stand.
    shelf: Option<Shelf>,
    /// When to do so next, if nothing happens before.
    next_leave: Mono,
    /// The last word was that there is nothing.
    nothing_left: bool,
    /// How members are ended now.
    pub(super) hearing: Hearing,
    post: Post,
}

impl Keeper {
    /// Opens what can be opened.
    pub(super) fn open(places: &Places, boot: &str, post: &Post) -> Opened {
        let mut faults = Vec::new();
        let otherwise = wall_number(Clock.wall());
        let mut history = places.state();
        let opened = match &places.state {
            Some(folder) => Numbers::open(folder, places.mode, otherwise).map_err(|error| {
                if let StoreError::Busy { .. } | StoreError::Foreign { .. } = error {
                    // It is no place of ours.
                    history = None;
                }
                error.to_string()
            }),
            None => Err(NO_PLACE.to_owned()),
        };
        // Whoever has the numbers has the folder.
        let trouble = opened.as_ref().err().map(String::as_str);
        let exceptions = Exceptions::open(places.state().as_ref(), trouble, post);
        let (numbers, block) = match opened {
            Ok((numbers, block)) => (Some(Arc::new(numbers)), block),
            Err(why) => {
                if history.is_none() {
                    faults.push((Part::History, format!("{why}; no history is kept")));
                }
                faults.push((Part::Store, numbered_by_the_clock(&why)));
                let (first, end) = (otherwise, u64::MAX);
                (None, Block { first, end })
            }
        };
        let opened = match &places.intent {
            Some(path) => Intent::open(path, places.mode, boot).map_err(|error| error.to_string()),
            None => Err(NO_PLACE.to_owned()),
        };
        let (intent, unfinished) = match opened {
            Ok((intent, unfinished)) => (Some(intent), unfinished),
            Err(why) => {
                faults.push((Part::Intent, unrecorded(&why)));
                (None, Vec::new())
            }
        };
        let (shelf, legacy) = match (&intent, &places.intent) {
            // Whoever holds the record of intent holds its folder.
            (Some(_), Some(path)) if !boot.trim().is_empty() => {
                match Shelf::open(&path.with_file_name(LEGACY), boot) {
                    Ok((shelf, legacy)) => (Some(shelf), legacy),
                    Err(error) => {
                        faults.push((Part::Legacy, unremembered(&error)));
                        (None, None)
                    }
                }
            }
            // Without the name of the boot nobody could tell what is of it.
            (Some(_), Some(_)) | (None, _) | (_, None) => (None, None),
        };
        let keeper = Self {
            numbers,
            block,
            last: 0,
            pen: Pen::Idle,
            intent,
            shelf,
            next_leave: Mono::BOOT,
            nothing_left: legacy.as_ref().is_none_or(Legacy::is_empty),
            hearing: Hearing::Nothing,
            post: post.clone(),
        };
        Opened {
            keeper,
            first: block.first,
            faults,
            unfinished,
            history,
            exceptions,
            legacy,
        }
    }

    /// Whether it is time to leave word of how things stand.
    pub(super) fn is_leaving(&self, now: Mono) -> bool {
        self.shelf.is_some() && now >= self.next_leave
    }

    /// Leaves word to the next beadle.
    pub(super) fn leave(&mut self, legacy: &Legacy) -> Result<(), String> {
        let Some(shelf) = &self.shelf else {
            // Said at the start.
            return Ok(());
        };
        self.next_leave = legacy.at.after(LEAVE);
        let nothing = legacy.is_empty();
        if std::mem::replace(&mut self.nothing_left, nothing) && nothing {
            return Ok(());
        }
        shelf.leave(legacy).map_err(|error| unremembered(&error))
    }

    /// Writes an act down, before anything is sent for it.
    pub(super) fn begin(&mut self, warrant: &Warrant) -> Result<(), String> {
        let Some(intent) = &mut self.intent else {
            // Said at the start.
            return Ok(());
        };
        let record = Record::of(warrant, self.hearing, Clock.wall().to_string());
        intent.begin(&record).map_err(|error| wrong(&error))
    }

    /// Writes down what came of it.
    pub(super) fn end(&mut self, report: &Report) -> Result<(), String> {
        match &mut self.intent {
            Some(intent) => intent.end(report).map_err(|error| wrong(&error)),
            None => Ok(()),
        }
    }

    /// A number was given out: sees to it that there are more.
    pub(super) fn used(&mut self, incident: IncidentId) {
        self.last = self.last.max(incident.0);
        let low = self.last.saturating_add(LOW) >= self.block.end;
        let Some(numbers) = self.numbers.clone().filter(|_| low) else {
            return;
        };
        if std::mem::replace(&mut self.pen, Pen::Writing) == Pen::Writing {
            return;
        }
        let (from, post) = (self.block.end, self.post.clone());
        let write = move || {
            let reserved = numbers.reserve(from).map_err(|error| error.to_string());
            // The lock is the keeper's alone again before anybody hears of it.
            drop(numbers);
            // The loop is gone: nobody needs a number any more.
            let _ = post.send(Mail::Reserved(reserved));
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .stack_size(128 << 10);
        if thread.spawn(write).is_err() {
            // Tried again with the next incident.
            self.pen = Pen::Idle;
        }
    }

    /// Takes in whether more numbers could be reserved. When there are none left, the judge is told to count by the clock.
    pub(super) fn reserved(
        &mut self,
        reserved: Result<Block, String>,
    ) -> (Result<(), String>, Option<Input>) {
        self.pen = Pen::Idle;
        let why = match reserved {
            Ok(block) => {
                self.block.end = block.end;
                return (Ok(()), None);
            }
            Err(why) => why,
        };
        if self.last.saturating_add(1) < self.block.end {
            let left = self.block.end.saturating_sub(self.last).saturating_sub(1);
            let text = format!("{why}; {left} incidents can still be numbered");
            return (Err(text), None);
        }
        self.numbers = None;
        let first = IncidentId(wall_number(Clock.wall()));
        let text = numbered_by_the_clock(&why);
        (Err(text), Some(Input::Numbering(first)))
    }
}

/// Nobody said where, and there is no home.
const NO_PLACE: &str =
    "there is no folder for it ($HOME and $XDG_STATE_HOME are not set); name one with --state";

fn numbered_by_the_clock(why: &str) -> String {
    format!("{why}; incidents are numbered by the clock")
}

fn unrecorded(why: &str) -> String {
    format!("{why}; if beadle dies in the middle of an act, the next one will not know of it")
}

fn unremembered(error: &StoreError) -> String {
    format!("{error}; after a restart, trees and incidents will begin anew")
}

fn wrong(error: &StoreError) -> String {
    unrecorded(&error.to_string())
}

/// A number that no store counts to, and that no earlier moment gave.
fn wall_number(wall: Timestamp) -> u64 {
    u64::try_from(wall.as_millisecond()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::super::inbox::Inbox;
    use super::*;

    fn places(folder: &Path) -> Places {
        Places::of(Uid(1000), Some(folder), None, None)
    }

    #[test]
    fn each_user_has_a_place_and_a_state_folder_takes_all() {
        let user = |home, runtime| Places::of(Uid(7), None, home, runtime).intent;
        let (home, run) = (Some(Path::new("/h/state")), Some(Path::new("/run/user/7")));
        assert_eq!(user(home, run), Some("/run/user/7/beadle/intent".into()));
        assert_eq!(user(home, None), Some("/h/state/beadle/intent".into()));
        assert_eq!(user(None, None), None);
        let root = Places::of(Uid::ROOT, None, home, run);
        assert_eq!(root.state, Some("/var/lib/beadle".into()));
        assert_eq!(root.intent, Some("/run/beadle/intent".into()));
        assert_eq!(root.mode, 0o750);
        let named = Places::of(Uid::ROOT, Some(Path::new("/x")), home, run);
        assert_eq!(
            (named.state, named.intent),
            (Some("/x".into()), Some("/x/intent".into()))
        );
    }

    #[tokio::test]
    async fn numbers_are_reserved_ahead_and_off_the_loop() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let (post, mut inbox) = Inbox::new();
        let Opened {
            mut keeper,
            first,
            faults,
            ..
        } = Keeper::open(&places(&folder), "boot", &post);
        assert_eq!((first, faults), (1, vec![]));
        keeper.used(IncidentId(1));
        assert_eq!(keeper.pen, Pen::Idle);
        keeper.used(IncidentId(33));
        keeper.used(IncidentId(34));
        let Mail::Reserved(reserved) = inbox.wait(Clock, None).await else {
            panic!("something else")
        };
        assert!(matches!(keeper.reserved(reserved), (Ok(()), None)));
        assert_eq!(keeper.block.end, 129);
        drop(keeper);
        assert_eq!(Keeper::open(&places(&folder), "boot", &post).first, 129);
    }

    #[test]
    fn a_disk_that_takes_nothing_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (post, _inbox) = Inbox::new();
        let mut keeper = Keeper::open(&places(&dir.path().join("state")), "boot", &post).keeper;
        keeper.last = 40;
        let (fault, input) = keeper.reserved(Err("no room".to_owned()));
        assert_eq!(
            fault,
            Err("no room; 24 incidents can still be numbered".to_owned())
        );
        assert!(input.is_none());
        keeper.last = 64;
        let (fault, input) = keeper.reserved(Err("no room".to_owned()));
        assert!(fault.unwrap_err().contains("by the clock"));
        let Some(Input::Numbering(IncidentId(first))) = input else {
            panic!("the judge goes on with numbers of the store")
        };
        assert!(first > 1_700_000_000_000);
    }

    #[test]
    fn without_a_place_the_watch_goes_on() {
        let (post, _inbox) = Inbox::new();
        let nowhere = Places::of(Uid(7), None, None, None);
        let opened = Keeper::open(&nowhere, "boot", &post);
        let parts: Vec<Part> = opened.faults.iter().map(|(part, _)| *part).collect();
        assert_eq!(parts, [Part::History, Part::Store, Part::Intent]);
        assert_eq!(opened.history, None);
        assert!(opened.first > 1_700_000_000_000);
    }
}
