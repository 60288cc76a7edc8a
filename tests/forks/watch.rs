//! Who watches.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::daemon::{self, Daemon};
use crate::bench::meter;
use crate::load::{PROGRAM, Player, Stage};
use crate::table::Take;

/// Facts of all processes are read once, at the start: that is not what is measured.
const SETTLING: Duration = Duration::from_millis(2500);
/// What was heard last is told, and applied, by then.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// By then whoever is to be judged is.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who watches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    Nobody,
    Scan,
    ScanJudged,
    Events,
    EventsJudged,
    Records,
}

impl Watch {
    pub(crate) const ALL: [Self; 6] = [
        Self::Nobody,
        Self::Scan,
        Self::ScanJudged,
        Self::Events,
        Self::EventsJudged,
        Self::Records,
    ];

    /// Those that need no events.
    pub(crate) const DEAF: [Self; 3] = [Self::Nobody, Self::Scan, Self::ScanJudged];

    /// In words.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Nobody => "no daemon",
            Self::Scan => "scan tier",
            Self::ScanJudged => "scan tier, load judged",
            Self::Events => "event tier",
            Self::EventsJudged => "event tier, load judged",
            Self::Records => "the same, with taskstats",
        }
    }

    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Nobody | Self::Events => &[],
            Self::Scan | Self::ScanJudged => &["--tier", "scan", "--accounting", "proc"],
            Self::EventsJudged => &["--accounting", "proc"],
            Self::Records => &["--accounting", "taskstats"],
        }
    }

    /// The tier that it says it is in.
    const fn tier(self) -> &'static str {
        match self {
            Self::Nobody => "",
            Self::Scan | Self::ScanJudged => "scan",
            Self::Events | Self::EventsJudged | Self::Records => "events",
        }
    }

    /// Where figures of CPU time come from, where the load is judged.
    const fn source(self) -> Option<&'static str> {
        match self {
            Self::Nobody | Self::Scan | Self::Events => None,
            Self::ScanJudged => Some("scan"),
            Self::EventsJudged => Some("events"),
            Self::Records => Some("taskstats"),
        }
    }

    /// Plays every load once under this watch.
    pub(crate) fn play(self, stages: &[Stage]) -> Vec<Take> {
        let folder = tempfile::tempdir().unwrap();
        let daemon = (self != Self::Nobody).then(|| {
            let daemon = Daemon::watch(folder.path(), &self.rule(), self.options());
            assert_eq!(daemon.start["tier"], self.tier(), "{}", daemon.start);
            daemon
        });
        // After it has met everybody: only of who began beside it does it know all the dead.
        std::thread::sleep(SETTLING);
        let players: Vec<Player> = stages.iter().map(Stage::start).collect();
        std::thread::sleep(SETTLING);
        let take = |(place, mut player): (usize, Player)| {
            let Some(daemon) = &daemon else {
                let go = player.go();
                std::thread::sleep(AFTERWARDS);
                return Take::of(self, place, go);
            };
            self.settles(folder.path(), &player);
            let (used, gaps) = (meter::cpu(daemon.pid()).unwrap(), gaps(folder.path()));
            let go = player.go();
            std::thread::sleep(AFTERWARDS);
            let take = Take {
                ours: meter::cpu(daemon.pid()).unwrap().saturating_sub(used),
                gaps: self::gaps(folder.path()) - gaps,
                ..Take::of(self, place, go)
            };
            self.accounts(folder.path(), &player);
            take
        };
        players.into_iter().enumerate().map(take).collect()
    }

    fn rule(self) -> String {
        let program = match self.source() {
            Some(_) => PROGRAM,
            None => "no-such-program",
        };
        format!(
            "  - name: storm
    match: {{ exe: {program} }}
    limits: {{ cpu_time: 1000h, processes: 1000000 }}
    ladder: [ nudge ]
"
        )
    }

    /// Waits until the load is judged where it should be, and is not where not.
    fn settles(self, folder: &Path, player: &Player) {
        let judged = |source: &Option<String>| source.is_some() == self.source().is_some();
        await_source(folder, player, judged);
    }

    /// Waits until what the dead have used is known as it is said.
    fn accounts(self, folder: &Path, player: &Player) {
        await_source(folder, player, |source| source.as_deref() == self.source());
    }
}

/// Waits until CPU time of the load, if it is judged, is known from what is asked for.
fn await_source(folder: &Path, player: &Player, holds: impl Fn(&Option<String>) -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let why = ask(folder, &["why", &player.pid().to_string()]);
        let rules = why["rules"].as_array().into_iter().flatten();
        let of_ours: Vec<&Value> = rules.filter(|rule| rule["rule"] == "storm").collect();
        let readings = of_ours
            .iter()
            .filter_map(|rule| rule["readings"].as_array());
        let time = readings
            .flatten()
            .find(|reading| reading["metric"] == "cpu_time" && reading["at_least"].is_number());
        let source = time.and_then(|time| Some(time["tier"].as_str()?.to_owned()));
        if !of_ours.is_empty() && holds(&source) {
            return;
        }
        assert!(Instant::now() < until, "not judged as is said: {why}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// How often events were lost so far.
fn gaps(folder: &Path) -> u64 {
    ask(folder, &["status"])["gaps"].as_u64().unwrap()
}

/// Asks the daemon of this folder.
fn ask(folder: &Path, question: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_beadle"))
        .args(question)
        .arg("--json")
        .arg("--socket")
        .arg(daemon::socket(folder))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}
