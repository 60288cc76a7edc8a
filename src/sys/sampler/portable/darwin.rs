//! What macOS's kernel tells of a process: `proc_pidinfo`, `proc_pid_rusage` and the `KERN_PROCARGS2` of sysctl.
//!
//! # Whom it tells about
//! About another user's process it refuses all but root: such a process is [`Why::Denied`] as a whole, and no figure of
//! it is taken for zero.
//!
//! # In which units
//! Starts are microseconds of wall time, kept as they were at birth. CPU time comes in ticks of the machine's own counter
//! (41 2/3 ns on Apple's processors, 1 ns on Intel's). Of memory the *footprint* is what a process keeps from others,
//! compressed and swapped pages included: what Activity Monitor shows and the kernel's own limits hold against it.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::ptr;
use std::time::Duration;

use super::arguments::Started;
use super::{Found, Identity, Image, Life, Missing, Witness};
use crate::engine::facts::{Place, Read};
use crate::engine::process::{Gid, Mark, Pid, ShortName, StartTicks, Text, Uid};
use crate::engine::snapshot::{Figures, Memory, RunState, Seen, Want, Why};
use crate::engine::units::Bytes;
use crate::sys::clock::Clock;

/// Asks for those too who are dead and not waited for.
const ZOMBIES_TOO: u64 = 1;

/// `PROC_FLAG_TRACED` and `PROC_FLAG_CONTROLT` of `sys/proc_info.h`: traced; has a controlling terminal.
const TRACED: u32 = 2;
const HAS_TERMINAL: u32 = 0x80;

/// The kernel's counter is finer than this.
const GRAIN: Duration = Duration::from_micros(1);

/// Start ticks are hundredths of a second.
const NANOS_A_TICK: u128 = 10_000_000;

/// What is kept of the arguments, all together; as on Linux.
const MOST_ARGS: usize = 64 << 10;

/// A process may open files while they are listed; after so many lists too short for them, their number is unknown.
const ATTEMPTS: usize = 4;

/// The kernel, asked without anybody between.
#[derive(Debug)]
pub struct Kernel {
    counter: Counter,
    /// What the machine had slept when we began: see [`Kernel::start`].
    slept: Duration,
    /// Where arguments are written, as large as they can be.
    room: Vec<u8>,
}

/// How long a tick of the machine's counter is: `numer` nanoseconds are `denom` ticks.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Counter {
    numer: u32,
    denom: u32,
}

unsafe extern "C" {
    /// libSystem's; libc has it only as deprecated.
    fn mach_timebase_info(counter: *mut Counter) -> c_int;
}

impl Counter {
    fn of_this_machine() -> io::Result<Self> {
        let mut counter = Self { numer: 0, denom: 0 };
        // SAFETY: it fills the two numbers it is given a place for.
        let failed = unsafe { mach_timebase_info(&raw mut counter) };
        match (failed, counter) {
            (
                0,
                Self {
                    numer: 1..,
                    denom: 1..,
                },
            ) => Ok(counter),
            _ => Err(io::Error::other(
                "the machine does not tell how its counter counts",
            )),
        }
    }

    fn nanos(self, ticks: u64) -> u128 {
        u128::from(ticks) * u128::from(self.numer) / u128::from(self.denom)
    }

    fn time(self, ticks: u64) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos(ticks)).unwrap_or(u64::MAX))
    }
}

impl Kernel {
    /// Of this machine.
    pub fn new(clock: Clock) -> io::Result<Self> {
        let mut most: c_int = 0;
        let mut length = size_of::<c_int>();
        let mut name = [libc::CTL_KERN, libc::KERN_ARGMAX];
        // SAFETY: the name has as many parts as is said, and the place for the answer as many bytes.
        let failed = unsafe {
            libc::sysctl(
                name.as_mut_ptr(),
                2,
                (&raw mut most).cast(),
                &raw mut length,
                ptr::null_mut(),
                0,
            )
        };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            counter: Counter::of_this_machine()?,
            slept: clock.slept(),
            // Zeros that nobody has touched take no memory.
            room: vec![0; usize::try_from(most).unwrap_or(1 << 20)],
        })
    }

    /// When a process started, from the counter at its birth, which does not count sleep.
    ///
    /// Start ticks count sleep too, and how long the machine had slept by then nobody kept. All that it slept before we
    /// began is taken: that makes nobody older than he is, and is the same at every look.
    fn start(&self, usage: &libc::rusage_info_v2) -> StartTicks {
        let boot = self.counter.nanos(usage.ri_proc_start_abstime) + self.slept.as_nanos();
        StartTicks(u64::try_from(boot / NANOS_A_TICK).unwrap_or(u64::MAX))
    }

    fn cpu(&self, usage: &libc::rusage_info_v2) -> Duration {
        let used = usage.ri_user_time.saturating_add(usage.ri_system_time);
        self.counter.time(used)
    }

    /// What `KERN_PROCARGS2` holds of a process, left in our room.
    fn started(&mut self, pid: Pid) -> Option<Started<'_>> {
        let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, number(pid)];
        let mut length = self.room.len();
        // SAFETY: the name has as many parts as is said, and the room as many bytes.
        let failed = unsafe {
            libc::sysctl(
                name.as_mut_ptr(),
                3,
                self.room.as_mut_ptr().cast(),
                &raw mut length,
                ptr::null_mut(),
                0,
            )
        };
        if failed != 0 {
            return None;
        }
        Started::parse(self.room.get(..length)?)
    }
}

