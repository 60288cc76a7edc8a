//! A rule in its valid form: matcher + limits + ladder. `config` makes it; nothing else can be judged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Replies;
use super::gate::Gate;
use super::matcher::Matcher;
use super::units::{Bytes, Millicores, PerSecond};

/// The rules in force.
#[derive(Clone, Debug)]
pub struct RuleSet {
    /// The mode that was asked for; each rule carries its own, already capped by it.
    pub mode: Mode,
    /// The pace at which levels are read.
    pub interval: Duration,
    /// In the order they were written; names are unique.
    pub rules: Vec<Arc<Rule>>,
    /// Never signalled, besides the built-in list.
    pub protect: Vec<Matcher>,
    /// Where lineage ends, besides the built-in list.
    pub boundaries: Vec<Matcher>,
    /// How long an unanswered incident rests before people are told again.
    pub remind: Option<Duration>,
    /// Where nudges go.
    pub channels: Channels,
    /// How much history is kept.
    pub keeping: Keeping,
    /// Environment variables that some matcher or scope names.
    pub variables: Arc<[String]>,
}

/// How much history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// What is older is deleted.
    pub span: Duration,
    /// The oldest is deleted when there is more.
    pub size: Bytes,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            span: Duration::from_secs(30 * 86_400),
            size: Bytes::mib(64),
        }
    }
}

/// Where nudges go, beyond the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// The system journal.
    pub journal: bool,
    /// The terminal of the tree itself.
    pub tty: bool,
    /// The desktop of the audience.
    pub desktop: Option<Desktop>,
}

/// How nudges come to a desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desktop {
    /// With buttons, by which people answer.
    pub buttons: bool,
    /// To the terminal of the tree instead, where there is no desktop, or none that works.
    pub terminal: bool,
}

impl Default for Desktop {
    fn default() -> Self {
        Self {
            buttons: true,
            terminal: true,
        }
    }
}

/// How far beadle goes of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Record only.
    Observe,
    /// Tell people.
    Nudge,
    /// The whole ladder.
    Enforce,
}

impl RuleSet {
    /// The variables by which scopes tell jobs apart, each once.
    pub fn labels(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        for rule in &self.rules {
            if let Scope::Env(name) = &rule.scope
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        names
    }

    /// Whether any rule's units are told by what each process carries.
    pub fn tells_by_labels(&self) -> bool {
        let mut scopes = self.rules.iter().map(|rule| &rule.scope);
        scopes.any(|scope| matches!(scope, Scope::Env(_) | Scope::Cgroup))
    }
}

impl Mode {
    /// The word in rules, output and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Nudge => "nudge",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The name of a rule: unique in a set, kept through reloads.
pub type RuleName = Arc<str>;

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: RuleName,
    /// What it is for: shown in every nudge.
    pub about: Option<String>,
    /// Where it was written.
    pub origin: Origin,
    /// How far it may go.
    pub mode: Mode,
    /// Which processes are roots.
    pub matcher: Matcher,
    /// What is summed and ended.
    pub scope: Scope,
    /// One clause that holds is enough. Never empty.
    pub clauses: Vec<Clause>,
    /// What must be so of the machine for it to be judged: all of these.
    pub gates: Vec<Gate>,
    /// How long at the start only `cpu_time`, `age` and `processes` count. `None`: 30 s for `leftover` and
    /// `orphaned`, none for the rest.
    pub warmup: Option<Duration>,
    /// Members that leave the tree, with all they start.
    pub keep: Vec<Matcher>,
    /// What happens, in order. Never empty.
    pub ladder: Vec<Stage>,
    /// How long a unit is left in peace after an incident closed.
    pub cooldown: Duration,
    /// After so many ended trees in so long, only nudge.
    pub breaker: Breaker,
    /// What is run when an incident closes.
    pub on_close: Option<Arc<Command>>,
    /// What people may answer.
    pub replies: Replies,
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a built-in pack.
    Builtin {
        /// The pack's name.
        pack: &'static str,
    },
    /// In a file.
    File {
        /// Its path, as people would type it.
        path: Arc<str>,
        /// The line of the rule's name, from 1.
        line: usize,
    },
}

/// What is summed and ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The root and every descendant ever seen, up to boundaries.
    Tree,
    /// Every matching process by itself.
    Process,
    /// Every process of the root's owner in the root's control group.
    Cgroup,
    /// Every process of the root's owner whose recorded value of this variable is the root's.
    Env(Arc<str>),
}

