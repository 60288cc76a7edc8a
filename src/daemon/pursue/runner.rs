//! What the thread does all day: hear, tell, pursue, wait.

use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Heard;
use super::births::{Births, Unseen, matters};
use super::deaths::Deaths;
use super::losses::{Bearing, Losses};
use super::post::{Command, Post};
use crate::engine::account::Accounting;
use crate::engine::decision::Hearing;
use crate::engine::event::Event;
use crate::engine::process::ProcKey;
use crate::engine::pursuit::{
    Act, Anchor, Found, Look, Pursuit, Queue, Sighting, Slot, Turn, Wire,
};
use crate::engine::units::Mono;
use crate::engine::warrant::{EventCount, Outcome};
use crate::sys::clock::Clock;
use crate::sys::events::connector::Connector;
use crate::sys::events::{Deafness, Drained};
use crate::sys::glimpse;
use crate::sys::pidfd::{Life, NoHold};
use crate::sys::signaller::{Authority, Signaller};

/// The pace outside a pursuit: a batch at most so often. A small queue overflows in that time.
const PACE: Duration = Duration::from_millis(100);
const SMALL_PACE: Duration = Duration::from_millis(5);
/// How long a pursuit that waits for deaths looks away.
const WATCH: Duration = Duration::from_millis(2);
/// How often events are read between two acts, so that a small queue does not overflow while we act.
const ACTS: usize = 32;
/// A batch of so many is handed over at once, also in a pursuit; smaller ones when it is older than this.
const BATCH: usize = 4096;
const STALE: Duration = Duration::from_millis(20);
/// After a break, or when events came too fast for us, we listen again so much later.
const AGAIN: Duration = Duration::from_secs(60);
/// How long the end of the thread may wait for processes that are dying.
const LAST: Duration = Duration::from_millis(200);

/// The thread's whole state.
pub(super) struct Runner<Sink> {
    post: Arc<Post>,
    sink: Sink,
    want: Hearing,
    ears: Option<Connector>,
    /// When to try to listen again; never where it is not to be had.
    listen_again: Mono,
    losses: Losses,
    signaller: Signaller,
    running: Vec<Running>,
    births: Births,
    deaths: Deaths,
    /// Whether records of the dead can be had at all.
    records: Accounting,
    /// How many events were heard.
    heard: EventCount,
    /// What one drain brings; kept to be used again.
    fresh: Vec<Event>,
    /// Heard, and not told yet.
    batch: Vec<Event>,
    /// How the last drain went.
    queue: Queue,
    drained: Mono,
    /// Of before this moment everything was read.
    emptied: Mono,
    told: Mono,
}

/// One pursuit under way.
struct Running {
    authority: Authority,
    pursuit: Pursuit,
    /// What it will be told on its next turn.
    sightings: Vec<Sighting>,
    events: Vec<Event>,
    hearing: Loss,
    /// Those KILL was sent to, until they are dead.
    struck: Vec<(Slot, ProcKey)>,
    due: Mono,
}

/// Whether events were lost since the last turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Nothing,
    Some,
}

/// Whether the thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Continue,
    End,
}

impl<Sink: Fn(Heard)> Runner<Sink> {
    pub(super) fn new(
        post: Arc<Post>,
        signaller: Signaller,
        (want, records): (Hearing, Accounting),
        sink: Sink,
    ) -> Self {
        Self {
            post,
            sink,
            want,
            ears: None,
            listen_again: Mono::NEVER,
            losses: Losses::default(),
            signaller,
            running: Vec::new(),
            births: Births::default(),
            deaths: Deaths::default(),
            records,
            heard: EventCount(0),
            fresh: Vec::new(),
            batch: Vec::new(),
            queue: Queue::Deaf,
            drained: Mono::BOOT,
            emptied: Mono::BOOT,
            told: Mono::BOOT,
        }
    }

    pub(super) fn run(mut self) {
        // In a storm we compete with what we pursue. Without the right to it we do what we can.
        let _ = rustix::process::setpriority_process(None, -10);
        self.listen();
        loop {
            if self.obey() == Next::End {
                return self.end();
            }
            if !self.running.is_empty() {
                self.turns();
            }
            // A pursuit that began deaf relies on nothing that was heard in between.
            if self.running.is_empty() && self.listen_again <= now() {
                self.listen();
            }
            self.wait();
        }
    }

    fn listen(&mut self) {
        let ears = match self.want {
            Hearing::Events => Connector::open(),
            Hearing::Nothing => Err(Deafness::Chosen),
        };
        let again = std::mem::replace(&mut self.listen_again, Mono::NEVER) < Mono::NEVER;
        match ears {
            Ok(ears) => {
                self.ears = Some(ears);
                (self.sink)(Heard::Listening);
            }
            Err(why) => {
                if again {
                    // It worked before: the machine may just be short of something.
                    self.listen_again = now().after(AGAIN);
                }
                (self.sink)(Heard::Deaf(why));
            }
        }
    }

