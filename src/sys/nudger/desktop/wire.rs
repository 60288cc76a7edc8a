//! What the daemon and its notifier tell each other: one JSON object a line, on the notifier's standard input and output.
//!
//! **Invariants.** Both ends are one program, so these forms may change with it: who did not start the notifier itself says first
//! of which version it is. The daemon believes nothing that it reads:
//! the notifier runs as somebody else, who may have taken it over. Who answers is known by whose notifier it is, never by
//! what it writes.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

use crate::engine::answer::Reply;
use crate::engine::process::Uid;
use crate::sys::message::{Button, Card};

/// The longest line that is read, in bytes.
pub(super) const LONGEST: usize = 32 << 10;

/// The longest [`Hello`], in bytes.
pub(super) const LONGEST_HELLO: usize = 256;

/// What the machine's daemon says first to a notifier that it did not start itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Whose desktop it is about.
    pub(super) whose: u32,
    /// Of which version the daemon is.
    pub(super) version: String,
}

/// What the notifier is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Order {
    /// Show this, in place of what was shown under the same tag before.
    Show(Show),
    /// Take away what is shown under this tag.
    Close {
        /// Which.
        tag: u64,
    },
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Show {
    /// By which it is meant from now on.
    pub(super) tag: u64,
    /// This very one, among all that are shown under the tag. Nobody can guess it.
    pub(super) mark: u64,
    /// In a few words.
    pub(super) title: String,
    /// What, why, and what comes next.
    pub(super) body: String,
    /// What else there is to know, for *Details*.
    pub(super) details: String,
    /// What can be answered.
    pub(super) buttons: Vec<Choice>,
    /// It stays until it is answered or taken away.
    pub(super) urgent: bool,
    /// It is taken away after so many seconds.
    pub(super) linger: Option<u64>,
}

/// Something that can be answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    /// What it means.
    pub(super) key: Key,
    /// What stands on the button.
    pub(super) label: String,
    /// What to type where there are no buttons.
    pub(super) command: String,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Key {
    /// End it now.
    Stop,
    /// Leave it alone for half an hour.
    Extend,
    /// Never mind it again.
    Allow,
    /// Have it stand still.
    Freeze,
    /// It was seen: of a trial.
    Seen,
}

/// What the notifier says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub(super) enum Word {
    /// There is no session bus to show anything on.
    NoSession,
    /// It is on the screen, as far as the server says.
    Shown {
        /// Which.
        tag: u64,
        /// The server's number of it.
        id: u32,
        /// Who shows it.
        server: Server,
    },
    /// It cannot be shown, or not be taken away.
    Failed {
        /// Which.
        tag: u64,
        /// Why.
        text: String,
    },
    /// A button was pressed.
    Answered {
        /// Of which.
        tag: u64,
        /// The mark of what was on the screen then.
        mark: u64,
        /// Which button.
        key: Key,
    },
    /// It is not on the screen any more.
    Gone {
        /// Which.
        tag: u64,
    },
}

/// A notification server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it shows buttons.
    pub buttons: bool,
    /// All that it says it can do.
    pub abilities: Vec<String>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl Hello {
    /// Of our own version.
    pub(super) fn of(whose: Uid) -> Self {
        Self {
            whose: whose.0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Order {
    /// Which place on the screen it is about.
    pub(super) const fn tag(&self) -> u64 {
        match self {
            Self::Show(show) => show.tag,
            Self::Close { tag } => *tag,
        }
    }
}

impl Show {
    /// A card as an order.
    pub(super) fn of(tag: u64, card: &Card) -> Self {
        Self {
            tag,
            mark: RandomState::new().hash_one(tag),
            title: cut(&card.title, 120),
            body: cut(&card.body, 1200),
            details: cut(&card.details, 2400),
            buttons: card.buttons.iter().map(Choice::of).collect(),
            urgent: card.urgent,
            linger: card.linger.map(|span| span.as_secs()),
        }
    }
}

impl Choice {
    fn of(button: &Button) -> Self {
        Self {
            key: Key::of(button.reply),
            label: button.label.clone(),
            command: button.command.clone(),
        }
    }
}

impl Key {
    const fn of(reply: Option<Reply>) -> Self {
        match reply {
            Some(Reply::Stop) => Self::Stop,
            Some(Reply::Extend) => Self::Extend,
            Some(Reply::Allow) => Self::Allow,
            Some(Reply::Freeze) => Self::Freeze,
            None => Self::Seen,
        }
    }

    /// What the person wants; `None` nothing, of a trial.
    pub(super) const fn reply(self) -> Option<Reply> {
        match self {
            Self::Stop => Some(Reply::Stop),
            Self::Extend => Some(Reply::Extend),
            Self::Allow => Some(Reply::Allow),
            Self::Freeze => Some(Reply::Freeze),
            Self::Seen => None,
        }
    }

    /// The key that the notification server gets.
    pub(super) fn word(self) -> &'static str {
        self.reply().map_or("seen", Reply::word)
    }
}

/// The text, cut between letters.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        let order = Order::Show(Show {
            tag: 1,
            mark: 2,
            title: "a\nb\u{2028}c".to_owned(),
            body: "d\r\ne".to_owned(),
            details: String::new(),
            buttons: Vec::new(),
            urgent: true,
            linger: None,
        });
        let line = serde_json::to_string(&order).unwrap();
        assert!(!line.contains(['\n', '\r']), "{line}");
        assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order);
    }

    #[test]
    fn the_longest_order_fits_on_a_line() {
        let long = "\u{1}\u{10ffff}".repeat(4000);
        let card = Card {
            title: long.clone(),
            body: long.clone(),
            details: long,
            buttons: Vec::new(),
            urgent: false,
            linger: None,
        };
        let line = serde_json::to_string(&Order::Show(Show::of(u64::MAX, &card))).unwrap();
        assert!(line.len() <= LONGEST, "{}", line.len());
        assert!(line.contains('…'));
    }
}
