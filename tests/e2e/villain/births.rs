//! Villains that are many, and that hide whose children they are.

use std::env;
use std::ffi::{CString, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use super::bounds::{Forked, admit, burn, doze, exit, fork, fork_as, linger, nap, number, over};
use super::manners::{become_other, call_itself, handle_term, ignore, start};
use super::stands::send;
use super::{BURN, FILE, FORKS, MANNER, NUMBER, OTHER, UNTIL};

/// Lives in one of these manners, if it is one.
pub(super) fn live(manner: &str) {
    match manner {
        "bomb" => {
            deaf();
            breed()
        }
        "zoo" => zoo(breed),
        "flood" => zoo(flow),
        "threads" => threads(),
        "nest" => nest(),
        "subreaper" => subreaper(),
        "orphans" => orphans(),
        "sibling" => sibling(),
        "hydra" => hydra(),
        "respawner" => respawner(),
        "phoenix" => phoenix(),
        "latecomers" => latecomers(),
        _ => {}
    }
}

/// Has a child with a session of its own. When `FILE` appears, the child forks twice, and it does so itself with a session
/// between; who is in the middle is gone at once.
fn latecomers() -> ! {
    deaf();
    let child = fork() == Forked::Child;
    if child {
        new_session();
    } else {
        burn(Duration::from_millis(number(BURN).unwrap_or(0)));
    }
    let sign = env::var_os(FILE).unwrap_or_default();
    while !Path::new(&sign).exists() && !over() {
        nap(Duration::from_millis(5));
    }
    if fork() == Forked::Child {
        if !child {
            new_session();
        }
        if fork() == Forked::Child {
            linger()
        }
        exit(0)
    }
    linger()
}

/// Nobody is listened to, and children are not waited for.
fn deaf() {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
}

fn new_session() {
    // SAFETY: touches no memory.
    unsafe { libc::setsid() };
}

/// How many may stay at most.
fn most() -> u64 {
    number(NUMBER).unwrap_or(0)
}

/// A bomb: everybody forks, over and over, and every other one makes a session.
fn breed() -> ! {
    let mut round = 0_u32;
    while admit(most()) {
        match fork() {
            Forked::Child if round % 2 == 1 => new_session(),
            Forked::Child | Forked::Parent(_) => {}
            Forked::Refused => break,
        }
        round += 1;
        doze(Duration::from_millis(3));
    }
    linger()
}

/// Grows steadily: one has child after child, every other one in a session of its own.
fn flow() -> ! {
    let mut round = 0_u32;
    while admit(most()) {
        match fork() {
            Forked::Child => {
                if round % 2 == 1 {
                    new_session();
                }
                linger()
            }
            Forked::Parent(_) => {}
            Forked::Refused => break,
        }
        round += 1;
        doze(Duration::from_millis(4));
    }
    linger()
}

/// One of each: deaf, hidden by a double fork and under a name of the kernel's, stopped, a comet; and many.
fn zoo(many: fn() -> !) -> ! {
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        deaf();
        linger()
    }
    if fork() == Forked::Child {
        new_session();
        if fork() != Forked::Child {
            exit(0)
        }
        call_itself(b"kworker/0:9");
        linger()
    }
    if fork() == Forked::Child {
        // SAFETY: touches no memory.
        unsafe { libc::raise(libc::SIGSTOP) };
        linger()
    }
    if fork() == Forked::Child {
        deaf();
        while fork() == Forked::Child {
            new_session();
            doze(Duration::from_millis(1));
        }
        exit(0)
    }
    for _ in 0..4 {
        if fork() == Forked::Child {
            deaf();
            many()
        }
    }
    deaf();
    linger()
}

/// Its leader stands still while three threads have children who stay.
fn threads() -> ! {
    deaf();
    for _ in 0..3 {
        std::thread::spawn(|| {
            while admit(most()) {
                if fork() == Forked::Child {
                    linger()
                }
                doze(Duration::from_millis(20));
            }
        });
    }
    start()
}

/// Has a child, whose number it writes into `FILE`. Both do nothing wrong.
fn nest() -> ! {
    if let Forked::Parent(child) = fork() {
        write_number(child);
    }
    linger()
}

pub(super) fn write_number(pid: i32) {
    fs::write(env::var_os(FILE).unwrap_or_default(), pid.to_string()).unwrap();
}

/// Takes in orphans: starts `OTHER` in the manner of `orphans`, and waits for whatever it is given.
fn subreaper() -> ! {
    // SAFETY: touches no memory.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    match fork() {
        Forked::Child => {
            let error = Command::new(env::var_os(OTHER).unwrap_or_default())
                .args(env::args_os().skip(1))
                .env(MANNER, "orphans")
                .env(OTHER, env::var_os(NUMBER).unwrap_or_default())
                .exec();
            panic!("no orphans: {error}")
        }
        Forked::Parent(child) => write_number(child),
        Forked::Refused => exit(1),
    }
    while !over() {
        // SAFETY: waits for any child; nothing is asked of it.
        if unsafe { libc::waitpid(-1, ptr::null_mut(), 0) } < 0 {
            nap(Duration::from_millis(10));
        }
    }
    exit(0)
}

