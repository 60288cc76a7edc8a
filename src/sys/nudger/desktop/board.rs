//! What one person is shown: one notification for each tree, the rest in sum.
//!
//! **Invariants.** A tree has at most one notification, whatever number of rules it breaks; a person has at most [`MOST`] and one that
//! sums up all others. What was dismissed comes back only with the next nudge. An answer counts only where it was offered. Nothing
//! here waits or knows of processes: orders come out, and what was heard goes in.

use std::collections::BTreeMap;

use super::super::tty::Line;
use super::wire::{Order, Show};
use crate::engine::answer::Reply;
use crate::engine::evidence::IncidentId;
use crate::engine::process::ProcKey;
use crate::sys::message::Card;

/// Trees with a notification of their own, at a time.
const MOST: usize = 3;
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
        });
        sheet.put(bill, line);
        self.show(tree)
    }

    /// Something happened to an incident that people were told of.
    pub(super) fn moves(&mut self, bill: Bill) -> Vec<Order> {
        let tree = bill.tree;
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
                pinned.state = State::Shown;
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
            // After an answer most servers take it away by themselves.
            if pinned.tag == tag && pinned.state != State::Answered {
                pinned.state = State::Dismissed;
            }
        }
    }

    /// A button was pressed: whose incident that answers, if the button was there.
    pub(super) fn answered(&mut self, tag: u64, reply: Reply) -> Option<IncidentId> {
        let this = |pinned: Pinned| pinned.tag == tag;
        let mut sheets = self.sheets.values_mut();
        let sheet = sheets.find(|sheet| sheet.pinned.is_some_and(this))?;
        let case = sheet.cases.get(&sheet.head)?;
        let offered = case.card.buttons.iter().any(|it| it.reply == Some(reply));
        if !offered {
            return None;
        }
        sheet.pinned.as_mut()?.state = State::Answered;
        Some(sheet.head)
    }

    /// What was answered cannot be: why, in the place where it was answered.
    pub(super) fn declined(&mut self, incident: IncidentId, why: &str) -> Vec<Order> {
        let has = |sheet: &&mut Sheet| sheet.cases.contains_key(&incident);
        let Some(sheet) = self.sheets.values_mut().find(has) else {
            return Vec::new();
        };
        let mut card = sheet.card();
        card.body = format!("{why}\n\n{}", card.body);
        let Some(pinned) = &mut sheet.pinned else {
            return Vec::new();
        };
        pinned.state = State::Ordered;
        vec![Order::Show(Show::of(pinned.tag, &card))]
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
        let Some(pinned) = &mut sheet.pinned else {
            return self.show_sum();
        };
        pinned.state = State::Ordered;
        let tag = pinned.tag;
        let card = sheet.card();
        vec![Order::Show(Show::of(tag, &card))]
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
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::engine::process::{Mark, Pid, Uid};
    use crate::sys::message::Button;

    fn tree(number: u32) -> ProcKey {
        ProcKey::new(
            Pid::new(number).unwrap(),
            Mark::Inode(u64::from(number) * 10),
        )
    }

    fn bill(incident: u64, root: u32, text: &str) -> Bill {
        let button = Button {
            reply: Some(Reply::Stop),
            label: "Stop now".to_owned(),
            command: format!("beadle stop {incident}"),
        };
        Bill {
            incident: IncidentId(incident),
            tree: tree(root),
            card: Card {
                title: format!("tree {root}"),
                body: text.to_owned(),
                buttons: vec![button],
                ..Card::default()
            },
            short: format!("short {incident}"),
        }
    }

    fn last(incident: u64, root: u32, linger: Option<u64>) -> Bill {
        let mut bill = bill(incident, root, "over");
        bill.card.linger = linger.map(Duration::from_secs);
        bill
    }

    fn line(text: &str) -> Line {
        Line {
            device: PathBuf::from("/dev/pts/0"),
            audience: Uid(1000),
            text: text.to_owned(),
        }
    }

    /// The one notification that is ordered.
    fn show(orders: Vec<Order>) -> Show {
        match <[Order; 1]>::try_from(orders) {
            Ok([Order::Show(show)]) => show,
            other => panic!("{other:?}"),
        }
    }

    fn closed(orders: Vec<Order>) -> u64 {
        match <[Order; 1]>::try_from(orders) {
            Ok([Order::Close { tag }]) => tag,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tree_keeps_its_place_while_its_incident_moves() {
        let mut board = Board::default();
        let first = show(board.nudge(bill(1, 10, "nudged"), None));
        board.shown(first.tag);
        let second = show(board.moves(bill(1, 10, "asked")));
        assert_eq!((first.tag, "asked"), (second.tag, second.body.as_str()));
        // What we did is said once more; what went by itself is not.
        let third = show(board.over(&last(1, 10, Some(10))));
        assert_eq!((third.tag, third.linger), (first.tag, Some(10)));
        let other = show(board.nudge(bill(2, 11, "nudged"), None));
        assert_eq!(closed(board.over(&last(2, 11, None))), other.tag);
        assert_eq!(board.moves(bill(2, 11, "late")), vec![], "it is over");
    }

    #[test]
    fn two_rules_on_one_tree_share_a_notification() {
        let mut board = Board::default();
        let first = show(board.nudge(bill(1, 10, "one"), None));
        let second = show(board.nudge(bill(2, 10, "two"), None));
        assert_eq!(first.tag, second.tag);
        assert_eq!(second.body, "two\nAlso: short 1");
        assert_eq!(board.answered(first.tag, Reply::Stop), Some(IncidentId(2)));
        let left = show(board.over(&last(2, 10, Some(10))));
        assert_eq!((left.tag, left.body.as_str()), (first.tag, "one"));
        assert_eq!(closed(board.over(&last(1, 10, None))), first.tag);
    }

    #[test]
    fn many_trees_are_summed_up() {
        let mut board = Board::default();
        for number in 1..=3 {
            show(board.nudge(bill(u64::from(number), number, "own"), None));
        }
        let sum = show(board.nudge(bill(4, 4, "x"), Some(line("four"))));
        assert!(sum.title.starts_with("One more"), "{sum:?}");
        assert!(sum.body.starts_with("short 4\n"), "{sum:?}");
        assert_eq!(sum.buttons, vec![]);
        let mut again = show(board.nudge(bill(5, 5, "x"), None));
        assert_eq!(again.tag, sum.tag);
        for number in 6..=20 {
            again = show(board.nudge(bill(u64::from(number), number, "x"), None));
        }
        assert!(again.title.starts_with("17 more"), "{again:?}");
        assert!(again.body.contains("and 11 more"), "{again:?}");
        board.shown(sum.tag);
        let mut other = Board::default();
        for number in 1..=5 {
            again = show(other.nudge(bill(u64::from(number), number, "x"), None));
        }
        other.gone(again.tag);
        assert_eq!(other.over(&last(5, 5, None)), vec![], "it was dismissed");
        for number in 4..20 {
            show(board.over(&last(u64::from(number), number, Some(10))));
        }
        assert_eq!(closed(board.over(&last(20, 20, Some(10)))), sum.tag);
        assert_eq!(board.lost(), vec![], "the sum was shown");
    }

    #[test]
    fn what_was_dismissed_comes_back_with_the_next_nudge_only() {
        let mut board = Board::default();
        let first = show(board.nudge(bill(1, 10, "nudged"), None));
        board.shown(first.tag);
        board.gone(first.tag);
        assert_eq!(board.moves(bill(1, 10, "asked")), vec![]);
        let again = show(board.nudge(bill(1, 10, "still"), None));
        assert_eq!(again.tag, first.tag);
        board.gone(first.tag);
        assert_eq!(closed(board.over(&last(1, 10, Some(10)))), first.tag);
    }

    #[test]
    fn what_was_answered_shows_what_comes_of_it() {
        let mut board = Board::default();
        let first = show(board.nudge(bill(1, 10, "nudged"), None));
        board.shown(first.tag);
        assert_eq!(board.answered(first.tag, Reply::Stop), Some(IncidentId(1)));
        board.gone(first.tag);
        assert_eq!(show(board.moves(bill(1, 10, "asked"))).tag, first.tag);
    }

    #[test]
    fn who_answers_in_vain_hears_why() {
        let mut board = Board::default();
        let first = show(board.nudge(bill(1, 10, "nudged"), None));
        assert_eq!(board.answered(first.tag, Reply::Stop), Some(IncidentId(1)));
        let again = show(board.declined(IncidentId(1), "no"));
        assert_eq!(
            (again.tag, again.body.as_str()),
            (first.tag, "no\n\nnudged")
        );
        assert_eq!(board.declined(IncidentId(2), "no"), vec![]);
    }

    #[test]
    fn what_was_not_offered_is_no_answer() {
        let mut board = Board::default();
        let first = show(board.nudge(bill(1, 10, "nudged"), None));
        assert_eq!(board.answered(first.tag, Reply::Extend), None);
        assert_eq!(board.answered(first.tag + 1, Reply::Stop), None);
    }

    #[test]
    fn what_never_was_on_the_screen_is_said_elsewhere() {
        let mut board = Board::default();
        let first = show(board.nudge(bill(1, 10, "x"), Some(line("one"))));
        show(board.nudge(bill(2, 11, "x"), Some(line("two"))));
        board.shown(first.tag);
        assert_eq!(board.count(), 1);
        let lost = board.lost();
        assert_eq!(lost, vec![line("two")]);
        assert_eq!((board.count(), board.lost()), (0, vec![]));
    }
}
