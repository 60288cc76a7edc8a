use super::*;
use crate::engine::process::{Mark, Pid};

const START: Mono = Mono::from_secs(1000);

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
    pulse.take(at(seconds), key(from), &words(text), Standing::Free)
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
fn what_cannot_be_read_is_refused_whole() {
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
        assert_eq!(
            read(format!("WATCHDOG=1\n{wrong}").as_bytes()),
            Unreadable::Value
        );
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
    pulse.keep(|_| false);
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
    pulse.pass(at(100 + hour + 5), false);
    assert_eq!(pulse.silence(at(100 + hour + 5)), Silence::For(secs(5)));
}

#[test]
fn whoever_stands_still_is_not_silent_and_is_given_time_to_come_to() {
    let mut pulse = Pulse::default();
    say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=7");
    pulse.pass(at(10), false);
    pulse.pass(at(20), true);
    assert_eq!(pulse.silence(at(500)), Silence::Unknown);
    pulse.pass(at(520), false);
    // From the look before it stood to the look after, nothing counts, and then a minute more.
    assert_eq!(pulse.silence(at(521)), Silence::AtMost(secs(10)));
    pulse.pass(at(590), false);
    assert_eq!(pulse.silence(at(590)), Silence::For(secs(20)));
}

#[test]
fn after_our_own_signal_nothing_sets_the_clock_back() {
    let mut pulse = Pulse::default();
    say(&mut pulse, 0, 1, "X_BEADLE_PROGRESS=7");
    let late = words("X_BEADLE_PROGRESS=8\nSTOPPING=1");
    assert!(matches!(
        pulse.take(at(9), key(1), &late, Standing::Signalled),
        Effect::Life
    ));
    let more = words("EXTEND_TIMEOUT_USEC=60000000");
    pulse.take(at(9), key(1), &more, Standing::Signalled);
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
    pulse.pass(at(510), false);
    assert_eq!(pulse.silence(at(510)), Silence::AtMost(secs(30)));
    pulse.pass(at(570), false);
    assert_eq!(pulse.silence(at(570)), Silence::For(secs(40)));
}
