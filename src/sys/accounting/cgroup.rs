//! Control groups of version 2: who is in one, and what was used in it. It needs no controller.
//!
//! Who is moved in between two looks is told by the kernel: whoever moves a process writes its number into the group's
//! file.
//!
//! Nothing here waits: both files are made by the kernel as they are read.
//!
//! **Invariants.** A path is followed only below the mount of the whole hierarchy, and never upwards. What is cut short
//! is not told.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use procfs::FromRead;
use procfs::process::MountInfos;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{Mode, OFlags, fstat, open, openat};

use crate::engine::process::{CgroupId, Pid, Text};
use crate::engine::snapshot::{Depth, Entered, Group};
use crate::engine::units::Mono;
use crate::sys::clock::Clock;
use crate::sys::procfs::{file_in, read_long};

/// A group that holds more than some hundred thousand processes is no unit's own.
const MOST: usize = 1 << 20;
/// Folders that nobody asked for in so long are closed.
const IDLE: Duration = Duration::from_secs(30);

const QUIET: CreateFlags = CreateFlags::CLOEXEC.union(CreateFlags::NONBLOCK);

/// The groups that are asked about.
#[derive(Debug)]
pub struct Groups {
    /// The root of the hierarchy, and what tells of changes; `None` where there is none, or it is not wanted.
    root: Option<(OwnedFd, OwnedFd)>,
    kept: Vec<Kept>,
    text: Vec<u8>,
}

/// The open files of one group.
#[derive(Debug)]
struct Kept {
    path: Text,
    folder: OwnedFd,
    members: OwnedFd,
    stat: OwnedFd,
    /// The root of all has none, and is never frozen.
    events: Option<OwnedFd>,
    asked: Mono,
    /// The kernel's numbers for the file that newcomers are written into, and for the folder.
    watches: [i32; 2],
    entered: Entered,
}

/// A look at some groups that is half done: their processes are listed.
#[derive(Debug, Default)]
pub struct Listed(Vec<Group>);

impl Groups {
    /// All groups of this machine, as far as they can be seen from here.
    pub fn open() -> Self {
        Self {
            root: mount().zip(inotify::init(QUIET).ok()),
            ..Self::none()
        }
    }

    /// Whether there are any to be seen.
    pub const fn are_there(&self) -> bool {
        self.root.is_some()
    }