impl Witness for Kernel {
    fn identity(&mut self, pid: Pid) -> Result<Identity, Missing> {
        identity(&bsd(pid)?)
    }

    fn look(&mut self, pid: Pid, want: Want, clock: Clock) -> Result<Found, Missing> {
        let before = identity(&bsd(pid)?)?;
        let at = clock.now();
        let usage = usage(pid)?;
        let alive = match before.life {
            Life::Zombie => None,
            Life::Alive => Some((task(pid), session(pid), open_files(pid, want))),
        };
        let after = bsd(pid)?;
        let now = identity(&after)?;
        if now.mark != before.mark {
            return Err(Missing::Gone);
        }
        let (start, cpu) = (self.start(&usage), self.cpu(&usage));
        let seen = match (now.life, alive) {
            (Life::Alive, Some((task, session, open_files))) => {
                let task = task?;
                Seen::Alive(Figures {
                    start,
                    ran: None,
                    ppid: now.ppid,
                    parent: None,
                    session,
                    tty: match after.pbi_flags & HAS_TERMINAL {
                        0 => 0,
                        _ => after.e_tdev,
                    },
                    comm: ShortName::of(text(&after.pbi_comm)),
                    owner: Some(Uid(after.pbi_uid)),
                    // The kernel's own threads are all of process 0, which has no number here.
                    kernel_thread: false,
                    state: state(&after, &task),
                    cpu,
                    grain: GRAIN,
                    at_rest: false,
                    reaped: self.counter.time(
                        usage
                            .ri_child_user_time
                            .saturating_add(usage.ri_child_system_time),
                    ),
                    threads: u32::try_from(task.pti_threadnum).unwrap_or(0),
                    rss: Bytes(task.pti_resident_size),
                    memory: want.memory.then(|| memory(&usage, &task)),
                    open_files,
                })
            }
            (Life::Alive | Life::Zombie, None) | (Life::Zombie, Some(_)) => Seen::Zombie {
                start,
                cpu,
                grain: GRAIN,
                ppid: now.ppid,
            },
        };
        Ok(Found {
            mark: now.mark,
            start,
            at,
            seen,
        })
    }

    fn image(&mut self, pid: Pid, variables: &[String]) -> Image {
        let group = bsd(pid).map_or(Read::Denied, |bsd| Read::Known(Gid(bsd.pbi_gid)));
        let started = self.started(pid);
        let (args, env) = match started {
            Some(started) => (
                Read::Known(started.arguments(MOST_ARGS)),
                started.variables(variables),
            ),
            None => (Read::Denied, Read::Denied),
        };
        Image {
            exe: executable(pid),
            args,
            env,
            cwd: folder(pid),
            group,
        }
    }
}

/// A number as calls take it; it fits, as every [`Pid`] does.
fn number(pid: Pid) -> c_int {
    pid.number().cast_signed()
}

/// What the last call failed with.
fn refusal() -> Missing {
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ESRCH) => Missing::Gone,
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Missing::Unread(Why::Short),
        // EPERM; what else it refuses with comes to the same: we are not told.
        Some(_) | None => Missing::Unread(Why::Denied),
    }
}

/// One answer of `proc_pidinfo`, whole.
///
/// # Safety
/// `T` is what the kernel writes for this flavor, and holds nothing but numbers.
unsafe fn info<T>(pid: Pid, flavor: c_int, argument: u64) -> Result<T, Missing> {
    let mut answer = MaybeUninit::<T>::zeroed();
    let size = c_int::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the kernel writes no more than it is told there is room for.
    let written = unsafe {
        libc::proc_pidinfo(
            number(pid),
            flavor,
            argument,
            answer.as_mut_ptr().cast(),
            size,
        )
    };
    if written == size {
        // SAFETY: all of it was written, and before that it was zeros, which are numbers too.
        Ok(unsafe { answer.assume_init() })
    } else if written > 0 {
        Err(Missing::Unread(Why::Short))
    } else {
        Err(refusal())
    }
}

/// Who it is.
fn bsd(pid: Pid) -> Result<libc::proc_bsdinfo, Missing> {
    // SAFETY: this is the flavor's type, of numbers.
    unsafe { info(pid, libc::PROC_PIDTBSDINFO, ZOMBIES_TOO) }
}

/// What its threads are at.
fn task(pid: Pid) -> Result<libc::proc_taskinfo, Missing> {
    // SAFETY: this is the flavor's type, of numbers.
    unsafe { info(pid, libc::PROC_PIDTASKINFO, 0) }
}

