//! Heartbeats: what programs say of themselves, in the words of `sd_notify`.
//!
//! **Invariants.** Whoever has sent no beat is never silent. Time in which a tree cannot work, or nobody hears it, is no silence: its
//! clock stands then, and nothing is known. Nothing but [`Effect::Progress`] sets the clock back.
//!
//! | word | means |
//! |---|---|
//! | `X_BEADLE_PROGRESS=567/1000`, or `=567` | a beat with a counter |
//! | `WATCHDOG=1` | a beat without one |
//! | `READY=1` | a sign of life; after `STOPPING=1`, that it goes on after all |
//! | `STATUS=` | what people are shown; where it is nothing but `567/1000`, a beat with a counter |
//! | `STOPPING=1` | it winds up: its silence grows no more |
//! | `EXTEND_TIMEOUT_USEC=` | so much time more before silence counts, at most [`LONGEST_EXTENSION`] |
//! | `WATCHDOG_USEC=` | understood, and of no effect: how long is too long is for the rule to say |
//! | `BARRIER=1` | close the descriptor that comes along once everything before it has been taken in |
//!
//! # Why time that is asked for does not add up
//! There are programs that ask for ten seconds with every beat, also while they are stuck. From one progress to the next, who
//! asks is given the most that was asked for at once, and not its sum.
//!
//! # What is progress
//! Of a sender that gives a counter, another figure than before: more of it, or less, which begins a new run. Of one that never
//! gave any, each beat, for it is all there is; unless somebody above it gives a counter: it is part of what that one counts. A sender
//! that is met for the first time goes on where the last one below the same parent was: a script beats by programs that live for a
//! moment, and a counter that stands still must not look new each time. Two counters below one parent are told apart by their
//! totals. Who lives on beside others that count, and never counts itself, has its own beats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::process::{ProcKey, Text, Uid};
use super::units::Mono;

mod words;

pub use words::{Count, LONGEST, Unreadable, Words};

/// So much time can be asked for at once.
pub const LONGEST_EXTENSION: Duration = Duration::from_secs(3600);
/// Who stood still for so long is given as long to show progress once it goes on; so is who may have spoken unheard.
const WAKING: Duration = Duration::from_secs(60);
/// Of so many senders of one unit counters are kept apart.
const SENDERS: usize = 1024;
/// So many counters of those below one parent are kept apart.
const LINES: usize = 4;

/// The number of a descriptor that is to be closed once everything before it is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt(pub u64);

/// How certain it is who sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The kernel held the sender as it sent.
    Held,
    /// Whoever had its number when it was read.
    Number,
}

/// Whether heartbeats are heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hears {
    /// They are.
    #[default]
    Well,
    /// Not in time, just now; none is lost.
    Late,
    /// They are not, and why.
    Deaf(Arc<str>),
}

/// What may have been said and was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Something that this user sent.
    Of(Uid),
    /// What others wanted to send: of this user came more than there is room for.
    OfOthersThan(Uid),
    /// Nobody knows whose.
    Anybodys,
}

/// What one process said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Who, as the kernel vouches for it.
    pub sender: ProcKey,
    /// How certain that is.
    pub proof: Proof,
    /// As which user.
    pub user: Uid,
    /// What.
    pub words: Words,
    /// What is closed once it is taken in; with `BARRIER=1`.
    pub receipt: Option<Receipt>,
}

/// What became of those that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Taken in by the unit of their sender.
    pub taken: u64,
    /// Sent by nobody who is judged.
    pub strangers: u64,
    /// Sent as a user who is neither the unit's owner nor root, by who may not be the member that it looks like: refused.
    pub others: u64,
    /// Not taken in, for too many waited for their senders to become known.
    pub dropped: u64,
}

/// Somebody who speaks.
#[derive(Clone, Copy, Debug)]
pub struct Voice<'a> {
    /// Who.
    pub from: ProcKey,
    /// Who of its unit is above it, nearest first.
    pub above: &'a [ProcKey],
}

/// Whether those who speak can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Some were seen to.
    Runs,
    /// None has run since that moment, which may be its own doing or not.
    Rests(Mono),
    /// They stand still.
    Stands,
}

/// Why silence is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It stands still: stopped, or frozen.
    Still,
    /// Heartbeats are not heard.
    Deaf,
    /// Some may have been lost.
    Lost,
}

/// What a beat comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something advanced: silence begins anew.
    Progress,
    /// Somebody lives.
    Life,
}

/// Whether what is shown now may count as progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Free,
    /// We have signalled: what comes now comes of that.
    Signalled,
}

