//! The inspector: what the members of a unit are doing, off the loop.
//!
//! **Invariants.** Asking never blocks. Whoever cannot be read whole is missing from the answer: half of what somebody does says
//! nothing.
//!
//! | file | holds |
//! |---|---|
//! | `doing` | one process: its counters, its threads |
//! | `ends` | what it has open |
//! | `waits` | what a thread waits for |
//!
//! # Why a thread that may be given up
//! A file on another machine, or one that a program serves, can keep whoever asks about it waiting for as long as it likes. A
//! thread that does not come back is left behind, a few times; after that nothing is known.

mod doing;
mod ends;
mod waits;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use self::doing::doing;
use self::ends::Networks;
use super::clock::Clock;
use super::procfs::Procfs;
use crate::engine::activity::{Inspected, Inspection, Scrutiny};
use crate::engine::units::Mono;

/// Who has not come back for so long is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many threads may be left behind.
const LEFT_BEHIND: usize = 3;
/// Stack of each thread.
const STACK: usize = 256 << 10;

type Deliver = Arc<dyn Fn(Inspected) + Send + Sync>;

/// Inspections, one after the other, on a thread of its own.
pub struct Inspector {
    proc: Arc<Procfs>,
    deliver: Deliver,
    desk: Desk,
    left_behind: usize,
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector")
            .field("left_behind", &self.left_behind)
            .finish_non_exhaustive()
    }
}

/// Where one thread takes its work from.
struct Desk {
    inbox: Sender<Inspection>,
    /// Since when it works on one inspection, in nanoseconds; zero while it waits for work.
    since: Arc<AtomicU64>,
}

impl Inspector {
    /// Starts reading the procfs at `root`; `deliver` is called from the inspector's own thread and ought to return soon.
    ///
    /// # Errors
    /// Where there is no such folder, or no thread to be had.
    pub fn start(
        root: &Path,
        deliver: impl Fn(Inspected) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let proc = Arc::new(Procfs::open(root)?);
        let deliver: Deliver = Arc::new(deliver);
        let desk = Desk::open(Arc::clone(&proc), Arc::clone(&deliver))?;
        Ok(Self {
            proc,
            deliver,
            desk,
            left_behind: 0,
        })
    }

    /// Asks for an inspection. What is not answered within half a minute is given up by whoever asks.
    pub fn ask(&mut self, inspection: Inspection) {
        if self.desk.is_stuck(Clock.now()) && self.left_behind < LEFT_BEHIND {
            // Without a thread to spare nothing is known: no more than that.
            let desk = Desk::open(Arc::clone(&self.proc), Arc::clone(&self.deliver));
            if let Ok(desk) = desk {
                self.desk = desk;
                self.left_behind += 1;
            }
        }
        // Its thread lives for as long as the desk does.
        let _ = self.desk.inbox.send(inspection);
    }
}

impl Desk {
    fn open(proc: Arc<Procfs>, deliver: Deliver) -> io::Result<Self> {
        let (inbox, work) = channel();
        let since = Arc::new(AtomicU64::new(0));
        let busy = Arc::clone(&since);
        thread::Builder::new()
            .name("inspector".to_owned())
            .stack_size(STACK)
            .spawn(move || serve(&proc, &work, &busy, &deliver))?;
        Ok(Self { inbox, since })
    }

    fn is_stuck(&self, now: Mono) -> bool {
        match self.since.load(Ordering::Relaxed) {
            0 => false,
            since => now.since(Mono::from_nanos(since)) > PATIENCE,
        }
    }
}

fn serve(proc: &Procfs, work: &Receiver<Inspection>, busy: &AtomicU64, deliver: &Deliver) {
    for inspection in work {
        busy.store(Clock.now().nanos(), Ordering::Relaxed);
        let found = inspect(proc, &inspection);
        busy.store(0, Ordering::Relaxed);
        deliver(found);
    }
}

/// Looks at everybody.
fn inspect(proc: &Procfs, inspection: &Inspection) -> Inspected {
    let at = Clock.now();
    let mut networks = Networks::default();
    let each = inspection.whom.iter().filter_map(|holder| {
        let mut found = doing(proc, holder, &mut networks).ok()?;
        if inspection.scrutiny == Scrutiny::Close {
            found.close = Some(ends::closely(proc, holder.key.pid()).ok()?);
        }
        Some((holder.key, found))
    });
    Inspected {
        id: inspection.id,
        at,
        each: each.collect(),
    }
}

#[cfg(test)]
mod tests;
