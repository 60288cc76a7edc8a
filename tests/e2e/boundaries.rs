//! Boundaries by the real programs: servers that a tree leaves behind, and what these start, outlive its end.
//!
//! What the machine lacks is listed as not shown. Each is started by a member and talks to nobody but over sockets of
//! the test's own, on loopback where it knows no other.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::case::{Case, rules, rules_with};
use super::in_both_tiers;
use super::launch::{Order, Started};
use super::report::{Tier, cannot_show};
use super::wait::wait_until;

in_both_tiers!(servers_started_in_the_tree_and_what_they_start_live);

/// A server.
struct Server {
    program: &'static str,
    /// What the shell is told; `$1` is a folder of its own, `$2` a free port.
    begins: &'static str,
    /// Whether something runs in it.
    holds: Holds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Somebody,
    Nobody,
}

const fn server(program: &'static str, holds: Holds, begins: &'static str) -> Server {
    Server {
        program,
        begins,
        holds,
    }
}

/// Those of the list that packages have and that run without a machine of their own. Not tried: login and display managers,
/// cron and the like, which would do the machine's work a second time.
const SERVERS: [Server; 11] = [
    server(
        "tmux",
        Holds::Somebody,
        "tmux -S $1/socket -f /dev/null new-session -d 'sleep 40'",
    ),
    server(
        "screen",
        Holds::Somebody,
        "SCREENDIR=$1 screen -dmS one sleep 40",
    ),
    server("dtach", Holds::Somebody, "dtach -n $1/socket sleep 40"),
    server(
        "emacs",
        Holds::Somebody,
        "emacs -Q --daemon=one --eval '(start-process \"one\" nil \"sleep\" \"40\")' 2>&1",
    ),
    // Its runtime is a script that starts one process and tells its number.
    server(
        "conmon",
        Holds::Somebody,
        "printf '%s\\n' '#!/bin/sh' 'while [ $# -gt 1 ]; do [ $1 = --pid-file ] && break; shift; done' \
         'sleep 40 & echo $! >$2' >$1/runtime && chmod +x $1/runtime && conmon --api-version 1 -c one -u one -n one \
         -r $1/runtime -b $1 -p $1/pid -l k8s-file:$1/log --exit-dir $1 --socket-dir-path $1",
    ),
    server(
        "dbus-daemon",
        Holds::Nobody,
        "dbus-daemon --session --fork --address=unix:path=$1/socket",
    ),
    server(
        "gpg-agent",
        Holds::Nobody,
        "gpg-agent --quiet --homedir $1 --daemon",
    ),
    server("ssh-agent", Holds::Nobody, "ssh-agent -a $1/socket"),
    server(
        "dropbear",
        Holds::Nobody,
        "dropbear -R -p 127.0.0.1:$2 -r $1/key -P $1/pid",
    ),
    server(
        "sccache",
        Holds::Nobody,
        "SCCACHE_SERVER_PORT=$2 SCCACHE_DIR=$1 sccache --start-server",
    ),
    server(
        "adb",
        Holds::Nobody,
        "ANDROID_ADB_SERVER_PORT=$2 adb start-server",
    ),
];

fn servers_started_in_the_tree_and_what_they_start_live(tier: Tier) {
    let mut case = Case::new("servers", tier);
    let program = case.program("opens");
    let here: BTreeMap<_, _> = SERVERS
        .iter()
        .filter_map(|it| Some((image(it)?, it)))
        .collect();
    // Until all of them are there the tree may do as it likes: some take seconds on a busy machine.
    let watch = case.watch();
    let file = watch.rules_file();
    let daemon = watch.rules(&rules_with(&program, "{ age: 10h }")).start();
    let script: String = here.values().map(|server| words(&case, server)).collect();
    let ready = case.path("ready");
    let script = format!("{script}echo >{}\n", ready.display());
    let home = case.path("");
    let order = Order::new(&program, "script").other(&script);
    let order = order
        .variable("HOME", home.to_str().unwrap())
        .variable("XDG_RUNTIME_DIR", home.to_str().unwrap());
    let villain = case.start(order);
    wait_until("the servers", || ready.exists() || !villain.lives());
    assert!(ready.exists(), "{}", log(&case));
    let seen = who_runs(&case);
    let mut spared = Vec::new();
    let mut shown = 0;
    for (image, server) in &here {
        let mine = |pid: &&u32| seen[*pid].0 == *image;
        let mine: Vec<u32> = seen.keys().filter(mine).copied().collect();
        if mine.is_empty() {
            let what = format!("a boundary by its real program, {}", server.program);
            cannot_show(&what, "it does not start here");
            eprintln!("{}", log(&case));
            continue;
        }
        shown += 1;
        let inside = |pid: &&u32| mine.contains(&seen[*pid].1);
        let inside: Vec<u32> = seen.keys().filter(inside).copied().collect();
        let holds = !inside.is_empty();
        assert_eq!(holds, server.holds == Holds::Somebody, "{}", server.program);
        let both = mine.iter().chain(&inside);
        spared.extend(both.map(|pid| (server.program, Started::hold(*pid))));
    }
    let draft = case.path("draft");
    fs::write(&draft, rules(&program)).unwrap();
    fs::rename(&draft, &file).unwrap();
    assert!(shown > 0 || here.is_empty(), "{}", log(&case));
    daemon.log.about(villain.pid, "close");
    assert!(!villain.lives());
    let lost = spared.iter().filter(|(_, one)| !one.lives());
    let lost: Vec<_> = lost.map(|(name, one)| (*name, one.pid)).collect();
    assert_eq!(lost, [], "ended with the tree:\n{}", daemon.log.text());
    drop(spared);
    wait_until("the servers' end", || case.survivors() == 0);
}

/// The name of its executable file, where the machine has it.
fn image(server: &Server) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let files = folders.map(|folder| folder.join(server.program));
    let file = files
        .into_iter()
        .find_map(|file| fs::canonicalize(file).ok());
    if file.is_none() {
        let what = format!("a boundary by its real program, {}", server.program);
        cannot_show(&what, "the machine has no such program");
    }
    Some(file?.file_name()?.to_str()?.to_owned())
}

/// What the shell is told for it.
fn words(case: &Case, server: &Server) -> String {
    let folder = case.path(server.program);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    // One that does not start is none of the others' affair.
    let begins = server.begins;
    format!(
        "set -- {} {port}\n{{ {begins}; }} || echo no {}\n",
        folder.display(),
        server.program
    )
}

/// Everybody alive by what they run, and whose child they are.
fn who_runs(case: &Case) -> BTreeMap<u32, (String, u32)> {
    let one = |pid: u32| {
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?;
        let name = Path::new(&exe).file_name()?.to_str()?.to_owned();
        Some((pid, (name, parent.parse().ok()?)))
    };
    case.oracle().living().into_iter().filter_map(one).collect()
}

fn log(case: &Case) -> String {
    fs::read_to_string(case.path("villains.log")).unwrap_or_default()
}
