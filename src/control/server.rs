//! The daemon's end of the socket.
//!
//! **Invariants.** The loop sees one question at a time, at most one every `PACE`, whatever the clients do. A
//! client holds one seat; seats are few, a few more are kept for root, and no user but root has more than
//! `SEATS_EACH`. Everything a client does has a deadline: half a line, an answer not read, a connection without
//! a question end by themselves. Memory is bounded by seats times the longest line.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::protocol::{
    Answer, LONGEST_QUESTION, Peer, Question, Refusal, RefusalKind, decode, encode,
};
use crate::engine::process::Uid;

/// Time between two questions to the loop: what everybody's asking together may cost it.
const PACE: Duration = Duration::from_millis(10);

/// How long a client may take to send a line, to take its answer, and how long it waits for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clients at a time, root's aside.
const SEATS: usize = 48;

/// Clients at a time with root's.
const SEATS_WITH_ROOT: usize = 64;

/// Clients at a time of one user.
const SEATS_EACH: usize = 8;

/// A question for the loop. An answer that is never sent, or sent late, harms nobody.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub question: Question,
    /// Who asks, as the kernel vouches for it.
    pub peer: Peer,
    /// Where the answer goes. It may hold everything: it is pruned for the peer on its way.
    pub reply: oneshot::Sender<Answer>,
}

/// Serves clients until the loop drops its end of `asks`. `daemon` is the user the daemon runs as.
///
/// Dropping this future ends all conversations.
pub async fn serve(listener: UnixListener, daemon: Uid, asks: mpsc::Sender<Ask>) {
    let mut clients: JoinSet<Uid> = JoinSet::new();
    let mut seats = Seats::default();
    let turn = Arc::new(Mutex::new(()));
    loop {
        tokio::select! {
            () = asks.closed() => return,
            Some(done) = clients.join_next() => {
                if let Ok(uid) = done {
                    seats.free(uid);
                }
                if clients.is_empty() {
                    // A client whose task was cut short could not say whose seat it had.
                    seats = Seats::default();
                }
            }
            accepted = listener.accept() => match accepted.and_then(|(stream, _)| known(stream)) {
                Ok((stream, peer)) if seats.take(peer.uid) => {
                    let desk = Desk { daemon, asks: asks.clone(), turn: Arc::clone(&turn) };
                    clients.spawn(async move {
                        desk.attend(stream, peer).await;
                        peer.uid
                    });
                }
                // Closed without a word: to write could wait.
                Ok(_) => {}
                // Out of descriptors, or a client that left at once: the queue of the kernel holds the others.
                Err(_) => sleep(PACE).await,
            },
        }
    }
}

fn known(stream: UnixStream) -> io::Result<(UnixStream, Peer)> {
    let credentials = stream.peer_cred()?;
    let peer = Peer {
        uid: Uid(credentials.uid()),
        pid: credentials.pid().and_then(|pid| u32::try_from(pid).ok()),
    };
    Ok((stream, peer))
}

/// Who sits where.
#[derive(Debug, Default)]
struct Seats(BTreeMap<Uid, usize>);

impl Seats {
    /// Whether there is one for this user; it is taken then.
    fn take(&mut self, uid: Uid) -> bool {
        let all: usize = self.0.values().sum();
        let own = self.0.entry(uid).or_default();
        let free = match uid {
            Uid::ROOT => all < SEATS_WITH_ROOT,
            Uid(_) => all < SEATS && *own < SEATS_EACH,
        };
        *own += usize::from(free);
        free
    }

    fn free(&mut self, uid: Uid) {
        if let Some(own) = self.0.get_mut(&uid) {
            *own = own.saturating_sub(1);
        }
        self.0.retain(|_, own| *own > 0);
    }
}

/// What serving one client takes.
#[derive(Debug)]
struct Desk {
    daemon: Uid,
    asks: mpsc::Sender<Ask>,
    /// Held by whoever's question the loop has; fair, so everybody's turn comes.
    turn: Arc<Mutex<()>>,
}

impl Desk {
    /// Answers questions until the client goes, stalls or talks nonsense.
    async fn attend(&self, mut stream: UnixStream, peer: Peer) {
        let (read, mut write) = stream.split();
        let mut reader = BufReader::with_capacity(4096, read);
        loop {
            let Ok(Ok(heard)) = timeout(PATIENCE, hear(&mut reader)).await else {
                return;
            };
            let (answer, after) = match heard {
                Heard::Line(line) => match decode::<Question>(&line) {
                    Ok(question) => (self.answer(question, peer).await, After::GoOn),
                    Err(refusal) => (refusal.into(), After::Close),
                },
                Heard::TooLong => {
                    let text = format!("a question has at most {LONGEST_QUESTION} bytes");
                    let refusal = Refusal::new(RefusalKind::BadQuestion, text);
                    (refusal.into(), After::Close)
                }
                Heard::End => return,
            };
            let line = encode(&answer);
            match (timeout(PATIENCE, write.write_all(&line)).await, after) {
                (Ok(Ok(())), After::GoOn) => {}
                (Ok(Ok(())), After::Close) | (Ok(Err(_)) | Err(_), _) => return,
            }
        }
    }

    async fn answer(&self, question: Question, peer: Peer) -> Answer {
        let late = || {
            let text = "the daemon is too busy to answer just now: ask again";
            Refusal::new(RefusalKind::Late, text).into()
        };
        let answered = timeout(PATIENCE, self.put(question, peer)).await;
        answered
            .unwrap_or_else(|_| late())
            .for_peer(peer.uid, self.daemon)
    }

    async fn put(&self, question: Question, peer: Peer) -> Answer {
        let _turn = self.turn.lock().await;
        let (reply, answer) = oneshot::channel();
        let ask = Ask {
            question,
            peer,
            reply,
        };
        if self.asks.send(ask).await.is_err() {
            return stopping();
        }
        let answer = answer.await.unwrap_or_else(|_| stopping());
        sleep(PACE).await;
        answer
    }
}

/// What a client said.
enum Heard {
    Line(Vec<u8>),
    TooLong,
    End,
}

/// What comes after an answer.
#[derive(Clone, Copy)]
enum After {
    GoOn,
    Close,
}

async fn hear(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Heard> {
    let mut line = Vec::new();
    let mut bounded = reader.take(LONGEST_QUESTION as u64);
    bounded.read_until(b'\n', &mut line).await?;
    Ok(match line.last() {
        Some(b'\n') => Heard::Line(line),
        Some(_) if line.len() >= LONGEST_QUESTION => Heard::TooLong,
        // A line that its sender did not end is no question.
        Some(_) | None => Heard::End,
    })
}

fn stopping() -> Answer {
    Refusal::new(RefusalKind::Stopping, "the daemon is going away").into()
}

#[cfg(test)]
mod tests;