    /// No group at all.
    pub fn none() -> Self {
        Self {
            root: None,
            kept: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Lists the processes of groups; one that is not there, or not ours to read, is left out.
    pub fn list(&mut self, paths: &[Text], clock: Clock) -> Listed {
        let now = clock.now();
        self.forget(|kept| now.since(kept.asked) >= IDLE);
        self.hear();
        let groups = paths.iter().filter_map(|path| self.list_one(path, clock));
        Listed(groups.collect())
    }

    fn list_one(&mut self, path: &Text, clock: Clock) -> Option<Group> {
        let listed = clock.now();
        let at = self.kept.iter().position(|kept| kept.path == *path);
        let at = if let Some(at) = at {
            at
        } else {
            let (root, changes) = self.root.as_ref()?;
            let kept = Kept::open(root, changes, path, listed)?;
            self.kept.push(kept);
            self.kept.len().checked_sub(1)?
        };
        let kept = self.kept.get_mut(at)?;
        kept.asked = listed;
        let found = kept.members(&mut self.text).zip(kept.depth());
        let Some(((members, depth), id)) = found.zip(kept.id()) else {
            // It was removed; one of the same name is another.
            self.forget(|kept| kept.path == *path);
            return None;
        };
        let entered = std::mem::replace(&mut kept.entered, Entered::Nobody);
        Some(Group {
            path: path.clone(),
            id,
            listed,
            members,
            depth,
            entered,
            frozen: kept.is_frozen(&mut self.text),
            at: listed,
            used: Duration::ZERO,
        })
    }

    /// Reads what was used in them, after everything else of the look.
    pub fn measure(&mut self, listed: Listed, clock: Clock) -> Vec<Group> {
        let mut groups = listed.0;
        groups.retain_mut(|group| {
            let kept = self.kept.iter().find(|kept| kept.path == group.path);
            group.at = clock.now();
            match kept.and_then(|kept| kept.used(&mut self.text)) {
                Some(used) => {
                    group.used = used;
                    true
                }
                None => false,
            }
        });
        self.hear();
        // Whoever came in meanwhile is in the time that was read, and in no list.
        let still = |group: &Group| {
            let mut kept = self.kept.iter();
            kept.any(|kept| kept.path == group.path && kept.entered == Entered::Nobody)
        };
        groups.retain(still);
        groups
    }

    /// Notes who came in.
    fn hear(&mut self) {
        let Some((_, changes)) = &self.root else {
            return;
        };
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(changes, &mut room);
        while let Ok(event) = reader.next() {
            let all = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            for kept in &mut self.kept {
                if all || kept.watches.contains(&event.wd()) {
                    kept.entered = Entered::Somebody;
                }
            }
        }
    }

    fn forget(&mut self, which: impl Fn(&Kept) -> bool) {
        let Some((_, changes)) = &self.root else {
            return;
        };
        for kept in self.kept.extract_if(.., |kept| which(kept)) {
            for watch in kept.watches {
                // With a group that is gone its watches went too.
                let _ = inotify::remove_watch(changes, watch);
            }
        }
    }
}

impl Kept {
    fn open(root: &OwnedFd, changes: &OwnedFd, path: &Text, asked: Mono) -> Option<Self> {
        let folder = folder(root, path)?;
        let members = file_in(&folder, b"cgroup.procs").ok()?;
        let watch = |file: &OwnedFd, what| {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            inotify::add_watch(changes, path, what).ok()
        };
        let watches = [
            watch(&members, WatchFlags::MODIFY)?,
            watch(&folder, WatchFlags::CREATE)?,
        ];
        Some(Self {
            path: path.clone(),
            members,
            stat: file_in(&folder, b"cpu.stat").ok()?,
            events: file_in(&folder, b"cgroup.events").ok(),
            folder,
            asked,
            watches,
            entered: Entered::Nobody,
        })
    }

    /// Its processes.
    fn members(&self, text: &mut Vec<u8>) -> Option<Vec<Pid>> {
        let lines = read(&self.members, text)?.lines();
        lines.map(|line| Pid::new(line.parse().ok()?)).collect()
    }

    /// A folder has a link for itself, one from its parent and one from each folder in it.
    fn depth(&self) -> Option<Depth> {
        let folder = fstat(&self.folder).ok()?;
        Some(match folder.st_nlink {
            2 => Depth::Flat,
            _ => Depth::Deep,
        })
    }

    fn id(&self) -> Option<CgroupId> {
        Some(CgroupId(fstat(&self.folder).ok()?.st_ino))
    }

    /// Whether the kernel has frozen it, or all above it: so a container is paused, and a unit frozen by systemd.
    fn is_frozen(&self, text: &mut Vec<u8>) -> bool {
        let events = self.events.as_ref().and_then(|events| read(events, text));
        events.is_some_and(|events| events.lines().any(|line| line == "frozen 1"))
    }

    /// CPU time used in it and below it since it was made.
    fn used(&self, text: &mut Vec<u8>) -> Option<Duration> {
        let micros = read(&self.stat, text)?
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "))?;
        Some(Duration::from_micros(micros.parse().ok()?))
    }
}

/// A whole file; `None` when there is no more of it than could be read.
fn read(file: impl AsFd, text: &mut Vec<u8>) -> Option<&str> {
    read_long(file, text, MOST).ok()?;
    if text.len() >= MOST {
        return None;
    }
    str::from_utf8(text).ok()
}

/// Which group has this path now; `None` where there is none, or it is not ours to see.
pub fn id_of(path: &Text) -> Option<CgroupId> {
    static ROOT: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let root = ROOT.get_or_init(mount).as_ref()?;
    let stat = match path.bytes() {
        b"/" => fstat(root),
        _ => fstat(folder(root, path)?),
    };
    Some(CgroupId(stat.ok()?.st_ino))
}

fn folder(root: &OwnedFd, path: &Text) -> Option<OwnedFd> {
    let below = path.bytes().strip_prefix(b"/")?;
    let mut parts = below.split(|byte| *byte == b'/');
    if below.is_empty() || parts.any(|part| part.is_empty() || part == b".." || part == b".") {
        return None;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(root, below, flags, Mode::empty()).ok()
}

/// Where the whole hierarchy of version 2 is mounted.
pub(in crate::sys) fn mount() -> Option<OwnedFd> {
    let text = fs::read("/proc/self/mountinfo").ok()?;
    let mounts = MountInfos::from_read(text.as_slice()).ok()?;
    // A mount of a part of it would give other groups the paths of those we mean.
    let mount = mounts
        .iter()
        .find(|mount| mount.fs_type == "cgroup2" && mount.root == "/")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(&mount.mount_point, flags, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group of our own for a test; removed with it.
    struct Own(std::path::PathBuf);

    impl Own {
        fn new(name: &str) -> Option<Self> {
            let text = fs::read("/proc/self/mountinfo").ok()?;
            let mounts = MountInfos::from_read(text.as_slice()).ok()?;
            let mount = mounts.iter().find(|mount| mount.fs_type == "cgroup2")?;
            let folder = mount
                .mount_point
                .join(format!("{name}-{}", std::process::id()));
            fs::create_dir(&folder).ok()?;
            Some(Self(folder))
        }

        fn path(&self) -> Text {
            Text::from(format!("/{}", self.0.file_name().unwrap().to_str().unwrap()).as_str())
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = fs::remove_dir(self.0.join("below"));
            let _ = fs::remove_dir(&self.0);
        }
    }

    fn look(groups: &mut Groups, path: &Text) -> Vec<Group> {
        let listed = groups.list(std::slice::from_ref(path), Clock);
        groups.measure(listed, Clock)
    }

    #[test]
    fn a_group_that_somebody_froze_is_told_from_one_that_sleeps() {
        // Only root may make one, and only where there is a hierarchy.
        let Some(own) = Own::new("beadle-frozen") else {
            return;
        };
        let mut groups = Groups::open();
        let enter = format!("echo $$ > {}/cgroup.procs; exec sleep 60", own.0.display());
        let mut child = std::process::Command::new("sh")
            .args(["-c", &enter])
            .spawn()
            .unwrap();
        let mut frozen = || look(&mut groups, &own.path()).first().map(|it| it.frozen);
        assert_eq!(frozen(), Some(false));
        fs::write(own.0.join("cgroup.freeze"), "1").unwrap();
        crate::sys::villain::wait_until("it to stand", || frozen() == Some(true));
        fs::write(own.0.join("cgroup.freeze"), "0").unwrap();
        crate::sys::villain::wait_until("it to go on", || frozen() == Some(false));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_group_shows_who_is_in_it_and_what_they_used() {
        // Only root may make one, and only where there is a hierarchy.
        let Some(own) = Own::new("beadle-unit") else {
            return;
        };
        let mut groups = Groups::open();
        assert_eq!(look(&mut groups, &own.path())[0].members, []);
        let burn = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; read x";
        let mut child = std::process::Command::new("sh")
            .args([
                "-c",
                &format!("echo $$ > {}/cgroup.procs; {burn}", own.0.display()),
            ])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        crate::sys::villain::wait_until("some use", || {
            look(&mut groups, &own.path())[0].used > Duration::from_millis(2)
        });
        let seen = look(&mut groups, &own.path()).remove(0);
        assert_eq!(seen.members, [Pid::new(child.id()).unwrap()]);
        assert_eq!((seen.depth, seen.entered), (Depth::Flat, Entered::Nobody));
        assert!(seen.listed <= seen.at);
        // Whoever is moved in is noticed, also if they are gone at the next look.
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        for group in [&own.0, own.0.parent().unwrap()] {
            fs::write(group.join("cgroup.procs"), other.id().to_string()).unwrap();
        }
        let seen = look(&mut groups, &own.path()).remove(0);
        assert_eq!((seen.members.len(), seen.entered), (1, Entered::Somebody));
        assert_eq!(look(&mut groups, &own.path())[0].entered, Entered::Nobody);
        other.kill().unwrap();
        other.wait().unwrap();
        fs::create_dir(own.0.join("below")).unwrap();
        assert_eq!(look(&mut groups, &own.path())[0].depth, Depth::Deep);
        drop(child.stdin.take());
        child.wait().unwrap();
        let path = own.path();
        drop(own);
        assert_eq!(look(&mut groups, &path), []);
    }

    #[test]
    fn no_path_leads_out_of_the_hierarchy() {
        let mut groups = Groups::open();
        for path in [
            "",
            "/",
            "job",
            "/../etc",
            "/a/../../etc",
            "//",
            "/./x",
            "/no/such/group",
        ] {
            assert_eq!(look(&mut groups, &Text::from(path)), [], "{path}");
        }
        assert_eq!(look(&mut Groups::none(), &Text::from("/init.scope")), []);
    }
}
