//! Notifiers that are not ours: what they can do to the messenger.

use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

use super::super::session::Session;
use super::super::wire::{Choice, Key, Show};
use super::*;

/// A notifier that is not ours: a script.
struct Strange {
    _folder: TempDir,
    messenger: Messenger,
    tidings: Receiver<Tiding>,
}

impl Strange {
    fn send(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = write(folder.path().join("notifier"), script);
        let session = Session {
            address: "unix:path=/nowhere".to_owned(),
            runtime: "/nowhere".into(),
            home: "/".into(),
            ids: None,
            name: Some("ann".to_owned()),
            program,
        };
        let (send, tidings) = channel();
        let tell = move |tiding| send.send(tiding).unwrap();
        let find = move || Link::start(&session).map(Some);
        let messenger = Messenger::send(find, tell).unwrap();
        assert_eq!(messenger.give(Order::Show(show(1))), None);
        Self {
            _folder: folder,
            messenger,
            tidings,
        }
    }

    /// What is told before it breaks, and how it breaks.
    fn breaks(script: &str) -> (Vec<Tiding>, String) {
        let strange = Self::send(script);
        let mut before = Vec::new();
        loop {
            match strange.tidings.recv().unwrap() {
                Tiding::Broken(text) => {
                    // Who has left takes no more.
                    assert!(strange.messenger.give(Order::Close { tag: 1 }).is_some());
                    return (before, text);
                }
                tiding => before.push(tiding),
            }
        }
    }
}

/// Not by our own hand: a child that another test forks meanwhile would keep the file open for writing.
fn write(path: PathBuf, script: &str) -> PathBuf {
    let line = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let status = Command::new("sh")
        .args(["-c", line, "sh"])
        .arg(&path)
        .arg(script)
        .status();
    assert!(status.unwrap().success());
    path
}

fn show(tag: u64) -> Show {
    let stop = Choice {
        key: Key::Stop,
        label: "Stop now".to_owned(),
        command: String::new(),
    };
    Show {
        mark: 7,
        tag,
        title: String::new(),
        body: String::new(),
        details: String::new(),
        buttons: vec![stop],
        urgent: false,
        linger: None,
    }
}

const SHOWN: &str = "read -r order; echo '{\"said\":\"shown\",\"tag\":1,\"id\":7,\"server\":{\"name\":\"s\",\"version\":\"1\",\
     \"buttons\":true,\"abilities\":[]}}'\n";

#[test]
fn what_a_notifier_says_is_told_and_its_end_comes_with_ours() {
    let script = format!(
        "{SHOWN} echo '{{\"said\":\"answered\",\"tag\":1,\"mark\":7,\"key\":\"stop\"}}'; read -r more; exit 0"
    );
    let strange = Strange::send(&script);
    let Tiding::Shown { tag: 1, id: 7, .. } = strange.tidings.recv().unwrap() else {
        panic!("something else");
    };
    let answered = Tiding::Answered {
        mark: 7,
        tag: 1,
        reply: Some(Reply::Stop),
        name: Some("ann".to_owned()),
    };
    assert_eq!(strange.tidings.recv().unwrap(), answered);
    strange.messenger.finish(Duration::from_secs(10));
    assert!(strange.tidings.recv().is_err(), "it went as it should");
}

#[test]
fn only_what_is_shown_can_be_answered() {
    let script = "echo '{\"said\":\"answered\",\"tag\":1,\"mark\":7,\"key\":\"stop\"}'
        echo '{\"said\":\"gone\",\"tag\":9}'
        echo '{\"said\":\"answered\",\"tag\":9,\"mark\":7,\"key\":\"stop\"}'; exit 3";
    let (before, text) = Strange::breaks(script);
    assert_eq!(before, vec![]);
    assert_eq!(text, "the notifier ended: exit status: 3");
}

#[test]
fn a_notifier_that_says_too_much_is_ended() {
    let flood = "while :; do echo '{\"said\":\"gone\",\"tag\":1}'; done";
    assert_eq!(
        Strange::breaks(flood),
        (vec![], "the notifier says too much".to_owned())
    );
}

#[test]
fn a_notifier_that_says_something_else_is_ended() {
    let strange = "the notifier does not speak as it should".to_owned();
    let odd = "echo '{\"said\":\"kill\",\"pid\":1}'; sleep 60";
    assert_eq!(Strange::breaks(odd), (vec![], strange.clone()));
    let endless = "head -c 1000000 /dev/zero | tr '\\0' x; sleep 60";
    assert_eq!(Strange::breaks(endless), (vec![], strange));
}

#[test]
fn a_notifier_that_says_nothing_is_ended() {
    let (before, text) = Strange::breaks("trap '' TERM; sleep 60");
    assert_eq!(before, vec![]);
    assert_eq!(text, "the notifier said nothing for 14 s");
}

#[test]
fn what_it_fails_in_is_told() {
    let script = "echo '{\"said\":\"failed\",\"tag\":1,\"text\":\"why\"}'; read -r more";
    assert_eq!(Strange::breaks(script), (vec![], "why".to_owned()));
}
