//! The link to a notifier: one of our own, started for this, or one that the service manager has for us.
//!
//! **Invariants.** Nothing here waits but [`Link::end`], which has a deadline. A notifier that we started is our own child, not
//! waited for yet: nobody else can bear its number. One that we call is reached through a socket that only root can have put there,
//! and whose other end is root's.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::session::Session;
use super::wire::Hello;
use crate::engine::process::{Pid, Uid};
use crate::engine::units::Mono;
use crate::sys::child::{Manner, Start, never_wait};
use crate::sys::clock::Clock;
use crate::sys::pidfd::{Life, PidFd};
use crate::sys::signaller::end_own;

/// Where the service manager has notifiers for the machine's daemon: what `systemd/beadle-notify.socket` listens on.
const PORTER: &str = "/run/beadle/notify.socket";

/// The command that is a notifier.
pub(super) const COMMAND: &str = "notify";

/// How long the end may take: longer than the notifier takes to end by itself.
const GOES: Duration = Duration::from_secs(4);

/// A notifier that can be spoken to.
#[derive(Debug)]
pub(super) struct Link {
    way: Way,
    /// What is to be said first.
    greeting: Vec<u8>,
    /// What its user is called.
    name: Option<String>,
}

#[derive(Debug)]
enum Way {
    /// We started it.
    Started {
        child: Child,
        hold: Option<PidFd>,
        orders: ChildStdin,
        words: ChildStdout,
    },
    /// Somebody else did, because we called.
    Called(UnixStream),
}

/// How it went home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, like this.
    With(ExitStatus),
    /// By itself; how is not ours to know.
    Unseen,
    /// It had to be made to, or did not.
    Forced,
}

impl Link {
    /// Starts one.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) fn start(session: &Session) -> Result<Self, String> {
        started(session).map_err(|why| unstarted(&why, session))
    }

    /// Calls one at [`PORTER`], for this user; `None` where nobody listens. It says itself whether there is a session.
    ///
    /// # Errors
    /// Why it cannot be called, for people.
    pub(super) fn call(whose: Uid, name: Option<String>) -> Result<Option<Self>, String> {
        let stream = match called(Path::new(PORTER)) {
            Ok(Some(stream)) => stream,
            Ok(None) => return Ok(None),
            Err(why) => return Err(format!("cannot reach a notifier at {PORTER}: {why}")),
        };
        // Our own types: nothing that can fail.
        let mut greeting = serde_json::to_vec(&Hello::of(whose)).unwrap_or_default();
        greeting.push(b'\n');
        Ok(Some(Self {
            way: Way::Called(stream),
            greeting,
            name,
        }))
    }

    /// What is to be said first; once.
    pub(super) fn greeting(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.greeting)
    }

    /// What its user is called.
    pub(super) fn name(&self) -> Option<String> {
        self.name.clone()
    }

    /// Where orders go.
    pub(super) fn orders(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Started { orders, .. } => orders.as_fd(),
            Way::Called(stream) => stream.as_fd(),
        }
    }

    /// Where words come from.
    pub(super) fn words(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Started { words, .. } => words.as_fd(),
            Way::Called(stream) => stream.as_fd(),
        }
    }

    /// Sends what can be sent at once.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Started { orders, .. } => orders.write(bytes),
            Way::Called(stream) => stream.write(bytes),
        }
    }

    /// Receives what is there.
    pub(super) fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Started { words, .. } => words.read(room),
            Way::Called(stream) => stream.read(room),
        }
    }

    /// Sends it home, and sees that it goes.
    pub(super) fn end(self) -> End {
        match self.way {
            Way::Started {
                child,
                hold,
                orders,
                words,
            } => {
                drop(orders);
                // What it still says is of no use to anybody, and is not to hold it up.
                drop(words);
                end_of_child(child, hold.as_ref())
            }
            Way::Called(stream) => end_of_call(stream),
        }
    }
}

/// Whether the service manager has notifiers for the machine's daemon.
pub fn has_porter() -> bool {
    is_roots(Path::new(PORTER))
}

/// Whether there is such a socket, and nobody but root can have put it there.
fn is_roots(place: &Path) -> bool {
    let ours = |path: &Path| path.symlink_metadata().ok().filter(|it| it.uid() == 0);
    let socket = ours(place).is_some_and(|it| it.file_type().is_socket());
    let folder = place.parent().and_then(ours);
    socket && folder.is_some_and(|it| it.is_dir() && it.mode() & 0o022 == 0)
}

