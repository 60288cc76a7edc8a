//! What one person sees, told order by order.

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
    assert_eq!(board.answered(second.mark, Reply::Stop), [IncidentId(2)]);
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
    assert_eq!(board.answered(first.mark, Reply::Stop), [IncidentId(1)]);
    board.gone(first.tag);
    assert_eq!(show(board.moves(bill(1, 10, "asked"))).tag, first.tag);
}

#[test]
fn who_answers_in_vain_hears_why() {
    let mut board = Board::default();
    let first = show(board.nudge(bill(1, 10, "nudged"), None));
    assert_eq!(board.answered(first.mark, Reply::Stop), [IncidentId(1)]);
    let again = show(board.declined(IncidentId(1), "no"));
    assert_eq!(
        (again.tag, again.body.as_str()),
        (first.tag, "no\n\nnudged")
    );
    assert_eq!(board.declined(IncidentId(2), "no"), vec![]);
}

#[test]
fn an_answer_is_for_what_was_on_the_screen() {
    let extend = Button {
        reply: Some(Reply::Extend),
        label: "30 min more".to_owned(),
        command: String::new(),
    };
    let both = |incident| {
        let mut bill = bill(incident, 10, "nudged");
        bill.card.buttons.push(extend.clone());
        bill
    };
    let mut board = Board::default();
    let first = show(board.nudge(both(1), None));
    let second = show(board.nudge(both(2), None));
    // It was pressed while the next was on its way.
    assert_eq!(board.answered(first.mark, Reply::Stop), [IncidentId(1)]);
    assert_eq!(board.answered(first.mark, Reply::Extend), [IncidentId(1)]);
    let all = [IncidentId(1), IncidentId(2)];
    assert_eq!(board.answered(second.mark, Reply::Extend), all);
    assert_eq!(board.answered(second.mark, Reply::Stop), [IncidentId(2)]);
    show(board.over(&last(1, 10, Some(10))));
    assert_eq!(board.answered(first.mark, Reply::Stop), []);
}

#[test]
fn what_went_by_itself_was_not_dismissed() {
    let mut board = Board::default();
    let first = show(board.nudge(bill(1, 10, "nudged"), None));
    board.shown(first.tag);
    let answered = show(board.moves(last(1, 10, Some(10))));
    board.shown(answered.tag);
    board.gone(answered.tag);
    assert_eq!(show(board.moves(bill(1, 10, "asked"))).tag, first.tag);
}

#[test]
fn what_presses_is_shown_whatever_was_shown_before() {
    let mut board = Board::default();
    assert_eq!(board.moves(bill(1, 10, "left alone")), vec![]);
    let mut asked = bill(1, 10, "asked");
    asked.card.urgent = true;
    let first = show(board.moves(asked));
    assert_eq!(board.answered(first.mark, Reply::Stop), [IncidentId(1)]);
}

#[test]
fn what_was_not_offered_is_no_answer() {
    let mut board = Board::default();
    let first = show(board.nudge(bill(1, 10, "nudged"), None));
    assert_eq!(board.answered(first.mark, Reply::Extend), []);
    assert_eq!(board.answered(first.mark ^ 1, Reply::Stop), []);
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
