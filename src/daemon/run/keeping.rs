//! Whom `--keep` means, among all that hang from us.
//!
//! **Invariants.** What is known of a process is of the image that it runs now: after an exec it is asked again, and until it
//! has answered it is neither kept nor ended. Whoever was seen or heard below a kept one stays, also when all in between
//! are dead. Lineage is as it was at first sight: an orphan has the parent that it had then.
//!
//! # Why it looks while the command runs
//! What a kept server has started may have lost its parent by the time that the command ends, and hangs from us then like any
//! orphan. Births that are heard tell of it, and else the looks; whose parent was never seen is not known, and is left alone
//! where a matcher asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::event::{Event, Happening};
use crate::engine::facts::{Facts, Question};
use crate::engine::forest::Serial;
use crate::engine::matcher::{Answer, Matcher, Subject};
use crate::engine::process::{ExecGen, Pid, StartTicks};
use crate::engine::pursuit::Glimpse;
use crate::sys::command::children::descendants;
use crate::sys::command::image::Image;
use crate::sys::glimpse::bearer;
use crate::sys::ourselves;

/// A tick of the kernel's.
const TICK: Duration = Duration::from_millis(10);
/// So many are kept in mind; of more, only those who live and those who stay.
const MOST: usize = 16_384;
/// No chain of parents is followed further.
const FAR: usize = 64;
/// How often one is asked who could not be told apart.
const TRIES: u32 = 3;

/// One process, dead or alive.
type Ident = (Pid, StartTicks);

/// Who is left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// To go.
    pub(super) going: Vec<Glimpse>,
    /// To stay.
    pub(super) kept: Vec<Glimpse>,
    /// Nobody knows yet.
    pub(super) unknown: Vec<Glimpse>,
}

impl Left {
    /// Whether somebody is kept, and there is nobody else.
    pub(super) fn is_only_kept(&self) -> bool {
        self.going.is_empty() && self.unknown.is_empty() && !self.kept.is_empty()
    }
}

/// What is known of all that hang or hung from us.
#[derive(Debug)]
pub(super) struct Keeping {
    matchers: Vec<Matcher>,
    variables: Arc<[String]>,
    /// The command itself: the one child of ours that is no orphan.
    command: Pid,
    kin: BTreeMap<Ident, Kin>,
    /// Forks that were heard: whose child a number was last.
    births: BTreeMap<Pid, (StartTicks, Pid)>,
    /// We and what we hang from, nearest first.
    above: Vec<(Ident, Option<Facts>)>,
}

/// One of them.
#[derive(Debug)]
struct Kin {
    above: Above,
    /// A matcher means it, as of the last look.
    meant: bool,
    /// It was below one that stays.
    below: bool,
    /// The image that was asked about, and how often.
    asked: Option<(Image, u32)>,
    /// The last question, which the answer has to be to.
    question: ExecGen,
    /// What that has come to.
    facts: Option<Facts>,
}

/// Whom one hung from at first sight.
#[derive(Clone, Copy, Debug)]
enum Above {
    /// From us: it is the command.
    Us,
    /// From this one.
    Kin(Ident),
    /// It was an orphan already.
    Unknown,
}

impl Kin {
    const fn of(above: Above) -> Self {
        Self {
            above,
            meant: false,
            below: false,
            asked: None,
            question: ExecGen(0),
            facts: None,
        }
    }

    const fn stays(&self) -> bool {
        self.meant || self.below
    }
}

impl Keeping {
    pub(super) fn new(matchers: &[Matcher], command: Pid) -> Self {
        let variables = matchers.iter().flat_map(Matcher::variables);
        Self {
            variables: variables.map(str::to_owned).collect(),
            above: match matchers {
                [] => Vec::new(),
                _ => line_of_descent(),
            },
            matchers: matchers.to_vec(),
            command,
            kin: BTreeMap::new(),
            births: BTreeMap::new(),
        }
    }

    /// Whether nobody is to be kept: then nothing has to be known of anybody.
    pub(super) const fn is_nobody(&self) -> bool {
        self.matchers.is_empty()
    }

    /// Takes in births that were heard.
    pub(super) fn hear(&mut self, events: &[Event]) {
        if self.is_nobody() {
            return;
        }
        for event in events {
            if let Happening::Fork {
                parent,
                child,
                ticks,
            } = event.what
            {
                if self.births.len() >= MOST {
                    self.births.clear();
                }
                self.births.insert(child, (ticks, parent));
            }
        }
    }

