//! The machine as a whole: how much memory there is for us, how many processors.
//!
//! Memory is the machine's, or that of the control group we run in where it is smaller: in a container the machine's
//! figure means nothing. What can change while we run is read again once a minute.

use std::path::{Path, PathBuf};
use std::time::Duration;

use procfs::process::{MountInfo, MountInfos};
use procfs::{FromRead, ProcessCGroups};

use crate::engine::gate::Vitals;
use crate::engine::snapshot::Machine;
use crate::engine::units::{Bytes, Mono};
use crate::sys::clock::Clock;
use crate::sys::procfs::{Numbers, Procfs, file_in, read_long};

/// How long a reading is good for.
const FRESH: Duration = Duration::from_secs(60);

/// Files read here are short; a machine with thousands of mounts has a long list.
const MOST: usize = 1 << 20;

/// The latest reading.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    read: Option<Mono>,
    memory: Bytes,
    cores: u32,
    tick: Duration,
}

impl Gauge {
    /// The machine now.
    pub(super) fn machine(&mut self, proc: &Procfs, clock: Clock) -> Machine {
        let now = clock.now();
        if self.read.is_none_or(|read| now.since(read) >= FRESH) {
            self.read = Some(now);
            self.memory = memory(proc);
            self.cores = cores();
            self.tick = clock.tick();
        }
        Machine {
            slept: clock.slept(),
            local_minute: clock.local_minute(),
            memory: self.memory,
            cores: self.cores,
            tick: self.tick,
            // Only those that are wanted are read, at each look.
            vitals: Vitals::default(),
        }
    }
}

/// Processors online; 0 when unknown.
fn cores() -> u32 {
    // Some C libraries count only those that we ourselves may run on.
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    if let Some(listed) = count(list.trim()) {
        return listed;
    }
    // SAFETY: sysconf takes no pointers.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(online).unwrap_or(0)
}

/// How many numbers are in a list such as `0-3,6`.
fn count(list: &str) -> Option<u32> {
    let mut sum: u32 = 0;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        sum = sum.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(sum)
}

/// Memory there is for us; 0 when unknown.
fn memory(proc: &Procfs) -> Bytes {
    let total = read(proc, "meminfo").as_deref().and_then(total);
    let ours = match proc.numbers() {
        Numbers::Ours => own_limit(proc),
        Numbers::Foreign => None,
    };
    total.into_iter().chain(ours).min().unwrap_or_default()
}

fn read(proc: &Procfs, name: &str) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let file = file_in(proc, name.as_bytes()).ok()?;
    read_long(&file, &mut text, MOST).ok()?;
    Some(text)
}

/// `MemTotal`, the first line of meminfo.
fn total(meminfo: &[u8]) -> Option<Bytes> {
    let line = meminfo.split(|&byte| byte == b'\n').next()?;
    let mut words = str::from_utf8(line).ok()?.split_whitespace();
    match (words.next()?, words.next()?, words.next()?) {
        ("MemTotal:", kib, "kB") => kib.parse().ok().map(Bytes::kib),
        _ => None,
    }
}

/// The tightest limit of the control groups we are in.
fn own_limit(proc: &Procfs) -> Option<Bytes> {
    let groups = ProcessCGroups::from_read(read(proc, "self/cgroup")?.as_slice()).ok()?;
    let mounts = MountInfos::from_read(read(proc, "self/mountinfo")?.as_slice()).ok()?;
    let mut tightest = None;
    for mount in &mounts {
        let Some((file, controller)) = limit_file(mount) else {
            continue;
        };
        let group = groups.0.iter().find(|group| match controller {
            Some(name) => group.controllers.iter().any(|have| have == name),
            None => group.hierarchy == 0,
        });
        let folders = group.map(|group| folders(mount, &group.pathname));
        for folder in folders.into_iter().flatten() {
            let limit = std::fs::read_to_string(folder.join(file))
                .ok()
                .and_then(|text| text.trim().parse().ok().map(Bytes));
            tightest = tightest.into_iter().chain(limit).min();
        }
    }
    tightest
}

/// The file that holds the limit in a mounted hierarchy, and the v1 controller it belongs to.
fn limit_file(mount: &MountInfo) -> Option<(&'static str, Option<&'static str>)> {
    match mount.fs_type.as_str() {
        // "max", where there is no limit, is no number.
        "cgroup2" => Some(("memory.max", None)),
        // Without a limit this is a number near 2⁶³, which the machine's own memory undercuts.
        "cgroup" if mount.super_options.contains_key("memory") => {
            Some(("memory.limit_in_bytes", Some("memory")))
        }
        _ => None,
    }
}

/// The folder of a group and of all groups around it, as far as they are mounted.
fn folders(mount: &MountInfo, group: &str) -> Vec<PathBuf> {
    // In a container without a namespace of its own, the mount shows only the part below the container's group.
    let inside = Path::new(group)
        .strip_prefix(&mount.root)
        .unwrap_or(Path::new(""));
    inside
        .ancestors()
        .map(|folder| mount.mount_point.join(folder))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_measured() {
        let proc = Procfs::open(Path::new("/proc")).unwrap();
        let machine = Gauge::default().machine(&proc, Clock);
        assert!(machine.memory > Bytes::mib(64) && machine.memory < Bytes::gib(1 << 20));
        assert!(machine.cores > 0);
    }

    #[test]
    fn processors_are_counted_as_the_kernel_lists_them() {
        for (list, number) in [("0", 1), ("0-7", 8), ("0-3,6,8-9", 7)] {
            assert_eq!(count(list), Some(number), "{list}");
        }
        for list in ["", "x", "3-1", "0-", ",", "0-4294967295"] {
            assert_eq!(count(list), None, "{list}");
        }
    }

    #[test]
    fn only_a_memory_line_is_a_memory_line() {
        assert_eq!(
            total(b"MemTotal:   64 kB\nMemFree: 1 kB\n"),
            Some(Bytes::kib(64))
        );
        for text in ["", "MemTotal:", "MemTotal: x kB", "MemFree: 3 kB", "\0\0\0"] {
            assert_eq!(total(text.as_bytes()), None);
        }
    }

    #[test]
    fn groups_around_ours_count_as_far_as_they_are_mounted() {
        let line =
            "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
        let mounts = MountInfos::from_read(line.as_bytes()).unwrap();
        let mount = mounts.iter().next().unwrap();
        assert_eq!(
            limit_file(mount),
            Some(("memory.limit_in_bytes", Some("memory")))
        );
        let top = PathBuf::from("/sys/fs/cgroup/memory/");
        assert_eq!(
            folders(mount, "/docker/abc/job"),
            [top.join("job"), top.clone()]
        );
        assert_eq!(folders(mount, "/elsewhere"), [top]);
    }
}
