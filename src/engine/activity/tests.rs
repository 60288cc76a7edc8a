use super::*;
use crate::engine::process::{Mark, Pid};

const SECOND: Duration = Duration::from_secs(1);

fn key(number: u32) -> ProcKey {
    ProcKey::new(Pid::new(number).unwrap(), Mark::Ticks(u64::from(number)))
}

/// A unit of two, inspected every second.
struct Two {
    activity: Activity,
    each: [Doing; 2],
    born: u64,
    at: Mono,
    count: u64,
}

impl Two {
    fn new() -> Self {
        let mut two = Self {
            activity: Activity::default(),
            each: [asleep(), asleep()],
            born: 0,
            at: Mono::from_secs(100),
            count: 0,
        };
        two.inspect();
        two
    }

    fn inspect(&mut self) -> Interval {
        let each = [
            (key(1), self.each[0].clone()),
            (key(2), self.each[1].clone()),
        ];
        self.find(each.to_vec(), Some(&[key(1), key(2)].into()))
    }

    fn find(
        &mut self,
        each: Vec<(ProcKey, Doing)>,
        members: Option<&BTreeSet<ProcKey>>,
    ) -> Interval {
        self.at = self.at.after(SECOND);
        self.count += 1;
        let found = Inspected {
            id: InspectionId(self.count),
            at: self.at,
            each,
        };
        self.activity.take(found, members, self.born);
        let none = Interval {
            id: InspectionId(0),
            from: self.at,
            until: self.at,
            still: Sure::Unknown,
            rests: false,
            cores: Millicores(0),
            barren: Sure::Unknown,
            manner: Manner::default(),
        };
        self.activity.interval().cloned().unwrap_or(none)
    }

    /// What comes of the next second, if the first of the two does this in it.
    fn after(&mut self, does: impl FnOnce(&mut Doing)) -> Interval {
        does(&mut self.each[0]);
        self.inspect()
    }
}

fn asleep() -> Doing {
    Doing {
        waits: Waits {
            thread: 1,
            ..Waits::default()
        },
        ..Doing::default()
    }
}

fn spin(doing: &mut Doing) {
    doing.used += SECOND;
    doing.switches += 100;
}

#[test]
fn who_sleeps_is_still_and_one_byte_is_enough_to_move() {
    let mut two = Two::new();
    assert_eq!(two.inspect().still, Sure::Yes);
    assert_eq!(two.after(|doing| doing.written += 1).still, Sure::No);
    assert_eq!(two.inspect().still, Sure::Yes);
    assert_eq!(two.after(|doing| doing.read += 1).still, Sure::No);
    // A hundredth of a processor, and a step of the clock.
    let little = Duration::from_millis(20);
    assert_eq!(two.after(|doing| doing.used += little).still, Sure::Yes);
    let more = Duration::from_millis(30);
    assert_eq!(two.after(|doing| doing.used += more).still, Sure::No);
}

#[test]
fn births_and_deaths_are_movement() {
    let mut two = Two::new();
    two.born += 1;
    assert_eq!(two.inspect().still, Sure::No);
    assert_eq!(two.inspect().still, Sure::Yes);
    let left = vec![(key(1), asleep())];
    assert_eq!(two.find(left, Some(&[key(1)].into())).still, Sure::No);
}

#[test]
fn whoever_is_not_read_leaves_it_unknown_unless_another_moved() {
    let mut two = Two::new();
    let both: BTreeSet<ProcKey> = [key(1), key(2)].into();
    let one = || vec![(key(1), asleep())];
    two.find(one(), Some(&both));
    assert_eq!(two.find(one(), Some(&both)).still, Sure::Unknown);
    assert_eq!(two.find(one(), None).still, Sure::Unknown);
    let mut moved = asleep();
    moved.written = 5;
    assert_eq!(two.find(vec![(key(1), moved)], Some(&both)).still, Sure::No);
}

#[test]
fn what_a_thread_does_may_not_be_read() {
    let mut two = Two::new();
    let hidden = two.after(|doing| doing.waits.unknown = 1);
    assert_eq!(
        (hidden.still, hidden.barren),
        (Sure::Unknown, Sure::Unknown)
    );
}

#[test]
fn a_connection_that_wakes_somebody_may_have_brought_something() {
    let mut two = Two::new();
    two.each[0].ends.talks = true;
    assert_eq!(two.inspect().still, Sure::Yes);
    assert_eq!(two.after(|doing| doing.switches += 1).still, Sure::Unknown);
    // Who has none is woken by a timer.
    two.each[0].ends.talks = false;
    assert_eq!(two.after(|doing| doing.switches += 1).still, Sure::Yes);
}

#[test]
fn who_waits_for_callers_or_a_person_rests() {
    let mut two = Two::new();
    assert!(!two.after(|doing| doing.ends.listens = true).rests);
    assert!(two.after(|doing| doing.waits.call = 1).rests);
    // Not who waits for anything at all, nor if another has the socket.
    two.each[0].ends.listens = false;
    two.each[1].ends.listens = true;
    assert!(!two.inspect().rests);
    assert!(two.after(|doing| doing.waits.person = 1).rests);
}

