//! One test's stage: an oracle, a launcher, canaries, and a daemon on its leash.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::daemon::Watch;
use super::launch::{LAUNCHER_LIFE, Launcher, Order, Started};
use super::oracle::Oracle;
use super::report::{Number, Promise, Row, Tier};
use super::stage::{Stage, User, give};
use super::turn::Turn;
use super::wait::{wait_for, wait_until};

/// One test's stage. Fields are dropped in order: first who gives orders, then whoever is left of the villains.
pub(crate) struct Case {
    launcher: Launcher,
    canaries: Vec<Started>,
    oracle: Oracle,
    folder: TempDir,
    stage: Arc<Stage>,
    user: User,
    tier: Tier,
    _turn: Turn,
}

impl Case {
    /// A stage for a test of this name, where everybody is the tester.
    pub(crate) fn new(name: &str, tier: Tier) -> Self {
        Self::of(name, tier, User::Me)
    }

    /// The same, where daemon and villains run as this user.
    pub(crate) fn of(name: &str, tier: Tier, user: User) -> Self {
        Self::with(name, tier, user, Turn::shared(), LAUNCHER_LIFE)
    }

    /// The same, with the machine to itself.
    pub(crate) fn alone(name: &str, tier: Tier, user: User) -> Self {
        Self::alone_for(name, tier, user, LAUNCHER_LIFE)
    }

    /// The same for so long.
    pub(crate) fn alone_for(name: &str, tier: Tier, user: User, life: Duration) -> Self {
        Self::with(name, tier, user, Turn::alone(), life)
    }

    fn with(name: &str, tier: Tier, user: User, turn: Turn, life: Duration) -> Self {
        let stage = Stage::enter();
        let folder = stage.folder(name, user);
        let oracle = Oracle::new();
        let log = File::create(folder.path().join("villains.log")).unwrap();
        let launcher = Launcher::start(&stage.villain(), log, user, &oracle, life);
        Self {
            launcher,
            canaries: Vec::new(),
            oracle,
            folder,
            stage,
            user,
            tier,
            _turn: turn,
        }
    }

    /// The number that the daemon is leashed to.
    pub(crate) fn leash(&self) -> u32 {
        self.launcher.pid()
    }

    /// A path of its own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The number that a villain writes into a file of this name, now or soon.
    pub(crate) fn number_in(&self, name: &str) -> u32 {
        let path = self.path(name);
        let number = wait_for("a number to be told", Duration::from_secs(10), || {
            fs::read_to_string(&path).ok()?.parse().ok()
        });
        number.unwrap()
    }

    /// Who knows the truth.
    pub(crate) fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    /// The program under test.
    pub(crate) fn beadle(&self) -> PathBuf {
        self.stage.beadle()
    }

    /// The villain's program under its own name.
    pub(crate) fn villain(&self) -> PathBuf {
        self.stage.villain()
    }

    /// The villain's program under a name that no other test uses.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let path = self.path(&format!("{name}-of-{}", self.oracle.mark()));
        if !path.exists() {
            fs::hard_link(self.stage.villain(), &path).unwrap();
        }
        path
    }

    /// A daemon for this stage, leashed, in its tier, not yet started.
    pub(crate) fn watch(&self) -> Watch {
        self.watch_from(self.folder.path(), self.tier)
    }

    /// The same in any tier and with a folder of its own, so that several may watch one stage.
    pub(crate) fn watch_in(&self, tier: Tier) -> Watch {
        let folder = self.path(tier.word());
        fs::create_dir(&folder).unwrap();
        give(&folder, self.user);
        self.watch_from(&folder, tier)
    }

    fn watch_from(&self, folder: &Path, tier: Tier) -> Watch {
        Watch::new(&self.beadle(), folder, self.user)
            .tier(tier)
            .leash(self.leash())
    }

    /// How births are heard of.
    pub(crate) fn tier(&self) -> Tier {
        self.tier
    }

    /// Starts a villain.
    pub(crate) fn start(&mut self, order: Order) -> Started {
        order.start(&mut self.launcher).unwrap()
    }

    /// Starts what leaves at once.
    pub(crate) fn pass(&mut self, order: Order) {
        order.pass(&mut self.launcher).unwrap();
    }

    /// Starts a villain, if the kernel lets it.
    pub(crate) fn try_start(&mut self, order: Order) -> Result<Started, String> {
        order.start(&mut self.launcher)
    }

    /// Starts doubles of whoever runs `program`, within their limits.
    pub(crate) fn canaries(&mut self, program: &Path) {
        for _ in 0..3 {
            let canary = self.start(Order::canary(program));
            self.canaries.push(canary);
        }
    }

    /// Takes a double of another making under watch.
    pub(crate) fn keep(&mut self, canary: Started) {
        self.canaries.push(canary);
    }

    /// How many canaries are not who they were.
    pub(crate) fn lost(&self) -> usize {
        self.canaries
            .iter()
            .filter(|canary| !canary.lives())
            .count()
    }

    /// How many of the villain live, canaries in its midst not counted.
    pub(crate) fn survivors(&self) -> usize {
        let spared = self.canaries.iter().map(|canary| canary.pid).collect();
        self.oracle.survivors(&spared)
    }

    /// CPU time the villain has truly used.
    pub(crate) fn used(&self) -> Duration {
        self.oracle.used()
    }

    /// Waits until the villain has at least so many living processes.
    pub(crate) fn wait_for_members(&self, least: usize) {
        wait_until(&format!("{least} members"), || {
            self.oracle.living().len() >= least
        });
    }

    /// Measures how long after `since` nobody lives, for a few seconds; then the row of the table.
    pub(crate) fn row(
        &self,
        number: impl Into<Number>,
        story: &'static str,
        since: Instant,
    ) -> Row {
        self.promise(number, story, since, Promise::Nobody)
    }

    /// The same, where survivors may be left and it is said why.
    pub(crate) fn promise(
        &self,
        number: impl Into<Number>,
        story: &'static str,
        since: Instant,
        promise: Promise,
    ) -> Row {
        let patience = match promise {
            Promise::Nobody => Duration::from_secs(8),
            // They are not expected to go.
            Promise::AtMost(..) => Duration::from_secs(2),
        };
        let empty = wait_for("an empty stage", patience, || {
            (self.survivors() == 0).then(Instant::now)
        });
        let row = Row {
            number: number.into(),
            story,
            tier: self.tier,
            survivors: self.survivors(),
            lost: self.lost(),
            empty: empty.ok().map(|at| at.duration_since(since)),
            promise,
        };
        row.tell();
        row
    }
}

/// The usual rule: over half a second of CPU time the ladder begins, and nobody has to burn on.
pub(crate) fn rules(program: &Path) -> String {
    rules_with(program, "{ cpu_time: 300ms }")
}

/// The usual ladder with these limits.
pub(crate) fn rules_with(program: &Path, limits: &str) -> String {
    let program = program.file_name().unwrap().to_str().unwrap();
    format!(
        "version: 1
mode: enforce
interval: 500ms
builtin: none
nudge: {{ desktop: false, journal: false }}
rules:
  - name: villain
    match: {{ exe: {program} }}
    limits: {limits}
    ladder: [ nudge, {{ after: 1s, signal: TERM }}, {{ after: 2s, signal: KILL }} ]
"
    )
}
