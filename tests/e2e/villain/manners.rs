//! What villains do.

use std::env;
use std::ffi::{CString, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use super::bounds::{Forked, burn, exit, fork, linger, nap, number, over};
use super::{
    BURN, FILE, MANNER, NUMBER, OTHER, births, desktop, jobs, launcher, locks, memory, realms,
    stands, storms, terminal,
};

/// Memory that the leaderless one holds: 64 MiB.
const HELD: usize = 64 << 20;

/// A path for the handler of TERM: nothing may be allocated there.
static NOTE: AtomicPtr<libc::c_char> = AtomicPtr::new(ptr::null_mut());

/// Lives in a manner, and ends.
pub(super) fn live(manner: &str) -> ! {
    storms::live(manner);
    match manner {
        "launcher" => launcher::serve(),
        "canary" => linger(),
        "obey" => {
            on_term(note_and_exit);
            start()
        }
        "ignore" => {
            ignore(libc::SIGTERM);
            start()
        }
        "stopped" => stopped(),
        "daemonize" => daemonize(),
        "leaver" => leaver(),
        "middle" => middle(),
        "comet" => comet(),
        "leaderless" => leaderless(),
        "rename" => rename(),
        "hostile" => hostile(),
        "disguise" => disguise(),
        "zombies" => zombies(),
        "crowd" => crowd(),
        "sower" => sower(),
        "storm" => storm(),
        "pair" => pair(),
        "host" => host(),
        "household" => household(),
        "thread_exec" => thread_exec(),
        "terminal" => terminal::emulate(),
        "foreground" => terminal::foreground(),
        "script" => terminal::script(),
        other => {
            births::live(other);
            jobs::live(other);
            locks::live(other);
            stands::live(other);
            realms::live(other);
            memory::live(other);
            desktop::live(other);
            panic!("no such manner: {other}")
        }
    }
}

/// Goes over its limit, then stays without doing anything: a test needs no busy processor.
pub(super) fn start() -> ! {
    burn(Duration::from_millis(number(BURN).unwrap_or(0)));
    linger()
}

pub(super) fn ignore(signal: i32) {
    // SAFETY: changes a disposition, touches no memory.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Runs this at TERM, with `FILE` at hand.
pub(super) fn on_term(handler: extern "C" fn(i32)) {
    if let Some(path) = env::var_os(FILE) {
        note_in(path);
    }
    handle_term(handler);
}

/// The handler of TERM writes into this file.
pub(super) fn note_in(path: OsString) {
    let path = CString::new(path.into_encoded_bytes()).unwrap_or_default();
    NOTE.store(path.into_raw(), Ordering::SeqCst);
}

/// Runs this at TERM.
pub(super) fn handle_term(handler: extern "C" fn(i32)) {
    // SAFETY: the handler does only what handlers may.
    unsafe { libc::signal(libc::SIGTERM, handler as *const () as libc::sighandler_t) };
}

/// Writes into `FILE` that the handler ran.
pub(super) fn note() {
    let path = NOTE.load(Ordering::SeqCst);
    if path.is_null() {
        return;
    }
    // SAFETY: these may be called in a handler; the path is a C string that is never freed.
    unsafe {
        let file = libc::open(path, libc::O_CREAT | libc::O_WRONLY, 0o644);
        libc::write(file, c"handled".as_ptr().cast(), 7);
        libc::close(file);
    }
}

pub(super) extern "C" fn note_and_exit(_: i32) {
    note();
    exit(0)
}

/// Stops itself before anybody asks; its handler of TERM can only run once it is continued.
fn stopped() -> ! {
    on_term(note_and_exit);
    burn(Duration::from_millis(number(BURN).unwrap_or(0)));
    // SAFETY: touches no memory.
    unsafe { libc::raise(libc::SIGSTOP) };
    linger()
}

/// Forks twice with a session between, the way daemons hide; the one in the middle is gone at once.
fn daemonize() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        // SAFETY: touches no memory.
        unsafe { libc::setsid() };
        match fork() {
            Forked::Child => {
                let _ = env::set_current_dir("/");
                become_other("ignore")
            }
            Forked::Parent(_) | Forked::Refused => exit(0),
        }
    }
    start()
}

/// Has a child that becomes somebody else, and leaves it behind.
fn leaver() -> ! {
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        become_other("ignore")
    }
    nap(Duration::from_millis(2500));
    exit(0)
}

/// Three levels below a process that dies in their midst.
fn middle() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        if fork() == Forked::Child {
            descend(2);
        }
        nap(Duration::from_millis(number(NUMBER).unwrap_or(0)));
        exit(0)
    }
    start()
}

