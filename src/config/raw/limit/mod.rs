//! `limits`: metrics with their thresholds.

mod idle;

use std::time::Duration;

use crate::config::diagnostic::quoted;
use crate::config::quantity::{self, Misread};
use crate::config::reader::Reader;
use crate::config::source::Marked;
use crate::config::table::{Key, Shape, Table};
use crate::config::yaml::{Entry, Node, Value};
use crate::engine::activity::BUSY;
use crate::engine::rule::{Amount, Bound, Detached, Limit, Measure, Per, Servers};
use crate::engine::units::{Millicores, PerSecond};

/// Limits that must be over together, each where its key stands.
pub(in crate::config) type ClauseDraft = Vec<Marked<Limit>>;

/// `limits` as far as read.
#[derive(Default)]
pub(in crate::config) struct LimitsDraft {
    clauses: Vec<ClauseDraft>,
}

/// One limit that is written as a map.
pub(in crate::config) struct LimitDraft<T> {
    above: Option<T>,
    lasting: Option<Duration>,
    measure: Measure,
    detached: Detached,
    per: Per,
    servers: Servers,
    cpu: Millicores,
}

impl<T> Default for LimitDraft<T> {
    fn default() -> Self {
        Self {
            above: None,
            lasting: None,
            measure: Measure::Private,
            detached: Detached::Spared,
            per: Per::Owner,
            servers: Servers::Spared,
            cpu: BUSY,
        }
    }
}

pub(in crate::config) use idle::{SPINNING, STALLED};

