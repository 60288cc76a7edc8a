//! The notifier: the process that talks to a user's notification server, as that user.
//!
//! **Invariants.**
//! - It reads orders and writes words, each a line of JSON; it opens nothing but the session bus, and knows nothing of processes.
//! - Every call over the bus has a deadline. What a server shows after it, because it was slow and not dead, is taken away again:
//!   nobody would hear its buttons.
//! - When nobody writes orders any more, it takes away what it shows and ends; should the bus keep it from that, it ends all the same.
//! - What it shows is text; whatever looks like markup in it was escaped before.
//!
//! # Why a process
//! A session bus lets in its own user and nobody else, root included (`EXTERNAL rejected by the server`). And what is read from a
//! socket of a user's is better not read by a process that may end others'.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use notify_rust::{Hint, Notification, NotificationHandle, NotificationResponse, Timeout, Urgency};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::markup::{self, Reads};
use super::wire::{Key, LONGEST, Order, Server, Show, Word, cut};

/// How long a call over the bus may take.
const LIMIT: Duration = Duration::from_secs(5);
/// For so long a server that was too slow may still show what it was asked to, to have it taken away.
const LATE: Duration = Duration::from_secs(60);
/// How long the end may take.
const LAST: Duration = Duration::from_secs(3);
/// Orders that may wait.
const WAITING: usize = 32;
/// The key of the button that shows what else there is to know.
const DETAILS: &str = "details";
/// The longest text that is passed on, in letters.
const TEXT: usize = 200;

/// Shows what it is ordered to on standard input, until that ends.
///
/// # Errors
/// When there is no thread or no event queue to be had.
pub fn run() -> io::Result<()> {
    keep_to_itself();
    let (send, orders) = channel(WAITING);
    // Never used: its end is the sign that all is done.
    let (_done, done) = sync_channel::<()>(0);
    std::thread::Builder::new()
        .name("orders".to_owned())
        .stack_size(256 << 10)
        .spawn(move || {
            read_orders(io::stdin().lock(), |order| {
                send.blocking_send(order).is_ok()
            });
            drop(send);
            let _ = done.recv_timeout(LAST);
            // SAFETY: nothing of ours is to be done at the end of the process, and nothing of others' is kept from them.
            unsafe { libc::_exit(0) }
        })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(Screen::new().serve(orders));
    // A call that does not end is no reason to stay.
    runtime.shutdown_background();
    Ok(())
}

/// What other programs of the same user might do to it is theirs; what they read of it is as little as can be.
fn keep_to_itself() {
    // Who is spared when memory runs out is the daemon alone. Before the next call: after it the file is root's.
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}

/// Reads until the end, or until nobody wants more. What is no order ends it: the other end is no daemon of ours.
fn read_orders(input: impl Read, mut take: impl FnMut(Order) -> bool) {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let read = input.by_ref().take(most).read_until(b'\n', &mut line);
        if !read.is_ok_and(|length| length > 0) {
            return;
        }
        let Ok(order) = serde_json::from_slice(&line) else {
            return;
        };
        if !take(order) {
            return;
        }
    }
}

/// What a person did to a notification.
struct Heard {
    tag: u64,
    /// Which of those that were shown under the tag.
    turn: u64,
    /// What could be pressed then.
    buttons: Buttons,
    /// `None` where the bus has ended.
    response: Option<NotificationResponse>,
}

/// The buttons of one notification, as its server knows them.
#[derive(Clone)]
struct Buttons {
    mark: u64,
    keys: Vec<Key>,
}

impl Buttons {
    fn of(show: &Show) -> Self {
        Self {
            mark: show.mark,
            keys: show.buttons.iter().map(|choice| choice.key).collect(),
        }
    }

    /// What this action means: only one that was made for this very notification.
    fn pressed(&self, action: &str) -> Option<Key> {
        let is_it = |key: &&Key| word(**key, self.mark) == action;
        self.keys.iter().find(is_it).copied()
    }
}

/// The action of a button. A server may give the number of a notification to another program's after a restart, and whoever may
/// write to the bus can say that something was pressed: only a word that nobody can guess is believed.
fn word(key: Key, mark: u64) -> String {
    format!("{}-{mark:016x}", key.word())
}

/// What is on the screen.
struct Screen {
    server: Option<Server>,
    shown: BTreeMap<u64, Shown>,
    turn: u64,
    ears: UnboundedSender<Heard>,
    heard: UnboundedReceiver<Heard>,
}

/// One of them.
struct Shown {
    show: Show,
    handle: Arc<NotificationHandle>,
    turn: u64,
    ear: AbortHandle,
    until: Option<Instant>,
}

