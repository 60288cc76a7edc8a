use super::words::STATUS;
use super::*;
use crate::engine::process::{Mark, Pid};

const START: Mono = Mono::from_secs(1000);
/// Who is above everybody that speaks.
const PARENT: u32 = 100;

fn key(pid: u32) -> ProcKey {
    ProcKey::new(Pid::new(pid).unwrap(), Mark::Inode(u64::from(pid)))
}

fn at(seconds: u64) -> Mono {
    START.after(Duration::from_secs(seconds))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn words(text: &str) -> Words {
    Words::read(text.as_bytes()).unwrap()
}

fn say(pulse: &mut Pulse, seconds: u64, from: u32, text: &str) -> Effect {
    say_below(pulse, seconds, from, &[PARENT], text)
}

/// Somebody speaks who has these above it, nearest first.
fn say_below(pulse: &mut Pulse, seconds: u64, from: u32, above: &[u32], text: &str) -> Effect {
    let above: Vec<ProcKey> = above.iter().map(|pid| key(*pid)).collect();
    let voice = Voice {
        from: key(from),
        above: &above,
    };
    pulse.take(at(seconds), voice, &words(text), Standing::Free)
}

fn alone(pid: u32) -> Voice<'static> {
    Voice {
        from: key(pid),
        above: &[],
    }
}

fn count(done: u64, total: u64) -> Count {
    Count {
        done,
        total: Some(total),
    }
}

#[test]
fn the_words_of_sd_notify_are_understood() {
    let said = words(
        "READY=1\nWATCHDOG=1\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=5000000\nWATCHDOG_USEC=7\nSTATUS=batch 9\nX_BEADLE_PROGRESS=567/1000\n",
    );
    let expected = Words {
        ready: true,
        watchdog: true,
        stopping: true,
        barrier: false,
        progress: Some(count(567, 1000)),
        status: Some(Text::from("batch 9")),
        extend: Some(secs(5)),
        spoiled: 0,
    };
    assert_eq!(said, expected);
    assert_eq!(
        words("MAINPID=1\nFDSTORE=1\nno line\n=\nWATCHDOG=trigger"),
        Words::default()
    );
}

#[test]
fn a_status_that_is_a_counter_is_one() {
    let said = words("STATUS=7/1000\nWATCHDOG=1");
    assert_eq!(said.progress, Some(count(7, 1000)));
    assert_eq!(said.status, None);
    let both = words("STATUS=1/2\nX_BEADLE_PROGRESS=8");
    assert_eq!(
        both.progress,
        Some(Count {
            done: 8,
            total: None
        })
    );
    for other in ["7", "7/", "7 of 10", "7/10 done"] {
        assert_eq!(words(&format!("STATUS={other}")).progress, None, "{other}");
    }
}

#[test]
fn what_cannot_be_read_spoils_nothing_else() {
    let read = |bytes: &[u8]| Words::read(bytes).unwrap_err();
    assert_eq!(read(b""), Unreadable::Size);
    assert_eq!(read(&vec![b'A'; LONGEST + 1]), Unreadable::Size);
    for wrong in [
        "X_BEADLE_PROGRESS=",
        "X_BEADLE_PROGRESS=-1",
        "X_BEADLE_PROGRESS=+1",
        "X_BEADLE_PROGRESS=1/0",
        "X_BEADLE_PROGRESS=1/2/3",
        "X_BEADLE_PROGRESS=1e3",
        "X_BEADLE_PROGRESS=99999999999999999999",
        "EXTEND_TIMEOUT_USEC=soon",
        "WATCHDOG_USEC=-5",
    ] {
        assert_eq!(read(wrong.as_bytes()), Unreadable::Value);
        // It spoils no line but its own.
        let said = words(&format!("WATCHDOG=1\n{wrong}\nSTATUS=batch 9"));
        let expected = Words {
            watchdog: true,
            status: Some(Text::from("batch 9")),
            spoiled: 1,
            ..Words::default()
        };
        assert_eq!(said, expected, "{wrong}");
    }
    assert_eq!(read(b"X_BEADLE_PROGRESS=\xff"), Unreadable::Value);
    assert_eq!(read(b"BARRIER=1\nWATCHDOG=1"), Unreadable::Barrier);
    // Of words that are not ours any bytes will do.
    Words::read(b"\xff\x00\n\n=\xfe\nSTATUS=\xff\xfe").unwrap();
}

