//! What a look, a question and a listing bring back from the fake machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beadle::engine::activity::{
    Close, Doing, Ends, Inspected, Inspection, Place as Spot, Scrutiny, Waits as Waiting,
};
use beadle::engine::facts::{Facts, Hangup, Namespace, Place, Question, Read};
use beadle::engine::gate::{Vital, Vitals};
use beadle::engine::process::{CgroupId, Gid, Pid, ShortName, StartTicks, Text, Uid};
use beadle::engine::snapshot::{
    Ask, Depth, Entered, Figures, Group, Memory, RunState, Sample, Seen, Snapshot, Why,
};
use beadle::engine::survey::Holder;
use beadle::engine::units::{Bytes, Mono};

use super::body::{Body, State};
use super::machine::Machine;

/// How well the machine can be read.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Whether memory by part can be read.
    pub memory: Parts,
    /// In which units CPU time can be read.
    pub units: Units,
}

/// In which units CPU time can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Nanoseconds.
    Nanos,
    /// Ticks of `/proc`, except where finer figures are wanted.
    Ticks,
    /// Those always.
    TicksOnly,
}

/// CPU time as it is read, and by how much it may fall short.
fn units(ask: &Ask, sight: Sight) -> (fn(Duration) -> Duration, Duration) {
    match (sight.units, ask.want.cpu) {
        (Units::Nanos, _) | (Units::Ticks, true) => (|cpu| cpu, Duration::ZERO),
        (Units::Ticks, false) | (Units::TicksOnly, _) => (
            |cpu| Duration::from_millis(u64::try_from(cpu.as_millis()).unwrap() / 10 * 10),
            Duration::from_millis(20),
        ),
    }
}

/// Whether memory can be read by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    Readable,
    Hidden,
}

/// Takes figures; `dim` says which looks fail.
pub fn snapshot(
    machine: &Machine,
    asks: &[Ask],
    (groups, wanted): (&[(Text, Entered)], &BTreeSet<Vital>),
    dim: &mut dyn FnMut(Pid) -> bool,
    sight: Sight,
) -> Snapshot {
    let samples = asks
        .iter()
        .map(|ask| {
            let mut sample = look(machine, ask, sight);
            if dim(ask.pid) && matches!(sample.seen, Seen::Alive(_) | Seen::Still) {
                sample.key = ask.key;
                sample.seen = Seen::Unread(Why::Short);
            }
            sample
        })
        .collect();
    Snapshot {
        samples,
        groups: groups
            .iter()
            .map(|(path, entered)| group(machine, path, *entered))
            .collect(),
        machine: beadle::engine::snapshot::Machine {
            slept: machine.slept,
            local_minute: machine.local_minute(),
            memory: Bytes::gib(64),
            cores: machine.cores,
            tick: machine.tick,
            vitals: told(machine.vitals, wanted),
        },
    }
}

/// Nobody is told what he did not ask for.
fn told(vitals: Vitals, wanted: &BTreeSet<Vital>) -> Vitals {
    let mut told = Vitals::default();
    for vital in wanted {
        match vital {
            Vital::Load => told.load = vitals.load,
            Vital::MemoryPressure => told.memory_pressure = vitals.memory_pressure,
            Vital::Power => told.power = vitals.power,
        }
    }
    told
}

/// The path of a group. One of the same path that came after another was removed is called `PATH#2`.
fn path(group: &str) -> &str {
    group.split('#').next().unwrap()
}

