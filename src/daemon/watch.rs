//! The loop: wait, step, carry out, publish.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cli::render::Entry;
use crate::cli::render::entry::{Start, StartRule};
use crate::control::socket::Claim;
use crate::control::wire::Safe;
use crate::engine::answer::{Declined, Granted};
use crate::engine::decision::{Decision, Hearing, Input, Notice, What};
use crate::engine::heartbeat::Hears;
use crate::engine::judge::Judge;
use crate::engine::legacy::Legacy;
use crate::engine::process::{Pid, Uid};
use crate::engine::units::Mono;
use crate::engine::warrant::{Order, Outcome, Report, Warrant};
use crate::store::numbers::Block;
use crate::sys::events::Deafness;
use crate::sys::heartbeats;
use crate::sys::users::Users;

use super::changes::Changes;
use super::ear::Ear;
use super::exceptions::Exceptions;
use super::faults::{Edge, Faults, Part};
use super::historian::Historian;
use super::inbox::{Inbox, Mail, Post};
use super::inquiries::Inquiries;
use super::pursue::Heard;
use super::rules::Rules;
use super::service::Service;
use super::shells::{Aftermath, Shells};
use super::tidy::Tidy;
use super::unfinished::Unfinished;
use super::voice::Voice;

mod answers;
mod desktop;
mod reload;
mod standing;

/// How long what happened last may take to be kept when the watch ends.
const LAST_PAGES: Duration = Duration::from_secs(2);

/// What stays the same while the watch runs.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) user: Uid,
    pub(super) users: Users,
    pub(super) rules: Rules,
    pub(super) files: Vec<PathBuf>,
    pub(super) leash: Option<Pid>,
    pub(super) claim: Claim,
    pub(super) began: Mono,
    /// The boot we live in.
    pub(super) boot: String,
}

/// What is kept for later.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) historian: Historian,
    pub(super) exceptions: Exceptions,
}

/// What came of a person's answer.
type Came = Result<Granted, Declined>;

/// Where heartbeats are not heard, and what follows.
pub(super) fn deafness(socket: &Path, why: &str) -> String {
    format!(
        "cannot hear heartbeats at {}: {why}; until it can, `silent` is unknown, and it is tried again every 10 s",
        heartbeats::beside(socket).display()
    )
}

/// Whether to go on.
enum Next {
    On,
    Stop(&'static str),
}

/// The watch.
#[derive(Debug)]
pub(super) struct Watch {
    judge: Judge,
    shells: Shells,
    voice: Voice,
    historian: Historian,
    exceptions: Exceptions,
    service: Service,
    faults: Faults,
    standing: Standing,
    post: Post,
    changes: Option<Changes>,
    announced: bool,
    /// Why births and deaths are not heard, where that is how things are here.
    deaf: Option<Deafness>,
    inquiries: Inquiries,
    tidy: Tidy,
    /// What was wrong before anything could be said.
    early: Vec<(Part, String)>,
    unfinished: Option<Unfinished>,
}

impl Watch {
    pub(super) fn new(
        judge: Judge,
        shells: Shells,
        voice: Voice,
        records: Records,
        service: Service,
        standing: Standing,
        post: Post,
    ) -> Self {
        let Records {
            historian,
            exceptions,
        } = records;
        let faults = Faults::default();
        let tidy = Tidy::from(standing.began);
        Self {
            judge,
            shells,
            voice,
            historian,
            exceptions,
            service,
            faults,
            standing,
            post,
            changes: None,
            announced: false,
            inquiries: Inquiries::default(),
            tidy,
            deaf: None,
            early: Vec::new(),
            unfinished: None,
        }
    }

    /// Notes what was found at the start; it is told once the watch has been announced.
    pub(super) fn remember(&mut self, faults: Vec<(Part, String)>, unfinished: Option<Unfinished>) {
        self.early = faults;
        self.unfinished = unfinished;
    }

    /// Watches until told to stop.
    pub(super) async fn run(mut self, mut inbox: Inbox) {
        loop {
            let due = [
                self.judge.next_deadline(),
                self.tidy.due(),
                self.service.due(),
            ];
            let mail = inbox
                .wait(self.shells.clock, due.into_iter().flatten().min())
                .await;
            self.tidy.up(self.shells.now());
            if let Next::Stop(because) = self.take(mail, &mut inbox) {
                let now = self.shells.now();
                self.service.stopping(because, now);
                {
                    let entry = Entry::stop(because, now, &self.voice.wall());
                    self.voice.say(&entry);
                }
                self.finish();
                return;
            }
            self.alive();
        }
    }

