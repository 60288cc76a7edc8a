//! `beadle stop`, `extend`, `allow` and `freeze`: answers to an incident.

use super::reach::{Reach, astray};
use super::render::replied;
use super::{Failure, Surroundings, json, say};
use crate::control::protocol::{Answer, Question, ReplyWord, Whom};

/// Which incident is answered.
#[derive(Debug, clap::Args)]
struct Meant {
    /// The incident, or a process of its tree
    #[arg(
        value_name = "INCIDENT|PID",
        required_unless_present_any = ["incident", "pid"],
        conflicts_with_all = ["incident", "pid"],
    )]
    number: Option<u64>,

    /// The incident of this number, and nothing else
    #[arg(long, value_name = "N", conflicts_with = "pid")]
    incident: Option<u64>,

    /// The incident that this process has a part in
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,

    #[command(flatten)]
    reach: Reach,
}

/// Stop a runaway now: SIGTERM to its tree, SIGKILL after 10 s to whoever is left
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle stop 3                    the tree of incident 3
  beadle stop 4711                 the tree that process 4711 belongs to, if it has an open incident
  beadle stop --pid 3              process 3, where an incident has that number too

Works in modes `nudge` and `enforce`, and takes the same care as a ladder: protected
processes, boundaries and `keep` are left alone. The numbers are in every nudge and in
`beadle status`. To end something that has no incident, use kill. Exits 1 when the answer
is not taken, and says why.")]
pub(super) struct Stop {
    #[command(flatten)]
    meant: Meant,
}

/// Leave a runaway alone for 30 minutes: this tree, under this rule
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle extend 3                  the tree of incident 3
  beadle extend 4711               the tree that process 4711 belongs to

Nothing is signalled meanwhile, from the moment this returns; what was under way is called
off, and whoever was frozen goes on. The ladder then goes on where it stood. Twice is twice
as long; under root's rules that is as often as people may. `beadle pause` leaves more alone
than one tree. Exits 1 when the answer is not taken, and says why.")]
pub(super) struct Extend {
    #[command(flatten)]
    meant: Meant,
}

/// Never mind this again: an exception for this rule, owner, program and folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle allow 3                   what incident 3 is about
  beadle rules --exceptions        what was allowed so far
  beadle forget 1                  take exception 1 back

The incident is closed, and no other is opened under its rule for the same program of the
same owner in the same folder, also after a reboot. Under root's rules only root may, unless
their `answers` say otherwise. Exits 1 when the answer is not taken, and says why.")]
pub(super) struct Allow {
    #[command(flatten)]
    meant: Meant,
}

/// Have a runaway stand still (SIGSTOP), until it is answered again
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle freeze 3                  the tree of incident 3
  beadle extend 3                  let it go on, for 30 minutes at least
  beadle stop 3                    end it

Nothing else comes of the incident while it stands still. Works in modes `nudge` and
`enforce`. Under root's rules only root may, unless their `answers` say otherwise. Exits 1
when the answer is not taken, and says why.")]
pub(super) struct Freeze {
    #[command(flatten)]
    meant: Meant,
}

impl Stop {
    pub(super) fn run(&self, around: &Surroundings) -> Result<(), Failure> {
        self.meant.answer(ReplyWord::Stop, around)
    }
}

impl Extend {
    pub(super) fn run(&self, around: &Surroundings) -> Result<(), Failure> {
        self.meant.answer(ReplyWord::Extend, around)
    }
}

impl Allow {
    pub(super) fn run(&self, around: &Surroundings) -> Result<(), Failure> {
        self.meant.answer(ReplyWord::Allow, around)
    }
}

impl Freeze {
    pub(super) fn run(&self, around: &Surroundings) -> Result<(), Failure> {
        self.meant.answer(ReplyWord::Freeze, around)
    }
}

impl Meant {
    fn whom(&self) -> Whom {
        match (self.incident, self.pid) {
            (Some(number), _) => Whom::Incident(number),
            (None, Some(number)) => Whom::Pid(number),
            // One of the three is there: clap has seen to it. No incident has the number 0.
            (None, None) => Whom::Number(self.number.unwrap_or(0)),
        }
    }

    fn answer(&self, reply: ReplyWord, around: &Surroundings) -> Result<(), Failure> {
        let whom = self.whom();
        let question = Question::Reply { reply, whom };
        let incident = self.incident.or(self.number);
        let Answer::Replied(came) = self.reach.ask_whose(incident, &question, around)? else {
            return Err(astray());
        };
        if self.reach.json {
            say(&json(&came));
        } else {
            say(&replied(&came, around.out));
        }
        Ok(())
    }
}
