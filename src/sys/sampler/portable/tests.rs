//! Both samplers of Linux look at the same processes. Each forest is made from its seed, so its processes, their parents
//! and their arguments are known beforehand.

mod forest;

use std::num::NonZeroU64;
use std::path::Path;

use self::forest::{Dice, Forest, Member};
use super::arguments::{Started, written};
use super::plain::Plain;
use super::*;
use crate::engine::forest::Serial;
use crate::engine::process::ExecGen;
use crate::engine::snapshot::{Figures, Ran, RunState};
use crate::sys::learner::read_facts;
use crate::sys::procfs::Procfs;
use crate::sys::sampler::procfs::Sampler as Native;
use crate::sys::villain::{Sleeper, wait_until};

fn own() -> Pid {
    Pid::new(std::process::id()).unwrap()
}

fn portable() -> Portable<Plain> {
    Portable::over(Plain::new().unwrap()).unwrap()
}

fn first(pid: Pid) -> Ask {
    Ask {
        pid,
        key: None,
        start: None,
        want: Want {
            memory: true,
            ..Want::default()
        },
        ran: None,
    }
}

fn question(pid: Pid) -> Question {
    Question {
        about: Serial::NOBODY,
        pid,
        key: None,
        start: None,
        exec: ExecGen::default(),
        variables: ["PATH".to_owned()].into(),
    }
}

fn alive(sample: &Sample) -> Option<&Figures> {
    match &sample.seen {
        Seen::Alive(figures) => Some(figures),
        Seen::Still | Seen::Zombie { .. } | Seen::Gone | Seen::Unread(_) => None,
    }
}

fn look(sampler: &mut Portable<impl Witness>, ask: Ask) -> Sample {
    let mut samples = sampler.look(&[ask], &BTreeSet::new(), &Clock).samples;
    assert_eq!(samples.len(), 1);
    samples.remove(0)
}

/// Both samplers, and what reads arguments on Linux.
struct Pair {
    portable: Portable<Plain>,
    native: Native,
    proc: Procfs,
}

/// How much was compared.
#[derive(Debug, Default)]
struct Tally {
    living: u32,
    zombies: u32,
    known: u32,
    unknown: u32,
}

#[test]
fn samplers_agree_in_a_hundred_random_forests() {
    let root = Path::new("/proc");
    let mut pair = Pair {
        portable: portable(),
        native: Native::new(root).unwrap(),
        proc: Procfs::open(root).unwrap(),
    };
    let mut tally = Tally::default();
    for seed in 0..100 {
        let mut dice = Dice::of(seed);
        let forest: Vec<Forest> = (0..=dice.up_to(2))
            .map(|_| Forest::grow(&mut dice))
            .collect();
        for tree in &forest {
            pair.compare(seed, tree, &mut tally);
        }
    }
    // Each kind came up often enough for its comparison to mean something.
    let each = [tally.living, tally.zombies, tally.known, tally.unknown];
    assert!(each.iter().all(|count| *count >= 40), "{tally:?}");
}

impl Pair {
    fn compare(&mut self, seed: u64, forest: &Forest, tally: &mut Tally) {
        let pids = self.settled(seed, forest);
        let listed = self.portable.list().unwrap();
        for pid in pids {
            assert!(listed.contains(&pid), "seed {seed}: {pid} is not listed");
            let mut told = String::new();
            let native = self.native_look(pid);
            let agree = |told: &mut String, pair: &mut Self| {
                // Read on both sides of the other: what changed in between says nothing.
                let before = pair.native_look(pid);
                let portable = look(&mut pair.portable, first(pid));
                let after = pair.native_look(pid);
                *told = format!("seed {seed}: {before:?}\n{portable:?}");
                memory(&before) == memory(&after) && same(&before, &portable)
            };
            // Rather than a plain `assert`: the kernel may take pages back at any time.
            for attempt in 0..20 {
                if agree(&mut told, self) {
                    break;
                }
                assert!(attempt < 19, "samplers disagree: {told}");
            }
            match native.seen {
                Seen::Zombie { .. } => tally.zombies += 1,
                Seen::Alive(_) => {
                    tally.living += 1;
                    self.compare_arguments(seed, pid, tally);
                }
                Seen::Still | Seen::Gone | Seen::Unread(_) => panic!("seed {seed}: {native:?}"),
            }
        }
    }

