//! The porter: lets the machine's daemon into a user's session, and becomes that user to do so.
//!
//! ```text
//! the daemon ──connects──▶ beadle-notify.socket ──▶ systemd starts beadle-notify@….service: root, and CAP_SETUID and CAP_SETGID alone
//!    │                                                  │ peer is root? a user that is known, and not root?
//!    └───── orders and words, as over pipes ───────▶ becomes that user for good ──▶ `beadle notify`
//! ```
//!
//! **Invariants.** It believes nobody but root, as the kernel vouches for the other end. It becomes the one user who is named first,
//! never root, never somebody unknown here; before that it reads one short line and nothing else, with a deadline. Afterwards
//! nothing of root is left: neither numbers, groups nor capabilities. Only then are a user's files looked at.
//!
//! # Why the service manager
//! To become anybody takes `CAP_SETUID`, and a sight of `/run/user`. The daemon reads what hostile processes say of themselves all
//! day: it has neither. This program has both for a moment, and reads thirty bytes of its own daemon's.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};

use super::link::COMMAND;
use super::notifier::say;
use super::session::{Own, Session};
use super::wire::{Hello, LONGEST_HELLO, Word};
use crate::engine::process::Uid;
use crate::sys::child::{Manner, Start};
use crate::sys::users::Users;

/// How long the daemon may take to say who is meant.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves the daemon that has connected our standard input and output, as the user whom it names.
///
/// # Errors
/// When it is not the machine's daemon, or names nobody whom we may become: for the log.
pub fn run() -> io::Result<()> {
    match admit() {
        Ok(Some(session)) => Err(go_on(&session)),
        Ok(None) => {
            say(&Word::NoSession);
            Ok(())
        }
        Err(Turned::Away(text)) => Err(io::Error::new(io::ErrorKind::PermissionDenied, text)),
        Err(Turned::Down(text)) => {
            say(&Word::Failed {
                tag: 0,
                text: text.clone(),
            });
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

/// Why nobody is served.
enum Turned {
    /// Whoever it is learns nothing.
    Away(&'static str),
    /// The daemon learns why.
    Down(String),
}

/// The session of whoever is named, and we are that user.
fn admit() -> Result<Option<Session>, Turned> {
    let daemon = io::stdin();
    let Ok(peer) = socket_peercred(&daemon) else {
        return Err(Turned::Away(
            "standard input is no connection: beadle-notify.socket starts this, nobody else",
        ));
    };
    if !peer.uid.is_root() {
        return Err(Turned::Away("only the machine's own beadle is served"));
    }
    let hello = heard(&daemon)?;
    if hello.version != env!("CARGO_PKG_VERSION") {
        return Err(Turned::Down(format!(
            "the beadle that watches is of another version than the one that shows notifications ({}): `systemctl restart beadle`",
            env!("CARGO_PKG_VERSION")
        )));
    }
    let whose = Uid(hello.whose);
    let group = may_become(whose, &Users::default())?;
    become_user(whose, group).map_err(|error| {
        Turned::Down(format!(
            "cannot become user {}: {error}; it takes CAP_SETUID and CAP_SETGID",
            whose.0
        ))
    })?;
    let own = Own {
        user: whose,
        address: None,
        runtime: None,
        // Whatever has become of its file since.
        program: PathBuf::from("/proc/self/exe"),
    };
    own.session(whose).map_err(Turned::Down)
}

/// Reads the first line, and not a byte more: the rest is the notifier's.
fn heard(daemon: impl AsFd) -> Result<Hello, Turned> {
    let unheard = |_| Turned::Away("nobody was named");
    set_socket_timeout(&daemon, Timeout::Recv, Some(PATIENCE))
        .map_err(|_| Turned::Away("the connection cannot be waited for"))?;
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&daemon, &mut byte));
        match read {
            Ok(1) if line.len() < LONGEST_HELLO => line.extend(byte),
            Ok(_) | Err(_) => return Err(Turned::Away("nobody was named")),
        }
    }
    set_socket_timeout(&daemon, Timeout::Recv, None)
        .map_err(|_| Turned::Away("the connection cannot be waited for"))?;
    serde_json::from_slice(&line).map_err(unheard)
}

/// The first group of a user whom we may become.
fn may_become(whose: Uid, users: &Users) -> Result<u32, Turned> {
    if whose == Uid::ROOT {
        let text = "root is shown nothing: its desktop, if it has one, is reached without becoming anybody";
        return Err(Turned::Down(text.to_owned()));
    }
    let group = users.group_of(whose.0);
    group.ok_or_else(|| Turned::Down(format!("user {} is not known here", whose.0)))
}

/// Becomes that user, with that group and no other, for good.
fn become_user(whose: Uid, group: u32) -> io::Result<()> {
    let done = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: no pointers but one to no groups at all. We have one thread, and each call changes all three numbers.
    unsafe {
        done(libc::setgroups(0, std::ptr::null()))?;
        done(libc::setresgid(group, group, group))?;
        done(libc::setresuid(whose.0, whose.0, whose.0))?;
    }
    // What the kernel says now is what counts.
    let capabilities = rustix::thread::capabilities(None)?;
    let left = capabilities.effective | capabilities.permitted | capabilities.inheritable;
    let user = rustix::process::getuid().as_raw() == whose.0
        && rustix::process::geteuid().as_raw() == whose.0;
    if !user || !left.is_empty() {
        let text = "something of root was left";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

/// Becomes the notifier; returns only why it could not.
fn go_on(session: &Session) -> io::Error {
    let environment = session.environment();
    let start = Start {
        program: &session.program,
        name: Path::new("beadle"),
        args: &[COMMAND.to_owned()],
        environment: &environment,
        ids: None,
        manner: Manner::Narrow,
    };
    start.command().exec()
}
