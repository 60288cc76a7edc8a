//! What people answer to an incident, and who may.
//!
//! **Invariants.** Root may answer everything. A person may answer what is theirs or what they hear of, as far as the rule
//! takes it. What is refused moves nothing. What is bidden goes the way of the ladder: a fresh look, a last call, a warrant;
//! nothing is sent from here.

use super::Judge;
use super::unit::{Unit, UnitId};
use crate::engine::answer::{
    Bidding, Declined, Deed, EXCEPTIONS, Effect, Exception, Granted, Reply, Which, Whom,
};
use crate::engine::decision::{Closing, Decision, What};
use crate::engine::evidence::IncidentId;
use crate::engine::guard::Standing;
use crate::engine::incident::{Incident, Phase};
use crate::engine::process::{Pid, Uid};
use crate::engine::rule::Mode;

impl Judge {
    /// Answers one incident.
    pub(super) fn reply(
        &mut self,
        by: Uid,
        whom: Whom,
        reply: Reply,
        out: &mut Vec<Decision>,
    ) -> Result<Granted, Declined> {
        let (id, incident) = self.answered(by, whom)?;
        self.may_reply(by, id, incident, reply)?;
        let effect = match reply {
            Reply::Stop => self.bid(by, id, incident, Deed::Stop)?,
            Reply::Freeze => self.bid(by, id, incident, Deed::Freeze)?,
            Reply::Extend => self.extend(by, id, incident)?,
            Reply::Allow => self.except(by, id, incident)?,
        };
        let Some(unit) = self.units.get(&id) else {
            return Err(Declined::NoIncident(incident));
        };
        let granted = Granted::Replied {
            incident,
            rule: unit.rule.name.clone(),
            root: unit.subject.key.pid(),
            program: unit.subject.program.clone(),
            effect: effect.clone(),
        };
        self.tell(id, What::Answered { by, effect }, out);
        match reply {
            Reply::Stop | Reply::Freeze => {}
            Reply::Extend => {
                // Whatever is under way sends nothing more.
                self.withdraw(id, out);
                self.thaw(id, out);
            }
            Reply::Allow => {
                self.close_what_is_allowed(out);
                out.push(Decision::Keep(self.exceptions.clone()));
            }
        }
        Ok(granted)
    }

    /// The unit, and its incident, that is meant.
    fn answered(&self, by: Uid, whom: Whom) -> Result<(UnitId, IncidentId), Declined> {
        match whom {
            Whom::Incident(incident) => {
                let found = self.unit_of(incident);
                let (id, unit) = found.ok_or(Declined::NoIncident(incident))?;
                if is_theirs(by, unit) {
                    Ok((id, incident))
                } else {
                    Err(Declined::NotYours(incident))
                }
            }
            Whom::Process(pid) => self.answered_by_member(by, pid),
            Whom::Number(number) => {
                let incident = IncidentId(number);
                let pid = u32::try_from(number).ok().and_then(Pid::new);
                let has_case = |pid: &Pid| !self.cases_of(*pid).is_empty();
                match (self.unit_of(incident), pid) {
                    (Some(_), Some(pid)) if self.may_mean(by, incident, pid) => {
                        Err(Declined::Either(number))
                    }
                    (Some(_), _) => self.answered(by, Whom::Incident(incident)),
                    (None, pid) => match pid.filter(has_case) {
                        // It is what a message of ours said, a while ago.
                        Some(_) if self.has_given(number) => Err(Declined::WasOne(number)),
                        Some(pid) => self.answered_by_member(by, pid),
                        None => Err(Declined::Nothing(number)),
                    },
                }
            }
        }
    }

    /// Whether this is the number of an incident of this beadle's, open or over.
    fn has_given(&self, number: u64) -> bool {
        (self.settings.first_incident..=self.last_incident).contains(&number)
    }

    fn answered_by_member(&self, by: Uid, pid: Pid) -> Result<(UnitId, IncidentId), Declined> {
        let cases = self.cases_of(pid);
        let mut theirs = cases.iter().filter(|(_, unit, _)| is_theirs(by, unit));
        match (theirs.next(), theirs.next(), cases.first()) {
            (Some((id, _, incident)), None, _) => Ok((*id, *incident)),
            (Some(_), Some(_), _) => Err(Declined::Several {
                pid,
                incidents: cases
                    .iter()
                    .filter(|(_, unit, _)| is_theirs(by, unit))
                    .map(|(_, unit, incident)| (*incident, unit.rule.name.clone()))
                    .collect(),
            }),
            (None, _, Some((_, _, incident))) => Err(Declined::NotYours(*incident)),
            (None, _, None) => Err(Declined::NoCase(pid)),
        }
    }

