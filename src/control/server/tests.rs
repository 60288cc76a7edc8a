//! The server against clients that mean well, and against those that do not.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as Plain;
use std::path::PathBuf;
use std::thread;

use super::super::client::{AskError, ask, ask_all, ask_whose};
use super::super::socket::{Access, Claim};
use super::super::wire::Pause;
use super::*;

fn me() -> Uid {
    Uid(rustix::process::geteuid().as_raw())
}

/// A server whose loop answers every question with one pause of ours, on a thread of its own; and its place.
struct Served {
    place: PathBuf,
    _dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<usize>>,
}

impl Served {
    fn start() -> Self {
        Self::with(|ask| {
            let pauses = vec![Pause {
                by: ask.peer.uid.0,
                rule: None,
                left: None,
            }];
            let _ = ask.reply.send(Answer::Pauses { pauses });
        })
    }

    fn with(answer: fn(Ask)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("socket");
        let (claim, listener) = Claim::take(&place, me(), Access::Owner).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let _claim = claim;
                let (asks, mut asked) = mpsc::channel(4);
                let listener = UnixListener::from_std(listener).unwrap();
                let mut answered = 0;
                let questions = async {
                    while let Some(ask) = asked.recv().await {
                        answered += 1;
                        answer(ask);
                    }
                };
                tokio::select! {
                    () = serve(listener, me(), asks) => {}
                    () = questions => {}
                    _ = stopped => {}
                }
                answered
            })
        });
        Self {
            place,
            _dir: dir,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn ask(&self) -> Result<Answer, AskError> {
        ask(std::slice::from_ref(&self.place), me(), &Question::Status)
    }

    fn connect(&self) -> Plain {
        let stream = Plain::connect(&self.place).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }

    /// How many questions reached the loop.
    fn stop(mut self) -> usize {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap()
    }
}

fn rest(mut stream: Plain) -> String {
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    said
}

#[test]
fn a_question_is_answered_and_several_on_one_line_each() {
    let served = Served::start();
    let answer = served.ask().unwrap();
    assert!(matches!(answer, Answer::Pauses { pauses } if pauses.len() == 1));
    let mut stream = served.connect();
    stream
        .write_all(b"{\"v\":1,\"ask\":\"status\"}\n{\"v\":1,\"ask\":\"why\",\"pid\":7}\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(stream).lines().count(), 2);
    assert_eq!(served.stop(), 3);
}

#[test]
fn nonsense_is_refused_in_words_and_never_reaches_the_loop() {
    let served = Served::start();
    let nonsense: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n",
        b"\xff\xfe\x00\n",
        b"{\"v\":1,\"ask\":\"shoot\"}\n",
        b"{\"v\":1,\"ask\":\"why\",\"pid\":-1}\n",
        b"{\"v\":1}\n",
        b"\n",
    ];
    for line in nonsense {
        let mut stream = served.connect();
        stream.write_all(line).unwrap();
        let said = rest(stream);
        assert!(said.contains("bad_question"), "{line:?}: {said}");
    }
    let mut stream = served.connect();
    stream.write_all(b"{\"v\":2,\"ask\":\"status\"}\n").unwrap();
    assert!(rest(stream).contains("\"version\""));
    assert_eq!(served.stop(), 0);
}

#[test]
fn a_deep_json_bomb_is_refused() {
    let served = Served::start();
    let mut stream = served.connect();
    let bomb = [vec![b'['; 60_000], vec![b'\n']].concat();
    stream.write_all(&bomb).unwrap();
    assert!(rest(stream).contains("bad_question"));
    served.ask().unwrap();
}

#[test]
fn a_line_without_end_is_cut_off() {
    let served = Served::start();
    let mut stream = served.connect();
    let _ = stream.write_all(&vec![b'a'; LONGEST_QUESTION + 1]);
    // What was sent beyond the limit may turn the close into a reset, which eats the refusal: either will do.
    let said = rest(stream);
    assert!(said.is_empty() || said.contains("at most"), "{said}");
    served.ask().unwrap();
    assert_eq!(served.stop(), 1);
}

#[test]
fn half_open_and_silent_clients_lose_their_seats() {
    let served = Served::start();
    let silent: Vec<Plain> = (0..4).map(|_| served.connect()).collect();
    let mut half = served.connect();
    half.write_all(b"{\"v\":1,").unwrap();
    served.ask().unwrap();
    for mut stream in silent.into_iter().chain([half]) {
        // Ended by the server, and well before our own patience is.
        assert!(matches!(stream.read(&mut [0]), Ok(0)));
    }
    served.ask().unwrap();
}

