//! Children of ours: a program started with what it is given, and with nothing else of ours.
//!
//! **Invariants.** A child has its own session, `/` as its folder, and an environment of `PATH`, `LANG` and what it is given. None of
//! our files stays open in it. Where it is somebody else's it has that user's number and first group, and no other group. What
//! spares us when memory runs out does not spare it.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Where programs look for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a program is to be started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    /// The program, by the path that is run.
    pub(super) program: &'a Path,
    /// By which name it is called.
    pub(super) name: &'a Path,
    /// Its arguments.
    pub(super) args: &'a [String],
    /// All of its environment besides `PATH` and `LANG`.
    pub(super) environment: &'a [(&'static str, String)],
    /// As whom: user and group; `None` is as ourselves.
    pub(super) ids: Option<(u32, u32)>,
    /// How it stands to us.
    pub(super) manner: Manner,
}

/// How a child stands to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It dies with the thread that starts it.
    Bound,
    /// It goes by itself when nobody writes to it any more. It has little room, and never wins a right by running a program.
    Narrow,
}

/// What a narrow child may have at most: the resource, and how much of it.
const NARROW: [(libc::__rlimit_resource_t, libc::rlim_t); 4] = [
    (libc::RLIMIT_AS, 512 << 20),
    (libc::RLIMIT_NOFILE, 64),
    (libc::RLIMIT_FSIZE, 0),
    (libc::RLIMIT_CORE, 0),
];

impl Start<'_> {
    /// The command; its standard streams are the caller's to choose.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .arg0(self.name)
            .args(self.args)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/");
        let ids = self.ids;
        let spared = is_spared();
        let ours = std::process::id();
        let manner = self.manner;
        // SAFETY: all of these may be called between fork and exec; they take no memory and no lock.
        unsafe {
            command.pre_exec(move || {
                if spared {
                    // Who is somebody else may not write it any more.
                    be_as_others();
                }
                if let Some((user, group)) = ids {
                    become_user(user, group)?;
                }
                match manner {
                    Manner::Bound => die_with(ours)?,
                    Manner::Narrow => be_narrow()?,
                }
                // Ours close by themselves; what we were started with may not. A kernel without the call has only ours.
                let first: libc::c_uint = 3;
                let last = libc::c_uint::MAX;
                let _ = libc::syscall(
                    libc::SYS_close_range,
                    first,
                    last,
                    libc::CLOSE_RANGE_CLOEXEC,
                );
                have_own_session()
            });
        }
        command
    }
}

/// Steps down to a user and a group, and to no other group. May be called between fork and exec.
fn become_user(user: u32, group: u32) -> io::Result<()> {
    // SAFETY: no pointer is read where there are no groups. A forked child has one thread only, so nobody else is to follow.
    let changed = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setgid(group) == 0
            && libc::setuid(user) == 0
    };
    if changed {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Binds the child to the thread that forked it. May be called between fork and exec.
fn die_with(ours: u32) -> io::Result<()> {
    // SAFETY: no pointers. A change of user lets go of this; it has been changed by now.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it always succeeds. We may have died just before.
    if i64::from(unsafe { libc::getppid() }) != i64::from(ours) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

/// Has a session of its own from now on, if it did not before. May be called between fork and exec.
fn have_own_session() -> io::Result<()> {
    // SAFETY: no pointers. Who leads a session already, as what a service manager starts does, cannot begin another.
    unsafe {
        match libc::setsid() {
            -1 if libc::getsid(0) == libc::getpid() => Ok(()),
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// Leaves the child little. May be called between fork and exec.
fn be_narrow() -> io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == -1 {
        return Err(io::Error::last_os_error());
    }
    for (resource, most) in NARROW {
        let limit = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        // SAFETY: the limit is on our stack. Where we have less ourselves it stays as it is.
        let _ = unsafe { libc::setrlimit(resource, &raw const limit) };
    }
    Ok(())
}

/// Whether we are spared when memory runs out, as a service is.
fn is_spared() -> bool {
    let score = std::fs::read_to_string("/proc/self/oom_score_adj");
    let score = score
        .ok()
        .and_then(|score| score.trim().parse::<i32>().ok());
    score.is_some_and(|score| score < 0)
}

/// What is ours to be spared for is not a program's of somebody else's. A refusal changes nothing of what it does.
///
/// May be called between fork and exec.
fn be_as_others() {
    // SAFETY: the path and the bytes are static, and the descriptor is our own.
    unsafe {
        let fd = libc::open(
            c"/proc/self/oom_score_adj".as_ptr(),
            libc::O_WRONLY | libc::O_CLOEXEC,
        );
        if fd >= 0 {
            let _ = libc::write(fd, c"0".as_ptr().cast(), 1);
            libc::close(fd);
        }
    }
}

/// Makes a pipe one that nobody waits for.
pub(super) fn never_wait(pipe: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&pipe)?;
    fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
    Ok(())
}
