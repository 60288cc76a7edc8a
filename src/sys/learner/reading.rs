//! Reading the facts of one process.
//!
//! **Invariants.** A key is given only when everything was read from the process with that key: its folder is open from
//! the beginning, and its stat file is read at the beginning and at the end. Of its environment, only variables that
//! were asked for leave this file.

use std::time::Duration;

use super::folder::{Folder, answer};
use super::{cgroup, terminal};
use crate::engine::facts::{Facts, Hangup, Namespace, Place, Question, Read};
use crate::engine::process::{Mark, Pid, ProcKey, StartTicks, Text, Uid};
use crate::engine::snapshot::Why;
use crate::engine::units::Mono;
use crate::sys::clock::Clock;
use crate::sys::procfs::{Entry, Missing, Procfs, STAT_LINE, key_of, read_short};
use crate::sys::stat::Stat;
use crate::sys::status::Status;
use crate::sys::stillness::Stillness;

/// What is kept of the arguments, all together. An argument that does not fit is dropped whole, with all after it:
/// a part of one could be taken for another.
pub const MOST_ARGS: usize = 64 << 10;

/// What is searched of an environment.
const MOST_ENV: usize = 1 << 20;

/// The stat file is behind the truth by less than this.
const GRAIN: Duration = Duration::from_millis(20);

/// Enough for the other files.
const MOST: usize = 1 << 20;

/// The login id of those who never logged in.
const NOBODY: &str = "4294967295";

/// Reads the facts of one process, however long it takes: a process that holds its own memory map locked makes the
/// reader of its arguments wait.
pub fn read_facts(proc: &Procfs, question: &Question, clock: Clock) -> Facts {
    let facts = read(proc, question, clock);
    facts.unwrap_or_else(|missing| nothing(question, clock.now(), missing))
}

/// The answer where nothing could be read. One that is only late or refused is still about the process asked for.
pub(super) fn nothing(question: &Question, at: Mono, missing: Missing) -> Facts {
    fn none<T>(missing: Missing) -> Read<T> {
        answer(Err(missing))
    }
    Facts {
        about: question.about,
        pid: question.pid,
        key: match missing {
            Missing::Gone => None,
            Missing::Unread(_) => question.key,
        },
        start: question.start.unwrap_or(StartTicks(0)),
        exec: question.exec,
        at,
        cpu: Duration::MAX,
        kernel_thread: false,
        comm: Text::default(),
        exe: none(missing),
        args: none(missing),
        env: none(missing),
        owner: none(missing),
        group: none(missing),
        login: none(missing),
        cwd: none(missing),
        tty: none(missing),
        cgroup: none(missing),
        cgroup_id: none(missing),
        container: none(missing),
        namespace: none(missing),
        hangup: none(missing),
    }
}

fn read(proc: &Procfs, question: &Question, clock: Clock) -> Result<Facts, Missing> {
    let folder = Folder::open(proc, &Entry::of(question.pid))?;
    let file = folder.file("stat")?;
    let hold = proc.hold(question.pid)?;
    let at = clock.now();
    let mut line = [0; STAT_LINE];
    let stat = living(read_short(&file, &mut line)?)?;
    let key = key_of(question.pid, hold.as_ref(), stat.start);
    if !is_asked_for(question, key, stat.start) {
        return Err(Missing::Gone);
    }
    let shown = if stat.state == b'Z' {
        living_thread(proc, question)?
    } else {
        folder
    };
    let image = if stat.kernel_thread {
        Image::none()
    } else {
        Image::read(&shown, question)
    };
    let group = answer(shown.read("cgroup", MOST));
    let mut facts = Facts {
        start: stat.start,
        cpu: spent(proc, &stat, question.pid),
        kernel_thread: stat.kernel_thread,
        comm: stat.name(),
        key: Some(key),
        exe: image.exe,
        args: image.args,
        env: image.env,
        cwd: answer(shown.place("cwd")),
        tty: terminal::terminal(&shown, stat.tty),
        login: login(&shown),
        cgroup: told(&group, cgroup::path),
        cgroup_id: told(&group, |file| {
            cgroup::identity(file, || answer(shown.read("cgroup", MOST)).known().cloned())
        }),
        container: told(&group, |file| Some(cgroup::container(file))),
        ..nothing(question, at, Missing::Gone)
    };
    tell_status(&mut facts, &answer(shown.read("status", MOST)));
    // What was read is its own only if it is still there.
    let mut line = [0; STAT_LINE];
    living(read_short(&file, &mut line)?)?;
    Ok(facts)
}

/// No less than it has used: what the stat file tells is cut down to ticks of 10 ms, twice.
fn spent(proc: &Procfs, stat: &Stat<'_>, pid: Pid) -> Duration {
    let ran = Stillness::of(proc).ran(pid);
    ran.map_or(stat.cpu.saturating_add(GRAIN), |ran| {
        ran.time().max(stat.cpu)
    })
}

/// The stat line of a process that lives.
fn living(line: &[u8]) -> Result<Stat<'_>, Missing> {
    let stat = Stat::parse(line).ok_or(Missing::Unread(Why::Short))?;
    if stat.dead() {
        return Err(Missing::Gone);
    }
    Ok(stat)
}