/// How much of it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    /// What is said at first, with a button for the rest.
    Brief,
    /// All there is to know.
    Whole,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.ear.abort();
    }
}

impl Screen {
    fn new() -> Self {
        let (ears, heard) = unbounded_channel();
        Self {
            server: None,
            shown: BTreeMap::new(),
            turn: 0,
            ears,
            heard,
        }
    }

    async fn serve(mut self, mut orders: Receiver<Order>) {
        loop {
            let due = self.shown.values().filter_map(|shown| shown.until).min();
            let nothing = due.is_none();
            let due = due.unwrap_or_else(Instant::now);
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Show(show)) => self.show(show).await,
                    Some(Order::Close { tag }) => self.close(tag).await,
                    None => return self.clear().await,
                },
                Some(heard) = self.heard.recv() => self.hear(heard).await,
                () = sleep_until(due), if !nothing => self.sweep().await,
            }
        }
    }

    async fn show(&mut self, show: Show) {
        let tag = show.tag;
        let text = show.body.clone();
        match self.put(show, &text, Fold::Brief).await {
            Ok((id, server)) => say(&Word::Shown { tag, id, server }),
            Err(text) => {
                // Who does not answer now may be another one the next time.
                self.server = None;
                let text = cut(&text, TEXT);
                say(&Word::Failed { tag, text });
            }
        }
    }

    /// Puts it on the screen, in place of what stands there under its tag.
    async fn put(&mut self, show: Show, text: &str, fold: Fold) -> Result<(u32, Server), String> {
        let server = match &self.server {
            Some(server) => server.clone(),
            None => self.server.insert(meet().await?).clone(),
        };
        let before = self.shown.get(&show.tag).map(|shown| shown.handle.id());
        let more = fold == Fold::Brief && !show.details.is_empty();
        let notification = notification(&show, text, more, &server, before);
        let handle = Arc::new(send(notification).await?);
        self.turn += 1;
        let which = (show.tag, self.turn);
        let ear = self.listen(which, Buttons::of(&show), Arc::clone(&handle));
        let id = handle.id();
        let until = show
            .linger
            .map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let shown = Shown {
            handle,
            turn: self.turn,
            ear,
            until,
            show,
        };
        // Only now is nobody listening to what stood there before.
        self.shown.insert(shown.show.tag, shown);
        Ok((id, server))
    }

    /// Listens for what a person does to it.
    fn listen(
        &self,
        (tag, turn): (u64, u64),
        buttons: Buttons,
        handle: Arc<NotificationHandle>,
    ) -> AbortHandle {
        let ears = self.ears.clone();
        let ear = tokio::spawn(async move {
            let mut response = None;
            let take = |heard: &NotificationResponse| response = Some(heard.clone());
            handle.wait_for_action_async(take).await;
            let _ = ears.send(Heard {
                tag,
                turn,
                buttons,
                response,
            });
        });
        ear.abort_handle()
    }

    async fn hear(&mut self, heard: Heard) {
        let tag = heard.tag;
        let shown = self.shown.get(&tag);
        let current = shown.is_some_and(|shown| shown.turn == heard.turn);
        let mark = heard.buttons.mark;
        let action = match &heard.response {
            Some(NotificationResponse::Action(action)) => Some(action.as_str()),
            Some(_) | None => None,
        };
        match action.and_then(|action| heard.buttons.pressed(action)) {
            // Most servers take it away by themselves; whatever comes next replaces it where they do not. It may have been
            // replaced already: it was pressed all the same.
            Some(key) => say(&Word::Answered { tag, mark, key }),
            None if !current => {}
            None if action == Some(DETAILS) => self.unfold(tag).await,
            // It was taken away.
            None if action.is_none() => {
                self.shown.remove(&tag);
                say(&Word::Gone { tag });
            }
            // No button of ours: nobody has answered anything yet.
            None => self.listen_again(tag),
        }
    }

    fn listen_again(&mut self, tag: u64) {
        if let Some(shown) = self.shown.get(&tag) {
            let buttons = Buttons::of(&shown.show);
            let ear = self.listen((tag, shown.turn), buttons, Arc::clone(&shown.handle));
            if let Some(shown) = self.shown.get_mut(&tag) {
                shown.ear = ear;
            }
        }
    }

    /// Shows all there is to know, in the same place.
    async fn unfold(&mut self, tag: u64) {
        let Some(shown) = self.shown.get(&tag) else {
            return;
        };
        let show = shown.show.clone();
        let text = format!("{}\n\n{}", show.body, show.details);
        if let Err(text) = self.put(show, &text, Fold::Whole).await {
            let text = cut(&text, TEXT);
            say(&Word::Failed { tag, text });
        }
    }

    async fn close(&mut self, tag: u64) {
        if let Some(shown) = self.shown.remove(&tag) {
            shown.ear.abort();
            // Whether it is gone already or its server does not answer: there is nothing more to do about it.
            let _ = timeout(LIMIT, shown.handle.close_async()).await;
        }
        say(&Word::Gone { tag });
    }

    /// Takes away what has stood there long enough.
    async fn sweep(&mut self) {
        let now = Instant::now();
        let over = |shown: &Shown| shown.until.is_some_and(|until| until <= now);
        let over = self.shown.iter().find(|(_, shown)| over(shown));
        if let Some(tag) = over.map(|(tag, _)| *tag) {
            self.close(tag).await;
        }
    }

    /// Takes everything away, at the end.
    async fn clear(&mut self) {
        let all = std::mem::take(&mut self.shown);
        let away = async {
            for shown in all.values() {
                shown.handle.close_async().await;
            }
        };
        let _ = timeout(LAST / 2, away).await;
    }
}

