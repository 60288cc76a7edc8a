//! Activity: whether anything moves in a unit, and whether anything comes of what it does.
//!
//! Two *inspections* of all its members bound an interval. What moved in it is read off counters that the kernel keeps for
//! everybody: CPU time, bytes read and written, switches between threads. So a unit is judged by what it did, never by how it
//! looks at one moment: who waits for a lock at the moment of a look may have had it a hundred times since the last.
//!
//! **Invariants.** One member of whom something is not known makes the whole interval unknown, unless another is known to have
//! moved. An unknown interval ends what was sure and begins nothing.
//!
//! # When nothing moves
//! In an interval is *still* who read and wrote not a byte, started and lost nobody, and used no more of a processor than
//! [`HOUSEKEEPING`]. The kernel does not count what goes through a socket by `send` and `recv`; but whoever is woken by it is
//! switched to. So a unit with a connection that was switched to is not known to be still.
//!
//! Who waits at a socket that others can call, or in front of a person at a terminal, is at rest and not stuck.
//!
//! # When nothing comes of it
//! In an interval *spins* who used much of a processor and wrote nothing, started nobody and read nothing new. Bytes
//! that were read are new unless the opposite is seen ([`Doing::close`]): that it reads at the very moment of the inspection, that all
//! bytes can only come from files, and that every file that is open then was open at the one before, no longer than before,
//! and read no further. With a connection nothing of the sort is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::process::ProcKey;
use super::survey::Holder;
use super::units::{Millicores, Mono, Range, Tier};

/// So much of one processor is used by whoever does nothing: timers, collectors of garbage.
pub const HOUSEKEEPING: Millicores = Millicores(10);
/// Who uses less of a processor is not busy, where no rule says otherwise.
pub const BUSY: Millicores = Millicores(500);
/// CPU time is counted in steps of this length on the slowest kernels.
const STEP: Duration = Duration::from_millis(10);
/// Figures that lie closer together say nothing of a pace.
const SHORTEST: Duration = Duration::from_millis(500);
/// Of so many files it is known how far they were read.
const PLACES: usize = 4096;

/// The number of an inspection: counts from 1 within one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InspectionId(pub u64);

/// What is to be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its number.
    pub id: InspectionId,
    /// Whom to look at.
    pub whom: Vec<Holder>,
    /// Whether to look which files they read.
    pub scrutiny: Scrutiny,
}

/// How much trouble an inspection is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrutiny {
    /// Counters and waits.
    Plain,
    /// The files that are open too, several times within a moment.
    Close,
}

/// What an inspection found. Who is missing is gone, or could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Which inspection.
    pub id: InspectionId,
    /// When it began.
    pub at: Mono,
    /// Whoever could be read.
    pub each: Vec<(ProcKey, Doing)>,
}

/// What one process is doing, and all it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// Bytes read by calls, from files, pipes and terminals (`rchar`).
    pub read: u64,
    /// Bytes written by calls (`wchar`).
    pub written: u64,
    /// Calls that read or wrote, whatever came of them (`syscr` and `syscw`).
    pub calls: u64,
    /// CPU time, of children it waited for too.
    pub used: Duration,
    /// How often one of its threads was switched from, threads that ended not counted.
    pub switches: u64,
    /// What its threads wait for.
    pub waits: Waits,
    /// Sockets and other sources of bytes that it holds.
    pub ends: Ends,
    /// Its dead children that it has not waited for.
    pub unwaited: u32,
    /// What it read while it was looked at closely; `None` where it was not.
    pub close: Option<Close>,
}

/// What threads wait for: how many for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// For nothing: they run, or want to.
    pub run: u32,
    /// For another thread, in a futex: mutexes, conditions, joins.
    pub thread: u32,
    /// For a lock on a file.
    pub lock: u32,
    /// For a child to end.
    pub child: u32,
    /// For a pipe: for bytes, or for room.
    pub pipe: u32,
    /// For bytes at a socket, or for room.
    pub socket: u32,
    /// For any of several things to happen: `accept`, `poll`, `select`, `epoll`.
    pub call: u32,
    /// For time to pass.
    pub time: u32,
    /// For somebody at the terminal whose foreground they are.
    pub person: u32,
    /// For something else.
    pub other: u32,
    /// Nobody knows.
    pub unknown: u32,
}

impl Waits {
    /// Adds up.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            run: self.run.saturating_add(more.run),
            thread: self.thread.saturating_add(more.thread),
            lock: self.lock.saturating_add(more.lock),
            child: self.child.saturating_add(more.child),
            pipe: self.pipe.saturating_add(more.pipe),
            socket: self.socket.saturating_add(more.socket),
            call: self.call.saturating_add(more.call),
            time: self.time.saturating_add(more.time),
            person: self.person.saturating_add(more.person),
            other: self.other.saturating_add(more.other),
            unknown: self.unknown.saturating_add(more.unknown),
        }
    }
}

/// Where bytes may come from and go to that are no file's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// A socket at which others can call.
    pub listens: bool,
    /// Any other socket.
    pub talks: bool,
    /// A pipe or a device that it can read from.
    pub hears: bool,
}