#[test]
fn a_status_keeps_no_secret_and_no_more_than_a_line() {
    let long = words(&format!("STATUS=--password hunter2 {}", "x".repeat(1000)));
    let status = long.status.unwrap().to_string();
    assert!(!status.contains("hunter2"), "{status}");
    assert!(status.len() <= STATUS, "{status}");
}

#[test]
fn percent_is_of_a_whole_that_is_known() {
    assert_eq!(count(567, 1000).percent(), Some(56));
    assert_eq!(count(u64::MAX, u64::MAX).percent(), Some(100));
    assert_eq!(count(9, 8).percent(), None);
    assert_eq!(
        Count {
            done: 5,
            total: None
        }
        .percent(),
        None
    );
}

#[test]
fn only_another_count_moves() {
    let mut pulse = Pulse::default();
    assert_eq!(say(&mut pulse, 0, 1, "READY=1"), Effect::Life);
    assert_eq!(pulse.silence(at(99)), Silence::Unheard);
    for (seconds, text, effect) in [
        (1, "X_BEADLE_PROGRESS=5/9", Effect::Progress),
        (2, "X_BEADLE_PROGRESS=5/9", Effect::Life),
        (3, "WATCHDOG=1", Effect::Life),
        (4, "X_BEADLE_PROGRESS=5/8", Effect::Life),
        (5, "X_BEADLE_PROGRESS=6/9", Effect::Progress),
        (6, "X_BEADLE_PROGRESS=1/9", Effect::Progress),
    ] {
        assert_eq!(say(&mut pulse, seconds, 1, text), effect, "{text}");
    }
    assert_eq!(pulse.silence(at(10)), Silence::For(secs(4)));
}

#[test]
fn each_sender_has_its_counter_and_a_new_one_goes_on_where_the_last_was() {
    let mut pulse = Pulse::default();
    assert_eq!(
        say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=5"),
        Effect::Progress
    );
    assert_eq!(
        say(&mut pulse, 1, 2, "X_BEADLE_PROGRESS=8"),
        Effect::Progress
    );
    // Neither moved, whatever the other said meanwhile.
    assert_eq!(say(&mut pulse, 2, 1, "X_BEADLE_PROGRESS=5"), Effect::Life);
    assert_eq!(say(&mut pulse, 3, 2, "X_BEADLE_PROGRESS=8"), Effect::Life);
    pulse.keep(|it| it == key(PARENT));
    assert_eq!(say(&mut pulse, 4, 3, "X_BEADLE_PROGRESS=8"), Effect::Life);
    assert_eq!(say(&mut pulse, 5, 4, "WATCHDOG=1"), Effect::Life);
    assert_eq!(
        say(&mut pulse, 6, 5, "X_BEADLE_PROGRESS=9"),
        Effect::Progress
    );
}

#[test]
fn time_that_is_asked_for_does_not_add_up() {
    let mut pulse = Pulse::default();
    say(
        &mut pulse,
        0,
        1,
        "X_BEADLE_PROGRESS=7\nEXTEND_TIMEOUT_USEC=10000000",
    );
    for seconds in 1..100 {
        say(
            &mut pulse,
            seconds,
            1,
            "X_BEADLE_PROGRESS=7\nEXTEND_TIMEOUT_USEC=10000000",
        );
    }
    assert_eq!(pulse.silence(at(100)), Silence::For(secs(90)));
    say(
        &mut pulse,
        100,
        1,
        "X_BEADLE_PROGRESS=8\nEXTEND_TIMEOUT_USEC=18446744073709551615",
    );
    assert_eq!(pulse.silence(at(101)), Silence::AtMost(secs(0)));
    let hour = LONGEST_EXTENSION.as_secs();
    pulse.pass(at(100 + hour + 5), Work::Runs);
    assert_eq!(pulse.silence(at(100 + hour + 5)), Silence::For(secs(5)));
}

