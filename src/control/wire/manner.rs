//! In which manner nothing happens in a unit, or nothing comes of what does.

use serde::{Deserialize, Serialize};

use crate::engine::activity;

/// What the threads of a unit wait for: how many for what; what is zero is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waits {
    /// They run, or want to.
    #[serde(skip_serializing_if = "is_zero")]
    pub run: u32,
    /// For another thread (futex).
    #[serde(skip_serializing_if = "is_zero")]
    pub thread: u32,
    /// For a lock on a file.
    #[serde(skip_serializing_if = "is_zero")]
    pub lock: u32,
    /// For a child to end.
    #[serde(skip_serializing_if = "is_zero")]
    pub child: u32,
    /// For a pipe.
    #[serde(skip_serializing_if = "is_zero")]
    pub pipe: u32,
    /// For a socket.
    #[serde(skip_serializing_if = "is_zero")]
    pub socket: u32,
    /// For any of several things: accept, poll, select, epoll.
    #[serde(skip_serializing_if = "is_zero")]
    pub call: u32,
    /// For time to pass.
    #[serde(skip_serializing_if = "is_zero")]
    pub time: u32,
    /// For somebody at a terminal.
    #[serde(skip_serializing_if = "is_zero")]
    pub person: u32,
    /// For something else.
    #[serde(skip_serializing_if = "is_zero")]
    pub other: u32,
}

/// In which manner nothing happens, or nothing comes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manner {
    /// What its threads wait for.
    #[serde(default)]
    pub waits: Waits,
    /// The dead that their parents have not waited for.
    #[serde(default)]
    pub unwaited: u32,
    /// Calls that read or wrote, in a second.
    pub calls: u64,
    /// Bytes that were read, in a second.
    pub read: u64,
    /// Files that are read again and again.
    #[serde(default)]
    pub files: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "that is what serde calls it with"
)]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl From<&activity::Manner> for Manner {
    fn from(manner: &activity::Manner) -> Self {
        let waits = manner.waits;
        Self {
            waits: Waits {
                run: waits.run,
                thread: waits.thread,
                lock: waits.lock,
                child: waits.child,
                pipe: waits.pipe,
                socket: waits.socket,
                call: waits.call,
                time: waits.time,
                person: waits.person,
                other: waits.other.saturating_add(waits.unknown),
            },
            unwaited: manner.unwaited,
            calls: manner.calls,
            read: manner.read,
            files: manner.files,
        }
    }
}
