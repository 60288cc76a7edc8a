//! Sending a heartbeat, and waiting until it is taken in.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::sys::service::notify;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Whoever listens has taken it in.
    Taken,
    /// Whoever listens has dropped it, for too much was sent at once.
    Dropped,
    /// It is sent, and nobody has said that it was taken in.
    Unanswered,
}

/// Sends one datagram to the socket of that name (a path, or `@` and a name), then asks to be told when it is taken in, and
/// waits for that: who sends and is gone at once is hard to tell.
pub fn send(name: &OsStr, text: &str, patience: Duration) -> io::Result<Sent> {
    let socket = notify::connect(name)?;
    socket.set_write_timeout(Some(patience))?;
    socket.send(text.as_bytes())?;
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    let passed = [theirs.as_fd()];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    control.push(SendAncillaryMessage::ScmRights(&passed));
    sendmsg(
        &socket,
        &[IoSlice::new(b"BARRIER=1")],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    drop(theirs);
    let span = Timespec::try_from(patience).unwrap_or_default();
    let mut fds = [PollFd::new(&ours, PollFlags::IN)];
    Ok(match poll(&mut fds, Some(&span))? {
        0 => Sent::Unanswered,
        // Nothing but the end is there to be read, unless it was dropped.
        _ => match rustix::io::read(&ours, &mut [0; 1])? {
            0 => Sent::Taken,
            _ => Sent::Dropped,
        },
    })
}
