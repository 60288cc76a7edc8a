//! `beadle demo`: the whole ladder in a quarter of a minute, on a runaway of our own.
//!
//! **Invariants.** The demo touches nothing but what it starts: the daemon is on a leash that ends at the demo, and the
//! rule means an argument that only the demo's own processes bear. What is shown of the daemon is read from its log
//! and printed by the renderer that it uses itself. Success is claimed only after the pidfds of all three processes
//! have said that they are dead.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use clap::Subcommand;

use super::render::entry::Event;
use super::render::{Entry, Paint, Tone, line};
use super::{Failure, Surroundings, say};
use crate::control::wire::Safe;
use crate::engine::process::Pid;
use crate::engine::units::Mono;
use crate::sys::clock::Clock;
use crate::sys::pidfd::{Life, PidFd};

mod runaway;

/// How long the demo waits for the end of its runaway. Less than the runaway's own life: what is shown is the
/// daemon's work, not the clock's.
const PATIENCE: Duration = Duration::from_secs(25);

/// How often it looks whether they are dead when the daemon says nothing.
const LOOK: Duration = Duration::from_millis(100);

/// What to do after this.
const NEXT: &str =
    "  Next: `beadle watch` guards this machine with its built-in rules, which only nudge.\n\n";

/// See beadle at work on a harmless runaway of its own
///
/// Starts a process that spins and will not leave when asked, with two children, and a daemon with a rule for just
/// these three. Everything it starts is on a leash, at the lowest priority, and gone within 30 s whatever happens.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Takes about 10 s and needs no rights and no configuration.
Exits 0 only when the runaway was seen to be nudged, asked, ended, and is gone."
)]
pub(super) struct Args {
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the demo starts itself for.
#[derive(Debug, Subcommand)]
enum Part {
    #[command(hide = true)]
    Runaway(runaway::Args),
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    match &args.part {
        None => show(around),
        Some(Part::Runaway(args)) => runaway::run(args),
    }
}

fn show(around: &Surroundings) -> Result<(), Failure> {
    let me = std::process::id();
    let folder = Folder::make(me)?;
    let rules = folder.0.join("rules.yaml");
    let text = rule(me);
    std::fs::write(&rules, &text)?;

    let mut trio = Trio::start(me)?;
    let [parent, polite, deaf] = trio.pids();
    let paint = around.out;
    let title = |text: &str| say(&format!("\n{}\n", paint.tone(Tone::Strong, text)));
    title("The runaway");
    say(&format!(
        "  {parent} spins and turns a deaf ear to SIGTERM. It has two children:\n\
         \x20 {polite} leaves when asked, {deaf} does not. All three are harmless, and end by themselves in 30 s.\n"
    ));
    title("The rule");
    for line in text.lines() {
        say(&format!("  {line}\n"));
    }
    title(&format!(
        "The watch, on a leash: nothing but what this demo ({me}) starts may be signalled"
    ));

    let mut watch = Watch::start(me, &folder, &rules)?;
    let story = follow(&watch.said, &trio, paint);
    let survivors = trio.alive();
    // Ours, both of them: the daemon has done its part, and the parent is reaped or, if all went wrong, ended.
    watch.end();
    trio.end();
    title("The end");
    let verdict = story.verdict(&survivors);
    match &verdict {
        Ok(()) => {
            let done = format!("{parent}, {polite} and {deaf} are gone: their pidfds say so.");
            say(&format!("  {}\n", paint.tone(Tone::Good, done)));
            say(NEXT);
        }
        Err(_) => say("  It did not go as it should.\n\n"),
    }
    verdict.map_err(Failure::new)
}

/// Limits of seconds. Time alone is enough too, for a machine so busy that the lowest priority gets no processor.
fn rule(demo: u32) -> String {
    format!(
        "version: 1
mode: enforce
builtin: none
nudge: {{ desktop: false, journal: false }}
rules:
  - name: demo
    about: a harmless runaway
    match: {{ arg: \"{}\" }}
    limits: {{ cpu_time: 2s, age: 5s }}
    ladder: [ nudge, {{ after: 2s, signal: TERM }}, {{ after: 3s, signal: KILL }} ]
",
        runaway::mark(demo)
    )
}

/// A folder of our own that goes with us.
struct Folder(PathBuf);

impl Folder {
    fn make(me: u32) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("beadle-demo-{me}"));
        // Fails if it exists: then it is not ours, whoever made it.
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(Failure::new(format!(
                "cannot make {}: {error}",
                path.display()
            ))),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The runaway: the parent, which is our child, and holds on all three.
struct Trio {
    parent: Child,
    /// Open as long as we live: the parent may write there.
    _stdout: BufReader<ChildStdout>,
    holds: [(Pid, PidFd); 3],
}

impl Trio {
    fn start(me: u32) -> Result<Self, Failure> {
        let broken = || Failure::new("the runaway did not start as it should");
        let mut parent = Command::new(std::env::current_exe()?)
            .args(["demo", "runaway", &runaway::mark(me)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdout = BufReader::new(parent.stdout.take().ok_or_else(broken)?);
        let mut child = || {
            let mut line = String::new();
            stdout.read_line(&mut line).ok()?;
            line.trim().parse().ok()
        };
        let numbers = [Some(parent.id()), child(), child()];
        // None of the three is waited for yet, so their numbers are still theirs.
        let hold = |number: Option<u32>| {
            let pid = Pid::new(number?)?;
            Some((pid, PidFd::open(pid).ok()?))
        };
        let [Some(one), Some(two), Some(three)] = numbers.map(hold) else {
            let _ = parent.kill();
            let _ = parent.wait();
            return Err(broken());
        };
        Ok(Self {
            parent,
            _stdout: stdout,
            holds: [one, two, three],
        })
    }

    fn pids(&self) -> [Pid; 3] {
        self.holds.each_ref().map(|(pid, _)| *pid)
    }

    fn alive(&self) -> Vec<Pid> {
        let alive = self
            .holds
            .iter()
            .filter(|(_, hold)| hold.life() == Life::Alive);
        alive.map(|(pid, _)| *pid).collect()
    }

    fn end(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

/// The daemon, and what it says, line by line.
struct Watch {
    daemon: Child,
    said: Receiver<String>,
}

impl Watch {
    fn start(me: u32, folder: &Folder, rules: &std::path::Path) -> Result<Self, Failure> {
        let me = me.to_string();
        let mut daemon = Command::new(std::env::current_exe()?)
            .args([
                "watch",
                "--mode",
                "enforce",
                "--log",
                "json",
                "--only-under",
                &me,
            ])
            .arg("--config")
            .arg(rules)
            .arg("--socket")
            .arg(folder.0.join("socket"))
            .arg("--state")
            .arg(folder.0.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = daemon.stderr.take();
        let (tell, said) = channel();
        thread::spawn(move || {
            let lines = stderr.into_iter().flat_map(|it| BufReader::new(it).lines());
            for line in lines.map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { daemon, said })
    }

    fn end(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// What was seen.
#[derive(Debug, Default)]
struct Story(BTreeSet<Sight>);

/// What there is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sight {
    Nudge,
    Term,
    Kill,
    /// The daemon went away before the runaway did.
    Desertion,
}

/// Prints what the daemon says, with a word on what it means, until all three are dead or patience is at its end.
fn follow(said: &Receiver<String>, trio: &Trio, paint: Paint) -> Story {
    let mut story = Story::default();
    let until = Clock.now().after(PATIENCE);
    // The closing comes a moment after the last of them died.
    let mut linger: Option<Mono> = None;
    loop {
        match said.recv_timeout(LOOK) {
            Ok(raw) => {
                let closed = story.hear(&raw, paint);
                if closed && trio.alive().is_empty() {
                    return story;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                if !trio.alive().is_empty() {
                    story.0.insert(Sight::Desertion);
                }
                return story;
            }
        }
        let now = Clock.now();
        if trio.alive().is_empty() {
            let end = *linger.get_or_insert(now.after(Duration::from_secs(3)));
            if end <= now {
                return story;
            }
        }
        if until <= now {
            return story;
        }
    }
}

impl Story {
    /// Prints one line of the daemon's; says whether the incident is closed.
    fn hear(&mut self, raw: &str, paint: Paint) -> bool {
        let Ok(entry) = serde_json::from_str::<Entry>(raw) else {
            // No entry of the log: it could not start, most likely, and says why.
            say(&format!("  {}\n", Safe::word(raw)));
            return false;
        };
        say(&format!("  {}\n", line(&entry, paint)));
        let meaning = match &entry.event {
            Event::Nudge { .. } => {
                self.0.insert(Sight::Nudge);
                "People are told first. Nothing is signalled yet: there is time to look, or to `beadle pause`."
            }
            Event::Signal { signal, .. } if signal.as_str() == "KILL" => {
                self.0.insert(Sight::Kill);
                "Who is left did not leave when asked."
            }
            Event::Signal { .. } => {
                self.0.insert(Sight::Term);
                "All of the tree is asked to leave; whoever has something to tidy up may do so now."
            }
            Event::Close { .. } => return true,
            Event::Incident { .. }
            | Event::Answer { .. }
            | Event::Outcome { .. }
            | Event::Run { .. }
            | Event::Ran { .. }
            | Event::Withheld { .. }
            | Event::Fault { .. }
            | Event::Reload { .. }
            | Event::Start(_)
            | Event::Stop { .. } => return false,
        };
        say(&format!(
            "           {}\n",
            paint.tone(Tone::Faint, meaning)
        ));
        false
    }

    /// Whether all went as it should, or what did not.
    fn verdict(&self, survivors: &[Pid]) -> Result<(), String> {
        if !survivors.is_empty() {
            let who: Vec<String> = survivors.iter().map(Pid::to_string).collect();
            let because = if self.0.contains(&Sight::Desertion) {
                "the daemon ended before its work was done; "
            } else {
                ""
            };
            return Err(format!(
                "{because}still alive: {}; they end by themselves within 30 s",
                who.join(" ")
            ));
        }
        let stages = [
            (Sight::Nudge, "a nudge"),
            (Sight::Term, "a SIGTERM"),
            (Sight::Kill, "a SIGKILL"),
        ];
        match stages.iter().find(|(stage, _)| !self.0.contains(stage)) {
            Some((_, missing)) => Err(format!(
                "the runaway is gone, but the log does not tell of {missing}"
            )),
            None => Ok(()),
        }
    }
}