/// The keys of `limits`.
pub(in crate::config) static LIMITS: Table<LimitsDraft> = Table {
    name: "limits",
    what: "`limits`",
    keys: &[
        Key::sets(
            "cpu_time",
            "All CPU time the unit used, its dead members included.",
            Shape::Short(&Shape::Duration, "span-limit"),
            |draft, entry, reader| {
                draft.span(entry, reader, Bound::CpuTime);
            },
        ),
        Key::sets(
            "cpu",
            "CPU time ÷ elapsed: `90%` of one core, `4 cores`. `for` is the time of the mean; `5s` without it.",
            Shape::Short(&Shape::Cpu, "cpu-limit"),
            |draft, entry, reader| {
                let limit = CPU.read_limit(&entry.node, quantity::cpu, reader);
                draft.add(entry, reader, limit, |read| Bound::Cpu(read.above));
            },
        ),
        Key::sets(
            "memory",
            "Memory of the unit: `8GiB`, or `50%` of the machine or of our own limit, the smaller.",
            Shape::Short(&Shape::Memory, "memory-limit"),
            |draft, entry, reader| {
                let limit = MEMORY.read_limit(&entry.node, quantity::memory, reader);
                draft.add(entry, reader, limit, |read| Bound::Memory {
                    measure: read.measure,
                    above: read.above,
                });
            },
        ),
        Key::sets(
            "age",
            "Awake time since the root became one.",
            Shape::Short(&Shape::Duration, "span-limit"),
            |draft, entry, reader| {
                draft.span(entry, reader, Bound::Age);
            },
        ),
        Key::sets(
            "processes",
            "Members.",
            Shape::Short(&Shape::Count, "count-limit"),
            |draft, entry, reader| {
                draft.count(entry, reader, Bound::Processes);
            },
        ),
        Key::sets(
            "threads",
            "Threads of all members.",
            Shape::Short(&Shape::Count, "count-limit"),
            |draft, entry, reader| {
                draft.count(entry, reader, Bound::Threads);
            },
        ),
        Key::sets(
            "open_files",
            "Open files of all members.",
            Shape::Short(&Shape::Count, "count-limit"),
            |draft, entry, reader| {
                draft.count(entry, reader, Bound::OpenFiles);
            },
        ),
        Key::sets(
            "zombies",
            "Members that are dead and not waited for.",
            Shape::Short(&Shape::Count, "count-limit"),
            |draft, entry, reader| {
                draft.count(entry, reader, Bound::Zombies);
            },
        ),
        Key::sets(
            "spawns",
            "Processes started ÷ elapsed: `200/s`. `for` is the time of the mean; `5s` without it.",
            Shape::Short(&Shape::Pace, "pace-limit"),
            |draft, entry, reader| {
                let limit = PACE.read_limit(&entry.node, quantity::pace, reader);
                draft.add(entry, reader, limit, |read| Bound::Spawns(read.above));
            },
        ),
        Key::sets(
            "instances",
            "Roots of this rule with the same owner and pid namespace: the newest so many stay, and older ones are told \
             of. More than a nudge comes of it only together with `orphaned`, `leftover` or `silent`, in `all`.",
            Shape::Short(&Shape::Count, "instances-limit"),
            instances,
        ),
        Key::sets(
            "orphaned",
            "Awake time since the process that started the root went away.",
            Shape::Short(&Shape::Duration, "orphaned-limit"),
            |draft, entry, reader| {
                let limit = ORPHANED.read_limit(&entry.node, quantity::duration, reader);
                draft.add(entry, reader, limit, |read| Bound::Orphaned {
                    above: read.above,
                    detached: read.detached,
                });
            },
        ),
        Key::sets(
            "leftover",
            "Awake time since the root went away while members live on.",
            Shape::Short(&Shape::Duration, "span-limit"),
            |draft, entry, reader| {
                draft.span(entry, reader, Bound::Leftover);
            },
        ),
        Key::sets(
            "stalled",
            "Awake time since anything moved in the unit: CPU beyond housekeeping, a byte read or written, a process started. \
             Who waits for whoever may call, or for a person at a terminal, is not stalled.",
            Shape::Short(&Shape::Duration, "stalled-limit"),
            |draft, entry, reader| {
                let limit = STALLED.read_limit(&entry.node, quantity::duration, reader);
                draft.add(entry, reader, limit, |read| Bound::Stalled {
                    above: read.above,
                    servers: read.servers,
                });
            },
        ),
        Key::sets(
            "spinning",
            "Awake time in which CPU was used and nothing came of it: nothing written, nobody started, nothing new read.",
            Shape::Short(&Shape::Duration, "spinning-limit"),
            |draft, entry, reader| {
                let limit = SPINNING.read_limit(&entry.node, quantity::duration, reader);
                draft.add(entry, reader, limit, |read| Bound::Spinning {
                    above: read.above,
                    cpu: read.cpu,
                });
            },
        ),
        Key::sets(
            "silent",
            "Awake time since a heartbeat last showed progress; never over before the first one.",
            Shape::Short(&Shape::Duration, "span-limit"),
            |draft, entry, reader| {
                draft.span(entry, reader, Bound::Silent);
            },
        ),
        Key::sets(
            "all",
            "Limits that must breach together.",
            Shape::Maps("limits"),
            all,
        ),
    ],
    foreign: &[
        (
            "any",
            "one breached limit is enough: list them without `any`",
        ),
        ("rss", "did you mean `memory: { above: …, measure: rss }`?"),
        ("mem", "did you mean `memory`?"),
        ("ram", "did you mean `memory`?"),
        (
            "swap",
            "did you mean `memory: { above: …, measure: swap }`?",
        ),
        ("lifetime", "did you mean `age`?"),
        ("timeout", "did you mean `age`?"),
        ("runtime", "did you mean `age`?"),
        ("uptime", "did you mean `age`?"),
        ("fds", "did you mean `open_files`?"),
        ("files", "did you mean `open_files`?"),
        ("orphan", "did you mean `orphaned: 5m`?"),
        ("count", "did you mean `instances`, or `processes`?"),
        ("duplicates", "did you mean `instances`?"),
        ("heartbeat", "did you mean `silent`?"),
        ("watchdog", "did you mean `silent`?"),
        ("progress", "did you mean `silent`?"),
        (
            "for",
            "`for` belongs to one limit: `cpu: { above: 90%, for: 10m }`",
        ),
        (
            "above",
            "`above` belongs to one limit: `cpu: { above: 90%, for: 10m }`",
        ),
    ],
};

/// A figure that only grows: `for` has no use.
pub(in crate::config) static SPAN: Table<LimitDraft<Duration>> = Table {
    name: "span-limit",
    what: "this limit",
    keys: &[above(Shape::Duration, |draft, entry, reader| {
        draft.above = reader.quantity(&entry.node, "a duration such as `30m`", quantity::duration);
    })],
    foreign: &[("for", "this only grows: make the limit itself longer")],
};

/// The keys of `cpu`.
pub(in crate::config) static CPU: Table<LimitDraft<Millicores>> = Table {
    name: "cpu-limit",
    what: "`cpu`",
    keys: &[
        above(Shape::Cpu, |draft, entry, reader| {
            draft.above = reader.quantity(&entry.node, "`90%` or `4 cores`", quantity::cpu);
        }),
        averaged(),
    ],
    foreign: &[],
};

/// The keys of `spawns`.
pub(in crate::config) static PACE: Table<LimitDraft<PerSecond>> = Table {
    name: "pace-limit",
    what: "`spawns`",
    keys: &[
        above(Shape::Pace, |draft, entry, reader| {
            draft.above = reader.quantity(&entry.node, "`200/s`", quantity::pace);
        }),
        averaged(),
    ],
    foreign: &[],
};

