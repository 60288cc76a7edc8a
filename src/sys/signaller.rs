//! The one door for signals. Nothing else in beadle sends one, and nothing passes here without a warrant.
//!
//! **Invariants.**
//! - A signal goes through a pidfd whose identity was compared with the key: never to a bare number, never to a group.
//! - Nothing is sent that the warrant does not order, after it expired, or once it was recalled. The one exception is
//!   CONT for whom we stopped ourselves: it takes back, it does not act.
//! - Init, threads of the kernel, we ourselves, what we hang from and whom the warrant spares get none. The engine has
//!   seen to that already; it is seen to again here, from the machine itself.
//! - A program that beadle started itself may be ended, with its process group where it leads one: it is our child, and no warrant
//!   is about it.
//! - Whoever was stopped through this door is continued when it closes: by us, by the [`super::guardian`] if we die, by the
//!   next beadle if that one dies too.

#![expect(
    clippy::disallowed_methods,
    reason = "the signaller: the one sender of signals"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid as RawPid, Signal as Raw, kill_process_group, pidfd_send_signal};

use super::glimpse::{Nature, bearer};
use super::guardian::Guardian;
use super::holds::Holds;
use super::pidfd::{NoHold, PidFd};
use super::prover::{Prover, Whom};
use crate::engine::label::Carries;
use crate::engine::process::{Pid, ProcKey};
use crate::engine::pursuit::Wire;
use crate::engine::rule::Signal;
use crate::engine::units::Mono;
use crate::engine::warrant::{Newborn, Order, Outcome, Warrant, WarrantId, Withheld};

/// A warrant that is in force until it expires or is recalled.
#[derive(Clone, Debug)]
pub struct Authority {
    warrant: Arc<Warrant>,
    recalled: Arc<AtomicBool>,
}

impl Authority {
    /// Puts a warrant in force.
    pub fn new(warrant: Arc<Warrant>) -> Self {
        Self {
            warrant,
            recalled: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The warrant.
    pub const fn warrant(&self) -> &Arc<Warrant> {
        &self.warrant
    }

    /// Its number.
    pub fn id(&self) -> WarrantId {
        self.warrant.id
    }

    /// Withdraws it: every later send is refused, also by those who hold a clone.
    pub fn recall(&self) {
        self.recalled.store(true, Ordering::SeqCst);
    }

    /// Whether it was withdrawn.
    pub fn is_recalled(&self) -> bool {
        self.recalled.load(Ordering::SeqCst)
    }

    /// Whether anybody else still acts by it.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.recalled) > 1
    }

    /// Why nothing may be sent by it now.
    fn void(&self, now: Mono) -> Option<Withheld> {
        if self.is_recalled() {
            return Some(Withheld::Recalled);
        }
        (now > self.warrant.expires).then_some(Withheld::Expired)
    }

    /// Whether it orders this signal for this process. A process that is no target can only be a newborn, and those
    /// are signalled only where an end was ordered that refuses them.
    fn orders(&self, key: ProcKey, wire: Wire) -> bool {
        let target = self.warrant.targets.iter().any(|target| target.key == key);
        match (self.warrant.order, wire) {
            // A KILL that asks is no request. What takes back needs no order, and a release orders nothing else.
            (Order::Ask(Signal::Kill | Signal::Stop | Signal::Cont) | Order::Release, _)
            | (Order::Ask(_), Wire::Kill | Wire::Stop)
            | (Order::End, Wire::Ask)
            | (Order::Hold, Wire::Ask | Wire::Kill | Wire::Cont) => false,
            (Order::Ask(_), Wire::Ask | Wire::Cont) => target,
            (Order::End, Wire::Kill | Wire::Stop | Wire::Cont) | (Order::Hold, Wire::Stop) => {
                target || self.warrant.newborn == Newborn::Refuse
            }
        }
    }
}

/// The door.
#[derive(Debug)]
pub struct Signaller {
    holds: Holds,
    /// We ourselves and what we hang from, by number: none of them can be mistaken for another while we live.
    own: BTreeSet<Pid>,
    /// Whom we stopped and have neither continued nor killed.
    stopped: BTreeSet<ProcKey>,
    /// The program that a guardian is, where there is to be one.
    program: Option<PathBuf>,
    /// The guardian, while anybody is stopped.
    guardian: Option<Guardian>,
    /// There was none to be had for what is under way.
    unguarded: bool,
    /// Guardians that were sent home.
    dismissed: Vec<Child>,
    /// Reads what members of a job carry.
    prover: Prover,
}

impl Default for Signaller {
    fn default() -> Self {
        Self::new(Holds::default())
    }
}

impl Signaller {
    /// A door that keeps its pidfds in `holds`.
    pub fn new(holds: Holds) -> Self {
        Self {
            holds,
            own: line_of_descent(),
            stopped: BTreeSet::new(),
            program: None,
            guardian: None,
            unguarded: false,
            dismissed: Vec::new(),
            prover: Prover::default(),
        }
    }

