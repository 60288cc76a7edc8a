//! One of everything there is to say.

use std::sync::Arc;
use std::time::Duration;

use jiff::Zoned;

use super::super::entry::{Edge, Entry, Start, StartRule};
use crate::control::wire::{Daemon, Desktop, Fault, Safe};
use crate::engine::decision::{Closing, Notice, Rest, What};
use crate::engine::errand::{Came, ErrandId, Occasion, Task};
use crate::engine::evidence::{
    Evidence, Finding, IncidentId, Peers, Quantity, Reading, Subject, UnitKey,
};
use crate::engine::heartbeat::{Count, Progress};
use crate::engine::process::{ExecGen, Mark, Pid, ProcKey, StartTicks, Text, Uid};
use crate::engine::rule::{Command, Metric, Mode, Signal, StageAct, To};
use crate::engine::steward::{Steward, Unstoppable};
use crate::engine::units::{Bytes, Millicores, Mono, PerSecond, Range, Tier};
use crate::engine::warrant::{
    Certainty, Epoch, EventCount, HardTie, Newborn, Order, Outcome, Report, Spare, Survivor,
    Target, Warrant, WarrantId, Withheld,
};

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn pid(n: u32) -> Pid {
    Pid::new(n).unwrap()
}

pub(super) fn key(n: u32) -> ProcKey {
    ProcKey::new(pid(n), Mark::Inode(u64::from(n) * 10))
}

pub(super) fn wall(offset: u64) -> Zoned {
    let zoned: Zoned = "2026-11-22T14:03:07.25+01:00[+01:00]".parse().unwrap();
    zoned.checked_add(secs(offset)).unwrap()
}

pub(super) fn reading(metric: Metric, now: Quantity, limit: Quantity, finding: Finding) -> Reading {
    Reading {
        metric,
        now: Some(Range::exactly(now, Tier::Events)),
        limit,
        lasting: None,
        held: Duration::ZERO,
        finding,
    }
}

pub(super) fn cpu_time(millis: u64, limit: u64, finding: Finding) -> Reading {
    let (now, limit) = (Duration::from_millis(millis), secs(limit));
    let (now, limit) = (Quantity::Time(now), Quantity::Time(limit));
    reading(Metric::CpuTime, now, limit, finding)
}

pub(super) fn memory(now: u64, limit: u64, lasting: u64, held: u64, finding: Finding) -> Reading {
    let (now, limit) = (Bytes::mib(now), Bytes::mib(limit));
    Reading {
        lasting: Some(secs(lasting)),
        held: secs(held),
        ..reading(
            Metric::Memory,
            Quantity::Size(now),
            Quantity::Size(limit),
            finding,
        )
    }
}

pub(super) fn evidence(readings: Vec<Reading>) -> Evidence {
    Evidence {
        rule: "pytest".into(),
        about: Some("test runs that never end".to_owned()),
        unit: UnitKey::Tree(key(4711)),
        subject: Subject {
            key: key(4711),
            program: Text::from("pytest"),
            command: Text::from("python -m pytest -q tests"),
            cwd: Some(Text::from("/home/ann/shop")),
            owner: Some(Uid(1000)),
            audience: Some(Uid(1000)),
            tty: Some(Text::from("/dev/pts/4")),
            label: None,
        },
        sampled: Mono::from_secs(5_000),
        readings,
        members: 3,
        pids: vec![pid(4711), pid(4712), pid(4715)],
        peers: None,
        manner: None,
        progress: None,
    }
}

pub(super) fn over() -> Evidence {
    evidence(vec![
        cpu_time(9_100, 8, Finding::Sustained),
        memory(310, 8192, 30, 0, Finding::Clear),
    ])
}

pub(super) fn progress() -> Progress {
    Progress {
        count: Some(Count {
            done: 567,
            total: Some(1000),
        }),
        status: Some(Text::from("batch 9\u{1b}[31m")),
        moved: Some(secs(240)),
        doubt: None,
    }
}

pub(super) fn peers() -> Peers {
    Peers {
        count: 12,
        over: 9,
        oldest: [4711, 4800, 4801, 4802, 4803, 4804, 4805, 4806]
            .map(pid)
            .to_vec(),
    }
}

