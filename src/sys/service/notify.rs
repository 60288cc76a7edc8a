//! Words to the service manager that started us: `sd_notify(3)`, as plain datagrams.
//!
//! **Invariants.** Without `NOTIFY_SOCKET` nothing is said. Nothing waits: a manager that does not read is told later what it
//! must know (ready, reloading, stopping), and never that we were alive at a time that has passed. No text can pass for
//! another word: it is cut at its first line.
//!
//! # Why not the crate `sd-notify`
//! It reads and clears the environment itself, which only the command line may do here, and its `sendmsg` waits for a manager
//! that does not read: the loop may not. What is left of it are these lines.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::engine::units::Mono;

/// So many words are kept for a manager that does not read.
const OWED: usize = 16;

/// How long until it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Bytes of the longest status.
const LONGEST: usize = 512;

/// What the manager gave us on our way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Where it listens (`NOTIFY_SOCKET`): a path, or `@` and a name.
    pub socket: Option<OsString>,
    /// It takes us for stuck after so long without a word (`WATCHDOG_USEC`, where `WATCHDOG_PID` is ours or not set).
    pub patience: Option<Duration>,
}

impl Given {
    /// Reads it from an environment.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let socket = variable("NOTIFY_SOCKET").filter(|name| {
            let kind = name.as_bytes().first();
            matches!(kind, Some(b'/' | b'@')) && name.len() > 1
        });
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let ours = variable("WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID") == Some(u64::from(std::process::id()));
        let patience = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0);
        Self {
            socket,
            patience: patience.map(Duration::from_micros),
        }
    }
}

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// We do what we were started for.
    Ready,
    /// We read our rules again, since then; `Ready` follows.
    Reloading(Mono),
    /// We are about to end.
    Stopping,
}

/// The manager, where there is one.
#[derive(Debug)]
pub struct Manager {
    door: Option<Door>,
    /// What it must know and has not taken yet, oldest first.
    owed: VecDeque<String>,
    again: Mono,
    /// How often a sign of life is given.
    pace: Option<Duration>,
    next_life: Mono,
}

#[derive(Debug)]
struct Door {
    sender: UnixDatagram,
    place: SocketAddr,
}

impl Manager {
    /// The one that is named; none where none is, or where it cannot be spoken to.
    pub fn meet(given: &Given, now: Mono) -> Self {
        let door = given.socket.as_deref().and_then(|name| open(name).ok());
        // Half of its patience is what it asks for.
        let pace = given.patience.map(|patience| patience / 2);
        Self {
            pace: pace.filter(|_| door.is_some()),
            door,
            owed: VecDeque::new(),
            again: now,
            next_life: now,
        }
    }

    /// Whether there is one.
    pub const fn is_there(&self) -> bool {
        self.door.is_some()
    }

    /// When it must hear from us again, if at all.
    pub fn due(&self) -> Option<Mono> {
        let owed = (!self.owed.is_empty()).then_some(self.again);
        let life = self.pace.map(|_| self.next_life);
        owed.into_iter().chain(life).min()
    }

    /// Tells it a word, with a line for people.
    pub fn tell(&mut self, word: Word, status: &str, now: Mono) {
        let word = match word {
            Word::Ready => "READY=1".to_owned(),
            Word::Reloading(since) => {
                format!("RELOADING=1\nMONOTONIC_USEC={}", since.nanos() / 1000)
            }
            Word::Stopping => "STOPPING=1".to_owned(),
        };
        self.say(format!("{word}\nSTATUS={}", line(status)), now);
    }

    /// Tells it how things stand.
    pub fn status(&mut self, status: &str, now: Mono) {
        self.say(format!("STATUS={}", line(status)), now);
    }

    /// The loop has turned: gives a sign of life when it is time, and what is owed.
    pub fn alive(&mut self, now: Mono) {
        self.settle(now);
        let Some(pace) = self.pace.filter(|_| now >= self.next_life) else {
            return;
        };
        let taken = self.send("WATCHDOG=1");
        self.next_life = now.after(if taken { pace } else { pace.min(AGAIN) });
    }

    fn say(&mut self, text: String, now: Mono) {
        if self.door.is_none() {
            return;
        }
        if self.owed.len() == OWED {
            self.owed.pop_front();
        }
        self.owed.push_back(text);
        self.again = now;
        self.settle(now);
    }

    fn settle(&mut self, now: Mono) {
        if now < self.again {
            return;
        }
        while let Some(text) = self.owed.front() {
            if !self.send(text) {
                self.again = now.after(AGAIN);
                return;
            }
            self.owed.pop_front();
        }
    }

    fn send(&self, text: &str) -> bool {
        self.door.as_ref().is_some_and(|door| {
            let sent = door.sender.send_to_addr(text.as_bytes(), &door.place);
            sent.is_ok()
        })
    }
}

/// The place that a name means.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => hidden(name),
        None => SocketAddr::from_pathname(name),
    }
}

/// A way to whoever listens there.
#[cfg(target_os = "linux")]
pub(in crate::sys) fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address(name)?)?;
    Ok(socket)
}

fn open(name: &OsStr) -> io::Result<Door> {
    let place = address(name)?;
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    Ok(Door { sender, place })
}