fn descend(levels: u32) -> ! {
    if levels > 0 && fork() == Forked::Child {
        descend(levels - 1);
    }
    become_other("ignore")
}

/// Is never there when somebody looks: each hop forks, and its parent is gone.
fn comet() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        while fork() == Forked::Child {
            // SAFETY: touches no memory.
            unsafe { libc::setsid() };
        }
        exit(0)
    }
    start()
}

/// Its leader thread ends; another burns on and holds memory.
fn leaderless() -> ! {
    std::thread::spawn(|| {
        let held = vec![7_u8; HELD];
        burn(Duration::from_millis(number(BURN).unwrap_or(0)));
        std::hint::black_box(&held);
        linger()
    });
    nap(Duration::from_millis(number(NUMBER).unwrap_or(0)));
    // SAFETY: ends this thread alone; nothing of it is used by the other.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    exit(0)
}

/// Becomes another program when `FILE` appears.
fn rename() -> ! {
    burn(Duration::from_millis(number(BURN).unwrap_or(0)));
    let sign = env::var_os(FILE).unwrap_or_default();
    while !Path::new(&sign).exists() && !over() {
        nap(Duration::from_millis(5));
    }
    become_other("obey")
}

/// A thread that is not the leader becomes another image, here and in a child: the leader's exit is told before.
fn thread_exec() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    let image = match fork() {
        Forked::Child => env::var_os(OTHER).unwrap_or_default(),
        Forked::Parent(_) | Forked::Refused => env::current_exe().unwrap_or_default().into(),
    };
    nap(Duration::from_millis(50));
    std::thread::spawn(move || {
        let error = Command::new(image)
            .args(env::args_os().skip(1))
            .env(MANNER, "ignore")
            .exec();
        let _ = writeln!(std::io::stderr(), "no other image: {error}");
        exit(127)
    });
    linger()
}

/// Runs `OTHER` in another manner; CPU is burnt as `NUMBER` says.
pub(super) fn become_other(manner: &str) -> ! {
    let program = env::var_os(OTHER).unwrap_or_default();
    let burn = env::var_os(NUMBER).filter(|_| manner == "obey");
    let error = Command::new(program)
        .args(env::args_os().skip(1))
        .env(MANNER, manner)
        .env(BURN, burn.unwrap_or_default())
        .exec();
    let _ = writeln!(std::io::stderr(), "cannot become another: {error}");
    exit(127)
}

pub(super) fn call_itself(name: &[u8]) {
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: the kernel copies at most 16 bytes of a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Overwrites memory that the kernel shows to others: fields `first` and `first + 1` of stat, counted from 1.
fn overwrite(first: usize, with: &[u8]) {
    let stat = fs::read("/proc/self/stat").unwrap_or_default();
    let after = stat.iter().rposition(|byte| *byte == b')').unwrap_or(0) + 2;
    let rest = String::from_utf8_lossy(&stat[after..]).into_owned();
    let field = |number: usize| {
        rest.split_whitespace()
            .nth(number - 3)?
            .parse::<usize>()
            .ok()
    };
    let (Some(from), Some(to)) = (field(first), field(first + 1)) else {
        return;
    };
    for (at, byte) in (from..to).zip(with.iter().cycle()) {
        // SAFETY: the kernel says that these are our own arguments or environment, mapped and writable; nothing of
        // them is read here any more.
        unsafe { ptr::write_volatile(at as *mut u8, *byte) };
    }
}

const ARGUMENTS: usize = 48;
const ENVIRONMENT: usize = 50;

/// Names and arguments that break parsers and forge lines.
fn hostile() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    let long = "x".repeat(120 << 10);
    let broken = [
        b"\xff\xfe\x1b[2J\n".as_slice(),
        b"\"}\r\n{\"event\":\"signal\"}",
    ]
    .concat();
    let broken = unsafe_text(broken);
    let sleeper = || {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "trap '' TERM; sleep 20; :", ") R 1 ("]);
        shell.stdin(Stdio::null());
        shell
    };
    for arguments in [vec![broken], vec![long.into(); 9]] {
        if fork() == Forked::Child {
            let error = sleeper().args(arguments).exec();
            let _ = writeln!(std::io::stderr(), "no hostile shell: {error}");
            exit(127)
        }
    }
    if fork() == Forked::Child {
        without_arguments()
    }
    call_itself(b") R 1 (\n");
    overwrite(
        ARGUMENTS,
        b"\xff\xc0\x1b]0;mine\x07\n{\"event\":\"nudge\"}\0",
    );
    start()
}