#[test]
fn a_crowd_is_bounded_and_the_loop_goes_on() {
    let served = Served::start();
    let crowd: Vec<Plain> = (0..200).map(|_| served.connect()).collect();
    // Those beyond the seats are closed at once; what is left waits out its patience.
    let mut turned_away = 0;
    for stream in &crowd {
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
    }
    for mut stream in crowd {
        turned_away += usize::from(matches!(stream.read(&mut [0]), Ok(0)));
    }
    let seats = match me() {
        Uid::ROOT => SEATS_WITH_ROOT,
        Uid(_) => SEATS_EACH,
    };
    assert!(turned_away >= 200 - seats - 1, "{turned_away}");
    served.ask().unwrap();
}

#[test]
fn a_client_that_reads_nothing_holds_up_nobody() {
    let served = Served::start();
    let mut deaf = served.connect();
    deaf.set_nonblocking(true).unwrap();
    let question = b"{\"v\":1,\"ask\":\"status\"}\n".repeat(4096);
    let _ = deaf.write(&question);
    served.ask().unwrap();
}

#[test]
fn a_loop_that_drops_the_question_is_told_of() {
    let served = Served::with(|ask| drop(ask.reply));
    let refused = served.ask().unwrap_err();
    assert!(matches!(refused, AskError::Refused(refusal) if refusal.kind == RefusalKind::Stopping));
}

#[test]
fn nobody_listening_is_told_with_the_place_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("socket");
    let text = ask(std::slice::from_ref(&place), me(), &Question::Ps)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains(&place.display().to_string()) && text.contains("`beadle watch`"),
        "{text}"
    );
    // So is a socket left behind.
    drop(std::os::unix::net::UnixListener::bind(&place).unwrap());
    assert!(matches!(
        ask(&[place], me(), &Question::Ps),
        Err(AskError::NoDaemon { .. })
    ));
}

#[test]
fn seats_are_few_and_some_are_roots() {
    let mut seats = Seats::default();
    let taken = (0..20).filter(|_| seats.take(Uid(1))).count();
    assert_eq!(taken, SEATS_EACH);
    for uid in 2..100 {
        for _ in 0..SEATS_EACH {
            seats.take(Uid(uid));
        }
    }
    assert!(!seats.take(Uid(200)));
    let root = (0..100).filter(|_| seats.take(Uid::ROOT)).count();
    assert_eq!(root, SEATS_WITH_ROOT - SEATS);
    seats.free(Uid(1));
    assert!(!seats.take(Uid(1)), "root's seats are root's");
}

/// A daemon that knows the number 1, and answers everything else that it may.
fn knowing(ask: Ask) {
    let answer = match ask.question {
        Question::Why { pid: 1 } => Answer::Pauses { pauses: vec![] },
        Question::Why { .. } => Refusal::new(RefusalKind::NotFound, "nobody").into(),
        _ => Answer::Forgotten {
            exceptions: vec![],
            unkept: None,
        },
    };
    let _ = ask.reply.send(answer);
}

/// One that knows nothing.
fn ignorant(ask: Ask) {
    let refusal = Refusal::new(RefusalKind::NotFound, "not here");
    let _ = ask.reply.send(refusal.into());
}

#[test]
fn the_one_is_asked_who_knows_what_is_meant() {
    let (knows, also, ignores) = (
        Served::with(knowing),
        Served::with(knowing),
        Served::with(ignorant),
    );
    let meant = |answer: &Answer| matches!(answer, Answer::Pauses { .. });
    let asked = |places: &[&Served], number| {
        let places: Vec<PathBuf> = places.iter().map(|it| it.place.clone()).collect();
        let probe = Question::Why { pid: number };
        ask_whose(&places, me(), (&probe, meant), &Question::Status)
    };
    let forgotten = |came| matches!(came, Ok(Answer::Forgotten { .. }));
    assert!(forgotten(asked(&[&ignores, &knows], 1)));
    // Nobody knows it: whoever has an answer gives it.
    assert!(forgotten(asked(&[&ignores, &knows], 2)));
    let Err(AskError::Several { places }) = asked(&[&knows, &also], 1) else {
        panic!("both are meant");
    };
    assert_eq!(places, [knows.place.clone(), also.place.clone()]);
    let nobody = asked(&[&ignores, &ignores], 1).unwrap_err();
    assert_eq!(nobody.to_string(), "not here");
    let gone = std::path::Path::new("/nonexistent/socket").to_owned();
    let all = [
        gone,
        knows.place.clone(),
        also.place.clone(),
        ignores.place.clone(),
    ];
    let answers = ask_all(&all, me(), &Question::Status).unwrap();
    assert_eq!(answers.len(), 2);
    let refused = ask_all(&all[3..], me(), &Question::Status).unwrap_err();
    assert_eq!(refused.to_string(), "not here");
    let none = ask_all(&all[..1], me(), &Question::Status).unwrap_err();
    assert!(matches!(none, AskError::NoDaemon { .. }), "{none}");
}
