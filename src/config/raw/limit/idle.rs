//! Limits on doing nothing, and on doing nothing of use.

use std::time::Duration;

use super::{LimitDraft, above};
use crate::config::quantity;
use crate::config::table::{Key, Shape, Table};
use crate::engine::activity::BUSY;
use crate::engine::rule::Servers;

/// The keys of `stalled`.
pub(in crate::config) static STALLED: Table<LimitDraft<Duration>> = Table {
    name: "stalled-limit",
    what: "`stalled`",
    keys: &[
        above(Shape::Duration, |draft, entry, reader| {
            draft.above =
                reader.quantity(&entry.node, "a duration such as `10m`", quantity::duration);
        }),
        Key::sets(
            "even_servers",
            "`true` counts who waits for whoever may call, or for a person at a terminal, too.",
            Shape::Flag,
            |draft, entry, reader| {
                if reader.flag(&entry.node) == Some(true) {
                    draft.servers = Servers::Counted;
                }
            },
        ),
    ],
    foreign: &[("for", "this only grows: make the limit itself longer")],
};

/// The keys of `spinning`.
pub(in crate::config) static SPINNING: Table<LimitDraft<Duration>> = Table {
    name: "spinning-limit",
    what: "`spinning`",
    keys: &[
        above(Shape::Duration, |draft, entry, reader| {
            draft.above =
                reader.quantity(&entry.node, "a duration such as `10m`", quantity::duration);
        }),
        Key::sets(
            "cpu",
            "So much CPU, at least, must be used for nothing; `50%` without it.",
            Shape::Cpu,
            |draft, entry, reader| {
                let read = reader.quantity(&entry.node, "a share such as `50%`", quantity::cpu);
                draft.cpu = read.unwrap_or(BUSY);
            },
        ),
    ],
    foreign: &[("for", "this only grows: make the limit itself longer")],
};