#[test]
fn who_burns_and_reads_and_writes_nothing_spins() {
    let mut two = Two::new();
    let spins = two.after(spin);
    assert_eq!((spins.barren, spins.cores), (Sure::Yes, Millicores(1000)));
    // A million reads that bring nothing bring nothing.
    let futile = two.after(|doing| {
        spin(doing);
        doing.calls += 1_000_000;
    });
    assert_eq!((futile.barren, futile.manner.calls), (Sure::Yes, 1_000_000));
    let writes = two.after(|doing| {
        spin(doing);
        doing.written += 1;
    });
    assert_eq!(writes.barren, Sure::No);
    two.each[1].ends.talks = true;
    assert_eq!(two.after(spin).barren, Sure::Unknown);
}

/// Reads a megabyte in a second, in which this is open.
fn reads(places: &[(u64, u64, u64)]) -> impl FnOnce(&mut Doing) {
    let places = places.iter().map(|&(inode, length, at)| Place {
        file: (1, inode),
        length,
        at,
    });
    let places = places.collect();
    move |doing| {
        spin(doing);
        doing.read += 1 << 20;
        doing.close = Some(Close {
            reads: true,
            places,
        });
    }
}

#[test]
fn reading_is_something_new_until_the_opposite_is_seen() {
    let mut two = Two::new();
    let mut barren = |places| two.after(reads(places)).barren;
    assert_eq!(barren(&[(7, 100, 0)]), Sure::No);
    assert_eq!(barren(&[(7, 100, 0)]), Sure::Yes);
    // Further, longer, another: each is new, once.
    assert_eq!(barren(&[(7, 100, 60)]), Sure::No);
    assert_eq!(barren(&[(7, 100, 30)]), Sure::Yes);
    assert_eq!(barren(&[(7, 101, 30)]), Sure::No);
    assert_eq!(barren(&[(7, 101, 30), (8, 5, 0)]), Sure::No);
    assert_eq!(barren(&[(8, 5, 0)]), Sure::Yes);
    // What is read and seen nowhere may be anything.
    assert_eq!(barren(&[]), Sure::No);
}

#[test]
fn reading_that_is_not_seen_is_no_repetition() {
    let mut two = Two::new();
    let blind = two.after(|doing| {
        spin(doing);
        doing.read += 1;
    });
    assert_eq!(
        (blind.barren, two.activity.scrutiny()),
        (Sure::Unknown, Scrutiny::Close)
    );
    two.after(reads(&[(7, 100, 0)]));
    // It read, and not while it was looked at.
    let earlier = two.after(|doing| {
        reads(&[(7, 100, 0)])(doing);
        doing.close.as_mut().unwrap().reads = false;
    });
    assert_eq!(earlier.barren, Sure::No);
    // Bytes that may come from a pipe are somebody's.
    two.each[0].ends.hears = true;
    assert_eq!(two.after(reads(&[(7, 100, 0)])).barren, Sure::No);
}

#[test]
fn figures_that_lie_too_close_tell_nothing() {
    let mut two = Two::new();
    let before = two.inspect();
    two.at = two.at.before(Duration::from_millis(900));
    two.each[0].written += 1;
    assert_eq!(two.inspect(), before);
    // What was written is found by the next.
    assert_eq!(two.inspect().still, Sure::No);
}

fn interval(number: u64, still: Sure) -> (Interval, Sure) {
    let mut two = Two::new();
    let mut interval = two.inspect();
    interval.id = InspectionId(number);
    interval.from = Mono::from_secs(number * 10);
    interval.until = Mono::from_secs(number * 10 + 10);
    (interval, still)
}

fn run(intervals: &[Sure]) -> Run {
    let mut run = Run::default();
    for (number, so) in (1..).zip(intervals) {
        let (interval, so) = interval(number, *so);
        run.take(&interval, so);
        run.take(&interval, Sure::No);
    }
    run
}

fn length(run: &Run, now: u64) -> (u64, u64) {
    let life = Duration::from_secs(now);
    let (range, _) = run.length(Mono::from_secs(now), life);
    (range.at_least.as_secs(), range.at_most.unwrap().as_secs())
}

#[test]
fn a_row_is_as_long_as_it_was_seen_to_be() {
    use Sure::{No, Unknown, Yes};
    assert_eq!(length(&run(&[]), 25), (0, 25));
    assert_eq!(length(&run(&[Yes, Yes]), 35), (20, 35));
    assert_eq!(length(&run(&[No, Yes, Yes]), 45), (20, 35));
    assert_eq!(length(&run(&[Yes, Unknown, Yes]), 45), (10, 45));
    assert_eq!(length(&run(&[Yes, Yes, No]), 45), (0, 15));
}

#[test]
fn what_follows_our_signal_breaks_no_row() {
    let mut run = run(&[Sure::Yes, Sure::Yes]);
    let (moved, _) = interval(3, Sure::No);
    run.hold(&moved);
    assert_eq!(length(&run, 45), (30, 45));
}

#[test]
fn time_that_does_not_count_is_left_out() {
    let mut run = run(&[Sure::No, Sure::Yes]);
    run.skip(Duration::from_secs(100));
    assert_eq!(length(&run, 145), (10, 35));
}