    /// Looks at all that hang from us, parents before children.
    pub(super) fn look(&mut self) -> Left {
        let (at, living) = descendants();
        if self.is_nobody() {
            return Left {
                going: living,
                ..Left::default()
            };
        }
        let here: BTreeMap<Pid, StartTicks> =
            living.iter().map(|one| (one.pid, one.start)).collect();
        self.forget(&here);
        let mut left = Left::default();
        for one in living {
            let ident = (one.pid, one.start);
            let parent = one.ppid.and_then(|ppid| Some((ppid, *here.get(&ppid)?)));
            self.meet(ident, parent);
            match self.judge(ident, parent, at) {
                Answer::Yes => left.kept.push(one),
                Answer::No => left.going.push(one),
                Answer::Unknown => left.unknown.push(one),
            }
        }
        left
    }

    /// What is to be asked: of everybody once for each image, as others may hang from him; of those whose place is not known a
    /// few times more where the answer was none.
    pub(super) fn questions(&mut self, left: &Left) -> Vec<Question> {
        let mut questions = Vec::new();
        if self.is_nobody() {
            return questions;
        }
        let known = left.going.iter().chain(&left.kept).map(|one| (one, 1));
        let unknown = left.unknown.iter().map(|one| (one, TRIES));
        for (one, most) in known.chain(unknown) {
            let ident = (one.pid, one.start);
            let Some(kin) = self.kin.get_mut(&ident) else {
                continue;
            };
            let Some(image) = Image::of(one.pid) else {
                continue;
            };
            let tries = match &kin.asked {
                Some((asked, tries)) if *asked == image => *tries,
                Some(_) | None => 0,
            };
            // Before the first answer it is not asked again.
            if tries > 0 && (kin.facts.is_none() || tries >= most) {
                continue;
            }
            kin.asked = Some((image, tries.saturating_add(1)));
            kin.question = ExecGen(kin.question.0.saturating_add(1));
            questions.push(question(ident, kin.question, &self.variables));
        }
        for (ident, facts) in &self.above {
            if facts.is_none() {
                questions.push(question(*ident, ExecGen(0), &self.variables));
            }
        }
        questions
    }

    /// Takes in answers.
    pub(super) fn learn(&mut self, answers: Vec<Facts>) {
        for facts in answers {
            let of = |ident: &Ident| ident.0 == facts.pid && facts.start.near(ident.1);
            if let Some((_, known)) = self.above.iter_mut().find(|(ident, _)| of(ident)) {
                *known = Some(facts);
                continue;
            }
            let all = (facts.pid, StartTicks(0))..=(facts.pid, StartTicks(u64::MAX));
            let found = self.kin.range_mut(all).rev();
            let asked = |kin: &Kin| kin.question == facts.exec;
            if let Some((_, kin)) = found
                .into_iter()
                .find(|(ident, kin)| of(ident) && asked(kin))
            {
                kin.facts = Some(facts);
            }
        }
    }

    /// Whether nothing more can be learnt of any of these.
    pub(super) fn is_all_said(&self, left: &Left) -> bool {
        left.unknown.iter().all(|one| {
            let kin = self.kin.get(&(one.pid, one.start));
            kin.is_some_and(|kin| {
                let spent = kin.asked.as_ref().is_some_and(|(_, tries)| *tries >= TRIES);
                spent && kin.facts.is_some()
            })
        })
    }

    /// Whether one who is to go still runs what it ran when that was found. The last thing before it is made a target.
    pub(super) fn is_as_judged(&self, one: &Glimpse) -> bool {
        if self.is_nobody() {
            return true;
        }
        // Of whom nothing had to be asked, whatever he runs is to go.
        self.kin.get(&(one.pid, one.start)).is_some_and(|kin| {
            let asked = kin.asked.as_ref();
            asked.is_none_or(|(image, _)| Image::of(one.pid).as_ref() == Some(image))
        })
    }

    /// Whom it hangs from at first sight stays for ever what is told of it.
    fn meet(&mut self, ident: Ident, parent: Option<Ident>) {
        if self.kin.contains_key(&ident) {
            return;
        }
        let above = match parent {
            Some(parent) => Above::Kin(parent),
            None if ident.0 == self.command => Above::Us,
            None => self.born_to(ident, FAR),
        };
        self.kin.insert(ident, Kin::of(above));
    }