    fn compare_arguments(&mut self, seed: u64, pid: Pid, tally: &mut Tally) {
        let native = read_facts(&self.proc, &question(pid), Clock);
        let truth = native.args.known().unwrap();
        let portable = self.portable.facts(&question(pid), Clock);
        assert_eq!(portable.comm, native.comm, "seed {seed}");
        assert_eq!(portable.exe, native.exe, "seed {seed}");
        assert_eq!(portable.cwd, native.cwd, "seed {seed}");
        assert_eq!(portable.env, native.env, "seed {seed}");
        assert_eq!(portable.owner, native.owner, "seed {seed}");
        assert_eq!(portable.group, native.group, "seed {seed}");
        if truth.iter().any(|argument| argument.bytes().is_empty()) {
            assert_eq!(portable.args, Read::Denied, "seed {seed}: {truth:?}");
            tally.unknown += 1;
        } else {
            assert_eq!(portable.args, native.args, "seed {seed}");
            tally.known += 1;
        }
        // As macOS would tell them, none is lost and no variable takes its place.
        let bytes: Vec<_> = truth.iter().map(|one| one.bytes().to_vec()).collect();
        let text = written(b"/bin/sh", &bytes, &[b"TOKEN=secret"]);
        let started = Started::parse(&text).unwrap();
        assert_eq!(&started.arguments(1 << 20), truth, "seed {seed}");
    }

    /// The processes of a tree, once all of them are there, run what they are to run, and rest.
    fn settled(&mut self, seed: u64, forest: &Forest) -> Vec<Pid> {
        let planned = forest.planned();
        let mut found = Vec::new();
        wait_until(&format!("seed {seed}: the forest stands"), || {
            found = self.below(forest.root());
            let mut members: Vec<_> = found.iter().map(|(_, member)| member.clone()).collect();
            members.sort();
            let mut rest = |pid: &Pid| match self.native_look(*pid).seen {
                Seen::Alive(figures) => figures.state == RunState::Sleeping,
                Seen::Zombie { .. } => true,
                Seen::Still | Seen::Gone | Seen::Unread(_) => false,
            };
            members == planned && found.iter().all(|(pid, _)| rest(pid))
        });
        found.into_iter().map(|(pid, _)| pid).collect()
    }

    /// A process and its descendants by `ppid`, each with its arguments and its parent's; a zombie has none.
    fn below(&mut self, root: Pid) -> Vec<(Pid, Member)> {
        let all: Vec<(Pid, Option<Pid>)> = self
            .native
            .list()
            .unwrap()
            .into_iter()
            .map(|pid| (pid, ppid(&self.native_look(pid))))
            .collect();
        let mut found = vec![(root, (self.arguments(root), Vec::new()))];
        let mut next = 0;
        while let Some((parent, (own, _))) = found.get(next).cloned() {
            let children = all.iter().filter(|(_, ppid)| *ppid == Some(parent));
            for (pid, _) in children {
                found.push((*pid, (self.arguments(*pid), own.clone())));
            }
            next += 1;
        }
        found
    }

    fn arguments(&self, pid: Pid) -> Vec<Text> {
        let facts = read_facts(&self.proc, &question(pid), Clock);
        facts.args.known().cloned().unwrap_or_default()
    }

    fn native_look(&mut self, pid: Pid) -> Sample {
        let mut samples = self
            .native
            .look(&[first(pid)], &BTreeSet::new(), &Clock)
            .samples;
        samples.remove(0)
    }
}

fn ppid(sample: &Sample) -> Option<Pid> {
    match &sample.seen {
        Seen::Alive(figures) => figures.ppid,
        Seen::Zombie { ppid, .. } => *ppid,
        Seen::Still | Seen::Gone | Seen::Unread(_) => None,
    }
}

