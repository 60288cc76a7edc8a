//! The system journal, in its native protocol: fields that `journalctl` can select by.
//!
//! ```text
//! journalctl -t beadle BEADLE_RULE=pytest
//! journalctl MESSAGE_ID=dacd4117402f4d63ad15627ef4f5065c        # every nudge
//! ```
//!
//! **Invariants.** The loop never waits for the journal: a datagram that journald does not read blocks a thread, and
//! that thread only. No field can be forged by what a process calls itself: values with a newline are sent by
//! length, and there is none to begin with.
//!
//! # Why not `tracing-journald`
//! It sends to one fixed path, so no test can stand in for a journald that has stopped reading; it keeps what the
//! kernel answered to itself, so a dead journal is no fault that anybody could see; and its fields are fixed where
//! an event is written, while ours come and go with the message. The protocol itself is these few lines:
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::worker::{Delivery, Health, Worker};
use crate::engine::units::Mono;
use crate::sys::message::{Kind, Message, Urgency};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The journal.
#[derive(Debug)]
pub struct Journal(Worker<Vec<u8>>);

impl Journal {
    /// Opens the machine's journal. An error means that there is none here.
    pub fn open() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    /// Opens the journal that listens at `socket`.
    pub fn at(socket: &Path) -> io::Result<Self> {
        let sender = UnixDatagram::unbound()?;
        // journald discards an empty datagram: this asks whether it is there. Not even this may wait.
        sender.set_nonblocking(true)?;
        match sender.send_to(&[], socket) {
            Ok(_) => {}
            // It is there, and behind with its reading.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        sender.set_nonblocking(false)?;
        let socket: PathBuf = socket.to_owned();
        let deliver = move |entry: Vec<u8>| match sender.send_to(&entry, &socket) {
            Ok(_) => Delivery::Taken,
            Err(_) => Delivery::Lost,
        };
        Worker::start("journal", deliver).map(Self)
    }

    /// Writes a message. Never waits.
    pub fn write(&mut self, message: &Message, now: Mono) {
        self.0.give(entry(message), now);
    }

    /// How it is doing at `now`.
    pub fn health(&mut self, now: Mono) -> Health {
        self.0.health(now)
    }

    /// Gives what is queued at most `patience` to arrive.
    pub fn finish(self, patience: Duration) {
        self.0.finish(patience);
    }
}

/// The id that all messages of a kind share. These are for ever.
const fn message_id(kind: Kind) -> &'static str {
    match kind {
        Kind::Incident => "5b0c586c6de94ab1b93ba080c3d9543e",
        Kind::Nudge => "dacd4117402f4d63ad15627ef4f5065c",
        Kind::Signal => "733473eaf6af467d86165b33522b44b0",
        Kind::Answer => "f726f6755f39493d9a3e93e54ca76282",
        Kind::Outcome => "bf43dfc69a0d4149878af23ff8869ee2",
        Kind::Run => "6d76aa48d15e4ff4b6bde124b488ca26",
        Kind::Ran => "d2d0da41eb7c47f19e26312dace1265c",
        Kind::Withheld => "79069081ac0c4cce91d52155c8989d7a",
        Kind::Close => "1a69a21d73d04937ae1b4e2f21dcd67b",
        Kind::Fault => "1654d92120bb487c9775848766461579",
        Kind::Reload => "4003f7705cf4481d811910277cfbe27c",
        Kind::Start => "d266cedb589f4b2ba002faff0ca44b3b",
        Kind::Stop => "de01b9aeb86648ec824f49b4eb8445c1",
    }
}

const fn priority(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Error => "3",
        Urgency::Warning => "4",
        Urgency::Notice => "5",
        Urgency::Info => "6",
    }
}

/// A message as the journal takes it.
fn entry(message: &Message) -> Vec<u8> {
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    let fields: [(&str, Option<String>); 10] = [
        ("MESSAGE", Some(message.text.clone())),
        ("MESSAGE_ID", Some(message_id(message.kind).to_owned())),
        ("PRIORITY", Some(priority(message.urgency).to_owned())),
        ("SYSLOG_IDENTIFIER", Some("beadle".to_owned())),
        ("BEADLE_EVENT", Some(message.kind.word().to_owned())),
        ("BEADLE_RULE", message.rule.clone()),
        ("BEADLE_INCIDENT", number(message.incident)),
        ("BEADLE_PID", number(message.pid.map(u64::from))),
        ("BEADLE_UNIT_KEY", message.unit.clone()),
        ("BEADLE_SIGNAL", message.signal.clone()),
    ];
    let mut entry = Vec::with_capacity(512);
    for (name, value) in fields {
        if let Some(value) = value {
            put(&mut entry, name, value.as_bytes());
        }
    }
    entry
}

