//! Records of the dead: a netlink socket on which the kernel tells what each thread used when it ends.
//!
//! Only the last record of a process is kept, and where it had several threads the sum that comes with it: what the
//! threads of a living process used stands in its own figures already.
//!
//! **Invariants.** A message counts only when the kernel itself sent it and its layout is one we know: the number of the
//! process stands in it twice. One record costs no allocation and no other system call than the one that receives it.
//! Nothing is written while nobody is registered.
//!
//! # Why not a figure in every field
//! Of a child that burned 2 ms `ac_utime` and `ac_stime` say nothing: they count whole ticks. The scheduler's own count,
//! `cpu_run_virtual_total`, is kept by every kernel that was built with delay accounting, switched on or not.

use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, sendto,
    socket_with, sockopt,
};

use crate::engine::account::{Account, Threads};
use crate::engine::process::Pid;
use crate::sys::events::Drained;

/// What we ask the queue to hold: some ten thousand records.
const BUFFER: usize = 16 << 20;
/// How long the kernel may take to answer. It does so within the request itself.
const PATIENCE: Duration = Duration::from_millis(200);
/// The most records one drain brings, so that nothing else waits for long.
const BATCH: usize = 32_768;
/// A message with two records takes less than half of it.
const LONGEST: usize = 4096;

