//! `cargo bench --bench footprint`: what beadle costs beside idle processes, with `top -b -d1` for comparison.
//!
//! ```text
//! cargo bench --bench footprint                                        5 to 10 minutes
//! cargo bench --bench footprint -- --processes 1000 --window 5 --rounds 1
//! ```
//! For each number of idle processes it measures, at `interval: 1s`, (a) with nothing matched, (b) with every one of
//! them a member of a judged tree, without and with a limit that takes a second file per process, (c) with nothing matched beside a load that forks and execs at a bounded rate:
//! processor time from `/proc/PID/stat` over a window (whole ticks) and, finer, from the scheduler's count of the
//! living threads; resident and anonymous memory; medians over rounds. How often the whole machine forks is shown too:
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

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What this program is in a process of its own.
const ROLE: &str = "BEADLE_FOOTPRINT";

/// What the idle processes are called: not as cargo names a benchmark, for that is what a built-in rule looks for.
const IDLER: &str = "beadle-footprint-idler";

/// Forks with exec a second, for case (c).
const RATE: u32 = 200;

fn main() {
    match std::env::var(ROLE) {
        Ok(role) => play(&role),
        Err(_) => measure(&Plan::read()),
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
    nanos: u64,
    rss: u64,
    anonymous: u64,
}

/// The same over a window: a second, milliseconds a second, and KiB.
#[derive(Clone, Copy)]
struct Figure {
    forks: f64,
    by_ticks: f64,
    by_scheduler: f64,
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
        let crowd = Helper::start(&format!("idle {count}"), plan);
        for case in Case::ALL {
            let load = match case {
                Case::Forks => Some(Helper::start("forks", plan)),
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
    let mut daemon = watch(folder.path(), case);
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
            cost(daemon.id()),
            top.as_ref().and_then(|top| cost(top.id())),
        );
        let start = Instant::now();
        wait(plan.window);
        let after = (
            cost(daemon.id()),
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
    tell(count, case, "beadle", &ours);
    tell(count, case, "top", &theirs);
    for child in top.iter_mut().chain([&mut daemon]) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Starts the daemon and waits until it watches.
fn watch(folder: &Path, case: Case) -> Child {
    let rules = folder.join("rules.yaml");
    let text = format!(
        "version: 1
mode: observe
interval: 1s
nudge: {{ desktop: false, journal: false }}
rules:
  - name: footprint
    match: {{ exe: '{}' }}
    limits:
      cpu: {{ above: 64 cores, for: 10m }}
      memory: {{ above: 1TiB, measure: {} }}
      processes: 1000000
",
        case.program(),
        case.measure()
    );
    fs::write(&rules, text).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_beadle"))
        .arg("watch")
        .arg("--config")
        .arg(&rules)
        .arg("--state")
        .arg(folder.join("state"))
        .arg("--socket")
        .arg(folder.join("control/socket"))
        .args(["--log", "json"])
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(
        line.contains("\"start\""),
        "the daemon did not start: {line}"
    );
    // What it says later must go somewhere.
    std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    daemon
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
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let nanos = threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum();
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let forks = machine
        .lines()
        .find_map(|line| line.strip_prefix("processes "))?;
    Some(Cost {
        forks: forks.parse().ok()?,
        ticks,
        nanos,
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
        by_scheduler: per_second(to.nanos.saturating_sub(from.nanos) as f64 / 1e6),
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
    let middle = |of: fn(&Figure) -> f64| {
        let mut all: Vec<f64> = figures.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let size = |of: fn(&Figure) -> u64| {
        let mut all: Vec<u64> = figures.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    println!(
        "{count:<10} {:<38} {program:<8} {:>8.2} {:>10.2} {:>9} {:>9} {:>8.0}",
        case.title(),
        middle(|figure| figure.by_ticks),
        middle(|figure| figure.by_scheduler),
        size(|figure| figure.rss),
        size(|figure| figure.anonymous),
        middle(|figure| figure.forks),
    );
}

/// A process of our own that makes idle processes or forks; it ends when its input does, or at its time.
struct Helper {
    child: Child,
    /// Holds the program.
    _folder: TempDir,
}

impl Helper {
    fn start(role: &str, plan: &Plan) -> Self {
        let rounds = u32::try_from(plan.rounds.max(1)).unwrap();
        let life = (plan.window * rounds + Duration::from_secs(30)) * 3;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(IDLER);
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut child = Command::new(program)
            .env(ROLE, role)
            .env("BEADLE_FOOTPRINT_LIFE", life.as_secs().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        child
            .stdout
            .take()
            .unwrap()
            .read_exact(&mut ready)
            .expect("the helper did not begin");
        Self {
            child,
            _folder: folder,
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn play(role: &str) {
    let life: u32 = number(&std::env::var("BEADLE_FOOTPRINT_LIFE").unwrap());
    // SAFETY: touches no memory; the default action ends us.
    unsafe { libc::alarm(life) };
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
    print!(".");
    std::io::Write::flush(&mut std::io::stdout()).unwrap();
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
