//! Which terminal a process has.
//!
//! The stat line has a device number, which the machine's device table turns into a path. When a terminal is closed, its
//! session loses it and the number becomes zero: what then still tells is a standard file whose link ends in
//! ` (deleted)`. That trace is what marks a process as left over from a terminal.

use super::folder::Folder;
use crate::engine::facts::{Place, Read};
use crate::engine::process::Text;

/// Major numbers of pseudo-terminals. The first alone is in use, with up to 2²⁰ minors.
const PSEUDO: std::ops::RangeInclusive<u32> = 136..=143;

/// The terminal of a process whose stat line has this device number.
pub(super) fn terminal(folder: &Folder, number: u32) -> Read<Option<Place>> {
    let mut standard = ["fd/0", "fd/1", "fd/2"]
        .into_iter()
        .filter_map(|name| folder.place(name).ok());
    if number == 0 {
        let lost = standard.find(|place| place.deleted && is_terminal(place.path.bytes()));
        return Read::Known(lost);
    }
    match device(number) {
        Some(path) => {
            let deleted = standard.any(|place| place.deleted && place.path == path);
            Read::Known(Some(Place { path, deleted }))
        }
        // The kernel knows it by number alone.
        None => Read::Denied,
    }
}

/// Whether a path is that of a terminal.
fn is_terminal(path: &[u8]) -> bool {
    path.starts_with(b"/dev/pts/") || path.starts_with(b"/dev/tty")
}

/// The path of a terminal, by device number.
fn device(number: u32) -> Option<Text> {
    // The layout of a device number in `/proc`: minor 31..20, major 19..8, minor 7..0.
    let (major, minor) = (
        (number >> 8) & 0xfff,
        (number & 0xff) | ((number >> 12) & 0xf_ff00),
    );
    if PSEUDO.contains(&major) {
        let index = (major - PSEUDO.start()) * 256 + minor;
        return Some(Text::from(format!("/dev/pts/{index}").as_str()));
    }
    let event = std::fs::read_to_string(format!("/sys/dev/char/{major}:{minor}/uevent")).ok()?;
    let name = event
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="))?;
    Some(Text::from(format!("/dev/{name}").as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::process::Pid;
    use crate::sys::fake_proc::{FakeProc, Line};
    use crate::sys::procfs::{Entry, Procfs};

    #[test]
    fn device_numbers_are_paths() {
        let shown = |number| device(number).map(|path| path.to_string());
        assert_eq!(shown(136 << 8 | 5).as_deref(), Some("/dev/pts/5"));
        assert_eq!(
            shown(1 << 20 | 136 << 8 | 5).as_deref(),
            Some("/dev/pts/261")
        );
        assert_eq!(shown(137 << 8 | 1).as_deref(), Some("/dev/pts/257"));
        assert_eq!(shown(0xfff << 8), None);
    }

    #[test]
    fn a_closed_terminal_leaves_a_trace() {
        let told = |number, link: &str| {
            let proc = FakeProc::new();
            proc.process(3, Line::default())
                .link("fd/0", "/dev/null")
                .link("fd/2", link);
            let real = Procfs::open(proc.path()).unwrap();
            let folder = Folder::open(&real, &Entry::of(Pid::new(3).unwrap())).unwrap();
            match terminal(&folder, number) {
                Read::Known(Some(place)) => format!("{} {}", place.path, place.deleted),
                other => format!("{other:?}"),
            }
        };
        let pts = 136 << 8 | 5;
        assert_eq!(told(pts, "/dev/pts/5"), "/dev/pts/5 false");
        assert_eq!(told(pts, "/dev/pts/6 (deleted)"), "/dev/pts/5 false");
        assert_eq!(told(pts, "/dev/pts/5 (deleted)"), "/dev/pts/5 true");
        assert_eq!(told(0, "/dev/pts/5 (deleted)"), "/dev/pts/5 true");
        assert_eq!(told(0, "/dev/pts/5"), "Known(None)");
        assert_eq!(told(0, "/tmp/log (deleted)"), "Known(None)");
    }
}
