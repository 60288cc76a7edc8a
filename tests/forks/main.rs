//! `cargo bench --bench forks`: what a fork costs those who fork, and us, where beadle hears of it.
//!
//! ```text
//! cargo bench --bench forks                                 about 10 minutes
//! cargo bench --bench forks -- --forks 5000 --rounds 3 --no-build
//! ```
//! The loads are a storm by one parent and one by as many parents as there are processors (each forks, the child exits,
//! the parent waits), and the build of a real crate with all it depends on. Each is played under every watch in turn, so
//! many rounds, and each round begins with another watch: what the machine does besides falls on all of them alike. All
//! differences are to the same round without a daemon; printed is the one in the middle, and the least and the most.
//!
//! - *wall*: from the first fork to the last wait, by the forking side's own clock: of each parent's for each of its own.
//! - *CPU*: what the forking side and all children it has waited for have used, by `getrusage`.
//! - *ours*: what the daemon has used by half a second after the end of the load, by its CPU clock.
//! - *events*: how many the kernel told, counted by a listener in a round of its own.
//! - *gaps*: how often the daemon lost some, by its own word.
//!
//! Nothing is asserted of these. What is: that the daemon was in the tier that is said, that it judged the load where that
//! is said, and from the records of the dead where that is said, and that the machine made so many forks.
//!
//! The daemon runs in mode `observe`: it signals nothing. All that forks is this program's own, is bounded, and ends with
//! it, at the latest when its time is up. Where the kernel tells nothing of forks (it does in the first pid namespace
//! only, and before Linux 6.6 to root only) the event tier cannot be shown; that is said, and why.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool for developers, not part of beadle"
)]

#[path = "../bench/mod.rs"]
mod bench;
mod ear;
mod load;
mod table;
mod watch;

use std::time::{Duration, Instant};

use bench::helper;
use ear::Told;
use load::{Load, Stage};
use table::Take;
use watch::Watch;

fn main() {
    match helper::role() {
        Some((role, _)) => load::play(&role),
        None => measure(&Plan::read()),
    }
}

/// What to measure.
struct Plan {
    forks: u32,
    rounds: usize,
    build: Build,
    /// No round begins after this.
    longest: Duration,
}

/// Whether the build is among the loads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Build {
    Played,
    LeftOut,
}

impl Plan {
    fn read() -> Self {
        let mut plan = Self {
            forks: 20_000,
            rounds: 5,
            build: Build::Played,
            longest: Duration::from_secs(15 * 60),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| usage());
            match word.as_str() {
                "--forks" => plan.forks = number::<u32>(&value()).clamp(1000, 200_000),
                "--rounds" => plan.rounds = number(&value()),
                "--minutes" => plan.longest = Duration::from_secs(60 * number::<u64>(&value())),
                "--no-build" => plan.build = Build::LeftOut,
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
    panic!("usage: forks [--forks N] [--rounds N] [--minutes N] [--no-build]")
}

fn measure(plan: &Plan) {
    let began = Instant::now();
    let load_average = std::fs::read_to_string("/proc/loadavg").unwrap();
    let calm: Vec<&str> = load_average.split(' ').take(3).collect();
    let cores = std::thread::available_parallelism().unwrap().get();
    println!("{cores} processors; load average {} before", calm.join(" "));
    // A round in which somebody hangs ends soon after the last could have begun.
    let life = plan.longest + Duration::from_secs(300);
    let mut loads = vec![Load::Storm { parents: 1 }];
    let crowd = u32::try_from(cores).unwrap();
    if crowd > 1 {
        loads.push(Load::Storm { parents: crowd });
    }
    if plan.build == Build::Played {
        loads.push(Load::Build);
    }
    let mut stages: Vec<Stage> = loads
        .into_iter()
        .map(|load| Stage::set(load, plan.forks, life))
        .collect();
    let told: Result<Vec<Told>, _> = stages.iter().map(Told::of).collect();
    let watches = match told {
        Ok(told) => {
            for (stage, told) in stages.iter_mut().zip(told) {
                stage.told = Some(told);
            }
            Watch::ALL.to_vec()
        }
        Err(why) => {
            println!("NOT SHOWN HERE: the event tier: {why}");
            Watch::DEAF.to_vec()
        }
    };
    let mut takes: Vec<Take> = Vec::new();
    let mut rounds = 0;
    while rounds < plan.rounds.max(1) && began.elapsed() < plan.longest {
        for place in 0..watches.len() {
            let watch = watches[(place + rounds) % watches.len()];
            for take in watch.play(&stages) {
                takes.push(Take {
                    round: rounds,
                    ..take
                });
            }
        }
        rounds += 1;
    }
    println!("{rounds} rounds in {} s", began.elapsed().as_secs());
    for (place, stage) in stages.iter().enumerate() {
        table::tell(stage, place, &watches, &takes);
    }
}
