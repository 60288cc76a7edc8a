use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::listener::{Listener, Ring};
use super::post::{Sent, send};
use super::*;
use crate::engine::heartbeat::{Hears, LONGEST};

struct Place {
    ear: Ear,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("beat.sock");
    let ear = Ear::open(&path, Access::Owner, Path::new("/proc")).unwrap();
    Place {
        ear,
        path,
        _dir: dir,
    }
}

fn door(place: &Place) -> UnixDatagram {
    let door = UnixDatagram::unbound().unwrap();
    door.connect(&place.path).unwrap();
    door
}

fn us() -> ProcKey {
    let pid = Pid::new(std::process::id()).unwrap();
    let procfs = Procfs::open(Path::new("/proc")).unwrap();
    let hold = procfs.hold(pid).unwrap();
    key_of(pid, hold.as_ref(), StartTicks(0))
}

fn beat(heard: Option<Heard>) -> Beat {
    match heard {
        Some(Heard::Beat(beat)) => beat,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_sends_is_the_kernels_word() {
    let mut place = place();
    assert_eq!(place.ear.hear(), None);
    door(&place).send(b"X_BEADLE_PROGRESS=5/9").unwrap();
    let beat = beat(place.ear.hear());
    assert_eq!(beat.user.0, rustix::process::geteuid().as_raw());
    let own = us();
    if matches!(own.mark(), crate::engine::process::Mark::Inode(_)) {
        assert_eq!(beat.sender, own);
    }
    assert_eq!(beat.sender.pid(), own.pid());
    assert_eq!(place.ear.hear(), None);
}

#[test]
fn who_sent_and_died_is_known_where_the_kernel_holds_it() {
    let mut place = place();
    let script = format!(
        "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'WATCHDOG=1', {:?})",
        place.path
    );
    let mut child = std::process::Command::new("python3")
        .args(["-c", &script])
        .spawn()
        .unwrap();
    let pid = child.id();
    child.wait().unwrap();
    match place.ear.hear() {
        Some(Heard::Beat(beat)) => assert_eq!(beat.sender.pid().number(), pid),
        // Without its pidfd nobody knows who had that number.
        Some(Heard::Unreadable) => {
            assert!(!matches!(
                us().mark(),
                crate::engine::process::Mark::Inode(_)
            ));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_read_is_counted() {
    let mut place = place();
    let door = door(&place);
    door.send(&vec![b'A'; LONGEST + 1]).unwrap();
    assert_eq!(place.ear.hear(), Some(Heard::Unreadable));
    door.send(b"BARRIER=1").unwrap();
    assert_eq!(
        place.ear.hear(),
        Some(Heard::Unreadable),
        "a barrier of nothing"
    );
}

#[test]
fn descriptors_that_come_along_are_closed() {
    let mut place = place();
    let door = door(&place);
    for (text, count) in [
        (&b"BARRIER=1\nREADY=1"[..], 1),
        (b"BARRIER=1", 2),
        (b"WATCHDOG=1", 3),
        (b"FDSTORE=1", 1),
        // More than there is room for.
        (b"WATCHDOG=1", 200),
    ] {
        let (ours, theirs) = rustix::pipe::pipe().unwrap();
        pass(&door, text, &theirs, count);
        drop(theirs);
        let _heard = place.ear.hear().unwrap();
        // Nobody has the other end: the end of the file is there to be read.
        assert!(is_closed(&ours), "{text:?}");
    }
}

/// Whether there is an end to be read from a pipe, soon.
fn is_closed(pipe: &OwnedFd) -> bool {
    let mut fds = [rustix::event::PollFd::new(
        pipe,
        rustix::event::PollFlags::IN,
    )];
    let soon = rustix::event::Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut fds, Some(&soon)).unwrap() == 1
}

/// Sends text with the same descriptor so many times.
fn pass(door: &UnixDatagram, text: &[u8], what: &OwnedFd, count: usize) {
    try_pass(door, text, what, count).unwrap();
}

fn try_pass(
    door: &UnixDatagram,
    text: &[u8],
    what: &OwnedFd,
    count: usize,
) -> rustix::io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let passed = vec![what.as_fd(); count];
    let mut room = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
    let text = [std::io::IoSlice::new(text)];
    sendmsg(door, &text, &mut control, SendFlags::empty()).map(drop)
}

#[test]
fn a_barrier_is_open_until_it_is_accepted() {
    let mut place = place();
    let name = place.path.clone().into_os_string();
    let sender = std::thread::spawn(move || send(&name, "WATCHDOG=1", Duration::from_secs(20)));
    let next = |ear: &mut Ear| {
        loop {
            if let Some(heard) = ear.hear() {
                return heard;
            }
            std::thread::yield_now();
        }
    };
    assert!(beat(Some(next(&mut place.ear))).words.watchdog);
    let barrier = beat(Some(next(&mut place.ear)));
    assert!(barrier.words.barrier);
    assert!(!sender.is_finished());
    place.ear.accept(barrier.receipt.unwrap());
    assert_eq!(sender.join().unwrap().unwrap(), Sent::Taken);
}

#[test]
fn nobody_waits_for_ever_for_who_does_not_answer() {
    let place = place();
    let name = place.path.as_os_str();
    let sent = send(name, "WATCHDOG=1", Duration::from_millis(50)).unwrap();
    assert_eq!(sent, Sent::Unanswered);
}

#[test]
fn the_place_is_made_anew_and_what_is_no_socket_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("beat.sock");
    drop(UnixDatagram::bind(&path).unwrap());
    let ear = Ear::open(&path, Access::Everyone, Path::new("/proc")).unwrap();
    let mode = path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o666);
    drop(ear);
    assert!(!path.exists());
    std::fs::write(&path, "dear").unwrap();
    Ear::open(&path, Access::Owner, Path::new("/proc")).unwrap_err();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear");
}

#[test]
fn it_lies_beside_the_daemons_own_socket() {
    assert_eq!(
        beside(Path::new("/run/beadle/socket")),
        Path::new("/run/beadle/beat.sock")
    );
    assert_eq!(
        beside(Path::new("/tmp/mine.sock")),
        Path::new("/tmp/mine.sock.beat")
    );
}

/// A descriptor whose last close waits for so long: a stream to ourselves with data that nobody takes.
fn lingering(span: Duration) -> (OwnedFd, std::net::TcpListener) {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[0; 4096]).is_ok() {}
    rustix::net::sockopt::set_socket_linger(&stream, Some(span)).unwrap();
    // Who is to wait in a close must be let wait.
    stream.set_nonblocking(false).unwrap();
    (stream.into(), listener)
}