/// What is resident by the kernel's exact count: that in `stat` is off by what each processor has not yet handed in.
fn memory(sample: &Sample) -> Option<crate::engine::units::Bytes> {
    Some(alive(sample)?.memory?.resident())
}

/// Whether both tell the same of a process that rests.
fn same(native: &Sample, portable: &Sample) -> bool {
    let cpu = |sample: &Sample| match &sample.seen {
        Seen::Alive(figures) => (figures.cpu, figures.grain, figures.start),
        Seen::Zombie {
            cpu, grain, start, ..
        } => (*cpu, *grain, *start),
        Seen::Still | Seen::Gone | Seen::Unread(_) => panic!("{sample:?}"),
    };
    let ((one, one_grain, ticks), (other, other_grain, second)) = (cpu(native), cpu(portable));
    // The truth lies in both ranges.
    let overlap = one <= other + other_grain && other <= one + one_grain;
    // The second in which it started, at its end.
    let start = second.0 > ticks.0 && second.0 <= ticks.0 + 100;
    let rest = match (&native.seen, &portable.seen) {
        (Seen::Alive(native), Seen::Alive(portable)) => {
            let parents = |figures: &Figures| figures.parent.map(ProcKey::pid);
            native.state == portable.state
                && native.comm == portable.comm
                && native.owner == portable.owner
                && parents(native) == parents(portable)
        }
        (Seen::Zombie { .. }, Seen::Zombie { .. }) => true,
        _ => false,
    };
    let resident = memory(native) == alive(portable).map(|figures| figures.rss);
    native.pid == portable.pid
        && ppid(native) == ppid(portable)
        && overlap
        && start
        && rest
        && resident
}

#[test]
fn first_sight_brings_identity_owner_and_parent() {
    let child = Sleeper::start();
    let mut sampler = portable();
    let sample = look(&mut sampler, first(child.pid()));
    let figures = alive(&sample).unwrap();
    let us = look(&mut sampler, first(own())).key;
    assert_eq!((figures.ppid, figures.parent), (Some(own()), us));
    let owner = figures.owner.map(|uid| uid.0);
    assert_eq!(owner, Some(rustix::process::geteuid().as_raw()));
    assert_eq!((figures.memory, figures.open_files), (None, None));
}

#[test]
fn a_known_process_is_followed_to_its_end() {
    let mut child = Sleeper::start();
    let mut sampler = portable();
    let sample = look(&mut sampler, first(child.pid()));
    let ask = Ask {
        key: sample.key,
        start: alive(&sample).map(|figures| figures.start),
        // Nobody here can tell who has not run, so that is never the answer.
        ran: Some(Ran(NonZeroU64::MAX)),
        ..first(child.pid())
    };
    let again = look(&mut sampler, ask);
    assert!(alive(&again).is_some_and(|figures| figures.parent.is_none()));
    child.kill();
    let dead = look(&mut sampler, ask).seen;
    assert!(matches!(dead, Seen::Zombie { ppid, .. } if ppid == Some(own())));
    child.reap();
    assert_eq!(look(&mut sampler, ask).seen, Seen::Gone);
    assert!(!sampler.list().unwrap().contains(&child.pid()));
    assert_eq!(sampler.facts(&question(child.pid()), Clock).key, None);
}

/// A machine in which numbers pass on, and somebody may not be asked about.
#[derive(Debug, Default)]
struct Told {
    /// Who bears a number at each question, the last one for ever.
    each: BTreeMap<Pid, Vec<Result<Identity, Missing>>>,
}

impl Told {
    fn says(mut self, number: u32, answers: &[Identity]) -> Self {
        let answers = answers.iter().rev().copied().map(Ok).collect();
        self.each.insert(pid(number), answers);
        self
    }

    fn refuses(mut self, number: u32) -> Self {
        let denied = Missing::Unread(Why::Denied);
        self.each.insert(pid(number), vec![Err(denied)]);
        self
    }

    fn sampler(self) -> Portable<Self> {
        Portable::over(self).unwrap()
    }
}

impl Witness for Told {
    fn identity(&mut self, pid: Pid) -> Result<Identity, Missing> {
        let answers = self.each.get_mut(&pid).ok_or(Missing::Gone)?;
        match answers.len() {
            1 => answers[0],
            _ => answers.pop().unwrap(),
        }
    }

