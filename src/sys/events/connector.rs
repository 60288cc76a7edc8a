//! The process connector: a netlink multicast on which the kernel tells of every fork, exec and exit.
//!
//! **Invariants.** The stream is trusted only after the kernel confirmed our request. A message counts only when the
//! kernel itself sent it. One event costs no allocation and no other system call than the one that receives it.
//!
//! # Why the confirmation
//! In a pid namespace of our own the request is ignored in silence, and yet events arrive as soon as anybody on the
//! machine listens: with numbers of the first namespace, which mean other processes here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, getsockname, recvfrom,
    sendto, socket_with, sockopt,
};

use super::{Deafness, Drained};
use crate::engine::event::{Event, Happening};
use crate::engine::process::{Pid, Uid};
use crate::engine::units::Mono;
use crate::sys::clock::Clock;
use crate::sys::stat::start_ticks;

/// What we ask the queue to hold: at 832 bytes an event, a pause of a third of a second in the worst of storms.
const BUFFER: usize = 16 << 20;
/// A queue of at least this is large enough to be read in batches.
const ROOMY: usize = 4 << 20;
/// How long the kernel may take to confirm. It does so within the request itself.
const PATIENCE: Duration = Duration::from_millis(200);
/// The most events one drain brings, so that nothing else waits for long.
const BATCH: usize = 32_768;

/// `CN_IDX_PROC` and `CN_VAL_PROC`: the number of this multicast, and its only kind.
const PROC: u32 = 1;
/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;
/// `NLMSG_DONE`: what the connector expects as message type.
const DONE: u16 = 3;
/// Sizes of `nlmsghdr` and `cn_msg`; the event follows.
const HEADER: usize = 16;
const ENVELOPE: usize = 20;
/// The longest message there is takes less.
const LONGEST: usize = 256;

const NONE: u32 = 0;
const FORK: u32 = 0x1;
const EXEC: u32 = 0x2;
const UID: u32 = 0x4;
const SID: u32 = 0x80;
const COMM: u32 = 0x200;
const EXIT: u32 = 0x8000_0000;

/// The stream of process events.
#[derive(Debug)]
pub struct Connector {
    socket: OwnedFd,
    /// Bytes the queue holds.
    buffer: usize,
}

/// One message of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// It heard the request of this number less one, at this moment, and this is its error number.
    Confirmed { ack: u32, error: u32, at: Mono },
    /// Something happened.
    Event(Event),
    /// Nothing that concerns us.
    Other,
}