/// Whether the process found is the one in question.
fn is_asked_for(question: &Question, found: ProcKey, start: StartTicks) -> bool {
    let same = match question.key.map(ProcKey::mark) {
        None => true,
        Some(Mark::Ticks(ticks)) => ticks == start.0,
        Some(Mark::Inode(inode)) => match found.mark() {
            Mark::Inode(found) => inode == found,
            // No pidfd could be had now; the start must do.
            Mark::Ticks(_) => question.start.is_some(),
        },
    };
    same && question.start.is_none_or(|asked| match question.key {
        Some(_) => start == asked,
        None => start.can_be(asked),
    })
}

/// A thread that lives, of a process whose leader does not: only there is what the process runs.
fn living_thread(proc: &Procfs, question: &Question) -> Result<Folder, Missing> {
    let entry = Entry::of(question.pid);
    for tid in proc.numbers_in(&entry.at("task"))? {
        let Ok(folder) = Folder::open(proc, &entry.thread(tid)) else {
            continue;
        };
        let mut line = [0; STAT_LINE];
        let stat = folder
            .file("stat")
            .and_then(|file| read_short(file, &mut line));
        let state = stat.ok().and_then(Stat::parse).map(|stat| stat.state);
        if state.is_some_and(|state| !matches!(state, b'Z' | b'X' | b'x')) {
            return Ok(folder);
        }
    }
    Err(Missing::Gone)
}

/// What changes with an exec.
struct Image {
    exe: Read<Place>,
    args: Read<Vec<Text>>,
    env: Read<Vec<(String, Text)>>,
}

impl Image {
    /// Threads of the kernel run none, and nobody needs to know what they call themselves.
    fn none() -> Self {
        Self {
            exe: Read::NotAsked,
            args: Read::NotAsked,
            env: Read::NotAsked,
        }
    }

    fn read(folder: &Folder, question: &Question) -> Self {
        let image = Self::read_once(folder, question);
        // An exec may come in between, and half of this would be of the image before.
        if image.exe == answer(folder.place("exe")) {
            return image;
        }
        Self::read_once(folder, question)
    }

    fn read_once(folder: &Folder, question: &Question) -> Self {
        let exe = answer(folder.place("exe"));
        let args = folder.read("cmdline", MOST_ARGS + 1);
        let env = if question.variables.is_empty() {
            Read::NotAsked
        } else {
            answer(folder.read("environ", MOST_ENV))
        };
        Self {
            exe,
            args: answer(args.map(|text| arguments(&text))),
            env: told(&env, |text| Some(variables(text, &question.variables))),
        }
    }
}

/// Arguments as they stand in memory: each ends in a NUL, but a process may have overwritten them.
fn arguments(text: &[u8]) -> Vec<Text> {
    let (kept, cut) = match text.get(..MOST_ARGS) {
        Some(kept) if text.len() > MOST_ARGS => (kept, true),
        Some(_) | None => (text, false),
    };
    let (kept, last_is_whole) = match kept.strip_suffix(b"\0") {
        Some(kept) => (kept, true),
        None => (kept, !cut),
    };
    if text.is_empty() {
        return Vec::new();
    }
    let mut arguments: Vec<_> = kept.split(|&byte| byte == 0).map(Text::new).collect();
    if !last_is_whole {
        arguments.pop();
    }
    arguments
}

/// Those of the wanted variables that are set. Where one is set twice, the first counts, as it does to `getenv`.
fn variables(environment: &[u8], wanted: &[String]) -> Vec<(String, Text)> {
    let value_of = |name: &String| {
        environment
            .split(|&byte| byte == 0)
            .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    wanted
        .iter()
        .filter(|name| !name.is_empty())
        .filter_map(|name| Some((name.clone(), Text::new(value_of(name)?))))
        .collect()
}

/// The user who logged in. A kernel that does not keep it has no such file.
fn login(folder: &Folder) -> Read<Option<Uid>> {
    let text = match folder.read("loginuid", MOST) {
        Err(Missing::Gone) => return Read::Known(None),
        text => answer(text),
    };
    told(&text, |text| {
        match str::from_utf8(text.trim_ascii()).ok()? {
            NOBODY => Some(None),
            number => number.parse().ok().map(|number| Some(Uid(number))),
        }
    })
}

/// Fills in what the status file tells.
fn tell_status(facts: &mut Facts, text: &Read<Vec<u8>>) {
    facts.owner = told(text, |text| Status::new(text)?.owner());
    facts.group = told(text, |text| Status::new(text)?.group());
    // The kernel lists its number in each pid namespace from ours down to its own.
    facts.namespace = told(text, |text| match Status::new(text)?.namespaces()? {
        0 | 1 => Some(Namespace::Ours),
        2.. => Some(Namespace::Other),
    });
    facts.hangup = told(text, |text| {
        let ignored = Status::new(text)?.ignored()?;
        Some(if ignored & 1 == 1 {
            Hangup::Ignored
        } else {
            Hangup::Heeded
        })
    });
}

/// What a file tells. One that cannot be understood tells as little as one that cannot be read.
fn told<T>(file: &Read<Vec<u8>>, what: impl FnOnce(&[u8]) -> Option<T>) -> Read<T> {
    match file {
        Read::Known(file) => what(file).map_or(Read::Denied, Read::Known),
        Read::Denied => Read::Denied,
        Read::Gone => Read::Gone,
        Read::Late => Read::Late,
        Read::NotAsked => Read::NotAsked,
    }
}

#[cfg(test)]
mod tests;