    fn look(&mut self, pid: Pid, _want: Want, clock: Clock) -> Result<Found, Missing> {
        let identity = self.identity(pid)?;
        // Everything but the identity is ours.
        let mut found = Plain::new().unwrap().look(own(), Want::default(), clock)?;
        found.mark = identity.mark;
        if let Seen::Alive(figures) = &mut found.seen {
            figures.ppid = identity.ppid;
        }
        Ok(found)
    }

    fn image(&mut self, _pid: Pid, _variables: &[String]) -> Image {
        let mut plain = Plain::new().unwrap();
        plain.image(own(), &[])
    }
}

fn someone(mark: u64, ppid: u32) -> Identity {
    Identity {
        mark: Mark::Ticks(mark),
        ppid: Pid::new(ppid),
        life: Life::Alive,
    }
}

fn pid(number: u32) -> Pid {
    Pid::new(number).unwrap()
}

#[test]
fn who_may_not_be_asked_about_is_unread_and_never_idle() {
    let mut sampler = Told::default().refuses(10).sampler();
    let sample = look(&mut sampler, first(pid(10)));
    assert_eq!((sample.key, sample.seen), (None, Seen::Unread(Why::Denied)));
    let facts = sampler.facts(&question(pid(10)), Clock);
    assert_eq!((facts.key, facts.args), (None, Read::Denied));
    // What it used is unknown too, and that is not nothing.
    assert_eq!(facts.cpu, Duration::MAX);
}

#[test]
fn a_number_that_passed_on_is_gone() {
    let mut sampler = Told::default().says(10, &[someone(2, 1)]).sampler();
    let ask = Ask {
        key: Some(ProcKey::new(pid(10), Mark::Ticks(1))),
        ..first(pid(10))
    };
    let sample = look(&mut sampler, ask);
    assert_eq!((sample.key, sample.seen), (ask.key, Seen::Gone));
}

#[test]
fn facts_of_two_processes_are_nobodys() {
    // The number passes on between the figures and the arguments.
    let told = Told::default().says(10, &[someone(1, 1), someone(2, 1)]);
    let facts = told.sampler().facts(&question(pid(10)), Clock);
    assert_eq!((facts.key, facts.args), (None, Read::Gone));
    let told = Told::default().says(10, &[someone(1, 1)]);
    let facts = told.sampler().facts(&question(pid(10)), Clock);
    let key = ProcKey::new(pid(10), Mark::Ticks(1));
    assert_eq!(facts.key, Some(key));
}

#[test]
fn a_parent_is_proven_by_what_it_was_before_and_after() {
    let parent_of = |told: Told| {
        let sample = look(&mut told.sampler(), first(pid(10)));
        alive(&sample).unwrap().parent
    };
    let child = [someone(5, 9)];
    let steady = Told::default().says(10, &child).says(9, &[someone(3, 1)]);
    let key = ProcKey::new(pid(9), Mark::Ticks(3));
    assert_eq!(parent_of(steady), Some(key));
    // It died, and another has its number.
    let passed = [someone(3, 1), someone(4, 1)];
    let told = Told::default().says(10, &child).says(9, &passed);
    assert_eq!(parent_of(told), None);
    // It was another's child by the time its parent was known.
    let given = [someone(5, 9), someone(5, 1)];
    let told = Told::default().says(10, &given).says(9, &[someone(3, 1)]);
    assert_eq!(parent_of(told), None);
    // Another process had the number by then.
    let other = [someone(5, 9), someone(6, 9)];
    let told = Told::default().says(10, &other).says(9, &[someone(3, 1)]);
    assert_eq!(parent_of(told), None);
    assert_eq!(parent_of(Told::default().says(10, &child)), None);
}

#[test]
fn the_machine_has_memory_and_processors() {
    let machine = portable().look(&[], &BTreeSet::new(), &Clock).machine;
    assert!(machine.memory > crate::engine::units::Bytes::mib(64));
    assert!(machine.cores > 0);
}