impl Scope {
    /// The word in rules and output.
    pub fn word(&self) -> String {
        match self {
            Self::Tree => "tree".to_owned(),
            Self::Process => "process".to_owned(),
            Self::Cgroup => "cgroup".to_owned(),
            Self::Env(name) => format!("env:{name}"),
        }
    }
}

/// Limits that must be over together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Never empty. One for a plain limit, several for `all: [ … ]`.
    pub limits: Vec<Limit>,
}

/// A metric, its threshold, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is measured, and above what.
    pub bound: Bound,
    /// On a level: no clear sample within it. On a rate: the mean over the last so long.
    pub lasting: Option<Duration>,
}

/// A metric with its threshold: over means *above*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// CPU time of the unit since its root became one, dead members included.
    CpuTime(Duration),
    /// CPU time ÷ elapsed.
    Cpu(Millicores),
    /// Memory.
    Memory {
        /// How it is measured.
        measure: Measure,
        /// The threshold.
        above: Amount,
    },
    /// Awake time since the root became one.
    Age(Duration),
    /// Members.
    Processes(u64),
    /// Threads of all members.
    Threads(u64),
    /// Open files of all members.
    OpenFiles(u64),
    /// Members dead and not waited for.
    Zombies(u64),
    /// Processes started ÷ elapsed.
    Spawns(PerSecond),
    /// Awake time since the root's recorded starter went away.
    Orphaned {
        /// How long.
        above: Duration,
        /// Whether roots that ignore SIGHUP count too.
        detached: Detached,
    },
    /// Awake time since the root went away while members live on.
    Leftover(Duration),
    /// Awake time since anything moved in the unit.
    Stalled {
        /// How long.
        above: Duration,
        /// Whether those count who wait for whoever may call, or for a person.
        servers: Servers,
    },
    /// Awake time since anything came of what it does.
    Spinning {
        /// How long.
        above: Duration,
        /// So much CPU, at least, must be used for nothing.
        cpu: Millicores,
    },
    /// Awake time since a heartbeat last showed progress.
    Silent(Duration),
    /// Which of the instances it is, counted from the newest: the newest so many stay.
    Instances {
        /// How many stay.
        above: u64,
        /// What else they have in common, besides their owner and their pid namespace.
        per: Per,
    },
}

/// What two roots of a rule have in common, besides their owner and their pid namespace, to be instances of one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Per {
    /// Nothing.
    #[default]
    Owner,
    /// Who started them.
    Parent,
    /// Their working directory.
    Cwd,
}

/// Whether what was started to outlive its starter counts as orphaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detached {
    /// It is left alone.
    Spared,
    /// It counts.
    Counted,
}

/// Whether a server without a client counts as stalled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Servers {
    /// It is left alone.
    #[default]
    Spared,
    /// It counts.
    Counted,
}

/// How memory is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Anonymous, shared memory, swap and huge pages; shared pages once.
    Private,
    /// Resident pages, file pages included.
    Rss,
    /// Swapped out.
    Swap,
}

/// A threshold of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(Bytes),
    /// So many percent of the machine, or of our own limit where that is smaller.
    Percent(u8),
}

/// The name of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// `cpu_time`
    CpuTime,
    /// `cpu`
    Cpu,
    /// `memory`
    Memory,
    /// `age`
    Age,
    /// `processes`
    Processes,
    /// `threads`
    Threads,
    /// `open_files`
    OpenFiles,
    /// `zombies`
    Zombies,
    /// `spawns`
    Spawns,
    /// `orphaned`
    Orphaned,
    /// `leftover`
    Leftover,
    /// `stalled`
    Stalled,
    /// `spinning`
    Spinning,
    /// `silent`
    Silent,
    /// `instances`
    Instances,
}

