//! One datagram with its sender, as the kernel hands it over.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use crate::sys::pidfd::PidFd;

/// `SO_PASSPIDFD` and `SCM_PIDFD` of Linux 6.5, which not every libc names.
const SO_PASSPIDFD: libc::c_int = 76;
const SCM_PIDFD: libc::c_int = 4;

/// `SO_PASSRIGHTS` of Linux 6.16, which not every libc names.
const SO_PASSRIGHTS: libc::c_int = 83;

/// Room for the sender, a pidfd and as many descriptors as can be passed at once (253): the kernel itself closes those that
/// find none, on whoever reads, and that close may wait for as long as the sender likes.
const ROOM: usize = 2048;

/// What a datagram holds.
pub(super) enum Letter<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It is longer than we read.
    Cut,
}

/// A datagram.
pub(super) struct Raw<'a> {
    pub(super) letter: Letter<'a>,
    /// Number and real user of the sender.
    pub(super) sender: Option<(u32, u32)>,
    /// The kernel's hold on the sender, who may be dead.
    pub(super) hold: Hold,
    /// What was passed along.
    pub(super) fds: Vec<OwnedFd>,
    /// More was passed along than we could take: we are out of descriptors.
    pub(super) starved: bool,
}

/// What the kernel gives us to hold a sender by.
#[derive(Debug)]
pub(super) enum Hold {
    /// A pidfd.
    Of(PidFd),
    /// It tried, and could not: the sender is gone without a trace, or we are out of descriptors.
    Failed,
    /// It knows nothing of that.
    Unknown,
}

/// Has the kernel tell who sends; where it can, by a hold on the sender.
pub(super) fn ask_for_senders(socket: &UnixDatagram) -> io::Result<()> {
    set(socket, libc::SO_PASSCRED, 1)?;
    // Older kernels know nothing of it, and the number is then looked up.
    let _ = set(socket, SO_PASSPIDFD, 1);
    Ok(())
}

/// Whether descriptors may be passed to a socket. Of one that listens, those inherit it that connect from now on. An error where
/// the kernel (before Linux 6.16) cannot refuse them: they are passed all the same.
pub(super) fn let_descriptors_in(socket: &impl AsRawFd, may: bool) -> io::Result<()> {
    set(socket, SO_PASSRIGHTS, may.into())
}

fn set(socket: &impl AsRawFd, option: libc::c_int, on: libc::c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    // SAFETY: the option's value is an int of this length, which outlives the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const on).cast(),
            length,
        )
    };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Room for control messages, aligned as they must be.
#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; ROOM]);

/// Takes the next datagram, without waiting.
pub(super) fn receive<'a>(socket: &UnixDatagram, text: &'a mut [u8]) -> io::Result<Raw<'a>> {
    let mut control = Control([MaybeUninit::zeroed(); ROOM]);
    let mut part = libc::iovec {
        iov_base: text.as_mut_ptr().cast(),
        iov_len: text.len(),
    };
    // SAFETY: all zero is a message header without anything in it.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = ROOM;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header points to buffers of the lengths it names, which live until the call returns.
    let read = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let Ok(read) = usize::try_from(read) else {
        return Err(io::Error::last_os_error());
    };
    let (mut sender, mut hold, mut fds) = (None, Hold::Unknown, Vec::new());
    // SAFETY: the header is as the kernel left it, and so is the buffer that it points to.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    // SAFETY: where there is one, it lies within the buffer.
    while let Some(message) = unsafe { next.as_ref() } {
        // SAFETY: the data follows the header; its length is what the header's says beyond its own.
        let data: *const u8 = unsafe { libc::CMSG_DATA(next) };
        // SAFETY: computes a length, and reads nothing.
        let own = unsafe { libc::CMSG_LEN(0) } as usize;
        let length = message.cmsg_len.saturating_sub(own);
        match (message.cmsg_level, message.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                // SAFETY: there is room for one, and any bytes make one.
                let who: libc::ucred = unsafe { data.cast::<libc::ucred>().read_unaligned() };
                sender = u32::try_from(who.pid).ok().map(|pid| (pid, who.uid));
            }
            (libc::SOL_SOCKET, SCM_PIDFD) => {
                let held = descriptors(data, length).into_iter().next();
                hold = held.map_or(Hold::Failed, |held| Hold::Of(PidFd::held(held)));
            }
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => fds.extend(descriptors(data, length)),
            _ => {}
        }
        // SAFETY: as with the first.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
    }
    let cut = header.msg_flags & libc::MSG_TRUNC != 0;
    let letter = match text.get(..read) {
        Some(text) if !cut => Letter::Whole(text),
        Some(_) | None => Letter::Cut,
    };
    Ok(Raw {
        letter,
        sender,
        hold,
        fds,
        starved: header.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Descriptors that are ours now.
fn descriptors(data: *const u8, length: usize) -> Vec<OwnedFd> {
    let count = length / size_of::<RawFd>();
    let each = (0..count).filter_map(|index| {
        // SAFETY: within the data by the count.
        let fd: RawFd = unsafe {
            data.add(index * size_of::<RawFd>())
                .cast::<RawFd>()
                .read_unaligned()
        };
        // SAFETY: the kernel made it for us in this call, and nobody else knows of it.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    });
    each.collect()
}