/// Asks the server who it is.
async fn meet() -> Result<Server, String> {
    let ask = tokio::task::spawn_blocking(|| {
        let who = notify_rust::get_server_information()?;
        let abilities = notify_rust::get_capabilities()?;
        Ok::<_, notify_rust::error::Error>((who, abilities))
    });
    match timeout(LIMIT, ask).await {
        Ok(Ok(Ok((who, abilities)))) => Ok(Server {
            name: cut(&who.name, 60),
            version: cut(&who.version, 60),
            buttons: abilities.iter().any(|it| it == "actions"),
            abilities: abilities
                .iter()
                .take(32)
                .map(|ability| cut(ability, 60))
                .collect(),
        }),
        Ok(Ok(Err(error))) => Err(words(&error)),
        Ok(Err(_)) => Err("the talk with the notification server broke off".to_owned()),
        Err(_) => Err(too_slow()),
    }
}

/// Has it shown.
async fn send(notification: Notification) -> Result<NotificationHandle, String> {
    let mut call = Box::pin(async move { notification.show_async().await });
    match timeout(LIMIT, &mut call).await {
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(error)) => Err(words(&error)),
        Err(_) => {
            tokio::spawn(async move {
                if let Ok(Ok(handle)) = timeout(LATE, call).await {
                    handle.close_async().await;
                }
            });
            Err(too_slow())
        }
    }
}

fn notification(
    show: &Show,
    text: &str,
    more: bool,
    server: &Server,
    before: Option<u32>,
) -> Notification {
    let marks = server.abilities.iter().any(|it| it == "body-markup");
    let reads = if marks { Reads::Markup } else { Reads::Text };
    let mut text = text.to_owned();
    if !server.buttons {
        text.push_str(&instead(show, more));
    }
    let mut notification = Notification::new();
    notification
        .appname("beadle")
        .icon("dialog-warning")
        .summary(&show.title)
        .body(&markup::body(&text, reads))
        .hint(Hint::Category("device.error".to_owned()));
    if show.urgent {
        notification
            .urgency(Urgency::Critical)
            .timeout(Timeout::Never);
    }
    if let Some(id) = before {
        notification.id(id);
    }
    if server.buttons {
        for choice in &show.buttons {
            notification.action(&word(choice.key, show.mark), &choice.label);
        }
        if more {
            notification.action(DETAILS, "Details");
        }
    }
    notification
}

/// What to type, where there are no buttons.
fn instead(show: &Show, more: bool) -> String {
    let mut text = String::new();
    for choice in &show.buttons {
        for part in ["\n", &choice.label, ": ", &choice.command] {
            text.push_str(part);
        }
    }
    if more {
        text.push('\n');
        text.push_str(&show.details);
    }
    text
}

fn too_slow() -> String {
    format!(
        "the notification server did not answer in {} s",
        LIMIT.as_secs()
    )
}

/// What went wrong, for people.
fn words(error: &notify_rust::error::Error) -> String {
    let text = error.to_string();
    if text.contains("ServiceUnknown") || text.contains("not provided by any .service") {
        return "no notification server runs in the session".to_owned();
    }
    format!("the notification server cannot be reached: {text}")
}

/// Says a word. A daemon that does not read any more is gone, and the orders end with it.
pub(super) fn say(word: &Word) {
    // Our own types: nothing that can fail.
    let mut line = serde_json::to_string(word).unwrap_or_default();
    line.push('\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}
