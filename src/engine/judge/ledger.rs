//! Whose record is whose: the kernel's records name numbers, and numbers pass on.
//!
//! A record is queued before the event of the exit that it belongs to, so as a rule it is there when the death is
//! heard. It may also come after the death was found by a look, or after a pursuit that had no time for records.
//!
//! **Invariants.** A record is given to a process only when it cannot be of another one that held the number. A process
//! is given one at most. What is lost, early, late or unclaimed is bounded in number and in time.
//!
//! # How they are told apart
//! Records of one number come in the order of its holders, and so do deaths: the first unclaimed record belongs to the
//! first death without one. Where that order may be broken (a death whose record did not come, lost records, lost
//! events), the spans in which records were written must tell, and where they cannot, nobody gets it: a wide range is
//! better than a wrong one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::account::{Account, Accounts};
use crate::engine::process::Pid;
use crate::engine::units::Mono;

/// How long a record waits for word of the death, and a death for its record. Taking down much memory takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than this are not waited for.
const MOST: usize = 8192;
/// A fork is stamped a moment after the start that a record counts from.
const SEAM: Duration = Duration::from_millis(50);

/// A death, as far as its record is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death {
    /// The number.
    pub(super) pid: Pid,
    /// Not after the process's start,
    pub(super) born: Mono,
    /// and not before it.
    pub(super) started: Mono,
    /// Not before its end.
    pub(super) died: Mono,
}

/// Records not claimed, and deaths without one. `Debt` is what is remembered of such a death.
#[derive(Debug)]
pub(super) struct Ledger<Debt> {
    /// Whoever dies after this leaves a record.
    open: Option<Mono>,
    /// Whoever died up to this may have left one that is lost, or that is not told from others.
    void: Mono,
    records: BTreeMap<(Pid, u64), Entry>,
    /// Counts records, so that those of a number stay in order.
    entered: u64,
    owed: BTreeMap<Pid, Owed<Debt>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    account: Account,
    since: Mono,
    upto: Mono,
}

#[derive(Debug)]
struct Owed<Debt> {
    death: Death,
    /// `None` when its record would not be told from another's.
    debt: Option<Debt>,
}

impl<Debt> Default for Ledger<Debt> {
    fn default() -> Self {
        Self {
            open: None,
            void: Mono::BOOT,
            records: BTreeMap::new(),
            entered: 0,
            owed: BTreeMap::new(),
        }
    }
}

impl<Debt> Ledger<Debt> {
    /// Whether whoever dies now leaves a record.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes in what was written. Records that were waited for come back with their debts; `holder` says when whoever
    /// holds a number now was born.
    pub(super) fn receive(
        &mut self,
        accounts: Accounts,
        now: Mono,
        holder: impl Fn(Pid) -> Option<Mono>,
    ) -> Vec<(Death, Debt, Account)> {
        match accounts {
            Accounts::Open(from) => {
                self.spoil(from);
                self.open = Some(from);
            }
            Accounts::Closed => {
                self.spoil(now);
                self.open = None;
            }
            Accounts::Lost(upto) => self.spoil(upto),
            Accounts::Batch {
                since,
                upto,
                records,
            } => {
                self.sweep(now);
                // Some of them may be of deaths, or of births, that nobody heard of.
                if since >= self.void {
                    return self.enter(&records, since, upto, holder);
                }
                self.void = self.void.max(upto);
            }
        }
        Vec::new()
    }

    fn enter(
        &mut self,
        records: &[Account],
        since: Mono,
        upto: Mono,
        holder: impl Fn(Pid) -> Option<Mono>,
    ) -> Vec<(Death, Debt, Account)> {
        let mut settled = Vec::new();
        for &account in records {
            let pid = account.pid;
            let entry = Entry {
                account,
                since,
                upto,
            };
            if let Some(owed) = self.owed.remove(&pid) {
                let death = owed.death;
                if death.died > since {
                    let taken = holder(pid).is_some_and(|born| born < upto);
                    match owed.debt {
                        Some(debt) if !taken && death.allows(&entry) => {
                            settled.push((death, debt, account));
                        }
                        // It may be of either, and so may the next.
                        Some(_) | None => {
                            self.owed.insert(pid, Owed { death, debt: None });
                        }
                    }
                    continue;
                }
                // What was owed is lost: this was written after that death.
            }
            self.entered = self.entered.saturating_add(1);
            self.records.insert((pid, self.entered), entry);
        }
        if self.records.len() > MOST {
            self.spoil(upto);
        }
        settled
    }

