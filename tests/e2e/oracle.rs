//! Ground truth: which processes of a villain live, whatever they did to hide, and without asking the daemon.
//!
//! As root a cgroup of its own tells (cgroup2 needs no controllers for that); else a mark in the environment does, which
//! a villain that overwrites its environment escapes.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::stage::root;
use super::villain::TRUTH;
use super::wait::wait_for;

/// Tells tests apart.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What knows who survived.
pub(crate) struct Oracle {
    mark: String,
    cgroup: Option<PathBuf>,
}

impl Oracle {
    /// A new one, that knows nobody yet.
    pub(crate) fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let mark = format!("beadle-e2e-{}-{number}", std::process::id());
        let cgroup = root().then(|| mount().join(&mark));
        if let Some(cgroup) = &cgroup {
            fs::create_dir(cgroup).unwrap();
        }
        Self { mark, cgroup }
    }

    /// The mark that villains carry in their environment.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// Takes somebody into the control group of the villain's.
    pub(crate) fn take_in(&self, pid: u32) {
        self.write("cgroup.procs", &pid.to_string());
    }

    /// Puts one of them out of it.
    pub(crate) fn put_out(&self, pid: u32) {
        self.write("../cgroup.procs", &pid.to_string());
    }

    /// Puts one of them into a group below it.
    pub(crate) fn put_below(&self, pid: u32) -> Below {
        let below = self.cgroup.as_ref().unwrap().join("below");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("cgroup.procs"), pid.to_string()).unwrap();
        Below(below)
    }

    /// Nobody in it moves any more.
    pub(crate) fn freeze(&self) {
        self.write("cgroup.freeze", "1");
    }

    fn write(&self, file: &str, text: &str) {
        let cgroup = self.cgroup.as_ref().expect("only root has control groups");
        fs::write(cgroup.join(file), text).unwrap();
    }

    /// A file of the control group.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        let cgroup = self.cgroup.as_ref().expect("only root has control groups");
        cgroup.join(file)
    }

    /// Where a villain writes itself in before it begins.
    pub(crate) fn door(&self) -> Option<File> {
        let procs = self.cgroup.as_ref()?.join("cgroup.procs");
        Some(OpenOptions::new().write(true).open(procs).unwrap())
    }

    /// Whether nobody lives.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.cgroup {
            // A comet is never in a list, and always in this.
            Some(cgroup) => fs::read_to_string(cgroup.join("cgroup.events"))
                .unwrap()
                .contains("populated 0"),
            None => self.living().is_empty(),
        }
    }

    /// Who lives: at least these, and at least one where it is not empty.
    pub(crate) fn living(&self) -> BTreeSet<u32> {
        let look = || match &self.cgroup {
            Some(cgroup) => fs::read_to_string(cgroup.join("cgroup.procs"))
                .unwrap()
                .lines()
                .filter_map(|line| line.parse().ok())
                .collect(),
            None => self.marked(),
        };
        let mut seen: BTreeSet<u32> = look();
        // Whoever is between two places in one look is seen in another.
        for _ in 0..3 {
            seen.extend(look());
        }
        seen.retain(|pid| alive(*pid));
        seen
    }

    /// How many survived, these not counted: by the list, and one if only the group as a whole says so.
    pub(crate) fn survivors(&self, spared: &BTreeSet<u32>) -> usize {
        if self.is_empty() {
            return 0;
        }
        let living = self.living();
        let hidden = usize::from(living.is_empty());
        living.difference(spared).count() + hidden
    }

    /// Whether somebody is one of them; `None` where that cannot be told, as of those who are gone.
    pub(crate) fn knows(&self, pid: u32) -> Option<bool> {
        if self.cgroup.is_none() {
            return self.is_marked(pid);
        }
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let ours = format!("/{}", self.mark);
        Some(groups.lines().any(|group| group.ends_with(&ours)))
    }

    /// CPU time used by all who ever were the villain's, by the kernel's own count.
    pub(crate) fn used(&self) -> Duration {
        let stat = self.cgroup.as_ref().unwrap().join("cpu.stat");
        let stat = fs::read_to_string(stat).unwrap();
        let micros = stat
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        Duration::from_micros(micros.unwrap().parse().unwrap())
    }

    fn marked(&self) -> BTreeSet<u32> {
        let numbers = fs::read_dir("/proc").unwrap().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let marked = |pid: &u32| self.is_marked(*pid).unwrap_or(false);
        numbers.filter(marked).collect()
    }

    fn is_marked(&self, pid: u32) -> Option<bool> {
        let mark = format!("{TRUTH}={}", self.mark);
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        // A zombie shows none.
        let shown = (!environment.is_empty()).then_some(environment)?;
        let mut variables = shown.split(|byte| *byte == 0);
        Some(variables.any(|one| one == mark.as_bytes()))
    }

    /// Ends whoever is left: processes that our own launcher started, by a hold on each.
    fn clean(&self) {
        if let Some(cgroup) = &self.cgroup {
            let _older_kernel = fs::write(cgroup.join("cgroup.kill"), "1");
        }
        for pid in self.living() {
            let Some(number) = Pid::from_raw(pid.cast_signed()) else {
                continue;
            };
            let Ok(hold) = pidfd_open(number, PidfdFlags::empty()) else {
                continue;
            };
            // The number may have changed hands before the hold was taken.
            if self.living().contains(&pid) {
                let _gone = pidfd_send_signal(hold, Signal::KILL);
            }
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let emptied = wait_for("the stage to be empty", Duration::from_secs(10), || {
            self.clean();
            self.is_empty().then_some(())
        });
        if let Some(cgroup) = &self.cgroup {
            let _ = fs::remove_dir(cgroup);
        }
        if let (Err(vain), false) = (emptied, std::thread::panicking()) {
            panic!("{vain}: {:?} live on", self.living());
        }
    }
}

/// A group below an oracle's: removed once nobody is in it.
pub(crate) struct Below(PathBuf);

impl Drop for Below {
    fn drop(&mut self) {
        let gone = || fs::remove_dir(&self.0).ok();
        let removed = wait_for("the group below to be empty", Duration::from_secs(10), gone);
        if let (Err(vain), false) = (removed, std::thread::panicking()) {
            panic!("{vain}");
        }
    }
}

/// Whether a process lives: there, and no zombie.
pub(crate) fn alive(pid: u32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .iter()
        .rposition(|byte| *byte == b')')
        .and_then(|at| stat.get(at + 2));
    match state {
        // A leader that ended before its other threads looks like a zombie too.
        Some(b'Z') => threads(&stat) > 1,
        Some(b'X') | None => false,
        Some(_) => true,
    }
}

fn threads(stat: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(stat);
    let rest = text.rsplit(')').next().unwrap_or_default();
    rest.split_whitespace()
        .nth(17)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Where cgroup2 is mounted.
fn mount() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut found = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    });
    found
        .next()
        .expect("the end-to-end tests need a cgroup2 mount when they run as root")
}