/// Which group that is: no other name gives the same.
pub fn group_id(group: &str) -> CgroupId {
    let mix = |so_far: u64, byte: u8| (so_far ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    CgroupId(group.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
}

fn group(machine: &Machine, asked: &Text, entered: Entered) -> Group {
    let asked_for = asked.to_string();
    let here = machine
        .living()
        .filter(|body| path(&body.group) == asked_for);
    // The one that is there now.
    let name = here.map(|body| &body.group).max().unwrap_or(&asked_for);
    let name = name.as_str();
    let inside = machine.living().filter(|body| body.group == name);
    let micros = machine.used_in(name).as_micros();
    Group {
        path: asked.clone(),
        id: group_id(name),
        listed: machine.now,
        members: inside.map(|body| body.pid).collect(),
        depth: Depth::Flat,
        entered,
        frozen: machine.frozen.contains(name),
        at: machine.now,
        used: Duration::from_micros(u64::try_from(micros).unwrap()),
    }
}

fn look(machine: &Machine, ask: &Ask, sight: Sight) -> Sample {
    let gone = Sample {
        pid: ask.pid,
        key: ask.key,
        at: machine.now,
        seen: Seen::Gone,
    };
    let Some(body) = machine.holder(ask.pid) else {
        return gone;
    };
    let key = machine.key(body);
    let start = StartTicks(body.ticks);
    let another = ask.key.is_some_and(|asked| asked != key)
        || ask.start.is_some_and(|asked| !start.can_be(asked));
    if another {
        return gone;
    }
    let seen = match body.state {
        State::Zombie => Seen::Zombie {
            start,
            cpu: units(ask, sight).0(body.used),
            grain: units(ask, sight).1,
            ppid: pid_of(machine, body),
        },
        State::Running | State::Stopped
            if !ask.want.anew && ask.ran == Some(body.ran(machine.now)) =>
        {
            Seen::Still
        }
        State::Running | State::Stopped => Seen::Alive(figures(machine, body, ask, sight)),
    };
    Sample {
        pid: ask.pid,
        key: Some(key),
        at: machine.now,
        seen,
    }
}

fn pid_of(machine: &Machine, body: &Body) -> Option<Pid> {
    Some(machine.body(body.parent?)?.pid)
}

fn figures(machine: &Machine, body: &Body, ask: &Ask, sight: Sight) -> Figures {
    let memory = body.memory(machine.now);
    let parent = body
        .parent
        .and_then(|parent| machine.body(parent))
        .filter(|_| ask.key.is_none());
    Figures {
        start: StartTicks(body.ticks),
        ran: Some(body.ran(machine.now)),
        ppid: pid_of(machine, body),
        parent: parent.map(|parent| machine.key(parent)),
        session: Some(body.session),
        tty: 0,
        comm: ShortName::of(body.program.as_bytes()),
        owner: Some(Uid(body.owner)),
        kernel_thread: false,
        state: match body.state {
            State::Stopped => RunState::Stopped,
            State::Running | State::Zombie if body.plan.cpu > 0 => RunState::Running,
            State::Running | State::Zombie => RunState::Sleeping,
        },
        cpu: units(ask, sight).0(body.counted(machine.now, machine.tick)),
        grain: units(ask, sight).1,
        at_rest: units(ask, sight).1.is_zero() && rests(body),
        reaped: units(ask, sight).0(body.reaped),
        threads: body.plan.threads,
        rss: memory,
        memory: (ask.want.memory && sight.memory == Parts::Readable).then_some(Memory {
            anonymous: memory,
            ..Memory::default()
        }),
        open_files: ask.want.open_files.then_some(3),
    }
}

fn rests(body: &Body) -> bool {
    body.state == State::Stopped || body.plan.cpu == 0
}

fn comm(program: &str) -> Text {
    let bytes = program.as_bytes();
    Text::new(&bytes[..bytes.len().min(15)])
}

/// Answers a question about what runs.
pub fn facts(machine: &Machine, question: &Question) -> Facts {
    let found = machine.holder(question.pid).filter(|body| {
        body.alive()
            && question.key.is_none_or(|key| machine.key(body) == key)
            && question
                .start
                .is_none_or(|start| StartTicks(body.ticks).can_be(start))
    });
    let Some(body) = found else {
        return nobody(machine.now, question);
    };
    let args: Vec<Text> = std::iter::once(body.program.as_str())
        .chain(body.plan.args.iter().map(String::as_str))
        .map(Text::from)
        .collect();
    let asked = |name: &str| question.variables.iter().any(|asked| asked == name);
    let env = body
        .env
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, value)| (name.clone(), Text::from(value.as_str())))
        .collect();
    Facts {
        key: Some(machine.key(body)),
        start: StartTicks(body.ticks),
        cpu: body.counted(machine.now, machine.tick),
        comm: comm(&body.program),
        exe: Read::Known(Place::existing(&format!("/usr/bin/{}", body.program))),
        args: Read::Known(args),
        env: Read::Known(env),
        owner: Read::Known(Uid(body.owner)),
        group: Read::Known(Gid(body.owner)),
        login: Read::Known(body.plan.login.map(Uid)),
        cwd: Read::Known(Place::existing(
            body.plan.cwd.as_deref().unwrap_or("/home/x"),
        )),
        // Shells are interactive here; nobody else has a terminal.
        tty: Read::Known((body.program == "bash").then(|| Place::existing("/dev/pts/0"))),
        cgroup: Read::Known(Text::from(path(&body.group))),
        cgroup_id: Read::Known(group_id(&body.group)),
        container: Read::Known(body.plan.container.as_deref().map(Text::from)),
        namespace: Read::Known(match body.plan.container {
            Some(_) => Namespace::Other,
            None => Namespace::Ours,
        }),
        hangup: Read::Known(if body.plan.nohup {
            Hangup::Ignored
        } else {
            Hangup::Heeded
        }),
        ..nobody(machine.now, question)
    }
}

