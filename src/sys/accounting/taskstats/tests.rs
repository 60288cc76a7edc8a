use std::process::Command;

use super::*;

/// A record as the kernel writes it.
struct Written {
    version: u16,
    number: u32,
    inside: u32,
    flags: u8,
    cpu: u64,
    all: Option<u64>,
}

const USUAL: Written = Written {
    version: 16,
    number: 4711,
    inside: 4711,
    flags: LAST,
    cpu: 3_000_000,
    all: None,
};

impl Written {
    fn stats(&self, cpu: u64) -> Vec<u8> {
        let mut stats = vec![0; 500];
        let mut put = |at: usize, bytes: &[u8]| stats[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.version.to_ne_bytes());
        put(AT_FLAGS, &[self.flags]);
        put(AT_CPU, &cpu.to_ne_bytes());
        put(AT_PID, &self.inside.to_ne_bytes());
        put(AT_TGID, &4700_u32.to_ne_bytes());
        put(AT_LIVED, &250_000_u64.to_ne_bytes());
        stats
    }

    fn message(&self) -> Vec<u8> {
        let number = self.number.to_ne_bytes();
        let thread = [
            attr(NUMBER, &number),
            attr(6, &[]),
            attr(STATS, &self.stats(self.cpu)),
        ];
        let mut body = attr(OF_THREAD | 0x8000, &thread.concat());
        if let Some(all) = self.all {
            let process = [attr(2, &number), attr(STATS, &self.stats(all))];
            body.extend(attr(OF_PROCESS | 0x8000, &process.concat()));
        }
        [vec![0; HEADER + GENERIC], body].concat()
    }

    fn read(&self) -> Result<Option<Account>, Foreign> {
        record(&self.message())
    }
}

fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(ATTRIBUTE + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn the_last_record_of_a_process_is_its_account() {
    let account = USUAL.read().unwrap().unwrap();
    let expected = Account {
        pid: Pid::new(4700).unwrap(),
        cpu: Duration::from_millis(3),
        lived: Duration::from_millis(250),
        threads: Threads::One,
    };
    assert_eq!(account, expected);
}

#[test]
fn threads_of_the_living_are_no_account_and_of_the_dead_their_sum_is() {
    let living = Written { flags: 0, ..USUAL };
    assert_eq!(living.read(), Ok(None));
    let all = Written {
        all: Some(90_000_000),
        ..USUAL
    };
    let account = all.read().unwrap().unwrap();
    assert_eq!(
        (account.cpu, account.threads),
        (Duration::from_millis(90), Threads::Many)
    );
    // A sum that is less than one of its parts is none.
    let less = Written {
        all: Some(1),
        ..USUAL
    };
    assert_eq!(less.read(), Ok(None));
}

#[test]
fn an_unknown_form_is_told_and_not_guessed() {
    let old = Written {
        version: 11,
        ..USUAL
    };
    assert_eq!(old.read(), Err(Foreign));
    // The fields moved: the number is not where it is expected.
    let moved = Written {
        inside: 99,
        ..USUAL
    };
    assert_eq!(moved.read(), Err(Foreign));
}

#[test]
fn what_is_cut_short_or_something_else_does_no_harm() {
    let whole = USUAL.message();
    for length in 0..whole.len() {
        let _ = record(&whole[..length]);
    }
    let mut changed = whole.clone();
    for at in 0..whole.len() {
        changed[at] ^= 0xff;
        let _ = record(&changed);
        changed[at] ^= 0xff;
    }
    assert_eq!(record(&[]), Ok(None));
    assert_eq!(record(&[0; 64]), Ok(None));
}

/// The records of our own child, which runs this in Python or a shell; `None` where we may not have any.
fn records_of(command: &mut Command) -> Option<Vec<Account>> {
    let mut stream = match Taskstats::open() {
        Ok(stream) => stream,
        Err(Unwritten::Refused(_)) => return None,
        Err(other) => panic!("{other}"),
    };
    let mut child = command.spawn().unwrap();
    child.wait().unwrap();
    let pid = Pid::new(child.id()).unwrap();
    let mut records = Vec::new();
    // It was queued before the exit that we waited for.
    assert_ne!(stream.drain(&mut records), Ok(Drained::Partly));
    records.retain(|account| account.pid == pid);
    Some(records)
}

#[test]
fn a_child_leaves_a_record() {
    let burn = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done";
    let Some(records) = records_of(Command::new("sh").args(["-c", burn])) else {
        return;
    };
    assert_eq!(records.len(), 1);
    let account = records[0];
    assert_eq!(account.threads, Threads::One);
    assert!(account.cpu > Duration::from_millis(5) && account.cpu < Duration::from_secs(20));
    assert!(account.lived >= account.cpu);
}

#[test]
fn a_child_with_threads_leaves_one_with_their_sum() {
    let burn = "import threading,time
def burn():
    end = time.thread_time() + 0.02
    while time.thread_time() < end: pass
for _ in range(3):
    thread = threading.Thread(target=burn); thread.start(); thread.join()";
    let Some(records) = records_of(Command::new("python3").args(["-c", burn])) else {
        return;
    };
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].threads, Threads::Many);
    assert!(records[0].cpu >= Duration::from_millis(60), "{records:?}");
}