#[test]
fn who_gives_us_what_is_slow_to_close_holds_up_nobody() {
    for (text, count) in [
        (&b"WATCHDOG=1"[..], 1),
        (b"BARRIER=1", 1),
        (b"WATCHDOG=1", 200),
    ] {
        let mut place = place();
        let door = door(&place);
        let (slow, _taken) = lingering(Duration::from_secs(60));
        pass(&door, text, &slow, count);
        drop(slow);
        door.send(b"X_BEADLE_PROGRESS=7").unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let first = place.ear.hear();
            if let Some(Heard::Beat(Beat {
                receipt: Some(receipt),
                ..
            })) = first
            {
                place.ear.accept(receipt);
            }
            let _ = tell.send(beat(place.ear.hear()));
        });
        let next = told.recv_timeout(Duration::from_secs(20));
        let next = next.unwrap_or_else(|_| panic!("held up by {text:?}"));
        assert_eq!(next.words.progress.map(|count| count.done), Some(7));
    }
}

#[test]
fn where_what_came_along_cannot_be_closed_no_more_is_let_in_and_beats_are_heard_on() {
    let mut place = place();
    // Before Linux 6.16 descriptors cannot be refused.
    let can = letter::let_descriptors_in(&place.ear.socket, true).is_ok();
    let door = door(&place);
    let mut taken = Vec::new();
    for _ in 0..=CLOGGED + 1 {
        let (slow, listener) = lingering(Duration::from_secs(60));
        pass(&door, b"WATCHDOG=1", &slow, 1);
        drop(slow);
        taken.push(listener);
        assert!(matches!(place.ear.hear(), Some(Heard::Beat(_))));
    }
    assert_eq!(place.ear.breathe(), Ok(()));
    let (_ours, theirs) = rustix::pipe::pipe().unwrap();
    let passed = try_pass(&door, b"WATCHDOG=1", &theirs, 1);
    if can {
        assert_eq!(passed, Err(rustix::io::Errno::PERM));
    } else {
        assert!(beat(place.ear.hear()).words.watchdog);
    }
    door.send(b"X_BEADLE_PROGRESS=7").unwrap();
    assert!(beat(place.ear.hear()).words.progress.is_some());
}

