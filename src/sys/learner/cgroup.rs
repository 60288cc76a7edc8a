//! `/proc/PID/cgroup`: where a process is filed, and whether that is a container.
//!
//! The file has a line per hierarchy, `ID:CONTROLLERS:PATH`. Paths are chosen by whoever made the group: bytes.

use crate::engine::process::{CgroupId, Text};
use crate::sys::accounting::cgroup as groups;

/// Words in a path that make a bare hexadecimal name below them a container's id.
const RUNTIMES: [&str; 7] = [
    "docker",
    "kubepods",
    "libpod",
    "containerd",
    "crio",
    "ecs",
    "buildkit",
];

/// The control group: that of v2, else (where v2 holds nothing) the one systemd keeps in v1.
pub(in crate::sys) fn path(file: &[u8]) -> Option<Text> {
    let unified = lines(file).find(|line| line.controllers.is_empty() && line.id == b"0");
    let systemd = lines(file).find(|line| line.controllers == b"name=systemd");
    let root = |line: &Line<'_>| line.path == b"/";
    let found = match (unified, systemd) {
        // On a machine with both, v2 may be mounted but unused.
        (Some(unified), Some(systemd)) if root(&unified) => systemd,
        (Some(line), _) | (None, Some(line)) => line,
        (None, None) => lines(file).next()?,
    };
    Some(Text::new(found.path))
}

/// Which control group of v2 that is, if [`path`] is of v2. The file is read again afterwards: a group that has its process
/// in it cannot have given its path to another.
pub(in crate::sys) fn identity(
    file: &[u8],
    again: impl FnOnce() -> Option<Vec<u8>>,
) -> Option<CgroupId> {
    let unified = |file: &[u8]| {
        let line = lines(file).find(|line| line.controllers.is_empty() && line.id == b"0")?;
        Some(Text::new(line.path))
    };
    let path = unified(file).filter(|unified| path(file).as_ref() == Some(unified))?;
    let id = groups::id_of(&path)?;
    (unified(&again()?)? == path).then_some(id)
}

/// The id of the container it lives in, from whichever hierarchy shows it.
pub(super) fn container(file: &[u8]) -> Option<Text> {
    lines(file).find_map(|line| id(line.path)).map(Text::new)
}

struct Line<'a> {
    id: &'a [u8],
    controllers: &'a [u8],
    path: &'a [u8],
}

fn lines(file: &[u8]) -> impl Iterator<Item = Line<'_>> {
    file.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |&byte| byte == b':');
        Some(Line {
            id: parts.next()?,
            controllers: parts.next()?,
            path: parts.next()?,
        })
    })
}

/// The innermost container of a path.
fn id(path: &[u8]) -> Option<&[u8]> {
    let in_runtime = RUNTIMES
        .iter()
        .any(|name| path.windows(name.len()).any(|part| part == name.as_bytes()));
    let shortest = if in_runtime { 32 } else { 64 };
    let parts = path.split(|&byte| byte == b'/');
    parts.rev().find_map(|part| id_of(part, shortest))
}

/// The container a folder of a path is named after: `ID`, `docker-ID.scope`, `cri-containerd-ID`, `ID-1234567890`,
/// `lxc.payload.NAME`.
fn id_of(part: &[u8], shortest: usize) -> Option<&[u8]> {
    if let Some(name) = part.strip_prefix(b"lxc.payload.") {
        return Some(name);
    }
    let part = part.strip_suffix(b".scope").unwrap_or(part);
    let mut words = part.rsplit(|&byte| byte == b'-');
    // The monitor of a container carries its id, but runs outside.
    if words.clone().any(|word| word == b"conmon") {
        return None;
    }
    words.find(|word| word.len() >= shortest && word.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(length: usize) -> String {
        "0123456789abcdef".repeat(8)[..length].to_owned()
    }

    fn found(file: &str) -> Option<String> {
        container(file.as_bytes()).map(|id| id.to_string())
    }

    #[test]
    fn every_runtime_is_known_by_its_paths() {
        let id = hex(64);
        for path in [
            format!("0::/system.slice/docker-{id}.scope"),
            format!(
                "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope/container"
            ),
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("0::/kubepods/burstable/pod0a1b2c3d-0000/{id}"),
            format!("0::/kubepods.slice/crio-{id}"),
            format!("12:memory:/docker/{id}\n0::/"),
            format!("4:cpu:/\n3:name=systemd:/docker/{}/docker/{id}", hex(63)),
        ] {
            assert_eq!(found(&path).as_deref(), Some(id.as_str()), "{path}");
        }
        let task = format!("2:cpu:/ecs/cluster/{}/{}-1234567890", hex(32), hex(32));
        assert_eq!(found(&task), Some(hex(32)));
        assert_eq!(
            found("0::/lxc.payload.web/init.scope").as_deref(),
            Some("web")
        );
    }

    #[test]
    fn what_is_no_container_is_none() {
        let id = hex(64);
        for path in [
            "0::/".to_owned(),
            "0::/user.slice/user-1000.slice/session-3.scope".to_owned(),
            format!("0::/system.slice/run-{}.scope", hex(32)),
            format!("0::/machine.slice/libpod-conmon-{id}.scope"),
            "garbage".to_owned(),
            String::new(),
        ] {
            assert_eq!(found(&path), None, "{path}");
        }
    }

    #[test]
    fn the_group_is_that_of_v2_where_it_is_used() {
        let shown = |file: &str| path(file.as_bytes()).map(|path| path.to_string());
        assert_eq!(shown("0::/a/b\n").as_deref(), Some("/a/b"));
        assert_eq!(
            shown("4:cpu:/x\n1:name=systemd:/s\n0::/\n").as_deref(),
            Some("/s")
        );
        assert_eq!(
            shown("1:name=systemd:/s\n0::/u:v\n").as_deref(),
            Some("/u:v")
        );
        assert_eq!(shown("4:cpu:/x\n").as_deref(), Some("/x"));
        assert_eq!(shown(""), None);
    }
}