    /// Lets what was said and kept last arrive, for a moment.
    fn finish(mut self) {
        for notice in self.judge.finish() {
            self.tell(&notice);
        }
        let mut legacy = self.judge.bequeath();
        // The door lets them go on as it closes; who stops them afterwards is none of the next beadle's business.
        legacy.frozen.clear();
        self.leave(&legacy);
        if let Some(text) = self.historian.finish(LAST_PAGES) {
            let now = self.shells.now();
            let edge = self.faults.seen(Part::History, &text, now);
            self.voice.fault(Part::History, &edge, &text);
        }
        self.voice.finish();
    }

    fn take(&mut self, mail: Mail, inbox: &mut Inbox) -> Next {
        match mail {
            Mail::Input(Input::LastCall(id)) => {
                // Nothing comes between what was sent by now and the decision.
                if self.judge.hangs_on_silence(id)
                    && let Some(hears) = self.shells.ear.as_ref().map(Ear::drain)
                {
                    self.note_hearing(hears, inbox);
                }
                self.hear_beats(inbox);
                self.step(Input::LastCall(id), inbox);
            }
            Mail::Input(input) => self.step(input, inbox),
            Mail::Beats => self.hear_beats(inbox),
            Mail::Hears(hears) => self.note_hearing(hears, inbox),
            Mail::Heard(heard) => self.hear(heard, inbox),
            Mail::Ask(ask) => self.answer(ask, inbox),
            Mail::Person(uid, name) => self.voice.meet(uid, name),
            Mail::Reserved(reserved) => self.reserved(reserved, inbox),
            Mail::Desktop(heard) => self.desktop(heard, inbox),
            Mail::Excepted(kept) => match self.exceptions.written(kept) {
                Ok(()) => self.works(Part::Exceptions),
                Err(text) => self.fault(Part::Exceptions, &text),
            },
            Mail::Elder(Ok(())) => self.works(Part::Elder),
            Mail::Elder(Err(text)) => self.fault(Part::Elder, &text),
            Mail::History(Ok(())) => self.works(Part::History),
            Mail::History(Err(text)) => self.fault(Part::History, &text),
            // The watch runs no command.
            Mail::Caught(_) => {}
            Mail::Reload => self.reload(inbox),
            Mail::Stop(because) => return Next::Stop(because),
        }
        Next::On
    }

    fn hear_beats(&mut self, inbox: &mut Inbox) {
        let inputs = self.shells.ear.as_mut().map(Ear::take);
        for input in inputs.unwrap_or_default() {
            self.step(input, inbox);
        }
    }

    /// Whether heartbeats are heard: where not, no silence is known.
    fn note_hearing(&mut self, hears: Hears, inbox: &mut Inbox) {
        let socket = self.standing.claim.path();
        match &hears {
            Hears::Well => {
                self.early.retain(|(part, _)| *part != Part::Heartbeats);
                self.works(Part::Heartbeats);
            }
            Hears::Late => {}
            Hears::Deaf(why) => {
                let text = deafness(socket, why);
                if self.announced {
                    self.fault(Part::Heartbeats, &text);
                } else {
                    self.early.push((Part::Heartbeats, text));
                }
            }
        }
        self.step(Input::Hears(hears), inbox);
    }

    fn step(&mut self, input: Input, inbox: &mut Inbox) {
        // Nobody waits for what came of it.
        let _came = self.take_in(input, inbox);
    }

