//! Hearing heartbeats on a thread of its own: whatever holds up a read, it holds up nobody else.
//!
//! **Invariants.** What is read lies in the basket until it is taken, in its order: who takes it after [`Listener::drain`] has
//! answered has all that was sent by then. Nobody waits for the thread longer than it says; where it is late it is said so, and said
//! again when it is not any more. Where the place cannot be had, or is lost, that is said too, and it is tried again.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::{Access, Ear, Heard};
use crate::engine::heartbeat::{Beat, Hears, Loss, Receipt};
use crate::engine::process::Uid;
use crate::engine::units::Mono;
use crate::sys::clock::Clock;

/// So much is read in a turn,
const TURN: usize = 64;
/// and the next comes no sooner than after so long: a flood costs those who send it, for their queue is full, and us little.
const PAUSE: Duration = Duration::from_millis(50);
/// Before a last call as much is read as a queue holds: the kernel's own length is 10, and few give it more than 512.
const QUEUE: usize = 2048;
/// Where what came along cannot be closed, it is tried again after so long.
const CHOKED: Duration = Duration::from_secs(1);
/// So often it is seen to that the place is still ours; before a last call it is anyhow.
const CHECK: Duration = Duration::from_secs(10);

/// What was heard, in its order.
#[derive(Debug, Default)]
pub struct Basket {
    /// What processes said.
    pub beats: Vec<Beat>,
    /// What was not heard, though it may have been said.
    pub lost: BTreeSet<Loss>,
    /// Datagrams that nothing could be made of, ever.
    pub unreadable: u64,
}

/// What the thread has to say.
#[derive(Debug)]
pub enum Ring {
    /// Something lies in the basket.
    Basket,
    /// Whether heartbeats are heard from now on.
    Hears(Hears),
}

/// The thread.
#[derive(Debug)]
pub struct Listener {
    orders: Sender<Order>,
    bell: Arc<OwnedFd>,
    shared: Arc<Mutex<Shared>>,
    place: PathBuf,
}

#[derive(Debug)]
enum Order {
    Accept(Receipt),
    Refuse(Receipt),
    /// Read all there is, then say how it stands.
    Drain(SyncSender<Hears>),
    /// Only woken: the basket was taken.
    Taken,
    /// Nobody hears any more.
    End,
}

