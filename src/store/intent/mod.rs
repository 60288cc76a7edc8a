//! The record of intent: what is about to be done, written before the first signal.
//!
//! A beadle that dies in the middle of an act may leave a tree half ended, or stopped. The next one finds the act in
//! this record, still open, and tells.
//!
//! The record is one small file, by default in memory (`/run`): a reboot clears it along with the processes it speaks
//! of. Its room is taken once, at the start, so a disk that fills up later disarms nothing. It is text, so a person can
//! read it with `less`.
//!
//! **Invariants.** A slot is open from before the first signal until the report. The newest acts are there: a closed slot
//! is written over before an open one is, and an open one never.
//!
//! # Why written, not mapped
//! What must survive is the death of beadle, not of the machine: a page of the kernel's is as safe from that whether it
//! was filled by a store or by a `write` (2 µs). But a store into a mapping whose file was cut short, or whose disk has no
//! block for it after all, kills us with SIGBUS at the one moment that counts; a `write` returns an error. So there is
//! no `fsync`, no mapping, and nothing unsafe.

mod record;
mod slot;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

pub use self::record::{Manner, Record};

use self::record::Settled;
use self::slot::{OUTCOME, SLOT, State};
use super::StoreError;
use super::folder::{self, Locked};
use crate::engine::warrant::{Report, WarrantId};

/// Acts that can be under way at a time, and the newest of those that are over.
const SLOTS: usize = 16;

/// Bytes before the first slot.
const HEAD: usize = 4096;

/// All of it.
const LENGTH: usize = HEAD + SLOTS * SLOT;

/// The first line, by which the file is known.
const NAME: &str = "beadle intent 1";

/// The record, held by one beadle at a time. Dropping it closes what is open: an orderly end lets go of what was under way.
#[derive(Debug)]
pub struct Intent {
    file: Locked,
    path: PathBuf,
    /// Which act each slot holds, while it is open.
    open: [Option<WarrantId>; SLOTS],
    /// The slot that is tried first: they are used in a ring.
    next: usize,
}

impl Intent {
    /// Opens the record, its folder made with `mode` when missing, and tells what an earlier beadle left open in this
    /// boot. Those are told once; what is of another boot, or is not to be understood, is set aside.
    pub fn open(path: &Path, mode: u32, boot: &str) -> Result<(Self, Vec<Record>), StoreError> {
        if let Some(parent) = path.parent() {
            folder::own(parent, mode)?;
        }
        let mut file = Locked::take(folder::file(path)?, path)?;
        let mut found = Vec::new();
        // No more than our own ever are: whatever else is there is none of ours.
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        if length == LENGTH as u64 {
            found = vec![0; LENGTH];
            file.read_exact_at(&mut found, 0)
                .map_err(StoreError::io("read", path))?;
        }
        let head = head(boot);
        let ours = found.starts_with(&head);
        if !ours && length > 0 {
            folder::set_aside(path)?;
            file = Locked::take(folder::file(path)?, path)?;
        }
        let intent = Self {
            file,
            path: path.to_owned(),
            open: [None; SLOTS],
            next: 0,
        };
        if !ours {
            intent.take_room()?;
            intent.write(&head, 0)?;
        }
        let mut left = Vec::new();
        for (index, slot) in found
            .get(HEAD..)
            .unwrap_or_default()
            .chunks(SLOT)
            .enumerate()
        {
            if let Some(json) = slot::open(slot).filter(|_| ours) {
                left.extend(serde_json::from_slice::<Record>(json));
                intent.mark(index, State::Told)?;
            }
        }
        Ok((intent, left))
    }

    /// Writes an act down, before its first signal.
    pub fn begin(&mut self, record: &Record) -> Result<(), StoreError> {
        let full = || StoreError::Io {
            what: "write one more act to",
            path: self.path.clone(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        let ring = (self.next..SLOTS).chain(0..self.next);
        let free = |index: &usize| self.open.get(*index).is_some_and(Option::is_none);
        let mut ring = ring.filter(free);
        let index = ring.next().ok_or_else(full)?;
        // Strings and numbers: nothing that can fail.
        let json = serde_json::to_vec(record).unwrap_or_default();
        let bytes = slot::bytes(&json).ok_or_else(full)?;
        self.write(&bytes, place(index))?;
        self.write(&slot::outcome(b""), place(index) + OUTCOME)?;
        self.mark(index, State::Open)?;
        if let Some(slot) = self.open.get_mut(index) {
            *slot = Some(WarrantId(record.warrant));
        }
        self.next = (index + 1) % SLOTS;
        Ok(())
    }

    /// Writes down what came of an act.
    pub fn end(&mut self, report: &Report) -> Result<(), StoreError> {
        let json = serde_json::to_vec(&Settled::of(report)).unwrap_or_default();
        self.close(report.warrant, &json)
    }

    fn close(&mut self, warrant: WarrantId, json: &[u8]) -> Result<(), StoreError> {
        let open = self.open.iter().position(|slot| *slot == Some(warrant));
        // An act that could not be written down has no slot.
        let Some(index) = open else { return Ok(()) };
        if let Some(slot) = self.open.get_mut(index) {
            *slot = None;
        }
        self.write(&slot::outcome(json), place(index) + OUTCOME)?;
        self.mark(index, State::Closed)
    }

    /// Takes all the room there will ever be needed, now.
    fn take_room(&self) -> Result<(), StoreError> {
        let taken = fallocate(&*self.file, FallocateFlags::empty(), 0, LENGTH as u64);
        if taken.is_ok() {
            return Ok(());
        }
        // A file system that cannot promise room is given all of it.
        self.write(&vec![b' '; LENGTH], 0)
    }

    fn mark(&self, index: usize, state: State) -> Result<(), StoreError> {
        self.write(&[state.byte()], place(index))
    }

    fn write(&self, bytes: &[u8], at: usize) -> Result<(), StoreError> {
        self.file
            .write_all_at(bytes, at as u64)
            .map_err(StoreError::io("write", &self.path))
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        for warrant in self.open.into_iter().flatten() {
            // Nobody is left to tell.
            let _ = self.close(warrant, b"{\"let_go\":\"beadle was stopped\"}");
        }
    }
}

/// Where a slot begins.
const fn place(index: usize) -> usize {
    HEAD + index * SLOT
}

/// How the file begins, in this boot.
fn head(boot: &str) -> Vec<u8> {
    format!(
        "{NAME}\nboot {}\nEach slot: O open, C closed, T told by a later beadle; then the act, then what came of it.\n",
        boot.trim()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests;
