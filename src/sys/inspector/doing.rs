//! What one process is doing, and all it did.

use super::ends::{Found, Networks, ends};
use super::waits::{Around, wait};
use crate::engine::activity::{Doing, Waits};
use crate::engine::process::Pid;
use crate::engine::snapshot::Why;
use crate::engine::survey::Holder;
use crate::sys::holder::Held;
use crate::sys::procfs::{Entry, Missing, Procfs, STAT_LINE, read_long, read_short};
use crate::sys::stat::Stat;

/// Much longer than any of these files, but a list of children.
const LONGEST: usize = 64 << 10;
/// Of who has more threads nothing is known.
const MOST_THREADS: usize = 4096;

/// Reads all of it.
pub(super) fn doing(
    proc: &Procfs,
    holder: &Holder,
    networks: &mut Networks,
) -> Result<Doing, Missing> {
    let mut held = Held::take(proc, holder)?;
    let pid = holder.key.pid();
    let (used, attended) = {
        let stat = held.stat()?;
        (stat.cpu.saturating_add(stat.reaped), stat.foreground)
    };
    let mut text = Vec::new();
    let io = io(proc, pid, &mut text)?;
    let Found { ends, files } = ends(proc, pid, networks)?;
    let around = Around {
        files: &files,
        attended,
    };
    let mut doing = Doing {
        read: io.read,
        written: io.written,
        calls: io.calls,
        used,
        ends,
        ..Doing::default()
    };
    let threads = proc.numbers_in(&Entry::of(pid).at("task"))?;
    if threads.len() > MOST_THREADS {
        return Err(Missing::Unread(Why::Short));
    }
    for tid in threads {
        match thread(proc, pid, tid, &around, &mut text) {
            Ok((switches, waits)) => {
                doing.switches = doing.switches.saturating_add(switches);
                doing.waits = doing.waits.plus(waits);
            }
            // It ended just now.
            Err(Missing::Gone) => {}
            Err(missing @ Missing::Unread(_)) => return Err(missing),
        }
        let unwaited = unwaited(proc, pid, tid, &mut text);
        doing.unwaited = doing.unwaited.saturating_add(unwaited);
    }
    // Once more, to prove that all of this was this process's own.
    held.stat()?;
    Ok(doing)
}

/// Counters of `/proc/PID/io`.
struct Io {
    read: u64,
    written: u64,
    calls: u64,
}

fn io(proc: &Procfs, pid: Pid, text: &mut Vec<u8>) -> Result<Io, Missing> {
    read_long(proc.file(&Entry::of(pid).at("io"))?, text, LONGEST)?;
    let of = |name| field(text, name).ok_or(Missing::Unread(Why::Short));
    Ok(Io {
        read: of("rchar:")?,
        written: of("wchar:")?,
        calls: of("syscr:")?.saturating_add(of("syscw:")?),
    })
}

/// Bytes that a process has read by now.
pub(super) fn has_read(proc: &Procfs, pid: Pid) -> Result<u64, Missing> {
    io(proc, pid, &mut Vec::new()).map(|io| io.read)
}

/// How often a thread was switched from, and what it waits for.
fn thread(
    proc: &Procfs,
    pid: Pid,
    tid: u32,
    around: &Around<'_>,
    text: &mut Vec<u8>,
) -> Result<(u64, Waits), Missing> {
    let folder = Entry::of(pid).thread(tid);
    read_long(proc.file(&folder.at("status"))?, text, LONGEST)?;
    let of = |name| field(text, name).unwrap_or(0);
    let switches = of("voluntary_ctxt_switches:").saturating_add(of("nonvoluntary_ctxt_switches:"));
    let mut line = [0; STAT_LINE];
    let stat = proc.file(&folder.at("stat"))?;
    let stat = Stat::parse(read_short(&stat, &mut line)?).ok_or(Missing::Unread(Why::Short))?;
    if matches!(stat.state, b'Z' | b'X' | b'x') {
        return Ok((switches, Waits::default()));
    }
    let mut line = [0; 256];
    let file = proc.file(&folder.at("syscall"))?;
    Ok((switches, wait(read_short(&file, &mut line)?, around)))
}

/// How many children of this thread are dead and were not waited for; none where the kernel lists no children.
fn unwaited(proc: &Procfs, pid: Pid, tid: u32, text: &mut Vec<u8>) -> u32 {
    let list = proc.file(&Entry::of(pid).thread(tid).at("children"));
    let read = list.and_then(|list| read_long(list, text, LONGEST));
    if read.is_err() {
        return 0;
    }
    let children = text.split(|byte| *byte == b' ').filter_map(|number| {
        let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
        Pid::new(number)
    });
    let mut line = [0; STAT_LINE];
    let mut dead = 0_u32;
    for child in children {
        let Ok(file) = proc.file(&Entry::of(child).at("stat")) else {
            continue;
        };
        let stat = read_short(&file, &mut line).ok().and_then(Stat::parse);
        if stat.is_some_and(|stat| stat.dead() && stat.ppid == pid.number()) {
            dead = dead.saturating_add(1);
        }
    }
    dead
}

/// The number behind a name at the beginning of a line.
fn field(text: &[u8], name: &str) -> Option<u64> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes()))?;
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}