#[derive(Debug, Default)]
struct Shared {
    basket: Basket,
    /// The bell rang for what lies in it.
    rung: bool,
    /// A drain was not answered in time, and that was said.
    late: bool,
    /// Device and inode of our file at the place.
    ours: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at this place, which is ours alone: whoever calls holds the lock of the daemon's own socket beside it. Whether that
    /// works is rung. An error where no thread is to be had.
    pub fn start(
        place: &Path,
        access: Access,
        proc: &Path,
        ring: impl Fn(Ring) + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, coming) = channel();
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let shared = Arc::new(Mutex::default());
        let mut thread = Thread {
            ear: None,
            access,
            place: place.to_owned(),
            proc: proc.to_owned(),
            orders: coming,
            bell: bell.clone(),
            shared: Arc::clone(&shared),
            ring: Box::new(ring),
            lost: false,
            told: None,
            next: Mono::BOOT,
            check: Mono::BOOT,
        };
        // It is there when this returns, where it can be: whoever is started next may speak at once.
        thread.open();
        std::thread::Builder::new()
            .name("ear".to_owned())
            .stack_size(256 << 10)
            .spawn(move || thread.run())?;
        Ok(Self {
            orders,
            bell,
            shared,
            place: place.to_owned(),
        })
    }

    /// Where.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// What was heard since this was last asked.
    pub fn take(&self) -> Basket {
        let mut shared = lock(&self.shared);
        shared.rung = false;
        let unreadable = shared.basket.unreadable;
        let basket = std::mem::take(&mut shared.basket);
        shared.basket.unreadable = unreadable;
        drop(shared);
        self.order(Order::Taken);
        basket
    }

    /// Has all read that was sent by now, and says whether it was: [`Hears::Late`] where that takes longer than `patience`. Once it
    /// was late, nobody waits for it before it has caught up.
    pub fn drain(&self, patience: Duration) -> Hears {
        if lock(&self.shared).late {
            return Hears::Late;
        }
        let (answer, answered) = sync_channel(1);
        self.order(Order::Drain(answer));
        match answered.recv_timeout(patience) {
            Ok(hears) => hears,
            Err(RecvTimeoutError::Timeout) => {
                let mut shared = lock(&self.shared);
                // It may have answered just now.
                if let Ok(hears) = answered.try_recv() {
                    return hears;
                }
                shared.late = true;
                Hears::Late
            }
            Err(RecvTimeoutError::Disconnected) => Hears::Deaf("its thread is gone".into()),
        }
    }

    /// Tells whoever waits for it that it was taken in.
    pub fn accept(&self, receipt: Receipt) {
        self.order(Order::Accept(receipt));
    }

    /// Tells whoever waits for it that it was not.
    pub fn refuse(&self, receipt: Receipt) {
        self.order(Order::Refuse(receipt));
    }

    fn order(&self, order: Order) {
        // Where the thread is gone, the next drain says so.
        let _ = self.orders.send(order);
        // It fails only when it rings already.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The thread may be held up: nobody waits for it.
        self.order(Order::End);
        if let Some(ours) = lock(&self.shared).ours.take() {
            super::remove(&self.place, ours);
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Thread {
    ear: Option<Ear>,
    access: Access,
    place: PathBuf,
    proc: PathBuf,
    orders: Receiver<Order>,
    bell: Arc<OwnedFd>,
    shared: Arc<Mutex<Shared>>,
    ring: Box<dyn Fn(Ring) + Send>,
    /// The place is ours no more: what comes in comes from who began to send before.
    lost: bool,
    /// What was said last of whether we hear.
    told: Option<Hears>,
    /// Not before then is anything read again.
    next: Mono,
    /// Then it is seen to that the place is ours.
    check: Mono,
}

/// Whether anybody wants more of us.
#[derive(PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

impl Thread {
    fn run(mut self) {
        while self.obey() == Wanted::Yes {
            let now = Clock.now();
            if now >= self.check {
                self.see_to_place();
            }
            let full = lock(&self.shared).rung;
            if now >= self.next && !full {
                let read = self.read(TURN);
                if read >= TURN {
                    self.note_crowd();
                }
                if read > 0 {
                    self.next = Clock.now().after(PAUSE);
                    self.ring_for_basket();
                }
            }
            self.wait();
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) {
        let now = Clock.now();
        let full = lock(&self.shared).rung;
        let pausing = !full && self.next > now;
        let until = if pausing {
            self.check.min(self.next)
        } else {
            self.check
        };
        let span = Timespec::try_from(until.since(now)).unwrap_or_default();
        let bell = PollFd::new(&*self.bell, PollFlags::IN);
        let socket = self.ear.as_ref().filter(|_| !full && !pausing);
        // An interrupted wait is a short one.
        let _ = match socket {
            Some(ear) => {
                let socket = PollFd::from_borrowed_fd(ear.socket.as_fd(), PollFlags::IN);
                poll(&mut [bell, socket], Some(&span))
            }
            None => poll(&mut [bell], Some(&span)),
        };
        let _ = rustix::io::read(&*self.bell, &mut [0_u8; 8]);
    }

    fn obey(&mut self) -> Wanted {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Accept(receipt)) => {
                    if let Some(ear) = &mut self.ear {
                        ear.accept(receipt);
                    }
                }
                Ok(Order::Refuse(receipt)) => {
                    if let Some(ear) = &mut self.ear {
                        ear.refuse(receipt);
                    }
                }
                Ok(Order::Drain(answer)) => self.drain(&answer),
                Ok(Order::Taken) => {}
                Err(TryRecvError::Empty) => return Wanted::Yes,
                Ok(Order::End) | Err(TryRecvError::Disconnected) => return Wanted::No,
            }
        }
    }

    fn drain(&mut self, answer: &SyncSender<Hears>) {
        self.see_to_place();
        let read = self.read(QUEUE);
        let mut hears = self.told.clone().unwrap_or(Hears::Well);
        if read >= QUEUE && hears == Hears::Well {
            // There may be more: the next turn says otherwise.
            hears = Hears::Late;
            self.told = Some(Hears::Late);
        }
        let caught_up = {
            let mut shared = lock(&self.shared);
            let sent = answer.try_send(hears).is_ok();
            // Whoever gave us up in the meantime has said that we are late.
            std::mem::replace(&mut shared.late, false) || !sent
        };
        if caught_up {
            // What was said last does not hold: it is said anew.
            let hears = self.told.take().unwrap_or(Hears::Well);
            self.tell(hears);
        }
        if read > 0 {
            self.ring_for_basket();
        }
    }

    /// Reads so much at most into the basket; how much there was.
    fn read(&mut self, most: usize) -> usize {
        let mut read = 0;
        while read < most {
            if let Some(ear) = &mut self.ear
                && let Err(choked) = ear.breathe()
            {
                self.tell(Hears::Deaf(choked.to_string().into()));
                self.next = Clock.now().after(CHOKED);
                return read;
            }
            let Some(heard) = self.ear.as_mut().and_then(Ear::hear) else {
                break;
            };
            read += 1;
            let mut shared = lock(&self.shared);
            match heard {
                Heard::Beat(beat) => {
                    let spoiled = u64::from(beat.words.spoiled);
                    shared.basket.unreadable = shared.basket.unreadable.saturating_add(spoiled);
                    shared.basket.beats.push(beat);
                }
                Heard::Lost(user) => {
                    shared
                        .basket
                        .lost
                        .insert(user.map_or(Loss::Anybodys, Loss::Of));
                }
                Heard::Unreadable => {
                    shared.basket.unreadable = shared.basket.unreadable.saturating_add(1);
                }
            }
        }
        if self.ear.is_some() && !self.lost {
            self.tell(Hears::Well);
        }
        read
    }

    /// More came than is read in a turn: while we pause the queue is full, and others find no room in it.
    fn note_crowd(&self) {
        let mut shared = lock(&self.shared);
        let mut most: std::collections::BTreeMap<Uid, usize> = std::collections::BTreeMap::new();
        for beat in &shared.basket.beats {
            *most.entry(beat.user).or_default() += 1;
        }
        let most = most.into_iter().max_by_key(|(_, count)| *count);
        let loss = most.map_or(Loss::Anybodys, |(user, _)| Loss::OfOthersThan(user));
        shared.basket.lost.insert(loss);
    }

    fn ring_for_basket(&self) {
        if !std::mem::replace(&mut lock(&self.shared).rung, true) {
            (self.ring)(Ring::Basket);
        }
    }

    /// Sees to it that who sends to the place reaches us.
    fn see_to_place(&mut self) {
        self.check = Clock.now().after(CHECK);
        if self.ear.as_ref().is_some_and(Ear::is_there) {
            return;
        }
        if self.ear.is_some() {
            self.lost = true;
            let gone = "its socket vanished, or is another's".into();
            self.tell(Hears::Deaf(gone));
        }
        if self.is_anothers() {
            let theirs = "another listens there".into();
            return self.tell(Hears::Deaf(theirs));
        }
        self.open();
    }

    /// Whether somebody who lives listens at the place.
    fn is_anothers(&self) -> bool {
        let door = std::os::unix::net::UnixDatagram::unbound();
        door.is_ok_and(|door| door.connect(&self.place).is_ok())
    }

    fn open(&mut self) {
        self.check = Clock.now().after(CHECK);
        match Ear::open(&self.place, self.access, &self.proc) {
            Ok(mut ear) => {
                if let Some(mut before) = self.ear.take() {
                    ear.take_over(&mut before);
                }
                lock(&self.shared).ours = Some(ear.ours);
                self.ear = Some(ear);
                self.lost = false;
                self.tell(Hears::Well);
            }
            Err(error) => self.tell(Hears::Deaf(error.to_string().into())),
        }
    }

    fn tell(&mut self, hears: Hears) {
        if self.told.as_ref() != Some(&hears) {
            self.told = Some(hears.clone());
            (self.ring)(Ring::Hears(hears));
        }
    }
}