    /// Stops listening, for a while.
    fn go_deaf(&mut self, why: Deafness) {
        self.ears = None;
        self.queue = Queue::Deaf;
        self.listen_again = now().after(AGAIN);
        self.births.lose(self.heard);
        self.tell();
        // Without the events nobody would know whose they are.
        (self.sink)(Heard::Accounts(self.deaths.close()));
        (self.sink)(Heard::Deaf(why));
    }

    /// Takes what the loop has left.
    fn obey(&mut self) -> Next {
        self.births.forget(self.post.is_applied());
        for command in self.post.take() {
            match command {
                Command::Carry(authority) => self.carry(authority),
                Command::Account(wanted) => self.account(wanted),
                Command::Flush => {
                    self.drain();
                    self.tell();
                    (self.sink)(Heard::Flushed(self.emptied));
                }
                Command::Wake => {}
                Command::Stop => return Next::End,
            }
        }
        Next::Continue
    }

    fn account(&mut self, wanted: Accounting) {
        let accounting = match (self.records, &self.ears) {
            (Accounting::Wanted, Some(_)) => wanted,
            (Accounting::Unwanted, _) | (_, None) => Accounting::Unwanted,
        };
        let accounts = self.deaths.want(accounting, now());
        (self.sink)(Heard::Accounts(accounts));
    }

    fn carry(&mut self, authority: Authority) {
        self.signaller.renew();
        let hearing = match self.ears {
            Some(_) => Hearing::Events,
            None => Hearing::Nothing,
        };
        let warrant = Arc::clone(authority.warrant());
        // What is queued already belongs to what the decision has not seen.
        self.drain();
        let (events, loss) = match self.births.since(warrant.seen) {
            Unseen::All(events) => (events, Loss::Nothing),
            Unseen::Some(events) => (events, Loss::Some),
        };
        self.running.push(Running {
            authority,
            pursuit: Pursuit::new(warrant, hearing, now()),
            sightings: Vec::new(),
            events,
            hearing: loss,
            struck: Vec::new(),
            due: Mono::BOOT,
        });
    }

    /// Reads what is queued, gives it to every pursuit, and puts it by for the loop.
    fn drain(&mut self) {
        let Some(ears) = &mut self.ears else { return };
        let began = now();
        let drained = ears.drain(&mut self.fresh);
        self.drained = now();
        for event in &self.fresh {
            self.heard = EventCount(self.heard.0.saturating_add(1));
            self.births.keep(self.heard, *event);
        }
        for running in &mut self.running {
            let matter = self.fresh.iter().copied().filter(matters);
            running.events.extend(matter);
        }
        self.batch.append(&mut self.fresh);
        match drained {
            Ok(Drained::Empty) => {
                self.emptied = began;
                self.queue = Queue::Empty;
            }
            Ok(Drained::Partly) => self.queue = Queue::More,
            Ok(Drained::Lossy) => self.lose(),
            Err(why) => self.go_deaf(why),
        }
    }

    /// What was queued before the loss comes before it.
    fn lose(&mut self) {
        self.births.lose(self.heard);
        for running in &mut self.running {
            running.hearing = Loss::Some;
        }
        self.tell();
        (self.sink)(Heard::Gap);
        match self.losses.note(now()) {
            Bearing::Bearable => self.queue = Queue::Empty,
            Bearing::TooMany => self.go_deaf(Deafness::Overrun),
        }
    }

    /// Tells the loop what was heard.
    fn tell(&mut self) {
        self.told = now();
        if self.running.is_empty()
            && let Some(accounts) = self.deaths.drain(now)
        {
            (self.sink)(Heard::Accounts(accounts));
        }
        if !self.batch.is_empty() {
            let events = self.batch.as_slice().to_vec();
            self.batch.clear();
            let upto = self.heard;
            (self.sink)(Heard::Events { events, upto });
        }
    }

    /// One turn of every pursuit: who died, what happened, what to do, and doing it.
    fn turns(&mut self) {
        for running in &mut self.running {
            running.watch(&mut self.signaller);
        }
        // After what was sighted: a pursuit relies on having heard everything that was queued until then.
        self.drain();
        if self.batch.len() >= BATCH || now() >= self.told.after(STALE) {
            self.tell();
        }
        for index in 0..self.running.len() {
            let queue = self.queue;
            let Some(acts) = self.running.get_mut(index).map(|one| one.turn(queue)) else {
                continue;
            };
            for (count, act) in acts.into_iter().enumerate() {
                if count % ACTS == ACTS - 1 {
                    self.drain();
                }
                if let Some(running) = self.running.get_mut(index) {
                    running.perform(act, &mut self.signaller);
                }
            }
        }
        self.report();
    }

