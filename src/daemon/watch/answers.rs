//! People at the control socket: what they ask, and what they answer.

use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use crate::control::protocol::{self, Question, RefusalKind};
use crate::control::server::Ask;
use crate::control::wire;
use crate::engine::answer::{Answer, Granted, Which, Whom, Wish};
use crate::engine::decision::Input;
use crate::engine::evidence::IncidentId;
use crate::engine::facts::Facts;
use crate::engine::process::{Pid, Uid};
use crate::engine::rule::RuleName;
use crate::sys::clock::Clock;

use super::super::inbox::Inbox;
use super::super::recall::{Inquiry, Standpoint};
use super::Watch;

impl Watch {
    pub(super) fn answer(&mut self, ask: Ask, inbox: &mut Inbox) {
        if let Question::Why { pid } = ask.question
            && let Some(question) = Pid::new(pid).and_then(|pid| self.judge.recall(pid))
        {
            self.inquiries.wait(question.pid, ask);
            self.shells.learn(vec![question]);
            return;
        }
        let answer = match ask.question {
            Question::Status => {
                self.check_unfinished();
                // Who has logged out since has no trouble with a desktop any more.
                self.check_desktops();
                let mut status = wire::Status::seen(&self.judge.view(), self.itself());
                self.note_ear(&mut status.heartbeats);
                protocol::Answer::Status(status)
            }
            Question::Ps => protocol::Answer::Ps(wire::Ps::from(&self.judge.view())),
            Question::Why { pid } => self.why(pid, None),
            Question::Pause { span, rule } => {
                let span = span.map(Duration::from_secs);
                self.wish(ask.peer.uid, rule, |rule| Wish::Pause { span, rule }, inbox)
            }
            Question::Resume { rule } => {
                self.wish(ask.peer.uid, rule, |rule| Wish::Resume { rule }, inbox)
            }
            Question::Reply { reply, whom } => {
                let wish = Wish::Reply {
                    whom: meant(whom),
                    reply: reply.into(),
                };
                return self.reply(ask.peer.uid, wish, ask.reply, inbox);
            }
            Question::Forget { which } => {
                let which = which.iter().map(|word| named(word)).collect();
                return self.reply(ask.peer.uid, Wish::Forget { which }, ask.reply, inbox);
            }
            Question::Minds => protocol::Answer::Minds {
                minds: self
                    .judge
                    .minds()
                    .iter()
                    .map(|(owner, members, minded)| wire::Minded::seen(*owner, members, minded))
                    .collect(),
            },
            Question::Exceptions => protocol::Answer::Exceptions {
                exceptions: self.exceptions.told(),
            },
            Question::History(search) => {
                let from = self.standpoint(ask.peer.uid);
                return self.historian.ask(Inquiry::List(search), from, ask.reply);
            }
            Question::Show { incident } => {
                let from = self.standpoint(ask.peer.uid);
                let inquiry = Inquiry::Show { incident };
                return self.historian.ask(inquiry, from, ask.reply);
            }
        };
        // Whoever asked has gone: nobody needs the answer.
        let _ = ask.reply.send(answer);
    }

    pub(super) fn why(&self, pid: u32, learnt: Option<&Facts>) -> protocol::Answer {
        let explained = Pid::new(pid).and_then(|pid| self.judge.explain(pid, learnt));
        match explained {
            Some(explanation) => {
                protocol::Answer::Why(wire::Why::seen(&explanation, self.shells.now()))
            }
            None => protocol::Refusal::no_process(pid).into(),
        }
    }

    /// What has to be known to tell this user what was kept.
    fn standpoint(&self, asking: Uid) -> Standpoint {
        let units = self.judge.view().units;
        let open = units.iter().filter_map(|unit| unit.incident.as_ref());
        Standpoint {
            whose: (asking != Uid::ROOT && asking != self.standing.user).then_some(asking),
            boot: self.standing.boot.clone(),
            now: Clock.wall(),
            zone: TimeZone::system(),
            open: open.map(|incident| incident.id.0).collect(),
        }
    }

    fn wish(
        &mut self,
        by: Uid,
        rule: Option<String>,
        what: impl FnOnce(Option<RuleName>) -> Wish,
        inbox: &mut Inbox,
    ) -> protocol::Answer {
        let known = |name: &String| {
            self.judge
                .view()
                .rules
                .iter()
                .any(|rule| *rule.name == **name)
        };
        if let Some(name) = rule.as_ref().filter(|name| !known(name)) {
            return protocol::Refusal::no_rule(name).into();
        }
        if let Some(refusal) = self.is_not_for(by) {
            return refusal.into();
        }
        self.step(
            Input::Answer(Answer {
                by,
                what: what(rule.map(Into::into)),
            }),
            inbox,
        );
        let view = self.judge.view();
        protocol::Answer::Pauses {
            pauses: wire::pauses(&view),
        }
    }

    /// An answer to an incident, or an exception taken back.
    fn reply(
        &mut self,
        by: Uid,
        what: Wish,
        to: oneshot::Sender<protocol::Answer>,
        inbox: &mut Inbox,
    ) {
        let answer = match self.is_not_for(by) {
            Some(refusal) => refusal.into(),
            None => self.come_of(by, what, inbox),
        };
        match answer {
            protocol::Answer::Replied(wire::Replied {
                exception: Some(_), ..
            })
            | protocol::Answer::Forgotten { .. } => self.exceptions.answer_when_kept(to, answer),
            // Whoever asked has gone: nobody needs the answer.
            answer => drop(to.send(answer)),
        }
    }

    fn come_of(&mut self, by: Uid, what: Wish, inbox: &mut Inbox) -> protocol::Answer {
        // As it was when it was given: 30 minutes are 30 minutes.
        let now = self.shells.now();
        let came = self.take_in(Input::Answer(Answer { by, what }), inbox);
        match came {
            Some(Ok(Granted::Forgotten(gone))) => protocol::Answer::Forgotten {
                exceptions: gone.iter().map(wire::Exception::from).collect(),
                unkept: None,
            },
            Some(Ok(granted)) => match wire::Replied::seen(&granted, now) {
                Some(replied) => protocol::Answer::Replied(replied),
                None => nothing_came().into(),
            },
            Some(Err(declined)) => protocol::Refusal::from(&declined).into(),
            None => nothing_came().into(),
        }
    }

    /// An unprivileged beadle takes answers of its own user and of root.
    pub(super) fn is_not_for(&self, by: Uid) -> Option<protocol::Refusal> {
        let user = self.standing.user;
        let another = by != user && by != Uid::ROOT && user != Uid::ROOT;
        another.then(|| {
            let text = "this beadle watches another user's processes";
            protocol::Refusal::new(RefusalKind::NotYours, text)
        })
    }
}

fn meant(whom: protocol::Whom) -> Whom {
    match whom {
        protocol::Whom::Incident(number) => Whom::Incident(IncidentId(number)),
        // What is no number of a process means nobody.
        protocol::Whom::Pid(number) => Pid::new(number).map_or(Whom::Number(0), Whom::Process),
        protocol::Whom::Number(number) => Whom::Number(number),
    }
}

/// An exception's number, or the name of a rule.
fn named(word: &str) -> Which {
    match word.parse() {
        Ok(number) => Which::Number(number),
        Err(_) => Which::Rule(word.into()),
    }
}

/// Every answer is replied to in the same step; if one were not, whoever waits is told.
fn nothing_came() -> protocol::Refusal {
    protocol::Refusal::new(RefusalKind::Late, "nothing came of it: ask again")
}
