//! Programs that are run for an incident.
//!
//! **Invariants.**
//! - Nothing here blocks whoever calls it: each program has a thread of its own, which waits, reads and reaps.
//! - A program gets what it is given and nothing else: its own session, a clean environment, `/` as its folder, the input on its
//!   standard input. What it writes is read and thrown away but for the last line.
//! - When its time is up it is ended, with its process group. It is our own child, not waited for yet: nobody else can bear its
//!   number. What it started and left running when it ended by itself in time is its own affair.
//! - Should we die meanwhile, however we do, it dies with us: nobody would end it when its time is up.

use std::fmt;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::child::{Manner, Start, never_wait};
use super::clock::Clock;
use super::pidfd::{Life, PidFd};
use super::signaller::end_own;
use crate::engine::errand::{Came, ErrandId, Ran};
use crate::engine::process::{Pid, Text};
use crate::engine::redact;
use crate::engine::units::Mono;

/// So many threads: those who do not end when they are ended hold up nobody but these.
const MOST: usize = 8;
/// Stack of each.
const STACK: usize = 256 << 10;
/// Bytes kept of what is written.
const TAIL: usize = 4 << 10;
/// Bytes of the last line that are told.
const LINE: usize = 200;
/// How long one that was ended may take to be gone.
const GOES: Duration = Duration::from_secs(2);

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its number.
    pub errand: ErrandId,
    /// The program, by the path that is run.
    pub program: PathBuf,
    /// By which name it is called: of links to one program the name says which it is to be.
    pub name: PathBuf,
    /// What it is asked before.
    pub first: Option<Question>,
    /// Its arguments.
    pub args: Vec<String>,
    /// All of its environment besides `PATH` and `LANG`.
    pub environment: Vec<(&'static str, String)>,
    /// What stands on its standard input.
    pub input: Vec<u8>,
    /// When it is ended.
    pub timeout: Duration,
    /// As whom: user and group; `None` is as ourselves.
    pub ids: Option<(u32, u32)>,
}

/// What a program is asked before it is run for what it is run for.
#[derive(Clone, Debug)]
pub struct Question {
    /// The arguments with which it is asked.
    pub args: Vec<String>,
    /// Takes in what it answers, at most [`TAIL`] bytes of it: why it is not run then.
    pub heeds: fn(&[u8]) -> Result<(), String>,
}

/// Runs programs.
pub struct Executor {
    deliver: Arc<dyn Fn(Ran) + Send + Sync>,
    busy: Arc<AtomicUsize>,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

impl Executor {
    /// One who tells what came of each through `deliver`.
    pub fn new(deliver: impl Fn(Ran) + Send + Sync + 'static) -> Self {
        Self {
            deliver: Arc::new(deliver),
            busy: Arc::default(),
        }
    }