/// Processors that a machine may have, as the kernel lists them.
const POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_NAME` and `CTRL_ATTR_FAMILY_ID`.
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_NAME: u16 = 2;
const FAMILY_ID: u16 = 1;
/// `TASKSTATS_CMD_GET` and `TASKSTATS_CMD_ATTR_REGISTER_CPUMASK`.
const GET: u8 = 1;
const REGISTER: u16 = 3;
/// Kinds of attributes in a record: of a thread, of a process of many threads, and what stands in them.
const OF_THREAD: u16 = 4;
const OF_PROCESS: u16 = 5;
const NUMBER: u16 = 1;
const STATS: u16 = 3;

/// `NLMSG_ERROR`, `NLM_F_REQUEST` and `NLM_F_ACK`.
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
const CONFIRM: u16 = 4;
/// Sizes of `nlmsghdr`, `genlmsghdr` and `nlattr`.
const HEADER: usize = 16;
const GENERIC: usize = 4;
const ATTRIBUTE: usize = 4;

/// The first version of `struct taskstats` that names the process a thread belongs to (Linux 5.19), and where its fields
/// are.
const OLDEST: u16 = 12;
const AT_FLAGS: usize = 8;
const AT_CPU: usize = 72;
const AT_PID: usize = 128;
const AT_TGID: usize = 368;
const AT_LIVED: usize = 376;
/// `AGROUP`: it was the last thread of its process.
const LAST: u8 = 0x20;

/// The stream of records.
#[derive(Debug)]
pub struct Taskstats {
    socket: OwnedFd,
    /// Some record showed CPU time: this kernel counts it.
    counts: bool,
}

/// Why there are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// There is no such socket here, or it is not for us.
    Refused(Errno),
    /// This kernel keeps none.
    Unknown,
    /// It keeps them in a form that we do not know.
    Foreign,
    /// It worked, and broke.
    Broken(Errno),
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => write!(f, "the kernel refuses records of the dead: {errno}"),
            Self::Unknown => f.write_str("the kernel keeps no records of the dead"),
            Self::Foreign => f.write_str("the kernel's records of the dead have another form"),
            Self::Broken(errno) => write!(f, "the records of the dead broke off: {errno}"),
        }
    }
}

impl Taskstats {
    /// Begins to listen. Whoever dies after its return leaves a record, or word that some are lost.
    pub fn open() -> Result<Self, Unwritten> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::GENERIC),
        )
        .map_err(Unwritten::Refused)?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, BUFFER).map_err(Unwritten::Refused)?;
        }
        bind(&socket, &SocketAddrNetlink::new(0, 0)).map_err(Unwritten::Refused)?;
        let stream = Self {
            socket,
            counts: false,
        };
        stream.ask(CONTROL, GET_FAMILY, FAMILY_NAME, b"TASKSTATS\0")?;
        let family = stream.answer(family)?;
        // The text is a list of processors as `register` wants it.
        let mut all = fs::read_to_string(POSSIBLE).map_err(|_| Unwritten::Unknown)?;
        all.truncate(all.trim_end().len());
        all.push('\0');
        stream.ask(family, GET, REGISTER, all.as_bytes())?;
        stream.answer(|_| Some(()))?;
        Ok(stream)
    }

    fn ask(&self, family: u16, command: u8, kind: u16, value: &[u8]) -> Result<(), Unwritten> {
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(
            &self.socket,
            &request(family, command, kind, value),
            SendFlags::empty(),
            &kernel,
        )
        .map(|_| ())
        .map_err(Unwritten::Refused)
    }

    /// The first answer that is no record: an error, or what `read` finds in it.
    fn answer<T>(&self, read: impl Fn(&[u8]) -> Option<T>) -> Result<T, Unwritten> {
        let mut buffer = [0_u8; LONGEST];
        loop {
            let message = match self.receive(&mut buffer) {
                Ok(message) => message,
                Err(Errno::AGAIN) => {
                    let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
                    let span = Timespec::try_from(PATIENCE).unwrap_or_default();
                    match poll(&mut fds, Some(&span)) {
                        Ok(0) => return Err(Unwritten::Unknown),
                        Ok(_) | Err(Errno::INTR) => continue,
                        Err(errno) => return Err(Unwritten::Refused(errno)),
                    }
                }
                Err(Errno::INTR | Errno::NOBUFS) => continue,
                Err(errno) => return Err(Unwritten::Refused(errno)),
            };
            match half(message, 4) {
                Some(ERROR) => {
                    let error = word(message, HEADER).unwrap_or_default().cast_signed();
                    return match error {
                        // A plain confirmation.
                        0 => read(message).ok_or(Unwritten::Unknown),
                        // `ENOENT`: no such family.
                        number if -number == Errno::NOENT.raw_os_error() => Err(Unwritten::Unknown),
                        number => Err(Unwritten::Refused(Errno::from_raw_os_error(-number))),
                    };
                }
                Some(CONTROL) => return read(message).ok_or(Unwritten::Unknown),
                // Records may come before the confirmation of our request for them: of deaths from before we are open.
                Some(_) | None => {}
            }
        }
    }

    /// Appends the records of all that died, in order.
    pub fn drain(&mut self, records: &mut Vec<Account>) -> Result<Drained, Unwritten> {
        let mut drained = Drained::Empty;
        let mut buffer = [0_u8; LONGEST];
        for _ in 0..BATCH {
            match self.receive(&mut buffer) {
                Ok(message) => match record(message) {
                    Ok(record) => {
                        self.counts |= record.is_some_and(|record| !record.cpu.is_zero());
                        // A kernel that counts nothing shows nothing: that is no figure.
                        records.extend(record.filter(|_| self.counts));
                    }
                    Err(Foreign) => return Err(Unwritten::Foreign),
                },
                Err(Errno::INTR) => {}
                // After an overflow the kernel queues nothing until the queue was read to its end.
                Err(Errno::NOBUFS) => drained = Drained::Lossy,
                Err(Errno::AGAIN) => return Ok(drained),
                Err(errno) => return Err(Unwritten::Broken(errno)),
            }
        }
        Ok(match drained {
            Drained::Lossy => Drained::Lossy,
            Drained::Empty | Drained::Partly => Drained::Partly,
        })
    }

    /// One message of the kernel's; anybody else's is empty.
    fn receive<'b>(&self, buffer: &'b mut [u8; LONGEST]) -> Result<&'b [u8], Errno> {
        let (bytes, _, sender) = recvfrom(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        let from_kernel = sender
            .and_then(|sender| SocketAddrNetlink::try_from(sender).ok())
            .is_some_and(|sender| sender.pid() == 0);
        let length = if from_kernel { bytes } else { 0 };
        Ok(buffer.get(..length).unwrap_or_default())
    }
}

/// A record in a form that we do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Foreign;

/// A request with one attribute.
fn request(family: u16, command: u8, kind: u16, value: &[u8]) -> Vec<u8> {
    let attribute = ATTRIBUTE + value.len();
    let whole = HEADER + GENERIC + attribute.next_multiple_of(4);
    // Only the registration is answered by nothing but a confirmation.
    let flags = if family == CONTROL {
        REQUEST
    } else {
        REQUEST | CONFIRM
    };
    let mut bytes = Vec::with_capacity(whole);
    bytes.extend(u32::try_from(whole).unwrap_or_default().to_ne_bytes());
    bytes.extend(family.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]); // sequence and port
    bytes.extend([command, 1, 0, 0]); // the version of either family is 1
    bytes.extend(u16::try_from(attribute).unwrap_or_default().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(whole, 0);
    bytes
}

/// The number of the family in the answer to our question for it.
fn family(message: &[u8]) -> Option<u16> {
    let found = attribute(message.get(HEADER + GENERIC..)?, FAMILY_ID)?;
    half(found, 0)
}

/// What a message says of a process that ended; nothing where it is about a thread and others live on.
fn record(message: &[u8]) -> Result<Option<Account>, Foreign> {
    let Some(body) = message.get(HEADER + GENERIC..) else {
        return Ok(None);
    };
    let Some(thread) = attribute(body, OF_THREAD) else {
        return Ok(None);
    };
    let read = || {
        let stats = attribute(thread, STATS)?;
        let known = half(stats, 0)? >= OLDEST
            && word(stats, AT_PID)? == word(attribute(thread, NUMBER)?, 0)?;
        known.then_some(stats)
    };
    let stats = read().ok_or(Foreign)?;
    if stats.get(AT_FLAGS).is_none_or(|flags| flags & LAST == 0) {
        return Ok(None);
    }
    let account = || {
        let own = nanos(stats, AT_CPU)?;
        let all = match attribute(body, OF_PROCESS) {
            None => Some(own),
            // A sum that lacks its last part is none.
            Some(process) => nanos(attribute(process, STATS)?, AT_CPU).filter(|all| *all >= own),
        };
        let micros = nanos(stats, AT_LIVED)?.as_nanos();
        Some(Account {
            pid: Pid::new(word(stats, AT_TGID)?)?,
            cpu: all?,
            lived: Duration::from_micros(u64::try_from(micros).ok()?),
            threads: match attribute(body, OF_PROCESS) {
                None => Threads::One,
                Some(_) => Threads::Many,
            },
        })
    };
    Ok(account())
}

/// The value of the first attribute of a kind.
fn attribute(mut list: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(half(list, 0)?);
        // Two bits of the kind say how its value is written.
        let kind = half(list, 2)? & 0x3fff;
        let value = list.get(ATTRIBUTE..length)?;
        if kind == wanted {
            return Some(value);
        }
        list = list.get(length.next_multiple_of(4)..)?;
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(two.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

/// A number of eight bytes, as nanoseconds.
fn nanos(bytes: &[u8], at: usize) -> Option<Duration> {
    let eight = bytes.get(at..at.checked_add(8)?)?;
    Some(Duration::from_nanos(u64::from_ne_bytes(
        eight.try_into().ok()?,
    )))
}

#[cfg(test)]
mod tests;
