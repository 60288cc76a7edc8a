//! What came of it, in words.

use std::time::Duration;

use crate::bench::meter::middle;
use crate::load::{Go, Load, Stage};
use crate::watch::Watch;

/// One go of one load under one watch.
#[derive(Clone, Copy)]
pub(crate) struct Take {
    pub(crate) round: usize,
    pub(crate) watch: Watch,
    /// Which load.
    pub(crate) place: usize,
    pub(crate) go: Go,
    /// What the daemon used.
    pub(crate) ours: Duration,
    /// How often it lost events.
    pub(crate) gaps: u64,
}

impl Take {
    /// Of a go that nobody watched.
    pub(crate) const fn of(watch: Watch, place: usize, go: Go) -> Self {
        Self {
            round: 0,
            watch,
            place,
            go,
            ours: Duration::ZERO,
            gaps: 0,
        }
    }
}

/// Takes of one load.
struct Sheet<'a> {
    takes: Vec<&'a Take>,
    /// Forks of one go.
    forks: f64,
    /// What wall and CPU time of one go are told by: of a storm microseconds a fork of one parent, of a build milliseconds.
    wall: f64,
    cpu: f64,
}

/// Tells of one load.
pub(crate) fn tell(stage: &Stage, place: usize, watches: &[Watch], takes: &[Take]) {
    let takes: Vec<&Take> = takes.iter().filter(|take| take.place == place).collect();
    let made = || middle(takes.iter().map(|take| f64::from(take.go.made)));
    let forks = match (stage.load, stage.told) {
        (Load::Storm { .. }, _) => f64::from(stage.forks),
        (Load::Build, Some(told)) => f64::from(told.forks),
        // Threads are counted too.
        (Load::Build, None) => made(),
    };
    let (wall, cpu, unit) = match stage.load {
        Load::Storm { parents } => (
            1e6 * f64::from(parents) / forks,
            1e6 / forks,
            "µs a fork; ours too",
        ),
        Load::Build => (1e3, 1e3, "ms; ours µs a fork"),
    };
    let sheet = Sheet {
        takes,
        forks,
        wall,
        cpu,
    };
    let wall = middle(
        sheet
            .of(Watch::Nobody)
            .map(|take| take.go.wall.as_secs_f64()),
    );
    println!();
    print!(
        "{}: {forks} forks in {wall:.2} s without a daemon",
        stage.title()
    );
    match stage.told {
        Some(told) => println!(", {} events", told.events),
        None => println!(),
    }
    println!(
        "{:<26} {:>8} {:>26} {:>8} {:>26} {:>8} {:>9} {:>5}",
        unit, "wall", "more", "CPU", "more", "ours", "events/s", "gaps"
    );
    for watch in watches {
        sheet.row(*watch, stage);
    }
}

impl Sheet<'_> {
    fn of(&self, watch: Watch) -> impl Iterator<Item = &Take> {
        let takes = self.takes.iter().copied();
        takes.filter(move |take| take.watch == watch)
    }

    fn row(&self, watch: Watch, stage: &Stage) {
        let wall = |take: &Take| take.go.wall.as_secs_f64() * self.wall;
        let cpu = |take: &Take| take.go.cpu.as_secs_f64() * self.cpu;
        let gaps: u64 = self.of(watch).map(|take| take.gaps).sum();
        let (ours, pace) = match (watch, stage.told) {
            (Watch::Nobody, _) => (String::new(), String::new()),
            (_, told) => {
                let ours = middle(
                    self.of(watch)
                        .map(|take| take.ours.as_secs_f64() * 1e6 / self.forks),
                );
                let pace = told.map_or_else(String::new, |told| {
                    let a_second =
                        |take: &Take| f64::from(told.events) / take.go.wall.as_secs_f64();
                    format!("{:.0}", middle(self.of(watch).map(a_second)))
                });
                (format!("{ours:.2}"), pace)
            }
        };
        println!(
            "{:<26} {:>8.2} {:>26} {:>8.2} {:>26} {ours:>8} {pace:>9} {gaps:>5}",
            watch.title(),
            middle(self.of(watch).map(wall)),
            self.more(watch, wall),
            middle(self.of(watch).map(cpu)),
            self.more(watch, cpu),
        );
    }

    /// How much more that is than in the same round without a daemon: the one in the middle, the least and the most.
    fn more(&self, watch: Watch, figure: impl Fn(&Take) -> f64) -> String {
        if watch == Watch::Nobody {
            return String::new();
        }
        let more: Vec<f64> = self
            .of(watch)
            .filter_map(|take| {
                let mut without = self.of(Watch::Nobody);
                let without = without.find(|other| other.round == take.round)?;
                Some(figure(take) - figure(without))
            })
            .collect();
        let least = more.iter().copied().fold(f64::INFINITY, f64::min);
        let most = more.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let of_more = middle(more.into_iter());
        format!("{of_more:+.2} ({least:+.2} to {most:+.2})")
    }
}
