//! What the kernel offers and lets us do.

use std::path::Path;

use super::Finding;
use crate::engine::process::{Mark, Pid, StartTicks, Uid};
use crate::sys::accounting::cgroup::Groups;
use crate::sys::accounting::taskstats::Taskstats;
use crate::sys::clock::Clock;
use crate::sys::events::connector::Connector;
use crate::sys::nudger::desktop::has_porter;
use crate::sys::ourselves::{self, Power, Powers};
use crate::sys::pidfd::PidFd;
use crate::sys::procfs::{Entry, Procfs};
use crate::sys::rivals::rivals;

const PROC: &str = "/proc";
/// Of a tree with more members than files may be open, the rest waits its turn.
const ROOMY: u64 = 4096;
/// Seconds from 1970 to 2025: a clock that shows less was never set.
const CLOCK_SET: i64 = 1_735_689_600;

/// All of it.
pub(super) fn findings(user: Uid) -> Vec<Finding> {
    let mut findings = vec![
        processes(user),
        identity(),
        births(),
        accounting(),
        permissions(user),
        files(),
        clock(),
    ];
    findings.extend(sessions(user));
    findings.extend(others());
    findings
}

/// Whether everybody's processes can be seen.
fn processes(user: Uid) -> Finding {
    let part = "processes";
    let procfs = match Procfs::open(Path::new(PROC)) {
        Ok(procfs) => procfs,
        Err(error) => {
            return Finding::bad(part, format!("{PROC} cannot be read: {error}"))
                .remedy("mount it: `mount -t proc proc /proc`; in a container, ask for it");
        }
    };
    let first = procfs.file(&Entry::of(Pid::INIT).at("stat"));
    match first {
        Ok(_) => Finding::well(part, "everybody's can be seen"),
        Err(_) if guards_all(user) => Finding::less(
            part,
            "not all can be seen, though we are root (hidepid?)",
            "who cannot be seen is not guarded",
        )
        .remedy("mount /proc with `hidepid=0`, or give the service the group that `gid=` names"),
        Err(_) => Finding::less(
            part,
            "other users' are hidden (hidepid)",
            "nothing that a beadle of yours guards; what lies above your login stays unknown",
        ),
    }
}

/// How a process is told from the next that bears its number.
fn identity() -> Finding {
    let part = "identity";
    let hold = match PidFd::open(ourselves::pid()) {
        Ok(hold) => hold,
        Err(why) => {
            let found = format!("this kernel gives no pidfds ({why:?})");
            let lost = "nothing is ever signalled: no signal goes to a bare number";
            return Finding::less(part, found, lost).remedy(
                "Linux 5.3 has them; in a container, let its seccomp filter pass pidfd_open",
            );
        }
    };
    match hold.key(ourselves::pid(), StartTicks(0)).mark() {
        Mark::Inode(_) => Finding::well(
            part,
            "each process has a number that is never used again (pidfs)",
        ),
        Mark::Ticks(_) => Finding::less(
            part,
            "processes are known by number and start time",
            "two that bear one number within a hundredth of a second look alike until they are held",
        )
        .remedy("Linux 6.9 gives each a number of its own"),
    }
}

/// Whether births are heard.
fn births() -> Finding {
    let part = "births";
    let lost = "the scan tier: who is born, starts others and dies between two looks is never seen, and what they leave \
                is not known to belong to the tree";
    match Connector::open() {
        Ok(connector) if connector.is_roomy() => Finding::well(
            part,
            "the kernel tells of every fork, exec and exit (the event tier)",
        ),
        Ok(_) => Finding::less(
            part,
            "the kernel tells of every fork, exec and exit, into a small queue",
            "in a storm of forks some are missed, and everybody is looked at again",
        )
        .remedy("give the service CAP_NET_ADMIN, or set `sysctl net.core.rmem_max=16777216`"),
        Err(why) => Finding::less(part, why.to_string(), lost)
            .remedy("run it as root in the first pid namespace; see `beadle watch --help`, --tier"),
    }
}

