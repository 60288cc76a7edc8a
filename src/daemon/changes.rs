//! Hearing when rule files change.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::inbox::{Mail, Post};

/// Editors write a file in several steps; what they leave is read once they are done for so long.
const SETTLED_NANOS: i64 = 250_000_000;

/// Hears when rule files change: a thread that sleeps in the kernel, for as long as the daemon lives.
#[derive(Debug)]
pub(super) struct Changes {
    fd: Arc<OwnedFd>,
}

impl Changes {
    /// Starts to listen; each burst of changes posts one reload.
    pub(super) fn hear(post: Post) -> io::Result<Self> {
        let fd = Arc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        let theirs = Arc::clone(&fd);
        std::thread::Builder::new()
            .name("rule files".to_owned())
            .stack_size(64 << 10)
            .spawn(
                move || {
                    while burst(&theirs) && post.send(Mail::Reload).is_ok() {}
                },
            )?;
        Ok(Self { fd })
    }

    /// Watches these from now on. Folders rather than files, for editors rename; what is not there yet is watched
    /// through the nearest folder above it that is.
    pub(super) fn watch(&self, paths: &[PathBuf]) -> io::Result<()> {
        let mask = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ATTRIB;
        for path in paths {
            let there = path
                .ancestors()
                .skip(usize::from(!path.is_dir()))
                .find(|folder| folder.is_dir());
            if let Some(folder) = there {
                // Adding a folder again changes nothing.
                inotify::add_watch(&self.fd, folder, mask)?;
            }
        }
        Ok(())
    }
}

/// Waits for changes and until they have settled; `false` when there is nothing to wait on any more.
fn burst(fd: &OwnedFd) -> bool {
    let settled = Timespec {
        tv_sec: 0,
        tv_nsec: SETTLED_NANOS,
    };
    let mut patience = None;
    loop {
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut fds, patience.as_ref()) {
            Ok(0) => return true,
            Ok(_) => match read(fd) {
                Some(Concern::Rules) => patience = Some(settled),
                Some(Concern::Nobody) => {}
                None => return false,
            },
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Whom a change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concern {
    Rules,
    /// A log or an editor's scratch file beside the rules.
    Nobody,
}

/// Reads what has changed; `None` when there is nothing to read from any more.
fn read(fd: &OwnedFd) -> Option<Concern> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
    let mut reader = inotify::Reader::new(fd, &mut buffer);
    let mut concern = Concern::Nobody;
    loop {
        match reader.next() {
            Ok(event) => {
                // An event without a name is about a watched folder itself.
                let name = event.file_name().map(|name| name.to_bytes().to_vec());
                if name.is_none_or(|name| matters(&name)) {
                    concern = Concern::Rules;
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => return Some(concern),
            Err(_) => return None,
        }
    }
}

/// Whether a name in a watched folder can be a rule file, or a folder on the way to one.
fn matters(name: &[u8]) -> bool {
    !name.contains(&b'.')
        || name == b"rules.d"
        || (!name.starts_with(b".") && (name.ends_with(b".yaml") || name.ends_with(b".yml")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_the_rules_does_not_matter() {
        for name in ["beadle.yaml", "20-tests.yml", "rules.d", "beadle"] {
            assert!(matters(name.as_bytes()), "{name}");
        }
        for name in ["beadle.log", ".20-tests.yaml.swp", "x.json", "4913~.tmp"] {
            assert!(!matters(name.as_bytes()), "{name}");
        }
    }
}
