//! The street: who works in it, and at what.

use std::path::PathBuf;
use std::time::Instant;

use super::ground::{Ground, text};
use super::innocent::{EDITOR, Innocent, Known};
use super::neighbors::{Neighbors, Place, number};
use crate::e2e::case::Case;
use crate::e2e::launch::Started;
use crate::e2e::report::cannot_show;
use crate::e2e::wait::wait_until;

/// How long whoever leaves a `nohup` behind stays: longer than somebody who merely hands over.
const SHIFT: u32 = 33;

/// All of them.
pub(super) struct Street(Vec<Innocent>);

impl Street {
    /// Sets everybody to work, with these neighbors.
    pub(super) fn fill(case: &mut Case, ground: &Ground, neighbors: &Neighbors) -> Self {
        let mut settling = Settling {
            case,
            ground,
            neighbors,
            settled: Vec::new(),
        };
        // First whoever is waited for, while the machine has time for them.
        settling.leavers();
        settling.people();
        settling.importers();
        settling.builders();
        Self(settling.settled)
    }

    /// Each of them.
    pub(super) fn innocents(&self) -> impl Iterator<Item = &Innocent> {
        self.0.iter()
    }

    /// Those that a built-in rule judges.
    pub(super) fn known_to_built_in_rules(&self) -> impl Iterator<Item = &Innocent> {
        self.innocents().filter(|one| one.known == Known::Judged)
    }

    /// Whether everybody whose work has rounds has finished one.
    pub(super) fn has_worked(&self) -> bool {
        let rounds = self.innocents().filter_map(Innocent::rounds);
        rounds
            .into_iter()
            .all(|rounds| rounds.good + rounds.failed > 0)
    }
}

/// The street while it is filled.
struct Settling<'a> {
    case: &'a mut Case,
    ground: &'a Ground,
    neighbors: &'a Neighbors,
    settled: Vec<Innocent>,
}

