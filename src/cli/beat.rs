//! `beadle beat`: a sign of life, for shell scripts.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, Surroundings};
use crate::control::socket;
use crate::engine::heartbeat::Count;
use crate::sys::heartbeats::beside;
use crate::sys::heartbeats::post::{Sent, send};

/// So long it may take to be taken in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Say that this script lives, and how far it is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  beadle beat --progress 567/1000 --status \"batch 9\"   how far it is, for the limit `silent`
  beadle beat                                          that it lives: progress, unless a counter was ever given
  beadle beat --stopping                               that it winds up: its silence grows no more, for an hour

It goes to $NOTIFY_SOCKET where that is set, else to your daemon and to the machine's, and counts for the tree that this
script is part of. A counter that stands still is a sign of life and no progress; one that goes back begins a new run.")]
pub(super) struct Args {
    /// How far it is: 567/1000, or 567 where the whole is not known
    #[arg(long, value_name = "DONE[/TOTAL]", value_parser = counter)]
    progress: Option<Count>,

    /// What people are shown
    #[arg(long, value_name = "TEXT")]
    status: Option<String>,

    /// It is ready; after `--stopping`, it goes on after all
    #[arg(long)]
    ready: bool,

    /// It winds up
    #[arg(long, conflicts_with = "ready")]
    stopping: bool,

    /// It may be silent for so much longer: 90s, 10m; an hour at most
    #[arg(long, value_name = "SPAN", value_parser = crate::config::duration)]
    extend: Option<Duration>,

    /// Send it to the daemon that listens here
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

fn counter(text: &str) -> Result<Count, String> {
    Count::read(text).ok_or_else(|| "expected `567/1000` or `567`, in digits".to_owned())
}

impl Args {
    /// The datagram.
    fn text(&self) -> String {
        let mut lines = Vec::new();
        lines.extend(
            self.progress
                .map(|count| format!("X_BEADLE_PROGRESS={count}")),
        );
        lines.extend(self.ready.then(|| "READY=1".to_owned()));
        lines.extend(self.stopping.then(|| "STOPPING=1".to_owned()));
        let micros = self.extend.map(|span| span.as_micros());
        lines.extend(micros.map(|micros| format!("EXTEND_TIMEOUT_USEC={micros}")));
        if lines.is_empty() {
            lines.push("WATCHDOG=1".to_owned());
        }
        if let Some(status) = &self.status {
            // One line: what follows would pass for another word.
            let line = status.lines().next().unwrap_or_default();
            lines.push(format!("STATUS={line}"));
        }
        lines.join("\n")
    }
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(), Failure> {
    let places = places(args, around);
    let (mut refused, mut taken) = (Vec::new(), false);
    let (mut unanswered, mut dropped) = (None, None);
    // To all that listen: a user's own and the machine's may both judge by it.
    for place in &places {
        match send(place, &args.text(), PATIENCE) {
            Ok(Sent::Taken) => taken = true,
            Ok(Sent::Dropped) => dropped = Some(place),
            Ok(Sent::Unanswered) => unanswered = Some(place),
            Err(error) => refused.push(told(place, &error)),
        }
    }
    if let Some(place) = unanswered {
        return Err(Failure::new(format!(
            "sent to {}, and nobody has taken it in for {} s: is whoever listens there stuck? It may still count",
            place.display(),
            PATIENCE.as_secs()
        )));
    }
    if let Some(place) = dropped {
        return Err(Failure::new(format!(
            "sent to {}, and dropped there: too many heartbeats came at once. Nobody is held silent for that; send it again in a moment",
            place.display()
        )));
    }
    if taken {
        return Ok(());
    }
    Err(Failure::new(format!(
        "no heartbeat could be sent: {}. Start `beadle watch`, or name its socket: export NOTIFY_SOCKET=/run/beadle/beat.sock",
        refused.join("; ")
    )))
}

/// Where it may be sent: what is named, else what the environment names, else where daemons listen.
fn places(args: &Args, around: &Surroundings) -> Vec<OsString> {
    let beat = |socket: &PathBuf| beside(socket).into_os_string();
    match (&args.socket, &around.service.socket) {
        (Some(socket), _) => vec![beat(socket)],
        (None, Some(name)) => vec![name.clone()],
        (None, None) => {
            let candidates = socket::candidates(around.uid, around.runtime.as_deref());
            candidates.iter().map(beat).collect()
        }
    }
}

fn told(place: &OsStr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "nobody listens there".to_owned()
        }
        io::ErrorKind::PermissionDenied => "it is another user's".to_owned(),
        _ => error.to_string(),
    };
    format!("{}: {why}", place.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(progress: Option<&str>, status: Option<&str>) -> Args {
        Args {
            progress: progress.map(|text| counter(text).unwrap()),
            status: status.map(str::to_owned),
            ready: false,
            stopping: false,
            extend: None,
            socket: None,
        }
    }

    #[test]
    fn a_status_cannot_smuggle_in_another_word() {
        let text = args(Some("5/9"), Some("so far\nSTOPPING=1")).text();
        assert_eq!(text, "X_BEADLE_PROGRESS=5/9\nSTATUS=so far");
        assert_eq!(args(None, None).text(), "WATCHDOG=1");
    }

    #[test]
    fn a_counter_is_digits() {
        for wrong in ["", "/", "5/", "/5", "5/0", "-5", "5 /9", "5/9/9", "½"] {
            assert!(counter(wrong).is_err(), "{wrong}");
        }
    }
}