fn unsafe_text(bytes: Vec<u8>) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

/// A program with no argument at all, not even its name. It reads from a pipe whose other end it holds itself.
fn without_arguments() -> ! {
    let mut ends = [0; 2];
    let none = [ptr::null::<libc::c_char>()];
    // SAFETY: `ends` takes two numbers; the lists end with null, as exec wants.
    unsafe {
        libc::pipe(ends.as_mut_ptr());
        libc::dup2(ends[0], 0);
        libc::execve(c"/bin/cat".as_ptr(), none.as_ptr(), none.as_ptr());
    }
    exit(127)
}

/// Looks like the system: its own name, its arguments and its environment are other people's.
fn disguise() -> ! {
    let span = Duration::from_millis(number(BURN).unwrap_or(0));
    ignore(libc::SIGTERM);
    for name in ["systemd", "kworker/0:9", "beadle"] {
        if fork() == Forked::Child {
            call_itself(name.as_bytes());
            overwrite(ARGUMENTS, b"/lib/systemd/systemd\0--system\0");
            overwrite(ENVIRONMENT, b"Z");
            linger()
        }
    }
    call_itself(b"systemd");
    overwrite(ARGUMENTS, b"/lib/systemd/systemd\0--system\0");
    overwrite(ENVIRONMENT, b"Z");
    burn(span);
    linger()
}

/// A lazy parent: its children are dead and nobody has asked how.
fn zombies() -> ! {
    ignore(libc::SIGTERM);
    for _ in 0..number(NUMBER).unwrap_or(0) {
        if fork() == Forked::Child {
            exit(0)
        }
    }
    start()
}

/// Children that are gone at once, `NUMBER` of them one after the other; then it goes too.
fn storm() -> ! {
    ignore(libc::SIGCHLD);
    for _ in 0..number(NUMBER).unwrap_or(0) {
        if fork() == Forked::Child {
            exit(0)
        }
    }
    exit(0)
}

/// Many members that do nothing and do not listen.
fn crowd() -> ! {
    ignore(libc::SIGTERM);
    for _ in 0..number(NUMBER).unwrap_or(0) {
        if fork() == Forked::Child {
            linger()
        }
    }
    start()
}

/// Goes over its limit, then starts one after the other who does nothing, and does not listen.
fn sower() -> ! {
    ignore(libc::SIGTERM);
    burn(Duration::from_millis(number(BURN).unwrap_or(0)));
    for _ in 0..number(NUMBER).unwrap_or(0) {
        if fork() == Forked::Child {
            linger()
        }
        nap(Duration::from_millis(10));
    }
    linger()
}

/// Does not listen, and has a child that leaves when `FILE` appears. The child's number goes to `FILE.pid`.
fn pair() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    let sign = env::var_os(FILE).unwrap_or_default();
    match fork() {
        Forked::Child => {
            while !Path::new(&sign).exists() && !over() {
                nap(Duration::from_millis(2));
            }
            exit(0)
        }
        Forked::Parent(child) => {
            let mut path = sign;
            path.push(".pid");
            fs::write(path, child.to_string()).unwrap();
        }
        Forked::Refused => {}
    }
    start()
}

/// Does not listen, nor does its child; and has children that become each of the programs that `OTHER` lists.
fn household() -> ! {
    ignore(libc::SIGTERM);
    ignore(libc::SIGCHLD);
    if fork() == Forked::Child {
        linger()
    }
    for program in env::split_paths(&env::var_os(OTHER).unwrap_or_default()) {
        if fork() == Forked::Child {
            let error = Command::new(program)
                .args(env::args_os().skip(1))
                .env(MANNER, "nest")
                .exec();
            panic!("nobody to live with: {error}")
        }
    }
    start()
}

/// Starts a command inside its own tree, its standard error into `FILE`: `OTHER` holds it as a list in JSON. Beside
/// it a child that does not listen burns in its stead.
fn host() -> ! {
    ignore(libc::SIGCHLD);
    let words: Vec<String> =
        serde_json::from_str(&env::var(OTHER).unwrap_or_default()).unwrap_or_default();
    let (Some((program, arguments)), Some(log)) = (words.split_first(), env::var_os(FILE)) else {
        exit(2)
    };
    if fork() == Forked::Child {
        let log = fs::OpenOptions::new().append(true).open(log).unwrap();
        let error = Command::new(program).args(arguments).stderr(log).exec();
        let _ = writeln!(std::io::stderr(), "cannot start {program}: {error}");
        exit(127)
    }
    if fork() == Forked::Child {
        ignore(libc::SIGTERM);
        start()
    }
    linger()
}