/// One field: `NAME=value`, or by length when a newline in the value could pass for the next field.
fn put(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
        let (_nobody, pause) = std::sync::mpsc::channel::<()>();
        for _ in 0..1000 {
            if reached() {
                return;
            }
            let _ = pause.recv_timeout(Duration::from_millis(10));
        }
        panic!("waited 10 s in vain: {what}");
    }

    fn nudge() -> Message {
        Message {
            kind: Kind::Nudge,
            urgency: Urgency::Warning,
            text: "pytest[4711]: rule pytest: CPU time 9.1 s > 8 s".to_owned(),
            rule: Some("pytest".to_owned()),
            incident: Some(3),
            pid: Some(4711),
            unit: Some("4711:47110".to_owned()),
            signal: None,
        }
    }

    #[test]
    fn the_journal_gets_native_fields() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("socket");
        let journald = UnixDatagram::bind(&place).unwrap();
        journald
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut journal = Journal::at(&place).unwrap();
        journal.write(&nudge(), Mono::BOOT);
        let mut read = [0; 4096];
        assert_eq!(
            journald.recv(&mut read).unwrap(),
            0,
            "the question whether it is there"
        );
        let length = journald.recv(&mut read).unwrap();
        let text = std::str::from_utf8(&read[..length]).unwrap();
        let expected = "MESSAGE=pytest[4711]: rule pytest: CPU time 9.1 s > 8 s\n\
             MESSAGE_ID=dacd4117402f4d63ad15627ef4f5065c\n\
             PRIORITY=4\nSYSLOG_IDENTIFIER=beadle\nBEADLE_EVENT=nudge\nBEADLE_RULE=pytest\n\
             BEADLE_INCIDENT=3\nBEADLE_PID=4711\nBEADLE_UNIT_KEY=4711:47110\n";
        assert_eq!(text, expected);
        wait_until("all is well", || {
            journal.health(Mono::from_secs(9)).is_well()
        });
    }

    #[test]
    fn a_journal_that_never_reads_blocks_nobody_and_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("socket");
        let deaf = UnixDatagram::bind(&place).unwrap();
        let mut journal = Journal::at(&place).unwrap();
        // The kernel takes a handful (net.unix.max_dgram_qlen), then the thread waits. On this thread, which
        // stands for the loop, two thousand writes come back all the same.
        for _ in 0..2000 {
            journal.write(&nudge(), Mono::from_secs(100));
        }
        assert!(journal.health(Mono::from_secs(100)).dropped > 1000);
        // Once the thread waits, nothing moves any more, and three seconds of that are a fault.
        let mut now = 100;
        wait_until("the journal is stuck", || {
            now += 4;
            journal.health(Mono::from_secs(now)).stuck.is_some()
        });
        drop(deaf);
        // With the other end gone the thread comes free, and what it holds is lost.
        journal.finish(Duration::from_secs(10));
    }

    #[test]
    fn a_journal_that_dies_costs_messages_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("socket");
        let journald = UnixDatagram::bind(&place).unwrap();
        let mut journal = Journal::at(&place).unwrap();
        drop(journald);
        journal.write(&nudge(), Mono::BOOT);
        wait_until("the loss is counted", || {
            journal.health(Mono::BOOT).dropped == 1
        });
        journal.finish(Duration::from_secs(10));
        assert!(Journal::at(&place).is_err());
    }

    #[test]
    fn a_newline_forges_no_field() {
        let mut message = nudge();
        message.rule = Some("x\nBEADLE_EVENT=close".to_owned());
        let entry = entry(&message);
        let mut expected = b"BEADLE_RULE\n\x14\0\0\0\0\0\0\0x\nBEADLE_EVENT=close\n".to_vec();
        expected[12] = 20;
        assert!(entry.windows(expected.len()).any(|part| part == expected));
    }

    #[test]
    fn every_kind_has_an_id_of_its_own() {
        let kinds = [
            Kind::Incident,
            Kind::Nudge,
            Kind::Signal,
            Kind::Outcome,
            Kind::Withheld,
            Kind::Close,
            Kind::Fault,
            Kind::Reload,
            Kind::Start,
            Kind::Stop,
        ];
        let ids: std::collections::BTreeSet<_> = kinds.map(message_id).into();
        assert_eq!(ids.len(), kinds.len());
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
