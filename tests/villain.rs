//! A process tree that misbehaves, within bounds: this test binary again, told by its environment what to be.
//!
//! Every process of it looks at a shared page before each fork and in each wait: no more than `cap` forks, and none
//! lives past the deadline or a call to end. It needs nobody to clean up after it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use beadle::engine::process::Pid;

/// What a villain can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sleeps.
    Idle,
    /// Every process forks, over and over; none heeds TERM; every other one makes a session.
    Bomb,
    /// Forks and exits at every hop, and makes a session at each.
    Comet,
    /// One of everything: does not heed TERM, a daemon by double fork, one stopped, a child of each, a bomb and a comet.
    Zoo,
    /// The same without the comet, which no scan can follow.
    Farm,
    /// A leader thread that ends at once, with a worker that lives on.
    Headless,
    /// Waits for TERM, stopped; writes to the page when its handler ran.
    Stopped,
}

impl Kind {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Idle, "idle"),
        (Self::Bomb, "bomb"),
        (Self::Comet, "comet"),
        (Self::Zoo, "zoo"),
        (Self::Farm, "farm"),
        (Self::Headless, "headless"),
        (Self::Stopped, "stopped"),
    ];

    pub(crate) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).unwrap().1
    }
}

/// What all processes of a villain share.
#[repr(C)]
pub(crate) struct Page {
    forks: AtomicU32,
    cap: AtomicU32,
    end: AtomicU32,
    /// Those who watch have seen everyone: a parent may leave its daemon behind.
    known: AtomicU32,
    /// How often a TERM handler ran.
    heeded: AtomicU32,
    /// Nanoseconds of awake time.
    deadline: AtomicU64,
}

impl Page {
    fn map(file: &File) -> &'static Self {
        let size = std::mem::size_of::<Self>();
        // SAFETY: the file is at least a page long, and the mapping is never taken away.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(at, libc::MAP_FAILED);
        // SAFETY: mapped above, aligned to a page, and made of atomics only.
        unsafe { &*at.cast::<Self>() }
    }

    fn over(&self) -> bool {
        self.end.load(Ordering::Relaxed) != 0 || awake() > self.deadline.load(Ordering::Relaxed)
    }

    fn may_fork(&self) -> bool {
        let cap = self.cap.load(Ordering::Relaxed);
        let next = |forks| (forks < cap).then_some(forks + 1);
        let relaxed = Ordering::Relaxed;
        !self.over() && self.forks.fetch_update(relaxed, relaxed, next).is_ok()
    }
}

/// A villain at large.
pub(crate) struct Villain {
    pub(crate) root: Child,
    pub(crate) mark: String,
    page: &'static Page,
    _file: tempfile::NamedTempFile,
}

impl Villain {
    /// Lets one loose: at most `cap` forks, and nothing of it lives longer than `span`.
    pub(crate) fn start(kind: Kind, cap: u32, span: Duration) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let page = Page::map(file.as_file());
        page.cap.store(cap, Ordering::Relaxed);
        page.deadline.store(
            awake() + u64::try_from(span.as_nanos()).unwrap(),
            Ordering::Relaxed,
        );
        let mark = format!("BEADLE_TRUTH={}.{number}.", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let root = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "villain::villain", "--ignored", "--nocapture"])
            .env("BEADLE_PURSUED", kind.word())
            .env("BEADLE_PAGE", file.path())
            .env(name, value)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            root,
            mark,
            page,
            _file: file,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::new(self.root.id()).unwrap()
    }

    pub(crate) fn forks(&self) -> u32 {
        self.page.forks.load(Ordering::Relaxed)
    }

    /// Tells it that everyone was seen.
    pub(crate) fn seen(&self) {
        self.page.known.store(1, Ordering::Relaxed);
    }

    pub(crate) fn heeded(&self) -> u32 {
        self.page.heeded.load(Ordering::Relaxed)
    }

    /// Everyone of it that lives, by the mark in their environment: what no tracking has a part in.
    pub(crate) fn alive(&self) -> Vec<Pid> {
        let mut alive = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
                .and_then(Pid::new)
            else {
                continue;
            };
            if bears(pid, self.mark.as_bytes()) {
                alive.push(pid);
            }
        }
        alive
    }
}

/// A process whose leader has ended shows its environment through its other threads only.
fn bears(pid: Pid, mark: &[u8]) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().any(|thread| {
        let environ = std::fs::read(thread.path().join("environ")).unwrap_or_default();
        environ.windows(mark.len()).any(|part| part == mark)
    })
}

impl Drop for Villain {
    fn drop(&mut self) {
        self.page.end.store(1, Ordering::Relaxed);
        // Only our own child, which cannot be another before we have waited for it.
        let _ = self.root.kill();
        let _ = self.root.wait();
    }
}

pub(crate) fn awake() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

