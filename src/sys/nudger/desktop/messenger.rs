//! The messenger: the thread that keeps one user's notifier, and carries orders there and words back.
//!
//! **Invariants.**
//! - [`Messenger::give`] returns at once, whatever notifier, bus or server are stuck in.
//! - A notifier that dies, says nothing for [`PATIENCE`], says too much, or says what is no word of ours is done without, and that is
//!   told once.
//! - What was given before the thread leaves is carried, or the end of the notifier is told after it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::link::{End, Link};
use super::wire::{LONGEST, Order, Server, Word, cut};
use crate::engine::answer::Reply;
use crate::engine::units::Mono;
use crate::sys::clock::Clock;

/// Without a word for so long after an order, something hangs. The notifier's own deadlines are shorter.
const PATIENCE: Duration = Duration::from_secs(14);
/// With nothing on the screen for so long, no notifier is needed.
const IDLE: Duration = Duration::from_secs(20);
/// So many words in [`SPELL`] are too many.
const WORDS: u32 = 200;
/// The time in which words are counted.
const SPELL: Duration = Duration::from_secs(10);
/// The thread's stack: it looks users up.
const STACK: usize = 256 << 10;

/// What a messenger tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tiding {
    /// It is on the screen.
    Shown {
        /// Which.
        tag: u64,
        /// The server's number of it.
        id: u32,
        /// Who shows it.
        server: Server,
    },
    /// A button was pressed.
    Answered {
        /// Of which.
        tag: u64,
        /// The mark of what was on the screen when it was.
        mark: u64,
        /// What it means; `None` that it was seen, of a trial.
        reply: Option<Reply>,
        /// What the user is called.
        name: Option<String>,
    },
    /// It is not on the screen any more.
    Gone {
        /// Which.
        tag: u64,
    },
    /// There is no session bus: nothing was shown, and the messenger has left.
    NoSession,
    /// Something is broken: nothing is shown any more, and the messenger has left.
    Broken(String),
}

/// The loop's end of it. When it is dropped, all is taken from the screen.
pub struct Messenger {
    bag: Arc<Bag>,
    /// Its end is the thread's.
    over: std::sync::mpsc::Receiver<()>,
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messenger").finish_non_exhaustive()
    }
}

/// Orders on their way.
struct Bag {
    waiting: Mutex<Waiting>,
    bell: OwnedFd,
}

#[derive(Default)]
struct Waiting {
    orders: VecDeque<Order>,
    /// The thread takes no more.
    left: bool,
    /// The loop gives no more.
    dismissed: bool,
}

impl Messenger {
    /// Sends one to the notifier that `find` finds, on a thread of its own: to find it may take time. `tell` is told what it hears.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub(super) fn send(
        find: impl FnOnce() -> Result<Option<Link>, String> + Send + 'static,
        tell: impl Fn(Tiding) + Send + 'static,
    ) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let bag = Arc::new(Bag {
            waiting: Mutex::default(),
            bell,
        });
        let (end, over) = std::sync::mpsc::sync_channel(0);
        let carried = Arc::clone(&bag);
        std::thread::Builder::new()
            .name("messenger".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let _end = end;
                let last = match find() {
                    Ok(Some(link)) => attend(link, &carried, &tell).err(),
                    Ok(None) => Some(Tiding::NoSession),
                    Err(text) => Some(Tiding::Broken(text)),
                };
                carried.look().left = true;
                if let Some(last) = last {
                    tell(last);
                }
            })?;
        Ok(Self { bag, over })
    }

    /// Gives it an order; it comes back where the messenger has left. Never waits.
    pub(super) fn give(&self, order: Order) -> Option<Order> {
        let mut waiting = self.bag.look();
        if waiting.left {
            return Some(order);
        }
        // Of one place on the screen only the last word counts: so few can wait.
        waiting.orders.retain(|other| other.tag() != order.tag());
        waiting.orders.push_back(order);
        drop(waiting);
        self.bag.ring();
        None
    }

    /// Has all taken from the screen. Never waits.
    pub(super) fn dismiss(&self) {
        self.bag.look().dismissed = true;
        self.bag.ring();
    }

    /// The same, and waits for it at most so long.
    pub(super) fn finish(self, patience: Duration) {
        self.dismiss();
        let _ = self.over.recv_timeout(patience);
    }
}

impl Drop for Messenger {
    fn drop(&mut self) {
        self.dismiss();
    }
}

impl Bag {
    fn look(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // It can only be full of rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn hush(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }
}

/// Carries until there is nothing more to be carried; what is told last where it does not come to that.
fn attend(link: Link, bag: &Bag, tell: &impl Fn(Tiding)) -> Result<(), Tiding> {
    let mut round = Round::begin(link);
    let came = round.go(bag, tell);
    let end = round.link.end();
    came.map_err(|why| match (why, end) {
        (Trouble::NoSession, _) => Tiding::NoSession,
        (Trouble::Said(text), _) => Tiding::Broken(text),
        (Trouble::Ended, End::With(status)) => {
            Tiding::Broken(format!("the notifier ended: {status}"))
        }
        (Trouble::Ended, End::Unseen) => {
            Tiding::Broken("the notifier ended: the log of beadle-notify says why".to_owned())
        }
        (Trouble::Ended, End::Forced) => Tiding::Broken("the notifier fell silent".to_owned()),
    })
}

/// Why a notifier is done without.
enum Trouble {
    /// It is not there any more.
    Ended,
    /// It has nobody to show anything to.
    NoSession,
    /// This.
    Said(String),
}

impl Trouble {
    fn says(text: &str) -> Self {
        Self::Said(text.to_owned())
    }
}

/// A notifier at work.
struct Round {
    link: Link,
    unsent: VecDeque<u8>,
    unread: Vec<u8>,
    /// Orders that nothing was heard of.
    asked: BTreeSet<u64>,
    /// What is on the screen.
    shown: BTreeSet<u64>,
    /// When something was last heard, or begun to be waited for.
    stirred: Mono,
    /// Words since when.
    words: (u32, Mono),
}

impl Round {
    fn begin(mut link: Link) -> Self {
        let now = Clock.now();
        Self {
            unsent: link.greeting().into(),
            link,
            unread: Vec::new(),
            asked: BTreeSet::new(),
            shown: BTreeSet::new(),
            stirred: now,
            words: (0, now),
        }
    }

