//! The other end of the socket: asks one question and waits for its answer.
//!
//! **Invariants.** Every wait has an end. An answer is believed only from a daemon of root or of the same user:
//! the kernel says whose it is. Errors say what, where, and what to do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};

use super::protocol::{Answer, LONGEST_ANSWER, Question, Refusal, RefusalKind, decode, encode};
use crate::engine::process::Uid;

/// How long connecting, sending and each part of the answer may take. A little longer than the server's own
/// patience, so that its refusal is heard.
const PATIENCE: Duration = Duration::from_secs(8);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "no beadle is listening at {}: start one with `beadle watch`",
        places(tried)
    )]
    NoDaemon {
        /// Where we looked.
        tried: Vec<PathBuf>,
    },
    /// We may not connect.
    #[error("{} is another user's: ask as that user, or as root", path.display())]
    Denied {
        /// Where.
        path: PathBuf,
    },
    /// Somebody else listens there.
    #[error(
        "at {} listens a program of user {owner}, who is neither you nor root: its answers are not believed",
        path.display()
    )]
    Foreign {
        /// Where.
        path: PathBuf,
        /// Whose program.
        owner: u32,
    },
    /// The daemon does not answer.
    #[error("the beadle at {} does not answer: `beadle watch` may hang, or the machine be overloaded", path.display())]
    Late {
        /// Where.
        path: PathBuf,
    },
    /// The conversation broke.
    #[error("the conversation with the beadle at {} broke off: {source}", path.display())]
    Broken {
        /// Where.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// The daemon refuses.
    #[error("{0}")]
    Refused(Refusal),
    /// What is meant is known in several places.
    #[error(
        "more than one beadle knows that number: say whose is meant with --socket {}",
        alternatives(places)
    )]
    Several {
        /// Where.
        places: Vec<PathBuf>,
    },
}

fn alternatives(places: &[PathBuf]) -> String {
    let all: Vec<String> = places
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    all.join(" or --socket ")
}

fn places(tried: &[PathBuf]) -> String {
    let tried: Vec<String> = tried
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    tried.join(" or ")
}

/// Asks the first daemon found at `places`, as user `me`.
pub fn ask(places: &[PathBuf], me: Uid, question: &Question) -> Result<Answer, AskError> {
    for path in places {
        match reach(path) {
            Ok(stream) => return converse(path, stream, me, question),
            Err(Errno::NOENT | Errno::CONNREFUSED | Errno::NOTDIR) => {}
            Err(error) => return Err(AskError::of(path, error.into())),
        }
    }
    Err(AskError::NoDaemon {
        tried: places.to_vec(),
    })
}

/// Asks the one daemon that knows what is meant, as `knows` finds in its answer to `probe`: a user's own and the machine's may both
/// listen, and each counts incidents by itself. Where none knows it, each is asked in turn until one has an answer.
pub fn ask_whose(
    places: &[PathBuf],
    me: Uid,
    (probe, knows): (&Question, impl Fn(&Answer) -> bool),
    question: &Question,
) -> Result<Answer, AskError> {
    let has = |place: &&PathBuf| {
        let answer = ask(std::slice::from_ref(*place), me, probe);
        answer.is_ok_and(|answer| knows(&answer))
    };
    let known: Vec<PathBuf> = match places {
        [_] => places.to_vec(),
        _ => places.iter().filter(has).cloned().collect(),
    };
    match known.as_slice() {
        [_] => ask(&known, me, question),
        [] => ask_in_turn(places, me, question),
        [..] => Err(AskError::Several { places: known }),
    }
}

fn ask_in_turn(places: &[PathBuf], me: Uid, question: &Question) -> Result<Answer, AskError> {
    let nobody = AskError::NoDaemon {
        tried: places.to_vec(),
    };
    let mut last = nobody;
    for place in places {
        match ask(std::slice::from_ref(place), me, question) {
            Err(AskError::NoDaemon { .. }) => {}
            Err(AskError::Refused(refusal)) if refusal.kind == RefusalKind::NotFound => {
                last = AskError::Refused(refusal);
            }
            came => return came,
        }
    }
    Err(last)
}

/// Asks every daemon that listens: what is answered. It fails where nobody answers, with what the first says who refuses.
pub fn ask_all(places: &[PathBuf], me: Uid, question: &Question) -> Result<Vec<Answer>, AskError> {
    let (mut answers, mut refused) = (Vec::new(), None);
    for place in places {
        match ask(std::slice::from_ref(place), me, question) {
            Ok(answer) => answers.push(answer),
            Err(AskError::NoDaemon { .. }) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match (answers.is_empty(), refused) {
        (false, _) => Ok(answers),
        (true, Some(error)) => Err(error),
        (true, None) => Err(AskError::NoDaemon {
            tried: places.to_vec(),
        }),
    }
}

impl AskError {
    fn of(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied { path },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Late { path },
            _ => Self::Broken { path, source },
        }
    }
}

/// Connects, but not for ever: a hung daemon's queue may be full.
fn reach(path: &Path) -> Result<UnixStream, Errno> {
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    for direction in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, direction, Some(PATIENCE))?;
    }
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

fn converse(
    path: &Path,
    mut stream: UnixStream,
    me: Uid,
    question: &Question,
) -> Result<Answer, AskError> {
    let broken = |source| AskError::of(path, source);
    let owner = owner(&stream).map_err(broken)?;
    if owner != me.0 && owner != Uid::ROOT.0 {
        return Err(AskError::Foreign {
            path: path.to_owned(),
            owner,
        });
    }
    stream.write_all(&encode(question)).map_err(broken)?;
    let mut line = Vec::new();
    BufReader::new(stream)
        .take(LONGEST_ANSWER as u64)
        .read_until(b'\n', &mut line)
        .map_err(broken)?;
    if line.last() != Some(&b'\n') {
        return Err(broken(io::ErrorKind::UnexpectedEof.into()));
    }
    match decode(&line) {
        Ok(Answer::Refused(refusal)) | Err(refusal) => Err(AskError::Refused(refusal)),
        Ok(answer) => Ok(answer),
    }
}

/// Whose program is at the other end, as Linux tells it.
#[cfg(target_os = "linux")]
fn owner(stream: &UnixStream) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

/// Whose program is at the other end, as macOS and the BSDs tell it.
#[cfg(not(target_os = "linux"))]
fn owner(stream: &UnixStream) -> io::Result<u32> {
    let socket = std::os::fd::AsRawFd::as_raw_fd(stream);
    let (mut user, mut group) = (0, 0);
    // SAFETY: the socket is open for as long as the stream is, and both numbers are ours to be written.
    match unsafe { libc::getpeereid(socket, &raw mut user, &raw mut group) } {
        0 => Ok(user),
        _ => Err(io::Error::last_os_error()),
    }
}
