use std::collections::BTreeSet;
use std::num::NonZeroU64;

use super::*;
use crate::engine::process::StartTicks;
use crate::engine::snapshot::{Figures, Ran, RunState, Want};
use crate::engine::units::Bytes;
use crate::sys::fake_proc::{FakeProc, Line};
use crate::sys::pidfd::PidFd;
use crate::sys::villain::{Leaderless, Sleeper, wait_until};

use rustix::process::Signal;

const ALL: Want = Want {
    cpu: true,
    memory: true,
    open_files: true,
    anew: false,
};

fn pid(number: u32) -> Pid {
    Pid::new(number).unwrap()
}

fn own() -> Pid {
    pid(std::process::id())
}

fn first(pid: Pid) -> Ask {
    Ask {
        pid,
        key: None,
        start: None,
        want: ALL,
        ran: None,
    }
}

fn known(sample: &Sample) -> Ask {
    let start = alive(sample).map(|figures| figures.start);
    Ask {
        key: sample.key,
        start,
        ..first(sample.pid)
    }
}

fn alive(sample: &Sample) -> Option<&Figures> {
    match &sample.seen {
        Seen::Alive(figures) => Some(figures),
        Seen::Still | Seen::Zombie { .. } | Seen::Gone | Seen::Unread(_) => None,
    }
}

fn real() -> Sampler {
    Sampler::new(Path::new("/proc")).unwrap()
}

fn look(sampler: &mut Sampler, ask: Ask) -> Sample {
    let mut samples = sampler.look(&[ask], &BTreeSet::new(), &Clock).samples;
    assert_eq!(samples.len(), 1);
    samples.remove(0)
}

mod fake {
    use super::*;

    #[test]
    fn a_hostile_name_moves_no_figure() {
        let proc = FakeProc::new();
        let line = Line {
            comm: b") R 1 (\n",
            ppid: 9,
            ..Line::default()
        };
        proc.process(9, Line::default());
        proc.process(10, line);
        let mut sampler = Sampler::new(proc.path()).unwrap();
        let sample = look(&mut sampler, first(pid(10)));
        let figures = alive(&sample).unwrap();
        assert_eq!(figures.comm.bytes(), b") R 1 (\n");
        assert_eq!(
            (figures.ppid, figures.state),
            (Some(pid(9)), RunState::Sleeping)
        );
        assert_eq!(sample.key, Some(ProcKey::new(pid(10), Mark::Ticks(1000))));
        assert_eq!(
            figures.parent,
            Some(ProcKey::new(pid(9), Mark::Ticks(1000)))
        );
    }

    #[test]
    fn the_first_of_a_pid_namespace_is_nobodys_proven_parent() {
        let proc = FakeProc::new();
        for (parent, numbers) in [(20, "20\t1"), (30, "30\t2"), (40, "40")] {
            let status = format!("Name:\tcat\nNSpid:\t{numbers}\n");
            proc.process(parent, Line::default()).file("status", status);
            let line = Line {
                ppid: parent,
                ..Line::default()
            };
            proc.process(parent + 1, line);
        }
        let mut sampler = Sampler::new(proc.path()).unwrap();
        let mut proven = |child| {
            let sample = look(&mut sampler, first(pid(child)));
            alive(&sample).unwrap().parent.map(ProcKey::pid)
        };
        let parents = [21, 31, 41].map(&mut proven);
        assert_eq!(parents, [None, Some(pid(30)), Some(pid(40))]);
    }