    fn go(&mut self, bag: &Bag, tell: &impl Fn(Tiding)) -> Result<(), Trouble> {
        loop {
            bag.hush();
            if self.take(bag) {
                return Ok(());
            }
            let quiet = Clock.now().since(self.stirred);
            let waits = !self.asked.is_empty() || !self.unsent.is_empty();
            let most = match (waits, self.shown.is_empty()) {
                (true, _) => Some(PATIENCE),
                (false, true) => Some(IDLE),
                (false, false) => None,
            };
            if most.is_some_and(|most| quiet >= most) {
                if waits {
                    let text = format!("the notifier said nothing for {} s", quiet.as_secs());
                    return Err(Trouble::Said(text));
                }
                // Whatever is given from now on starts another.
                let mut waiting = bag.look();
                waiting.left = waiting.orders.is_empty();
                if waiting.left {
                    return Ok(());
                }
                continue;
            }
            self.wait(bag, most.map(|most| most.saturating_sub(quiet)));
            let wrote = self.write();
            // Who takes no more orders may have said why.
            self.read(tell)?;
            wrote?;
        }
    }

    /// Takes what was given; whether we were dismissed.
    fn take(&mut self, bag: &Bag) -> bool {
        let mut waiting = bag.look();
        if waiting.dismissed {
            waiting.left = true;
            return true;
        }
        let orders = std::mem::take(&mut waiting.orders);
        drop(waiting);
        for order in orders {
            if self.asked.is_empty() && self.unsent.is_empty() {
                self.stirred = Clock.now();
            }
            self.asked.insert(order.tag());
            // Our own types: nothing that can fail.
            self.unsent
                .extend(serde_json::to_vec(&order).unwrap_or_default());
            self.unsent.push_back(b'\n');
        }
        false
    }

    fn wait(&self, bag: &Bag, span: Option<Duration>) {
        let mut fds = Vec::with_capacity(3);
        fds.push(PollFd::from_borrowed_fd(bag.bell.as_fd(), PollFlags::IN));
        fds.push(PollFd::from_borrowed_fd(self.link.words(), PollFlags::IN));
        if !self.unsent.is_empty() {
            let orders = self.link.orders();
            fds.push(PollFd::from_borrowed_fd(orders, PollFlags::OUT));
        }
        let span = span.and_then(|span| Timespec::try_from(span).ok());
        // A poll that fails is one that ends early.
        let _ = poll(&mut fds, span.as_ref());
    }

    fn write(&mut self) -> Result<(), Trouble> {
        while !self.unsent.is_empty() {
            match self.link.send(self.unsent.make_contiguous()) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Trouble::Ended),
            }
        }
        Ok(())
    }

    /// Reads what is there, but no more than a pipe holds at a time.
    fn read(&mut self, tell: &impl Fn(Tiding)) -> Result<(), Trouble> {
        let mut room = [0; 4 << 10];
        for _ in 0..16 {
            match self.link.receive(&mut room) {
                Ok(0) => return Err(Trouble::Ended),
                Ok(length) => self.unread.extend(room.iter().take(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(Trouble::Ended),
            }
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                self.hear(&line, tell)?;
            }
            if self.unread.len() > LONGEST {
                return Err(Trouble::says("the notifier does not speak as it should"));
            }
        }
        Ok(())
    }

    fn hear(&mut self, line: &[u8], tell: &impl Fn(Tiding)) -> Result<(), Trouble> {
        let now = Clock.now();
        if now.since(self.words.1) > SPELL {
            self.words = (0, now);
        }
        self.words.0 += 1;
        if self.words.0 > WORDS {
            return Err(Trouble::says("the notifier says too much"));
        }
        let word = serde_json::from_slice(line)
            .map_err(|_| Trouble::says("the notifier does not speak as it should"))?;
        self.stirred = now;
        match word {
            Word::Shown { tag, id, server } => {
                // Only what was asked for can be shown.
                if self.asked.remove(&tag) {
                    self.shown.insert(tag);
                    tell(Tiding::Shown { tag, id, server });
                }
            }
            Word::Gone { tag } => {
                self.asked.remove(&tag);
                if self.shown.remove(&tag) {
                    tell(Tiding::Gone { tag });
                }
            }
            Word::Answered { tag, mark, key } => {
                if self.shown.remove(&tag) {
                    let (reply, name) = (key.reply(), self.link.name());
                    tell(Tiding::Answered {
                        tag,
                        mark,
                        reply,
                        name,
                    });
                }
            }
            Word::NoSession => return Err(Trouble::NoSession),
            Word::Failed { text, .. } => return Err(Trouble::Said(cut(&text, 300))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
