//! Records of the dead, as this thread hears them: read after the events, told before them.
//!
//! **Invariants.** A record is queued before the event of its exit. So whoever reads the events first, and then the
//! records, has the record of every exit that was read. During a pursuit nobody has time for records; they come late,
//! and if there were too many for the queue, word of their loss does.

use crate::engine::account::{Account, Accounting, Accounts};
use crate::engine::units::Mono;
use crate::sys::accounting::taskstats::Taskstats;
use crate::sys::events::Drained;

/// The records, while they are wanted.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    stream: Option<Taskstats>,
    /// What is queued was written after this.
    since: Mono,
    /// What one drain brings; kept to be used again.
    fresh: Vec<Account>,
}

impl Deaths {
    /// Begins or ends; what there is to tell of that.
    pub(super) fn want(&mut self, accounting: Accounting, now: Mono) -> Accounts {
        match accounting {
            Accounting::Wanted => match Taskstats::open() {
                Ok(stream) => {
                    self.stream = Some(stream);
                    self.since = now;
                    Accounts::Open(now)
                }
                // It needs a right that few have; without it there are the other sources.
                Err(_) => self.close(),
            },
            Accounting::Unwanted => self.close(),
        }
    }

    /// No more records.
    pub(super) fn close(&mut self) -> Accounts {
        self.stream = None;
        Accounts::Closed
    }

    /// Reads what is queued; what there is to tell. `now` is after the reading.
    pub(super) fn drain(&mut self, now: impl Fn() -> Mono) -> Option<Accounts> {
        let drained = self.stream.as_mut()?.drain(&mut self.fresh);
        let upto = now();
        let records = self.fresh.as_slice().to_vec();
        self.fresh.clear();
        let since = self.since;
        match drained {
            Ok(Drained::Empty) => self.since = upto,
            // What is left in the queue may be as old as what was read.
            Ok(Drained::Partly) => {}
            Ok(Drained::Lossy) => {
                self.since = upto;
                return Some(Accounts::Lost(upto));
            }
            Err(_) => return Some(self.close()),
        }
        (!records.is_empty()).then_some(Accounts::Batch {
            since,
            upto,
            records,
        })
    }
}