    #[test]
    fn everybody_is_answered_in_order() {
        let proc = FakeProc::new();
        proc.process(3, Line::default());
        proc.bare(4);
        proc.bare(5).file("stat", "\0\u{1}garbage");
        proc.bare(6).file("stat", "");
        let zombie = Line {
            state: 'Z',
            ..Line::default()
        };
        proc.process(7, zombie);
        let leaving = Line {
            state: 'X',
            ..Line::default()
        };
        proc.process(8, leaving);
        let mut sampler = Sampler::new(proc.path()).unwrap();
        let asks: Vec<_> = (2..=8).map(|number| first(pid(number))).collect();
        let samples = sampler.look(&asks, &BTreeSet::new(), &Clock).samples;
        let seen: Vec<_> = samples
            .iter()
            .map(|sample| (sample.pid.number(), name(&sample.seen)))
            .collect();
        let expected = [
            (2, "gone"),
            (3, "alive"),
            (4, "gone"),
            (5, "short"),
            (6, "short"),
            (7, "zombie"),
            (8, "gone"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(sampler.list().unwrap().len(), 6);
    }

    fn name(seen: &Seen) -> &'static str {
        match seen {
            Seen::Alive(_) => "alive",
            Seen::Still => "still",
            Seen::Zombie { .. } => "zombie",
            Seen::Gone => "gone",
            Seen::Unread(Why::Denied) => "denied",
            Seen::Unread(Why::Short) => "short",
        }
    }

    #[test]
    fn absurd_numbers_are_bounded() {
        let proc = FakeProc::new();
        let line = Line {
            ticks: u64::MAX,
            rss: u64::MAX,
            start: u64::MAX,
            ppid: u32::MAX,
            ..Line::default()
        };
        proc.process(3, line).file(
            "status",
            "Name:\tx\nVmRSS:\t1 kB\nRssAnon:\t18446744073709551615 kB\nRssShmem:\t18446744073709551615 kB\n",
        );
        let too_many = Line {
            threads: 1 << 40,
            ..Line::default()
        };
        proc.process(4, too_many);
        let mut sampler = Sampler::new(proc.path()).unwrap();
        let sample = look(&mut sampler, first(pid(3)));
        let figures = alive(&sample).unwrap();
        assert_eq!(figures.rss, Bytes(u64::MAX));
        assert_eq!(figures.memory.unwrap().private(), Bytes(u64::MAX));
        assert_eq!(figures.ppid, None);
        let sample = look(&mut sampler, first(pid(4)));
        assert_eq!(sample.seen, Seen::Unread(Why::Short));
    }

    #[test]
    fn what_is_missing_is_not_known() {
        let proc = FakeProc::new();
        proc.process(3, Line::default()).file("status", "garbage");
        proc.process(4, Line::default())
            .file("status", "Name:\tx\n")
            .file("fd/0", "")
            .file("fd/17", "");
        let mut sampler = Sampler::new(proc.path()).unwrap();
        let sample = look(&mut sampler, first(pid(3)));
        let figures = alive(&sample).unwrap();
        assert_eq!((figures.memory, figures.open_files), (None, None));
        let sample = look(&mut sampler, first(pid(4)));
        assert_eq!(alive(&sample).unwrap().open_files, Some(2));
    }

    #[test]
    fn another_start_is_another_process() {
        let proc = FakeProc::new();
        proc.process(3, Line::default());
        let mut sampler = Sampler::new(proc.path()).unwrap();
        let ask = Ask {
            want: Want::default(),
            ..first(pid(3))
        };
        let sample = look(&mut sampler, ask);
        let ask = Ask {
            want: Want::default(),
            ..known(&sample)
        };
        let later = Line {
            start: 1003,
            ..Line::default()
        };
        proc.remove(3);
        proc.process(3, later);
        for ask in [ask, Ask { start: None, ..ask }, Ask { key: None, ..ask }] {
            let again = look(&mut sampler, ask);
            assert_eq!((again.key, again.seen), (ask.key, Seen::Gone));
        }
    }

    #[test]
    fn a_leader_that_ended_shows_what_its_threads_do() {
        let proc = FakeProc::new();
        let leader = Line {
            state: 'Z',
            threads: 2,
            rss: 0,
            ticks: 700,
            ..Line::default()
        };
        let worker = Line {
            state: 'R',
            rss: 100,
            ..Line::default()
        };
        proc.process(3, leader)
            .file("status", "Name:\tx\n")
            .file("task/3/stat", leader.bytes(pid(3)))
            .file("task/4/status", "Name:\tx\nVmRSS:\t9 kB\nRssAnon:\t8 kB\n")
            .thread(4, worker);
        let mut sampler = Sampler::new(proc.path()).unwrap();
        let ask = Ask {
            want: Want {
                memory: true,
                ..Want::default()
            },
            ..first(pid(3))
        };
        let sample = look(&mut sampler, ask);
        let figures = alive(&sample).unwrap();
        assert_eq!(figures.state, RunState::Running);
        assert!(figures.rss > Bytes(0));
        assert_eq!(figures.memory.unwrap().private(), Bytes::kib(8));
        assert_eq!(figures.cpu.as_secs(), 7);
    }
}

mod ourselves {
    use super::*;

    #[test]
    fn first_sight_brings_identity_owner_and_parent() {
        let child = Sleeper::start();
        let sample = look(&mut real(), first(child.pid()));
        let figures = alive(&sample).unwrap();
        let key = |pid| PidFd::open(pid).unwrap().key(pid, StartTicks(0));
        assert_eq!(sample.key, Some(key(child.pid())));
        assert_eq!(
            (figures.ppid, figures.parent),
            (Some(own()), Some(key(own())))
        );
        assert_eq!(
            figures.owner.map(|uid| uid.0),
            Some(rustix::process::geteuid().as_raw())
        );
        assert!(figures.memory.unwrap().private() > Bytes(0));
        assert!(figures.open_files.unwrap() >= 3);
    }

    #[test]
    fn brothers_share_one_hold_of_their_parent() {
        let children = [Sleeper::start(), Sleeper::start(), Sleeper::start()];
        let asks = children.each_ref().map(|child| first(child.pid()));
        let samples = real().look(&asks, &BTreeSet::new(), &Clock).samples;
        let parents = samples.iter().map(|sample| alive(sample).unwrap().parent);
        let own = PidFd::open(own()).unwrap().key(own(), StartTicks(0));
        assert!(parents.into_iter().all(|parent| parent == Some(own)));
    }