    /// Takes in one input; what came of it, where it is a person's answer.
    fn take_in(&mut self, input: Input, inbox: &mut Inbox) -> Option<Came> {
        let (mut over, mut came) = (None, None);
        if let Input::Report(report) = &input
            && let Some(warrant) = self.shells.settled(report.warrant)
        {
            self.settled(&warrant, report);
            over = Some(report.clone());
        }
        let inquiries = match &input {
            Input::Facts(facts) => self.inquiries.meet(facts),
            _ => Vec::new(),
        };
        let now = self.shells.now();
        let settles = matches!(input, Input::Report(_) | Input::Answer(_));
        let looked = matches!(input, Input::Listing(_));
        let decisions = self.judge.step(now, input);
        // Before anything is said: who takes over from us must not say it again.
        let tells = |decision: &Decision| matches!(decision, Decision::Tell(_));
        let acts = |decision: &Decision| matches!(decision, Decision::Carry(_));
        let (tells, acts) = (decisions.iter().any(tells), decisions.iter().any(acts));
        let leaves = settles || tells || self.shells.keeper.is_leaving(now);
        // What is begun now must not be begun again: where anything is, word of it comes before all else.
        let begins = |decision: &Decision| matches!(decision, Decision::Run(_));
        let begins = decisions.iter().any(begins);
        if begins || (leaves && !acts) {
            self.leave_word();
        }
        for decision in decisions {
            let carried = carried(&decision);
            match self.shells.carry_out(decision, inbox) {
                Aftermath::Done => {}
                Aftermath::Tell(notice) => self.tell(&notice),
                Aftermath::Fault(part, text) => self.fault(part, &text),
                Aftermath::Reply(reply) => came = Some(reply),
                Aftermath::Keep(exceptions) => self.exceptions.keep(exceptions),
            }
            // Written when it is under way: its certificate may be long, and the signal does not wait for it.
            if let Some(warrant) = carried.filter(|warrant| warrant.order != Order::Release) {
                let wall = self.voice.wall();
                let kept = self.historian.warrant(&warrant, now, &wall);
                self.check_history(kept);
            }
        }
        // A warrant does not wait: nothing comes between the last call and the act.
        if leaves && acts {
            self.leave_word();
        }
        // Only now: who stands frozen is in one record or the other, whenever we are ended.
        if let Some(report) = over
            && let Err(text) = self.shells.keeper.end(&report)
        {
            self.fault(Part::Intent, &text);
        }
        for (pid, ask, facts) in inquiries {
            let answer = self.why(pid.number(), Some(&facts));
            let _ = ask.reply.send(answer);
        }
        self.check_sinks();
        if looked {
            self.looked();
        }
        came
    }

    /// Leaves word to the next beadle of how things stand.
    fn leave_word(&mut self) {
        let legacy = self.judge.bequeath();
        self.leave(&legacy);
    }

    fn leave(&mut self, legacy: &Legacy) {
        match self.shells.keeper.leave(legacy) {
            Ok(()) => self.works(Part::Legacy),
            Err(text) => self.fault(Part::Legacy, &text),
        }
    }

    fn tell(&mut self, notice: &Notice) {
        self.service.changed();
        self.shells.keeper.used(notice.incident);
        let wall = self.voice.wall();
        let may = match (&notice.what, notice.evidence.subject.audience) {
            (What::Closed { .. }, _) | (_, None) => Vec::new(),
            (_, Some(audience)) => self.judge.offers(audience, notice.incident),
        };
        let entry = self.voice.notice(notice, &may, &wall);
        let tree = match notice.what {
            What::Opened | What::TakenOver { .. } | What::Nudge { .. } | What::Withheld { .. } => {
                self.judge.tree_of(notice.incident)
            }
            What::Signal { .. }
            | What::Answered { .. }
            | What::Run { .. }
            | What::Ran { .. }
            | What::Closed { .. } => Vec::new(),
        };
        let kept = self.historian.entry(&entry, &tree, &wall);
        self.check_history(kept);
        match &notice.what {
            What::Ran { came, .. } if came.is_well() => self.works(Part::Errand),
            What::Ran { task, came, .. } => {
                let text = format!("{task}, run for incident {}, {came}", notice.incident.0);
                self.fault(Part::Errand, &text);
            }
            _ => {}
        }
    }

    fn settled(&mut self, warrant: &Warrant, report: &Report) {
        // What is taken back changes nothing of what was done; where nobody stood any more, nothing was.
        let releases = warrant.order == Order::Release;
        let nobody = report.each.iter().all(|(_, came)| *came != Outcome::Sent);
        if releases && nobody {
            return;
        }
        let wall = self.voice.wall();
        let entry = self.voice.outcome(warrant, report, &wall);
        if releases {
            return;
        }
        let kept = self.historian.outcome(warrant, report, &entry, &wall);
        self.check_history(kept);
    }

    /// Only the thread knows when it is over.
    fn check_history(&mut self, kept: Result<(), String>) {
        if let Err(text) = kept {
            self.fault(Part::History, &text);
        }
    }

