//! The harmless runaway of `beadle demo`.
//!
//! **Invariants.** It ends by itself after [`LIFE`], whatever becomes of the demo and of beadle. It runs at the lowest
//! priority, and the one that spins spins on one core. It starts two processes, and they start none.

use std::hint::black_box;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use signal_hook::consts::SIGTERM;

use crate::cli::{Failure, say};

/// How long any of it lives at most.
const LIFE: Duration = Duration::from_secs(30);

/// The argument by which the demo's rule knows its runaway. The number is the demo's own.
pub(super) fn mark(demo: u32) -> String {
    format!("--demo={demo}")
}

/// Spin harmlessly, for the demo
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose runaway it is
    #[arg(long)]
    demo: u32,

    /// Which part it plays
    #[arg(long, value_enum, default_value_t)]
    part: Part,
}

/// What one of them does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Spins, turns a deaf ear to SIGTERM, and has two children.
    #[default]
    Parent,
    /// Leaves when asked.
    Polite,
    /// Turns a deaf ear to SIGTERM.
    Deaf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    // Lower than it is cannot hurt; if it fails, 30 s of one core is still harmless.
    let _ = rustix::process::nice(19);
    match args.part {
        Part::Parent => {
            turn_deaf()?;
            let children = [Part::Polite, Part::Deaf].map(|part| start(args.demo, part));
            for child in children {
                say(&format!("{}\n", child?.id()));
            }
            // The demo's end is this one's too: `--only-under` is a promise about what the demo leaves behind.
            let killed = Some(rustix::process::Signal::KILL);
            rustix::process::set_parent_process_death_signal(killed)?;
            spin();
        }
        Part::Polite => rest(),
        Part::Deaf => {
            turn_deaf()?;
            rest();
        }
    }
    Ok(())
}

fn start(demo: u32, part: Part) -> Result<Child, Failure> {
    let name = part.to_possible_value();
    let name = name.as_ref().map_or("", |it| it.get_name());
    let program = std::env::current_exe()?;
    let child = Command::new(program)
        .args(["demo", "runaway", &mark(demo), "--part", name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    Ok(child)
}

/// A handler that does nothing: unlike "ignored", it is not inherited by what we start.
fn turn_deaf() -> Result<(), Failure> {
    signal_hook::flag::register(SIGTERM, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// Uses one core until the time is up.
fn spin() {
    let up = Arc::new(AtomicBool::new(false));
    let bell = Arc::clone(&up);
    thread::spawn(move || {
        rest();
        bell.store(true, Ordering::Relaxed);
    });
    let mut turns: u64 = 0;
    while !up.load(Ordering::Relaxed) {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Waits until the time is up.
fn rest() {
    let (_nobody, never) = channel::<()>();
    let _ = never.recv_timeout(LIFE);
}