    fn unit_of(&self, incident: IncidentId) -> Option<(UnitId, &Unit)> {
        let is_it = |unit: &Unit| unit.incident.as_ref().map(|it| it.id) == Some(incident);
        let mut units = self.units.iter();
        let (id, unit) = units.find(|(_, unit)| is_it(unit))?;
        Some((*id, unit))
    }

    /// The units with an open incident that a process belongs to.
    fn cases_of(&self, pid: Pid) -> Vec<(UnitId, &Unit, IncidentId)> {
        let holder = self.forest.holder(pid);
        let dossier = holder.and_then(|holder| self.dossiers.get(&holder));
        let units = dossier.iter().flat_map(|dossier| &dossier.units);
        let cases = units.filter_map(|id| {
            let unit = self.units.get(id)?;
            Some((*id, unit, unit.incident.as_ref()?.id))
        });
        cases.collect()
    }

    /// Whether somebody who names a number may mean a process that has no part in the incident of this number. Threads of
    /// the kernel have small numbers too, and what is protected, or somebody else's, nobody hopes to stop.
    fn may_mean(&self, by: Uid, incident: IncidentId, pid: Pid) -> bool {
        let Some(holder) = self.forest.holder(pid) else {
            return false;
        };
        let Some((node, dossier)) = self.forest.node(holder).zip(self.dossiers.get(&holder)) else {
            return false;
        };
        let cases = self.cases_of(pid);
        let has_part = cases.iter().any(|(_, _, other)| *other == incident);
        let theirs = by == Uid::ROOT || node.owner == Some(by);
        let in_reach = dossier.standing == Standing::Plain || !cases.is_empty();
        !has_part && theirs && in_reach
    }