/// The keys of `memory`.
pub(in crate::config) static MEMORY: Table<LimitDraft<Amount>> = Table {
    name: "memory-limit",
    what: "`memory`",
    keys: &[
        above(Shape::Memory, |draft, entry, reader| {
            draft.above = reader.quantity(&entry.node, "a size such as `8GiB`", quantity::memory);
        }),
        lasting(),
        Key::sets(
            "measure",
            "`private` (default): anonymous and shared memory, swap, huge pages, shared pages once. `rss`: resident \
             pages, file pages included. `swap`: swapped out.",
            Shape::Words(&["private", "rss", "swap"]),
            |draft, entry, reader| draft.measure = measure(&entry.node, reader),
        ),
    ],
    foreign: &[],
};

/// The keys of a count.
pub(in crate::config) static COUNT: Table<LimitDraft<u64>> = Table {
    name: "count-limit",
    what: "this limit",
    keys: &[
        above(Shape::Count, |draft, entry, reader| {
            draft.above = reader.quantity(&entry.node, "a count such as `100`", quantity::count);
        }),
        lasting(),
    ],
    foreign: &[],
};

/// The keys of `orphaned`.
pub(in crate::config) static ORPHANED: Table<LimitDraft<Duration>> = Table {
    name: "orphaned-limit",
    what: "`orphaned`",
    keys: &[
        above(Shape::Duration, |draft, entry, reader| {
            draft.above =
                reader.quantity(&entry.node, "a duration such as `5m`", quantity::duration);
        }),
        Key::sets(
            "detached",
            "`true` counts roots that ignore SIGHUP too: what was started with `nohup`.",
            Shape::Flag,
            |draft, entry, reader| {
                if reader.flag(&entry.node) == Some(true) {
                    draft.detached = Detached::Counted;
                }
            },
        ),
    ],
    foreign: &[("for", "this only grows: make the limit itself longer")],
};

/// The keys of `instances`.
pub(in crate::config) static INSTANCES: Table<LimitDraft<u64>> = Table {
    name: "instances-limit",
    what: "`instances`",
    keys: &[
        above(Shape::Count, |draft, entry, reader| {
            draft.above = reader.quantity(&entry.node, "a count such as `3`", quantity::count);
        }),
        lasting(),
        Key::sets(
            "per",
            "What else they have in common: `parent`, the same process started them; `cwd`, the same working directory.",
            Shape::Words(&["parent", "cwd"]),
            |draft, entry, reader| {
                let words = [("parent", Per::Parent), ("cwd", Per::Cwd)];
                draft.per = reader
                    .choice(&entry.node, "what instances are counted by", &words)
                    .unwrap_or_default();
            },
        ),
    ],
    foreign: &[
        ("by", "did you mean `per`?"),
        ("max", "did you mean `above`?"),
        ("keep", "did you mean `above`? the newest so many stay"),
    ],
};