/// An address without a file.
#[cfg(target_os = "linux")]
fn hidden(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

/// There are none here.
#[cfg(not(target_os = "linux"))]
fn hidden(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The first line of a text, not too long.
fn line(text: &str) -> &str {
    let line = text.split(['\n', '\r', '\0']).next().unwrap_or_default();
    let end = line.floor_char_boundary(LONGEST);
    line.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono::from_secs(100);

    fn given(pairs: &[(&str, &str)]) -> Given {
        Given::read(|name| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    /// A manager that listens, and its end.
    fn manager(patience: Option<Duration>) -> (Manager, UnixDatagram, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("notify");
        let end = UnixDatagram::bind(&place).unwrap();
        end.set_nonblocking(true).unwrap();
        let socket = Some(place.into_os_string());
        let manager = Manager::meet(&Given { socket, patience }, START);
        (manager, end, dir)
    }

    fn heard(end: &UnixDatagram) -> Vec<String> {
        let mut all = Vec::new();
        let mut text = [0; 4096];
        while let Ok(length) = end.recv(&mut text) {
            all.push(String::from_utf8_lossy(&text[..length]).into_owned());
        }
        all
    }

    #[test]
    fn only_what_is_meant_for_us_is_taken() {
        assert_eq!(given(&[]), Given::default());
        let own = std::process::id().to_string();
        let all = [
            ("NOTIFY_SOCKET", "@name"),
            ("WATCHDOG_USEC", "3000000"),
            ("WATCHDOG_PID", own.as_str()),
        ];
        assert_eq!(given(&all).socket, Some("@name".into()));
        assert_eq!(given(&all).patience, Some(Duration::from_secs(3)));
        assert_eq!(given(&all[..2]).patience, Some(Duration::from_secs(3)));
        for foreign in ["1", "", "x"] {
            let of = [("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", foreign)];
            assert_eq!(given(&of).patience, None, "{foreign}");
        }
        for nothing in ["0", "", "-1", "1s"] {
            assert_eq!(given(&[("WATCHDOG_USEC", nothing)]).patience, None);
        }
        for nowhere in ["", "/", "@", "notify", "vsock:2:1234"] {
            assert_eq!(given(&[("NOTIFY_SOCKET", nowhere)]).socket, None);
        }
    }

    #[test]
    fn words_are_those_of_the_protocol() {
        let (mut manager, end, _dir) = manager(None);
        manager.tell(Word::Ready, "watching", START);
        let since = Mono::from_nanos(100_000_001_999);
        manager.tell(Word::Reloading(since), "reading the rules", START);
        manager.status("all is well", START);
        manager.tell(Word::Stopping, "SIGTERM", START);
        manager.alive(START);
        let expected = [
            "READY=1\nSTATUS=watching",
            "RELOADING=1\nMONOTONIC_USEC=100000001\nSTATUS=reading the rules",
            "STATUS=all is well",
            "STOPPING=1\nSTATUS=SIGTERM",
        ];
        assert_eq!(heard(&end), expected);
        assert_eq!(manager.due(), None);
    }

    #[test]
    fn a_line_forges_no_word_and_has_an_end() {
        let (mut manager, end, _dir) = manager(None);
        manager.status("well\nREADY=1", START);
        manager.status(&"ä".repeat(LONGEST), START);
        let heard = heard(&end);
        assert_eq!(heard[0], "STATUS=well");
        assert_eq!(heard[1].len(), "STATUS=".len() + LONGEST);
    }

    #[test]
    fn a_sign_of_life_comes_at_half_of_the_patience_and_only_when_the_loop_turns() {
        let (mut manager, end, _dir) = manager(Some(Duration::from_secs(4)));
        assert_eq!(manager.due(), Some(START));
        manager.alive(START);
        assert_eq!(heard(&end), ["WATCHDOG=1"]);
        assert_eq!(manager.due(), Some(Mono::from_secs(102)));
        for _ in 0..1000 {
            manager.alive(Mono::from_secs(101));
        }
        assert_eq!(heard(&end), Vec::<String>::new());
        // Late, and once: what was missed is not made up for.
        manager.alive(Mono::from_secs(109));
        assert_eq!(heard(&end), ["WATCHDOG=1"]);
        assert_eq!(manager.due(), Some(Mono::from_secs(111)));
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up_and_is_told_later() {
        let (mut manager, end, _dir) = manager(Some(Duration::from_secs(4)));
        let mut told = 0;
        while manager.owed.is_empty() {
            manager.status(&format!("{told}"), START);
            told += 1;
        }
        manager.tell(Word::Ready, "watching", START);
        for second in 100..110 {
            manager.alive(Mono::from_secs(second));
        }
        assert!(manager.due().unwrap() <= Mono::from_secs(111));
        let before = heard(&end);
        assert!(!before.iter().any(|text| text == "WATCHDOG=1"));
        manager.alive(Mono::from_secs(111));
        let after = heard(&end);
        assert_eq!(
            after[after.len() - 2..],
            ["READY=1\nSTATUS=watching", "WATCHDOG=1"]
        );
        assert!(manager.owed.is_empty());
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        let mut nobody = Manager::meet(&Given::default(), START);
        nobody.tell(Word::Ready, "watching", START);
        nobody.alive(START);
        assert!(!nobody.is_there());
        assert_eq!((nobody.due(), nobody.owed.len()), (None, 0));
        // Without a socket there is no watchdog either.
        let given = Given {
            socket: None,
            patience: Some(Duration::from_secs(1)),
        };
        assert_eq!(Manager::meet(&given, START).due(), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_without_a_file_is_reached_too() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("beadle-test-{}", std::process::id());
        let place = SocketAddr::from_abstract_name(&name).unwrap();
        let end = UnixDatagram::bind_addr(&place).unwrap();
        end.set_nonblocking(true).unwrap();
        let socket = Some(OsString::from(format!("@{name}")));
        let mut manager = Manager::meet(
            &Given {
                socket,
                patience: None,
            },
            START,
        );
        manager.tell(Word::Ready, "watching", START);
        assert_eq!(heard(&end), ["READY=1\nSTATUS=watching"]);
    }
}
