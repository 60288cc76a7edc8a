//! What the innocents work with: their scripts, a Python, a crate, wheels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::e2e::case::Case;
use crate::e2e::daemon::become_user;
use crate::e2e::launch::Order;
use crate::e2e::stage::{User, give, open_to_all};
use crate::incidents;

/// What they run, as files.
const SCRIPTS: [(&str, &str); 16] = [
    ("again.sh", include_str!("work/again.sh")),
    ("beside.sh", include_str!("work/beside.sh")),
    ("brood.py", include_str!("work/brood.py")),
    ("compile.sh", include_str!("work/compile.sh")),
    ("daemon.py", include_str!("work/daemon.py")),
    ("find.sh", include_str!("work/find.sh")),
    ("hog.py", include_str!("work/hog.py")),
    ("import.py", include_str!("work/import.py")),
    ("install.sh", include_str!("work/install.sh")),
    ("mcp-launcher.sh", include_str!("work/mcp-launcher.sh")),
    ("pipeline.sh", include_str!("work/pipeline.sh")),
    ("pool.py", include_str!("work/pool.py")),
    ("shift.sh", include_str!("work/shift.sh")),
    ("terminal.py", include_str!("work/terminal.py")),
    ("test_spin.py", include_str!("../incidents/test_spin.py")),
    ("wheels.py", include_str!("work/wheels.py")),
];

/// pytest and what it needs.
const WHEELS: [&str; 5] = ["pytest", "pluggy", "iniconfig", "packaging", "pygments"];

/// A crate that depends on others.
const MANIFEST: &str = include_str!("work/crate.toml");
const MAIN: &str = include_str!("work/crate.rs");

/// Where they work, and for how long at most.
pub(super) struct Ground {
    work: PathBuf,
    python: PathBuf,
    user: User,
    life: Duration,
}

impl Ground {
    /// Lays everything out for this user.
    pub(super) fn lay(case: &Case, user: User, life: Duration) -> Self {
        let work = case.path("work");
        fs::create_dir(&work).unwrap();
        give(&work, user);
        for (name, text) in SCRIPTS {
            let script = work.join(name);
            fs::write(&script, text).unwrap();
            open_to_all(&script);
        }
        let python = incidents::python(user);
        let ground = Self {
            work,
            python,
            user,
            life,
        };
        ground.pack_wheels();
        ground
    }

    /// The folder.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// The interpreter.
    pub(super) fn python(&self) -> &Path {
        &self.python
    }

    /// Something in the folder, as a word of a command line.
    pub(super) fn file(&self, name: &str) -> String {
        text(&self.work.join(name))
    }

    /// A command line of Python's.
    pub(super) fn python_words(&self, script: &str) -> Vec<String> {
        vec![text(&self.python), self.file(script)]
    }

    /// A command line of bash's.
    pub(super) fn bash_words(&self, script: &str) -> Vec<String> {
        vec!["bash".to_owned(), self.file(script)]
    }

    /// How many seconds anybody lives.
    pub(super) fn seconds(&self) -> String {
        self.life.as_secs().to_string()
    }

    /// An order for a command line.
    pub(super) fn order(&self, words: &[String]) -> Order {
        let (program, rest) = words.split_first().unwrap();
        let rest: Vec<_> = rest.iter().map(String::as_str).collect();
        // Where the villain's program is run under another name, it does nothing.
        Order::command(Path::new(program), &rest)
            .life(self.life)
            .folder(&self.work)
            .variable("BEADLE_VILLAIN", "canary")
    }

    /// Whether this command can do its work here at all.
    pub(super) fn can(&self, words: &[&str]) -> bool {
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .current_dir(&self.work)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        become_user(&mut command, self.user);
        command.status().is_ok_and(|status| status.success())
    }

    /// A folder with a crate that depends on others, with the versions that our own lock file has.
    pub(super) fn lay_crate(&self) -> PathBuf {
        let folder = self.made("crate");
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
        fs::create_dir(folder.join("src")).unwrap();
        fs::copy(lock, folder.join("Cargo.lock")).unwrap();
        fs::write(folder.join("Cargo.toml"), MANIFEST).unwrap();
        fs::write(folder.join("src/main.rs"), MAIN).unwrap();
        folder
    }

    /// A page to render.
    pub(super) fn lay_page(&self) -> String {
        let row = "<tr><td style='transform: rotate(7deg)'>innocent</td></tr>";
        let page = format!(
            "<html><body><table>{}</table></body></html>",
            row.repeat(2000)
        );
        fs::write(self.work.join("page.html"), page).unwrap();
        format!("file://{}", self.file("page.html"))
    }

    /// A folder with wheels of what pytest is made of, out of what is installed.
    fn pack_wheels(&self) {
        let folder = self.made("wheels");
        let mut pack = Command::new(&self.python);
        pack.arg(self.file("wheels.py")).arg(&folder).args(WHEELS);
        assert!(pack.status().unwrap().success(), "no wheels");
    }

    fn made(&self, name: &str) -> PathBuf {
        let folder = self.work.join(name);
        fs::create_dir(&folder).unwrap();
        give(&folder, self.user);
        folder
    }
}

/// A path as a word.
pub(super) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