const fn above<T>(
    shape: Shape,
    set: fn(&mut LimitDraft<T>, &Entry, &mut Reader<'_>),
) -> Key<LimitDraft<T>> {
    Key::sets(
        "above",
        "The threshold: over means more than this.",
        shape,
        set,
    )
}

const fn averaged<T>() -> Key<LimitDraft<T>> {
    Key::sets(
        "for",
        "The time of the mean.",
        Shape::Duration,
        |draft, entry, reader| {
            draft.lasting = mean(&entry.node, reader);
        },
    )
}

const fn lasting<T>() -> Key<LimitDraft<T>> {
    Key::sets(
        "for",
        "For how long it must be over, without a clear sample.",
        Shape::Duration,
        |draft, entry, reader| {
            draft.lasting =
                reader.quantity(&entry.node, "a duration such as `30s`", quantity::duration);
        },
    )
}

/// A limit that was read whole.
struct Read<T> {
    above: T,
    lasting: Option<Duration>,
    measure: Measure,
    detached: Detached,
    per: Per,
    servers: Servers,
    cpu: Millicores,
}

impl<T> Table<LimitDraft<T>> {
    /// Reads a plain value, or the map that it is short for.
    fn read_limit(
        &self,
        node: &Node,
        parse: fn(&str) -> Result<T, Misread>,
        reader: &mut Reader<'_>,
    ) -> Option<Read<T>> {
        let mut draft = LimitDraft::default();
        match &node.value {
            Value::Map(_) => {
                let given = self.read(node, &mut draft, reader);
                if !given.contains(&"above") {
                    reader.refuse(node.span, "a limit without a threshold", "add `above:`");
                }
            }
            Value::Null | Value::Text(_) | Value::List(_) | Value::Broken => {
                draft.above = reader.quantity(node, "a threshold", parse);
            }
        }
        Some(Read {
            above: draft.above?,
            lasting: draft.lasting,
            measure: draft.measure,
            detached: draft.detached,
            per: draft.per,
            servers: draft.servers,
            cpu: draft.cpu,
        })
    }
}

impl LimitsDraft {
    fn add<T>(
        &mut self,
        entry: &Entry,
        reader: &Reader<'_>,
        read: Option<Read<T>>,
        bound: impl FnOnce(&Read<T>) -> Bound,
    ) {
        if let Some(read) = read {
            let limit = Limit {
                bound: bound(&read),
                lasting: read.lasting,
            };
            self.clauses.push(vec![reader.mark(limit, entry.at)]);
        }
    }

    fn span(&mut self, entry: &Entry, reader: &mut Reader<'_>, bound: fn(Duration) -> Bound) {
        let limit = SPAN.read_limit(&entry.node, quantity::duration, reader);
        self.add(entry, reader, limit, |read| bound(read.above));
    }

    fn count(&mut self, entry: &Entry, reader: &mut Reader<'_>, bound: fn(u64) -> Bound) {
        let limit = COUNT.read_limit(&entry.node, quantity::count, reader);
        if let Some(Read { above: 0, .. }) = limit
            && entry.key != "zombies"
        {
            let message = format!(
                "every unit that lives has more than 0 {}",
                entry.key.replace('_', " ")
            );
            reader.refuse(entry.node.span, message, "expected `1` or more");
            return;
        }
        self.add(entry, reader, limit, |read| bound(read.above));
    }
}

/// Decodes `limits`; `None` when any of it is wrong, so that nothing is concluded from the rest.
pub(super) fn read(entry: &Entry, reader: &mut Reader<'_>) -> Option<Vec<ClauseDraft>> {
    let before = reader.trouble();
    let mut draft = LimitsDraft::default();
    LIMITS.read(&entry.node, &mut draft, reader);
    if draft.clauses.is_empty() && reader.trouble() == before {
        reader.refuse(
            entry.at,
            "a rule without a limit",
            "add one, such as `age: 2h`",
        );
    }
    (reader.trouble() == before).then_some(draft.clauses)
}

fn instances(draft: &mut LimitsDraft, entry: &Entry, reader: &mut Reader<'_>) {
    let limit = INSTANCES.read_limit(&entry.node, quantity::count, reader);
    if let Some(Read { above: 0, .. }) = limit {
        let expected = "expected `1` or more: so many stay";
        reader.refuse(entry.node.span, "every root is an instance", expected);
        return;
    }
    draft.add(entry, reader, limit, |read| Bound::Instances {
        above: read.above,
        per: read.per,
    });
}

fn all(draft: &mut LimitsDraft, entry: &Entry, reader: &mut Reader<'_>) {
    let Value::List(items) = &entry.node.value else {
        let expected = "expected a list: `all: [ { cpu: 90% }, { age: 1h } ]`";
        reader.refuse(entry.node.span, "`all` is a list of limits", expected);
        return;
    };
    let mut together = LimitsDraft::default();
    for item in items {
        if let Value::Map(inner) = &item.value
            && let Some(nested) = inner.iter().find(|entry| entry.key == "all")
        {
            reader.refuse(nested.at, "`all` inside `all`", "one group is enough");
            continue;
        }
        LIMITS.read(item, &mut together, reader);
    }
    let clause: ClauseDraft = together.clauses.into_iter().flatten().collect();
    match clause.len() {
        0 => reader.refuse(entry.at, "`all` without a limit", "list at least two"),
        1 => reader.doubt(
            entry.at,
            "`all` with one limit is that limit alone",
            "list at least two",
        ),
        _ => {}
    }
    if !clause.is_empty() {
        draft.clauses.push(clause);
    }
}

fn mean(node: &Node, reader: &mut Reader<'_>) -> Option<Duration> {
    let span = reader.quantity(node, "a duration such as `10m`", quantity::duration)?;
    if span >= Duration::from_millis(500) {
        return Some(span);
    }
    reader.refuse(
        node.span,
        "too short to take a mean of",
        "expected at least `500ms`",
    );
    None
}

fn measure(node: &Node, reader: &mut Reader<'_>) -> Measure {
    if matches!(&node.value, Value::Text(text) if text == "pss") {
        let message = format!(
            "{} is not available in this version of beadle",
            quoted("pss")
        );
        reader.refuse(node.span, message, "`private` counts shared pages once");
        return Measure::Private;
    }
    let words = [
        ("private", Measure::Private),
        ("rss", Measure::Rss),
        ("swap", Measure::Swap),
    ];
    reader
        .choice(node, "a measure", &words)
        .unwrap_or(Measure::Private)
}
