//! The launcher: starts villains on request, so that all of them are its descendants and nothing else is.
//!
//! It reads one request a line on standard input, answers each with a line, and ends with its input or at its
//! deadline. It has one thread and forks by hand, because a villain must be in its cgroup before its first step and
//! may have to bear a number of our choice.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::bounds;
use crate::fork::fork;

/// The launcher's end of the oracle: `cgroup.procs`, opened by whoever may.
pub(crate) const CGROUP_FD: i32 = 3;

/// Serves requests until there are no more.
pub(super) fn serve() -> ! {
    // SAFETY: nobody else uses these; villains must not hold the cgroup, and are reaped by the kernel. What the tests were
    // started by may ignore signals (`nohup`, a shell's background), and villains would inherit that.
    unsafe {
        for signal in 1..=31 {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::fcntl(CGROUP_FD, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
    }
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { break };
        let answer = match serde_json::from_str(&line) {
            Ok(request) => start(&request),
            Err(error) => json!({ "error": error.to_string() }),
        };
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{answer}")
            .and_then(|()| out.flush())
            .is_err()
        {
            break;
        }
    }
    bounds::exit(0)
}

fn start(request: &Value) -> Value {
    let wanted = request["number"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok());
    match fork(wanted) {
        Ok(0) => become_villain(request),
        Ok(pid) => json!({ "pid": pid }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn become_villain(request: &Value) -> ! {
    // SAFETY: as in `serve`; a villain starts with the defaults, and writes itself into its cgroup.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let life = request["life"]
            .as_u64()
            .and_then(|life| u32::try_from(life).ok());
        libc::alarm(life.unwrap_or(30));
        if request["judged"] == json!(true) {
            libc::write(CGROUP_FD, c"0".as_ptr().cast(), 1);
        }
    }
    let text = |value: &Value| OsString::from(value.as_str().unwrap_or_default());
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut command = Command::new(text(&request["program"]));
    if let Some(name) = request["arg0"].as_array() {
        command.arg0(bytes(name));
    }
    command.args(list(&request["args"]).iter().map(text));
    command.env_clear();
    for (name, value) in request["env"].as_object().into_iter().flatten() {
        command.env(name, text(value));
    }
    if let Some(folder) = request["cwd"].as_str() {
        command.current_dir(folder);
    }
    if request["session"] == json!(true) {
        // SAFETY: touches no memory.
        unsafe { libc::setsid() };
    }
    let errors = command.stdin(Stdio::null()).stdout(Stdio::null()).exec();
    let _ = writeln!(std::io::stderr(), "cannot start {request}: {errors}");
    bounds::exit(127)
}

/// Arguments that are no text travel as lists of bytes.
fn bytes(list: &[Value]) -> OsString {
    let bytes = list.iter().filter_map(Value::as_u64);
    let bytes: Vec<u8> = bytes.filter_map(|byte| u8::try_from(byte).ok()).collect();
    OsString::from_vec(OsStr::from_bytes(&bytes).as_bytes().to_vec())
}