/// Connects, without waiting; nothing where nobody listens.
fn called(place: &Path) -> io::Result<Option<UnixStream>> {
    if !is_roots(place) {
        return Ok(None);
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrUnix::new(place)?).map_err(io::Error::from) {
        Ok(()) => {}
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(error),
            };
        }
    }
    if !socket_peercred(&socket)?.uid.is_root() {
        let text = "whoever listens there is not root";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(Some(UnixStream::from(socket)))
}

fn started(session: &Session) -> io::Result<Link> {
    let environment = session.environment();
    let start = Start {
        program: &session.program,
        name: Path::new("beadle"),
        args: &[COMMAND.to_owned()],
        environment: &environment,
        ids: session.ids,
        manner: Manner::Narrow,
    };
    let mut child = start
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let hold = Pid::new(child.id()).and_then(|pid| PidFd::open(pid).ok());
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (orders, words) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
    never_wait(&orders)?;
    never_wait(&words)?;
    Ok(Link {
        way: Way::Started {
            child,
            hold,
            orders,
            words,
        },
        greeting: Vec::new(),
        name: session.name.clone(),
    })
}

/// Why there is no notifier.
fn unstarted(why: &io::Error, session: &Session) -> String {
    match session.ids {
        Some((user, _)) if why.kind() == io::ErrorKind::PermissionDenied => format!(
            "cannot become user {user} to show a notification, and nobody listens at {PORTER}: \
             `systemctl start beadle-notify.socket` mends that, and `beadle service install` puts it there"
        ),
        Some(_) | None => format!("cannot start a notifier: {why}"),
    }
}

fn end_of_child(mut child: Child, hold: Option<&PidFd>) -> End {
    let by = Clock.now().after(GOES);
    if let Some(status) = until_dead(hold, &mut child, by) {
        return End::With(status);
    }
    end_own(&mut child);
    let by = Clock.now().after(GOES);
    if until_dead(hold, &mut child, by).is_none() {
        // It does not go, and is waited for all the same.
        let _ = child.wait();
    }
    End::Forced
}

fn until_dead(hold: Option<&PidFd>, child: &mut Child, by: Mono) -> Option<ExitStatus> {
    loop {
        let dead = hold.is_none_or(|hold| hold.life() == Life::Dead);
        if dead && let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        let left = by.since(Clock.now());
        if left.is_zero() {
            return None;
        }
        // Without a hold on it, it is looked at now and then.
        let nap = match hold {
            Some(_) => left,
            None => left.min(Duration::from_millis(50)),
        };
        let mut fds: Vec<PollFd<'_>> = hold
            .map(|hold| PollFd::from_borrowed_fd(hold.as_fd(), PollFlags::IN))
            .into_iter()
            .collect();
        let _ = poll(&mut fds, Timespec::try_from(nap).ok().as_ref());
    }
}

/// It ends when its orders end, as one of ours does. Where it does not, nobody listens to it any more.
fn end_of_call(mut stream: UnixStream) -> End {
    let by = Clock.now().after(GOES);
    let _ = stream.shutdown(Shutdown::Write);
    let mut room = [0; 4 << 10];
    loop {
        match stream.read(&mut room) {
            Ok(0) => return End::Unseen,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return End::Unseen,
        }
        let left = by.since(Clock.now());
        if left.is_zero() {
            return End::Forced;
        }
        let mut fds = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)];
        let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_what_root_alone_can_have_put_there_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let within = folder.path().join("beadle");
        create_dir(&within).unwrap();
        set_permissions(&within, Permissions::from_mode(0o755)).unwrap();
        let place = within.join("notify.socket");
        assert!(!is_roots(&place), "nothing is there");
        std::fs::write(&place, "").unwrap();
        assert!(!is_roots(&place), "a file");
        std::fs::remove_file(&place).unwrap();
        let listener = UnixListener::bind(&place).unwrap();
        let root = rustix::process::geteuid().is_root();
        assert_eq!(is_roots(&place), root);
        let link = within.join("link");
        symlink(&place, &link).unwrap();
        assert!(!is_roots(&link), "it may lead anywhere");
        set_permissions(&within, Permissions::from_mode(0o777)).unwrap();
        assert!(!is_roots(&place), "anybody may put another there");
        set_permissions(&within, Permissions::from_mode(0o755)).unwrap();
        if root {
            assert!(called(&place).unwrap().is_some());
            drop(listener);
            assert!(called(&place).unwrap().is_none(), "nobody listens");
            chown(&place, Some(4_000_000_017), None).unwrap();
            assert!(!is_roots(&place), "somebody else's");
        }
    }
}