#[test]
fn a_barrier_too_many_is_refused_and_its_sender_told() {
    let mut place = place();
    let door = door(&place);
    let mut ends = Vec::new();
    for _ in 0..BARRIERS_EACH {
        let (ours, theirs) = rustix::pipe::pipe().unwrap();
        pass(&door, b"BARRIER=1", &theirs, 1);
        assert!(beat(place.ear.hear()).receipt.is_some());
        ends.push(ours);
    }
    let (ours, theirs) = rustix::pipe::pipe().unwrap();
    pass(&door, b"BARRIER=1", &theirs, 1);
    drop(theirs);
    let me = Uid(rustix::process::geteuid().as_raw());
    assert_eq!(place.ear.hear(), Some(Heard::Lost(Some(me))));
    assert!(is_closed(&ours));
    assert_eq!(
        rustix::io::read(&ours, &mut [0; 8]),
        Ok(1),
        "nobody was told"
    );
    let waits = |end: &OwnedFd| {
        let mut fds = [rustix::event::PollFd::new(
            end,
            rustix::event::PollFlags::IN,
        )];
        let now = rustix::event::Timespec::default();
        rustix::event::poll(&mut fds, Some(&now)).unwrap() == 0
    };
    assert!(ends.iter().all(waits), "another's receipt was given");
}

#[test]
fn whom_the_kernel_could_not_hold_nobody_looks_up_by_its_number() {
    let place = place();
    let own = us();
    let known = place.ear.identity(own.pid(), Hold::Unknown);
    assert_eq!(known.map(|(key, _)| key.pid()), Some(own.pid()));
    assert_eq!(place.ear.identity(own.pid(), Hold::Failed), None);
}

#[test]
fn a_word_that_is_spoiled_is_counted_and_the_others_heard() {
    let (heard, _dir) = listen();
    let door = UnixDatagram::unbound().unwrap();
    door.connect(heard.listener.place()).unwrap();
    door.send(b"X_BEADLE_PROGRESS=a lot\nWATCHDOG=1").unwrap();
    assert_eq!(heard.listener.drain(LONG), Hears::Well);
    let basket = heard.listener.take();
    assert_eq!((basket.beats.len(), basket.unreadable), (1, 1));
}

/// So long nobody needs.
const LONG: Duration = Duration::from_secs(20);

struct Listening {
    listener: Listener,
    rings: std::sync::mpsc::Receiver<Ring>,
    /// While something lies in it, the thread is held up in the next ring.
    held: std::sync::Arc<std::sync::Mutex<()>>,
}

fn listen() -> (Listening, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (listen_at(&dir.path().join("beat.sock")), dir)
}

fn listen_at(path: &Path) -> Listening {
    let (tell, rings) = std::sync::mpsc::channel();
    let held = std::sync::Arc::new(std::sync::Mutex::new(()));
    let hold = held.clone();
    let ring = move |ring| {
        let _ = tell.send(ring);
        drop(hold.lock());
    };
    let listener = Listener::start(path, Access::Owner, Path::new("/proc"), ring).unwrap();
    Listening {
        listener,
        rings,
        held,
    }
}

