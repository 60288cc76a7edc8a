//! What forks: storms, and the build of a crate.

use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::bench::helper::{self, Helper};
use crate::bench::meter;
use crate::ear::Told;

/// What whoever forks is called.
pub(crate) const PROGRAM: &str = "beadle-forks-storm";

/// The crate that the innocents build, and how they do it.
const MANIFEST: &str = include_str!("../innocents/work/crate.toml");
const MAIN: &str = include_str!("../innocents/work/crate.rs");
const COMPILE: &str = include_str!("../innocents/work/compile.sh");

/// Something that forks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// So many parents, who share the forks.
    Storm { parents: u32 },
    /// Compilers.
    Build,
}

/// A load that can be played again and again.
pub(crate) struct Stage {
    pub(crate) load: Load,
    /// Forks of one go; of a build they are counted.
    pub(crate) forks: u32,
    /// What the kernel tells of one go, if it does.
    pub(crate) told: Option<Told>,
    role: String,
    life: Duration,
    /// Where the crate lies.
    _folder: TempDir,
}

/// Whoever plays it.
pub(crate) struct Player {
    load: Load,
    forks: u32,
    helper: Helper,
}

/// What one go took.
#[derive(Clone, Copy)]
pub(crate) struct Go {
    /// By the forking side's clock.
    pub(crate) wall: Duration,
    /// Used by the forking side and all it has waited for.
    pub(crate) cpu: Duration,
    /// Processes and threads that the whole machine made meanwhile.
    pub(crate) made: u32,
}

impl Stage {
    /// Makes all ready. Whoever forks lives so long at most.
    pub(crate) fn set(load: Load, forks: u32, life: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let role = match load {
            Load::Storm { parents } => format!("storm {parents} {forks}"),
            Load::Build => {
                lay_crate(folder.path());
                format!("build {}", folder.path().display())
            }
        };
        Self {
            load,
            forks,
            told: None,
            role,
            life,
            _folder: folder,
        }
    }

    /// In words.
    pub(crate) fn title(&self) -> String {
        match self.load {
            Load::Storm { parents: 1 } => format!("{} forks by one parent", self.forks),
            Load::Storm { parents } => format!("{} forks by {parents} parents", self.forks),
            Load::Build => "the build of a crate, four compilers at a time".to_owned(),
        }
    }

    /// Starts whoever plays it.
    pub(crate) fn start(&self) -> Player {
        Player {
            load: self.load,
            forks: self.forks,
            helper: Helper::start(PROGRAM, &self.role, self.life),
        }
    }
}

impl Player {
    /// Who forks.
    pub(crate) fn pid(&self) -> u32 {
        self.helper.child.id()
    }

    /// Plays it once.
    pub(crate) fn go(&mut self) -> Go {
        let before = meter::forks();
        let input = self.helper.child.stdin.as_mut().unwrap();
        input.write_all(b"go\n").unwrap();
        let mut line = String::new();
        self.helper.said.read_line(&mut line).unwrap();
        let made = u32::try_from(meter::forks() - before).unwrap();
        let mut spans = line.split_whitespace().map(|nanos| {
            let nanos = nanos.parse().expect("two spans");
            Duration::from_nanos(nanos)
        });
        let go = Go {
            wall: spans.next().expect("the load failed"),
            cpu: spans.next().expect("the load failed"),
            made,
        };
        if let Load::Storm { .. } = self.load {
            assert!(made >= self.forks, "{made} of {}", self.forks);
        }
        go
    }
}

/// Lays out the crate that is built.
fn lay_crate(folder: &Path) {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    fs::create_dir(folder.join("src")).unwrap();
    fs::copy(lock, folder.join("Cargo.lock")).unwrap();
    fs::write(folder.join("Cargo.toml"), MANIFEST).unwrap();
    fs::write(folder.join("src/main.rs"), MAIN).unwrap();
    fs::write(folder.join("compile.sh"), COMPILE).unwrap();
}

/// Plays its part, in a process of its own, whenever it is told to.
pub(crate) fn play(role: &str) {
    let words: Vec<&str> = role.split(' ').collect();
    helper::ready();
    for line in std::io::stdin().lines() {
        line.unwrap();
        let (began, before) = (Instant::now(), used());
        match words.as_slice() {
            ["storm", parents, forks] => {
                storm(parents.parse().unwrap(), forks.parse().unwrap());
            }
            ["build", folder] => build(Path::new(folder)),
            _ => panic!("no such part: {role}"),
        }
        let (wall, cpu) = (began.elapsed(), used().saturating_sub(before));
        println!("{} {}", wall.as_nanos(), cpu.as_nanos());
        std::io::stdout().flush().unwrap();
    }
}

fn storm(parents: u32, forks: u32) {
    if parents == 1 {
        return (0..forks).for_each(|_| await_child(fork(|| ())));
    }
    let share = |place: u32| forks / parents + u32::from(place < forks % parents);
    let children: Vec<i32> = (0..parents)
        .map(|place| fork(|| (0..share(place)).for_each(|_| await_child(fork(|| ())))))
        .collect();
    children.into_iter().for_each(await_child);
}

/// Forks; the child does this and exits.
fn fork(work: impl FnOnce()) -> i32 {
    // SAFETY: one thread; the child does nothing that another could be in the midst of.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        work();
        // SAFETY: ends this process.
        unsafe { libc::_exit(0) };
    }
    pid
}

fn await_child(pid: i32) {
    let mut status = -1;
    // SAFETY: writes to a place of ours.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "a child failed");
}

fn build(folder: &Path) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new("bash");
    command
        .arg("compile.sh")
        .current_dir(folder)
        .env_clear()
        .env("CARGO", cargo)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    for name in [
        "PATH",
        "HOME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
    ] {
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    assert!(command.status().unwrap().success(), "the build failed");
}

/// CPU time of ours and of all children that were waited for.
fn used() -> Duration {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .into_iter()
        .map(|whose| {
            let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
            // SAFETY: fills a place of ours, all of it.
            let usage = unsafe {
                assert_eq!(libc::getrusage(whose, usage.as_mut_ptr()), 0);
                usage.assume_init()
            };
            [usage.ru_utime, usage.ru_stime]
                .into_iter()
                .map(|time| {
                    Duration::from_secs(time.tv_sec.unsigned_abs())
                        + Duration::from_micros(time.tv_usec.unsigned_abs())
                })
                .sum::<Duration>()
        })
        .sum()
}
