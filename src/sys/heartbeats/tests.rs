use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::post::{Sent, send};
use super::*;
use crate::engine::heartbeat::LONGEST;

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
        None => panic!("nothing came"),
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
fn descriptors_that_come_along_are_closed_at_once() {
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
        let mut fds = [rustix::event::PollFd::new(
            &ours,
            rustix::event::PollFlags::IN,
        )];
        let now = rustix::event::Timespec::default();
        assert_eq!(
            rustix::event::poll(&mut fds, Some(&now)).unwrap(),
            1,
            "{text:?}"
        );
    }
}

/// Sends text with the same descriptor so many times.
fn pass(door: &UnixDatagram, text: &[u8], what: &OwnedFd, count: usize) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let passed = vec![what.as_fd(); count];
    let mut room = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
    let text = [std::io::IoSlice::new(text)];
    sendmsg(door, &text, &mut control, SendFlags::empty()).unwrap();
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
