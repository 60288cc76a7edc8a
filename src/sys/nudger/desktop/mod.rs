//! The desktop: notifications in the sessions of those who are told, and what they answer.
//!
//! ```text
//! the loop ──[ Desktop ]── a messenger (a thread) ──[ link ]── `beadle notify`, as that user ──bus── their notification server
//! ```
//!
//! The link is a pair of pipes to a child of ours or, for the machine's daemon, a connection to a [`porter`], who can become that
//! user where the daemon's service cannot.
//!
//! **Invariants.** Nothing here waits: all that may wait is the messenger's, which is there for one user and only while something is
//! to be shown. Who answers is known by whose notifier it is. Where something is broken it is left alone for a while, longer each
//! time, and what is to be said then is said elsewhere.

mod board;
mod link;
mod markup;
pub mod messenger;
pub mod notifier;
pub mod porter;
mod session;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use self::board::Bill;
use self::board::Board;
pub use self::link::has_porter;
use self::messenger::{Messenger, Tiding};
pub use self::session::{Own, logged_in};
pub use self::wire::Server;
use self::wire::{Order, Show};
use super::tty::Line;
use crate::engine::answer::Reply;
use crate::engine::evidence::IncidentId;
use crate::engine::process::Uid;
use crate::engine::units::Mono;
use crate::sys::clock::Clock;
use crate::sys::message::Card;

/// How long a desktop that is broken is left alone, at first and at last.
const REST: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1800));

/// Something heard of a user's desktop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whose.
    pub whose: Uid,
    /// By which of the messengers that were ever sent to them.
    round: u64,
    /// What.
    tiding: Tiding,
}

/// What is to be done about what was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upshot {
    /// Nothing.
    Nothing,
    /// It could not be shown: it is to be said on terminals.
    Elsewhere(Vec<Line>),
    /// A person answered.
    Answer {
        /// Who.
        by: Uid,
        /// Of which incidents: all that the notification told of, or the one that it was about.
        incidents: Vec<IncidentId>,
        /// What.
        reply: Reply,
        /// What they are called.
        name: Option<String>,
    },
}

/// How a user's desktop is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose.
    pub whose: Uid,
    /// How many notifications are on the screen.
    pub shown: usize,
    /// Who showed one last.
    pub server: Option<Server>,
    /// What is wrong.
    pub trouble: Option<String>,
}

/// All desktops that something was shown on.
pub struct Desktop {
    own: Own,
    deliver: Arc<dyn Fn(Heard) + Send + Sync>,
    people: BTreeMap<Uid, Person>,
    rounds: u64,
}

/// One user's.
#[derive(Debug, Default)]
struct Person {
    board: Board,
    messenger: Option<(u64, Messenger)>,
    server: Option<Server>,
    trouble: Option<Trouble>,
}

#[derive(Clone, Debug)]
struct Trouble {
    text: String,
    until: Mono,
    rest: Duration,
}

impl fmt::Debug for Desktop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desktop")
            .field("people", &self.people)
            .finish_non_exhaustive()
    }
}

impl Desktop {
    /// No desktop so far. What is heard of them goes through `deliver`, and comes back by [`Desktop::hear`].
    pub fn new(own: Own, deliver: impl Fn(Heard) + Send + Sync + 'static) -> Self {
        Self {
            own,
            deliver: Arc::new(deliver),
            people: BTreeMap::new(),
            rounds: 0,
        }
    }

    /// Shows a nudge to a user, if there is a chance that they see it; whether there is. `line` is for their terminal, should it
    /// not come to that.
    pub fn nudge(&mut self, whose: Uid, bill: Bill, line: Option<Line>, now: Mono) -> bool {
        let person = self.people.entry(whose).or_default();
        let rests = person.trouble.as_ref();
        let rests = rests.is_some_and(|trouble| now < trouble.until);
        if rests || !self.own.may_reach(whose) {
            return false;
        }
        let orders = person.board.nudge(bill, line);
        self.carry(whose, orders);
        true
    }

    /// Shows what became of an incident: where it is shown, and where something is about to be done that people may keep us from.
    /// They were told of it before a restart, or under another number.
    pub fn moves(&mut self, whose: Uid, bill: Bill, now: Mono) {
        let person = self.people.entry(whose).or_default();
        let rests = person.trouble.as_ref();
        let rests = rests.is_some_and(|trouble| now < trouble.until);
        if rests || !self.own.may_reach(whose) {
            return;
        }
        let orders = person.board.moves(bill);
        self.carry(whose, orders);
    }

