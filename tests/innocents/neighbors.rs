//! Real offenders, next door to the innocents: in their sessions, process groups and pipelines, started by the same
//! starters, and as their own children.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::e2e::case::Case;
use crate::e2e::daemon::Daemon;
use crate::e2e::launch::Started;
use crate::e2e::stage::open_to_all;
use crate::e2e::wait::wait_for;

/// Beside whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the pipe that somebody else reads.
    Pipeline,
    /// In the terminal with the stopped editor.
    Terminal,
    /// A child of who walks through /usr.
    Find,
    /// A child of who feeds the pool.
    Pool,
    /// A child of who imports.
    Import,
    /// Left behind by who left a `nohup` behind.
    Shift,
}

/// Longest until an offender is gone: one is judged only when its starter, half a minute old, has been away for a while.
const PATIENCE: Duration = Duration::from_secs(75);

/// An offender.
pub(super) struct Neighbor {
    place: Place,
    script: PathBuf,
    name: &'static str,
    /// The signal that it takes to end it.
    signal: &'static str,
}

/// The offenders of a street, if there are any. They are no offenders yet when they move in: see [`Neighbors::end`].
pub(super) struct Neighbors {
    all: Vec<Neighbor>,
    go: PathBuf,
}

impl Neighbors {
    /// Nobody.
    pub(super) fn none() -> Self {
        Self {
            all: Vec::new(),
            go: PathBuf::new(),
        }
    }

    /// One for each place, two for some. Their scripts go to `work`.
    pub(super) fn of(case: &Case, work: &Path, python: &Path) -> Self {
        let go = work.join("go.now");
        let python = python.to_str().unwrap();
        let browser = work.join("chromium");
        fs::hard_link(case.program("double"), &browser).unwrap();
        let (orphan, browser) = (case.program("mcp-orphan"), browser.to_str().unwrap());
        let pytest = format!("{python} -m pytest -q -p no:cacheprovider test_spin.py");
        let offenders = [
            (Place::Pipeline, "pytest-in-pipe", "TERM", pytest.clone()),
            (Place::Terminal, "pytest-in-terminal", "TERM", pytest),
            (
                Place::Find,
                "shell",
                "TERM",
                "sh -c 'while :; do :; done'".to_owned(),
            ),
            (Place::Pool, "brood", "TERM", format!("{python} brood.py")),
            (Place::Import, "hog", "TERM", format!("{python} hog.py")),
            (
                Place::Shift,
                "browser",
                "KILL",
                format!("env BEADLE_VILLAIN=ignore BEADLE_BURN=20000 {browser}"),
            ),
            (
                Place::Shift,
                "orphan",
                "TERM",
                orphan.to_str().unwrap().to_owned(),
            ),
        ];
        let make = |(place, name, signal, command): (Place, _, _, String)| {
            let script = work.join(format!("become-{name}.sh"));
            let number = case.path(&number(name));
            // The limit ends those who spin if nobody else does; so many tenths of a second are half a minute.
            let text = format!(
                "#!/bin/sh
ulimit -t 30
printf %s $$ >{}
for tenth in $(seq 300); do
    [ -e {} ] && exec {command}
    sleep 0.1
done
",
                number.display(),
                go.display(),
            );
            fs::write(&script, text).unwrap();
            open_to_all(&script);
            Neighbor {
                place,
                script,
                name,
                signal,
            }
        };
        Self {
            all: offenders.map(make).into(),
            go: go.clone(),
        }
    }

    /// The programs to start beside an innocent.
    pub(super) fn at(&self, place: Place) -> Vec<&str> {
        let here = self.all.iter().filter(|one| one.place == place);
        here.map(|one| one.script.to_str().unwrap()).collect()
    }

    /// Lets them loose and waits until all are gone, each by the signal that it takes to end it; their numbers.
    pub(super) fn end(&self, case: &Case, daemon: &Daemon) -> Vec<u32> {
        let held = |one: &Neighbor| Started::hold(case.number_in(&number(one.name)));
        let all: Vec<_> = self.all.iter().map(|one| (one, held(one))).collect();
        fs::write(&self.go, "").unwrap();
        for (neighbor, process) in &all {
            let what = format!("the end of {} ({})", neighbor.name, process.pid);
            let gone = wait_for(&what, PATIENCE, || (!process.lives()).then_some(()));
            gone.unwrap_or_else(|vain| panic!("{vain}:\n{}", daemon.log.text()));
            // It is logged a moment after the deed.
            let _said = daemon.log.signal(process.pid, neighbor.signal);
        }
        all.iter().map(|(_, process)| process.pid).collect()
    }
}

/// The file that somebody's number is in. With a dot in its name it is no rule file, whatever folder it is in.
pub(super) fn number(name: &str) -> String {
    format!("{name}.number")
}