/// Leaves children to others: three that burn 200 ms each and end, and one that becomes `OTHER` and stays.
fn orphans() -> ! {
    ignore(libc::SIGTERM);
    // By then it is known what it runs, and so that a rule keeps it.
    nap(Duration::from_millis(2000));
    for stays in [false, false, false, true] {
        if fork() == Forked::Child {
            if fork() == Forked::Child {
                if stays {
                    become_other("ignore")
                }
                burn(Duration::from_millis(200));
            } else {
                // Long enough to be seen.
                nap(Duration::from_millis(2500));
            }
            exit(0)
        }
    }
    start()
}

/// Its child is its sibling, and becomes `OTHER`.
fn sibling() -> ! {
    ignore(libc::SIGTERM);
    // On a full machine there may be no process to be had for a moment.
    for _ in 0..100 {
        match fork_as(libc::CLONE_PARENT) {
            Forked::Child => become_other("ignore"),
            Forked::Parent(_) => break,
            Forked::Refused => nap(Duration::from_millis(20)),
        }
    }
    start()
}

/// A member answers TERM with the end of its parent and fifty children.
fn hydra() -> ! {
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        handle_term(grow_heads);
        linger()
    }
    ignore(libc::SIGTERM);
    start()
}

extern "C" fn grow_heads(_: i32) {
    // SAFETY: touches no memory.
    let parent = unsafe { libc::getppid() };
    send(parent, libc::SIGKILL);
    for _ in 0..50 {
        if fork() == Forked::Child {
            ignore(libc::SIGTERM);
            linger()
        }
    }
}

/// What the handler runs in its place: a program, its arguments, its environment.
static PROGRAM: AtomicPtr<libc::c_char> = AtomicPtr::new(ptr::null_mut());
static ARGUMENTS: AtomicPtr<*const libc::c_char> = AtomicPtr::new(ptr::null_mut());
static ENVIRONMENT: AtomicPtr<*const libc::c_char> = AtomicPtr::new(ptr::null_mut());

/// Answers TERM by going, and leaves somebody behind who was never of its session, group or environment.
fn respawner() -> ! {
    ignore(libc::SIGCHLD);
    let variable = |name: &str, value: OsString| {
        let mut variable = OsString::from(format!("{name}="));
        variable.push(value);
        variable
    };
    let keep = |name| variable(name, env::var_os(name).unwrap_or_default());
    let own = env::current_exe().unwrap_or_default();
    let environment = [
        variable(MANNER, "phoenix".into()),
        variable(OTHER, own.into()),
        keep(UNTIL),
        keep(FORKS),
    ];
    let program = env::var_os(OTHER).unwrap_or_default();
    ARGUMENTS.store(list([program.clone()]), Ordering::SeqCst);
    ENVIRONMENT.store(list(environment), Ordering::SeqCst);
    PROGRAM.store(text(program), Ordering::SeqCst);
    handle_term(leave_a_phoenix);
    start()
}

/// A text that is never freed.
fn text(text: OsString) -> *mut libc::c_char {
    CString::new(text.into_encoded_bytes())
        .unwrap_or_default()
        .into_raw()
}

/// A list as exec wants it, never freed.
fn list<const N: usize>(texts: [OsString; N]) -> *mut *const libc::c_char {
    let texts = texts.into_iter().map(|one| text(one).cast_const());
    let list: Vec<_> = texts.chain([ptr::null()]).collect();
    Box::leak(list.into_boxed_slice()).as_mut_ptr()
}

extern "C" fn leave_a_phoenix(_: i32) {
    if fork() == Forked::Child {
        new_session();
        if fork() == Forked::Child {
            // SAFETY: made by `respawner` before the handler was, and never freed.
            unsafe {
                libc::execve(
                    PROGRAM.load(Ordering::SeqCst),
                    ARGUMENTS.load(Ordering::SeqCst).cast_const(),
                    ENVIRONMENT.load(Ordering::SeqCst).cast_const(),
                );
            }
        }
    }
    exit(0)
}

/// Starts what was ended once more.
fn phoenix() -> ! {
    deaf();
    nap(Duration::from_millis(300));
    if fork() == Forked::Child {
        let error = Command::new(env::var_os(OTHER).unwrap_or_default())
            .arg("runaway")
            .env(MANNER, "ignore")
            .env(BURN, "500")
            .exec();
        panic!("nothing rises: {error}")
    }
    linger()
}
