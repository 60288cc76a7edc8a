//! **beadle** watches the process table; when a process tree runs away it taps people on the shoulder first, then
//! asks it to leave (SIGTERM), then puts it out (SIGKILL). One binary: a daemon, and a command line to talk to it.
//!
//! # The whole in eight sentences
//! 1. The [sampler](sys::sampler) reads figures, the [event reader](sys::events) hears forks, execs and exits; both
//!    hand plain data to the engine.
//! 2. The [engine] is pure and alone decides: three machines without clock, files, signals, logging or threads.
//! 3. [`forest`](engine::forest) keeps lineage: trees that nothing escapes by double-forking, `setsid` or dying early.
//! 4. [`judge`](engine::judge) holds rules against units and moves incidents up their ladders:
//!    `step(now, input) -> decisions`.
//! 5. [`pursuit`](engine::pursuit) carries out one act to its end: it is given a
//!    [`Warrant`](engine::warrant::Warrant) and answers with a [`Report`](engine::warrant::Report).
//! 6. The [signaller](sys::signaller) is the only code that sends a signal, on pidfds, and its only door takes a
//!    warrant.
//! 7. Every decision carries its [`Evidence`](engine::evidence::Evidence) as data; one
//!    [renderer](cli::render) prints it for the log, the journal, the terminal, `why` and the [history](store::history).
//! 8. What we do not know, we leave alone.
//!
//! # Layers
//! | layer | may import |
//! |---|---|
//! | [`engine`] | `std` without files, network, processes, threads, environment and clocks; the regex and glob crates |
//! | [`config`] | `engine`, the YAML and snippet crates |
//! | [`control`] | `engine` (view types), serde, tokio |
//! | [`store`] | `engine` (view types), serde, rustix, rusqlite |
//! | [`sys`] | `engine`, rustix, procfs; sysinfo on macOS |
//! | [`daemon`], [`cli`] | all of the above |
//!
//! `config`, `sys`, `store` and `control` never import each other; `tests/architecture.rs` reads the sources against this table.
//!
//! # Words
//! | word | means |
//! |---|---|
//! | process, [`Pid`](engine::process::Pid), [`ProcKey`](engine::process::ProcKey) | a thread group; its number; its identity |
//! | tree, root, member, lineage, boundary | a root and its descendants; remembered parentage; where lineage ends |
//! | unit | what a rule judges: a process or a tree |
//! | owner, audience, starter | effective user; whom we tell; who started a root |
//! | sample, snapshot, facts, usage | figures of one process; samples; what is read per exec; the sum over a unit |
//! | rule | matcher + limits + ladder |
//! | limit, breach, sustained | metric + threshold + how long; over it now; for as long as asked |
//! | incident | one rule's case against one unit, from sustained to closing |
//! | ladder, stage | the ordered stages, and one of them |
//! | nudge | a message to people; never a signal |
//! | notice, grace, cooldown | nudge→TERM; TERM→KILL; quiet after closing |
//! | warrant, report, outcome | authority for one act; what came of it |
//! | certificate, page, story | a warrant as it is kept; one thing that happened; all of them |
//! | gone · fault | vanished while we looked: a value, never logged · a shell failed: logged on its edges, in `status` |

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod engine;
pub mod store;
pub mod sys;
