//! `cargo bench --bench footprint`: what beadle costs beside idle processes, with `top -b -d1` for comparison.
//!
//! ```text
//! cargo bench --bench footprint                                        5 to 10 minutes
//! cargo bench --bench footprint -- --processes 1000 --window 5 --rounds 1
//! ```
//! For each number of idle processes it measures, at `interval: 1s`, (a) with nothing matched, (b) with every one of
//! them a member of a judged tree, without and with a limit that takes a second file per process, (c) with nothing matched beside a load that forks and execs at a bounded rate:
//! processor time from `/proc/PID/stat` over a window (whole ticks) and, finer, from the CPU clock of the process; resident and anonymous memory; medians over rounds. How often the whole machine forks is shown too:
//! each fork, exec and exit is an event that beadle hears, so other people's builds show in these figures. Nothing is
//! asserted.
//!
//! The daemon runs in mode `observe`: it signals nothing. The idle processes and the load are this program's own; they
//! end with it, at the latest when their time is up.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool for developers, not part of beadle"
)]

mod bench;

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bench::daemon::Daemon;
use bench::helper::{self, Helper};
use bench::meter;

/// What the idle processes are called: not as cargo names a benchmark, for that is what a built-in rule looks for.
const IDLER: &str = "beadle-footprint-idler";

/// Forks with exec a second, for case (c).
const RATE: u32 = 200;

fn main() {
    match helper::role() {
        Some((role, life)) => play(&role, life),
        None => measure(&Plan::read()),
    }
}

/// What to measure.
struct Plan {
    processes: Vec<u32>,
    window: Duration,
    rounds: usize,
}

impl Plan {
    fn read() -> Self {
        let mut plan = Self {
            processes: vec![1000, 5000],
            window: Duration::from_secs(20),
            rounds: 3,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| usage());
            match word.as_str() {
                "--processes" => {
                    let list = value();
                    plan.processes = list.split(',').map(number).collect();
                }
                "--window" => plan.window = Duration::from_secs(number(&value())),
                "--rounds" => plan.rounds = number(&value()),
                // cargo says this to every benchmark.
                "--bench" => {}
                _ => usage(),
            }
        }
        plan
    }

    /// How long a helper lives at most.
    fn life(&self) -> Duration {
        let rounds = u32::try_from(self.rounds.max(1)).unwrap();
        (self.window * rounds + Duration::from_secs(30)) * 3
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| usage())
}

fn usage() -> ! {
    panic!("usage: footprint [--processes N,N…] [--window SECONDS] [--rounds N]")
}

/// A case: what is matched, and what else goes on.
#[derive(Clone, Copy)]
enum Case {
    Nothing,
    Everything,
    Memory,
    Forks,
}

impl Case {
    const ALL: [Self; 4] = [Self::Nothing, Self::Everything, Self::Memory, Self::Forks];

    const fn title(self) -> &'static str {
        match self {
            Self::Nothing => "(a) nothing matched",
            Self::Everything => "(b) all in a tree: cpu, rss, processes",
            Self::Memory => "(b) the same, with private memory",
            Self::Forks => "(c) nothing matched, fork-heavy load",
        }
    }

    /// How memory is measured.
    const fn measure(self) -> &'static str {
        match self {
            Self::Memory => "private",
            Self::Nothing | Self::Everything | Self::Forks => "rss",
        }
    }

    /// The matcher.
    const fn program(self) -> &'static str {
        match self {
            Self::Everything | Self::Memory => IDLER,
            Self::Nothing | Self::Forks => "no-such-program",
        }
    }
}

/// Processor and memory of a process at one moment, and how many processes the machine ever made.
#[derive(Clone, Copy)]
struct Cost {
    forks: u64,
    ticks: u64,
    used: Duration,
    rss: u64,
    anonymous: u64,
}

/// The same over a window: a second, milliseconds a second, and KiB.
#[derive(Clone, Copy)]
struct Figure {
    forks: f64,
    by_ticks: f64,
    by_clock: f64,
    rss: u64,
    anonymous: u64,
}

fn measure(plan: &Plan) {
    println!(
        "interval 1 s, {} window(s) of {} s, medians; CPU in ms a second of one core",
        plan.rounds,
        plan.window.as_secs()
    );
    println!(
        "{:<10} {:<38} {:<8} {:>8} {:>10} {:>9} {:>9} {:>8}",
        "idle", "case", "program", "CPU", "(finer)", "RSS KiB", "anon KiB", "forks/s"
    );
    for &count in &plan.processes {
        let crowd = Helper::start(IDLER, &format!("idle {count}"), plan.life());
        for case in Case::ALL {
            let load = match case {
                Case::Forks => Some(Helper::start(IDLER, "forks", plan.life())),
                Case::Nothing | Case::Everything | Case::Memory => None,
            };
            run(plan, count, case);
            drop(load);
        }
        drop(crowd);
    }
}

