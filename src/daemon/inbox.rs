//! What the loop waits for, in one order.
//!
//! Mail from other threads comes through a channel; what the loop's own shells find is queued at once. The queue is
//! emptied first, so a look's answer is judged before anything newer is waited for.

use std::collections::VecDeque;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::control::server::Ask;
use crate::engine::decision::Input;
use crate::engine::heartbeat::Hears;
use crate::engine::process::Uid;
use crate::engine::units::Mono;
use crate::store::numbers::Block;
use crate::sys::clock::Clock;
use crate::sys::command::ear::Caught;
use crate::sys::nudger::desktop::Heard;

use super::pursue;

/// One thing that reached the loop.
#[derive(Debug)]
pub(super) enum Mail {
    /// For the judge.
    Input(Input),
    /// From the event thread.
    Heard(pursue::Heard),
    /// Heartbeats were heard.
    Beats,
    /// Whether they are heard from now on.
    Hears(Hears),
    /// From the control socket.
    Ask(Ask),
    /// Whether more incident numbers could be reserved.
    Reserved(Result<Block, String>),
    /// From somebody's desktop.
    Desktop(Heard),
    /// Whether exceptions could be kept.
    Excepted(Result<(), String>),
    /// What a user who is about to answer is called.
    Person(Uid, Option<String>),
    /// Whether the machine's beadle could be asked.
    Elder(Result<(), String>),
    /// Whether history could be kept.
    History(Result<(), String>),
    /// A signal for the command that we run.
    Caught(Caught),
    /// The rule files changed, or somebody asked for it.
    Reload,
    /// Time to go, and why.
    Stop(&'static str),
}

/// The way in from other threads.
pub(super) type Post = UnboundedSender<Mail>;

/// Everything that waits to be taken in.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: VecDeque<Mail>,
    incoming: UnboundedReceiver<Mail>,
}

impl Inbox {
    /// An empty one, and the way in.
    pub(super) fn new() -> (Post, Self) {
        let (post, incoming) = unbounded_channel();
        let queue = VecDeque::new();
        (post, Self { queue, incoming })
    }

    /// Queues what a shell found.
    pub(super) fn defer(&mut self, input: Input) {
        self.queue.push_back(Mail::Input(input));
    }

    /// Takes in, without waiting, everything that was accepted up to now; `last` comes after all of it.
    pub(super) fn drain_then(&mut self, last: Input) {
        while let Ok(mail) = self.incoming.try_recv() {
            self.queue.push_back(mail);
        }
        self.defer(last);
    }

    /// The next mail, or the deadline.
    pub(super) async fn wait(&mut self, clock: Clock, deadline: Option<Mono>) -> Mail {
        if let Some(mail) = self.queue.pop_front() {
            return mail;
        }
        // Senders live as long as the loop, so a closed channel cannot be; if it were, time would still pass.
        let Some(deadline) = deadline else {
            return self
                .incoming
                .recv()
                .await
                .unwrap_or(Mail::Stop("nothing is left to wait for"));
        };
        let span = deadline.since(clock.now());
        match tokio::time::timeout(span, self.incoming.recv()).await {
            Ok(Some(mail)) => mail,
            Ok(None) => Mail::Stop("nothing is left to wait for"),
            Err(_) => Mail::Input(Input::Deadline),
        }
    }
}