impl Metric {
    /// The word in rules and output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CpuTime => "cpu_time",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Age => "age",
            Self::Processes => "processes",
            Self::Threads => "threads",
            Self::OpenFiles => "open_files",
            Self::Zombies => "zombies",
            Self::Spawns => "spawns",
            Self::Orphaned => "orphaned",
            Self::Leftover => "leftover",
            Self::Stalled => "stalled",
            Self::Spinning => "spinning",
            Self::Silent => "silent",
            Self::Instances => "instances",
        }
    }

    /// Whether being over it says that nobody has use for the unit any more: then, and only then, may one instance too
    /// many be signalled.
    pub const fn tells_idleness(self) -> bool {
        match self {
            Self::Orphaned | Self::Leftover | Self::Stalled | Self::Silent => true,
            Self::CpuTime
            | Self::Cpu
            | Self::Memory
            | Self::Age
            | Self::Processes
            | Self::Threads
            | Self::OpenFiles
            | Self::Zombies
            | Self::Spawns
            | Self::Spinning
            | Self::Instances => false,
        }
    }
}

impl Clause {
    /// Whether people are told of it, and no more: that there are more instances than somebody thought of is no reason to
    /// end the work of any.
    pub fn only_tells(&self) -> bool {
        let metrics = || self.limits.iter().map(|limit| limit.bound.metric());
        metrics().any(|metric| metric == Metric::Instances)
            && !metrics().any(Metric::tells_idleness)
    }
}

impl Bound {
    /// The metric.
    pub const fn metric(&self) -> Metric {
        match self {
            Self::CpuTime(_) => Metric::CpuTime,
            Self::Cpu(_) => Metric::Cpu,
            Self::Memory { .. } => Metric::Memory,
            Self::Age(_) => Metric::Age,
            Self::Processes(_) => Metric::Processes,
            Self::Threads(_) => Metric::Threads,
            Self::OpenFiles(_) => Metric::OpenFiles,
            Self::Zombies(_) => Metric::Zombies,
            Self::Spawns(_) => Metric::Spawns,
            Self::Orphaned { .. } => Metric::Orphaned,
            Self::Leftover(_) => Metric::Leftover,
            Self::Stalled { .. } => Metric::Stalled,
            Self::Spinning { .. } => Metric::Spinning,
            Self::Silent(_) => Metric::Silent,
            Self::Instances { .. } => Metric::Instances,
        }
    }
}

/// One stage of a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Time since the stage before.
    pub after: Duration,
    /// What is done.
    pub act: StageAct,
}

/// What a stage does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageAct {
    /// Tell people.
    Nudge,
    /// Run a program.
    Exec(Arc<Command>),
    /// Stop everyone, until the incident is over or a later stage goes on.
    Freeze,
    /// Ask the service or container manager to stop what the tree lives in.
    Stop,
    /// Send a signal.
    Signal(Signal, To),
}

impl StageAct {
    /// The signal that it sends, where it is more than telling.
    pub const fn signal(&self) -> Option<Signal> {
        match self {
            Self::Nudge | Self::Exec(_) | Self::Stop => None,
            Self::Freeze => Some(Signal::Stop),
            Self::Signal(signal, _) => Some(*signal),
        }
    }

    /// Whether it is done to the tree itself, so that whoever joins it later has yet to see it done.
    pub const fn is_felt(&self) -> bool {
        match self {
            Self::Nudge | Self::Exec(_) => false,
            Self::Freeze | Self::Stop | Self::Signal(..) => true,
        }
    }
}

/// A program of the administrator's, with all that it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its path, absolute.
    pub program: Arc<str>,
    /// Its arguments, as written.
    pub args: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum To {
    /// Everyone.
    #[default]
    Tree,
    /// The root alone, while it lives; then everyone. Some programs pass a request on, or wind up, best by themselves.
    Root,
}

/// A signal that a ladder leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// SIGHUP
    Hup,
    /// SIGINT
    Int,
    /// SIGQUIT
    Quit,
    /// SIGUSR1
    Usr1,
    /// SIGUSR2
    Usr2,
    /// SIGTERM
    Term,
    /// SIGKILL
    Kill,
    /// SIGSTOP: what `freeze` sends. No rule names it.
    Stop,
    /// SIGCONT: what undoes it. No rule names it.
    Cont,
}

impl Signal {
    /// Those that a rule may name, in the order of their numbers.
    pub const NAMED: [Self; 7] = [
        Self::Hup,
        Self::Int,
        Self::Quit,
        Self::Kill,
        Self::Usr1,
        Self::Usr2,
        Self::Term,
    ];

    /// The word in rules and output, without `SIG`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Term => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

/// After so many ended trees of one rule and owner in so long, only nudge; it resumes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// How many.
    pub trees: u32,
    /// In how long.
    pub within: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            trees: 10,
            within: Duration::from_secs(600),
        }
    }
}
