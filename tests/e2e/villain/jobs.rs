//! A CI runner and a job of it that does all it can to get away.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::bounds::{Forked, exit, fork, linger};
use super::manners::{ignore, start};
use super::{FILE, MANNER, OTHER};

/// By what jobs are told apart here.
pub(crate) const LABEL: &str = "BUILD_TAG";
/// A program that calls itself a multiplexer.
pub(crate) const SERVER: &str = "BEADLE_SERVER";

/// Lives in one of these manners, if it is one.
pub(super) fn live(manner: &str) {
    match manner {
        "runner" => runner(),
        "step" => step(),
        "server" => server(),
        "left" => left(),
        _ => {}
    }
}

fn become_a(program: &str, manner: &str, label: Option<&str>) -> ! {
    let mut command = Command::new(env::var_os(program).unwrap_or_default());
    command.args(env::args_os().skip(1)).env(MANNER, manner);
    if let Some(label) = label {
        command.env(LABEL, label);
    }
    let error = command.exec();
    let _ = writeln!(std::io::stderr(), "cannot become another: {error}");
    exit(127)
}

fn tell(name: &str, pid: i32) {
    let folder = PathBuf::from(env::var_os(FILE).unwrap_or_default());
    let draft = folder.join(format!("{name}.new"));
    fs::write(&draft, pid.to_string()).unwrap();
    fs::rename(draft, folder.join(name)).unwrap();
}

/// Takes in orphans, as a runner's container would, and starts a job.
fn runner() -> ! {
    ignore(libc::SIGCHLD);
    // SAFETY: touches no memory.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    match fork() {
        Forked::Child => become_a(OTHER, "step", Some("job-7")),
        Forked::Parent(job) => tell("job", job),
        Forked::Refused => exit(1),
    }
    linger()
}

/// The job: a daemon far away, one that leaves on purpose, and work.
fn step() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        // SAFETY: touches no memory.
        unsafe { libc::setsid() };
        match fork() {
            Forked::Child => become_a(SERVER, "server", None),
            Forked::Parent(_) | Forked::Refused => exit(0),
        }
    }
    if let Forked::Parent(left) = fork() {
        tell("left", left);
    } else {
        become_a(OTHER, "left", Some("dontKillMe"));
    }
    start()
}

/// Keeps somebody as a multiplexer does.
fn server() -> ! {
    let _child_or_after = fork();
    linger()
}

/// Has left the job, and has a child of its own.
fn left() -> ! {
    if let Forked::Parent(child) = fork() {
        tell("child", child);
    }
    linger()
}