#[test]
fn whoever_stands_still_is_not_silent_and_is_given_time_to_come_to() {
    let mut pulse = Pulse::default();
    say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=7");
    pulse.pass(at(10), Work::Runs);
    pulse.pass(at(20), Work::Stands);
    assert_eq!(pulse.silence(at(500)), Silence::Unknown);
    pulse.pass(at(520), Work::Runs);
    // From the look before it stood to the look after, nothing counts, and then a minute more.
    assert_eq!(pulse.silence(at(521)), Silence::AtMost(secs(10)));
    pulse.pass(at(590), Work::Runs);
    assert_eq!(pulse.silence(at(590)), Silence::For(secs(20)));
}

#[test]
fn after_our_own_signal_nothing_sets_the_clock_back() {
    let mut pulse = Pulse::default();
    say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=7");
    let late = words("X_BEADLE_PROGRESS=8\nSTOPPING=1");
    assert!(matches!(
        pulse.take(at(9), alone(1), &late, Standing::Signalled),
        Effect::Life
    ));
    let more = words("EXTEND_TIMEOUT_USEC=60000000");
    pulse.take(at(9), alone(1), &more, Standing::Signalled);
    assert_eq!(pulse.silence(at(10)), Silence::For(secs(10)));
    assert_eq!(
        pulse.count.map(|count| count.done),
        Some(8),
        "people are shown it all the same"
    );
}

#[test]
fn what_nobody_heard_is_no_silence() {
    let mut pulse = Pulse::default();
    say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=7");
    pulse.take_up(at(30), at(500));
    // It may have moved while nobody listened: it has a minute to say so.
    pulse.pass(at(510), Work::Runs);
    assert_eq!(pulse.silence(at(510)), Silence::AtMost(secs(30)));
    pulse.pass(at(570), Work::Runs);
    assert_eq!(pulse.silence(at(570)), Silence::For(secs(40)));
}

#[test]
fn who_lives_beside_others_that_count_and_never_counts_has_its_own_beats() {
    let mut pulse = Pulse::default();
    say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=5/9");
    // Who is new may be the next of a script's; who goes on is not.
    assert_eq!(say(&mut pulse, 1, 2, "WATCHDOG=1"), Effect::Life);
    assert_eq!(say(&mut pulse, 2, 2, "WATCHDOG=1"), Effect::Progress);
    assert_eq!(say(&mut pulse, 3, 2, "WATCHDOG=1"), Effect::Progress);
    assert_eq!(say(&mut pulse, 4, 1, "WATCHDOG=1"), Effect::Life);
    assert_eq!(say(&mut pulse, 5, 3, "WATCHDOG=1"), Effect::Life);
}

#[test]
fn who_is_below_one_that_counts_is_part_of_what_it_counts() {
    let mut pulse = Pulse::default();
    say_below(&mut pulse, 0, 1, &[], "X_BEADLE_PROGRESS=5/9");
    for seconds in 1..5 {
        let effect = say_below(&mut pulse, seconds, 2, &[1], "WATCHDOG=1");
        assert_eq!(effect, Effect::Life);
    }
    let effect = say_below(&mut pulse, 6, 2, &[1], "X_BEADLE_PROGRESS=1/2");
    assert_eq!(effect, Effect::Progress);
}