    /// The same with a guardian, who is this program.
    #[must_use]
    pub fn guarded_by(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Nothing is under way any more: holds and guardian are let go.
    pub fn rest(&mut self) {
        self.holds.clear();
        self.prover.rest();
        self.unguarded = false;
        let guardian = self.guardian.take_if(|_| self.stopped.is_empty());
        self.dismissed.extend(guardian.map(Guardian::dismiss));
        self.dismissed
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// The pidfds it keeps.
    pub const fn holds(&mut self) -> &mut Holds {
        &mut self.holds
    }

    /// Looks again at what we hang from: a parent that died has given us to another.
    pub fn renew(&mut self) {
        self.own = line_of_descent();
    }

    /// Sends one signal to one process, or says why not.
    pub fn send(&mut self, now: Mono, authority: &Authority, key: ProcKey, wire: Wire) -> Outcome {
        let taking_back = wire == Wire::Cont && self.stopped.contains(&key);
        if !taking_back && let Some(why) = authority.void(now) {
            return Outcome::Withheld(why);
        }
        let ordered = || !self.is_spared(authority.warrant(), key) && authority.orders(key, wire);
        if !(taking_back || ordered()) {
            return Outcome::Withheld(Withheld::Protected);
        }
        let signal = match wire {
            Wire::Ask => number(authority.warrant.order.signal()),
            Wire::Kill => Raw::KILL,
            Wire::Stop => Raw::STOP,
            Wire::Cont => Raw::CONT,
        };
        if let Some(why) = self.unlabeled(authority.warrant(), key, wire) {
            return Outcome::Withheld(why);
        }
        if wire == Wire::Stop {
            self.forewarn(key);
        }
        let outcome = match self.holds.with(key, |fd, nature| pass(fd, nature, signal)) {
            Ok(outcome) => outcome,
            Err(NoHold::Gone) => Outcome::Gone,
            Err(NoHold::Short | NoHold::Refused) => Outcome::Withheld(Withheld::Unsure),
        };
        self.note(key, wire, outcome);
        outcome
    }

    /// Why a process is not to be signalled as one of a job: what it carries is read here and now, whatever was known before.
    ///
    /// # Why here
    /// Whoever leaves a job does it by an exec, and nothing that was read before tells of it in time. CONT takes back: it needs
    /// no proof.
    fn unlabeled(&mut self, warrant: &Warrant, key: ProcKey, wire: Wire) -> Option<Withheld> {
        let label = warrant.label.as_ref().filter(|_| wire != Wire::Cont)?;
        let named = warrant.targets.iter().any(|target| target.key == key);
        let whom = if named { Whom::Named } else { Whom::Found };
        let prover = &mut self.prover;
        // Who it is was made sure of before, and is again by the signal: the pidfd of a dead one takes none.
        match self
            .holds
            .with(key, |_, _| prover.ask(key.pid(), whom, label))
        {
            // Of a dead one the signal itself will tell.
            Ok(Carries::It) | Err(NoHold::Gone) => None,
            Ok(Carries::Another) => Some(Withheld::Left),
            Ok(Carries::Unknown) | Err(NoHold::Short | NoHold::Refused) => Some(Withheld::Unsure),
        }
    }

    /// Tells the guardian before it happens. Where none can be had, the record of intent has to do.
    fn forewarn(&mut self, key: ProcKey) {
        if self.guardian.is_none() && !self.unguarded {
            let program = self.program.as_deref();
            self.guardian = program.and_then(|program| Guardian::post(program).ok());
            // In the midst of a fork bomb there may be no process to be had, and each try takes its time.
            self.unguarded = self.guardian.is_none();
        }
        if let Some(guardian) = &mut self.guardian {
            guardian.stops(key);
        }
    }

    /// Keeps account of who stands still because of us.
    fn note(&mut self, key: ProcKey, wire: Wire, outcome: Outcome) {
        match (wire, outcome) {
            (Wire::Stop, Outcome::Sent) => {
                self.stopped.insert(key);
            }
            (Wire::Kill | Wire::Cont, Outcome::Sent) | (_, Outcome::Gone) => {
                let ours = self.stopped.remove(&key);
                if let Some(guardian) = self.guardian.as_mut().filter(|_| ours) {
                    guardian.frees(key);
                }
            }
            (Wire::Stop, Outcome::Denied | Outcome::Withheld(_)) => {
                let theirs = !self.stopped.contains(&key);
                if let Some(guardian) = self.guardian.as_mut().filter(|_| theirs) {
                    guardian.frees(key);
                }
            }
            (Wire::Ask | Wire::Kill | Wire::Stop | Wire::Cont, _) => {}
        }
    }

    fn is_spared(&self, warrant: &Warrant, key: ProcKey) -> bool {
        let guardian = self.guardian.as_ref().and_then(Guardian::pid);
        key.pid() == Pid::INIT
            || guardian == Some(key.pid())
            || self.own.contains(&key.pid())
            || warrant.spare.spares(key)
    }
}

impl Drop for Signaller {
    fn drop(&mut self) {
        for key in std::mem::take(&mut self.stopped) {
            // Whoever is gone needs none; for the rest there is nobody left to tell.
            let _ = self
                .holds
                .with(key, |fd, _| pidfd_send_signal(fd, Raw::CONT));
        }
    }
}

/// Continues one that stands still because a beadle stopped it that is no more. It takes back, it does not act: it needs no
/// warrant, and there is none left.
pub fn release(key: ProcKey) -> Outcome {
    let stands = || bearer(key.pid()).is_ok_and(|(glimpse, _)| glimpse.state == 'T');
    let sent = Holds::with_room(1).with(key, |fd, nature| {
        stands().then(|| pass(fd, nature, Raw::CONT))
    });
    match sent {
        Ok(Some(outcome)) => outcome,
        // Somebody was quicker.
        Ok(None) | Err(NoHold::Gone) => Outcome::Gone,
        Err(NoHold::Short | NoHold::Refused) => Outcome::Withheld(Withheld::Unsure),
    }
}

/// Passes a signal on that somebody sent to us, to the command that we run in their stead: our own child, which nobody but us
/// waits for, by a hold that was taken when it was started. It is their signal, so there is no warrant.
pub fn pass_on(command: &PidFd, signal: i32) {
    if let Some(signal) = Raw::from_named_raw(signal) {
        // Of a dead one nothing comes.
        let _ = pidfd_send_signal(command, signal);
    }
}

/// Ends a command that we have only just started and can get no hold on: nobody would watch it. It is our child and is waited for
/// by nobody but here, so the number is its own.
pub fn end_unheld(child: &mut Child) {
    // Of a dead one nothing comes.
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends a program that we started, with all that it started and did not take out of its process group. It was made the leader
/// of one, and while it is not waited for its number is nobody else's.
pub fn end_own(leader: &mut Child) {
    let raw = i32::try_from(leader.id()).ok();
    if let (Ok(None), Some(group)) = (leader.try_wait(), raw.and_then(RawPid::from_raw)) {
        // Where nobody of it is left there is nobody to end.
        let _ = kill_process_group(group, Raw::KILL);
    }
}

/// The signal itself.
fn pass(fd: &PidFd, nature: Nature, signal: Raw) -> Outcome {
    if nature == Nature::KernelThread {
        return Outcome::Withheld(Withheld::Protected);
    }
    match pidfd_send_signal(fd, signal) {
        Ok(()) => Outcome::Sent,
        Err(Errno::SRCH) => Outcome::Gone,
        Err(Errno::PERM) => Outcome::Denied,
        Err(_) => Outcome::Withheld(Withheld::Unsure),
    }
}

const fn number(signal: Signal) -> Raw {
    match signal {
        Signal::Hup => Raw::HUP,
        Signal::Int => Raw::INT,
        Signal::Quit => Raw::QUIT,
        Signal::Usr1 => Raw::USR1,
        Signal::Usr2 => Raw::USR2,
        Signal::Term => Raw::TERM,
        Signal::Kill => Raw::KILL,
        Signal::Stop => Raw::STOP,
        Signal::Cont => Raw::CONT,
    }
}

/// We and everyone above us.
fn line_of_descent() -> BTreeSet<Pid> {
    let mut line = BTreeSet::new();
    let mut next = Pid::new(std::process::id());
    while let Some(pid) = next
        && line.insert(pid)
    {
        next = bearer(pid).ok().and_then(|(glimpse, _)| glimpse.ppid);
    }
    line
}