/// For how long nothing has advanced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// Nobody has ever sent a beat.
    #[default]
    Unheard,
    /// It may not work.
    Unknown,
    /// For so long at most: it was given time, or winds up.
    AtMost(Duration),
    /// For so long, counting only time in which it could have.
    For(Duration),
}

/// What is known of a unit by its heartbeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// From when silence counts: the last progress, and later by all time that does not count. `None` before the first beat.
    pub since: Option<Mono>,
    /// When something advanced last.
    pub moved: Option<Mono>,
    /// The newest counter of anybody.
    pub count: Option<Count>,
    /// What was said last of how it stands.
    pub status: Option<Text>,
    /// It winds up, by its own word.
    pub stopping: bool,
    /// It was given time until then.
    pub extended: Mono,
    /// So much of it in all since something advanced last.
    pub granted: Duration,
    /// The last counter of each; of some none was ever given.
    pub senders: BTreeMap<ProcKey, Option<Count>>,
    /// The last counters of those below each, newest first, one of each total.
    pub lines: BTreeMap<ProcKey, Vec<Count>>,
    /// Up to when time has been reckoned.
    pub seen: Mono,
    /// When it was last known to be able to work.
    pub sure: Mono,
    /// Since when it stands still.
    pub still: Option<Mono>,
    /// Since when it is not heard.
    pub deaf: Option<Mono>,
    /// Until then nothing is known, for some of what it said may have been lost.
    pub lost: Mono,
}

impl Pulse {
    /// Takes in what somebody said.
    pub fn take(
        &mut self,
        now: Mono,
        voice: Voice<'_>,
        words: &Words,
        standing: Standing,
    ) -> Effect {
        // Who speaks does not stand still.
        self.pass(now, Work::Runs);
        if let Some(status) = &words.status {
            self.status = Some(status.clone()).filter(|status| !status.bytes().is_empty());
        }
        let moves = words.beats() && self.moves(voice, words.progress);
        if words.beats() {
            self.note(voice, words.progress);
        }
        match standing {
            // A request to stop is answered with `STOPPING=1` by those who hang on it, too.
            Standing::Signalled => return Effect::Life,
            Standing::Free => {}
        }
        let winds_up = words.stopping && !self.stopping;
        let goes_on = self.stopping && !words.stopping && (words.ready || words.beats());
        if goes_on {
            // It needs no more time for its end.
            self.extended = self.extended.min(now);
        }
        self.stopping = words.stopping || (self.stopping && !words.ready && !words.beats());
        if moves {
            self.since = Some(now);
            self.moved = Some(now);
            self.granted = Duration::ZERO;
            self.extended = now;
        }
        // A hang at the end is a hang: it does not last for ever, either.
        let asked = words.extend.or(winds_up.then_some(LONGEST_EXTENSION));
        if let Some(asked) = asked {
            let asked = asked.min(LONGEST_EXTENSION);
            let more = asked.saturating_sub(self.granted);
            self.extended = self.extended.max(now).after(more);
            self.granted = self.granted.max(asked);
        }
        if moves {
            Effect::Progress
        } else {
            Effect::Life
        }
    }

    /// Whether a beat shows progress.
    fn moves(&self, voice: Voice<'_>, told: Option<Count>) -> bool {
        match (self.before(voice, told), told) {
            (Some(before), Some(told)) => before.done != told.done,
            (Some(_), None) => false,
            (None, Some(_) | None) => true,
        }
    }

    /// Where a sender was before: by its own word, by that of the nearest above it that counts, or, where it is new, by that of
    /// whoever spoke last below the same parent.
    fn before(&self, voice: Voice<'_>, told: Option<Count>) -> Option<Count> {
        let own = self.senders.get(&voice.from).copied();
        let mut above = voice.above.iter();
        let counts = || above.find_map(|key| self.senders.get(key).copied().flatten());
        own.flatten().or_else(counts).or_else(|| {
            let new = own.is_none();
            let mut above = voice.above.iter().filter(|_| new);
            let line = above.find_map(|key| self.lines.get(key))?;
            let same = |count: &&Count| told.is_some_and(|told| told.total == count.total);
            line.iter().find(same).or_else(|| line.first()).copied()
        })
    }

    fn note(&mut self, voice: Voice<'_>, told: Option<Count>) {
        let before = self.senders.get(&voice.from).copied();
        if self.senders.len() < SENDERS || before.is_some() {
            self.senders
                .insert(voice.from, told.or_else(|| before.flatten()));
        }
        if let Some(told) = told {
            for key in voice.above {
                if self.lines.len() < SENDERS || self.lines.contains_key(key) {
                    let line = self.lines.entry(*key).or_default();
                    line.retain(|count| count.total != told.total);
                    line.insert(0, told);
                    line.truncate(LINES);
                }
            }
        }
        self.count = told.or(self.count);
    }