pub(super) fn notice(evidence: Evidence, what: What) -> Notice {
    Notice {
        at: Mono::from_secs(5_001),
        incident: IncidentId(3),
        mode: Mode::Enforce,
        evidence: Arc::new(evidence),
        what,
    }
}

pub(super) fn warrant(order: Order) -> Warrant {
    let target = |n| Target {
        key: key(n),
        start: StartTicks(1),
        tie: HardTie::Root,
        exec: ExecGen(1),
        stopped: false,
    };
    Warrant {
        id: WarrantId(7),
        incident: IncidentId(3),
        unit: UnitKey::Tree(key(4711)),
        order,
        targets: [4711, 4712, 4715].map(target).to_vec(),
        unbound: Vec::new(),
        roster: Vec::new(),
        newborn: Newborn::Refuse,
        label: None,
        spare: Arc::new(Spare::default()),
        evidence: Arc::new(over()),
        bidden: None,
        sampled: Mono::from_secs(5_000),
        expires: Mono::from_secs(5_010),
        epoch: Epoch(0),
        seen: EventCount(0),
    }
}

pub(super) fn report(each: &[(u32, Outcome)]) -> Report {
    Report {
        warrant: WarrantId(7),
        each: each
            .iter()
            .map(|(n, outcome)| (key(*n), *outcome))
            .collect(),
        continued: Vec::new(),
        heard: Vec::new(),
        left: Vec::new(),
        certainty: Certainty::Heard,
        first: Some(Mono::from_secs(5_004)),
        at: Mono::from_secs(5_004),
        took: Duration::from_micros(3_400),
    }
}

pub(super) fn nudge(next: Option<(Signal, u64)>, rests: Option<Rest>, again: bool) -> What {
    What::Nudge {
        next: next.map(|(signal, left)| (StageAct::Signal(signal, To::Tree), secs(left))),
        rests,
        again,
    }
}

pub(super) fn withheld(why: Rest) -> What {
    What::Withheld {
        act: StageAct::Signal(Signal::Term, To::Tree),
        targets: 3,
        why,
    }
}

pub(super) fn notices() -> Vec<Notice> {
    let signal = |signal, served| What::Signal {
        warrant: WarrantId(7),
        signal,
        targets: vec![pid(4711), pid(4712), pid(4715)],
        served: secs(served),
        bidden: None,
    };
    let respawn = Rest::Respawn {
        by: Some(Text::from("make\x1b[2J")),
    };
    let closed = |how| What::Closed {
        how,
        lasted: secs(5),
    };
    let mut all = vec![
        notice(over(), What::Opened),
        notice(over(), nudge(Some((Signal::Term, 3)), None, false)),
        notice(over(), nudge(None, None, false)),
        notice(over(), nudge(None, Some(Rest::Mode(Mode::Nudge)), true)),
        notice(over(), nudge(None, Some(respawn), false)),
        notice(over(), signal(Signal::Term, 3)),
        notice(over(), signal(Signal::Kill, 2)),
        notice(over(), withheld(Rest::Mode(Mode::Observe))),
        notice(over(), withheld(Rest::Breaker)),
        notice(over(), withheld(Rest::Denied)),
        notice(over(), withheld(Rest::Protected)),
        notice(over(), withheld(Rest::Instances)),
        notice(
            over(),
            withheld(Rest::Minded {
                incident: IncidentId(7),
                rule: "pytest".into(),
            }),
        ),
        notice(over(), withheld(Rest::Respawn { by: None })),
    ];
    all.extend(errands());
    let ways = [
        Closing::Recovered,
        Closing::Exited,
        Closing::Ended(Certainty::Heard),
        Closing::Ended(Certainty::Looked),
        Closing::Denied,
        Closing::Answered,
        Closing::Merged,
        Closing::Unmatched,
        Closing::RuleRemoved,
    ];
    all.extend(ways.map(|how| notice(over(), closed(how))));
    all
}

