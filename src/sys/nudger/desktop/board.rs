//! What one person is shown: one notification for each tree, the rest in sum.
//!
//! **Invariants.** A tree has at most one notification, whatever number of rules it breaks; a person has at most [`MOST`] and one that
//! sums up all others. What was dismissed comes back only with the next nudge. An answer counts only where it was offered, and for what
//! was on the screen then. Nothing here waits or knows of processes: orders come out, and what was heard goes in.

use std::collections::{BTreeMap, VecDeque};

use super::super::tty::Line;
use super::wire::{Order, Show};
use crate::engine::answer::Reply;
use crate::engine::evidence::IncidentId;
use crate::engine::process::ProcKey;
use crate::sys::message::Card;

/// Trees with a notification of their own, at a time.
const MOST: usize = 3;
/// Of so many of the last that a sheet has shown, answers are taken: one may be pressed while the next is on its way.
const OFFERS: usize = 4;
/// Lines of a sum.
const LINES: usize = 6;

/// A nudge, or what became of its incident since.
#[derive(Clone, Debug)]
pub struct Bill {
    /// The incident.
    pub incident: IncidentId,
    /// The root of its tree.
    pub tree: ProcKey,
    /// What stands on it.
    pub card: Card,
    /// The same in a few words.
    pub short: String,
}

/// What one person is shown.
#[derive(Debug, Default)]
pub(super) struct Board {
    last: u64,
    sheets: BTreeMap<ProcKey, Sheet>,
    /// The one that sums up.
    sum: Option<Pinned>,
}

/// All that is to be said of one tree.
#[derive(Debug)]
struct Sheet {
    /// `None` where it is summed up.
    pinned: Option<Pinned>,
    cases: BTreeMap<IncidentId, Case>,
    /// Which of them moved last.
    head: IncidentId,
    /// What was offered of late.
    offers: VecDeque<Offer>,
}

/// What people could answer to one of those that were shown.
#[derive(Debug)]
struct Offer {
    /// That one.
    mark: u64,
    /// What it told of.
    cases: Vec<IncidentId>,
    /// What it was about.
    head: IncidentId,
    replies: Vec<Reply>,
}

#[derive(Debug)]
struct Case {
    card: Card,
    short: String,
    /// For the terminal, until it is on the screen.
    line: Option<Line>,
}

/// A place on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pinned {
    tag: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was ordered.
    Ordered,
    /// It is on the screen.
    Shown,
    /// It was answered: what comes of it is shown again.
    Answered,
    /// Somebody took it away, or nobody looked for long.
    Dismissed,
    /// It stays for a moment, and goes away by itself: what happens next is shown again.
    Lingering,
}

impl Board {
    /// People are told: by the notification of the tree. `line` is for the terminal, should that not work.
    pub(super) fn nudge(&mut self, bill: Bill, line: Option<Line>) -> Vec<Order> {
        let room = self
            .sheets
            .values()
            .filter(|it| it.pinned.is_some())
            .count()
            < MOST;
        let tree = bill.tree;
        let known = self.sheets.contains_key(&tree);
        let tag = (room && !known).then(|| self.tag());
        let sheet = self.sheets.entry(tree).or_insert_with(|| Sheet {
            pinned: tag.map(Pinned::ordered),
            cases: BTreeMap::new(),
            head: bill.incident,
            offers: VecDeque::new(),
        });
        sheet.put(bill, line);
        self.show(tree)
    }

    /// Something happened to an incident that people were told of. What presses is shown even if its nudge is nowhere any more.
    pub(super) fn moves(&mut self, bill: Bill) -> Vec<Order> {
        let tree = bill.tree;
        let sheet = self.sheets.get(&tree);
        let unheard = sheet.is_none_or(|sheet| !sheet.cases.contains_key(&bill.incident));
        if unheard && bill.card.urgent {
            return self.nudge(bill, None);
        }
        let told = |sheet: &&mut Sheet| sheet.cases.contains_key(&bill.incident);
        let Some(sheet) = self.sheets.get_mut(&tree).filter(told) else {
            return Vec::new();
        };
        sheet.put(bill, None);
        let hidden = match sheet.pinned {
            Some(pinned) => pinned.state == State::Dismissed,
            None => self.sum.is_none(),
        };
        if hidden {
            return Vec::new();
        }
        self.show(tree)
    }