    /// Time goes by.
    pub fn pass(&mut self, now: Mono, work: Work) {
        let still = work == Work::Stands;
        if still && self.still.is_none() {
            // It may have stood since it was last seen to work.
            self.seen = self.seen.min(self.sure.max(self.since.unwrap_or_default()));
        }
        self.reckon(now, still);
        match work {
            Work::Runs => self.sure = now,
            Work::Rests(since) => self.sure = self.sure.max(since.min(now)),
            Work::Stands => {}
        }
        match (self.still, still) {
            (None, true) => self.still = Some(now),
            (Some(since), false) => {
                self.still = None;
                if now.since(since) >= WAKING {
                    self.extended = self.extended.max(now.after(WAKING));
                }
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Reckons what went by since this was last done; none of it counts where it does not for other reasons.
    fn reckon(&mut self, now: Mono, excused: bool) {
        let from = self.seen.max(self.since.unwrap_or_default());
        self.seen = self.seen.max(now);
        let excused = if excused || self.still.is_some() || self.deaf.is_some() {
            now.since(from)
        } else {
            self.extended.max(self.lost).min(now).since(from)
        };
        self.since = self.since.map(|since| since.after(excused).min(now));
    }

    /// From now on it is not heard.
    pub fn deafen(&mut self, now: Mono) {
        if self.deaf.is_none() {
            self.reckon(now, false);
            self.deaf = Some(now);
        }
    }

    /// It is heard again. Where something may have been said meanwhile, it has time to say more.
    pub fn hear_again(&mut self, now: Mono, lost: bool) {
        if self.deaf.is_some() {
            self.reckon(now, true);
            self.deaf = None;
            if lost && self.since.is_some() {
                self.extended = self.extended.max(now.after(WAKING));
            }
        }
    }

    /// Some of what it said just now may have been lost.
    pub fn lose(&mut self, now: Mono) {
        self.reckon(now, false);
        self.lost = now.after(WAKING);
    }

    /// So much time went by in which nothing could run.
    pub fn skip(&mut self, span: Duration) {
        self.since = self.since.map(|since| since.after(span));
        self.seen = self.seen.after(span);
    }

    /// Taken up by another beadle, by the word of that moment: what went on meanwhile nobody heard.
    pub fn take_up(&mut self, left: Mono, now: Mono) {
        self.skip(now.since(left));
        self.seen = now;
        self.sure = now;
        self.still = None;
        if self.since.is_some() {
            self.extended = self.extended.max(now.after(WAKING));
        }
    }

    /// Only those are remembered who are there still.
    pub fn keep(&mut self, lives: impl Fn(ProcKey) -> bool) {
        self.senders.retain(|key, _| lives(*key));
        self.lines.retain(|key, _| lives(*key));
    }

    /// For how long nothing has advanced.
    pub fn silence(&self, now: Mono) -> Silence {
        match self.since {
            None => Silence::Unheard,
            Some(_) if self.doubt(now).is_some() => Silence::Unknown,
            // Its clock stands there.
            Some(since) if now < self.extended => Silence::AtMost(self.seen.since(since)),
            Some(since) => Silence::For(now.since(since)),
        }
    }

    /// Why its silence is not known.
    pub fn doubt(&self, now: Mono) -> Option<Doubt> {
        let still = self.still.map(|_| Doubt::Still);
        let deaf = self.deaf.map(|_| Doubt::Deaf);
        let lost = (now < self.lost).then_some(Doubt::Lost);
        still.or(deaf).or(lost).filter(|_| self.since.is_some())
    }

    /// Whether nothing was ever said.
    pub const fn is_unheard(&self) -> bool {
        self.since.is_none() && self.status.is_none()
    }

    /// What people are shown; `None` where nothing was ever said.
    pub fn progress(&self, now: Mono) -> Option<Progress> {
        (!self.is_unheard()).then(|| Progress {
            count: self.count,
            status: self.status.clone(),
            moved: self.moved.map(|moved| now.since(moved)),
            doubt: self.doubt(now),
        })
    }
}

/// How far a unit is, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its counter.
    pub count: Option<Count>,
    /// How it says it stands.
    pub status: Option<Text>,
    /// How long ago something advanced.
    pub moved: Option<Duration>,
    /// Why its silence is not known.
    pub doubt: Option<Doubt>,
}

#[cfg(test)]
mod tests;