    /// The record of someone who died; what is to be remembered of a death whose record has not come is asked for.
    pub(super) fn settle(&mut self, death: Death, debt: impl FnOnce() -> Debt) -> Option<Account> {
        let owes = self
            .open
            .is_some_and(|from| death.died > from.max(self.void));
        while let Some((key, entry)) = self.first(death.pid) {
            if entry.since > death.died {
                break;
            }
            self.records.remove(&key);
            if !owes {
                return None;
            }
            if entry.upto <= death.born {
                // Nobody claimed it, and it is of an earlier holder.
                continue;
            }
            let before = self.owed.get(&death.pid);
            let other = before.is_some_and(|owed| owed.death.died > entry.since);
            if other || !death.allows(&entry) {
                self.owed.insert(death.pid, Owed { death, debt: None });
                return None;
            }
            self.owed.remove(&death.pid);
            return Some(entry.account);
        }
        if owes {
            let first = !self.owed.contains_key(&death.pid);
            let debt = first.then(debt);
            self.owed.insert(death.pid, Owed { death, debt });
            if self.owed.len() > MOST {
                self.spoil(death.died);
            }
        }
        None
    }

    fn first(&self, pid: Pid) -> Option<((Pid, u64), Entry)> {
        let mut of_pid = self.records.range((pid, 0)..=(pid, u64::MAX));
        of_pid.next().map(|(key, entry)| (*key, *entry))
    }

    /// Somebody died whom nobody knew: the record is nobody's.
    pub(super) fn discard(&mut self, pid: Pid) {
        if let Some((key, _)) = self.first(pid) {
            self.records.remove(&key);
        }
    }

    /// Records or events were lost up to this moment: nothing from before is told apart any more.
    pub(super) fn spoil(&mut self, upto: Mono) {
        self.void = self.void.max(upto);
        self.records.clear();
        self.owed.clear();
    }

    fn sweep(&mut self, now: Mono) {
        let edge = now.before(PATIENCE);
        self.records.retain(|_, entry| entry.upto > edge);
        self.owed.retain(|_, owed| owed.death.died > edge);
    }

    /// How many are waited for, of either kind.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.records.len().saturating_add(self.owed.len())
    }
}