/// What was seen of a process within one close look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// Bytes were read meanwhile.
    pub reads: bool,
    /// Files and folders that were open in it.
    pub places: Vec<Place>,
}

/// A file, and how far it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Device and inode.
    pub file: (u64, u64),
    /// Its length, in bytes.
    pub length: u64,
    /// The position in it, in bytes.
    pub at: u64,
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sure {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// Nobody knows.
    Unknown,
}

/// What a unit did between two inspections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The later inspection.
    pub id: InspectionId,
    /// When the earlier one began.
    pub from: Mono,
    /// When the later one began.
    pub until: Mono,
    /// Nothing moved.
    pub still: Sure,
    /// It waits for whoever may call, or for a person.
    pub rests: bool,
    /// How many processors it used, at least.
    pub cores: Millicores,
    /// Nothing came of what it did.
    pub barren: Sure,
    /// In which manner.
    pub manner: Manner,
}

/// In which manner nothing happens, or nothing comes of what does: for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// What its threads wait for.
    pub waits: Waits,
    /// The dead that their parents have not waited for.
    pub unwaited: u32,
    /// Calls that read or wrote, in a second.
    pub calls: u64,
    /// Bytes that were read, in a second.
    pub read: u64,
    /// Files that are read again and again.
    pub files: u64,
}

/// All that is known of a unit's activity.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    last: Option<Last>,
    /// How far each file was read, and how long each was.
    places: BTreeMap<(u64, u64), (u64, u64)>,
    interval: Option<Interval>,
}

#[derive(Clone, Debug)]
struct Last {
    at: Mono,
    each: BTreeMap<ProcKey, Doing>,
    born: u64,
}

/// What became of counters in an interval, over all members.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is so of some member or of none, whatever the others are"
)]
struct Sum {
    used: Duration,
    read: u64,
    written: u64,
    calls: u64,
    switches: u64,
    talks: bool,
    hears: bool,
    unwaited: u32,
    waits: Waits,
    /// Somebody read something, and it was not looked at closely.
    blind: bool,
    /// Somebody waits for whoever may call, or for a person.
    rests: bool,
}

impl Activity {
    /// What it did between the last two inspections.
    pub const fn interval(&self) -> Option<&Interval> {
        self.interval.as_ref()
    }

    /// How closely the next inspection has to look.
    pub fn scrutiny(&self) -> Scrutiny {
        let busy = |it: &Interval| it.cores > HOUSEKEEPING && it.manner.read > 0;
        match &self.interval {
            Some(interval) if busy(interval) => Scrutiny::Close,
            Some(_) | None => Scrutiny::Plain,
        }
    }

    /// Takes in an inspection. `members` are all who belong to the unit now, where all of them are known by identity; `born` counts
    /// all who ever did.
    pub fn take(&mut self, found: Inspected, members: Option<&BTreeSet<ProcKey>>, born: u64) {
        let each: BTreeMap<ProcKey, Doing> = found.each.into_iter().collect();
        let next = Last {
            at: found.at,
            each,
            born,
        };
        let Some(last) = self.last.take() else {
            self.last = Some(next);
            return;
        };
        if next.at.since(last.at) < SHORTEST {
            self.last = Some(last);
            return;
        }
        self.interval = Some(self.compare(found.id, &last, &next, members));
        self.last = Some(next);
    }

    fn compare(
        &mut self,
        id: InspectionId,
        last: &Last,
        next: &Last,
        members: Option<&BTreeSet<ProcKey>>,
    ) -> Interval {
        let elapsed = next.at.since(last.at);
        let mut sum = Sum::default();
        for (key, now) in &next.each {
            let before = last.each.get(key);
            sum.add(before, now);
        }
        let known = members.is_some_and(|all| all.iter().all(|key| next.each.contains_key(key)));
        let others = !last.each.keys().eq(next.each.keys());
        let changed = next.born != last.born || others;
        let known = known && sum.waits.unknown == 0;
        let cores = Millicores::over(sum.used, elapsed).unwrap_or(Millicores(0));
        let allowed = elapsed.checked_div(100).unwrap_or_default();
        let works = sum.used > allowed.saturating_add(STEP);
        let still = if changed || sum.read > 0 || sum.written > 0 || works {
            Sure::No
        } else if !known || (sum.talks && sum.switches > 0) {
            Sure::Unknown
        } else {
            Sure::Yes
        };
        let repeats = self.repeats(next);
        let barren = if changed || sum.written > 0 {
            Sure::No
        } else if !known || sum.talks {
            Sure::Unknown
        } else if sum.read == 0 {
            Sure::Yes
        } else if sum.hears {
            Sure::No
        } else if sum.blind {
            Sure::Unknown
        } else {
            match repeats {
                true => Sure::Yes,
                false => Sure::No,
            }
        };
        let manner = Manner {
            waits: sum.waits,
            unwaited: sum.unwaited,
            calls: per_second(sum.calls, elapsed),
            read: per_second(sum.read, elapsed),
            files: files(next),
        };
        Interval {
            id,
            from: last.at,
            until: next.at,
            still,
            rests: sum.rests,
            cores,
            barren,
            manner,
        }
    }