    /// Whose child an orphan was born as, by what was heard.
    fn born_to(&mut self, ident: Ident, far: usize) -> Above {
        let heard = self.births.get(&ident.0);
        let heard = heard.filter(|(ticks, _)| ident.1.near(*ticks) || ticks.near(ident.1));
        let Some((ticks, parent)) = heard.copied().filter(|_| far > 0) else {
            return Above::Unknown;
        };
        if self
            .above
            .first()
            .is_some_and(|((ours, _), _)| *ours == parent)
        {
            return Above::Us;
        }
        // Who bore the number of the parent at that time.
        let until = (parent, StartTicks(ticks.0.saturating_add(2)));
        let known = self.kin.range((parent, StartTicks(0))..=until).next_back();
        if let Some((known, _)) = known {
            return Above::Kin(*known);
        }
        // It was dead before anybody looked.
        let Some((start, _)) = self.births.get(&parent).copied() else {
            return Above::Unknown;
        };
        if start.0 > until.1.0 {
            return Above::Unknown;
        }
        let unseen = (parent, start);
        let above = self.born_to(unseen, far.saturating_sub(1));
        let stays = self.is_below(above);
        let mut kin = Kin::of(above);
        kin.below = stays;
        self.kin.insert(unseen, kin);
        Above::Kin(unseen)
    }

    fn is_below(&self, above: Above) -> bool {
        match above {
            Above::Kin(parent) => self.kin.get(&parent).is_some_and(Kin::stays),
            Above::Us | Above::Unknown => false,
        }
    }

    /// Whether one stays.
    fn judge(&mut self, ident: Ident, parent: Option<Ident>, at: StartTicks) -> Answer {
        let first = self.kin.get(&ident).map_or(Above::Unknown, |kin| kin.above);
        let below =
            self.is_below(first) || parent.is_some_and(|one| self.is_below(Above::Kin(one)));
        let image = Image::of(ident.0);
        if let Some(kin) = self.kin.get_mut(&ident) {
            kin.below |= below;
            // It runs something else: what was learnt is of another program.
            if kin.asked.as_ref().map(|(asked, _)| asked) != image.as_ref() {
                kin.asked = None;
                kin.facts = None;
            }
        }
        let meant = self.answer(ident, at);
        let Some(kin) = self.kin.get_mut(&ident) else {
            return Answer::Unknown;
        };
        // Between an exec and the answer it is what it was for those below it.
        match meant {
            Answer::Yes => kin.meant = true,
            Answer::No => kin.meant = false,
            Answer::Unknown => {}
        }
        if kin.below { Answer::Yes } else { meant }
    }

    fn answer(&self, ident: Ident, at: StartTicks) -> Answer {
        let kin = self.kin.get(&ident);
        let ticks = u32::try_from(at.0.saturating_sub(ident.1.0)).unwrap_or(u32::MAX);
        let above = self.chain(ident);
        let subject = Subject {
            facts: kin.and_then(|kin| kin.facts.as_ref()),
            age: TICK.saturating_mul(ticks),
            above: &above,
        };
        let mut all = Answer::No;
        for matcher in &self.matchers {
            all = all.or(matcher.holds(&subject));
        }
        all
    }

    /// Those above one, as far as they are known, nearest first.
    fn chain(&self, ident: Ident) -> Vec<Option<&Facts>> {
        let mut chain = Vec::new();
        let mut next = self.kin.get(&ident);
        while let Some(kin) = next.filter(|_| chain.len() < FAR) {
            next = match kin.above {
                Above::Us => None,
                Above::Unknown => {
                    chain.push(None);
                    None
                }
                Above::Kin(parent) => {
                    let parent = self.kin.get(&parent);
                    chain.push(parent.and_then(|kin| kin.facts.as_ref()));
                    parent
                }
            };
        }
        chain.extend(self.above.iter().map(|(_, facts)| facts.as_ref()));
        chain
    }

    fn forget(&mut self, here: &BTreeMap<Pid, StartTicks>) {
        if self.kin.len() > MOST {
            self.kin
                .retain(|(pid, start), kin| kin.stays() || here.get(pid) == Some(start));
        }
    }
}

fn question((pid, start): Ident, exec: ExecGen, variables: &Arc<[String]>) -> Question {
    Question {
        about: Serial::NOBODY,
        pid,
        key: None,
        start: Some(start),
        exec,
        variables: Arc::clone(variables),
    }
}

/// We and what we hang from.
fn line_of_descent() -> Vec<(Ident, Option<Facts>)> {
    let mut line = Vec::new();
    let mut next = Some(ourselves::pid());
    while let Some(pid) = next.filter(|_| line.len() < FAR) {
        let Ok((seen, _)) = bearer(pid) else { break };
        line.push(((pid, seen.start), None));
        next = seen.ppid;
    }
    line
}
