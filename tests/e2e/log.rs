//! What the daemon says, as it says it: JSON, one object a line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::villain;

/// How long a thing may take that ought to happen soon, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(45);

/// One line, and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// When it was said; where that is not told, when we read it.
    pub(crate) at: Instant,
    /// As it was written.
    pub(crate) text: String,
    /// What it says; null where it is no JSON.
    pub(crate) says: Value,
}

/// All lines so far, and those to come.
#[derive(Clone)]
pub(crate) struct Log {
    shared: Arc<(Mutex<Vec<Line>>, Condvar)>,
}

/// When a line was said: it is stamped with the clock that instants are made of.
fn said_at(says: &Value) -> Instant {
    let now = Duration::from_millis(villain::now()).as_secs_f64();
    let age = says["mono"].as_f64().map(|mono| now - mono);
    let age = age.and_then(|age| Duration::try_from_secs_f64(age).ok());
    let now = Instant::now();
    now.checked_sub(age.unwrap_or_default()).unwrap_or(now)
}

impl Log {
    /// Reads a stream to its end, in a thread of its own.
    pub(crate) fn follow(stream: impl Read + Send + 'static) -> Self {
        let shared: Arc<(Mutex<Vec<Line>>, Condvar)> = Arc::default();
        let mine = Arc::clone(&shared);
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut raw = Vec::new();
            while reader
                .read_until(b'\n', &mut raw)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&raw)
                    .trim_end_matches('\n')
                    .to_owned();
                let says = serde_json::from_str(&text).unwrap_or(Value::Null);
                let at = said_at(&says);
                mine.0.lock().unwrap().push(Line { at, text, says });
                mine.1.notify_all();
                raw.clear();
            }
        });
        Self { shared }
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.shared.0.lock().unwrap().clone()
    }

    /// The first line that fits, now or soon.
    pub(crate) fn wait(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Line {
        self.wait_for(what, None, fits)
    }

    /// The same; in vain, it is told how this process stands.
    fn wait_for(&self, what: &str, root: Option<u32>, fits: impl Fn(&Value) -> bool) -> Line {
        let (lines, changed) = &*self.shared;
        let end = Instant::now() + SOON;
        let mut seen = lines.lock().unwrap();
        loop {
            if let Some(line) = seen.iter().find(|line| fits(&line.says)) {
                return line.clone();
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                let all: Vec<_> = seen.iter().map(|line| line.text.as_str()).collect();
                let all = all.join("\n");
                drop(seen);
                let stands = root.map(how_it_stands).unwrap_or_default();
                panic!("waited {SOON:?} in vain for {what}{stands}; the daemon said:\n{all}");
            };
            seen = changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// The first line of this event, now or soon.
    pub(crate) fn event(&self, event: &str) -> Line {
        self.wait(&format!("the event `{event}`"), |says| {
            says["event"] == event
        })
    }

    /// The first line of this event about this tree, now or soon.
    pub(crate) fn about(&self, root: u32, event: &str) -> Line {
        self.wait_for(&format!("`{event}` about {root}"), Some(root), |says| {
            says["event"] == event && says["root"] == root
        })
    }

    /// The line that says that this signal is sent to this tree, now or soon.
    pub(crate) fn signal(&self, root: u32, signal: &str) -> Line {
        let what = format!("{signal} to the tree of {root}");
        self.wait_for(&what, Some(root), |says| {
            says["event"] == "signal" && says["root"] == root && says["signal"] == signal
        })
    }

    /// Everything of this event so far.
    pub(crate) fn all(&self, event: &str) -> Vec<Value> {
        let lines = self.lines().into_iter().map(|line| line.says);
        lines.filter(|says| says["event"] == event).collect()
    }

    /// The deeds so far about this tree, in order: `nudge`, `signal TERM`, `close ended`, …
    pub(crate) fn deeds(&self, root: u32) -> Vec<String> {
        let lines = self.lines().into_iter().map(|line| line.says);
        let deeds = lines.filter(|says| says["root"] == root).map(|says| {
            let event = says["event"].as_str().unwrap_or_default();
            let what = ["signal", "how"].map(|key| says[key].as_str());
            match what.into_iter().flatten().next() {
                Some(what) => format!("{event} {what}"),
                None => event.to_owned(),
            }
        });
        deeds.collect()
    }

    /// Every process that was the target of a signal so far, with the signal.
    pub(crate) fn targets(&self) -> Vec<(u32, String)> {
        let signals = self.all("signal").into_iter().flat_map(|says| {
            let signal = says["signal"].as_str().unwrap_or_default().to_owned();
            let pids = says["pids"].as_array().cloned().unwrap_or_default();
            pids.into_iter().map(move |pid| {
                let pid = pid.as_u64().and_then(|pid| u32::try_from(pid).ok());
                (pid.unwrap_or(0), signal.clone())
            })
        });
        signals.collect()
    }

    /// Everything, as it was written.
    pub(crate) fn text(&self) -> String {
        let lines: Vec<_> = self.lines().into_iter().map(|line| line.text).collect();
        lines.join("\n")
    }
}

/// What the kernel says of a process: its state, its parent and what it used.
fn how_it_stands(pid: u32) -> String {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
    let (stat, arguments) = (read("stat"), read("cmdline"));
    format!(", which is {stat:?} {arguments:?}")
}