/// The answer about somebody who is not there.
fn nobody(at: Mono, question: &Question) -> Facts {
    Facts {
        about: question.about,
        pid: question.pid,
        key: None,
        start: question.start.unwrap_or(StartTicks(0)),
        exec: question.exec,
        at,
        cpu: Duration::ZERO,
        kernel_thread: false,
        comm: Text::default(),
        exe: Read::Gone,
        args: Read::Gone,
        env: Read::Gone,
        owner: Read::Gone,
        group: Read::Gone,
        login: Read::Gone,
        cwd: Read::Gone,
        tty: Read::Gone,
        cgroup: Read::Gone,
        cgroup_id: Read::Gone,
        container: Read::Gone,
        namespace: Read::Gone,
        hangup: Read::Gone,
    }
}

/// No variables.
pub fn no_variables() -> Arc<[String]> {
    Arc::from([])
}

/// What all of these are doing, and have done.
pub fn inspect(machine: &Machine, inspection: &Inspection) -> Inspected {
    let (now, scrutiny) = (machine.now, inspection.scrutiny);
    let seen = |holder: &Holder| {
        let body = machine.holder(holder.key.pid())?;
        let there = body.alive() && machine.key(body) == holder.key && !body.plan.hides;
        there.then(|| (holder.key, doing(body, now, scrutiny)))
    };
    Inspected {
        id: inspection.id,
        at: now,
        each: inspection.whom.iter().filter_map(seen).collect(),
    }
}

fn doing(body: &Body, now: Mono, scrutiny: Scrutiny) -> Doing {
    let used = body.cpu(now);
    let read = body.plan.rereads * now.since(body.born).as_secs();
    let mut waits = Waiting::default();
    match (body.plan.cpu, body.plan.serves) {
        (0, true) => waits.call = 1,
        (0, false) => waits.thread = 1,
        (_, _) => waits.run = 1,
    }
    Doing {
        read,
        written: body.written(now),
        calls: read + body.written(now),
        used,
        switches: u64::try_from(used.as_millis()).unwrap(),
        waits,
        ends: Ends {
            listens: body.plan.serves,
            ..Ends::default()
        },
        unwaited: 0,
        close: (scrutiny == Scrutiny::Close).then(|| Close {
            reads: body.plan.rereads > 0,
            places: vec![Spot {
                file: (1, 1),
                length: 100,
                at: 0,
            }],
        }),
    }
}