    /// Runs a program. Returns at once; what cannot be started is told like all else.
    pub fn run(&self, job: Job) {
        let errand = job.errand;
        let began = Clock.now();
        let deliver = Arc::clone(&self.deliver);
        if self.busy.fetch_add(1, Ordering::SeqCst) >= MOST {
            self.busy.fetch_sub(1, Ordering::SeqCst);
            return deliver(unstarted(errand, "too many do not end", began));
        }
        let busy = Arc::clone(&self.busy);
        let tell = Arc::clone(&deliver);
        let work = move || {
            if let Some(mut child) = carry_out(&job, began, &*tell) {
                // It does not go, and is waited for all the same.
                let _ = child.wait();
            }
            busy.fetch_sub(1, Ordering::SeqCst);
        };
        let thread = std::thread::Builder::new()
            .name("errand".to_owned())
            .stack_size(STACK)
            .spawn(work);
        if let Err(error) = thread {
            self.busy.fetch_sub(1, Ordering::SeqCst);
            deliver(unstarted(errand, &error.to_string(), began));
        }
    }
}

fn unstarted(errand: ErrandId, why: &str, began: Mono) -> Ran {
    let at = Clock.now();
    Ran {
        errand,
        came: Came::Unstarted(why.into()),
        at,
        took: at.since(began),
    }
}

/// Runs a program to its end and tells of it; the child where it did not go.
fn carry_out(job: &Job, began: Mono, deliver: impl Fn(Ran)) -> Option<Child> {
    let until = began.after(job.timeout);
    if let Some(question) = &job.first {
        match ask(job, question, until) {
            Ok(()) => {}
            Err((why, left)) => {
                deliver(unstarted(job.errand, &why, began));
                return left;
            }
        }
    }
    let (child, output) = match start(job, &job.args) {
        Ok(started) => started,
        Err(error) => {
            deliver(unstarted(job.errand, &error.to_string(), began));
            return None;
        }
    };
    let outcome = see_through(child, output, &job.input, until);
    let came = match outcome.status {
        Some(status) => came(status, last_line(&outcome.tail)),
        None => Came::TimedOut {
            said: last_line(&outcome.tail),
        },
    };
    let at = Clock.now();
    deliver(Ran {
        errand: job.errand,
        came,
        at,
        took: at.since(began),
    });
    outcome.left
}

/// Asks what is asked before: nothing, or why the program is not run, with the child where it did not go.
fn ask(job: &Job, question: &Question, until: Mono) -> Result<(), (String, Option<Child>)> {
    let (child, output) = start(job, &question.args).map_err(|error| (error.to_string(), None))?;
    let outcome = see_through(child, output, &[], until);
    match outcome.status {
        Some(status) if status.success() => {
            (question.heeds)(&outcome.tail).map_err(|why| (why, None))
        }
        Some(_) => {
            let said =
                last_line(&outcome.tail).map_or_else(String::new, |said| format!(": {said}"));
            Err((format!("what it was asked before failed{said}"), None))
        }
        None => Err((
            "what it was asked before took too long".to_owned(),
            outcome.left,
        )),
    }
}

/// What became of a child.
struct Outcome {
    /// `None` where its time was up.
    status: Option<ExitStatus>,
    /// The last of what it wrote.
    tail: Vec<u8>,
    /// Itself, where it was ended and did not go.
    left: Option<Child>,
}

/// Feeds, reads and reaps a child; ends it when its time is up.
fn see_through(mut child: Child, output: PipeReader, input: &[u8], until: Mono) -> Outcome {
    let mut watch = Watch {
        output: Some(output),
        input: child.stdin.take(),
        unsent: input,
        tail: Vec::new(),
    };
    let hold = Pid::new(child.id()).and_then(|pid| PidFd::open(pid).ok());
    let status = watch.until_dead(hold.as_ref(), &mut child, until);
    watch.read_rest();
    let left = if status.is_some() {
        None
    } else {
        end_own(&mut child);
        let by = Clock.now().after(GOES);
        let gone = Watch::default().until_dead(hold.as_ref(), &mut child, by);
        gone.is_none().then_some(child)
    };
    Outcome {
        status,
        tail: watch.tail,
        left,
    }
}

fn came(status: ExitStatus, said: Option<Text>) -> Came {
    match (status.code(), status.signal()) {
        (Some(status), _) => Came::Exited { status, said },
        (None, Some(signal)) => Came::Signalled { signal, said },
        (None, None) => Came::Lost,
    }
}

/// Starts the program of a job. The child is bound to the calling thread: it dies with it.
fn start(job: &Job, args: &[String]) -> io::Result<(Child, PipeReader)> {
    let (output, write) = io::pipe()?;
    let child = Start {
        program: &job.program,
        name: &job.name,
        args,
        environment: &job.environment,
        ids: job.ids,
        manner: Manner::Bound,
    };
    let mut command = child.command();
    command
        .stdin(Stdio::piped())
        .stdout(write.try_clone()?)
        .stderr(write);
    let child = command.spawn()?;
    // The command still holds the end that is written to.
    drop(command);
    never_wait(&output)?;
    if let Some(input) = &child.stdin {
        never_wait(input)?;
    }
    Ok((child, output))
}

/// Both ends of a running program.
#[derive(Default)]
struct Watch<'j> {
    output: Option<PipeReader>,
    input: Option<ChildStdin>,
    unsent: &'j [u8],
    tail: Vec<u8>,
}

impl Watch<'_> {
    /// Feeds and reads until the program is dead; `None` where it lives on then.
    fn until_dead(
        &mut self,
        hold: Option<&PidFd>,
        child: &mut Child,
        until: Mono,
    ) -> Option<ExitStatus> {
        loop {
            let dead = hold.is_none_or(|hold| hold.life() == Life::Dead);
            if dead && let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            let left = until.since(Clock.now());
            if left.is_zero() {
                return None;
            }
            // Without a hold on it, it is looked at now and then.
            let nap = match hold {
                Some(_) => left,
                None => left.min(Duration::from_millis(50)),
            };
            self.wait(hold, nap);
            self.feed();
            self.read();
        }
    }

    /// Waits until something can be done.
    fn wait(&self, hold: Option<&PidFd>, span: Duration) {
        let mut fds = Vec::with_capacity(3);
        fds.extend(hold.map(|hold| PollFd::from_borrowed_fd(hold.as_fd(), PollFlags::IN)));
        let output = self.output.as_ref();
        fds.extend(output.map(|it| PollFd::from_borrowed_fd(it.as_fd(), PollFlags::IN)));
        let input = self.input.as_ref();
        fds.extend(input.map(|it| PollFd::from_borrowed_fd(it.as_fd(), PollFlags::OUT)));
        // A poll that fails is one that ends early.
        let _ = poll(&mut fds, Timespec::try_from(span).ok().as_ref());
    }

    fn feed(&mut self) {
        let Some(input) = &mut self.input else { return };
        match input.write(self.unsent) {
            Ok(sent) => self.unsent = self.unsent.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // It does not want to know.
            Err(_) => self.unsent = &[],
        }
        if self.unsent.is_empty() {
            self.input = None;
        }
    }

    /// Reads what is there, but no more than a pipe holds: whoever writes without end is not to keep us here.
    fn read(&mut self) {
        let mut room = [0; 16 << 10];
        for _ in 0..4 {
            let Some(output) = &mut self.output else {
                return;
            };
            match output.read(&mut room) {
                Ok(0) => self.output = None,
                Ok(length) => self.keep(room.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.output = None,
            }
        }
    }

    fn read_rest(&mut self) {
        self.read();
        // Whoever it left running has nobody to tell any more.
        self.output = None;
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
    }
}

