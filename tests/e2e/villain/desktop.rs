//! A notification server, as `OTHER` says: `buttons`, `plain` (it shows none), `mute` (it takes what it is to show and never answers).
//!
//! It tells on standard output what it is asked, a line of JSON each, and does what it is told on standard input: `press ID KEY`,
//! `dismiss ID`. And whoever runs something as root.

use std::env;
use std::future::poll_fn;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use zbus::export::futures_core::Stream;
use zbus::message::{Message, Type};
use zbus::{Connection, MessageStream};

use super::bounds::{Forked, exit, fork, linger, number};
use super::{MANNER, NUMBER, OTHER};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// Lives in one of these manners, or comes back.
pub(super) fn live(manner: &str) {
    match manner {
        "notifications" => serve(),
        "elevated" => elevated(),
        _ => {}
    }
}

/// A person who runs `OTHER` with more rights than their own: the parent becomes user `NUMBER`, the child stays who it is.
fn elevated() -> ! {
    let user = u32::try_from(number(NUMBER).unwrap_or_default()).unwrap_or_default();
    match fork() {
        Forked::Child => {
            let error = Command::new(env::var_os(OTHER).unwrap_or_default())
                .env(MANNER, "obey")
                .exec();
            panic!("cannot run it: {error}");
        }
        Forked::Parent(_) => {
            // SAFETY: touches no memory; there is one thread.
            if unsafe { libc::setresuid(user, user, user) } != 0 {
                exit(2);
            }
            linger()
        }
        Forked::Refused => exit(3),
    }
}

fn serve() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if let Err(error) = runtime.block_on(show()) {
        tell(&json!({ "error": error.to_string() }));
    }
    exit(0)
}

async fn show() -> zbus::Result<()> {
    let manner = env::var(OTHER).unwrap_or_default();
    let connection = Connection::session().await?;
    let mut stream = MessageStream::from(&connection);
    connection.request_name(NAME).await?;
    let (send, mut orders) = unbounded_channel::<String>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    tell(&json!({ "serves": manner }));
    let mut last = 0;
    loop {
        tokio::select! {
            message = poll_fn(|context| Pin::new(&mut stream).poll_next(context)) => match message {
                Some(Ok(message)) => answer(&connection, &message, &manner, &mut last).await?,
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            order = orders.recv() => match order {
                Some(order) => obey(&connection, &order).await?,
                None => return Ok(()),
            },
        }
    }
}

async fn answer(
    connection: &Connection,
    message: &Message,
    manner: &str,
    last: &mut u32,
) -> zbus::Result<()> {
    let header = message.header();
    let ours = header.interface().is_some_and(|it| it.as_str() == NAME);
    if header.message_type() != Type::MethodCall || !ours {
        return Ok(());
    }
    let member = header.member().map_or("", |member| member.as_str());
    match member {
        "GetServerInformation" => {
            let who = ("beadle's test", "beadle", "1.0", "1.2");
            connection.reply(&header, &who).await
        }
        "GetCapabilities" => {
            let mut can = vec!["body", "body-markup"];
            if manner != "plain" {
                can.push("actions");
            }
            connection.reply(&header, &can).await
        }
        "Notify" => {
            type Hints<'m> = std::collections::BTreeMap<&'m str, zbus::Variant<'m>>;
            let body = message.body();
            let (app, replaces, _icon, title, text, actions, hints, expires): (
                &str,
                u32,
                &str,
                &str,
                &str,
                Vec<&str>,
                Hints<'_>,
                i32,
            ) = body.deserialize()?;
            let id = if replaces == 0 { *last + 1 } else { replaces };
            *last = id.max(*last);
            let sender = header.sender().map(ToString::to_string);
            tell(&json!({
                "call": "Notify", "app": app, "replaces": replaces, "title": title, "body": text, "actions": actions,
                "urgent": hints.contains_key("urgency"), "expires": expires, "id": id, "sender": sender,
            }));
            if manner == "mute" {
                return Ok(());
            }
            connection.reply(&header, &id).await
        }
        "CloseNotification" => {
            let id: u32 = message.body().deserialize()?;
            tell(&json!({ "call": "CloseNotification", "id": id }));
            connection.reply(&header, &()).await?;
            emit(connection, "NotificationClosed", &(id, 3_u32)).await
        }
        _ => Ok(()),
    }
}

async fn obey(connection: &Connection, order: &str) -> zbus::Result<()> {
    let words: Vec<&str> = order.split(' ').collect();
    let id = |word: &str| word.parse::<u32>().unwrap();
    match words.as_slice() {
        ["press", which, key] => {
            emit(connection, "ActionInvoked", &(id(which), *key)).await?;
            // As most servers do.
            emit(connection, "NotificationClosed", &(id(which), 2_u32)).await
        }
        ["dismiss", which] => emit(connection, "NotificationClosed", &(id(which), 2_u32)).await,
        _ => Ok(()),
    }
}

async fn emit<B>(connection: &Connection, signal: &str, body: &B) -> zbus::Result<()>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    connection
        .emit_signal(None::<&str>, PATH, NAME, signal, body)
        .await
}

fn tell(what: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{what}").and_then(|()| out.flush());
}