    fn hear(&mut self, heard: Heard, inbox: &mut Inbox) {
        match heard {
            Heard::Listening => {
                self.works(Part::Events);
                self.shells.keeper.hearing = Hearing::Events;
                self.step(Input::Hearing(Hearing::Events), inbox);
                self.announce();
            }
            Heard::Deaf(reason) => {
                if reason.is_lasting() && !self.announced {
                    self.deaf = Some(reason);
                } else {
                    self.fault(Part::Events, &reason.to_string());
                }
                self.shells.keeper.hearing = Hearing::Nothing;
                self.step(Input::Hearing(Hearing::Nothing), inbox);
                self.announce();
            }
            Heard::Events { events, upto } => {
                self.step(Input::Events { events, upto }, inbox);
                self.shells.pursuer.applied(upto);
            }
            Heard::Accounts(accounts) => self.step(Input::Accounts(accounts), inbox),
            Heard::Gap => self.step(Input::Gap, inbox),
            Heard::Flushed(upto) => self.step(Input::Flushed(upto), inbox),
            Heard::Report(report) => self.step(Input::Report(report), inbox),
        }
    }

    /// Says, once, what the watch begins with.
    fn announce(&mut self) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        let view = self.judge.view();
        let rule = |rule: &crate::engine::decision::RuleView| StartRule {
            name: Safe::word(&rule.name),
            mode: Safe::word(rule.mode.word()),
        };
        let start = Start {
            version: Safe::word(env!("CARGO_PKG_VERSION")),
            daemon: std::process::id(),
            mode: Safe::word(view.mode.word()),
            tier: Safe::word(view.tier.word()),
            deaf: self.deafness(),
            config: self
                .standing
                .files
                .iter()
                .map(|file| Safe::word(&file.display().to_string()))
                .collect(),
            rules: view.rules.iter().map(rule).collect(),
            leash: self.standing.leash.map(Pid::number),
            socket: Some(Safe::word(
                &self.standing.claim.path().display().to_string(),
            )),
        };
        {
            let entry = Entry::start(start, self.shells.now(), &self.voice.wall());
            self.voice.say(&entry);
        }
        self.tell_early_faults();
    }

    /// Tells what was found at the start.
    fn tell_early_faults(&mut self) {
        for (part, text) in std::mem::take(&mut self.early) {
            self.fault(part, &text);
        }
        if let Some(unfinished) = self.unfinished.take() {
            self.fault(Part::Unfinished, &unfinished.text);
            self.unfinished = Some(unfinished);
            self.check_unfinished();
        }
    }

    /// What an earlier beadle left unfinished is over when none of its targets is left.
    fn check_unfinished(&mut self) {
        if self.unfinished.take_if(|left| left.is_over()).is_some() {
            self.works(Part::Unfinished);
        }
    }

    fn reserved(&mut self, reserved: Result<Block, String>, inbox: &mut Inbox) {
        let (kept, input) = self.shells.keeper.reserved(reserved);
        match kept {
            Ok(()) => self.works(Part::Store),
            Err(text) => self.fault(Part::Store, &text),
        }
        if let Some(input) = input {
            self.step(input, inbox);
        }
    }

    fn check_sinks(&mut self) {
        if let Some(trouble) = self.voice.trouble() {
            self.fault(Part::Journal, &trouble);
        } else {
            self.works(Part::Journal);
        }
    }

    fn fault(&mut self, part: Part, text: &str) {
        let now = self.shells.now();
        let edge = self.faults.seen(part, text, now);
        self.told(part, &edge, text);
    }

    fn works(&mut self, part: Part) {
        let edge = self.faults.works(part);
        self.told(part, &edge, "");
    }

    fn told(&mut self, part: Part, edge: &Edge, text: &str) {
        if *edge != Edge::None {
            self.service.changed();
            self.voice.fault(part, edge, text);
        }
    }
}

/// The warrant that is carried out now, if one is.
fn carried(decision: &Decision) -> Option<Arc<Warrant>> {
    match decision {
        Decision::Carry(warrant) => Some(Arc::clone(warrant)),
        Decision::List
        | Decision::Flush
        | Decision::Account(_)
        | Decision::Sample { .. }
        | Decision::Learn(_)
        | Decision::Measure(_)
        | Decision::Inspect(_)
        | Decision::Prepare(_)
        | Decision::Run(_)
        | Decision::Recall(_)
        | Decision::Accept(_)
        | Decision::Refuse(_)
        | Decision::Consult
        | Decision::Reply(_)
        | Decision::Keep(_)
        | Decision::Tell(_) => None,
    }
}