/// The last line with anything on it, cut short, secrets removed.
fn last_line(tail: &[u8]) -> Option<Text> {
    let mut lines = tail.split(|byte| *byte == b'\n');
    let line = lines.rfind(|line| !line.trim_ascii().is_empty())?;
    Some(redact::command_line(&[Text::new(line.trim_ascii())], LINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(program: &str, args: &[&str]) -> Job {
        Job {
            errand: ErrandId(1),
            program: program.into(),
            name: program.into(),
            first: None,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            environment: Vec::new(),
            input: Vec::new(),
            timeout: Duration::from_secs(20),
            ids: None,
        }
    }

    /// What a job came to.
    fn came_of(job: &Job) -> Came {
        let (send, receive) = std::sync::mpsc::channel();
        let left = carry_out(job, Clock.now(), move |ran| send.send(ran).unwrap());
        assert!(left.is_none());
        receive.recv().unwrap().came
    }

    #[test]
    fn a_program_dies_with_whoever_waits_for_it() {
        let job = job("/bin/sh", &["-c", "sleep 10"]);
        let bound = std::thread::spawn(move || start(&job, &job.args).unwrap());
        let (mut child, _output) = bound.join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn a_program_is_not_spared_as_we_are() {
        let own = "/proc/self/oom_score_adj";
        let score = || std::fs::read_to_string(own).unwrap().trim().to_owned();
        let before = score();
        // Only the privileged may; for all others nothing is to change.
        let _ = std::fs::write(own, "-1");
        let ours = score();
        let another = rustix::process::geteuid().is_root();
        let users = [None, Some((61_613, 61_613)).filter(|_| another)];
        let came = users.map(|ids| {
            came_of(&Job {
                ids,
                ..job("/bin/cat", &[own])
            })
        });
        std::fs::write(own, before).unwrap();
        let expected = if ours.starts_with('-') { "0" } else { &ours };
        for came in came {
            assert_eq!(came.said(), Some(&Text::from(expected)));
        }
    }

    #[test]
    fn what_is_heard_before_may_keep_it_from_being_run() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("ran");
        let script = format!("echo went; touch {}", mark.display());
        let mut job = job("/bin/sh", &["-c", &script]);
        let refuse = |answer: &[u8]| Err(String::from_utf8_lossy(answer).trim().to_owned());
        let asks = |script: &str, heeds| {
            Some(Question {
                args: vec!["-c".to_owned(), script.to_owned()],
                heeds,
            })
        };
        job.first = asks("echo no", refuse);
        assert_eq!(came_of(&job), Came::Unstarted("no".into()));
        // Whoever cannot be asked has not agreed.
        job.first = asks("echo broken; exit 3", |_| Ok(()));
        let Came::Unstarted(why) = came_of(&job) else {
            unreachable!("it was run");
        };
        assert!(why.to_string().ends_with("broken"), "{why}");
        job.first = asks("sleep 10", |_| Ok(()));
        job.timeout = Duration::from_millis(300);
        assert!(matches!(came_of(&job), Came::Unstarted(_)));
        assert!(!mark.exists());
        job.timeout = Duration::from_secs(20);
        job.first = asks("true", |_| Ok(()));
        assert!(came_of(&job).is_well());
        assert!(mark.exists());
    }

    #[test]
    fn a_program_is_called_by_its_name() {
        let mut job = job("/bin/sh", &["-c", "echo $0"]);
        job.name = "/usr/local/bin/another".into();
        let said = came_of(&job);
        assert_eq!(said.said(), Some(&Text::from("/usr/local/bin/another")));
    }
}