/// What it used, also of one who is dead.
fn usage(pid: Pid) -> Result<libc::rusage_info_v2, Missing> {
    let mut usage = MaybeUninit::<libc::rusage_info_v2>::zeroed();
    // SAFETY: the place is as large as this version of the answer, which holds nothing but numbers.
    let failed = unsafe {
        libc::proc_pid_rusage(number(pid), libc::RUSAGE_INFO_V2, usage.as_mut_ptr().cast())
    };
    match failed {
        // SAFETY: it was written, and before that it was zeros, which are numbers too.
        0 => Ok(unsafe { usage.assume_init() }),
        _ => Err(refusal()),
    }
}

fn identity(bsd: &libc::proc_bsdinfo) -> Result<Identity, Missing> {
    let start = bsd
        .pbi_start_tvsec
        .saturating_mul(1_000_000)
        .saturating_add(bsd.pbi_start_tvusec);
    if start == 0 {
        // Not filled in yet, or not for us: no identity can be made of that.
        return Err(Missing::Unread(Why::Denied));
    }
    Ok(Identity {
        mark: Mark::Ticks(start),
        ppid: Pid::new(bsd.pbi_ppid),
        life: match bsd.pbi_status {
            libc::SZOMB => Life::Zombie,
            _ => Life::Alive,
        },
    })
}

/// Processes only run here or are stopped; whether one of its threads runs, the threads tell.
fn state(bsd: &libc::proc_bsdinfo, task: &libc::proc_taskinfo) -> RunState {
    match (bsd.pbi_status, bsd.pbi_flags & TRACED) {
        (libc::SSTOP, 0) => RunState::Stopped,
        (libc::SSTOP, _) => RunState::Traced,
        _ if task.pti_numrunning > 0 => RunState::Running,
        _ => RunState::Sleeping,
    }
}

/// The parts are made so that what is private is the footprint and what is resident is the resident size: which pages
/// make up the one and the other, the kernel does not say.
fn memory(usage: &libc::rusage_info_v2, task: &libc::proc_taskinfo) -> Memory {
    let (footprint, resident) = (usage.ri_phys_footprint, task.pti_resident_size);
    let anonymous = footprint.min(resident);
    Memory {
        anonymous: Bytes(anonymous),
        swap: Bytes(footprint.saturating_sub(anonymous)),
        file: Bytes(resident.saturating_sub(anonymous)),
        shared: Bytes(0),
        huge: Bytes(0),
    }
}

fn session(pid: Pid) -> Option<Pid> {
    // SAFETY: it takes no pointers.
    let session = unsafe { libc::getsid(number(pid)) };
    u32::try_from(session).ok().and_then(Pid::new)
}

/// The number of open files, when wanted and permitted.
fn open_files(pid: Pid, want: Want) -> Option<u64> {
    if !want.open_files {
        return None;
    }
    let one = size_of::<libc::proc_fdinfo>();
    let mut room: usize = 64;
    for _ in 0..ATTEMPTS {
        let mut files = vec![0_u8; room.checked_mul(one)?];
        let size = c_int::try_from(files.len()).ok()?;
        // SAFETY: the kernel writes no more than it is told there is room for.
        let written = unsafe {
            libc::proc_pidinfo(
                number(pid),
                libc::PROC_PIDLISTFDS,
                0,
                files.as_mut_ptr().cast(),
                size,
            )
        };
        let listed = usize::try_from(written).ok()?.checked_div(one)?;
        match listed {
            // A refusal writes nothing, and so does one without any files: the two are not told apart.
            0 => return None,
            _ if listed < room => return u64::try_from(listed).ok(),
            _ => room = room.checked_mul(16)?,
        }
    }
    None
}

/// The path that was executed. Of a file that is deleted there is none.
fn executable(pid: Pid) -> Read<Place> {
    let mut path = vec![0_u8; 4 * libc::PATH_MAX.unsigned_abs() as usize];
    let room = u32::try_from(path.len()).unwrap_or(0);
    // SAFETY: it writes no more than it is told there is room for.
    let length = unsafe { libc::proc_pidpath(number(pid), path.as_mut_ptr().cast(), room) };
    match usize::try_from(length) {
        Ok(length @ 1..) => place(path.get(..length).unwrap_or_default()),
        Ok(_) | Err(_) => Read::Denied,
    }
}

/// The working directory.
fn folder(pid: Pid) -> Read<Place> {
    // SAFETY: this is the flavor's type, of numbers.
    let folders = unsafe { info::<libc::proc_vnodepathinfo>(pid, libc::PROC_PIDVNODEPATHINFO, 0) };
    match folders {
        Ok(folders) => place(text(folders.pvi_cdir.vip_path.as_flattened())),
        Err(Missing::Gone) => Read::Gone,
        Err(Missing::Unread(_)) => Read::Denied,
    }
}

fn place(path: &[u8]) -> Read<Place> {
    match path {
        [] => Read::Denied,
        path => Read::Known(Place {
            path: Text::new(path),
            deleted: false,
        }),
    }
}

/// The bytes of a field up to its NUL.
fn text(field: &[c_char]) -> &[u8] {
    // SAFETY: characters are bytes, whatever their sign.
    let bytes = unsafe { std::slice::from_raw_parts(field.as_ptr().cast(), field.len()) };
    CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes)
}