    /// Whether all that is read now was read before. Takes note of how far it is.
    fn repeats(&mut self, next: &Last) -> bool {
        let close = next.each.values().filter_map(|doing| doing.close.as_ref());
        let reading: Vec<&Close> = close.filter(|close| close.reads).collect();
        if reading.is_empty() {
            // Whatever was read was not read now.
            return false;
        }
        let mut all = true;
        for close in reading {
            // What is read and is nowhere to be seen may be anything.
            all &= !close.places.is_empty();
            for place in &close.places {
                let known = self.places.get(&place.file).copied();
                let further =
                    known.is_none_or(|(length, at)| place.length > length || place.at > at);
                all &= !further;
                let (length, at) = known.unwrap_or_default();
                let furthest = (length.max(place.length), at.max(place.at));
                self.places.insert(place.file, furthest);
            }
        }
        if self.places.len() > PLACES {
            self.places.clear();
        }
        all
    }
}

impl Sum {
    /// Adds one member: what it did since `before`, or nothing where it was not there.
    fn add(&mut self, before: Option<&Doing>, now: &Doing) {
        if let Some(before) = before {
            let read = now.read.saturating_sub(before.read);
            self.used = self
                .used
                .saturating_add(now.used.saturating_sub(before.used));
            self.read = self.read.saturating_add(read);
            self.written = self
                .written
                .saturating_add(now.written.saturating_sub(before.written));
            self.calls = self
                .calls
                .saturating_add(now.calls.saturating_sub(before.calls));
            // Those of a thread that ended are gone: any difference is one.
            self.switches = self
                .switches
                .saturating_add(now.switches.abs_diff(before.switches));
            self.blind |= read > 0 && now.close.is_none();
            self.hears |= read > 0 && now.ends.hears;
        }
        self.talks |= now.ends.talks;
        let called = now.waits.call.saturating_add(now.waits.socket) > 0;
        self.rests |= now.waits.person > 0 || (now.ends.listens && called);
        self.unwaited = self.unwaited.saturating_add(now.unwaited);
        self.waits = self.waits.plus(now.waits);
    }
}

/// How many files are read.
fn files(next: &Last) -> u64 {
    let close = next.each.values().filter_map(|doing| doing.close.as_ref());
    let places = close
        .filter(|close| close.reads)
        .flat_map(|close| &close.places);
    let files: BTreeSet<(u64, u64)> = places.map(|place| place.file).collect();
    u64::try_from(files.len()).unwrap_or(u64::MAX)
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    let count = u128::from(count).saturating_mul(1_000_000_000);
    u64::try_from(count.checked_div(elapsed.as_nanos()).unwrap_or(0)).unwrap_or(u64::MAX)
}

/// For how long something has been so without a break.
///
/// The lower bound counts from the first of an unbroken row of intervals that were surely so to the end of the last; the upper
/// one from the beginning of the last interval that surely was not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    seen: Option<InspectionId>,
    sure: Option<Mono>,
    until: Mono,
    broken: Option<Mono>,
}

impl Run {
    /// Takes in an interval, once.
    pub fn take(&mut self, interval: &Interval, so: Sure) {
        if self.seen == Some(interval.id) {
            return;
        }
        self.seen = Some(interval.id);
        self.until = interval.until;
        match so {
            Sure::Yes => {
                self.sure.get_or_insert(interval.from);
            }
            Sure::No => {
                self.sure = None;
                self.broken = Some(interval.from);
            }
            Sure::Unknown => self.sure = None,
        }
    }

    /// Takes in what came after we had signalled: it breaks nothing, for it is no progress.
    pub const fn hold(&mut self, interval: &Interval) {
        self.seen = Some(interval.id);
        self.until = interval.until;
    }

    /// Time went by that does not count.
    pub fn skip(&mut self, span: Duration) {
        if let Some(sure) = &mut self.sure {
            *sure = sure.after(span);
        }
        if let Some(broken) = &mut self.broken {
            *broken = broken.after(span);
        }
        self.until = self.until.after(span);
    }

    /// Whether this interval is the last of an unbroken row.
    pub const fn goes_on(&self, interval: &Interval) -> bool {
        match self.seen {
            Some(seen) => seen.0 == interval.id.0 && self.sure.is_some(),
            None => false,
        }
    }

    /// For how long it has been so, and when that was last seen. Nothing lasts for longer than `life`.
    pub fn length(&self, now: Mono, life: Duration) -> (Range<Duration>, Mono) {
        let at_least = self
            .sure
            .map_or(Duration::ZERO, |sure| self.until.since(sure));
        let at_most = self
            .broken
            .map_or(life, |broken| now.since(broken).min(life));
        let at_least = at_least.min(life);
        let range = Range {
            at_least,
            at_most: Some(at_most.max(at_least)),
            tier: Tier::Exact,
        };
        (range, self.until)
    }
}

#[cfg(test)]
mod tests;