#[test]
#[ignore = "it is the villain of other tests, and does nothing unless told what to be"]
fn villain() {
    let (Ok(kind), Some(page)) = (
        std::env::var("BEADLE_PURSUED"),
        std::env::var_os("BEADLE_PAGE"),
    ) else {
        return;
    };
    let page = open(Path::new(&page));
    let (kind, _) = Kind::ALL
        .into_iter()
        .find(|(_, word)| *word == kind)
        .unwrap();
    // SAFETY: plain system calls; after a fork the child does nothing but more of them.
    unsafe { act(kind, page) }
}

fn open(path: &Path) -> &'static Page {
    let file = File::options().read(true).write(true).open(path).unwrap();
    Page::map(&file)
}

/// # Safety
/// Forks without exec: nothing in here may allocate or lock after the first fork.
unsafe fn act(kind: Kind, page: &'static Page) {
    // SAFETY: system calls on values of our own.
    unsafe {
        libc::alarm(60);
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        match kind {
            Kind::Idle => {}
            Kind::Bomb => bomb(page),
            Kind::Comet => {
                if libc::fork() == 0 {
                    comet(page);
                }
            }
            Kind::Zoo => zoo(page, true),
            Kind::Farm => zoo(page, false),
            Kind::Headless => headless(page),
            Kind::Stopped => stopped(page),
        }
        idle(page);
    }
}

unsafe fn pause(micros: u32) {
    // SAFETY: a system call.
    unsafe {
        libc::usleep(micros);
    }
}

unsafe fn idle(page: &Page) -> ! {
    // SAFETY: system calls.
    unsafe {
        while !page.over() {
            pause(20_000);
        }
        libc::_exit(0)
    }
}

unsafe fn bomb(page: &Page) -> ! {
    // SAFETY: system calls.
    unsafe {
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
        loop {
            if page.over() {
                libc::_exit(0);
            }
            if !page.may_fork() {
                pause(20_000);
                continue;
            }
            if libc::fork() == 0 {
                if page.forks.load(Ordering::Relaxed) % 2 == 1 {
                    libc::setsid();
                }
                pause(1500);
            } else {
                pause(700);
            }
        }
    }
}

unsafe fn comet(page: &Page) -> ! {
    // SAFETY: system calls.
    unsafe {
        loop {
            // At the end of its road it stays, so that a comet that got away is seen.
            if !page.may_fork() {
                idle(page);
            }
            if libc::fork() != 0 {
                libc::_exit(0);
            }
            libc::setsid();
        }
    }
}

unsafe fn zoo(page: &Page, with_comet: bool) {
    // SAFETY: system calls.
    unsafe {
        if libc::fork() == 0 {
            libc::signal(libc::SIGTERM, libc::SIG_IGN);
            idle(page);
        }
        if libc::fork() == 0 {
            libc::setsid();
            if libc::fork() != 0 {
                // What a scan never saw it cannot follow.
                while !page.over() && page.known.load(Ordering::Relaxed) == 0 {
                    pause(1000);
                }
                libc::_exit(0);
            }
            libc::prctl(libc::PR_SET_NAME, c"kworker/0:9".as_ptr());
            idle(page);
        }
        if libc::fork() == 0 {
            libc::raise(libc::SIGSTOP);
            idle(page);
        }
        if libc::fork() == 0 {
            bomb(page);
        }
        if with_comet && libc::fork() == 0 {
            comet(page);
        }
    }
}

unsafe fn headless(page: &'static Page) {
    let (tell, told) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let _ = told.recv();
        // SAFETY: system calls.
        unsafe { idle(page) }
    });
    drop(tell);
    // SAFETY: the test's thread may be the leader or not; end the leader by ending every thread but the worker.
    unsafe {
        if libc::fork() == 0 {
            // The child of a fork has one thread, its leader. Give it a worker, then end the leader alone.
            let mut thread: libc::pthread_t = 0;
            let worker: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void = work;
            let page = std::ptr::from_ref(page).cast_mut().cast();
            libc::pthread_create(&raw mut thread, std::ptr::null(), worker, page);
            libc::syscall(libc::SYS_exit, 0);
        }
    }
}

extern "C" fn work(page: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: the page that `headless` gave; it is never unmapped.
    unsafe { idle(&*page.cast::<Page>()) }
}

static HEEDED: std::sync::atomic::AtomicPtr<Page> =
    std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

extern "C" fn heed(_signal: i32) {
    // SAFETY: set before the handler was.
    unsafe {
        (*HEEDED.load(Ordering::Relaxed))
            .heeded
            .fetch_add(1, Ordering::Relaxed);
        libc::_exit(0);
    }
}

unsafe fn stopped(page: &'static Page) {
    HEEDED.store(std::ptr::from_ref(page).cast_mut(), Ordering::Relaxed);
    let heed: extern "C" fn(i32) = heed;
    // SAFETY: system calls, and a handler that makes only such.
    unsafe {
        libc::signal(libc::SIGTERM, heed as *const () as libc::sighandler_t);
        if libc::fork() == 0 {
            libc::setpgid(0, 0);
            libc::raise(libc::SIGSTOP);
            idle(page);
        }
        libc::raise(libc::SIGSTOP);
    }
}