/// How the CPU time of the dead is known.
fn accounting() -> Finding {
    let part = "accounting";
    let groups = Groups::open().are_there();
    let exact = "a tree alone in its control group is counted exactly";
    match (Taskstats::open(), groups) {
        (Ok(_), true) => {
            Finding::well(part, format!("the dead leave records (taskstats); {exact}"))
        }
        (Ok(_), false) => Finding::less(
            part,
            "the dead leave records (taskstats); there are no control groups of version 2",
            "no tree is counted exactly: each of the dead by a tick more or less",
        ),
        (Err(why), groups) => {
            let found = match groups {
                true => format!("{why}; {exact}"),
                false => format!("{why}; there are no control groups of version 2"),
            };
            let lost = "of whoever dies between two looks only a range is known, and a limit counts its lower end";
            Finding::less(part, found, lost).remedy("taskstats need CAP_NET_ADMIN and Linux 5.19")
        }
    }
}

/// What we may do to others.
fn permissions(user: Uid) -> Finding {
    let part = "permissions";
    if !guards_all(user) {
        return Finding::well(
            part,
            format!("an ordinary user ({user}): guards that user's processes, and nobody else's"),
        );
    }
    let powers = match Powers::ours() {
        Ok(powers) => powers,
        Err(error) => return Finding::bad(part, format!("capabilities cannot be read: {error}")),
    };
    let lacking: Vec<&str> = Power::ALL
        .into_iter()
        .filter(|power| !powers.has(*power))
        .map(Power::name)
        .collect();
    if lacking.is_empty() {
        return Finding::well(part, "root, with all that matters");
    }
    let lost = "without CAP_KILL other users' processes are only nudged; without CAP_SYS_PTRACE and \
                CAP_DAC_READ_SEARCH what they run is partly unknown, and unknown never matches; without CAP_NET_ADMIN \
                see births and accounting";
    Finding::less(part, format!("root without {}", lacking.join(", ")), lost)
        .remedy("add them to CapabilityBoundingSet= of the service, or to the container")
}

/// How many files may be open.
fn files() -> Finding {
    let part = "files";
    match ourselves::raise_file_limit() {
        Ok(limit) if limit.now >= ROOMY => {
            Finding::well(part, format!("{} may be open at a time", limit.now))
        }
        Ok(limit) => Finding::less(
            part,
            format!("only {} may be open at a time", limit.now),
            "of a larger tree not all are held at once: ending it takes longer",
        )
        .remedy("raise the hard limit: `LimitNOFILE=524288` in a service, `ulimit -Hn` in a shell"),
        Err(error) => Finding::bad(part, format!("the limit cannot be read: {error}")),
    }
}

/// Whether users' sessions can be stepped into, to show notifications; for root's.
fn sessions(user: Uid) -> Option<Finding> {
    if !guards_all(user) {
        return None;
    }
    let part = "sessions";
    if has_porter() {
        let found =
            "notifications are shown by processes of those who see them (beadle-notify.socket)";
        return Some(Finding::well(part, found));
    }
    let found = "there is no beadle-notify.socket: only a beadle that may become others shows notifications";
    let lost =
        "one in the sandbox of its service may not, and writes to the terminals of trees instead";
    Some(Finding::less(part, found, lost).remedy(
        "`beadle service install` puts it there; `systemctl start beadle-notify.socket` starts it",
    ))
}

/// Whether history will bear the right dates.
fn clock() -> Finding {
    let wall = Clock.wall();
    if wall.as_second() >= CLOCK_SET {
        return Finding::well("clock", "set; limits do not depend on it");
    }
    let lost = "dates in the log and in history are wrong, and `between:` gates open at wrong hours; limits do not \
                depend on it";
    Finding::less("clock", format!("it shows {wall}: it was never set"), lost)
        .remedy("start a time service, or set it")
}

/// Other programs that end or stop processes here.
fn others() -> Vec<Finding> {
    let rivals = rivals(Path::new(PROC));
    if rivals.is_empty() {
        return vec![Finding::well(
            "others",
            "no other program that ends or stops processes was recognised",
        )];
    }
    let one = |rival: &crate::sys::rivals::Rival| {
        Finding::well(
            "others",
            format!(
                "{} runs ({}): {}",
                rival.name,
                rival.pid,
                rival.trade.beside_us()
            ),
        )
    };
    rivals.iter().map(one).collect()
}

/// Whether this user's beadle guards everybody.
fn guards_all(user: Uid) -> bool {
    user == Uid::ROOT
}