impl Death {
    /// Whether a record can be of this life, by its length and its beginning.
    fn allows(&self, entry: &Entry) -> bool {
        let lived = entry.account.lived;
        let no_longer = lived <= self.died.since(self.born).saturating_add(SEAM);
        no_longer && entry.since.before(lived) <= self.started.after(SEAM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::account::Threads;

    const NOBODY: fn(Pid) -> Option<Mono> = |_| None;

    fn at(millis: u64) -> Mono {
        Mono::from_nanos(millis * 1_000_000)
    }

    fn pid(number: u32) -> Pid {
        Pid::new(number).unwrap()
    }

    fn record(number: u32, lived: u64, cpu: u64) -> Account {
        Account {
            pid: pid(number),
            cpu: Duration::from_millis(cpu),
            lived: Duration::from_millis(lived),
            threads: Threads::One,
        }
    }

    fn death(number: u32, born: u64, died: u64) -> Death {
        Death {
            pid: pid(number),
            born: at(born),
            started: at(born),
            died: at(died),
        }
    }

    fn open() -> Ledger<&'static str> {
        let mut ledger = Ledger::default();
        ledger.receive(Accounts::Open(at(0)), at(0), NOBODY);
        ledger
    }

    fn batch(
        ledger: &mut Ledger<&'static str>,
        since: u64,
        upto: u64,
        records: &[Account],
        holder: fn(Pid) -> Option<Mono>,
    ) -> Vec<(&'static str, u128)> {
        let batch = Accounts::Batch {
            since: at(since),
            upto: at(upto),
            records: records.to_vec(),
        };
        let settled = ledger.receive(batch, at(upto), holder);
        settled
            .into_iter()
            .map(|(_, debt, account)| (debt, account.cpu.as_millis()))
            .collect()
    }

    fn settle(ledger: &mut Ledger<&'static str>, death: Death) -> Option<u128> {
        let account = ledger.settle(death, || "debt");
        account.map(|account| account.cpu.as_millis())
    }

    #[test]
    fn a_record_is_there_before_the_death_is_heard() {
        let mut ledger = open();
        batch(&mut ledger, 0, 100, &[record(7, 40, 3)], NOBODY);
        assert_eq!(settle(&mut ledger, death(7, 20, 61)), Some(3));
        assert_eq!(settle(&mut ledger, death(7, 120, 161)), None);
    }

    #[test]
    fn a_record_that_comes_late_finds_its_debt_once() {
        let mut ledger = open();
        assert_eq!(settle(&mut ledger, death(7, 20, 61)), None);
        let late = [record(7, 40, 3), record(7, 10, 9)];
        assert_eq!(batch(&mut ledger, 0, 100, &late, NOBODY), [("debt", 3)]);
    }

    #[test]
    fn holders_of_one_number_get_their_records_in_order() {
        let mut ledger = open();
        let records = [
            record(7, 10, 1),
            record(7, 10, 2),
            record(8, 9, 5),
            record(7, 10, 3),
        ];
        batch(&mut ledger, 0, 100, &records, NOBODY);
        assert_eq!(settle(&mut ledger, death(7, 0, 11)), Some(1));
        // Those of strangers are used up too.
        ledger.discard(pid(7));
        assert_eq!(settle(&mut ledger, death(7, 30, 41)), Some(3));
        assert_eq!(ledger.len(), 1);
    }

    #[test]
    fn a_record_that_may_be_of_an_earlier_holder_is_nobodys() {
        // The first death's record did not come in time; what comes then, in the lifetime of the second, may be either's.
        let mut ledger = open();
        assert_eq!(settle(&mut ledger, death(7, 20, 61)), None);
        let alive = |_| Some(at(70));
        assert_eq!(batch(&mut ledger, 50, 100, &[record(7, 20, 3)], alive), []);
        assert_eq!(settle(&mut ledger, death(7, 70, 95)), None);
        // Two deaths without a record, and then one record.
        let mut ledger = open();
        assert_eq!(settle(&mut ledger, death(7, 20, 61)), None);
        assert_eq!(settle(&mut ledger, death(7, 70, 91)), None);
        assert_eq!(batch(&mut ledger, 0, 100, &[record(7, 20, 3)], NOBODY), []);
        // Written after the first death: it is the second's.
        let mut ledger = open();
        assert_eq!(settle(&mut ledger, death(7, 20, 61)), None);
        assert_eq!(batch(&mut ledger, 62, 100, &[record(7, 20, 3)], alive), []);
        assert_eq!(settle(&mut ledger, death(7, 70, 95)), Some(3));
    }

    #[test]
    fn a_record_from_before_the_birth_or_longer_than_the_life_is_not_its() {
        let mut ledger = open();
        let records = [record(7, 20, 3)];
        batch(&mut ledger, 0, 100, &records, NOBODY);
        assert_eq!(settle(&mut ledger, death(7, 100, 190)), None);
        assert_eq!(
            batch(&mut ledger, 100, 200, &[record(7, 80, 4)], NOBODY),
            [("debt", 4)]
        );
        batch(&mut ledger, 200, 300, &[record(8, 5000, 9)], NOBODY);
        assert_eq!(settle(&mut ledger, death(8, 210, 220)), None);
    }

    #[test]
    fn a_record_of_who_began_later_is_not_its() {
        // Found dead long after it died, and another had its number by then.
        let mut ledger = open();
        assert_eq!(settle(&mut ledger, death(7, 1000, 9000)), None);
        assert_eq!(
            batch(&mut ledger, 8900, 9100, &[record(7, 430, 3)], NOBODY),
            []
        );
        batch(&mut ledger, 9200, 9300, &[record(8, 430, 3)], NOBODY);
        assert_eq!(settle(&mut ledger, death(8, 1000, 9250)), None);
    }

    #[test]
    fn after_a_loss_nothing_from_before_it_counts() {
        let mut ledger = open();
        batch(&mut ledger, 0, 100, &[record(7, 20, 3)], NOBODY);
        assert_eq!(settle(&mut ledger, death(9, 60, 95)), None);
        ledger.receive(Accounts::Lost(at(200)), at(200), NOBODY);
        assert_eq!(settle(&mut ledger, death(7, 50, 90)), None);
        // A batch that reaches back before the loss is worth nothing; the next is.
        assert_eq!(
            batch(&mut ledger, 150, 250, &[record(9, 30, 1)], NOBODY),
            []
        );
        assert_eq!(settle(&mut ledger, death(9, 200, 240)), None);
        batch(&mut ledger, 250, 350, &[record(9, 30, 1)], NOBODY);
        assert_eq!(settle(&mut ledger, death(9, 260, 300)), Some(1));
    }

    #[test]
    fn what_is_waited_for_is_bounded() {
        let mut ledger = open();
        for number in 1..=20_000 {
            assert_eq!(settle(&mut ledger, death(number, 1, 2)), None);
            assert!(ledger.len() <= MOST + 1);
        }
        let records: Vec<Account> = (1..=20_000).map(|number| record(number, 1, 1)).collect();
        batch(&mut ledger, 10, 20, &records, NOBODY);
        assert!(ledger.len() <= MOST);
        batch(&mut ledger, 20, 30, &records[..10], NOBODY);
        batch(&mut ledger, 40_000, 50_000, &[], NOBODY);
        assert_eq!(ledger.len(), 0);
    }

    #[test]
    fn nothing_is_owed_where_nothing_is_written() {
        let mut ledger: Ledger<&str> = Ledger::default();
        assert_eq!(settle(&mut ledger, death(7, 1, 2)), None);
        ledger.receive(Accounts::Open(at(10)), at(10), NOBODY);
        assert_eq!(settle(&mut ledger, death(7, 3, 9)), None);
        assert_eq!(ledger.len(), 0);
        ledger.receive(Accounts::Closed, at(50), NOBODY);
        assert_eq!(settle(&mut ledger, death(7, 30, 60)), None);
        assert_eq!((ledger.len(), ledger.is_open()), (0, false));
    }
}
