//! How things stand with the watch itself: for `status`, and for the service manager.

use std::time::Duration;

use crate::cli::render::status_line;
use crate::control::wire::{self, Safe};
use crate::engine::process::Pid;

use super::super::faults::{Fault, Part};
use super::Watch;

impl Watch {
    /// The loop has turned: whoever started us hears that we are alive, and how things stand.
    pub(super) fn alive(&mut self) {
        let now = self.shells.now();
        if self.service.wants_line(now) {
            let line = self.line();
            self.service.line(line, now);
        }
        self.service.alive(now);
    }

    /// A listing was taken in: with the first one since it is known whether births are heard, we watch. Looks, if anybody is
    /// judged, follow it.
    pub(super) fn looked(&mut self) {
        if self.announced && self.service.is_awaited() {
            let line = self.line();
            self.service.watching(line, self.shells.now());
        }
    }

    /// How things stand, in a line.
    pub(super) fn line(&self) -> String {
        status_line(&wire::Status::seen(&self.judge.view(), self.itself()))
    }

    /// Why births and deaths are not heard, in words.
    pub(super) fn deafness(&self) -> Option<Safe> {
        self.deaf.map(|why| Safe::word(&why.to_string()))
    }

    /// Where heartbeats are heard, and what nothing could be made of.
    pub(super) fn note_ear(&self, heartbeats: &mut wire::Heartbeats) {
        if let Some(ear) = &self.shells.ear {
            heartbeats.socket = Some(Safe::word(&ear.place().display().to_string()));
            heartbeats.unreadable = ear.unreadable;
        }
    }

    /// The daemon, as `status` tells of it.
    pub(super) fn itself(&self) -> wire::Daemon {
        let now = self.shells.now();
        let fault = |(part, fault, lasted): (Part, &Fault, Duration)| wire::Fault {
            part: Safe::word(part.word()),
            text: Safe::word(&fault.text),
            count: fault.count,
            lasted: lasted.as_secs_f64(),
        };
        wire::Daemon {
            version: Safe::word(env!("CARGO_PKG_VERSION")),
            pid: std::process::id(),
            owner: self.standing.user.0,
            up: now.since(self.standing.began).as_secs_f64(),
            config: self
                .standing
                .files
                .iter()
                .map(|file| Safe::word(&file.display().to_string()))
                .collect(),
            leash: self.standing.leash.map(Pid::number),
            deaf: self.deafness(),
            desktops: self.desktops(),
            elder: self.judge.left_to_elder().map(|left| wire::Elder { left }),
            faults: self.faults.lasting(now).map(fault).collect(),
        }
    }
}