#[test]
fn counters_that_stand_still_and_alternate_are_no_progress() {
    // Of two loops of a script, each with programs of its own.
    let mut pulse = Pulse::default();
    let mut round = |n: u64, one: &str, other: &str| {
        let from = u32::try_from(n * 2).unwrap() + 1000;
        [
            say_below(&mut pulse, n, from, &[201, PARENT], one),
            say_below(&mut pulse, n, from + 1, &[202, PARENT], other),
        ]
    };
    let (five, eight) = ("X_BEADLE_PROGRESS=5/9", "X_BEADLE_PROGRESS=8/9");
    round(0, five, eight);
    for n in 1..9 {
        assert_eq!(round(n, five, eight), [Effect::Life, Effect::Life], "{n}");
    }
    let moved = round(9, five, "X_BEADLE_PROGRESS=9/9");
    assert_eq!(moved, [Effect::Life, Effect::Progress]);

    // Below one parent: told apart by their totals.
    let mut pulse = Pulse::default();
    for n in 0..9 {
        let from = u32::try_from(n * 2).unwrap() + 1000;
        let one = say(&mut pulse, n, from, "X_BEADLE_PROGRESS=5/9");
        let other = say(&mut pulse, n, from + 1, "X_BEADLE_PROGRESS=8/20");
        let expected = if n == 0 {
            Effect::Progress
        } else {
            Effect::Life
        };
        assert_eq!([one, other], [expected, expected], "{n}");
    }
    // In a new shell each time.
    let mut pulse = Pulse::default();
    for n in 0..9 {
        let from = u32::try_from(n * 2).unwrap() + 1000;
        let above = [from + 1, PARENT];
        let effect = say_below(&mut pulse, n, from, &above, "X_BEADLE_PROGRESS=5/9");
        let expected = if n == 0 {
            Effect::Progress
        } else {
            Effect::Life
        };
        assert_eq!(effect, expected, "{n}");
        pulse.keep(|it| it == key(PARENT));
    }
}

#[test]
fn time_in_which_nobody_listens_is_no_silence() {
    let mut pulse = Pulse::default();
    say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=7");
    pulse.deafen(at(10));
    pulse.pass(at(200), Work::Runs);
    assert_eq!(pulse.silence(at(300)), Silence::Unknown);
    assert_eq!(pulse.doubt(at(300)), Some(Doubt::Deaf));
    let mut late = pulse.clone();
    // Nothing was lost: what was sent is read now.
    late.hear_again(at(300), false);
    assert_eq!(late.silence(at(305)), Silence::For(secs(15)));
    // It may have moved: it has a minute to say so.
    pulse.hear_again(at(300), true);
    assert_eq!(pulse.silence(at(359)), Silence::AtMost(secs(10)));
    pulse.pass(at(365), Work::Runs);
    assert_eq!(pulse.silence(at(365)), Silence::For(secs(15)));
}

#[test]
fn where_something_was_lost_nothing_is_known_for_a_minute() {
    let mut pulse = Pulse::default();
    say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=7");
    pulse.lose(at(30));
    assert_eq!(pulse.silence(at(40)), Silence::Unknown);
    assert_eq!(pulse.doubt(at(40)), Some(Doubt::Lost));
    pulse.pass(at(100), Work::Runs);
    assert_eq!(pulse.silence(at(100)), Silence::For(secs(40)));
    let mut unheard = Pulse::default();
    unheard.lose(at(30));
    assert_eq!(unheard.silence(at(31)), Silence::Unheard);
}

#[test]
fn who_may_have_stood_since_it_was_last_read_was_not_silent() {
    let mut pulse = Pulse::default();
    say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=7");
    pulse.pass(at(10), Work::Rests(at(10)));
    // It has not run, and nobody has read more of it than that.
    for seconds in [100, 200, 299] {
        pulse.pass(at(seconds), Work::Rests(at(10)));
        assert_eq!(pulse.silence(at(seconds)), Silence::For(secs(seconds)));
    }
    pulse.pass(at(300), Work::Stands);
    assert_eq!(pulse.silence(at(300)), Silence::Unknown);
    pulse.pass(at(310), Work::Runs);
    assert_eq!(pulse.silence(at(315)), Silence::For(secs(15)));
}