/// Evidence of every metric, and of every kind of range.
pub(super) fn figures() -> Vec<Notice> {
    let time = |metric, now, limit| {
        let (now, limit) = (Quantity::Time(secs(now)), Quantity::Time(secs(limit)));
        reading(metric, now, limit, Finding::Sustained)
    };
    let many = |metric, now, limit| {
        let (now, limit) = (Quantity::Count(now), Quantity::Count(limit));
        reading(metric, now, limit, Finding::Sustained)
    };
    let cpu = Reading {
        lasting: Some(secs(600)),
        ..reading(
            Metric::Cpu,
            Quantity::Cores(Millicores(970)),
            Quantity::Cores(Millicores(900)),
            Finding::Sustained,
        )
    };
    let nothing = Reading {
        now: None,
        ..time(Metric::Age, 1, 2)
    };
    [
        vec![cpu, memory(8400, 8192, 30, 31, Finding::Sustained)],
        vec![time(Metric::Age, 7_300, 7_200)],
        vec![time(Metric::Orphaned, 360, 300)],
        vec![time(Metric::Leftover, 6, 5)],
        vec![time(Metric::Silent, 240, 60)],
        vec![many(Metric::Processes, 1_200, 100)],
        vec![many(Metric::Threads, 5_000, 1_000)],
        vec![many(Metric::OpenFiles, 65_000, 50_000)],
        vec![many(Metric::Zombies, 40, 10)],
        vec![many(Metric::Instances, 12, 3)],
        vec![
            Reading {
                lasting: Some(secs(60)),
                ..many(Metric::Instances, 4, 3)
            },
            time(Metric::Orphaned, 360, 300),
        ],
        vec![reading(
            Metric::Spawns,
            Quantity::Pace(PerSecond(412_300)),
            Quantity::Pace(PerSecond(200_000)),
            Finding::Sustained,
        )],
        // Rounded for people, both sides would read the same.
        vec![cpu_time(45_300, 45, Finding::Sustained)],
        vec![nothing],
        vec![cpu_time(3_000, 8, Finding::Clear)],
        vec![],
    ]
    .map(|readings| {
        let counted = readings
            .iter()
            .any(|reading| reading.metric == Metric::Instances);
        let silent = readings.iter().any(|it| it.metric == Metric::Silent);
        let of_all = Evidence {
            peers: counted.then(peers),
            progress: silent.then(progress),
            ..evidence(readings)
        };
        notice(of_all, nudge(Some((Signal::Term, 300)), None, false))
    })
    .to_vec()
}

pub(super) fn outcomes() -> Vec<Entry> {
    let asked = report(&[
        (4711, Outcome::Sent),
        (4712, Outcome::Gone),
        (4715, Outcome::Denied),
    ]);
    let asked = Report {
        continued: vec![key(4711)],
        ..asked
    };
    let ended = report(&[4711, 4712, 4715].map(|n| (n, Outcome::Sent)));
    let searched = Report {
        certainty: Certainty::Looked,
        ..ended.clone()
    };
    let stuck = Report {
        left: vec![Survivor {
            key: key(4712),
            state: 'D',
        }],
        took: secs(5),
        ..report(&[(4711, Outcome::Sent), (4712, Outcome::Survived)])
    };
    let held = report(
        &[
            Withheld::Protected,
            Withheld::Recalled,
            Withheld::Expired,
            Withheld::Unsure,
        ]
        .map(|why| (4712, Outcome::Withheld(why))),
    );
    let term = warrant(Order::Ask(Signal::Term));
    let kill = warrant(Order::End);
    [
        (&term, asked),
        (&kill, ended),
        (&kill, searched),
        (&kill, stuck),
        (&kill, held),
    ]
    .map(|(warrant, report)| Entry::outcome(warrant, Mode::Enforce, &report, &wall(3)))
    .to_vec()
}

pub(super) fn ours() -> Vec<Entry> {
    let at = Mono::from_secs(5_000);
    let rule = |name: &str, mode: &str| StartRule {
        name: Safe::word(name),
        mode: Safe::word(mode),
    };
    let start = Start {
        version: Safe::word("0.1.0"),
        daemon: 900,
        mode: Safe::word("nudge"),
        tier: Safe::word("events"),
        config: Vec::new(),
        rules: vec![rule("tests", "nudge"), rule("browsers", "nudge")],
        deaf: None,
        leash: None,
        socket: Some(Safe::word("/run/beadle/socket")),
    };
    let leashed = Start {
        mode: Safe::word("enforce"),
        tier: Safe::word("scan"),
        deaf: Some(Safe::word("the kernel did not confirm process events")),
        config: vec![Safe::word("/etc/beadle/beadle.yaml")],
        rules: vec![rule("pytest", "enforce")],
        leash: Some(812),
        ..start.clone()
    };
    let problems = [
        "beadle.yaml:7:5: `memroy`: did you mean `memory`?",
        "b.yaml:1:1: x",
    ];
    let lost = "12 messages did not fit";
    vec![
        Entry::start(start, at, &wall(0)),
        Entry::start(leashed, at, &wall(0)),
        Entry::fault(
            "journal",
            Edge::Began,
            "the socket does not read",
            1,
            at,
            &wall(1),
        ),
        Entry::fault("journal", Edge::Over, lost, 12, at, &wall(2)),
        Entry::reloaded(7, at, &wall(3)),
        Entry::not_reloaded(7, problems.map(Safe::word).to_vec(), at, &wall(4)),
        Entry::stop("SIGTERM", at, &wall(5)),
    ]
}