fn run(plan: &Plan, count: u32, case: Case) {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::watch(folder.path(), &rule(case), &[]);
    let mut top = Command::new("top")
        .args(["-b", "-d1"])
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok();
    // Facts of all processes are read once, at the start: that is not what this measures.
    wait(Duration::from_secs(8));
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..plan.rounds.max(1) {
        let before = (
            cost(daemon.pid()),
            top.as_ref().and_then(|top| cost(top.id())),
        );
        let start = Instant::now();
        wait(plan.window);
        let after = (
            cost(daemon.pid()),
            top.as_ref().and_then(|top| cost(top.id())),
        );
        let span = start.elapsed();
        ours.extend(
            before
                .0
                .zip(after.0)
                .map(|(from, to)| figure(from, to, span)),
        );
        theirs.extend(
            before
                .1
                .zip(after.1)
                .map(|(from, to)| figure(from, to, span)),
        );
    }
    if daemon.start["tier"] != "events" {
        println!("without events: {}", daemon.start["deaf"]);
    }
    tell(count, case, "beadle", &ours);
    tell(count, case, "top", &theirs);
    if let Some(top) = &mut top {
        let _ = top.kill();
        let _ = top.wait();
    }
}

/// The rule of a case.
fn rule(case: Case) -> String {
    format!(
        "  - name: footprint
    match: {{ exe: '{}' }}
    limits:
      cpu: {{ above: 64 cores, for: 10m }}
      memory: {{ above: 1TiB, measure: {} }}
      processes: 1000000
",
        case.program(),
        case.measure()
    )
}

fn wait(span: Duration) {
    std::thread::sleep(span);
}

fn cost(pid: u32) -> Option<Cost> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some(Cost {
        forks: meter::forks(),
        ticks,
        used: meter::cpu(pid)?,
        rss: kib("VmRSS:")?,
        anonymous: kib("RssAnon:")?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn figure(from: Cost, to: Cost, span: Duration) -> Figure {
    let a_second = rustix::param::clock_ticks_per_second() as f64;
    let per_second = |millis: f64| millis / span.as_secs_f64();
    Figure {
        forks: (to.forks - from.forks) as f64 / span.as_secs_f64(),
        by_ticks: per_second((to.ticks - from.ticks) as f64 * 1000.0 / a_second),
        by_clock: per_second(to.used.saturating_sub(from.used).as_secs_f64() * 1e3),
        rss: to.rss,
        anonymous: to.anonymous,
    }
}

fn tell(count: u32, case: Case, program: &str, figures: &[Figure]) {
    if figures.is_empty() {
        println!(
            "{count:<10} {:<38} {program:<8} could not be measured",
            case.title()
        );
        return;
    }
    let middle = |of: fn(&Figure) -> f64| meter::middle(figures.iter().map(of));
    let size = |of: fn(&Figure) -> u64| {
        let mut all: Vec<u64> = figures.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    println!(
        "{count:<10} {:<38} {program:<8} {:>8.2} {:>10.2} {:>9} {:>9} {:>8.0}",
        case.title(),
        middle(|figure| figure.by_ticks),
        middle(|figure| figure.by_clock),
        size(|figure| figure.rss),
        size(|figure| figure.anonymous),
        middle(|figure| figure.forks),
    );
}

fn play(role: &str, life: u32) {
    match role.split_once(' ') {
        Some(("idle", count)) => idle(number(count), life),
        Some(_) | None => forks(),
    }
}

/// Makes idle children; they are killed by the kernel when this process ends, however it does.
fn idle(count: u32, life: u32) {
    for _ in 0..count {
        // SAFETY: one thread; the child waits for signals and does nothing else.
        unsafe {
            if libc::fork() == 0 {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::alarm(life);
                // Our end may have come before the request.
                while libc::getppid() != 1 {
                    libc::pause();
                }
                libc::_exit(0);
            }
        }
    }
    serve(|| false);
}

/// Forks and execs at a bounded rate until told to end.
fn forks() {
    let mut due = Instant::now();
    serve(|| {
        let _ = Command::new("true").stdin(Stdio::null()).status();
        due += Duration::from_secs(1) / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        true
    });
}

/// Says that it begins, works, and returns when its input ends.
fn serve(mut work: impl FnMut() -> bool) {
    helper::ready();
    let mut input = std::io::stdin();
    let (told, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = input.read(&mut [0]);
        told.send(())
    });
    while ended.try_recv().is_err() && work() {}
    // Without work there is only the end to wait for.
    let _ = ended.recv_timeout(Duration::from_secs(u64::from(u32::MAX)));
}