    /// An incident is over. What we did ourselves is said for a moment, with a card that lingers; all else just goes away.
    pub(super) fn over(&mut self, bill: &Bill) -> Vec<Order> {
        let Some(sheet) = self.sheets.get_mut(&bill.tree) else {
            return Vec::new();
        };
        if sheet.cases.remove(&bill.incident).is_none() {
            return Vec::new();
        }
        let dismissed = |pinned: Pinned| pinned.state == State::Dismissed;
        let pinned = sheet.pinned;
        if let Some((newest, _)) = sheet.cases.last_key_value() {
            sheet.head = *newest;
            if pinned.is_some_and(dismissed) {
                return Vec::new();
            }
            return self.show(bill.tree);
        }
        self.sheets.remove(&bill.tree);
        match pinned {
            None if self.sum.is_none() => Vec::new(),
            None => self.show_sum(),
            Some(Pinned { tag, state }) => {
                if bill.card.linger.is_some() && state != State::Dismissed {
                    vec![Order::Show(Show::of(tag, &bill.card))]
                } else {
                    vec![Order::Close { tag }]
                }
            }
        }
    }

    /// It is on the screen.
    pub(super) fn shown(&mut self, tag: u64) {
        let sum = self.sum.as_mut().filter(|pinned| pinned.tag == tag);
        let summed = sum.is_some();
        if let Some(pinned) = sum {
            pinned.state = State::Shown;
        }
        for sheet in self.sheets.values_mut() {
            let this = sheet.pinned.as_mut().filter(|pinned| pinned.tag == tag);
            if let Some(pinned) = this {
                if pinned.state != State::Lingering {
                    pinned.state = State::Shown;
                }
            } else if sheet.pinned.is_some() || !summed {
                continue;
            }
            for case in sheet.cases.values_mut() {
                case.line = None;
            }
        }
    }

    /// It is not on the screen any more.
    pub(super) fn gone(&mut self, tag: u64) {
        if self.sum.is_some_and(|pinned| pinned.tag == tag) {
            self.sum = None;
        }
        let pins = self.sheets.values_mut();
        let pins = pins.filter_map(|sheet| sheet.pinned.as_mut());
        for pinned in pins {
            // After an answer most servers take it away by themselves, and what lingers goes without anybody's doing.
            let stays = matches!(pinned.state, State::Answered | State::Lingering);
            if pinned.tag == tag && !stays {
                pinned.state = State::Dismissed;
            }
        }
    }

    /// A button was pressed: which incidents that answers, if the button was there. More time is for all that was told of, all else
    /// for what it was about.
    pub(super) fn answered(&mut self, mark: u64, reply: Reply) -> Vec<IncidentId> {
        let made = |offer: &&Offer| offer.mark == mark && offer.replies.contains(&reply);
        for sheet in self.sheets.values_mut() {
            let Some(offer) = sheet.offers.iter().find(made) else {
                continue;
            };
            let whole = [offer.head];
            let meant = match reply {
                Reply::Extend => offer.cases.as_slice(),
                Reply::Stop | Reply::Allow | Reply::Freeze => &whole,
            };
            let open = meant.iter().filter(|id| sheet.cases.contains_key(id));
            let open: Vec<IncidentId> = open.copied().collect();
            let newest = sheet.offers.back().is_some_and(|last| last.mark == mark);
            if let Some(pinned) = sheet.pinned.as_mut().filter(|_| newest) {
                pinned.state = State::Answered;
            }
            return open;
        }
        Vec::new()
    }

    /// What was answered cannot be: why, in the place where it was answered.
    pub(super) fn declined(&mut self, incident: IncidentId, why: &str) -> Vec<Order> {
        let has = |sheet: &&mut Sheet| sheet.cases.contains_key(&incident);
        let Some(sheet) = self.sheets.values_mut().find(has) else {
            return Vec::new();
        };
        let mut card = sheet.card();
        card.body = format!("{why}\n\n{}", card.body);
        sheet.order(&card).into_iter().collect()
    }