pub(super) fn all() -> Vec<Entry> {
    let told = notices().into_iter().chain(figures());
    ours()
        .into_iter()
        .chain(told.map(|notice| Entry::notice(&notice, &wall(0))))
        .chain(outcomes())
        .collect()
}

pub(super) fn daemon() -> Daemon {
    Daemon {
        version: Safe::word("0.1.0"),
        pid: 900,
        owner: 0,
        up: 3_723.0,
        config: vec![Safe::word("/etc/beadle/beadle.yaml")],
        leash: Some(812),
        deaf: None,
        desktops: vec![
            Desktop {
                user: 1000,
                shown: 2,
                server: Some(Safe::word("Xfce Notify Daemon 0.7.3")),
                buttons: Some(true),
                trouble: None,
            },
            Desktop {
                user: 1001,
                shown: 0,
                server: None,
                buttons: None,
                trouble: Some(Safe::word("no notification server runs in the session")),
            },
        ],
        elder: None,
        faults: vec![Fault {
            part: Safe::word("journal"),
            text: Safe::word("the socket does not read"),
            count: 12,
            lasted: 40.0,
        }],
    }
}

/// Programs that were run and managers that were asked, and all that can come of it.
fn errands() -> Vec<Notice> {
    let command = Arc::new(Command {
        program: "/usr/local/bin/tell".into(),
        args: vec![
            "--to".into(),
            "ops".into(),
            "--password".into(),
            "hunter2".into(),
        ],
        timeout: secs(30),
    });
    let exec = || Task::Exec(command.clone());
    let steward = Steward::System {
        name: "nightly.service".into(),
    };
    let stop = || Task::Stop(steward.clone());
    let stage = Occasion::Stage {
        place: 2,
        served: secs(3),
    };
    let run = |task, occasion| What::Run {
        errand: ErrandId(8),
        task,
        occasion,
    };
    let ran = |task, came| What::Ran {
        errand: ErrandId(8),
        task,
        came,
        took: Duration::from_millis(120),
    };
    let said = Some(Text::from("no \x1b[2J route"));
    let exited = |status, said| Came::Exited { status, said };
    let next = |act| What::Nudge {
        next: Some((act, secs(3))),
        rests: None,
        again: false,
    };
    let withheld = |act, why| What::Withheld {
        act,
        targets: 3,
        why,
    };
    let inhabited = Rest::Unstoppable(Unstoppable::Inhabited {
        name: "nightly.service".into(),
        who: (pid(99), Text::from("db\x1b[2J")),
        others: 2,
    });
    let all = [
        next(StageAct::Exec(command.clone())),
        next(StageAct::Stop),
        run(exec(), stage),
        run(exec(), Occasion::Closed(Closing::Recovered)),
        run(stop(), stage),
        ran(exec(), exited(0, None)),
        ran(exec(), exited(3, said.clone())),
        ran(exec(), Came::Signalled { signal: 11, said }),
        ran(exec(), Came::TimedOut { said: None }),
        ran(exec(), Came::Unstarted("No such file or directory".into())),
        ran(exec(), Came::Lost),
        ran(stop(), exited(0, None)),
        ran(stop(), exited(5, Some("Unit is not loaded.".into()))),
        withheld(StageAct::Exec(command.clone()), Rest::Mode(Mode::Nudge)),
        withheld(StageAct::Exec(command.clone()), Rest::Busy),
        withheld(StageAct::Stop, inhabited),
    ];
    all.into_iter().map(|what| notice(over(), what)).collect()
}