    /// Whether the rule takes this answer from them.
    fn may_reply(
        &self,
        by: Uid,
        id: UnitId,
        incident: IncidentId,
        reply: Reply,
    ) -> Result<(), Declined> {
        let Some(unit) = self.units.get(&id).filter(|_| by != Uid::ROOT) else {
            return Ok(());
        };
        let replies = &unit.rule.replies;
        if !replies.may.contains(&reply) {
            return Err(Declined::NotAllowed {
                reply,
                rule: unit.rule.name.clone(),
                may: replies.may.clone(),
            });
        }
        let extended = unit.incident.as_ref().map_or(0, |it| it.extended);
        match replies.extensions {
            Some(most) if reply == Reply::Extend && extended >= most => {
                Err(Declined::Enough { incident, most })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What this user may answer to an incident now, as far as the rule goes.
    pub fn offers(&self, by: Uid, incident: IncidentId) -> Vec<Reply> {
        let Some((id, unit)) = self.unit_of(incident) else {
            return Vec::new();
        };
        let may = |reply: &Reply| match reply {
            Reply::Stop | Reply::Freeze if unit.rule.mode == Mode::Observe => false,
            Reply::Stop | Reply::Freeze | Reply::Extend | Reply::Allow => {
                self.may_reply(by, id, incident, *reply).is_ok()
            }
        };
        let all = Reply::ALL.into_iter();
        all.filter(|reply| is_theirs(by, unit) && may(reply))
            .collect()
    }

    /// A person bids what signals come of. What was prepared before is let go: the last call must find what is bidden now.
    fn bid(
        &mut self,
        by: Uid,
        id: UnitId,
        incident: IncidentId,
        deed: Deed,
    ) -> Result<Effect, Declined> {
        let unit = self.units.get(&id).ok_or(Declined::NoIncident(incident))?;
        if unit.rule.mode == Mode::Observe {
            return Err(Declined::Observes {
                rule: unit.rule.name.clone(),
                reply: deed.reply(),
            });
        }
        let mut pauses = self.pauses.iter();
        if let Some(pause) = pauses.find(|pause| self.pause_applies(pause, unit)) {
            return Err(Declined::Paused { by: pause.by });
        }
        if self.nobody_to_signal(unit) {
            return Err(Declined::Protected(incident));
        }
        let now = self.now;
        let unit = self.units.get_mut(&id);
        let open = unit.and_then(|unit| unit.incident.as_mut());
        let open = open.ok_or(Declined::NoIncident(incident))?;
        let before = open.bidding();
        open.bid(now, Bidding { by, deed });
        if let Phase::Preparing(warrant) = open.phase
            && before != open.bidding()
        {
            open.called_off();
            self.flights.remove(&warrant);
        }
        Ok(match deed {
            Deed::Stop => Effect::Stops,
            Deed::Freeze => Effect::Freezes,
        })
    }

    /// A person leaves it alone for a while.
    fn extend(&mut self, by: Uid, id: UnitId, incident: IncidentId) -> Result<Effect, Declined> {
        let now = self.now;
        let unit = self.units.get_mut(&id);
        let unit = unit.ok_or(Declined::NoIncident(incident))?;
        let open = unit.incident.as_mut();
        let open = open.ok_or(Declined::NoIncident(incident))?;
        let snooze = open.snooze(now, by);
        let most = unit.rule.replies.extensions;
        Ok(Effect::Extended {
            until: snooze.until,
            left: most.map(|most| most.saturating_sub(open.extended)),
        })
    }

    /// A person makes it an exception.
    fn except(&mut self, by: Uid, id: UnitId, incident: IncidentId) -> Result<Effect, Declined> {
        let unit = self.units.get(&id).ok_or(Declined::NoIncident(incident))?;
        let subject = &unit.subject;
        let placed = subject.owner.zip(subject.cwd.clone());
        let (owner, cwd) = placed.ok_or(Declined::Unplaced(incident))?;
        if self.exceptions.len() >= EXCEPTIONS {
            return Err(Declined::TooMany);
        }
        let numbers = self.exceptions.iter().map(|exception| exception.number);
        let exception = Exception {
            number: numbers.max().unwrap_or(0).saturating_add(1),
            rule: unit.rule.name.clone(),
            owner,
            program: subject.program.clone(),
            cwd,
            by,
        };
        self.exceptions.push(exception.clone());
        Ok(Effect::Allowed(exception))
    }

    /// Closes every incident that people have made an exception.
    fn close_what_is_allowed(&mut self, out: &mut Vec<Decision>) {
        let allowed = |unit: &Unit| unit.incident.is_some() && self.exception_of(unit).is_some();
        let allowed = self.units.iter().filter(|(_, unit)| allowed(unit));
        let allowed: Vec<UnitId> = allowed.map(|(id, _)| *id).collect();
        for id in allowed {
            self.close_answered(id, out);
        }
    }

    /// A person has said that a unit's incident is none. Of an act under way nothing is waited for any more.
    pub(super) fn close_answered(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        self.close(id, Closing::Answered, out);
        self.close_if_empty(id, out);
    }

    /// The exception that covers a unit.
    pub(super) fn exception_of(&self, unit: &Unit) -> Option<&Exception> {
        let subject = &unit.subject;
        self.exceptions.iter().find(|exception| {
            exception.rule == unit.rule.name
                && Some(exception.owner) == subject.owner
                && exception.program == subject.program
                && Some(&exception.cwd) == subject.cwd.as_ref()
        })
    }

    /// Takes what people said before, in place of what was known.
    pub(super) fn take_exceptions(&mut self, exceptions: Vec<Exception>) {
        self.exceptions = exceptions;
        self.look_now(|_| true);
    }

    /// Forgets exceptions: all that are named, or none.
    pub(super) fn forget(
        &mut self,
        by: Uid,
        which: &[Which],
        out: &mut Vec<Decision>,
    ) -> Result<Granted, Declined> {
        let theirs = |it: &Exception| by == Uid::ROOT || it.owner == by || it.by == by;
        for one in which {
            if !self.exceptions.iter().any(|it| theirs(it) && one.names(it)) {
                return Err(match one {
                    Which::Number(number) => Declined::NoException(*number),
                    Which::Rule(rule) => Declined::NoneOf(rule.clone()),
                });
            }
        }
        let gone = |it: &mut Exception| theirs(it) && which.iter().any(|one| one.names(it));
        let gone: Vec<Exception> = self.exceptions.extract_if(.., gone).collect();
        out.push(Decision::Keep(self.exceptions.clone()));
        Ok(Granted::Forgotten(gone))
    }

    /// Whether a unit goes by what a person has bidden.
    pub(super) fn is_bidden(&self, id: UnitId) -> bool {
        let incident = self.units.get(&id).and_then(|unit| unit.incident.as_ref());
        incident.and_then(Incident::bidding).is_some()
    }
}

/// Whether a unit's incident is theirs to answer.
pub(super) fn is_theirs(by: Uid, unit: &Unit) -> bool {
    let subject = &unit.subject;
    by == Uid::ROOT || subject.owner == Some(by) || subject.audience == Some(by)
}