    /// Nothing is on the screen any more: what is still to be said elsewhere.
    pub(super) fn lost(&mut self) -> Vec<Line> {
        self.sum = None;
        let sheets = std::mem::take(&mut self.sheets);
        let cases = sheets.into_values().flat_map(|sheet| sheet.cases);
        cases.filter_map(|(_, case)| case.line).collect()
    }

    /// How many are on the screen, as far as known.
    pub(super) fn count(&self) -> usize {
        let pins = self.sheets.values().filter_map(|sheet| sheet.pinned);
        pins.chain(self.sum)
            .filter(|pinned| pinned.state == State::Shown)
            .count()
    }

    fn show(&mut self, tree: ProcKey) -> Vec<Order> {
        let Some(sheet) = self.sheets.get_mut(&tree) else {
            return Vec::new();
        };
        let card = sheet.card();
        match sheet.order(&card) {
            Some(order) => vec![order],
            None => self.show_sum(),
        }
    }

    /// The one for all that have none of their own.
    fn show_sum(&mut self) -> Vec<Order> {
        let summed = self.sheets.values().filter(|it| it.pinned.is_none());
        let shorts: Vec<&str> = summed.filter_map(Sheet::short).collect();
        if shorts.is_empty() {
            let sum = self.sum.take();
            return sum
                .map(|pinned| Order::Close { tag: pinned.tag })
                .into_iter()
                .collect();
        }
        let trees = match shorts.len() {
            1 => "One more process tree is over its limits".to_owned(),
            more => format!("{more} more process trees are over their limits"),
        };
        let card = Card {
            title: trees,
            body: format!("{}\nAll of them: beadle status", listed(&shorts)),
            ..Card::default()
        };
        let tag = match self.sum {
            Some(pinned) => pinned.tag,
            None => self.tag(),
        };
        self.sum = Some(Pinned::ordered(tag));
        vec![Order::Show(Show::of(tag, &card))]
    }

    fn tag(&mut self) -> u64 {
        self.last = self.last.saturating_add(1);
        self.last
    }
}

impl Pinned {
    const fn ordered(tag: u64) -> Self {
        let state = State::Ordered;
        Self { tag, state }
    }
}

impl Sheet {
    fn put(&mut self, bill: Bill, line: Option<Line>) {
        let before = self.cases.get_mut(&bill.incident);
        let kept = before.and_then(|case| case.line.take());
        self.head = bill.incident;
        let case = Case {
            card: bill.card,
            short: bill.short,
            line: line.or(kept),
        };
        self.cases.insert(bill.incident, case);
    }

    /// Has this shown in the place of its own, where it has one, and notes what is offered.
    fn order(&mut self, card: &Card) -> Option<Order> {
        let pinned = self.pinned.as_mut()?;
        pinned.state = match card.linger {
            Some(_) => State::Lingering,
            None => State::Ordered,
        };
        let show = Show::of(pinned.tag, card);
        if self.offers.len() >= OFFERS {
            self.offers.pop_front();
        }
        self.offers.push_back(Offer {
            mark: show.mark,
            cases: self.cases.keys().copied().collect(),
            head: self.head,
            replies: card.buttons.iter().filter_map(|it| it.reply).collect(),
        });
        Some(Order::Show(show))
    }

    fn short(&self) -> Option<&str> {
        self.cases.get(&self.head).map(|case| case.short.as_str())
    }

    /// What stands on it: the case that moved last, and the others in a line each.
    fn card(&self) -> Card {
        let Some(head) = self.cases.get(&self.head) else {
            return Card::default();
        };
        let others = self.cases.iter().filter(|(id, _)| **id != self.head);
        let others: Vec<&str> = others.map(|(_, case)| case.short.as_str()).collect();
        let mut card = head.card.clone();
        if !others.is_empty() {
            card.body.push_str("\nAlso: ");
            card.body.push_str(&listed(&others));
        }
        card
    }
}

fn listed(shorts: &[&str]) -> String {
    let mut lines: Vec<String> = shorts.iter().take(LINES).map(|&it| it.to_owned()).collect();
    let more = shorts.len().saturating_sub(LINES);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
