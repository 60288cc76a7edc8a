//! Other programs on this machine that end, stop or restart processes.
//!
//! They are known by the name the kernel shows of them, which any program may give itself: good for telling people, and
//! for nothing else.

use std::mem::MaybeUninit;
use std::path::Path;

use super::procfs::{Entry, Procfs, read_short};
use crate::engine::process::Pid;

/// What a program does to processes that are not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trade {
    /// Ends them when memory runs out.
    Memory,
    /// Stops them for moments, to make them slower.
    Throttle,
    /// Starts them again when they end, and may end them by itself.
    Restart,
}

impl Trade {
    /// How it and beadle get along.
    pub const fn beside_us(self) -> &'static str {
        match self {
            Self::Memory => {
                "it ends processes when memory runs out, and tells nobody why: such an incident closes as `exited`; a \
                 `memory` limit below its threshold comes first"
            }
            Self::Throttle => {
                "it stops processes for moments: while all of a tree stand still its `cpu` is unknown, and beadle's \
                 TERM lets those go on that it finds stopped"
            }
            Self::Restart => {
                "it starts again what ends: after three of one kind beadle only nudges, and names who restarts them"
            }
        }
    }
}

/// By the names the kernel shows, of 15 bytes at most.
const KNOWN: [(&str, Trade); 14] = [
    ("earlyoom", Trade::Memory),
    ("systemd-oomd", Trade::Memory),
    ("oomd", Trade::Memory),
    ("nohang", Trade::Memory),
    ("low-memory-moni", Trade::Memory),
    ("bustd", Trade::Memory),
    ("thrash-protect", Trade::Throttle),
    ("cpulimit", Trade::Throttle),
    ("and", Trade::Throttle),
    ("monit", Trade::Restart),
    ("supervisord", Trade::Restart),
    ("circusd", Trade::Restart),
    ("runsvdir", Trade::Restart),
    ("s6-svscan", Trade::Restart),
];

/// One of them, at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Its number.
    pub pid: Pid,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub trade: Trade,
}

/// Those who run now, as far as this procfs shows them.
pub fn rivals(proc: &Path) -> Vec<Rival> {
    let mut names = [MaybeUninit::uninit(); 4096];
    let Ok(mut procfs) = Procfs::open(proc) else {
        return Vec::new();
    };
    let pids = procfs.list(&mut names).unwrap_or_default();
    let known = |pid: Pid| {
        let file = procfs.file(&Entry::of(pid).at("comm")).ok()?;
        let mut buffer = [0; 32];
        let comm = read_short(&file, &mut buffer).ok()?;
        let comm = comm.strip_suffix(b"\n").unwrap_or(comm);
        let (name, trade) = KNOWN.iter().find(|(name, _)| name.as_bytes() == comm)?;
        Some(Rival {
            pid,
            name,
            trade: *trade,
        })
    };
    pids.into_iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fake_proc::{FakeProc, Line};

    #[test]
    fn they_are_known_by_their_whole_name() {
        let proc = FakeProc::new();
        for (pid, comm) in [
            (7, "earlyoom"),
            (8, "earlyoomish"),
            (9, "monit"),
            (10, "bash"),
        ] {
            let line = Line::default();
            let _process = proc.process(pid, line).file("comm", format!("{comm}\n"));
        }
        let _gone = proc.bare(11);
        let mut found = rivals(proc.path());
        found.sort_by_key(|rival| rival.pid);
        let found: Vec<_> = found
            .iter()
            .map(|rival| (rival.pid.number(), rival.name, rival.trade))
            .collect();
        assert_eq!(
            found,
            [(7, "earlyoom", Trade::Memory), (9, "monit", Trade::Restart)]
        );
    }

    #[test]
    fn no_name_is_longer_than_the_kernel_shows() {
        assert!(KNOWN.iter().all(|(name, _)| name.len() <= 15));
    }
}