/// What is said next of whether we hear.
fn said(listening: &Listening) -> Hears {
    loop {
        match listening.rings.recv_timeout(LONG).expect("nothing is said") {
            Ring::Hears(hears) => return hears,
            Ring::Basket => {}
        }
    }
}

fn send_to(path: &Path, text: &str) {
    let door = UnixDatagram::unbound().unwrap();
    door.send_to(text.as_bytes(), path).unwrap();
}

#[test]
fn what_was_sent_by_then_is_there_after_a_drain() {
    let (heard, _dir) = listen();
    assert_eq!(said(&heard), Hears::Well);
    for n in 0..200 {
        send_to(heard.listener.place(), &format!("X_BEADLE_PROGRESS={n}"));
        assert_eq!(heard.listener.drain(LONG), Hears::Well);
        let beats = heard.listener.take().beats;
        let last = beats.last().and_then(|beat| beat.words.progress);
        assert_eq!(last.map(|count| count.done), Some(n));
    }
}

#[test]
fn nobody_waits_for_a_thread_that_is_held_up_and_it_is_said_when_it_is_back() {
    let (heard, _dir) = listen();
    assert_eq!(said(&heard), Hears::Well);
    let holds = heard.held.lock().unwrap();
    send_to(heard.listener.place(), "X_BEADLE_PROGRESS=1");
    // It is held up as it rings for that.
    assert!(matches!(heard.rings.recv_timeout(LONG), Ok(Ring::Basket)));
    let brief = Duration::from_millis(20);
    assert_eq!(heard.listener.drain(brief), Hears::Late);
    assert_eq!(heard.listener.drain(LONG), Hears::Late, "it was waited for");
    drop(holds);
    assert_eq!(said(&heard), Hears::Well);
    send_to(heard.listener.place(), "X_BEADLE_PROGRESS=2");
    assert_eq!(heard.listener.drain(LONG), Hears::Well);
    assert_eq!(heard.listener.take().beats.len(), 2);
}

#[test]
fn a_socket_that_vanished_is_noticed_and_made_anew() {
    let (heard, _dir) = listen();
    assert_eq!(said(&heard), Hears::Well);
    std::fs::remove_file(heard.listener.place()).unwrap();
    assert_eq!(heard.listener.drain(LONG), Hears::Well);
    // Between, something may have been lost.
    assert!(matches!(said(&heard), Hears::Deaf(_)));
    assert_eq!(said(&heard), Hears::Well);
    send_to(heard.listener.place(), "X_BEADLE_PROGRESS=1");
    assert_eq!(heard.listener.drain(LONG), Hears::Well);
    assert_eq!(heard.listener.take().beats.len(), 1);
}

#[test]
fn a_place_that_cannot_be_had_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("beat.sock");
    std::fs::write(&path, "dear").unwrap();
    let heard = listen_at(&path);
    assert!(matches!(said(&heard), Hears::Deaf(_)));
    assert!(matches!(heard.listener.drain(LONG), Hears::Deaf(_)));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(heard.listener.drain(LONG), Hears::Well);
    send_to(&path, "X_BEADLE_PROGRESS=1");
    assert_eq!(heard.listener.drain(LONG), Hears::Well);
    assert_eq!(heard.listener.take().beats.len(), 1);
}

#[test]
fn who_took_the_place_and_listens_there_keeps_it() {
    let (heard, _dir) = listen();
    let place = heard.listener.place().to_owned();
    std::fs::remove_file(&place).unwrap();
    let theirs = UnixDatagram::bind(&place).unwrap();
    assert!(matches!(heard.listener.drain(LONG), Hears::Deaf(_)));
    send_to(&place, "X_BEADLE_PROGRESS=1");
    theirs.set_nonblocking(true).unwrap();
    assert!(theirs.recv(&mut [0; 64]).is_ok());
    drop(heard);
    assert!(place.exists(), "another's socket was removed");
}