impl Settling<'_> {
    /// A compiler, a package installer.
    fn builders(&mut self) {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        if self.ground.can(&[&cargo, "--version"]) {
            let folder = self.ground.lay_crate();
            let words = self.again("compile", &self.ground.bash_words("compile.sh"));
            let mut order = self.ground.order(&words).folder(&folder);
            for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
                if let Ok(value) = std::env::var(name) {
                    order = order.variable(name, &value);
                }
            }
            let who = self.case.start(order.variable("CARGO", &cargo));
            self.settle("a parallel compile", vec![who], Some("compile"));
        } else {
            let why = "the toolchain is in a home that this user may not enter";
            cannot_show("a parallel compile by an innocent user", why);
        }
        let mut install = self.ground.bash_words("install.sh");
        let python = text(self.ground.python());
        install.extend([
            python,
            self.ground.file("wheels"),
            self.ground.file("fresh"),
        ]);
        let words = self.again("install", &install);
        self.works("pip install pytest", &words, "install");
        self.browser();
    }

    fn browser(&mut self) {
        let page = self.ground.lay_page();
        let profile = format!("--user-data-dir={}", self.ground.file("profile"));
        let browsers = ["chromium", "chromium-browser", "google-chrome"];
        let options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            // It is to talk to nobody.
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            &profile,
            "--dump-dom",
            &page,
        ];
        // Under the bounds that everybody has here, not every browser works.
        let bounds = ["prlimit", "--data=4294967296", "timeout", "20"];
        let words = browsers.map(|browser| [&[browser][..], &options].concat());
        let works = |words: &&Vec<&str>| self.ground.can(&[&bounds[..], words].concat());
        let Some(words) = words.iter().find(works) else {
            let why = "no chromium here that renders within 4 GiB of private memory";
            return cannot_show("a browser that renders", why);
        };
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let words = self.again("browser", &words);
        self.works("a browser that renders", &words, "browser");
    }

    /// Who reads, who computes, who writes.
    fn importers(&mut self) {
        let find = self.again("find", &self.ground.bash_words("find.sh"));
        self.works("find /usr", &self.beside(Place::Find, find), "find");
        let mut import = self.ground.python_words("import.py");
        import.push(self.ground.file("database"));
        let import = self.again("import", &import);
        let import = self.beside(Place::Import, import);
        self.works("a SQLite import", &import, "import");
        let mut pool = self.ground.python_words("pool.py");
        pool.extend([self.ground.seconds(), self.note("pool")]);
        let pool = self.beside(Place::Pool, pool);
        self.works("a pool with 20 workers", &pool, "pool");
    }

    /// Who leaves, and whom they leave behind.
    fn leavers(&mut self) {
        let kept = text(&self.case.program("mcp-kept"));
        let mut shift = self.ground.bash_words("shift.sh");
        shift.extend([SHIFT.to_string(), self.number("kept"), kept]);
        let here = self.neighbors.at(Place::Shift);
        shift.extend(here.into_iter().map(str::to_owned));
        self.leaves("nohup", &shift, "kept", Known::Judged);

        let backup = text(&self.case.program("backup"));
        let mut disown = self.ground.python_words("terminal.py");
        disown.extend([self.ground.seconds(), self.number("disowned")]);
        disown.extend(["leave".to_owned(), backup]);
        self.leaves("disown", &disown, "disowned", Known::Unheard);

        let mut daemon = self.ground.python_words("daemon.py");
        daemon.extend([self.ground.seconds(), self.number("daemon")]);
        self.leaves("a double-forked daemon", &daemon, "daemon", Known::Judged);

        let launched = text(&self.case.program("mcp-launched"));
        let mut launcher = self.ground.bash_words("mcp-launcher.sh");
        launcher.extend([self.number("launched"), launched]);
        // What it is judged as depends on whether anybody saw the launcher.
        self.leaves(
            "a launcher that exits at once",
            &launcher,
            "launched",
            Known::Unheard,
        );
    }

    /// A person's terminal, and a pipeline.
    fn people(&mut self) {
        let mut pipeline = self.ground.bash_words("pipeline.sh");
        pipeline.extend([self.ground.seconds(), self.note("pipeline")]);
        let writers = self.neighbors.at(Place::Pipeline);
        pipeline.extend(writers.into_iter().map(str::to_owned));
        let writer = self.case.start(self.ground.order(&pipeline));
        let reader = self.told("pipeline.note.reader");
        self.settle("a pipeline", vec![writer, reader], Some("pipeline"));

        let editors = ["vi", "nano", "ed"];
        let there = |editor: &&&str| {
            self.ground
                .can(&["sh", "-c", &format!("command -v {editor}")])
        };
        let editor = editors.iter().find(there).unwrap_or_else(|| {
            let why = "neither vi nor nano nor ed is here: cat stands in for them";
            cannot_show(EDITOR, why);
            &"cat"
        });
        let mut stop = self.ground.python_words("terminal.py");
        stop.extend([
            self.ground.seconds(),
            self.number("terminal"),
            "stop".to_owned(),
        ]);
        stop.push(format!("{editor} draft.txt"));
        let here = self.neighbors.at(Place::Terminal);
        stop.extend(here.into_iter().map(str::to_owned));
        let terminal = self.case.start(self.ground.order(&stop));
        let [shell, editor] =
            ["shell", "editor"].map(|who| self.told(&format!("terminal.number.{who}")));
        wait_until("the editor to be stopped", || editor.stopped());
        self.settle(EDITOR, vec![terminal, shell, editor], None);
    }

    /// Words that do these words again and again.
    fn again(&self, note: &str, words: &[String]) -> Vec<String> {
        let mut again = self.ground.bash_words("again.sh");
        again.extend([self.ground.seconds(), self.note(note)]);
        again.extend_from_slice(words);
        again
    }

    /// Words that become these words, with an offender for a child.
    fn beside(&self, place: Place, words: Vec<String>) -> Vec<String> {
        let Some(neighbor) = self.neighbors.at(place).first().copied() else {
            return words;
        };
        let mut beside = self.ground.bash_words("beside.sh");
        beside.push(neighbor.to_owned());
        beside.extend(words);
        beside
    }

    /// Somebody who works and stays.
    fn works(&mut self, name: &'static str, words: &[String], note: &str) {
        let who = self.case.start(self.ground.order(words));
        self.settle(name, vec![who], Some(note));
    }

    /// Somebody who leaves another behind, and tells the number.
    fn leaves(&mut self, name: &'static str, words: &[String], left: &str, known: Known) {
        self.case.pass(self.ground.order(words));
        let left = self.told(&number(left));
        self.settle(name, vec![left], None);
        self.settled.last_mut().unwrap().known = known;
    }

    fn settle(&mut self, name: &'static str, who: Vec<Started>, note: Option<&str>) {
        self.settled.push(Innocent {
            name,
            since: Instant::now(),
            who,
            note: note.map(|note| PathBuf::from(self.note(note))),
            known: Known::Unheard,
        });
    }

    /// Whose number this file holds, now or soon.
    fn told(&self, file: &str) -> Started {
        wait_until(file, || self.case.path(file).exists());
        Started::hold(self.case.number_in(file))
    }

    fn number(&self, name: &str) -> String {
        text(&self.case.path(&number(name)))
    }

    fn note(&self, name: &str) -> String {
        text(&self.case.path(&format!("{name}.note")))
    }
}