    /// Takes an incident from the screen.
    pub fn over(&mut self, whose: Uid, bill: &Bill) {
        if let Some(person) = self.people.get_mut(&whose) {
            let orders = person.board.over(bill);
            self.carry(whose, orders);
        }
    }

    /// What was answered cannot be: says why, where it was answered.
    pub fn declined(&mut self, whose: Uid, incident: IncidentId, why: &str) {
        if let Some(person) = self.people.get_mut(&whose) {
            let orders = person.board.declined(incident, why);
            self.carry(whose, orders);
        }
    }

    fn carry(&mut self, whose: Uid, orders: Vec<Order>) {
        for order in orders {
            if let Err(error) = self.give(whose, order) {
                let text = format!("cannot send for a notifier: {error}");
                let tiding = Tiding::Broken(text);
                let round = self.round_of(whose);
                // By the same way as all else, so that what is told is told once.
                (self.deliver)(Heard {
                    whose,
                    round,
                    tiding,
                });
                return;
            }
        }
    }

    fn give(&mut self, whose: Uid, order: Order) -> io::Result<()> {
        let person = self.people.entry(whose).or_default();
        let order = match &person.messenger {
            Some((_, messenger)) => match messenger.give(order) {
                None => return Ok(()),
                Some(order) => order,
            },
            None => order,
        };
        if let Order::Close { .. } = order {
            // Whoever has left has taken everything away.
            return Ok(());
        }
        self.rounds = self.rounds.saturating_add(1);
        let round = self.rounds;
        let own = self.own.clone();
        let deliver = Arc::clone(&self.deliver);
        let tell = move |tiding| {
            deliver(Heard {
                whose,
                round,
                tiding,
            });
        };
        let messenger = Messenger::send(move || own.reach(whose), tell)?;
        let given = messenger.give(order);
        person.messenger = Some((round, messenger));
        given.map_or(Ok(()), |_| Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn round_of(&self, whose: Uid) -> u64 {
        let person = self.people.get(&whose);
        let messenger = person.and_then(|person| person.messenger.as_ref());
        messenger.map_or(0, |(round, _)| *round)
    }

    /// Takes in what was heard.
    pub fn hear(&mut self, heard: Heard, now: Mono) -> Upshot {
        let current = self.round_of(heard.whose) == heard.round;
        let Some(person) = self.people.get_mut(&heard.whose).filter(|_| current) else {
            // Of a messenger that another has followed: what it had on the screen is gone.
            return Upshot::Nothing;
        };
        match heard.tiding {
            Tiding::Shown { tag, server, .. } => {
                person.board.shown(tag);
                person.server = Some(server);
                person.trouble = None;
                Upshot::Nothing
            }
            Tiding::Gone { tag } => {
                person.board.gone(tag);
                Upshot::Nothing
            }
            Tiding::Answered {
                mark, reply, name, ..
            } => {
                let Some(reply) = reply else {
                    return Upshot::Nothing;
                };
                let incidents = person.board.answered(mark, reply);
                if incidents.is_empty() {
                    return Upshot::Nothing;
                }
                Upshot::Answer {
                    by: heard.whose,
                    incidents,
                    reply,
                    name,
                }
            }
            Tiding::NoSession => {
                person.messenger = None;
                person.trouble = None;
                Upshot::Elsewhere(person.board.lost())
            }
            Tiding::Broken(text) => {
                person.messenger = None;
                person.breaks(text, now);
                Upshot::Elsewhere(person.board.lost())
            }
        }
    }

    /// Forgets who has logged out since.
    pub fn tidy(&mut self) {
        let own = &self.own;
        self.people
            .retain(|whose, person| person.messenger.is_some() || own.may_reach(*whose));
    }

    /// How each desktop is doing that something was shown on.
    pub fn standings(&self) -> Vec<Standing> {
        let standing = |(whose, person): (&Uid, &Person)| Standing {
            whose: *whose,
            shown: person.board.count(),
            server: person.server.clone(),
            trouble: person.trouble.as_ref().map(|it| it.text.clone()),
        };
        self.people.iter().map(standing).collect()
    }

    /// Takes everything from all screens; where that takes its time, waits at most so long for all of them.
    pub fn finish(self, patience: Duration) {
        let people = self.people.into_values();
        let messengers: Vec<_> = people.filter_map(|person| person.messenger).collect();
        for (_, messenger) in &messengers {
            messenger.dismiss();
        }
        let by = Clock.now().after(patience);
        for (_, messenger) in messengers {
            messenger.finish(by.since(Clock.now()));
        }
    }
}

impl Person {
    fn breaks(&mut self, text: String, now: Mono) {
        let before = self.trouble.as_ref().map(|trouble| trouble.rest);
        let rest = before.map_or(REST.0, |rest| (rest * 2).min(REST.1));
        self.trouble = Some(Trouble {
            text,
            until: now.after(rest),
            rest,
        });
    }
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The server's number of what it showed.
    pub id: u32,
    /// Who shows it.
    pub server: Server,
    /// Whether its button was pressed, or it was taken away.
    pub answered: Option<bool>,
}

/// Shows a card to a user, and waits at most so long for an answer. The error says why it cannot be shown; `None` is that there is no
/// session. `shown` is told as soon as it is.
pub fn try_out(
    own: &Own,
    whose: Uid,
    card: &Card,
    patience: Duration,
    shown: impl FnOnce(&Server),
) -> Result<Option<Trial>, String> {
    let own = own.clone();
    let (send, tidings) = std::sync::mpsc::channel();
    let tell = move |tiding| {
        // Whoever waited has gone.
        let _ = send.send(tiding);
    };
    let messenger = Messenger::send(move || own.reach(whose), tell)
        .map_err(|error| format!("cannot send for a notifier: {error}"))?;
    if messenger.give(Order::Show(Show::of(1, card))).is_some() {
        return Err("cannot send for a notifier".to_owned());
    }
    // The messenger has a deadline of its own for everything.
    let (id, server) = match tidings.recv() {
        Ok(Tiding::Shown { id, server, .. }) => (id, server),
        Ok(Tiding::NoSession) => return Ok(None),
        Ok(Tiding::Broken(text)) => return Err(text),
        Ok(Tiding::Answered { .. } | Tiding::Gone { .. }) | Err(_) => {
            return Err("the notifier fell silent".to_owned());
        }
    };
    shown(&server);
    // Without a button there is nothing to wait for, but to be seen.
    let patience = if server.buttons {
        patience
    } else {
        patience / 4
    };
    let answered = match tidings.recv_timeout(patience) {
        Ok(Tiding::Answered { .. }) => Some(true),
        Ok(Tiding::Gone { .. }) => Some(false),
        Ok(Tiding::Broken(text)) => return Err(text),
        Ok(Tiding::Shown { .. } | Tiding::NoSession) | Err(_) => None,
    };
    messenger.finish(Duration::from_secs(5));
    Ok(Some(Trial {
        id,
        server,
        answered,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::engine::process::{Mark, Pid, ProcKey};

    const ANN: Uid = Uid(4_000_000_017);

    fn bill() -> Bill {
        Bill {
            incident: IncidentId(1),
            tree: ProcKey::new(Pid::new(10).unwrap(), Mark::Inode(1)),
            card: Card::default(),
            short: String::new(),
        }
    }

    fn line() -> Line {
        Line {
            device: PathBuf::from("/dev/pts/0"),
            audience: ANN,
            text: "told".to_owned(),
        }
    }

    #[test]
    fn a_desktop_that_is_broken_is_left_alone_for_longer_each_time() {
        let own = Own {
            user: ANN,
            address: Some("unix:path=/nowhere".to_owned()),
            runtime: None,
            program: PathBuf::from("/bin/false"),
        };
        let (send, heard) = channel();
        let send = std::sync::Mutex::new(send);
        let deliver = move |what| send.lock().unwrap().send(what).unwrap();
        let mut desktop = Desktop::new(own, deliver);
        let mut now = Mono::from_secs(100);
        for rest in [30, 60, 120] {
            assert!(desktop.nudge(ANN, bill(), Some(line()), now));
            let broken = heard.recv().unwrap();
            assert_eq!(
                desktop.hear(broken.clone(), now),
                Upshot::Elsewhere(vec![line()])
            );
            assert_eq!(desktop.hear(broken, now), Upshot::Nothing, "told once");
            let standing = desktop.standings().remove(0);
            assert_eq!(
                standing.trouble.as_deref(),
                Some("the notifier ended: exit status: 1")
            );
            now = now.after(Duration::from_secs(rest - 1));
            assert!(!desktop.nudge(ANN, bill(), Some(line()), now), "{rest}");
            now = now.after(Duration::from_secs(1));
        }
        assert!(
            !desktop.nudge(Uid(ANN.0 + 1), bill(), Some(line()), now),
            "not ours"
        );
    }
}
