//! The kill certificate: a warrant in the form in which it is kept.

use std::collections::BTreeMap;

use jiff::Zoned;

use super::entry::{identity, stamp};
use super::words;
use crate::control::wire::{Bidden, Certificate, Doomed, Evidence, Safe, Spared, moment};
use crate::engine::process::Pid;
use crate::engine::units::Mono;
use crate::engine::warrant::{Image, Member, Newborn, Target, Unbound, Warrant};

/// All that an act rests on, as it begins. At most `most` targets, and as many spared, are told one by one.
pub fn certificate(
    warrant: &Warrant,
    leash: Option<Pid>,
    most: usize,
    now: Mono,
    wall: &Zoned,
) -> Certificate {
    let members: BTreeMap<Pid, &Member> = warrant
        .roster
        .iter()
        .map(|member| (member.pid, member))
        .collect();
    let bound = warrant.targets.iter().map(|target| of(target, &members));
    let unbound = warrant.unbound.iter();
    let unbound = unbound.map(|unbound| of_unbound(unbound, &members));
    let mut targets: Vec<Doomed> = bound.chain(unbound).collect();
    let shells = targets.iter().filter(|target| target.shell).count();
    let more = targets.len().saturating_sub(most);
    targets.truncate(most);
    let mut spared: Vec<Spared> = warrant.roster.iter().filter_map(spared).collect();
    let more_spared = spared.len().saturating_sub(most);
    spared.truncate(most);
    let mut evidence = Evidence::from(&*warrant.evidence);
    evidence.text = Safe::from(words::evidence(&evidence));
    Certificate {
        t: stamp(wall),
        mono: moment(now),
        warrant: warrant.id.0,
        signal: Safe::word(warrant.order.signal().word()),
        evidence,
        bidden: warrant.bidden.map(Bidden::from),
        expires: moment(warrant.expires),
        epoch: warrant.epoch.0,
        newborn: Safe::word(match warrant.newborn {
            Newborn::Admit => "admitted",
            Newborn::Refuse => "refused",
        }),
        targets,
        more: count(more),
        shells: count(shells),
        spared,
        more_spared: count(more_spared),
        ours: warrant
            .spare
            .keys
            .iter()
            .map(|key| identity(*key))
            .collect(),
        leash: leash.map(Pid::number),
    }
}

fn of(target: &Target, members: &BTreeMap<Pid, &Member>) -> Doomed {
    let pid = target.key.pid();
    Doomed {
        key: Some(identity(target.key)),
        start: target.start.0,
        tie: Safe::word(&target.tie.to_string()),
        exec: Some(target.exec.0),
        stopped: target.stopped,
        ..named(pid, members)
    }
}

fn of_unbound(unbound: &Unbound, members: &BTreeMap<Pid, &Member>) -> Doomed {
    Doomed {
        start: unbound.start.0,
        tie: Safe::word(&unbound.tie.to_string()),
        ..named(unbound.pid, members)
    }
}

fn named(pid: Pid, members: &BTreeMap<Pid, &Member>) -> Doomed {
    let member = members.get(&pid);
    Doomed {
        pid: pid.number(),
        program: member.map_or_else(Safe::default, |member| Safe::from(&member.program)),
        shell: member.is_some_and(|member| member.image == Image::Shell),
        ..Doomed::default()
    }
}

fn spared(member: &Member) -> Option<Spared> {
    let shelter = member.shelter.as_ref()?;
    Some(Spared {
        pid: member.pid.number(),
        key: member.key.map(identity),
        program: Safe::from(&member.program),
        because: Safe::word(&shelter.to_string()),
    })
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