impl Connector {
    /// Begins to listen. From its return on, nothing is missed without being told.
    pub fn open() -> Result<Self, Deafness> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::CONNECTOR),
        )
        .map_err(Deafness::Refused)?;
        // Without the right to force it, as much as the machine allows: a small queue overflows, and says so.
        if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, BUFFER).map_err(Deafness::Refused)?;
        }
        let buffer = sockopt::socket_recv_buffer_size(&socket).map_err(Deafness::Refused)?;
        bind(&socket, &SocketAddrNetlink::new(0, PROC)).map_err(Deafness::Refused)?;
        // Confirmations go to everybody who listens. Our own port is a number that no one else's request bears.
        let port = getsockname(&socket)
            .and_then(SocketAddrNetlink::try_from)
            .map_err(Deafness::Refused)?
            .pid();
        let connector = Self { socket, buffer };
        let asked = awake();
        connector.ask(&request(port, None))?;
        connector.await_confirmation(port, asked)?;
        // With a choice of events (since 6.6; ignored before) no confirmation comes: it is not among them.
        let choice = FORK | EXEC | UID | SID | COMM | EXIT;
        connector.ask(&request(port, Some(choice)))?;
        Ok(connector)
    }

    fn ask(&self, request: &[u8]) -> Result<(), Deafness> {
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.socket, request, SendFlags::empty(), &kernel)
            .map(|_| ())
            .map_err(Deafness::Refused)
    }

    fn await_confirmation(&self, port: u32, asked: Mono) -> Result<(), Deafness> {
        let end = asked.after(PATIENCE);
        let skew = skew();
        loop {
            match self.receive(skew) {
                Ok(Message::Confirmed { ack, error, at }) if ack == port.wrapping_add(1) => {
                    return match error {
                        // It was confirmed between then and now, if both look at the same clock.
                        0 if asked <= at && at <= awake() => Ok(()),
                        0 => Err(Deafness::OtherClock),
                        // Kernels differ in the sign.
                        number => Err(Deafness::Refused(Errno::from_raw_os_error(
                            number.cast_signed().saturating_abs(),
                        ))),
                    };
                }
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let left = end.since(awake());
                    if left.is_zero() {
                        return Err(Deafness::Unconfirmed);
                    }
                    let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
                    let span = Timespec::try_from(left).unwrap_or_default();
                    match poll(&mut fds, Some(&span)) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(errno) => return Err(Deafness::Refused(errno)),
                    }
                }
                Err(errno) => return Err(Deafness::Refused(errno)),
            }
            if awake() >= end {
                return Err(Deafness::Unconfirmed);
            }
        }
    }

    /// Appends all that is queued to `events`, in order.
    pub fn drain(&mut self, events: &mut Vec<Event>) -> Result<Drained, Deafness> {
        let skew = skew();
        let mut drained = Drained::Empty;
        // Threads that one process starts in a row are one event: where it stands.
        let mut run: Option<usize> = None;
        for _ in 0..BATCH {
            match self.receive(skew) {
                Ok(Message::Event(event)) => {
                    if let Happening::Thread { pid, .. } = event.what {
                        if joins(run.and_then(|at| events.get_mut(at)), pid) {
                            continue;
                        }
                        run = Some(events.len());
                    }
                    events.push(event);
                }
                Ok(Message::Confirmed { .. } | Message::Other) | Err(Errno::INTR) => {}
                // After an overflow the kernel queues nothing until the queue was read to its end.
                Err(Errno::NOBUFS) => drained = Drained::Lossy,
                Err(Errno::AGAIN) => return Ok(drained),
                Err(errno) => return Err(Deafness::Broken(errno)),
            }
        }
        Ok(match drained {
            Drained::Lossy => Drained::Lossy,
            Drained::Empty | Drained::Partly => Drained::Partly,
        })
    }

    /// Whether the queue holds enough to be read in batches.
    pub fn is_roomy(&self) -> bool {
        self.buffer >= ROOMY
    }

    fn receive(&self, skew: Duration) -> Result<Message, Errno> {
        let mut buffer = [0_u8; LONGEST];
        let (bytes, _, sender) = recvfrom(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        // Port 0 is the kernel; any other is a process that plays it.
        let from_kernel = sender
            .and_then(|sender| SocketAddrNetlink::try_from(sender).ok())
            .is_some_and(|sender| sender.pid() == 0);
        if !from_kernel {
            return Ok(Message::Other);
        }
        Ok(parse(buffer.get(..bytes).unwrap_or_default(), skew))
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Counts one more thread in an event of the same process's.
fn joins(last: Option<&mut Event>, starter: Pid) -> bool {
    match last.map(|event| &mut event.what) {
        Some(Happening::Thread { pid, count }) if *pid == starter => {
            *count = count.saturating_add(1);
            true
        }
        Some(_) | None => false,
    }
}

/// The request to be told.
fn request(port: u32, choice: Option<u32>) -> Vec<u8> {
    let mut data = LISTEN.to_ne_bytes().to_vec();
    data.extend(choice.map(u32::to_ne_bytes).into_iter().flatten());
    let size = u16::try_from(data.len()).unwrap_or_default();
    let whole = u32::try_from(HEADER + ENVELOPE + data.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(HEADER + ENVELOPE + data.len());
    bytes.extend(whole.to_ne_bytes());
    bytes.extend(DONE.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes()); // flags
    bytes.extend(port.to_ne_bytes()); // sequence
    bytes.extend(port.to_ne_bytes());
    bytes.extend(PROC.to_ne_bytes()); // idx
    bytes.extend(PROC.to_ne_bytes()); // val
    bytes.extend(port.to_ne_bytes()); // sequence, given back in the confirmation
    bytes.extend(port.to_ne_bytes()); // ack, given back plus one
    bytes.extend(size.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes()); // flags
    bytes.extend(data);
    bytes
}

/// Reads one message. `skew` is boot time less awake time.
fn parse(message: &[u8], skew: Duration) -> Message {
    decode(message, skew).unwrap_or(Message::Other)
}

fn decode(message: &[u8], skew: Duration) -> Option<Message> {
    let envelope = message.get(HEADER..HEADER + ENVELOPE)?;
    if (word(envelope, 0)?, word(envelope, 4)?) != (PROC, PROC) {
        return None;
    }
    let body = message.get(HEADER + ENVELOPE..)?;
    let what = word(body, 0)?;
    let nanos = u64::from_ne_bytes(body.get(8..16)?.try_into().ok()?);
    // Each kind names a thread first, and then the process it belongs to.
    let (thread, process) = (word(body, 16)?, word(body, 20).and_then(Pid::new));
    let of_leader = process.is_some_and(|process| process.number() == thread);
    let what = match what {
        NONE => {
            let ack = word(envelope, 12)?;
            let at = Mono::from_nanos(nanos);
            return Some(Message::Confirmed {
                ack,
                error: thread,
                at,
            });
        }
        FORK => {
            let (child_thread, child) = (word(body, 24)?, Pid::new(word(body, 28)?)?);
            if child_thread == child.number() {
                Happening::Fork {
                    parent: process?,
                    child,
                    ticks: start_ticks(Mono::from_nanos(nanos), skew),
                }
            } else {
                Happening::Thread {
                    pid: child,
                    count: 1,
                }
            }
        }
        EXEC => Happening::Exec { pid: process? },
        EXIT if of_leader => Happening::Exit { pid: process? },
        UID if of_leader => Happening::Owner {
            pid: process?,
            owner: Uid(word(body, 28)?),
        },
        SID => Happening::Session { pid: process? },
        COMM if of_leader => Happening::Name { pid: process? },
        _ => return None,
    };
    let at = Mono::from_nanos(nanos);
    Some(Message::Event(Event { at, what }))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

/// All the time the machine slept since boot: start ticks count it, event stamps do not.
fn skew() -> Duration {
    Clock.slept()
}

fn awake() -> Mono {
    Clock.now()
}