    /// Tells of those that are settled.
    fn report(&mut self) {
        let (settled, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition::<Vec<_>, _>(|one| one.pursuit.settled().is_some());
        self.running = running;
        for one in settled {
            self.tell();
            if let Some(report) = one.pursuit.settled() {
                (self.sink)(Heard::Report(report.clone()));
            }
        }
        if self.running.is_empty() {
            self.signaller.rest();
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self) {
        let now = now();
        let pace = match &self.ears {
            Some(ears) if ears.is_roomy() => PACE,
            Some(_) | None => SMALL_PACE,
        };
        let pursuing = self.running.iter().map(|one| one.due(self.queue)).min();
        let rest = self.drained.after(pace);
        // Outside a pursuit the ears are closed until the pace allows the next batch.
        let (open, until) = match (pursuing, &self.ears) {
            (Some(due), _) => (true, due),
            (None, Some(_)) if now < rest => (false, rest),
            (None, Some(_)) => (true, Mono::NEVER),
            (None, None) => (false, self.listen_again),
        };
        let mut fds = vec![PollFd::new(&self.post, PollFlags::IN)];
        if let (true, Some(ears)) = (open, &self.ears) {
            fds.push(PollFd::new(ears, PollFlags::IN));
        }
        let span =
            (until < Mono::NEVER).then(|| Timespec::try_from(until.since(now)).unwrap_or_default());
        // Whatever woke us, the next round looks at everything.
        let woken = poll(&mut fds, span.as_ref()).unwrap_or(0);
        let heard = fds.get(1).is_some_and(|ears| !ears.revents().is_empty());
        if pursuing.is_none() && woken > 0 && heard {
            self.drain();
            self.tell();
        }
    }

    /// Lets go of what is under way, and gives those that are dying a moment for their report.
    fn end(mut self) {
        let patience = now().after(LAST);
        for running in &self.running {
            running.authority.recall();
        }
        self.turns();
        while !self.running.is_empty() && now() < patience {
            self.wait();
            self.turns();
        }
    }
}

impl Running {
    /// Sees who has died.
    fn watch(&mut self, signaller: &mut Signaller) {
        let sightings = &mut self.sightings;
        self.struck.retain(|(slot, key)| {
            let dead = signaller.holds().life(*key) == Some(Life::Dead);
            if dead {
                signaller.holds().forget(*key);
                sightings.push(Sighting::Dead { slot: *slot });
            }
            !dead
        });
    }

    fn turn(&mut self, queue: Queue) -> Vec<Act> {
        if self.authority.is_recalled() {
            self.sightings.push(Sighting::Recalled);
        }
        let mut acts = Vec::new();
        let queue = match (self.hearing, queue) {
            (_, Queue::Deaf) => Queue::Deaf,
            (Loss::Some, _) => Queue::Lost,
            (Loss::Nothing, queue) => queue,
        };
        self.due = self.pursuit.turn(
            &Turn {
                now: now(),
                sightings: &self.sightings,
                events: &self.events,
                queue,
            },
            &mut acts,
        );
        self.sightings.clear();
        self.events.clear();
        self.hearing = Loss::Nothing;
        acts
    }

    fn perform(&mut self, act: Act, signaller: &mut Signaller) {
        let sighting = match act {
            Act::Send { slot, key, wire } => {
                let outcome = signaller.send(now(), &self.authority, key, wire);
                if (wire, outcome) == (Wire::Kill, Outcome::Sent) {
                    self.struck.push((slot, key));
                }
                Sighting::Sent {
                    slot,
                    wire,
                    outcome,
                }
            }
            Act::Take { slot, pid, anchor } => {
                let found = match signaller.holds().take(pid) {
                    Ok((key, glimpse)) => {
                        let life = anchor.and_then(|anchor| signaller.holds().life(anchor));
                        let anchor = match life {
                            Some(Life::Alive) => Anchor::Alive,
                            Some(Life::Dead) | None => Anchor::Lost,
                        };
                        Found::Held {
                            key,
                            glimpse,
                            anchor,
                        }
                    }
                    Err(NoHold::Gone) => Found::Gone,
                    Err(NoHold::Short | NoHold::Refused) => Found::Unsure,
                };
                Sighting::Taken { slot, found }
            }
            Act::Look { slot, key } => Sighting::Looked {
                slot,
                look: look(key, signaller),
            },
            Act::Scan => {
                let (at, seen) = glimpse::everyone();
                Sighting::Scanned { at, seen }
            }
        };
        self.sightings.push(sighting);
    }

    /// When its next turn is.
    fn due(&self, queue: Queue) -> Mono {
        let pressing = !self.sightings.is_empty() || queue == Queue::More;
        if pressing {
            Mono::BOOT
        } else if self.struck.is_empty() {
            self.due
        } else {
            self.due.min(now().after(WATCH))
        }
    }
}

/// How one process is, seen while it is held.
fn look(key: ProcKey, signaller: &mut Signaller) -> Look {
    match signaller.holds().life(key) {
        Some(Life::Alive) => {}
        Some(Life::Dead) => return Look::Dead,
        None => return Look::Unseen,
    }
    let seen = glimpse::bearer(key.pid()).map(|(glimpse, _)| glimpse.state);
    let motion = glimpse::motion(key.pid());
    match (signaller.holds().life(key), seen, motion) {
        (Some(Life::Dead), _, _) => Look::Dead,
        (Some(Life::Alive), Ok(state), Some(motion)) => Look::Alive { state, motion },
        (Some(Life::Alive) | None, _, _) => Look::Unseen,
    }
}

fn now() -> Mono {
    Clock.now()
}
