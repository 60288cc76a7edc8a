//! In which manner nothing happens in a unit, or nothing comes of what does.

use super::words::grouped;
use crate::control::wire::{Manner, Waits};
use crate::engine::rule::Metric;
use crate::engine::units::Bytes;

/// So many calls a second that bring nothing are worth a word.
const MANY: u64 = 1000;

/// Whether a metric is of such a limit.
pub(super) fn is_idle(metric: &str) -> bool {
    [Metric::Stalled, Metric::Spinning]
        .iter()
        .any(|it| it.word() == metric)
}

/// `2 threads wait for another (futex), 1 for a lock on a file; a child has ended and nobody waits for it`.
pub(super) fn manner(manner: &Manner) -> String {
    let mut parts = vec![does(manner)];
    parts.extend(match manner.unwaited {
        0 => None,
        1 => Some("a child has ended and nobody waits for it".to_owned()),
        count => Some(format!(
            "{count} children have ended and nobody waits for them"
        )),
    });
    parts.join("; ")
}

fn does(manner: &Manner) -> String {
    let bytes = |count: u64| format!("{} a second", Bytes(count));
    if manner.waits.run == 0 && manner.calls == 0 {
        return waits(&manner.waits);
    }
    match (manner.read, manner.calls) {
        (0, 0) => "it computes, and calls for nothing".to_owned(),
        (0, calls) if calls >= MANY => format!(
            "{} reads and writes a second come to nothing",
            grouped(calls)
        ),
        (0, _) => waits(&manner.waits),
        (read, _) => match manner.files {
            0 => format!("it reads {}", bytes(read)),
            1 => format!("it reads one file again and again, {}", bytes(read)),
            files => format!(
                "it reads the same {files} files again and again, {}",
                bytes(read)
            ),
        },
    }
}

fn waits(waits: &Waits) -> String {
    let all = [
        (waits.thread, "for another thread (futex)"),
        (waits.lock, "for a lock on a file"),
        (waits.child, "for a child to end"),
        (waits.pipe, "for a pipe"),
        (waits.socket, "for a socket"),
        (
            waits.call,
            "for any of several things (poll, select, accept)",
        ),
        (waits.time, "for time to pass"),
        (waits.person, "for somebody at the terminal"),
        (waits.other, "for something else"),
    ];
    let mut words: Vec<String> = Vec::new();
    for (count, what) in all.into_iter().filter(|(count, _)| *count > 0) {
        words.push(match (words.is_empty(), count) {
            (true, 1) => format!("1 thread waits {what}"),
            (true, count) => format!("{count} threads wait {what}"),
            (false, count) => format!("{count} {what}"),
        });
    }
    match (words.is_empty(), waits.run) {
        (true, 0) => "nobody lives in it".to_owned(),
        (true, _) => "it is awake now and then, and does nothing".to_owned(),
        (false, _) => words.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(thread: u32, lock: u32) -> Manner {
        let waits = Waits {
            thread,
            lock,
            ..Waits::default()
        };
        Manner {
            waits,
            ..Manner::default()
        }
    }

    #[test]
    fn who_sleeps_is_told_by_what_it_waits_for() {
        let told = manner(&waiting(2, 1));
        assert_eq!(
            told,
            "2 threads wait for another thread (futex), 1 for a lock on a file"
        );
        let dead = Manner {
            unwaited: 1,
            ..waiting(1, 0)
        };
        assert_eq!(
            manner(&dead),
            "1 thread waits for another thread (futex); a child has ended and nobody waits for it"
        );
    }

    #[test]
    fn who_is_busy_is_told_by_what_it_does() {
        let busy = |calls, read, files| Manner {
            waits: Waits {
                run: 1,
                ..Waits::default()
            },
            calls,
            read,
            files,
            ..Manner::default()
        };
        assert_eq!(
            manner(&busy(1_000_000, 0, 0)),
            "1,000,000 reads and writes a second come to nothing"
        );
        assert_eq!(manner(&busy(0, 0, 0)), "it computes, and calls for nothing");
        assert_eq!(
            manner(&busy(3500, 14 << 20, 3)),
            "it reads the same 3 files again and again, 14.0 MiB a second"
        );
    }
}