    #[test]
    fn a_kept_file_follows_its_process_to_the_end() {
        let mut child = Sleeper::start();
        let mut sampler = real();
        let sample = look(&mut sampler, first(child.pid()));
        // It has run since: it is busy.
        let ask = Ask {
            ran: Some(Ran(NonZeroU64::MAX)),
            ..known(&sample)
        };
        for _ in 0..3 {
            let again = look(&mut sampler, ask);
            assert!(alive(&again).is_some() && again.key == sample.key);
        }
        let found = sampler.kept.find(sample.key.unwrap(), Clock.now());
        assert!(matches!(found, Found::Open(_)));
        child.signal(Signal::STOP);
        wait_until("stopped", || {
            let again = look(&mut sampler, ask);
            alive(&again).unwrap().state == RunState::Stopped
        });
        child.kill();
        let again = look(&mut sampler, ask);
        assert!(matches!(again.seen, Seen::Zombie { ppid, .. } if ppid == Some(own())));
        child.reap();
        assert_eq!(look(&mut sampler, ask).seen, Seen::Gone);
        let found = sampler.kept.find(sample.key.unwrap(), Clock.now());
        assert!(matches!(found, Found::Pass));
    }

    #[test]
    fn who_has_not_run_is_not_read_again() {
        let child = Sleeper::start();
        let mut sampler = real();
        let sample = look(&mut sampler, first(child.pid()));
        let mut ask = known(&sample);
        wait_until("it has come to rest", || {
            let again = look(&mut sampler, ask);
            if let Some(figures) = alive(&again) {
                ask.ran = figures.ran;
            }
            again.key == sample.key && again.seen == Seen::Still
        });
        let anew = Want { anew: true, ..ALL };
        let again = look(&mut sampler, Ask { want: anew, ..ask });
        let figures = alive(&again).unwrap();
        assert_eq!(figures.ran, ask.ran);
        assert!(figures.memory.is_some() && figures.open_files.is_some());
        let of_another = Ran(NonZeroU64::MAX);
        let ran = look(
            &mut sampler,
            Ask {
                ran: Some(of_another),
                ..ask
            },
        );
        assert!(alive(&ran).is_some());
        child.signal(Signal::STOP);
        wait_until("a stopped process was seen to run", || {
            let again = look(&mut sampler, ask);
            alive(&again).is_some_and(|figures| figures.state == RunState::Stopped)
        });
    }

    #[test]
    fn a_still_process_leaves_no_file_open() {
        let child = Sleeper::start();
        let mut sampler = real();
        let mut ask = known(&look(&mut sampler, first(child.pid())));
        wait_until("it has come to rest", || {
            let again = look(&mut sampler, ask);
            ask.ran = alive(&again).map_or(ask.ran, |figures| figures.ran);
            again.seen == Seen::Still
        });
        let mut sampler = real();
        ask.want.anew = true;
        for _ in 0..3 {
            assert!(alive(&look(&mut sampler, ask)).is_some());
        }
        assert!(matches!(sampler.kept.peek(ask.key.unwrap()), Found::Pass));
    }

    #[test]
    fn a_key_of_another_process_is_gone() {
        let child = Sleeper::start();
        let mut sampler = real();
        let stranger = ProcKey::new(child.pid(), Mark::Inode(u64::MAX));
        let start = look(&mut sampler, first(child.pid()));
        let start = alive(&start).map(|figures| figures.start);
        let ask = |start| Ask {
            key: Some(stranger),
            start,
            ran: Some(Ran(NonZeroU64::MAX)),
            ..first(child.pid())
        };
        assert_eq!(look(&mut sampler, ask(None)).seen, Seen::Gone);
        let other = start.map(|start| StartTicks(start.0 + 100));
        assert_eq!(look(&mut sampler, ask(other)).seen, Seen::Gone);
        // With the right start only the pidfd tells: at the latest when a file is to be kept.
        look(&mut sampler, ask(start));
        assert_eq!(look(&mut sampler, ask(start)).seen, Seen::Gone);
    }

    #[test]
    fn a_process_without_its_leader_lives() {
        let child = Leaderless::start();
        let mut sampler = real();
        wait_until("the leader has ended", || {
            let text = std::fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap();
            text.contains(") Z ")
        });
        let sample = look(&mut sampler, first(child.pid()));
        let figures = alive(&sample).unwrap();
        // Its other thread sleeps, or runs for a moment to look at the time.
        let lives = matches!(figures.state, RunState::Sleeping | RunState::Running);
        assert!(lives && figures.threads == 2, "{figures:?}");
        assert!(figures.rss > Bytes(0));
        assert!(figures.memory.unwrap().resident() > Bytes(0));
        assert!(figures.open_files.unwrap() > 0);
        for _ in 0..3 {
            assert!(alive(&look(&mut sampler, known(&sample))).is_some());
        }
    }

    #[test]
    fn a_kernel_thread_or_init_has_no_parent() {
        let sample = look(&mut real(), first(pid(1)));
        let figures = alive(&sample).unwrap();
        assert_eq!((figures.ppid, figures.parent), (None, None));
    }

    #[test]
    fn we_are_listed_and_nobody_is_twice() {
        let mut sampler = real();
        sampler.list().unwrap();
        let mut pids = sampler.list().unwrap();
        assert!(pids.contains(&own()));
        let count = pids.len();
        pids.dedup();
        assert_eq!(pids.len(), count);
    }
}
